//! The ledger: entries newest first, one entry with what opens it, and its proof, verified before it is shown.

mod entry;

use askama::Template;
use axum::extract::{Query as Asked, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_ledger::entry::Entry;
use leasehold_model::event::EventKind;
use leasehold_model::text::safe;
use serde::Deserialize;

use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::parts::form::Choices;
use crate::parts::{Link, Moment, Query, number};
use crate::person::Person;
use crate::proof::{self, Log};
use crate::route::{Access, Route};
use crate::state::App;

/// The routes of this folder.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/ledger", Access::Needs(Action::SeeLedger), || get(list)),
    Route::page(Method::GET, "/ledger/{index}", Access::Needs(Action::SeeLedger), || get(entry::show)),
    Route::page(Method::GET, "/ledger/{index}/proof", Access::Needs(Action::SeeLedger), || {
        get(entry::download)
    }),
];

/// Rows of one page.
const ROWS: usize = 50;
/// Entries that are read at a time.
const READ_AT_ONCE: u64 = 2_000;
/// A search looks through so many entries before it asks whether to go on.
const SEARCHED_MAX: u64 = 20_000;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Filter {
    kind: String,
    subject: String,
    before: String,
}

#[derive(Template)]
#[template(path = "ledger/list.html")]
struct LedgerPage {
    frame: Frame,
    log: Log,
    kinds: Choices,
    subject: String,
    rows: Vec<Row>,
    /// Which entries were looked at, in words.
    words: String,
    older: Option<String>,
    newest: Option<String>,
    filtered: bool,
    complaint: &'static str,
}

struct Row {
    index: Link,
    at: Option<Moment>,
    kind: String,
    subject: String,
    body: String,
    published: bool,
}

async fn list(
    State(app): State<App>,
    _person: Person,
    frame: Frame,
    Asked(filter): Asked<Filter>,
) -> Result<Response, WebError> {
    let kinds = EventKind::ALL.iter().map(|kind| kind.as_str());
    if !filter.kind.is_empty() && !kinds.clone().any(|kind| kind == filter.kind) {
        return Err(WebError::Malformed(format!("there is no kind of entry `{}`", safe(&filter.kind))));
    }
    let length = app.store.ledger_len().await?;
    let (before, complaint) = match filter.before.trim() {
        "" => (length, ""),
        text => match text.parse::<u64>() {
            Ok(before) => (before.min(length), ""),
            Err(_) => (length, "write the number of an entry"),
        },
    };
    let subject = filter.subject.trim().to_owned();
    let log = proof::log(&app).await?;
    let filtered = !filter.kind.is_empty() || !subject.is_empty();
    let wanted = |entry: &Entry| {
        (filter.kind.is_empty() || entry.kind == filter.kind)
            && (subject.is_empty() || entry.subject.contains(&subject))
    };
    let (mut rows, mut looked_from) = (Vec::new(), before);
    let searched_max = if filtered { SEARCHED_MAX } else { ROWS as u64 };
    let (published, now) = (log.size(), app.now());
    while rows.len() < ROWS && looked_from > 0 && before - looked_from < searched_max {
        let at_once = READ_AT_ONCE.min(searched_max);
        let from = looked_from.saturating_sub(at_once);
        let count = usize::try_from(looked_from - from).unwrap_or(usize::MAX);
        let entries = app.store.ledger_entries(from, count).await?;
        looked_from = from;
        for (index, bytes) in entries.into_iter().rev() {
            let row = match Entry::from_bytes(&bytes) {
                Ok(entry) if !wanted(&entry) => continue,
                Ok(entry) => row(index, &entry, published, now),
                // What is no entry is shown whatever is asked for: it is what somebody must look at.
                Err(error) => broken(index, &error),
            };
            rows.push(row);
            if rows.len() == ROWS {
                looked_from = index;
                break;
            }
        }
    }
    let query = Query::new("/ledger").with("kind", &filter.kind).with("subject", &subject);
    let words = match before {
        0 => "No entries".to_owned(),
        _ if filtered => format!(
            "{} found among entries {} to {} of {}",
            number(rows.len() as u64),
            number(looked_from),
            number(before - 1),
            number(length)
        ),
        _ => format!("Entries {} to {} of {}", number(looked_from), number(before - 1), number(length)),
    };
    let page = LedgerPage {
        frame: frame.titled("Ledger"),
        log,
        kinds: Choices::new(
            "kind",
            "Kind",
            "any kind",
            kinds.map(|kind| (kind.to_owned(), kind.to_owned())),
            &filter.kind,
        ),
        rows,
        words,
        older: (looked_from > 0).then(|| query.clone().with("before", looked_from.to_string()).to_string()),
        newest: (before < length).then(|| query.to_string()),
        filtered,
        complaint,
        subject,
    };
    frame::show(&page)
}

fn row(index: u64, entry: &Entry, published: u64, now: Timestamp) -> Row {
    Row {
        index: Link::ledger_entry(index),
        at: entry.at.parse().ok().map(|at| Moment::relative(at, now)),
        kind: safe(&entry.kind),
        subject: safe(&entry.subject),
        body: fields(&entry.body)
            .into_iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect::<Vec<_>>()
            .join("; "),
        published: index < published,
    }
}

fn broken(index: u64, error: &dyn std::fmt::Display) -> Row {
    Row {
        index: Link::ledger_entry(index),
        at: None,
        kind: "not an entry".to_owned(),
        subject: safe(error),
        body: "run `leasehold ledger verify`".to_owned(),
        published: false,
    }
}

/// The fields of an entry's body, each with its value as people read it. Of what is counted, zeros are left out.
fn fields(body: &serde_json::Value) -> Vec<(String, String)> {
    let serde_json::Value::Object(fields) = body else {
        return if body.is_null() { Vec::new() } else { vec![("value".to_owned(), in_words(body))] };
    };
    let told = fields.iter().filter(|(_, value)| !value.is_null());
    told.map(|(name, value)| (safe(name.replace('_', " ")), in_words(value))).collect()
}

fn in_words(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => safe(text),
        serde_json::Value::Object(fields) => {
            let counted = fields.iter().filter(|(_, value)| value.as_u64() != Some(0) && !value.is_null());
            let words: Vec<String> = counted
                .map(|(name, value)| format!("{} {}", safe(name.replace('_', " ")), in_words(value)))
                .collect();
            if words.is_empty() { "none".to_owned() } else { words.join(", ") }
        }
        serde_json::Value::Array(values) => values.iter().map(in_words).collect::<Vec<_>>().join(", "),
        other => safe(other),
    }
}
