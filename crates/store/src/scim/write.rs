//! Writing what is pushed: every request that waits at the moment in one transaction, which ends before any is answered.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::insert;
use super::read::{InForce, by_id, fill_members};
use super::remembered::{Followed, Remembered};
use super::{ScimAuthority, ScimMember, ScimPlace, ScimRefusal, ScimResource, Sent};
use crate::db::{Tx, execute, execute_rows, fetch_one, fetch_optional, instant, micros};
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
    pub by: ScimAuthority,
    pub place: ScimPlace,
    pub write: ScimWrite,
    pub now: Timestamp,
    pub answer: oneshot::Sender<Answer>,
}

type Answer = std::result::Result<ScimWritten, ScimRefusal>;

/// Writes everything, and answers when it lasts.
pub(super) async fn together(store: &Store, remembered: &Remembered, jobs: &mut Vec<WriteJob>) {
    let mut waiting = Vec::with_capacity(jobs.len());
    let mut wanted = Vec::with_capacity(jobs.len());
    for WriteJob { by, place, write, now, answer } in jobs.drain(..) {
        waiting.push(answer);
        wanted.push((by, place, write, now));
    }
    let count = wanted.len();
    let answers = written(store, remembered, wanted).await.unwrap_or_else(|error| {
        let failed = ScimRefusal::Failed(error.to_string());
        vec![Err(failed); count]
    });
    for (waiting, answer) in waiting.into_iter().zip(answers) {
        // Whoever sent it may have gone; it was done all the same.
        let _ = waiting.send(answer);
    }
}

/// What has become of a system.
#[derive(Default)]
struct Moved {
    ends_access: bool,
    at: Option<Timestamp>,
}

/// New resources on their way: they are written by one statement.
pub(super) struct New {
    position: usize,
    pub place: ScimPlace,
    pub id: String,
    pub content: ScimContent,
    pub now: Timestamp,
}

impl New {
    /// What tells it from others of its name; nothing where no two may have the same.
    pub fn tie(&self) -> &str {
        if self.content.is_name_unique { "" } else { &self.id }
    }
}

/// By whose authority, where, what and when.
type Wanted = (ScimAuthority, ScimPlace, ScimWrite, Timestamp);

async fn written(store: &Store, remembered: &Remembered, wanted: Vec<Wanted>) -> Result<Vec<Answer>> {
    let Some((by, place, _, now)) = wanted.first() else { return Ok(Vec::new()) };
    let mut tx = store.db.write().await?;
    let is_alike = |(its, there, write, _): &Wanted| {
        its == by && there.system == place.system && matches!(write, ScimWrite::Create { .. })
    };
    if matches!(tx, Tx::Sqlite(_)) && wanted.len() <= insert::ROWS_MAX && wanted.iter().all(is_alike) {
        return written_new(store, remembered, tx, wanted).await;
    }
    // Mostly everybody who waits is one provider: whether that one may is asked on the way, and whether anybody was deleted.
    let (change, in_force, any_deleted): (i64, i64, i64) = fetch_one!(
        &mut tx,
        (i64, i64, i64),
        "UPDATE scim_head SET change = change + 1 RETURNING change,
            (SELECT COUNT(*) FROM api_token JOIN app_user ON app_user.id = api_token.user_id
             WHERE api_token.id = $1 AND api_token.system = $2 AND api_token.revoked_at IS NULL
               AND api_token.expires_at > $3 AND app_user.state = 'active' AND app_user.version = $4),
            (SELECT COUNT(*) FROM (SELECT 1 FROM scim_deleted LIMIT 1) AS deleted)",
        by.token.as_str(),
        place.system.as_str(),
        micros(*now),
        by.owner_version
    )?;
    let mut known = InForce::default();
    known.note(by, &place.system, in_force > 0);
    let mut batch = Batch { new: Vec::new(), any_deleted: any_deleted > 0, followed: Vec::new() };
    let mut answers: Vec<Answer> = Vec::with_capacity(wanted.len());
    let mut moved: BTreeMap<String, Moved> = BTreeMap::new();
    for (position, (by, place, write, now)) in wanted.into_iter().enumerate() {
        answers.push(Ok(ScimWritten::NotThere));
        if !known.holds(&mut tx, &by, &place.system, now).await? {
            answers[position] = Err(ScimRefusal::NotInForce);
            continue;
        }
        match write {
            ScimWrite::Create { id, content } => batch.new.push(New { position, place, id, content, now }),
            ScimWrite::Change { id, decide } => {
                // It may be about one of those.
                create(&mut tx, &mut batch, &mut answers, &mut moved).await?;
                let (answer, ends_access) = change_one(&mut tx, &place, &id, decide, now).await?;
                match &answer {
                    ScimWritten::Now(_) => batch.followed.push(Followed::Forget(place.clone(), id)),
                    ScimWritten::Deleted => {
                        batch.any_deleted = true;
                        batch.followed.push(Followed::ForgetAll);
                    }
                    _ => {}
                }
                if matches!(answer, ScimWritten::Now(_) | ScimWritten::Deleted) {
                    let moved = moved.entry(place.system).or_default();
                    moved.ends_access |= ends_access;
                    moved.at = Some(now);
                }
                answers[position] = Ok(answer);
            }
        }
    }
    create(&mut tx, &mut batch, &mut answers, &mut moved).await?;
    for (system, Moved { ends_access, at }) in moved {
        let at = micros(at.unwrap_or_default());
        execute!(
            &mut tx,
            "INSERT INTO scim_feed (system, change, urgent_change, changed_at, unread_since, read_change)
             VALUES ($1, $2, $3, $4, $4, 0)
             ON CONFLICT (system) DO UPDATE SET change = $2, changed_at = $4,
                urgent_change = CASE WHEN $3 > 0 THEN $3 ELSE scim_feed.urgent_change END,
                unread_since = COALESCE(scim_feed.unread_since, $4)",
            system.as_str(),
            change,
            if ends_access { change } else { 0 },
            at
        )?;
    }
    committed(store, remembered, tx, change, batch.followed).await?;
    Ok(answers)
}

/// The same where all of it is new, in one system of SQLite and by one authority, as it is when a provider begins.
async fn written_new(
    store: &Store,
    remembered: &Remembered,
    mut tx: Tx,
    wanted: Vec<Wanted>,
) -> Result<Vec<Answer>> {
    let mut answers: Vec<Answer> = wanted.iter().map(|_| Err(ScimRefusal::NotInForce)).collect();
    let Some(by) = wanted.first().map(|(by, ..)| by.clone()) else { return Ok(answers) };
    let new: Vec<New> = wanted
        .into_iter()
        .enumerate()
        .filter_map(|(position, (_, place, write, now))| match write {
            ScimWrite::Create { id, content } => Some(New { position, place, id, content, now }),
            ScimWrite::Change { .. } => None,
        })
        .collect();
    let Some(done) = insert::whole_change(&mut tx, &by, &new).await?.filter(|done| done.is_in_force) else {
        return Ok(answers);
    };
    let mut batch = Batch { new: Vec::new(), any_deleted: done.any_deleted, followed: Vec::new() };
    created(&mut tx, new, &done.left_out, &mut batch, &mut answers, &mut BTreeMap::new()).await?;
    committed(store, remembered, tx, done.change, batch.followed).await?;
    Ok(answers)
}

/// Makes a change last.
async fn committed(
    store: &Store,
    remembered: &Remembered,
    tx: Tx,
    change: i64,
    followed: Vec<Followed>,
) -> Result<()> {
    let mark = store.db.commit_mark();
    tx.commit().await?;
    if mark.is_some() && mark == store.db.commit_mark() {
        tracing::warn!(
            "a commit left the log's index as it was; what was pushed is read by statements from now on"
        );
        store.db.distrust_commit_mark();
    }
    remembered.follow(change, followed);
    Ok(())
}

/// What a transaction has gathered.
struct Batch {
    new: Vec<New>,
    /// There are names of resources that were deleted.
    any_deleted: bool,
    followed: Vec<Followed>,
}

async fn create(
    tx: &mut Tx,
    batch: &mut Batch,
    answers: &mut [Answer],
    moved: &mut BTreeMap<String, Moved>,
) -> Result<()> {
    let new = std::mem::take(&mut batch.new);
    if new.is_empty() {
        return Ok(());
    }
    let left_out = insert::insert(tx, &new).await?;
    created(tx, new, &left_out, batch, answers, moved).await
}

/// What follows from writing these, but those that were left out.
async fn created(
    tx: &mut Tx,
    new: Vec<New>,
    left_out: &HashSet<String>,
    batch: &mut Batch,
    answers: &mut [Answer],
    moved: &mut BTreeMap<String, Moved>,
) -> Result<()> {
    if batch.any_deleted {
        let names: Vec<(&str, &str, &str)> = new
            .iter()
            .filter(|new| !left_out.contains(&new.id))
            .map(|New { place, content, .. }| (place.system.as_str(), place.kind, content.name.as_str()))
            .collect();
        returned(tx, &names).await?;
    }
    for New { position, place, id, content, now } in new {
        if left_out.contains(&id) {
            answers[position] = Ok(ScimWritten::NameTaken);
            continue;
        }
        add_members(tx, &place.system, &id, &content.members).await?;
        if let Some(moved) = moved.get_mut(&place.system) {
            moved.at = Some(now);
        } else {
            moved.entry(place.system.clone()).or_default().at = Some(now);
        }
        let now = instant(micros(now))?;
        let ScimContent { document, members, .. } = content;
        let resource = ScimResource {
            id,
            document,
            version: 1,
            created_at: now,
            changed_at: now,
            members,
            sent: Sent::default(),
        };
        let resource = Arc::new(resource);
        // Providers ask for what they have just made.
        if resource.members.is_empty() {
            batch.followed.push(Followed::Now(place, resource.clone()));
        }
        answers[position] = Ok(ScimWritten::Now(resource));
    }
    Ok(())
}

/// Whoever has the name of somebody who was deleted came back: systems, types and names.
async fn returned(tx: &mut Tx, names: &[(&str, &str, &str)]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    execute_rows!(
        tx,
        names,
        "DELETE FROM scim_deleted WHERE (system, kind, name) IN (SELECT value->>0, value->>1, value->>2 FROM ",
        ")"
    )?;
    Ok(())
}

async fn change_one(
    tx: &mut Tx,
    place: &ScimPlace,
    id: &str,
    decide: ScimDecide,
    now: Timestamp,
) -> Result<(ScimWritten, bool)> {
    let Some(mut before) = by_id(tx, &place.system, place.kind, id).await? else {
        return Ok((ScimWritten::NotThere, false));
    };
    if place.has_members {
        fill_members(tx, &place.system, std::slice::from_mut(&mut before)).await?;
    }
    match decide(&before) {
        ScimDecision::Keep => Ok((ScimWritten::Kept(Arc::new(before)), false)),
        ScimDecision::Delete { containers } => {
            delete(tx, place, id, &containers, now).await?;
            Ok((ScimWritten::Deleted, true))
        }
        ScimDecision::Put { content, ends_access } => {
            Ok((put(tx, place, before, content, now).await?, ends_access))
        }
    }
}

async fn put(
    tx: &mut Tx,
    place: &ScimPlace,
    before: ScimResource,
    content: ScimContent,
    now: Timestamp,
) -> Result<ScimWritten> {
    let system = place.system.as_str();
    let tie = if content.is_name_unique { "" } else { before.id.as_str() };
    let other = fetch_optional!(
        tx,
        (String,),
        "SELECT id FROM scim_resource WHERE system = $1 AND kind = $2 AND name = $3 AND name_tie = $4 AND id <> $5",
        system,
        place.kind,
        content.name.as_str(),
        tie,
        before.id.as_str()
    )?;
    if other.is_some() {
        return Ok(ScimWritten::NameTaken);
    }
    let version = before.version + 1;
    execute!(
        tx,
        "UPDATE scim_resource SET name = $4, name_tie = $5, external_id = $6, document = $7, version = $8,
                changed_at = $9
         WHERE system = $1 AND kind = $2 AND id = $3",
        system,
        place.kind,
        before.id.as_str(),
        content.name.as_str(),
        tie,
        content.external_id.as_deref(),
        &*content.document,
        version,
        micros(now)
    )?;
    if place.has_members {
        let kept: std::collections::HashMap<&str, &str> =
            before.members.iter().map(|member| (member.id.as_str(), member.document.as_str())).collect();
        let mut members = content.members.clone();
        members.retain(|member| kept.get(member.id.as_str()) != Some(&member.document.as_str()));
        let wanted: HashSet<&str> = content.members.iter().map(|member| member.id.as_str()).collect();
        let gone: Vec<(&str, &str, &str)> = before
            .members
            .iter()
            .map(|member| member.id.as_str())
            .filter(|member| !wanted.contains(member))
            .map(|member| (system, before.id.as_str(), member))
            .collect();
        remove_members(tx, &gone).await?;
        add_members(tx, system, &before.id, &members).await?;
    }
    returned(tx, &[(system, place.kind, content.name.as_str())]).await?;
    let mut members = content.members;
    members.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(ScimWritten::Now(Arc::new(ScimResource {
        id: before.id,
        document: content.document,
        version,
        created_at: before.created_at,
        changed_at: instant(micros(now))?,
        members,
        sent: Sent::default(),
    })))
}

async fn delete(
    tx: &mut Tx,
    place: &ScimPlace,
    id: &str,
    containers: &[&'static str],
    now: Timestamp,
) -> Result<()> {
    let system = place.system.as_str();
    // Without a member a group is another version of itself: whoever kept the old one has to hear of it.
    for kind in containers {
        execute!(
            tx,
            "UPDATE scim_resource SET version = version + 1, changed_at = $4
             WHERE system = $1 AND kind = $2
               AND id IN (SELECT container FROM scim_member WHERE system = $1 AND member = $3)",
            system,
            *kind,
            id,
            micros(now)
        )?;
    }
    execute!(
        tx,
        "INSERT INTO scim_deleted (system, kind, id, name, document, deleted_at)
         SELECT system, kind, id, name, document, $4 FROM scim_resource
         WHERE system = $1 AND kind = $2 AND id = $3",
        system,
        place.kind,
        id,
        micros(now)
    )?;
    execute!(
        tx,
        "DELETE FROM scim_resource WHERE system = $1 AND kind = $2 AND id = $3",
        system,
        place.kind,
        id
    )?;
    execute!(
        tx,
        "DELETE FROM scim_member WHERE system = $1 AND (member = $2 OR container = $2)",
        system,
        id
    )?;
    Ok(())
}

async fn add_members(tx: &mut Tx, system: &str, container: &str, members: &[ScimMember]) -> Result<()> {
    if members.is_empty() {
        return Ok(());
    }
    let rows: Vec<(&str, &str, &str, &str)> = members
        .iter()
        .map(|member| (system, container, member.id.as_str(), member.document.as_str()))
        .collect();
    execute_rows!(
        tx,
        &rows,
        "INSERT INTO scim_member (system, container, member, document)
         SELECT value->>0, value->>1, value->>2, value->>3 FROM ",
        " WHERE true ON CONFLICT (system, container, member) DO UPDATE SET document = excluded.document"
    )?;
    Ok(())
}

async fn remove_members(tx: &mut Tx, gone: &[(&str, &str, &str)]) -> Result<()> {
    if gone.is_empty() {
        return Ok(());
    }
    execute_rows!(
        tx,
        gone,
        "DELETE FROM scim_member WHERE (system, container, member) IN
            (SELECT value->>0, value->>1, value->>2 FROM ",
        ")"
    )?;
    Ok(())
}
