//! The grant tables as they are at one instant: who there is, who holds what, and what carries what.
//!
//! The tables know no transaction. They are read between two checksums of them all; where those differ, somebody changed
//! something meanwhile, and they are read again.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sqlx::mysql::MySqlRow;
use sqlx::{Column as _, Row as _};

use crate::error::ConnectError;
use crate::mariadb::client::{Client, Session};
use crate::mariadb::name::{AccountName, Held, Object, PRIVILEGES};
use crate::mariadb::sql;

/// Every account is a member of it.
pub(super) const PUBLIC: &str = "PUBLIC";
const DAY_SECONDS: i64 = 86_400;
/// How often the tables are read before it is said that they do not hold still.
const READINGS_MAX: usize = 4;

/// An account's own state.
pub(super) struct AccountState {
    pub locked: bool,
    pub password_changed: Option<Timestamp>,
    pub plugin: String,
    /// It is let in by other plugins beside that one.
    pub lets_in_otherwise: bool,
    pub without_password: bool,
    pub default_role: String,
    /// It is exempt from expiry, whatever the server's default is.
    pub password_never_expires: bool,
    /// `None` where nothing that lets it in is a password.
    pub password_end: Option<PasswordEnd>,
    /// The password has to be changed before anything else can be done with it, by the server's clock.
    pub password_expired: bool,
}

/// When a password ends. Its holder logs in with it afterwards too, and goes on once they have set a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PasswordEnd {
    Never,
    At(Timestamp),
    /// Somebody ended it by `PASSWORD EXPIRE`, at an instant that the server does not keep.
    Ended,
}

impl PasswordEnd {
    /// As the server reckons: `changed` in seconds, where 0 is the mark of `PASSWORD EXPIRE` and nothing is long ago; `lifetime`
    /// in days, where 0 is for ever and less, or nothing, is the server's own `default`.
    fn of(changed: Option<i64>, lifetime: Option<i64>, default: i64) -> Self {
        if changed == Some(0) {
            return Self::Ended;
        }
        let days = lifetime.filter(|days| *days >= 0).unwrap_or(default);
        if days <= 0 {
            return Self::Never;
        }
        let seconds = changed.unwrap_or(0).saturating_add(days.saturating_mul(DAY_SECONDS));
        // Beyond the last instant that can be kept.
        Timestamp::from_second(seconds).map_or(Self::Never, Self::At)
    }
}

/// Who holds something: an account or a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder {
    Account(AccountName),
    Role(String),
}

/// Everything in the grant tables.
#[derive(Default)]
pub(super) struct Catalogue {
    pub accounts: BTreeMap<AccountName, AccountState>,
    pub roles: BTreeSet<String>,
    /// Direct grants, each with whether its holder may pass it on.
    pub held: BTreeMap<Holder, BTreeMap<Held, bool>>,
    /// Whether the tables held still while they were read.
    pub is_still: bool,
}

impl Catalogue {
    /// Reads everything.
    pub async fn read(client: &Client, session: &mut Session) -> Result<Self, ConnectError> {
        let mut before = checksums(client, session).await?;
        for reading in 1.. {
            let mut catalogue = Self::read_once(client, session).await?;
            let after = checksums(client, session).await?;
            catalogue.is_still = before == after;
            if catalogue.is_still || reading >= READINGS_MAX {
                return Ok(catalogue);
            }
            before = after;
        }
        unreachable!("the readings are counted")
    }

    async fn read_once(client: &Client, session: &mut Session) -> Result<Self, ConnectError> {
        let mut catalogue = Self::default();
        for row in rows(client, session, sql::GRANTEES).await? {
            let (user, host) = (client.text(&row, 0)?, client.text(&row, 1)?);
            let (is_role, locked): (i64, i64) = (client.get(&row, 2)?, client.get(&row, 3)?);
            let access: u64 = client.get(&row, 7)?;
            let holder = if is_role != 0 {
                catalogue.roles.insert(user.clone());
                Holder::Role(user)
            } else {
                let changed: Option<i64> = client.get(&row, 4)?;
                let plugin = client.text(&row, 5)?;
                let (without, others): (i64, i64) = (client.get(&row, 6)?, client.get(&row, 10)?);
                let by_password = plugin.is_empty() || plugin == "mysql_native_password";
                let lifetime: Option<i64> = client.get(&row, 9)?;
                let (default, now): (i64, i64) = (client.get(&row, 11)?, client.get(&row, 12)?);
                let end = PasswordEnd::of(changed, lifetime, default);
                let is_expired = match end {
                    PasswordEnd::Never => false,
                    PasswordEnd::At(at) => at.as_second() < now,
                    PasswordEnd::Ended => true,
                };
                // The server looks at no end where the host's own identity lets in.
                let has_password = plugin != "unix_socket" || others != 0;
                let state = AccountState {
                    locked: locked != 0,
                    password_changed: changed
                        .filter(|seconds| *seconds > 0)
                        .and_then(|seconds| Timestamp::from_second(seconds).ok()),
                    without_password: by_password && without != 0,
                    plugin,
                    lets_in_otherwise: others != 0,
                    default_role: client.text(&row, 8)?,
                    password_never_expires: lifetime == Some(0),
                    password_end: has_password.then_some(end),
                    password_expired: has_password && is_expired,
                };
                let account = AccountName { user, host };
                catalogue.accounts.insert(account.clone(), state);
                Holder::Account(account)
            };
            // All bits at once are those of an account that began with the server: everything that there is.
            if access != u64::MAX && access >> PRIVILEGES.len() != 0 {
                return Err(unknown(client, &format!("{access:#x}")));
            }
            for (bit, privilege) in PRIVILEGES.into_iter().enumerate() {
                if access >> bit & 1 == 1 {
                    catalogue.add(
                        holder.clone(),
                        Held::Privilege { privilege, object: Object::Server },
                        false,
                    );
                }
            }
        }
        for row in rows(client, session, sql::ROLES).await? {
            let holder = catalogue.holder(client.text(&row, 0)?, client.text(&row, 1)?);
            let passes_on: i64 = client.get(&row, 3)?;
            catalogue.add(holder, Held::Role(client.text(&row, 2)?), passes_on != 0);
        }
        for row in rows(client, session, sql::DATABASES).await? {
            catalogue.add_database(client, &row)?;
        }
        for row in rows(client, session, sql::TABLES).await? {
            let holder = catalogue.holder(client.text(&row, 0)?, client.text(&row, 1)?);
            let (database, table) = (client.text(&row, 2)?, client.text(&row, 3)?);
            let object = Object::Table { database, table };
            catalogue.add_set(client, holder, &client.text(&row, 4)?, &object)?;
        }
        for row in rows(client, session, sql::COLUMNS).await? {
            let holder = catalogue.holder(client.text(&row, 0)?, client.text(&row, 1)?);
            let (database, table, column) =
                (client.text(&row, 2)?, client.text(&row, 3)?, client.text(&row, 4)?);
            let object = Object::Column { database, table, column };
            catalogue.add_set(client, holder, &client.text(&row, 5)?, &object)?;
        }
        for row in rows(client, session, sql::ROUTINES).await? {
            let holder = catalogue.holder(client.text(&row, 0)?, client.text(&row, 1)?);
            let (database, routine) = (client.text(&row, 2)?, client.text(&row, 3)?);
            let told = client.text(&row, 4)?;
            let sort = Held::routine(&told)
                .ok_or_else(|| client.wrong("reading grants", format!("a routine is a `{told}`")))?;
            let object = Object::Routine { sort, database, routine };
            catalogue.add_set(client, holder, &client.text(&row, 5)?, &object)?;
        }
        for row in rows(client, session, sql::PROXIES).await? {
            let holder = catalogue.holder(client.text(&row, 0)?, client.text(&row, 1)?);
            let proxied = AccountName { user: client.text(&row, 2)?, host: client.text(&row, 3)? };
            catalogue.add(holder, Held::Proxy(proxied), false);
        }
        Ok(catalogue)
    }

    /// A role has no host; an account has one, and be it `%`.
    fn holder(&self, user: String, host: String) -> Holder {
        if host.is_empty() && self.roles.contains(&user) {
            Holder::Role(user)
        } else {
            Holder::Account(AccountName { user, host })
        }
    }

    fn add(&mut self, holder: Holder, held: Held, passes_on: bool) {
        *self.held.entry(holder).or_default().entry(held).or_default() |= passes_on;
    }

    /// A row of `mysql.db`: each privilege has a column of its own, with `Y` where it is granted.
    fn add_database(&mut self, client: &Client, row: &MySqlRow) -> Result<(), ConnectError> {
        let (mut user, mut host, mut database) = (String::new(), String::new(), String::new());
        let mut granted = Vec::new();
        for (index, column) in row.columns().iter().enumerate() {
            match column.name() {
                "User" => user = client.text(row, index)?,
                "Host" => host = client.text(row, index)?,
                "Db" => database = client.text(row, index)?,
                name => {
                    let Some(word) = name.strip_suffix("_priv") else { continue };
                    if client.text(row, index)? == "Y" {
                        granted.push(privilege_of_column(client, word)?);
                    }
                }
            }
        }
        let holder = self.holder(user, host);
        for privilege in granted {
            let object = Object::Database(database.clone());
            self.add(holder.clone(), Held::Privilege { privilege, object }, false);
        }
        Ok(())
    }

    /// A set of words, as the other tables keep privileges.
    fn add_set(
        &mut self,
        client: &Client,
        holder: Holder,
        words: &str,
        object: &Object,
    ) -> Result<(), ConnectError> {
        for word in words.split(',').filter(|word| !word.is_empty()) {
            let privilege = Held::privilege(word).ok_or_else(|| unknown(client, word))?;
            self.add(holder.clone(), Held::Privilege { privilege, object: object.clone() }, false);
        }
        Ok(())
    }

    /// What a holder holds directly.
    pub fn direct(&self, holder: &Holder) -> impl Iterator<Item = (&Held, bool)> {
        self.held.get(holder).into_iter().flatten().map(|(held, passes_on)| (held, *passes_on))
    }

    /// Whether an account holds something directly, and on any path.
    pub fn holds(&self, account: &AccountName, wanted: &Held) -> (bool, bool) {
        let own = Holder::Account(account.clone());
        let direct = self.direct(&own).any(|(held, _)| held == wanted);
        let mut roles: Vec<Holder> = vec![own, Holder::Role(PUBLIC.to_owned())];
        let mut seen: BTreeSet<Holder> = roles.iter().cloned().collect();
        let mut effective = direct || *wanted == Held::Role(PUBLIC.to_owned());
        while let Some(holder) = roles.pop() {
            for (held, _) in self.direct(&holder) {
                effective |= held.carries(wanted);
                if let Held::Role(name) = held {
                    let role = Holder::Role(name.clone());
                    if seen.insert(role.clone()) {
                        roles.push(role);
                    }
                }
            }
        }
        (direct, effective)
    }
}

/// The privilege of a column of `mysql.db`.
fn privilege_of_column(client: &Client, word: &str) -> Result<&'static str, ConnectError> {
    Held::privilege(word).ok_or_else(|| unknown(client, word))
}

/// A privilege that a later version of the server has: leaving it out would call it absent.
fn unknown(client: &Client, word: &str) -> ConnectError {
    client.wrong(
        "reading grants",
        format!("this server has a privilege `{word}` that this release does not know"),
    )
}

async fn rows(
    client: &Client,
    session: &mut Session,
    statement: &'static str,
) -> Result<Vec<MySqlRow>, ConnectError> {
    client.wait("reading grants", sqlx::query(statement).fetch_all(&mut session.connection)).await
}

async fn checksums(client: &Client, session: &mut Session) -> Result<Vec<Option<i64>>, ConnectError> {
    let rows = rows(client, session, sql::CHECKSUMS).await?;
    rows.iter().map(|row| client.get(row, 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_end_as_the_server_reckons() {
        let day = |seconds: i64| PasswordEnd::At(Timestamp::from_second(seconds).unwrap());
        for (changed, lifetime, default, expected) in [
            (Some(1_000), Some(30), 0, day(1_000 + 30 * 86_400)),
            (Some(1_000), Some(30), 7, day(1_000 + 30 * 86_400)),
            (Some(1_000), Some(-1), 7, day(1_000 + 7 * 86_400)),
            (Some(1_000), None, 7, day(1_000 + 7 * 86_400)),
            (Some(1_000), None, 0, PasswordEnd::Never),
            (Some(1_000), Some(0), 7, PasswordEnd::Never),
            (Some(1_000), Some(i64::MAX), 0, PasswordEnd::Never),
            (Some(0), Some(0), 0, PasswordEnd::Ended),
            (None, None, 7, day(7 * 86_400)),
            (None, None, 0, PasswordEnd::Never),
        ] {
            assert_eq!(
                PasswordEnd::of(changed, lifetime, default),
                expected,
                "{changed:?} {lifetime:?} {default}"
            );
        }
    }
}
