//! A people feed from a real JSON API, and its signed notices: who was dismissed there loses their access at once, and a notice
//! that is not signed does nothing.

use std::time::{Duration, Instant};

use leasehold_testing::webhook::send_signed;
use leasehold_testing::{PostgresServer, RestServer};
use serde_json::json;

use crate::browser::Served;
use crate::installation::Installation;

const DATABASE_PASSWORD: &str = "planted-77d1-database-secret";
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_SECRET: &str = "whsec_HxweHRobGBkWFxQVEhMQEQ4PDA0KCwgJBgcEBQIDAAE=";

/// Long enough for a slow machine. Nothing waits for it unless something is lost.
const LIMIT: Duration = Duration::from_secs(240);

const CONFIGURATION: &str = r#"
[server]
interval = "1d"

[system.database]
connector = "postgres"
password  = "env:DATABASE_PASSWORD"
sslmode   = "disable"
correlate = ["login = email.local"]
enforce   = "enforce"
"#;

/// One of three leaves at once here, which a guard would rightly hold.
const POLICY: &str = r#"
[guard.database]
share_max = 1.0
count_min = 100000

[guard.hr]
share_max = 1.0
count_min = 100000

[protect.server]
accounts = ["database:postgres"]
why      = "the server's own administrator"

[role.analyst]
owner   = "ada@example.com"
members = 'principal.department == "Data"'
grants  = ["database:role/analysts"]
"#;

fn configuration(feed: &RestServer, database: &PostgresServer) -> String {
    format!(
        "{CONFIGURATION}url = \"{}\"\n
[system.hr]
connector      = \"rest\"
authoritative  = true
url            = \"{}\"
token          = \"file:{}\"
total          = \"header:X-Total-Count\"
statuses       = {{ dismissed = \"left\" }}
webhook_secret = \"env:HR_WEBHOOK_SECRET\"\n",
        database.url("leasehold", "postgres"),
        feed.url("people?_page=1&_limit=2"),
        feed.token_file().display()
    )
}

/// Waits until the database itself shows something.
fn until(database: &PostgresServer, sql: &str) {
    let begun = Instant::now();
    while database.sql(sql).trim() != "t" {
        assert!(begun.elapsed() < LIMIT, "{sql}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_signed_notice_of_the_feed_ends_the_access_of_who_was_dismissed() {
    let database = PostgresServer::start();
    database.sql(&format!(
        "create role leasehold login superuser password '{DATABASE_PASSWORD}';
         create role ada login password 'secret'; create role ben login password 'secret';
         create role cyd login password 'secret';
         create role analysts; grant analysts to ada, ben, cyd;"
    ));
    let person = |id: u64, name: &str| json!({"id": id, "email": format!("{name}@example.com"), "department": "Data", "status": "active"});
    let feed = RestServer::start(&json!([person(1, "ada"), person(2, "ben"), person(3, "cyd")]));
    let mut installation = Installation::new();
    installation.set("DATABASE_PASSWORD", DATABASE_PASSWORD);
    installation.set("HR_WEBHOOK_SECRET", SECRET);
    installation.write("leasehold.toml", &configuration(&feed, &database));
    installation.write("policy/all.toml", POLICY);
    installation.run(&["policy", "apply"]).expect(0);
    installation.run(&["sync"]).expect(0);
    let served = Served::start(&installation, &["serve", "--listen", "127.0.0.1:0"]);
    let notices = |system: &str| format!("{}/api/v1/systems/{system}/notices", served.url());

    feed.change(2, &json!({"status": "dismissed"}));
    let body = r#"{"type": "employee.dismissed"}"#;
    for (system, secret) in [("hr", OTHER_SECRET), ("database", SECRET), ("nowhere", SECRET)] {
        let (status, answer) = send_signed(&notices(system), secret, body);
        assert_eq!(status, 401, "{system}: {answer}");
        assert!(answer.contains("bad-signature"), "{answer}");
    }
    let (status, answer) = send_signed(&notices("hr"), SECRET, body);
    assert_eq!(status, 202, "{answer}");
    until(&database, "select not rolcanlogin from pg_roles where rolname = 'ben'");
    until(&database, "select not pg_has_role('ben', 'analysts', 'member')");
    let others = "select bool_and(rolcanlogin and pg_has_role(rolname, 'analysts', 'member')) from pg_roles
                  where rolname in ('ada', 'cyd')";
    assert_eq!(database.sql(others).trim(), "t");
    served.stop();
    installation.run(&["ledger", "verify"]).expect(0);
    assert!(!installation.printed.contains(SECRET));
}

#[test]
fn a_webhook_secret_that_is_none_is_refused_with_its_place() {
    for (secret, expected) in [
        ("webhook_secret = \"whsec_planted\"", "a reference to a secret is wanted here"),
        ("webhook_secret = \"env:HR_WEBHOOK_SECRET\"", "does not begin with `whsec_`"),
        ("webhook_secret = \"env:NO_SUCH_VARIABLE\"", "cannot read env:NO_SUCH_VARIABLE"),
    ] {
        let mut installation = Installation::new();
        installation.set("HR_WEBHOOK_SECRET", "planted-no-secret");
        installation.write("people.csv", "email\nada@example.com\n");
        installation.write(
            "leasehold.toml",
            &format!(
                "[system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\nauthoritative = true\n{secret}\n"
            ),
        );
        // Only a server takes notices, and no other command needs the secret.
        installation.run(&["sync"]).expect(0);
        let refused = installation.run(&["serve", "--listen", "127.0.0.1:0"]).expect(1);
        assert!(
            refused.stderr.contains(expected) && refused.stderr.contains("leasehold.toml:5"),
            "{}",
            refused.stderr
        );
        assert!(!installation.printed.contains("planted"), "{}", installation.printed);
    }
}
