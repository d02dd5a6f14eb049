//! Reading what was pushed: single resources for many requests at once, and lists page by page.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::{ScimAuthority, ScimMember, ScimPlace, ScimRefusal, ScimResource};
use crate::db::{Tx, count, fetch_all, fetch_one, fetch_rows, instant, micros, stored};
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
    pub answer: oneshot::Sender<std::result::Result<Vec<ScimResource>, ScimRefusal>>,
}

type Row = (String, String, i64, i64, i64);

fn resource((id, document, version, created_at, changed_at): Row) -> Result<ScimResource> {
    Ok(ScimResource {
        id,
        document,
        version,
        created_at: instant(created_at)?,
        changed_at: instant(changed_at)?,
        members: Vec::new(),
    })
}

/// Answers every question from one unchanging state of the store.
pub(super) async fn together(store: &Store, jobs: &mut Vec<ReadJob>) {
    let answers = answered(store, jobs).await;
    let answers = answers.unwrap_or_else(|error| {
        let failed = ScimRefusal::Failed(error.to_string());
        jobs.iter().map(|_| Err(failed.clone())).collect()
    });
    for (job, answer) in jobs.drain(..).zip(answers) {
        // Whoever asked may have gone.
        let _ = job.answer.send(answer);
    }
}

type Answers = Vec<std::result::Result<Vec<ScimResource>, ScimRefusal>>;

async fn answered(store: &Store, jobs: &[ReadJob]) -> Result<Answers> {
    let mut tx = store.db.read().await?;
    let mut known = InForce::default();
    let mut answers: Answers = Vec::with_capacity(jobs.len());
    for job in jobs {
        let in_force = known.holds(&mut tx, &job.by, &job.place.system, job.now).await?;
        answers.push(if in_force { Ok(Vec::new()) } else { Err(ScimRefusal::NotInForce) });
    }
    let mut ids: Vec<(usize, &str, &str, &str)> = Vec::new();
    for (position, job) in jobs.iter().enumerate() {
        if answers[position].is_err() {
            continue;
        }
        let (system, kind) = (&*job.place.system, job.place.kind);
        answers[position] = Ok(match &job.sought {
            ScimSought::Id(id) => {
                ids.push((position, system, kind, id));
                continue;
            }
            ScimSought::Name(name) => by_name(&mut tx, system, kind, name).await?,
            ScimSought::ExternalId(external_id) => by_external_id(&mut tx, system, kind, external_id).await?,
        });
    }
    // One is cheaper asked for by itself; of many, each costs a fraction of a statement.
    if let [(position, system, kind, id)] = ids[..] {
        answers[position] = Ok(by_id(&mut tx, system, kind, id).await?.into_iter().collect());
    } else if !ids.is_empty() {
        let rows = fetch_rows!(
            &mut tx,
            &ids,
            (i64, String, String, i64, i64, i64),
            "SELECT CAST(list.value->>0 AS BIGINT), resource.id, resource.document, resource.version,
                    resource.created_at, resource.changed_at FROM ",
            ", scim_resource AS resource WHERE resource.system = list.value->>1 AND resource.kind = list.value->>2
                AND resource.id = list.value->>3"
        )?;
        for (position, id, document, version, created_at, changed_at) in rows {
            let found = resource((id, document, version, created_at, changed_at))?;
            if let Some(Ok(answer)) = usize::try_from(position).ok().and_then(|at| answers.get_mut(at)) {
                answer.push(found);
            }
        }
    }
    for (job, answer) in jobs.iter().zip(&mut answers) {
        if let (Ok(resources), true) = (answer, job.place.has_members) {
            fill_members(&mut tx, &job.place.system, resources).await?;
        }
    }
    Ok(answers)
}

/// Which authorities are in force, each looked up once in a transaction.
#[derive(Default)]
pub(super) struct InForce(HashMap<(ScimAuthority, String), bool>);

impl InForce {
    /// Whether a token for this system is in force, and its owner is as they were.
    pub async fn holds(
        &mut self,
        tx: &mut Tx,
        by: &ScimAuthority,
        system: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let key = (by.clone(), system.to_owned());
        if let Some(known) = self.0.get(&key) {
            return Ok(*known);
        }
        let (found,): (i64,) = fetch_one!(
            tx,
            (i64,),
            "SELECT COUNT(*) FROM api_token JOIN app_user ON app_user.id = api_token.user_id
             WHERE api_token.id = $1 AND api_token.system = $2 AND api_token.revoked_at IS NULL
               AND api_token.expires_at > $3 AND app_user.state = 'active' AND app_user.version = $4",
            by.token.as_str(),
            system,
            micros(now),
            by.owner_version
        )?;
        self.0.insert(key, found > 0);
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
        let rows = fetch_all!(
            &mut self.tx,
            Row,
            "SELECT resource.id, resource.document, resource.version, resource.created_at, resource.changed_at
             FROM scim_member AS member JOIN scim_resource AS resource
               ON resource.system = member.system AND resource.kind = $1 AND resource.id = member.container
             WHERE member.system = $2 AND member.member = $3 ORDER BY resource.id",
            kind,
            self.system.as_str(),
            member
        )?;
        rows.into_iter().map(resource).collect()
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
}
