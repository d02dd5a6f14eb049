//! What the columns of a system's files are called here, and which of them must be there.

use super::table::Table;
use crate::error::ConnectError;

/// Our names of the columns of each file.
pub const ACCOUNTS: &[&str] =
    &["key", "login", "enabled", "status", "kind", "last_use", "expires_at", "credential_changed_at"];
/// Of `entitlements`.
pub const ENTITLEMENTS: &[&str] = &["kind", "name", "native", "title", "privileged"];
/// Of these, what decides how closely an entitlement is looked at.
pub const ENTITLEMENTS_DECIDE: &[&str] = &["privileged"];
/// Of `grants`.
pub const GRANTS: &[&str] =
    &["account", "entitlement", "kind", "name", "valid_from", "valid_until", "options"];
/// Of these, what decides how long a grant is meant to last.
pub const GRANTS_DECIDE: &[&str] = &["valid_from", "valid_until"];
/// Of `contains`.
pub const CONTAINS: &[&str] = &["parent", "child"];
/// Of `owners`.
pub const OWNERS: &[&str] = &["object", "account", "entitlement", "owner"];

/// Whether a file has the columns that it must have.
///
/// # Errors
/// Naming the first that is missing.
pub fn check(name: &str, table: &Table) -> Result<(), ConnectError> {
    let (known, needed): (&[&str], &[&str]) = match name {
        "accounts" => (ACCOUNTS, if table.column("login")?.is_some() { &[] } else { &["key"] }),
        "entitlements" => (ENTITLEMENTS, &["name"]),
        "contains" => (CONTAINS, &["parent", "child"]),
        "grants" if table.column("name")?.is_some() => (GRANTS, &["account"]),
        "grants" => (GRANTS, &["account", "entitlement"]),
        _ => (OWNERS, &["owner"]),
    };
    for ours in known {
        table.column(ours)?;
    }
    for ours in needed {
        table.required(ours)?;
    }
    Ok(())
}
