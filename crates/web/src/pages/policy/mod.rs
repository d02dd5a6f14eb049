//! The policy: what is live and since when, every earlier revision, what differs between two, and editing with checks.

mod authority;
mod change;
mod compare;
mod draft;
mod edit;

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, Query as Asked, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use leasehold_decide::authority::Action;
use leasehold_model::text::safe;
use leasehold_store::PolicyRevision;
use serde::Deserialize;

use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::parts::query::segment;
use crate::parts::{Moment, Pager, Query, number};
use crate::person::Person;
use crate::present::Present;
use crate::route::{Access, Route};
use crate::state::App;

pub(crate) use draft::Drafts;

/// The routes of this folder.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/policy", Access::Needs(Action::SeePolicy), || get(live)),
    Route::page(Method::GET, "/policy/revisions/{id}", Access::Needs(Action::SeePolicy), || get(revision)),
    Route::page(Method::GET, "/policy/authority", Access::Needs(Action::SeePolicy), || get(authority::show)),
    Route::page(Method::GET, "/policy/diff", Access::Needs(Action::SeePolicy), || get(compare::show)),
    Route::page(Method::GET, "/policy/edit", Access::Needs(Action::ChangePolicy), || get(edit::show)),
    Route::page(Method::POST, "/policy/edit", Access::Needs(Action::ChangePolicy), || {
        axum::routing::post(edit::take)
    }),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question {
    find: String,
    page: String,
}

#[derive(Template)]
#[template(path = "policy/page.html")]
struct PolicyPage {
    frame: Frame,
    shown: Option<Shown>,
    is_live: bool,
    /// What was looked for.
    find: String,
    files: Vec<File>,
    figures: Vec<(String, &'static str)>,
    revisions: Vec<RevisionRow>,
    pager: Pager,
    may_change: bool,
}

/// The revision that is shown.
struct Shown {
    id: i64,
    applied: Moment,
    by: String,
    digest: String,
}

/// A file of the policy.
struct File {
    path: String,
    /// Unique in the page.
    anchor: String,
    lines: usize,
    text: String,
    /// Whether it holds what was looked for.
    found: bool,
}

struct RevisionRow {
    id: i64,
    live: bool,
    applied: Moment,
    by: String,
    files: usize,
    diff: Option<String>,
}

async fn live(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Present(view): Present,
    Asked(question): Asked<Question>,
) -> Result<Response, WebError> {
    let revisions = app.store.policy_revisions().await?;
    let policy = &view.loaded().policy;
    let is_current = revisions.first().is_some_and(|live| live.digest == policy.digest);
    let figures = if is_current {
        vec![
            (number(policy.roles.len() as u64), "roles"),
            (number(policy.explicit.len() as u64), "assignments and exceptions"),
            (number(policy.sod.len() as u64), "sets of duties to be kept apart"),
            (number(policy.protected.len() as u64), "protected accounts"),
        ]
    } else {
        Vec::new()
    };
    show(&app, &person, frame.titled("Policy"), &revisions, revisions.first(), figures, &question)
}

async fn revision(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Path(id): Path<String>,
    Asked(question): Asked<Question>,
) -> Result<Response, WebError> {
    let revisions = app.store.policy_revisions().await?;
    let shown = find(&revisions, &id)?;
    let title = format!("Policy revision {}", shown.id);
    show(&app, &person, frame.titled(title), &revisions, Some(shown), Vec::new(), &question)
}

/// A revision by its number.
fn find<'all>(revisions: &'all [PolicyRevision], id: &str) -> Result<&'all PolicyRevision, WebError> {
    let found = id.parse::<i64>().ok().and_then(|id| revisions.iter().find(|revision| revision.id == id));
    found.ok_or_else(|| WebError::NotFound(format!("policy revision `{}`", safe(id))))
}

fn show(
    app: &App,
    person: &Person,
    frame: Frame,
    revisions: &[PolicyRevision],
    shown: Option<&PolicyRevision>,
    figures: Vec<(String, &'static str)>,
    question: &Question,
) -> Result<Response, WebError> {
    let now = app.now();
    let find = question.find.trim();
    let query = Query::new(frame.address.split('?').next().unwrap_or("/policy")).with("find", find);
    let pager = Pager::new(question.page.parse().unwrap_or(1), revisions.len(), &query);
    let live = revisions.first().map(|revision| revision.id);
    let row = |(position, revision): (usize, &PolicyRevision)| RevisionRow {
        id: revision.id,
        live: Some(revision.id) == live,
        applied: Moment::relative(revision.applied_at, now),
        by: safe(&revision.applied_by),
        files: revision.files.len(),
        diff: revisions.get(position + 1).map(|before| {
            let query = Query::new("/policy/diff").with("from", before.id.to_string());
            query.with("to", revision.id.to_string()).to_string()
        }),
    };
    let rows = revisions.iter().enumerate().skip(pager.range().start).take(pager.range().len());
    let page = PolicyPage {
        is_live: shown.map(|revision| revision.id) == live,
        shown: shown.map(|revision| Shown {
            id: revision.id,
            applied: Moment::relative(revision.applied_at, now),
            by: safe(&revision.applied_by),
            digest: revision.digest.clone(),
        }),
        files: shown.map(|revision| files(&revision.files, find)).unwrap_or_default(),
        find: safe(find),
        figures,
        revisions: rows.map(row).collect(),
        pager,
        may_change: person.may_everywhere(app, Action::ChangePolicy),
        frame,
    };
    frame::show(&page)
}

fn files(files: &BTreeMap<String, String>, find: &str) -> Vec<File> {
    let mut files: Vec<File> = files
        .iter()
        .map(|(path, text)| File {
            anchor: format!("file-{}", segment(path).replace('%', "-")),
            path: safe(path),
            lines: text.lines().count(),
            found: !find.is_empty() && text.contains(find),
            text: safe_text(text),
        })
        .collect();
    files.sort_by_key(|file| !file.found);
    files
}

/// The text of a file with everything harmful spelled out, and its lines as they are.
fn safe_text(text: &str) -> String {
    text.lines()
        .map(|line| line.split('\t').map(safe).collect::<Vec<_>>().join("\t"))
        .collect::<Vec<_>>()
        .join("\n")
}
