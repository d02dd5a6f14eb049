//! New resources beside other changes: as many as follow one upon another by one statement.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::groups::fill_groups;
use super::members::add_members;
use super::remembered::Followed;
use super::write::{Batch, ScimContent, ScimWritten};
use super::{ScimPlace, ScimResource, Sent};
use crate::db::{Tx, execute_rows, fetch_rows, instant, micros};
use crate::error::Result;

/// A new resource on its way.
pub(super) struct New {
    /// Which of the answers is its.
    pub position: usize,
    pub place: ScimPlace,
    pub id: String,
    /// Whether groups may have it as a member already.
    pub is_id_known: bool,
    pub content: ScimContent,
    pub now: Timestamp,
}

impl ScimContent {
    /// What tells it from others of its name; nothing where no two may have the same.
    pub(super) fn name_tie<'a>(&self, id: &'a str) -> &'a str {
        if self.is_name_unique { "" } else { id }
    }

    /// The resource that it is when it is new.
    pub(super) fn into_new(self, id: String, now: Timestamp) -> Result<ScimResource> {
        let now = instant(micros(now))?;
        let ScimContent { document, members, .. } = self;
        Ok(ScimResource {
            id,
            document,
            version: 1,
            created_at: now,
            changed_at: now,
            members,
            groups: Vec::new(),
            sent: Sent::default(),
        })
    }
}

/// Writes what the batch has gathered that is new, and answers it.
pub(super) async fn create(tx: &mut Tx, batch: &mut Batch) -> Result<()> {
    let new = std::mem::take(&mut batch.new);
    if new.is_empty() {
        return Ok(());
    }
    let written = insert(tx, &new).await?;
    if batch.any_deleted {
        let names: Vec<(&str, &str, &str)> = new
            .iter()
            .filter(|new| written.contains(&new.id))
            .map(|New { place, content, .. }| (place.system.as_str(), place.kind, content.name.as_str()))
            .collect();
        returned(tx, &names).await?;
    }
    for New { position, place, id, is_id_known, content, now } in new {
        if !written.contains(&id) {
            batch.answers[position] = Ok(ScimWritten::NameTaken);
            continue;
        }
        add_members(tx, &place.system, &id, &content.members).await?;
        batch.moved(&place.system, now, false);
        let mut resource = content.into_new(id, now)?;
        if is_id_known {
            let resource = std::slice::from_mut(&mut resource);
            fill_groups(tx, &place.system, place.member_of, resource).await?;
        }
        let resource = Arc::new(resource);
        // Providers ask for what they have just made.
        if resource.members.is_empty() {
            batch.followed.push(Followed::Now(place, resource.clone()));
        } else {
            let members = resource.members.iter().map(|member| member.id.clone());
            batch.followed.push(Followed::ForgetAny(place.system, members.collect()));
        }
        batch.answers[position] = Ok(ScimWritten::Now(resource));
    }
    Ok(())
}

/// Writes new resources, but those whose name another has; gives the ids of those that were written.
async fn insert(tx: &mut Tx, new: &[New]) -> Result<HashSet<String>> {
    let rows: Vec<_> = new
        .iter()
        .map(|New { place, id, content, now, .. }| {
            let ScimContent { name, external_id, document, .. } = content;
            let system = place.system.as_str();
            (system, place.kind, id, name, content.name_tie(id), external_id, document, micros(*now))
        })
        .collect();
    let written = fetch_rows!(
        tx,
        &rows,
        (String,),
        "INSERT INTO scim_resource
            (system, kind, id, name, name_tie, external_id, document, version, created_at, changed_at)
         SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, 1,
                CAST(value->>7 AS BIGINT), CAST(value->>7 AS BIGINT) FROM ",
        " WHERE true ON CONFLICT (system, kind, name, name_tie) DO NOTHING RETURNING id"
    )?;
    Ok(written.into_iter().map(|(id,)| id).collect())
}

/// Whoever has the name of somebody who was deleted came back: systems, types and names.
pub(super) async fn returned(tx: &mut Tx, names: &[(&str, &str, &str)]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    execute_rows!(
        tx,
        names,
        "DELETE FROM scim_deleted WHERE (system, kind, name) IN (SELECT value->>0, value->>1, value->>2 FROM ",
        ")"
    )?;
    Ok(())
}
