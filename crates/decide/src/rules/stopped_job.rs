//! Work that ran by itself with the rights of somebody who has left, and that we stopped: it waits for whoever needs it, who may
//! take it over, and then ends for good.

use jiff::Timestamp;
use leasehold_model::credential::CredentialKind;
use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::id::IdentityKey;

use super::{Context, about_credential, not_live};
use crate::engine::IdentityIndex;
use crate::evaluate::Evaluation;

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    let snapshot = evaluation.inputs.snapshot;
    for (position, stopped_at) in &snapshot.stopped {
        let credential = &snapshot.credentials[*position as usize];
        let is_job = credential.credential.kind == CredentialKind::ScheduledJob;
        let account = evaluation.index_of(credential.account);
        let Some(identity) = evaluation.graph.identity_of(account) else { continue };
        let who = &evaluation.identities[identity.index()];
        // The job of somebody who may come back waits for them.
        if !is_job || credential.credential.active || !who.has_left(evaluation.inputs.now) {
            continue;
        }
        if let Some(to) = taken_over(evaluation, identity) {
            let because = vec![not_live(evaluation, identity), Because::HandedOver { to: to.clone() }];
            items.push(about_credential(evaluation, DriftKind::Missing, credential, because));
            continue;
        }
        items.push(match ends(evaluation, identity, *stopped_at) {
            (since, true) => {
                let because = vec![not_live(evaluation, identity), Because::RetentionPassed { since }];
                about_credential(evaluation, DriftKind::Leaver, credential, because)
            }
            (on, false) => {
                let text = format!(
                    "{} has left, and their {} is stopped since {stopped_at}: whoever needs it takes it over by \
                     `leasehold successor {} PERSON`; it ends for good on {on}, or by `leasehold retire {} --end`",
                    who.key, credential.credential.label, who.key, who.key
                );
                about_credential(evaluation, DriftKind::Ownerless, credential, vec![Because::Fact { text }])
            }
        });
    }
}

/// When what was stopped ends for good, and whether that is over: after the time for which everything that is stopped is kept, or
/// when a person said so since.
fn ends(evaluation: &Evaluation<'_>, identity: IdentityIndex, stopped_at: Timestamp) -> (Timestamp, bool) {
    let inputs = evaluation.inputs;
    let key = evaluation.identities[identity.index()].key.folded();
    let said = said_to_end(evaluation, &key).filter(|at| (stopped_at..=inputs.now).contains(at));
    let kept_until = stopped_at.checked_add(inputs.policy.succession.watch).unwrap_or(Timestamp::MAX);
    let on = said.unwrap_or(kept_until);
    (on, on <= inputs.now)
}

/// Who takes over what somebody left behind, where a person said so since they left and nobody said later that it ends, and where
/// whoever takes it over is still here.
fn taken_over<'evaluation>(
    evaluation: &'evaluation Evaluation<'_>,
    identity: IdentityIndex,
) -> Option<&'evaluation IdentityKey> {
    let inputs = evaluation.inputs;
    let key = evaluation.identities[identity.index()].key.folded();
    let said = inputs.stewardship.ownerships.iter().find(|claim| claim.identity.as_str() == key)?;
    let is_later = evaluation.left_at(identity).is_some_and(|left_at| said.recorded_at >= left_at);
    let ended = said_to_end(evaluation, &key).is_some_and(|at| (said.recorded_at..=inputs.now).contains(&at));
    let to = &evaluation.identities[evaluation.identity(&said.owner)?.index()];
    (is_later && !ended && to.may_hold_access(inputs.now)).then_some(&to.key)
}

/// When a person said last that what somebody left behind ends.
fn said_to_end(evaluation: &Evaluation<'_>, key: &str) -> Option<Timestamp> {
    let retirements = &evaluation.inputs.stewardship.retirements;
    retirements.iter().find(|claim| claim.identity.as_str() == key)?.finished_at
}
