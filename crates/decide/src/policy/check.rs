//! What can be said of a policy only beside what was observed: unknown systems, entitlements, identities, attributes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use leasehold_model::id::{EntitlementAddress, IdentityKey, SystemName};
use leasehold_model::snapshot::Snapshot;

use super::diagnostic::Diagnostic;
use super::{AccountAddress, Placed, Policy};

/// Checks a policy against the configured systems and the observed state.
///
/// An entitlement of a system that was read completely must be there; of one that was not yet, it is a warning. An
/// owner must be a known identity, since no reason outlives its owner (law 4).
pub fn check(policy: &Policy, systems: &[SystemName], snapshot: &Snapshot) -> Vec<Diagnostic> {
    let observed = Observed::new(systems, snapshot);
    let mut diagnostics = Vec::new();
    for role in &policy.roles {
        observed.addresses(&role.grants, &mut diagnostics);
        observed.identity(&role.owner, policy, "owner", &mut diagnostics);
        if let Some(members) = &role.members {
            for attribute in members.value.attributes() {
                if !observed.attributes.is_empty() && !observed.attributes.contains(attribute) {
                    let message =
                        format!("no identity has an attribute `{attribute}`, so nobody can match on it");
                    let known: Vec<&str> = observed.attributes.iter().copied().collect();
                    let help = format!("attributes that were read: {}", known.join(", "));
                    diagnostics.push(Diagnostic::warning(&members.file, members.span.clone(), message, help));
                }
            }
        }
    }
    for explicit in &policy.explicit {
        observed.addresses(&explicit.grants, &mut diagnostics);
        observed.identity(&explicit.owner, policy, "owner", &mut diagnostics);
        observed.identity(&explicit.identity, policy, "identity", &mut diagnostics);
        if explicit.identity.value.folded() == explicit.owner.value.folded() {
            let message = format!("`{}` would answer for their own access", explicit.owner.value);
            let help = "name somebody else as the owner: nobody decides on their own access".to_owned();
            diagnostics.push(Diagnostic::error(
                &explicit.owner.file,
                explicit.owner.span.clone(),
                message,
                help,
            ));
        }
    }
    for set in &policy.sod {
        for side in &set.sides {
            observed.addresses(side, &mut diagnostics);
        }
    }
    for (address, owner) in &policy.owners {
        observed.addresses(std::slice::from_ref(address), &mut diagnostics);
        observed.identity(owner, policy, "owner", &mut diagnostics);
    }
    for settings in policy.guards.values() {
        observed.addresses(&settings.administrators, &mut diagnostics);
    }
    for protected in &policy.protected {
        observed.account(&protected.account, "so this protects nothing", &mut diagnostics);
    }
    for secret in &policy.shared_secrets {
        for account in &secret.accounts {
            observed.account(account, "so nothing is said of its secret", &mut diagnostics);
        }
        for who in &secret.known_by {
            observed.identity(who, policy, "identity", &mut diagnostics);
        }
        observed.identity(&secret.owner, policy, "owner", &mut diagnostics);
    }
    for declared in &policy.identities {
        observed.identity(&declared.owner, policy, "owner", &mut diagnostics);
    }
    for Placed { value, file, span } in &policy.named.systems {
        observed.system(value, file, span, &mut diagnostics);
    }
    for account in &policy.named.accounts {
        observed.account(account, "so this gives it to nobody", &mut diagnostics);
    }
    for (what, who) in &policy.named.identities {
        observed.identity(who, policy, what, &mut diagnostics);
    }
    diagnostics
}

struct Observed<'snapshot> {
    systems: &'snapshot [SystemName],
    entitlements: HashMap<&'snapshot SystemName, HashSet<String>>,
    /// Logins and keys, folded.
    accounts: HashMap<&'snapshot SystemName, HashSet<String>>,
    read_completely: HashSet<&'snapshot SystemName>,
    /// Folded.
    identities: HashSet<String>,
    attributes: BTreeSet<&'snapshot str>,
}

impl<'snapshot> Observed<'snapshot> {
    fn new(systems: &'snapshot [SystemName], snapshot: &'snapshot Snapshot) -> Self {
        let mut entitlements: HashMap<&SystemName, HashSet<String>> = HashMap::new();
        for entitlement in &snapshot.entitlements {
            let names = entitlements.entry(snapshot.system(entitlement.system)).or_default();
            names.insert(entitlement.entitlement.name.to_string());
        }
        let mut accounts: HashMap<&SystemName, HashSet<String>> = HashMap::new();
        for account in &snapshot.accounts {
            let names = accounts.entry(snapshot.system(account.system)).or_default();
            names.extend([account.account.login.to_lowercase(), account.account.key.0.to_lowercase()]);
        }
        let complete = snapshot.systems.iter().filter(|system| system.latest_complete.is_some());
        let mut attributes: BTreeSet<&str> = BTreeSet::new();
        for (_, identity) in &snapshot.identities {
            attributes.extend(identity.attributes.keys().map(String::as_str));
        }
        if !attributes.is_empty() {
            attributes.extend(["key", "kind", "state", "status", "manager", "owner"]);
        }
        Self {
            systems,
            entitlements,
            accounts,
            read_completely: complete.map(|system| &system.name).collect(),
            identities: snapshot.identities.iter().map(|(_, identity)| identity.key.folded()).collect(),
            attributes,
        }
    }

    /// Whether there is such a system.
    fn system(
        &self,
        system: &SystemName,
        file: &Arc<str>,
        span: &Range<usize>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> bool {
        let is_known = self.systems.contains(system);
        if !is_known {
            let known: Vec<&str> = self.systems.iter().map(SystemName::as_str).collect();
            let message = format!("there is no system `{system}`");
            let help = format!("systems in leasehold.toml: {}", known.join(", "));
            diagnostics.push(Diagnostic::error(file, span.clone(), message, help));
        }
        is_known
    }

    fn addresses(&self, addresses: &[Placed<EntitlementAddress>], diagnostics: &mut Vec<Diagnostic>) {
        for placed in addresses {
            let (file, span, address) = (&placed.file, placed.span.clone(), &placed.value);
            if !self.system(&address.system, file, &span, diagnostics) {
                continue;
            }
            let name = address.entitlement.to_string();
            let names = self.entitlements.get(&address.system);
            if names.is_some_and(|names| names.contains(&name)) {
                continue;
            }
            if address.entitlement.is_there_while_held() {
                let message = format!("nobody holds `{name}` in system `{}` at present", address.system);
                let help = "check the spelling; it can be granted once the system shows it".to_owned();
                diagnostics.push(Diagnostic::warning(file, span, message, help));
            } else if self.read_completely.contains(&address.system) {
                let message = format!("system `{}` has no entitlement `{name}`", address.system);
                diagnostics.push(Diagnostic::error(file, span, message, nearest(&name, names)));
            } else {
                let message =
                    format!("system `{}` was not yet read, so `{name}` cannot be checked", address.system);
                let help = format!("run `leasehold sync {}` and check again", address.system);
                diagnostics.push(Diagnostic::warning(file, span, message, help));
            }
        }
    }

    /// A protection that names nothing protects nothing, and nobody would notice before it is needed.
    fn account(&self, account: &Placed<AccountAddress>, in_vain: &str, diagnostics: &mut Vec<Diagnostic>) {
        let (file, span, AccountAddress { system, login }) =
            (&account.file, account.span.clone(), &account.value);
        if self.system(system, file, &span, diagnostics)
            && self.read_completely.contains(system)
            && !self.accounts.get(system).is_some_and(|names| names.contains(&login.to_lowercase()))
        {
            let message = format!("system `{system}` has no account `{login}`, {in_vain}");
            let help = nearest(login, self.accounts.get(system));
            diagnostics.push(Diagnostic::warning(file, span, message, help));
        }
    }

    fn identity(
        &self,
        who: &Placed<IdentityKey>,
        policy: &Policy,
        what: &str,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let known = self.identities.is_empty()
            || self.identities.contains(&who.value.folded())
            || policy.identities.iter().any(|declared| declared.key.folded() == who.value.folded());
        if !known {
            let message = format!("{what} `{}` is not an identity that was read", who.value);
            let likely = nearest(who.value.as_str(), Some(&self.identities));
            let help = format!("identities are named by their key in the authoritative system; {likely}");
            diagnostics.push(Diagnostic::warning(&who.file, who.span.clone(), message, help));
        }
    }
}

/// The known name that shares the most leading or trailing text with the unknown one.
fn nearest(unknown: &str, names: Option<&HashSet<String>>) -> String {
    let folded = unknown.to_lowercase();
    let likeness = |name: &str| {
        let name = name.to_lowercase();
        let start = name.chars().zip(folded.chars()).take_while(|(a, b)| a == b).count();
        let end = name.chars().rev().zip(folded.chars().rev()).take_while(|(a, b)| a == b).count();
        start + end
    };
    let best = names.into_iter().flatten().map(|name| (likeness(name), name)).max();
    match best {
        Some((likeness, name)) if likeness >= 3 => format!("did you mean `{name}`?"),
        _ => "`leasehold who` and `leasehold sync` show what the system has".to_owned(),
    }
}
