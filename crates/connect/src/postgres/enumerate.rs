//! Everything that a server says about who can log in and what they hold, read in one snapshot per database.

use std::collections::HashMap;

use jiff::Timestamp;
use leasehold_model::account::{Account, LastUse, PostureFinding};
use leasehold_model::entitlement::{Containment, DirectGrant, Entitlement};
use leasehold_model::fact::{Completeness, Fact, Problem};
use leasehold_model::id::{AccountKey, EntitlementName};
use sqlx::postgres::PgRow;
use sqlx::postgres::types::Oid;

use crate::connector::{Batch, Sink};
use crate::error::ConnectError;
use crate::postgres::client::{Client, Session, code, error_code};
use crate::postgres::name::{ATTRIBUTES, PUBLIC, database_suffix};
use crate::postgres::sql;

/// Predefined roles that give power over the whole server or its data.
const PRIVILEGED_ROLES: [&str; 8] = [
    "pg_read_all_data",
    "pg_write_all_data",
    "pg_read_server_files",
    "pg_write_server_files",
    "pg_execute_server_program",
    "pg_maintain",
    "pg_create_subscription",
    "pg_signal_backend",
];

/// A role as the rest of the enumeration needs it.
pub(super) struct Role {
    pub(super) name: String,
    is_account: bool,
    has_members: bool,
    /// Which of [`ATTRIBUTES`] it has.
    attributes: [bool; 5],
}

impl Role {
    /// It is something that others can hold.
    fn is_entitlement(&self) -> bool {
        !self.is_account || self.has_members
    }

    fn entitlement(&self) -> EntitlementName {
        EntitlementName::new("role", &self.name)
    }
}

/// One enumeration.
pub(super) struct Reading<'run> {
    pub(super) client: &'run Client,
    pub(super) batch: Batch<'run>,
    pub(super) roles: HashMap<Oid, Role>,
    /// What could not be read, and why.
    missing: Vec<String>,
    accounts: u64,
    grants: u64,
}

/// Streams every fact.
pub(super) async fn enumerate(client: &Client, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
    let mut reading = Reading {
        client,
        batch: Batch::new(sink),
        roles: HashMap::new(),
        missing: Vec::new(),
        accounts: 0,
        grants: 0,
    };
    let mut session = client.session().await?;
    let evidence = reading.read_server(&mut session).await?;
    let mut databases = vec![client.settings.database.clone()];
    reading.read_database(&mut session, "", true).await?;
    client.wait("ending the snapshot", sqlx::raw_sql("commit").execute(&mut session.connection)).await?;
    client.keep(session).await;

    for database in &client.settings.databases {
        match client.connect(database).await {
            Ok(mut session) => {
                reading.begin(&mut session).await?;
                reading.read_database(&mut session, &database_suffix(database), false).await?;
                databases.push(database.clone());
            }
            Err(error) => reading.missing.push(error.to_string()),
        }
    }
    reading.batch.flush().await?;

    let Reading { missing, accounts, grants, .. } = reading;
    Ok(if missing.is_empty() {
        let databases = databases.join(", ");
        Completeness::Complete {
            evidence: format!(
                "{evidence}; databases {databases}; {accounts} accounts, {grants} direct grants"
            ),
        }
    } else {
        Completeness::Partial { why: missing.join("; ") }
    })
}

impl Reading<'_> {
    async fn begin(&mut self, session: &mut Session) -> Result<(), ConnectError> {
        let begin = sqlx::raw_sql(sql::BEGIN_SNAPSHOT).execute(&mut session.connection);
        self.client.wait("opening a snapshot", begin).await.map(|_| ())
    }

    /// Opens a listing. `false` where we may not read it, which makes the enumeration partial.
    pub(super) async fn open(
        &mut self,
        session: &mut Session,
        what: &str,
        declare: &'static str,
    ) -> Result<bool, ConnectError> {
        let save = sqlx::raw_sql("savepoint leasehold_rows").execute(&mut session.connection);
        self.client.wait(what, save).await?;
        let opening = sqlx::raw_sql(declare).execute(&mut session.connection);
        match self.client.try_wait(what, opening).await? {
            Ok(_) => Ok(true),
            Err(error) if error_code(&error).as_deref() == Some(code::INSUFFICIENT_PRIVILEGE) => {
                let back =
                    sqlx::raw_sql("rollback to savepoint leasehold_rows").execute(&mut session.connection);
                self.client.wait(what, back).await?;
                self.missing.push(format!("{} may not read {what}: {error}", session.login));
                Ok(false)
            }
            Err(error) => Err(self.client.target_error(what, &error)),
        }
    }

    /// The next rows of the open listing; none at its end.
    pub(super) async fn rows(
        &mut self,
        session: &mut Session,
        what: &str,
    ) -> Result<Vec<PgRow>, ConnectError> {
        let fetch = sqlx::raw_sql(sql::FETCH).fetch_all(&mut session.connection);
        let rows = self.client.wait(what, fetch).await?;
        if rows.is_empty() {
            let close = sqlx::raw_sql(sql::CLOSE).execute(&mut session.connection);
            self.client.wait(what, close).await?;
        }
        Ok(rows)
    }

    async fn grant(
        &mut self,
        account: &str,
        entitlement: EntitlementName,
        options: Option<String>,
    ) -> Result<(), ConnectError> {
        self.grants += 1;
        let account = AccountKey::from(account);
        let grant = DirectGrant { account, entitlement, valid_from: None, valid_until: None, options };
        self.batch.push(Fact::Grant(grant)).await
    }

    pub(super) async fn contain(
        &mut self,
        parent: EntitlementName,
        child: EntitlementName,
    ) -> Result<(), ConnectError> {
        self.batch.push(Fact::Containment(Containment { parent, child })).await
    }

    /// `holder` (0 is PUBLIC) holds `held`: a grant where it is an account, containment where others can hold it.
    pub(super) async fn hold(
        &mut self,
        holder: Oid,
        held: &EntitlementName,
        options: Option<String>,
    ) -> Result<(), ConnectError> {
        if holder == Oid(0) {
            return self.contain(EntitlementName::new("role", PUBLIC), held.clone()).await;
        }
        let Some(role) = self.roles.get(&holder) else { return Ok(()) };
        let account = role.is_account.then(|| role.name.clone());
        let parent = role.is_entitlement().then(|| role.entitlement());
        if let Some(account) = account {
            self.grant(&account, held.clone(), options).await?;
        }
        match parent {
            Some(parent) => self.contain(parent, held.clone()).await,
            None => Ok(()),
        }
    }

    pub(super) fn name_of(&self, role: Oid) -> String {
        self.roles.get(&role).map_or_else(|| format!("role {}", role.0), |role| role.name.clone())
    }

    /// Roles, attributes, memberships. Returns the evidence.
    async fn read_server(&mut self, session: &mut Session) -> Result<String, ConnectError> {
        self.begin(session).await?;
        let snapshot = sqlx::raw_sql(sql::SNAPSHOT).fetch_one(&mut session.connection);
        let snapshot = self.client.wait("reading the snapshot's name", snapshot).await?;
        let name: String = self.client.get(&snapshot, 0)?;
        let version: String = self.client.get(&snapshot, 1)?;
        let roles_counted: i64 = self.client.get(&snapshot, 2)?;

        let accounts = self.read_roles(session).await?;
        let memberships_counted = self.read_member_counts(session).await?;
        let memberships = self.read_memberships(session).await?;
        self.describe_roles(accounts).await?;
        self.batch.progress(self.accounts, None);

        let roles = i64::try_from(self.roles.len()).unwrap_or(i64::MAX);
        if roles != roles_counted || memberships != memberships_counted {
            self.missing.push(format!(
                "{roles} of {roles_counted} roles and {memberships} of {memberships_counted} memberships came"
            ));
        }
        if self.accounts == 0 {
            self.missing
                .push("no role may log in, which cannot be: somebody had to log in to see this".into());
        }
        Ok(format!("PostgreSQL {version}, repeatable-read snapshot {name}, {roles} roles as counted"))
    }

    /// Every role into memory, and those that are accounts.
    async fn read_roles(&mut self, session: &mut Session) -> Result<Vec<(Oid, Account)>, ConnectError> {
        let last_uses = self.read_activity(session).await?;
        let with_password = self.read_passwords(session).await?;
        let mut accounts = Vec::new();
        if !self.open(session, "roles", sql::ROLES).await? {
            return Ok(accounts);
        }
        loop {
            let rows = self.rows(session, "roles").await?;
            if rows.is_empty() {
                return Ok(accounts);
            }
            for row in &rows {
                let oid: Oid = self.client.get(row, 0)?;
                let name: String = self.client.get(row, 1)?;
                let can_log_in: bool = self.client.get(row, 2)?;
                let mut attributes = [false; 5];
                for (index, attribute) in attributes.iter_mut().enumerate() {
                    *attribute = self.client.get(row, 3 + index)?;
                }
                let has_expiry: bool = self.client.get(row, 11)?;
                let is_account = can_log_in || has_expiry || with_password.contains(&oid);
                if is_account {
                    let mut account = Account::new(name.as_str(), name.as_str());
                    account.enabled = can_log_in;
                    account.last_use = last_uses.get(&oid).map_or(LastUse::Unknown, |at| LastUse::At(*at));
                    if attributes[0] {
                        account.posture.push(PostureFinding::Superuser);
                    }
                    let inherit: bool = self.client.get(row, 8)?;
                    let limit: i32 = self.client.get(row, 9)?;
                    let password_until: Option<String> = self.client.get(row, 10)?;
                    let comment: Option<String> = self.client.get(row, 12)?;
                    for (key, value) in [
                        ("inherit", (!inherit).then(|| "false".to_owned())),
                        ("connection_limit", (limit >= 0).then(|| limit.to_string())),
                        // No end of the account: a certificate or the host's own identity lets it in afterwards too.
                        ("password_valid_until", password_until),
                        ("description", comment),
                    ] {
                        account.attributes.extend(value.map(|value| (key.to_owned(), value)));
                    }
                    accounts.push((oid, account));
                }
                self.roles.insert(oid, Role { name, is_account, has_members: false, attributes });
            }
        }
    }

    async fn read_activity(
        &mut self,
        session: &mut Session,
    ) -> Result<HashMap<Oid, Timestamp>, ConnectError> {
        let mut found = HashMap::new();
        if !self.open(session, "live sessions", sql::ACTIVITY).await? {
            return Ok(found);
        }
        loop {
            let rows = self.rows(session, "live sessions").await?;
            if rows.is_empty() {
                return Ok(found);
            }
            for row in &rows {
                if let Some(at) = instant(self.client.get(row, 1)?) {
                    found.insert(self.client.get(row, 0)?, at);
                }
            }
        }
    }

    /// Roles that have a password and may not log in; none where we may not know.
    async fn read_passwords(
        &mut self,
        session: &mut Session,
    ) -> Result<std::collections::HashSet<Oid>, ConnectError> {
        let mut found = std::collections::HashSet::new();
        let may = sqlx::raw_sql(sql::MAY_READ_PASSWORDS).fetch_one(&mut session.connection);
        let may = self.client.wait("reading our own rights", may).await?;
        if !self.client.get::<bool>(&may, 0)? || !self.open(session, "passwords", sql::PASSWORDS).await? {
            return Ok(found);
        }
        loop {
            let rows = self.rows(session, "passwords").await?;
            if rows.is_empty() {
                return Ok(found);
            }
            for row in &rows {
                found.insert(self.client.get(row, 0)?);
            }
        }
    }

    /// Which roles have members: a login role that has is an entitlement too. Returns how many memberships there are.
    async fn read_member_counts(&mut self, session: &mut Session) -> Result<i64, ConnectError> {
        let mut counted = 0;
        if !self.open(session, "memberships", sql::MEMBER_COUNTS).await? {
            return Ok(counted);
        }
        loop {
            let rows = self.rows(session, "memberships").await?;
            if rows.is_empty() {
                return Ok(counted);
            }
            for row in &rows {
                counted += self.client.get::<i64>(row, 1)?;
                if let Some(role) = self.roles.get_mut(&self.client.get(row, 0)?) {
                    role.has_members = true;
                }
            }
        }
    }

    /// Every membership. Returns how many came.
    async fn read_memberships(&mut self, session: &mut Session) -> Result<i64, ConnectError> {
        let mut count = 0;
        if !self.open(session, "memberships", sql::MEMBERSHIPS).await? {
            return Ok(count);
        }
        // Rows of one role and member, which differ by grantor, are one grant.
        let mut open: Option<Membership> = None;
        loop {
            let rows = self.rows(session, "memberships").await?;
            for row in &rows {
                count += 1;
                let next = Membership::read(self.client, row)?;
                match &mut open {
                    Some(held) if held.role == next.role && held.member == next.member => held.merge(next),
                    _ => {
                        if let Some(done) = open.replace(next) {
                            self.membership(&done).await?;
                        }
                    }
                }
            }
            if rows.is_empty() {
                if let Some(done) = open {
                    self.membership(&done).await?;
                }
                return Ok(count);
            }
        }
    }

    async fn membership(&mut self, membership: &Membership) -> Result<(), ConnectError> {
        let Some(role) = self.roles.get(&membership.role).map(Role::entitlement) else { return Ok(()) };
        let options = membership.options(self);
        let Some(member) = self.roles.get(&membership.member) else { return Ok(()) };
        let account = member.is_account.then(|| member.name.clone());
        let parent = member.is_entitlement().then(|| member.entitlement());
        if let Some(account) = account {
            self.grant(&account, role.clone(), options).await?;
        }
        // Who may only hand a role on, and neither has nor can become it, does not carry it.
        match parent.filter(|_| membership.inherit || membership.set) {
            Some(parent) => self.contain(parent, role).await,
            None => Ok(()),
        }
    }

    /// Accounts, entitlements of roles and attributes, and what superusers and PUBLIC come to hold.
    async fn describe_roles(&mut self, accounts: Vec<(Oid, Account)>) -> Result<(), ConnectError> {
        let public = EntitlementName::new("role", PUBLIC);
        let mut entitlement = Entitlement::new("role", PUBLIC);
        entitlement.inherent = true;
        entitlement.title = Some("what every role may do".to_owned());
        entitlement.irrevocable =
            Some("every role belongs to PUBLIC; take the privilege from PUBLIC".to_owned());
        self.batch.push(Fact::Entitlement(entitlement)).await?;
        for (oid, account) in accounts {
            self.accounts += 1;
            let key = account.key.clone();
            let attributes = self.roles.get(&oid).map_or([false; 5], |role| role.attributes);
            self.batch.push(Fact::Account(account)).await?;
            self.grant(key.as_str(), public.clone(), None).await?;
            for ((name, ..), _) in ATTRIBUTES.iter().zip(attributes).filter(|(_, has)| *has) {
                self.grant(key.as_str(), EntitlementName::new("attribute", *name), None).await?;
            }
        }

        let superuser = EntitlementName::new("attribute", ATTRIBUTES[0].0);
        for (name, ..) in ATTRIBUTES {
            let mut entitlement = Entitlement::new("attribute", name);
            entitlement.privileged = name != "createdb";
            self.batch.push(Fact::Entitlement(entitlement)).await?;
            if name != superuser.name {
                self.contain(superuser.clone(), EntitlementName::new("attribute", name)).await?;
            }
        }
        let roles = std::mem::take(&mut self.roles);
        for role in roles.values().filter(|role| role.is_entitlement()) {
            if role.name == PUBLIC {
                let message =
                    "a role of this name cannot be told from the PUBLIC that everybody holds; rename it";
                self.batch.problem(Problem::new("role PUBLIC", message));
                continue;
            }
            let mut entitlement = Entitlement::new("role", &role.name);
            let [superuser_role, bypassrls, createrole, _, replication] = role.attributes;
            entitlement.privileged = superuser_role
                || bypassrls
                || createrole
                || replication
                || PRIVILEGED_ROLES.contains(&role.name.as_str());
            self.batch.push(Fact::Entitlement(entitlement)).await?;
            // A member can become the role, and then has its attributes.
            for ((name, ..), _) in ATTRIBUTES.iter().zip(role.attributes).filter(|(_, has)| *has) {
                self.contain(role.entitlement(), EntitlementName::new("attribute", *name)).await?;
            }
            self.contain(superuser.clone(), role.entitlement()).await?;
        }
        self.roles = roles;
        Ok(())
    }
}

/// A role's member, over all grantors.
struct Membership {
    role: Oid,
    member: Oid,
    grantors: Vec<Oid>,
    admin: bool,
    inherit: bool,
    set: bool,
}

impl Membership {
    fn read(client: &Client, row: &PgRow) -> Result<Self, ConnectError> {
        Ok(Self {
            role: client.get(row, 0)?,
            member: client.get(row, 1)?,
            grantors: vec![client.get(row, 2)?],
            admin: client.get(row, 3)?,
            inherit: client.get(row, 4)?,
            set: client.get(row, 5)?,
        })
    }

    /// Options of several grantors add up, as they do on the server.
    fn merge(&mut self, other: Self) {
        self.grantors.extend(other.grantors);
        self.admin |= other.admin;
        self.inherit |= other.inherit;
        self.set |= other.set;
    }

    fn options(&self, reading: &Reading<'_>) -> Option<String> {
        let grantors: Vec<String> = self.grantors.iter().map(|grantor| reading.name_of(*grantor)).collect();
        let mut parts = Vec::new();
        for (is, text) in [(self.admin, "admin"), (!self.inherit, "inherit=false"), (!self.set, "set=false")]
        {
            if is {
                parts.push(text.to_owned());
            }
        }
        parts.push(format!("granted by {}", grantors.join(", ")));
        Some(parts.join(", "))
    }
}

fn instant(microseconds: Option<i64>) -> Option<Timestamp> {
    Timestamp::from_microsecond(microseconds?).ok()
}
