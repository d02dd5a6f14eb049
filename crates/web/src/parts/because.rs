//! Why something was decided, in the words of the decision.

use std::fmt::Display;

use askama::Template;
use askama::filters::HtmlSafe;
use jiff::Timestamp;
use leasehold_model::text::safe;

/// Reasons, one or several.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "parts/because.html")]
pub(crate) struct BecauseList {
    /// Each in words.
    pub reasons: Vec<String>,
}

impl HtmlSafe for BecauseList {}

impl BecauseList {
    /// Reasons of a decision or of an action. They can hold names of targets.
    pub(crate) fn new<Reason: Display>(reasons: impl IntoIterator<Item = Reason>) -> Self {
        Self {
            reasons: reasons.into_iter().map(safe).map(|reason| with_readable_instants(&reason)).collect(),
        }
    }
}

/// A sentence in which instants are written for people: `2026-01-05 09:00 UTC` for `2026-01-05T09:00:00.123Z`.
fn with_readable_instants(sentence: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches([',', ';', '.', ')']);
        // Only what is written whole, and in UTC, as our own sentences do.
        match bare.ends_with('Z').then(|| bare.parse::<Timestamp>()) {
            Some(Ok(at)) => format!("{}{}", at.strftime("%Y-%m-%d %H:%M UTC"), &word[bare.len()..]),
            _ => word.to_owned(),
        }
    };
    sentence.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::BecauseList;

    #[test]
    fn instants_are_written_for_people_and_names_are_left_alone() {
        for (sentence, shown) in [
            (
                "x has left, access ended 2026-11-02T17:26:16.666Z",
                "x has left, access ended 2026-11-02 17:26 UTC",
            ),
            (
                "ended: role A, until 2026-01-05T09:00:00Z; more",
                "ended: role A, until 2026-01-05 09:00 UTC; more",
            ),
            ("role Z, Z and 2026-01-05 stay  as they are", "role Z, Z and 2026-01-05 stay  as they are"),
            ("a\u{1b}[2J name", "a\\u{1b}[2J name"),
        ] {
            assert_eq!(BecauseList::new([sentence]).reasons, [shown]);
        }
    }
}
