//! Reading what was pushed: single resources for many requests at once, and lists page by page.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::groups::{GroupsOf, fill_groups};
use super::remembered::Remembered;
use super::{ScimAuthority, ScimMember, ScimPlace, ScimRefusal, ScimResource, Sent};
use crate::db::{Tx, count, fetch_all, fetch_list_alone, fetch_one, fetch_rows, instant, micros, stored};
use crate::error::Result;
use crate::store::Store;

/// Which resources are sought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScimSought {
    /// The one with this id.
    Id(String),
    /// Those with this name, in lower case.
    Name(String),
    /// Those with this external id.
    ExternalId(String),
}

/// A question that waits.
pub(super) struct ReadJob {
    pub by: ScimAuthority,
    pub place: ScimPlace,
    pub sought: ScimSought,
    pub now: Timestamp,
    pub answer: oneshot::Sender<std::result::Result<Vec<Arc<ScimResource>>, ScimRefusal>>,
}

type Row = (String, String, i64, i64, i64);

/// In the place of a version, that a row is about a group that somebody is in; versions begin with 1.
const GROUP_OF: i64 = 0;

fn resource((id, document, version, created_at, changed_at): Row) -> Result<ScimResource> {
    Ok(ScimResource {
        id,
        document: document.into(),
        version,
        created_at: instant(created_at)?,
        changed_at: instant(changed_at)?,
        members: Vec::new(),
        groups: Vec::new(),
        sent: Sent::default(),
    })
}

/// Answers every question from one unchanging state of the store.
pub(super) async fn together(store: &Store, remembered: &Remembered, jobs: &mut Vec<ReadJob>) {
    let answers = answered(store, remembered, jobs).await;
    let answers = answers.unwrap_or_else(|error| {
        let failed = ScimRefusal::Failed(error.to_string());
        jobs.iter().map(|_| Err(failed.clone())).collect()
    });
    for (job, answer) in jobs.drain(..).zip(answers) {
        // Whoever asked may have gone.
        let _ = job.answer.send(answer);
    }
}

type Answers = Vec<std::result::Result<Vec<Arc<ScimResource>>, ScimRefusal>>;

/// Questions for single resources that one statement answers: of one type in one system, by one authority.
#[derive(PartialEq, Eq, Hash)]
struct Alike<'a> {
    place: &'a ScimPlace,
    by: &'a ScimAuthority,
}

async fn answered(store: &Store, remembered: &Remembered, jobs: &[ReadJob]) -> Result<Answers> {
    let mut answers: Answers = jobs.iter().map(|_| Ok(Vec::new())).collect();
    let mut alike: HashMap<Alike<'_>, Vec<(usize, &str)>> = HashMap::new();
    let mut others: Vec<usize> = Vec::new();
    for (position, ReadJob { place, by, sought, .. }) in jobs.iter().enumerate() {
        match sought {
            ScimSought::Id(id) if !place.has_members => {
                alike.entry(Alike { place, by }).or_default().push((position, id));
            }
            _ => others.push(position),
        }
    }
    for (Alike { place, by }, sought) in alike {
        let now = sought.iter().map(|(position, _)| jobs[*position].now).max().unwrap_or_default();
        let ids: HashSet<&str> = sought.iter().map(|(_, id)| *id).collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        let found = by_ids(store, remembered, place, by, &ids, now).await?;
        for (position, id) in sought {
            answers[position] = match &found {
                None => Err(ScimRefusal::NotInForce),
                Some(found) => Ok(found.get(id).cloned().into_iter().collect()),
            };
        }
    }
    if !others.is_empty() {
        let mut tx = store.db.read().await?;
        let mut known = InForce::default();
        for position in others {
            let ReadJob { by, place, sought, now, .. } = &jobs[position];
            answers[position] = if known.holds(&mut tx, by, &place.system, *now).await? {
                Ok(by_what_is_sought(&mut tx, place, sought).await?.into_iter().map(Arc::new).collect())
            } else {
                Err(ScimRefusal::NotInForce)
            };
        }
    }
    Ok(answers)
}

async fn by_what_is_sought(tx: &mut Tx, place: &ScimPlace, sought: &ScimSought) -> Result<Vec<ScimResource>> {
    let (system, kind) = (&*place.system, place.kind);
    let mut found = match sought {
        ScimSought::Id(id) => by_id(tx, system, kind, id).await?.into_iter().collect(),
        ScimSought::Name(name) => by_name(tx, system, kind, name).await?,
        ScimSought::ExternalId(external_id) => by_external_id(tx, system, kind, external_id).await?,
    };
    if place.has_members {
        fill_members(tx, system, &mut found).await?;
    }
    fill_groups(tx, system, place.member_of, &mut found).await?;
    Ok(found)
}

/// Resources by their ids, without members but with their groups, and whether somebody may ask for them: all in one statement. `None` where the
/// authority is not in force.
async fn by_ids(
    store: &Store,
    remembered: &Remembered,
    place: &ScimPlace,
    by: &ScimAuthority,
    ids: &[&str],
    now: Timestamp,
) -> Result<Option<HashMap<String, Arc<ScimResource>>>> {
    let mark = store.db.commit_mark();
    let prove = |change: i64, until: Timestamp| {
        if let Some(mark) = mark {
            remembered.prove(mark, change, by, place, until);
        }
    };
    if remembered.has_all(place, ids.iter().copied()) {
        let AsItIs { in_force_until, change, .. } = as_it_is(store, place, by, &[], now).await?;
        let Some(until) = in_force_until else { return Ok(None) };
        if let Some(found) = remembered.at(change, place, ids) {
            prove(change, until);
            return Ok(Some(found));
        }
    }
    let AsItIs { in_force_until, change, found } = as_it_is(store, place, by, ids, now).await?;
    remembered.note(change, place, found.values());
    let Some(until) = in_force_until else { return Ok(None) };
    prove(change, until);
    Ok(Some(found))
}

/// One state of the store.
struct AsItIs {
    /// Whoever asks may, for so long if nothing changes.
    in_force_until: Option<Timestamp>,
    /// The newest change.
    change: i64,
    found: HashMap<String, Arc<ScimResource>>,
}

async fn as_it_is(
    store: &Store,
    place: &ScimPlace,
    by: &ScimAuthority,
    ids: &[&str],
    now: Timestamp,
) -> Result<AsItIs> {
    // No resource has the empty id: with it comes until when the authority holds, and the newest change. Nor has one the version 0: with
    // it comes the id and the text of a group that it is a member of.
    // A list of values and no join: joined with the list, SQLite looks at every resource of the type.
    let rows = fetch_list_alone!(
        &store.db,
        ids,
        Row,
        "SELECT id, document, version, created_at, changed_at FROM scim_resource
         WHERE system = $2 AND kind = $3 AND id IN (SELECT value FROM ",
        ")
         UNION ALL
         SELECT member.member, container.id || ' ' || container.document, 0, 0, 0 FROM scim_member AS member, scim_resource AS container
         WHERE member.system = $2 AND container.system = $2 AND container.kind = $7
           AND container.id = member.container AND member.member IN (SELECT value FROM ",
        ")
         UNION ALL
         SELECT '', '', COUNT(*), (SELECT change FROM scim_head), COALESCE(MAX(api_token.expires_at), 0) FROM api_token JOIN app_user ON app_user.id = api_token.user_id
         WHERE api_token.id = $4 AND api_token.system = $2 AND api_token.revoked_at IS NULL
           AND api_token.expires_at > $5 AND app_user.state = 'active' AND app_user.version = $6",
        place.system.as_str(),
        place.kind,
        by.token.as_str(),
        micros(now),
        by.owner_version,
        place.member_of.unwrap_or_default()
    )?;
    let mut groups = GroupsOf::default();
    let mut resources = Vec::with_capacity(ids.len());
    let mut state = AsItIs { in_force_until: None, change: 0, found: HashMap::with_capacity(rows.len()) };
    for row in rows {
        if row.0.is_empty() {
            state.change = row.3;
            if row.2 > 0 {
                state.in_force_until = Some(instant(row.4)?);
            }
        } else if row.2 == GROUP_OF {
            let (id, document) = row.1.split_once(' ').unwrap_or((&row.1, ""));
            groups.take(row.0, id.to_owned(), document);
        } else {
            resources.push(resource(row)?);
        }
    }
    for mut resource in resources {
        resource.groups = groups.of(&resource.id);
        state.found.insert(resource.id.clone(), Arc::new(resource));
    }
    Ok(state)
}

/// Which authorities are in force, each looked up once in a transaction.
#[derive(Default)]
pub(super) struct InForce(Vec<(ScimAuthority, String, bool)>);

impl InForce {
    /// Notes what was looked up elsewhere.
    pub fn note(&mut self, by: &ScimAuthority, system: &str, holds: bool) {
        self.0.push((by.clone(), system.to_owned(), holds));
    }

    /// Whether a token for this system is in force, and its owner is as they were.
    pub async fn holds(
        &mut self,
        tx: &mut Tx,
        by: &ScimAuthority,
        system: &str,
        now: Timestamp,
    ) -> Result<bool> {
        if let Some((.., known)) = self.0.iter().find(|(known, of, _)| known == by && of == system) {
            return Ok(*known);
        }
        let (found,): (i64,) =
            fetch_one!(tx, (i64,), in_force!(), by.token.as_str(), system, micros(now), by.owner_version)?;
        self.note(by, system, found > 0);
        Ok(found > 0)
    }
}

pub(super) async fn by_id(tx: &mut Tx, system: &str, kind: &str, id: &str) -> Result<Option<ScimResource>> {
    let rows = fetch_all!(
        tx,
        Row,
        "SELECT id, document, version, created_at, changed_at FROM scim_resource
         WHERE system = $1 AND kind = $2 AND id = $3",
        system,
        kind,
        id
    )?;
    rows.into_iter().next().map(resource).transpose()
}

async fn by_name(tx: &mut Tx, system: &str, kind: &str, name: &str) -> Result<Vec<ScimResource>> {
    let rows = fetch_all!(
        tx,
        Row,
        "SELECT id, document, version, created_at, changed_at FROM scim_resource
         WHERE system = $1 AND kind = $2 AND name = $3 ORDER BY id",
        system,
        kind,
        name
    )?;
    rows.into_iter().map(resource).collect()
}

async fn by_external_id(
    tx: &mut Tx,
    system: &str,
    kind: &str,
    external_id: &str,
) -> Result<Vec<ScimResource>> {
    let rows = fetch_all!(
        tx,
        Row,
        "SELECT id, document, version, created_at, changed_at FROM scim_resource
         WHERE system = $1 AND kind = $2 AND external_id = $3 ORDER BY id",
        system,
        kind,
        external_id
    )?;
    rows.into_iter().map(resource).collect()
}

/// Puts into each resource who is in it.
pub(super) async fn fill_members(tx: &mut Tx, system: &str, resources: &mut [ScimResource]) -> Result<()> {
    let ids: HashSet<&str> = resources.iter().map(|resource| resource.id.as_str()).collect();
    let rows: Vec<(&str, &str)> = ids.into_iter().map(|id| (system, id)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let found = fetch_rows!(
        tx,
        &rows,
        (String, String, String),
        "SELECT member.container, member.member, member.document FROM ",
        ", scim_member AS member WHERE member.system = list.value->>0 AND member.container = list.value->>1
         ORDER BY member.container, member.member"
    )?;
    let mut members: HashMap<String, Vec<ScimMember>> = HashMap::new();
    for (container, id, document) in found {
        members.entry(container).or_default().push(ScimMember { id, document });
    }
    for resource in resources {
        resource.members = members.remove(&resource.id).unwrap_or_default();
    }
    Ok(())
}

/// One unchanging state of what was pushed into a system, to be read page by page.
pub struct ScimReading {
    pub(super) tx: Tx,
    pub(super) system: String,
}

impl Store {
    /// Begins to read what was pushed into a system; `None` where the token is not in force.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn read_scim(
        &self,
        by: &ScimAuthority,
        system: &str,
        now: Timestamp,
    ) -> Result<Option<ScimReading>> {
        let mut tx = self.db.read().await?;
        let in_force = InForce::default().holds(&mut tx, by, system, now).await?;
        Ok(in_force.then(|| ScimReading { tx, system: system.to_owned() }))
    }
}

impl ScimReading {
    /// How many resources of a type there are.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn count(&mut self, kind: &str) -> Result<u64> {
        let (found,): (i64,) = fetch_one!(
            &mut self.tx,
            (i64,),
            "SELECT COUNT(*) FROM scim_resource WHERE system = $1 AND kind = $2",
            self.system.as_str(),
            kind
        )?;
        Ok(count(found))
    }

    /// Resources of a type in the order of their ids, without the first `skipped`.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where one does not read back.
    pub async fn page(&mut self, kind: &str, skipped: u64, limit: u64) -> Result<Vec<ScimResource>> {
        let rows = fetch_all!(
            &mut self.tx,
            Row,
            "SELECT id, document, version, created_at, changed_at FROM scim_resource
             WHERE system = $1 AND kind = $2 ORDER BY id LIMIT $3 OFFSET $4",
            self.system.as_str(),
            kind,
            stored(limit),
            stored(skipped)
        )?;
        rows.into_iter().map(resource).collect()
    }

    /// Resources of a type in the order of their ids, from the first after `id` on.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where one does not read back.
    pub async fn after(&mut self, kind: &str, id: &str, limit: u64) -> Result<Vec<ScimResource>> {
        let rows = fetch_all!(
            &mut self.tx,
            Row,
            "SELECT id, document, version, created_at, changed_at FROM scim_resource
             WHERE system = $1 AND kind = $2 AND id > $3 ORDER BY id LIMIT $4",
            self.system.as_str(),
            kind,
            id,
            stored(limit)
        )?;
        rows.into_iter().map(resource).collect()
    }

    /// The resources that are sought.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where one does not read back.
    pub async fn sought(&mut self, kind: &str, sought: &ScimSought) -> Result<Vec<ScimResource>> {
        let (tx, system) = (&mut self.tx, self.system.as_str());
        match sought {
            ScimSought::Id(id) => Ok(by_id(tx, system, kind, id).await?.into_iter().collect()),
            ScimSought::Name(name) => by_name(tx, system, kind, name).await,
            ScimSought::ExternalId(external_id) => by_external_id(tx, system, kind, external_id).await,
        }
    }

    /// The resources of a type that a resource is a member of.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where one does not read back.
    pub async fn with_member(&mut self, kind: &str, member: &str) -> Result<Vec<ScimResource>> {
        // A list of ids and no join: joined in this order, SQLite looks at every resource of the type.
        let rows = fetch_all!(
            &mut self.tx,
            Row,
            "SELECT id, document, version, created_at, changed_at FROM scim_resource
             WHERE kind = $1 AND system = $2 AND id IN
                 (SELECT container FROM scim_member WHERE system = $2 AND member = $3)
             ORDER BY id",
            kind,
            self.system.as_str(),
            member
        )?;
        rows.into_iter().map(resource).collect()
    }

    /// The resources of a type that are members of a resource, in the order of their ids, from the first after `id` on.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where one does not read back.
    pub async fn in_group(
        &mut self,
        kind: &str,
        group: &str,
        id: &str,
        limit: u64,
    ) -> Result<Vec<ScimResource>> {
        let rows = fetch_all!(
            &mut self.tx,
            Row,
            "SELECT resource.id, resource.document, resource.version, resource.created_at, resource.changed_at
             FROM scim_member AS member, scim_resource AS resource
             WHERE member.system = $1 AND member.container = $2 AND member.member > $3
               AND resource.system = member.system AND resource.kind = $4 AND resource.id = member.member
             ORDER BY member.member LIMIT $5",
            self.system.as_str(),
            group,
            id,
            kind,
            stored(limit)
        )?;
        rows.into_iter().map(resource).collect()
    }

    /// In how many others some resources are in all.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn count_groups(&mut self, resources: &[ScimResource]) -> Result<u64> {
        let rows: Vec<(&str, &str)> =
            resources.iter().map(|resource| (self.system.as_str(), resource.id.as_str())).collect();
        let found = fetch_rows!(
            &mut self.tx,
            &rows,
            (i64,),
            "SELECT COUNT(*) FROM ",
            ", scim_member AS member WHERE member.system = list.value->>0 AND member.member = list.value->>1"
        )?;
        Ok(found.into_iter().map(|(found,)| count(found)).sum())
    }

    /// How many members some resources have in all.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn count_members(&mut self, resources: &[ScimResource]) -> Result<u64> {
        let rows: Vec<(&str, &str)> =
            resources.iter().map(|resource| (self.system.as_str(), resource.id.as_str())).collect();
        let found = fetch_rows!(
            &mut self.tx,
            &rows,
            (i64,),
            "SELECT COUNT(*) FROM ",
            ", scim_member AS member WHERE member.system = list.value->>0 AND member.container = list.value->>1"
        )?;
        Ok(found.into_iter().map(|(found,)| count(found)).sum())
    }

    /// Puts into each resource who is in it.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn fill_members(&mut self, resources: &mut [ScimResource]) -> Result<()> {
        fill_members(&mut self.tx, &self.system, resources).await
    }

    /// Puts into each resource of which others, of the type that is told of its own, it is a member.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn fill_groups(
        &mut self,
        member_of: Option<&str>,
        resources: &mut [ScimResource],
    ) -> Result<()> {
        fill_groups(&mut self.tx, &self.system, member_of, resources).await
    }
}
