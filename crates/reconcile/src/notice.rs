//! What happened just now, in a form small enough to send to everybody who looks.

use jiff::Timestamp;
use serde::Serialize;

macro_rules! notice_kinds {
    ($($(#[$meta:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// What a notice is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum NoticeKind { $($(#[$meta])* $variant,)+ }

        impl NoticeKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name used in JSON and as the name of an event.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

notice_kinds! {
    /// Facts, claims or drift are not what they were; the subject is the newest epoch.
    ViewChanged = "view_changed",
    /// A system is being read; the subject is its name.
    SyncStarted = "sync_started",
    /// A system was read, or could not be; the subject is its name.
    SyncFinished = "sync_finished",
    /// A task is in another state; the subject is its id.
    TaskChanged = "task_changed",
    /// An action is in another state; the subject is the action's id.
    ActionChanged = "action_changed",
    /// A plan was made and waits for somebody; the subject is its hash.
    PlanMade = "plan_made",
    /// A plan's actions have all ended, or wait for a person; the subject is its hash.
    PlanApplied = "plan_applied",
    /// The ledger's entries were published; the subject is how many there are.
    LedgerPublished = "ledger_published",
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// What.
    pub kind: NoticeKind,
    /// About what: a name, a hash or an id, never personal data and never a secret.
    pub subject: String,
    /// When.
    pub at: Timestamp,
}
