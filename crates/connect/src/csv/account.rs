//! One row of an accounts file as an account.

use std::collections::BTreeMap;

use leasehold_model::account::{Account, LastUse};
use leasehold_model::identity::IdentityKind;

use super::date::{Dates, Edge};
use super::rows::Row;
use super::table::{Table, text};
use super::words::word;
use crate::error::ConnectError;

/// Columns by which it is decided what an account lets in to, or since when nobody used it.
pub const DECIDE: &[&str] = &["enabled", "status", "kind", "last_use", "expires_at", "credential_changed_at"];

/// Where the columns of an accounts file stand.
pub struct AccountLayout {
    /// Its key.
    pub key: Option<usize>,
    /// Its login, which stands for the key where there is none.
    pub login: Option<usize>,
    enabled: Option<usize>,
    status: Option<usize>,
    kind: Option<usize>,
    last_use: Option<usize>,
    expires_at: Option<usize>,
    credential_changed_at: Option<usize>,
    attributes: Vec<(usize, String)>,
}

impl AccountLayout {
    /// Finds the columns.
    ///
    /// # Errors
    /// Where the settings name a header that is not there.
    pub fn of(table: &Table) -> Result<Self, ConnectError> {
        let mut layout = Self {
            key: table.column("key")?,
            login: table.column("login")?,
            enabled: table.column("enabled")?,
            status: table.column("status")?,
            kind: table.column("kind")?,
            last_use: table.column("last_use")?,
            expires_at: table.column("expires_at")?,
            credential_changed_at: table.column("credential_changed_at")?,
            attributes: Vec::new(),
        };
        layout.attributes = table.attributes(&[
            layout.key,
            layout.login,
            layout.enabled,
            layout.status,
            layout.kind,
            layout.last_use,
            layout.expires_at,
            layout.credential_changed_at,
        ]);
        Ok(layout)
    }

    /// An account, and what of its row could not be read.
    ///
    /// # Errors
    /// Where its key cannot be read.
    pub fn account(&self, row: &Row<'_>, dates: &Dates) -> Result<(Account, Vec<String>), String> {
        let mut mended = Vec::new();
        let field = |column: Option<usize>| column.map_or(&b""[..], |index| row.field(index));
        let key = word(field(self.key.or(self.login)))?;
        let login = Some(word(field(self.login))?).filter(|login| !login.is_empty()).unwrap_or(key);
        let mut account = Account::new(key, login);
        let mut attributes = BTreeMap::new();
        for (index, name) in &self.attributes {
            match word(row.field(*index)) {
                Ok("") => {}
                Ok(value) => {
                    attributes.insert(name.clone(), value.to_owned());
                }
                Err(message) => mended.push(message),
            }
        }
        account.attributes = attributes;
        for (column, name) in [(self.enabled, "enabled"), (self.status, "status")] {
            let value = String::from_utf8_lossy(field(column));
            match switch(&value) {
                _ if value.is_empty() => {}
                Some(on) => account.enabled &= on,
                None if value.eq_ignore_ascii_case("locked") => account.locked = true,
                None => mended.push(format!("{name} `{value}` is not known and taken as enabled; known are active and disabled, yes and no")),
            }
        }
        let kind = String::from_utf8_lossy(field(self.kind));
        match IdentityKind::parse(&kind) {
            _ if kind.is_empty() => {}
            Some(kind) => account.kind = Some(kind),
            None => {
                mended.push(format!("kind `{kind}` is not known; known are person, service, workload, agent"))
            }
        }
        let mut date = |column: Option<usize>, edge: Edge| {
            text(field(column)).and_then(|value| dates.read(value, edge)).unwrap_or_else(|message| {
                mended.push(message);
                None
            })
        };
        account.last_use = if field(self.last_use).eq_ignore_ascii_case(b"never") {
            LastUse::Never
        } else {
            date(self.last_use, Edge::Start).map_or(LastUse::Unknown, LastUse::At)
        };
        account.expires_at = date(self.expires_at, Edge::End);
        account.credential_changed_at = date(self.credential_changed_at, Edge::Start);
        Ok((account, mended))
    }
}

/// Yes or no, as exports spell it.
pub fn switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "1" | "x" | "active" | "enabled" | "on" | "ja" | "oui" => Some(true),
        "false" | "no" | "n" | "0" | "nein" | "non" | "inactive" | "disabled" | "off" | "suspended"
        | "left" | "terminated" | "" => Some(false),
        _ => None,
    }
}
