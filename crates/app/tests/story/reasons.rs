//! Stories of reasons: they end with their owners, come while a run is interrupted, and survive bad reads.

use std::collections::BTreeSet;

use leasehold_connect::simulated::state::WorldState;
use leasehold_connect::simulated::{FaultKind, Faults};
use leasehold_model::clock::Clock;
use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::id::IdentityKey;
use leasehold_model::plan::{PlanItem, Verb};
use leasehold_model::reason::{Baseline, ReasonKind};
use leasehold_reconcile::stages::enforce::effect_of;

use crate::invariants;
use crate::named::{effects, observed};
use crate::scene::days_from;
use crate::seeds::tell;
use crate::world::Story;

/// Law 4: no reason outlives its owner. What a role gave is drift once its owner has gone, and waits for a person, who
/// names somebody else or means its end.
#[test]
fn a_role_ends_with_its_owner_and_a_person_decides() {
    tell("a_role_ends_with_its_owner_and_a_person_decides", 100, |seed| async move {
        let mut story = observed(seed).await;
        let (_, plan) = story.plan().await;
        story.apply(&plan, &[]).await;
        story.observe_all().await;
        let (before, _) = story.plan().await;
        story.world.leave("p0@example.com", story.clock.now()).expect("left");
        story.observe_all().await;
        let (drift, plan) = story.plan().await;
        invariants::plan_explains_drift(&story, &drift, &plan);
        let of_role = |item: &&DriftItem| {
            let ended = item.because.iter().any(|because| {
                matches!(because, Because::ReasonEnded { reason } if reason.kind == ReasonKind::Role
                    && reason.name.starts_with('r')
                    && reason.owner.as_ref().is_some_and(|owner| owner.as_str() == "p0@example.com"))
            });
            ended && item.kind == DriftKind::Expired && !before.contains(item)
        };
        let expired: Vec<&DriftItem> = drift.iter().filter(of_role).collect();
        for item in &expired {
            let action = plan.items.iter().find(|action| {
                Some(&action.account_key) == item.account.as_ref()
                    && action.system == item.system
                    && action.verb == Verb::Revoke
                    && action.entitlement == item.entitlement
            });
            let kept = plan.left_alone.iter().any(|left| left.entitlement == item.entitlement);
            let held = |action: &PlanItem| plan.guard_of(&action.id).is_some();
            assert!(action.is_some_and(held) || (action.is_none() && kept), "nothing waits: {item:?}");
        }
        let truth = story.truth();
        story.apply(&plan, &[]).await;
        for item in &expired {
            let (account, entitlement) = (item.account.clone(), item.entitlement.clone());
            let (account, entitlement) = (account.expect("an account"), entitlement.expect("an entitlement"));
            let held =
                |state: &WorldState| state.systems[&item.system].holds_directly(&account, &entitlement);
            assert_eq!(held(&truth), held(&story.truth()), "{item:?} did not wait");
        }
        // Somebody else answers for the roles: everything has its reason again.
        let files = story.scene.policy.clone().into_iter();
        let files =
            files.map(|(name, text)| (name, text.replace("\"p0@example.com\"", "\"security@example.com\"")));
        story.apply_policy(files.collect()).await;
        let (drift, _) = story.plan().await;
        assert_eq!(drift.iter().filter(of_role).count(), 0);
    });
}
/// A crash before the target had it, and meanwhile somebody gives the access a reason: it is not taken away.
#[test]
fn what_got_a_reason_during_an_interruption_is_kept() {
    tell("what_got_a_reason_during_an_interruption_is_kept", 120, |seed| async move {
        let mut story = observed(seed).await;
        let (_, plan) = story.plan().await;
        let Some(first) = plan.items.iter().position(|item| {
            item.verb == Verb::Revoke && item.identity.as_ref().is_some_and(|key| key.as_str().contains('@'))
        }) else {
            return;
        };
        // Every call before the crash fails without effect, so that nothing has reached any target.
        story.world.set_faults(Faults::seeded(seed, 1_000, 1_000_000).only(&[FaultKind::TimeoutBefore]));
        story.life.dies_at(6 + seed % 40);
        let life = story.life.clone();
        let runner = story.runner();
        life.lives(runner.apply(&plan, &[], "story")).await;
        let rows = story.store.actions(&plan.hash).await.expect("actions");
        story.calm();
        let item = &plan.items[first];
        let (identity, entitlement) = (item.identity.clone().expect("a person"), item.entitlement.clone());
        let address = format!("{}:{}", item.system, entitlement.expect("an entitlement"));
        let mut files = story.scene.policy.clone();
        files.insert(
            "policy/late.toml".to_owned(),
            format!(
                "[exception.late]\nidentity = \"{identity}\"\ngrants = [\"{address}\"]\nuntil = \"2026-12-01\"\nowner = \"p0@example.com\"\nwhy = \"W\"\n"
            ),
        );
        story.apply_policy(files).await;
        let justified = story
            .load()
            .await
            .evaluate()
            .map(|evaluation| {
                let index = evaluation.identity(&identity).expect("an identity");
                let held = leasehold_decide::explain::explain(&evaluation, index, 1);
                held.iter().any(|row| {
                    format!("{}:{}", row.system, row.entitlement) == address
                        && row.login == item.account
                        && row.decision == leasehold_model::decision::Decision::Justified
                })
            })
            .expect("an evaluation");
        let unsettled = rows.iter().any(|row| row.id == item.id && !row.state.is_final());
        story.runner().resume().await.expect("resumed");
        let (direct, _) = story.world.holds(
            item.system.as_str(),
            item.account_key.as_str(),
            &item.entitlement.as_ref().expect("an entitlement").to_string(),
        );
        if justified && unsettled {
            assert!(direct, "taken away although it has a reason now: {item:?}");
        }
        for row in story.store.actions(&plan.hash).await.expect("actions") {
            let held = plan.guard_of(&row.id).is_some();
            assert!(row.state.is_final() || held, "{row:?}");
        }
        invariants::ledger_is_a_chain(&story).await;
    });
}

/// Access on baseline survives a source that spells its accounts in another case, twice, or not at all for once.
#[test]
fn a_baseline_survives_a_bad_read() {
    tell("a_baseline_survives_a_bad_read", 100, |seed| async move {
        let story = observed(seed).await;
        adopt_everywhere(&story, "security@example.com").await;
        let (_, before) = story.plan().await;
        let bad = [FaultKind::FoldedCase, FaultKind::DuplicateIds, FaultKind::EmptyClaimedComplete];
        story.world.set_faults(Faults::seeded(seed, 1_000, 6).only(&bad));
        story.observe_all().await;
        story.calm();
        story.observe_all().await;
        let (_, after) = story.plan().await;
        assert_eq!(effects(&before), effects(&after), "a bad read changed what is justified");
    });
}
/// Law 4: a baseline ends with its owner, too, and what it covered waits for a person.
#[test]
fn a_baseline_ends_with_its_owner_and_a_person_decides() {
    tell("a_baseline_ends_with_its_owner_and_a_person_decides", 100, |seed| async move {
        let mut story = observed(seed).await;
        adopt_everywhere(&story, "p0@example.com").await;
        let (_, before) = story.plan().await;
        story.world.leave("p0@example.com", story.clock.now()).expect("left");
        story.observe_all().await;
        let (drift, plan) = story.plan().await;
        invariants::plan_explains_drift(&story, &drift, &plan);
        let known: BTreeSet<_> = before.items.iter().map(effect_of).collect();
        let leaver = IdentityKey::from("p0@example.com");
        let ended = |item: &&PlanItem| {
            item.verb == Verb::Revoke
                && item.identity.as_ref() != Some(&leaver)
                && !known.contains(&effect_of(item))
        };
        let ended: Vec<&PlanItem> = plan.items.iter().filter(ended).collect();
        for item in &ended {
            let guard = plan.guard_of(&item.id);
            assert!(guard.is_some(), "nothing waits: {item:?}");
        }
        let truth = story.truth();
        story.apply(&plan, &[]).await;
        for item in &ended {
            let entitlement = item.entitlement.as_ref().expect("an entitlement");
            let held = |state: &WorldState| {
                state.systems[&item.system].holds_directly(&item.account_key, entitlement)
            };
            assert_eq!(held(&truth), held(&story.truth()), "{item:?} did not wait");
        }
        // Somebody else answers for it: what nobody took away has its reason again.
        adopt_everywhere(&story, "security@example.com").await;
        let (_, plan) = story.plan().await;
        let left: BTreeSet<_> = plan.items.iter().map(effect_of).collect();
        for item in &ended {
            assert!(!left.contains(&effect_of(item)), "{item:?} has a reason again");
        }
    });
}

pub async fn adopt_everywhere(story: &Story, owner: &str) {
    let snapshot = story.store.snapshot(None).await.expect("a snapshot");
    for state in snapshot.systems.iter().filter(|state| state.name.as_str() != "hr") {
        let baseline = Baseline {
            system: state.name.clone(),
            epoch: state.latest_complete.as_ref().expect("complete").id,
            until: days_from(story.clock.now(), 30),
            owner: owner.to_owned(),
            adopted_at: story.clock.now(),
        };
        story.store.adopt_baseline(&baseline, story.clock.now()).await.expect("adopted");
    }
}
