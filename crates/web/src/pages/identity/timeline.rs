//! What happened to an identity and its accounts, newest first, as far as it was watched.

use jiff::Timestamp;
use leasehold_decide::engine::IdentityIndex;
use leasehold_model::account::Account;
use leasehold_model::id::{AccountKey, SystemName};
use leasehold_model::identity::Identity;
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;
use leasehold_store::{Change, TimelineEntry};

use crate::error::WebError;
use crate::parts::mark::Tone;
use crate::parts::{Link, Mark, Moment, Query, count};
use crate::sight::Sight;
use crate::state::App;

/// Shown at first.
const ENTRIES_MAX: usize = 40;
/// Shown at all.
const ALL_ENTRIES_MAX: usize = 2_000;

/// What happened.
pub(crate) struct Timeline {
    /// Newest first.
    pub entries: Vec<Entry>,
    /// The way to the rest.
    pub more: Option<Link>,
}

/// One thing that happened.
pub(crate) struct Entry {
    /// When it was seen.
    pub at: Moment,
    /// Where.
    pub system: Link,
    /// By which account; empty for the identity itself.
    pub login: String,
    /// In a word.
    pub mark: Mark,
    /// What.
    pub words: String,
}

struct Happened<'a> {
    system: &'a SystemName,
    login: &'a str,
    entry: TimelineEntry,
}

/// The timeline of an identity, up to the instant of the state.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn of(
    app: &App,
    view: &View,
    sight: &Sight<'_>,
    index: IdentityIndex,
    asked: &str,
    query: &Query,
    now: Timestamp,
) -> Result<Timeline, WebError> {
    let evaluation = view.evaluation();
    let snapshot = &view.loaded().snapshot;
    let mut happened: Vec<Happened<'_>> = Vec::new();
    if let Some((_, identity)) = snapshot.identities.get(index.index()) {
        // Of every feed that told of them: any of them may be the one that counted.
        let is_feed = |name: &SystemName| {
            view.loaded().settings.get(name).is_some_and(|settings| settings.authoritative)
        };
        for system in snapshot.systems.iter().map(|state| &state.name).filter(|name| is_feed(name)) {
            let entries = app.store.identity_timeline(system, &identity.key).await?;
            happened.extend(entries.into_iter().map(|entry| Happened { system, login: "", entry }));
        }
    }
    let accounts: Vec<(&SystemName, &str, &AccountKey)> = evaluation
        .graph
        .accounts_of(index)
        .map(|account| evaluation.account(account))
        .map(|held| (snapshot.system(held.system), held.account.login.as_str(), &held.account.key))
        .collect();
    for (system, login, key) in accounts {
        let entries = app.store.account_timeline(system, key).await?;
        happened.extend(entries.into_iter().map(|entry| Happened { system, login, entry }));
    }
    happened.retain(|one| one.entry.at <= view.as_of());
    happened.sort_by(|left, right| {
        (right.entry.at, left.system, left.login).cmp(&(left.entry.at, right.system, right.login))
    });
    let mut entries: Vec<Entry> = Vec::new();
    let mut rest = happened.iter().peekable();
    while let Some(one) = rest.next() {
        // What a first reading showed had been there before: one line says so for all of it.
        if one.entry.first_reading && matches!(one.entry.change, Change::GrantCame(_)) {
            let mut grants = 1;
            let same = |next: &&Happened<'_>| {
                next.entry.epoch == one.entry.epoch
                    && next.login == one.login
                    && matches!(next.entry.change, Change::GrantCame(_))
            };
            while rest.next_if(|next| same(next)).is_some() {
                grants += 1;
            }
            let words = format!("{} there when the system was first read", were(grants));
            entries.push(entry(sight, one, Mark::new("first reading", Tone::Quiet), words, now));
        } else {
            let (mark, words) = told(&one.entry.change, one.entry.first_reading);
            entries.push(entry(sight, one, mark, words, now));
        }
    }
    let limit = if asked == "all" { ALL_ENTRIES_MAX } else { ENTRIES_MAX };
    let all = entries.len();
    entries.truncate(limit);
    let more = (all > limit && asked != "all").then(|| {
        let href = format!("{}#timeline", query.clone().with("timeline", "all"));
        Link::to(href, format!("Show all {}", count(all, "entry").replace("entrys", "entries")))
    });
    Ok(Timeline { entries, more })
}

fn were(grants: usize) -> String {
    if grants == 1 {
        "1 direct grant was".to_owned()
    } else {
        format!("{} were", count(grants, "direct grant"))
    }
}

fn entry(sight: &Sight<'_>, one: &Happened<'_>, mark: Mark, words: String, now: Timestamp) -> Entry {
    Entry {
        at: Moment::relative(one.entry.at, now),
        system: sight.link_system(one.system),
        login: safe(one.login),
        mark,
        words,
    }
}

fn told(change: &Change, first_reading: bool) -> (Mark, String) {
    match change {
        Change::AccountCame(_) if first_reading => {
            (Mark::new("first reading", Tone::Quiet), "the account was there".to_owned())
        }
        Change::AccountCame(account) => (
            Mark::new("account", Tone::Good),
            format!("came{}", if account.enabled { "" } else { ", disabled" }),
        ),
        Change::AccountChanged { before, after } => {
            let tone = if before.enabled && !after.enabled { Tone::Warning } else { Tone::Quiet };
            (Mark::new("account", tone), account_change(before, after))
        }
        Change::AccountWent(_) => (Mark::new("account", Tone::Warning), "is gone".to_owned()),
        Change::GrantCame(entitlement) => (Mark::new("granted", Tone::Good), safe(entitlement)),
        Change::GrantWent { entitlement, ended_by: Some(action) } => (
            Mark::new("ended by us", Tone::Warning),
            format!("{}, by action {}", safe(entitlement), safe(action)),
        ),
        Change::GrantWent { entitlement, ended_by: None } => {
            (Mark::new("ended", Tone::Warning), format!("{}, not by us", safe(entitlement)))
        }
        Change::IdentityCame(identity) => (
            Mark::new(if first_reading { "first reading" } else { "identity" }, Tone::Quiet),
            format!("listed as {}", identity.state.as_str().replace('_', " ")),
        ),
        Change::IdentityChanged { before, after } => {
            let tone = if before.state == after.state { Tone::Quiet } else { Tone::Warning };
            (Mark::new("identity", tone), identity_change(before, after))
        }
        Change::IdentityWent(_) => {
            (Mark::new("identity", Tone::Warning), "no longer listed by a complete reading: left".to_owned())
        }
    }
}

fn account_change(before: &Account, after: &Account) -> String {
    let mut words = Vec::new();
    let mut note = |differs: bool, text: &str| {
        if differs {
            words.push(text.to_owned());
        }
    };
    note(before.enabled && !after.enabled, "disabled");
    note(!before.enabled && after.enabled, "enabled");
    note(before.locked != after.locked, if after.locked { "locked" } else { "unlocked" });
    note(before.credential_changed_at != after.credential_changed_at, "credential changed");
    note(before.expires_at != after.expires_at, "expiry changed");
    note(before.login != after.login, "login changed");
    note(before.posture != after.posture, "posture changed");
    let attributes: Vec<String> = changed_attributes(&before.attributes, &after.attributes);
    words.extend(attributes);
    if words.is_empty() { "changed".to_owned() } else { words.join(", ") }
}

fn identity_change(before: &Identity, after: &Identity) -> String {
    let mut words = Vec::new();
    if before.state != after.state {
        let word = |identity: &Identity| identity.state.as_str().replace('_', " ");
        words.push(format!("{} → {}", word(before), word(after)));
    }
    let key = |key: &Option<leasehold_model::id::IdentityKey>| key.as_ref().map_or("nobody".to_owned(), safe);
    if before.manager != after.manager {
        words.push(format!("manager {} → {}", key(&before.manager), key(&after.manager)));
    }
    if before.owner != after.owner {
        words.push(format!("owner {} → {}", key(&before.owner), key(&after.owner)));
    }
    if before.end != after.end {
        words.push(after.end.map_or("no end".to_owned(), |end| format!("ends {end}")));
    }
    if before.start != after.start {
        words.push(after.start.map_or("no start".to_owned(), |start| format!("begins {start}")));
    }
    words.extend(changed_attributes(&before.attributes, &after.attributes));
    if words.is_empty() { "changed".to_owned() } else { words.join(", ") }
}

fn changed_attributes(
    before: &std::collections::BTreeMap<String, String>,
    after: &std::collections::BTreeMap<String, String>,
) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let value = |of: &std::collections::BTreeMap<String, String>, name: &String| {
        of.get(name).filter(|value| !value.is_empty()).map_or("nothing".to_owned(), safe)
    };
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| {
            format!("{} {} → {}", safe(name.replace('_', " ")), value(before, name), value(after, name))
        })
        .collect()
}
