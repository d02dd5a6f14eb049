//! `explain` and `who` against the world itself, now and as it stood.

use std::collections::BTreeSet;

use leasehold_connect::simulated::dice::Dice;
use leasehold_decide::evaluate::Evaluation;
use leasehold_decide::explain::{Explained, explain, who};
use leasehold_decide::path::Carriers;
use leasehold_model::clock::Clock;
use leasehold_model::decision::Decision;
use leasehold_model::id::{EntitlementAddress, IdentityKey};
use leasehold_reconcile::stages::decide::Loaded;

use crate::oracle::Oracle;
use crate::scene::Scene;
use crate::seeds::tell;
use crate::world::Story;

#[test]
fn answers_agree_with_the_world_now_and_then() {
    tell("answers_agree_with_the_world_now_and_then", 250, |seed| async move {
        let mut dice = Dice::new(seed ^ 0xA5);
        let mut story = Story::begin(Scene::drawn(seed)).await;
        let mut told = Vec::new();
        for _ in 0..3 {
            story.observe_all().await;
            let loaded = story.load().await;
            let evaluation = loaded.evaluate().expect("an evaluation");
            explain_agrees(&story, &evaluation);
            who_agrees(&story, &evaluation);
            told.push((story.clock.now(), everything(&evaluation)));
            let (_, plan) = story.plan().await;
            story.clock.advance_ms(1_000);
            story.apply(&plan, &[]).await;
            story.disturb(&mut dice, true).await;
        }
        for (at, expected) in told {
            let then = Loaded::load(&story.store, &story.systems, story.clock.now(), Some(at)).await;
            let then = then.expect("what was observed then");
            let found = everything(&then.evaluate().expect("an evaluation"));
            assert_eq!(found, expected, "what is said now of {at}");
        }
    });
}

type Said = Vec<(IdentityKey, Vec<Explained>)>;

fn everything(evaluation: &Evaluation<'_>) -> Said {
    let each = evaluation.identities.iter().map(|identity| {
        let index = evaluation.identity(&identity.key).expect("an identity");
        (identity.key.clone(), explain(evaluation, index, Carriers::PATHS_MAX))
    });
    each.collect()
}

fn explain_agrees(story: &Story, evaluation: &Evaluation<'_>) {
    let claims = story.scene.claims.clone().expect("a drawn scene");
    let identities = evaluation.inputs.snapshot.identities.iter().map(|(_, identity)| identity.clone());
    let oracle = Oracle {
        claims: &claims,
        identities: identities.collect(),
        baseline: &story.baseline,
        now: evaluation.inputs.now,
    };
    let truth = story.truth();
    for (position, account) in (0u32..).zip(&evaluation.inputs.snapshot.accounts) {
        let Some(identity) = evaluation.graph.identity_of(evaluation.index_of(position)) else { continue };
        let system = evaluation.inputs.snapshot.system(account.system);
        let said: Vec<Explained> = explain(evaluation, identity, Carriers::PATHS_MAX)
            .into_iter()
            .filter(|row| &row.system == system && row.login == account.account.login)
            .collect();
        let names: BTreeSet<_> = said.iter().map(|row| row.entitlement.clone()).collect();
        let key = account.account.key.as_str();
        assert_eq!(names, story.world.effective(system.as_str(), key), "what {key} holds in {system}");
        assert_eq!(names.len(), said.len(), "each once");
        let state = &truth.systems[system];
        let kept = oracle.may_keep(system, state, &account.account).expect("somebody's");
        for row in said {
            let justified = row.decision == Decision::Justified;
            // What comes with every account cannot be taken away, and is no right of whoever may hold none.
            let inherent = state.entitlements[&row.entitlement].inherent;
            let live = evaluation.identities[identity.index()].may_hold_access(evaluation.inputs.now);
            let expected = kept.contains(&row.entitlement) && (live || !inherent || !account.account.enabled);
            assert_eq!(justified, expected, "{key} of {system}: {row:?}");
            assert!(!row.because.is_empty() && !row.paths.is_empty(), "{row:?}");
            let direct = state.holds_directly(&account.account.key, &row.entitlement);
            assert_eq!(row.direct, direct, "{row:?}");
            for path in &row.paths {
                assert!(state.holds_directly(&account.account.key, &path[0]), "{path:?} begins nowhere");
                assert_eq!(path.last(), Some(&row.entitlement));
                for step in path.windows(2) {
                    assert!(state.carries[&step[0]].contains(&step[1]), "{path:?} is no path");
                }
            }
        }
    }
}

fn who_agrees(story: &Story, evaluation: &Evaluation<'_>) {
    for (name, state) in &story.truth().systems {
        for entitlement in state.entitlements.keys() {
            let address = EntitlementAddress { system: name.clone(), entitlement: entitlement.clone() };
            let index = evaluation.entitlement(&address).expect("observed");
            let said: Vec<String> =
                who(evaluation, index, Carriers::PATHS_MAX).into_iter().map(|holder| holder.login).collect();
            let mut holds: Vec<String> = state
                .accounts
                .values()
                .filter(|account| state.effective(&account.key).contains(entitlement))
                .map(|account| account.login.clone())
                .collect();
            holds.sort();
            assert_eq!(said, holds, "who holds {address}");
        }
    }
}
