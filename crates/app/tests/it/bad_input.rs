//! Bad input: a clear error that names the place and the next step, exit code 1, and nothing changed.

use crate::installation::Installation;

/// What is wrong, and what the message must name.
struct Case {
    what: &'static str,
    files: &'static [(&'static str, &'static str)],
    command: &'static [&'static str],
    names: &'static [&'static str],
}

const PEOPLE: &str = "email,status\ndana@example.com,active\n";
const GRANTS: &str = "account,entitlement\ndana,role/admin\n";
const CONFIGURATION: &str = "[system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\nauthoritative = true\nkey = \"email\"\n\n\
                             [system.crm]\nconnector = \"csv\"\ngrants = \"grants.csv\"\ncorrelate = [\"login = email.local\"]\n";

const CASES: &[Case] = &[
    Case {
        what: "no configuration",
        files: &[],
        command: &["drift"],
        names: &["leasehold.toml", "leasehold init"],
    },
    Case {
        what: "configuration that is no TOML",
        files: &[("leasehold.toml", "[system.hr\n")],
        command: &["drift"],
        names: &["leasehold.toml:1"],
    },
    Case {
        what: "unknown setting",
        files: &[(
            "leasehold.toml",
            "[system.hr]\nconnector = \"csv\"\npaht = \"people.csv\"\nauthoritative = true\n",
        )],
        command: &["sync"],
        names: &["leasehold.toml"],
    },
    Case {
        what: "a plan that would be written over something else",
        files: &[("leasehold.toml", CONFIGURATION), ("people.csv", PEOPLE), ("grants.csv", GRANTS)],
        command: &["plan", "--out", "people.csv"],
        names: &["people.csv", "is no plan", "--out"],
    },
    Case {
        what: "a password in an address",
        files: &[],
        command: &["init", "--postgres", "postgres://leasehold:hunter2@localhost/app"],
        names: &["--postgres", "password", "environment variable"],
    },
    Case {
        what: "an address of another database",
        files: &[],
        command: &["init", "--postgres", "mysql://leasehold@localhost/app"],
        names: &["--postgres", "mysql://", "postgres://"],
    },
    Case {
        what: "a people feed that is not there",
        files: &[],
        command: &["init", "--people", "poeple.csv"],
        names: &["--people", "poeple.csv", "leave it out"],
    },
    Case {
        what: "unknown connector",
        files: &[("leasehold.toml", "[system.hr]\nconnector = \"cvs\"\n")],
        command: &["sync"],
        names: &["leasehold.toml:2:13", "did you mean `csv`"],
    },
    Case {
        what: "secret in clear text",
        files: &[(
            "leasehold.toml",
            "[system.db]\nconnector = \"postgres\"\nurl = \"postgres://a@localhost/b\"\npassword = \"hunter2\"\n",
        )],
        command: &["sync"],
        names: &["leasehold.toml:4", "env:NAME"],
    },
    Case {
        what: "an authority policy about an attribute that nobody has",
        files: &[
            ("leasehold.toml", "[server]\nauthority = \"authority\"\n"),
            (
                "authority/desk.cedar",
                "permit (principal, action, resource)\nwhen { principal.nmae == \"dana@example.com\" };\n",
            ),
        ],
        command: &["serve"],
        names: &["authority/desk.cedar:2", "nmae", "docs/authority.md"],
    },
    Case {
        what: "authority policies that are not there",
        files: &[("leasehold.toml", "[server]\nauthority = \"authority.cedar\"\n")],
        command: &["serve"],
        names: &["authority.cedar", "[server]"],
    },
    Case {
        what: "an address that nobody can listen on",
        files: &[("leasehold.toml", "[server]\nlisten = \"8420\"\n")],
        command: &["serve"],
        names: &["leasehold.toml:2:10", "127.0.0.1:8420"],
    },
    Case {
        what: "an unknown setting of the server",
        files: &[("leasehold.toml", "[server]\nlisen = \"127.0.0.1:0\"\n")],
        command: &["serve"],
        names: &["leasehold.toml:2", "did you mean `listen`"],
    },
    Case {
        what: "a public address with a path",
        files: &[("leasehold.toml", "[server]\nurl = \"https://example.com/leasehold\"\n")],
        command: &["serve"],
        names: &["leasehold.toml:2:7", "https://leasehold.example.com"],
    },
    Case {
        what: "a certificate without its key",
        files: &[("leasehold.toml", "[server]\ntls_certificate = \"tls.pem\"\n")],
        command: &["serve"],
        names: &["leasehold.toml:2:19", "`tls_key`"],
    },
    Case {
        what: "a certificate that is not there",
        files: &[(
            "leasehold.toml",
            "[server]\nlisten = \"127.0.0.1:0\"\ntls_certificate = \"tls.pem\"\ntls_key = \"tls.key\"\n",
        )],
        command: &["serve"],
        names: &["leasehold.toml:3:19", "tls.pem cannot be used"],
    },
    Case {
        what: "a proxy by name",
        files: &[("leasehold.toml", "[server]\ntrusted_proxies = [\"proxy.example.com\"]\n")],
        command: &["serve"],
        names: &["leasehold.toml:2:19", "192.168.7.0/24"],
    },
    Case {
        what: "an interval without a unit",
        files: &[(
            "leasehold.toml",
            "[system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\ninterval = \"15\"\n",
        )],
        command: &["sync"],
        names: &["leasehold.toml:4:12", "`interval = \"15m\"`"],
    },
    Case {
        what: "enforcing what no plan closes",
        files: &[(
            "leasehold.toml",
            "[system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\n[system.hr.enforce]\ntoxic = \"enforce\"\n",
        )],
        command: &["drift"],
        names: &["leasehold.toml:5:9", "leaver, expired, unjustified, missing"],
    },
    Case {
        what: "enforcing an unknown kind of drift",
        files: &[(
            "leasehold.toml",
            "[system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\n[system.hr.enforce]\nleavr = \"enforce\"\n",
        )],
        command: &["drift"],
        names: &["leasehold.toml:5", "did you mean `leaver`"],
    },
    Case {
        what: "unknown system",
        files: &[("leasehold.toml", CONFIGURATION)],
        command: &["sync", "directory"],
        names: &["there is no system `directory`", "crm, hr"],
    },
    Case {
        what: "nothing read yet",
        files: &[("leasehold.toml", CONFIGURATION)],
        command: &["drift"],
        names: &["leasehold sync"],
    },
    Case {
        what: "policy that is no TOML",
        files: &[("leasehold.toml", CONFIGURATION), ("policy/a.toml", "[role.x]\nowner = \n")],
        command: &["policy", "check"],
        names: &["policy/a.toml:2", "nothing was changed"],
    },
    Case {
        what: "policy with an unknown field",
        files: &[
            ("leasehold.toml", CONFIGURATION),
            ("policy/a.toml", "[role.x]\nowner = \"dana@example.com\"\ngrant = []\n"),
        ],
        command: &["policy", "apply"],
        names: &["policy/a.toml:3", "grant"],
    },
    Case {
        what: "predicate that is no Cedar",
        files: &[
            ("leasehold.toml", CONFIGURATION),
            (
                "policy/a.toml",
                "[role.x]\nowner = \"dana@example.com\"\nmembers = 'principal.kind = \"person\"'\ngrants = []\n",
            ),
        ],
        command: &["policy", "apply"],
        names: &["policy/a.toml:3", "────"],
    },
    Case {
        what: "policy with an unknown system",
        files: &[
            ("leasehold.toml", CONFIGURATION),
            ("policy/a.toml", "[role.x]\nowner = \"dana@example.com\"\ngrants = [\"crn:role/admin\"]\n"),
        ],
        command: &["policy", "apply"],
        names: &["policy/a.toml:3", "there is no system `crn`", "crm"],
    },
    Case {
        what: "a guard and a retention of unknown systems",
        files: &[
            ("leasehold.toml", CONFIGURATION),
            (
                "policy/a.toml",
                "[guard.crn]\nshare_max = 0.5\n\n[retention.hrr]\ndelete_accounts_after = \"30d\"\n",
            ),
        ],
        command: &["policy", "apply"],
        names: &[
            "policy/a.toml:1",
            "there is no system `crn`",
            "policy/a.toml:4",
            "there is no system `hrr`",
        ],
    },
    Case {
        what: "a shared secret that nobody knows",
        files: &[
            ("leasehold.toml", CONFIGURATION),
            (
                "policy/a.toml",
                "[shared_secret.till]\naccounts = [\"crm:till\"]\nknown_by = []\nowner = \"dana@example.com\"\n",
            ),
        ],
        command: &["policy", "apply"],
        names: &["policy/a.toml:1", "of nothing, or of nobody", "everybody who knows it"],
    },
    Case {
        what: "a shared secret of an unknown kind",
        files: &[
            ("leasehold.toml", CONFIGURATION),
            (
                "policy/a.toml",
                "[shared_secret.till]\naccounts = [\"crm:till\"]\nknown_by = [\"lee@example.com\"]\n\
                 owner = \"dana@example.com\"\nkind = \"pin\"\n",
            ),
        ],
        command: &["policy", "apply"],
        names: &["policy/a.toml:5", "`pin` is no kind of secret", "`password` or `key`"],
    },
    Case {
        what: "a shared secret that was replaced on no day",
        files: &[
            ("leasehold.toml", CONFIGURATION),
            (
                "policy/a.toml",
                "[shared_secret.till]\naccounts = [\"crm:till\"]\nknown_by = [\"lee@example.com\"]\n\
                 owner = \"dana@example.com\"\nreplaced = \"lately\"\n",
            ),
        ],
        command: &["policy", "apply"],
        names: &["policy/a.toml:5", "`lately` is not a date", "2027-03-31"],
    },
    Case {
        what: "a shared secret that lets in to a place without a system",
        files: &[
            ("leasehold.toml", CONFIGURATION),
            (
                "policy/a.toml",
                "[shared_secret.till]\naccounts = [\"till\"]\nknown_by = [\"lee@example.com\"]\nowner = \"dana@example.com\"\n",
            ),
        ],
        command: &["policy", "check"],
        names: &["policy/a.toml:2", "till"],
    },
    Case {
        what: "a time without its offset, of which only the day would be left",
        files: &[
            ("leasehold.toml", CONFIGURATION),
            (
                "policy/a.toml",
                "[exception.x]\nidentity = \"lee@example.com\"\ngrants = [\"crm:role/admin\"]\n\
                 until = 2027-03-31T18:00:00\nowner = \"dana@example.com\"\nwhy = \"x\"\n",
            ),
        ],
        command: &["policy", "check"],
        names: &["policy/a.toml:4", "`2027-03-31T18:00:00` is not a date", "with its offset"],
    },
    Case {
        what: "a time without its offset on the command line",
        files: &[("leasehold.toml", CONFIGURATION)],
        command: &["offboard", "lee@example.com", "--at", "2027-03-31T18:00"],
        names: &["--at", "with its offset (2026-03-31T18:00:00Z)"],
    },
    Case {
        what: "plan that is no plan",
        files: &[("leasehold.toml", CONFIGURATION), ("plan.json", "{}")],
        command: &["apply", "plan.json"],
        names: &["plan.json", "leasehold plan --out"],
    },
    Case {
        what: "entitlement address without a system",
        files: &[("leasehold.toml", CONFIGURATION)],
        command: &["who", "role/admin"],
        names: &["system:kind/name"],
    },
];

#[test]
fn bad_input_names_the_place_and_the_next_step() {
    for case in CASES {
        let mut installation = Installation::new();
        for (path, text) in case.files {
            installation.write(path, text);
        }
        let ran = installation.run(case.command);
        assert_eq!(ran.code, 1, "{}: {ran:#?}", case.what);
        for name in case.names {
            assert!(ran.stderr.contains(name), "{}: `{name}` is not named in\n{}", case.what, ran.stderr);
        }
        assert!(
            !ran.stderr.contains("hunter2") && !ran.stderr.contains("panicked"),
            "{}: {}",
            case.what,
            ran.stderr
        );
    }
}

#[test]
fn an_unknown_entitlement_is_pointed_at_once_its_system_was_read() {
    let mut installation = Installation::new();
    installation.write("leasehold.toml", CONFIGURATION);
    installation.write("people.csv", PEOPLE);
    installation.write("grants.csv", GRANTS);
    installation
        .write("policy/a.toml", "[role.x]\nowner = \"dana@example.com\"\ngrants = [\"crm:role/admim\"]\n");
    installation.run(&["sync"]).expect(0);
    let refused = installation.run(&["policy", "apply"]).expect(1);
    for name in ["policy/a.toml:3", "role/admim", "did you mean `role/admin`?", "nothing was changed"] {
        assert!(refused.stderr.contains(name), "{name}: {}", refused.stderr);
    }
    // The refused policy did not become the live one: what is held has still no reason.
    let drift = installation.run(&["drift", "--json"]).expect(2).json();
    assert_eq!(drift["summary"]["by_kind"]["unjustified"], 1, "{drift:#}");
}

#[test]
fn a_bad_row_is_a_problem_with_its_line_and_the_rest_is_read() {
    let mut installation = Installation::new();
    installation.write("leasehold.toml", CONFIGURATION);
    let people: String = (0..30).map(|number| format!("p{number}@example.com,active\n")).collect();
    installation.write("people.csv", &format!("email,status\n{people},active\nlee@example.com,sleeping\n"));
    installation.write("grants.csv", GRANTS);
    let sync = installation.run(&["sync", "hr", "--json"]).json();
    let problems = sync["items"][0]["problems"].to_string();
    assert!(problems.contains("people.csv:32") && problems.contains("people.csv:33"), "{problems}");
}

#[test]
fn unreachable_targets_and_wrong_passwords_are_named_and_end_nothing() {
    let mut installation = Installation::new();
    installation.set("PASSWORD", "planted-secret-91c2");
    installation.write(
        "leasehold.toml",
        "[system.db]\nconnector = \"postgres\"\nurl = \"postgres://someone@127.0.0.1:1/none\"\npassword = \"env:PASSWORD\"\nsslmode = \"disable\"\n\n\
         [system.directory]\nconnector = \"ldap\"\nurl = \"ldaps://127.0.0.1:1\"\nbase_dn = \"dc=example,dc=com\"\n\n\
         [system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\nauthoritative = true\nkey = \"email\"\n\n\
         [system.crm]\nconnector = \"csv\"\ngrants = \"not-there.csv\"\n",
    );
    installation.write("people.csv", PEOPLE);
    let test = installation.run(&["connector", "test"]).expect(1);
    assert!(test.stdout.contains("127.0.0.1:1"), "{test:#?}");
    let ran = installation.run(&["sync", "--json"]).expect(1);
    for text in ["3 of 4 systems", "127.0.0.1:1", "not-there.csv", "connector test", "leasehold sync"] {
        assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
    }
    let sync = ran.json();
    for item in sync["items"].as_array().expect("items") {
        let (completeness, cause) = match item["system"].as_str() {
            Some("hr") => ("complete", None),
            Some("crm") => ("partial", Some("not-there.csv")),
            _ => ("partial", Some("127.0.0.1")),
        };
        assert_eq!(item["completeness"], completeness, "the others are read: {item:#}");
        assert_eq!(item["failed"].is_null(), cause.is_none(), "{item:#}");
        let named =
            |field: &str| item[field].as_str().is_some_and(|text| text.contains(cause.unwrap_or_default()));
        assert!(cause.is_none() || (named("detail") && named("failed")), "{item:#}");
    }
    assert_eq!(sync["summary"]["failed"], 3, "{sync:#}");
    // What was read of the others counts, and the system by itself fails the same way.
    let table = installation.run(&["sync"]).expect(1);
    assert!(table.stdout.contains("failed") && table.stdout.contains("complete"), "{table:#?}");
    installation.run(&["sync", "crm"]).expect(1);
    installation.run(&["sync", "hr"]).expect(0);
    assert!(!installation.printed.contains("planted-secret-91c2"));
}

#[test]
fn a_feed_without_a_known_status_brings_nobody_back_until_a_person_says_so() {
    let mut installation = Installation::new();
    installation.write("leasehold.toml", CONFIGURATION);
    installation.write("people.csv", "email,status\ndana@example.com,active\nlee@example.com,left\n");
    installation.write("grants.csv", "account,entitlement\ndana,role/admin\nlee,role/admin\n");
    installation.run(&["sync"]).expect(0);
    let leavers = |installation: &mut Installation| {
        installation.run(&["drift", "--json"]).expect(2).json()["summary"]["by_kind"]["leaver"].clone()
    };
    let before = leavers(&mut installation);
    assert!(before.as_u64().is_some_and(|leavers| leavers > 0), "{before}");
    let lost = "email,staus\ndana@example.com,active\nlee@example.com,left\n";
    let mistyped = "email,status\ndana@example.com,active\nlee@example.com,lft\n";
    for people in [lost, mistyped] {
        installation.write("people.csv", people);
        let problems = installation.run(&["sync", "hr", "--json"]).json()["items"][0]["problems"].to_string();
        assert!(problems.contains("columns.status") && problems.contains("--accept-loss"), "{problems}");
        assert_eq!(leavers(&mut installation), before, "{people}");
    }
    installation.write("people.csv", lost);
    installation.run(&["sync", "hr", "--accept-loss"]).expect(0);
    let after = leavers(&mut installation);
    assert!(after.as_u64().unwrap_or_default() == 0, "{after}");
}

/// What may be right once more was read is a warning, which names the place.
#[test]
fn names_that_nothing_bears_are_warned_of() {
    let mut installation = Installation::new();
    for (file, text) in [("leasehold.toml", CONFIGURATION), ("people.csv", PEOPLE), ("grants.csv", GRANTS)] {
        installation.write(file, text);
    }
    installation.run(&["sync"]).expect(0);
    installation.write(
        "policy/a.toml",
        "[break_glass.out]\naccounts = [\"crm:dana\"]\nowner = \"dna@example.com\"\nuntil = \"2099-01-01\"\n\n\
         [identity.robot]\nkind = \"service\"\nowner = \"dana@example.com\"\naccounts = [\"crm:robto\"]\n\n\
         [correlate.\"crm:dana\"]\nidentity = \"dan@example.com\"\n",
    );
    let checked = installation.run(&["policy", "check", "--json"]).expect(0).json();
    let warnings = checked["items"].as_array().expect("items");
    for (line, text) in
        [(3, "owner `dna@example.com`"), (9, "no account `robto`"), (12, "identity `dan@example.com`")]
    {
        let is_it = |warning: &&serde_json::Value| {
            warning["line"] == line
                && warning["message"].as_str().is_some_and(|message| message.contains(text))
        };
        let warning = warnings.iter().find(is_it).unwrap_or_else(|| panic!("{line} {text}: {checked:#}"));
        assert_eq!(warning["severity"], "warning", "{warning:#}");
    }
}
