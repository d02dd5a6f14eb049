//! Of which groups somebody is a member: it follows from the members of groups, and is no part of whoever is one.

use std::collections::HashMap;

use serde::Deserialize;

use super::{ScimGroup, ScimResource};
use crate::db::{Tx, fetch_rows};
use crate::error::Result;

/// A group, as its own text tells.
#[derive(Deserialize)]
struct Group {
    id: String,
    #[serde(rename = "displayName")]
    display_name: Option<String>,
}

/// Groups by the ids of those who are in them.
#[derive(Default)]
pub(super) struct GroupsOf(HashMap<String, Vec<ScimGroup>>);

impl GroupsOf {
    /// Takes that somebody is in a group, of which this is the text.
    pub fn take(&mut self, member: String, group: &str) {
        // What does not read back is told where the group itself is read.
        let Ok(Group { id, display_name: display }) = serde_json::from_str(group) else { return };
        self.0.entry(member).or_default().push(ScimGroup { id, display });
    }

    /// Those of somebody, in the order of their ids.
    pub fn of(&mut self, member: &str) -> Vec<ScimGroup> {
        let mut groups = self.0.remove(member).unwrap_or_default();
        groups.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        groups
    }
}

/// Puts into each resource of which others it is a member, of the type that is told.
pub(super) async fn fill_groups(
    tx: &mut Tx,
    system: &str,
    member_of: Option<&str>,
    resources: &mut [ScimResource],
) -> Result<()> {
    let Some(group) = member_of.filter(|_| !resources.is_empty()) else { return Ok(()) };
    let rows: Vec<(&str, &str, &str)> =
        resources.iter().map(|resource| (system, group, resource.id.as_str())).collect();
    let found = fetch_rows!(
        tx,
        &rows,
        (String, String),
        "SELECT member.member, container.document FROM ",
        ", scim_member AS member, scim_resource AS container
         WHERE member.system = list.value->>0 AND member.member = list.value->>2
           AND container.system = member.system AND container.kind = list.value->>1 AND container.id = member.container"
    )?;
    let mut groups = GroupsOf::default();
    for (member, document) in found {
        groups.take(member, &document);
    }
    for resource in resources {
        resource.groups = groups.of(&resource.id);
    }
    Ok(())
}
