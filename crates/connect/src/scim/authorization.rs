//! What each request shows to be let in: a token of the settings, or one that an authorization server gives for a while.

use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::form_urlencoded;

use crate::error::ConnectError;
use crate::http_client::{HttpClient, wait_for_next};
use crate::scim::settings::{LogIn, OauthClient};

/// How long a token is taken to be good where the server does not say.
const LIFE_S_UNKNOWN: u64 = 300;
/// A longer life than this is not relied on.
const LIFE_S_MAX: u64 = 86_400;
/// A token is given up this long before its end, for the requests that are under way.
const MARGIN_S: u64 = 30;
const OPERATION: &str = "asking for a token";

/// A token that an authorization server gave.
struct Given {
    token: SecretString,
    until: Instant,
}

/// The tokens of one target.
#[derive(Default)]
pub(super) struct Authorization {
    given: Mutex<Option<Given>>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default)]
    token_type: String,
    expires_in: Option<u64>,
}

/// An error of RFC 6749 section 5.2.
#[derive(Deserialize)]
struct TokenError {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Authorization {
    /// The header to send, with a token that is good for now.
    pub async fn header(&self, log_in: &LogIn, http: &HttpClient) -> Result<HeaderValue, ConnectError> {
        match log_in {
            LogIn::Token(token) => bearer(token, http),
            LogIn::Client(client) => {
                let mut given = self.given.lock().await;
                if let Some(given) = given.as_ref().filter(|given| given.until > Instant::now()) {
                    return bearer(&given.token, http);
                }
                let fresh = ask(client).await?;
                let header = bearer(&fresh.token, http);
                *given = Some(fresh);
                header
            }
        }
    }

    /// Forgets a token that was refused. `false` where asking anew could give no other.
    pub async fn forget(&self, log_in: &LogIn) -> bool {
        self.given.lock().await.take();
        matches!(log_in, LogIn::Client(_))
    }
}

/// Whom the connector says to be, for messages.
pub(super) fn login(log_in: &LogIn) -> String {
    match log_in {
        LogIn::Token(_) => "the token of the settings".to_owned(),
        LogIn::Client(client) => format!("the client {}", client.id),
    }
}

fn bearer(token: &SecretString, http: &HttpClient) -> Result<HeaderValue, ConnectError> {
    let mut header = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())).map_err(|_| {
        http.authentication_error("the token of the settings", "it holds a character that none has")
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// What an authorization server is asked with.
fn form(client: &OauthClient) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if let Some(scope) = &client.scope {
        form.append_pair("scope", scope);
    }
    if client.secret_in_form {
        form.append_pair("client_id", &client.id);
        form.append_pair("client_secret", client.secret.expose_secret());
    }
    form.finish()
}

async fn ask(client: &OauthClient) -> Result<Given, ConnectError> {
    let http = &client.http;
    let mut attempt = 0;
    let answer = loop {
        let mut request = http
            .request(Method::POST, client.token_url.clone())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Accept", "application/json")
            .body(form(client));
        if !client.secret_in_form {
            // Both halves are encoded before they are joined (RFC 6749 section 2.3.1).
            let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let secret = encoded(client.secret.expose_secret());
            request = request.basic_auth(encoded(&client.id), Some(secret));
        }
        let asked = Instant::now();
        let answer = http.send(OPERATION, request).await?;
        if !answer.is_not_now() {
            break (asked, answer);
        }
        if !wait_for_next(attempt, answer.retry_after_ms).await {
            let message = format!("asked {} times: HTTP {}", attempt + 1, answer.status.as_u16());
            return Err(http.target_error(OPERATION, message));
        }
        attempt += 1;
    };
    let (asked, answer) = answer;
    if !answer.status.is_success() {
        let said = serde_json::from_slice(&answer.body).map_or_else(
            |_| String::new(),
            |said: TokenError| format!(": {} {}", said.error, said.error_description),
        );
        let status = answer.status.as_u16();
        if answer.status.is_server_error() {
            return Err(http.target_error(OPERATION, format!("HTTP {status}{}", said.trim_end())));
        }
        let message =
            format!("HTTP {status}{}; check `client_id`, `client_secret` and `scope`", said.trim_end());
        return Err(http.authentication_error(&format!("the client {}", client.id), message));
    }
    // The error of the reader could repeat what it read.
    let given: TokenAnswer = serde_json::from_slice(&answer.body)
        .map_err(|_| http.target_error(OPERATION, "the answer holds no access_token; check `token_url`"))?;
    if !given.token_type.is_empty() && !given.token_type.eq_ignore_ascii_case("bearer") {
        let message = "the token is of a type that is not spoken; only bearer tokens are";
        return Err(http.target_error(OPERATION, message));
    }
    let life_s = given.expires_in.unwrap_or(LIFE_S_UNKNOWN).min(LIFE_S_MAX);
    let used_s = life_s.saturating_sub(MARGIN_S).max(life_s / 2);
    Ok(Given { token: given.access_token.into(), until: asked + Duration::from_secs(used_s) })
}
