//! Who access is for: people and non-humans, with lifecycle state, attributes and an owner.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::id::IdentityKey;

/// The SCIM schema by which providers push first and last days, and leaves: SCIM itself has no place for them.
pub const SCIM_LIFECYCLE_EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:leasehold:2.0:User";

/// Which end of a day is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayEdge {
    /// Its first instant.
    Start,
    /// The first instant after it: an end is exclusive.
    End,
}

/// A day (`2026-01-31`) and nothing more; `None` where a time follows, which would be lost.
pub fn read_whole_day(text: &str) -> Option<Date> {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-').then(|| text.parse().ok())?
}

/// Reads an instant with its offset; or a day (`2026-01-31`), or a day and a time, of a time zone by its IANA name, UTC where none is
/// known; `None` where it is neither.
pub fn read_day(text: &str, timezone: Option<&str>, edge: DayEdge) -> Option<Timestamp> {
    if let Ok(instant) = text.parse() {
        return Some(instant);
    }
    let zone = timezone.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
    let at: DateTime = match read_whole_day(text) {
        Some(day) => if edge == DayEdge::End { day.tomorrow().ok()? } else { day }.at(0, 0, 0, 0),
        None => text.trim().parse().ok()?,
    };
    zone.to_zoned(at).ok().map(|zoned| zoned.timestamp())
}

/// What sort of identity this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// A human being.
    #[default]
    Person,
    /// A service account that a program logs in with.
    Service,
    /// A workload identity: a deployment, function, job.
    Workload,
    /// An AI agent.
    Agent,
}

impl IdentityKind {
    /// The name used in files, policies and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Service => "service",
            Self::Workload => "workload",
            Self::Agent => "agent",
        }
    }

    /// Reads the name used in files; `None` where it is not one of the four.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.trim().to_ascii_lowercase().as_str() {
            "person" | "human" | "" => Self::Person,
            "service" => Self::Service,
            "workload" => Self::Workload,
            "agent" => Self::Agent,
            _ => return None,
        })
    }
}

/// Where an identity stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum LifecycleState {
    /// Known, but its first day is still to come.
    PreHire,
    /// At work.
    #[default]
    Active,
    /// Away for a time, still employed.
    OnLeave,
    /// Held back by a person's decision.
    Suspended,
    /// Still at work; a last day is known.
    Leaving,
    /// Gone.
    Left,
    /// Came back after having left.
    Returned,
}

impl LifecycleState {
    /// Every name, in the order of a life.
    pub const NAMES: &'static [&'static str] =
        &["pre_hire", "active", "on_leave", "suspended", "leaving", "left", "returned"];

    /// The name used in files, policies and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreHire => "pre_hire",
            Self::Active => "active",
            Self::OnLeave => "on_leave",
            Self::Suspended => "suspended",
            Self::Leaving => "leaving",
            Self::Left => "left",
            Self::Returned => "returned",
        }
    }

    /// Reads a status as feeds spell it; `None` where it is not known.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.trim().to_ascii_lowercase().replace([' ', '-'], "_").as_str() {
            "pre_hire" | "prehire" | "pending" => Self::PreHire,
            "active" | "" => Self::Active,
            "on_leave" | "leave" => Self::OnLeave,
            "suspended" => Self::Suspended,
            "leaving" => Self::Leaving,
            "left" | "terminated" | "inactive" => Self::Left,
            "returned" => Self::Returned,
            _ => return None,
        })
    }
}

/// A person or non-human, as its authoritative source describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its primary key in the authoritative source.
    pub key: IdentityKey,
    /// Person or non-human.
    pub kind: IdentityKind,
    /// As the source states it; [`Identity::may_hold_access`] also looks at the dates.
    pub state: LifecycleState,
    /// The first instant at which access may be held.
    pub start: Option<Timestamp>,
    /// The instant at which access ends.
    pub end: Option<Timestamp>,
    /// The identity that this one reports to.
    pub manager: Option<IdentityKey>,
    /// For a non-human: who answers for it.
    pub owner: Option<IdentityKey>,
    /// Everything else the source says, by our attribute names (`email`, `department`, `title`, …).
    pub attributes: BTreeMap<String, String>,
    /// What the source does not say, so that another one may.
    #[serde(default, skip_serializing_if = "Unsaid::is_nothing")]
    pub unsaid: Unsaid,
}

/// What a source does not say of an identity, and what is taken for granted where no other does: a person, who is here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsaid {
    /// Whether it is a person or a non-human.
    pub kind: bool,
    /// Where they stand.
    pub state: bool,
}

impl Unsaid {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Identity {
    /// Whether this identity may hold any access at `now`: neither gone, held back nor still to come.
    pub fn may_hold_access(&self, now: Timestamp) -> bool {
        let by_state = match self.state {
            LifecycleState::Left | LifecycleState::Suspended => false,
            // Until their first day, where it is told: a source that says so afterwards is late.
            LifecycleState::PreHire => self.start.is_some(),
            _ => true,
        };
        by_state && self.end.is_none_or(|end| now < end) && self.start.is_none_or(|start| start <= now)
    }

    /// Whether this identity's access has ended for good at `now`: a leaver, as against one still to come.
    pub fn has_left(&self, now: Timestamp) -> bool {
        self.state == LifecycleState::Left || self.end.is_some_and(|end| end <= now)
    }

    /// Where this identity stands at `now`: what its source says, unless its dates say that it has not begun, has ended, or ends
    /// on a day that is known.
    pub fn state_at(&self, now: Timestamp) -> LifecycleState {
        if self.has_left(now) {
            return LifecycleState::Left;
        }
        if self.start.is_some_and(|start| start > now) {
            return LifecycleState::PreHire;
        }
        match self.said_on_time(now) {
            LifecycleState::Active if self.end.is_some() => LifecycleState::Leaving,
            state => state,
        }
    }

    /// The same identity with its state as it is at `now`: a source that says `pre_hire` after the first day that it told is late.
    #[must_use]
    pub fn as_of(&self, now: Timestamp) -> Self {
        Self { state: self.said_on_time(now), ..self.clone() }
    }

    fn said_on_time(&self, now: Timestamp) -> LifecycleState {
        let is_late = self.state == LifecycleState::PreHire && self.start.is_some_and(|start| start <= now);
        if is_late { LifecycleState::Active } else { self.state }
    }

    /// An attribute by name; the key, kind, state, manager and owner are attributes too.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        match name {
            "key" => Some(self.key.as_str()),
            "kind" => Some(self.kind.as_str()),
            "state" | "status" => Some(self.state.as_str()),
            "manager" => self.manager.as_ref().map(IdentityKey::as_str),
            "owner" => self.owner.as_ref().map(IdentityKey::as_str),
            _ => self.attributes.get(name).map(String::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_day_that_is_known_is_a_leaving_and_lets_nobody_in() {
        use LifecycleState::{Active, Leaving, Left, OnLeave, PreHire, Returned, Suspended};
        let at = |second| Timestamp::from_second(second).expect("an instant");
        for (said, start, end, expected, may_hold) in [
            (Active, None, None, Active, true),
            (Active, None, Some(20), Leaving, true),
            (Active, None, Some(10), Left, false),
            (Active, Some(11), Some(20), PreHire, false),
            (PreHire, Some(10), Some(20), Leaving, true),
            (PreHire, None, Some(20), PreHire, false),
            (Suspended, None, Some(20), Suspended, false),
            (OnLeave, None, Some(20), OnLeave, true),
            (Returned, None, Some(20), Returned, true),
        ] {
            let identity = Identity {
                key: IdentityKey::from("kim@example.com"),
                kind: IdentityKind::Person,
                state: said,
                start: start.map(at),
                end: end.map(at),
                manager: None,
                owner: None,
                attributes: BTreeMap::new(),
                unsaid: Unsaid::default(),
            };
            let found = (identity.state_at(at(10)), identity.may_hold_access(at(10)));
            assert_eq!(found, (expected, may_hold), "{said:?} {start:?} {end:?}");
        }
    }
}
