//! What connecting a system needs of the process that has the configuration and the connectors. No page and no call sees
//! either: it hands over what was typed, and is told what came of it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use leasehold_model::id::SystemName;
use leasehold_model::setting::SettingField;

use crate::error::FieldError;

/// A kind of connector that can be connected here.
#[derive(Debug, Clone, Copy)]
pub struct ConnectorForm {
    /// The word for it.
    pub kind: &'static str,
    /// What it reads, in a sentence.
    pub summary: &'static str,
    /// What is asked for.
    pub fields: &'static [SettingField],
}

/// A system that somebody wants to connect, as they wrote it.
#[derive(Debug, Clone, Default)]
pub struct NewSystem {
    /// Its name.
    pub name: String,
    /// The kind of its connector.
    pub connector: String,
    /// What was written into the fields of that kind, secrets included; lists have one text in each line.
    pub values: BTreeMap<String, String>,
    /// Rules by which its accounts find their identities, one in each line.
    pub correlate: String,
    /// Further settings, as TOML.
    pub further: String,
}

/// A system that was connected.
#[derive(Debug, Clone)]
pub struct ConnectedSystem {
    /// Its name.
    pub name: SystemName,
    /// What was reached, in the target's words.
    pub target: String,
    /// As whom.
    pub acting_as: Option<String>,
    /// What our own login may not do there.
    pub missing_rights: Vec<String>,
}

/// Why a system was not connected. Nothing was changed.
#[derive(Debug, Clone)]
pub enum NotConnected {
    /// Something was written that cannot be used.
    Wrong(Vec<FieldError>),
    /// The target was not reached, or refused the log-in.
    Unreachable(String),
    /// The configuration could not be changed from here.
    NotWritten {
        /// Why, and what to do.
        why: String,
        /// What belongs into it, without secrets.
        table: String,
    },
}

/// Connects systems.
#[async_trait]
pub trait Connections: Send + Sync {
    /// The kinds of connectors that can be connected, in the order in which they are offered.
    fn kinds(&self) -> Vec<ConnectorForm>;

    /// Tries a system, and where it is reached writes it into the configuration and has it read. Changes nothing else.
    ///
    /// # Errors
    /// [`NotConnected`].
    async fn connect(&self, new: &NewSystem) -> Result<ConnectedSystem, NotConnected>;
}

/// A process whose configuration is not changed from here.
pub struct NoConnections;

#[async_trait]
impl Connections for NoConnections {
    fn kinds(&self) -> Vec<ConnectorForm> {
        Vec::new()
    }

    async fn connect(&self, _new: &NewSystem) -> Result<ConnectedSystem, NotConnected> {
        let why = "systems are connected in leasehold.toml only".to_owned();
        Err(NotConnected::NotWritten { why, table: String::new() })
    }
}
