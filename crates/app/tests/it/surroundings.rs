//! What a command needs of its surroundings, and what it leaves in them: secrets, logs on standard error, who acts.

use crate::installation::Installation;

const PEOPLE: &str = "email,status\ndana@example.com,active\n";
const GRANTS: &str = "account,entitlement\ndana,role/admin\n";
/// Two systems of files, and two whose secrets are not set.
const CONFIGURATION: &str = "[system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\nauthoritative = true\nkey = \"email\"\n\n\
     [system.crm]\nconnector = \"csv\"\ngrants = \"grants.csv\"\ncorrelate = [\"login = email.local\"]\n\n\
     [system.db]\nconnector = \"postgres\"\nurl = \"postgres://someone@127.0.0.1:1/none\"\npassword = \"env:NOT_SET_1\"\n\n\
     [system.directory]\nconnector = \"ldap\"\nurl = \"ldaps://127.0.0.1:1\"\nbase_dn = \"dc=example,dc=com\"\n\
     bind_dn = \"cn=x\"\npassword = \"file:not-there\"\n";

fn installation() -> Installation {
    let installation = Installation::new();
    installation.write("leasehold.toml", CONFIGURATION);
    installation.write("people.csv", PEOPLE);
    installation.write("grants.csv", GRANTS);
    installation
        .write("policy/a.toml", "[role.x]\nowner = \"dana@example.com\"\ngrants = [\"crm:role/admin\"]\n");
    installation
}

#[test]
fn a_command_needs_the_secrets_of_what_it_touches_only() {
    let mut installation = installation();
    let cases: &[(&[&str], i32)] = &[
        (&["connector", "test", "hr"], 0),
        (&["sync", "hr", "crm"], 0),
        (&["policy", "check"], 0),
        (&["policy", "diff"], 0),
        (&["policy", "apply"], 0),
        (&["baseline", "adopt", "crm", "--until", "2099-01-01"], 0),
        (&["baseline", "list"], 0),
        (&["plan"], 0),
        (&["ledger", "prove", "--index", "0"], 0),
    ];
    for (command, code) in cases {
        let ran = installation.run(command);
        assert_eq!(ran.code, *code, "{command:?}: {ran:#?}");
        assert!(!ran.stderr.contains("NOT_SET_1"), "{command:?}: {ran:#?}");
    }
    for command in [&["sync"][..], &["sync", "db"], &["apply"], &["connector", "test", "db"]] {
        let refused = installation.run(command).expect(1);
        assert!(refused.stderr.contains("NOT_SET_1"), "{command:?}: {refused:#?}");
    }
}

#[test]
fn logs_are_plain_where_nobody_watches_and_silent_about_the_driver() {
    let mut installation = installation();
    // An empty NO_COLOR is as good as none.
    installation.set("NO_COLOR", "");
    let quiet = installation.run(&["sync", "hr"]).expect(0);
    assert_eq!(quiet.stderr, "");
    installation.set("LEASEHOLD_LOG", "info");
    let loud = installation.run(&["sync", "hr"]).expect(0);
    assert!(loud.stderr.contains("enumerated") && !loud.stderr.contains('\u{1b}'), "{loud:#?}");
}

#[test]
fn who_acts_is_known_without_a_session() {
    let mut installation = installation();
    for name in ["LEASEHOLD_ACTOR", "USER", "LOGNAME"] {
        installation.set(name, "");
    }
    installation.run(&["sync", "hr", "crm"]).expect(0);
    let adopted =
        installation.run(&["baseline", "adopt", "crm", "--until", "2099-01-01", "--json"]).expect(0).json();
    let id = std::process::Command::new("id").arg("-un").output().expect("runs id");
    let name = String::from_utf8_lossy(&id.stdout).trim().to_owned();
    assert_eq!(adopted["items"][0]["owner"], name.as_str(), "{adopted:#}");
}
