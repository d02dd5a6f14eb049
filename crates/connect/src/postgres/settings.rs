//! The settings of a `postgres` system, checked before anything is reached.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::error::ConnectError;
use crate::settings::{Settings, did_you_mean};

/// What is known of the server before it is reached.
pub(super) struct PostgresSettings {
    pub system: String,
    /// Host and port, for messages.
    pub address: String,
    /// The log-in, for messages.
    pub login: String,
    /// The database of the URL: roles, memberships and databases are read there.
    pub database: String,
    /// Further databases, whose objects are read too.
    pub databases: Vec<String>,
    /// Only objects in these schemas; empty means all.
    pub schemas: Vec<String>,
    pub timeout: Duration,
    options: PgConnectOptions,
    password: Option<SecretString>,
}

impl PostgresSettings {
    /// How to reach one database. The password is put in only here.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        let password = self.password.as_ref().map_or("", |password| password.expose_secret());
        self.options.clone().password(password).database(database)
    }
}

const SSL_MODES: [(&str, PgSslMode); 5] = [
    ("disable", PgSslMode::Disable),
    ("prefer", PgSslMode::Prefer),
    ("require", PgSslMode::Require),
    ("verify-ca", PgSslMode::VerifyCa),
    ("verify-full", PgSslMode::VerifyFull),
];

/// Reads them.
pub(super) fn read(settings: &mut Settings) -> Result<PostgresSettings, ConnectError> {
    let text = settings.string("url", "postgres://leasehold@db.example.com:5432/app")?;
    // The message must not repeat the URL: somebody may have written a password into it.
    let url =
        url::Url::parse(&text).map_err(|error| settings.error("url", format!("is not a URL: {error}")))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(settings.error("url", format!("begins with `{}://`, not `postgres://`", url.scheme())));
    }
    if url.password().is_some() {
        return Err(settings
            .error("url", "holds a password; write `password = \"env:NAME\"` or `\"file:PATH\"` instead"));
    }
    if let Some((key, _)) = url.query_pairs().next() {
        let message = format!("holds the parameter `{key}`; write it as a setting of its own (`sslmode`, …)");
        return Err(settings.error("url", message));
    }
    if url.username().is_empty() || url.path().len() < 2 || url.host_str().is_none() {
        return Err(
            settings.error("url", "names no user, host or database: `postgres://USER@HOST:PORT/DATABASE`")
        );
    }
    let host = url.host_str().unwrap_or_default().to_owned();
    let options: PgConnectOptions =
        text.parse().map_err(|error| settings.error("url", format!("cannot be used: {error}")))?;

    // A password must not go to whoever answers at a far address; on this machine there is nobody in between.
    let nearby = matches!(host.as_str(), "localhost" | "::1" | "[::1]") || host.starts_with("127.");
    let default_mode = if nearby || host.starts_with('%') { "prefer" } else { "verify-full" };
    let mode = settings.optional_string("sslmode")?.unwrap_or_else(|| default_mode.to_owned());
    let names = SSL_MODES.map(|(name, _)| name);
    let mode = SSL_MODES.iter().find(|(name, _)| *name == mode).map(|(_, mode)| *mode).ok_or_else(|| {
        settings.error("sslmode", format!("`{mode}` is not known{}", did_you_mean(&mode, &names)))
    })?;
    let mut options = options.ssl_mode(mode).application_name("leasehold");
    if let Some(path) = settings.optional_path("ca_certificate")? {
        options = options.ssl_root_cert(readable(settings, path)?);
    }

    let database = options.get_database().unwrap_or_default().to_owned();
    let mut databases = settings.strings("databases")?;
    databases.retain(|other| *other != database);
    databases.dedup();
    let password = settings.secret("password")?;
    Ok(PostgresSettings {
        system: settings.system().to_string(),
        address: format!("{}:{}", options.get_host(), options.get_port()),
        login: options.get_username().to_owned(),
        database,
        databases,
        schemas: settings.strings("schemas")?,
        timeout: Duration::from_millis(settings.integer_or("timeout_ms", 30_000, 100, 3_600_000)?),
        options,
        password,
    })
}

fn readable(settings: &Settings, path: PathBuf) -> Result<PathBuf, ConnectError> {
    match std::fs::File::open(&path) {
        Ok(_) => Ok(path),
        Err(error) => {
            Err(settings.error("ca_certificate", format!("cannot read {}: {error}", path.display())))
        }
    }
}
