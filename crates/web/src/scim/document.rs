//! A resource as it is kept and as it is sent.
//!
//! What is kept is the text that is sent, but for the end: `meta` and members are put there, so that most answers need no
//! JSON to be read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use axum::body::Bytes;
use jiff::Timestamp;
use leasehold_model::identity::{LifecycleState, SCIM_LIFECYCLE_EXTENSION};
use leasehold_store::{ScimContent, ScimGroup, ScimMember, ScimResource, SentResource, StoreError};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::scim::error::ScimError;
use crate::scim::schema::{GROUPS, MEMBERS, RESOURCE_TYPES, ResourceType};
use crate::scim::value::{self, Object};

/// A resource has not more bytes than this, members aside: pages hold many.
const BYTES_MAX: usize = 128 << 10;
/// Nor more members, and no answer shows more.
pub(crate) const MEMBERS_MAX: usize = 250_000;

/// In a tag, so many digits stand for the groups that are told of a resource.
pub(crate) const GROUPS_TAG_DIGITS: usize = 16;

/// What a resource holds, as the store keeps it.
///
/// # Errors
/// `invalidValue` where it lacks what it must have; where it is too large.
pub(crate) fn content(known: &ResourceType, id: &str, mut object: Object) -> Result<ScimContent, ScimError> {
    value::complete(known, &mut object)?;
    demand_known_status(&object)?;
    let members: Vec<ScimMember> = match object.shift_remove(MEMBERS) {
        Some(Value::Array(members)) if known.has_members => each_once(members.into_iter().filter_map(member)),
        _ => Vec::new(),
    };
    if members.len() > MEMBERS_MAX {
        return Err(ScimError::TooLarge(format!("a {} has at most {MEMBERS_MAX} members", known.name)));
    }
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let name = text(known.name_attribute).unwrap_or_default().to_lowercase();
    let external_id = text("externalId").map(str::to_owned);
    // It follows from what there is: what a client writes there is no part of it. Nothing of the ids of schemas and of ours needs
    // an escape.
    object.shift_remove("schemas");
    let mut document = String::with_capacity(512);
    let _ = write!(document, "{{\"schemas\":[\"{}\"", known.schema.id);
    for extension in known.extensions {
        if object.contains_key(extension.schema.id) {
            let _ = write!(document, ",\"{}\"", extension.schema.id);
        }
    }
    let _ = write!(document, "],\"id\":\"{id}\"");
    let rest = Value::Object(object).to_string();
    document.push_str(if rest.len() > 2 { "," } else { "" });
    document.push_str(&rest[1..]);
    if document.len() > BYTES_MAX {
        let why = format!("a {} has at most {BYTES_MAX} bytes without its members; send less", known.name);
        return Err(ScimError::TooLarge(why));
    }
    let document = document.into();
    Ok(ScimContent { name, is_name_unique: known.is_name_unique, external_id, document, members })
}

/// Refuses a status that nobody knows: taken for none, it would let somebody in again who has left.
fn demand_known_status(object: &Object) -> Result<(), ScimError> {
    let status = object.get(SCIM_LIFECYCLE_EXTENSION).and_then(|told| told.get("status")?.as_str());
    match status.filter(|status| LifecycleState::parse(status).is_none()) {
        None => Ok(()),
        Some(status) => {
            let known = LifecycleState::NAMES.join(", ");
            Err(ScimError::value(format!("`status` is one of {known}, not `{status}`")))
        }
    }
}

/// In the order of ids, as they are read again; of several with one id the last counts.
fn each_once(members: impl Iterator<Item = ScimMember>) -> Vec<ScimMember> {
    let by_id: BTreeMap<String, ScimMember> = members.map(|member| (member.id.clone(), member)).collect();
    by_id.into_values().collect()
}

/// A member as it is kept.
fn member(value: Value) -> Option<ScimMember> {
    let id = value.get("value")?.as_str()?.to_owned();
    Some(ScimMember { id, document: value.to_string() })
}

/// The tag of a resource as it is shown: its version, and the groups that are told of it, which change without it.
pub(crate) fn tag(resource: &ScimResource) -> String {
    let ScimResource { version, groups, .. } = resource;
    if groups.is_empty() {
        return format!("W/\"{version}\"");
    }
    let mut told = Sha256::new();
    for ScimGroup { id, display } in groups {
        told.update(id);
        told.update([0]);
        told.update(display.as_deref().unwrap_or_default());
        told.update([0]);
    }
    format!("W/\"{version}-{}\"", hex::encode(&told.finalize()[..GROUPS_TAG_DIGITS / 2]))
}

/// Where a resource is.
pub(crate) fn location(base: &str, known: &ResourceType, id: &str) -> String {
    format!("{base}/{}/{id}", known.endpoint)
}

/// An instant as it is sent, in milliseconds.
fn instant(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// The resource as it is sent.
pub(crate) fn text(base: &str, known: &ResourceType, resource: &ScimResource) -> String {
    text_and_location(base, known, resource).0
}

/// The resource as it is sent, to be kept.
pub(crate) fn sent(base: &str, known: &ResourceType, resource: &ScimResource) -> SentResource {
    let (text, location) = text_and_location(base, known, resource);
    let text = Bytes::from(text);
    SentResource { location: text.slice(location), tag: tag(resource).into(), text }
}

/// The resource as it is sent, and which part of it says where it is.
fn text_and_location(base: &str, known: &ResourceType, resource: &ScimResource) -> (String, Range<usize>) {
    let ScimResource { id, document, created_at, changed_at, members, groups, .. } = resource;
    let mut text = String::with_capacity(document.len() + 320 + (members.len() + groups.len()) * 160);
    text.push_str(document.strip_suffix('}').unwrap_or(document));
    if !members.is_empty() {
        text.push_str(",\"members\":[");
        for (position, member) in members.iter().enumerate() {
            if position > 0 {
                text.push(',');
            }
            text.push_str(member.document.strip_suffix('}').unwrap_or(&member.document));
            let endpoint = endpoint_of(&member.document);
            let reference = Value::from(format!("{base}/{endpoint}/{}", member.id));
            let _ = write!(text, ",\"$ref\":{reference}}}");
        }
        text.push(']');
    }
    if let Some(endpoint) = known.member_of.and_then(endpoint).filter(|_| !groups.is_empty()) {
        let shown = groups.iter().map(|ScimGroup { id, display }| {
            let mut group = json!({"value": id, "type": "direct", "$ref": format!("{base}/{endpoint}/{id}")});
            if let Some(display) = display {
                group["display"] = json!(display);
            }
            group
        });
        let _ = write!(text, ",\"{GROUPS}\":{}", Value::Array(shown.collect()));
    }
    let (created, changed) = (instant(*created_at), instant(*changed_at));
    // Nothing of these needs an escape: ids and instants are ours, and so is the address.
    let _ = write!(
        text,
        ",\"meta\":{{\"resourceType\":\"{}\",\"created\":\"{created}\",\"lastModified\":\"{changed}\",\
         \"location\":\"",
        known.name
    );
    let begin = text.len();
    let _ = write!(text, "{base}/{}/{id}", known.endpoint);
    let location = begin..text.len();
    let version = Value::from(tag(resource));
    let _ = write!(text, "\",\"version\":{version}}}}}");
    (text, location)
}

/// Where resources of a type are.
fn endpoint(name: &str) -> Option<&'static str> {
    RESOURCE_TYPES.iter().find(|known| known.name == name).map(|known| known.endpoint)
}

/// Where members of this sort are.
fn endpoint_of(member: &str) -> &'static str {
    let kind = |known: &&&ResourceType| member.contains(&format!("\"type\":\"{}\"", known.name));
    RESOURCE_TYPES.iter().find(kind).map_or("Users", |known| known.endpoint)
}

/// The resource as it is sent, to be looked into.
///
/// # Errors
/// Where the store holds something that is no resource.
pub(crate) fn object(base: &str, known: &ResourceType, resource: &ScimResource) -> Result<Object, ScimError> {
    read(&text(base, known, resource), &resource.id)
}

/// What a resource holds, without what the server adds: what a change begins with.
///
/// # Errors
/// As [`object`].
pub(crate) fn held(resource: &ScimResource) -> Result<Object, ScimError> {
    let mut object = read(&resource.document, &resource.id)?;
    object.shift_remove("schemas");
    object.shift_remove("id");
    if !resource.members.is_empty() {
        let members: Result<Vec<Value>, ScimError> = resource
            .members
            .iter()
            .map(|member| read(&member.document, &member.id).map(Value::Object))
            .collect();
        object.insert(MEMBERS.to_owned(), Value::Array(members?));
    }
    Ok(object)
}

fn read(text: &str, id: &str) -> Result<Object, ScimError> {
    serde_json::from_str(text).map_err(|error| {
        let what = format!("the pushed resource {id}");
        StoreError::Corrupt { what, why: error.to_string() }.into()
    })
}
