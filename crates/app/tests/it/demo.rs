//! `demo`: finds what was planted, ends what can be ended, and can be gone on with by hand.

use crate::installation::Installation;

#[test]
fn the_demo_closes_what_it_can_and_proves_it() {
    let mut installation = Installation::new();
    let demo = installation.run(&["demo", "--seed", "11", "--people", "60", "--json"]).expect(0).json();
    assert_eq!(demo["summary"]["stuck"], 0, "{demo:#}");
    assert!(demo["summary"]["verified"].as_u64() > Some(10), "{demo:#}");
    assert!(demo["demo"]["drift_after"].as_u64() < demo["demo"]["drift_before"].as_u64());
    let config = ["--config", "leasehold-demo/leasehold.toml"];
    let plan = installation.run(&[&config[..], &["plan", "--json"]].concat()).expect(0).json();
    assert_eq!(plan["items"].as_array().map(Vec::len), Some(0), "a second run changes nothing: {plan:#}");
    installation.run(&[&config[..], &["ledger", "verify"]].concat()).expect(0);
    installation.run(&["demo", "--keep", "--json", "--people", "60"]).expect(0);
}

#[test]
fn the_demo_touches_no_folder_of_somebody_else() {
    let mut installation = Installation::new();
    installation.write("leasehold-demo/mine.txt", "mine");
    let refused = installation.run(&["demo"]).expect(1);
    assert!(refused.stderr.contains("--folder"), "{}", refused.stderr);
    assert!(installation.path().join("leasehold-demo/mine.txt").exists());
}
