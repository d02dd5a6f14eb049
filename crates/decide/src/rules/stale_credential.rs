//! Credentials that must be replaced: older than the policy allows where their age is known, made by somebody who has left and may
//! still know the secret, or of a non-human for which somebody answered who has left since.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::id::IdentityKey;
use leasehold_model::snapshot::SnapshotCredential;

use super::{Context, about_account, about_credential, days, not_live};
use crate::engine::{AccountIndex, IdentityIndex};
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
    let known = KnownToLeavers::of(evaluation);
    known.passwords(evaluation, items);
    let makers = Makers::of(evaluation);
    for credential in &evaluation.inputs.snapshot.credentials {
        if !credential.credential.lets_in(evaluation.inputs.now) {
            continue;
        }
        let created = credential.credential.created_at.zip(limit);
        let old = created.and_then(|(created, limit)| too_old(evaluation, created, limit));
        let old = old.map(|text| Because::Fact { text });
        let makers = makers.gone(evaluation, credential);
        let known = known.credential(evaluation, credential);
        let because: Vec<Because> = old.into_iter().chain(makers).chain(known).collect();
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

/// So long it is said that somebody may know a password of which nobody tells when it was changed.
const UNKNOWN_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Non-humans that somebody took over, because whoever answered for them has left and may know their secrets.
struct KnownToLeavers<'evaluation> {
    /// Who left, and when that had been said, by the non-human.
    left: HashMap<IdentityIndex, (&'evaluation IdentityKey, Timestamp)>,
}

impl<'evaluation> KnownToLeavers<'evaluation> {
    fn of(evaluation: &'evaluation Evaluation<'_>) -> Self {
        let left = evaluation.succeeded().filter_map(|(non_human, before)| {
            let index = evaluation.identity(before)?;
            Some((non_human, (before, evaluation.known_left_at(index)?)))
        });
        Self { left: left.collect() }
    }

    fn of_account(
        &self,
        evaluation: &Evaluation<'_>,
        account: AccountIndex,
    ) -> Option<(&'evaluation IdentityKey, Timestamp)> {
        self.left.get(&evaluation.graph.identity_of(account)?).copied()
    }

    /// That a credential is from before whoever answered for it left.
    fn credential(&self, evaluation: &Evaluation<'_>, credential: &SnapshotCredential) -> Option<Because> {
        let (who, left_at) = self.of_account(evaluation, evaluation.index_of(credential.account))?;
        let first_seen = || evaluation.inputs.snapshot.ended_at(credential.since);
        let made = credential.credential.created_at.or_else(first_seen);
        (made.is_none_or(|made| made <= left_at)).then(|| Because::Fact {
            text: format!(
                "{who}, who has left, answered for this account and may know it: replace it, then revoke this one"
            ),
        })
    }

    /// Passwords of accounts: nobody sees those themselves, and some systems tell when they were changed.
    fn passwords(&self, evaluation: &Evaluation<'_>, items: &mut Vec<DriftItem>) {
        for (identity, (who, left_at)) in &self.left {
            for account in evaluation.graph.accounts_of(*identity) {
                let observed = &evaluation.account(account).account;
                let changed = match observed.credential_changed_at {
                    Some(changed) if changed > *left_at => continue,
                    Some(changed) => format!("it was changed last on {changed}"),
                    None if evaluation.inputs.now.duration_since(*left_at) > UNKNOWN_FOR => continue,
                    None => "when it was changed last is not known".to_owned(),
                };
                if !observed.enabled {
                    continue;
                }
                let text = format!(
                    "{who}, who has left, answered for this account and may know its password, if it has one; {changed}: replace it"
                );
                let because = vec![Because::Fact { text }];
                items.push(about_account(evaluation, DriftKind::StaleCredential, account, because));
            }
        }
    }
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
