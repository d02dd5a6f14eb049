//! `offboard`: everything of one person ends, the receipt proves it, and nobody else loses anything; also when the command is
//! killed over and over.

use std::collections::BTreeSet;
use std::time::Duration;

use leasehold_connect::simulated::Company;
use serde_json::{Value, json};

use crate::installation::Installation;

/// How often the command is killed before it may end by itself.
const KILLS: u64 = 12;

/// A practice company, read and with its policy applied, and somebody in it who holds much and whose keys work.
pub fn company() -> (Installation, String) {
    let mut installation = Installation::new();
    let company = Company::generate(11, 120);
    installation.write("leasehold.toml", &company.configuration());
    for (path, text) in company.policy_files() {
        installation.write(&format!("policy/{}", path.trim_start_matches("policy/")), &text);
    }
    installation.run(&["sync"]).expect(0);
    installation.run(&["policy", "apply"]).expect(0);
    let holder = company
        .state
        .systems
        .values()
        .flat_map(|state| state.credentials.values().filter_map(|key| state.accounts.get(&key.account)))
        .filter(|account| account.login.contains('@'))
        .find_map(|account| {
            let identity = company.state.people.get(&account.login.as_str().into())?;
            let title = identity.attribute("title").unwrap_or_default();
            let is_here = identity.state == leasehold_model::identity::LifecycleState::Active;
            let owns = company.state.people.values().any(|other| {
                other.owner.as_ref() == Some(&identity.key) || other.manager.as_ref() == Some(&identity.key)
            });
            (is_here && !owns && !title.starts_with("Head") && identity.end.is_none())
                .then(|| identity.key.to_string())
        })
        .expect("somebody with a key in the cloud");
    (installation, holder)
}

/// The key of a credential that somebody has in the cloud.
pub fn key_of(installation: &mut Installation, whom: &str) -> String {
    let state = installation.read("company.json");
    let state: Value = serde_json::from_str(&state).expect("the simulated company");
    let cloud = &state["systems"]["cloud"];
    let mut keys = cloud["credentials"].as_object().expect("credentials").values();
    let of_whom = |key: &&Value| cloud["accounts"][key["account"].as_str().expect("a key")]["login"] == whom;
    keys.find(of_whom).expect("a key of theirs")["key"].as_str().expect("a name").to_owned()
}

/// What everybody else holds: their grants by the API of `explain`.
fn others(installation: &mut Installation, whom: &str) -> BTreeSet<String> {
    let drift = installation.run(&["drift", "--json"]).json();
    let items = drift["items"].as_array().expect("items").clone();
    items
        .into_iter()
        .filter(|item| item["identity"] != whom)
        .map(|item| json!([item["kind"], item["system"], item["account"], item["entitlement"]]).to_string())
        .collect()
}

fn verbs(document: &Value) -> BTreeSet<String> {
    let items = document["items"].as_array().expect("items");
    items.iter().map(|item| item["verb"].as_str().expect("a verb").to_owned()).collect()
}

#[test]
fn everything_of_somebody_ends_and_the_receipt_proves_it() {
    let (mut installation, whom) = company();
    let before = others(&mut installation, &whom);
    // Nobody is there to be asked, and nothing is done without a word.
    let unasked = installation.run(&["offboard", &whom]).expect(1);
    assert!(
        unasked.stderr.contains("--yes") && unasked.stderr.contains("nothing was changed"),
        "{unasked:?}"
    );
    let done =
        installation.run(&["offboard", &whom, "--yes", "--json", "--out", "receipt.json"]).expect(0).json();
    let verbs = verbs(&done);
    for verb in ["disable_account", "revoke_credential", "revoke"] {
        assert!(verbs.contains(verb), "{verb} is not among {verbs:?}");
    }
    assert_eq!(done["summary"]["verified"], done["items"].as_array().map(Vec::len).unwrap_or_default());

    // What was there is gone by another reading, and it stays decided although the source still lists them.
    installation.run(&["sync"]).expect(0);
    let drift = installation.run(&["drift", "--identity", &whom, "--json"]).json();
    assert_eq!(drift["summary"]["by_kind"]["leaver"], Value::Null, "{drift:#}");
    assert_eq!(before, others(&mut installation, &whom), "somebody else's access is another now");

    let key = installation.run(&["ledger", "key"]).expect(0).stdout.trim().to_owned();
    let check = |installation: &mut Installation, file: &str, code| {
        installation.run(&["ledger", "verify", "--bundle", file, "--key", &key]).expect(code)
    };
    let verified = check(&mut installation, "receipt.json", 0);
    assert!(verified.stdout.contains(&format!("offboarding of {whom}")), "{}", verified.stdout);

    // A receipt that claims more than was done, or leaves something out, is found out.
    let receipt: Value = serde_json::from_str(&installation.read("receipt.json")).expect("JSON");
    type Forgery = (&'static str, fn(&mut Value));
    fn items(receipt: &mut Value) -> &mut Vec<Value> {
        receipt["statement"]["items"].as_array_mut().expect("items")
    }
    let changed = "is not what entry";
    let forgeries: [Forgery; 10] = [
        ("log proves nothing of it", |receipt| {
            let mut made_up = items(receipt)[0].clone();
            (made_up["id"], made_up["state"]) = (json!("act_made_up"), json!("verified"));
            items(receipt).push(made_up);
        }),
        ("is told twice", |receipt| {
            let twice = items(receipt)[0].clone();
            items(receipt).push(twice);
        }),
        ("of something else", |receipt| items(receipt)[0]["account"] = json!("somebody")),
        ("of something else", |receipt| items(receipt)[0]["identity"] = json!("somebody@example.com")),
        ("of other times", |receipt| items(receipt)[0]["read_back_at"] = json!("2031-01-01T00:00:00Z")),
        ("is said to be", |receipt| items(receipt)[0]["state"] = json!("stuck")),
        ("is not told", |receipt| drop(items(receipt).pop())),
        (changed, |receipt| receipt["statement"]["identity"] = json!("somebody@example.com")),
        (changed, |receipt| {
            let made_up = json!({"system": "hr", "account": null, "identity": null, "entitlement": null,
                "credential": null, "can_be_ended": false, "why": "x"});
            receipt["statement"]["remaining"] = json!([made_up]);
        }),
        ("not in the log", |receipt| {
            let entry = receipt["proof"]["entries"][0]["entry"].as_str().unwrap_or_default().to_owned();
            receipt["proof"]["entries"][1]["entry"] = json!(entry);
        }),
    ];
    for (words, forge) in forgeries {
        let mut forged = receipt.clone();
        forge(&mut forged);
        installation.write("forged.json", &forged.to_string());
        let found = check(&mut installation, "forged.json", 1);
        assert!(found.stderr.contains(words), "{words}: {}", found.stderr);
    }
    // Again: nothing is left to do, the first receipt stays, and the new one tells what was done then.
    let again = installation.run(&["offboard", &whom, "--yes", "--json", "--out", "receipt.json"]).expect(1);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    let again =
        installation.run(&["offboard", &whom, "--yes", "--json", "--out", "again.json"]).expect(0).json();
    assert_eq!(again["items"], done["items"]);
    let verified = check(&mut installation, "again.json", 0);
    assert!(verified.stdout.contains(&format!("offboarding of {whom}")), "{}", verified.stdout);
}

/// An emergency reads nothing before it begins. What somebody got since the last reading ends all the same.
#[test]
fn an_emergency_ends_what_was_given_since_the_last_reading() {
    let (mut installation, whom) = company();
    let mut state: Value = serde_json::from_str(&installation.read("company.json")).expect("JSON");
    let cloud = &mut state["systems"]["cloud"];
    let mut accounts = cloud["accounts"].as_object().expect("accounts").values();
    let account = accounts.find(|account| account["login"] == whom).expect("theirs")["key"].clone();
    let account = account.as_str().expect("a key").to_owned();
    let grants = cloud["grants"].as_object().expect("grants");
    // What comes with something that they hold is no other path.
    let carried = cloud["carries"].to_string();
    let is_held = |name: &str| !grants[&account][name].is_null() || carried.contains(&format!("\"{name}\""));
    let all = grants.values().flat_map(|held| held.as_object().expect("grants of an account"));
    let name = all
        .filter(|(name, _)| cloud["entitlements"][name.as_str()]["inherent"] != true)
        .find(|(name, _)| !is_held(name))
        .map(|(name, _)| name.clone())
        .expect("something that they do not hold");
    cloud["grants"][&account][&name] = json!({"account": account, "entitlement": name});
    installation.write("company.json", &state.to_string());
    let done = installation.run(&["offboard", &whom, "--now", "--json"]).expect(0).json();
    let items = done["items"].as_array().expect("items");
    let ended = |item: &&Value| item["verb"] == "revoke" && item["entitlement"] == name.as_str();
    assert_eq!(items.iter().find(ended).map(|item| &item["state"]), Some(&json!("verified")), "{done:#}");
    let state: Value = serde_json::from_str(&installation.read("company.json")).expect("JSON");
    assert_eq!(state["systems"]["cloud"]["grants"][&account][&name], Value::Null);
}

/// A people feed that was never read keeps other access from being taken away, for a reason may stand in it. Who says that somebody
/// leaves knows that none does.
#[test]
fn a_feed_that_was_never_read_holds_up_no_departure_that_a_person_decides() {
    let mut installation = Installation::new();
    let feed = |name: &str| {
        format!("[system.{name}]\nconnector = \"csv\"\npath = \"{name}.csv\"\nauthoritative = true\n")
    };
    let erp = "[system.erp]\nconnector = \"csv\"\naccounts = \"accounts.csv\"\ngrants = \"grants.csv\"\n\
               correlate = [\"login = email.local\"]\n";
    installation.write("leasehold.toml", &[feed("hr"), feed("partners"), erp.to_owned()].concat());
    installation.write("hr.csv", "email,status\nsam@example.com,active\nkim@example.com,active\n");
    installation.write("accounts.csv", "login\nsam\nkim\n");
    installation.write("grants.csv", "account,entitlement\nsam,role/payments\n");
    installation.run(&["sync"]);
    let mistyped = installation.run(&["drift", "--identity", "sma@example.com"]).expect(1);
    assert!(mistyped.stderr.contains("there is no identity `sma@example.com`"), "{}", mistyped.stderr);
    for (meant, words) in
        [("SAM", "a login of sam@example.com"), ("sma@example.com", "did you mean `sam@example.com`")]
    {
        let refused = installation.run(&["offboard", meant, "--yes"]).expect(1);
        assert!(refused.stderr.contains(words), "{meant}: {}", refused.stderr);
    }
    let waits = installation.run(&["plan", "--json"]).json();
    let words = waits["left_alone"].to_string();
    assert!(words.contains("partners was never read completely"), "{words}");
    // The file cannot be changed by anybody but whoever keeps it: that is told, and nobody takes it for done.
    let told = installation.run(&["offboard", "sam@example.com", "--now", "--json"]).expect(2).json();
    let words = told["left_alone"].to_string();
    assert!(!words.contains("never read") && words.contains("a person must do it there"), "{words}");
    assert_eq!(told["remaining"].as_array().map(Vec::is_empty), Some(false), "{told:#}");
}

#[test]
fn what_a_guard_holds_is_told_and_the_rest_is_done() {
    let (mut installation, whom) = company();
    let guards = installation.read("policy/guards.toml");
    let usual = "[guard.cloud]\nshare_max      = 0.3\ncount_min      = 20\n";
    let cautious = guards.replace(usual, "[guard.cloud]\nshare_max = 0.0\ncount_min = 1\n");
    assert_ne!(guards, cautious);
    installation.write("policy/guards.toml", &cautious);
    installation.run(&["policy", "apply"]).expect(0);
    let key = installation.run(&["ledger", "key"]).expect(0).stdout.trim().to_owned();
    let offboard = ["offboard", &whom, "--yes", "--json", "--out", "held.json"];
    let held = installation.run(&offboard).expect(2).json();
    assert_eq!(held["guards"][0]["name"], "blast_radius:cloud", "{held:#}");
    for item in held["items"].as_array().expect("items") {
        let expected = if item["system"] == "cloud" { "planned" } else { "verified" };
        assert_eq!(item["state"], expected, "{item:#}");
    }
    installation.run(&["ledger", "verify", "--bundle", "held.json", "--key", &key]).expect(0);
    // By a person's word it goes on, and the receipt tells both.
    let offboard =
        ["offboard", &whom, "--yes", "--json", "--out", "all.json", "--override", "blast_radius:cloud"];
    let done = installation.run(&offboard).expect(0).json();
    let of_cloud = done["items"].as_array().expect("items").iter().filter(|item| item["system"] == "cloud");
    assert!(of_cloud.filter(|item| item["state"] == "verified").count() > 1, "{done:#}");
    installation.run(&["ledger", "verify", "--bundle", "all.json", "--key", &key]).expect(0);
}

#[test]
fn a_departure_that_is_to_come_takes_nothing_away_and_can_be_taken_back() {
    let (mut installation, whom) = company();
    let drift = |installation: &mut Installation| {
        installation.run(&["drift", "--identity", &whom, "--json"]).json()["items"].clone()
    };
    let before = drift(&mut installation);
    installation.run(&["offboard", &whom, "--at", "2001-01-01"]).expect(1);
    let recorded = installation.run(&["offboard", &whom, "--at", "2099-01-01", "--json"]).expect(0).json();
    assert!(recorded["task"].is_string(), "{recorded}");
    assert_eq!(drift(&mut installation), before, "they are here until then");
    let twice = installation.run(&["offboard", &whom, "--at", "2098-01-01"]).expect(1);
    assert!(twice.stderr.contains("--cancel"), "{}", twice.stderr);
    let taken = |installation: &mut Installation| {
        installation.run(&["offboard", &whom, "--cancel", "--json"]).expect(0).json()["taken_back"].clone()
    };
    assert_eq!(taken(&mut installation), true);
    assert_eq!(taken(&mut installation), false);
    let unknown = installation.run(&["offboard", "nobody@example.com", "--yes"]).expect(1);
    assert!(unknown.stderr.contains("there is no identity"), "{}", unknown.stderr);
}

#[test]
fn killed_at_any_instant_it_ends_in_what_is_verified() {
    let (mut installation, whom) = company();
    let configuration = installation.read("leasehold.toml");
    let slow = "connector = \"simulated\"\nlatency_ms = 60\n";
    installation.write("leasehold.toml", &configuration.replace("connector = \"simulated\"\n", slow));
    for round in 0..KILLS {
        let mut child = installation
            .command(&["offboard", &whom, "--now", "--json"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("run leasehold");
        std::thread::sleep(Duration::from_millis(40 + round * 37 % 400));
        child.kill().expect("kill it");
        child.wait().expect("wait for it");
    }
    installation.write("leasehold.toml", &configuration);
    // What was begun is finished first, and the receipt tells of it; then nothing of theirs is left.
    let done = installation.run(&["offboard", &whom, "--yes", "--json", "--out", "receipt.json"]).expect(0);
    let verbs = verbs(&done.json());
    assert!(verbs.contains("disable_account") && verbs.contains("revoke_credential"), "{verbs:?}");
    let key = installation.run(&["ledger", "key"]).expect(0).stdout.trim().to_owned();
    installation.run(&["ledger", "verify", "--bundle", "receipt.json", "--key", &key]).expect(0);
    installation.run(&["sync"]).expect(0);
    let plan = installation.run(&["plan", "--identity", &whom, "--json"]).expect(0).json();
    assert_eq!(plan["items"], json!([]), "{plan:#}");
    let actions = installation.run(&["action", "list", "--json"]).json();
    let open = ["approved", "sent", "acknowledged", "contradicted", "stuck", "unverifiable"];
    for action in actions["items"].as_array().expect("items") {
        assert!(!open.contains(&action["state"].as_str().unwrap_or_default()), "{action:#}");
    }
    installation.run(&["ledger", "verify"]).expect(0);
}

#[test]
fn a_dead_system_of_an_interrupted_run_takes_no_time_from_the_next_one() {
    let (mut installation, whom) = company();
    let configuration = installation.read("leasehold.toml");
    let dead = configuration.replace(
        "[system.cloud]\nconnector = \"simulated\"\n",
        "[system.cloud]\nconnector = \"simulated\"\nlatency_ms = 60000\n",
    );
    assert_ne!(dead, configuration, "the cloud is configured otherwise");
    installation.write("leasehold.toml", &dead);
    let mut child = installation
        .command(&["offboard", &whom, "--now", "--within", "3600", "--json"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("run leasehold");
    let open = |installation: &mut Installation| -> BTreeSet<String> {
        let listed = installation.run(&["action", "list", "--json"]).json();
        let items = listed["items"].as_array().expect("items").iter();
        let open = items.filter(|item| item["state"] == "approved" || item["state"] == "sent");
        open.map(|item| item["system"].as_str().expect("a system").to_owned()).collect()
    };
    let began = std::time::Instant::now();
    while open(&mut installation) != BTreeSet::from(["cloud".to_owned()]) {
        assert!(began.elapsed() < Duration::from_secs(50), "{:?}", open(&mut installation));
        std::thread::sleep(Duration::from_millis(200));
    }
    child.kill().expect("kill it");
    child.wait().expect("wait for it");

    // Somebody opens an account of theirs again, in a system that is well.
    let mut state: Value =
        serde_json::from_str(&installation.read("company.json")).expect("the simulated company");
    let systems = state["systems"].as_object_mut().expect("systems");
    let local = whom.split_once('@').expect("a mail address").0;
    let (well, opened) = systems
        .iter_mut()
        .filter(|(system, _)| *system != "cloud")
        .find_map(|(system, of_system)| {
            let mut accounts = of_system["accounts"].as_object_mut()?.values_mut();
            // Some systems know people by the part before the `@`.
            let is_theirs = |account: &&mut Value| account["login"] == whom[..] || account["login"] == *local;
            Some((system.clone(), accounts.find(is_theirs)?))
        })
        .expect("an account of theirs elsewhere");
    opened["enabled"] = json!(true);
    installation.write("company.json", &state.to_string());
    installation.run(&["sync", &well]).expect(0);

    let done = installation.run(&["offboard", &whom, "--now", "--within", "6", "--json"]).expect(2).json();
    let items = done["items"].as_array().expect("items");
    let verified = |item: &&Value| item["verb"] == "disable_account" && item["state"] == "verified";
    assert!(items.iter().filter(|item| item["system"] == *well).any(|item| verified(&item)), "{done:#}");
    let of_dead: Vec<&Value> = items.iter().filter(|item| item["system"] == "cloud").collect();
    assert!(!of_dead.is_empty() && of_dead.iter().all(|item| item["state"] != "verified"), "{of_dead:#?}");
}

/// Who holds nothing leaves, comes back and leaves again: each time it is decided anew.
#[test]
fn a_departure_counts_anew_after_it_was_taken_back() {
    let mut installation = Installation::new();
    installation.write(
        "leasehold.toml",
        "[system.hr]\nconnector = \"csv\"\npath = \"hr.csv\"\nauthoritative = true\n",
    );
    installation.write("hr.csv", "email,status\nsam@example.com,active\nkim@example.com,active\n");
    for _ in 0..2 {
        installation.run(&["offboard", "sam@example.com", "--yes"]).expect(0);
        let left = installation.run(&["explain", "sam@example.com"]).stdout;
        assert!(left.contains("person, left"), "{left}");
        let cancelled = installation.run(&["offboard", "sam@example.com", "--cancel", "--json"]).expect(0);
        assert_eq!(cancelled.json()["taken_back"], true);
    }
    installation.write("hr.csv", "email,status\nsam@example.com,left\nkim@example.com,active\n");
    let said = installation.run(&["offboard", "sam@example.com", "--yes"]).expect(0);
    assert!(said.stderr.contains("by what their source says"), "{}", said.stderr);
}
