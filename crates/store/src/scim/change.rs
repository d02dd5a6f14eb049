//! Changing and deleting what was pushed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::groups::fill_groups;
use super::members::{add_members, remove_members};
use super::new::returned;
use super::read::{by_id, fill_members};
use super::write::{ScimContent, ScimDecide, ScimDecision, ScimWritten};
use super::{ScimPlace, ScimResource, Sent};
use crate::db::{Tx, execute, fetch_optional, instant, micros};
use crate::error::Result;

/// What came of a change, and what follows from it.
pub(super) struct Changed {
    pub written: ScimWritten,
    /// Somebody's access ends by it.
    pub ends_access: bool,
    /// What was read of others is not so any more.
    pub forgets: Forgets,
}

/// Of whom else what was read is not so any more: groups are told of whoever is in them.
pub(super) enum Forgets {
    These(Vec<String>),
    All,
}

impl Changed {
    fn alone(written: ScimWritten, ends_access: bool) -> Self {
        Self { written, ends_access, forgets: Forgets::These(Vec::new()) }
    }
}

/// Does with a resource what `decide` says.
pub(super) async fn change_one(
    tx: &mut Tx,
    place: &ScimPlace,
    id: &str,
    decide: ScimDecide,
    now: Timestamp,
) -> Result<Changed> {
    let Some(mut before) = by_id(tx, &place.system, place.kind, id).await? else {
        return Ok(Changed::alone(ScimWritten::NotThere, false));
    };
    fill_groups(tx, &place.system, place.member_of, std::slice::from_mut(&mut before)).await?;
    if place.has_members {
        fill_members(tx, &place.system, std::slice::from_mut(&mut before)).await?;
    }
    match decide(&before) {
        ScimDecision::Keep => Ok(Changed::alone(ScimWritten::Kept(Arc::new(before)), false)),
        ScimDecision::Delete { containers } => {
            delete(tx, place, id, &containers, now).await?;
            Ok(Changed { forgets: Forgets::All, ..Changed::alone(ScimWritten::Deleted, true) })
        }
        ScimDecision::Put { content, ends_access } => {
            let (written, forgets) = put(tx, place, before, content, now).await?;
            Ok(Changed { written, ends_access, forgets })
        }
    }
}

async fn put(
    tx: &mut Tx,
    place: &ScimPlace,
    before: ScimResource,
    content: ScimContent,
    now: Timestamp,
) -> Result<(ScimWritten, Forgets)> {
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
        return Ok((ScimWritten::NameTaken, Forgets::These(Vec::new())));
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
    let mut forgets = Forgets::These(Vec::new());
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
        let gone = gone.iter().map(|(_, _, member)| (*member).to_owned());
        let touched = gone.chain(members.into_iter().map(|member| member.id));
        // What it is called is told of everybody who is in it.
        let is_alike = before.document == content.document;
        forgets = if is_alike { Forgets::These(touched.collect()) } else { Forgets::All };
    }
    returned(tx, &[(system, place.kind, content.name.as_str())]).await?;
    let mut members = content.members;
    members.sort_by(|one, other| one.id.cmp(&other.id));
    let written = ScimResource {
        id: before.id,
        document: content.document,
        version,
        created_at: before.created_at,
        changed_at: instant(micros(now))?,
        members,
        groups: before.groups,
        sent: Sent::default(),
    };
    Ok((ScimWritten::Now(Arc::new(written)), forgets))
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
