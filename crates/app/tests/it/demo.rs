//! `demo`: finds what was planted, ends what can be ended, and can be gone on with by hand.

use crate::installation::Installation;

#[test]
fn the_demo_closes_what_it_can_and_proves_it() {
    let mut installation = Installation::new();
    let demo =
        installation.run(&["demo", "--once", "--seed", "11", "--people", "60", "--json"]).expect(0).json();
    assert_eq!(demo["summary"]["stuck"], 0, "{demo:#}");
    assert!(demo["summary"]["verified"].as_u64() > Some(10), "{demo:#}");
    assert!(demo["demo"]["drift_after"].as_u64() < demo["demo"]["drift_before"].as_u64());
    let config = ["--config", "leasehold-demo/leasehold.toml"];
    let plan = installation.run(&[&config[..], &["plan", "--json"]].concat()).expect(0).json();
    assert_eq!(plan["items"].as_array().map(Vec::len), Some(0), "a second run changes nothing: {plan:#}");
    installation.run(&[&config[..], &["ledger", "verify"]].concat()).expect(0);
    installation.run(&["demo", "--once", "--keep", "--json", "--people", "60"]).expect(0);
}

#[test]
fn a_company_that_is_kept_says_so_and_the_next_steps_are_real() {
    let mut installation = Installation::new();
    let first = installation.run(&["demo", "--once", "--seed", "11", "--people", "60"]).expect(0);
    assert!(first.stdout.contains("explain ") && first.stdout.contains("--action act-"), "{}", first.stdout);
    let second = installation.run(&["demo", "--once", "--keep", "--seed", "6", "--people", "30"]).expect(0);
    assert!(second.stdout.contains("a practice company of 60 people"), "{}", second.stdout);
    assert!(
        second.stderr.contains("60 people (seed 11)") && second.stderr.contains("--keep"),
        "{}",
        second.stderr
    );
    for ran in [&first, &second] {
        assert!(!ran.stdout.contains("IDENTITY") && !ran.stdout.contains("ACTION"), "{}", ran.stdout);
    }
    let json = installation.run(&["demo", "--once", "--keep", "--json"]).expect(0).json();
    assert_eq!((&json["demo"]["people"], &json["demo"]["seed"]), (&60.into(), &11.into()), "{json:#}");
}

#[test]
fn the_demo_touches_no_folder_of_somebody_else() {
    let mut installation = Installation::new();
    installation.write("leasehold-demo/mine.txt", "mine");
    let refused = installation.run(&["demo", "--once"]).expect(1);
    assert!(refused.stderr.contains("--folder"), "{}", refused.stderr);
    assert!(installation.path().join("leasehold-demo/mine.txt").exists());
}
