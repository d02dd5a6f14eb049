//! The server in a real browser: every page that links lead to, and what people do there.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use leasehold_testing::{PostgresServer, browser};

use crate::installation::Installation;

/// A server in the background, with what it printed first.
pub struct Served {
    child: Child,
    link: String,
}

impl Served {
    /// Starts a command that prints a link, and waits for that.
    pub fn start(installation: &Installation, arguments: &[&str]) -> Self {
        let mut child = installation
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("run leasehold");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let (sender, receiver) = std::sync::mpsc::channel();
        // Goes on reading, so that the server never waits for a reader.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let link = line.trim();
                if link.starts_with("http") && link.contains("/link?token=") {
                    let _ = sender.send(link.to_owned());
                }
            }
        });
        let link = receiver.recv().expect("a link");
        Self { child, link }
    }

    /// The link that it printed.
    pub fn first(&self) -> &str {
        &self.link
    }

    /// The address of the server.
    pub fn url(&self) -> &str {
        self.link.split("/link").next().expect("an address")
    }

    /// SIGTERM, after which it publishes what is recorded and ends: what comes after may read a whole log.
    pub fn stop(mut self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.expect("run kill").success());
        let ended = self.child.wait().expect("the server's end");
        assert!(ended.success(), "the server ended with {ended}");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser").join(name)
}

#[test]
fn every_page_that_links_lead_to_is_accessible_and_fits_every_screen() {
    let installation = Installation::new();
    let demo = ["demo", "--seed", "11", "--people", "60", "--listen", "127.0.0.1:0", "--pace", "0"];
    let served = Served::start(&installation, &demo);
    let told = [("LEASEHOLD_URL", served.url()), ("LEASEHOLD_FIRST", served.link.as_str())];
    let visited = browser::run(&script("crawl.mjs"), &told);
    let visited: serde_json::Value = serde_json::from_str(visited.trim()).expect("what was visited");
    println!("{visited:#}");
    assert!(visited["home"].is_number(), "{visited:#}");
}

const PEOPLE: &str = "\
email,title,department,manager,status
ravi@example.com,Head of Payments,Management,,active
dana@example.com,Payments Engineer,Payments,ravi@example.com,active
lee@example.com,Payments Engineer,Payments,ravi@example.com,left
mia@example.com,Account Executive,Sales,ravi@example.com,active
";

const DATABASE_PASSWORD: &str = "planted-77ab-database-secret";

const POLICY: &str = r#"
[role.payments-engineer]
owner   = "ravi@example.com"
members = 'principal.department == "Payments"'
grants  = ["database:role/payments_rw"]

[protect.servers]
accounts = ["database:postgres"]
why      = "the server's own administrator"
"#;

#[test]
fn a_first_administrator_closes_drift_in_a_real_database_and_offboards_somebody() {
    let database = PostgresServer::start();
    database.sql(
        "create role leasehold login createrole password 'planted-77ab-database-secret';
         grant pg_signal_backend, pg_read_all_stats to leasehold;
         create role payments_rw nologin;
         create role dana login password 'dana-secret';
         create role lee login password 'lee-secret';
         create role mia login password 'mia-secret';
         grant payments_rw to dana, lee, mia;",
    );
    let mut installation = Installation::new();
    installation.write("people.csv", PEOPLE);
    installation.write(
        "leasehold.toml",
        "# Ours.\n[server]\ninterval = \"1h\"\n\n\
         [system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\nauthoritative = true\nkey = \"email\"\n",
    );
    let served = Served::start(&installation, &["serve", "--listen", "127.0.0.1:0"]);
    browser::run(
        &script("walk.mjs"),
        &[
            ("LEASEHOLD_URL", served.url()),
            ("LEASEHOLD_FIRST", served.link.as_str()),
            ("LEASEHOLD_DATABASE", database.url("leasehold", "postgres").as_str()),
            ("LEASEHOLD_DATABASE_PASSWORD", DATABASE_PASSWORD),
            ("LEASEHOLD_POLICY", POLICY),
        ],
    );
    let configuration = installation.read("leasehold.toml");
    assert!(configuration.starts_with("# Ours.\n[server]"), "{configuration}");
    assert!(configuration.contains("[system.database]"), "{configuration}");
    assert!(!configuration.contains(DATABASE_PASSWORD), "a secret stands in the configuration");
    let member = |user: &str| database.sql(&format!("select pg_has_role('{user}', 'payments_rw', 'member')"));
    let enters =
        |user: &str| database.sql_as(user, &format!("{user}-secret"), "postgres", "select 1").is_ok();
    for (user, keeps, may_enter) in [("lee", "f", false), ("mia", "f", true), ("dana", "f", false)] {
        assert_eq!((member(user).as_str(), enters(user)), (keeps, may_enter), "{user}");
    }
    served.stop();
    installation.run(&["ledger", "verify"]).expect(0);
    // Commands find the system that was connected in the server.
    let tested = installation.run(&["connector", "test", "database", "--json"]).expect(0).json();
    assert_eq!(tested["items"][0]["reached"], true, "{tested:#}");
    assert!(!installation.printed.contains(DATABASE_PASSWORD), "a secret was printed");
}
