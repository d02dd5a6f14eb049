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
        let mut kept_from = *stopped_at;
        // What stays with its account whatever is said waits as if nobody had said anything.
        let word = taken_over(evaluation, identity, *stopped_at);
        match word.filter(|_| credential.credential.not_handed_over.is_none()) {
            Some(TakenOver { to, taker: Taker::Here, .. }) => {
                let because = vec![not_live(evaluation, identity), Because::HandedOver { to: to.clone() }];
                items.push(about_credential(evaluation, DriftKind::Missing, credential, because));
                continue;
            }
            Some(TakenOver { to, taker: Taker::Away, .. }) => {
                let text = format!(
                    "{} has left, and their {} is stopped since {stopped_at}: {to} takes it over and may hold no access now; it waits \
                     for them, or for somebody else by `leasehold successor {} PERSON`, or ends by `leasehold retire {} --end`",
                    who.key, credential.credential.label, who.key, who.key
                );
                let because = vec![Because::Fact { text }];
                items.push(about_credential(evaluation, DriftKind::Ownerless, credential, because));
                continue;
            }
            Some(TakenOver { taker: Taker::Gone(at), .. }) => kept_from = kept_from.max(at),
            None => {}
        }
        items.push(match ends(evaluation, identity, kept_from) {
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
/// when a person said so since. The time counts anew where somebody took it over and left before they had it.
fn ends(evaluation: &Evaluation<'_>, identity: IdentityIndex, kept_from: Timestamp) -> (Timestamp, bool) {
    let inputs = evaluation.inputs;
    let key = evaluation.identities[identity.index()].key.folded();
    let said = said_to_end(evaluation, &key).filter(|at| (kept_from..=inputs.now).contains(at));
    let kept_until = kept_from.checked_add(inputs.policy.succession.watch).unwrap_or(Timestamp::MAX);
    let on = said.unwrap_or(kept_until);
    (on, on <= inputs.now)
}

/// That somebody takes over what a leaver left behind.
struct TakenOver<'evaluation> {
    to: &'evaluation IdentityKey,
    taker: Taker,
}

/// Where whoever takes it over is.
enum Taker {
    Here,
    /// They may come back, or have not begun.
    Away,
    /// They left, or are not known any more, since then.
    Gone(Timestamp),
}

/// Who takes over what somebody left behind, where a person said so since it was stopped or they left, and nobody said later that
/// it ends.
fn taken_over<'evaluation>(
    evaluation: &'evaluation Evaluation<'_>,
    identity: IdentityIndex,
    stopped_at: Timestamp,
) -> Option<TakenOver<'evaluation>> {
    let inputs = evaluation.inputs;
    let key = evaluation.identities[identity.index()].key.folded();
    let said = inputs.stewardship.ownerships.iter().find(|claim| claim.identity.as_str() == key)?;
    // What a source says of the leaver later may move when it is known that they left.
    let since_left = evaluation.left_at(identity).is_some_and(|left_at| said.recorded_at >= left_at);
    let ended = said_to_end(evaluation, &key).is_some_and(|at| (said.recorded_at..=inputs.now).contains(&at));
    if ended || !(since_left || said.recorded_at >= stopped_at) {
        return None;
    }
    let Some(index) = evaluation.identity(&said.owner) else {
        return Some(TakenOver { to: &said.owner, taker: Taker::Gone(said.recorded_at) });
    };
    let who = &evaluation.identities[index.index()];
    let taker = if who.may_hold_access(inputs.now) {
        Taker::Here
    } else if who.has_left(inputs.now) {
        let left_at = evaluation.left_at(index).unwrap_or(said.recorded_at);
        Taker::Gone(left_at.max(said.recorded_at))
    } else {
        Taker::Away
    };
    Some(TakenOver { to: &who.key, taker })
}

/// When a person said last that what somebody left behind ends.
fn said_to_end(evaluation: &Evaluation<'_>, key: &str) -> Option<Timestamp> {
    let retirements = &evaluation.inputs.stewardship.retirements;
    retirements.iter().find(|claim| claim.identity.as_str() == key)?.finished_at
}
