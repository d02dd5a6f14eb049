//! Fresh stores on both databases, and short ways to tell facts.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::{SignedDuration, Timestamp};
use leasehold_model::account::Account;
use leasehold_model::action::ActionState;
use leasehold_model::entitlement::{Containment, DirectGrant, Entitlement};
use leasehold_model::fact::{Completeness, Fact};
use leasehold_model::id::{ActionId, EntitlementName, SystemName};
use leasehold_model::plan::{Guard, Plan, PlanItem, StateFingerprint, Verb};
use leasehold_model::snapshot::Snapshot;
use leasehold_store::{EpochReport, ObservedEffect, Store, StoreOptions, Transition, TransitionOutcome};
use leasehold_testing::PostgresServer;
use leasehold_testing::postgres::PASSWORD;

/// Expands to one test for each database; the argument is a [`Fresh`] store.
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($fresh:ident: &Fresh) $body:block)+) => {
        $($(#[$meta])* mod $name {
            #[allow(unused_imports)]
            use super::*;
            async fn run($fresh: &$crate::common::Fresh) $body
            #[tokio::test]
            async fn sqlite() {
                run(&$crate::common::Fresh::sqlite().await).await;
            }
            #[tokio::test]
            async fn postgres() {
                run(&$crate::common::Fresh::postgres().await).await;
            }
        })+
    };
}
pub(crate) use on_both;

/// A new, empty store.
pub struct Fresh {
    pub store: Store,
    pub url: String,
    _folder: Option<tempfile::TempDir>,
}

/// Nothing here has to survive a loss of power.
pub fn options() -> StoreOptions {
    StoreOptions { durable: false, busy_timeout_ms: 20_000, connections_max: 4, ..StoreOptions::default() }
}

/// The same, with everything that an enumeration tells written to the staging tables at once.
pub fn staging() -> StoreOptions {
    StoreOptions { stage_bytes_max: 0, ..options() }
}

fn server() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(PostgresServer::start)
}

/// The url of a new, empty PostgreSQL database.
pub fn postgres_url() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("store_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    server().sql(&format!("create database {name}"));
    format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/{name}", server().port())
}

impl Fresh {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        let store = Store::open(&url, options()).await.expect("opens");
        Self { store, url, _folder: Some(folder) }
    }

    pub async fn postgres() -> Self {
        let url = postgres_url();
        let store = Store::open(&url, options()).await.expect("opens");
        Self { store, url, _folder: None }
    }
}

/// The minute `minute` of the test's time.
pub fn at(minute: i64) -> Timestamp {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("an instant");
    start + SignedDuration::from_mins(minute)
}

pub fn system(name: &str) -> SystemName {
    SystemName::new(name).expect("a system name")
}

pub fn account(key: &str) -> Fact {
    Fact::Account(Account::new(key, key))
}

pub fn entitlement(name: &str) -> Fact {
    Fact::Entitlement(Entitlement::new("group", name))
}

pub fn group(name: &str) -> EntitlementName {
    EntitlementName::new("group", name)
}

pub fn grant(account: &str, entitlement: &str) -> Fact {
    Fact::Grant(direct_grant(account, entitlement))
}

pub fn direct_grant(account: &str, entitlement: &str) -> DirectGrant {
    DirectGrant {
        account: account.into(),
        entitlement: group(entitlement),
        valid_from: None,
        valid_until: None,
        options: None,
    }
}

pub fn contains(parent: &str, child: &str) -> Fact {
    Fact::Containment(Containment { parent: group(parent), child: group(child) })
}

pub fn complete() -> Completeness {
    Completeness::Complete { evidence: "counts agree".to_owned() }
}

pub fn partial() -> Completeness {
    Completeness::Partial { why: "the last page timed out".to_owned() }
}

/// One whole enumeration of `directory`.
pub async fn sync(store: &Store, facts: Vec<Fact>, completeness: Completeness, minute: i64) -> EpochReport {
    let mut writer = store.begin_epoch(&system("directory"), at(minute)).await.expect("begins");
    writer.accept(facts).await.expect("takes facts");
    writer.finish(completeness, at(minute)).await.expect("finishes")
}

/// Grants by name: `account entitlement`.
pub fn grants(snapshot: &Snapshot) -> Vec<String> {
    let pair = |account: u32, entitlement: u32| {
        format!(
            "{} {}",
            snapshot.accounts[account as usize].account.key,
            snapshot.entitlements[entitlement as usize].entitlement.name.name
        )
    };
    snapshot.grants.iter().map(|grant| pair(grant.account, grant.entitlement)).collect()
}

/// Vanished grants by name.
pub fn vanished(snapshot: &Snapshot) -> Vec<String> {
    let mut names: Vec<_> = snapshot
        .vanished
        .iter()
        .map(|gone| {
            format!(
                "{} {}",
                snapshot.accounts[gone.account as usize].account.key,
                snapshot.entitlements[gone.entitlement as usize].entitlement.name.name
            )
        })
        .collect();
    names.sort();
    names
}

/// An item of a plan about `directory`.
pub fn item(id: &str, verb: Verb, account: &str, entitlement: Option<&str>) -> PlanItem {
    PlanItem {
        id: ActionId::from(id),
        verb,
        system: system("directory"),
        account: account.to_owned(),
        account_key: account.into(),
        identity: Some(format!("{account}@example.com").as_str().into()),
        entitlement: entitlement.map(group),
        entitlement_native: None,
        credential: None,
        privileged: false,
        to: None,
        attributes: BTreeMap::new(),
        because: vec!["no reason covers it".to_owned()],
        also_loses: Vec::new(),
        must_end: Vec::new(),
        after: Vec::new(),
    }
}

/// A plan from any state.
pub fn plan(items: Vec<PlanItem>, guards: Vec<Guard>) -> Plan {
    let state = StateFingerprint { systems: BTreeMap::new(), policy: String::new(), claims: String::new() };
    Plan::seal(state, items, Vec::new(), guards)
}

/// A step.
pub fn step(plan: &Plan, action: &str, from: ActionState, to: ActionState, minute: i64) -> Transition {
    Transition {
        plan: plan.hash.clone(),
        action: ActionId::from(action),
        from,
        to,
        at: at(minute),
        reason: None,
        detail: serde_json::Value::Null,
        next_attempt_at: None,
        observed: Vec::new(),
    }
}

/// Makes a step that must succeed.
pub async fn make(store: &Store, transition: Transition) -> u64 {
    match store.transition(&transition).await.expect("steps") {
        TransitionOutcome::Done { ledger_index } => ledger_index,
        TransitionOutcome::Moved { actual } => panic!("the action stands at {actual}"),
    }
}

/// Applies a one-item plan and verifies it with what was observed: a read-back.
pub async fn read_back(store: &Store, verb: Verb, account: &str, observed: Vec<ObservedEffect>, minute: i64) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let id = format!("action-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let plan = plan(vec![item(&id, verb, account, None)], Vec::new());
    store.begin_apply(&plan, &[], "ops", at(minute)).await.expect("begins");
    make(store, step(&plan, &id, ActionState::Approved, ActionState::Sent, minute)).await;
    let verified =
        Transition { observed, ..step(&plan, &id, ActionState::Sent, ActionState::Verified, minute) };
    make(store, verified).await;
}

pub fn absent(account: &str, entitlement: &str) -> ObservedEffect {
    ObservedEffect::GrantAbsent {
        system: system("directory"),
        account: account.into(),
        entitlement: group(entitlement),
    }
}

pub fn present(account: &str, entitlement: &str) -> ObservedEffect {
    ObservedEffect::GrantPresent {
        system: system("directory"),
        account: account.into(),
        entitlement: group(entitlement),
    }
}
