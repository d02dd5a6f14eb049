//! What was pushed, as a source that is read like any other: which systems have something new, and everything there is.

use jiff::Timestamp;
use leasehold_model::id::SystemName;

use super::ScimReading;
use crate::db::{execute, fetch_all, fetch_optional, fetch_rows, instant, micros, stored};
use crate::error::Result;
use crate::history::system_name;
use crate::store::Store;

/// A system into which something was pushed that was not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadPushes {
    /// Which system.
    pub system: SystemName,
    /// Somebody's access ends by it.
    pub ends_access: bool,
    /// Since when there is something.
    pub since: Timestamp,
    /// When something was last pushed.
    pub changed_at: Timestamp,
}

/// Everything that was pushed into a system, of one instant.
pub struct PushFeed {
    reading: ScimReading,
    change: i64,
}

impl Store {
    /// The systems into which something was pushed since their newest reading began.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where one does not read back.
    pub async fn unread_pushes(&self) -> Result<Vec<UnreadPushes>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (String, bool, Option<i64>, i64),
            "SELECT system, urgent_change > read_change, unread_since, changed_at FROM scim_feed
             WHERE change > read_change ORDER BY system"
        )?;
        rows.into_iter()
            .map(|(system, ends_access, since, changed_at)| {
                Ok(UnreadPushes {
                    system: system_name(system)?,
                    ends_access,
                    since: instant(since.unwrap_or(changed_at))?,
                    changed_at: instant(changed_at)?,
                })
            })
            .collect()
    }

    /// Begins to read everything that was pushed into a system.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn push_feed(&self, system: &SystemName) -> Result<PushFeed> {
        let mut tx = self.db.read().await?;
        let change = fetch_optional!(
            &mut tx,
            (i64,),
            "SELECT change FROM scim_feed WHERE system = $1",
            system.as_str()
        )?;
        let reading = ScimReading { tx, system: system.to_string() };
        Ok(PushFeed { reading, change: change.map_or(0, |(change,)| change) })
    }

    /// Notes that everything up to a change was read. What was pushed since then stays unread.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn pushes_read(&self, system: &SystemName, change: i64, now: Timestamp) -> Result<()> {
        let mut tx = self.db.write().await?;
        execute!(
            &mut tx,
            "UPDATE scim_feed SET read_change = $2, unread_since = CASE WHEN change > $2 THEN $3 ELSE NULL END
             WHERE system = $1 AND read_change < $2",
            system.as_str(),
            change,
            micros(now)
        )?;
        tx.commit().await
    }
}

impl PushFeed {
    /// The newest change that is part of it.
    pub fn change(&self) -> i64 {
        self.change
    }

    /// Its resources.
    pub fn reading(&mut self) -> &mut ScimReading {
        &mut self.reading
    }

    /// The documents of some resources, by id.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn documents(&mut self, kind: &str, ids: &[&str]) -> Result<Vec<(String, String)>> {
        let system = self.reading.system.clone();
        let rows: Vec<(&str, &str, &str)> = ids.iter().map(|id| (system.as_str(), kind, *id)).collect();
        fetch_rows!(
            &mut self.reading.tx,
            &rows,
            (String, String),
            "SELECT resource.id, resource.document FROM ",
            ", scim_resource AS resource WHERE resource.system = list.value->>0 AND resource.kind = list.value->>1
                AND resource.id = list.value->>2"
        )
    }

    /// The names of the groups in which some resources are, by the resource's id.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn groups_of(&mut self, kind: &str, ids: &[&str]) -> Result<Vec<(String, String)>> {
        let system = self.reading.system.clone();
        let rows: Vec<(&str, &str, &str)> = ids.iter().map(|id| (system.as_str(), kind, *id)).collect();
        fetch_rows!(
            &mut self.reading.tx,
            &rows,
            (String, String),
            "SELECT member.member, resource.document FROM ",
            ", scim_member AS member, scim_resource AS resource
             WHERE member.system = list.value->>0 AND member.member = list.value->>2
               AND resource.system = member.system AND resource.kind = list.value->>1
               AND resource.id = member.container
             ORDER BY member.member, resource.id"
        )
    }

    /// Deleted resources of a type after an id: their ids and what they last held.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn deleted_after(&mut self, kind: &str, id: &str, limit: u64) -> Result<Vec<(String, String)>> {
        fetch_all!(
            &mut self.reading.tx,
            (String, String),
            "SELECT id, document FROM scim_deleted WHERE system = $1 AND kind = $2 AND id > $3 ORDER BY id LIMIT $4",
            self.reading.system.as_str(),
            kind,
            id,
            stored(limit)
        )
    }
}
