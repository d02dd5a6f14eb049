//! People of an authoritative directory: from entries to identities, with managers found by their names.

use std::collections::{BTreeMap, HashMap};

use leasehold_model::account::Account;
use leasehold_model::fact::Problem;
use leasehold_model::id::IdentityKey;
use leasehold_model::identity::{IdentityKind, Unsaid};

use crate::ldap::dialect::{Dialect, file_time, generalized_time};
use crate::ldap::dn::NormalDn;
use crate::ldap::entry::Entry;
use crate::ldap::settings::Feed;
use crate::person::{Person, PersonRow};

/// Identities on their way. A manager is named by a DN that may come later, so they are held until all are here.
pub(super) struct People<'feed> {
    feed: &'feed Feed,
    dialect: Dialect,
    people: Vec<Person>,
    by_dn: HashMap<NormalDn, IdentityKey>,
    seen: HashMap<IdentityKey, String>,
}

impl<'feed> People<'feed> {
    pub fn new(feed: &'feed Feed, dialect: Dialect) -> Self {
        Self { feed, dialect, people: Vec::new(), by_dn: HashMap::new(), seen: HashMap::new() }
    }

    /// Takes an entry; the problems are what kept it from being an identity, or what of it could not be read.
    pub fn add(&mut self, entry: &Entry, account: &Account) -> Vec<Problem> {
        let problem = |message: String| vec![Problem::new(entry.dn.clone(), message)];
        let mut attributes: BTreeMap<String, String> = self
            .feed
            .columns
            .iter()
            .filter_map(|(ours, theirs)| Some((ours.clone(), entry.text(theirs)?)))
            .collect();
        let Some(key) = attributes.get(&self.feed.key).cloned() else {
            // Service accounts are seldom people's records; they are accounts all the same.
            if account.kind == Some(IdentityKind::Service) {
                return Vec::new();
            }
            let theirs = self.feed.columns.get(&self.feed.key).map_or("", String::as_str);
            return problem(format!("has no `{theirs}`, which is the key of identities; it is no identity"));
        };
        let key = IdentityKey::from(key);
        if let Some(other) = self.seen.insert(key.clone(), entry.dn.clone()) {
            return problem(format!("has the key `{key}` that {other} has already; the first counts"));
        }
        let mut take = |name: &str| attributes.remove(name).unwrap_or_default();
        let (mut kind, mut status) = (take("kind"), take("status"));
        let unsaid = Unsaid {
            kind: kind.is_empty() && account.kind.is_none(),
            state: !self.feed.columns.contains_key("status") && account.takes_credentials(),
        };
        if kind.is_empty() {
            kind = account.kind.unwrap_or_default().as_str().to_owned();
        }
        // Who was never let in is no news about whether they may be.
        if status.is_empty() && !account.takes_credentials() {
            status = "suspended".to_owned();
        }
        let (start_date, end_date) = (self.date(take("start_date")), self.date(take("end_date")));
        let (manager, owner) = (take("manager"), take("owner"));
        let row = PersonRow {
            key: key.as_str(),
            kind: &kind,
            status: &status,
            start_date: &start_date,
            end_date: &end_date,
            // A directory has one entry a person.
            effective_date: "",
            manager: &manager,
            owner: &owner,
            attributes,
        };
        let mut mended = Vec::new();
        let mut person = row.person(&self.feed.dates, &mut mended);
        person.identity.unsaid = unsaid;
        if let Some(dn) = NormalDn::parse(&entry.dn) {
            self.by_dn.insert(dn, key);
        }
        self.people.push(person);
        mended.into_iter().map(|message| Problem::new(entry.dn.clone(), message)).collect()
    }

    /// A date or time as every feed writes it. What only directories write is an instant already: a day has no time, and
    /// is left to the feed's own reading.
    fn date(&self, text: String) -> String {
        let is_day = text.len() == 8;
        if is_day || !text.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'-') {
            return text;
        }
        if self.dialect == Dialect::ActiveDirectory && text.parse::<i64>().is_ok() {
            // "Never", and what no calendar reaches, is no end.
            return file_time(&text).map(|at| at.to_string()).unwrap_or_default();
        }
        // The year by which exports mean "no end" is beyond the last instant that can be kept.
        if text.starts_with("9999") && text.ends_with('Z') && !text.contains('-') {
            return String::new();
        }
        generalized_time(&text).map_or(text, |at| at.to_string())
    }

    /// Everybody, with managers and owners by key; and whose could not be found.
    pub fn finish(self) -> (Vec<Person>, Vec<Problem>) {
        let Self { mut people, by_dn, seen, .. } = self;
        let mut problems = Vec::new();
        for identity in people.iter_mut().map(|person| &mut person.identity) {
            let place = seen.get(&identity.key).cloned().unwrap_or_default();
            for (what, link) in [("manager", &mut identity.manager), ("owner", &mut identity.owner)] {
                let Some(named) = link.clone() else { continue };
                // What is not a DN is a key already.
                let Some(dn) = NormalDn::parse(named.as_str()) else { continue };
                *link = by_dn.get(&dn).cloned();
                if link.is_none() {
                    problems.push(Problem::new(
                        place.clone(),
                        format!("{what} `{named}` is no identity of this feed"),
                    ));
                }
            }
        }
        (people, problems)
    }
}
