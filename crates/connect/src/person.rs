//! A person as a feed writes them down, whatever the feed's form: words in, an identity out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::fact::{Fact, Untold};
use leasehold_model::id::IdentityKey;
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState, Unsaid};

use crate::csv::date::{Dates, Edge};

/// Our name of the day from which a row holds. It is only read where the settings name its column.
pub(crate) const EFFECTIVE_DATE: &str = "effective_date";

/// Our names of what a feed tells: those that are more than attributes, and those that people expect.
pub(crate) const COLUMNS: &[&str] = &[
    "email",
    "employee_number",
    "given_name",
    "family_name",
    "title",
    "department",
    "location",
    "manager",
    "owner",
    "kind",
    "status",
    "start_date",
    "end_date",
    EFFECTIVE_DATE,
];

/// The words of one row; empty where the feed says nothing.
#[derive(Default)]
pub(crate) struct PersonRow<'row> {
    pub key: &'row str,
    pub kind: &'row str,
    pub status: &'row str,
    pub start_date: &'row str,
    pub end_date: &'row str,
    /// From when on the row holds, where a feed has several about somebody.
    pub effective_date: &'row str,
    pub manager: &'row str,
    pub owner: &'row str,
    /// Everything else that is said, the key's own column too: correlation looks for `email`.
    pub attributes: BTreeMap<String, String>,
}

impl PersonRow<'_> {
    /// From when on the row holds; none where it always does.
    pub fn effective_from(&self, dates: &Dates, mended: &mut Vec<String>) -> Option<Timestamp> {
        dates.read(self.effective_date, Edge::Start).unwrap_or_else(|message| {
            mended.push(format!("effective_date: {message}; the row is taken as one that holds already"));
            None
        })
    }

    /// The person. A row that names somebody proves that somebody is there, so one bad value must not make a leaver of them,
    /// nor bring one back: the value is left out, and what is wrong with it is added to `mended`.
    pub fn person(self, dates: &Dates, mended: &mut Vec<String>) -> Person {
        let kind = IdentityKind::parse(self.kind).unwrap_or_else(|| {
            mended.push(format!(
                "kind `{}` is not known and taken for a person; known are person, service, workload, agent",
                self.kind
            ));
            IdentityKind::Person
        });
        let state = LifecycleState::parse(self.status);
        if state.is_none() {
            mended.push(format!(
                "status `{}` is not known; what was told before counts on, and active where nothing was; known are active, \
                 leaving, left, on_leave, suspended, pre_hire, returned",
                self.status
            ));
        }
        let mut date = |value: &str, edge: Edge| match dates.read(value, edge) {
            Ok(date) => (date, false),
            Err(message) => {
                mended.push(format!(
                    "{message}; what was told before counts on; empty says that there is none"
                ));
                (None, true)
            }
        };
        let (start, start_is_untold) = date(self.start_date, Edge::Start);
        let (end, end_is_untold) = date(self.end_date, Edge::End);
        if let (Some(start), Some(end)) = (start, end)
            && start >= end
        {
            mended.push(format!(
                "the first day ({}) is after the last one ({}): taken as told, so they have no access",
                self.start_date, self.end_date
            ));
        }
        let someone = |key: &str| (!key.is_empty()).then(|| IdentityKey::from(key));
        let identity = Identity {
            key: IdentityKey::from(self.key),
            kind,
            state: state.unwrap_or_default(),
            start,
            end,
            manager: someone(self.manager),
            owner: someone(self.owner),
            attributes: self.attributes,
            unsaid: Unsaid::default(),
        };
        let untold = Untold {
            state: state.is_none(),
            start: start_is_untold,
            is_start_unreadable: start_is_untold,
            end: end_is_untold,
        };
        Person { identity, untold }
    }
}

/// Somebody, as a row tells of them.
#[derive(Debug)]
pub(crate) struct Person {
    pub identity: Identity,
    /// What the row does not say, or not in words that can be read.
    pub untold: Untold,
}

impl Person {
    /// What is told of them.
    pub fn fact(self) -> Fact {
        if self.untold == Untold::default() {
            Fact::Identity(self.identity)
        } else {
            Fact::IdentityInPart(self.identity, self.untold)
        }
    }
}
