//! A target that takes connections and never answers, and that nobody gives up: all others end meanwhile; and an emergency ends in
//! its time, with a list of what the silent one did not say.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use leasehold_testing::Manner;

use super::fixture::{Everywhere, NOW, OFFBOARD};
use super::outcome::Outcome;
use crate::installation::Installation;

/// As long as a setting may say.
const FOR_EVER_MS: u32 = 3_600_000;

/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// After that, whatever is waited for is taken not to come.
const LIMIT: Duration = Duration::from_secs(300);

/// The systems in which actions are under way.
fn under_way(installation: &mut Installation) -> BTreeSet<String> {
    let listed = installation.run(&["action", "list", "--json"]).json();
    let items = listed["items"].as_array().expect("items").iter();
    let states = ["approved", "sent", "acknowledged", "contradicted"];
    let open = items.filter(|item| states.iter().any(|state| item["state"] == *state));
    open.map(|item| item["system"].as_str().expect("a system").to_owned()).collect()
}

/// Offboards the leaver while one target is silent.
pub fn check(everywhere: &mut Everywhere, installation: &mut Installation, index: usize) {
    let silent = everywhere.targets[index].name();
    println!("{silent} is silent for ever");
    everywhere.take_back(installation);
    everywhere.targets[index].behave(Manner::Silent);
    // However long an answer may take, nobody else waits for it.
    installation.write("leasehold.toml", &everywhere.configuration(&[(index, FOR_EVER_MS)]));
    let mut command = installation.command(&[OFFBOARD, NOW].concat());
    let running = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("run leasehold");
    let begun = Instant::now();
    while under_way(installation) != BTreeSet::from([silent.to_owned()]) {
        assert!(begun.elapsed() < LIMIT, "somebody waits for {silent}: {:?}", under_way(installation));
        std::thread::sleep(LOOK_AGAIN);
    }
    everywhere.each(|target| {
        if target.name() != silent {
            assert_eq!(target.left(), target.residual(), "{}", target.name());
        }
    });
    // Whoever hung is answered at last that the connection ended, and goes on.
    everywhere.targets[index].behave(Manner::Pass);
    let output = running.wait_with_output().expect("wait for leasehold");
    let document = serde_json::from_slice(&output.stdout).expect("JSON");
    everywhere.check_all_gone(&Outcome { document });

    everywhere.take_back(installation);
    let had = everywhere.targets[index].left();
    everywhere.targets[index].behave(Manner::Silent);
    let outcome = Everywhere::offboard(installation, &["--now", "--within", "3"]);
    everywhere.targets[index].behave(Manner::Pass);
    assert_eq!(outcome.verified(silent), BTreeSet::new());
    assert_eq!(outcome.outstanding(silent).len(), outcome.items(silent).count());
    for item in outcome.items(silent) {
        let reason = item["reason"].as_str().expect("why");
        assert!(reason.contains("in the time that there was"), "{item:#}");
    }
    assert_eq!(everywhere.targets[index].left(), had, "{silent}");
    everywhere.each(|target| outcome.check_claims(target.name(), &target.left()));
    installation.write("leasehold.toml", &everywhere.configuration(&[]));
    let outcome = Everywhere::offboard(installation, NOW);
    everywhere.check_all_gone(&outcome);
}
