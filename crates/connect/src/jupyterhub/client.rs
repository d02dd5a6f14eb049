//! Speaking the REST API: one request after another, patience where the hub says "not now", and what its errors mean.

use leasehold_model::request::Outcome;
use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::ConnectError;
use crate::http_client::{Answer, wait_for_next};
use crate::jupyterhub::object::Own;
use crate::jupyterhub::settings::JupyterHubSettings;

/// Asks for lists in pages that say how many there are.
const PAGES: &str = "application/jupyterhub-pagination+json";
/// What a page is asked to hold; the hub may give less.
const PAGE_SIZE: u64 = 200;
/// A hub that never comes to an end is not followed further than this.
const OBJECTS_MAX: usize = 5_000_000;

/// What the hub refused.
#[derive(Debug)]
pub(super) struct ApiError {
    pub status: StatusCode,
    pub message: String,
    /// Said by a hub, and not by something that stands before it.
    is_hub: bool,
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

/// How every error of the hub looks.
#[derive(Deserialize)]
struct Refusal {
    status: u16,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    #[serde(rename = "_pagination")]
    pagination: Pagination,
}

#[derive(Deserialize)]
struct Pagination {
    total: usize,
    next: Option<Next>,
}

#[derive(Deserialize)]
struct Next {
    offset: u64,
}

/// A list that was read to its end.
pub(super) struct Listed<T> {
    pub items: Vec<T>,
    /// Why it may not be all.
    pub doubt: Option<String>,
}

/// The hub.
pub(super) struct Client {
    pub settings: JupyterHubSettings,
}

impl Client {
    pub fn new(settings: JupyterHubSettings) -> Self {
        Self { settings }
    }

    /// Whom we log in as, asked for now.
    pub async fn own(&self) -> Result<Own, ConnectError> {
        self.read(&["user"]).await
    }

    /// Demands that these scopes are on everything: through a filter the hub shows a part as if it were the whole.
    pub async fn must_see(&self, operation: &str, scopes: &[&str]) -> Result<(), ConnectError> {
        let missing = self.own().await?.missing(scopes);
        if missing.is_empty() {
            return Ok(());
        }
        let message = format!(
            "what may not be read is not taken for absent: give the role of Leasehold's service {}",
            missing.join(", ")
        );
        Err(self.settings.http.target_error(operation, message))
    }

    /// Reads what must be there.
    pub async fn read<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, ConnectError> {
        match self.patiently(path, &[]).await? {
            Ok(data) => self.typed(path, data),
            Err(error) => Err(self.target_error(path, &error)),
        }
    }

    /// Reads what may not be there. That it is not is believed only where these scopes show everything.
    pub async fn find<T: DeserializeOwned>(
        &self,
        path: &[&str],
        scopes: &[&str],
    ) -> Result<Option<T>, ConnectError> {
        match self.patiently(path, &[]).await? {
            Ok(data) => self.typed(path, data).map(Some),
            Err(error) => self.absent(path, scopes, &error).await.map(|()| None),
        }
    }

    /// Reads a list with every page; `None` where what it belongs to is not there.
    pub async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        scopes: &[&str],
    ) -> Result<Option<Listed<T>>, ConnectError> {
        let mut listed = Listed { items: Vec::new(), doubt: None };
        let (mut offset, mut total) = (0, None);
        loop {
            let query = [("offset", offset.to_string()), ("limit", PAGE_SIZE.to_string())];
            let page: Page<T> = match self.patiently(path, &query).await? {
                Ok(data) => self.typed(path, data)?,
                Err(error) => return self.absent(path, scopes, &error).await.map(|()| None),
            };
            listed.items.extend(page.items);
            let now = page.pagination.total;
            if total.replace(now).is_some_and(|before| before != now) {
                listed.doubt =
                    Some(format!("how many {} there are changed while they were read", path.join("/")));
            }
            match page.pagination.next {
                Some(next) if next.offset <= offset || listed.items.len() > OBJECTS_MAX => {
                    return Err(self.error(path, "one page names the next without getting anywhere"));
                }
                Some(next) => offset = next.offset,
                None => break,
            }
        }
        let (count, total) = (listed.items.len(), total.unwrap_or_default());
        if count != total && listed.doubt.is_none() {
            listed.doubt =
                Some(format!("the hub says that it has {total} {} and gave {count}", path.join("/")));
        }
        Ok(Some(listed))
    }

    /// Asks, once, for a change that this scope is needed for. `None` where it was made.
    pub async fn change(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
        scope: &str,
    ) -> Result<Option<Outcome>, ConnectError> {
        Ok(self.create(method, path, body, scope).await?.err())
    }

    /// Asks, once, for a change whose answer says what was made.
    pub async fn create(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
        scope: &str,
    ) -> Result<Result<Value, Outcome>, ConnectError> {
        let takes_away = method == Method::DELETE;
        let error = match self.send(method, path, &[], body).await? {
            Reply::Done(data) => return Ok(Ok(data)),
            Reply::NotNow { after_ms, why } => return Ok(Err(Outcome::Retry { after_ms, why })),
            Reply::Refused(error) => error,
        };
        if error.status.is_server_error() || is_log_in(&error) {
            return Err(self.target_error(path, &error));
        }
        let missing = self.own().await?.missing(&[scope]);
        Ok(Err(match missing.first() {
            Some(scope) => {
                let why =
                    format!("{error}; give the role of Leasehold's service the scope {scope}, on everything");
                Outcome::Refused { why }
            }
            None if takes_away && error.status == StatusCode::NOT_FOUND && error.is_hub => Outcome::AlreadySo,
            None => Outcome::Refused { why: error.to_string() },
        }))
    }

    /// An error about what the hub said.
    pub fn error(&self, path: &[&str], message: impl Into<String>) -> ConnectError {
        self.settings.http.target_error(&path.join("/"), message)
    }

    /// Whether a refusal of a question means that there is no such thing; an error where it may mean something else.
    async fn absent(&self, path: &[&str], scopes: &[&str], error: &ApiError) -> Result<(), ConnectError> {
        if error.status != StatusCode::NOT_FOUND || !error.is_hub {
            return Err(self.target_error(path, error));
        }
        self.must_see(&path.join("/"), scopes).await
    }

    fn target_error(&self, path: &[&str], error: &ApiError) -> ConnectError {
        if is_log_in(error) || (path == ["user"] && error.status == StatusCode::FORBIDDEN) {
            let message =
                format!("{error}; check `token`, that it has not expired, and that the hub has its service");
            return self.settings.http.authentication_error("the token of the settings", message);
        }
        let more = match error.status {
            StatusCode::FORBIDDEN => {
                "; what may not be read is not taken for absent: give the role of Leasehold's service the scope"
            }
            _ if !error.is_hub => "; this is no answer of a JupyterHub: check `url`",
            _ => "",
        };
        self.error(path, format!("{error}{more}"))
    }

    fn typed<T: DeserializeOwned>(&self, path: &[&str], data: Value) -> Result<T, ConnectError> {
        // A model lacks what a scope is missing for, without another word.
        serde_json::from_value(data).map_err(|error| {
            let message = format!(
                "the answer is not as expected: {error}; `leasehold connector test` says which scopes are missing"
            );
            self.error(path, message)
        })
    }

    /// Sends a question again while the hub says "not now".
    async fn patiently(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Result<Value, ApiError>, ConnectError> {
        let mut attempt = 0;
        let mut is_broken_off = false;
        loop {
            match self.send(Method::GET, path, query, None).await {
                // Proxies close connections that were idle, and may do so just when the next question is on its way.
                Err(ConnectError::Target { .. }) if !is_broken_off => {
                    is_broken_off = true;
                    continue;
                }
                Err(error) => return Err(error),
                Ok(Reply::Done(data)) => return Ok(Ok(data)),
                Ok(Reply::Refused(error)) => return Ok(Err(error)),
                Ok(Reply::NotNow { after_ms, why }) => {
                    if !wait_for_next(attempt, after_ms).await {
                        return Err(self.error(path, format!("asked {} times: {why}", attempt + 1)));
                    }
                }
            }
            attempt += 1;
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Reply, ConnectError> {
        let http = &self.settings.http;
        // A segment of dots would be another address.
        if !path.iter().all(|segment| can_be_asked_for(segment)) {
            return Err(self.error(path, "a name of dots cannot be asked for"));
        }
        let mut url = self.settings.url.clone();
        match url.path_segments_mut() {
            // Names are data: each is one segment, whatever it holds.
            Ok(mut segments) => {
                segments.pop_if_empty().extend(["hub", "api"]).extend(path);
            }
            Err(()) => return Err(self.error(path, "the address cannot have a path")),
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let header = format!("token {}", self.settings.token.expose_secret());
        let mut header = HeaderValue::from_str(&header).map_err(|_| {
            http.authentication_error("the token of the settings", "it holds a character that none has")
        })?;
        header.set_sensitive(true);
        let accepted = if query.is_empty() { "application/json" } else { PAGES };
        let mut request =
            http.request(method, url).header("Authorization", header).header("Accept", accepted);
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        let answer = http.send(&path.join("/"), request).await?;
        self.reply(path, &answer)
    }

    fn reply(&self, path: &[&str], answer: &Answer) -> Result<Reply, ConnectError> {
        if answer.status.is_success() {
            if answer.body.is_empty() {
                return Ok(Reply::Done(Value::Null));
            }
            let parsed = serde_json::from_slice(&answer.body);
            let why = |error| self.error(path, format!("the answer is not JSON: {error}; check `url`"));
            return parsed.map(Reply::Done).map_err(why);
        }
        let refusal: Option<Refusal> = serde_json::from_slice(&answer.body).ok();
        let is_hub = refusal.as_ref().is_some_and(|refusal| refusal.status == answer.status.as_u16());
        let message =
            refusal.and_then(|refusal| refusal.message).unwrap_or_else(|| "no further word".to_owned());
        // A user whose server still stops is refused as if the question were wrong.
        let is_stopping = answer.status == StatusCode::BAD_REQUEST && message.contains("please wait");
        if answer.is_not_now() || is_stopping {
            let why = format!("HTTP {}: {message}", answer.status.as_u16());
            return Ok(Reply::NotNow { after_ms: answer.retry_after_ms, why });
        }
        Ok(Reply::Refused(ApiError { status: answer.status, message, is_hub }))
    }
}

/// Whether a name can stand in an address.
pub(super) fn can_be_asked_for(name: &str) -> bool {
    !matches!(name, "." | "..")
}

/// The hub does not know our token, or knows it no more. It answers so with the status of a right that is missing.
fn is_log_in(error: &ApiError) -> bool {
    error.status == StatusCode::FORBIDDEN && error.message.starts_with("Missing or invalid credentials")
}
