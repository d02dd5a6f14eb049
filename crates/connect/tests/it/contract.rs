//! The contract suite over every connector of the registry, and over a target with each kind of fault.

use leasehold_model::credential::{Credential, CredentialKind};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use leasehold_connect::connector::Connector;
use leasehold_connect::contract::{self, CheckOutcome, ContractFixture, Subject};
use leasehold_connect::error::ConnectError;
use leasehold_connect::model::id::ActionId;
use leasehold_connect::model::plan::Verb;
use leasehold_connect::model::request::{
    AccountTarget, CredentialTarget, EntitlementTarget, IssueRequest, Outcome,
};
use leasehold_connect::registry;
use leasehold_connect::simulated::{
    Company, FaultKind, Faults, Operation, SimulatedConnector, World, is_injected_crash,
};

use crate::support::{account, collect, read_grant, request, settings};

/// One line for each kind of connector: what prepares targets of that kind, and a test of its own, because most of their time is
/// spent waiting for servers. A connector whose target is a server starts it here, or panics; it is never skipped.
macro_rules! fixtures {
    ($($kind:ident: $fixtures:expr,)+) => {
        const KINDS: &[&str] = &[$(stringify!($kind)),+];

        mod every_connector_holds_the_contract {
            use super::*;

            $(#[tokio::test]
            async fn $kind() {
                hold_the_contract($fixtures.await).await;
            })+
        }
    };
}

fixtures! {
    aws_iam: crate::aws_iam::contract::fixtures(),
    csv: csv_fixtures(),
    external: crate::external::contract::fixtures(),
    jupyterhub: crate::jupyterhub::contract::fixtures(),
    ldap: crate::ldap::contract::fixtures(),
    mariadb: crate::mariadb::contract::fixtures(),
    openbao: crate::openbao::contract::fixtures(),
    postgres: crate::postgres::contract::fixtures(),
    rest: crate::rest::contract::fixtures(),
    scim: crate::scim::contract::fixtures(),
    // What is pushed is in the store: `it::scim::leavers` of the server holds what a connector would have to.
    scim_push: async { Vec::new() },
    simulated: simulated_fixtures(),
    ssh: crate::ssh::contract::fixtures(),
}

#[test]
fn every_kind_has_a_fixture() {
    let kinds: Vec<&str> = registry::KINDS.iter().map(|kind| kind.name()).collect();
    assert_eq!(kinds, KINDS, "add a line to `fixtures!` for each connector, in the registry's order");
}

async fn hold_the_contract(fixtures: Vec<Box<dyn ContractFixture>>) {
    for fixture in fixtures {
        let failed: Vec<String> = contract::run(fixture.as_ref())
            .await
            .into_iter()
            .filter_map(|result| match result.outcome {
                CheckOutcome::Failed(message) => Some(format!("{}: {message}", result.name)),
                CheckOutcome::Held | CheckOutcome::DoesNotApply(_) => None,
            })
            .collect();
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    }
}

#[test]
fn the_page_of_capabilities_names_every_kind_and_capability() {
    let page = registry::capabilities_markdown();
    for kind in registry::KINDS {
        assert!(page.contains(&format!("## `{}`", kind.name())));
        for (name, capability) in kind.capabilities().rows() {
            assert!(page.contains(&name.replace('_', " ")) && page.contains(capability.note), "{name}");
        }
    }
}

// --- csv ---

struct CsvFixture {
    _folder: tempfile::TempDir,
    connector: Box<dyn Connector>,
    missing: &'static str,
}

impl ContractFixture for CsvFixture {
    fn connector(&self) -> &dyn Connector {
        self.connector.as_ref()
    }

    fn subject(&self) -> Option<Subject> {
        None
    }

    fn unreachable(&self) -> Option<Box<dyn Connector>> {
        Some(registry::build("csv", settings("files", Path::new("/nonexistent"), self.missing)).unwrap())
    }
}

async fn csv_fixtures() -> Vec<Box<dyn ContractFixture>> {
    let fixture = |files: &[(&str, &str)], text: &'static str| -> Box<dyn ContractFixture> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let connector = registry::build("csv", settings("files", folder.path(), text)).unwrap();
        Box::new(CsvFixture { _folder: folder, connector, missing: text })
    };
    vec![
        fixture(
            &[("people.csv", "email,status\na@example.com,active\nb@example.com,left\n")],
            "path = 'people.csv'",
        ),
        fixture(
            &[("grants.csv", "account,entitlement\na,group/x\nb,group/x\na,y\n")],
            "grants = 'grants.csv'",
        ),
    ]
}

// --- simulated ---

struct SimulatedFixture {
    world: Arc<World>,
    system: &'static str,
    connector: SimulatedConnector,
    /// Account and entitlement, held on one path only.
    grant: Option<(String, String)>,
}

impl SimulatedFixture {
    fn new(system: &'static str, seed: u64) -> Self {
        let world = World::new(&Company::generate(seed, 40));
        // Somebody has work running by itself.
        let systems = world.snapshot().systems;
        let state = systems.get(&system.to_owned().try_into().unwrap());
        let holder =
            state.filter(|state| state.traits.credentials).and_then(|state| state.accounts.keys().next());
        if let Some(holder) = holder {
            let job = Credential::new("job", holder.clone(), CredentialKind::ScheduledJob, "nightly");
            world.create_credential(system, job).unwrap();
        }
        let connector = world.connector(system).unwrap();
        let grants = world.grants(system);
        let grant = grants.iter().find(|grant| {
            let (key, name) = (grant.account.as_str(), &grant.entitlement);
            let others = grants.iter().filter(|other| other.account == grant.account);
            let carried = world.effective(system, key);
            let snapshot = world.snapshot();
            let state = &snapshot.systems[&system.to_owned().try_into().unwrap()];
            let by_others =
                state.closure(others.map(|other| other.entitlement.clone()).filter(|other| other != name));
            let enabled = world.account(system, key).is_some_and(|account| account.enabled);
            enabled
                && carried.contains(name)
                && !by_others.contains(name)
                && !state.entitlements[name].inherent
        });
        let grant = grant.map(|grant| (grant.account.to_string(), grant.entitlement.to_string()));
        Self { world, system, connector, grant }
    }
}

#[async_trait]
impl ContractFixture for SimulatedFixture {
    fn connector(&self) -> &dyn Connector {
        &self.connector
    }

    fn subject(&self) -> Option<Subject> {
        let (key, name) = self.grant.clone()?;
        let entitlement = EntitlementTarget { name: name.parse().unwrap(), native: None };
        Some(Subject { account: account(&key), entitlement })
    }

    fn credential(&self) -> Option<(AccountTarget, CredentialTarget)> {
        let snapshot = self.world.snapshot();
        let state = snapshot.systems.get(&self.system.to_owned().try_into().unwrap())?;
        let credential = state
            .credentials
            .values()
            .find(|credential| credential.active && credential.key.as_str() != "job")?;
        let target = CredentialTarget { key: credential.key.clone(), kind: credential.kind };
        Some((account(credential.account.as_str()), target))
    }

    fn hand_over(&self) -> Option<(AccountTarget, CredentialTarget, AccountTarget)> {
        let job = self.world.credential(self.system, &"job".into())?;
        let snapshot = self.world.snapshot();
        let state = snapshot.systems.get(&self.system.to_owned().try_into().unwrap())?;
        let to = state.accounts.values().find(|other| other.key != job.account && other.enabled)?;
        let credential = CredentialTarget { key: job.key, kind: job.kind };
        Some((account(job.account.as_str()), credential, account(to.key.as_str())))
    }

    fn new_account(&self) -> Option<(String, BTreeMap<String, String>)> {
        let attributes = [("email".to_owned(), "new.person@example.com".to_owned())];
        Some(("new.person".to_owned(), BTreeMap::from(attributes)))
    }

    fn issue_to(&self) -> Option<String> {
        let (key, _) = self.grant.as_ref()?;
        self.world.account(self.system, key).map(|account| account.login)
    }

    fn unreachable(&self) -> Option<Box<dyn Connector>> {
        None
    }

    fn settle_ms_max(&self) -> u64 {
        200
    }

    async fn truly_holds(&self) -> Option<bool> {
        let (key, name) = self.grant.as_ref()?;
        Some(self.world.holds(self.system, key, name).1)
    }
}

async fn simulated_fixtures() -> Vec<Box<dyn ContractFixture>> {
    ["hr", "directory", "ledger-db", "cloud", "crm", "vpn"]
        .into_iter()
        .map(|system| -> Box<dyn ContractFixture> { Box::new(SimulatedFixture::new(system, 11)) })
        .collect()
}

// --- faults ---

const COMPLETE: &str = "a complete enumeration has facts and evidence";
const UNIQUE: &str = "every key comes once";
const REFERENCES: &str = "grants, containment and owners refer to what was told";
const REVOKED: &str = "a revoked grant is read as gone and stays gone";

/// For each fault, when every call is struck by it: a check that must notice, or `None` where a good connector and a
/// patient reader get over it.
const NOTICED: &[(FaultKind, Option<&str>)] = &[
    (FaultKind::LyingSuccess, Some(REVOKED)),
    (FaultKind::PartialPages, Some(COMPLETE)),
    (FaultKind::BrokenPages, Some(COMPLETE)),
    (FaultKind::EmptyAnswer, Some(COMPLETE)),
    (FaultKind::EmptyClaimedComplete, Some(COMPLETE)),
    (FaultKind::DuplicateIds, Some(UNIQUE)),
    (FaultKind::FoldedCase, Some(REFERENCES)),
    (FaultKind::RateLimited { after_ms: 1500 }, Some(COMPLETE)),
    (FaultKind::TimeoutBefore, Some(COMPLETE)),
    (FaultKind::TimeoutAfter, Some(COMPLETE)),
    (FaultKind::Unreachable, Some(COMPLETE)),
    (FaultKind::VisibleAfterReads { reads: 2 }, None),
    (FaultKind::VisibleAfterReads { reads: 1000 }, Some(REVOKED)),
    (FaultKind::VisibleAfterMs { ms: 60 }, None),
    (FaultKind::VisibleAfterMs { ms: 60_000 }, Some(REVOKED)),
    (FaultKind::CrashBeforeSend, Some(COMPLETE)),
    (FaultKind::CrashAfterSend, Some(COMPLETE)),
    (FaultKind::Resurrected { after_steps: 3 }, Some(REVOKED)),
    (FaultKind::Refused, Some(REVOKED)),
];

#[tokio::test]
async fn the_suite_notices_every_fault() {
    for kind in FaultKind::ALL {
        let same = |other: &FaultKind| std::mem::discriminant(other) == std::mem::discriminant(&kind);
        assert!(NOTICED.iter().any(|(listed, _)| same(listed)), "{kind:?} has no line");
    }
    for (kind, expected) in NOTICED {
        let fixture = SimulatedFixture::new("vpn", 4);
        fixture.world.set_faults(Faults::seeded(1, 1000, u64::MAX).only(&[*kind]));
        let results = contract::run(&fixture).await;
        let failed: Vec<&str> = results
            .iter()
            .filter(|result| matches!(result.outcome, CheckOutcome::Failed(_)))
            .map(|result| result.name)
            .collect();
        match expected {
            Some(name) => {
                assert!(failed.contains(name), "{kind:?} was not noticed by {name:?}: {results:#?}")
            }
            None => assert!(failed.is_empty(), "{kind:?}: {results:#?}"),
        }
        assert!(fixture.world.struck().iter().any(|struck| struck.kind == *kind), "{kind:?} never struck");
    }
}

#[tokio::test]
async fn the_suite_notices_a_credential_that_was_never_made() {
    let fixture = SimulatedFixture::new("vpn", 4);
    fixture.world.set_faults(Faults::seeded(1, 1000, u64::MAX).only(&[FaultKind::LyingSuccess]));
    let results = contract::run(&fixture).await;
    let issued = results.iter().find(|result| result.name.starts_with("an issued credential")).unwrap();
    let noticed = matches!(&issued.outcome, CheckOutcome::Failed(why) if why.contains("is not told"));
    assert!(noticed, "{issued:?}");
}

/// What one call with one fault says, and what is then true: the connector's half of surviving it.
#[tokio::test]
async fn each_fault_of_a_change_says_what_it_must_and_leaves_what_it_must() {
    for kind in FaultKind::ALL.into_iter().filter(|kind| kind.fits(Operation::Execute)) {
        let fixture = SimulatedFixture::new("ledger-db", 9);
        let (key, name) = fixture.grant.clone().unwrap();
        let crashed = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let flag = Arc::clone(&crashed);
        fixture.world.on_crash(Arc::new(move || flag.store(true, std::sync::atomic::Ordering::SeqCst)));
        fixture.world.set_faults(Faults::none().next(Operation::Execute, kind));
        let said = fixture.connector.execute(&request(Verb::Revoke, &key, Some(&name))).await;
        let held = fixture.world.holds("ledger-db", &key, &name).0;
        let (said_well, held_well) = match kind {
            FaultKind::LyingSuccess => (matches!(said, Ok(Outcome::Acknowledged { .. })), held),
            FaultKind::Refused => (matches!(&said, Ok(Outcome::Refused { why }) if !why.is_empty()), held),
            FaultKind::RateLimited { after_ms } => {
                (matches!(said, Ok(Outcome::Retry { after_ms: Some(told), .. }) if told == after_ms), held)
            }
            FaultKind::TimeoutBefore | FaultKind::Unreachable => (said.is_err(), held),
            FaultKind::TimeoutAfter => (said.is_err(), !held),
            FaultKind::CrashBeforeSend => (said.as_ref().is_err_and(is_injected_crash), held),
            FaultKind::CrashAfterSend => (said.as_ref().is_err_and(is_injected_crash), !held),
            _ => (matches!(said, Ok(Outcome::Acknowledged { .. })), !held),
        };
        assert!(said_well && held_well, "{kind:?}: said {said:?}, held {held}");
        let is_crash = matches!(kind, FaultKind::CrashBeforeSend | FaultKind::CrashAfterSend);
        assert_eq!(crashed.load(std::sync::atomic::Ordering::SeqCst), is_crash, "{kind:?}");
        // The next attempt meets no fault and ends the grant, whatever the first one did.
        let again = fixture.connector.execute(&request(Verb::Revoke, &key, Some(&name))).await.unwrap();
        assert!(matches!(again, Outcome::Acknowledged { .. } | Outcome::AlreadySo), "{kind:?}");
        assert!(!fixture.world.holds("ledger-db", &key, &name).0, "{kind:?}");
    }
}

/// The same of a credential that is issued: what was made in the dark is listed, so that a person can end it.
#[tokio::test]
async fn each_fault_of_an_issue_says_what_it_must_and_leaves_what_it_must() {
    for kind in FaultKind::ALL.into_iter().filter(|kind| kind.fits(Operation::Execute)) {
        let fixture = SimulatedFixture::new("cloud", 9);
        let (key, _) = fixture.grant.clone().unwrap();
        let listed = || {
            let snapshot = fixture.world.snapshot();
            let state = &snapshot.systems[&"cloud".to_owned().try_into().unwrap()];
            state.credentials.values().filter(|found| found.account.as_str() == key).count()
        };
        let before = listed();
        let request = IssueRequest { id: ActionId::from("action-1"), account: account(&key) };
        fixture.world.set_faults(Faults::none().next(Operation::Execute, kind));
        let said = fixture.connector.issue_credential(&request).await;
        let (said_well, made) = match kind {
            FaultKind::LyingSuccess => (said.is_ok(), 0),
            FaultKind::Refused => (matches!(said, Err(ConnectError::Refused { .. })), 0),
            FaultKind::RateLimited { .. } => (matches!(said, Err(ConnectError::Target { .. })), 0),
            FaultKind::TimeoutBefore | FaultKind::Unreachable | FaultKind::CrashBeforeSend => {
                (said.is_err(), 0)
            }
            FaultKind::TimeoutAfter | FaultKind::CrashAfterSend => (said.is_err(), 1),
            _ => (said.is_ok(), 1),
        };
        assert!(said_well, "{kind:?}: said {said:?}");
        assert_eq!(listed() - before, made, "{kind:?}");
        // The next attempt meets no fault; it makes another one, which is the one that it tells of.
        let issued = fixture.connector.issue_credential(&request).await.unwrap();
        let told = issued.credential.unwrap().key;
        assert_eq!(listed() - before, made + 1, "{kind:?}");
        assert_eq!(fixture.world.credential("cloud", &told).unwrap().account.as_str(), key);
    }
}

#[tokio::test]
async fn a_resurrected_grant_comes_back_and_an_eventual_one_goes() {
    let fixture = SimulatedFixture::new("ledger-db", 9);
    let (key, name) = fixture.grant.clone().unwrap();
    let held = |read: leasehold_connect::model::request::ReadBack| {
        matches!(read, leasehold_connect::model::request::ReadBack::Grant { direct: true, .. })
    };
    let revoke = request(Verb::Revoke, &key, Some(&name));
    let faults = Faults::none().next(Operation::Execute, FaultKind::VisibleAfterReads { reads: 2 });
    fixture.world.set_faults(faults);
    fixture.connector.execute(&revoke).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(held(fixture.connector.read_back(&read_grant(&key, &name)).await.unwrap()));
    }
    assert_eq!(seen, [true, true, false]);

    fixture.world.grant_out_of_band("ledger-db", &key, &name).unwrap();
    let faults = Faults::none().next(Operation::Execute, FaultKind::Resurrected { after_steps: 2 });
    fixture.world.set_faults(faults);
    fixture.connector.execute(&revoke).await.unwrap();
    assert!(!held(fixture.connector.read_back(&read_grant(&key, &name)).await.unwrap()));
    let (collected, _) = collect(&fixture.connector).await;
    let back = collected.grants().iter().any(|grant| grant.account.as_str() == key);
    assert!(back && fixture.world.holds("ledger-db", &key, &name).0);
}
