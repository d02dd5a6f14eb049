//! Verify: the read-back that decides whether an action holds. Nothing else makes an action `verified` (law 2).

use std::collections::BTreeSet;

use leasehold_connect::connector::Connector;
use leasehold_model::account::Session;
use leasehold_model::plan::{PlanItem, Verb};
use leasehold_model::request::{AccountTarget, CredentialTarget, EntitlementTarget, ReadBack, ReadTarget};
use leasehold_store::ObservedEffect;
use serde_json::json;

/// What a read-back says about an action.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The target shows it, on every path.
    Holds {
        /// What was read, for the receipt.
        seen: serde_json::Value,
        /// What we now know of the target.
        effects: Vec<ObservedEffect>,
    },
    /// The target shows the opposite.
    Contradicted {
        /// What was read, in words.
        why: String,
    },
    /// The connector cannot read this back; nobody knows.
    Unverifiable {
        /// Why.
        why: String,
    },
    /// The target could not be asked. That is never the same as "gone" (law 3).
    Unanswered {
        /// What happened.
        why: String,
    },
}

/// The account of an item, as connectors are asked about it.
pub fn account_target(item: &PlanItem) -> AccountTarget {
    AccountTarget { key: item.account_key.clone(), login: item.account.clone() }
}

/// The entitlement of an item, as connectors are asked about it.
pub fn entitlement_target(item: &PlanItem) -> Option<EntitlementTarget> {
    let name = item.entitlement.clone()?;
    Some(EntitlementTarget { name, native: item.entitlement_native.clone() })
}

/// The credential of an item, as connectors are asked about it.
pub fn credential_target(item: &PlanItem) -> Option<CredentialTarget> {
    item.credential.as_ref().map(|name| CredentialTarget { key: name.key.clone(), kind: name.kind })
}

/// Which sessions have to be gone for the ending of sessions to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sessions {
    /// Every one: the account is closed.
    All,
    /// Those that were live before the sending. Their holder may have logged in again since, with what is left.
    These(BTreeSet<String>),
}

/// The live sessions of an item's account, told apart by name and beginning: a system may use a name again.
///
/// # Errors
/// Where the target cannot be asked.
pub async fn live_sessions(connector: &dyn Connector, item: &PlanItem) -> Result<BTreeSet<String>, Verdict> {
    Ok(read_sessions(connector, item).await?.0)
}

/// The same with what the target says of sessions that it does not list.
async fn read_sessions(
    connector: &dyn Connector,
    item: &PlanItem,
) -> Result<(BTreeSet<String>, Option<String>), Verdict> {
    match read(connector, &ReadTarget::Sessions { account: account_target(item) }).await? {
        ReadBack::Sessions { live, unlisted } => Ok((live.iter().map(name_of_session).collect(), unlisted)),
        other => Err(nonsense(&other)),
    }
}

fn name_of_session(session: &Session) -> String {
    match session.started_at {
        Some(started_at) => format!("{} since {started_at}", session.id),
        None => session.id.clone(),
    }
}

/// Reads the target now and judges.
pub async fn verify(connector: &dyn Connector, item: &PlanItem, sessions: &Sessions) -> Verdict {
    match item.verb {
        Verb::Revoke | Verb::Grant => grant(connector, item).await,
        Verb::CreateAccount | Verb::EnableAccount | Verb::DisableAccount | Verb::DeleteAccount => {
            account(connector, item).await
        }
        Verb::EnableCredential | Verb::DisableCredential | Verb::RevokeCredential => {
            credential(connector, item).await
        }
        Verb::HandOverCredential => handed_over(connector, item).await,
        Verb::EndSessions => ended_sessions(connector, item, sessions).await,
    }
}

async fn read(connector: &dyn Connector, target: &ReadTarget) -> Result<ReadBack, Verdict> {
    match connector.read_back(target).await {
        Ok(ReadBack::Unsupported { why }) => Err(Verdict::Unverifiable { why }),
        Ok(answer) => Ok(answer),
        Err(error) => Err(Verdict::Unanswered { why: error.to_string() }),
    }
}

fn nonsense(answer: &ReadBack) -> Verdict {
    Verdict::Unanswered { why: format!("the connector answered another question: {answer:?}") }
}

async fn grant(connector: &dyn Connector, item: &PlanItem) -> Verdict {
    let Some(entitlement) = entitlement_target(item) else {
        return Verdict::Unverifiable { why: "the item names no entitlement".to_owned() };
    };
    let account = account_target(item);
    let target = ReadTarget::Grant { account: account.clone(), entitlement: entitlement.clone() };
    let (direct, effective) = match read(connector, &target).await {
        Ok(ReadBack::Grant { direct, effective }) => (direct, effective),
        Ok(other) => return nonsense(&other),
        Err(verdict) => return verdict,
    };
    let (system, account_key) = (item.system.clone(), item.account_key.clone());
    if item.verb == Verb::Grant {
        // What is held through another entitlement only does not count: that path may be the one that ends next.
        return if direct {
            let effects = vec![ObservedEffect::GrantPresent {
                system,
                account: account_key,
                entitlement: entitlement.name,
            }];
            Verdict::Holds { seen: json!({"direct": direct, "effective": effective}), effects }
        } else {
            Verdict::Contradicted { why: format!("{} was read back as not granted", entitlement.name) }
        };
    }
    if direct {
        return Verdict::Contradicted { why: format!("{} was read back as still granted", entitlement.name) };
    }
    // Every path: whatever this account was to lose must be gone by the target's own reckoning.
    let mut paths = vec![json!({"entitlement": entitlement.name, "direct": direct, "effective": effective})];
    for name in &item.must_end {
        let effective = if *name == entitlement.name {
            effective
        } else {
            let other = EntitlementTarget { name: name.clone(), native: None };
            match read(connector, &ReadTarget::Grant { account: account.clone(), entitlement: other }).await {
                Ok(ReadBack::Grant { direct, effective }) => {
                    paths.push(json!({"entitlement": name, "direct": direct, "effective": effective}));
                    if direct { Some(true) } else { effective }
                }
                Ok(other) => return nonsense(&other),
                Err(verdict) => return verdict,
            }
        };
        if effective == Some(true) {
            return Verdict::Contradicted {
                why: format!("{name} was read back as still held on another path"),
            };
        }
    }
    let effects =
        vec![ObservedEffect::GrantAbsent { system, account: account_key, entitlement: entitlement.name }];
    Verdict::Holds { seen: json!({ "paths": paths }), effects }
}

async fn account(connector: &dyn Connector, item: &PlanItem) -> Verdict {
    let (exists, enabled) =
        match read(connector, &ReadTarget::Account { account: account_target(item) }).await {
            Ok(ReadBack::Account { exists, enabled }) => (exists, enabled),
            Ok(other) => return nonsense(&other),
            Err(verdict) => return verdict,
        };
    let contradiction = match item.verb {
        Verb::CreateAccount if !exists => "not there",
        Verb::EnableAccount if !exists || !enabled => "not enabled",
        Verb::DisableAccount if exists && enabled => "still enabled",
        Verb::DeleteAccount if exists => "still there",
        _ => {
            let (system, account) = (item.system.clone(), item.account_key.clone());
            let effect = match (exists, enabled) {
                (false, _) => ObservedEffect::AccountAbsent { system, account },
                (true, true) => ObservedEffect::AccountEnabled { system, account },
                (true, false) => ObservedEffect::AccountDisabled { system, account },
            };
            let seen = json!({"exists": exists, "enabled": enabled});
            return Verdict::Holds { seen, effects: vec![effect] };
        }
    };
    Verdict::Contradicted { why: format!("the account was read back as {contradiction}") }
}

async fn credential(connector: &dyn Connector, item: &PlanItem) -> Verdict {
    let Some(credential) = credential_target(item) else {
        return Verdict::Unverifiable { why: "the item names no credential".to_owned() };
    };
    let target = ReadTarget::Credential { account: account_target(item), credential: credential.clone() };
    let (exists, active) = match read(connector, &target).await {
        Ok(ReadBack::Credential { exists, active }) => (exists, active),
        Ok(other) => return nonsense(&other),
        Err(verdict) => return verdict,
    };
    let contradiction = match item.verb {
        Verb::RevokeCredential if exists => "still there",
        Verb::DisableCredential if exists && active => "still usable",
        Verb::EnableCredential if !exists || !active => "not usable",
        _ => {
            let (system, account) = (item.system.clone(), item.account_key.clone());
            let credential = credential.key;
            let effect = match exists {
                true => ObservedEffect::CredentialPresent { system, account, credential, active },
                false => ObservedEffect::CredentialAbsent { system, account, credential },
            };
            let seen = json!({"exists": exists, "active": active});
            return Verdict::Holds { seen, effects: vec![effect] };
        }
    };
    Verdict::Contradicted { why: format!("the credential was read back as {contradiction}") }
}

async fn handed_over(connector: &dyn Connector, item: &PlanItem) -> Verdict {
    let (Some(credential), Some(to)) = (credential_target(item), item.to.clone()) else {
        return Verdict::Unverifiable {
            why: "the item names no credential, or nobody to hand it over to".to_owned(),
        };
    };
    let key = credential.key.clone();
    let login = to.login.clone();
    let target =
        ReadTarget::HandOver { action: item.id.clone(), account: account_target(item), credential, to };
    match read(connector, &target).await {
        Ok(ReadBack::HandOver { left: false, .. }) => {
            Verdict::Contradicted { why: format!("{key} was read back as still with {}", item.account) }
        }
        Ok(ReadBack::HandOver { arrived: false, .. }) => {
            Verdict::Contradicted { why: format!("{key} was read back as not running as {login}") }
        }
        Ok(ReadBack::HandOver { left, arrived }) => {
            let (system, account) = (item.system.clone(), item.account_key.clone());
            // How it is listed with whoever has it now, the next reading tells.
            let effects = vec![ObservedEffect::CredentialAbsent { system, account, credential: key }];
            Verdict::Holds { seen: json!({"left": left, "arrived": arrived, "as": login}), effects }
        }
        Ok(other) => nonsense(&other),
        Err(verdict) => verdict,
    }
}

async fn ended_sessions(connector: &dyn Connector, item: &PlanItem, sessions: &Sessions) -> Verdict {
    let (live, unlisted) = match read_sessions(connector, item).await {
        Ok(read) => read,
        Err(verdict) => return verdict,
    };
    let left = match sessions {
        Sessions::All => live.len(),
        Sessions::These(before) => live.intersection(before).count(),
    };
    if left > 0 {
        return Verdict::Contradicted { why: format!("{left} sessions were read back as still live") };
    }
    let mut seen = json!({"live_sessions": 0, "begun_since": live.len()});
    // None that is listed is left, and that is all that may be said.
    if let Some(unlisted) = unlisted {
        seen["unlisted"] = unlisted.into();
    }
    Verdict::Holds { seen, effects: Vec::new() }
}
