//! The life of one action: its states, and which may follow which.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the reason of a verified action begins whose system cannot end live sessions, or cannot show all of them: those are residual.
pub const RESIDUAL: &str = "read back; residual: ";

/// Where an action stands (DESIGN's action states).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionState {
    /// In a plan.
    Planned,
    /// Somebody, or the policy, said that it may run.
    Approved,
    /// The intent is in the log; the call may or may not have reached the target.
    Sent,
    /// The target accepted it. Not done yet.
    Acknowledged,
    /// A read-back newer than the sending shows it.
    Verified,
    /// A read-back newer than the sending shows the opposite; it will be sent again.
    Contradicted,
    /// A person has to look, and the reason says at what.
    Stuck,
    /// The connector cannot read back, so nobody knows.
    Unverifiable,
    /// Facts moved first; nothing was sent.
    Void,
}

impl ActionState {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Planned,
        Self::Approved,
        Self::Sent,
        Self::Acknowledged,
        Self::Verified,
        Self::Contradicted,
        Self::Stuck,
        Self::Unverifiable,
        Self::Void,
    ];

    /// The name used in JSON and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Approved => "approved",
            Self::Sent => "sent",
            Self::Acknowledged => "acknowledged",
            Self::Verified => "verified",
            Self::Contradicted => "contradicted",
            Self::Stuck => "stuck",
            Self::Unverifiable => "unverifiable",
            Self::Void => "void",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Nothing more will happen by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Verified | Self::Unverifiable | Self::Void | Self::Stuck)
    }

    /// Whether `next` may follow. `Sent → Sent` is a crash between the log and the target's answer: it is sent again,
    /// which every connector must bear. `Verified` is reached only from states in which a call was made (law 2).
    pub fn may_become(self, next: Self) -> bool {
        use ActionState::{
            Acknowledged, Approved, Contradicted, Planned, Sent, Stuck, Unverifiable, Verified, Void,
        };
        matches!(
            (self, next),
            (Planned, Approved | Void)
                | (Approved, Sent | Void | Stuck)
                | (Sent, Sent | Acknowledged | Contradicted | Stuck | Verified)
                | (Acknowledged, Verified | Contradicted | Unverifiable | Stuck | Sent)
                | (Contradicted, Sent | Stuck | Verified)
                // A person sends it again.
                | (Stuck, Approved | Void)
        )
    }
}

impl fmt::Display for ActionState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::ActionState::{self, Acknowledged, Approved, Contradicted, Planned, Sent, Stuck, Verified};

    #[test]
    fn verified_is_reached_only_after_a_call() {
        for from in ActionState::ALL.into_iter().filter(|state| state.may_become(Verified)) {
            assert!(matches!(from, Sent | Acknowledged | Contradicted), "{from}");
        }
        assert!(!Planned.may_become(Sent), "an action is approved before it is sent");
        assert!(Stuck.may_become(Approved), "a person can take an action off the stuck list");
        assert!(Approved.may_become(Sent));
    }

    #[test]
    fn names_are_read_back() {
        for state in ActionState::ALL {
            assert_eq!(ActionState::parse(state.as_str()), Some(state));
        }
    }
}
