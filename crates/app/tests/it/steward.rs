//! `successor` and `retire`: what a person says of a service account counts, and what makes no sense is refused.

use crate::installation::Installation;

/// A feed with a person who owns a service.
const PEOPLE: &str = "\
email,kind,status,owner
dana@example.com,person,active,
kim@example.com,person,active,
bot@example.com,service,active,kim@example.com
";

#[test]
fn a_non_human_is_handed_over_stopped_brought_back_and_ended() {
    let mut installation = Installation::new();
    installation.write("people.csv", PEOPLE);
    installation.write(
        "leasehold.toml",
        "[system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\nauthoritative = true\nkey = \"email\"\n",
    );
    installation.run(&["sync"]).expect(0);
    const BOT: &str = "BOT@example.com";
    let owned = installation.run(&["--json", "successor", BOT, "dana@example.com"]).expect(0).json();
    assert_eq!(owned["identity"], "bot@example.com");
    assert_eq!(owned["owner"], "dana@example.com");
    for (arguments, words) in [
        (["successor", BOT, "bot@example.com"], "cannot take it over"),
        (["successor", "kim@example.com", "dana@example.com"], "is not a non-human"),
        (["retire", BOT, "--back"], "is not stopped"),
        (["retire", BOT, "--end"], "is not stopped"),
    ] {
        let refused = installation.run(&arguments).expect(1);
        assert!(refused.stderr.contains(words), "{arguments:?}: {}", refused.stderr);
    }
    let retired = |installation: &mut Installation, further: &[&str]| {
        let arguments = [&["--json", "retire", BOT], further].concat();
        installation.run(&arguments).expect(0).json()["state"].as_str().expect("a state").to_owned()
    };
    assert_eq!(retired(&mut installation, &[]), "stopped");
    let twice = installation.run(&["retire", BOT]).expect(1);
    assert!(twice.stderr.contains("is stopped already"), "{}", twice.stderr);
    assert_eq!(retired(&mut installation, &["--back"]), "brought_back");
    assert_eq!(retired(&mut installation, &[]), "stopped");
    assert_eq!(retired(&mut installation, &["--end"]), "ended");
    for arguments in
        [&["retire", BOT][..], &["retire", BOT, "--end"], &["successor", BOT, "dana@example.com"]]
    {
        let late = installation.run(arguments).expect(1);
        assert!(late.stderr.contains("retire bot@example.com --back"), "{arguments:?}: {}", late.stderr);
    }
    // Whoever said it may take it back; whom the source lists no more, nobody brings back.
    assert_eq!(retired(&mut installation, &["--back"]), "brought_back");
    installation.write(
        "people.csv",
        &PEOPLE.replace("bot@example.com,service,active", "bot@example.com,service,left"),
    );
    installation.run(&["sync"]).expect(0);
    let gone = installation.run(&["retire", BOT, "--back"]).expect(1);
    assert!(gone.stderr.contains("its source says"), "{}", gone.stderr);
    installation.run(&["ledger", "verify"]).expect(0);
}
