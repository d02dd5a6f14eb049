//! What a leaver may have kept under a name that no rule knows: a question that whoever offboards them has to be asked.

use leasehold_decide::evaluate::Evaluation;
use leasehold_decide::resemblance::{Resemblance, resembling};
use leasehold_model::id::IdentityKey;
use leasehold_model::plan::LeftAlone;

/// Accounts of nobody that look like this identity's, which no plan touches before a person has said whose they are.
pub(crate) fn unclaimed(evaluation: &Evaluation<'_>, key: &IdentityKey) -> Vec<LeftAlone> {
    let Some(index) = evaluation.identity(key) else { return Vec::new() };
    let left = |Resemblance { account, because }| {
        let observed = evaluation.account(account);
        let system = evaluation.inputs.snapshot.system(observed.system);
        let login = &observed.account.login;
        LeftAlone {
            system: system.clone(),
            account: Some(login.clone()),
            identity: None,
            entitlement: None,
            why: format!(
                "no rule says whose it is, and it may be that of {key}: {because}; if it is, say so by a rule in `correlate` of \
                 {system} or by `[correlate.\"{system}:{login}\"]` in the policy, and offboard {key} again"
            ),
        }
    };
    resembling(evaluation, index).into_iter().map(left).collect()
}
