//! Who is in what: rows of their own, so that one who comes or goes in a large group is one row.

use super::ScimMember;
use crate::db::{Tx, execute_rows};
use crate::error::Result;

/// Adds members, or writes anew what was sent of them.
pub(super) async fn add_members(
    tx: &mut Tx,
    system: &str,
    container: &str,
    members: &[ScimMember],
) -> Result<()> {
    if members.is_empty() {
        return Ok(());
    }
    let rows: Vec<(&str, &str, &str, &str)> = members
        .iter()
        .map(|member| (system, container, member.id.as_str(), member.document.as_str()))
        .collect();
    execute_rows!(
        tx,
        &rows,
        "INSERT INTO scim_member (system, container, member, document)
         SELECT value->>0, value->>1, value->>2, value->>3 FROM ",
        " WHERE true ON CONFLICT (system, container, member) DO UPDATE SET document = excluded.document"
    )?;
    Ok(())
}

/// Removes members: of each the system, the resource that it is in, and its id.
pub(super) async fn remove_members(tx: &mut Tx, gone: &[(&str, &str, &str)]) -> Result<()> {
    if gone.is_empty() {
        return Ok(());
    }
    execute_rows!(
        tx,
        gone,
        "DELETE FROM scim_member WHERE (system, container, member) IN
            (SELECT value->>0, value->>1, value->>2 FROM ",
        ")"
    )?;
    Ok(())
}
