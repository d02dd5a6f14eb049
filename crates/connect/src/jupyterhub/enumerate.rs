//! Everything that a hub says about who can log in, with what, and what they hold.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_model::entitlement::{Containment, DirectGrant, Entitlement};
use leasehold_model::fact::{Completeness, Fact, Problem};
use leasehold_model::id::EntitlementName;

use crate::connector::{Batch, Sink};
use crate::error::ConnectError;
use crate::jupyterhub::client::{Client, can_be_asked_for};
use crate::jupyterhub::object::{ADMIN, Group, Service, Share, Tokens, USER, User};

/// What everything is read with.
pub(super) const READING: [&str; 13] = [
    "list:users",
    "read:users",
    "read:roles:users",
    "read:servers",
    "read:tokens",
    "read:users:shares",
    "list:groups",
    "read:groups",
    "read:roles:groups",
    "read:groups:shares",
    "list:services",
    "read:services",
    "read:roles:services",
];

/// Why a role is not taken away here.
pub(super) const ROLE_IS_CONFIGURED: &str =
    "the hub's configuration gives it, in `load_roles`; take it out there and start the hub anew";

/// One enumeration.
struct Reading<'run> {
    client: &'run Client,
    batch: Batch<'run>,
    /// Roles and shares that were told.
    told: BTreeSet<EntitlementName>,
    grants: u64,
    credentials: u64,
    missing: Vec<String>,
}

/// Streams every fact.
pub(super) async fn enumerate(client: &Client, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
    client.must_see("reading everything", &READING).await?;
    let before = Lists::read(client).await?;
    let mut reading = Reading {
        client,
        batch: Batch::new(sink),
        told: BTreeSet::new(),
        grants: 0,
        credentials: 0,
        missing: before.doubts.clone(),
    };
    for group in before.groups.values() {
        reading.group(group).await?;
    }
    for service in before.services.values() {
        reading.service(service).await?;
    }
    let total = before.users.len() as u64;
    for (done, user) in before.users.values().enumerate() {
        reading.user(user).await?;
        reading.batch.progress(done as u64 + 1, Some(total));
    }
    reading.batch.flush().await?;
    let after = Lists::read(client).await?;
    if before.access() != after.access() {
        reading.missing.push("users, groups or services changed while they were read".to_owned());
    }
    if !reading.missing.is_empty() {
        return Ok(Completeness::Partial { why: reading.missing.join("; ") });
    }
    Ok(Completeness::Complete {
        evidence: format!(
            "{} users, {} groups and {} services, as many as the hub counts, were listed alike before and after and each \
             was read; {} grants, {} credentials",
            before.users.len(),
            before.groups.len(),
            before.services.len(),
            reading.grants,
            reading.credentials
        ),
    })
}

/// What the hub lists, each list as a whole.
struct Lists {
    users: BTreeMap<String, User>,
    groups: BTreeMap<String, Group>,
    services: BTreeMap<String, Service>,
    /// Why it may not be all.
    doubts: Vec<String>,
}

impl Lists {
    async fn read(client: &Client) -> Result<Self, ConnectError> {
        let users = client.list::<User>(&["users"], &READING).await?;
        let groups = client.list::<Group>(&["groups"], &READING).await?;
        let (Some(users), Some(groups)) = (users, groups) else {
            return Err(client.error(&["users"], "they are not there; is this a JupyterHub?"));
        };
        let services: BTreeMap<String, Service> = client.read(&["services"]).await?;
        let mut doubts: Vec<String> = users.doubt.into_iter().chain(groups.doubt).collect();
        let (listed_users, listed_groups) = (users.items.len(), groups.items.len());
        let named = |user: User| (user.name.clone(), user);
        let users: BTreeMap<_, _> = users.items.into_iter().map(named).collect();
        let named = |group: Group| (group.name.clone(), group);
        let groups: BTreeMap<_, _> = groups.items.into_iter().map(named).collect();
        if (users.len(), groups.len()) != (listed_users, listed_groups) {
            doubts.push("a user or group came twice: they moved while they were read".to_owned());
        }
        Ok(Self { users, groups, services, doubts })
    }

    /// What holds still while nobody changes it: servers start and tokens are used all the time.
    fn access(&self) -> impl PartialEq + use<> {
        let users: Vec<_> = self.users.values().map(User::access).collect();
        (users, self.groups.clone(), self.services.clone())
    }
}

impl Reading<'_> {
    async fn group(&mut self, group: &Group) -> Result<(), ConnectError> {
        let name = EntitlementName::new("group", &group.name);
        self.batch.push(Fact::Entitlement(Entitlement::new("group", &group.name))).await?;
        let roles: BTreeSet<&String> = group.roles.iter().collect();
        for role in roles {
            let role = self.role(role).await?;
            self.contain(name.clone(), role).await?;
        }
        if !self.can_be_asked_for("group", &group.name, "what is shared with it is") {
            return Ok(());
        }
        for share in self.shares(&["groups", &group.name, "shared"]).await? {
            let share = self.share(&share).await?;
            self.contain(name.clone(), share).await?;
        }
        Ok(())
    }

    async fn service(&mut self, service: &Service) -> Result<(), ConnectError> {
        let account = service.account();
        let key = account.key.to_string();
        self.batch.push(Fact::Account(account)).await?;
        for role in service.roles() {
            let role = self.role(&role).await?;
            self.grant(&key, role, None).await?;
        }
        Ok(())
    }

    async fn user(&mut self, user: &User) -> Result<(), ConnectError> {
        self.batch.push(Fact::Account(user.account())).await?;
        for role in user.roles() {
            let role = self.role(&role).await?;
            self.grant(&user.name, role, None).await?;
        }
        let groups: BTreeSet<&String> = user.groups.iter().collect();
        for group in groups {
            self.grant(&user.name, EntitlementName::new("group", group), None).await?;
        }
        if !self.can_be_asked_for("user", &user.name, "what is shared with it and its tokens are") {
            return Ok(());
        }
        for share in self.shares(&["users", &user.name, "shared"]).await? {
            if share.is_direct() {
                let name = self.share(&share).await?;
                self.grant(&user.name, name, Some(share.scopes.join(" "))).await?;
            }
        }
        let path = ["users", user.name.as_str(), "tokens"];
        // A user who went since they were listed shows in the second listing.
        let found: Option<Tokens> = self.client.find(&path, &READING).await?;
        for token in found.into_iter().flat_map(|found| found.api_tokens) {
            self.credentials += 1;
            self.batch.push(Fact::Credential(token.credential(&user.name))).await?;
        }
        Ok(())
    }

    /// Whether the hub can be asked about one by its name; where it cannot, what is not read is missing.
    fn can_be_asked_for(&mut self, sort: &str, name: &str, what: &str) -> bool {
        let can_be = can_be_asked_for(name);
        if !can_be {
            let message =
                format!("no address can have a name of dots, so that {what} not read; rename the {sort}");
            self.batch.problem(Problem::new(format!("{sort} {name}"), message));
            self.missing.push(format!("the {sort} `{name}` cannot be asked about"));
        }
        can_be
    }

    async fn shares(&mut self, path: &[&str]) -> Result<Vec<Share>, ConnectError> {
        let Some(listed) = self.client.list::<Share>(path, &READING).await? else { return Ok(Vec::new()) };
        self.missing.extend(listed.doubt);
        Ok(listed.items)
    }

    /// A role is told where somebody has it: the hub has no list of them.
    async fn role(&mut self, name: &str) -> Result<EntitlementName, ConnectError> {
        let mut entitlement = Entitlement::new("role", name);
        entitlement.privileged = name == ADMIN;
        entitlement.inherent = name == USER;
        entitlement.irrevocable = (name != ADMIN && name != USER).then(|| ROLE_IS_CONFIGURED.to_owned());
        self.tell(entitlement).await
    }

    async fn share(&mut self, share: &Share) -> Result<EntitlementName, ConnectError> {
        let name = share.name();
        self.tell(Entitlement::new(name.kind, name.name)).await
    }

    async fn tell(&mut self, entitlement: Entitlement) -> Result<EntitlementName, ConnectError> {
        let name = entitlement.name.clone();
        if self.told.insert(name.clone()) {
            self.batch.push(Fact::Entitlement(entitlement)).await?;
        }
        Ok(name)
    }

    async fn grant(
        &mut self,
        account: &str,
        entitlement: EntitlementName,
        options: Option<String>,
    ) -> Result<(), ConnectError> {
        self.grants += 1;
        let grant = DirectGrant {
            account: account.into(),
            entitlement,
            valid_from: None,
            valid_until: None,
            options,
        };
        self.batch.push(Fact::Grant(grant)).await
    }

    async fn contain(&mut self, parent: EntitlementName, child: EntitlementName) -> Result<(), ConnectError> {
        self.batch.push(Fact::Containment(Containment { parent, child })).await
    }
}
