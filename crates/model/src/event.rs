//! What the ledger records: one kind a line, so that an auditor can count them.

use serde::{Deserialize, Serialize};

macro_rules! event_kinds {
    ($($(#[$meta:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// The kind of a ledger entry.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum EventKind { $($(#[$meta])* #[serde(rename = $text)] $variant,)+ }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name written into entries.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

event_kinds! {
    /// A system was enumerated, completely or in part.
    EpochEnded = "epoch.ended",
    /// A policy revision became the live one.
    PolicyApplied = "policy.applied",
    /// Access that was there was given a reason that ends.
    BaselineAdopted = "baseline.adopted",
    /// A baseline was ended before its time.
    BaselineEnded = "baseline.ended",
    /// A person decided that somebody leaves, before the source says so.
    DepartureRecorded = "departure.recorded",
    /// That was taken back.
    DepartureRescinded = "departure.rescinded",
    /// A person said who answers for a non-human.
    OwnershipRecorded = "ownership.recorded",
    /// A person stopped a non-human, which ends when it was watched for a time.
    RetirementBegun = "retirement.begun",
    /// That was taken back.
    RetirementRescinded = "retirement.rescinded",
    /// A person said that a stopped non-human ends for good.
    RetirementFinished = "retirement.finished",
    /// A link was made that gives its holder a new credential of an account.
    CredentialLinkMade = "credential_link.made",
    /// A link that nobody had opened was taken back.
    CredentialLinkWithdrawn = "credential_link.withdrawn",
    /// Somebody opened such a link.
    CredentialLinkOpened = "credential_link.opened",
    /// A credential was made for whoever opened a link.
    CredentialIssued = "credential.issued",
    /// The target made none.
    CredentialNotIssued = "credential.not_issued",
    /// A plan was made.
    PlanCreated = "plan.created",
    /// Somebody overrode a guard by name.
    GuardOverridden = "guard.overridden",
    /// An action changed its state.
    ActionTransition = "action.transition",
    /// What became of an offboarding was said: what was ended, and what is still there.
    ReceiptWritten = "receipt.written",
    /// A target was read after an action.
    ReadBack = "action.read_back",
    /// A system was connected by somebody in the server.
    SystemConnected = "system.connected",
    /// Somebody was made a user, or is one differently than before.
    UserChanged = "user.changed",
    /// A link was made that stands for a sign-in.
    SignInLinkMade = "sign_in_link.made",
    /// Somebody signed in.
    SignedIn = "sign_in.done",
    /// Somebody showed again that it is them.
    SignInConfirmed = "sign_in.confirmed",
    /// Somebody tried to sign in, and could not.
    SignInFailed = "sign_in.failed",
    /// A password, one-time codes or a passkey were set or taken away.
    FactorChanged = "sign_in.factor_changed",
    /// A session ended before its time.
    SessionEnded = "session.ended",
    /// Somebody let a program without a browser have a token of theirs, or refused.
    DeviceLoginDecided = "device_login.decided",
    /// An API token was made.
    TokenCreated = "token.created",
    /// An API token was revoked.
    TokenRevoked = "token.revoked",
    /// A webhook was made, changed, deleted, disabled, or given another secret.
    WebhookChanged = "webhook.changed",
}
