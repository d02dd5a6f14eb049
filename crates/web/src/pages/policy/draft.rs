//! What somebody typed while they show once more that it is them: kept until they are back, so that nothing is lost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// More people than this do not edit at once; the oldest draft makes way.
const DRAFTS_MAX: usize = 32;

/// A policy as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    /// The digest of the revision that was edited; empty where there was none.
    pub edited: String,
    /// Texts by path.
    pub files: BTreeMap<String, String>,
}

/// One draft for each of a few users, in memory.
#[derive(Debug, Default)]
pub(crate) struct Drafts(Mutex<VecDeque<(String, Draft)>>);

impl Drafts {
    /// Keeps a user's draft in place of the one before.
    pub(super) fn keep(&self, user: &str, draft: Draft) {
        let mut drafts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drafts.retain(|(of, _)| of != user);
        drafts.push_back((user.to_owned(), draft));
        if drafts.len() > DRAFTS_MAX {
            drafts.pop_front();
        }
    }

    /// Gives a user's draft, where there is one. It stays until it is applied or another takes its place.
    pub(super) fn of(&self, user: &str) -> Option<Draft> {
        let drafts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drafts.iter().find(|(of, _)| of == user).map(|(_, draft)| draft.clone())
    }

    /// Forgets a user's draft.
    pub(super) fn forget(&self, user: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _)| of != user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_draft_makes_way() {
        let drafts = Drafts::default();
        let draft = |text: &str| Draft { edited: text.to_owned(), files: BTreeMap::new() };
        for user in 0..=DRAFTS_MAX {
            drafts.keep(&user.to_string(), draft("first"));
        }
        assert_eq!(drafts.of("0"), None);
        drafts.keep("1", draft("second"));
        assert_eq!(drafts.of("1"), Some(draft("second")));
        drafts.forget("1");
        assert_eq!(drafts.of("1"), None);
        assert_eq!(drafts.of("2"), Some(draft("first")));
    }
}
