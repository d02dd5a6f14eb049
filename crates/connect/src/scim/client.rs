//! Speaking SCIM: one request after another, patience where the server says "not now", and what its errors mean.

use leasehold_model::request::Outcome;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::sync::OnceCell;
use url::Url;

use crate::error::ConnectError;
use crate::http_client::{Answer, wait_for_next};
use crate::log_in::{Authorization, login};
use crate::scim::resource::{attribute, text};
use crate::scim::service::Service;
use crate::scim::settings::ScimSettings;

const ERROR_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// What a request asks for beside its path.
pub(super) type Query<'query> = [(&'query str, String)];

/// What the server refused.
#[derive(Debug)]
pub(super) struct ApiError {
    pub status: StatusCode,
    /// The detail error keyword of RFC 7644 section 3.12, such as `noTarget`.
    pub scim_type: String,
    pub message: String,
    /// Said by a SCIM server, and not by something that stands before it.
    pub is_scim: bool,
}

impl ApiError {
    /// This form of a change is not understood; another may be.
    pub fn is_other_dialect(&self) -> bool {
        matches!(
            self.status,
            StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        )
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "HTTP {}", self.status.as_u16())?;
        if !self.scim_type.is_empty() {
            write!(formatter, " {}", self.scim_type)?;
        }
        write!(formatter, ": {}", self.message)
    }
}

/// What the server sent, and which version of it.
pub(super) struct Document {
    pub body: Value,
    /// An entity tag (RFC 7644 section 3.14), where the server offers them.
    pub version: Option<String>,
}

/// How a change that was sent once ended.
pub(super) enum Reply {
    Done(Document),
    NotNow { after_ms: Option<u64>, why: String },
    Refused(ApiError),
}

/// The server.
pub(super) struct Client {
    pub settings: ScimSettings,
    authorization: Authorization,
    service: OnceCell<Service>,
    /// The account that the connector logs in as, where the server tells.
    own_account: OnceCell<Option<String>>,
}

impl Client {
    pub fn new(settings: ScimSettings) -> Self {
        let (service, own_account) = (OnceCell::new(), OnceCell::new());
        Self { settings, authorization: Authorization::default(), service, own_account }
    }

    /// What the server says it can do, asked once.
    pub async fn service(&self) -> Result<&Service, ConnectError> {
        self.service.get_or_try_init(|| Service::read(self)).await
    }

    /// The same where it was asked already.
    pub fn known_service(&self) -> Option<&Service> {
        self.service.get()
    }

    /// The id of the account that the connector logs in as; `None` where the server knows none or does not say.
    pub async fn own_account(&self) -> Result<Option<&str>, ConnectError> {
        let own = self.own_account.get_or_try_init(|| async {
            // Few servers have it (RFC 7644 section 3.11); those that have none say so in many ways, and some let a token in
            // everywhere but here, since it is nobody's.
            match self.get(&["Me"], &[]).await {
                Ok(Ok(found)) => Ok(text(&found.body, "id").filter(|id| !id.is_empty())),
                Ok(Err(_)) | Err(ConnectError::Authentication { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        });
        Ok(own.await?.as_deref())
    }

    /// Asks, and asks again while the server says "not now".
    pub async fn get(
        &self,
        path: &[&str],
        query: &Query<'_>,
    ) -> Result<Result<Document, ApiError>, ConnectError> {
        let mut attempt = 0;
        let mut is_broken_off = false;
        loop {
            let reply = match self.send(Method::GET, path, query, None, None).await {
                // Servers close connections that were idle, and may do so just when the next question is on its way.
                Err(ConnectError::Target { .. }) if !is_broken_off => {
                    is_broken_off = true;
                    continue;
                }
                reply => reply?,
            };
            match reply {
                Reply::Done(document) => return Ok(Ok(document)),
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

    /// Asks for a change, once.
    pub async fn change(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
        version: Option<&str>,
    ) -> Result<Reply, ConnectError> {
        self.send(method, path, &[], body, version).await
    }

    /// What a refusal of a question means: never "absent".
    pub fn target_error(&self, path: &[&str], error: &ApiError) -> ConnectError {
        let mut message = error.to_string();
        if error.status == StatusCode::FORBIDDEN {
            message.push_str("; what may not be read is not taken for absent: give the token the right");
        } else if !error.is_scim {
            message.push_str("; this is no answer of a SCIM server: check `url`");
        }
        self.settings.http.target_error(&path.join("/"), message)
    }

    /// What a refusal of a change means.
    ///
    /// # Errors
    /// Where it is not known whether the change was made.
    pub fn refusal(&self, path: &[&str], error: &ApiError) -> Result<Outcome, ConnectError> {
        if error.status.is_server_error() && error.status != StatusCode::NOT_IMPLEMENTED {
            return Err(self.target_error(path, error));
        }
        let hint = match error.status {
            StatusCode::FORBIDDEN => format!("; the token lacks a right on {}", path.join("/")),
            _ => String::new(),
        };
        Ok(Outcome::Refused { why: format!("{error}{hint}") })
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &Query<'_>,
        body: Option<&Value>,
        version: Option<&str>,
    ) -> Result<Reply, ConnectError> {
        let (http, log_in) = (&self.settings.http, &self.settings.log_in);
        let operation = path.join("/");
        let url = self.url(path, query)?;
        let mut is_renewed = false;
        loop {
            let (name, value) = self.authorization.header(log_in, http).await?;
            let mut request = http
                .request(method.clone(), url.clone())
                .header(name, value)
                .header("Accept", "application/scim+json, application/json");
            if let Some(version) = version {
                request = request.header("If-Match", version);
            }
            if let Some(body) = body {
                request = request.header("Content-Type", "application/scim+json").body(body.to_string());
            }
            let answer = http.send(&operation, request).await?;
            if answer.status != StatusCode::UNAUTHORIZED {
                return self.reply(&operation, &answer);
            }
            // A token may end before its time; nothing was done without one.
            if is_renewed || !self.authorization.forget(log_in).await {
                let message = "HTTP 401; check `token`, or what gives it, and that it has not expired";
                return Err(http.authentication_error(&login(log_in), message));
            }
            is_renewed = true;
        }
    }

    fn url(&self, path: &[&str], query: &Query<'_>) -> Result<Url, ConnectError> {
        let mut url = self.settings.url.clone();
        match url.path_segments_mut() {
            // Ids are data: each is one segment, whatever it holds.
            Ok(mut segments) => {
                segments.pop_if_empty().extend(path);
            }
            Err(()) => {
                let message = "the address cannot have a path";
                return Err(self.settings.http.target_error(&path.join("/"), message));
            }
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    fn reply(&self, operation: &str, answer: &Answer) -> Result<Reply, ConnectError> {
        let parsed: Result<Value, _> = serde_json::from_slice(&answer.body);
        if answer.status.is_success() {
            let body = match parsed {
                Ok(body) => body,
                Err(_) if answer.body.is_empty() => Value::Null,
                Err(error) => {
                    let message = format!("the answer is not JSON: {error}; check `url`");
                    return Err(self.settings.http.target_error(operation, message));
                }
            };
            let version = answer.etag.clone();
            let version = version.or_else(|| text(attribute(&body, "meta")?, "version"));
            return Ok(Reply::Done(Document { body, version }));
        }
        let error = refused(answer.status, parsed.ok().as_ref());
        if answer.is_not_now() {
            return Ok(Reply::NotNow { after_ms: answer.retry_after_ms, why: error.to_string() });
        }
        Ok(Reply::Refused(error))
    }
}

/// The error in an answer.
fn refused(status: StatusCode, body: Option<&Value>) -> ApiError {
    let is_scim = body.and_then(|body| attribute(body, "schemas")?.as_array()).is_some_and(|schemas| {
        schemas
            .iter()
            .any(|schema| schema.as_str().is_some_and(|schema| schema.eq_ignore_ascii_case(ERROR_SCHEMA)))
    });
    let word = |name: &str| body.and_then(|body| text(body, name)).unwrap_or_default();
    let detail = word("detail");
    let words: Vec<&str> = detail.split_whitespace().collect();
    let message = if words.is_empty() { "no further word".to_owned() } else { words.join(" ") };
    ApiError { status, scim_type: word("scimType"), message, is_scim }
}
