//! Instants: in words that people grasp, with the exact instant beside them for whoever needs it, programs included.

use askama::Template;
use askama::filters::HtmlSafe;
use jiff::Timestamp;

/// Beyond this many days a date says more than a number of days.
const RELATIVE_DAYS_MAX: i64 = 60;

/// An instant as a page shows it.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "parts/moment.html")]
pub(crate) struct Moment {
    /// For programs.
    pub machine: String,
    /// Exactly, for people.
    pub exact: String,
    /// What is shown.
    pub words: String,
}

impl HtmlSafe for Moment {}

impl Moment {
    /// Relative to the present: `3 hours ago`, `in 2 days`.
    pub(crate) fn relative(at: Timestamp, now: Timestamp) -> Self {
        Self { words: relative(at, now), ..Self::exact(at) }
    }

    /// Exactly: `2026-01-05 09:00:00 UTC`.
    pub(crate) fn exact(at: Timestamp) -> Self {
        let exact = at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        Self { machine: at.to_string(), words: exact.clone(), exact }
    }
}

/// A duration in the largest unit that leaves at least one of it.
pub(crate) fn duration(seconds: i64) -> String {
    let (value, unit) = match seconds {
        ..60 => (seconds.max(0), "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{value} {unit}{}", if value == 1 { "" } else { "s" })
}

/// A short duration with its fraction, as measured ones are told: `0.4 s`, `12 s`, `3.5 min`.
pub(crate) fn measured(duration_ms: i64) -> String {
    let seconds = duration_ms as f64 / 1_000.0;
    match seconds {
        ..10.0 => format!("{seconds:.1} s"),
        ..120.0 => format!("{seconds:.0} s"),
        ..7_200.0 => format!("{:.1} min", seconds / 60.0),
        ..172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}

fn relative(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    if seconds.abs() / 86_400 > RELATIVE_DAYS_MAX {
        return at.strftime("%Y-%m-%d").to_string();
    }
    match seconds {
        -1..=1 => "just now".to_owned(),
        2.. => format!("{} ago", duration(seconds)),
        _ => format!("in {}", duration(-seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Moment, measured};

    #[test]
    fn instants_are_told_relative_to_the_present() {
        let now = "2026-01-05T09:00:00Z".parse().expect("an instant");
        for (at, words) in [
            ("2026-01-05T09:00:00Z", "just now"),
            ("2026-01-05T08:59:58Z", "2 seconds ago"),
            ("2026-01-05T08:59:00Z", "1 minute ago"),
            ("2026-01-05T06:00:01Z", "2 hours ago"),
            ("2026-01-03T09:00:00Z", "2 days ago"),
            ("2026-01-05T09:30:00Z", "in 30 minutes"),
            ("2025-06-01T09:00:00Z", "2025-06-01"),
            ("2027-01-01T00:00:00Z", "2027-01-01"),
        ] {
            let moment = Moment::relative(at.parse().expect("an instant"), now);
            assert_eq!(moment.words, words, "{at}");
            assert_eq!(moment.machine, at);
        }
        for (duration_ms, words) in
            [(420, "0.4 s"), (12_345, "12 s"), (210_000, "3.5 min"), (9_000_000, "2.5 h")]
        {
            assert_eq!(measured(duration_ms), words);
        }
    }
}
