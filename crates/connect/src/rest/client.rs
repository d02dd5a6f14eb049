//! Asking the API for a page: what lets us in, patience where it says "not now", and what its refusals mean.

use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use crate::error::ConnectError;
use crate::http_client::{Answer, wait_for_next};
use crate::log_in::{Authorization, login};
use crate::rest::settings::RestSettings;

/// What is done, for messages.
pub(super) const OPERATION: &str = "reading people";

/// The API.
pub(super) struct Client {
    pub settings: RestSettings,
    authorization: Authorization,
}

impl Client {
    pub fn new(settings: RestSettings) -> Self {
        Self { settings, authorization: Authorization::default() }
    }

    /// One page, asked for again while the API says "not now".
    pub async fn page(&self, url: &Url) -> Result<(Answer, Value), ConnectError> {
        let mut attempt = 0;
        let answer = loop {
            let answer = self.send(url).await?;
            if !answer.is_not_now() {
                break answer;
            }
            if !wait_for_next(attempt, answer.retry_after_ms).await {
                return Err(self.error(&format!(
                    "asked {} times: HTTP {}",
                    attempt + 1,
                    answer.status.as_u16()
                )));
            }
            attempt += 1;
        };
        let status = answer.status;
        if !status.is_success() {
            let hint = match status {
                StatusCode::FORBIDDEN => {
                    "; what may not be read is not taken for absent: give the token the right"
                }
                StatusCode::NOT_FOUND => "; check `url`, and where pages are numbered name `total`",
                _ if status.is_redirection() => {
                    "; redirects are not followed: write in `url` where the list really is"
                }
                _ => "",
            };
            return Err(self.error(&format!("HTTP {}{hint}", status.as_u16())));
        }
        let body = serde_json::from_slice(&answer.body)
            .map_err(|error| self.error(&format!("the answer is not JSON: {error}; check `url`")))?;
        Ok((answer, body))
    }

    /// What the API did wrong.
    pub fn error(&self, message: &str) -> ConnectError {
        self.settings.http.target_error(OPERATION, message)
    }

    async fn send(&self, url: &Url) -> Result<Answer, ConnectError> {
        let RestSettings { http, log_in, .. } = &self.settings;
        let mut is_renewed = false;
        loop {
            let (name, value) = self.authorization.header(log_in, http).await?;
            let request = http.request(Method::GET, url.clone());
            let request = request.header("Accept", "application/json").header(name, value);
            let answer = http.send(OPERATION, request).await?;
            if answer.status != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
            // A token may end before its time.
            if is_renewed || !self.authorization.forget(log_in).await {
                let message = "HTTP 401; check what the settings log in with, and that it has not expired";
                return Err(http.authentication_error(&login(log_in), message));
            }
            is_renewed = true;
        }
    }
}
