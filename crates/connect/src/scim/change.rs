//! One change of one resource: by the form that RFC 7644 has, then by those that other servers want, then as a whole.

use leasehold_model::request::Outcome;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::error::ConnectError;
use crate::scim::client::{ApiError, Client, Document, Reply};
use crate::scim::find;

const PATCH_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// How often a change is made anew on a resource that somebody else changed in between.
const ATTEMPTS_MAX: usize = 3;

/// What is to become of a resource.
pub(super) struct Change<'change> {
    pub resource: &'static str,
    pub id: &'change str,
    /// Whether it is so already; `None` where the resource does not show it.
    pub is_so: &'change (dyn Fn(&Value) -> Option<bool> + Send + Sync),
    /// PATCH operations that each make it so, the likeliest first. Trying one after another must harm nothing.
    pub forms: Vec<Value>,
    /// Makes it so in the whole resource, for a server that takes none of the forms; or says why that would do harm.
    pub rewrite: &'change (dyn Fn(&mut Value) -> Result<(), String> + Send + Sync),
    /// What to say when it was taken.
    pub detail: &'static str,
    /// What to say where the resource does not exist.
    pub absent: Outcome,
}

impl Change<'_> {
    /// Makes the change.
    pub async fn make(self, client: &Client) -> Result<Outcome, ConnectError> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(found) = find::by_id(client, self.resource, self.id).await? else {
                return Ok(self.absent);
            };
            if (self.is_so)(&found.body) == Some(true) {
                return Ok(Outcome::AlreadySo);
            }
            if let Some(outcome) = self.send(client, found).await? {
                return Ok(outcome);
            }
        }
        Ok(changed_meanwhile())
    }

    /// `None` where somebody else changed the resource first.
    async fn send(&self, client: &Client, found: Document) -> Result<Option<Outcome>, ConnectError> {
        let service = client.service().await?;
        let path = [self.resource, self.id];
        let Document { body: mut whole, mut version } = found;
        let mut first: Option<ApiError> = None;
        let mut is_taken = false;
        for form in self.forms.iter().filter(|_| service.patch) {
            let body = json!({"schemas": [PATCH_SCHEMA], "Operations": [form]});
            let version_seen = version.as_deref().filter(|_| service.etag);
            match client.change(Method::PATCH, &path, Some(&body), version_seen).await? {
                // Some servers take a form that they do not understand, and do nothing.
                Reply::Done(_) => match find::by_id(client, self.resource, self.id).await {
                    Ok(Some(now)) if (self.is_so)(&now.body) == Some(false) => {
                        is_taken = true;
                        version = now.version;
                    }
                    _ => return Ok(Some(self.made())),
                },
                Reply::NotNow { after_ms, why } => return Ok(Some(Outcome::Retry { after_ms, why })),
                Reply::Refused(error) if error.status == StatusCode::PRECONDITION_FAILED => return Ok(None),
                Reply::Refused(error) if error.is_other_dialect() => {
                    first.get_or_insert(error);
                }
                Reply::Refused(error) => return client.refusal(&path, &error).map(Some),
            }
        }
        if is_taken {
            // The server may only show it later: writing what it showed would undo what others did meanwhile.
            return Ok(Some(self.made()));
        }
        let version = version.as_deref().filter(|_| service.etag);
        if let Err(why) = (self.rewrite)(&mut whole) {
            let said = first.map(|error| format!("{error}; ")).unwrap_or_default();
            return Ok(Some(Outcome::Refused { why: format!("{said}{why}") }));
        }
        if let Some(object) = whole.as_object_mut() {
            // The server's own, which it must overlook and which some refuse.
            object.retain(|name, _| !["meta", "groups"].iter().any(|own| name.eq_ignore_ascii_case(own)));
        }
        match client.change(Method::PUT, &path, Some(&whole), version).await? {
            Reply::Done(_) => Ok(Some(self.made())),
            Reply::NotNow { after_ms, why } => Ok(Some(Outcome::Retry { after_ms, why })),
            Reply::Refused(error) if error.status == StatusCode::PRECONDITION_FAILED => Ok(None),
            // What was said of the usual form is what a person can do something about.
            Reply::Refused(error) => client.refusal(&path, first.as_ref().unwrap_or(&error)).map(Some),
        }
    }

    fn made(&self) -> Outcome {
        Outcome::Acknowledged { detail: self.detail.to_owned() }
    }
}

/// The answer where a resource does not hold still.
pub(super) fn changed_meanwhile() -> Outcome {
    Outcome::Retry { after_ms: None, why: "somebody else changes it all the time".to_owned() }
}
