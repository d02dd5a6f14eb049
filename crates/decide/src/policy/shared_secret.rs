//! What the policy says of secrets that several people know: `[shared_secret.NAME]`.

use std::collections::BTreeMap;

use leasehold_model::id::IdentityKey;
use toml::Spanned;

use super::document::SharedSecretDocument;
use super::read::{Place, Reader};
use super::{Placed, SharedSecret};

impl Reader {
    pub(super) fn shared_secrets(
        &mut self,
        place: &Place<'_>,
        entries: BTreeMap<Spanned<String>, SharedSecretDocument>,
    ) {
        for (name, entry) in entries {
            if !self.first_of_its_name(place, "shared_secret", &name) {
                continue;
            }
            if entry.accounts.is_empty() || entry.known_by.is_empty() {
                let help = "name the accounts that it lets in to, and everybody who knows it";
                self.error(place, name.span(), "a shared secret of nothing, or of nobody", help);
                continue;
            }
            let key = |text: &Spanned<String>| -> Placed<IdentityKey> {
                place.placed(IdentityKey(text.get_ref().clone()), text.span())
            };
            let accounts = entry.accounts.iter().filter_map(|text| {
                let account = self.account(place, text)?;
                Some(place.placed(account, text.span()))
            });
            let accounts = accounts.collect();
            let is_key = match entry.kind.as_ref().map(|kind| kind.get_ref().as_str()) {
                None | Some("password") => false,
                Some("key") => true,
                Some(other) => {
                    let span = entry.kind.as_ref().map_or(name.span(), Spanned::span);
                    self.error(
                        place,
                        span,
                        format!("`{other}` is no kind of secret"),
                        "write `password` or `key`",
                    );
                    continue;
                }
            };
            // Who left on a day may have left before the secret was replaced, and knows the old one only where an instant says so.
            let said_replaced_at = entry.replaced.as_ref().and_then(|when| self.begun(place, when));
            self.policy.shared_secrets.push(SharedSecret {
                accounts,
                known_by: entry.known_by.iter().map(key).collect(),
                owner: key(&entry.owner),
                kept_in: entry.kept_in,
                is_key,
                said_replaced_at,
                name: name.into_inner(),
            });
        }
    }
}
