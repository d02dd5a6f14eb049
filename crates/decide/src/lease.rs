//! What access is held for, in numbers: every direct grant by the class of its strongest reason.

use leasehold_model::decision::Decision;

use crate::engine::access::{self, Because, Listing};
use crate::engine::{AccountIndex, IdentityIndex};
use crate::evaluate::{Evaluation, instant};
use crate::explain::decision;

macro_rules! classes {
    ($($(#[$meta:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// What a grant is held for. The first that is true of it counts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum LeaseClass { $($(#[$meta])* $variant,)+ }

        impl LeaseClass {
            /// Every class, the strongest first.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name used in metrics and JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

classes! {
    /// A role that its holder's attributes give.
    Role = "role",
    /// An assignment, which ends.
    Assignment = "assignment",
    /// An exception, which ends.
    Exception = "exception",
    /// What a mover keeps for a while, which ends.
    HandOver = "hand_over",
    /// It was there, and was given until a date.
    Baseline = "baseline",
    /// Every account of the system holds it.
    Inherent = "inherent",
    /// Nobody can say: whose the account is, or why everybody was given it.
    Undecided = "undecided",
    /// Nothing.
    None = "none",
}

/// How many direct grants that are valid now are of each class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseCounts([u64; LeaseClass::ALL.len()]);

impl LeaseCounts {
    /// Of one class.
    pub fn of(&self, class: LeaseClass) -> u64 {
        self.0[class as usize]
    }

    /// Of all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Counts every direct grant. The work is in proportion to what is held.
pub fn lease_counts(evaluation: &Evaluation<'_>) -> LeaseCounts {
    let (graph, justification, now) = (&evaluation.graph, &evaluation.justification, evaluation.now());
    let mut counts = LeaseCounts::default();
    let mut listing = Listing::default();
    for identity in (0..graph.identity_count()).filter_map(|index| u32::try_from(index).ok()) {
        access::list(graph, justification, IdentityIndex(identity), now, &mut listing);
        for row in listing.rows().iter().filter(|row| row.direct) {
            let class = match row.justified {
                true => listing.because(row).iter().map(|because| class_of(evaluation, because)).min(),
                false => None,
            };
            // Few have no reason of their own, and what may be said for them costs more to find out.
            let class = class.unwrap_or_else(|| match decision(evaluation, row.account, row.entitlement).0 {
                Decision::Justified => LeaseClass::Inherent,
                Decision::Undecided => LeaseClass::Undecided,
                Decision::Unjustified => LeaseClass::None,
            });
            counts.0[class as usize] += 1;
        }
    }
    let of_nobody = graph.uncorrelated_accounts().map(|account: AccountIndex| {
        let valid = |entitlement| graph.validity_of(account, entitlement).is_some_and(|it| it.contains(now));
        graph.grants_of(account).filter(|entitlement| valid(*entitlement)).count() as u64
    });
    counts.0[LeaseClass::Undecided as usize] += of_nobody.sum::<u64>();
    counts
}

fn class_of(evaluation: &Evaluation<'_>, because: &Because) -> LeaseClass {
    match because {
        Because::Role { end, .. } if instant(*end).is_none() => LeaseClass::Role,
        Because::Role { .. } => LeaseClass::Assignment,
        Because::Explicit { source, .. } => match evaluation.inputs.policy.explicit.get(*source as usize) {
            Some(explicit) if explicit.exception => LeaseClass::Exception,
            Some(_) => LeaseClass::Assignment,
            None => LeaseClass::HandOver,
        },
        Because::Baseline { .. } => LeaseClass::Baseline,
    }
}
