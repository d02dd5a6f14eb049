//! Writing nothing but new resources to a file of SQLite, on the thread that is told to, as it is when a provider begins.
//!
//! A provider pushes thousands of users then, each by a request of its own. With a connection of the pools half of what one costs
//! were the ways of the statements to the thread of the connection and back.

use rusqlite::{Connection, TransactionBehavior, params};

use super::remembered::{Followed, Remembered};
use super::write::{self, Answer, Wanted};
use super::{ScimRefusal, ScimWrite, ScimWritten};
use crate::db::{Db, micros, note_commit};
use crate::error::Result;
use crate::store::Store;

/// One row at a time: a statement that cannot fail half-way makes SQLite keep no copy of each page that it changes.
const INSERT: &str = "INSERT INTO scim_resource
        (system, kind, id, name, name_tie, external_id, document, version, created_at, changed_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8)
     ON CONFLICT (system, kind, name, name_tie) DO NOTHING";
/// Whoever has the name of somebody who was deleted came back.
const RETURNED: &str = "DELETE FROM scim_deleted WHERE system = $1 AND kind = $2 AND name = $3";

/// What writes them.
pub(super) struct OnlyNew(Connection);

/// A change as it was written.
struct Change {
    number: i64,
    /// Of each new resource, whether it was: where not, another has its name.
    is_written: Vec<bool>,
}

impl OnlyNew {
    /// What writes to this store, where it is a file of SQLite.
    pub fn of(db: &Db) -> Option<Self> {
        match db.file()?.connect() {
            Ok(connection) => Some(Self(connection)),
            Err(error) => {
                tracing::warn!(%error, "what is pushed is written by the connection of everything else");
                None
            }
        }
    }

    /// Whether all of it is new, without members, in one system and by one authority.
    pub fn knows(wanted: &[Wanted]) -> bool {
        let Some(first) = wanted.first() else { return false };
        wanted.iter().all(|Wanted { by, place, write, .. }| {
            let is_alike = *by == first.by && place.system == first.place.system;
            is_alike && matches!(write, ScimWrite::Create { content, .. } if content.members.is_empty())
        })
    }

    /// Writes what it [`Self::knows`], and returns when it lasts.
    pub async fn written(
        &mut self,
        store: &Store,
        remembered: &Remembered,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<Answer>> {
        let turn = store.db.turn().await?;
        let mark = store.db.commit_mark();
        let Some(Change { number, is_written }) = self.change(&wanted)? else {
            return Ok(vec![Err(ScimRefusal::NotInForce); wanted.len()]);
        };
        drop(turn);
        let mut followed = Vec::with_capacity(wanted.len());
        let answers =
            wanted.into_iter().zip(is_written).map(|(Wanted { place, write, now, .. }, is_written)| {
                let ScimWrite::Create { id, content } = write else { return Ok(Ok(ScimWritten::NotThere)) };
                if !is_written {
                    return Ok(Ok(ScimWritten::NameTaken));
                }
                let resource = content.into_new(id, now)?;
                followed.push(Followed::Now(place, resource.clone()));
                Ok(Ok(ScimWritten::Now(resource)))
            });
        let answers = answers.collect::<Result<_>>()?;
        write::committed(store, remembered, mark, number, followed);
        Ok(answers)
    }

    /// None, and nothing is written, where the authority is not in force.
    fn change(&mut self, wanted: &[Wanted]) -> Result<Option<Change>> {
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Ok(None) };
        let (by, system) = (&first.by, first.place.system.as_str());
        let transaction = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let begun = transaction
            .prepare_cached(write::BEGIN_CHANGE)?
            .query_row(params![by.token, system, micros(first.now), by.owner_version], |row| {
                <(i64, i64, i64)>::try_from(row)
            });
        let (number, in_force, any_deleted) = begun?;
        if in_force == 0 {
            return Ok(None);
        }
        let mut is_written = Vec::with_capacity(wanted.len());
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            for Wanted { place, write, now, .. } in wanted {
                let ScimWrite::Create { id, content } = write else {
                    is_written.push(false);
                    continue;
                };
                let tie = content.name_tie(id);
                let now = micros(*now);
                let count = insert.execute(params![
                    system,
                    place.kind,
                    id,
                    content.name,
                    tie,
                    content.external_id,
                    &*content.document,
                    now
                ])?;
                if count > 0 && any_deleted > 0 {
                    transaction.prepare_cached(RETURNED)?.execute(params![
                        system,
                        place.kind,
                        content.name
                    ])?;
                }
                is_written.push(count > 0);
            }
            if is_written.contains(&true) {
                let mut note = transaction.prepare_cached(write::NOTE_IN_FEED)?;
                note.execute(params![system, number, 0, micros(last.now)])?;
            }
        }
        let committed = transaction.commit();
        note_commit();
        committed?;
        Ok(Some(Change { number, is_written }))
    }
}
