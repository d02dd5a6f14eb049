//! Speaking the HTTP API: one request after another, patience where the server says "not now", and what its errors mean.

use leasehold_model::request::Outcome;
use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::ConnectError;
use crate::http_client::{Answer, wait_for_next};
use crate::openbao::settings::OpenBaoSettings;

/// The token that the connector logs in with.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct OwnToken {
    pub accessor: String,
    #[serde(default)]
    pub entity_id: String,
    #[serde(default)]
    pub display_name: String,
}

/// What the server refused.
#[derive(Debug)]
pub(super) struct ApiError {
    pub status: StatusCode,
    pub message: String,
}

impl ApiError {
    /// What was asked for does not exist. A server that hides something answers with 403.
    pub fn is_absent(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
            || ["invalid accessor", "invalid lease"].iter().any(|said| self.message.contains(said))
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "HTTP {}: {}", self.status.as_u16(), self.message)
    }
}

enum Reply {
    Done(Value),
    NotNow { after_ms: Option<u64>, why: String },
    Refused(ApiError),
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    keys: Vec<String>,
}

/// The server.
pub(super) struct Client {
    pub settings: OpenBaoSettings,
}

impl Client {
    pub fn new(settings: OpenBaoSettings) -> Self {
        Self { settings }
    }

    /// The token that we log in with, asked for now.
    pub async fn own_token(&self) -> Result<OwnToken, ConnectError> {
        let operation = "looking up our own token";
        match self.patiently(Method::GET, &["auth", "token", "lookup-self"], None).await? {
            Ok(data) => self.typed(operation, data),
            Err(error) if error.status == StatusCode::FORBIDDEN => {
                let message = format!("{error}; check `token` and that it has not expired");
                Err(self.settings.http.authentication_error("the token of the settings", message))
            }
            Err(error) => Err(self.target_error(operation, &error)),
        }
    }

    /// Reads what must be there.
    pub async fn read<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, ConnectError> {
        self.find(path).await?.ok_or_else(|| {
            self.settings.http.target_error(&path.join("/"), "it is not there; is this an OpenBao server?")
        })
    }

    /// Reads what may not be there.
    pub async fn find<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Option<T>, ConnectError> {
        self.found(&path.join("/"), self.patiently(Method::GET, path, None).await?)
    }

    /// Looks something up that is named in the body and may not be there.
    pub async fn look_up<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: Value,
    ) -> Result<Option<T>, ConnectError> {
        self.found(&path.join("/"), self.patiently(Method::POST, path, Some(body)).await?)
    }

    /// The keys below a path. The server gives them all at once, and answers with 404 where there is none.
    pub async fn list(&self, path: &[&str]) -> Result<Vec<String>, ConnectError> {
        let method = Method::from_bytes(b"LIST").unwrap_or(Method::GET);
        let answer = self.patiently(method, path, None).await?;
        let listed: Option<Listed> = self.found(&path.join("/"), answer)?;
        Ok(listed.map(|listed| listed.keys).unwrap_or_default())
    }

    /// Asks for a change, once. `None` where it was made.
    pub async fn change(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
    ) -> Result<Option<Outcome>, ConnectError> {
        Ok(self.create(method, path, body).await?.err())
    }

    /// Asks, once, for a change whose answer says what was made.
    pub async fn create(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
    ) -> Result<Result<Value, Outcome>, ConnectError> {
        let operation = path.join("/");
        Ok(match self.send(method, path, body.as_ref()).await? {
            Reply::Done(data) => Ok(data),
            Reply::NotNow { after_ms, why } => Err(Outcome::Retry { after_ms, why }),
            Reply::Refused(error) if error.status.is_server_error() => {
                return Err(self.target_error(&operation, &error));
            }
            Reply::Refused(error) if error.is_absent() => Err(Outcome::AlreadySo),
            Reply::Refused(error) if error.status == StatusCode::FORBIDDEN => {
                let why = format!("{error}; the token of the settings lacks a right on {operation}");
                Err(Outcome::Refused { why })
            }
            Reply::Refused(error) => Err(Outcome::Refused { why: error.to_string() }),
        })
    }

    fn found<T: DeserializeOwned>(
        &self,
        operation: &str,
        answer: Result<Value, ApiError>,
    ) -> Result<Option<T>, ConnectError> {
        match answer {
            Ok(data) => self.typed(operation, data).map(Some),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(self.target_error(operation, &error)),
        }
    }

    fn typed<T: DeserializeOwned>(&self, operation: &str, data: Value) -> Result<T, ConnectError> {
        serde_json::from_value(data).map_err(|error| {
            self.settings.http.target_error(operation, format!("the answer is not as expected: {error}"))
        })
    }

    fn target_error(&self, operation: &str, error: &ApiError) -> ConnectError {
        let mut message = error.to_string();
        if error.status == StatusCode::FORBIDDEN {
            message.push_str("; what may not be read is not taken for absent: give the token the right");
        }
        self.settings.http.target_error(operation, message)
    }

    /// Sends a question again while the server says "not now".
    async fn patiently(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
    ) -> Result<Result<Value, ApiError>, ConnectError> {
        let mut attempt = 0;
        loop {
            match self.send(method.clone(), path, body.as_ref()).await? {
                Reply::Done(data) => return Ok(Ok(data)),
                Reply::Refused(error) => return Ok(Err(error)),
                Reply::NotNow { after_ms, why } => {
                    if !wait_for_next(attempt, after_ms).await {
                        let message = format!("asked {} times: {why}", attempt + 1);
                        return Err(self.settings.http.target_error(&path.join("/"), message));
                    }
                }
            }
            attempt += 1;
        }
    }

    async fn send(&self, method: Method, path: &[&str], body: Option<&Value>) -> Result<Reply, ConnectError> {
        let http = &self.settings.http;
        let operation = path.join("/");
        let mut url = self.settings.url.clone();
        match url.path_segments_mut() {
            // Names are data: each is one segment, whatever it holds.
            Ok(mut segments) => {
                segments.pop_if_empty().push("v1").extend(path);
            }
            Err(()) => return Err(http.target_error(&operation, "the address cannot have a path")),
        }
        let mut token = HeaderValue::from_str(self.settings.token.expose_secret()).map_err(|_| {
            http.authentication_error("the token of the settings", "it holds a character that none has")
        })?;
        token.set_sensitive(true);
        let mut request =
            http.request(method, url).header("X-Vault-Token", token).header("X-Vault-Request", "true");
        if let Some(namespace) = &self.settings.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        let answer = http.send(&operation, request).await?;
        self.reply(&operation, &answer)
    }

    fn reply(&self, operation: &str, answer: &Answer) -> Result<Reply, ConnectError> {
        let parsed: Result<Value, _> = serde_json::from_slice(&answer.body);
        if answer.status.is_success() {
            if answer.body.is_empty() {
                return Ok(Reply::Done(Value::Null));
            }
            let why = |error| format!("the answer is not JSON: {error}");
            let mut parsed =
                parsed.map_err(|error| self.settings.http.target_error(operation, why(error)))?;
            // A few answers come without the envelope.
            let data = parsed.get_mut("data").map(Value::take);
            return Ok(Reply::Done(data.unwrap_or(parsed)));
        }
        let message = parsed.ok().map(|body| {
            let errors = body["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let words: Vec<&str> = errors.flat_map(str::split_whitespace).collect();
            words.join(" ")
        });
        let message =
            message.filter(|message| !message.is_empty()).unwrap_or_else(|| "no further word".to_owned());
        if answer.is_not_now() {
            let why = format!("HTTP {}: {message}", answer.status.as_u16());
            return Ok(Reply::NotNow { after_ms: answer.retry_after_ms, why });
        }
        Ok(Reply::Refused(ApiError { status: answer.status, message }))
    }
}
