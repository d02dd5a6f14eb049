//! Events: work that the server does by itself with the rights of whoever is its definer, whether or not they can log in.
//!
//! An event is stopped and brought back under its definer and in its character sets: without that the server would give it
//! those of whoever changes it. Nothing else of it changes. One whose names do not say the same there is left to people.
//!
//! Where the definer is a role, no account is behind it: the server does it with what the role holds, whoever made it.

use jiff::Timestamp;
use leasehold_model::account::LastUse;
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::plan::Verb;
use leasehold_model::request::{CredentialTarget, Outcome, ReadBack};
use sqlx::mysql::MySqlRow;

use crate::connector::not_offered;
use crate::error::ConnectError;
use crate::mariadb::catalogue::Holder;
use crate::mariadb::client::{Client, Session};
use crate::mariadb::execute::{Names, refused, run};
use crate::mariadb::name::{AccountName, Held, Object, written};
use crate::mariadb::read_back::still;
use crate::mariadb::sql;

/// Whether an event runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Enabled,
    Disabled,
    /// It runs on the server that this one is a replica of.
    Elsewhere,
}

/// One event.
pub(super) struct Event {
    database: String,
    name: String,
    /// `user@host`, which need not be an account that is there.
    pub definer: String,
    status: Status,
    created: Option<Timestamp>,
    last_executed: Option<Timestamp>,
    /// When a repeated one ends.
    ends: Option<Timestamp>,
    /// In which its author wrote it.
    character_set: String,
}

impl Event {
    /// Every event. One statement sees the table at one instant, and whoever may read it sees all of it.
    pub async fn read_all(client: &Client, session: &mut Session) -> Result<Vec<Self>, ConnectError> {
        let reading = sqlx::query(sql::EVENTS).fetch_all(&mut session.connection);
        let rows = client.wait("reading events", reading).await?;
        rows.iter().map(|row| Self::read(client, row)).collect()
    }

    fn read(client: &Client, row: &MySqlRow) -> Result<Self, ConnectError> {
        let instant = |index| -> Result<Option<Timestamp>, ConnectError> {
            let seconds: Option<i64> = client.get(row, index)?;
            Ok(seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()))
        };
        let status = match client.text(row, 3)?.as_str() {
            "ENABLED" => Status::Enabled,
            "DISABLED" => Status::Disabled,
            _ => Status::Elsewhere,
        };
        Ok(Self {
            database: client.text(row, 0)?,
            name: client.text(row, 1)?,
            definer: client.text(row, 2)?,
            status,
            created: instant(4)?,
            last_executed: instant(5)?,
            ends: instant(6)?,
            character_set: client.text(row, 7)?,
        })
    }

    /// Its key, which is what people call it, too.
    pub fn key(&self) -> String {
        format!("event {}.{}", written(&self.database), written(&self.name))
    }

    /// Whether it runs when its time comes.
    pub fn is_enabled(&self) -> bool {
        self.status == Status::Enabled
    }

    /// The role that it runs as, where its definer has no host: no account does.
    pub fn role(&self) -> Option<&str> {
        self.definer.strip_suffix('@')
    }

    /// Whether its names mean the same in the character set that it was written in.
    ///
    /// # Errors
    /// Says what a person can do where they may not.
    fn names_hold(&self) -> Result<(), String> {
        let names = [&self.database, &self.name, &self.definer];
        let all = |is_held: fn(char) -> bool| names.iter().all(|name| name.chars().all(is_held));
        let hold = match self.character_set.as_str() {
            "utf8mb4" | "utf8mb3" | "utf8" => true,
            "latin1" => all(|letter| letter.is_ascii() || ('\u{a0}'..='\u{ff}').contains(&letter)),
            "ascii" | "binary" => all(|letter| letter.is_ascii()),
            // In some a letter swallows the backtick or backslash after it, in some there is none.
            _ => false,
        };
        if hold {
            return Ok(());
        }
        Err(format!(
            "`{}` was written in the character set {}, in which its name may mean another: change it by hand, by ALTER EVENT … DISABLE or \
             ENABLE in a session of that character set, or drop it",
            self.key(),
            self.character_set
        ))
    }

    /// It as a credential of its definer.
    pub fn credential(&self) -> Credential {
        let kind = CredentialKind::ScheduledJob;
        let mut credential = Credential::new(self.key(), self.definer.as_str(), kind, self.key());
        credential.active = self.is_enabled();
        credential.created_at = self.created;
        credential.expires_at = self.ends;
        credential.last_use = self.last_executed.map_or(LastUse::Never, LastUse::At);
        credential
    }
}

/// An event of an account by its key; `None` where it has none of that name.
pub(super) async fn find(
    client: &Client,
    session: &mut Session,
    account: &AccountName,
    key: &str,
) -> Result<Option<Event>, ConnectError> {
    let definer = account.key();
    let is_it = |event: &Event| event.definer == definer.as_str() && event.key() == key;
    Ok(Event::read_all(client, session).await?.into_iter().find(is_it))
}

/// Stops an event, brings it back, or drops it.
pub(super) async fn change(
    client: &Client,
    session: &mut Session,
    account: &AccountName,
    credential: &CredentialTarget,
    verb: Verb,
) -> Result<Outcome, ConnectError> {
    if credential.kind != CredentialKind::ScheduledJob {
        let kind = credential.kind.as_str();
        return Ok(refused(format!(
            "only events can be stopped and dropped by themselves here, and no {kind}"
        )));
    }
    let Some(event) = find(client, session, account, credential.key.as_str()).await? else {
        return Ok(match verb.takes_away() {
            true => Outcome::AlreadySo,
            false => refused(format!("{} has no `{}` any more", account.key(), credential.key.as_str())),
        });
    };
    let names = Names {
        account: Some(account),
        first: &event.database,
        second: &event.name,
        third: &event.character_set,
        ..Names::default()
    };
    match (verb, event.status) {
        (Verb::DisableCredential, Status::Enabled) | (Verb::EnableCredential, Status::Disabled) => {
            let (statement, detail) = match verb {
                Verb::DisableCredential => (sql::DISABLE_EVENT, "stopped"),
                _ => (sql::ENABLE_EVENT, "brought back"),
            };
            match event.names_hold() {
                Ok(()) => alter(client, session, statement, &names, detail).await,
                Err(why) => Ok(refused(why)),
            }
        }
        (Verb::EnableCredential, Status::Elsewhere) => {
            Ok(refused("it runs on the server that this one is a replica of; bring it back there"))
        }
        (Verb::RevokeCredential, _) => run(client, session, sql::DROP_EVENT, &names, "dropped").await,
        (Verb::DisableCredential | Verb::EnableCredential, _) => Ok(Outcome::AlreadySo),
        (verb, _) => Ok(not_offered(verb)),
    }
}

/// Has an event run as another account from now on.
pub(super) async fn hand_over(
    client: &Client,
    session: &mut Session,
    account: &AccountName,
    credential: &CredentialTarget,
    to: &AccountName,
) -> Result<Outcome, ConnectError> {
    let (from, key) = (account.key(), credential.key.as_str());
    let catalogue = still(client, session).await?;
    match catalogue.accounts.get(to) {
        None => return Ok(refused(format!("there is no account {}", to.key()))),
        Some(state) if state.locked => {
            return Ok(refused(format!("{} is locked; unlock it first, or name another", to.key())));
        }
        Some(_) => {}
    }
    let events = Event::read_all(client, session).await?;
    let Some(event) = events.into_iter().find(|event| event.key() == key) else {
        return Ok(refused(format!("there is no `{key}` any more")));
    };
    if event.definer == to.key().as_str() && event.is_enabled() {
        return Ok(Outcome::AlreadySo);
    }
    if event.definer != from.as_str() {
        return Ok(refused(format!("`{key}` runs as {} and no longer as {from}", event.definer)));
    }
    if event.status == Status::Elsewhere {
        return Ok(refused("it runs on the server that this one is a replica of; hand it over there"));
    }
    let all = Held::Privilege { privilege: "SUPER", object: Object::Server };
    if catalogue.holds(to, &all).1 {
        return Ok(refused(format!(
            "nothing that was left behind is to run as {}, which has SUPER",
            to.key()
        )));
    }
    // The server does nothing in an event whose definer lacks this, and says so in its log only. What a role holds does not count:
    // an event runs without one.
    let needed = Held::Privilege { privilege: "EVENT", object: Object::Database(event.database.clone()) };
    if !catalogue.direct(&Holder::Account(to.clone())).any(|(held, _)| held.carries(&needed)) {
        return Ok(refused(format!(
            "{} lacks EVENT on {} of its own, without which the server does not run it: grant that first, and what the event itself needs",
            to.key(),
            written(&event.database)
        )));
    }
    let handed_over = Event { definer: to.key().0, ..event };
    if let Err(why) = handed_over.names_hold() {
        return Ok(refused(why));
    }
    let names = Names {
        account: Some(to),
        first: &handed_over.database,
        second: &handed_over.name,
        third: &handed_over.character_set,
        ..Names::default()
    };
    alter(client, session, sql::ENABLE_EVENT, &names, "handed over").await
}

/// Whether an event was handed over: the one account runs it no more, and the other does.
pub(super) async fn is_handed_over(
    client: &Client,
    session: &mut Session,
    account: &AccountName,
    key: &str,
    to: &AccountName,
) -> Result<ReadBack, ConnectError> {
    let (from, to) = (account.key(), to.key());
    let events = Event::read_all(client, session).await?;
    let event = events.iter().find(|event| event.key() == key);
    Ok(ReadBack::HandOver {
        left: event.is_none_or(|event| event.definer != from.as_str()),
        arrived: event.is_some_and(|event| event.definer == to.as_str() && event.is_enabled()),
    })
}

/// Alters an event. After an error the session is given up, and its character sets with it.
async fn alter(
    client: &Client,
    session: &mut Session,
    statement: &'static str,
    names: &Names<'_>,
    detail: &str,
) -> Result<Outcome, ConnectError> {
    let outcome = run(client, session, statement, names, detail).await?;
    let setting = sqlx::raw_sql(sql::OWN_CHARACTER_SETS).execute(&mut session.connection);
    client.wait("setting the session back", setting).await?;
    Ok(outcome)
}
