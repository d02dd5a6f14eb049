//! The pages: one file each, with its table of routes, and one line below where it has a place in the navigation.

pub(crate) mod account;
pub(crate) mod account_passkeys;
pub(crate) mod action;
pub(crate) mod actions;
pub(crate) mod connect;
pub(crate) mod credential_link;
pub(crate) mod credentials;
pub(crate) mod device;
pub(crate) mod drift;
pub(crate) mod entitlement;
pub(crate) mod entitlements;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod first_log_ins;
pub(crate) mod home;
pub(crate) mod identities;
pub(crate) mod identity;
pub(crate) mod ledger;
pub(crate) mod me;
pub(crate) mod plan;
pub(crate) mod plan_approval;
pub(crate) mod plans;
pub(crate) mod policy;
pub(crate) mod search;
pub(crate) mod settings;
pub(crate) mod system;
pub(crate) mod systems;
pub(crate) mod tasks;
pub(crate) mod theme;
pub(crate) mod webhook;
pub(crate) mod webhooks;

use leasehold_decide::authority::Action;

/// A place in the navigation.
pub(crate) struct Place {
    /// Where it leads.
    pub path: &'static str,
    /// What it is called.
    pub label: &'static str,
    /// Who can do this somewhere, sees it.
    pub action: Action,
}

const fn place(path: &'static str, label: &'static str, action: Action) -> Place {
    Place { path, label, action }
}

/// The navigation, in its order.
pub(crate) const NAVIGATION: &[Place] = &[
    place("/", "Home", Action::SeeOwnAccess),
    place("/me", "My access", Action::SeeOwnAccess),
    place("/identities", "Identities", Action::SeeIdentity),
    place("/systems", "Systems", Action::SeeSystem),
    place("/entitlements", "Entitlements", Action::SeeEntitlement),
    place("/credentials", "Credentials", Action::SeeSystem),
    place("/drift", "Drift", Action::SeeDrift),
    place("/plans", "Plans", Action::SeePlan),
    place("/actions", "Actions", Action::SeeAction),
    place("/tasks", "Tasks", Action::SeeTask),
    place("/policy", "Policy", Action::SeePolicy),
    place("/ledger", "Ledger", Action::SeeLedger),
    place("/settings", "Settings", Action::SeeSettings),
];
