//! Writing what is pushed: every request that waits at the moment in one transaction, which ends before any is answered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::answers::{self, Waiting};
use super::change::{Forgets, change_one};
use super::new::{New, create};
use super::only_new::OnlyNew;
use super::read::InForce;
use super::remembered::{Followed, Remembered};
use super::{ScimAuthority, ScimMember, ScimPlace, ScimRefusal, ScimResource};
use crate::commit_mark::CommitMark;
use crate::db::{execute, fetch_one, micros};
use crate::error::Result;
use crate::store::Store;

/// What a resource is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScimContent {
    /// Its name in lower case.
    pub name: String,
    /// Whether no two resources of its type may have the same name.
    pub is_name_unique: bool,
    /// Its external id.
    pub external_id: Option<String>,
    /// The resource as it is sent, without `meta` and without members.
    pub document: Arc<str>,
    /// Who is in it.
    pub members: Vec<ScimMember>,
}

/// What is to become of a resource.
#[derive(Debug)]
pub enum ScimDecision {
    /// It holds this from now on.
    Put {
        /// What it holds.
        content: ScimContent,
        /// Somebody's access ends by it.
        ends_access: bool,
    },
    /// It is deleted.
    Delete {
        /// The types whose resources may have it as a member: those that have change with it.
        containers: Vec<&'static str>,
    },
    /// It stays as it is.
    Keep,
}

/// Says what is to become of a resource, from what it is when nobody else can change it.
pub type ScimDecide = Box<dyn FnOnce(&ScimResource) -> ScimDecision + Send>;

/// Something to be written.
pub enum ScimWrite {
    /// A new resource.
    Create {
        /// Its id.
        id: String,
        /// Whether others knew that before, so that groups may have it as a member already.
        is_id_known: bool,
        /// What it holds.
        content: ScimContent,
    },
    /// A resource that is there is to be changed or deleted.
    Change {
        /// Its id.
        id: String,
        /// What is to become of it.
        decide: ScimDecide,
    },
}

impl fmt::Debug for ScimWrite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { id, .. } => formatter.debug_struct("Create").field("id", id).finish(),
            Self::Change { id, .. } => formatter.debug_struct("Change").field("id", id).finish(),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScimWritten {
    /// It is as it was to be: the resource as it stands now.
    Now(Arc<ScimResource>),
    /// It stays as it was.
    Kept(Arc<ScimResource>),
    /// It is deleted.
    Deleted,
    /// There is no such resource.
    NotThere,
    /// Another resource has its name.
    NameTaken,
}

/// A write that waits.
#[derive(Debug)]
pub(super) struct WriteJob {
    pub wanted: Wanted,
    pub answer: Waiting,
}

/// By whose authority, where, what and when.
#[derive(Debug)]
pub(super) struct Wanted {
    pub by: ScimAuthority,
    pub place: ScimPlace,
    pub write: ScimWrite,
    pub now: Timestamp,
}

pub(super) type Answer = std::result::Result<ScimWritten, ScimRefusal>;

/// What every change of what is pushed begins with: its number, whether this authority is in force for this system at this
/// instant, and whether anybody was deleted. Mostly everybody who waits is one provider, so that is asked on the way.
pub(super) const BEGIN_CHANGE: &str = concat!(
    "UPDATE scim_head SET change = change + 1 RETURNING change, (",
    in_force!(),
    "), (SELECT COUNT(*) FROM (SELECT 1 FROM scim_deleted LIMIT 1) AS deleted)"
);

/// What tells the loop of a change: the system, the number of the change, the same where access ends by it or else 0, and when.
pub(super) const NOTE_IN_FEED: &str =
    "INSERT INTO scim_feed (system, change, urgent_change, changed_at, unread_since, read_change)
     VALUES ($1, $2, $3, $4, $4, 0)
     ON CONFLICT (system) DO UPDATE SET change = excluded.change, changed_at = excluded.changed_at,
        urgent_change = CASE WHEN excluded.urgent_change > 0 THEN excluded.urgent_change
                             ELSE scim_feed.urgent_change END,
        unread_since = COALESCE(scim_feed.unread_since, excluded.unread_since)";

/// Writes everything, and answers when it lasts.
pub(super) async fn together(store: &Store, remembered: &Remembered, jobs: &mut Vec<WriteJob>) {
    let (wanted, waiting): (Vec<_>, Vec<_>) =
        jobs.drain(..).map(|WriteJob { wanted, answer }| (wanted, answer)).unzip();
    let only_new = if store.db.is_direct() { OnlyNew::of(wanted) } else { Err(wanted) };
    let written = match only_new {
        Ok(only_new) => only_new.written(store, remembered).await,
        Err(wanted) => written(store, remembered, wanted).await,
    };
    let failed = written.as_ref().err().map(|error| ScimRefusal::Failed(error.to_string()));
    let mut answers = written.unwrap_or_default().into_iter();
    let answered = waiting.into_iter().filter_map(|waiting| {
        let answer = answers.next().or_else(|| failed.clone().map(Err))?;
        Some((waiting, answer))
    });
    answers::bring(answered);
}

/// What a transaction has gathered.
#[derive(Default)]
pub(super) struct Batch {
    pub new: Vec<New>,
    /// There are names of resources that were deleted.
    pub any_deleted: bool,
    pub followed: Vec<Followed>,
    pub answers: Vec<Answer>,
    /// What has become of which system.
    moved: BTreeMap<String, Moved>,
}

#[derive(Default)]
struct Moved {
    ends_access: bool,
    at: Timestamp,
}

impl Batch {
    /// Something changed in this system.
    pub fn moved(&mut self, system: &str, now: Timestamp, ends_access: bool) {
        if !self.moved.contains_key(system) {
            self.moved.insert(system.to_owned(), Moved::default());
        }
        if let Some(moved) = self.moved.get_mut(system) {
            moved.at = now;
            moved.ends_access |= ends_access;
        }
    }
}

async fn written(store: &Store, remembered: &Remembered, wanted: Vec<Wanted>) -> Result<Vec<Answer>> {
    let Some(Wanted { by, place, now, .. }) = wanted.first() else { return Ok(Vec::new()) };
    let mut tx = store.db.write_here().await?;
    let (change, in_force, any_deleted): (i64, i64, i64) = fetch_one!(
        &mut tx,
        (i64, i64, i64),
        BEGIN_CHANGE,
        by.token.as_str(),
        place.system.as_str(),
        micros(*now),
        by.owner_version
    )?;
    let mut known = InForce::default();
    known.note(by, &place.system, in_force > 0);
    let mut batch = Batch { any_deleted: any_deleted > 0, ..Batch::default() };
    for (position, Wanted { by, place, write, now }) in wanted.into_iter().enumerate() {
        batch.answers.push(Ok(ScimWritten::NotThere));
        if !known.holds(&mut tx, &by, &place.system, now).await? {
            batch.answers[position] = Err(ScimRefusal::NotInForce);
            continue;
        }
        match write {
            ScimWrite::Create { id, is_id_known, content } => {
                batch.new.push(New { position, place, id, is_id_known, content, now });
            }
            ScimWrite::Change { id, decide } => {
                // It may be about one of those.
                create(&mut tx, &mut batch).await?;
                let changed = change_one(&mut tx, &place, &id, decide, now).await?;
                if matches!(&changed.written, ScimWritten::Now(_) | ScimWritten::Deleted) {
                    batch.moved(&place.system, now, changed.ends_access);
                    batch.any_deleted |= changed.written == ScimWritten::Deleted;
                    batch.followed.push(match changed.forgets {
                        Forgets::These(others) => Followed::ForgetAny(place.system.clone(), others),
                        Forgets::All => Followed::ForgetAll,
                    });
                    batch.followed.push(Followed::Forget(place, id));
                }
                batch.answers[position] = Ok(changed.written);
            }
        }
    }
    create(&mut tx, &mut batch).await?;
    for (system, Moved { ends_access, at }) in &batch.moved {
        let urgent_change = if *ends_access { change } else { 0 };
        execute!(&mut tx, NOTE_IN_FEED, system.as_str(), change, urgent_change, micros(*at))?;
    }
    let mark = store.db.commit_mark();
    tx.commit().await?;
    committed(store, remembered, mark, change, batch.followed);
    Ok(batch.answers)
}

/// What follows from a change that lasts, before which the store was marked so.
pub(super) fn committed(
    store: &Store,
    remembered: &Remembered,
    mark: Option<CommitMark>,
    change: i64,
    followed: Vec<Followed>,
) {
    if mark.is_some() && mark == store.db.commit_mark() {
        tracing::warn!(
            "a commit left the log's index as it was; what was pushed is read by statements from now on"
        );
        store.db.distrust_commit_mark();
    }
    remembered.follow(change, followed);
}
