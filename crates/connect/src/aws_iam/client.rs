//! Speaking the query API of IAM and STS: signed requests, pages to the last, and what its errors mean to us.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use leasehold_model::request::Outcome;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use tokio::sync::OnceCell;
use url::Url;

use crate::aws_iam::settings::{AwsIamSettings, iam_region};
use crate::aws_iam::xml::Node;
use crate::error::ConnectError;
use crate::http_client::{Answer, wait_for_next};

const IAM_VERSION: &str = "2010-05-08";
const STS_VERSION: &str = "2011-06-15";
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// More pages than any account can fill: a marker that leads in a circle ends here.
pub(super) const PAGES_MAX: usize = 100_000;

/// The API's errors by their documented codes.
pub(super) mod code {
    /// The access key is not known, not ours, or not valid any more.
    pub const AUTHENTICATION: [&str; 8] = [
        "AuthFailure",
        "ExpiredToken",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
    ];
    pub const LIMIT_EXCEEDED: &str = "LimitExceeded";
    pub const DELETE_CONFLICT: &str = "DeleteConflict";
    pub const ENTITY_ALREADY_EXISTS: &str = "EntityAlreadyExists";
    /// Under this or that name, depending on who refuses.
    pub const FORBIDDEN: [&str; 3] = ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"];
    pub const NO_SUCH_ENTITY: &str = "NoSuchEntity";
    /// Somebody else changes it at this moment, or too much was asked.
    pub const NOT_NOW: [&str; 6] = [
        "ConcurrentModification",
        "EntityTemporarilyUnmodifiable",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
    ];
}

/// What the API refused.
#[derive(Debug)]
pub(super) struct ApiError {
    pub code: String,
    pub message: String,
    /// It broke down on its side.
    pub is_failure: bool,
}

impl ApiError {
    pub fn is(&self, code: &str) -> bool {
        self.code == code
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.code, self.message)
    }
}

/// One answer.
enum Reply {
    Done(Node),
    NotNow { after_ms: Option<u64>, why: String },
    Refused(ApiError),
}

/// Whom we are logged in as.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub arn: String,
    /// Of a user its stable id.
    pub id: String,
    /// The number of the account.
    pub account: String,
}

/// The account.
pub(super) struct Client {
    pub settings: AwsIamSettings,
    caller: OnceCell<Caller>,
}

impl Client {
    pub fn new(settings: AwsIamSettings) -> Self {
        Self { settings, caller: OnceCell::new() }
    }

    /// Whom we are logged in as. A key never changes whose it is, so it is asked for once.
    pub async fn caller(&self) -> Result<&Caller, ConnectError> {
        self.caller.get_or_try_init(|| self.ask_caller()).await
    }

    /// The same, asked now.
    pub async fn ask_caller(&self) -> Result<Caller, ConnectError> {
        let url = &self.settings.sts_url;
        let signing = ("sts", self.settings.region.as_str());
        let parameters = [("Version", STS_VERSION)];
        let node = self
            .patiently(url, signing, "GetCallerIdentity", &parameters)
            .await?
            .map_err(|error| self.target_error("GetCallerIdentity", &error))?;
        let result = node.child("GetCallerIdentityResult").unwrap_or(&node);
        let text = |name: &str| result.text(name).to_owned();
        Ok(Caller { arn: text("Arn"), id: text("UserId"), account: text("Account") })
    }

    /// Asks; leaves the API's own refusals to the caller.
    pub async fn try_ask(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Result<Node, ApiError>, ConnectError> {
        let signing = ("iam", iam_region(&self.settings.region));
        let mut all = vec![("Version", IAM_VERSION)];
        all.extend_from_slice(parameters);
        let answer = self.patiently(&self.settings.iam_url, signing, action, &all).await?;
        Ok(answer.map(|node| result_of(node, action)))
    }

    /// Asks for what must be answered.
    pub async fn ask(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Node, ConnectError> {
        self.try_ask(action, parameters).await?.map_err(|error| self.target_error(action, &error))
    }

    /// Asks for what may not be there. IAM says apart what is not there and what may not be seen.
    pub async fn find(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Option<Node>, ConnectError> {
        match self.try_ask(action, parameters).await? {
            Ok(node) => Ok(Some(node)),
            Err(error) if error.is(code::NO_SUCH_ENTITY) => Ok(None),
            Err(error) => Err(self.target_error(action, &error)),
        }
    }

    /// Asks for the page after `marker`, or the first one. Gives the marker of the next, where there is one.
    pub async fn page(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
        marker: Option<&str>,
    ) -> Result<Result<(Node, Option<String>), ApiError>, ConnectError> {
        let size = self.settings.page_size.to_string();
        let mut all = parameters.to_vec();
        all.push(("MaxItems", &size));
        all.extend(marker.map(|marker| ("Marker", marker)));
        let node = match self.try_ask(action, &all).await? {
            Ok(node) => node,
            Err(error) => return Ok(Err(error)),
        };
        let next = match (node.text("IsTruncated"), node.some_text("Marker")) {
            ("true", Some(next)) if Some(next) != marker => Some(next.to_owned()),
            ("true", _) => {
                let message = "it says that there is more and not where it goes on";
                return Err(self.settings.http.target_error(action, message));
            }
            _ => None,
        };
        Ok(Ok((node, next)))
    }

    /// Every page of a listing, which must be answered.
    pub async fn pages(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
        each: impl FnMut(&Node),
    ) -> Result<(), ConnectError> {
        let ended = self.try_pages(action, parameters, each).await?;
        ended.map_err(|error| self.target_error(action, &error))
    }

    /// The same, leaving the API's own refusals to the caller.
    pub async fn try_pages(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
        mut each: impl FnMut(&Node),
    ) -> Result<Result<(), ApiError>, ConnectError> {
        let mut marker = None;
        for _ in 0..PAGES_MAX {
            let (node, next) = match self.page(action, parameters, marker.as_deref()).await? {
                Ok(page) => page,
                Err(error) => return Ok(Err(error)),
            };
            each(&node);
            match next {
                Some(next) => marker = Some(next),
                None => return Ok(Ok(())),
            }
        }
        Err(self.settings.http.target_error(action, format!("more than {PAGES_MAX} pages")))
    }

    /// Asks for a change, once.
    pub async fn change(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Result<(), Unchanged>, ConnectError> {
        Ok(self.create(action, parameters).await?.map(|_| ()))
    }

    /// Asks, once, for a change whose answer says what was made.
    pub async fn create(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Result<Node, Unchanged>, ConnectError> {
        let signing = ("iam", iam_region(&self.settings.region));
        let mut all = vec![("Version", IAM_VERSION)];
        all.extend_from_slice(parameters);
        Ok(match self.send(&self.settings.iam_url, signing, action, &all).await? {
            Reply::Done(node) => Ok(result_of(node, action)),
            Reply::NotNow { after_ms, why } => Err(Unchanged::Outcome(Outcome::Retry { after_ms, why })),
            // Whether it did something before it broke down is not known.
            Reply::Refused(error) if error.is_failure => return Err(self.target_error(action, &error)),
            Reply::Refused(error) if error.is(code::NO_SUCH_ENTITY) => Err(Unchanged::Absent(error)),
            Reply::Refused(error) if code::FORBIDDEN.contains(&error.code.as_str()) => {
                let why = format!("{error}; Leasehold's own user lacks iam:{action}");
                Err(Unchanged::Outcome(Outcome::Refused { why }))
            }
            Reply::Refused(error) => Err(Unchanged::Refused(error)),
        })
    }

    /// A refusal as an error of the system.
    pub fn target_error(&self, action: &str, error: &ApiError) -> ConnectError {
        let mut message = error.to_string();
        if code::FORBIDDEN.contains(&error.code.as_str()) {
            message.push_str(
                "; what may not be read is not taken for absent: give Leasehold's own user the right",
            );
        }
        self.settings.http.target_error(action, message)
    }

    /// Sends a question again while the API says "not now" or breaks down.
    async fn patiently(
        &self,
        url: &Url,
        signing: (&'static str, &str),
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Result<Node, ApiError>, ConnectError> {
        let mut attempt = 0;
        loop {
            match self.send(url, signing, action, parameters).await? {
                Reply::Done(node) => return Ok(Ok(node)),
                Reply::NotNow { after_ms, why } => {
                    if !wait_for_next(attempt, after_ms).await {
                        let message = format!("asked {} times: {why}", attempt + 1);
                        return Err(self.settings.http.target_error(action, message));
                    }
                }
                Reply::Refused(error) => return Ok(Err(error)),
            }
            attempt += 1;
        }
    }

    async fn send(
        &self,
        url: &Url,
        signing: (&'static str, &str),
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Reply, ConnectError> {
        let body = form_of(action, parameters);
        let http = &self.settings.http;
        let mut request = http.request(Method::POST, url.clone()).header(CONTENT_TYPE, FORM);
        for (name, value) in
            self.signature(url, signing, &body).map_err(|why| http.target_error("signing", why))?
        {
            request = request.header(name, value);
        }
        let answer = http.send(action, request.body(body)).await?;
        self.reply(action, &answer)
    }

    /// The headers that prove who asks (AWS Signature Version 4).
    fn signature(
        &self,
        url: &Url,
        (service, region): (&'static str, &str),
        body: &str,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let token = self.settings.session_token.as_ref().map(|token| token.expose_secret().to_owned());
        let identity = Credentials::new(
            self.settings.access_key_id.as_str(),
            self.settings.secret_access_key.expose_secret(),
            token,
            None,
            "leasehold",
        )
        .into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let headers = [("content-type", FORM)].into_iter();
        let signable =
            SignableRequest::new("POST", url.as_str(), headers, SignableBody::Bytes(body.as_bytes()))
                .map_err(|error| error.to_string())?;
        let (instructions, _) = sign(signable, &parameters).map_err(|error| error.to_string())?.into_parts();
        let mut signed = Vec::new();
        for (name, value) in instructions.headers() {
            let name = name.parse().map_err(|_| format!("`{name}` is no header"))?;
            let mut value = HeaderValue::from_str(value).map_err(|_| "a header cannot be sent".to_owned())?;
            value.set_sensitive(true);
            signed.push((name, value));
        }
        Ok(signed)
    }

    fn reply(&self, action: &str, answer: &Answer) -> Result<Reply, ConnectError> {
        let http = &self.settings.http;
        let text = String::from_utf8_lossy(&answer.body);
        let parsed = Node::parse(&text);
        if answer.status.is_success() {
            return parsed.map(Reply::Done).map_err(|why| http.target_error(action, why));
        }
        let error = parsed.ok().and_then(|node| {
            let error = node.child("Error").or_else(|| node.child("Errors")?.child("Error"))?;
            Some((error.text("Code").to_owned(), error.text("Message").to_owned()))
        });
        let (code, message) = error
            .unwrap_or_else(|| (format!("HTTP {}", answer.status.as_u16()), "no further word".to_owned()));
        if code::AUTHENTICATION.contains(&code.as_str()) {
            // The message of a wrong signature repeats what was signed; it helps nobody who reads ours.
            let message =
                format!("{code}; check `access_key_id`, `secret_access_key` and this machine's clock");
            return Err(http.authentication_error(&self.settings.access_key_id, message));
        }
        if answer.is_not_now() || code::NOT_NOW.contains(&code.as_str()) {
            let why = format!("{code}: {message}");
            return Ok(Reply::NotNow { after_ms: answer.retry_after_ms, why });
        }
        Ok(Reply::Refused(ApiError { code, message, is_failure: answer.status.is_server_error() }))
    }
}

/// Why a change was not made.
#[derive(Debug)]
pub(super) enum Unchanged {
    /// Something that it is about does not exist.
    Absent(ApiError),
    /// Another refusal.
    Refused(ApiError),
    /// It is clear what to answer.
    Outcome(Outcome),
}

impl Unchanged {
    /// What to answer where no refusal means anything particular.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Absent(error) | Self::Refused(error) => Outcome::Refused { why: error.to_string() },
            Self::Outcome(outcome) => outcome,
        }
    }
}

/// The part of an answer that holds what was asked for.
fn result_of(mut node: Node, action: &str) -> Node {
    node.take(&format!("{action}Result")).unwrap_or(node)
}

/// What a form leaves as it is, but for the space (RFC 3986, 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

/// What is sent: the action and its parameters.
fn form_of(action: &str, parameters: &[(&str, &str)]) -> String {
    let escaped = |text: &str| utf8_percent_encode(text, ESCAPED).to_string().replace(' ', "+");
    let all = [("Action", action)].into_iter().chain(parameters.iter().copied());
    let pairs: Vec<String> =
        all.map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::form_of;

    #[test]
    fn a_form_escapes_everything_that_could_mean_something() {
        let form =
            form_of("PutUserPolicy", &[("UserName", "zoë+x@y"), ("Document", "{\"a b\":\"*&=%~-_.\"}")]);
        assert_eq!(
            form,
            "Action=PutUserPolicy&UserName=zo%C3%AB%2Bx%40y&Document=%7B%22a+b%22%3A%22%2A%26%3D%25~-_.%22%7D"
        );
    }
}
