//! What must be so after every story, whatever went wrong in it.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_connect::simulated::state::WorldState;
use leasehold_ledger::check::{Options, check};
use leasehold_ledger::checkpoint::SigningKey;
use leasehold_model::action::ActionState;
use leasehold_model::credential::Credential;
use leasehold_model::decision::{DriftItem, DriftKind};
use leasehold_model::fact::Completeness;
use leasehold_model::id::{ActionId, SystemName};
use leasehold_model::plan::{Plan, Verb};
use leasehold_model::snapshot::Snapshot;
use leasehold_reconcile::stages::prove;
use leasehold_store::{ActionRow, EpochReport};
use serde_json::Value;

use crate::life::{Facet, Truth, found_by};
use crate::oracle::{Holder, Oracle};
use crate::world::{Pair, Story};

/// Direct grants as the store knows them.
pub fn pairs(snapshot: &Snapshot) -> BTreeSet<Pair> {
    let pair = |grant: &leasehold_model::snapshot::SnapshotGrant| {
        let account = &snapshot.accounts[grant.account as usize];
        let entitlement = &snapshot.entitlements[grant.entitlement as usize].entitlement;
        (snapshot.system(account.system).clone(), account.account.key.clone(), entitlement.name.clone())
    };
    snapshot.grants.iter().map(pair).collect()
}

/// Direct grants as they really are.
pub fn true_pairs(truth: &WorldState) -> BTreeSet<Pair> {
    let of_system = |(name, state): (&SystemName, &leasehold_connect::simulated::state::SystemState)| {
        let grants = state.grants.values().flat_map(|held| held.values());
        grants
            .map(|grant| (name.clone(), grant.account.clone(), grant.entitlement.clone()))
            .collect::<Vec<_>>()
    };
    truth.systems.iter().flat_map(of_system).collect()
}

/// Law 3: a partial or empty answer ends nothing.
pub fn partial_ends_nothing(before: &Snapshot, after: &Snapshot, reports: &[(SystemName, EpochReport)]) {
    let (before, after) = (pairs(before), pairs(after));
    for (name, report) in reports {
        let Completeness::Partial { why } = &report.summary.completeness else { continue };
        let changes = &report.changes;
        let ended = changes.grants_ended
            + changes.accounts_ended
            + changes.credentials_ended
            + changes.identities_ended
            + changes.entitlements_ended
            + changes.containments_ended
            + changes.owners_ended;
        assert_eq!(ended, 0, "{name}: a partial epoch ended facts: {why}: {changes:?}");
        assert!(!why.is_empty(), "{name}: a partial epoch does not say why");
        for pair in before.iter().filter(|(system, _, _)| system == name) {
            assert!(after.contains(pair), "{name}: {pair:?} was ended by a partial epoch: {why}");
        }
    }
}

/// Every drift item is in the plan or left alone with a why, and nothing that must not be touched is in the plan.
pub fn plan_explains_drift(story: &Story, drift: &[DriftItem], plan: &Plan) {
    for item in drift {
        let acts = plan.items.iter().any(|action| {
            action.system == item.system
                && Some(&action.account_key) == item.account.as_ref()
                && match item.kind {
                    DriftKind::Missing if item.credential.is_some() => {
                        matches!(action.verb, Verb::EnableCredential | Verb::HandOverCredential)
                            && action.credential == item.credential
                    }
                    DriftKind::Missing => {
                        action.verb == Verb::Grant && action.entitlement == item.entitlement
                    }
                    DriftKind::Leaver | DriftKind::Unjustified if item.credential.is_some() => {
                        matches!(action.verb, Verb::RevokeCredential | Verb::DisableCredential)
                            && action.credential == item.credential
                    }
                    DriftKind::Leaver | DriftKind::Unjustified if item.entitlement.is_none() => {
                        matches!(action.verb, Verb::DisableAccount | Verb::DeleteAccount)
                    }
                    DriftKind::Expired if item.credential.is_some() => {
                        action.verb == Verb::RevokeCredential && action.credential == item.credential
                    }
                    DriftKind::Unjustified | DriftKind::Expired | DriftKind::Leaver => {
                        action.verb == Verb::Revoke && action.entitlement == item.entitlement
                    }
                    _ => false,
                }
        });
        let left = plan.left_alone.iter().any(|left| {
            left.system == item.system
                && left.account == item.login
                && left.entitlement == item.entitlement
                && left.why.len() > 10
        });
        assert!(acts || left, "drift that the plan neither closes nor explains: {item:?}");
        if item.kind == DriftKind::RemovedOutOfBand {
            assert!(!acts, "a removal out of band would be undone: {item:?}");
        }
    }
    for action in &plan.items {
        let place = (action.system.clone(), action.account_key.clone());
        assert!(!story.scene.untouchable.contains(&place), "the plan touches {place:?}");
        assert!(!action.because.is_empty(), "an action without a because: {action:?}");
        if let (Verb::Grant, Some(entitlement)) = (action.verb, &action.entitlement) {
            let pair = (action.system.clone(), action.account_key.clone(), entitlement.clone());
            // Held on another path still, it may be granted directly before that path ends.
            let held = story.truth().systems[&pair.0].effective(&pair.1).contains(&pair.2);
            assert!(
                held || !story.removed.contains(&pair),
                "the plan undoes a removal: {pair:?} {action:#?} {:?}",
                story.truth().systems[&pair.0].grants.get(&pair.1),
            );
        }
    }
}

/// Every action is at its end with a reason, or a guard holds it. `verified` was true in the world when it was read.
pub fn actions_are_settled(story: &Story, plan: &Plan, overrides: &[String], rows: &[ActionRow]) {
    assert_eq!(rows.len(), plan.items.len(), "one action for each item");
    let calls = story.calls.lock().expect("calls");
    for row in rows {
        let held = plan
            .guards
            .iter()
            .any(|guard| guard.holds.contains(&row.id) && !overrides.iter().any(|name| name == &guard.name));
        if held {
            assert_eq!(row.state, ActionState::Planned, "a guard holds {row:?}");
            assert!(row.sent_at.is_none(), "a guard held it and it was sent: {row:?}");
            continue;
        }
        assert!(row.state.is_final(), "not at its end: {row:?}");
        assert!(row.reason.as_ref().is_some_and(|reason| !reason.is_empty()), "without a reason: {row:?}");
        // Void: nothing was sent since it was approved, the last time where a person said so more than once.
        let unsent = row.attempts == 0 && row.state != ActionState::Stuck;
        assert_eq!(row.state == ActionState::Void, unsent, "{row:?}");
        if row.state != ActionState::Verified {
            continue;
        }
        assert!(row.read_back_at >= row.sent_at && row.sent_at.is_some(), "read back before sent: {row:?}");
        let read_back_at = row.read_back_at.expect("later than its sending");
        let truth = |facet: Facet| {
            let account = found_by(&row.item.account_key, &row.item.account);
            let looked = (row.item.system.clone(), account, facet);
            let then = calls.truth_before(&looked, read_back_at);
            then.unwrap_or_else(|| panic!("verified without a look: {row:?}"))
        };
        let own = || truth(Facet::Grant(row.item.entitlement.clone().expect("of a grant")));
        let credential =
            || truth(Facet::Credential(row.item.credential.as_ref().expect("of a credential").key.clone()));
        match row.item.verb {
            Verb::Revoke => {
                let own = own();
                assert!(
                    matches!(own, Truth::Grant { direct: false, .. }),
                    "a lie was verified: {own:?} {row:?}"
                );
                // What a held action of the account is to end, too, is looked at when that one is let go.
                let waits = |name: &leasehold_model::id::EntitlementName| {
                    rows.iter().any(|other| {
                        other.state == ActionState::Planned
                            && other.item.verb == Verb::Revoke
                            && other.item.system == row.item.system
                            && other.item.account_key == row.item.account_key
                            && other.item.must_end.contains(name)
                    })
                };
                for gone in row.item.must_end.iter().filter(|name| !waits(name)) {
                    let found = truth(Facet::Grant(gone.clone()));
                    let ended = Truth::Grant { direct: false, effective: false };
                    assert_eq!(found, ended, "{gone} is still held on a path: {row:?}");
                }
            }
            Verb::Grant => {
                let found = own();
                assert!(matches!(found, Truth::Grant { effective: true, .. }), "a lie was verified: {row:?}");
            }
            Verb::DisableAccount => {
                assert!(matches!(truth(Facet::Account), Truth::Account { enabled: false, .. }), "{row:?}");
            }
            Verb::RevokeCredential => {
                assert_eq!(credential(), Truth::Credential { exists: false, active: false }, "{row:?}");
            }
            Verb::DisableCredential => {
                assert!(matches!(credential(), Truth::Credential { active: false, .. }), "{row:?}");
            }
            Verb::EndSessions => {
                assert_eq!(truth(Facet::Sessions), Truth::Sessions { live: 0 }, "{row:?}");
            }
            Verb::CreateAccount => {
                assert!(matches!(truth(Facet::Account), Truth::Account { exists: true, .. }), "{row:?}");
            }
            Verb::EnableAccount => {
                assert_eq!(truth(Facet::Account), Truth::Account { exists: true, enabled: true }, "{row:?}");
            }
            Verb::DeleteAccount => {
                assert_eq!(
                    truth(Facet::Account),
                    Truth::Account { exists: false, enabled: false },
                    "{row:?}"
                );
            }
            Verb::EnableCredential => {
                assert_eq!(credential(), Truth::Credential { exists: true, active: true }, "{row:?}");
            }
            Verb::HandOverCredential => {
                let credential = row.item.credential.as_ref().expect("of a credential").key.clone();
                let to = row.item.to.as_ref().expect("to somebody").key.clone();
                let found = truth(Facet::HandOver(credential, to));
                assert_eq!(found, Truth::Credential { exists: false, active: true }, "{row:?}");
            }
        }
    }
}

/// Law 7: the world changed by what the plan's sent actions say, or sessions that an earlier plan was to end, and by
/// nothing else.
pub fn only_the_plan_changed(story: &Story, before: &WorldState, rows: &[ActionRow]) {
    let after = &story.truth();
    let again = story.tried_again.iter().inspect(|row| assert_eq!(row.item.verb, Verb::EndSessions));
    let sent: Vec<&ActionRow> = rows.iter().chain(again).filter(|row| row.sent_at.is_some()).collect();
    let asked = |verb: Verb, pair: &Pair| {
        sent.iter().any(|row| {
            row.item.verb == verb
                && row.item.system == pair.0
                && row.item.account_key == pair.1
                && row.item.entitlement.as_ref() == Some(&pair.2)
        })
    };
    let (then, now) = (true_pairs(before), true_pairs(after));
    for gone in then.difference(&now) {
        assert!(asked(Verb::Revoke, gone), "{gone:?} went without an action");
    }
    for come in now.difference(&then) {
        assert!(asked(Verb::Grant, come), "{come:?} came without an action");
    }
    assert_eq!(before.people, after.people);
    for (name, then) in &before.systems {
        let now = &after.systems[name];
        assert_eq!(
            (&then.entitlements, &then.carries, &then.owners),
            (&now.entitlements, &now.carries, &now.owners)
        );
        assert_eq!(then.accounts.len(), now.accounts.len(), "accounts of {name}");
        let on_account = |verb: Verb, key: &leasehold_model::id::AccountKey| {
            sent.iter()
                .any(|row| row.item.verb == verb && row.item.system == *name && row.item.account_key == *key)
        };
        for (key, account) in &then.accounts {
            if account != &now.accounts[key] {
                assert!(on_account(Verb::DisableAccount, key), "account {key} of {name} changed");
                let changed = leasehold_model::account::Account { enabled: false, ..account.clone() };
                assert_eq!(changed, now.accounts[key]);
            }
            for (name, credential) in then.credentials.iter().filter(|(_, found)| found.account == *key) {
                let on_credential = |verb: Verb| {
                    sent.iter().any(|row| {
                        row.item.verb == verb
                            && row.item.account_key == *key
                            && row.item.credential.as_ref().is_some_and(|credential| credential.key == *name)
                    })
                };
                match now.credentials.get(name) {
                    Some(same) if same == credential => {}
                    Some(changed) => {
                        assert!(on_credential(Verb::DisableCredential), "credential {name} changed");
                        assert!(!changed.active);
                    }
                    None => assert!(on_credential(Verb::RevokeCredential), "credential {name} went"),
                }
            }
            if then.sessions.get(key) != now.sessions.get(key) {
                assert!(on_account(Verb::EndSessions, key), "sessions of {key} in {name} changed");
                assert!(!now.sessions.contains_key(key));
            }
        }
    }
}

/// What was held by right before is held still. What somebody removed by hand (`taken`) does not count, nor what it
/// carried: that it was held through something else, too, was not what they wanted. Where a fault of the target undoes what was granted (`undone`), accounts
/// that were granted something are left out: nobody promises what the target takes back.
pub fn nothing_justified_is_lost(
    oracle: &Oracle<'_>,
    before: &WorldState,
    after: &WorldState,
    rows: &[ActionRow],
    taken: &BTreeSet<Pair>,
    undone: bool,
) {
    for (name, state) in &before.systems {
        for account in state.accounts.values() {
            let of_account =
                |row: &&ActionRow| row.item.account_key == account.key && row.item.system == *name;
            if undone && rows.iter().filter(of_account).any(|row| row.item.verb == Verb::Grant) {
                continue;
            }
            let rows: Vec<String> = rows
                .iter()
                .filter(of_account)
                .map(|row| {
                    format!("{} {:?}: {} {:?}", row.item.verb, row.item.entitlement, row.state, row.reason)
                })
                .collect();
            let held = after.systems[name].effective(&account.key);
            let kept = match oracle.may_keep(name, state, account) {
                Some(kept) => kept,
                // Nobody can say whose it is, so nothing is done to it.
                None => state.effective(&account.key),
            };
            let of_account = |pair: &&Pair| pair.0 == *name && pair.1 == account.key;
            let taken_away =
                state.closure(taken.iter().filter(of_account).map(|pair| pair.2.clone()).collect::<Vec<_>>());
            for entitlement in kept.into_iter().filter(|kept| !taken_away.contains(kept)) {
                let grants = (state.grants.get(&account.key), after.systems[name].grants.get(&account.key));
                assert!(
                    held.contains(&entitlement),
                    "{} of {name} lost {entitlement}, held by right: {:#?} {rows:#?} {:?}",
                    account.key,
                    grants,
                    state.carries
                );
            }
        }
    }
}

/// When everything was read and carried out: no grant without a reason is left in the world, except where a guard
/// holds it, nobody can say whose it is, or nothing may touch it; and nobody who left can log in.
pub fn nothing_unjustified_is_left(story: &Story, oracle: &Oracle<'_>, plan: &Plan) {
    let truth = story.truth();
    for (name, state) in &truth.systems {
        for (key, account) in &state.accounts {
            if story.scene.untouchable.contains(&(name.clone(), key.clone())) || oracle.is_suspended(account)
            {
                continue;
            }
            let held_back = |verb: Verb, entitlement: Option<&leasehold_model::id::EntitlementName>| {
                plan.items.iter().any(|item| {
                    item.verb == verb
                        && item.system == *name
                        && item.account_key == *key
                        && item.entitlement.as_ref() == entitlement
                        && plan.guard_of(&item.id).is_some()
                })
            };
            for entitlement in oracle.unjustified(name, state, key) {
                assert!(
                    held_back(Verb::Revoke, Some(&entitlement)),
                    "{key} of {name} still holds {entitlement} without a reason"
                );
            }
            if let Holder::Somebody(identity) = oracle.holder(account)
                && identity.has_left(oracle.now)
            {
                let is_held = held_back(Verb::DisableAccount, None);
                assert!(!account.enabled || is_held, "{key} of {name} has left and can log in");
                let mut left = state
                    .credentials
                    .values()
                    .filter(|credential| credential.account == *key && credential.lets_in(oracle.now));
                let held = |credential: &Credential| {
                    plan.items.iter().any(|item| {
                        matches!(item.verb, Verb::RevokeCredential | Verb::DisableCredential)
                            && item.system == *name
                            && item.credential.as_ref().is_some_and(|name| name.key == credential.key)
                            && plan.guard_of(&item.id).is_some()
                    })
                };
                assert!(left.all(held), "{key} of {name} has left and a key of theirs works");
            }
        }
    }
}

/// Each action's entries in the ledger are a legal chain that ends where the action stands.
pub async fn ledger_is_a_chain(story: &Story) {
    let mut chains: BTreeMap<(String, ActionId), ActionState> = BTreeMap::new();
    let mut last: BTreeMap<(String, ActionId), u64> = BTreeMap::new();
    for (index, entry) in entries(story).await {
        if entry["kind"] != "action.transition" {
            continue;
        }
        let state = |field: &str| {
            ActionState::parse(entry["body"][field].as_str().unwrap_or_default()).expect("a state")
        };
        let text = |field: &str| entry["body"][field].as_str().unwrap_or_default().to_owned();
        let key = (text("plan"), ActionId(text("action")));
        let stood = chains.get(&key).copied().unwrap_or(ActionState::Planned);
        assert_eq!(stood, state("from"), "entry {index} does not follow");
        assert!(state("from").may_become(state("to")), "entry {index} is no legal step");
        chains.insert(key.clone(), state("to"));
        last.insert(key, index);
    }
    for ((plan, action), state) in chains {
        let rows = story.store.actions(&leasehold_model::id::PlanHash(plan.clone())).await.expect("actions");
        let row = rows.iter().find(|row| row.id == action).expect("the ledger's action is in the store");
        assert_eq!(row.state, state, "the ledger and the store tell different ends");
        if state.is_final() {
            assert_eq!(row.ledger_index, Some(last[&(plan, action)]));
        }
    }
}

/// The ledger's entries, parsed.
pub async fn entries(story: &Story) -> Vec<(u64, Value)> {
    let rows = story.store.ledger_entries(0, usize::MAX >> 1).await.expect("entries");
    rows.into_iter()
        .map(|(index, bytes)| (index, serde_json::from_slice(&bytes).expect("an entry")))
        .collect()
}

/// The published log verifies by the independent checker against the store's rows.
pub async fn ledger_verifies(story: &Story) {
    const ORIGIN: &str = "story.example.com/ledger";
    let folder = crate::world::folder();
    let key = SigningKey::generate(ORIGIN).expect("a key");
    prove::publish(&story.store, folder.path(), ORIGIN, &key).await.expect("published");
    let rows = story.store.ledger_entries(0, usize::MAX >> 1).await.expect("entries");
    let count = rows.len() as u64;
    let mut rows = rows.into_iter();
    let options = Options { expected_entries: Some(&mut rows), threads: Some(1), ..Options::default() };
    let report = check(folder.path(), &key.verifying_key(), options);
    assert!(report.is_good(), "the ledger does not verify: {:?}", report.findings);
    assert_eq!(report.size, count);
}
