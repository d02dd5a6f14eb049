//! The command is killed at random instants, over and over, with a target that fails or all well: it always goes on, to where
//! everything is read back as gone.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use leasehold_testing::Manner;
use serde_json::{Value, json};

use super::faults::patience_ms;
use super::fixture::{Everywhere, NOW, OFFBOARD};
use super::outcome::Outcome;
use crate::installation::Installation;

/// How often the command is killed in all, where nothing else is said.
const KILLS: u32 = 12;

/// Says how often, as `LEASEHOLD_KILLS=100`.
const KILLS_VARIABLE: &str = "LEASEHOLD_KILLS";

/// How often it is killed while one person is offboarded, at most.
const KILLS_A_ROUND: u32 = 8;

/// In which manners a target fails meanwhile, one after the other.
const MANNERS: [Manner; 4] =
    [Manner::Refuse, Manner::Lie, Manner::Lose, Manner::Delay(Duration::from_millis(25))];

/// States in which somebody still has to do something.
const OPEN: [&str; 6] = ["planned", "approved", "sent", "acknowledged", "contradicted", "stuck"];

/// Instants that are the same whenever the test runs (SplitMix64, by Sebastiano Vigna).
struct Instants(u64);

impl Instants {
    /// Some part of a duration.
    fn within(&mut self, duration: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let part = u32::try_from((bits ^ (bits >> 31)) >> 32).expect("32 bits");
        duration.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }
}

fn kills_in_all() -> u32 {
    match std::env::var(KILLS_VARIABLE) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{KILLS_VARIABLE} is a number, not `{text}`")),
        Err(_) => KILLS,
    }
}

/// Demands of a run that nobody kills that it ends with everything gone but what is in the target that fails, which it lists.
fn check_failing(
    everywhere: &mut Everywhere,
    installation: &mut Installation,
    failing: usize,
    manner: Manner,
) {
    let outcome = Everywhere::offboard(installation, &[NOW, &["--tries", "1"]].concat());
    everywhere.each_numbered(|index, target| {
        let (name, left) = (target.name(), target.left());
        if index != failing || matches!(manner, Manner::Delay(_)) {
            return outcome.check_all_gone(target, &left);
        }
        outcome.check_claims(name, &left);
        // What was done though no answer came is found by looking.
        if manner != Manner::Lose {
            assert_eq!(outcome.verified(name), BTreeSet::new(), "{name} {manner:?}");
            assert_ne!(outcome.outstanding(name), BTreeSet::new(), "{name} {manner:?}");
        }
    });
}

/// Every action that there is.
fn actions(installation: &mut Installation) -> Vec<Value> {
    let listed = installation.run(&["action", "list", "--json"]).json();
    listed["items"].as_array().expect("items").clone()
}

/// What tells an action from all others.
fn name(action: &Value) -> String {
    format!("{}/{}", action["plan"], action["id"])
}

/// Demands of whatever a killed run wrote down as gone that it is, by the targets' own word.
fn check_written(everywhere: &mut Everywhere, installation: &mut Installation, earlier: &BTreeSet<String>) {
    let new = actions(installation).into_iter().filter(|action| !earlier.contains(&name(action)));
    let written = Outcome { document: json!({"items": new.collect::<Vec<Value>>()}) };
    everywhere.each(|target| {
        let left = target.left();
        written.check_claims(target.name(), &left);
    });
}

#[test]
fn killed_at_any_instant_it_goes_on_to_where_everything_is_gone() {
    let mut everywhere = Everywhere::start();
    let mut installation = everywhere.install();
    let key = installation.run(&["ledger", "key"]).expect(0).stdout.trim().to_owned();
    // How long it takes undisturbed says when it can be killed, on whatever machine.
    let begun = Instant::now();
    let outcome = Everywhere::offboard(&mut installation, NOW);
    let undisturbed = begun.elapsed();
    everywhere.check_all_gone(&outcome);

    let (mut killed, mut rounds, mut instants, in_all) = (0, 0, Instants(7), kills_in_all());
    while killed < in_all {
        rounds += 1;
        everywhere.take_back(&mut installation);
        // In every other round a target fails meanwhile, each time another one and in another manner.
        let (turn, targets) = (rounds / 2, everywhere.targets.len());
        let manner = |turn: usize| MANNERS[(turn - 1 + turn / targets) % MANNERS.len()];
        let failing = (rounds % 2 == 0).then(|| (turn % targets, manner(turn)));
        if let Some((index, manner)) = failing {
            everywhere.targets[index].behave(manner);
            let impatient: Vec<(usize, u32)> =
                patience_ms(manner).map(|patience| (index, patience)).into_iter().collect();
            installation.write("leasehold.toml", &everywhere.configuration(&impatient));
        }
        let earlier: BTreeSet<String> = actions(&mut installation).iter().map(name).collect();
        for number in 0..KILLS_A_ROUND.min(in_all - killed) {
            let mut command = installation.command(&[OFFBOARD, NOW].concat());
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            let mut child = command.spawn().expect("run leasehold");
            // Whoever was killed before has less left to do.
            std::thread::sleep(instants.within(if number == 0 { undisturbed } else { undisturbed / 2 }));
            if child.try_wait().expect("look at leasehold").is_some() {
                break;
            }
            child.kill().expect("kill it");
            child.wait().expect("wait for it");
            killed += 1;
            check_written(&mut everywhere, &mut installation, &earlier);
        }
        if let Some((index, manner)) = failing {
            check_failing(&mut everywhere, &mut installation, index, manner);
            everywhere.targets[index].behave(Manner::Pass);
            installation.write("leasehold.toml", &everywhere.configuration(&[]));
        }
        let receipt = format!("receipt-{rounds}.json");
        let outcome = Everywhere::offboard(&mut installation, &[NOW, &["--out", &receipt]].concat());
        everywhere.check_all_gone(&outcome);
        // Whichever run did it, the receipt tells of it.
        everywhere.each(|target| assert!(!outcome.verified(target.name()).is_empty(), "{}", target.name()));
        installation.run(&["ledger", "verify", "--bundle", &receipt, "--key", &key]).expect(0);
        installation.run(&["ledger", "verify"]).expect(0);
        let open = |action: &Value| OPEN.iter().any(|state| action["state"] == *state);
        let open: Vec<Value> = actions(&mut installation).into_iter().filter(open).collect();
        assert!(open.is_empty(), "{open:#?}");
    }
    everywhere.each(|target| target.check_others_unchanged());
    println!("killed {killed} times in {rounds} rounds; undisturbed it takes {} ms", undisturbed.as_millis());
}
