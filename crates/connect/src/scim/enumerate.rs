//! Everything that a server tells: users, what each holds by itself, groups, and who is in them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use leasehold_model::entitlement::{Containment, DirectGrant, Entitlement};
use leasehold_model::fact::{Completeness, Fact, Problem};
use leasehold_model::id::EntitlementName;
use serde_json::Value;

use crate::connector::{Batch, Sink};
use crate::error::ConnectError;
use crate::scim::client::Client;
use crate::scim::find;
use crate::scim::paging::{Listing, count};
use crate::scim::resource::{MemberKind, account, groups_of, login, member, names, text};
use crate::scim::settings::Membership;
use crate::seen::Seen;

/// Attributes of a user that give something, with the kind of entitlement that each value is.
const GIVING: &[(&str, &str)] = &[("roles", "role"), ("entitlements", "entitlement")];
/// How many reasons for doubt are told.
const DOUBTS_MAX: usize = 8;

/// One enumeration.
struct Reading<'run> {
    client: &'run Client,
    batch: Batch<'run>,
    users: Seen,
    /// Names of groups by their id.
    groups: HashMap<String, EntitlementName>,
    /// Values of users' own attributes that were told.
    told: BTreeSet<EntitlementName>,
    grants: u64,
    members: u64,
    /// A user's own `groups` showed one.
    users_tell_groups: bool,
    doubts: Vec<String>,
}

/// Streams every fact.
pub(super) async fn enumerate(client: &Client, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
    let mut reading = Reading {
        client,
        batch: Batch::new(sink),
        users: Seen::default(),
        groups: HashMap::new(),
        told: BTreeSet::new(),
        grants: 0,
        members: 0,
        users_tell_groups: false,
        doubts: Vec::new(),
    };
    let membership = client.settings.membership;
    let groups = if membership == Membership::None { Some(0) } else { reading.read_groups().await? };
    let users = reading.read_users().await?;
    match membership {
        Membership::GroupList => reading.read_member_lists().await?,
        Membership::Group => reading.read_members_one_by_one().await?,
        Membership::User | Membership::None => {}
    }
    reading.batch.flush().await?;
    reading.compare_again("Users", users).await?;
    if membership != Membership::None {
        reading.compare_again("Groups", groups).await?;
    }
    let by_group = matches!(membership, Membership::GroupList | Membership::Group);
    if by_group && reading.members == 0 && reading.users_tell_groups {
        reading
            .doubt("no group shows a member, and users show groups; set `membership = \"user\"`".to_owned());
    }
    let (user_count, group_count) = (reading.users.count(), reading.groups.len());
    if user_count == 0 {
        reading.doubt("there is no user at all, not even the connector's own".to_owned());
    }
    if !reading.doubts.is_empty() {
        return Ok(Completeness::Partial { why: reading.doubts.join("; ") });
    }
    let proof = match users {
        Some(_) => "totalResults was the same on every page and afterwards",
        None => "the last page said that it is the last",
    };
    Ok(Completeness::Complete {
        evidence: format!(
            "{user_count} users and {group_count} groups came once each, and {proof}; {} grants",
            reading.grants
        ),
    })
}

impl Reading<'_> {
    /// The groups without their members: their names have to be known before anything is said of them.
    async fn read_groups(&mut self) -> Result<Option<u64>, ConnectError> {
        let page_size = self.client.settings.page_size;
        let listing = Listing::begin(self.client, "Groups", page_size).await?;
        let mut listing = listing.with_wish("excludedAttributes", "members");
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        while let Some(page) = listing.next().await? {
            for group in &page {
                let Some(id) = self.id("Groups", group) else { continue };
                let name = text(group, "displayName").filter(|name| !name.is_empty());
                if name.is_none() {
                    self.batch.problem(Problem::new(
                        format!("Groups/{id}"),
                        "it has no displayName; its id stands for it",
                    ));
                }
                let name = name.unwrap_or_else(|| id.clone());
                if found.insert(id, name).is_some() {
                    self.doubt("a group came twice: the list moved while it was read".to_owned());
                }
            }
        }
        self.take_doubts(&mut listing);
        let mut bearers: HashMap<&str, usize> = HashMap::new();
        for name in found.values() {
            *bearers.entry(name).or_default() += 1;
        }
        for (id, name) in &found {
            let mut entitlement = Entitlement::new("group", name);
            if bearers.get(name.as_str()).is_some_and(|bearers| *bearers > 1) {
                entitlement = Entitlement::new("group", format!("{name} ({id})"));
                let message = "another group has the same displayName; both are told with their ids";
                self.batch.problem(Problem::new(format!("Groups/{id}"), message));
            }
            entitlement.native = Some(id.clone());
            self.groups.insert(id.clone(), entitlement.name.clone());
            self.batch.push(Fact::Entitlement(entitlement)).await?;
        }
        Ok(listing.total)
    }

    async fn read_users(&mut self) -> Result<Option<u64>, ConnectError> {
        let mut listing = Listing::begin(self.client, "Users", self.client.settings.page_size).await?;
        while let Some(page) = listing.next().await? {
            for user in &page {
                let Some(id) = self.id("Users", user) else { continue };
                if !self.users.insert(&id)? {
                    self.doubt("a user came twice: the list moved while it was read".to_owned());
                    continue;
                }
                self.user(&id, user).await?;
            }
            self.batch.progress(listing.read, listing.total.map(|total| total.max(listing.read)));
        }
        self.take_doubts(&mut listing);
        Ok(listing.total)
    }

    async fn user(&mut self, id: &str, user: &Value) -> Result<(), ConnectError> {
        if login(user).is_none() {
            self.batch
                .problem(Problem::new(format!("Users/{id}"), "it has no userName; its id stands for it"));
        }
        self.batch.push(Fact::Account(account(id, user))).await?;
        for (attribute, kind) in GIVING {
            for name in names(user, attribute) {
                let entitlement = Entitlement::new(*kind, name);
                let name = entitlement.name.clone();
                if self.told.insert(name.clone()) {
                    self.batch.push(Fact::Entitlement(entitlement)).await?;
                }
                self.grant(id, name).await?;
            }
        }
        let groups = groups_of(user);
        self.users_tell_groups |= !groups.is_empty();
        if self.client.settings.membership == Membership::User {
            let direct: BTreeSet<String> =
                groups.into_iter().filter_map(|(group, is_direct)| is_direct.then_some(group)).collect();
            for group in direct {
                match self.groups.get(&group).cloned() {
                    Some(name) => self.grant(id, name).await?,
                    None => self.doubt(format!("a user is in a group that was not listed: {group}")),
                }
            }
        }
        Ok(())
    }

    async fn read_member_lists(&mut self) -> Result<(), ConnectError> {
        let mut listing = Listing::begin(self.client, "Groups", self.client.settings.group_page_size).await?;
        let mut read = BTreeSet::new();
        while let Some(page) = listing.next().await? {
            for group in &page {
                let Some(id) = self.id("Groups", group) else { continue };
                match self.groups.get(&id).cloned() {
                    Some(name) if read.insert(id) => self.members(&name, group).await?,
                    Some(_) => self.doubt("a group came twice: the list moved while it was read".to_owned()),
                    None => self.doubt("a group came while groups were read".to_owned()),
                }
            }
        }
        if read.len() < self.groups.len() {
            self.doubt("a group went while groups were read".to_owned());
        }
        self.take_doubts(&mut listing);
        Ok(())
    }

    async fn read_members_one_by_one(&mut self) -> Result<(), ConnectError> {
        let groups: Vec<(String, EntitlementName)> =
            self.groups.iter().map(|(id, name)| (id.clone(), name.clone())).collect();
        for (id, name) in groups {
            match find::by_id(self.client, "Groups", &id).await? {
                Some(group) => self.members(&name, &group.body).await?,
                None => self.doubt("a group went while groups were read".to_owned()),
            }
        }
        Ok(())
    }

    /// Tells who is in a group: users hold it, and groups in it carry it.
    async fn members(&mut self, name: &EntitlementName, group: &Value) -> Result<(), ConnectError> {
        let mut told = BTreeSet::new();
        for written in crate::scim::resource::values(group, "members") {
            let place = || format!("members of {name}");
            let Some((id, kind)) = member(written) else {
                self.batch.problem(Problem::new(place(), "a member has no id; it is left out"));
                self.doubt(format!("a member of {name} has no id"));
                continue;
            };
            self.members += 1;
            let (is_user, inner) = (self.users.contains(&id)?, self.groups.get(&id).cloned());
            let is_group = match kind {
                MemberKind::User => false,
                MemberKind::Group => true,
                MemberKind::Unstated if is_user && inner.is_some() => {
                    let message = format!(
                        "{id} is the id of a user and of a group, and the server does not say which is meant"
                    );
                    self.batch.problem(Problem::new(place(), &message));
                    self.doubt(format!("a member of {name}: {message}"));
                    continue;
                }
                MemberKind::Unstated => inner.is_some(),
            };
            if !told.insert((is_group, id.clone())) {
                continue;
            }
            match inner {
                Some(inner) if is_group => {
                    let (parent, child) = (inner, name.clone());
                    self.batch.push(Fact::Containment(Containment { parent, child })).await?;
                }
                None if is_group => {
                    self.batch.problem(Problem::new(
                        place(),
                        format!("the group {id} was not listed; it is left out"),
                    ));
                }
                _ if is_user => self.grant(&id, name.clone()).await?,
                _ => {
                    self.batch.problem(Problem::new(
                        place(),
                        format!("the user {id} was not listed; it is left out"),
                    ));
                }
            }
        }
        Ok(())
    }

    async fn grant(&mut self, account: &str, entitlement: EntitlementName) -> Result<(), ConnectError> {
        self.grants += 1;
        let account = account.into();
        let grant = DirectGrant { account, entitlement, valid_from: None, valid_until: None, options: None };
        self.batch.push(Fact::Grant(grant)).await
    }

    /// The id of a resource. One without cannot be told, and so is missing.
    fn id(&mut self, resource: &str, found: &Value) -> Option<String> {
        let id = text(found, "id").filter(|id| !id.is_empty());
        if id.is_none() {
            let called = login(found).or_else(|| text(found, "displayName")).unwrap_or_default();
            self.batch
                .problem(Problem::new(format!("{resource} `{called}`"), "it has no id; it is left out"));
            self.doubt(format!("one of {resource} has no id"));
        }
        id
    }

    /// Counts again after everything was read: something may have come where nobody looked any more.
    async fn compare_again(
        &mut self,
        resource: &'static str,
        before: Option<u64>,
    ) -> Result<(), ConnectError> {
        let Some(before) = before else { return Ok(()) };
        match count(self.client, resource).await? {
            Some(after) if after == before => {}
            Some(after) => {
                self.doubt(format!("there were {before} {resource}, and {after} after they were read"))
            }
            None => self.doubt(format!("{resource} were not counted again")),
        }
        Ok(())
    }

    fn take_doubts(&mut self, listing: &mut Listing<'_>) {
        for doubt in std::mem::take(&mut listing.doubts) {
            self.doubt(doubt);
        }
    }

    fn doubt(&mut self, why: String) {
        if !self.doubts.contains(&why) && self.doubts.len() < DOUBTS_MAX {
            self.doubts.push(why);
        }
    }
}
