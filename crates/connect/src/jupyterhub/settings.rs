//! The settings of a `jupyterhub` system, checked before anything is reached.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::error::ConnectError;
use crate::http_client::HttpClient;
use crate::log_in::address;
use crate::settings::Settings;

/// What is known of the hub before it is reached.
pub(super) struct JupyterHubSettings {
    pub http: HttpClient,
    /// The address that `/hub` is below.
    pub url: Url,
    pub token: SecretString,
    /// Whether a user that is to be stopped is deleted, since the hub has no switch.
    pub disable_by_deleting: bool,
}

/// Reads them.
pub(super) fn read(settings: &mut Settings) -> Result<JupyterHubSettings, ConnectError> {
    let text = settings.string("url", "https://hub.example.com")?;
    let url = address(settings, "url", &text)?;
    let token = settings
        .secret("token")?
        .ok_or_else(|| settings.error("token", "is missing; write `env:NAME` or `file:PATH`"))?;
    let disable_by_deleting = settings.bool_or("disable_by_deleting", false)?;
    let authority = settings.optional_path("ca_certificate")?;
    let timeout = Duration::from_millis(settings.integer_or("timeout_ms", 30_000, 100, 3_600_000)?);
    let http = HttpClient::new(settings, &url, authority.as_deref(), timeout)?;
    Ok(JupyterHubSettings { http, url, token, disable_by_deleting })
}
