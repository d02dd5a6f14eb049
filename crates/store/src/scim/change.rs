//! Changing and deleting what was pushed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::members::{add_members, remove_members};
use super::new::returned;
use super::read::{by_id, fill_members};
use super::write::{ScimContent, ScimDecide, ScimDecision, ScimWritten};
use super::{ScimPlace, ScimResource, Sent};
use crate::db::{Tx, execute, fetch_optional, instant, micros};
use crate::error::Result;

/// Does with a resource what `decide` says; what came of it, and whether somebody's access ends by it.
pub(super) async fn change_one(
    tx: &mut Tx,
    place: &ScimPlace,
    id: &str,
    decide: ScimDecide,
    now: Timestamp,
) -> Result<(ScimWritten, bool)> {
    let Some(mut before) = by_id(tx, &place.system, place.kind, id).await? else {
        return Ok((ScimWritten::NotThere, false));
    };
    if place.has_members {
        fill_members(tx, &place.system, std::slice::from_mut(&mut before)).await?;
    }
    match decide(&before) {
        ScimDecision::Keep => Ok((ScimWritten::Kept(Arc::new(before)), false)),
        ScimDecision::Delete { containers } => {
            delete(tx, place, id, &containers, now).await?;
            Ok((ScimWritten::Deleted, true))
        }
        ScimDecision::Put { content, ends_access } => {
            Ok((put(tx, place, before, content, now).await?, ends_access))
        }
    }
}

async fn put(
    tx: &mut Tx,
    place: &ScimPlace,
    before: ScimResource,
    content: ScimContent,
    now: Timestamp,
) -> Result<ScimWritten> {
    let system = place.system.as_str();
    let tie = if content.is_name_unique { "" } else { before.id.as_str() };
    let other = fetch_optional!(
        tx,
        (String,),
        "SELECT id FROM scim_resource WHERE system = $1 AND kind = $2 AND name = $3 AND name_tie = $4 AND id <> $5",
        system,
        place.kind,
        content.name.as_str(),
        tie,
        before.id.as_str()
    )?;
    if other.is_some() {
        return Ok(ScimWritten::NameTaken);
    }
    let version = before.version + 1;
    execute!(
        tx,
        "UPDATE scim_resource SET name = $4, name_tie = $5, external_id = $6, document = $7, version = $8,
                changed_at = $9
         WHERE system = $1 AND kind = $2 AND id = $3",
        system,
        place.kind,
        before.id.as_str(),
        content.name.as_str(),
        tie,
        content.external_id.as_deref(),
        &*content.document,
        version,
        micros(now)
    )?;
    if place.has_members {
        let kept: HashMap<&str, &str> =
            before.members.iter().map(|member| (member.id.as_str(), member.document.as_str())).collect();
        let mut members = content.members.clone();
        members.retain(|member| kept.get(member.id.as_str()) != Some(&member.document.as_str()));
        let wanted: HashSet<&str> = content.members.iter().map(|member| member.id.as_str()).collect();
        let gone: Vec<(&str, &str, &str)> = before
            .members
            .iter()
            .map(|member| member.id.as_str())
            .filter(|member| !wanted.contains(member))
            .map(|member| (system, before.id.as_str(), member))
            .collect();
        remove_members(tx, &gone).await?;
        add_members(tx, system, &before.id, &members).await?;
    }
    returned(tx, &[(system, place.kind, content.name.as_str())]).await?;
    let mut members = content.members;
    members.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(ScimWritten::Now(Arc::new(ScimResource {
        id: before.id,
        document: content.document,
        version,
        created_at: before.created_at,
        changed_at: instant(micros(now))?,
        members,
        sent: Sent::default(),
    })))
}

async fn delete(
    tx: &mut Tx,
    place: &ScimPlace,
    id: &str,
    containers: &[&'static str],
    now: Timestamp,
) -> Result<()> {
    let system = place.system.as_str();
    // Without a member a group is another version of itself: whoever kept the old one has to hear of it.
    for kind in containers {
        execute!(
            tx,
            "UPDATE scim_resource SET version = version + 1, changed_at = $4
             WHERE system = $1 AND kind = $2
               AND id IN (SELECT container FROM scim_member WHERE system = $1 AND member = $3)",
            system,
            *kind,
            id,
            micros(now)
        )?;
    }
    execute!(
        tx,
        "INSERT INTO scim_deleted (system, kind, id, name, document, deleted_at)
         SELECT system, kind, id, name, document, $4 FROM scim_resource
         WHERE system = $1 AND kind = $2 AND id = $3",
        system,
        place.kind,
        id,
        micros(now)
    )?;
    execute!(
        tx,
        "DELETE FROM scim_resource WHERE system = $1 AND kind = $2 AND id = $3",
        system,
        place.kind,
        id
    )?;
    execute!(
        tx,
        "DELETE FROM scim_member WHERE system = $1 AND (member = $2 OR container = $2)",
        system,
        id
    )?;
    Ok(())
}
