//! Proofs: an entry with its way to the signed checkpoint, checked by the same code as an auditor's before anybody gets it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use leasehold_decide::authority::Action;
use leasehold_ledger::bundle::{Bundle, Report};
use leasehold_ledger::checkpoint::{Checkpoint, VerifyingKey};
use leasehold_ledger::commitment::Opening;
use leasehold_ledger::view::View;
use leasehold_model::text::safe;

use crate::error::WebError;
use crate::parts::number;
use crate::person::Person;
use crate::state::App;

/// The published log, as far as it is there and its signature holds.
pub(crate) enum Log {
    /// Nothing was published yet.
    Unpublished,
    /// It is there, and its checkpoint is signed with the key that the store keeps.
    Signed {
        /// How many entries it has.
        size: u64,
        /// The same for people.
        entries: String,
        /// The public key.
        key: String,
        /// The checkpoint, verbatim.
        checkpoint: String,
    },
    /// It is there, and something is wrong with it.
    Wrong(String),
}

impl Log {
    /// How many entries are published under a good signature.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Signed { size, .. } => *size,
            _ => 0,
        }
    }
}

/// What was found of one entry in the published log.
pub(crate) enum Proof {
    /// It is not published yet.
    Unpublished,
    /// It is there as the store has it, and so are its openings.
    Proved(Box<Report>),
    /// It is not, or not as the store has it.
    Refuted(Vec<String>),
}

/// The published log.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn log(app: &App) -> Result<Log, WebError> {
    let Some((directory, key)) = place(app).await? else { return Ok(Log::Unpublished) };
    let looked = tokio::task::spawn_blocking(move || match View::open(&directory) {
        Ok(None) => Log::Unpublished,
        Err(error) => Log::Wrong(safe(error)),
        Ok(Some(view)) => match Checkpoint::parse_and_verify(&view.published().text, &key) {
            Err(error) => Log::Wrong(safe(error)),
            Ok(signed) => Log::Signed {
                size: signed.checkpoint.size,
                entries: number(signed.checkpoint.size),
                key: key.to_text(),
                checkpoint: signed.text,
            },
        },
    });
    looked.await.map_err(WebError::internal)
}

/// The folder of the log and the key that it is signed with; `None` where nothing was published yet.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn place(app: &App) -> Result<Option<(PathBuf, VerifyingKey)>, WebError> {
    let Some(directory) = app.driver.ledger_directory() else { return Ok(None) };
    let Some(key) = app.store.ledger_key().await? else { return Ok(None) };
    let key = VerifyingKey::from_text(&key).map_err(WebError::internal)?;
    Ok(Some((directory.to_owned(), key)))
}

/// Builds the bundle of some entries; `None` where one of them is not published yet.
async fn bundle(
    app: &App,
    entries: Vec<(u64, BTreeMap<String, Opening>)>,
) -> Result<Option<(Bundle, VerifyingKey)>, WebError> {
    let Some((directory, key)) = place(app).await? else { return Ok(None) };
    let built = tokio::task::spawn_blocking(move || {
        let is_there = |view: &View| entries.iter().all(|(index, _)| *index < view.len());
        let Some(view) = View::open(&directory)?.filter(is_there) else { return Ok(None) };
        Bundle::build(&view, &key, entries, None).map(|bundle| Some((bundle, key)))
    });
    built.await.map_err(WebError::internal)?.map_err(WebError::internal)
}

/// What the published log says of an entry that the store has.
///
/// # Errors
/// Where store or log cannot be read.
pub(crate) async fn of(
    app: &App,
    index: u64,
    stored: &[u8],
    openings: BTreeMap<String, Opening>,
) -> Result<Proof, WebError> {
    let Some((bundle, key)) = bundle(app, vec![(index, openings)]).await? else {
        return Ok(Proof::Unpublished);
    };
    match bundle.verify(&key) {
        Err(findings) => Ok(Proof::Refuted(findings.iter().map(safe).collect())),
        Ok(report) if report.entries.iter().any(|entry| entry.bytes == stored) => {
            Ok(Proof::Proved(Box::new(report)))
        }
        Ok(_) => Ok(Proof::Refuted(vec!["the log has another entry here than the store".to_owned()])),
    }
}

/// The number of an entry, from an address.
///
/// # Errors
/// [`WebError::NotFound`] where it is none.
pub(crate) fn number_of(text: &str) -> Result<u64, WebError> {
    text.parse().map_err(|_| WebError::NotFound(format!("ledger entry `{}`", safe(text))))
}

/// Whether somebody may see what opens commitments: who may see every identity anyway.
pub(crate) fn may_open(app: &App, person: &Person) -> bool {
    person.may_everywhere(app, Action::SeeIdentity)
}

/// The bundle of entries as `leasehold ledger prove` writes it, checked, with personal data for those who may see it
/// unless it is asked to stay closed.
///
/// # Errors
/// [`WebError::NotFound`] where one of them is not published yet, and [`WebError::Conflict`] where what the store holds
/// does not fit the log.
pub(crate) async fn file(
    app: &App,
    person: &Person,
    indexes: &[u64],
    closed: bool,
) -> Result<String, WebError> {
    let open = !closed && may_open(app, person);
    let mut entries = Vec::with_capacity(indexes.len());
    for index in indexes {
        let openings = if open { app.store.ledger_openings(*index).await? } else { BTreeMap::new() };
        entries.push((*index, openings));
    }
    let Some((bundle, key)) = bundle(app, entries).await? else {
        let names: Vec<String> = indexes.iter().map(ToString::to_string).collect();
        return Err(WebError::NotFound(format!("a published entry {}", names.join(", "))));
    };
    // What the store would open beside the log may have been changed there: what proves nothing is not handed out.
    if let Err(findings) = bundle.verify(&key) {
        let found: Vec<String> = findings.iter().map(safe).collect();
        return Err(WebError::Conflict(format!(
            "what the store holds does not fit the log, so there is no proof: {}",
            found.join("; ")
        )));
    }
    bundle.to_json().map_err(WebError::internal)
}
