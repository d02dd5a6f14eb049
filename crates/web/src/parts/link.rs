//! Links to the things that pages speak of. A name of a target is shown with everything harmful spelled out.

use askama::Template;
use askama::filters::HtmlSafe;
use leasehold_model::id::{ActionId, EntitlementName, IdentityKey, PlanHash, SystemName};
use leasehold_model::text::safe;

use super::query::segment;

/// How much of a hash people are shown.
const HASH_CHARS: usize = 12;

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Template)]
#[template(path = "parts/link.html")]
pub(crate) struct Link {
    /// Where it leads; nowhere where it is empty.
    pub href: String,
    /// What it says.
    pub text: String,
    /// How it looks, where it does not look like any other.
    pub class: Option<&'static str>,
}

impl HtmlSafe for Link {}

impl Link {
    /// A link with a text of ours.
    pub(crate) fn to(href: impl Into<String>, text: impl Into<String>) -> Self {
        Self { href: href.into(), text: text.into(), class: None }
    }

    /// The same text, for whoever may not see where it leads.
    pub(crate) fn unlinked(self) -> Self {
        Self { href: String::new(), ..self }
    }

    /// To an identity.
    pub(crate) fn identity(key: &IdentityKey) -> Self {
        Self::to(identity_path(key), safe(key))
    }

    /// To a system.
    pub(crate) fn system(name: &SystemName) -> Self {
        Self { class: Some("name"), ..Self::to(system_path(name), name.as_str()) }
    }

    /// To an entitlement, by its name in its system.
    pub(crate) fn entitlement(system: &SystemName, name: &EntitlementName) -> Self {
        Self { href: entitlement_path(system, name), text: safe(name), class: Some("mono") }
    }

    /// To a plan.
    pub(crate) fn plan(hash: &PlanHash) -> Self {
        Self { href: plan_path(hash), text: short_hash(hash), class: Some("mono") }
    }

    /// To an action.
    pub(crate) fn action(plan: &PlanHash, id: &ActionId) -> Self {
        Self { href: action_path(plan, id), text: safe(id), class: Some("mono") }
    }

    /// To an entry of the ledger.
    pub(crate) fn ledger_entry(index: u64) -> Self {
        Self { href: format!("/ledger/{index}"), text: index.to_string(), class: Some("mono") }
    }
}

/// The page of an identity.
pub(crate) fn identity_path(key: &IdentityKey) -> String {
    format!("/identities/{}", segment(key.as_str()))
}

/// The page of a system.
pub(crate) fn system_path(name: &SystemName) -> String {
    format!("/systems/{}", segment(name.as_str()))
}

/// The page of an entitlement. A slash in its name is encoded, so that a name such as `..` leads nowhere else.
pub(crate) fn entitlement_path(system: &SystemName, name: &EntitlementName) -> String {
    format!("/entitlements/{}/{}/{}", segment(system.as_str()), segment(&name.kind), segment(&name.name))
}

/// The page of a plan.
pub(crate) fn plan_path(hash: &PlanHash) -> String {
    format!("/plans/{}", segment(hash.as_str()))
}

/// The page of an action.
pub(crate) fn action_path(plan: &PlanHash, id: &ActionId) -> String {
    format!("/actions/{}/{}", segment(plan.as_str()), segment(id.as_str()))
}

/// The beginning of a plan's hash, by which people tell plans apart.
pub(crate) fn short_hash(hash: &PlanHash) -> String {
    hash.as_str().chars().take(HASH_CHARS).collect()
}
