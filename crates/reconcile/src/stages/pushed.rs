//! Observe, where a system pushes: what was pushed is read from the store and told as facts.
//!
//! Everything is of one instant of the store, which holds everything that was pushed: that is the evidence.

use std::collections::{BTreeMap, HashMap};

use leasehold_connect::connector::{Batch, Sink};
use leasehold_connect::error::ConnectError;
use leasehold_connect::scim_push::{Pushed, PushedGroup, PushedUser};
use leasehold_connect::seen::Seen;
use leasehold_model::entitlement::{Containment, DirectGrant};
use leasehold_model::fact::{Completeness, Fact, Problem};
use leasehold_model::id::{AccountKey, EntitlementName, IdentityKey, SystemName};
use leasehold_model::identity::{Identity, LifecycleState};
use leasehold_store::{PushFeed, ScimResource, Store, StoreError};
use serde_json::Value;

/// So many resources are read at a time.
const STEP: u64 = 1_000;

/// So many doubts are told by name; all of them are listed as problems.
const DOUBTS_TOLD: usize = 3;

const USER: &str = "User";
const GROUP: &str = "Group";

/// Tells everything that was pushed into a system, and gives the newest change that is part of it.
///
/// # Errors
/// Where the store fails, or the sink.
pub(super) async fn enumerate(
    store: &Store,
    system: &SystemName,
    pushed: Pushed,
    sink: &mut dyn Sink,
) -> Result<(Completeness, i64), ConnectError> {
    let failed = |error: StoreError| ConnectError::Target {
        system: system.to_string(),
        operation: "reading what was pushed".to_owned(),
        message: error.to_string(),
    };
    let feed = store.push_feed(system).await.map_err(failed)?;
    let change = feed.change();
    let (batch, doubts) = (Batch::new(sink), Doubts::default());
    let mut reading = Reading { system, feed, pushed, batch, users: 0, groups: 0, doubts };
    if pushed.is_authoritative() {
        reading.identities().await?;
    } else {
        reading.accounts().await?;
    }
    reading.batch.flush().await?;
    let (users, groups) = (reading.users, reading.groups);
    if let Some(why) = reading.doubts.told() {
        return Ok((Completeness::Partial { why }, change));
    }
    let evidence =
        format!("everything that was pushed up to change {change}: {users} users, {groups} groups");
    Ok((Completeness::Complete { evidence }, change))
}

struct Reading<'a> {
    system: &'a SystemName,
    feed: PushFeed,
    pushed: Pushed,
    batch: Batch<'a>,
    users: u64,
    groups: u64,
    doubts: Doubts,
}

/// Why somebody may seem absent who is there, or there who is not.
#[derive(Default)]
struct Doubts {
    /// The first of them.
    told: Vec<String>,
    more: u64,
}

impl Doubts {
    fn push(&mut self, doubt: String) {
        if self.told.len() < DOUBTS_TOLD {
            self.told.push(doubt);
        } else {
            self.more += 1;
        }
    }

    fn told(mut self) -> Option<String> {
        if self.more > 0 {
            self.told.push(format!("{} more like these", self.more));
        }
        (!self.told.is_empty()).then(|| self.told.join("; "))
    }
}

/// A key that more than one user has.
#[derive(Default)]
struct Shared {
    any_is_active: bool,
    /// That they have left was told.
    is_told: bool,
}

impl Reading<'_> {
    fn failed(&self, error: &StoreError) -> ConnectError {
        ConnectError::Target {
            system: self.system.to_string(),
            operation: "reading what was pushed".to_owned(),
            message: error.to_string(),
        }
    }

    fn parsed(&self, id: &str, document: &str) -> Result<Value, ConnectError> {
        serde_json::from_str(document).map_err(|error| {
            self.failed(&StoreError::Corrupt {
                what: format!("the pushed resource {id}"),
                why: error.to_string(),
            })
        })
    }

    async fn after(&mut self, kind: &str, id: &str) -> Result<Vec<ScimResource>, ConnectError> {
        let step = self.feed.reading().after(kind, id, STEP).await;
        step.map_err(|error| self.failed(&error))
    }

    /// Users as identities, and after them those who were deleted.
    async fn identities(&mut self) -> Result<(), ConnectError> {
        let mut gone = self.deleted().await?;
        let mut shared = self.shared_keys().await?;
        let mut last = String::new();
        loop {
            let step = self.after(USER, &last).await?;
            let Some(end) = step.last() else { break };
            last = end.id.clone();
            self.users += step.len() as u64;
            let mut resources = Vec::with_capacity(step.len());
            for resource in &step {
                resources.push(self.parsed(&resource.id, &resource.document)?);
            }
            let users: Vec<PushedUser<'_>> = step
                .iter()
                .zip(&resources)
                .map(|(resource, value)| PushedUser { id: &resource.id, resource: value })
                .collect();
            let managers = self.managers(&users).await?;
            let groups = self.groups_of(&users).await?;
            for user in users {
                let manager = user.manager().map(|id| {
                    // Whoever is not among those pushed may be known from elsewhere by what was written.
                    managers.get(id).cloned().unwrap_or_else(|| IdentityKey::from(id))
                });
                let groups = groups.get(user.id).map_or(&[][..], Vec::as_slice);
                match self.pushed.identity(user, groups, manager) {
                    Ok((identity, mended)) => {
                        for message in mended {
                            self.batch.problem(Problem::new(format!("user {}", user.id), message));
                        }
                        gone.remove(&identity.key);
                        match shared.get_mut(&identity.key.folded()) {
                            None => self.batch.push(Fact::Identity(identity)).await?,
                            // Which of them says how it is nobody knows, so nothing is taken from either.
                            Some(Shared { any_is_active: true, .. }) => {
                                self.doubt(user.id, format!("is {}, as another one is", identity.key));
                            }
                            // That nobody of them is active is no doubt: whoever it is has left.
                            Some(Shared { is_told, .. }) => {
                                if !std::mem::replace(is_told, true) {
                                    self.batch.push(Fact::Identity(identity)).await?;
                                }
                            }
                        }
                    }
                    Err(why) => self.doubt(user.id, why),
                }
            }
            self.batch.progress(self.users, None);
        }
        for identity in gone.into_values() {
            self.batch.push(Fact::Identity(identity)).await?;
        }
        Ok(())
    }

    /// The keys, folded, that more than one user has.
    async fn shared_keys(&mut self) -> Result<HashMap<String, Shared>, ConnectError> {
        let mut shared = HashMap::new();
        if self.pushed.is_key_unique() {
            return Ok(shared);
        }
        let (mut seen, mut active, mut last) = (Seen::default(), Seen::default(), String::new());
        loop {
            let step = self.after(USER, &last).await?;
            let Some(end) = step.last() else { break };
            last = end.id.clone();
            for resource in &step {
                let value = self.parsed(&resource.id, &resource.document)?;
                let user = PushedUser { id: &resource.id, resource: &value };
                let Ok(key) = self.pushed.key_of(user).map(|key| key.folded()) else { continue };
                if user.is_active() {
                    active.insert(&key)?;
                }
                if !seen.insert(&key)? {
                    shared.insert(key, Shared::default());
                }
            }
        }
        for (key, shared) in &mut shared {
            shared.any_is_active = active.contains(key)?;
        }
        Ok(shared)
    }

    /// A user of whom it is not known whom they stand for.
    fn doubt(&mut self, id: &str, why: String) {
        self.doubts.push(format!("user {id} {why}"));
        self.batch.problem(Problem::new(format!("user {id}"), why));
    }

    /// Who was deleted, by their keys: they have left.
    async fn deleted(&mut self) -> Result<BTreeMap<IdentityKey, Identity>, ConnectError> {
        let mut gone = BTreeMap::new();
        let mut last = String::new();
        loop {
            let step = self.feed.deleted_after(USER, &last, STEP).await;
            let step = step.map_err(|error| self.failed(&error))?;
            let Some((end, _)) = step.last() else { return Ok(gone) };
            last = end.clone();
            for (id, document) in &step {
                let resource = self.parsed(id, document)?;
                let user = PushedUser { id, resource: &resource };
                if let Ok((mut identity, _)) = self.pushed.identity(user, &[], None) {
                    identity.state = LifecycleState::Left;
                    gone.insert(identity.key.clone(), identity);
                }
            }
        }
    }

    /// The keys of managers, by their ids.
    async fn managers(
        &mut self,
        users: &[PushedUser<'_>],
    ) -> Result<HashMap<String, IdentityKey>, ConnectError> {
        let mut ids: Vec<&str> = users.iter().filter_map(|user| user.manager()).collect();
        ids.sort_unstable();
        ids.dedup();
        let found = self.feed.documents(USER, &ids).await;
        let mut keys = HashMap::new();
        for (id, document) in found.map_err(|error| self.failed(&error))? {
            let resource = self.parsed(&id, &document)?;
            if let Ok(key) = self.pushed.key_of(PushedUser { id: &id, resource: &resource }) {
                keys.insert(id, key);
            }
        }
        Ok(keys)
    }

    /// The names of users' groups, by the users' ids.
    async fn groups_of(
        &mut self,
        users: &[PushedUser<'_>],
    ) -> Result<HashMap<String, Vec<String>>, ConnectError> {
        let ids: Vec<&str> = users.iter().map(|user| user.id).collect();
        let found = self.feed.groups_of(GROUP, &ids).await;
        let mut names: HashMap<String, Vec<String>> = HashMap::new();
        for (member, document) in found.map_err(|error| self.failed(&error))? {
            let resource = self.parsed(&member, &document)?;
            let name = PushedGroup { id: &member, resource: &resource }.name().to_owned();
            names.entry(member).or_default().push(name);
        }
        names.values_mut().for_each(|names| names.sort());
        Ok(names)
    }

    /// Users as accounts, groups as entitlements, members as grants.
    async fn accounts(&mut self) -> Result<(), ConnectError> {
        let mut last = String::new();
        loop {
            let step = self.after(USER, &last).await?;
            let Some(end) = step.last() else { break };
            last = end.id.clone();
            self.users += step.len() as u64;
            for resource in &step {
                let value = self.parsed(&resource.id, &resource.document)?;
                let account = PushedUser { id: &resource.id, resource: &value }.account();
                self.batch.push(Fact::Account(account)).await?;
            }
            self.batch.progress(self.users, None);
        }
        let names = self.group_names().await?;
        let mut last = String::new();
        loop {
            let step = self.after(GROUP, &last).await?;
            let Some(end) = step.last() else { return Ok(()) };
            last = end.id.clone();
            self.groups += step.len() as u64;
            for mut resource in step {
                // The members of one group at a time: there can be many.
                let filled = self.feed.reading().fill_members(std::slice::from_mut(&mut resource)).await;
                filled.map_err(|error| self.failed(&error))?;
                self.group(&resource, &names).await?;
            }
        }
    }

    async fn group(
        &mut self,
        resource: &ScimResource,
        names: &HashMap<String, EntitlementName>,
    ) -> Result<(), ConnectError> {
        let value = self.parsed(&resource.id, &resource.document)?;
        let group = PushedGroup { id: &resource.id, resource: &value };
        let mut entitlement = group.entitlement(false);
        if let Some(name) = names.get(&resource.id) {
            entitlement.name = name.clone();
        }
        let name = entitlement.name.clone();
        self.batch.push(Fact::Entitlement(entitlement)).await?;
        for member in &resource.members {
            let fact = match names.get(&member.id) {
                // Who is in the inner group holds the outer one.
                Some(inner) => Fact::Containment(Containment { parent: inner.clone(), child: name.clone() }),
                None => Fact::Grant(DirectGrant {
                    account: AccountKey::from(member.id.as_str()),
                    entitlement: name.clone(),
                    valid_from: None,
                    valid_until: None,
                    options: None,
                }),
            };
            self.batch.push(fact).await?;
        }
        Ok(())
    }

    /// What each group is called as an entitlement, by its id.
    async fn group_names(&mut self) -> Result<HashMap<String, EntitlementName>, ConnectError> {
        let mut groups: Vec<(String, Value)> = Vec::new();
        let mut last = String::new();
        loop {
            let step = self.after(GROUP, &last).await?;
            let Some(end) = step.last() else { break };
            last = end.id.clone();
            for resource in step {
                let value = self.parsed(&resource.id, &resource.document)?;
                groups.push((resource.id, value));
            }
        }
        let mut shared: HashMap<&str, u32> = HashMap::new();
        for (id, value) in &groups {
            let group = PushedGroup { id, resource: value };
            *shared.entry(group.name()).or_default() += 1;
        }
        let names = groups.iter().map(|(id, value)| {
            let group = PushedGroup { id, resource: value };
            let is_shared = shared.get(group.name()).is_some_and(|count| *count > 1);
            (id.clone(), group.entitlement(is_shared).name)
        });
        Ok(names.collect())
    }
}
