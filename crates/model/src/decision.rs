//! What was decided about a grant, and the kinds of drift between what is observed and what is justified.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::credential::CredentialName;
use crate::id::{AccountKey, EntitlementName, IdentityKey, SystemName};
use crate::reason::Reason;

/// For one grant: may it exist?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// A live reason covers it.
    Justified,
    /// No live reason covers it.
    Unjustified,
    /// It cannot be said, as when it is not known whose account this is.
    Undecided,
}

impl Decision {
    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Justified => "justified",
            Self::Unjustified => "unjustified",
            Self::Undecided => "undecided",
        }
    }
}

macro_rules! drift_kinds {
    ($($(#[$meta:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// How what is observed differs from what is justified.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum DriftKind { $($(#[$meta])* $variant,)+ }

        impl DriftKind {
            /// Every kind, in the order in which people should look at them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name used on the command line and in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Reads the name used on the command line.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

drift_kinds! {
    /// The grant's identity has ended.
    Leaver = "leaver",
    /// A combination that one identity may not hold.
    Toxic = "toxic",
    /// The grant's reason has ended.
    Expired = "expired",
    /// The grant never had a reason that we know.
    Unjustified = "unjustified",
    /// An account of nobody.
    Orphan = "orphan",
    /// A non-human without a live owner.
    Ownerless = "ownerless",
    /// Justified and not there.
    Missing = "missing",
    /// Justified, was there, and vanished without us: a person is asked.
    RemovedOutOfBand = "removed_out_of_band",
    /// Unused beyond the limit, where use is known.
    Dormant = "dormant",
    /// A credential older than policy allows.
    StaleCredential = "stale_credential",
    /// A weakness that the system itself reports.
    Posture = "posture",
    /// Used, and not governed.
    UnknownSystem = "unknown_system",
}

impl fmt::Display for DriftKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Why a decision fell as it did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "because")]
pub enum Because {
    /// A live reason.
    Reason {
        /// Which.
        reason: Reason,
    },
    /// A live reason for an entitlement that carries this one.
    CarriedBy {
        /// The carrying entitlement.
        entitlement: EntitlementName,
        /// Its reason.
        reason: Reason,
    },
    /// A reason that has ended.
    ReasonEnded {
        /// Which.
        reason: Reason,
    },
    /// No reason was ever known.
    NoReason,
    /// The identity has left, is suspended or has not begun.
    IdentityNotLive {
        /// Who.
        identity: IdentityKey,
        /// The lifecycle state, in words.
        state: String,
        /// Since when, where known.
        since: Option<Timestamp>,
    },
    /// No identity matches this account.
    NoIdentity,
    /// Several identities match this account; nobody is guessed.
    Ambiguous {
        /// The candidates.
        candidates: Vec<IdentityKey>,
    },
    /// The time for which the account of somebody who has left is kept has passed.
    RetentionPassed {
        /// Since when.
        since: Timestamp,
    },
    /// Another credential has taken its place, and the time for which both stay has passed.
    Replaced {
        /// When that ended.
        until: Timestamp,
    },
    /// Somebody takes over what ran by itself with the rights of somebody who has left.
    HandedOver {
        /// Who.
        to: IdentityKey,
    },
    /// A fact that the decision rests on, in words.
    Fact {
        /// The words.
        text: String,
    },
}

impl fmt::Display for Because {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reason { reason } => write!(formatter, "{reason}"),
            Self::CarriedBy { entitlement, reason } => {
                write!(formatter, "carried by {entitlement}: {reason}")
            }
            Self::ReasonEnded { reason } => write!(formatter, "ended: {reason}"),
            Self::NoReason => formatter.write_str("no role, exception or baseline gives a reason"),
            Self::IdentityNotLive { identity, state, since } => {
                let verb = if state == "left" { "has" } else { "is" };
                write!(formatter, "{identity} {verb} {state}")?;
                since.map_or(Ok(()), |since| write!(formatter, ", access ended {since}"))
            }
            Self::NoIdentity => formatter.write_str("no identity matches this account"),
            Self::Ambiguous { candidates } => {
                let names: Vec<_> = candidates.iter().map(IdentityKey::as_str).collect();
                write!(formatter, "several identities match this account: {}", names.join(", "))
            }
            Self::RetentionPassed { since } => {
                write!(formatter, "kept until {since}, which has passed: it is deleted")
            }
            Self::Replaced { until } => {
                write!(formatter, "another one took its place, and both stayed until {until}: it is revoked")
            }
            Self::HandedOver { to } => write!(formatter, "{to} takes it over: it is to run as their account"),
            Self::Fact { text } => formatter.write_str(text),
        }
    }
}

/// One difference between what is observed and what is justified.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DriftItem {
    /// How it differs.
    pub kind: DriftKind,
    /// Where.
    pub system: SystemName,
    /// The account's key; `None` where the identity has no account there.
    pub account: Option<AccountKey>,
    /// What people call the account.
    pub login: Option<String>,
    /// Whose it is, where known.
    pub identity: Option<IdentityKey>,
    /// What it is about; `None` for drift of the account itself.
    pub entitlement: Option<EntitlementName>,
    /// The credential that it is about, where it is about one.
    pub credential: Option<CredentialName>,
    /// When the observed side of it began, as far as we have watched.
    pub since: Option<Timestamp>,
    /// Why.
    pub because: Vec<Because>,
}

impl DriftItem {
    /// Names this difference: the same as long as it is about the same thing, whatever its reasons and its age.
    pub fn id(&self) -> String {
        let about = (self.kind, &self.system, &self.account, &self.identity, &self.entitlement);
        let mut because: Option<&Vec<Because>> = None;
        // A combination that may not be held is about what it combines, which only its reasons name.
        if self.kind == DriftKind::Toxic {
            because = Some(&self.because);
        }
        let bytes = match &self.credential {
            None => serde_json::to_vec(&(about, because)),
            Some(credential) => serde_json::to_vec(&(about, because, &credential.key)),
        };
        let bytes = bytes.unwrap_or_default();
        hex::encode(&Sha256::digest(bytes)[..12])
    }
}
