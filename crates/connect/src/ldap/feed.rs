//! People of an authoritative directory: from entries to identities, with managers found by their names.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use leasehold_model::account::Account;
use leasehold_model::fact::Problem;
use leasehold_model::id::IdentityKey;
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState};

use crate::ldap::dialect::{Dialect, file_time, generalized_time};
use crate::ldap::dn::NormalDn;
use crate::ldap::entry::Entry;
use crate::ldap::settings::Feed;

/// Identities on their way. A manager is named by a DN that may come later, so they are held until all are here.
pub(super) struct People<'feed> {
    feed: &'feed Feed,
    dialect: Dialect,
    identities: Vec<Identity>,
    by_dn: HashMap<NormalDn, IdentityKey>,
    seen: HashMap<IdentityKey, String>,
}

impl<'feed> People<'feed> {
    pub fn new(feed: &'feed Feed, dialect: Dialect) -> Self {
        Self { feed, dialect, identities: Vec::new(), by_dn: HashMap::new(), seen: HashMap::new() }
    }

    /// Takes an entry; the problem is what kept it from being an identity.
    pub fn add(&mut self, entry: &Entry, account: &Account) -> Result<(), Problem> {
        let problem = |message: String| Err(Problem::new(entry.dn.clone(), message));
        let mut attributes: BTreeMap<String, String> = self
            .feed
            .columns
            .iter()
            .filter_map(|(ours, theirs)| Some((ours.clone(), entry.text(theirs)?)))
            .collect();
        let Some(key) = attributes.get(&self.feed.key).cloned() else {
            // Service accounts are seldom people's records; they are accounts all the same.
            if account.kind == Some(IdentityKind::Service) {
                return Ok(());
            }
            let theirs = self.feed.columns.get(&self.feed.key).map_or("", String::as_str);
            return problem(format!("has no `{theirs}`, which is the key of identities; it is no identity"));
        };
        let key = IdentityKey::from(key);
        if let Some(other) = self.seen.insert(key.clone(), entry.dn.clone()) {
            return problem(format!("has the key `{key}` that {other} has already; the first counts"));
        }
        let kind = match attributes.remove("kind") {
            None => account.kind.unwrap_or_default(),
            Some(text) => match IdentityKind::parse(&text) {
                Some(kind) => kind,
                None => {
                    return problem(format!("`{text}` is no kind; write person, service, workload or agent"));
                }
            },
        };
        let state = match attributes.remove("status") {
            None if account.enabled => LifecycleState::Active,
            None => LifecycleState::Suspended,
            Some(text) => match LifecycleState::parse(&text) {
                Some(state) => state,
                None => return problem(format!("`{text}` is no status; write active, leaving, left, …")),
            },
        };
        let mut time = |name: &str| match attributes.remove(name) {
            None => Ok(None),
            Some(text) => {
                self.time(&text).map_err(|why| Problem::new(entry.dn.clone(), format!("`{name}`: {why}")))
            }
        };
        let (start, end) = (time("start_date")?, time("end_date")?);
        let manager = attributes.remove("manager").map(IdentityKey::from);
        let owner = attributes.remove("owner").map(IdentityKey::from);
        if let Some(dn) = NormalDn::parse(&entry.dn) {
            self.by_dn.insert(dn, key.clone());
        }
        self.identities.push(Identity { key, kind, state, start, end, manager, owner, attributes });
        Ok(())
    }

    /// A time as directories and people write it. "Never" is none.
    fn time(&self, text: &str) -> Result<Option<Timestamp>, String> {
        if let Ok(date) = text.parse::<jiff::civil::Date>().or_else(|_| {
            jiff::civil::Date::strptime("%Y%m%d", text).map_err(|_| "neither writing".to_owned())
        }) {
            return date
                .to_zoned(jiff::tz::TimeZone::UTC)
                .map(|at| Some(at.timestamp()))
                .map_err(|e| e.to_string());
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Some(at));
        }
        if self.dialect == Dialect::ActiveDirectory && text.parse::<i64>().is_ok() {
            return Ok(file_time(text));
        }
        generalized_time(text).map(Some).ok_or_else(|| format!("`{text}` is no date; write 2030-01-31"))
    }

    /// Every identity, with managers and owners by key; and whose could not be found.
    pub fn finish(self) -> (Vec<Identity>, Vec<Problem>) {
        let Self { mut identities, by_dn, seen, .. } = self;
        let mut problems = Vec::new();
        for identity in &mut identities {
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
        (identities, problems)
    }
}
