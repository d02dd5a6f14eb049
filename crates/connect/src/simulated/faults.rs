//! What goes wrong when: a schedule of faults over the calls to a simulated world, fixed or drawn from a seed.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::dice::Dice;

/// The three calls in which a fault can strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A whole enumeration is one call.
    Enumerate,
    /// Reading one object.
    ReadBack,
    /// Making one change.
    Execute,
}

/// One way in which a target, its network or our own process misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub enum FaultKind {
    /// A change is acknowledged and not made.
    LyingSuccess,
    /// An enumeration stops in the middle, and the connector notices.
    PartialPages,
    /// An enumeration stops in the middle with an error.
    BrokenPages,
    /// The target answers with nothing, and the connector does not take that for all.
    EmptyAnswer,
    /// The target answers with nothing, and the connector claims that this was complete.
    EmptyClaimedComplete,
    /// Some accounts come twice, one of them as somebody else.
    DuplicateIds,
    /// Grants spell account keys in another case than the accounts do.
    FoldedCase,
    /// 429 with `Retry-After`.
    RateLimited {
        /// The target's wish.
        after_ms: u64,
    },
    /// No answer, and the change was not made.
    TimeoutBefore,
    /// No answer, and the change was made.
    TimeoutAfter,
    /// The target cannot be reached.
    Unreachable,
    /// The change is made, and shows only after this many reads of it.
    VisibleAfterReads {
        /// How many reads still show the old state.
        reads: u32,
    },
    /// The change is made, and shows only after this long by the world's clock.
    VisibleAfterMs {
        /// How long the old state is shown.
        ms: u64,
    },
    /// Our process dies after the intent was written and before the target saw anything.
    CrashBeforeSend,
    /// Our process dies after the target made the change and before we knew.
    CrashAfterSend,
    /// The change is made, and something else undoes it later.
    Resurrected {
        /// How many calls later.
        after_steps: u64,
    },
    /// The target will not do it.
    Refused,
}

impl FaultKind {
    /// One of each, with ordinary numbers.
    pub const ALL: [Self; 17] = [
        Self::LyingSuccess,
        Self::PartialPages,
        Self::BrokenPages,
        Self::EmptyAnswer,
        Self::EmptyClaimedComplete,
        Self::DuplicateIds,
        Self::FoldedCase,
        Self::RateLimited { after_ms: 1500 },
        Self::TimeoutBefore,
        Self::TimeoutAfter,
        Self::Unreachable,
        Self::VisibleAfterReads { reads: 2 },
        Self::VisibleAfterMs { ms: 5000 },
        Self::CrashBeforeSend,
        Self::CrashAfterSend,
        Self::Resurrected { after_steps: 3 },
        Self::Refused,
    ];

    /// Whether this fault can strike in this call.
    pub fn fits(self, operation: Operation) -> bool {
        match self {
            Self::PartialPages
            | Self::BrokenPages
            | Self::EmptyAnswer
            | Self::EmptyClaimedComplete
            | Self::DuplicateIds
            | Self::FoldedCase => operation == Operation::Enumerate,
            Self::LyingSuccess
            | Self::VisibleAfterReads { .. }
            | Self::VisibleAfterMs { .. }
            | Self::Resurrected { .. }
            | Self::Refused => operation == Operation::Execute,
            Self::RateLimited { .. }
            | Self::TimeoutBefore
            | Self::TimeoutAfter
            | Self::Unreachable
            | Self::CrashBeforeSend
            | Self::CrashAfterSend => true,
        }
    }
}

/// A fault that struck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Struck {
    /// In which call, counted from 0 over the whole world.
    pub step: u64,
    /// Which sort of call it was.
    pub operation: Operation,
    /// The fault.
    pub kind: FaultKind,
}

/// The schedule. Calls are counted over the whole world, so that "after every step" is a loop over one number.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    at_step: BTreeMap<u64, FaultKind>,
    next_of: BTreeMap<Operation, VecDeque<FaultKind>>,
    drawn: Option<Drawn>,
}

#[derive(Debug, Clone)]
struct Drawn {
    seed: u64,
    in_a_thousand: u32,
    kinds: Vec<FaultKind>,
    steps_max: u64,
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// Faults in this many calls of a thousand, drawn from a seed, until call `steps_max`; later calls succeed, so
    /// that a story can ask for its end.
    pub fn seeded(seed: u64, in_a_thousand: u32, steps_max: u64) -> Self {
        let drawn = Drawn { seed, in_a_thousand, kinds: FaultKind::ALL.to_vec(), steps_max };
        Self { drawn: Some(drawn), ..Self::default() }
    }

    /// Restricts what is drawn.
    #[must_use]
    pub fn only(mut self, kinds: &[FaultKind]) -> Self {
        if let Some(drawn) = &mut self.drawn {
            drawn.kinds = kinds.to_vec();
        }
        self
    }

    /// Strikes in call `step`, if the fault fits that call.
    #[must_use]
    pub fn at(mut self, step: u64, kind: FaultKind) -> Self {
        self.at_step.insert(step, kind);
        self
    }

    /// Strikes in the next call of this sort that has no earlier fault waiting.
    #[must_use]
    pub fn next(mut self, operation: Operation, kind: FaultKind) -> Self {
        self.next_of.entry(operation).or_default().push_back(kind);
        self
    }

    /// The fault of this call, if there is one.
    pub(super) fn strike(&mut self, step: u64, operation: Operation) -> Option<FaultKind> {
        if let Some(kind) = self.at_step.get(&step).copied().filter(|kind| kind.fits(operation)) {
            return Some(kind);
        }
        if let Some(kind) = self.next_of.get_mut(&operation).and_then(VecDeque::pop_front) {
            return Some(kind);
        }
        let drawn = self.drawn.as_ref().filter(|drawn| step < drawn.steps_max)?;
        // Each step has dice of its own, so that an extra call early on does not change every later fault.
        let mut dice = Dice::new(drawn.seed ^ step.wrapping_mul(0xD134_2543_DE82_EF95));
        if !dice.in_a_thousand(drawn.in_a_thousand) {
            return None;
        }
        let mut fitting: Vec<FaultKind> =
            drawn.kinds.iter().copied().filter(|kind| kind.fits(operation)).collect();
        dice.take(&mut fitting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_faults_and_every_kind_has_its_turn() {
        let draw = |seed| {
            let mut faults = Faults::seeded(seed, 500, 4000);
            (0..5000)
                .map(|step| {
                    let operation =
                        [Operation::Enumerate, Operation::ReadBack, Operation::Execute][step as usize % 3];
                    faults.strike(step, operation)
                })
                .collect::<Vec<_>>()
        };
        let drawn = draw(7);
        assert_eq!(drawn, draw(7));
        assert_ne!(drawn, draw(8));
        assert!(drawn[4000..].iter().all(Option::is_none), "faults end");
        for kind in FaultKind::ALL {
            assert!(drawn.contains(&Some(kind)), "{kind:?} never struck");
        }
    }
}
