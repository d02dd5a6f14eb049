//! Asking the server, now, about one grant, account or session list; and what this log-in may do at all.

use jiff::Timestamp;
use leasehold_model::account::Session as LiveSession;
use leasehold_model::request::{AccountTarget, EntitlementTarget, ReadBack, ReadTarget};
use sqlx::Row;

use crate::connector::{TestReport, no_credentials, nothing_handed_over};
use crate::error::ConnectError;
use crate::postgres::client::{Client, Session};
use crate::postgres::name::Held;
use crate::postgres::sql;

/// Reaches the server and reports what is missing.
pub(super) async fn test(client: &Client) -> Result<TestReport, ConnectError> {
    let mut session = client.session().await?;
    let rights = sqlx::query(sql::RIGHTS).fetch_one(&mut session.connection);
    let row = client.wait("reading our own rights", rights).await?;
    let version: String = client.get(&row, 0)?;
    let acting_as: String = client.get(&row, 1)?;
    let standby: bool = client.get(&row, 2)?;
    let superuser: bool = client.get(&row, 3)?;
    let create_role: bool = client.get(&row, 4)?;
    let signal: bool = client.get(&row, 5)?;
    let read_stats: bool = client.get(&row, 6)?;
    let foreign_tables: i64 = client.get(&row, 7)?;
    let owners: String = client.get(&row, 8)?;
    let (of_superusers, superusers): (i64, String) = (client.get(&row, 9)?, client.get(&row, 10)?);
    let mut missing_rights = Vec::new();
    if standby {
        missing_rights.push("this server is a standby: connect to the primary to change anything".to_owned());
    }
    if !superuser {
        if !create_role {
            missing_rights
                .push("CREATEROLE, to change memberships, and to make, disable and drop accounts".to_owned());
        } else if session.version >= 160_000 {
            missing_rights.push(
                "ADMIN OPTION on each role that is to be changed; CREATEROLE alone is not enough since version 16"
                    .to_owned(),
            );
        }
        if !signal {
            missing_rights.push("membership of pg_signal_backend, to end sessions".to_owned());
        }
        if !read_stats {
            missing_rights
                .push("membership of pg_read_all_stats, to see when sessions were active".to_owned());
        }
        if foreign_tables > 0 {
            missing_rights.push(format!(
                "membership of the owners of {foreign_tables} table{}, to revoke privileges there: GRANT {owners} TO {acting_as}",
                if foreign_tables == 1 { "" } else { "s" }
            ));
        }
        if of_superusers > 0 {
            // Whoever is a member of a superuser is one for whatever counts.
            missing_rights.push(format!(
                "the right to revoke privileges on {of_superusers} table{} of {superusers}, who can do everything, so do not make this \
                 account a member: give the tables to a role without log-in (ALTER TABLE … OWNER TO …), and this account to that",
                if of_superusers == 1 { "" } else { "s" }
            ));
        }
    }
    client.keep(session).await;
    Ok(TestReport { target: format!("PostgreSQL {version}"), acting_as: Some(acting_as), missing_rights })
}

/// The account with its key, which is the role's name and so its login.
pub(super) fn keyed(account: &AccountTarget) -> AccountTarget {
    if account.is_by_login() { account.with_key(account.login.as_str()) } else { account.clone() }
}

/// Reads one object.
pub(super) async fn read_back(client: &Client, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
    let target = target.clone().with_account(keyed(target.account()));
    match &target {
        ReadTarget::Grant { account, entitlement } => {
            let held = match Held::parse(&entitlement.name) {
                Ok(held) => held,
                Err(why) => return Ok(ReadBack::Unsupported { why }),
            };
            let mut session = session_for(client, &held).await?;
            let (direct, effective) =
                grant(client, &mut session, account, &held).await?.unwrap_or((false, false));
            keep(client, &held, session).await;
            Ok(ReadBack::Grant { direct, effective: Some(effective) })
        }
        ReadTarget::Account { account } => {
            let mut session = client.session().await?;
            let found = role(client, &mut session, account).await?;
            client.keep(session).await;
            // `VALID UNTIL` ends log-ins by password only, so an account past it is not disabled: a certificate or
            // the host's own identity may still let it in.
            Ok(ReadBack::Account {
                exists: found.is_some(),
                enabled: found.is_some_and(|role| role.can_log_in),
            })
        }
        ReadTarget::Credential { .. } => Ok(no_credentials()),
        ReadTarget::HandOver { .. } => Ok(nothing_handed_over()),
        ReadTarget::Sessions { account } => {
            let mut session = client.session().await?;
            let live = sessions(client, &mut session, account).await?;
            // A session outlives its role, and then carries its name no more.
            let ownerless = match role(client, &mut session, account).await? {
                None => sessions_of_dropped(client, &mut session).await?,
                Some(_) => Vec::new(),
            };
            client.keep(session).await;
            if !ownerless.is_empty() {
                return Err(ConnectError::Target {
                    system: client.settings.system.clone(),
                    operation: format!("listing the sessions of {}", account.login),
                    message: of_dropped_roles(&ownerless),
                });
            }
            Ok(ReadBack::sessions(live))
        }
    }
}

/// A session in the database that an entitlement is in.
pub(super) async fn session_for(client: &Client, held: &Held) -> Result<Session, ConnectError> {
    match held.database() {
        None => client.session().await,
        Some(database) => client.connect(database).await,
    }
}

/// Keeps a session of [`session_for`] where it can be used again.
pub(super) async fn keep(client: &Client, held: &Held, session: Session) {
    if held.database().is_none() {
        client.keep(session).await;
    }
}

/// A role as far as changes need to know it.
pub(super) struct RoleState {
    pub can_log_in: bool,
    /// Its `VALID UNTIL` is past, and was not set by disabling it: no password lets it in.
    pub is_past: bool,
    /// It is the one that we are logged in as.
    pub is_ours: bool,
}

/// Reads a role; `None` where it does not exist.
pub(super) async fn role(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
) -> Result<Option<RoleState>, ConnectError> {
    let reading = sqlx::query(sql::ROLE).bind(account.key.as_str()).fetch_optional(&mut session.connection);
    let Some(row) = client.wait("reading the account", reading).await? else { return Ok(None) };
    Ok(Some(RoleState {
        can_log_in: client.get(&row, 0)?,
        is_ours: client.get(&row, 1)?,
        is_past: client.get(&row, 2)?,
    }))
}

/// Whether an account holds something directly, and on any path; `None` where one of the two does not exist.
pub(super) async fn grant(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
    held: &Held,
) -> Result<Option<(bool, bool)>, ConnectError> {
    // Before version 16 every member can become the role; since then a membership may withhold that.
    let become_by = if session.version >= 160_000 { "SET" } else { "MEMBER" };
    let key = account.key.as_str();
    let query = match held {
        Held::Public => sqlx::query("select true, true from pg_roles where rolname = $1").bind(key),
        Held::Role { name } => sqlx::query(sql::READ_ROLE).bind(key).bind(name),
        Held::Attribute { name, .. } => {
            // The catalogue's columns are shorter than the words of the language.
            let column = if *name == "superuser" { "super" } else { name };
            sqlx::query(sql::READ_ATTRIBUTE).bind(key).bind(column).bind(become_by)
        }
        Held::Privilege { privilege, part, phrase, .. } => sqlx::query(sql::READ_PRIVILEGE)
            .bind(key)
            .bind(phrase)
            .bind(part)
            .bind(*privilege)
            .bind(become_by),
        Held::Owner { phrase, .. } => sqlx::query(sql::READ_OWNER).bind(key).bind(phrase).bind(become_by),
        Held::Default { phrase, .. } => sqlx::query(sql::READ_DEFAULT).bind(key).bind(phrase).bind(become_by),
    };
    let reading = query.fetch_optional(&mut session.connection);
    let Some(row) = client.wait("reading the grant", reading).await? else { return Ok(None) };
    Ok(Some((client.get(&row, 0)?, client.get(&row, 1)?)))
}

/// The live sessions of an account, without the one that asks.
pub(super) async fn sessions(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
) -> Result<Vec<LiveSession>, ConnectError> {
    let reading = sqlx::query(sql::SESSIONS).bind(account.key.as_str()).fetch_all(&mut session.connection);
    let rows = client.wait("listing sessions", reading).await?;
    let mut live = Vec::with_capacity(rows.len());
    for row in rows {
        let pid: i32 = client.get(&row, 0)?;
        // Who may not see another's start time still sees the session.
        let started: Option<i64> = row.try_get(1).unwrap_or(None);
        live.push(LiveSession {
            id: pid.to_string(),
            started_at: started.and_then(|at| Timestamp::from_microsecond(at).ok()),
            detail: client.get::<Option<String>>(&row, 2)?.unwrap_or_default(),
        });
    }
    Ok(live)
}

/// The processes of sessions whose role was dropped.
pub(super) async fn sessions_of_dropped(
    client: &Client,
    session: &mut Session,
) -> Result<Vec<String>, ConnectError> {
    let reading = sqlx::query(sql::SESSIONS_OF_DROPPED).fetch_all(&mut session.connection);
    let rows = client.wait("listing sessions", reading).await?;
    rows.iter().map(|row| Ok(client.get::<i32>(row, 0)?.to_string())).collect()
}

/// What such sessions mean for somebody whose role is gone.
pub(super) fn of_dropped_roles(processes: &[String]) -> String {
    format!(
        "the role is gone, and sessions of dropped roles go on, which do not say whose they are: process {}; end them \
         by pg_terminate_backend",
        processes.join(", ")
    )
}

/// The entitlement's own words, for messages.
pub(super) fn shown(entitlement: &EntitlementTarget) -> String {
    entitlement.name.to_string()
}
