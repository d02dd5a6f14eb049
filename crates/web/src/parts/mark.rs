//! Marks: a word in a colour that says at a glance whether somebody has to look. The word alone says it, too.

use askama::Template;
use askama::filters::HtmlSafe;
use leasehold_model::action::ActionState;
use leasehold_model::decision::{Decision, DriftKind};
use leasehold_store::TaskState;

/// How a mark looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// On its way, or somebody should look.
    Warning,
    /// Not as it should be.
    Bad,
    /// Beside the point.
    Quiet,
}

/// A mark.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "parts/mark.html")]
pub(crate) struct Mark {
    /// What it says.
    pub text: String,
    /// How it looks.
    pub tone: Tone,
}

impl HtmlSafe for Mark {}

impl Mark {
    /// A mark with a word of ours.
    pub(crate) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }

    /// The style's name of its tone.
    pub(crate) fn class(&self) -> &'static str {
        match self.tone {
            Tone::Good => " good",
            Tone::Warning => " warning",
            Tone::Bad => " bad",
            Tone::Quiet => "",
        }
    }

    /// A kind of drift.
    pub(crate) fn drift(kind: DriftKind) -> Self {
        Self::new(drift_words(kind), drift_tone(kind))
    }

    /// A decision.
    pub(crate) fn decision(decision: Decision) -> Self {
        let tone = match decision {
            Decision::Justified => Tone::Good,
            Decision::Unjustified => Tone::Bad,
            Decision::Undecided => Tone::Warning,
        };
        Self::new(decision.as_str(), tone)
    }

    /// Where an action stands. What is planned in a run that has begun is held by a guard.
    pub(crate) fn action(state: ActionState) -> Self {
        let tone = match state {
            ActionState::Verified => Tone::Good,
            ActionState::Void => Tone::Quiet,
            ActionState::Stuck => Tone::Bad,
            _ => Tone::Warning,
        };
        Self::new(action_words(state), tone)
    }

    /// Where a task stands.
    pub(crate) fn task(state: TaskState) -> Self {
        let tone = match state {
            TaskState::Done => Tone::Good,
            TaskState::Failed => Tone::Bad,
            TaskState::Running => Tone::Warning,
            TaskState::Queued | TaskState::Cancelled => Tone::Quiet,
        };
        Self::new(state.as_str(), tone)
    }
}

/// A kind of drift as pages write it.
pub(crate) fn drift_words(kind: DriftKind) -> String {
    kind.as_str().replace('_', " ")
}

/// How urgent a kind of drift looks: who holds what they must not comes before what is missing or untidy.
fn drift_tone(kind: DriftKind) -> Tone {
    match kind {
        DriftKind::Leaver | DriftKind::Toxic | DriftKind::Expired | DriftKind::Unjustified => Tone::Bad,
        DriftKind::Dormant | DriftKind::Missing | DriftKind::RemovedOutOfBand => Tone::Quiet,
        _ => Tone::Warning,
    }
}

/// An action's state as pages write it.
pub(crate) fn action_words(state: ActionState) -> &'static str {
    match state {
        ActionState::Planned => "held by a guard",
        state => state.as_str(),
    }
}

/// What a kind of drift means.
pub(crate) fn drift_meaning(kind: DriftKind) -> &'static str {
    match kind {
        DriftKind::Leaver => "access of somebody who has left",
        DriftKind::Toxic => "combinations that one identity may not hold",
        DriftKind::Expired => "access whose reason has ended",
        DriftKind::Unjustified => "access that nothing gives a reason for",
        DriftKind::Orphan => "accounts of nobody that we know, or of several",
        DriftKind::Ownerless => "non-humans for which nobody answers",
        DriftKind::Missing => "justified and not there",
        DriftKind::RemovedOutOfBand => "justified, and removed by somebody: a person decides",
        DriftKind::Dormant => "unused for longer than allowed, where use is known",
        DriftKind::StaleCredential => "credentials older than allowed, or known to leavers",
        DriftKind::Posture => "weaknesses that the system itself reports",
        DriftKind::UnknownSystem => "used, and not governed",
    }
}
