//! Commands against a server that really runs: they say what they say beside the store, and nothing secret.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use leasehold_connect::simulated::Company;
use leasehold_testing::CertificateAuthority;
use leasehold_testing::process::free_port;
use serde_json::Value;

use crate::browser::Served;
use crate::installation::{Installation, Ran};

/// A practice company that was read, with its policy applied, an administrator and a server beside the store.
pub struct Beside {
    pub installation: Installation,
    served: Served,
}

impl Beside {
    pub fn start() -> Self {
        let mut installation = Installation::new();
        let company = Company::generate(5, 80);
        // Nothing is read or closed by itself while a test looks.
        let systems = company.configuration().replace("enforce   = \"enforce\"", "enforce = \"propose\"");
        let configuration = format!("[server]\ninterval = \"24h\"\n\n{systems}");
        installation.write("leasehold.toml", &configuration);
        for (path, text) in company.policy_files() {
            installation.write(&format!("policy/{}", path.trim_start_matches("policy/")), &text);
        }
        let home = installation.path().join("home").display().to_string();
        installation.set("XDG_CONFIG_HOME", &home);
        installation.run(&["sync"]).expect(0);
        installation.run(&["policy", "apply"]).expect(0);
        let served = Served::start(&installation, &["serve", "--listen", "127.0.0.1:0"]);
        installation.run(&["user", "add", "dana@example.com", "--role", "administrator"]).expect(0);
        Self { installation, served }
    }

    pub fn url(&self) -> String {
        self.served.url().to_owned()
    }

    /// Makes a token beside the store, for every later call of the server.
    fn with_token(&mut self, scope: &str) -> String {
        let token = self.installation.run(&["token", "create", "--scope", scope]).expect(0).stdout;
        let token = token.trim().to_owned();
        // What people see on a screen when they make one is no leak.
        self.installation.printed.clear();
        self.installation.set("LEASEHOLD_TOKEN", &token);
        token
    }

    pub fn here(&mut self, arguments: &[&str]) -> Ran {
        self.installation.run(arguments)
    }

    pub fn there(&mut self, arguments: &[&str]) -> Ran {
        let url = self.url();
        self.installation.run(&[arguments, &["--server", &url]].concat())
    }
}

#[test]
fn reading_commands_say_at_a_server_what_they_say_beside_the_store() {
    let mut company = Beside::start();
    let token = company.with_token("read,plan");
    // Whatever the server began with is over once this is.
    let read = company.there(&["sync", "--json"]).expect(0).json();
    assert_eq!(read["summary"]["complete"], read["summary"]["systems"], "{read:#}");
    assert!(
        read["items"]
            .as_array()
            .is_some_and(|items| items.iter().all(|item| item["facts"].as_u64() > Some(0)))
    );

    let drift = company.here(&["drift", "--json"]).expect(2).json();
    let at = drift["summary"]["sources"].as_array().expect("sources").iter();
    let at = at.filter_map(|source| source["observed_at"].as_str()).max().expect("was read").to_owned();
    let items = drift["items"].as_array().expect("items");
    let row = items
        .iter()
        .find(|row| {
            row["identity"].is_string() && row["entitlement"].is_string() && row["account"].is_string()
        })
        .expect("drift of a grant");
    let text = |name: &str| row[name].as_str().expect("text").to_owned();
    let (identity, system) = (text("identity"), text("system"));
    let entitlement = format!("{system}:{}", text("entitlement"));
    let account = format!("{system}:{}", text("account"));
    // Asked for by its login, an account says the same as by its identity; one of nobody is asked for in no other way.
    let orphan = items.iter().find(|row| row["kind"] == "orphan").expect("an orphan");
    let orphan =
        format!("{}:{}", orphan["system"].as_str().expect("text"), orphan["account"].as_str().expect("text"));
    let capabilities = ["connector", "capabilities", &system];
    let questions: Vec<(Vec<&str>, i32)> = vec![
        (vec!["drift"], 2),
        (vec!["drift", "--all"], 2),
        (vec!["drift", "--kind", "leaver"], 2),
        (vec!["drift", "--kind", "leaver", "--kind", "orphan", "--system", &system], 2),
        (vec!["drift", "--identity", &identity], 2),
        (vec!["drift", "--at", &at], 2),
        (vec!["drift", "--kind", "unknown_system"], 0),
        (vec!["explain", &identity, "--at", &at], 2),
        (vec!["explain", &identity, &entitlement, "--at", &at], 2),
        (vec!["explain", &account, "--at", &at], 2),
        (vec!["explain", &orphan, "--at", &at], 0),
        (vec!["who", &entitlement, "--at", &at], 0),
        (vec!["plan"], 2),
        (vec!["plan", "--identity", &identity, "--all"], 2),
        (vec!["plan", "--kind", "unknown_system"], 0),
        (vec!["action", "list"], 0),
        (vec!["baseline", "list"], 0),
        (vec!["policy", "check"], 0),
        (vec!["policy", "diff"], 0),
        (vec!["connector", "list"], 0),
        (vec!["connector", "capabilities"], 0),
        (vec!["connector", "capabilities", "ldap"], 0),
        (capabilities.to_vec(), 0),
        (vec!["user", "list"], 0),
        (vec!["ledger", "key"], 0),
    ];
    for (question, code) in questions {
        for form in [&[][..], &["--json"]] {
            let question = [&question, form].concat();
            let (here, there) = (company.here(&question), company.there(&question));
            assert_eq!((here.code, there.code), (code, code), "{question:?}: {here:#?} {there:#?}");
            if form.is_empty() {
                assert_eq!(here.stdout, there.stdout, "{question:?}");
            } else {
                assert_eq!(here.json(), there.json(), "{question:?}");
            }
        }
    }
    // And with a policy that says something else, and one with a mistake.
    company.installation.write(
        "policy/more.toml",
        "[role.everybody]\nowner = \"nobody@example.com\"\nmembers = 'true'\ngrants = []\n",
    );
    for question in [&["policy", "check", "--json"][..], &["policy", "diff", "--json"], &["policy", "check"]]
    {
        let (here, there) = (company.here(question), company.there(question));
        assert_eq!(
            (here.code, here.stdout, here.stderr),
            (there.code, there.stdout, there.stderr),
            "{question:?}"
        );
    }
    company
        .installation
        .write("policy/more.toml", "[role.everybody]\nmembers = 'principal.department = \"x\"'\n");
    for question in [&["policy", "check"][..], &["policy", "diff"]] {
        let (here, there) = (company.here(question).expect(1), company.there(question).expect(1));
        assert_eq!((&here.stdout, &here.stderr), (&there.stdout, &there.stderr), "{question:?}");
        assert!(there.stderr.contains("more.toml:"), "{}", there.stderr);
    }
    assert!(!company.installation.printed.contains(&token), "the token was printed");

    company.with_token("admin");
    // A token notes that it is used: all but that is the same.
    let tokens = |ran: Ran| {
        let mut list = ran.expect(0).json();
        let items = list["items"].as_array_mut().expect("items");
        items.iter_mut().for_each(|item| item["last_used_at"] = Value::Null);
        list
    };
    let (here, there) =
        (company.here(&["token", "list", "--json"]), company.there(&["token", "list", "--json"]));
    assert_eq!(tokens(here), tokens(there));
}

#[test]
fn a_plan_is_applied_at_a_server_and_ends_verified_and_proved() {
    let mut company = Beside::start();
    company.with_token("admin");
    company.there(&["sync"]).expect(0);
    let plan = company.there(&["plan", "--out", "plan.json", "--json"]).expect(2).json();
    let planned = plan["items"].as_array().map(Vec::len).expect("items");
    assert!(planned > 5, "{plan:#}");
    let applied = company.there(&["apply", "plan.json", "--json"]).expect(0).json();
    assert_eq!(applied["summary"]["verified"], planned, "{:#}", applied["summary"]);
    assert_eq!(applied["guards"], plan["guards"]);
    let here = company.here(&["action", "list", "--json"]).expect(0).json();
    assert_eq!(here["items"], applied["items"], "the receipts are those beside the store");
    let again = company.there(&["apply"]).expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);

    // The proof of an action, checked with nothing but the key that was fetched by another call.
    let action = applied["items"][0]["id"].as_str().expect("an action");
    let key = company.there(&["ledger", "key"]).expect(0).stdout.trim().to_owned();
    company.there(&["ledger", "prove", "--action", action, "--out", "proof.json", "--json"]).expect(0);
    let proved =
        company.here(&["ledger", "verify", "--bundle", "proof.json", "--key", &key, "--json"]).expect(0);
    let steps: Vec<String> = proved.json()["items"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|row| row["entry"]["body"]["to"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(steps.first().map(String::as_str), Some("approved"), "{steps:?}");
    assert_eq!(steps.last().map(String::as_str), Some("verified"), "{steps:?}");
    company.there(&["ledger", "checkpoint", "--out", "kept"]).expect(0);
    company.there(&["user", "add", "lee@example.com", "--name", "Lee"]).expect(0);
    let verified =
        company.there(&["ledger", "verify", "--since", "kept", "--key", &key, "--json"]).expect(0).json();
    assert_eq!(verified["items"], Value::Array(Vec::new()), "{verified:#}");
    assert!(verified["summary"]["entries_by_kind"]["action.transition"].as_u64() >= Some(planned as u64));
    let size = |path: &str| {
        let text = std::fs::read_to_string(company.installation.path().join(path)).expect("a checkpoint");
        text.lines().nth(1).and_then(|line| line.parse::<u64>().ok()).expect("a size")
    };
    assert_eq!(verified["summary"]["since"]["size"], size("kept"));
    // A checkpoint of other entries is found out, with another key than the log's too.
    let kept = std::fs::read_to_string(company.installation.path().join("kept")).expect("a checkpoint");
    let forged: Vec<&str> =
        kept.lines().enumerate().map(|(at, line)| if at == 1 { "3" } else { line }).collect();
    company.installation.write("forged", &format!("{}\n", forged.join("\n")));
    let found = company.there(&["ledger", "verify", "--since", "forged"]).expect(1);
    assert!(found.stdout.contains("kept checkpoint"), "{found:#?}");

    // Claims: a baseline and the policy.
    let system = plan["items"][0]["system"].as_str().expect("a system");
    let adopted =
        company.there(&["baseline", "adopt", system, "--until", "2099-01-01", "--json"]).expect(0).json();
    assert_eq!(adopted["items"][0]["owner"], "dana@example.com");
    let pair = (
        company.here(&["baseline", "list", "--json"]).json(),
        company.there(&["baseline", "list", "--json"]).json(),
    );
    assert_eq!(pair.0, pair.1);
    assert_eq!(pair.0["items"][0]["state"], "in force");
    company.there(&["baseline", "end", system]).expect(0);
    let live = company.there(&["policy", "apply", "--json"]).expect(0).json();
    assert_eq!((&live["revision"], &live["changed"]), (&Value::from(1), &Value::from(false)));
    company.installation.write("policy/more.toml", "[exception.lee]\nidentity = \"nobody@example.com\"\n");
    company.there(&["policy", "apply"]).expect(1);
    let users = company.there(&["user", "list", "--json"]).expect(0).json();
    assert_eq!(users["summary"]["total"], 2);
    let link = company.there(&["user", "link", "LEE@example.com"]).expect(0).stdout;
    assert!(link.starts_with(&format!("{}/link?token=", company.url())), "{link}");

    // A token that a token made, which ends at once when it is revoked.
    let made = company.there(&["token", "create", "--scope", "read", "--json"]).expect(0).json();
    let id = made["items"][0]["id"].as_str().expect("an id");
    company.there(&["token", "revoke", id]).expect(0);
    company.installation.set("LEASEHOLD_TOKEN", made["items"][0]["token"].as_str().expect("a token"));
    let refused = company.there(&["drift"]).expect(1);
    assert!(refused.stderr.contains("unknown to it, expired or revoked"), "{}", refused.stderr);
}

#[test]
fn an_offboarding_at_a_server_ends_with_a_receipt_that_is_checked_elsewhere() {
    let mut company = Beside::start();
    company.with_token("admin");
    let drift = company.here(&["drift", "--json"]).expect(2).json();
    let items = drift["items"].as_array().expect("items");
    let leaves = items.iter().find(|item| item["kind"] == "unjustified" && item["identity"].is_string());
    let whom = leaves.expect("somebody who is here")["identity"].as_str().expect("a key").to_owned();
    let done =
        company.there(&["offboard", &whom, "--yes", "--json", "--out", "receipt.json"]).expect(0).json();
    let (items, receipt) = (done["items"].as_array().expect("items"), &done["receipt"]);
    assert!(!items.is_empty() && receipt == "receipt.json", "{done:#}");
    assert!(items.iter().all(|item| item["state"] == "verified" || item["state"] == "void"), "{done:#}");
    assert_eq!(done["decided_by"], "dana@example.com");
    assert!(done["left_alone"].is_array() && done["guards"].is_array(), "{done:#}");

    // The server wrote one by itself, too, and whoever asks later gets another that says the same.
    let again = company.there(&["receipt", &whom, "--json", "--out", "again.json"]).expect(0).json();
    let beside = company.here(&["receipt", &whom, "--json", "--out", "beside.json"]).expect(0).json();
    assert_eq!((&again["items"], &beside["items"]), (&done["items"], &done["items"]));
    let twice = company.there(&["receipt", &whom, "--out", "again.json"]).expect(1);
    assert!(twice.stderr.contains("is there already"), "{}", twice.stderr);
    // However many are written within a second, each has a file of its own.
    let named =
        (0..3).map(|_| company.here(&["receipt", &whom, "--json"]).expect(0).json()["receipt"].to_string());
    assert_eq!(named.collect::<std::collections::BTreeSet<_>>().len(), 3);
    let key = company.here(&["ledger", "key"]).expect(0).stdout.trim().to_owned();
    for file in ["receipt.json", "again.json", "beside.json"] {
        let verify = ["ledger", "verify", "--bundle", file, "--key", &key];
        let verified = company.here(&verify).expect(0);
        assert!(verified.stdout.contains(&format!("offboarding of {whom}")), "{}", verified.stdout);
    }
    let nobody = company.there(&["receipt", "nobody@example.com"]).expect(1);
    assert!(nobody.stderr.contains("is not there"), "{}", nobody.stderr);
    let here = somebody_else(&drift, &whom);
    for refused in [company.there(&["receipt", &here]), company.here(&["receipt", &here])] {
        assert!(refused.expect(1).stderr.contains("has not left"), "{here}");
    }
}

/// Somebody else who is here.
fn somebody_else(drift: &Value, whom: &str) -> String {
    let items = drift["items"].as_array().expect("items").iter();
    let others = items.filter(|item| item["kind"] == "unjustified" && item["identity"] != whom);
    others.filter_map(|item| item["identity"].as_str()).next().expect("somebody else").to_owned()
}

#[test]
fn what_cannot_be_done_at_a_server_is_said_with_the_way_on() {
    let mut installation = Installation::new();
    installation.set("LEASEHOLD_TOKEN", "lh_nobody");
    let home = installation.path().join("home").display().to_string();
    installation.set("XDG_CONFIG_HOME", &home);
    // Something that listens and is no server of ours.
    let other = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = format!("http://{}", other.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for connection in other.incoming().map_while(Result::ok) {
            let mut connection = BufReader::new(connection);
            let mut line = String::new();
            while connection.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
                line.clear();
            }
            let _ = connection
                .get_mut()
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        }
    });
    let closed = format!("http://127.0.0.1:{}", free_port());
    let secure = "https://leasehold.example.com";
    for (arguments, wanted) in [
        (&["drift", "--server", "leasehold"][..], "not the address of a server"),
        (&["drift", "--server", "http://leasehold.example.com"], "in clear text"),
        (&["drift", "--server", "http://leasehold.example.com"], "--allow-plain-http"),
        (&["drift", "--server", &closed], "check the address, and that the server runs"),
        (&["drift", "--server", &address], "not as a Leasehold server does"),
        (
            &["drift", "--server", secure, "--server-ca", "none.pem"],
            "cannot use the certificates in none.pem",
        ),
        (&["init", "--server", secure], "`leasehold init` does not work against a server"),
        (&["demo", "--server", secure], "`leasehold demo` does not work against a server"),
        (&["serve", "--server", secure], "`leasehold serve` does not work against a server"),
        (&["connector", "test", "--server", secure], "on the machine that has the store"),
        (&["connector", "contract", "erp", "--server", secure], "on the machine that has the store"),
        (&["user", "link", "dana@example.com", "--sign-in", "--server", secure], "run them there"),
        (
            &["token", "create", "--scope", "read", "--user", "a@example.com", "--server", secure],
            "leave it out",
        ),
        (&["apply", "--tries", "3", "--server", secure], "leave --tries out"),
        (&["who", "erp:role/x", "--all-paths", "--server", secure], "`path_steps` of --json"),
        (&["login"], "name the server with --server"),
        (&["logout", "--server", secure], "you are not signed in"),
    ] {
        let refused = installation.run(arguments).expect(1);
        assert!(refused.stderr.contains(wanted), "{arguments:?}: {}", refused.stderr);
        assert_eq!(refused.stdout, "", "{arguments:?}");
    }
    assert!(!installation.printed.contains("lh_nobody"), "the token was printed");
}

#[test]
fn a_server_with_a_certificate_of_its_own_authority_is_known_by_it() {
    let mut installation = Installation::new();
    let authority = CertificateAuthority::create(&installation.path().join("authority"));
    let certificate = authority.issue("leasehold", &[]);
    let port = free_port();
    installation.write(
        "leasehold.toml",
        &format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\nurl = \"https://localhost:{port}\"\ntls_certificate = \"{}\"\ntls_key = \"{}\"\n",
            certificate.certificate.display(),
            certificate.key.display()
        ),
    );
    let served = Served::start(&installation, &["serve"]);
    installation.run(&["user", "add", "dana@example.com", "--role", "administrator"]).expect(0);
    let token = installation.run(&["token", "create", "--scope", "read"]).expect(0).stdout;
    installation.set("LEASEHOLD_TOKEN", token.trim());
    let ca = authority.certificate().display().to_string();
    let url = format!("https://localhost:{port}");
    assert_eq!(served.url(), url);
    let list =
        installation.run(&["user", "list", "--json", "--server", &url, "--server-ca", &ca]).expect(0).json();
    assert_eq!(list["summary"]["total"], 1);
    let refused = installation.run(&["user", "list", "--server", &url]).expect(1);
    assert!(refused.stderr.contains("--server-ca FILE"), "{}", refused.stderr);
}
