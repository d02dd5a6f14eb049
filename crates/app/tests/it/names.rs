//! Names from targets that are made to play tricks with a terminal: they are spelled out wherever they are shown.

use crate::installation::Installation;

const CONFIGURATION: &str = "[system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\nauthoritative = true\nkey = \"email\"\n\n\
     [system.crm]\nconnector = \"csv\"\naccounts = \"accounts.csv\"\ngrants = \"grants.csv\"\n\
     correlate = [\"login = email.local\"]\n";
/// The window's title, a C1 control, an override of the reading order.
const TRICKS: &str = "\u{1b}]0;mine\u{7}\u{9b}2J\u{202e}";

#[test]
fn names_of_targets_never_reach_a_terminal_as_they_are() {
    let mut installation = Installation::new();
    installation.write("leasehold.toml", CONFIGURATION);
    let people: String = (0..20).map(|number| format!("p{number}@example.com,active,Sales\n")).collect();
    installation.write(
        "people.csv",
        &format!("email,status,title\ndana@example.com,active,Boss{TRICKS}\nlee@example.com,sl{TRICKS}eeping,Clerk\n{people}"),
    );
    installation.write("accounts.csv", &format!("key,login\n1,dana\n2,rogue{TRICKS}\n"));
    installation
        .write("grants.csv", &format!("account,entitlement\n1,role/admin{TRICKS}\n2,role/admin{TRICKS}\n"));
    let rogue = format!("crm:rogue{TRICKS}");
    let entitlement = format!("crm:role/admin{TRICKS}");
    let commands: &[&[&str]] = &[
        &["sync", "--problems"],
        &["drift"],
        &["drift", "--json"],
        &["explain", "dana@example.com"],
        &["explain", &rogue],
        &["explain", &rogue, "--json"],
        &["who", &entitlement],
        &["who", "crm:role/none"],
        &["plan"],
        &["apply"],
        &["baseline", "adopt", "crm", "--until", "2099-01-01"],
        &["baseline", "list"],
        &["policy", "check"],
    ];
    installation.write(
        "policy/a.toml",
        &format!("# {TRICKS}\n[role.x]\nowner = \"dana@example.com\"\ngrants = [\"crm:role/admim\", \"crm:role/b\"]\n"),
    );
    let mut spelled = 0;
    for command in commands {
        let ran = installation.run(command);
        for text in [&ran.stdout, &ran.stderr] {
            let harmful = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.contains(harmful), "{command:?}: {text:?}");
            spelled += usize::from(text.contains("u{1b}") || text.contains("u001b"));
        }
    }
    assert!(spelled >= 8, "the names are shown, and spelled out: {spelled}");
    let drift = installation.run(&["drift", "--json"]).json();
    let named = |row: &serde_json::Value| row["account"] == format!("rogue{TRICKS}").as_str();
    assert!(drift["items"].as_array().expect("items").iter().any(named), "programs get the name: {drift:#}");
}
