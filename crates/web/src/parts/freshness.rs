//! How fresh and how complete the sources of a page are. What was never read is said to be unknown.

use askama::Template;
use askama::filters::HtmlSafe;
use jiff::{SignedDuration, Timestamp};
use leasehold_model::id::SystemName;
use leasehold_model::snapshot::SystemState;
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;

use super::link::Link;
use super::mark::{Mark, Tone};
use super::moment::Moment;
use super::number::count;
use crate::state::App;

/// A source that was read longer ago than this says little about the present.
const STALE_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// One source.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Which system.
    pub system: Link,
    /// `complete`, `partial` or `never read`.
    pub mark: Mark,
    /// When it was last read.
    pub read: Option<Moment>,
    /// When it was last read completely, where the last reading was not.
    pub complete: Option<Moment>,
    /// The evidence of completeness, or why there is none.
    pub detail: String,
    /// Whether it was read too long ago.
    pub stale: bool,
    concern: Concern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concern {
    None,
    Stale,
    Partial,
    NeverRead,
}

/// The sources of a page.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/freshness.html")]
pub(crate) struct Sources {
    /// One for each system.
    pub rows: Vec<Source>,
    /// All of them in one sentence.
    pub summary: String,
    /// How that sentence looks.
    pub mark: Mark,
    /// The instant that decisions are for.
    pub decided: Moment,
    /// Why the state could not be brought up to date.
    pub trouble: Option<String>,
}

impl HtmlSafe for Sources {}

impl Sources {
    /// Every configured or ever read system that `seen` lets pass.
    pub(crate) fn of(app: &App, view: &View, seen: impl Fn(&SystemName) -> bool) -> Self {
        let now = app.now();
        let states = view.systems();
        let read = states.iter().map(|state| (state.name.clone(), Some(state)));
        let known = |name: &SystemName| states.iter().any(|state| &state.name == name);
        let unread = view.loaded().settings.keys().filter(|name| !known(name));
        let mut all: Vec<(SystemName, Option<&SystemState>)> =
            read.chain(unread.map(|name| (name.clone(), None))).filter(|(name, _)| seen(name)).collect();
        all.sort_by(|(left, _), (right, _)| left.cmp(right));
        let rows: Vec<Source> = all.into_iter().map(|(name, state)| source(&name, state, now)).collect();
        let (summary, tone) = summary(&rows, all_oldest(states, &seen), now);
        Self {
            mark: Mark::new(if tone == Tone::Good { "complete" } else { "look" }, tone),
            rows,
            summary,
            decided: Moment::relative(view.as_of(), now),
            trouble: app.live.trouble().map(safe),
        }
    }
}

fn source(name: &SystemName, state: Option<&SystemState>, now: Timestamp) -> Source {
    let system = Link::system(name);
    let Some(latest) = state.and_then(|state| state.latest.as_ref()) else {
        return Source {
            system,
            mark: Mark::new("never read", Tone::Bad),
            read: None,
            complete: None,
            detail: "nothing is known of it".to_owned(),
            stale: false,
            concern: Concern::NeverRead,
        };
    };
    let is_complete = latest.completeness.is_complete();
    let complete = state.and_then(|state| state.latest_complete.as_ref()).filter(|_| !is_complete);
    let stale = now.duration_since(latest.ended_at) > STALE_AFTER;
    let (concern, tone) = match (is_complete, stale) {
        (false, _) => (Concern::Partial, Tone::Bad),
        (true, true) => (Concern::Stale, Tone::Warning),
        (true, false) => (Concern::None, Tone::Good),
    };
    Source {
        system,
        mark: Mark::new(latest.completeness.as_str(), tone),
        read: Some(Moment::relative(latest.ended_at, now)),
        complete: complete.map(|epoch| Moment::relative(epoch.ended_at, now)),
        detail: safe(latest.completeness.detail()),
        stale,
        concern,
    }
}

fn all_oldest(states: &[SystemState], seen: impl Fn(&SystemName) -> bool) -> Option<Timestamp> {
    let of = states.iter().filter(|state| seen(&state.name));
    of.filter_map(|state| state.latest.as_ref()).map(|epoch| epoch.ended_at).min()
}

fn summary(rows: &[Source], oldest: Option<Timestamp>, now: Timestamp) -> (String, Tone) {
    let with = |concern: Concern| rows.iter().filter(|row| row.concern == concern).count();
    let (unread, partial, stale) = (with(Concern::NeverRead), with(Concern::Partial), with(Concern::Stale));
    let mut concerns = Vec::new();
    for (number, words) in
        [(unread, "never read"), (partial, "read only in part"), (stale, "read over a day ago")]
    {
        if number > 0 {
            concerns.push(format!("{number} {words}"));
        }
    }
    let sources = count(rows.len(), "source");
    let tone = match (unread + partial, stale) {
        (0, 0) if rows.is_empty() => Tone::Warning,
        (0, 0) => Tone::Good,
        (0, _) => Tone::Warning,
        _ => Tone::Bad,
    };
    if rows.is_empty() {
        return ("No system is configured: nothing is known".to_owned(), tone);
    }
    let age = oldest.map(|at| format!("; the oldest was read {}", Moment::relative(at, now).words));
    let age = age.unwrap_or_default();
    let state = if concerns.is_empty() { "all read completely".to_owned() } else { concerns.join(", ") };
    (format!("{sources}: {state}{age}"), tone)
}
