//! Every kind of connector: one line each.

use crate::connector::{Connector, ConnectorKind};
use crate::error::ConnectError;
use crate::plain::Plain;
use crate::settings::{Settings, did_you_mean};

/// The kinds that this binary carries.
pub const KINDS: &[&dyn ConnectorKind] = &[
    &crate::aws_iam::AwsIamKind,
    &crate::csv::Csv,
    &crate::external::ExternalKind,
    &crate::jupyterhub::JupyterHubKind,
    &crate::ldap::LdapKind,
    &crate::mariadb::MariadbKind,
    &crate::openbao::OpenBaoKind,
    &crate::postgres::PostgresKind,
    &crate::rest::RestKind,
    &crate::scim::ScimKind,
    &crate::scim_push::ScimPushKind,
    &crate::simulated::Simulated,
    &crate::ssh::SshKind,
];

/// The kind of this name.
pub fn find(name: &str) -> Option<&'static dyn ConnectorKind> {
    KINDS.iter().copied().find(|kind| kind.name() == name)
}

/// Builds the connector that `connector = "…"` names. Its messages hold no raw control character, whatever the target
/// says.
///
/// # Errors
/// [`ConnectError::Setting`] where the kind or one of its settings is not as it must be.
pub fn build(name: &str, mut settings: Settings) -> Result<Box<dyn Connector>, ConnectError> {
    let kind = find(name).ok_or_else(|| {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.name()).collect();
        settings.error("connector", format!("`{name}` is not a connector{}", did_you_mean(name, &known)))
    })?;
    let connector = kind.build(&mut settings)?;
    settings.finish()?;
    Ok(Box::new(Plain(connector)))
}

/// The page of capabilities: what each kind can do, for people who choose and for those who ask why something is
/// refused. Checked in as `docs/capabilities.md`; a test holds the two equal.
pub fn capabilities_markdown() -> String {
    let mut page = String::from(
        "# What each connector can do\n\nGenerated from the connectors themselves. A connector may do less with the rights and the target that it has:\n`leasehold connector test` says so.\n",
    );
    let names: Vec<String> = KINDS.iter().map(|kind| format!("`{}`", kind.name())).collect();
    page.push_str(&format!("\n| | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len())));
    let columns: Vec<_> = KINDS.iter().map(|kind| kind.capabilities().rows()).collect();
    let rows = columns.first().map_or(0, Vec::len);
    for row in 0..rows {
        let cells: Vec<&str> =
            columns.iter().map(|column| if column[row].1.supported { "yes" } else { "no" }).collect();
        page.push_str(&format!("| {} | {} |\n", columns[0][row].0.replace('_', " "), cells.join(" | ")));
    }
    for (kind, column) in KINDS.iter().zip(&columns) {
        page.push_str(&format!("\n## `{}`\n\n{}.\n", kind.name(), capitalised(kind.summary())));
        let notes: Vec<String> = column
            .iter()
            .filter(|(_, capability)| !capability.note.is_empty())
            .map(|(name, capability)| {
                let answer = if capability.supported { "yes" } else { "no" };
                format!("- {}: {answer}, {}\n", name.replace('_', " "), capability.note)
            })
            .collect();
        if !notes.is_empty() {
            page.push_str(&format!("\n{}", notes.concat()));
        }
    }
    page
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
