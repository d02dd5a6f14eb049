//! Grants that were read back as gone: ended together, by a few statements for all of them.

use std::collections::{HashMap, HashSet};

use super::ReadBackEpoch;
use crate::db::{Tx, execute_rows, fetch_rows, insert_rows};
use crate::error::Result;

/// System, account, entitlement, epoch, and what ended them, sent when.
type Row<'a> = (i64, i64, i64, i64, Option<&'a str>, i64);

/// Grants that are gone and are not written down as ended yet.
#[derive(Default)]
pub(super) struct GrantEnds<'a> {
    rows: Vec<Row<'a>>,
    /// The same grants, with the places of their read-backs.
    places: HashMap<(i64, i64, i64), usize>,
}

impl<'a> GrantEnds<'a> {
    /// Whether this grant is not among them: what ends twice was ended by the first.
    pub(super) fn takes(&self, read_back: &ReadBackEpoch<'_>, (account, entitlement): (i64, i64)) -> bool {
        !self.places.contains_key(&(read_back.system, account, entitlement))
    }

    /// Adds the grant of a read-back at this place.
    pub(super) fn add(
        &mut self,
        place: usize,
        read_back: &ReadBackEpoch<'a>,
        (account, entitlement): (i64, i64),
    ) {
        let ReadBackEpoch { system, epoch, ended_by, .. } = read_back;
        let (action, sent_at) =
            ended_by.map_or((None, 0), |ended_by| (Some(ended_by.action.as_str()), ended_by.sent_at));
        self.rows.push((*system, account, entitlement, *epoch, action, sent_at));
        self.places.insert((*system, account, entitlement), place);
    }

    /// Writes them down, and notes whose read-back has changed something.
    pub(super) async fn write(&mut self, tx: &mut Tx, read_backs: &mut [ReadBackEpoch<'_>]) -> Result<()> {
        let (rows, places) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.places));
        if rows.is_empty() {
            return Ok(());
        }
        let read: Vec<(i64, i64, i64, i64)> = rows
            .iter()
            .map(|(system, account, entitlement, epoch, ..)| (*epoch, *system, *account, *entitlement))
            .collect();
        insert_rows!(
            tx,
            "read_back",
            &read,
            [0 epoch BIGINT, 1 system BIGINT, 2 object BIGINT, 3 entitlement BIGINT]
        )?;
        execute_rows!(
            tx,
            &rows,
            "UPDATE grant_qualifier SET until = CAST(list.value->>3 AS BIGINT) FROM ",
            " WHERE grant_qualifier.system = CAST(list.value->>0 AS BIGINT)
                AND grant_qualifier.account = CAST(list.value->>1 AS BIGINT)
                AND grant_qualifier.entitlement = CAST(list.value->>2 AS BIGINT) AND grant_qualifier.until IS NULL"
        )?;
        let ended = fetch_rows!(
            tx,
            &rows,
            (i64, i64, i64),
            "UPDATE grant_interval SET until = CAST(list.value->>3 AS BIGINT), ended_by = list.value->>4 FROM ",
            " WHERE grant_interval.system = CAST(list.value->>0 AS BIGINT)
                AND grant_interval.account = CAST(list.value->>1 AS BIGINT)
                AND grant_interval.entitlement = CAST(list.value->>2 AS BIGINT) AND grant_interval.until IS NULL
              RETURNING system, account, entitlement"
        )?;
        let ended: HashSet<(i64, i64, i64)> = ended.into_iter().collect();
        let gone_before = rows.into_iter().filter(|(system, account, entitlement, _, action, _)| {
            action.is_some() && !ended.contains(&(*system, *account, *entitlement))
        });
        let gone_before: Vec<_> = gone_before.collect();
        let mut claimed = Vec::new();
        if !gone_before.is_empty() {
            // A reading between the call and this read-back was the first to show it.
            claimed = fetch_rows!(
                tx,
                &gone_before,
                (i64, i64, i64),
                "UPDATE grant_interval SET ended_by = list.value->>4 FROM ",
                " WHERE grant_interval.system = CAST(list.value->>0 AS BIGINT)
                    AND grant_interval.account = CAST(list.value->>1 AS BIGINT)
                    AND grant_interval.entitlement = CAST(list.value->>2 AS BIGINT)
                    AND grant_interval.ended_by IS NULL AND EXISTS (
                        SELECT 1 FROM epoch WHERE epoch.id = grant_interval.until AND epoch.kind <> 'read_back'
                        AND epoch.ended_at >= CAST(list.value->>5 AS BIGINT))
                  RETURNING system, account, entitlement"
            )?;
        }
        for grant in ended.iter().chain(&claimed) {
            if let Some(place) = places.get(grant) {
                read_backs[*place].changed = true;
            }
        }
        Ok(())
    }
}
