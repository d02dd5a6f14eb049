//! Migrations: from empty, from every earlier release, and not from a later one.

use std::os::unix::fs::PermissionsExt as _;

use leasehold_ledger::entry::Entry;
use leasehold_model::action::ActionState;
use leasehold_model::id::ActionId;
use leasehold_store::{
    ActionFilter, ProviderSubject, Store, StoreError, TaskFilter, TaskState, newest_migration,
};

use crate::common::*;

/// The rows of a store as it was written with each newest migration. A migration brings its rows along (the example
/// `release_rows` writes them, once and never again), and the test upgrades them with every migration that follows.
const RELEASES: &[(i64, &str)] = &[
    (1, include_str!("../fixtures/0001.sql")),
    (2, include_str!("../fixtures/0002.sql")),
    (3, include_str!("../fixtures/0003.sql")),
    (4, include_str!("../fixtures/0004.sql")),
    (5, include_str!("../fixtures/0005.sql")),
    (6, include_str!("../fixtures/0006.sql")),
    (7, include_str!("../fixtures/0007.sql")),
    (8, include_str!("../fixtures/0008.sql")),
    (9, include_str!("../fixtures/0009.sql")),
    (10, include_str!("../fixtures/0010.sql")),
    (11, include_str!("../fixtures/0011.sql")),
    (12, include_str!("../fixtures/0012.sql")),
    (13, include_str!("../fixtures/0013.sql")),
    (14, include_str!("../fixtures/0014.sql")),
    (15, include_str!("../fixtures/0015.sql")),
    (16, include_str!("../fixtures/0016.sql")),
    (17, include_str!("../fixtures/0017.sql")),
    (18, include_str!("../fixtures/0018.sql")),
];

/// Runs SQL beside the store.
async fn sql(url: &str, text: &'static str) {
    use sqlx::Connection as _;
    if url.starts_with("sqlite:") {
        let mut connection = sqlx::SqliteConnection::connect(url).await.expect("connects");
        sqlx::raw_sql(text).execute(&mut connection).await.expect("runs");
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await.expect("connects");
        sqlx::raw_sql(text).execute(&mut connection).await.expect("runs");
    }
}

/// The url of an empty database, and what keeps it alive.
fn empty(postgres: bool) -> (String, Option<tempfile::TempDir>) {
    if postgres {
        return (postgres_url(), None);
    }
    let folder = tempfile::tempdir().expect("a folder");
    (format!("sqlite:{}", folder.path().join("store.db").display()), Some(folder))
}

on_both! {
    async fn opening_again_changes_nothing(fresh: &Fresh) {
        sync(&fresh.store, vec![account("ada")], complete(), 1).await;
        let again = Store::open(&fresh.url, options()).await.expect("opens");
        assert_eq!(again.snapshot(None).await.expect("reads").accounts.len(), 1);
    }

    async fn a_store_of_a_newer_release_is_refused(fresh: &Fresh) {
        sync(&fresh.store, vec![account("ada")], complete(), 1).await;
        sql(
            &fresh.url,
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             SELECT 9000, 'later', success, checksum, 0 FROM _sqlx_migrations LIMIT 1",
        ).await;
        match Store::open(&fresh.url, options()).await {
            Err(error @ StoreError::Newer { found: 9000, .. }) => {
                assert!(error.to_string().contains("newer release of Leasehold"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn every_release_is_brought_up_to_this_one() {
    for postgres in [false, true] {
        for (migration, rows) in RELEASES {
            let (url, _folder) = empty(postgres);
            Store::open_at(&url, options(), Some(*migration)).await.expect("opens as it was").close().await;
            sql(&url, rows).await;
            let store = Store::open(&url, options()).await.expect("is brought up");

            let snapshot = store.snapshot(None).await.expect("reads");
            assert_eq!(grants(&snapshot), ["ada staff"], "{url}");
            assert_eq!(vanished(&snapshot), ["bo staff"]);
            assert_eq!(snapshot.containments, [(0, 1)]);
            assert_eq!(snapshot.account_owners.len(), 1);
            assert_eq!(snapshot.validity[&0].until, Some(at(500)));
            assert_eq!(snapshot.identities.len(), 1);
            assert_eq!(snapshot.credentials.len(), usize::from(*migration >= 13), "{url}");
            assert_eq!(grants(&store.snapshot(Some(at(1))).await.expect("reads")), ["ada staff", "bo staff"]);
            assert_eq!(store.problems(&system("directory")).await.expect("reads")[0].place, "account cy");
            assert_eq!(store.live_policy().await.expect("reads").expect("a policy").digest, "d1");
            assert_eq!(store.baselines().await.expect("reads")[0].until, at(90));

            let plan = store.latest_plan().await.expect("reads").expect("a plan");
            assert_eq!(plan.content_hash(), plan.hash);
            let action = &store.actions(&plan.hash).await.expect("reads")[0];
            assert_eq!((action.state, action.attempts), (ActionState::Sent, 1));
            assert_eq!(store.transitions(&plan.hash, &ActionId::from("a")).await.expect("reads").len(), 2);
            let entries = store.ledger_entries(0, 100).await.expect("reads");
            assert_eq!(entries.len() as u64, store.ledger_len().await.expect("reads"));
            for (index, bytes) in &entries {
                let commitments = Entry::from_bytes(bytes).expect("an entry").commitments;
                for (field, opening) in store.ledger_openings(*index).await.expect("reads") {
                    assert!(opening.matches(&commitments[&field]), "{field} of entry {index}");
                }
            }
            let published = store.ledger_published().await.expect("reads");
            assert_eq!(published, if *migration < 2 { 0 } else { entries.len() as u64 });
            let key = store.ledger_key().await.expect("reads");
            assert_eq!(key.is_some(), *migration >= 3, "{key:?}");
            let known = ProviderSubject {
                issuer: "https://id.example.com".to_owned(),
                subject: "subject-1".to_owned(),
            };
            let found = store.provider_user(&known).await.expect("reads").map(|user| user.provider_roles);
            assert_eq!(found, (*migration >= 9).then(|| vec!["auditor".to_owned()]));
            let in_use = store.session_in_use("h1", at(0), at(10)).await.expect("reads");
            assert_eq!(
                in_use.map(|found| found.user.mail),
                (*migration >= 5).then(|| "Dana@example.com".to_owned())
            );
            assert_eq!(store.token_in_use("h2", at(10)).await.expect("reads").is_some(), *migration >= 5);
            assert_eq!(
                store.device_login("c1", at(10)).await.expect("reads").map(|login| login.client),
                (*migration >= 11).then(|| "leasehold 0.1.0".to_owned())
            );
            assert_eq!(store.recovery_codes_left("u1").await.expect("reads"), u64::from(*migration >= 5));
            let tasks = store.tasks(&TaskFilter::default(), 10).await.expect("reads");
            let states: Vec<TaskState> = tasks.iter().map(|task| task.state).collect();
            let schedules = store.schedules().await.expect("reads");
            let failures: Vec<u32> = schedules.iter().map(|schedule| schedule.failures).collect();
            if *migration < 6 {
                assert_eq!((states, failures), (vec![], vec![]));
            } else {
                assert_eq!((states, failures), (vec![TaskState::Queued, TaskState::Running], vec![1]));
            }
            let mut feed = store.push_feed(&system("people")).await.expect("reads");
            let there = feed.reading().count("User").await.expect("reads");
            let gone = feed.deleted_after("User", "", 10).await.expect("reads").len();
            let groups = feed.groups_of("Group", &["u-1"]).await.expect("reads").len();
            drop(feed);
            let unread = store.unread_pushes().await.expect("reads").len();
            assert_eq!(
                (there, gone, groups, unread),
                if *migration < 16 { (0, 0, 0, 0) } else { (1, 1, 1, 1) }
            );
            let about = store.actions_about(&["ada@example.com".into()]).await.expect("reads");
            assert_eq!(about.len(), 1, "{migration}");
            let receipts = store.receipts(&"ada@example.com".into()).await.expect("reads");
            assert_eq!(receipts.len(), usize::from(*migration >= 17), "{migration}");
            for receipt in receipts {
                let said = store.receipt_statement(&receipt).await.expect("reads").expect("a statement");
                assert!(said.value.contains("ops@example.com"), "{migration}");
            }
            // What lists need is there for what earlier releases wrote.
            let row = store.plan_row(&plan.hash).await.expect("reads").expect("a plan");
            assert_eq!((row.items, row.left_alone, row.guards, row.on_the_way), (1, 0, 0, 1), "{migration}");
            let here = ActionFilter { system: Some(system("directory")), ..ActionFilter::default() };
            assert_eq!(store.action_count(&here).await.expect("reads"), 1, "{migration}");
            let departures = store.departures().await.expect("reads");
            let in_force = departures.iter().filter(|departure| departure.rescinded_at.is_none()).count();
            assert_eq!(
                (departures.len(), in_force),
                if *migration == 8 { (2, 1) } else { (0, 0) },
                "{migration}"
            );
            let stewardship = store.stewardship(None).await.expect("reads");
            let owners: Vec<&str> = stewardship.ownerships.iter().map(|claim| claim.owner.as_str()).collect();
            let known = if *migration >= 14 { (vec!["lee@example.com"], 1) } else { (vec![], 0) };
            assert_eq!((owners, stewardship.retirements.len()), known, "{migration}");
            let links = store.credential_links(10).await.expect("reads");
            assert_eq!(
                (links.len(), snapshot.replaced.len()),
                if *migration >= 15 { (1, 1) } else { (0, 0) }
            );
            let webhooks = store.webhooks().await.expect("reads");
            let secrets: Vec<_> = webhooks
                .iter()
                .map(|webhook| (&*webhook.secret, webhook.previous_secret.is_some()))
                .collect();
            assert_eq!(secrets, if *migration < 12 { vec![] } else { vec![("sealed-2", true)] });
            // What is recorded from now on is told, and nothing of what was there before.
            let told = store.delivery_counts().await.expect("reads");
            assert_eq!(told.values().sum::<u64>(), u64::from(*migration >= 12));
            assert!(!store.queue_deliveries(|_, _| panic!("history is told"), at(10)).await.expect("queues"));
            let samples = store.drift_samples(at(0)).await.expect("reads");
            assert_eq!(samples.len(), usize::from(*migration >= 7));
            make(&store, step(&plan, "a", ActionState::Sent, ActionState::Verified, 9)).await;
            assert_eq!(store.revocation_times_ms(9).await.expect("reads"), [3 * 60_000], "approved at 6");
            // And it goes on from there.
            let report = sync(&store, vec![account("ada")], complete(), 60).await;
            assert_eq!((report.changes.accounts_ended, report.changes.grants_ended), (2, 1));
        }
        assert_eq!(
            RELEASES.last().expect("a release").0,
            newest_migration(),
            "the newest migration lacks its rows"
        );
    }
}

#[tokio::test]
async fn a_new_file_is_private_and_a_bad_address_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let url = format!("sqlite:{}", path.display());
    let store = Store::open(&url, options()).await.expect("opens");
    sync(&store, vec![account("ada")], complete(), 1).await;
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        let mode = std::fs::metadata(folder.path().join(name)).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let nowhere = format!("sqlite:{}", folder.path().join("no/such/folder/store.db").display());
    let error = Store::open(&nowhere, options()).await.expect_err("no folder");
    assert!(
        matches!(error, StoreError::File { .. }) && error.to_string().contains("no/such/folder"),
        "{error}"
    );
    let error = Store::open("mysql://root:s3cret@db/x", options()).await.expect_err("no such database");
    assert!(matches!(error, StoreError::Address) && !error.to_string().contains("s3cret"), "{error}");
    let error =
        Store::open("postgres://x:s3cret@127.0.0.1:1/x", options()).await.expect_err("nobody listens");
    assert!(matches!(error, StoreError::Open(_)) && !format!("{error:?}").contains("s3cret"), "{error:?}");
}

#[tokio::test]
async fn a_store_in_memory_is_one_store_for_all_its_clones() {
    let store = Store::open("sqlite::memory:", options()).await.expect("opens");
    let clone = store.clone();
    sync(&clone, vec![account("ada")], complete(), 1).await;
    assert_eq!(store.snapshot(None).await.expect("reads").accounts.len(), 1);
    let other = Store::open("sqlite::memory:", options()).await.expect("opens");
    assert!(other.snapshot(None).await.expect("reads").accounts.is_empty());
}

/// Two processes that open a new store at the same time.
#[tokio::test]
async fn two_may_open_a_new_store_at_once() {
    for postgres in [false, true] {
        let (url, _folder) = empty(postgres);
        let (first, second) = tokio::join!(Store::open(&url, options()), Store::open(&url, options()));
        sync(&first.expect("opens"), vec![account("ada")], complete(), 1).await;
        assert_eq!(second.expect("opens").snapshot(None).await.expect("reads").accounts.len(), 1);
    }
}
