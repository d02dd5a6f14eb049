//! Justified and not held: `missing` where it never was, `removed_out_of_band` where it was and vanished without us.

use std::collections::HashSet;

use leasehold_model::account::Account;
use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::identity::Identity;

use super::Context;
use crate::engine::access;
use crate::engine::drift::{DriftKind as Row, DriftRow};
use crate::engine::{AccountIndex, EntitlementIndex, IdentityIndex};
use crate::evaluate::Evaluation;

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    let snapshot = evaluation.inputs.snapshot;
    let vanished = Vanished::new(evaluation);
    for row in context.rows.iter().filter(|row| row.kind == Row::Missing) {
        let system = evaluation.graph.system_of_entitlement(row.entitlement);
        // Absence needs proof (law 3): a system that was never read completely lacks nothing that we know of.
        if snapshot.systems[system.index()].latest_complete.is_none() {
            continue;
        }
        let mut account = account_for(evaluation, row.identity, row.entitlement);
        let identity = &evaluation.identities[row.identity.index()];
        let held = live_reasons(evaluation, row);
        let mut because: Vec<Because> =
            held.iter().map(|because| evaluation.because(because, row.entitlement)).collect();
        // What was removed from one account of an identity must not come back through another one.
        let gone = accounts_in(evaluation, row.identity, row.entitlement)
            .filter_map(|account| Some((account, vanished.ended(evaluation, account, row.entitlement)?)))
            .min_by_key(|(lost_by, _)| Some(*lost_by) != account);
        let kind = if let Some((lost_by, words)) = gone {
            account = Some(lost_by);
            because.push(Because::Fact { text: words });
            DriftKind::RemovedOutOfBand
        } else {
            DriftKind::Missing
        };
        let observed: Option<&Account> = account.map(|account| &evaluation.account(account).account);
        items.push(DriftItem {
            kind,
            system: evaluation.system_of(row.entitlement).clone(),
            account: observed.map(|account| account.key.clone()),
            login: observed.map(|account| account.login.clone()),
            identity: Some(identity.key.clone()),
            entitlement: Some(evaluation.entitlement_name(row.entitlement).clone()),
            credential: None,
            since: None,
            because,
        });
    }
}

/// Whether nothing but a hand-over names what is missing. That lets somebody keep what they have and gives nothing: they may never have
/// had it, or have lost it since.
pub(super) fn is_only_handed_over(evaluation: &Evaluation<'_>, row: &DriftRow) -> bool {
    row.kind == Row::Missing
        && !evaluation.hand_overs.is_empty()
        && live_reasons(evaluation, row).iter().all(|because| evaluation.is_hand_over(because))
}

fn live_reasons(evaluation: &Evaluation<'_>, row: &DriftRow) -> Vec<access::Because> {
    let Evaluation { graph, justification, .. } = evaluation;
    access::check(graph, justification, row.identity, row.entitlement, evaluation.now()).because
}

/// The account that would hold it: the identity's first in that system that is open or opens with its first credential, else the one that
/// is named after them, else their first.
pub(super) fn account_for(
    evaluation: &Evaluation<'_>,
    identity: IdentityIndex,
    entitlement: EntitlementIndex,
) -> Option<AccountIndex> {
    accounts_in(evaluation, identity, entitlement).min_by_key(|account| {
        let observed = &evaluation.account(*account).account;
        let is_other = !is_named_after(observed, &evaluation.identities[identity.index()]);
        (!observed.enabled, !observed.awaits_credential, is_other, observed.key.clone())
    })
}

/// Whether an account is called as somebody is, whole or up to the `@`.
fn is_named_after(account: &Account, identity: &Identity) -> bool {
    let login = account.login.to_lowercase();
    let names = [Some(identity.key.as_str()), identity.attribute("email")];
    names
        .into_iter()
        .flatten()
        .map(str::to_lowercase)
        .any(|name| name == login || name.split_once('@').is_some_and(|(local, _)| local == login))
}

/// The identity's accounts in the entitlement's system.
fn accounts_in<'evaluation>(
    evaluation: &'evaluation Evaluation<'_>,
    identity: IdentityIndex,
    entitlement: EntitlementIndex,
) -> impl Iterator<Item = AccountIndex> + 'evaluation {
    let system = evaluation.graph.system_of_entitlement(entitlement);
    let accounts = evaluation.graph.accounts_of(identity);
    accounts.filter(move |account| evaluation.graph.system_of_account(*account) == system)
}

/// What ended without an action of ours.
struct Vanished {
    grants: HashSet<(u32, u32)>,
    containments: Vec<(u32, u32)>,
}

impl Vanished {
    fn new(evaluation: &Evaluation<'_>) -> Self {
        let snapshot = evaluation.inputs.snapshot;
        Self {
            grants: snapshot.vanished.iter().map(|grant| (grant.account, grant.entitlement)).collect(),
            containments: snapshot.vanished_containments.clone(),
        }
    }

    /// How this account came to lose the entitlement, where it once held it: its own grant went, or one that carried it,
    /// or a nesting between the two.
    fn ended(
        &self,
        evaluation: &Evaluation<'_>,
        account: AccountIndex,
        entitlement: EntitlementIndex,
    ) -> Option<String> {
        if self.grants.is_empty() && self.containments.is_empty() {
            return None;
        }
        let position = evaluation.position_of(account);
        let containment = evaluation.graph.containment();
        let once_carried_by = |target: u32| {
            let mut carriers: HashSet<u32> =
                containment.reached_from(target).iter().copied().chain([target]).collect();
            loop {
                let more: Vec<u32> = self
                    .containments
                    .iter()
                    .filter(|(parent, child)| carriers.contains(child) && !carriers.contains(parent))
                    .flat_map(|(parent, _)| {
                        containment.reached_from(*parent).iter().copied().chain([*parent])
                    })
                    .collect();
                if more.is_empty() {
                    return carriers;
                }
                carriers.extend(more);
            }
        };
        let carriers = once_carried_by(entitlement.0);
        let name = |carrier: u32| evaluation.entitlement_name(EntitlementIndex(carrier)).to_string();
        let mut lost: Vec<u32> =
            carriers.iter().copied().filter(|carrier| self.grants.contains(&(position, *carrier))).collect();
        lost.sort_unstable();
        if let Some(carrier) = lost.first() {
            return Some(format!(
                "{} was held and was removed without us; a person decides whether it returns",
                name(*carrier)
            ));
        }
        let still_held = evaluation.graph.grants_of(account).find(|grant| carriers.contains(&grant.0))?;
        Some(format!("the nesting through which {} carried it was removed without us", name(still_held.0)))
    }
}
