//! The receipt of an offboarding, in one file: what its plans said, what became of each of their actions, what was left alone, and
//! the proof of all that from the signed log. Whoever has the file and the log's key checks it with nothing else at hand.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use leasehold_ledger::bundle::{Bundle, Report};
use leasehold_ledger::checkpoint::VerifyingKey;
use leasehold_model::action::ActionState;
use leasehold_model::id::IdentityKey;
use leasehold_model::plan::Plan;
use serde::{Deserialize, Serialize};

use crate::commands::Receipt;

/// The only format so far.
const FORMAT: &str = "leasehold/offboarding/v1";

/// The receipt.
#[derive(Serialize, Deserialize)]
pub struct OffboardingReceipt {
    /// Names this format.
    pub format: String,
    /// Who was offboarded.
    pub identity: IdentityKey,
    /// When this was written.
    pub written_at: Timestamp,
    /// Plans of the same offboarding from before, as of a run that was interrupted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Plan>,
    /// The plan; its hash covers what it left alone, and why.
    pub plan: Plan,
    /// What became of each action.
    pub actions: Vec<Receipt>,
    /// The entries of those actions, and what proves that they are in the signed log.
    pub proof: Bundle,
}

/// How much was ended, and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Read back as ended.
    pub verified: usize,
    /// Facts had moved first.
    pub void: usize,
    /// Not verified: it waits for a person, is held by a guard, or cannot be read back.
    pub not_verified: usize,
    /// What the plan could not end.
    pub left_alone: usize,
}

impl OffboardingReceipt {
    /// Puts a receipt together.
    pub fn new(
        identity: &IdentityKey,
        at: Timestamp,
        earlier: Vec<Plan>,
        plan: Plan,
        actions: Vec<Receipt>,
        proof: Bundle,
    ) -> Self {
        let (format, identity) = (FORMAT.to_owned(), identity.clone());
        Self { format, identity, written_at: at, earlier, plan, actions, proof }
    }

    /// Reads a receipt; `None` where the text is something else.
    ///
    /// # Errors
    /// Where it is a receipt that cannot be read.
    pub fn read(text: &str) -> Result<Option<Self>, serde_json::Error> {
        #[derive(Deserialize)]
        struct Named {
            #[serde(default)]
            format: String,
        }
        match serde_json::from_str::<Named>(text) {
            Ok(named) if named.format == FORMAT => serde_json::from_str(text).map(Some),
            _ => Ok(None),
        }
    }

    /// What is counted in it.
    pub fn tally(&self) -> Tally {
        let count = |state| self.actions.iter().filter(|action| action.state == state).count();
        let (verified, void) = (count(ActionState::Verified), count(ActionState::Void));
        Tally {
            verified,
            void,
            not_verified: self.actions.len() - verified - void,
            left_alone: self.plan.left_alone.len(),
        }
    }

    /// Checks it against the log's key: every state that it claims is the last one that the signed log proves.
    ///
    /// # Errors
    /// Everything that is wrong with it, in words.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Report, Vec<String>> {
        let report = self
            .proof
            .verify(key)
            .map_err(|findings| findings.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let mut proved: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        for entry in report.entries.iter().filter_map(|entry| entry.entry.as_ref()) {
            let text = |field: &str| entry.body.get(field).and_then(|value| value.as_str());
            if entry.kind == "action.transition"
                && let (Some(plan), Some(action), Some(to)) = (text("plan"), text("action"), text("to"))
            {
                proved.insert((plan, action), to);
            }
        }
        let plans = || self.earlier.iter().chain([&self.plan]);
        let mut wrong: Vec<String> = plans().flat_map(|plan| self.wrong_with(plan, &proved)).collect();
        let mut named = plans().flat_map(|plan| {
            plan.as_left.iter().chain(plan.items.iter().filter_map(|item| item.identity.as_ref()))
        });
        if named.clone().next().is_some() && !named.any(|named| named.folded() == self.identity.folded()) {
            wrong.push(format!("no plan of this receipt is about {}", self.identity));
        }
        let mut told = BTreeSet::new();
        for action in &self.actions {
            let is_of = |plan: &Plan| plan.items.iter().any(|item| action.is_of(&plan.hash, item));
            if !plans().any(is_of) {
                wrong.push(format!("{} is told as no plan of this receipt has it", action.id));
            } else if !told.insert((action.plan(), &action.id)) {
                wrong.push(format!("{} is told twice", action.id));
            }
        }
        if wrong.is_empty() { Ok(report) } else { Err(wrong) }
    }

    /// What does not fit between a plan, what is told of its actions, and the last state of each that the log proves.
    fn wrong_with(&self, plan: &Plan, proved: &BTreeMap<(&str, &str), &str>) -> Vec<String> {
        let mut wrong = Vec::new();
        if plan.content_hash() != plan.hash {
            wrong.push(format!("the plan was changed: its content does not give the hash {}", plan.hash));
        }
        for item in &plan.items {
            let claimed = self.actions.iter().find(|action| action.is_of(&plan.hash, item));
            let proved = proved.get(&(plan.hash.as_str(), item.id.as_str()));
            let proved = proved.copied().unwrap_or(ActionState::Planned.as_str());
            match claimed {
                None => wrong.push(format!("what became of {} is not told", item.id)),
                Some(claimed) if claimed.state.as_str() != proved => wrong.push(format!(
                    "{} is said to be {}, and the log proves {proved}",
                    item.id, claimed.state
                )),
                Some(_) => {}
            }
        }
        wrong
    }
}
