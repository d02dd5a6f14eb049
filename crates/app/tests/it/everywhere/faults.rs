//! The targets fail in every manner, several at a time: what works ends all the same, what fails is listed and never called gone,
//! and once it is mended the rest ends.

use std::collections::BTreeSet;
use std::time::Duration;

use leasehold_testing::Manner;

use super::fixture::Everywhere;
use super::target::Target;

/// How many targets fail at once. The others show that nobody waits for those.
const AT_ONCE: usize = 5;

/// How much later everything arrives from a slow target.
const DELAY: Duration = Duration::from_millis(25);

/// How many requests are told to come again: fewer than an action is sent.
const PUT_OFF: u32 = 3;

/// In which manners a target fails, one after the other.
fn manners(target: &dyn Target) -> Vec<Manner> {
    // Over HTTP each answer is broken after its change was made; the others get through their greetings, or not even those.
    let half = if target.speaks_http() { 20 } else { 1500 };
    let mut manners = vec![Manner::Refuse, Manner::Delay(DELAY), Manner::Half(half)];
    if target.believes_a_lie() {
        manners.push(Manner::Lie);
    }
    manners
}

/// Who fails in which manner, round by round.
fn rounds(everywhere: &Everywhere) -> Vec<Vec<(usize, Manner)>> {
    let mut waiting: Vec<Vec<Manner>> =
        everywhere.targets.iter().map(|target| manners(target.as_ref())).collect();
    // Everybody begins elsewhere, so that a round has several manners.
    for (index, manners) in waiting.iter_mut().enumerate() {
        let begin = index % manners.len();
        manners.rotate_left(begin);
    }
    let mut rounds = Vec::new();
    while waiting.iter().any(|manners| !manners.is_empty()) {
        let mut order: Vec<usize> = (0..waiting.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(waiting[*index].len()));
        let failing = order.into_iter().take(AT_ONCE);
        rounds.push(failing.filter_map(|index| Some((index, waiting[index].pop()?))).collect());
    }
    // Whom a target puts off has to come again, for which the other rounds have no patience.
    let web = (0..).zip(&everywhere.targets).filter(|(_, target)| target.speaks_http());
    rounds.push(web.map(|(index, _)| (index, Manner::Limit(PUT_OFF))).collect());
    rounds
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
        let had = everywhere.each(|target| target.left());
        for (index, manner) in failing {
            everywhere.targets[*index].proxy().set(*manner);
        }
        // One try is enough to see what fails, and little patience with what does not answer.
        let impatient: Vec<usize> = failing
            .iter()
            .filter(|(_, manner)| !matches!(manner, Manner::Delay(_) | Manner::Limit(_)))
            .map(|(index, _)| *index)
            .collect();
        installation.write("leasehold.toml", &everywhere.configuration(&impatient));
        let is_patient = failing.iter().any(|(_, manner)| matches!(manner, Manner::Limit(_)));
        let tries = if is_patient { "5" } else { "1" };
        let outcome = Everywhere::offboard(&mut installation, &["--now", "--tries", tries]);
        for (index, _) in failing {
            everywhere.targets[*index].proxy().set(Manner::Pass);
        }
        let manner_of =
            |index: usize| failing.iter().find(|(failing, _)| *failing == index).map(|(_, manner)| *manner);
        everywhere.each_numbered(|index, target| {
            let left = target.left();
            outcome.check_claims(target.name(), &left);
            let (name, manner) = (target.name(), manner_of(index));
            match manner {
                None | Some(Manner::Delay(_) | Manner::Limit(_)) => outcome.check_all_gone(target, &left),
                Some(Manner::Refuse | Manner::Lie) => {
                    assert_eq!(outcome.verified(name), BTreeSet::new(), "{name} {manner:?}");
                    assert_eq!(
                        outcome.outstanding(name).len(),
                        outcome.items(name).count(),
                        "{name} {manner:?}"
                    );
                    assert_eq!(left, had[index], "{name} {manner:?}");
                }
                // What is outstanding may have arrived.
                Some(_) => assert_ne!(outcome.outstanding(name), BTreeSet::new(), "{name} {manner:?}"),
            }
        });
        // Everything works again, so that all of it ends.
        installation.write("leasehold.toml", &everywhere.configuration(&[]));
        let outcome = Everywhere::offboard(&mut installation, &["--now"]);
        everywhere.check_all_gone(&outcome);
    }
    everywhere.each(|target| target.check_others_unchanged());
    installation.run(&["ledger", "verify"]).expect(0);
}
