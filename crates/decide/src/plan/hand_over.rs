//! Work that ran by itself with the rights of somebody who has left, and that somebody takes over: as which account it runs from then on.

use leasehold_model::credential::CredentialName;
use leasehold_model::decision::DriftItem;
use leasehold_model::id::IdentityKey;
use leasehold_model::plan::{LeftAlone, Verb};

use super::{Planner, words};
use crate::engine::AccountIndex;

impl Planner<'_, '_> {
    pub(super) fn consider_handing_over(
        &mut self,
        item: &DriftItem,
        account: AccountIndex,
        credential: &CredentialName,
        to: &IdentityKey,
    ) {
        if !self.abilities(&item.system).hand_over_credential {
            let why = format!(
                "the connector of this system cannot hand {credential} over; {to} sets it up there anew, and it ends here by `leasehold \
                 retire {} --end`",
                item.identity.as_ref().map(ToString::to_string).unwrap_or_default()
            );
            self.not_handed_over.insert(account);
            return self.leave(item, why);
        }
        match self.account_to_run_as(item, to) {
            Ok(to) => {
                let because = words(&item.because);
                self.hand_overs.insert((account, credential.clone()), (to, because));
            }
            Err(why) => {
                self.not_handed_over.insert(account);
                self.leave(item, why);
            }
        }
    }

    /// The one open account of whoever takes it over. Which of several is meant nobody guesses: they differ in what they may do.
    fn account_to_run_as(&self, item: &DriftItem, to: &IdentityKey) -> Result<AccountIndex, String> {
        let evaluation = self.evaluation;
        let (snapshot, system) = (evaluation.inputs.snapshot, &item.system);
        let accounts = evaluation.identity(to).into_iter().flat_map(|who| evaluation.graph.accounts_of(who));
        let open: Vec<AccountIndex> = accounts
            .filter(|account| {
                let observed = evaluation.account(*account);
                let closes = self.disables.contains_key(account) || self.deletes.contains_key(account);
                snapshot.system(observed.system) == system && observed.account.enabled && !closes
            })
            .collect();
        match open.as_slice() {
            [] => Err(format!(
                "{to} has no open account in {system} that it could run as: give them one, or name somebody who has"
            )),
            [only] => match self.untouchable.get(only) {
                Some(why) => {
                    Err(format!("it cannot run as {}: {why}", evaluation.account(*only).account.login))
                }
                None => Ok(*only),
            },
            several => {
                let logins: Vec<&str> = several
                    .iter()
                    .map(|account| evaluation.account(*account).account.login.as_str())
                    .collect();
                Err(format!(
                    "{to} has several open accounts in {system} ({}), and which is to run it is not guessed: a person hands it over there",
                    logins.join(", ")
                ))
            }
        }
    }

    /// An account is not deleted while somebody is to have what it left behind: its jobs would go with it.
    pub(super) fn keep_what_is_handed_over(&mut self) {
        for account in std::mem::take(&mut self.not_handed_over) {
            let Some(because) = self.deletes.remove(&account) else { continue };
            let item = self.item(Verb::DeleteAccount, account, None, &because);
            self.left_alone.push(LeftAlone {
                system: item.system,
                account: Some(item.account),
                identity: item.identity,
                entitlement: None,
                why: "leaver: the account is not deleted while what it ran by itself is to be handed over and cannot be".to_owned(),
            });
        }
    }
}
