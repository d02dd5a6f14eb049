//! Making one change: what is already so, the change in a transaction, and a look before it is committed.

use std::time::{Duration, Instant};

use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, ActionRequest, EntitlementTarget, Outcome};

use crate::connector::not_offered;
use crate::error::ConnectError;
use crate::postgres::account::{change_account, create_account};
use crate::postgres::client::{Client, Session, code, describe, error_code, is_transient};
use crate::postgres::name::Held;
use crate::postgres::read_back::{
    grant, keep, keyed, of_dropped_roles, role, session_for, sessions, sessions_of_dropped, shown,
};
use crate::postgres::sql;

/// What stands in for a name that a statement does not need.
const UNUSED: &str = "";

/// Makes one change.
pub(super) async fn execute(client: &Client, request: &ActionRequest) -> Result<Outcome, ConnectError> {
    match execute_now(client, request).await {
        // Nothing was sent yet: only connecting gives this error.
        Err(ConnectError::Unreachable { address, message, .. }) => {
            Ok(Outcome::Retry { after_ms: None, why: format!("cannot reach {address}: {message}") })
        }
        other => other,
    }
}

async fn execute_now(client: &Client, request: &ActionRequest) -> Result<Outcome, ConnectError> {
    let held = match &request.entitlement {
        Some(entitlement) => match Held::parse(&entitlement.name) {
            Ok(held) => Some((entitlement, held)),
            Err(why) => return Ok(Outcome::Refused { why }),
        },
        None => None,
    };
    let mut session = match &held {
        Some((_, held)) => session_for(client, held).await?,
        None => client.session().await?,
    };
    let account = &keyed(&request.account);
    let found = role(client, &mut session, account).await?;
    let Some(found) = found else {
        let outcome = without_account(client, &mut session, request.verb, account).await?;
        client.keep_if_here(&held, session).await;
        return Ok(outcome);
    };
    if found.is_ours && request.verb.takes_away() {
        client.keep_if_here(&held, session).await;
        return Ok(refused(format!("`{}` is the account that the connector itself uses", account.key)));
    }
    let outcome = match (request.verb, &held) {
        (Verb::Grant | Verb::Revoke, None) => refused(format!("{} needs an entitlement", request.verb)),
        (Verb::Grant, Some((entitlement, held))) => {
            change(client, &mut session, account, entitlement, held, true).await?
        }
        (Verb::Revoke, Some((entitlement, held))) => {
            change(client, &mut session, account, entitlement, held, false).await?
        }
        (Verb::EndSessions, _) => end_sessions(client, &mut session, account).await?,
        (verb, _) => change_account(client, &mut session, verb, account, &found).await?,
    };
    client.keep_if_here(&held, session).await;
    Ok(outcome)
}

/// What is done about an account that is not there.
async fn without_account(
    client: &Client,
    session: &mut Session,
    verb: Verb,
    account: &AccountTarget,
) -> Result<Outcome, ConnectError> {
    Ok(match verb {
        Verb::CreateAccount => create_account(client, session, account).await?,
        Verb::Grant | Verb::EnableAccount => refused(format!("there is no role `{}`", account.key)),
        Verb::EndSessions => match sessions_of_dropped(client, session).await? {
            ownerless if ownerless.is_empty() => Outcome::AlreadySo,
            ownerless => refused(of_dropped_roles(&ownerless)),
        },
        // Who does not exist holds nothing.
        Verb::Revoke | Verb::DisableAccount | Verb::DeleteAccount => Outcome::AlreadySo,
        verb => not_offered(verb),
    })
}

impl Client {
    async fn keep_if_here(&self, held: &Option<(&EntitlementTarget, Held)>, session: Session) {
        match held {
            Some((_, held)) => keep(self, held, session).await,
            None => self.keep(session).await,
        }
    }
}

pub(super) fn refused(why: impl Into<String>) -> Outcome {
    Outcome::Refused { why: why.into() }
}

/// Gives or takes an entitlement.
async fn change(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
    entitlement: &EntitlementTarget,
    held: &Held,
    give: bool,
) -> Result<Outcome, ConnectError> {
    let now = grant(client, session, account, held).await?;
    match now {
        None if give && !matches!(held, Held::Default { .. }) => {
            return Ok(refused(format!("there is no {} on this server", shown(entitlement))));
        }
        None if !give => return Ok(Outcome::AlreadySo),
        Some((direct, _)) if direct == give => return Ok(Outcome::AlreadySo),
        _ => {}
    }
    let member = account.key.as_str();
    let (names, statement) = match held {
        Held::Public => return Ok(refused("every role belongs to PUBLIC; change what PUBLIC holds instead")),
        Held::Owner { phrase, .. } => {
            return Ok(refused(format!(
                "ownership is not granted or revoked: run ALTER {} … OWNER TO another role, or REASSIGN OWNED BY",
                phrase.split(' ').next().unwrap_or_default().to_uppercase()
            )));
        }
        Held::Role { name } => {
            let names = [name.clone(), member.to_owned(), String::new(), String::new()];
            (names, if give { sql::GRANT_ROLE } else { sql::REVOKE_ROLE })
        }
        Held::Attribute { set, clear, .. } => {
            let word = if give { set } else { clear };
            let names = [String::new(), member.to_owned(), String::new(), (*word).to_owned()];
            (names, sql::ALTER_ATTRIBUTE)
        }
        Held::Privilege { privilege, part, phrase, .. } => {
            let part = part.clone().unwrap_or_default();
            let names = [phrase.clone(), member.to_owned(), part, (*privilege).to_owned()];
            (names, if give { sql::GRANT_PRIVILEGE } else { sql::REVOKE_PRIVILEGE })
        }
        Held::Default { privilege, kind, schema, .. } if give => {
            let names = [schema.clone(), member.to_owned(), kind.to_uppercase(), (*privilege).to_owned()];
            (names, sql::GRANT_DEFAULT)
        }
        Held::Default { phrase, .. } => {
            let names = [phrase.clone(), member.to_owned(), String::new(), String::new()];
            (names, sql::REVOKE_DEFAULT)
        }
    };
    let names = names.each_ref().map(String::as_str);
    let mut detail = if give { "granted" } else { "revoked" };
    if let Err(failure) = run(client, session, names, statement).await? {
        // The others must not lose what they hold through this grant, so they get it in another way first.
        let kept = match (&failure, held) {
            (Failure::Dependants { .. } | Failure::Denied { .. }, Held::Privilege { .. }) if !give => {
                run(client, session, names, sql::REVOKE_KEEPING_OTHERS).await?
            }
            (Failure::Dependants { .. }, Held::Role { .. }) if !give => {
                run(client, session, names, sql::REVOKE_ROLE_KEEPING_OTHERS).await?
            }
            _ => Err(Failure::Outcome(Outcome::AlreadySo)),
        };
        match (failure, kept) {
            // Somebody else was in the way of the other way: that is no refusal.
            (_, Err(Failure::Outcome(outcome @ Outcome::Retry { .. }))) => return Ok(outcome),
            (_, Ok(())) => detail = "revoked; who held it through this grant keeps it without this grant",
            (Failure::Outcome(outcome), _) => return Ok(outcome),
            (Failure::Denied { why }, _) => return Ok(refused(why)),
            // They may lose it meanwhile, and then this goes too.
            (Failure::Dependants { why }, _) => {
                let dependants = dependants(client, session, account, held).await?.join(", ");
                let why = format!(
                    "others hold it through this grant and must lose it first: {dependants}; the server said: {why}"
                );
                return Ok(Outcome::Retry { after_ms: None, why });
            }
        }
    }
    // GRANT and REVOKE say "no privileges could be revoked" in a warning only; so look before it counts.
    let after = grant(client, session, account, held).await?.is_some_and(|(direct, _)| direct);
    if after != give {
        rollback(client, session).await?;
        return Ok(refused(format!(
            "the server accepted the statement and changed nothing; {} may not {} {}",
            session.login,
            if give { "grant" } else { "revoke" },
            shown(entitlement)
        )));
    }
    commit(client, session, detail).await
}

/// The names for a statement about an account alone.
pub(super) fn named(account: &AccountTarget) -> [&str; 4] {
    [UNUSED, account.key.as_str(), UNUSED, UNUSED]
}

/// Why a change was not made. The transaction is over.
pub(super) enum Failure {
    /// Others hold the same through this grant.
    Dependants {
        why: String,
    },
    /// This log-in lacks a right.
    Denied {
        why: String,
    },
    Outcome(Outcome),
}

/// Opens a transaction and runs a `DO` block with these names. On an error of the server the transaction is over.
pub(super) async fn run(
    client: &Client,
    session: &mut Session,
    names: [&str; 4],
    statement: &'static str,
) -> Result<Result<(), Failure>, ConnectError> {
    let operation = "changing the server";
    client.wait(operation, sqlx::raw_sql("begin").execute(&mut session.connection)).await?;
    let mut set = sqlx::query(sql::SET_NAMES);
    for name in names {
        set = set.bind(name.to_owned());
    }
    client.wait(operation, set.execute(&mut session.connection)).await?;
    let changing = sqlx::raw_sql(statement).execute(&mut session.connection);
    let Err(error) = client.try_wait(operation, changing).await? else { return Ok(Ok(())) };
    let Some(found) = error_code(&error) else { return Err(client.target_error(operation, &error)) };
    rollback(client, session).await?;
    let why = describe(&error);
    Ok(Err(match found.as_str() {
        code::DEPENDENT_PRIVILEGES => Failure::Dependants { why },
        code::INSUFFICIENT_PRIVILEGE => {
            let why = format!("{why}; {} lacks the right, see `leasehold connector test`", session.login);
            Failure::Denied { why }
        }
        _ if is_transient(&error) => Failure::Outcome(Outcome::Retry { after_ms: None, why }),
        _ => Failure::Outcome(refused(why)),
    }))
}

async fn rollback(client: &Client, session: &mut Session) -> Result<(), ConnectError> {
    let back = sqlx::raw_sql("rollback").execute(&mut session.connection);
    client.wait("taking the change back", back).await.map(|_| ())
}

pub(super) async fn commit(
    client: &Client,
    session: &mut Session,
    detail: &str,
) -> Result<Outcome, ConnectError> {
    let operation = "committing the change";
    let committing = sqlx::raw_sql("commit").execute(&mut session.connection);
    if let Err(error) = client.try_wait(operation, committing).await? {
        // The server took the whole change back.
        return match is_transient(&error) {
            true => Ok(Outcome::Retry { after_ms: None, why: describe(&error) }),
            false => Err(client.target_error(operation, &error)),
        };
    }
    Ok(Outcome::Acknowledged { detail: detail.to_owned() })
}

/// Who holds the entitlement because the account passed it on.
async fn dependants(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
    held: &Held,
) -> Result<Vec<String>, ConnectError> {
    let query = match held {
        Held::Role { name } => sqlx::query(sql::DEPENDENT_MEMBERS).bind(account.key.as_str()).bind(name),
        Held::Privilege { privilege, part, phrase, .. } => {
            sqlx::query(sql::DEPENDANTS).bind(account.key.as_str()).bind(phrase).bind(part).bind(*privilege)
        }
        _ => return Ok(Vec::new()),
    };
    let rows = client.wait("listing dependants", query.fetch_all(&mut session.connection)).await?;
    rows.iter().map(|row| client.get(row, 0)).collect()
}

/// Ends every session and waits until the server no longer lists any.
async fn end_sessions(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
) -> Result<Outcome, ConnectError> {
    let before = sessions(client, session, account).await?;
    if before.is_empty() {
        return Ok(Outcome::AlreadySo);
    }
    let until = Instant::now() + client.settings.timeout;
    loop {
        let ending = sqlx::query(sql::TERMINATE).bind(account.key.as_str()).execute(&mut session.connection);
        if let Err(error) = client.try_wait("ending sessions", ending).await? {
            return match error_code(&error) {
                Some(_) if is_transient(&error) => {
                    Ok(Outcome::Retry { after_ms: None, why: describe(&error) })
                }
                Some(_) => Ok(refused(format!("{}; {} lacks the right", describe(&error), session.login))),
                None => Err(client.target_error("ending sessions", &error)),
            };
        }
        let left = sessions(client, session, account).await?;
        if left.is_empty() {
            let detail = format!("{} sessions ended", before.len());
            return Ok(Outcome::Acknowledged { detail });
        }
        if Instant::now() >= until {
            let pids: Vec<String> = left.into_iter().map(|session| session.id).collect();
            let why = format!("still there after a request to end: process {}", pids.join(", "));
            return Ok(Outcome::Retry { after_ms: None, why });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
