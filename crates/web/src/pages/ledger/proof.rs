//! Proofs: an entry with its way to the signed checkpoint, checked by the same code as an auditor's before anybody gets it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use axum::extract::{Path, Query as Asked, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use leasehold_ledger::bundle::{Bundle, Report};
use leasehold_ledger::checkpoint::{Checkpoint, VerifyingKey};
use leasehold_ledger::commitment::Opening;
use leasehold_ledger::view::View;
use leasehold_model::text::safe;
use serde::Deserialize;

use super::entry::may_open;
use crate::error::WebError;
use crate::parts::number;
use crate::person::Person;
use crate::state::App;

/// The published log, as far as it is there and its signature holds.
pub(super) enum Log {
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
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Signed { size, .. } => *size,
            _ => 0,
        }
    }
}

/// What was found of one entry in the published log.
pub(super) enum Proof {
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
pub(super) async fn log(app: &App) -> Result<Log, WebError> {
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
async fn place(app: &App) -> Result<Option<(PathBuf, VerifyingKey)>, WebError> {
    let Some(directory) = app.driver.ledger_directory() else { return Ok(None) };
    let Some(key) = app.store.ledger_key().await? else { return Ok(None) };
    let key = VerifyingKey::from_text(&key).map_err(WebError::internal)?;
    Ok(Some((directory.to_owned(), key)))
}

/// Builds the bundle of one entry and checks it; `None` where it is not published yet.
async fn bundle(
    app: &App,
    index: u64,
    openings: BTreeMap<String, Opening>,
) -> Result<Option<(Bundle, VerifyingKey)>, WebError> {
    let Some((directory, key)) = place(app).await? else { return Ok(None) };
    let built = tokio::task::spawn_blocking(move || {
        let Some(view) = View::open(&directory)?.filter(|view| index < view.len()) else { return Ok(None) };
        Bundle::build(&view, &key, [(index, openings)], None).map(|bundle| Some((bundle, key)))
    });
    built.await.map_err(WebError::internal)?.map_err(WebError::internal)
}

/// What the published log says of an entry that the store has.
///
/// # Errors
/// Where store or log cannot be read.
pub(super) async fn of(
    app: &App,
    index: u64,
    stored: &[u8],
    openings: BTreeMap<String, Opening>,
) -> Result<Proof, WebError> {
    let Some((bundle, key)) = bundle(app, index, openings).await? else { return Ok(Proof::Unpublished) };
    match bundle.verify(&key) {
        Err(findings) => Ok(Proof::Refuted(findings.iter().map(safe).collect())),
        Ok(report) if report.entries.iter().any(|entry| entry.bytes == stored) => {
            Ok(Proof::Proved(Box::new(report)))
        }
        Ok(_) => Ok(Proof::Refuted(vec!["the log has another entry here than the store".to_owned()])),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Form {
    /// Keeps personal data closed.
    closed: String,
}

/// Hands out the bundle of an entry, as `leasehold ledger prove` writes it.
pub(super) async fn download(
    State(app): State<App>,
    person: Person,
    Path(index): Path<String>,
    Asked(form): Asked<Form>,
) -> Result<Response, WebError> {
    let index = super::entry::number_of(&index)?;
    let open = form.closed.is_empty() && may_open(&app, &person);
    let openings = if open { app.store.ledger_openings(index).await? } else { BTreeMap::new() };
    let Some((bundle, key)) = bundle(&app, index, openings).await? else {
        return Err(WebError::NotFound(format!("a published entry {index}")));
    };
    // What the store would open beside the log may have been changed there: what proves nothing is not handed out.
    if let Err(findings) = bundle.verify(&key) {
        let found: Vec<String> = findings.iter().map(safe).collect();
        return Err(WebError::Conflict(format!(
            "what the store holds does not fit the log, so there is no proof: {}",
            found.join("; ")
        )));
    }
    let json = bundle.to_json().map_err(WebError::internal)?;
    let name = format!("attachment; filename=\"leasehold-proof-{index}.json\"");
    let headers =
        [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, json).into_response())
}
