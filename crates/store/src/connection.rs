//! That a system was connected: the configuration has the system, and the ledger who connected it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use leasehold_model::id::SystemName;
use serde_json::json;

use crate::Event;
use crate::error::Result;
use crate::ledger;
use crate::store::Store;

impl Store {
    /// Records that a system was connected.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn system_connected(
        &self,
        system: &SystemName,
        connector: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let event = Event {
            kind: EventKind::SystemConnected,
            subject: system.to_string(),
            body: json!({ "connector": connector }),
            personal: BTreeMap::from([("by".to_owned(), by.to_owned())]),
        };
        ledger::append(&mut tx, vec![event], now).await?;
        tx.commit().await
    }
}
