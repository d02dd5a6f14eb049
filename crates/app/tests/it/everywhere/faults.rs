//! The targets fail in every manner, all at a time and each in another one, or each alone: what works ends all the same, what fails is
//! listed and never called gone, and once it is mended the rest ends.

use std::collections::BTreeSet;
use std::time::Duration;

use leasehold_testing::Manner;

use super::fixture::{Everywhere, NOW};
use super::outcome::Outcome;
use super::silence;
use super::target::{Left, Target};

/// Says that each target fails alone in each manner, as `LEASEHOLD_FAULTS=alone`, or one of them, as `LEASEHOLD_FAULTS=alone:cloud`.
const FAULTS_VARIABLE: &str = "LEASEHOLD_FAULTS";

/// How much later everything arrives from a slow target.
const DELAY: Duration = Duration::from_millis(25);

/// How many requests are told to come again: fewer than an action is sent.
const PUT_OFF: u32 = 3;

/// In which manners a target fails, one after the other.
fn manners(target: &dyn Target) -> Vec<Manner> {
    let mut manners = vec![Manner::Refuse, Manner::Delay(DELAY), Manner::Lose, Manner::Lie, Manner::Silent];
    // Connections break in the middle of what is said: of an answer over HTTP, elsewhere of the greetings or soon after.
    let half = if target.speaks_http() { 20 } else { 1500 };
    manners.extend(alone().map(|_| Manner::Half(half)));
    manners
}

/// How long one answer is waited for, where that is less than usual: what does not answer never will.
pub(super) fn patience_ms(manner: Manner) -> Option<u32> {
    match manner {
        Manner::Pass | Manner::Delay(_) | Manner::Limit(_) | Manner::Lose => None,
        Manner::Refuse | Manner::Half(_) => Some(300),
        Manner::Silent => Some(100),
        // It answers, so that there is time to. Only sessions that never end are waited for in vain.
        Manner::Lie => Some(5000),
    }
}

/// Which target fails alone, or each where none is named; `None` where all fail at a time.
fn alone() -> Option<Option<String>> {
    match std::env::var(FAULTS_VARIABLE).ok()?.split_once(':') {
        Some(("alone", name)) => Some(Some(name.to_owned())),
        None if std::env::var(FAULTS_VARIABLE).as_deref() == Ok("alone") => Some(None),
        _ => panic!("{FAULTS_VARIABLE} is `alone`, `alone:` and a target's name, or not set"),
    }
}

/// Who fails in which manner, round by round.
fn rounds(everywhere: &Everywhere) -> Vec<Vec<(usize, Manner)>> {
    let mut waiting: Vec<Vec<Manner>> =
        everywhere.targets.iter().map(|target| manners(target.as_ref())).collect();
    let web = (0..).zip(&everywhere.targets).filter(|(_, target)| target.speaks_http());
    let put_off: Vec<(usize, Manner)> = web.map(|(index, _)| (index, Manner::Limit(PUT_OFF))).collect();
    if let Some(only) = alone() {
        let is_meant =
            |index: usize| only.as_ref().is_none_or(|only| everywhere.targets[index].name() == only);
        let each = (0..)
            .zip(waiting)
            .flat_map(|(index, manners)| manners.into_iter().map(move |manner| (index, manner)));
        let each = each.chain(put_off).filter(|(index, _)| is_meant(*index));
        return each.map(|failing| vec![failing]).collect();
    }
    // Everybody begins elsewhere, so that a round has every manner: those that are slow only show that nobody waits for the others.
    for (index, manners) in waiting.iter_mut().enumerate() {
        let begin = index % manners.len();
        manners.rotate_left(begin);
    }
    let mut rounds: Vec<Vec<(usize, Manner)>> = Vec::new();
    while waiting.iter().any(|manners| !manners.is_empty()) {
        let failing = (0..).zip(&mut waiting).filter_map(|(index, manners)| Some((index, manners.pop()?)));
        rounds.push(failing.collect());
    }
    // Whom a target puts off has to come again, for which the other rounds have no patience.
    rounds.push(put_off);
    rounds
}

/// Demands of one target what its manner allows.
fn check(outcome: &Outcome, target: &dyn Target, manner: Option<Manner>, had: &[Left], left: &[Left]) {
    outcome.check_claims(target.name(), left);
    let name = target.name();
    let Some(manner) = manner.filter(|manner| !matches!(manner, Manner::Delay(_) | Manner::Limit(_))) else {
        return outcome.check_all_gone(target, left);
    };
    if manner == Manner::Lose {
        // What was done is found by looking; what is outstanding may be done or not, and nothing is said to be.
        assert_ne!(left, had, "{name} {manner:?}");
        return;
    }
    if matches!(manner, Manner::Half(_)) {
        // What is outstanding may have arrived.
        assert_ne!(outcome.outstanding(name), BTreeSet::new(), "{name} {manner:?}");
        return;
    }
    assert_eq!(outcome.verified(name), BTreeSet::new(), "{name} {manner:?}");
    // Sessions of an earlier round may be among them, which are tried again.
    let items: Vec<_> = outcome.items(name).collect();
    assert!(items.iter().all(|item| item["state"] != "void"), "{name} {manner:?}: {items:#?}");
    assert_eq!(left, had, "{name} {manner:?}");
    if manner == Manner::Lie {
        outcome.check_lies(name);
    }
}

#[test]
fn targets_that_fail_hold_up_nobody_and_are_never_called_gone() {
    let mut everywhere = Everywhere::start();
    let mut installation = everywhere.install();
    let rounds = rounds(&everywhere);
    for (number, failing) in rounds.iter().enumerate() {
        if number > 0 {
            everywhere.take_back(&mut installation);
        }
        for (index, manner) in failing {
            println!("round {number}: {} {manner:?}", everywhere.targets[*index].name());
        }
        let had = everywhere.each(|target| target.left());
        for (index, manner) in failing {
            everywhere.targets[*index].behave(*manner);
        }
        // One try is enough to see what fails, and little patience with what does not answer.
        let impatient: Vec<(usize, u32)> =
            failing.iter().filter_map(|(index, manner)| Some((*index, patience_ms(*manner)?))).collect();
        installation.write("leasehold.toml", &everywhere.configuration(&impatient));
        let is_patient = failing.iter().any(|(_, manner)| matches!(manner, Manner::Limit(_)));
        let tries = if is_patient { "5" } else { "1" };
        let outcome = Everywhere::offboard(&mut installation, &[NOW, &["--tries", tries]].concat());
        for (index, _) in failing {
            everywhere.targets[*index].behave(Manner::Pass);
        }
        let manner_of =
            |index: usize| failing.iter().find(|(failing, _)| *failing == index).map(|(_, manner)| *manner);
        everywhere.each_numbered(|index, target| {
            let left = target.left();
            check(&outcome, target, manner_of(index), &had[index], &left);
        });
        // Everything works again, so that all of it ends.
        installation.write("leasehold.toml", &everywhere.configuration(&[]));
        let outcome = Everywhere::offboard(&mut installation, NOW);
        everywhere.check_all_gone(&outcome);
    }
    // One target is silent for ever, or each, one after the other.
    let silent: Vec<usize> = match alone() {
        None => vec![everywhere.targets.len() - 1],
        Some(None) => (0..everywhere.targets.len()).collect(),
        Some(Some(only)) => {
            (0..everywhere.targets.len()).filter(|index| everywhere.targets[*index].name() == only).collect()
        }
    };
    for index in silent {
        silence::check(&mut everywhere, &mut installation, index);
    }
    everywhere.each(|target| target.check_others_unchanged());
    installation.run(&["ledger", "verify"]).expect(0);
}
