//! What an entitlement's name says: which sort it is, and the words that are compared with the server's own.

use leasehold_model::id::EntitlementName;

/// The pseudo-role that everybody holds.
pub(super) const PUBLIC: &str = "PUBLIC";

/// The role attributes that are entitlements, with the words of `ALTER ROLE`.
pub(super) const ATTRIBUTES: [(&str, &str, &str); 5] = [
    ("superuser", "SUPERUSER", "NOSUPERUSER"),
    ("bypassrls", "BYPASSRLS", "NOBYPASSRLS"),
    ("createrole", "CREATEROLE", "NOCREATEROLE"),
    ("createdb", "CREATEDB", "NOCREATEDB"),
    ("replication", "REPLICATION", "NOREPLICATION"),
];

/// The privileges that PostgreSQL knows. A word of a statement that cannot be a parameter comes from this list.
const PRIVILEGES: [&str; 15] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "TRUNCATE",
    "REFERENCES",
    "TRIGGER",
    "MAINTAIN",
    "USAGE",
    "CREATE",
    "CONNECT",
    "TEMPORARY",
    "EXECUTE",
    "SET",
    "ALTER SYSTEM",
];

/// What a default privilege can be on.
const DEFAULT_KINDS: [&str; 6] = ["tables", "sequences", "functions", "types", "schemas", "large objects"];

/// A name, taken apart as far as the server cannot do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// `role/PUBLIC`.
    Public,
    /// `role/NAME`.
    Role { name: String },
    /// `attribute/superuser`.
    Attribute { name: &'static str, set: &'static str, clear: &'static str },
    /// `privilege/SELECT (column) on schema.table in database x`.
    Privilege { privilege: &'static str, part: Option<String>, phrase: String, database: Option<String> },
    /// `default/SELECT on tables in schema x`.
    Default {
        phrase: String,
        privilege: &'static str,
        kind: &'static str,
        schema: String,
        database: Option<String>,
    },
    /// `owner/schema.table`.
    Owner { phrase: String, database: Option<String> },
}

impl Held {
    /// Takes a name apart; the error says what is wrong with it.
    pub fn parse(name: &EntitlementName) -> Result<Self, String> {
        let text = name.name.as_str();
        match name.kind.as_str() {
            "role" if text == PUBLIC => Ok(Self::Public),
            "role" => Ok(Self::Role { name: text.to_owned() }),
            "attribute" => ATTRIBUTES
                .iter()
                .find(|(attribute, ..)| *attribute == text)
                .map(|&(name, set, clear)| Self::Attribute { name, set, clear })
                .ok_or_else(|| {
                    let known = ATTRIBUTES.map(|(attribute, ..)| attribute).join(", ");
                    format!("`{text}` is not a role attribute; known are {known}")
                }),
            "privilege" => Self::parse_privilege(text),
            "default" => Self::parse_default(text),
            "owner" => {
                let (phrase, database) = split_database(text);
                Ok(Self::Owner { phrase: phrase.to_owned(), database })
            }
            other => Err(format!(
                "`{other}` is not a kind of entitlement here; known are role, privilege, attribute, default, owner"
            )),
        }
    }

    fn parse_privilege(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a privilege; write for example `SELECT on public.orders`");
        let (rest, database) = split_database(text);
        let on = find_unquoted(rest, " on ", Which::First).ok_or_else(wrong)?;
        let (held, phrase) = (&rest[..on], &rest[on + " on ".len()..]);
        let (word, part) = match held.split_once(" (") {
            Some((word, part)) => (word, Some(part.strip_suffix(')').ok_or_else(wrong)?.to_owned())),
            None => (held, None),
        };
        let privilege = known(&PRIVILEGES, word).ok_or_else(wrong)?;
        Ok(Self::Privilege { privilege, part, phrase: phrase.to_owned(), database })
    }

    fn parse_default(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a default privilege; write for example `SELECT on tables in schema public`"
            )
        };
        let (phrase, database) = split_database(text);
        let (word, on) = phrase.split_once(" on ").ok_or_else(wrong)?;
        let (kind, schema) = on.split_once(" in schema ").unwrap_or((on, ""));
        Ok(Self::Default {
            phrase: phrase.to_owned(),
            privilege: known(&PRIVILEGES, word).ok_or_else(wrong)?,
            kind: known(&DEFAULT_KINDS, kind).ok_or_else(wrong)?,
            schema: schema.to_owned(),
            database,
        })
    }

    /// The database that the entitlement is in, where that is not the URL's.
    pub fn database(&self) -> Option<&str> {
        match self {
            Self::Privilege { database, .. }
            | Self::Default { database, .. }
            | Self::Owner { database, .. } => database.as_deref(),
            Self::Public | Self::Role { .. } | Self::Attribute { .. } => None,
        }
    }
}

fn known(words: &[&'static str], word: &str) -> Option<&'static str> {
    words.iter().copied().find(|candidate| *candidate == word)
}

enum Which {
    First,
    Last,
}

/// Where `needle` stands outside of `"…"`. A doubled quote inside a quoted name closes and opens again, which counts
/// out the same.
fn find_unquoted(text: &str, needle: &str, which: Which) -> Option<usize> {
    let unquoted = |at: &usize| text[..*at].matches('"').count().is_multiple_of(2);
    let mut found = text.match_indices(needle).map(|(at, _)| at).filter(unquoted);
    match which {
        Which::First => found.next(),
        Which::Last => found.last(),
    }
}

/// Splits ` in database x` off. The name comes back unquoted, for a connection.
fn split_database(text: &str) -> (&str, Option<String>) {
    const IN: &str = " in database ";
    let Some(at) = find_unquoted(text, IN, Which::Last) else { return (text, None) };
    let name = &text[at + IN.len()..];
    let bare = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    (&text[..at], Some(bare.map_or_else(|| name.to_owned(), |name| name.replace("\"\"", "\""))))
}

/// ` in database x`, quoted as the server would.
pub(super) fn database_suffix(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain {
        format!(" in database {name}")
    } else {
        format!(" in database \"{}\"", name.replace('"', "\"\""))
    }
}

/// The text of a privilege's name.
pub(super) fn privilege_text(privilege: &str, part: Option<&str>, phrase: &str, suffix: &str) -> String {
    match part {
        Some(part) => format!("{privilege} ({part}) on {phrase}{suffix}"),
        None => format!("{privilege} on {phrase}{suffix}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(kind: &str, name: &str) -> Result<Held, String> {
        Held::parse(&EntitlementName::new(kind, name))
    }

    #[test]
    fn privileges_are_read_as_they_are_written() {
        let cases = [
            ("SELECT", None, "public.orders", None),
            ("USAGE", None, "schema sales", None),
            ("SELECT", Some("\"a on b\""), "public.\"x on y\"", None),
            ("EXECUTE", None, "function public.f(integer, \" in database \")", Some("Other \"one\"")),
            ("UPDATE", None, "public.\" in database z\"", Some("app2")),
        ];
        for (privilege, part, phrase, database) in cases {
            let suffix = database.map(database_suffix).unwrap_or_default();
            let text = privilege_text(privilege, part, phrase, &suffix);
            let expected = Held::Privilege {
                privilege,
                part: part.map(str::to_owned),
                phrase: phrase.to_owned(),
                database: database.map(str::to_owned),
            };
            assert_eq!(parsed("privilege", &text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn words_that_are_not_postgresqls_are_refused() {
        for (kind, name) in [
            ("privilege", "SELECT; DROP ROLE x on public.t"),
            ("privilege", "select on public.t"),
            ("privilege", "SELECT"),
            ("privilege", "SELECT (a on public.t"),
            ("default", "SELECT on everything"),
            ("attribute", "superuser; drop role x"),
            ("group", "staff"),
        ] {
            assert!(parsed(kind, name).is_err(), "{kind}/{name}");
        }
    }

    #[test]
    fn a_role_may_be_called_anything() {
        let name = "x\"; drop role y; --";
        assert_eq!(parsed("role", name), Ok(Held::Role { name: name.to_owned() }));
        assert_eq!(parsed("role", "PUBLIC"), Ok(Held::Public));
    }
}
