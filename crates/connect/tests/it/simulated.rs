//! The practice company: the same for a seed, sensible for every seed, and really changed by what is done to it.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_connect::connector::Connector;
use leasehold_connect::model::decision::DriftKind;
use leasehold_connect::model::id::{EntitlementAddress, IdentityKey};
use leasehold_connect::model::identity::{IdentityKind, LifecycleState};
use leasehold_connect::model::plan::Verb;
use leasehold_connect::model::request::{Outcome, ReadBack, ReadTarget};
use leasehold_connect::registry;
use leasehold_connect::simulated::{Company, World};

use crate::support::{account, collect, read_grant, request, settings};

#[test]
fn a_seed_gives_one_company() {
    let (one, two) = (Company::generate(7, 200), Company::generate(7, 200));
    assert_eq!(one.state, two.state);
    assert_eq!(one.policy_files(), two.policy_files());
    assert_ne!(one.state, Company::generate(8, 200).state);
}

/// What the policy files say, read without the generator's own tables.
struct Policy {
    given: BTreeMap<IdentityKey, BTreeSet<String>>,
    roles: Vec<(String, BTreeSet<String>)>,
    owners: BTreeSet<IdentityKey>,
    addresses: BTreeSet<String>,
}

fn read_policy(company: &Company) -> Policy {
    let mut policy = Policy {
        given: BTreeMap::new(),
        roles: Vec::new(),
        owners: BTreeSet::new(),
        addresses: BTreeSet::new(),
    };
    for (path, text) in company.policy_files() {
        let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        for (kind, entries) in &table {
            for entry in entries.as_table().unwrap().values().filter_map(toml::Value::as_table) {
                let strings = |key: &str| -> BTreeSet<String> {
                    entry
                        .get(key)
                        .and_then(toml::Value::as_array)
                        .into_iter()
                        .flatten()
                        .map(|value| value.as_str().unwrap().to_owned())
                        .collect()
                };
                if let Some(owner) = entry.get("owner") {
                    policy.owners.insert(IdentityKey::from(owner.as_str().unwrap()));
                }
                let grants = strings("grants");
                policy.addresses.extend(grants.iter().cloned());
                policy.addresses.extend(strings("administrators"));
                match kind.as_str() {
                    "role" => {
                        policy.roles.push((entry["members"].as_str().unwrap().to_owned(), grants));
                    }
                    "assignment" | "exception" => {
                        let identity = IdentityKey::from(entry["identity"].as_str().unwrap());
                        policy.given.entry(identity).or_default().extend(grants);
                    }
                    _ => {}
                }
            }
        }
    }
    policy
}

/// Evaluates the few predicate forms that the practice policy uses.
fn is_member(predicate: &str, kind: IdentityKind, department: &str, title: &str) -> bool {
    let like = |pattern: &str| {
        let parts: Vec<&str> = pattern.split('*').collect();
        let (first, last) = (parts[0], parts[parts.len() - 1]);
        title.starts_with(first) && title.ends_with(last) && parts.iter().all(|part| title.contains(part))
    };
    predicate.split(" && ").all(|term| {
        term.trim_matches(['(', ')']).split(" || ").any(|term| {
            let value = term.split('"').nth(1).unwrap();
            match term.split(' ').take(2).collect::<Vec<_>>()[..] {
                ["principal.kind", "=="] => kind.as_str() == value,
                ["principal.department", "=="] => department == value,
                ["principal.title", "like"] => like(value),
                ["principal.title", "=="] => title == value,
                ref other => panic!("a predicate form that this test does not know: {other:?}"),
            }
        })
    })
}

#[test]
fn every_company_makes_sense_and_its_trouble_is_what_was_noted() {
    for seed in 0..25 {
        for people in [24, 60, 200] {
            check_company(&Company::generate(seed, people));
        }
    }
}

fn check_company(company: &Company) {
    let state = &company.state;
    let policy = read_policy(company);
    let context = format!("seed {} people {}", company.seed, company.people);
    for owner in &policy.owners {
        let found = state.people.get(owner).unwrap_or_else(|| panic!("{context}: no owner {owner}"));
        assert_eq!(found.state, LifecycleState::Active, "{context}: {owner}");
    }
    for address in &policy.addresses {
        let address: EntitlementAddress = address.parse().unwrap();
        let known = &state.systems[&address.system].entitlements;
        assert!(known.contains_key(&address.entitlement), "{context}: {address} is not in its system");
    }
    for identity in state.people.values() {
        if let Some(manager) = &identity.manager {
            assert!(state.people.contains_key(manager) && *manager != identity.key, "{context}");
        }
    }
    for planted in &company.planted {
        let system = &state.systems[&planted.system];
        assert!(system.accounts.contains_key(&planted.account), "{context}: {planted:?}");
        if let Some(entitlement) = &planted.entitlement {
            let held = system.holds_directly(&planted.account, entitlement);
            assert_eq!(held, planted.kind != DriftKind::Missing, "{context}: {planted:?}");
        }
    }
    for kind in [
        DriftKind::Leaver,
        DriftKind::Toxic,
        DriftKind::Expired,
        DriftKind::Unjustified,
        DriftKind::Orphan,
        DriftKind::Ownerless,
        DriftKind::Missing,
        DriftKind::Dormant,
        DriftKind::StaleCredential,
    ] {
        let planted = company.planted.iter().any(|planted| planted.kind == kind);
        // The smallest companies need not have somebody of every title.
        assert!(planted || company.people < 100, "{context}: no {kind}");
    }
    // Nothing but what was noted is unjustified: the generator's tables and its policy text agree.
    for (name, system) in &state.systems {
        for (key, held) in &system.grants {
            let account = system.accounts.get(key).unwrap_or_else(|| panic!("{context}: {name} {key}"));
            let email = account.attributes.get("created_by").cloned().unwrap_or_else(|| {
                let local = account.login.split('@').next().unwrap();
                format!("{local}@example.com")
            });
            let identity = state.people.get(&IdentityKey(email));
            for entitlement in held.keys() {
                let address = format!("{name}:{entitlement}");
                let noted = company.planted.iter().any(|planted| {
                    planted.system == *name
                        && planted.account == *key
                        && planted.entitlement.as_ref().is_none_or(|noted| noted == entitlement)
                });
                let by_policy = identity.is_some_and(|identity| {
                    let department = identity.attribute("department").unwrap();
                    let title = identity.attribute("title").unwrap();
                    policy.given.get(&identity.key).is_some_and(|given| given.contains(&address))
                        || policy.roles.iter().any(|(members, grants)| {
                            grants.contains(&address) && is_member(members, identity.kind, department, title)
                        })
                });
                let by_nature = system.entitlements[entitlement].inherent;
                let emergency = account.login.starts_with("break-glass");
                assert!(
                    noted || by_policy || by_nature || emergency,
                    "{context}: {key} holds {address} without a note"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_is_done_is_done_and_read_back_truthfully() {
    let company = Company::generate(3, 60);
    let world = World::new(&company);
    let connector = world.connector("directory").unwrap();
    let planted = company
        .planted
        .iter()
        .find(|planted| planted.kind == DriftKind::Leaver && planted.system.as_str() == "directory")
        .unwrap();
    let (key, name) = (planted.account.as_str(), planted.entitlement.as_ref().unwrap().to_string());

    let (before, ended) = collect(&connector).await;
    assert!(ended.unwrap().is_complete());
    assert_eq!(before.grants().len(), world.grants("directory").len());

    let revoke = request(Verb::Revoke, key, Some(&name));
    assert!(matches!(connector.execute(&revoke).await.unwrap(), Outcome::Acknowledged { .. }));
    assert_eq!(connector.execute(&revoke).await.unwrap(), Outcome::AlreadySo);
    assert!(!world.holds("directory", key, &name).0);
    let read = connector.read_back(&read_grant(key, &name)).await.unwrap();
    assert!(matches!(read, ReadBack::Grant { direct: false, .. }));

    let grant = request(Verb::Grant, key, Some("group/project-aurora"));
    assert!(matches!(connector.execute(&grant).await.unwrap(), Outcome::Acknowledged { .. }));
    let carried = connector.read_back(&read_grant(key, "group/wiki-readers")).await.unwrap();
    assert!(matches!(carried, ReadBack::Grant { effective: Some(true), .. }), "{carried:?}");

    let disable = request(Verb::DisableAccount, key, None);
    assert!(matches!(connector.execute(&disable).await.unwrap(), Outcome::Acknowledged { .. }));
    let read = connector.read_back(&ReadTarget::Account { account: account(key) }).await.unwrap();
    assert_eq!(read, ReadBack::Account { exists: true, enabled: false });
}

#[tokio::test]
async fn the_configuration_builds_every_system_and_the_state_survives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let company = Company::generate(5, 40);
    let configuration: toml::Table = company.configuration().parse().unwrap();
    let build = |name: &str| {
        let mut table = configuration["system"][name].as_table().unwrap().clone();
        for common in ["connector", "correlate", "enforce"] {
            table.remove(common);
        }
        registry::build("simulated", settings(name, folder.path(), &table.to_string())).unwrap()
    };
    for name in configuration["system"].as_table().unwrap().keys() {
        let (collected, ended) = collect(build(name).as_ref()).await;
        assert!(ended.unwrap().is_complete(), "{name}");
        assert_eq!(name == "hr", !collected.identities().is_empty());
        assert_eq!(name != "hr", !collected.accounts().is_empty());
    }
    let holder = company.state.systems.values().next().unwrap();
    let system = company.state.systems.keys().next().unwrap().as_str();
    let (key, held) = holder.grants.iter().find(|(_, held)| !held.is_empty()).unwrap();
    let name = held.keys().next().unwrap().to_string();
    let outcome = build(system).execute(&request(Verb::Revoke, key.as_str(), Some(&name))).await.unwrap();
    assert!(matches!(outcome, Outcome::Acknowledged { .. }));
    // No connector lives any more, so this reads the file as another process would.
    let read = build(system).read_back(&read_grant(key.as_str(), &name)).await.unwrap();
    assert!(matches!(read, ReadBack::Grant { direct: false, .. }), "{read:?}");
}
