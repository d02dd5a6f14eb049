//! Making one change at a time, and saying what the server made of it.

use std::time::{Duration, Instant};

use leasehold_model::plan::Verb;
use leasehold_model::request::{ActionRequest, Outcome};

use crate::connector::not_offered;
use crate::error::ConnectError;
use crate::mariadb::catalogue::{Catalogue, Holder, PUBLIC};
use crate::mariadb::client::{Client, Session, code, describe, error_number};
use crate::mariadb::event::{self, Event};
use crate::mariadb::name::{AccountName, Held, Object};
use crate::mariadb::read_back::{keyed, sessions, still};
use crate::mariadb::sql;

/// Of a user's name.
const USER_CHARACTERS_MAX: usize = 128;
/// Between two looks at whether sessions have ended.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Makes one change.
pub(super) async fn execute(client: &Client, request: &ActionRequest) -> Result<Outcome, ConnectError> {
    let held = match &request.entitlement {
        Some(entitlement) => match Held::parse(&entitlement.name) {
            Ok(held) => Some(held),
            Err(why) => return Ok(refused(why)),
        },
        None => None,
    };
    let mut session = client.session().await?;
    let outcome = match keyed(client, &mut session, &request.account).await? {
        Ok(account) if account.is_by_login() => match request.verb {
            Verb::CreateAccount => create(client, &mut session, &account.login).await?,
            _ => nobody(request),
        },
        Ok(account) => match AccountName::parse(&account.key) {
            Ok(account) => execute_on(client, &mut session, request, &account, held.as_ref()).await?,
            Err(why) => refused(why),
        },
        Err(why) => refused(why),
    };
    client.keep(session).await;
    Ok(outcome)
}

/// Makes an account that holds nothing and that nobody can log in as.
async fn create(client: &Client, session: &mut Session, login: &str) -> Result<Outcome, ConnectError> {
    if login.is_empty() || login.chars().count() > USER_CHARACTERS_MAX {
        return Ok(refused(format!(
            "`{login}` cannot be the name of a user, which has 1 to {USER_CHARACTERS_MAX} characters"
        )));
    }
    let account = AccountName { user: login.to_owned(), host: client.settings.new_account_host.clone() };
    // The tables may hold grants to an account that is not there, and it would get them with its first breath.
    let catalogue = still(client, session).await?;
    let waiting = catalogue.held.get(&Holder::Account(account.clone())).and_then(|held| held.keys().next());
    if let Some(held) = waiting {
        return Ok(refused(format!(
            "grants to `{}` are left from an account that is gone, {} among them, and the new one would hold them: \
             delete those rows first",
            account.key(),
            held.name()
        )));
    }
    let waiting = Event::read_all(client, session).await?;
    if let Some(event) = waiting.iter().find(|event| event.definer == account.key().as_str()) {
        return Ok(refused(format!(
            "`{}` of `{}` is left from an account that is gone, and would run with the rights of the new one: drop it first",
            event.key(),
            account.key()
        )));
    }
    run(client, session, sql::CREATE, &Names::of(&account), "created; no password lets it in yet").await
}

/// What is done to an account that is not there.
fn nobody(request: &ActionRequest) -> Outcome {
    match request.verb {
        // Who does not exist holds nothing, and the server does nothing for them.
        verb if verb.takes_away() => Outcome::AlreadySo,
        _ => refused(format!("there is no account `{}`", request.account.login)),
    }
}

async fn execute_on(
    client: &Client,
    session: &mut Session,
    request: &ActionRequest,
    account: &AccountName,
    held: Option<&Held>,
) -> Result<Outcome, ConnectError> {
    if session.ourselves == *account && request.verb.takes_away() {
        let why = format!("`{}` is the account that the connector itself uses", account.key());
        return Ok(refused(why));
    }
    execute_now(client, session, request, account, held).await
}

async fn execute_now(
    client: &Client,
    session: &mut Session,
    request: &ActionRequest,
    account: &AccountName,
    held: Option<&Held>,
) -> Result<Outcome, ConnectError> {
    let verb = request.verb;
    if verb == Verb::EndSessions {
        return end_sessions(client, session, account).await;
    }
    if matches!(verb, Verb::DisableCredential | Verb::EnableCredential | Verb::RevokeCredential) {
        // An event stays when its definer goes.
        return match &request.credential {
            Some(credential) => event::change(client, session, account, credential, verb).await,
            None => Ok(refused(format!("{verb} needs a credential"))),
        };
    }
    if verb == Verb::HandOverCredential {
        let (Some(credential), Some(to)) = (&request.credential, &request.to) else {
            return Ok(refused(format!("{verb} needs a credential and an account")));
        };
        return match AccountName::parse(&to.key) {
            Ok(to) => event::hand_over(client, session, account, credential, &to).await,
            Err(why) => Ok(refused(why)),
        };
    }
    let catalogue = still(client, session).await?;
    let Some(state) = catalogue.accounts.get(account) else {
        return Ok(nobody(request));
    };
    match (verb, held) {
        (Verb::Grant | Verb::Revoke, None) => Ok(refused(format!("{verb} needs an entitlement"))),
        (Verb::Grant | Verb::Revoke, Some(held)) => {
            change(client, session, &catalogue, account, held, verb == Verb::Grant).await
        }
        (Verb::CreateAccount, _) => Ok(Outcome::AlreadySo),
        (Verb::DisableAccount, _) if state.locked => Ok(Outcome::AlreadySo),
        (Verb::EnableAccount, _) if !state.locked => Ok(Outcome::AlreadySo),
        (Verb::DisableAccount, _) => run(client, session, sql::LOCK, &Names::of(account), "locked").await,
        (Verb::EnableAccount, _) => run(client, session, sql::UNLOCK, &Names::of(account), "unlocked").await,
        (Verb::DeleteAccount, _) => run(client, session, sql::DROP, &Names::of(account), "dropped").await,
        (verb, _) => Ok(not_offered(verb)),
    }
}

pub(super) fn refused(why: impl Into<String>) -> Outcome {
    Outcome::Refused { why: why.into() }
}

/// What a statement is put together from.
#[derive(Default)]
pub(super) struct Names<'a> {
    pub words: String,
    pub account: Option<&'a AccountName>,
    pub first: &'a str,
    pub second: &'a str,
    pub third: &'a str,
}

impl<'a> Names<'a> {
    fn of(account: &'a AccountName) -> Self {
        Self { account: Some(account), ..Self::default() }
    }
}

/// Gives or takes an entitlement.
async fn change(
    client: &Client,
    session: &mut Session,
    catalogue: &Catalogue,
    account: &AccountName,
    held: &Held,
    give: bool,
) -> Result<Outcome, ConnectError> {
    if *held == Held::Role(PUBLIC.to_owned()) {
        return Ok(refused("every account belongs to PUBLIC; change what PUBLIC holds instead"));
    }
    if catalogue.holds(account, held).0 == give {
        return Ok(Outcome::AlreadySo);
    }
    let mut names = Names::of(account);
    let statement = match held {
        Held::Role(role) => {
            if give && !catalogue.roles.contains(role) {
                return Ok(refused(format!("there is no role `{role}` on this server")));
            }
            names.first = role;
            if give { sql::GRANT_ROLE } else { sql::REVOKE_ROLE }
        }
        Held::Proxy(proxied) => {
            (names.first, names.second) = (&proxied.user, &proxied.host);
            if give { sql::GRANT_PROXY } else { sql::REVOKE_PROXY }
        }
        Held::Privilege { privilege, object } => {
            names.words = (*privilege).to_owned();
            match object {
                Object::Server => {
                    if give {
                        sql::GRANT_SERVER
                    } else {
                        sql::REVOKE_SERVER
                    }
                }
                Object::Database(pattern) => {
                    names.first = pattern;
                    if give { sql::GRANT_DATABASE } else { sql::REVOKE_DATABASE }
                }
                Object::Table { database, table } => {
                    names.words.push_str(" on");
                    (names.first, names.second) = (database, table);
                    if give { sql::GRANT_OBJECT } else { sql::REVOKE_OBJECT }
                }
                Object::Routine { sort, database, routine } => {
                    names.words.push_str(" on ");
                    names.words.push_str(sort);
                    (names.first, names.second) = (database, routine);
                    if give { sql::GRANT_OBJECT } else { sql::REVOKE_OBJECT }
                }
                Object::Column { database, table, column } => {
                    (names.first, names.second, names.third) = (database, table, column);
                    if give { sql::GRANT_COLUMN } else { sql::REVOKE_COLUMN }
                }
            }
        }
    };
    let detail = if give { "granted" } else { "revoked; a live session keeps a role until it is ended" };
    run(client, session, statement, &names, detail).await
}

/// Runs a statement with these names, and says what the server made of it.
pub(super) async fn run(
    client: &Client,
    session: &mut Session,
    statement: &'static str,
    names: &Names<'_>,
    detail: &str,
) -> Result<Outcome, ConnectError> {
    let operation = "changing the server";
    let (user, host) = names.account.map_or(("", ""), |account| (&account.user, &account.host));
    let set = sqlx::query(sql::NAMES)
        .bind(&names.words)
        .bind(user)
        .bind(host)
        .bind(names.first)
        .bind(names.second)
        .bind(names.third);
    client.wait(operation, set.execute(&mut session.connection)).await?;
    let changing = sqlx::raw_sql(statement).execute(&mut session.connection);
    let Err(error) = client.try_wait(operation, changing).await? else {
        return Ok(Outcome::Acknowledged { detail: detail.to_owned() });
    };
    let Some(number) = error_number(&error) else { return Err(client.target_error(operation, &error)) };
    let why = describe(&error);
    Ok(if code::TRANSIENT.contains(&number) {
        Outcome::Retry { after_ms: None, why }
    } else if code::NO_SUCH_GRANT.contains(&number) && detail.starts_with("revoked") {
        Outcome::AlreadySo
    } else if code::DENIED.contains(&number) {
        let login = session.ourselves.key();
        refused(format!("{why}; {login} lacks the right, see `leasehold connector test`"))
    } else {
        refused(why)
    })
}

/// Ends every session and waits until the server no longer lists any.
async fn end_sessions(
    client: &Client,
    session: &mut Session,
    account: &AccountName,
) -> Result<Outcome, ConnectError> {
    let before = sessions(client, session, account).await?;
    if before.is_empty() {
        return Ok(Outcome::AlreadySo);
    }
    let until = Instant::now() + client.settings.timeout;
    let mut left = before.clone();
    loop {
        for live in &left {
            let names = Names { words: live.id.clone(), ..Names::default() };
            let set = sqlx::query(sql::NAMES).bind(&names.words).bind("").bind("").bind("").bind("").bind("");
            client.wait("ending sessions", set.execute(&mut session.connection)).await?;
            let killing = sqlx::raw_sql(sql::KILL).execute(&mut session.connection);
            match client.try_wait("ending sessions", killing).await? {
                Ok(_) => {}
                Err(error) => match error_number(&error) {
                    Some(code::NO_SUCH_SESSION) => {}
                    Some(number) if code::TRANSIENT.contains(&number) => {
                        return Ok(Outcome::Retry { after_ms: None, why: describe(&error) });
                    }
                    Some(_) => {
                        let login = session.ourselves.key();
                        return Ok(refused(format!("{}; {login} lacks the right", describe(&error))));
                    }
                    None => return Err(client.target_error("ending sessions", &error)),
                },
            }
        }
        left = sessions(client, session, account).await?;
        if left.is_empty() {
            return Ok(Outcome::Acknowledged { detail: format!("{} sessions ended", before.len()) });
        }
        if Instant::now() >= until {
            let ids: Vec<&str> = left.iter().map(|live| live.id.as_str()).collect();
            let why = format!("still there after a request to end: connection {}", ids.join(", "));
            return Ok(Outcome::Retry { after_ms: None, why });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
