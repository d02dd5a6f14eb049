//! Every kind of connector: one line each.

use crate::connector::{Connector, ConnectorKind};
use crate::error::ConnectError;
use crate::settings::{Settings, did_you_mean};

/// The kinds that this binary carries.
pub const KINDS: &[&dyn ConnectorKind] = &[&crate::ldap::LdapKind, &crate::postgres::PostgresKind];

/// The kind of this name.
pub fn find(name: &str) -> Option<&'static dyn ConnectorKind> {
    KINDS.iter().copied().find(|kind| kind.name() == name)
}

/// Builds the connector that `connector = "…"` names.
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
    Ok(connector)
}
