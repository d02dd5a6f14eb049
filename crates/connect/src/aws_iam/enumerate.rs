//! Everything that an account says about who can log in, with what, and what they hold.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use leasehold_model::account::{Account, LastUse, PostureFinding};
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::entitlement::{Containment, DirectGrant, Entitlement};
use leasehold_model::fact::{Completeness, Fact, Problem};
use leasehold_model::id::EntitlementName;

use crate::aws_iam::client::{Client, PAGES_MAX};
use crate::aws_iam::credentials::{self, Found, instant};
use crate::aws_iam::document::Document;
use crate::aws_iam::execute::ROLE_IS_IN_ITS_TRUST;
use crate::aws_iam::name::{DISABLED, SESSIONS_ENDED, inline, is_of_aws, managed};
use crate::aws_iam::paths::managed_document;
use crate::aws_iam::read_back::{ROOT, ROOT_ACCESS_KEYS, ROOT_LOGIN, Summary, summary};
use crate::aws_iam::xml::Node;
use crate::connector::{Batch, Sink};
use crate::error::ConnectError;

/// How many users are asked about at once. IAM limits the rate of a whole account.
const AT_ONCE: usize = 4;

/// A role as far as later facts need it.
struct Role {
    name: EntitlementName,
    arn: String,
    trust: Document,
}

/// One enumeration.
struct Reading<'run> {
    client: &'run Client,
    batch: Batch<'run>,
    /// The number of the account.
    account: String,
    /// When each user's password was last used, by its id.
    passwords: HashMap<String, Option<Timestamp>>,
    /// Ids and names of what was told, each by its kind: a page may come twice.
    users: HashMap<String, String>,
    groups: HashSet<String>,
    roles: BTreeMap<String, Role>,
    policies: HashSet<String>,
    /// Policies of AWS that are attached to something.
    aws_policies: BTreeMap<String, EntitlementName>,
    /// Policies that let their holder assume roles.
    assuming: Vec<(EntitlementName, Document)>,
    /// What could not be read, and why.
    missing: BTreeSet<String>,
    /// Listings that the settings leave out.
    without: Vec<String>,
    grants: u64,
    credentials: u64,
}

/// Streams every fact.
pub(super) async fn enumerate(client: &Client, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
    let account = client.caller().await?.account.clone();
    let before = summary(client).await?;
    let mut reading = Reading {
        client,
        batch: Batch::new(sink),
        account,
        passwords: HashMap::new(),
        users: HashMap::new(),
        groups: HashSet::new(),
        roles: BTreeMap::new(),
        policies: HashSet::new(),
        aws_policies: BTreeMap::new(),
        assuming: Vec::new(),
        missing: BTreeSet::new(),
        without: client.settings.leave_out.clone(),
        grants: 0,
        credentials: 0,
    };
    reading.read_root(&before).await?;
    reading.read_password_uses().await?;
    reading.read_details(&before).await?;
    reading.read_aws_policies().await?;
    reading.tell_who_assumes().await?;
    reading.batch.flush().await?;
    let after = summary(client).await?;
    Ok(reading.completeness(&before, &after))
}

impl Reading<'_> {
    /// The account's root: no user, and able to do everything.
    async fn read_root(&mut self, summary: &Summary) -> Result<(), ConnectError> {
        let mut root = Account::new(ROOT, ROOT_LOGIN);
        root.posture.push(PostureFinding::Superuser);
        if summary.root_has_second_factor == Some(false) {
            root.posture.push(PostureFinding::NoSecondFactor);
        }
        root.attributes.insert("arn".to_owned(), format!("arn:aws:iam::{}:root", self.account));
        self.batch.push(Fact::Account(root)).await?;
        match summary.root_access_keys {
            Some(0) => Ok(()),
            Some(count) => {
                let label = format!("access keys of root: {count}");
                let keys = Credential::new(ROOT_ACCESS_KEYS, ROOT, CredentialKind::AccessKey, label);
                self.credentials += 1;
                self.batch.push(Fact::Credential(keys)).await
            }
            None => {
                self.missing.insert("GetAccountSummary does not say whether root has access keys".to_owned());
                Ok(())
            }
        }
    }

    async fn read_password_uses(&mut self) -> Result<(), ConnectError> {
        let passwords = &mut self.passwords;
        self.client
            .pages("ListUsers", &[], |page| {
                passwords
                    .extend(page.members("Users").map(|user| {
                        (user.text("UserId").to_owned(), instant(user.text("PasswordLastUsed")))
                    }));
            })
            .await
    }

    /// Users, groups, roles and the account's own policies, in one listing that has them all.
    async fn read_details(&mut self, expected: &Summary) -> Result<(), ConnectError> {
        const ACTION: &str = "GetAccountAuthorizationDetails";
        let filter = [
            ("Filter.member.1", "User"),
            ("Filter.member.2", "Group"),
            ("Filter.member.3", "Role"),
            ("Filter.member.4", "LocalManagedPolicy"),
        ];
        let mut marker = None;
        for _ in 0..PAGES_MAX {
            let page = self.client.page(ACTION, &filter, marker.as_deref()).await?;
            let (page, next) = page.map_err(|error| self.client.target_error(ACTION, &error))?;
            for policy in page.members("Policies") {
                self.policy(policy).await?;
            }
            for role in page.members("RoleDetailList") {
                self.role(role).await?;
            }
            for group in page.members("GroupDetailList") {
                self.group(group).await?;
            }
            self.users_of(&page).await?;
            let users = self.users.len() as u64;
            self.batch.progress(users, expected.users.map(|expected| expected.max(users)));
            match next {
                Some(next) => marker = Some(next),
                None => return Ok(()),
            }
        }
        Err(self.client.settings.http.target_error(ACTION, format!("more than {PAGES_MAX} pages")))
    }

    async fn policy(&mut self, policy: &Node) -> Result<(), ConnectError> {
        let arn = policy.text("Arn");
        if is_of_aws(arn) || !self.policies.insert(arn.to_owned()) {
            return Ok(());
        }
        let version = policy
            .members("PolicyVersionList")
            .find(|version| version.text("IsDefaultVersion") == "true")
            .map(|version| version.text("Document"));
        let mut entitlement = named(managed(arn));
        entitlement.native = Some(arn.to_owned());
        entitlement.title = policy.some_text("Description").map(str::to_owned);
        self.tell_policy(entitlement, version.unwrap_or_default()).await
    }

    /// Tells a policy with what its document says about it.
    async fn tell_policy(
        &mut self,
        mut entitlement: Entitlement,
        document: &str,
    ) -> Result<(), ConnectError> {
        match Document::parse(document) {
            Some(document) => {
                entitlement.privileged = document.is_administrative();
                if document.lets_assume_any() {
                    self.assuming.push((entitlement.name.clone(), document));
                }
            }
            None => {
                let message =
                    "its document cannot be understood, so that it is not known which roles it lets assume";
                self.batch.problem(Problem::new(entitlement.name.to_string(), message));
                self.missing.insert(format!("the document of {} cannot be understood", entitlement.name));
            }
        }
        self.batch.push(Fact::Entitlement(entitlement)).await
    }

    /// What hangs on a user, group or role: managed policies, and inline ones with their documents.
    async fn policies_of(
        &mut self,
        of: &str,
        holder: &Node,
        list: &str,
    ) -> Result<Vec<EntitlementName>, ConnectError> {
        let mut held = BTreeSet::new();
        for policy in holder.members("AttachedManagedPolicies") {
            let arn = policy.text("PolicyArn");
            let name = managed(arn);
            if is_of_aws(arn) {
                self.aws_policies.insert(arn.to_owned(), name.clone());
            }
            held.insert(name);
        }
        let holder_name =
            ["UserName", "GroupName", "RoleName"].into_iter().find_map(|name| holder.some_text(name));
        for policy in holder.members(list) {
            let own = policy.text("PolicyName");
            if of == "user" && [DISABLED, SESSIONS_ENDED].contains(&own) {
                continue;
            }
            let name = inline(of, holder_name.unwrap_or_default(), own);
            if held.insert(name.clone()) {
                let mut entitlement = named(name);
                if of != "user" {
                    entitlement.irrevocable =
                        Some(format!("it comes with the {of}, which is what is granted"));
                }
                self.tell_policy(entitlement, policy.text("PolicyDocument")).await?;
            }
        }
        Ok(held.into_iter().collect())
    }

    async fn role(&mut self, role: &Node) -> Result<(), ConnectError> {
        let (arn, name) = (role.text("Arn"), EntitlementName::new("role", role.text("RoleName")));
        if self.roles.contains_key(arn) {
            return Ok(());
        }
        let mut entitlement = Entitlement::new("role", role.text("RoleName"));
        entitlement.native = Some(arn.to_owned());
        entitlement.irrevocable = Some(ROLE_IS_IN_ITS_TRUST.to_owned());
        self.batch.push(Fact::Entitlement(entitlement)).await?;
        for policy in self.policies_of("role", role, "RolePolicyList").await? {
            self.contain(name.clone(), policy).await?;
        }
        for profile in role.members("InstanceProfileList") {
            let mut entitlement = Entitlement::new("instance-profile", profile.text("InstanceProfileName"));
            entitlement.native = profile.some_text("Arn").map(str::to_owned);
            entitlement.irrevocable = Some("it is held by machines, not by users".to_owned());
            let profile = entitlement.name.clone();
            self.batch.push(Fact::Entitlement(entitlement)).await?;
            self.contain(profile, name.clone()).await?;
        }
        match Document::parse(role.text("AssumeRolePolicyDocument")) {
            Some(trust) => {
                self.roles.insert(arn.to_owned(), Role { name, arn: arn.to_owned(), trust });
            }
            None => {
                self.missing.insert(format!("the trust policy of {name} cannot be understood"));
            }
        }
        Ok(())
    }

    async fn group(&mut self, group: &Node) -> Result<(), ConnectError> {
        let name = EntitlementName::new("group", group.text("GroupName"));
        if !self.groups.insert(name.name.clone()) {
            return Ok(());
        }
        let mut entitlement = Entitlement::new("group", group.text("GroupName"));
        entitlement.native = group.some_text("Arn").map(str::to_owned);
        self.batch.push(Fact::Entitlement(entitlement)).await?;
        for policy in self.policies_of("group", group, "GroupPolicyList").await? {
            self.contain(name.clone(), policy).await?;
        }
        Ok(())
    }

    async fn users_of(&mut self, page: &Node) -> Result<(), ConnectError> {
        let mut users = Vec::new();
        for user in page.members("UserDetailList") {
            let (id, arn) = (user.text("UserId"), user.text("Arn"));
            if id.is_empty() {
                let message = "a user came without its id; it is left out";
                self.batch.problem(Problem::new(arn, message));
                self.missing.insert(format!("the id of {arn}"));
            } else if self.users.insert(id.to_owned(), arn.to_owned()).is_none() {
                users.push(user);
            }
        }
        let (client, passwords) = (self.client, &self.passwords);
        let without = self.without.clone();
        let asks: Vec<_> = users
            .iter()
            .map(|user| {
                let (name, id) = (user.text("UserName"), user.text("UserId"));
                let last_used = passwords.get(id).copied().flatten();
                credentials::of_user(client, name, id, last_used, &without).boxed()
            })
            .collect();
        let found: Vec<Found> = stream::iter(asks).buffered(AT_ONCE).try_collect().await?;
        for (user, found) in users.into_iter().zip(found) {
            self.user(user, found).await?;
        }
        Ok(())
    }

    async fn user(&mut self, user: &Node, found: Found) -> Result<(), ConnectError> {
        let (id, name) = (user.text("UserId"), user.text("UserName"));
        // Who has a second factor is not known where they were not listed.
        let reads_devices = !self.without.iter().any(|name| name == "mfa_devices")
            && !found.failed.iter().any(|(listing, _)| listing.kind == CredentialKind::MfaDevice);
        for (listing, error) in found.failed {
            let failed = format!("{} failed", listing.action);
            // Once for each listing: it fails for all users alike, in words that may name the user.
            if self.missing.iter().any(|missing| missing.starts_with(&failed)) {
                continue;
            }
            let way_on = if listing.name.is_empty() { "" } else { "; it can be named in `leave_out`" };
            self.missing.insert(format!("{failed} ({error}){way_on}"));
            self.batch.problem(Problem::new(name, format!("{failed}: {error}")));
        }
        let mut account = Account::new(id, name);
        let mut documents = user
            .members("UserPolicyList")
            .filter(|policy| policy.text("PolicyName") == DISABLED)
            .filter_map(|policy| Document::parse(policy.text("PolicyDocument")));
        account.enabled = !documents.any(|document| document.denies_everything());
        let uses = found.credentials.iter().filter_map(|credential| match credential.last_use {
            LastUse::At(at) => Some(at),
            LastUse::Unknown | LastUse::Never => None,
        });
        // What was used and deleted since is not told, so that "never" cannot be said of the whole user.
        account.last_use = uses.max().map_or(LastUse::Unknown, LastUse::At);
        let has = |kind: CredentialKind| found.credentials.iter().any(|credential| credential.kind == kind);
        if reads_devices && has(CredentialKind::Password) && !has(CredentialKind::MfaDevice) {
            account.posture.push(PostureFinding::NoSecondFactor);
        }
        account.attributes.insert("arn".to_owned(), user.text("Arn").to_owned());
        for tag in user.members("Tags") {
            account.attributes.insert(format!("tag.{}", tag.text("Key")), tag.text("Value").to_owned());
        }
        let boundary = user.child("PermissionsBoundary");
        if let Some(arn) = boundary.and_then(|boundary| boundary.some_text("PermissionsBoundaryArn")) {
            account.attributes.insert("permissions_boundary".to_owned(), arn.to_owned());
        }
        self.batch.push(Fact::Account(account)).await?;
        for credential in found.credentials {
            self.credentials += 1;
            self.batch.push(Fact::Credential(credential)).await?;
        }
        let groups: BTreeSet<&str> = user.texts("GroupList").collect();
        for group in groups {
            self.grant(id, EntitlementName::new("group", group)).await?;
        }
        for policy in self.policies_of("user", user, "UserPolicyList").await? {
            self.grant(id, policy).await?;
        }
        Ok(())
    }

    /// Policies that AWS keeps, as far as somebody holds them.
    async fn read_aws_policies(&mut self) -> Result<(), ConnectError> {
        for (arn, name) in std::mem::take(&mut self.aws_policies) {
            let document = managed_document(self.client, &arn).await?;
            let mut entitlement = named(name);
            entitlement.native = Some(arn);
            let document = document.map(|document| document.to_string()).unwrap_or_default();
            self.tell_policy(entitlement, &document).await?;
        }
        Ok(())
    }

    /// Who comes to which role: those whom its trust policy names, and holders of policies that let them.
    async fn tell_who_assumes(&mut self) -> Result<(), ConnectError> {
        let roles = std::mem::take(&mut self.roles);
        let users = std::mem::take(&mut self.users);
        let assuming = std::mem::take(&mut self.assuming);
        for role in roles.values() {
            for (id, _) in users.iter().filter(|(_, arn)| role.trust.trusts(arn)) {
                self.grant(id, role.name.clone()).await?;
            }
            for other in roles.values().filter(|other| other.arn != role.arn && role.trust.trusts(&other.arn))
            {
                self.contain(other.name.clone(), role.name.clone()).await?;
            }
            if role.trust.trusts_account(&self.account) {
                for (policy, _) in assuming.iter().filter(|(_, document)| document.lets_assume(&role.arn)) {
                    self.contain(policy.clone(), role.name.clone()).await?;
                }
            }
        }
        self.roles = roles;
        self.users = users;
        Ok(())
    }

    async fn grant(&mut self, account: &str, entitlement: EntitlementName) -> Result<(), ConnectError> {
        self.grants += 1;
        let account = account.into();
        let grant = DirectGrant { account, entitlement, valid_from: None, valid_until: None, options: None };
        self.batch.push(Fact::Grant(grant)).await
    }

    async fn contain(&mut self, parent: EntitlementName, child: EntitlementName) -> Result<(), ConnectError> {
        self.batch.push(Fact::Containment(Containment { parent, child })).await
    }

    /// Complete where what was listed is as many as the account counts, before and after.
    fn completeness(mut self, before: &Summary, after: &Summary) -> Completeness {
        let (users, groups) = (self.users.len() as u64, self.groups.len() as u64);
        let (roles, policies) = (self.roles.len() as u64, self.policies.len() as u64);
        let unread = self.passwords.keys().collect::<BTreeSet<_>>() != self.users.keys().collect();
        if unread {
            self.missing.insert("two listings of the users differ".to_owned());
        }
        for (what, seen, counted) in [
            ("users", users, [before.users, after.users]),
            ("groups", groups, [before.groups, after.groups]),
            ("roles", roles, [before.roles, after.roles]),
            ("policies", policies, [before.policies, after.policies]),
        ] {
            if counted != [Some(seen), Some(seen)] {
                let [first, last] = counted.map(|count| {
                    count.map_or_else(|| "an unknown number".to_owned(), |count| count.to_string())
                });
                self.missing.insert(format!(
                    "{seen} {what} were listed, and the account counts {first} before and {last} after"
                ));
            }
        }
        if !self.missing.is_empty() {
            return Completeness::Partial { why: Vec::from_iter(self.missing).join("; ") };
        }
        let left_out = match self.client.settings.leave_out.as_slice() {
            [] => String::new(),
            left_out => format!("; left out by the settings: {}", left_out.join(", ")),
        };
        Completeness::Complete {
            evidence: format!(
                "account {}: the last page was reached, and {users} users, {groups} groups, {roles} roles, {policies} \
                 policies are as many as GetAccountSummary counts before and after; {} grants, {} credentials{left_out}",
                self.account, self.grants, self.credentials
            ),
        }
    }
}

fn named(name: EntitlementName) -> Entitlement {
    Entitlement::new(name.kind, name.name)
}
