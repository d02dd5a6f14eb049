//! HTTP for connectors: time limits, bounded answers, which certificates are accepted, and what a failure means.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{ETAG, HeaderName, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, StatusCode};
use url::Url;

use crate::error::ConnectError;
use crate::settings::Settings;
use crate::tls;

/// A page of any target is far below this.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How often a reading is asked for while the target says "not now".
const ATTEMPTS_MAX: u32 = 6;
const BACK_OFF_MS: u64 = 200;
/// A target that wants to be left alone for longer is not waited for within one call.
const WAIT_MS_MAX: u64 = 10_000;

/// One target that is spoken to over HTTP.
pub(crate) struct HttpClient {
    client: Client,
    /// The system's name, for messages.
    pub system: String,
    /// Host and port, for messages.
    pub address: String,
    timeout: Duration,
}

/// What the target answered, whatever its status.
pub(crate) struct Answer {
    pub status: StatusCode,
    /// How long the target wants to be left alone.
    pub retry_after_ms: Option<u64>,
    /// Which version of the object this is, where the target says.
    pub etag: Option<String>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The target is busy or limits our rate.
    pub fn is_not_now(&self) -> bool {
        matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
    }
}

impl HttpClient {
    /// A client for the target at `url`, which trusts the named authority alone or else whom this machine trusts.
    ///
    /// # Errors
    /// Where the authority's file cannot be used.
    pub fn new(
        settings: &Settings,
        url: &Url,
        authority: Option<&Path>,
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let client = Client::builder()
            // A redirect would carry what we log in with to somebody else.
            .redirect(reqwest::redirect::Policy::none())
            .tls_backend_preconfigured(tls::client_config(settings, authority)?)
            .timeout(timeout)
            .user_agent(concat!("leasehold/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| settings.error("url", format!("cannot be used: {error}")))?;
        let host = url.host_str().unwrap_or_default();
        let address = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        Ok(Self { client, system: settings.system().to_string(), address, timeout })
    }

    /// The system's name, for messages.
    pub fn system(&self) -> &str {
        &self.system
    }

    /// Host and port, for people.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A request to begin with.
    pub fn request(&self, method: reqwest::Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// [`ConnectError::Unreachable`] and [`ConnectError::Certificate`] where nothing was sent; any other where it is not
    /// known what the target did.
    pub async fn send(&self, operation: &str, request: RequestBuilder) -> Result<Answer, ConnectError> {
        let mut response = request.send().await.map_err(|error| self.error(operation, error))?;
        let status = response.status();
        let header = |name: HeaderName| response.headers().get(name)?.to_str().ok().map(str::trim);
        let retry_after_ms = header(RETRY_AFTER)
            .and_then(|value| value.parse::<u64>().ok())
            .map(|seconds| seconds.saturating_mul(1000));
        let etag = header(ETAG).map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.error(operation, error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                let message = format!("the answer is longer than {ANSWER_BYTES_MAX} bytes");
                return Err(self.target_error(operation, message));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, retry_after_ms, etag, body })
    }

    /// The target's own refusal of what we asked.
    pub fn target_error(&self, operation: &str, message: impl Into<String>) -> ConnectError {
        ConnectError::Target {
            system: self.system.clone(),
            operation: operation.to_owned(),
            message: message.into(),
        }
    }

    /// The target's refusal of what we log in with.
    pub fn authentication_error(&self, login: &str, message: impl Into<String>) -> ConnectError {
        ConnectError::Authentication {
            system: self.system.clone(),
            address: self.address.clone(),
            login: login.to_owned(),
            message: message.into(),
        }
    }

    fn error(&self, operation: &str, error: reqwest::Error) -> ConnectError {
        let (system, address) = (self.system.clone(), self.address.clone());
        if let Some(problem) = tls::certificate_error(&error) {
            return ConnectError::Certificate { system, address, message: tls::explain(problem) };
        }
        if error.is_connect() {
            let message = format!("{}; check the address, the network and that it runs", cause(&error));
            return ConnectError::Unreachable { system, address, message };
        }
        if error.is_timeout() {
            let timeout_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
            return ConnectError::Timeout { system, operation: operation.to_owned(), timeout_ms };
        }
        self.target_error(operation, format!("no whole answer came: {}", cause(&error)))
    }
}

/// What lies at the bottom of an error. The error's own text is left out: it repeats the address with its query.
fn cause(error: &reqwest::Error) -> String {
    let mut next: &dyn std::error::Error = error;
    while let Some(source) = next.source() {
        next = source;
    }
    if std::ptr::addr_eq(next, error) { "the request failed".to_owned() } else { next.to_string() }
}

/// Waits before a reading is asked for again. `false` where it has been asked for often enough, or the target wants to be
/// left alone for longer than a call may last.
pub(crate) async fn wait_for_next(attempt: u32, retry_after_ms: Option<u64>) -> bool {
    let wait_ms = retry_after_ms.unwrap_or(BACK_OFF_MS << attempt.min(16));
    if attempt + 1 >= ATTEMPTS_MAX || wait_ms > WAIT_MS_MAX {
        return false;
    }
    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    true
}
