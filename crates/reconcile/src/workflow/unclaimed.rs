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
        // Quoted as TOML quotes a key.
        let named = serde_json::Value::from(format!("{system}:{login}"));
        LeftAlone {
            system: system.clone(),
            account: Some(login.clone()),
            identity: None,
            entitlement: None,
            why: format!(
                "it is not known whose it is, and it may be that of {key}: {because}; say whose it is by `[correlate.{named}]` in the \
                 policy, or by a rule in `correlate` of {system} before those that match it; if it is theirs, offboard {key} again, else \
                 `leasehold receipt {key}` says so"
            ),
        }
    };
    resembling(evaluation, index).into_iter().map(left).collect()
}
