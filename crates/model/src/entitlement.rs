//! What can be held in a system, and how holding is observed: grants and containment.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{AccountKey, EntitlementName};

/// Something that can be held: a group, role, privilege, flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entitlement {
    /// Its name within its system.
    pub name: EntitlementName,
    /// The system's own key for it (a DN, an oid), where that differs from the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<String>,
    /// What it is for, in words, where the system says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Holding it gives administrative power over the system.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// Every account holds it by the system's nature (PostgreSQL's `PUBLIC`, AD's `Domain Users`): shown, never drift.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inherent: bool,
    /// Why a grant of it cannot be taken away by the connector, where it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irrevocable: Option<String>,
}

impl Entitlement {
    /// An ordinary, revocable entitlement.
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            name: EntitlementName::new(kind, name),
            native: None,
            title: None,
            privileged: false,
            inherent: false,
            irrevocable: None,
        }
    }
}

/// An account holding an entitlement directly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectGrant {
    /// The holder.
    pub account: AccountKey,
    /// What is held.
    pub entitlement: EntitlementName,
    /// The system itself lets it begin here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// The system itself ends it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// Qualifiers that the system keeps on this grant (`admin`, `inherit=false`, a grantor), for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
}

/// Holding `parent` means holding `child`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Containment {
    /// The entitlement that carries the other (the inner group whose members become members).
    pub parent: EntitlementName,
    /// The entitlement that is carried.
    pub child: EntitlementName,
}
