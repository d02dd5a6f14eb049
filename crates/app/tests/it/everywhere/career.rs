//! One person's time in every real system: announced, hired, moved, gone, back, gone for good and hired again. What each system holds
//! after each is looked at with its own client, and held against what the roles say and what a fresh hire has.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::fixture::Everywhere;
use super::ssh::HOST_LOGIN;
use super::target::{FirstCredential, Target};
use crate::browser::Served;
use crate::installation::Installation;

/// Whose time it is.
const JOINER: &str = "noa";

/// Who is hired into the other department on the day of the move.
const FRESH: &str = "nia";

/// Everybody else: their login and their department.
const COLLEAGUES: [(&str, &str); 3] = [("dana", "Payments"), ("mia", "Payments"), ("ravi", "Management")];

fn key(login: &str) -> String {
    format!("{login}@example.com")
}

/// A row of the people feed.
struct Person {
    login: &'static str,
    department: &'static str,
    status: &'static str,
    start: &'static str,
}

impl Person {
    fn active(login: &'static str, department: &'static str) -> Self {
        Self { login, department, status: "active", start: "2020-01-01" }
    }
}

struct Career {
    everywhere: Everywhere,
    installation: Installation,
}

impl Career {
    /// Every system, with an installation that makes accounts in them, and in which nobody new is known.
    fn begin() -> Self {
        let everywhere = Everywhere::start();
        let mut career = Self { everywhere, installation: Installation::new() };
        let systems = career.everywhere.configuration_with(|_, target| target.new_accounts());
        career.installation.write("leasehold.toml", &format!("[server]\ninterval = \"24h\"\n\n{systems}"));
        career.announce(&[]);
        career.apply_policy("");
        career
    }

    fn apply_policy(&mut self, further: &str) {
        let role = |name: &str, department: &str, grants: Vec<String>| {
            format!(
                "[role.{name}]\nowner = \"ravi@example.com\"\ngrants = {}\n\
                 members = 'principal.kind == \"person\" && principal.department == \"{department}\"'\n\n",
                json!(grants)
            )
        };
        let targets = &self.everywhere.targets;
        let named = |of: fn(&dyn Target) -> Vec<String>| {
            let mut grants = Vec::new();
            for target in targets {
                let of_target = of(target.as_ref()).into_iter();
                grants.extend(of_target.map(|grant| format!("{}:{grant}", target.name())));
            }
            grants
        };
        let payments = role("payments", "Payments", named(|target| target.entitlements()));
        let treasury = role("treasury", "Treasury", named(|target| target.other_entitlements()));
        // What stands last belongs to the role above it, unless it begins a part of its own.
        self.installation.write("policy/all.toml", &(payments + treasury.trim_end() + "\n" + further));
        self.installation.run(&["policy", "apply"]).expect(0);
    }

    /// A feed that says so of everybody is not believed: nothing is done before a person has seen who it is.
    fn feed_loses_everybody(&mut self, status: &'static str) {
        let feed = self.installation.read("people.csv");
        self.installation.write("people.csv", &feed.replace(",active,", &format!(",{status},")));
        self.installation.run(&["sync"]).expect(0);
        let plan = self.installation.run(&["plan", "--json", "--out", "plan.json"]).expect(2).json();
        let guards = plan["guards"].as_array().expect("guards");
        let mass = guards.iter().find(|guard| guard["name"] == "mass_departure:hr").expect("a guard");
        for login in [JOINER, FRESH, COLLEAGUES[0].0, COLLEAGUES[1].0] {
            let is_named = mass["message"].as_str().is_some_and(|message| message.contains(&key(login)));
            assert!(is_named, "{login}: {mass:#}");
        }
        let applied = self.installation.run(&["apply", "plan.json", "--json"]).json();
        for item in applied["items"].as_array().expect("items") {
            assert!(item["sent_at"].is_null(), "{item:#}");
        }
        self.installation.write("people.csv", &feed);
        self.installation.run(&["sync"]).expect(0);
    }

    /// What the people feed says from now on.
    fn announce(&mut self, people: &[Person]) {
        let host = self.everywhere.targets.iter().find(|target| target.name() == "host").expect("a host");
        let mut feed = format!("email,department,manager,kind,status,start_date,{HOST_LOGIN}\n");
        let others = COLLEAGUES.map(|(login, department)| Person::active(login, department));
        for Person { login, department, status, start } in others.iter().chain(people) {
            let (mail, host_login) = (key(login), host.login(login));
            feed += &format!("{mail},{department},ravi@example.com,person,{status},{start},{host_login}\n");
        }
        self.installation.write("people.csv", &feed);
        self.installation.run(&["sync"]).expect(0);
    }

    /// Carries out the one plan about somebody, after which there is none. Gives what it did, all of it read back.
    fn settle(&mut self, login: &str) -> Vec<Value> {
        let of = ["plan", "--identity", &key(login), "--json"];
        self.installation.run(&[&of[..], &["--out", "plan.json"]].concat()).expect(2);
        let applied = self.installation.run(&["apply", "plan.json", "--json"]).json();
        let items = applied["items"].as_array().expect("items").clone();
        for item in &items {
            // AWS lists no sessions, so that nobody can look whether any is left.
            let is_unseen = item["verb"] == "end_sessions" && item["system"] == "cloud";
            assert!(item["state"] == "verified" || is_unseen, "{item:#}");
        }
        self.installation.run(&["sync"]).expect(0);
        let after = self.installation.run(&of).json();
        assert_eq!(after["items"], json!([]), "{after:#}");
        items
    }

    /// Demands that somebody has in each system exactly this, by the system's own word; `None` is an account that is not there.
    fn check_held(&mut self, login: &str, expected: fn(&dyn Target) -> Option<Vec<String>>) {
        self.everywhere.each(|target| {
            let expected = expected(target).map(|names| names.into_iter().collect::<BTreeSet<String>>());
            assert_eq!(target.held(login), expected, "{}: {login}", target.name());
        });
    }

    /// First credentials of accounts that were made, by one-time links that somebody opens at the server.
    fn open_links(&mut self, made: &[Value]) -> Vec<Option<FirstCredential>> {
        let served = Served::start(&self.installation, &["serve", "--listen", "127.0.0.1:0"]);
        self.installation.run(&["user", "add", "dana@example.com", "--role", "administrator"]).expect(0);
        let mut first = Vec::new();
        for target in &self.everywhere.targets {
            let account = made.iter().find(|item| {
                item["system"] == target.name() && item["verb"] == "create_account" && target.issues()
            });
            first.push(account.map(|account| {
                let login = account["account"].as_str().expect("a login");
                let link = ["credential", "link", target.name(), login, "--json"];
                let made = self.installation.run(&link).expect(0).json();
                let url = made["url"].as_str().expect("an address");
                let token = url.split_once("token=").expect("a token").1;
                let opened = open(served.url(), token);
                // A link works once.
                assert!(!opened.contains(token), "{opened}");
                let again = open(served.url(), token);
                assert!(again.contains("was opened, has expired or was taken back"), "{again}");
                let within = |before: &str, after: &str| {
                    let text = opened.split_once(before).expect("a place").1;
                    text.split_once(after).expect("its end").0.to_owned()
                };
                let secret = within("id=\"secret\" aria-labelledby=\"kind\">", "</dd>");
                FirstCredential { secret, instructions: within("</dl>\n<p>", "</p>") }
            }));
        }
        served.stop();
        first
    }

    /// Whether each system lets somebody in.
    fn lets_in(&mut self, login: &str, first: &[Option<FirstCredential>]) -> Vec<(&'static str, bool)> {
        self.everywhere
            .each_numbered(|index, target| (target.name(), target.lets_in(login, first[index].as_ref())))
    }
}

/// What the page says to whoever opens a link.
fn open(server: &str, token: &str) -> String {
    // One may be installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        loop {
            let asked = reqwest::Client::new().post(format!("{server}/credential-link"));
            let asked = asked.header("content-type", "application/x-www-form-urlencoded");
            let answer = asked.body(format!("token={token}")).send().await.expect("an answer");
            // A server that has just begun still loads what it knows, and asks to come again.
            if answer.status() != reqwest::StatusCode::SERVICE_UNAVAILABLE {
                return answer.text().await.expect("a page");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
}

/// The systems in which there is something of a verb.
fn systems(items: &[Value], verb: &str) -> BTreeSet<String> {
    let of_verb = items.iter().filter(|item| item["verb"] == verb);
    of_verb.map(|item| item["system"].as_str().expect("a system").to_owned()).collect()
}

#[test]
fn a_persons_time_in_every_system() {
    let mut career = Career::begin();
    let all: BTreeSet<String> =
        career.everywhere.targets.iter().map(|target| target.name().to_owned()).collect();
    let of_payments = |target: &dyn Target| Some(target.entitlements());
    let of_treasury = |target: &dyn Target| Some(target.other_entitlements());

    // Before the first day it is known what will be, and nothing is.
    career.announce(&[Person { start: "2099-01-01", ..Person::active(JOINER, "Payments") }]);
    let of = ["plan", "--identity", &key(JOINER), "--json"];
    let to_come = career.installation.run(&of).expect(0).json();
    assert_eq!(to_come["items"], json!([]), "{to_come:#}");
    let left_alone = to_come["left_alone"].as_array().expect("a list").iter();
    let told: BTreeSet<String> = left_alone
        .filter(|left| left["why"].as_str().is_some_and(|why| why.contains("2099-01-01")))
        .map(|left| left["system"].as_str().expect("a system").to_owned())
        .collect();
    assert_eq!(told, all, "{to_come:#}");
    career.check_held(JOINER, |_| None);

    // On it, accounts of their name with what the role says, and a first credential for each.
    career.announce(&[Person::active(JOINER, "Payments")]);
    let hired = career.settle(JOINER);
    assert_eq!(systems(&hired, "create_account"), all);
    assert_eq!((systems(&hired, "revoke"), systems(&hired, "enable_account")), Default::default());
    career.check_held(JOINER, of_payments);
    let first = career.open_links(&hired);
    let outside = career.lets_in(JOINER, &first);
    assert!(outside.iter().all(|(_, lets_in)| *lets_in), "{outside:?}");

    // A move takes and gives by one plan, and ends where a fresh hire begins.
    career.announce(&[Person::active(JOINER, "Treasury"), Person::active(FRESH, "Treasury")]);
    let moved = career.settle(JOINER);
    assert_eq!((systems(&moved, "grant"), systems(&moved, "revoke")), (all.clone(), all.clone()));
    // Sessions end where one would keep what was taken away.
    let of_a_move =
        |item: &Value| ["grant", "revoke", "end_sessions"].iter().any(|verb| item["verb"] == *verb);
    assert!(moved.iter().all(of_a_move), "{moved:#?}");
    career.settle(FRESH);
    career.check_held(JOINER, of_treasury);
    career.check_held(FRESH, of_treasury);

    // Who has left holds nothing and is let in nowhere; the accounts stay.
    let gone = || Person { status: "left", ..Person::active(JOINER, "Treasury") };
    career.announce(&[gone(), Person::active(FRESH, "Treasury")]);
    let left = career.settle(JOINER);
    assert_eq!((systems(&left, "revoke"), systems(&left, "disable_account")), (all.clone(), all.clone()));
    assert_eq!(systems(&left, "delete_account"), BTreeSet::new());
    career.check_held(JOINER, |_| Some(Vec::new()));
    let outside = career.lets_in(JOINER, &first);
    assert!(outside.iter().all(|(_, lets_in)| !lets_in), "{outside:?}");

    // Who comes back has the same accounts, and what today's role says: nothing of what they had.
    career.announce(&[Person::active(JOINER, "Payments"), Person::active(FRESH, "Treasury")]);
    let back = career.settle(JOINER);
    assert_eq!(
        (systems(&back, "enable_account"), systems(&back, "create_account")),
        (all.clone(), [].into())
    );
    career.check_held(JOINER, of_payments);

    // Accounts of leavers go when their time is over, and somebody of the same name begins anew.
    let gone = || Person { status: "left", ..Person::active(JOINER, "Payments") };
    career.announce(&[gone(), Person::active(FRESH, "Treasury")]);
    career.settle(JOINER);
    let retention = all.iter().map(|name| format!("[retention.{name}]\ndelete_accounts_after = \"1s\"\n"));
    career.apply_policy(&retention.collect::<String>());
    let ended = career.settle(JOINER);
    assert_eq!(systems(&ended, "delete_account"), all);
    career.check_held(JOINER, |_| None);
    career.everywhere.each(|target| target.clear_away(JOINER));
    career.announce(&[Person::active(JOINER, "Treasury"), Person::active(FRESH, "Treasury")]);
    let again = career.settle(JOINER);
    assert_eq!(systems(&again, "create_account"), all);
    career.check_held(JOINER, of_treasury);
    let outside = career.lets_in(JOINER, &first);
    let lets_in: Vec<_> =
        outside.into_iter().filter(|(name, lets_in)| *lets_in && *name != "vault").collect();
    assert_eq!(lets_in, [], "what let in to the account before lets in to this one");

    // Time to hand over what they did is a lease: they have both roles until it ends, and only the new one after.
    career.apply_policy("hand_over = \"1h\"\n");
    career.announce(&[Person::active(JOINER, "Payments"), Person::active(FRESH, "Treasury")]);
    let moved = career.settle(JOINER);
    assert!(moved.iter().all(|item| item["verb"] == "grant"), "{moved:#?}");
    assert_eq!(systems(&moved, "grant"), all);
    career.check_held(JOINER, |target| Some([target.entitlements(), target.other_entitlements()].concat()));
    career.apply_policy("hand_over = \"1s\"\n");
    let over = career.settle(JOINER);
    assert_eq!((systems(&over, "revoke"), systems(&over, "grant")), (all.clone(), [].into()));
    career.check_held(JOINER, of_payments);

    career.check_held(FRESH, of_treasury);
    career.feed_loses_everybody("left");
    career.feed_loses_everybody("suspended");
    career.check_held(JOINER, of_payments);
    career.check_held(FRESH, of_treasury);
    career.everywhere.each(|target| target.check_others_unchanged());
    career.installation.run(&["ledger", "verify"]).expect(0);
}
