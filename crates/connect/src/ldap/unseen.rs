//! Groups that accounts name and that no listing showed: what the directory hides is not gone (law 3).

use std::collections::BTreeMap;

use super::dn::NormalDn;
use super::entry::Entry;

/// How many of them a reading names in its reason.
const NAMED_MAX: usize = 3;

/// What accounts say that they are members of, as far as no group of that name was listed.
pub(super) struct UnseenGroups {
    /// Where the groups that we list are; `None` where the configured filter lists some of them only, so that the rest
    /// is left out on purpose.
    base: Option<NormalDn>,
    found: BTreeMap<String, String>,
}

impl UnseenGroups {
    pub(super) fn below(base: &str, every_group_is_listed: bool) -> Self {
        let base = NormalDn::parse(base).filter(|_| every_group_is_listed);
        Self { base, found: BTreeMap::new() }
    }

    /// Looks at one account's own word.
    pub(super) fn look(&mut self, account: &Entry, is_listed: impl Fn(&NormalDn) -> bool) {
        let Some(base) = &self.base else { return };
        for text in account.texts("memberOf") {
            let unseen = NormalDn::parse(&text).is_some_and(|dn| dn.is_within(base) && !is_listed(&dn));
            if unseen {
                self.found.entry(text).or_insert_with(|| account.dn.clone());
            }
        }
    }

    /// Why the reading is not complete, where something is unseen.
    pub(super) fn why(self) -> Option<String> {
        let (group, account) = self.found.iter().next()?;
        let more = self.found.keys().skip(1).take(NAMED_MAX - 1).cloned().collect::<Vec<_>>();
        let others = if more.is_empty() { String::new() } else { format!(" (also {})", more.join(", ")) };
        Some(format!(
            "{account} is a member of {group}{others}, by its own `memberOf`, and {} not among the groups that the \
             connector sees; let it read them, or name the groups that are meant with `groups_filter`",
            if self.found.len() == 1 { "that is" } else { "those are" }
        ))
    }
}
