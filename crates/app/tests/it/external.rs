//! A system that is connected by a program of one's own: the worked example, on a web server's real files, through the whole
//! loop and the contract suite. What is true is asked of `htpasswd` and read from the files.

use std::process::Command;

use leasehold_testing::programs::require;
use serde_json::Value;

use crate::installation::Installation;

const PEOPLE: &str = "\
email,department,status,end_date
ann@example.com,Docs,active,
ben@example.com,Docs,left,2026-01-31
cora@example.com,Docs,active,
";

const POLICY: &str = r#"
[role.docs]
owner   = "ann@example.com"
members = 'principal.kind == "person" && principal.department == "Docs"'
grants  = ["wiki:group/staff"]
"#;

const CAPABILITIES: &str = r#"["enumerate", "prove_completeness", "read_back", "grant", "revoke", "create_account", "disable_account", "enable_account", "delete_account", "issue_credential"]"#;

/// A wiki where Ben, who has left, is in two groups, one of them by two lines.
struct Wiki {
    installation: Installation,
}

impl Wiki {
    fn new() -> Self {
        let installation = Installation::new();
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/external-connector/htpasswd.py");
        installation.write("htpasswd.py", &std::fs::read_to_string(example).expect("the example"));
        installation.write("people.csv", PEOPLE);
        installation.write("policy/all.toml", POLICY);
        installation.write("groups", "staff: ann ben cora\neditors: ben\neditors: ben\n");
        installation.write("users", "");
        let wiki = Self { installation };
        for login in ["ann", "ben", "cora"] {
            assert!(wiki.htpasswd("-b", login), "{login} gets a password");
        }
        wiki.configure("htpasswd.py", CAPABILITIES);
        wiki
    }

    fn configure(&self, program: &str, capabilities: &str) {
        let text = format!(
            "[system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\nauthoritative = true\nkey = \"email\"\n\n\
             [system.wiki]\nconnector = \"external\"\ncommand = [\"/usr/bin/python3\", \"{program}\"]\n\
             capabilities = {capabilities}\nsettings = {{ users = \"users\", groups = \"groups\" }}\n\
             secrets = {{ password = \"env:WIKI_PASSWORD\" }}\ncorrelate = [\"login = email.local\"]\n\n\
             [system.elsewhere]\nconnector = \"external\"\ncommand = [\"/usr/bin/python3\", \"{program}\"]\n\
             capabilities = {capabilities}\nsettings = {{ users = \"nowhere/users\", groups = \"nowhere/groups\" }}\n"
        );
        self.installation.write("leasehold.toml", &text);
    }

    fn htpasswd(&self, option: &str, login: &str) -> bool {
        let mut command = Command::new(require("htpasswd", "apache2-utils"));
        command
            .args([option, "users", login, &format!("{login}-password")])
            .current_dir(self.installation.path());
        command.output().expect("run htpasswd").status.success()
    }

    /// Whether the web server lets somebody in.
    fn lets_in(&self, login: &str) -> bool {
        self.htpasswd("-vb", login)
    }
}

#[test]
fn a_leaver_of_a_system_of_ones_own_is_observed_ended_and_verified() {
    let mut wiki = Wiki::new();
    wiki.installation.set("WIKI_PASSWORD", "planted-9d41-wiki-secret");
    let run = |wiki: &mut Wiki, arguments: &[&str], code| wiki.installation.run(arguments).expect(code);
    assert!(wiki.lets_in("ben") && wiki.lets_in("ann"));
    let others = |wiki: &Wiki| {
        let users = wiki.installation.read("users");
        let others: Vec<String> =
            users.lines().filter(|line| !line.starts_with("ben:")).map(str::to_owned).collect();
        others
    };
    let before = others(&wiki);

    let synced = run(&mut wiki, &["sync", "hr", "wiki", "--json"], 0).json();
    let read = synced["items"].as_array().expect("items").iter().find(|item| item["system"] == "wiki");
    assert_eq!(read.expect("the wiki")["completeness"], "complete", "{synced:#}");
    run(&mut wiki, &["policy", "apply"], 0);
    let drift = run(&mut wiki, &["drift", "--identity", "ben@example.com", "--json"], 2).json();
    assert!(drift["summary"]["by_kind"]["leaver"].as_u64() >= Some(3), "{drift:#}");
    run(&mut wiki, &["plan"], 2);
    let applied = run(&mut wiki, &["apply", "--json"], 0).json();
    let items = applied["items"].as_array().expect("items").clone();
    let verbs = |verb: &str| items.iter().filter(|item| item["verb"] == verb).count();
    assert_eq!((verbs("disable_account"), verbs("revoke"), items.len()), (1, 2, 3), "{applied:#}");
    assert!(items.iter().all(|item| item["state"] == "verified"), "{applied:#}");

    assert!(!wiki.lets_in("ben"), "the web server lets nobody in whose account was disabled");
    assert_eq!(wiki.installation.read("groups"), "staff: ann cora\neditors: \neditors: \n");
    assert_eq!(others(&wiki), before);
    assert!(wiki.lets_in("ann") && wiki.lets_in("cora"));
    run(&mut wiki, &["sync", "wiki"], 0);
    let left = run(&mut wiki, &["drift", "--identity", "ben@example.com", "--json"], 0).json();
    assert_eq!(left["summary"]["by_kind"]["leaver"], Value::Null, "{left:#}");

    // A program that dies has said nothing about what is gone.
    wiki.installation.write("dies.py", "import sys\nsys.exit('no disk')\n");
    wiki.configure("dies.py", CAPABILITIES);
    let failed = run(&mut wiki, &["sync", "wiki"], 1);
    assert!(failed.stderr.contains("its last words: no disk"), "{}", failed.stderr);
    let known = run(&mut wiki, &["who", "wiki:group/staff", "--json"], 0).json();
    assert_eq!(known["items"].as_array().map(Vec::len), Some(2), "{known:#}");
    assert!(!wiki.installation.printed.contains("planted-9d41-wiki-secret"));
}

#[test]
fn the_contract_of_a_system_is_checked_and_only_what_is_named_is_changed() {
    let mut wiki = Wiki::new();
    wiki.installation.set("WIKI_PASSWORD", "planted-9d41-wiki-secret");
    let files = |wiki: &Wiki| (wiki.installation.read("users"), wiki.installation.read("groups"));
    let before = files(&wiki);
    let outcome = |results: &Value, check: &str| {
        let items = results["items"].as_array().expect("items");
        let item = items
            .iter()
            .find(|item| item["check"] == check)
            .unwrap_or_else(|| panic!("{check}: {results:#}"));
        item["outcome"].as_str().expect("an outcome").to_owned()
    };
    let revoked = "a revoked grant is read as gone and stays gone";
    let made = "an account is made and deleted";
    let issued = "an issued credential is another one each time and lets in";
    let out_of_reach = "an unreachable target is an error and never an absence";

    let reading = wiki.installation.run(&["connector", "contract", "wiki", "--json"]).expect(0).json();
    assert_eq!(reading["summary"]["failed"], 0);
    for check in [revoked, made, issued, out_of_reach] {
        assert_eq!(outcome(&reading, check), "does_not_apply");
    }
    assert_eq!(files(&wiki), before, "nothing was named, so nothing was changed");

    let named = [
        "connector",
        "contract",
        "wiki",
        "--account",
        "ben",
        "--entitlement",
        "group/editors",
        "--new-login",
        "dora",
        "--issue-to",
        "cora",
        "--out-of-reach",
        "elsewhere",
    ];
    let all = wiki.installation.run(&[&named[..], &["--json"]].concat()).expect(0).json();
    for check in [revoked, made, issued, out_of_reach, "nothing else has changed", "no secret is told"] {
        assert_eq!(outcome(&all, check), "held", "{check}");
    }
    assert!(wiki.lets_in("ben"), "the account was disabled and enabled again");
    assert!(
        wiki.lets_in("ann") && !wiki.lets_in("cora"),
        "Cora's password is another one now, and nobody else's"
    );
    let table = wiki.installation.run(&named).expect(0);
    assert!(table.stdout.contains(revoked) && table.stdout.contains("held"), "{}", table.stdout);

    // A program that says that it did something, and did not, does not get through.
    let program = wiki.installation.read("htpasswd.py");
    let lying = program.replace("os.replace(new, self.path)", "os.unlink(new)");
    assert_ne!(program, lying);
    wiki.installation.write("lying.py", &lying);
    wiki.configure("lying.py", CAPABILITIES);
    let lies = wiki.installation.run(&[&named[..], &["--settle-ms-max", "200"]].concat()).expect(1);
    assert!(lies.stdout.contains("failed") && lies.stderr.contains("failed"), "{lies:#?}");

    for (arguments, words) in [
        (&["nowhere"][..], "there is no system `nowhere`"),
        (
            &["wiki", "--account", "zoe", "--entitlement", "group/editors"],
            "there is no account `zoe` in wiki",
        ),
        (
            &["wiki", "--account", "ben", "--entitlement", "group/none"],
            "there is no entitlement `group/none`",
        ),
        (&["wiki", "--credential", "k-1"], "there is no credential `k-1`"),
    ] {
        let refused = wiki.installation.run(&[&["connector", "contract"][..], arguments].concat()).expect(1);
        assert!(refused.stderr.contains(words), "{arguments:?}: {}", refused.stderr);
    }
    wiki.configure("htpasswd.py", "[\"enumerate\", \"last_use\"]");
    let refused = wiki.installation.run(&["connector", "test", "wiki"]).expect(1);
    assert!(
        refused.stdout.contains("names `last_use`, which the program does not offer"),
        "{}",
        refused.stdout
    );
    assert!(!wiki.installation.printed.contains("planted-9d41-wiki-secret"));
}
