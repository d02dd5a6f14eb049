//! What is done to resources, whoever asks for it: a request of its own, or one of many in a bulk request.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use jiff::Timestamp;
use leasehold_model::identity::{DayEdge, LifecycleState, SCIM_LIFECYCLE_EXTENSION, read_day};
use leasehold_store::{
    ScimDecision, ScimPlace, ScimRefusal, ScimResource, ScimSought, ScimWrite, ScimWritten,
};
use serde_json::Value;
use uuid::Uuid;

use crate::scim::caller::Caller;
use crate::scim::document::{self, GROUPS_TAG_DIGITS};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::patch::Patch;
use crate::scim::schema::{RESOURCE_TYPES, ResourceType};
use crate::scim::value::{self, Object};
use crate::state::App;

/// The attribute that says whether somebody may hold access.
const ACTIVE: &str = "active";

/// A condition on the version that is there (RFC 7644, section 3.14).
#[derive(Debug, Clone, Default)]
pub(crate) struct Condition(pub Option<String>);

impl Condition {
    /// Whether a resource fits as it is shown.
    pub fn fits(&self, resource: &ScimResource) -> bool {
        self.is_any(&|tag| tag == document::tag(resource).trim_start_matches("W/"))
    }

    /// Whether its version fits: of which groups somebody is a member is no part of what a change to them can overwrite.
    pub fn fits_version(&self, version: i64) -> bool {
        let version = version.to_string();
        let is_of_groups =
            |tag: &str| tag.len() == GROUPS_TAG_DIGITS && tag.bytes().all(|b| b.is_ascii_hexdigit());
        self.is_any(&|tag| {
            let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or_default();
            match inner.split_once('-') {
                None => inner == version,
                Some((number, groups)) => number == version && is_of_groups(groups),
            }
        })
    }

    fn is_any(&self, fits: &dyn Fn(&str) -> bool) -> bool {
        let Some(wanted) = &self.0 else { return true };
        wanted.split(',').map(str::trim).any(|one| one == "*" || fits(one.trim_start_matches("W/")))
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Done {
    pub status: StatusCode,
    /// The resource as it is now; none where it is gone.
    pub resource: Option<Arc<ScimResource>>,
}

/// What is done to a resource that is there.
#[derive(Clone)]
pub(crate) enum Deed {
    Replace(Object),
    Patch(Arc<Patch>),
    Delete,
}

/// What was decided under the store's lock.
#[derive(Default)]
struct Verdict {
    refused: Option<ScimError>,
    ends_access: bool,
}

/// An id for a resource that is not there yet. In the order of ids is the order of making.
pub(crate) fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// An id for what is to be made.
pub(crate) struct NewId {
    pub id: String,
    /// Whether others of one request may name it before.
    pub is_known: bool,
}

/// Makes a resource.
///
/// # Errors
/// `uniqueness` where another has its name; what is wrong with it.
pub(crate) async fn create(
    app: &App,
    caller: &Caller,
    known: &'static ResourceType,
    NewId { id, is_known }: NewId,
    body: Value,
) -> Result<Done, ScimError> {
    let mut object = value::resource(known, body)?;
    if known.attribute(None, ACTIVE).is_some() && !object.contains_key(ACTIVE) {
        object.insert(ACTIVE.to_owned(), Value::Bool(true));
    }
    let content = document::content(known, &id, object)?;
    let write = || ScimWrite::Create { id: id.clone(), is_id_known: is_known, content: content.clone() };
    match written(app, caller, known, write).await? {
        ScimWritten::Now(resource) => Ok(Done { status: StatusCode::CREATED, resource: Some(resource) }),
        _ => Err(taken(known, &content.name)),
    }
}

/// Reads a resource, with its members where they are wanted.
///
/// # Errors
/// Where there is none.
pub(crate) async fn read(
    app: &App,
    caller: &Caller,
    known: &'static ResourceType,
    id: &str,
    with_members: bool,
) -> Result<Arc<ScimResource>, ScimError> {
    demand_possible(known, id)?;
    let sought = || ScimSought::Id(id.to_owned());
    let place = |caller: &Caller| {
        let place = caller.place(known);
        ScimPlace { has_members: place.has_members && with_members, ..place }
    };
    let ask =
        async |caller: &Caller| app.pushes.read(caller.authority(), place(caller), sought(), app.now()).await;
    let found = match ask(caller).await {
        Err(ScimRefusal::NotInForce) => ask(&caller.renewed(app).await?).await?,
        other => other?,
    };
    found.into_iter().next().ok_or_else(|| not_there(known, id))
}

/// Changes or deletes a resource.
///
/// # Errors
/// Where there is none, the condition does not hold, another has its new name, or something is wrong with what was sent.
pub(crate) async fn change(
    app: &App,
    caller: &Caller,
    known: &'static ResourceType,
    id: &str,
    condition: &Condition,
    deed: Deed,
) -> Result<Done, ScimError> {
    demand_possible(known, id)?;
    let (verdict, now): (Arc<Mutex<Verdict>>, Timestamp) = (Arc::default(), app.now());
    let write = || {
        let (condition, deed, verdict) = (condition.clone(), deed.clone(), verdict.clone());
        let decide = Box::new(move |before: &ScimResource| {
            let decided = decided(known, before, &condition, deed, now);
            let mut verdict = verdict.lock().unwrap_or_else(PoisonError::into_inner);
            match decided {
                Ok(decision) => {
                    verdict.ends_access = match &decision {
                        ScimDecision::Put { ends_access, .. } => *ends_access,
                        ScimDecision::Delete { .. } => true,
                        ScimDecision::Keep => false,
                    };
                    decision
                }
                Err(error) => {
                    verdict.refused = Some(error);
                    ScimDecision::Keep
                }
            }
        });
        ScimWrite::Change { id: id.to_owned(), decide }
    };
    let written = written(app, caller, known, write).await?;
    let Verdict { refused, ends_access } =
        std::mem::take(&mut *verdict.lock().unwrap_or_else(PoisonError::into_inner));
    if let Some(error) = refused {
        return Err(error);
    }
    if ends_access {
        app.driver.wake();
    }
    match written {
        ScimWritten::Now(resource) | ScimWritten::Kept(resource) => {
            Ok(Done { status: StatusCode::OK, resource: Some(resource) })
        }
        ScimWritten::Deleted => Ok(Done { status: StatusCode::NO_CONTENT, resource: None }),
        ScimWritten::NotThere => Err(not_there(known, id)),
        ScimWritten::NameTaken => Err(taken(known, "that name")),
    }
}

/// What is to become of a resource as it is now: asked when nobody else can change it.
fn decided(
    known: &'static ResourceType,
    before: &ScimResource,
    condition: &Condition,
    deed: Deed,
    now: Timestamp,
) -> Result<ScimDecision, ScimError> {
    if !condition.fits_version(before.version) {
        return Err(ScimError::Precondition);
    }
    let held = document::held(before)?;
    let was_active = is_active(&held);
    let after = match deed {
        Deed::Delete => {
            let containers = RESOURCE_TYPES.iter().filter(|known| known.has_members);
            return Ok(ScimDecision::Delete { containers: containers.map(|known| known.name).collect() });
        }
        // Who was deactivated does not come back because a client leaves this out.
        Deed::Replace(mut object) => {
            if let (false, Some(active)) = (object.contains_key(ACTIVE), held.get(ACTIVE)) {
                object.insert(ACTIVE.to_owned(), active.clone());
            }
            object
        }
        // Nor because it is taken away: null says that there is no value, and that there was a deactivation.
        Deed::Patch(patch) => {
            let mut object = patch.apply(known, held.clone())?;
            if !was_active && !object.contains_key(ACTIVE) {
                object.insert(ACTIVE.to_owned(), Value::Null);
            }
            object
        }
    };
    if after == held {
        return Ok(ScimDecision::Keep);
    }
    let ends_access = lets_in(&held, now) && !lets_in(&after, now);
    Ok(ScimDecision::Put { content: document::content(known, &before.id, after)?, ends_access })
}

/// Whether somebody is deactivated by nothing. Null is what is left of a deactivation that was taken away.
fn is_active(object: &Object) -> bool {
    !matches!(object.get(ACTIVE), Some(Value::Bool(false) | Value::Null))
}

/// Whether nothing that was pushed says that somebody may hold no access any more, or not for now.
fn lets_in(object: &Object, now: Timestamp) -> bool {
    let told = |name: &str| {
        object.get(SCIM_LIFECYCLE_EXTENSION).and_then(|told| told.get(name)).and_then(Value::as_str)
    };
    let state = told("status").and_then(LifecycleState::parse).unwrap_or_default();
    let zone = object.get("timezone").and_then(Value::as_str);
    let end = told("endDate").and_then(|end| read_day(end, zone, DayEdge::End));
    is_active(object)
        && !matches!(state, LifecycleState::Left | LifecycleState::Suspended)
        && end.is_none_or(|end| now < end)
}

async fn written(
    app: &App,
    caller: &Caller,
    known: &'static ResourceType,
    write: impl Fn() -> ScimWrite,
) -> Result<ScimWritten, ScimError> {
    let send = async |caller: &Caller| {
        app.pushes.write(caller.authority(), caller.place(known), write(), app.now()).await
    };
    let written = match send(caller).await {
        Err(ScimRefusal::NotInForce) => send(&caller.renewed(app).await?).await?,
        other => other?,
    };
    Ok(written)
}

/// Ids are ours, and none of them has this character, which not every database can be asked about.
fn demand_possible(known: &ResourceType, id: &str) -> Result<(), ScimError> {
    if id.contains('\0') { Err(not_there(known, id)) } else { Ok(()) }
}

/// What is not there.
pub(crate) fn not_there(known: &ResourceType, id: &str) -> ScimError {
    let shown: String = id.chars().take(80).collect();
    ScimError::NotFound(format!("there is no {} `{shown}`", known.name))
}

fn taken(known: &ResourceType, name: &str) -> ScimError {
    let why = format!("another {} has the {} `{name}` already", known.name, known.name_attribute);
    ScimError::new(ScimType::Uniqueness, why)
}

/// A body as JSON.
///
/// # Errors
/// `invalidSyntax`.
pub(crate) fn json(bytes: &[u8]) -> Result<Value, ScimError> {
    serde_json::from_slice(bytes).map_err(|error| ScimError::syntax(format!("this is no JSON: {error}")))
}
