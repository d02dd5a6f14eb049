//! The systems of the practice company: what can be held in each, and what carries what.

use std::collections::BTreeMap;

use leasehold_model::entitlement::Entitlement;
use leasehold_model::id::{EntitlementName, SystemName};

use super::state::{SystemState, SystemTraits};

struct Template {
    name: &'static str,
    kind: &'static str,
    traits: SystemTraits,
    /// Name and title; a leading `!` marks an administrative one, a leading `=` one that everybody holds by nature.
    entitlements: &'static [(&'static str, &'static str)],
    /// `(parent, child)`: holding the parent means holding the child.
    carries: &'static [(&'static str, &'static str)],
}

const TEMPLATES: &[Template] = &[
    Template {
        name: "directory",
        kind: "group",
        traits: SystemTraits { read_back: true, sessions: false, last_use: true, credentials: false },
        entitlements: &[
            ("=domain-users", "Every account of the directory"),
            ("staff", "Everybody who works here"),
            ("engineering", "Engineers of all departments"),
            ("payments-eng", "Engineers of the payments service"),
            ("platform-eng", "Engineers of the platform"),
            ("sre", "Site reliability engineers"),
            ("finance", "Finance"),
            ("accounts-payable", "Accounts payable"),
            ("sales", "Sales"),
            ("support", "Support"),
            ("people-team", "People"),
            ("legal", "Legal"),
            ("security", "Security"),
            ("it", "IT"),
            ("wiki-readers", "May read the wiki"),
            ("wiki-editors", "May edit the wiki"),
            ("build-runners", "May start builds"),
            ("prod-access", "May log in to production hosts"),
            ("project-aurora", "Project Aurora"),
            ("project-aurora-core", "Core team of Project Aurora"),
            ("!domain-admins", "Administrators of the directory"),
        ],
        carries: &[
            ("payments-eng", "engineering"),
            ("platform-eng", "engineering"),
            ("sre", "platform-eng"),
            ("sre", "prod-access"),
            ("engineering", "wiki-editors"),
            ("engineering", "build-runners"),
            ("wiki-editors", "wiki-readers"),
            ("staff", "wiki-readers"),
            ("accounts-payable", "finance"),
            // Two groups that are members of each other: it happens, and nothing may hang on it.
            ("project-aurora", "project-aurora-core"),
            ("project-aurora-core", "project-aurora"),
            ("project-aurora", "wiki-editors"),
            ("domain-admins", "prod-access"),
        ],
    },
    Template {
        name: "ledger-db",
        kind: "role",
        // A database does not remember when a role last logged in.
        traits: SystemTraits { read_back: true, sessions: true, last_use: false, credentials: false },
        entitlements: &[
            ("ledger_read", "Read the ledger"),
            ("ledger_write", "Post to the ledger"),
            ("payments_rw", "Create and change payments"),
            ("payments_approver", "Approve payments"),
            ("vendor_edit", "Create and change vendors"),
            ("vendor_approve", "Approve vendors"),
            ("reporting", "Run reports"),
            ("backup", "Take backups"),
            ("!admin", "Administer the database"),
        ],
        carries: &[
            ("ledger_write", "ledger_read"),
            ("payments_rw", "ledger_read"),
            ("payments_approver", "ledger_read"),
            ("reporting", "ledger_read"),
            ("admin", "ledger_write"),
            ("admin", "backup"),
        ],
    },
    Template {
        name: "cloud",
        kind: "role",
        traits: SystemTraits { read_back: true, sessions: true, last_use: true, credentials: true },
        entitlements: &[
            ("viewer", "See resources"),
            ("developer", "Change development resources"),
            ("deployer", "Deploy to production"),
            ("incident-responder", "Act in an incident"),
            ("billing-viewer", "See costs"),
            ("!prod-admin", "Administer production"),
            ("!organization-admin", "Administer the organisation"),
        ],
        carries: &[
            ("developer", "viewer"),
            ("deployer", "developer"),
            ("incident-responder", "viewer"),
            ("prod-admin", "deployer"),
            ("organization-admin", "prod-admin"),
        ],
    },
    Template {
        name: "crm",
        kind: "role",
        traits: SystemTraits { read_back: true, sessions: false, last_use: true, credentials: false },
        entitlements: &[
            ("support-user", "Work on cases"),
            ("sales-user", "Work on opportunities"),
            ("sales-manager", "See a team's opportunities"),
            ("data-export", "Export all customers"),
            ("!admin", "Administer the CRM"),
        ],
        carries: &[("sales-manager", "sales-user")],
    },
    Template {
        name: "vpn",
        kind: "profile",
        traits: SystemTraits { read_back: true, sessions: true, last_use: true, credentials: true },
        entitlements: &[
            ("standard", "The office network"),
            ("production", "The production network"),
            ("vendor", "Named hosts, for vendors"),
        ],
        carries: &[("production", "standard")],
    },
];

/// Every system, with its entitlements and without accounts.
pub(super) fn empty_systems() -> BTreeMap<SystemName, SystemState> {
    TEMPLATES
        .iter()
        .filter_map(|template| Some((SystemName::new(template.name).ok()?, empty(template))))
        .collect()
}

fn empty(template: &Template) -> SystemState {
    let mut system = SystemState { traits: template.traits, ..SystemState::default() };
    for (marked, title) in template.entitlements {
        let name = marked.trim_start_matches(['!', '=']);
        let mut entitlement = Entitlement::new(template.kind, name);
        entitlement.title = Some((*title).to_owned());
        entitlement.privileged = marked.starts_with('!');
        entitlement.inherent = marked.starts_with('=');
        if template.name == "directory" {
            entitlement.native = Some(format!("cn={name},ou=groups,dc=example,dc=com"));
        }
        system.entitlements.insert(entitlement.name.clone(), entitlement);
    }
    for (parent, child) in template.carries {
        let name = |text: &str| EntitlementName::new(template.kind, text);
        system.carries.entry(name(parent)).or_default().insert(name(child));
    }
    system
}
