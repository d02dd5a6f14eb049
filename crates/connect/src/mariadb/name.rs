//! How accounts and what they hold are named, and how such a name is taken apart again.

use std::fmt::Write as _;

use leasehold_model::id::{AccountKey, EntitlementName};

use crate::mariadb::pattern;

/// An account: a user as seen from some hosts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct AccountName {
    pub user: String,
    pub host: String,
}

impl AccountName {
    /// `user@host`. A host holds no `@`, so that a user may.
    pub fn parse(key: &AccountKey) -> Result<Self, String> {
        key.as_str()
            .rsplit_once('@')
            .map(|(user, host)| Self { user: user.to_owned(), host: host.to_owned() })
            .ok_or_else(|| format!("`{key}` is not an account's key, which is `user@host`"))
    }

    pub fn key(&self) -> AccountKey {
        AccountKey(format!("{}@{}", self.user, self.host))
    }
}

/// The privileges of the server, in the order of the bits of `access` in `mysql.global_priv`.
pub(super) const PRIVILEGES: [&str; 39] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "RELOAD",
    "SHUTDOWN",
    "PROCESS",
    "FILE",
    "GRANT OPTION",
    "REFERENCES",
    "INDEX",
    "ALTER",
    "SHOW DATABASES",
    "SUPER",
    "CREATE TEMPORARY TABLES",
    "LOCK TABLES",
    "EXECUTE",
    "REPLICATION SLAVE",
    "BINLOG MONITOR",
    "CREATE VIEW",
    "SHOW VIEW",
    "CREATE ROUTINE",
    "ALTER ROUTINE",
    "CREATE USER",
    "EVENT",
    "TRIGGER",
    "CREATE TABLESPACE",
    "DELETE HISTORY",
    "SET USER",
    "FEDERATED ADMIN",
    "CONNECTION ADMIN",
    "READ_ONLY ADMIN",
    "REPLICATION SLAVE ADMIN",
    "REPLICATION MASTER ADMIN",
    "BINLOG ADMIN",
    "BINLOG REPLAY",
    "SLAVE MONITOR",
];

/// Privileges whose holder can take any other, or read and write past every check.
const ADMINISTRATIVE: [&str; 5] = ["SUPER", "GRANT OPTION", "CREATE USER", "SET USER", "FILE"];

/// Sorts of routines, as the grant tables call them and as the language does.
const ROUTINES: [(&str, &str); 4] = [
    ("FUNCTION", "function"),
    ("PROCEDURE", "procedure"),
    ("PACKAGE", "package"),
    ("PACKAGE BODY", "package body"),
];

/// What a privilege is on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Object {
    /// The whole server.
    Server,
    /// Databases: a pattern, as the server keeps it.
    Database(String),
    /// A table or view.
    Table { database: String, table: String },
    /// A column.
    Column { database: String, table: String, column: String },
    /// A routine of a sort.
    Routine { sort: &'static str, database: String, routine: String },
}

impl Object {
    /// Whether a privilege on this one is one on the other, too.
    fn holds(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Server, _) => true,
            (Self::Database(pattern), Self::Database(other)) => {
                pattern == other || pattern::fits(pattern, &other.replace('\\', ""))
            }
            (
                Self::Database(pattern),
                Self::Table { database, .. } | Self::Column { database, .. } | Self::Routine { database, .. },
            ) => pattern::fits(pattern, database),
            (Self::Table { database, table }, Self::Column { database: other, table: of, .. }) => {
                database == other && table == of
            }
            (one, other) => one == other,
        }
    }
}

/// Something that can be held.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Held {
    /// A role.
    Role(String),
    /// To act as another account.
    Proxy(AccountName),
    /// A privilege.
    Privilege { privilege: &'static str, object: Object },
}

impl Held {
    /// Whether who holds this holds the other with it: the same, or the same privilege on something wider.
    pub fn carries(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Privilege { privilege, object },
                Self::Privilege { privilege: other, object: narrower },
            ) => privilege == other && object.holds(narrower),
            (one, other) => one == other,
        }
    }

    /// The privilege of this name, in any case, as the language writes it.
    pub fn privilege(name: &str) -> Option<&'static str> {
        // The tables of grants have words of their own for a few.
        let name = match name.to_ascii_uppercase().replace('_', " ") {
            name if name == "GRANT" => "GRANT OPTION".to_owned(),
            name if name == "CREATE TMP TABLE" => "CREATE TEMPORARY TABLES".to_owned(),
            name if name == "DELETE VERSIONING ROWS" => "DELETE HISTORY".to_owned(),
            name => name,
        };
        PRIVILEGES.into_iter().find(|known| known.replace('_', " ") == name)
    }

    /// The sort of a routine, as the grant tables call it.
    pub fn routine(sort: &str) -> Option<&'static str> {
        ROUTINES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(sort)).map(|(_, sort)| sort)
    }

    /// Whether it lets its holder administer the server.
    pub fn is_administrative(&self) -> bool {
        matches!(self, Self::Privilege { privilege, object: Object::Server } if ADMINISTRATIVE.contains(privilege))
    }

    /// Its name as an entitlement.
    pub fn name(&self) -> EntitlementName {
        match self {
            Self::Role(name) => EntitlementName::new("role", name.clone()),
            Self::Proxy(account) => EntitlementName::new("proxy", account.key().0),
            Self::Privilege { privilege, object } => {
                let on = match object {
                    Object::Server => format!("{privilege} on *.*"),
                    Object::Database(pattern) => format!("{privilege} on {}.*", written(pattern)),
                    Object::Table { database, table } => {
                        format!("{privilege} on {}.{}", written(database), written(table))
                    }
                    Object::Column { database, table, column } => {
                        let column = written(column);
                        format!("{privilege} ({column}) on {}.{}", written(database), written(table))
                    }
                    Object::Routine { sort, database, routine } => {
                        format!("{privilege} on {sort} {}.{}", written(database), written(routine))
                    }
                };
                EntitlementName::new("privilege", on)
            }
        }
    }

    /// Takes an entitlement's name apart.
    pub fn parse(name: &EntitlementName) -> Result<Self, String> {
        let unknown =
            || format!("`{name}` is not how this connector names an entitlement; sync and plan again");
        match name.kind.as_str() {
            "role" => Ok(Self::Role(name.name.clone())),
            "proxy" => AccountName::parse(&AccountKey(name.name.clone())).map(Self::Proxy),
            "privilege" => parse_privilege(&name.name).ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }
}

fn parse_privilege(text: &str) -> Option<Held> {
    let privilege = PRIVILEGES.into_iter().filter(|known| {
        text.strip_prefix(known).is_some_and(|rest| rest.starts_with(" on ") || rest.starts_with(" ("))
    });
    let privilege = privilege.max_by_key(|known| known.len())?;
    let mut rest = &text[privilege.len() + 1..];
    let mut column = None;
    if let Some(inner) = rest.strip_prefix('(') {
        let (name, after) = read(inner)?;
        column = Some(name);
        rest = after.strip_prefix(") ")?;
    }
    rest = rest.strip_prefix("on ")?;
    if rest == "*.*" && column.is_none() {
        return Some(Held::Privilege { privilege, object: Object::Server });
    }
    // The longest word first: `package body` begins like `package`.
    let sort = ROUTINES
        .iter()
        .rev()
        .find_map(|(_, sort)| Some((*sort, rest.strip_prefix(sort)?.strip_prefix(' ')?)));
    let (sort, rest) = sort.map_or((None, rest), |(sort, rest)| (Some(sort), rest));
    let (database, rest) = read(rest)?;
    let rest = rest.strip_prefix('.')?;
    let object = match (sort, column, rest) {
        (None, None, "*") => Object::Database(database),
        (sort, column, rest) => {
            let (name, "") = read(rest)? else { return None };
            match (sort, column) {
                (Some(sort), None) => Object::Routine { sort, database, routine: name },
                (None, Some(column)) => Object::Column { database, table: name, column },
                (None, None) => Object::Table { database, table: name },
                (Some(_), Some(_)) => return None,
            }
        }
    };
    Some(Held::Privilege { privilege, object })
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$'))
}

/// An identifier as the language writes it: in backticks, unless it is a plain word.
pub(super) fn written(name: &str) -> String {
    if is_plain(name) {
        return name.to_owned();
    }
    let mut text = String::from("`");
    for letter in name.chars() {
        let _ = if letter == '`' { text.write_str("``") } else { text.write_char(letter) };
    }
    text.push('`');
    text
}

/// Reads an identifier from the beginning of a text; gives what follows it.
fn read(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('`') else {
        let end = text.find(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | '$')));
        let (name, rest) = text.split_at(end.unwrap_or(text.len()));
        return is_plain(name).then(|| (name.to_owned(), rest));
    };
    let mut name = String::new();
    let mut letters = quoted.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if letter != '`' {
            name.push(letter);
        } else if letters.peek().is_some_and(|(_, next)| *next == '`') {
            letters.next();
            name.push('`');
        } else {
            return Some((name, &quoted[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_taken_apart_into_what_it_was_made_from() {
        let names = ["app", "a-b", "`", "a`.`b", "on *.*", "x (y) on z", "prócédure", " ", "app\\_%", "*"];
        let mut all = vec![Held::Proxy(AccountName { user: "a@b".into(), host: "%".into() })];
        for (number, database) in names.iter().enumerate() {
            let privilege = PRIVILEGES[number * 3];
            let other = names[(number + 3) % names.len()].to_owned();
            let database = (*database).to_owned();
            all.push(Held::Role(database.clone()));
            for object in [
                Object::Server,
                Object::Database(database.clone()),
                Object::Table { database: database.clone(), table: other.clone() },
                Object::Column { database: database.clone(), table: other.clone(), column: other.clone() },
                Object::Routine { sort: "procedure", database: database.clone(), routine: other.clone() },
                Object::Routine { sort: "package body", database, routine: other },
            ] {
                all.push(Held::Privilege { privilege, object });
            }
        }
        for held in all {
            assert_eq!(Held::parse(&held.name()), Ok(held.clone()), "{}", held.name());
        }
    }

    #[test]
    fn what_is_no_name_of_ours_is_refused() {
        for text in
            ["SELECT", "SELECT on", "SELECT on app", "FLY on *.*", "SELECT on `app.x", "SELECT (a) on *.*"]
        {
            assert!(Held::parse(&EntitlementName::new("privilege", text)).is_err(), "{text}");
        }
        assert!(Held::parse(&EntitlementName::new("group", "x")).is_err());
        assert!(AccountName::parse(&AccountKey::from("alice")).is_err());
    }

    #[test]
    fn the_words_of_the_grant_tables_are_understood() {
        for (word, privilege) in
            [("Select", "SELECT"), ("Create View", "CREATE VIEW"), ("Grant", "GRANT OPTION"), ("Show_db", "")]
        {
            assert_eq!(Held::privilege(word).unwrap_or_default(), privilege, "{word}");
        }
    }
}
