//! Credentials that must be replaced: older than the policy allows where their age is known, or made by somebody who has
//! left and may still know the secret.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::snapshot::SnapshotCredential;

use super::{Context, about_account, about_credential, days, not_live};
use crate::evaluate::Evaluation;

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    let limit = evaluation.inputs.policy.limits.credential_age_max;
    if let Some(limit) = limit {
        for (position, account) in (0u32..).zip(&evaluation.inputs.snapshot.accounts) {
            let changed = account.account.credential_changed_at.filter(|_| account.account.enabled);
            if let Some(text) = changed.and_then(|changed| too_old(evaluation, changed, limit)) {
                let because = vec![Because::Fact { text }];
                let account = evaluation.index_of(position);
                items.push(about_account(evaluation, DriftKind::StaleCredential, account, because));
            }
        }
    }
    let makers = Makers::of(evaluation);
    for credential in &evaluation.inputs.snapshot.credentials {
        if !credential.credential.lets_in(evaluation.inputs.now) {
            continue;
        }
        let created = credential.credential.created_at.zip(limit);
        let old = created.and_then(|(created, limit)| too_old(evaluation, created, limit));
        let old = old.map(|text| Because::Fact { text });
        let because: Vec<Because> = old.into_iter().chain(makers.gone(evaluation, credential)).collect();
        if !because.is_empty() {
            items.push(about_credential(evaluation, DriftKind::StaleCredential, credential, because));
        }
    }
}

fn too_old(evaluation: &Evaluation<'_>, since: Timestamp, limit: SignedDuration) -> Option<String> {
    let age = evaluation.inputs.now.duration_since(since);
    (age > limit).then(|| {
        format!("credential unchanged since {since}, {} days; the limit is {} days", days(age), days(limit))
    })
}

/// Who is who among those that make credentials for others.
struct Makers<'snapshot> {
    /// Positions of accounts by system and login.
    accounts: HashMap<(u32, &'snapshot str), u32>,
}

impl<'snapshot> Makers<'snapshot> {
    fn of(evaluation: &Evaluation<'snapshot>) -> Self {
        let snapshot = evaluation.inputs.snapshot;
        let has_maker = |credential: &SnapshotCredential| credential.credential.created_by.is_some();
        if !snapshot.credentials.iter().any(has_maker) {
            return Self { accounts: HashMap::new() };
        }
        let accounts = (0u32..).zip(&snapshot.accounts);
        let by_login = accounts
            .map(|(position, account)| ((account.system, account.account.login.as_str()), position))
            .collect();
        Self { accounts: by_login }
    }

    /// That whoever made the credential of somebody else's account has left, where it is so.
    fn gone(&self, evaluation: &Evaluation<'_>, credential: &SnapshotCredential) -> Option<Because> {
        let maker = credential.credential.created_by.as_deref()?;
        let system = evaluation.inputs.snapshot.accounts[credential.account as usize].system;
        let maker = *self.accounts.get(&(system, maker))?;
        let identity = evaluation.graph.identity_of(evaluation.index_of(maker))?;
        let has_left = evaluation.identities[identity.index()].has_left(evaluation.inputs.now);
        let own = evaluation.graph.identity_of(evaluation.index_of(credential.account));
        if !has_left || own == Some(identity) {
            return None;
        }
        let Because::IdentityNotLive { identity, .. } = not_live(evaluation, identity) else { return None };
        Some(Because::Fact {
            text: format!(
                "made by {identity}, who has left and may know it: replace it, then revoke this one"
            ),
        })
    }
}
