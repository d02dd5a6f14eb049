//! The SCIM server as a process, driven by conformance testers and clients that are not ours.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use leasehold_testing::{PostgresServer, programs, tools};

use crate::browser::Served;
use crate::installation::Installation;

/// A server whose `hr` is pushed, and the token for that.
struct Pushed {
    installation: Installation,
    served: Served,
    token: String,
}

impl Pushed {
    fn start(mut installation: Installation, systems: &str) -> Self {
        let hr = "[system.hr]\nconnector = \"scim_push\"\nauthoritative = true\n";
        // No schedule reads anything while a test lasts: what is read is read because it was pushed.
        installation.write("leasehold.toml", &format!("[server]\ninterval = \"12h\"\n\n{hr}\n{systems}"));
        let served = Served::start(&installation, &["serve", "--listen", "127.0.0.1:0"]);
        installation.run(&["user", "add", "dana@example.com", "--role", "administrator"]).expect(0);
        let made = installation.run(&["token", "create", "--scope", "scim", "--system", "hr"]).expect(0);
        let token = made.stdout.trim().to_owned();
        Self { installation, served, token }
    }

    fn url(&self) -> String {
        format!("{}/scim/v2", self.served.url())
    }

    /// Runs the provider's script.
    fn provider(&self, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scim/provider.py");
        let mut python = Command::new(tools::program("python"));
        python.arg(script).args(arguments).env("SCIM_URL", self.url()).env("SCIM_TOKEN", &self.token);
        programs::succeed(&mut python)
    }
}

#[test]
fn scim2_tester_finds_no_failure() {
    let pushed = Pushed::start(Installation::new(), "");
    let report = programs::succeed(
        Command::new(tools::program("scim2"))
            .env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {}", pushed.token))
            .args(["--url", &pushed.url(), "test"]),
    );
    let begins = |word: &str| report.lines().filter(|line| line.starts_with(word)).count();
    println!("{report}");
    assert!(begins("SUCCESS") >= 130, "it checks less than it did:\n{report}");
    for word in ["ERROR", "CRITICAL", "SKIPPED", "DEVIATION"] {
        assert_eq!(begins(word), 0, "{word}:\n{report}");
    }
}

#[test]
fn scim_sanity_finds_no_failure() {
    let pushed = Pushed::start(Installation::new(), "");
    let report = programs::succeed(
        Command::new(tools::program("scim-sanity"))
            .args(["probe", &pushed.url(), "--token", &pushed.token, "--strict", "--json-output"])
            .arg("--i-accept-side-effects"),
    );
    println!("{report}");
    let report: serde_json::Value = serde_json::from_str(&report).expect("a report");
    let summary = &report["summary"];
    assert_eq!(
        (&summary["failed"], &summary["errors"], &summary["warnings"]),
        (&0.into(), &0.into(), &0.into()),
        "{report:#}"
    );
    assert!(summary["passed"].as_u64().is_some_and(|passed| passed >= 28), "{report:#}");
}

const DATABASE_PASSWORD: &str = "planted-31cc-database-secret";

const POLICY: &str = r#"
[role.everybody]
owner   = "ada@example.com"
members = 'principal.email like "*@example.com"'
grants  = ["database:role/payments_rw"]

[protect.servers]
accounts = ["database:postgres"]
why      = "the server's own administrator"
"#;

/// Waits until something is so. The limit is no measure of anything: it only ends a test that hangs.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(180);
    while !is() {
        assert!(Instant::now() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn whoever_is_deactivated_or_deleted_loses_access_in_a_real_database_and_nobody_else_does() {
    let database = PostgresServer::start();
    database.sql(&format!(
        "create role leasehold login createrole password '{DATABASE_PASSWORD}';
         grant pg_signal_backend, pg_read_all_stats to leasehold;
         create role payments_rw nologin;
         create role ada login password 'ada-secret';
         create role bo login password 'bo-secret';
         create role cy login password 'cy-secret';
         grant payments_rw to ada, bo, cy;"
    ));
    let mut installation = Installation::new();
    installation.set("DATABASE_PASSWORD", DATABASE_PASSWORD);
    installation.write("policy/all.toml", POLICY);
    let system = format!(
        "[system.database]\nconnector = \"postgres\"\nurl = \"{}\"\npassword = \"env:DATABASE_PASSWORD\"\n\
         sslmode = \"disable\"\ncorrelate = [\"login = email.local\"]\nenforce = \"enforce\"\n",
        database.url("leasehold", "postgres")
    );
    let mut pushed = Pushed::start(installation, &system);
    pushed.installation.run(&["policy", "apply"]).expect(0);
    pushed.provider(&["join", "ada@example.com", "bo@example.com", "cy@example.com"]);
    assert_eq!(
        pushed.provider(&["list"]),
        "ada@example.com active\nbo@example.com active\ncy@example.com active\n"
    );
    let holds = |user: &str| {
        let sql = format!(
            "select pg_has_role('{user}', 'payments_rw', 'member') and rolcanlogin from pg_roles where rolname = '{user}'"
        );
        database.sql(&sql) == "t"
    };
    let unexplained = |installation: &mut Installation| {
        let drift = installation.run(&["--json", "drift", "--system", "database"]).stdout;
        ["\"ada\"", "\"bo\"", "\"cy\""].iter().any(|account| drift.contains(account))
    };
    until("those who joined are not known", || !unexplained(&mut pushed.installation));
    assert!(holds("ada") && holds("bo") && holds("cy"));

    let member =
        |user: &str| database.sql(&format!("select pg_has_role('{user}', 'payments_rw', 'member')")) == "t";
    for (verb, mail, user) in [("leave", "bo@example.com", "bo"), ("delete", "cy@example.com", "cy")] {
        pushed.provider(&[verb, mail]);
        until("who has left still has access", || !holds(user) && !member(user));
        // Gone as the database itself says it, read again after it was done.
        until("what ended is not verified", || {
            let actions = pushed.installation.run(&["--json", "action", "list"]).json();
            let items = actions["items"].as_array().expect("actions");
            let of = |item: &&serde_json::Value| item["account"] == user;
            let is_done = |item: &serde_json::Value| item["state"] == "verified";
            items.iter().any(|item| of(&item)) && items.iter().filter(of).all(is_done)
        });
        assert!(holds("ada"), "who stays has lost access");
    }
    assert_eq!(pushed.provider(&["list"]), "ada@example.com active\nbo@example.com left\n");
}
