//! What an offboarding says that it did, held against what the targets say.

use std::collections::BTreeSet;

use serde_json::Value;

use super::target::{Left, Target};

/// The result of `leasehold offboard --json`.
pub struct Outcome {
    /// All of it.
    pub document: Value,
}

/// A system, a verb, and what it is about.
pub type Deed = (String, String, String);

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn deed(item: &Value) -> Deed {
    let about = if item["entitlement"].is_null() { &item["credential"]["key"] } else { &item["entitlement"] };
    (text(&item["system"]), text(&item["verb"]), text(about))
}

/// What has to be gone where an action is verified.
fn gone(item: &Value) -> Option<Left> {
    let (_, verb, about) = deed(item);
    Some(match verb.as_str() {
        "disable_account" => Left::LogIn,
        "revoke" => Left::Entitlement(about),
        "revoke_credential" => Left::Credential(about),
        "disable_credential" => Left::Job(about),
        "end_sessions" => Left::Session,
        _ => return None,
    })
}

impl Outcome {
    /// The actions in one system, or in all.
    pub fn items<'outcome>(&'outcome self, system: &'outcome str) -> impl Iterator<Item = &'outcome Value> {
        let items = self.document["items"].as_array().expect("items").iter();
        items.filter(move |item| system.is_empty() || item["system"] == system)
    }

    /// What was read back as done in one system.
    pub fn verified(&self, system: &str) -> BTreeSet<Deed> {
        self.items(system).filter(|item| item["state"] == "verified").map(deed).collect()
    }

    /// What is outstanding in one system, or in all. Each says why.
    pub fn outstanding(&self, system: &str) -> BTreeSet<Deed> {
        let is_open = |item: &&Value| item["state"] != "verified" && item["state"] != "void";
        let open = self.items(system).filter(is_open);
        open.inspect(|item| assert!(!text(&item["reason"]).is_empty(), "no reason: {item:#}"))
            .map(deed)
            .collect()
    }

    /// Demands that whatever is said to be gone from a target is not there, by the target's own word.
    pub fn check_claims(&self, name: &str, left: &[Left]) {
        for item in self.items(name).filter(|item| item["state"] == "verified") {
            let gone = gone(item);
            assert!(
                gone.is_none_or(|gone| !left.contains(&gone)),
                "{name}: read back as gone, and the target says that it is there:\n{item:#}\n{left:?}"
            );
        }
    }

    /// Demands that each action in a system that lies has the reason that the system says so itself, or that nobody can look.
    pub fn check_lies(&self, name: &str) {
        let seen = ["read back as still", "still there", "lists no sessions"];
        for item in self.items(name) {
            let reason = text(&item["reason"]);
            assert!(
                seen.iter().any(|seen| reason.contains(seen)),
                "{name} lies, and nobody says so:\n{item:#}"
            );
        }
    }

    /// Demands that nothing is left in a target but what nobody can end, and that nothing else is outstanding.
    pub fn check_all_gone(&self, target: &dyn Target, left: &[Left]) {
        let name = target.name();
        assert_eq!(left, target.residual(), "{name}: {:#}", self.document);
        let verbs: Vec<String> = self.outstanding(name).into_iter().map(|(_, verb, _)| verb).collect();
        assert_eq!(verbs, target.unverifiable(), "{name}: {:#}", self.document);
        self.check_claims(name, left);
    }
}
