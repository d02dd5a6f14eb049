//! Of which groups somebody is a member: it follows from the members of groups, and is no part of whoever is one.

use std::collections::HashMap;

use serde::Deserialize;

use super::{ScimGroup, ScimResource};
use crate::db::{Tx, fetch_rows};
use crate::error::Result;

/// What a group is called, as its own text tells.
#[derive(Deserialize)]
struct Called {
    #[serde(rename = "displayName")]
    display_name: Option<String>,
}

/// Groups by the ids of those who are in them.
#[derive(Default)]
pub(super) struct GroupsOf {
    called: HashMap<String, Option<String>>,
    by_member: HashMap<String, Vec<ScimGroup>>,
}

impl GroupsOf {
    /// Takes that somebody is in a group, of which this is the text.
    pub fn take(&mut self, member: String, id: String, document: &str) {
        let display = match self.called.get(&id) {
            Some(display) => display.clone(),
            None => {
                // What does not read back is told where the group itself is read.
                let called = serde_json::from_str(document).unwrap_or(Called { display_name: None });
                self.called.entry(id.clone()).or_insert(called.display_name).clone()
            }
        };
        self.by_member.entry(member).or_default().push(ScimGroup { id, display });
    }

    /// Those of somebody, in the order of their ids.
    pub fn of(&mut self, member: &str) -> Vec<ScimGroup> {
        let mut groups = self.by_member.remove(member).unwrap_or_default();
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
    let rows: Vec<(&str,)> = resources.iter().map(|resource| (resource.id.as_str(),)).collect();
    let found = fetch_rows!(
        tx,
        &rows,
        (String, String, String),
        // A list of values and no join: joined with the list, SQLite looks at every member in the system.
        "SELECT member.member, container.id, container.document FROM scim_member AS member, scim_resource AS container
         WHERE member.system = $2 AND container.system = $2 AND container.kind = $3
           AND container.id = member.container AND member.member IN (SELECT value->>0 FROM ",
        ")",
        system,
        group
    )?;
    let mut groups = GroupsOf::default();
    for (member, container, document) in found {
        groups.take(member, container, &document);
    }
    for resource in resources {
        resource.groups = groups.of(&resource.id);
    }
    Ok(())
}
