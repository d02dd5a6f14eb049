//! Accounts that were made here and whose holder has nothing yet to log in with.

use std::collections::HashSet;

use jiff::Timestamp;
use leasehold_model::plan::PlanItem;

use crate::db::{fetch_all, from_json, instant, micros};
use crate::error::Result;
use crate::store::Store;

/// An account that an action of ours made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeAccount {
    /// What was done.
    pub item: PlanItem,
    /// When it was read back as there.
    pub made_at: Timestamp,
}

impl Store {
    /// Accounts that were made since an instant and for which no link waits or was opened, the latest first, at most `limit`.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where a row does not read back.
    pub async fn accounts_without_log_in(
        &self,
        since: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<MadeAccount>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (String, i64),
            "SELECT item, read_back_at FROM action
             WHERE state = 'verified' AND item LIKE '%\"verb\":\"create_account\"%' AND read_back_at >= $1
             ORDER BY read_back_at DESC, plan, id LIMIT $2",
            micros(since),
            i64::from(limit)
        )?;
        let mut made = Vec::with_capacity(rows.len());
        for (item, at) in rows {
            made.push(MadeAccount { item: from_json("an action", &item)?, made_at: instant(at)? });
        }
        if made.is_empty() {
            return Ok(made);
        }
        let links = fetch_all!(
            &mut tx,
            (String, String),
            "SELECT DISTINCT system, login FROM credential_link
             WHERE made_at >= $1 AND (state IN ('opened', 'issued') OR (state = 'waiting' AND expires_at > $2))",
            micros(since),
            micros(now)
        )?;
        let linked: HashSet<(String, String)> = links.into_iter().collect();
        made.retain(|made| !linked.contains(&(made.item.system.to_string(), made.item.account.clone())));
        Ok(made)
    }
}
