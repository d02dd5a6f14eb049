//! What the policy says of the end of accounts and non-humans: `[retention.SYSTEM]` and `[succession]`.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use leasehold_model::snapshot::FORMER_DAYS;
use toml::Spanned;

use super::document::{RetentionDocument, SuccessionDocument};
use super::read::{Place, Reader};

impl Reader {
    /// A hand-over is a lease: it ends within the time of which is known what somebody was before.
    pub(super) fn hand_over(&mut self, place: &Place<'_>, text: &Spanned<String>) -> Option<SignedDuration> {
        let hand_over = self.duration(place, text)?;
        if hand_over > SignedDuration::from_hours(FORMER_DAYS * 24) {
            let message = "a hand-over is too long";
            self.error(place, text.span(), message, format!("write at most {FORMER_DAYS}d"));
            return None;
        }
        Some(hand_over)
    }

    pub(super) fn retention(
        &mut self,
        place: &Place<'_>,
        entries: BTreeMap<Spanned<String>, RetentionDocument>,
    ) {
        for (name, entry) in entries {
            if !self.first_of_its_name(place, "retention", &name) {
                continue;
            }
            let after = self.duration(place, &entry.delete_accounts_after);
            if let (Some(system), Some(after)) = (self.system(place, &name), after) {
                self.policy.retention.insert(system, after);
            }
        }
    }

    pub(super) fn succession(&mut self, place: &Place<'_>, entry: SuccessionDocument) {
        if let Some(first) = self.seen.insert("succession".to_owned(), place.file.to_string()) {
            let message = format!("succession is already set in {first}");
            self.error(place, 0..0, message, "keep one `[succession]` table");
        }
        let to_manager = self.one_of(place, entry.to.as_ref(), ["nobody", "manager"]);
        let stop = self.one_of(place, entry.without.as_ref(), ["ask", "stop"]);
        let watch = entry.watch.as_ref().and_then(|text| self.duration(place, text));
        let succession = &mut self.policy.succession;
        (succession.to_manager, succession.stop) = (to_manager, stop);
        succession.watch = watch.unwrap_or(succession.watch);
    }

    /// Whether the second of two words stands there; the first is what holds where nothing is said.
    fn one_of(&mut self, place: &Place<'_>, text: Option<&Spanned<String>>, words: [&str; 2]) -> bool {
        let Some(text) = text else { return false };
        if !words.contains(&text.get_ref().as_str()) {
            let help = format!("write \"{}\" or \"{}\"", words[0], words[1]);
            self.error(place, text.span(), format!("`{}` is not understood here", text.get_ref()), help);
        }
        text.get_ref() == words[1]
    }
}
