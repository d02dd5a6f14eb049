//! Everything that a server says about who can log in, with what, and what they hold.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_model::account::{Account, PostureFinding};
use leasehold_model::entitlement::{Containment, DirectGrant, Entitlement};
use leasehold_model::fact::{Completeness, Fact, Problem};
use leasehold_model::id::EntitlementName;

use crate::connector::{Batch, Sink};
use crate::error::ConnectError;
use crate::openbao::client::Client;
use crate::openbao::lease::{self, TokenLeases};
use crate::openbao::object::{Entity, Group, LogIn, LogInKind, NO_ENTITY, NO_ENTITY_LOGIN, log_ins, token};

/// Why nobody is taken out of such a group here.
pub(super) const MEMBERS_ARE_ELSEWHERE: &str =
    "its members are those of a group in the system that people log in with; take them out there";

/// One enumeration.
struct Reading<'run> {
    client: &'run Client,
    batch: Batch<'run>,
    /// Keys of the accounts that were told.
    accounts: BTreeSet<String>,
    /// Names of groups by their id.
    groups: BTreeMap<String, String>,
    policies: BTreeSet<String>,
    /// Which log-ins come to which entity, by the log-in's mount and the name of the alias.
    aliases: BTreeMap<(String, String), String>,
    grants: BTreeSet<(String, EntitlementName)>,
    credentials: u64,
    token_leases: TokenLeases,
    missing: Vec<String>,
}

/// Streams every fact.
pub(super) async fn enumerate(client: &Client, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
    let mut reading = Reading {
        client,
        batch: Batch::new(sink),
        accounts: BTreeSet::new(),
        groups: BTreeMap::new(),
        policies: BTreeSet::new(),
        aliases: BTreeMap::new(),
        grants: BTreeSet::new(),
        credentials: 0,
        token_leases: TokenLeases::default(),
        missing: Vec::new(),
    };
    let before = Lists::read(client).await?;
    reading.read_policies(&before).await?;
    reading.read_groups(&before).await?;
    reading.read_entities(&before).await?;
    reading.read_log_ins(&before).await?;
    // Before the tokens, so that one that comes meanwhile is no lease without a token.
    let leases = list_leases(client).await?;
    reading.read_tokens().await?;
    reading.read_leases(leases, &before).await?;
    reading.tell_grants().await?;
    reading.batch.flush().await?;
    let after = Lists::read(client).await?;
    if before != after {
        reading.missing.push("entities, groups, policies or log-ins changed while they were read".to_owned());
    }
    if !reading.missing.is_empty() {
        return Ok(Completeness::Partial { why: reading.missing.join("; ") });
    }
    Ok(Completeness::Complete {
        evidence: format!(
            "{} entities, {} groups, {} policies, {} log-ins were listed alike before and after and each was read; {} \
             grants, {} credentials",
            before.entities.len(),
            before.groups.len(),
            before.policies.len(),
            before.log_ins.len(),
            reading.grants.len(),
            reading.credentials
        ),
    })
}

/// What the server lists, each list as a whole.
#[derive(PartialEq, Eq)]
struct Lists {
    entities: BTreeSet<String>,
    groups: BTreeSet<String>,
    policies: BTreeSet<String>,
    log_ins: Vec<LogIn>,
}

impl Lists {
    async fn read(client: &Client) -> Result<Self, ConnectError> {
        Ok(Self {
            entities: client.list(&["identity", "entity", "id"]).await?.into_iter().collect(),
            groups: client.list(&["identity", "group", "id"]).await?.into_iter().collect(),
            policies: client.list(&["sys", "policies", "acl"]).await?.into_iter().collect(),
            log_ins: log_ins(client).await?,
        })
    }
}

impl Reading<'_> {
    async fn read_policies(&mut self, lists: &Lists) -> Result<(), ConnectError> {
        for name in &lists.policies {
            self.policies.insert(name.clone());
            self.batch.push(Fact::Entitlement(policy(name))).await?;
        }
        Ok(())
    }

    /// A policy can be held before anybody writes it: then it gives nothing, and everything once somebody does.
    async fn policy(&mut self, name: &str) -> Result<EntitlementName, ConnectError> {
        let entitlement = policy(name);
        let address = entitlement.name.clone();
        if self.policies.insert(name.to_owned()) {
            self.batch.push(Fact::Entitlement(entitlement)).await?;
        }
        Ok(address)
    }

    async fn read_groups(&mut self, lists: &Lists) -> Result<(), ConnectError> {
        let mut groups: Vec<Group> = Vec::new();
        for id in &lists.groups {
            // One that went since it was listed shows in the second listing.
            groups.extend(self.client.find(&["identity", "group", "id", id]).await?);
        }
        self.groups = groups.iter().map(|group| (group.id.clone(), group.name.clone())).collect();
        for group in &groups {
            let name = EntitlementName::new("group", &group.name);
            let mut entitlement = Entitlement::new("group", &group.name);
            entitlement.native = Some(group.id.clone());
            entitlement.irrevocable = (group.kind == "external").then(|| MEMBERS_ARE_ELSEWHERE.to_owned());
            self.batch.push(Fact::Entitlement(entitlement)).await?;
            let policies: BTreeSet<&String> = group.policies.iter().collect();
            for policy in policies {
                let child = self.policy(policy).await?;
                self.contain(name.clone(), child).await?;
            }
            let inner: BTreeSet<&String> = group.member_group_ids.iter().collect();
            for id in inner {
                match self.groups.get(id) {
                    Some(inner) => {
                        let parent = EntitlementName::new("group", inner);
                        self.contain(parent, name.clone()).await?;
                    }
                    None => self.missing.push(format!("a group in {name} could not be read: {id}")),
                }
            }
        }
        Ok(())
    }

    async fn read_entities(&mut self, lists: &Lists) -> Result<(), ConnectError> {
        let total = lists.entities.len() as u64;
        for (done, id) in lists.entities.iter().enumerate() {
            let found: Option<Entity> = self.client.find(&["identity", "entity", "id", id]).await?;
            let Some(entity) = found else { continue };
            self.entity(entity).await?;
            self.batch.progress(done as u64 + 1, Some(total));
        }
        Ok(())
    }

    async fn entity(&mut self, entity: Entity) -> Result<(), ConnectError> {
        let id = entity.id;
        let mut account = Account::new(id.as_str(), &entity.name);
        account.enabled = !entity.disabled;
        let metadata = entity.metadata.into_iter().map(|(key, value)| (format!("metadata.{key}"), value));
        account.attributes.extend(metadata);
        for alias in entity.aliases {
            let mount = alias.mount_path.trim_end_matches('/').to_owned();
            let attribute = format!("alias.{}", mount.trim_start_matches("auth/"));
            account.attributes.insert(attribute, alias.name.clone());
            self.aliases.insert((mount, alias.name), id.clone());
        }
        if entity.policies.iter().any(|policy| policy == "root") {
            account.posture.push(PostureFinding::Superuser);
        }
        self.accounts.insert(id.clone());
        self.batch.push(Fact::Account(account)).await?;
        for policy in &entity.policies {
            let name = self.policy(policy).await?;
            self.grants.insert((id.clone(), name));
        }
        for group in &entity.direct_group_ids {
            match self.groups.get(group) {
                Some(name) => {
                    self.grants.insert((id.clone(), EntitlementName::new("group", name)));
                }
                None => self.missing.push(format!("a group of {} could not be read: {group}", entity.name)),
            }
        }
        Ok(())
    }

    /// Users and roles of the server's own auth methods: those of an entity by their alias, and the others by themselves.
    async fn read_log_ins(&mut self, lists: &Lists) -> Result<(), ConnectError> {
        for log_in in &lists.log_ins {
            let (policies, alias) =
                (log_in.policies(self.client).await?, log_in.alias_name(self.client).await?);
            let (Some(policies), Some(alias)) = (policies, alias) else { continue };
            let entity = self.aliases.get(&(log_in.mount.clone(), alias)).cloned();
            let account = entity.unwrap_or_else(|| log_in.key());
            if self.accounts.insert(account.clone()) {
                self.batch.push(Fact::Account(Account::new(account.as_str(), &log_in.name))).await?;
            }
            for policy in &policies {
                let name = self.policy(policy).await?;
                self.grants.insert((account.clone(), name));
            }
            for credential in log_in.credentials(self.client, &account).await? {
                self.credentials += 1;
                self.batch.push(Fact::Credential(credential)).await?;
            }
        }
        Ok(())
    }

    async fn read_tokens(&mut self) -> Result<(), ConnectError> {
        let accessors = self.client.list(&["auth", "token", "accessors"]).await?;
        let accessors: BTreeSet<String> = accessors.into_iter().collect();
        for accessor in accessors {
            // What is no longer there has ended since it was listed: tokens end all the time.
            let Some(token) = token(self.client, &accessor).await? else { continue };
            let account = token.account();
            if account.as_str() == NO_ENTITY && self.accounts.insert(NO_ENTITY.to_owned()) {
                let mut holder = Account::new(NO_ENTITY, NO_ENTITY_LOGIN);
                holder.kind = Some(leasehold_model::identity::IdentityKind::Service);
                self.batch.push(Fact::Account(holder)).await?;
            } else if !self.accounts.contains(account.as_str()) {
                let message = "a token is of an entity that was not listed; it is left out";
                self.batch.problem(Problem::new(account.as_str(), message));
                self.missing.push(format!("the entity {account} of a token"));
                continue;
            }
            self.credentials += 1;
            self.token_leases.add(&token);
            self.batch.push(Fact::Credential(token.credential())).await?;
        }
        Ok(())
    }

    /// Tells the leases of log-ins that no token was told of, and that there are others.
    async fn read_leases(
        &mut self,
        leases: BTreeMap<String, &str>,
        lists: &Lists,
    ) -> Result<(), ConnectError> {
        let mut others: BTreeMap<&str, u64> = BTreeMap::new();
        for (id, prefix) in leases {
            // What a secrets engine made says nothing more when it is looked up.
            if !id.starts_with("auth/") {
                *others.entry(prefix).or_default() += 1;
                continue;
            }
            let Some(lease) = lease::find(self.client, &id).await? else { continue };
            if lease.is_of(&self.token_leases) {
                continue;
            }
            match self.holder(lease.path(), lists) {
                Some(account) => {
                    self.credentials += 1;
                    self.batch.push(Fact::Credential(lease.credential(&account))).await?;
                }
                None => *others.entry(prefix).or_default() += 1,
            }
        }
        for (prefix, count) in others {
            let message = format!(
                "nobody can say whose they are: {count} lease{}; each ends with the token that it was made with",
                if count == 1 { "" } else { "s" }
            );
            self.batch.problem(Problem::new(format!("leases below {prefix}"), message));
        }
        Ok(())
    }

    /// Who logged in at a path. `userpass` lets somebody in however they write their name.
    fn holder(&self, path: &str, lists: &Lists) -> Option<String> {
        let (mount, name) = lease::log_in_of(path)?;
        let of = |name: String| self.aliases.get(&(mount.to_owned(), name)).cloned();
        let is_folded =
            || lists.log_ins.iter().any(|log_in| log_in.mount == mount && log_in.kind == LogInKind::UserPass);
        of(name.to_owned()).or_else(|| is_folded().then(|| of(name.to_lowercase()))?)
    }

    async fn tell_grants(&mut self) -> Result<(), ConnectError> {
        for (account, entitlement) in &self.grants {
            let (account, entitlement) = (account.as_str().into(), entitlement.clone());
            let grant =
                DirectGrant { account, entitlement, valid_from: None, valid_until: None, options: None };
            self.batch.push(Fact::Grant(grant)).await?;
        }
        Ok(())
    }

    async fn contain(&mut self, parent: EntitlementName, child: EntitlementName) -> Result<(), ConnectError> {
        self.batch.push(Fact::Containment(Containment { parent, child })).await
    }
}

/// The names of leases, with the prefix of the settings that each is below.
async fn list_leases(client: &Client) -> Result<BTreeMap<String, &str>, ConnectError> {
    let mut leases = BTreeMap::new();
    for prefix in &client.settings.lease_prefixes {
        let ids = lease::ids(client, prefix).await?;
        leases.extend(ids.into_iter().map(|id| (id, prefix.as_str())));
    }
    Ok(leases)
}

fn policy(name: &str) -> Entitlement {
    let mut entitlement = Entitlement::new("policy", name);
    entitlement.privileged = name == "root";
    // Every token has it unless it says otherwise.
    entitlement.inherent = name == "default";
    entitlement
}
