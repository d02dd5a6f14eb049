//! Shared secrets that somebody knows who has left: each account that one lets in to is to have another one.

use std::collections::HashMap;

use jiff::Timestamp;
use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::id::{IdentityKey, SystemName};

use super::{Context, about_account};
use crate::engine::AccountIndex;
use crate::evaluate::Evaluation;
use crate::policy::SharedSecret;

/// An account that somebody who has left could still be let in to by what they know.
#[derive(Debug, Clone, Copy)]
pub struct KnownSecret<'inputs> {
    /// What they know.
    pub secret: &'inputs SharedSecret,
    /// Who.
    pub who: &'inputs IdentityKey,
    /// When they left.
    pub left_at: Timestamp,
    /// When that had been said, too.
    pub known_left_at: Timestamp,
    /// Where it lets in.
    pub account: AccountIndex,
}

/// What is known to people who have left, and was not replaced since as far as its system or somebody's word tells.
pub fn known<'inputs>(evaluation: &Evaluation<'inputs>) -> Vec<KnownSecret<'inputs>> {
    let mut known = Vec::new();
    let secrets = &evaluation.inputs.policy.shared_secrets;
    if secrets.is_empty() {
        return known;
    }
    let accounts = accounts(evaluation);
    for secret in secrets {
        for who in &secret.known_by {
            let left = evaluation.identity(&who.value);
            let left = left.and_then(|index| evaluation.left_at(index).zip(evaluation.known_left_at(index)));
            let Some((left_at, known_left_at)) = left else { continue };
            for named in &secret.accounts {
                let found = accounts.get(&(&named.value.system, named.value.login.to_lowercase()));
                let lets_in = found.into_iter().flatten().filter(|account| {
                    let observed = &evaluation.account(**account).account;
                    let replaced_at = secret.replaced_at(observed, evaluation.inputs.now);
                    observed.enabled && replaced_at.is_none_or(|at| at <= known_left_at)
                });
                known.extend(lets_in.map(|account| KnownSecret {
                    secret,
                    who: &who.value,
                    left_at,
                    known_left_at,
                    account: *account,
                }));
            }
        }
    }
    known
}

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    for KnownSecret { secret, who, left_at, known_left_at, account } in known(evaluation) {
        let said =
            if known_left_at > left_at { format!(" as was said on {known_left_at}") } else { String::new() };
        let text = format!(
            "{who}, who left on {left_at}{said}, knows the shared secret {secret}: replace it; {} answers for it",
            secret.owner.value
        );
        let because = vec![Because::Fact { text }];
        items.push(about_account(evaluation, DriftKind::StaleCredential, account, because));
    }
}

/// Every account by its system and each of its names, folded.
fn accounts<'snapshot>(
    evaluation: &Evaluation<'snapshot>,
) -> HashMap<(&'snapshot SystemName, String), Vec<AccountIndex>> {
    let snapshot = evaluation.inputs.snapshot;
    let mut found: HashMap<(&SystemName, String), Vec<AccountIndex>> = HashMap::new();
    for (position, account) in (0u32..).zip(&snapshot.accounts) {
        let system = snapshot.system(account.system);
        let (login, key) = (account.account.login.to_lowercase(), account.account.key.0.to_lowercase());
        let index = evaluation.index_of(position);
        if login != key {
            found.entry((system, key)).or_default().push(index);
        }
        found.entry((system, login)).or_default().push(index);
    }
    found
}
