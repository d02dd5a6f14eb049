//! The roles of the practice company: one table gives both the policy's text and what the systems grant.

use leasehold_model::identity::{Identity, IdentityKind};

/// Who holds a role by rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Members {
    /// The department; `None` for any.
    department: Option<&'static str>,
    /// Title patterns of which one must match, with `*` for any text; empty for any title.
    titles: &'static [&'static str],
}

/// A role.
#[derive(Debug, Clone, Copy)]
pub(super) struct Role {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) task: &'static str,
    /// The department whose head answers for it.
    pub(super) owner: &'static str,
    pub(super) members: Members,
    /// `system:kind/name`.
    pub(super) grants: &'static [&'static str],
}

const fn any() -> Members {
    Members { department: None, titles: &[] }
}

const fn everyone_in(department: &'static str) -> Members {
    Members { department: Some(department), titles: &[] }
}

const fn titled(department: &'static str, titles: &'static [&'static str]) -> Members {
    Members { department: Some(department), titles }
}

macro_rules! role {
    ($name:literal, $title:literal, $task:literal, $owner:literal, $members:expr, [$($grant:literal),+ $(,)?]) => {
        Role { name: $name, title: $title, task: $task, owner: $owner, members: $members, grants: &[$($grant),+] }
    };
}

/// Every role of the company.
pub(super) const ROLES: &[Role] = &[
    role!(
        "everyone",
        "Everyone",
        "Work here",
        "IT",
        any(),
        ["directory:group/staff", "vpn:profile/standard"]
    ),
    role!(
        "department-head",
        "Department head",
        "Run a department and its budget",
        "Finance",
        Members { department: None, titles: &["Head of *"] },
        ["cloud:role/billing-viewer", "ledger-db:role/reporting"]
    ),
    role!(
        "payments-engineer",
        "Payments engineer",
        "Operate and change the payments service",
        "Payments",
        titled("Payments", &["*Engineer*"]),
        ["directory:group/payments-eng", "ledger-db:role/payments_rw", "cloud:role/developer"]
    ),
    role!(
        "payments-product",
        "Payments product manager",
        "Plan the payments service",
        "Payments",
        titled("Payments", &["Product *"]),
        ["directory:group/wiki-editors", "cloud:role/viewer"]
    ),
    role!(
        "platform-engineer",
        "Platform engineer",
        "Build and ship the platform",
        "Platform",
        titled("Platform", &["*Platform Engineer"]),
        ["directory:group/platform-eng", "cloud:role/deployer"]
    ),
    role!(
        "site-reliability-engineer",
        "Site reliability engineer",
        "Keep production running",
        "Platform",
        titled("Platform", &["*Reliability*"]),
        ["directory:group/sre", "cloud:role/prod-admin", "vpn:profile/production", "ledger-db:role/backup"]
    ),
    role!(
        "database-administrator",
        "Database administrator",
        "Operate the ledger database",
        "Platform",
        titled("Platform", &["Database *"]),
        ["directory:group/platform-eng", "ledger-db:role/admin", "vpn:profile/production"]
    ),
    role!(
        "accountant",
        "Accountant",
        "Keep the books",
        "Finance",
        titled("Finance", &["*Accountant"]),
        ["directory:group/finance", "ledger-db:role/ledger_write"]
    ),
    role!(
        "payables-clerk",
        "Accounts payable clerk",
        "Enter vendors and invoices",
        "Finance",
        titled("Finance", &["*Payable*"]),
        ["directory:group/accounts-payable", "ledger-db:role/vendor_edit"]
    ),
    role!(
        "payments-approver",
        "Payments approver",
        "Approve payments and vendors",
        "Finance",
        titled("Finance", &["*Controller"]),
        ["directory:group/finance", "ledger-db:role/payments_approver", "ledger-db:role/vendor_approve"]
    ),
    role!(
        "sales",
        "Sales",
        "Sell to customers",
        "Sales",
        everyone_in("Sales"),
        ["directory:group/sales", "crm:role/sales-user"]
    ),
    role!(
        "sales-manager",
        "Sales manager",
        "Lead a sales team",
        "Sales",
        titled("Sales", &["*Manager", "Head of *"]),
        ["crm:role/sales-manager"]
    ),
    role!(
        "support-agent",
        "Support agent",
        "Answer customers",
        "Support",
        everyone_in("Support"),
        ["directory:group/support", "crm:role/support-user"]
    ),
    role!(
        "people-partner",
        "People partner",
        "Look after the people who work here",
        "People",
        everyone_in("People"),
        ["directory:group/people-team"]
    ),
    role!("counsel", "Counsel", "Advise on law", "Legal", everyone_in("Legal"), ["directory:group/legal"]),
    role!(
        "security",
        "Security",
        "Find and mend weaknesses",
        "Security",
        everyone_in("Security"),
        ["directory:group/security", "cloud:role/viewer", "vpn:profile/production"]
    ),
    role!(
        "help-desk",
        "Help desk",
        "Help colleagues with their machines",
        "IT",
        everyone_in("IT"),
        ["directory:group/it"]
    ),
    role!(
        "it-administrator",
        "IT administrator",
        "Operate the directory and the CRM",
        "IT",
        titled("IT", &["IT Administrator"]),
        ["directory:group/domain-admins", "crm:role/admin"]
    ),
];

impl Members {
    /// The predicate as the policy files state it.
    pub(super) fn cedar(&self) -> String {
        let mut terms = vec![r#"principal.kind == "person""#.to_owned()];
        terms.extend(self.department.map(|name| format!(r#"principal.department == "{name}""#)));
        let titles: Vec<String> = self
            .titles
            .iter()
            .map(|pattern| match pattern.contains('*') {
                true => format!(r#"principal.title like "{pattern}""#),
                false => format!(r#"principal.title == "{pattern}""#),
            })
            .collect();
        match titles.len() {
            0 => {}
            1 => terms.extend(titles),
            _ => terms.push(format!("({})", titles.join(" || "))),
        }
        terms.join(" && ")
    }

    fn include(&self, identity: &Identity, department: &str, title: &str) -> bool {
        identity.kind == IdentityKind::Person
            && self.department.is_none_or(|wanted| wanted == department)
            && (self.titles.is_empty() || self.titles.iter().any(|pattern| matches(pattern, title)))
    }
}

/// The grants that the roles give to somebody with this department and title.
pub(super) fn grants_of(identity: &Identity, department: &str, title: &str) -> Vec<&'static str> {
    let mut grants: Vec<&str> = ROLES
        .iter()
        .filter(|role| role.members.include(identity, department, title))
        .flat_map(|role| role.grants.iter().copied())
        .collect();
    grants.sort_unstable();
    grants.dedup();
    grants
}

/// Whether `text` fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            tail.is_empty()
                || rest.char_indices().any(|(at, _)| matches(tail, &rest[at..]))
                || matches(tail, "")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, fits) in [
            ("*Engineer*", "Payments Engineer", true),
            ("*Engineer*", "Engineer", true),
            ("*Engineer*", "Product Manager", false),
            ("Head of *", "Head of IT", true),
            ("Head of *", "Deputy Head of IT", false),
            ("*Platform Engineer", "Senior Platform Engineer", true),
            ("*Platform Engineer", "Platform Engineer II", false),
            ("Counsel", "Counsel", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} on {text}");
        }
    }
}
