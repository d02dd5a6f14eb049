//! What one database adds to an enumeration: owners, privileges and default privileges.

use leasehold_model::entitlement::Entitlement;
use leasehold_model::fact::Fact;
use leasehold_model::id::EntitlementName;
use sqlx::postgres::PgRow;
use sqlx::postgres::types::Oid;

use crate::error::ConnectError;
use crate::postgres::client::Session;
use crate::postgres::enumerate::Reading;
use crate::postgres::name::{ATTRIBUTES, database_suffix, privilege_text};
use crate::postgres::sql;

/// Why an `owner/…` cannot be revoked, and what to do.
const OWNED_IS_IRREVOCABLE: &str = "ownership cannot be taken away, only given to another role: \
    ALTER … OWNER TO, or REASSIGN OWNED BY";

impl Reading<'_> {
    /// Owners, privileges and default privileges of one database.
    pub(super) async fn read_database(
        &mut self,
        session: &mut Session,
        suffix: &str,
        first: bool,
    ) -> Result<(), ConnectError> {
        self.read_owners(session, suffix, first).await?;
        self.read_privileges(session, suffix, first).await?;
        self.read_defaults(session, suffix).await
    }

    fn wanted(&self, schema: Option<&str>) -> bool {
        let wanted = &self.client.settings.schemas;
        wanted.is_empty() || schema.is_none_or(|schema| wanted.iter().any(|wanted| wanted == schema))
    }

    async fn read_owners(
        &mut self,
        session: &mut Session,
        suffix: &str,
        first: bool,
    ) -> Result<(), ConnectError> {
        if !self.open(session, "owners", sql::OWNERS).await? {
            return Ok(());
        }
        let here = database_suffix(&self.client.settings.database);
        loop {
            let rows = self.rows(session, "owners").await?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in &rows {
                let schema: Option<String> = self.client.get(row, 1)?;
                let shared: bool = self.client.get(row, 3)?;
                if (shared && !first) || !self.wanted(schema.as_deref()) {
                    continue;
                }
                let phrase: String = self.client.get(row, 0)?;
                let text = if shared { phrase.clone() } else { format!("{phrase}{suffix}") };
                let mut entitlement = Entitlement::new("owner", text);
                entitlement.irrevocable = Some(OWNED_IS_IRREVOCABLE.to_owned());
                let name = entitlement.name.clone();
                self.batch.push(Fact::Entitlement(entitlement)).await?;
                self.hold(self.client.get(row, 2)?, &name, None).await?;
                if here.strip_prefix(" in ") == Some(&phrase)
                    && self.roles.values().any(|role| role.name == "pg_database_owner")
                {
                    // The server makes the owner of a database a member of this role without saying so.
                    self.contain(name, EntitlementName::new("role", "pg_database_owner")).await?;
                }
            }
        }
    }

    async fn read_privileges(
        &mut self,
        session: &mut Session,
        suffix: &str,
        first: bool,
    ) -> Result<(), ConnectError> {
        if !self.open(session, "privileges", sql::PRIVILEGES).await? {
            return Ok(());
        }
        let mut last: Option<EntitlementName> = None;
        let mut last_grant: Option<(Oid, Vec<String>)> = None;
        // The privileges on a whole table come before those on its columns, which they carry.
        let mut table: (String, Vec<String>) = Default::default();
        loop {
            let rows = self.rows(session, "privileges").await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let schema: Option<String> = self.client.get(row, 2)?;
                let shared: bool = self.client.get(row, 3)?;
                if (shared && !first) || !self.wanted(schema.as_deref()) {
                    continue;
                }
                let phrase: String = self.client.get(row, 0)?;
                let part: Option<String> = self.client.get(row, 1)?;
                let privilege: String = self.client.get(row, 7)?;
                let suffix = if shared { "" } else { suffix };
                let text = privilege_text(&privilege, part.as_deref(), &phrase, suffix);
                let name = EntitlementName::new("privilege", text);
                let grantee: Oid = self.client.get(row, 8)?;

                if last.as_ref() != Some(&name) {
                    self.finish_grant(last.as_ref(), last_grant.take()).await?;
                    if table.0 != phrase {
                        table = (phrase.clone(), Vec::new());
                    }
                    match &part {
                        None => table.1.push(privilege.clone()),
                        Some(_) if table.1.contains(&privilege) => {
                            let whole = privilege_text(&privilege, None, &phrase, suffix);
                            self.contain(EntitlementName::new("privilege", whole), name.clone()).await?;
                        }
                        Some(_) => {}
                    }
                    let class: String = self.client.get(row, 4)?;
                    let owner_listed: bool = self.client.get(row, 6)?;
                    let owner =
                        owner_listed.then(|| EntitlementName::new("owner", format!("{phrase}{suffix}")));
                    // PUBLIC's row is the first, so this one tells whether everybody holds it by default.
                    let mut entitlement = Entitlement::new(&name.kind, &name.name);
                    entitlement.inherent = self.client.get(row, 11)?;
                    self.describe_privilege(entitlement, &class, &privilege, owner).await?;
                    last = Some(name);
                }
                let option: Option<String> = self.option(row)?;
                match &mut last_grant {
                    Some((holder, options)) if *holder == grantee => options.extend(option),
                    _ => {
                        let done = last_grant.replace((grantee, option.into_iter().collect()));
                        self.finish_grant(last.as_ref(), done).await?;
                    }
                }
            }
        }
        self.finish_grant(last.as_ref(), last_grant).await
    }

    async fn finish_grant(
        &mut self,
        held: Option<&EntitlementName>,
        grant: Option<(Oid, Vec<String>)>,
    ) -> Result<(), ConnectError> {
        match (held, grant) {
            (Some(held), Some((holder, mut options))) => {
                options.dedup();
                let options = (!options.is_empty()).then(|| options.join(", "));
                self.hold(holder, held, options).await
            }
            _ => Ok(()),
        }
    }

    /// `grant option`, and the grantor where it is not the owner.
    fn option(&self, row: &PgRow) -> Result<Option<String>, ConnectError> {
        let owner: Oid = self.client.get(row, 5)?;
        let grantor: Oid = self.client.get(row, 9)?;
        let mut parts = Vec::new();
        if self.client.get(row, 10)? {
            parts.push("grant option".to_owned());
        }
        if grantor != owner {
            parts.push(format!("granted by {}", self.name_of(grantor)));
        }
        Ok((!parts.is_empty()).then(|| parts.join(", ")))
    }

    /// A privilege exists; and it is carried by ownership, by being superuser and by the predefined roles that give
    /// it on everything.
    async fn describe_privilege(
        &mut self,
        entitlement: Entitlement,
        class: &str,
        privilege: &str,
        owner: Option<EntitlementName>,
    ) -> Result<(), ConnectError> {
        let name = entitlement.name.clone();
        self.batch.push(Fact::Entitlement(entitlement)).await?;
        let everywhere: &[&str] = match (class, privilege) {
            ("table" | "column" | "sequence", "SELECT") => &["pg_read_all_data"],
            ("table" | "column" | "sequence", "INSERT" | "UPDATE" | "DELETE") => &["pg_write_all_data"],
            ("table", "MAINTAIN") => &["pg_maintain"],
            ("schema", "USAGE") => &["pg_read_all_data", "pg_write_all_data"],
            _ => &[],
        };
        for role in everywhere {
            if self.roles.values().any(|known| known.name == *role) {
                self.contain(EntitlementName::new("role", *role), name.clone()).await?;
            }
        }
        self.contain(EntitlementName::new("attribute", ATTRIBUTES[0].0), name.clone()).await?;
        match owner {
            Some(owner) => self.contain(owner, name.clone()).await,
            None => Ok(()),
        }
    }

    async fn read_defaults(&mut self, session: &mut Session, suffix: &str) -> Result<(), ConnectError> {
        if !self.open(session, "default privileges", sql::DEFAULTS).await? {
            return Ok(());
        }
        let mut last: Option<(EntitlementName, Oid)> = None;
        let mut creators: Vec<String> = Vec::new();
        loop {
            let rows = self.rows(session, "default privileges").await?;
            for row in &rows {
                let schema: Option<String> = self.client.get(row, 1)?;
                if !self.wanted(schema.as_deref()) {
                    continue;
                }
                let phrase: String = self.client.get(row, 0)?;
                let name = EntitlementName::new("default", format!("{phrase}{suffix}"));
                let grantee: Oid = self.client.get(row, 2)?;
                let creator = self.name_of(self.client.get(row, 3)?);
                let key = Some((name, grantee));
                if key != last {
                    self.finish_default(last.take(), &mut creators).await?;
                    if let Some((name, _)) = &key {
                        self.batch.push(Fact::Entitlement(Entitlement::new(&name.kind, &name.name))).await?;
                    }
                    last = key;
                }
                creators.push(creator);
            }
            if rows.is_empty() {
                return self.finish_default(last.take(), &mut creators).await;
            }
        }
    }

    async fn finish_default(
        &mut self,
        held: Option<(EntitlementName, Oid)>,
        creators: &mut Vec<String>,
    ) -> Result<(), ConnectError> {
        let Some((name, grantee)) = held else { return Ok(()) };
        let options = format!("on what {} creates", std::mem::take(creators).join(", "));
        self.hold(grantee, &name, Some(options)).await
    }
}
