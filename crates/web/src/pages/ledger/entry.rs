//! One entry: what it records, what opens its commitments, and whether the published log has it so.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use leasehold_ledger::entry::Entry;
use leasehold_model::text::safe;
use serde::Deserialize;

use super::fields;
use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::parts::{Link, Moment, number};
use crate::person::Person;
use crate::proof::{self, Log, Proof, may_open, number_of};
use crate::state::App;

#[derive(Template)]
#[template(path = "ledger/entry.html")]
struct EntryPage {
    frame: Frame,
    index: u64,
    at: Option<Moment>,
    kind: String,
    subject: String,
    fields: Vec<(String, String)>,
    personal: Vec<Personal>,
    may_open: bool,
    raw: String,
    related: Option<Link>,
    verdict: Verdict,
    log: Log,
    previous: Option<u64>,
    next: Option<u64>,
}

/// Personal data of which the entry holds a commitment.
struct Personal {
    name: String,
    value: Value,
}

/// What can be said of it.
enum Value {
    /// It is this, and the commitment says so.
    Opened(String),
    /// It is kept, and not for this reader.
    Closed,
    /// It was erased.
    Erased,
    /// What is kept is not what was committed to.
    Changed,
}

/// Whether the published log has the entry.
enum Verdict {
    Unpublished,
    Proved { size: String, hashes: usize },
    Refuted(Vec<String>),
}

/// Shows it.
pub(super) async fn show(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Path(index): Path<String>,
) -> Result<Response, WebError> {
    let index = number_of(&index)?;
    let length = app.store.ledger_len().await?;
    let not_there = || WebError::NotFound(format!("ledger entry {index}"));
    if index >= length {
        return Err(not_there());
    }
    let (_, bytes) = app.store.ledger_entries(index, 1).await?.pop().ok_or_else(not_there)?;
    let entry = Entry::from_bytes(&bytes).map_err(|error| {
        WebError::Conflict(format!(
            "entry {index} of the store is no entry: {error}; run `leasehold ledger verify`"
        ))
    })?;
    let may_open = may_open(&app, &person);
    let openings = app.store.ledger_openings(index).await?;
    let personal = entry
        .commitments
        .iter()
        .map(|(name, commitment)| {
            let value = match openings.get(name) {
                None => Value::Erased,
                Some(opening) if !opening.matches(commitment) => Value::Changed,
                Some(_) if !may_open => Value::Closed,
                Some(opening) => Value::Opened(safe(&opening.value)),
            };
            Personal { name: safe(name), value }
        })
        .collect();
    let opened = if may_open { openings } else { BTreeMap::new() };
    let verdict = match proof::of(&app, index, &bytes, opened).await? {
        Proof::Unpublished => Verdict::Unpublished,
        Proof::Refuted(findings) => Verdict::Refuted(findings),
        Proof::Proved(report) => {
            Verdict::Proved { size: number(report.checkpoint.size), hashes: depth(report.checkpoint.size) }
        }
    };
    let now = app.now();
    let page = EntryPage {
        frame: frame.titled(format!("Ledger entry {index}")),
        index,
        at: entry.at.parse().ok().map(|at| Moment::relative(at, now)),
        kind: safe(&entry.kind),
        subject: safe(&entry.subject),
        fields: fields(&entry.body),
        personal,
        may_open,
        raw: safe(String::from_utf8_lossy(&bytes)),
        related: related(&entry),
        verdict,
        log: proof::log(&app).await?,
        previous: index.checked_sub(1),
        next: (index + 1 < length).then_some(index + 1),
    };
    frame::show(&page)
}

/// Of how many hashes at most the way to the root is, in a tree of this size.
fn depth(size: u64) -> usize {
    (u64::BITS - size.saturating_sub(1).leading_zeros()) as usize
}

/// The page of what an entry is about, where it has one.
fn related(entry: &Entry) -> Option<Link> {
    let text = |name: &str| entry.body.get(name).and_then(serde_json::Value::as_str);
    if let (Some(plan), Some(action)) = (text("plan"), text("action")) {
        return Some(Link::action(&plan.into(), &action.into()));
    }
    if let Some(plan) = text("plan").filter(|plan| plan.len() == 64) {
        return Some(Link::plan(&plan.into()));
    }
    let system = leasehold_model::id::SystemName::new(text("system")?).ok()?;
    Some(Link::system(&system))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Form {
    /// Keeps personal data closed.
    closed: String,
}

/// Hands out the proof of an entry.
pub(super) async fn download(
    State(app): State<App>,
    person: Person,
    Path(index): Path<String>,
    Query(form): Query<Form>,
) -> Result<Response, WebError> {
    let index = number_of(&index)?;
    let json = proof::file(&app, &person, &[index], !form.closed.is_empty()).await?;
    let name = format!("attachment; filename=\"leasehold-proof-{index}.json\"");
    let headers =
        [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, json).into_response())
}
