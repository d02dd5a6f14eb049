//! The story of receipts: whoever leaves by a feed has one when the loop has ended what they held, through faults of every sort, and
//! it says neither more than what is so, nor less than what is still there.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use leasehold_connect::simulated::state::WorldState;
use leasehold_connect::simulated::{FaultKind, Faults};
use leasehold_model::account::Account;
use leasehold_model::clock::Clock as _;
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::identity::LifecycleState;
use leasehold_model::plan::Verb;
use leasehold_model::receipt::{EndedAccess, OffboardingStatement};
use leasehold_reconcile::system::Enforce;
use leasehold_reconcile::workflow::offboard;

use crate::lifecycle::{self, KIM};
use crate::scene::Scene;
use crate::seeds::tell;
use crate::world::Story;

/// Longer than the interval of every system.
const NEXT_READING_MS: u64 = 17 * 60_000;

/// What the latest receipt of somebody says; `None` where there is none.
async fn latest(story: &Story, leaver: &IdentityKey) -> Option<OffboardingStatement> {
    let row = story.store.receipts(leaver).await.expect("receipts").into_iter().next()?;
    let said = story.store.receipt_statement(&row).await.expect("reads").expect("what it says");
    let statement: OffboardingStatement = serde_json::from_str(&said.value).expect("a statement");
    assert_eq!((statement.tally(), statement.written_at), (row.tally, row.written_at));
    Some(statement)
}

/// Whether what an action was to end is there.
fn is_there(truth: &WorldState, item: &EndedAccess) -> bool {
    let action = &item.action;
    let Some(system) = truth.systems.get(&action.system) else { return false };
    match action.verb {
        Verb::Revoke => {
            let name = action.entitlement.as_ref().expect("an entitlement");
            system.grants.get(&item.account_key).is_some_and(|held| held.contains_key(name))
        }
        Verb::DisableAccount => system.accounts.get(&item.account_key).is_some_and(|account| account.enabled),
        Verb::RevokeCredential => {
            let key = &action.credential.as_ref().expect("a credential").key;
            system.credentials.contains_key(key)
        }
        _ => false,
    }
}

/// Everything of an account that lets somebody in or gives them something: where, and under which login.
fn held(truth: &WorldState, accounts: &BTreeSet<(SystemName, String)>) -> BTreeSet<(SystemName, String)> {
    let mut held = BTreeSet::new();
    for (name, system) in &truth.systems {
        for (key, account) in &system.accounts {
            // What comes with the account gives nothing to one that is closed.
            let is_given = |name| system.entitlements.get(name).is_none_or(|found| !found.inherent);
            let grants = system.grants.get(key).into_iter().flatten();
            let has = account.enabled || grants.map(|(name, _)| name).any(is_given);
            let place = (name.clone(), account.login.clone());
            if has && accounts.contains(&place) {
                held.insert(place);
            }
        }
    }
    held
}

#[test]
fn whoever_leaves_has_a_receipt_that_says_what_is_so() {
    let told = &AtomicU32::new(0);
    tell("whoever_leaves_has_a_receipt_that_says_what_is_so", 8, |seed| async move {
        let (scene, _) = Scene::company(seed, 80);
        let mut story = Story::begin(scene).await;
        for system in story.systems.values_mut() {
            system.enforce = Enforce::Enforce.into();
        }
        let driver = story.driver();
        driver.start().await.expect("starts");
        driver.turn().await.expect("turns");
        let view = driver.live().view().expect("a state");
        let now = story.clock.now();
        let evaluation = view.evaluation();
        let leavers: Vec<(IdentityKey, BTreeSet<(SystemName, String)>)> = evaluation
            .identities
            .iter()
            .filter(|identity| identity.key.as_str().contains('@') && identity.may_hold_access(now))
            .map(|identity| {
                let index = evaluation.identity(&identity.key).expect("known");
                let accounts = evaluation.graph.accounts_of(index).map(|account| {
                    let observed = evaluation.account(account);
                    let system = evaluation.inputs.snapshot.system(observed.system).clone();
                    (system, observed.account.login.clone())
                });
                (identity.key.clone(), accounts.collect::<BTreeSet<_>>())
            })
            .filter(|(_, accounts)| accounts.len() > 1)
            .take(3)
            .collect();
        assert_eq!(leavers.len(), 3, "somebody leaves");
        for (leaver, _) in &leavers {
            assert!(latest(&story, leaver).await.is_none(), "{leaver} is here");
            story.world.leave(leaver.as_str(), now).expect("leaves");
        }
        // What something else undoes later, and answers that claim to be all and are not, have stories of their own; this process lives.
        let kinds = FaultKind::ALL.into_iter().filter(|kind| {
            !matches!(
                kind,
                FaultKind::Resurrected { .. }
                    | FaultKind::EmptyClaimedComplete
                    | FaultKind::CrashBeforeSend
                    | FaultKind::CrashAfterSend
            )
        });
        story.world.set_faults(Faults::seeded(seed, 120, 60).only(&kinds.collect::<Vec<_>>()));
        for _ in 0..6 {
            story.clock.advance_ms(NEXT_READING_MS);
            driver.turn().await.expect("turns");
        }
        story.calm();
        for _ in 0..3 {
            story.clock.advance_ms(NEXT_READING_MS);
            driver.turn().await.expect("turns");
        }
        assert_eq!(
            story.store.settled_identities(story.clock.now()).await.expect("reads"),
            [],
            "nothing is due any more"
        );
        let truth = story.truth();
        for (leaver, accounts) in &leavers {
            let about = story.store.actions_about(std::slice::from_ref(leaver)).await.expect("actions");
            let ours = about.iter().filter(|about| about.row.item.verb.takes_away() && about.begun_at >= now);
            let ours: BTreeSet<_> = ours.map(|about| (&about.row.plan, &about.row.id)).collect();
            let statement = latest(&story, leaver).await;
            let statement = statement
                .unwrap_or_else(|| panic!("{leaver} left, and no receipt says what became of {ours:?}"));
            told.fetch_add(1, Ordering::Relaxed);
            assert_eq!(&statement.identity, leaver);
            let items = || statement.items.iter().filter(|item| item.identity.as_ref() == Some(leaver));
            let said: BTreeSet<_> = items().map(|item| (&item.action.plan, &item.action.id)).collect();
            assert_eq!(said, ours, "{leaver}");
            for item in items() {
                let row = story.store.action(&item.action.plan, &item.action.id).await.expect("reads");
                assert_eq!(row.expect("the action").state, item.action.state, "{item:?}");
                let is_verified = item.action.state == leasehold_model::action::ActionState::Verified;
                assert!(!is_verified || !is_there(&truth, item), "called gone, and is there: {item:?}");
                assert!(!is_verified || item.seen.is_some(), "what was read back is told: {item:?}");
            }
            // What is still there is named.
            let open = items().filter(|item| !item.action.is_done());
            let mut named: BTreeSet<(SystemName, String)> =
                open.map(|item| (item.action.system.clone(), item.action.account.clone())).collect();
            named.extend(
                statement
                    .remaining
                    .iter()
                    .filter_map(|left| Some((left.system.clone(), left.account.clone()?))),
            );
            let seen: BTreeSet<_> =
                statement.accounts.iter().map(|seen| (seen.system.clone(), seen.account.clone())).collect();
            assert!(accounts.is_subset(&seen), "{leaver}: {accounts:?}, and told are {seen:?}");
            for place in held(&truth, accounts) {
                let system = &truth.systems[&place.0];
                let account =
                    system.accounts.values().find(|account| account.login == place.1).expect("there");
                let grants = system.grants.get(&account.key);
                assert!(
                    named.contains(&place),
                    "{leaver}: {place:?} is there and not named: {account:?} {grants:?}: {statement:#?}"
                );
            }
        }
    });
    let told = told.load(Ordering::Relaxed);
    assert!(told > 10 || std::env::var_os("LEASEHOLD_STORY_SEEDS").is_some(), "told {told} times only");
}

/// What a source says later of their last day does not move what was done for their leaving out of the receipt, and of whom
/// nothing is begun there is one, too.
#[test]
fn what_was_done_for_a_leaving_stays_told() {
    tell("what_was_done_for_a_leaving_stays_told", 3, |seed| async move {
        let mut story = lifecycle::company(seed, "", "").await;
        story.world.join(lifecycle::person(KIM, "Ops", LifecycleState::Active)).expect("joins");
        // No rule says that this one is theirs.
        let mut account = Account::new("uid-k2", "kx7");
        account.attributes.insert("mail".to_owned(), KIM.to_owned());
        story.world.create_account("alpha", account).expect("an account");
        story.observe_all().await;
        lifecycle::close(&mut story, seed, &[KIM]).await;
        story.calm();
        for system in story.systems.values_mut() {
            system.enforce = Enforce::Enforce.into();
        }
        let driver = story.driver();
        driver.start().await.expect("starts");
        driver.turn().await.expect("turns");
        // Somebody offboards them before any source says so.
        let key = IdentityKey::from(KIM);
        let plan = offboard::plan(story.load().await, &key, Vec::new(), None).expect("a plan");
        assert!(!plan.items.is_empty(), "there is something to end");
        story.store.save_plan(&plan, story.clock.now()).await.expect("saved");
        let guards: Vec<String> = plan.guards.iter().map(|guard| guard.name.clone()).collect();
        driver.handle().request_apply(&plan.hash, &guards, "dana@example.com").await.expect("asks");
        driver.turn().await.expect("turns");
        let first = latest(&story, &key).await.expect("a receipt");
        assert!(first.tally().verified > 0 && first.decided_by.is_some(), "{first:#?}");
        let asked = first.remaining.iter().filter(|left| left.account.as_deref() == Some("kx7"));
        assert_eq!(asked.map(|left| left.can_be_ended).collect::<Vec<_>>(), [false], "{first:#?}");
        let told = |statement: &OffboardingStatement| -> BTreeSet<_> {
            statement.items.iter().map(|item| item.action.id.clone()).collect()
        };
        // Weeks later their source does, and one more account of theirs turns up.
        story.clock.advance_ms(20 * 24 * 3_600_000);
        story.world.leave(KIM, story.clock.now()).expect("leaves");
        let login = story.truth().systems[&SystemName::new("alpha").expect("a name")]
            .accounts
            .values()
            .find(|account| account.login == "kim")
            .expect("an account")
            .key
            .clone();
        story.world.grant_out_of_band("alpha", login.0.as_str(), "role/e1").expect("given");
        for _ in 0..3 {
            story.clock.advance_ms(NEXT_READING_MS);
            driver.turn().await.expect("turns");
        }
        let last = latest(&story, &key).await.expect("a receipt");
        assert!(told(&last).is_superset(&told(&first)), "{last:#?}");
        assert!(told(&last).len() > told(&first).len(), "what was done since is told, too: {last:#?}");
        assert_eq!(last.left_at, first.left_at);

        // Where nobody may close anything, what is there is told.
        let mut others = story.systems.clone();
        for system in others.values_mut() {
            system.enforce = Enforce::Propose.into();
        }
        story.systems = others;
        let idle = story.driver();
        idle.start().await.expect("starts");
        story.world.join(lifecycle::person("lou@example.com", "Ops", LifecycleState::Active)).expect("joins");
        let account = Account { enabled: true, ..Account::new("uid-lou", "lou") };
        story.world.create_account("alpha", account).expect("made");
        story.clock.advance_ms(NEXT_READING_MS);
        idle.turn().await.expect("turns");
        story.world.leave("lou@example.com", story.clock.now()).expect("leaves");
        for _ in 0..3 {
            story.clock.advance_ms(NEXT_READING_MS);
            idle.turn().await.expect("turns");
        }
        let lou = latest(&story, &"lou@example.com".into()).await.expect("a receipt");
        assert!(lou.items.is_empty() && lou.remaining.iter().any(|left| left.can_be_ended), "{lou:#?}");
        assert!(lou.is_outstanding() && lou.accounts.iter().any(|seen| seen.enabled), "{lou:#?}");
    });
}
