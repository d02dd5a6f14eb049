//! Writes the rows of a small store as this release keeps them: run it once with every new migration, name the file
//! after the migration, and add it to `RELEASES` in `tests/it/migrations.rs`. The file is never written again.
//!
//! `cargo run -p leasehold-store --example release_rows > crates/store/tests/fixtures/NNNN.sql`

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use leasehold_model::account::Account;
use leasehold_model::action::ActionState;
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::decision::DriftKind;
use leasehold_model::entitlement::{Containment, DirectGrant, Entitlement};
use leasehold_model::fact::{Completeness, Fact, Owned, OwnerFact};
use leasehold_model::id::{ActionId, EntitlementName, EpochId, SystemName};
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState, Unsaid};
use leasehold_model::plan::{Plan, PlanItem, StateFingerprint, Verb};
use leasehold_model::reason::Baseline;
use leasehold_model::receipt::OffboardingStatement;
use leasehold_store::{NewTask, ReadingEnd, ReadingOutcome, Store, StoreOptions, Transition};
use sqlx::{Column as _, Connection as _, Row as _, TypeInfo as _, ValueRef as _};

type AnyError = Box<dyn std::error::Error>;

fn at(minute: i64) -> Timestamp {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("an instant");
    start + SignedDuration::from_mins(minute)
}

async fn sync(store: &Store, system: &str, facts: Vec<Fact>, minute: i64) -> Result<(), AnyError> {
    let mut writer = store.begin_epoch(&SystemName::new(system)?, at(minute)).await?;
    writer.accept(facts).await?;
    writer.finish(Completeness::Complete { evidence: "counts agree".to_owned() }, at(minute)).await?;
    Ok(())
}

fn directory(all: bool) -> Vec<Fact> {
    let group = |name: &str| EntitlementName::new("group", name);
    let grant = |account: &str, valid_until| {
        Fact::Grant(DirectGrant {
            account: account.into(),
            entitlement: group("staff"),
            valid_from: None,
            valid_until,
            options: None,
        })
    };
    let mut facts = vec![
        Fact::Account(Account::new("ada", "ada")),
        Fact::Account(Account::new("bo", "bo")),
        Fact::Account(Account::new("cy", "cy")),
        Fact::Account(Account::new("cy", "cy again")),
        Fact::Credential(Credential::new("key-1", "ada", CredentialKind::SshKey, "ada's laptop")),
        Fact::Entitlement(Entitlement::new("group", "staff")),
        Fact::Entitlement(Entitlement::new("group", "admins")),
        Fact::Containment(Containment { parent: group("staff"), child: group("admins") }),
        Fact::Owner(OwnerFact { of: Owned::Account("cy".into()), owner: "ada@example.com".into() }),
        grant("ada", Some(at(500))),
    ];
    if all {
        facts.push(grant("bo", None));
    }
    facts
}

async fn fill(store: &Store) -> Result<(), AnyError> {
    sync(store, "directory", directory(true), 1).await?;
    sync(store, "directory", directory(false), 2).await?;
    let person = Identity {
        key: "ada@example.com".into(),
        kind: IdentityKind::Person,
        state: LifecycleState::Active,
        start: None,
        end: None,
        manager: None,
        owner: None,
        attributes: BTreeMap::new(),
        unsaid: Unsaid::default(),
    };
    sync(store, "hr", vec![Fact::Identity(person)], 3).await?;
    let files = BTreeMap::from([("roles/staff.toml".to_owned(), "[role.staff]\n".to_owned())]);
    store.apply_policy(files, "d1", "ops@example.com", at(4)).await?;
    let system = SystemName::new("directory")?;
    let baseline = Baseline {
        system: system.clone(),
        epoch: EpochId(2),
        until: at(90),
        owner: "dana@example.com".to_owned(),
        adopted_at: at(5),
    };
    store.adopt_baseline(&baseline, at(5)).await?;
    let item = PlanItem {
        id: ActionId::from("a"),
        verb: Verb::Revoke,
        system: system.clone(),
        account: "ada".to_owned(),
        account_key: "ada".into(),
        identity: Some("ada@example.com".into()),
        entitlement: Some(EntitlementName::new("group", "staff")),
        entitlement_native: None,
        credential: None,
        privileged: false,
        to: None,
        attributes: BTreeMap::new(),
        because: vec!["no reason covers it".to_owned()],
        also_loses: Vec::new(),
        must_end: Vec::new(),
        after: Vec::new(),
    };
    let systems = BTreeMap::from([(system, EpochId(2))]);
    let state = StateFingerprint { systems, policy: "d1".to_owned(), claims: String::new() };
    let plan = Plan::seal(state, vec![item], Vec::new(), Vec::new());
    store.begin_apply(&plan, &[], "ops@example.com", at(6)).await?;
    let sent = Transition {
        plan: plan.hash.clone(),
        action: ActionId::from("a"),
        from: ActionState::Approved,
        to: ActionState::Sent,
        at: at(7),
        reason: None,
        detail: serde_json::Value::Null,
        next_attempt_at: None,
        observed: Vec::new(),
    };
    store.transition(&sent).await?;
    let leaver = "ada@example.com".into();
    let seen = store.actions_about(std::slice::from_ref(&leaver)).await?;
    let statement = OffboardingStatement {
        identity: leaver.clone(),
        written_at: at(7),
        written_by: "ops@example.com".to_owned(),
        left_at: None,
        decided_by: Some("ops@example.com".to_owned()),
        items: Vec::new(),
        remaining: Vec::new(),
        accounts: Vec::new(),
        successors: BTreeMap::new(),
        readings: Vec::new(),
    };
    store.write_receipt(&statement, &[leaver], &seen).await?;
    store
        .pin_ledger_key("leasehold.example.com/ledger+53a95617+AWN18X0yQckgBotSDaPn7XhgEOD2nTGVUG6Jl8Lb4yW/")
        .await?;
    store.set_ledger_published(store.ledger_len().await?).await?;
    store.keep_drift_sample(&BTreeMap::from([(DriftKind::Leaver, 2)]), at(10)).await?;
    tasks(store, &SystemName::new("directory")?).await
}

/// One reading that is under way, and one that waits.
async fn tasks(store: &Store, system: &SystemName) -> Result<(), AnyError> {
    let reading = |accept_loss: bool| NewTask {
        kind: "sync".to_owned(),
        subject: system.to_string(),
        lane: format!("sync {system}"),
        arguments: serde_json::json!({"system": system, "accept_loss": accept_loss}),
        requested_by: "ops@example.com".to_owned(),
        not_before: at(8),
    };
    store.request_task(&reading(false), at(8)).await?;
    store.claim_task(&["sync"], &[], "a process", at(8), at(9)).await?;
    store.request_task(&reading(true), at(8)).await?;
    store.reading_started(system, at(8)).await?;
    let end = ReadingEnd {
        outcome: ReadingOutcome::Failed,
        detail: "connection refused".to_owned(),
        failures: 1,
        due_at: at(10),
    };
    store.reading_ended(system, &end, at(9)).await?;
    Ok(())
}

/// Every row as an INSERT that both databases read.
async fn print_rows(url: &str) -> Result<(), AnyError> {
    let mut connection = sqlx::SqliteConnection::connect(url).await?;
    let tables: Vec<(String,)> = sqlx::query_as(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '_sqlx%'
           AND name NOT IN ('head', 'scim_head', 'webhook_cursor')
         ORDER BY name",
    )
    .fetch_all(&mut connection)
    .await?;
    // Their one row is there from the beginning.
    for (table, select) in [
        ("head", "SELECT * FROM head"),
        ("scim_head", "SELECT * FROM scim_head"),
        ("webhook_cursor", "SELECT * FROM webhook_cursor"),
    ] {
        let row = sqlx::query(select).fetch_one(&mut connection).await?;
        let mut set = Vec::new();
        for column in row.columns().iter().filter(|column| column.name() != "only_row") {
            set.push(format!("{} = {}", column.name(), row.try_get::<i64, _>(column.ordinal())?));
        }
        println!("UPDATE {table} SET {};", set.join(", "));
    }
    for (table,) in tables {
        // The name is one of our own tables', just read from the schema.
        let select = sqlx::AssertSqlSafe(format!("SELECT * FROM {table}"));
        for row in sqlx::query(select).fetch_all(&mut connection).await? {
            let names: Vec<&str> = row.columns().iter().map(|column| column.name()).collect();
            let mut values = Vec::new();
            for position in 0..names.len() {
                let value = row.try_get_raw(position)?;
                values.push(if value.is_null() {
                    "NULL".to_owned()
                } else if value.type_info().name() == "INTEGER" {
                    row.try_get::<i64, _>(position)?.to_string()
                } else {
                    // Entries are JSON without escapes here, so the text is the bytes in both databases.
                    let text = String::from_utf8(row.try_get::<Vec<u8>, _>(position)?)?;
                    format!("'{}'", text.replace('\'', "''"))
                });
            }
            println!("INSERT INTO {table} ({}) VALUES ({});", names.join(", "), values.join(", "));
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}", folder.path().join("store.db").display());
    let store = Store::open(&url, StoreOptions::default()).await?;
    fill(&store).await?;
    store.close().await;
    print_rows(&url).await
}
