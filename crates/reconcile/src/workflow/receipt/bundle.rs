//! The file of a receipt: what it says, and the proof of all that from the signed log. Whoever has the file and the log's key checks
//! it with nothing else at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;
use leasehold_ledger::bundle::{Bundle, ProvedEntry, Report, VerifiedEntry};
use leasehold_ledger::checkpoint::VerifyingKey;
use leasehold_ledger::view::View as LogView;
use leasehold_model::action::ActionState;
use leasehold_model::event::EventKind;
use leasehold_model::receipt::{ActionReceipt, EndedAccess, OffboardingStatement};
use leasehold_store::{ReceiptRow, Store};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ReconcileError;

/// The only format so far.
const FORMAT: &str = "leasehold/offboarding/v2";

/// The receipt as a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffboardingReceipt {
    /// Names this format.
    pub format: String,
    /// What is said.
    pub statement: OffboardingStatement,
    /// The entry that commits to it, those of its actions, and what proves that they are in the signed log.
    pub proof: Bundle,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The log does not have all of it yet.
    #[error("the receipt is not in the signed log yet; a running server publishes it within seconds")]
    Unpublished,
    /// What it said was erased.
    #[error("what this receipt said was erased; its entry stays in the log")]
    Erased,
    /// Store and log say different things.
    #[error("what the store holds does not fit the log, so there is no receipt: {0}")]
    Differs(String),
    /// Store or log cannot be read.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
}

impl From<leasehold_store::StoreError> for BundleError {
    fn from(error: leasehold_store::StoreError) -> Self {
        Self::Reconcile(error.into())
    }
}

impl OffboardingReceipt {
    /// What the file is called: whose it is and as of when, with a number where others of that second are there.
    pub fn file_name(&self, number: u32) -> String {
        let OffboardingStatement { identity, written_at, .. } = &self.statement;
        let is_kept = |letter: &char| letter.is_ascii_alphanumeric() || ".-@_".contains(*letter);
        let letters = identity.as_str().chars();
        let name: String =
            letters.map(|letter| if is_kept(&letter) { letter } else { '_' }).take(80).collect();
        let other = if number > 1 { format!("-{number}") } else { String::new() };
        format!("offboarding-{name}-{}{other}.json", written_at.strftime("%Y%m%dT%H%M%SZ"))
    }

    /// The file of a receipt that was written, checked as whoever gets it does.
    ///
    /// # Errors
    /// [`BundleError`]; a receipt that proves nothing is not handed out.
    pub async fn build(
        store: &Store,
        directory: PathBuf,
        key: VerifyingKey,
        row: &ReceiptRow,
    ) -> Result<Self, BundleError> {
        let said = store.receipt_statement(row).await?.ok_or(BundleError::Erased)?;
        let differs = |error: serde_json::Error| BundleError::Differs(error.to_string());
        let statement: OffboardingStatement = serde_json::from_str(&said.value).map_err(differs)?;
        let actions: Vec<_> =
            statement.items.iter().map(|item| (item.action.plan.clone(), item.action.id.clone())).collect();
        let mut indexes = store.ledger_indexes_before(&actions, row.ledger_index).await?;
        indexes.push(row.ledger_index);
        let mut entries = Vec::with_capacity(indexes.len());
        for index in indexes {
            entries.push((index, store.ledger_openings(index).await?));
        }
        let signed_by = key.clone();
        let last = row.ledger_index;
        let built = tokio::task::spawn_blocking(move || {
            let Some(view) = LogView::open(&directory)?.filter(|view| last < view.len()) else {
                return Ok(None);
            };
            Bundle::build(&view, &signed_by, entries, None).map(Some)
        });
        let built = built.await.map_err(|error| ReconcileError::Worker(error.to_string()))?;
        let proof = built.map_err(ReconcileError::from)?.ok_or(BundleError::Unpublished)?;
        let receipt = Self { format: FORMAT.to_owned(), statement, proof };
        match receipt.verify(&key) {
            Ok(_) => Ok(receipt),
            Err(wrong) => Err(BundleError::Differs(wrong.join("; "))),
        }
    }

    /// The JSON of the file.
    ///
    /// # Errors
    /// What the JSON writer says; there is no input known that brings it about.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
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

    /// Checks it against the log's key: the log has an entry that commits to everything that is said, and the steps of each action
    /// that are proved lead, one after the other, to the state and the times that are told. That whoever wrote it left nothing
    /// out is what their signature says, and the whole log shows.
    ///
    /// # Errors
    /// Everything that is wrong with it, in words.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Report, Vec<String>> {
        let report = self
            .proof
            .verify(key)
            .map_err(|findings| findings.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let mut wrong = Vec::new();
        let said_at = self.committed(&report, &mut wrong);
        let openings: BTreeMap<u64, &ProvedEntry> =
            self.proof.entries.iter().map(|entry| (entry.index, entry)).collect();
        let mut proved: BTreeMap<(&str, &str), Proved<'_>> = BTreeMap::new();
        for verified in
            report.entries.iter().filter(|entry| said_at.is_none_or(|said_at| entry.index < said_at))
        {
            Proved::take(&mut proved, verified, openings.get(&verified.index).copied());
        }
        let mut told = BTreeSet::new();
        for item in &self.statement.items {
            let named = (item.action.plan.as_str(), item.action.id.as_str());
            if !told.insert(named) {
                wrong.push(format!("{} is told twice", item.action.id));
            }
            wrong.extend(differences(item, proved.get(&named)));
        }
        for (_, action) in proved.keys().filter(|named| !told.contains(*named)) {
            wrong.push(format!("what became of {action} is not told"));
        }
        if wrong.is_empty() { Ok(report) } else { Err(wrong) }
    }

    /// Where the log commits to exactly what is said here.
    fn committed(&self, report: &Report, wrong: &mut Vec<String>) -> Option<u64> {
        let is_receipt = |entry: &&VerifiedEntry| {
            entry.entry.as_ref().is_some_and(|entry| entry.kind == EventKind::ReceiptWritten.as_str())
        };
        let mut receipts = report.entries.iter().filter(is_receipt);
        let (Some(found), None) = (receipts.next(), receipts.next()) else {
            wrong.push("the proof has not exactly one entry of a receipt".to_owned());
            return None;
        };
        // Openings were found to be what is committed to.
        let opened = self.proof.entries.iter().find(|entry| entry.index == found.index);
        let opened = opened.and_then(|entry| entry.openings.get("statement"));
        let committed = opened.and_then(|opening| serde_json::from_str::<Value>(&opening.value).ok());
        if committed.is_none() || committed != serde_json::to_value(&self.statement).ok() {
            wrong.push(format!(
                "what is said is not what entry {} of the log commits to: it was changed since",
                found.index
            ));
        }
        Some(found.index)
    }
}

/// What the log proves of an action.
#[derive(Default)]
struct Proved<'bundle> {
    state: &'bundle str,
    /// The entry of its last step.
    index: u64,
    /// A step is missing.
    is_broken: bool,
    verb: &'bundle str,
    system: &'bundle str,
    sent_at: Option<Timestamp>,
    read_back_at: Option<Timestamp>,
    /// Whom and what it is about, as far as that is opened.
    opened: BTreeMap<&'bundle str, &'bundle str>,
}

impl<'bundle> Proved<'bundle> {
    /// Takes one entry of the log, after all before it.
    fn take(
        proved: &mut BTreeMap<(&'bundle str, &'bundle str), Self>,
        verified: &'bundle VerifiedEntry,
        opened: Option<&'bundle ProvedEntry>,
    ) {
        let Some(entry) = &verified.entry else { return };
        let text = |field: &str| entry.body.get(field).and_then(Value::as_str);
        if entry.kind != EventKind::ActionTransition.as_str() {
            return;
        }
        let (Some(plan), Some(action), Some(to)) = (text("plan"), text("action"), text("to")) else { return };
        let at = entry.at.parse().ok();
        let known = proved.entry((plan, action)).or_default();
        let before = if known.state.is_empty() { ActionState::Planned.as_str() } else { known.state };
        known.is_broken |= text("from") != Some(before);
        known.index = verified.index;
        (known.state, known.verb, known.system) =
            (to, text("verb").unwrap_or_default(), text("system").unwrap_or_default());
        match ActionState::parse(to) {
            Some(ActionState::Sent) => known.sent_at = at,
            Some(ActionState::Verified | ActionState::Contradicted) => known.read_back_at = at,
            _ => {}
        }
        let openings = opened.map(|opened| &opened.openings).into_iter().flatten();
        let openings = openings.filter(|(name, _)| name.as_str() != "reason");
        known.opened.extend(openings.map(|(name, opening)| (name.as_str(), opening.value.as_str())));
    }
}

/// What does not fit between what is told of an action and what the log proves of it.
fn differences(item: &EndedAccess, proved: Option<&Proved<'_>>) -> Vec<String> {
    let EndedAccess { action, account_key, identity, .. } = item;
    let ActionReceipt { id, verb, system, account, entitlement, credential, to, state, .. } = action;
    let Some(proved) = proved else {
        // What a guard holds is in no entry yet.
        let is_held = *state == ActionState::Planned;
        return if is_held {
            Vec::new()
        } else {
            vec![format!("{id} is said to be {state}, and the log proves nothing of it")]
        };
    };
    let mut wrong = Vec::new();
    if state.as_str() != proved.state {
        wrong.push(format!("{id} is said to be {state}, and the log proves {}", proved.state));
    }
    if proved.is_broken {
        wrong.push(format!("the steps of {id} do not follow each other: some are missing"));
    }
    if action.ledger_index.is_some_and(|index| index != proved.index) {
        wrong.push(format!("{id} is told of another entry than its last one, {}", proved.index));
    }
    // The journal keeps microseconds.
    let is_other = |told: Option<Timestamp>, proved: Option<Timestamp>| {
        told.map(Timestamp::as_microsecond) != proved.map(Timestamp::as_microsecond)
    };
    if is_other(action.sent_at, proved.sent_at) || is_other(action.read_back_at, proved.read_back_at) {
        wrong.push(format!("{id} is told of other times than those that the log proves"));
    }
    let entitlement = entitlement.as_ref().map(ToString::to_string);
    let credential = credential.as_ref().map(|credential| credential.key.to_string());
    let identity = identity.as_ref().map(ToString::to_string);
    let told = [
        ("account", Some(account.clone())),
        ("account_key", Some(account_key.to_string())),
        ("identity", identity),
        ("entitlement", entitlement),
        ("credential", credential),
        ("handed_over_to", to.as_ref().map(|to| to.key.to_string())),
    ];
    let about_other = told.iter().any(|(name, value)| value.as_deref() != proved.opened.get(name).copied());
    if about_other || (verb.as_str(), system.as_str()) != (proved.verb, proved.system) {
        wrong.push(format!("{id} is told of something else than what the log proves"));
    }
    wrong
}
