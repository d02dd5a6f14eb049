//! The settings of an `openbao` system, checked before anything is reached.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::error::ConnectError;
use crate::http_client::HttpClient;
use crate::settings::Settings;

/// What is known of the server before it is reached.
pub(super) struct OpenBaoSettings {
    pub http: HttpClient,
    /// The server's address, without the `v1` of its API.
    pub url: Url,
    pub token: SecretString,
    /// The namespace that everything is read and changed in.
    pub namespace: Option<String>,
    /// The paths below which leases are listed, without slashes at their ends.
    pub lease_prefixes: Vec<String>,
}

/// Reads them.
pub(super) fn read(settings: &mut Settings) -> Result<OpenBaoSettings, ConnectError> {
    let text = settings.string("url", "https://bao.example.com:8200")?;
    let url = Url::parse(&text)
        .map_err(|error| settings.error("url", format!("`{text}` is not an address: {error}")))?;
    let host = url.host_str().unwrap_or_default();
    let nearby = matches!(host, "localhost" | "[::1]") || host.starts_with("127.");
    match url.scheme() {
        "https" => {}
        "http" if nearby => {}
        "http" => return Err(settings.error("url", "would send the token unencrypted; use `https://`")),
        other => return Err(settings.error("url", format!("`{other}://` is not spoken; use `https://`"))),
    }
    let token = settings
        .secret("token")?
        .ok_or_else(|| settings.error("token", "is missing; write `env:NAME` or `file:PATH`"))?;
    let namespace = settings.optional_string("namespace")?;
    let authority = settings.optional_path("ca_certificate")?;
    let timeout = Duration::from_millis(settings.integer_or("timeout_ms", 30_000, 100, 3_600_000)?);
    let http = HttpClient::new(settings, &url, authority.as_deref(), timeout)?;
    let lease_prefixes = lease_prefixes(settings)?;
    Ok(OpenBaoSettings { http, url, token, namespace, lease_prefixes })
}

fn lease_prefixes(settings: &mut Settings) -> Result<Vec<String>, ConnectError> {
    let prefixes = settings.strings("lease_prefixes")?;
    let prefixes: Vec<String> = prefixes.iter().map(|prefix| prefix.trim_matches('/').to_owned()).collect();
    let is_path =
        |prefix: &String| prefix.split('/').all(|part| !part.trim().is_empty() && !part.starts_with('.'));
    match prefixes.iter().find(|prefix| !is_path(prefix)) {
        Some(wrong) => Err(settings.error(
            "lease_prefixes",
            format!("`{wrong}` is no path; write for example `auth/userpass/login`"),
        )),
        None => Ok(prefixes),
    }
}
