//! The settings of a `mariadb` system, checked before anything is reached.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use crate::error::ConnectError;
use crate::settings::{Settings, did_you_mean};

/// What is known of the server before it is reached.
pub(super) struct MariadbSettings {
    pub system: String,
    /// Host and port, for messages.
    pub address: String,
    /// The log-in, for messages.
    pub login: String,
    /// From which hosts new accounts are seen: the host part of their keys.
    pub new_account_host: String,
    pub timeout: Duration,
    options: MySqlConnectOptions,
    password: Option<SecretString>,
}

impl MariadbSettings {
    /// How to reach the server. The password is put in only here.
    pub fn options(&self) -> MySqlConnectOptions {
        let password = self.password.as_ref().map_or("", |password| password.expose_secret());
        self.options.clone().password(password)
    }
}

const SSL_MODES: [(&str, MySqlSslMode); 5] = [
    ("disable", MySqlSslMode::Disabled),
    ("prefer", MySqlSslMode::Preferred),
    ("require", MySqlSslMode::Required),
    ("verify-ca", MySqlSslMode::VerifyCa),
    ("verify-full", MySqlSslMode::VerifyIdentity),
];

/// Reads them.
pub(super) fn read(settings: &mut Settings) -> Result<MariadbSettings, ConnectError> {
    let text = settings.string("url", "mariadb://leasehold@db.example.com:3306")?;
    // The message must not repeat the URL: somebody may have written a password into it.
    let url =
        url::Url::parse(&text).map_err(|error| settings.error("url", format!("is not a URL: {error}")))?;
    if !matches!(url.scheme(), "mariadb" | "mysql") {
        return Err(settings.error("url", format!("begins with `{}://`, not `mariadb://`", url.scheme())));
    }
    if url.password().is_some() {
        return Err(settings
            .error("url", "holds a password; write `password = \"env:NAME\"` or `\"file:PATH\"` instead"));
    }
    if let Some((key, _)) = url.query_pairs().next() {
        let message = format!("holds the parameter `{key}`; write it as a setting of its own (`sslmode`, …)");
        return Err(settings.error("url", message));
    }
    let Some(host) = url.host_str().filter(|_| !url.username().is_empty()) else {
        return Err(settings.error("url", "names no user or host: `mariadb://USER@HOST:PORT`"));
    };
    let login = percent_decoded(url.username())
        .ok_or_else(|| settings.error("url", "holds a user name that is not UTF-8 when decoded"))?;
    let port = url.port().unwrap_or(3306);
    let bare_host = host.trim_start_matches('[').trim_end_matches(']');

    // A password must not go to whoever answers at a far address; on this machine there is nobody in between.
    let nearby = matches!(bare_host, "localhost" | "::1") || bare_host.starts_with("127.");
    let default_mode = if nearby { "prefer" } else { "verify-full" };
    let mode = settings.optional_string("sslmode")?.unwrap_or_else(|| default_mode.to_owned());
    let names = SSL_MODES.map(|(name, _)| name);
    let mode = SSL_MODES.iter().find(|(name, _)| *name == mode).map(|(_, mode)| *mode).ok_or_else(|| {
        settings.error("sslmode", format!("`{mode}` is not known{}", did_you_mean(&mode, &names)))
    })?;
    let mut options = MySqlConnectOptions::new()
        .host(bare_host)
        .port(port)
        .username(&login)
        .ssl_mode(mode)
        .charset("utf8mb4")
        // Both are set for the session by ourselves, with what our statements rely on.
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(Some("+00:00".to_owned()));
    if let Some(path) = settings.optional_path("ca_certificate")? {
        if let Err(error) = std::fs::File::open(&path) {
            let message = format!("cannot read {}: {error}", path.display());
            return Err(settings.error("ca_certificate", message));
        }
        options = options.ssl_ca(path);
    }
    let password = settings.secret("password")?;
    let new_account_host = settings.optional_string("new_account_host")?.unwrap_or_else(|| "%".to_owned());
    if new_account_host.is_empty() || new_account_host.contains(|c: char| c == '@' || c.is_whitespace()) {
        let message = format!("`{new_account_host}` is no host pattern; write for example `%` or `10.%`");
        return Err(settings.error("new_account_host", message));
    }
    Ok(MariadbSettings {
        system: settings.system().to_string(),
        address: format!("{bare_host}:{port}"),
        login,
        new_account_host,
        timeout: Duration::from_millis(settings.integer_or("timeout_ms", 30_000, 100, 3_600_000)?),
        options,
        password,
    })
}

fn percent_decoded(text: &str) -> Option<String> {
    let pair = format!("u={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .filter(|value| !value.contains('\u{FFFD}'))
}
