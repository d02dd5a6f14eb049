//! Accounts that match no identity, or several: a question to a person, never a guess.

use std::collections::HashMap;

use leasehold_model::decision::{Because, DriftItem, DriftKind};

use super::{Context, about_account};
use crate::correlate::Correlation;
use crate::engine::AccountIndex;
use crate::evaluate::{Evaluation, Inputs};

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    let mut idle: HashMap<u32, Vec<Because>> = HashMap::new();
    for account in evaluation.graph.uncorrelated_accounts() {
        if is_break_glass(evaluation, account) {
            continue;
        }
        let because = match &evaluation.correlation[evaluation.position_of(account) as usize] {
            Correlation::Ambiguous { candidates, by } => {
                let keys =
                    candidates.iter().map(|position| evaluation.identities[*position as usize].key.clone());
                vec![
                    Because::Ambiguous { candidates: keys.collect() },
                    Because::Fact { text: format!("by rule `{by}`") },
                ]
            }
            Correlation::Orphan | Correlation::To { .. } => {
                let system = evaluation.account(account).system;
                let idle = idle.entry(system).or_insert_with(|| idle_rules(evaluation, system));
                std::iter::once(Because::NoIdentity).chain(idle.iter().cloned()).collect()
            }
        };
        items.push(about_account(evaluation, DriftKind::Orphan, account, because));
    }
}

/// Rules of the system that can match nothing as they are written, or that it has none.
fn idle_rules(evaluation: &Evaluation<'_>, system: u32) -> Vec<Because> {
    let Inputs { snapshot, systems, .. } = evaluation.inputs;
    let rules = systems.get(snapshot.system(system)).map_or(&[][..], |settings| &settings.correlate);
    if rules.is_empty() {
        return vec![Because::Fact { text: "the system has no `correlate` rules".to_owned() }];
    }
    let idle = rules.iter().filter_map(|rule| {
        let accounts = snapshot.accounts.iter().filter(|account| account.system == system);
        rule.names_nothing(accounts.map(|account| &account.account), &evaluation.identities)
    });
    idle.map(|text| Because::Fact { text }).collect()
}

/// An emergency account is nobody's on purpose: it has an owner and an end, and until then it is no orphan.
pub(crate) fn is_break_glass(evaluation: &Evaluation<'_>, account: AccountIndex) -> bool {
    let observed = evaluation.account(account);
    let system = evaluation.inputs.snapshot.system(observed.system);
    evaluation.inputs.policy.protected.iter().any(|protected| {
        let live = protected.break_glass.as_ref().is_some_and(|(owner, until)| {
            *until > evaluation.inputs.now && evaluation.owner_is_live(owner) != Some(false)
        });
        let named =
            [&observed.account.login, &observed.account.key.0].contains(&&protected.account.value.login);
        live && named && &protected.account.value.system == system
    })
}
