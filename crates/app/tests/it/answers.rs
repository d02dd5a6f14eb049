//! What `drift`, `explain`, `who` and `action list` say: the same words for the same thing, and nothing about what is not known.

use std::collections::BTreeMap;

use leasehold_model::action::ActionState::{
    self, Acknowledged, Approved, Sent, Stuck, Unverifiable, Verified,
};
use leasehold_model::id::{ActionId, EntitlementName, SystemName};
use leasehold_model::plan::{Plan, PlanItem, StateFingerprint, Verb};
use leasehold_store::{Store, StoreOptions, Transition};

use crate::installation::Installation;

const CONFIGURATION: &str = "[system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\nauthoritative = true\nkey = \"email\"\n\n\
     [system.crm]\nconnector = \"csv\"\naccounts = \"accounts.csv\"\ngrants = \"grants.csv\"\n\
     correlate = [\"login = title\"]\n\n\
     [system.erp]\nconnector = \"csv\"\ngrants = \"erp.csv\"\n";

fn installation() -> Installation {
    let installation = Installation::new();
    installation.write("leasehold.toml", CONFIGURATION);
    installation.write(
        "people.csv",
        "email,title,status\ndana@example.com,boss,active\nlee@example.com,boss,active\n",
    );
    installation.write("accounts.csv", "key,login\n1,boss\n2,nobody\n");
    installation.write("grants.csv", "account,entitlement\n1,role/admin\n2,role/admin\n");
    installation.write("erp.csv", "account,entitlement\nx,role/admin\n");
    installation
}

#[test]
fn explain_and_drift_say_the_same_of_an_account_that_several_match() {
    let mut installation = installation();
    installation.run(&["sync", "hr", "crm"]).expect(0);
    for (login, words) in [
        ("boss", "several identities match this account: dana@example.com, lee@example.com"),
        ("nobody", "no identity matches this account"),
    ] {
        let drift = installation.run(&["drift", "--json", "--kind", "orphan"]).expect(2).json();
        let rows = drift["items"].as_array().expect("items");
        let row = rows.iter().find(|row| row["account"] == login).expect("the account");
        assert!(row["because"].to_string().contains(words), "{row:#}");
        let account = format!("crm:{login}");
        let explained = installation.run(&["explain", &account]).expect(0);
        assert!(explained.stdout.contains(words), "{explained:#?}");
    }
}

#[test]
fn explain_says_where_sources_disagree() {
    let mut installation = installation();
    let payroll = "\n[system.payroll]\nconnector = \"csv\"\npath = \"payroll.csv\"\nauthoritative = true\nkey = \"email\"\n\
         precedence = 200\nprecedence_of = { cost_center = 1 }\n";
    installation.write("leasehold.toml", &(CONFIGURATION.to_owned() + payroll));
    installation.write(
        "people.csv",
        "email,title,cost_center,status\ndana@example.com,boss,north,active\nlee@example.com,clerk,north,active\n",
    );
    installation.write(
        "payroll.csv",
        "email,title,cost_center,status\ndana@example.com,owner,south,active\nlee@example.com,clerk,north,active\n",
    );
    installation.run(&["sync", "hr", "payroll", "crm"]).expect(0);
    let of = |installation: &mut Installation, who: &str| {
        let explained = installation.run(&["explain", who]).expect(2).stdout;
        let about = explained.lines().filter(|line| line.starts_with("sources disagree"));
        about.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        of(&mut installation, "dana@example.com"),
        [
            "sources disagree: cost center is south by payroll, north by hr",
            "sources disagree: title is boss by hr, owner by payroll",
        ]
    );
    let agrees = installation.read("people.csv");
    installation.write("payroll.csv", &agrees);
    installation.run(&["sync"]).expect(0);
    assert_eq!(of(&mut installation, "dana@example.com"), [""; 0]);
}

/// The feed that is believed first took its last day for somebody back: another feed's from before that ends nothing, and is shown. One
/// that is told afterwards counts, since nobody has taken it back.
#[test]
fn who_takes_a_last_day_back_has_said_that_there_is_none() {
    let mut installation = installation();
    let agency = "\n[system.agency]\nconnector = \"csv\"\npath = \"agency.csv\"\nauthoritative = true\nkey = \"email\"\n\
         precedence = 200\n";
    installation.write("leasehold.toml", &(CONFIGURATION.to_owned() + agency));
    let steps = [
        // By hr, by the agency, whether Dana is here, what is shown of the last day.
        ("", "", "boss", true, ""),
        (
            "2099-01-01",
            "2021-01-01",
            "boss",
            true,
            "2099-01-02T00:00:00Z by hr, 2021-01-02T00:00:00Z by agency",
        ),
        ("", "2021-01-01", "boss", true, "none by hr, 2021-01-02T00:00:00Z by agency"),
        ("", "2021-01-01", "chief", true, "none by hr, 2021-01-02T00:00:00Z by agency"),
        ("", "2022-01-01", "chief", false, "2022-01-02T00:00:00Z by agency, none by hr"),
        (
            "2099-01-01",
            "2022-01-01",
            "chief",
            true,
            "2099-01-02T00:00:00Z by hr, 2022-01-02T00:00:00Z by agency",
        ),
        ("", "", "chief", true, ""),
    ];
    for (of_hr, of_agency, title, is_here, shown) in steps {
        for (file, end) in [("people.csv", of_hr), ("agency.csv", of_agency)] {
            installation.write(file, &format!("email,title,end_date\ndana@example.com,{title},{end}\n"));
        }
        installation.run(&["sync", "hr", "agency", "crm"]).expect(0);
        let explained = installation.run(&["explain", "dana@example.com"]).stdout;
        let step = format!("{of_hr:?} {of_agency:?} {title}:\n{explained}");
        assert_eq!(!explained.contains("left"), is_here, "{step}");
        let about = explained.lines().find(|line| line.contains("end date is"));
        let about = about.map(|line| line.replace("sources disagree: end date is ", "").trim().to_owned());
        assert_eq!(about.unwrap_or_default(), shown, "{step}");
    }
}

#[test]
fn nobody_knows_the_future() {
    let mut installation = installation();
    installation.run(&["sync", "hr", "crm"]).expect(0);
    for command in [&["drift"][..], &["explain", "dana@example.com"], &["who", "crm:role/admin"]] {
        let refused = installation.run(&[command, &["--at", "2099-01-01T00:00:00Z"]].concat()).expect(1);
        assert!(refused.stderr.contains("2099-01-01T00:00:00Z is still to come"), "{refused:#?}");
    }
}

#[test]
fn a_system_that_was_never_read_is_named() {
    let mut installation = installation();
    installation.run(&["sync", "hr"]).expect(0);
    let drift = installation.run(&["drift"]).expect(0);
    for text in ["nothing was read of crm, erp", "never read; run `leasehold sync crm`", "leasehold sync erp"]
    {
        assert!(drift.stdout.contains(text), "{text}: {}", drift.stdout);
    }
    assert!(!drift.stdout.contains("everything that was read is justified"), "{}", drift.stdout);
    let json = installation.run(&["drift", "--json"]).expect(0).json();
    let sources = json["summary"]["sources"].as_array().expect("sources");
    let unread: Vec<_> = sources
        .iter()
        .filter(|source| source["epoch"].is_null())
        .map(|source| source["system"].clone())
        .collect();
    assert_eq!(unread, ["crm", "erp"], "{json:#}");
    // Who asks about one system only is told about that one.
    let narrow = installation.run(&["drift", "--system", "hr"]).expect(0);
    assert!(narrow.stdout.contains("no drift: everything that was read is justified"), "{}", narrow.stdout);
}

fn item(id: &str, account: &str) -> PlanItem {
    PlanItem {
        id: ActionId::from(id),
        verb: Verb::Revoke,
        system: SystemName::new("crm").expect("a name"),
        account: account.to_owned(),
        account_key: account.into(),
        identity: None,
        entitlement: Some(EntitlementName::new("role", "admin")),
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

#[test]
fn what_waits_for_a_person_says_why_before_what_is_verified() {
    let mut installation = installation();
    installation.run(&["sync", "hr", "crm"]).expect(0);
    /// A state, and the reason of the step that leads to it.
    type Step = (ActionState, Option<&'static str>);
    let paths: &[(&str, &[Step])] = &[
        ("done", &[(Sent, None), (Acknowledged, None), (Verified, Some("read back"))]),
        ("stuck", &[(Sent, None), (Stuck, Some("the target refused it: no such right"))]),
        (
            "blind",
            &[(Sent, None), (Acknowledged, None), (Unverifiable, Some("this system cannot be read back"))],
        ),
    ];
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let url = format!("sqlite:{}", installation.path().join("leasehold.db").display());
        let store = Store::open(&url, StoreOptions::default()).await.expect("opens");
        let snapshot = store.snapshot(None).await.expect("reads");
        let systems: BTreeMap<_, _> =
            snapshot.systems.iter().map(|system| (system.name.clone(), system.generation)).collect();
        let state = StateFingerprint { systems, policy: String::new(), claims: String::new() };
        let items = paths.iter().map(|(account, _)| item(account, account)).collect();
        let plan = Plan::seal(state, items, Vec::new(), Vec::new());
        let start = jiff::Timestamp::now();
        store.save_plan(&plan, start).await.expect("saves");
        store.begin_apply(&plan, &[], "tester", start).await.expect("begins");
        for (account, steps) in paths {
            let mut from = Approved;
            for (number, (to, reason)) in (1i64..).zip(*steps) {
                let transition = Transition {
                    plan: plan.hash.clone(),
                    action: ActionId::from(*account),
                    from,
                    to: *to,
                    at: start + jiff::SignedDuration::from_millis(number),
                    reason: reason.map(str::to_owned),
                    detail: serde_json::Value::Null,
                    next_attempt_at: None,
                    observed: Vec::new(),
                };
                store.transition(&transition).await.expect("makes the step");
                from = *to;
            }
        }
        store.close().await;
    });
    let list = installation.run(&["action", "list"]).expect(2).stdout;
    let place = |text: &str| list.find(text).unwrap_or_else(|| panic!("`{text}` is not in\n{list}"));
    let order = [
        place("stuck  revoke crm stuck role/admin"),
        place("because the target refused it: no such right"),
        place("unverifiable  revoke crm blind role/admin"),
        place("because this system cannot be read back"),
        place("verified"),
    ];
    assert!(order.is_sorted(), "{list}");
}
