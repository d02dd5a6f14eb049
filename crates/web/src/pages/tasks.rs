//! Tasks: what waits, runs and ended, and what the schedule does next.

use askama::Template;
use axum::extract::{Query as Parameters, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use leasehold_decide::authority::Action;
use leasehold_model::id::PlanHash;
use leasehold_model::text::safe;
use leasehold_store::{ReadingOutcome, ScheduleRow, TaskFilter, TaskRow, TaskState};
use serde::Deserialize;

use crate::error::WebError;
use crate::flash::{FlashKind, redirect_with};
use crate::frame::{self, Frame};
use crate::parts::form::Choices;
use crate::parts::mark::Tone;
use crate::parts::moment::measured;
use crate::parts::pager::PAGE_ROWS;
use crate::parts::{Link, Mark, Moment, Query};
use crate::person::Person;
use crate::route::{Access, Route};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/tasks", Access::Needs(Action::SeeTask), || get(list)),
    Route::page(Method::POST, "/tasks/{id}/cancel", Access::Needs(Action::RunSync), || post(cancel)),
];

/// Which tasks are asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct TasksFilter {
    state: String,
    kind: String,
    before: String,
}

/// A task in the list.
struct TaskLine {
    id: String,
    what: &'static str,
    kind: String,
    subject: Option<Link>,
    state: Mark,
    by: String,
    asked: Moment,
    when: String,
    took: String,
    outcome: String,
    error: Option<String>,
    attempts: u64,
    may_cancel: bool,
}

/// When a system is read next.
struct ScheduleLine {
    system: Link,
    last: Option<Moment>,
    outcome: Option<Mark>,
    detail: String,
    failures: u32,
    due: Moment,
    overdue: bool,
}

#[derive(Template)]
#[template(path = "tasks.html")]
struct TasksPage {
    frame: Frame,
    schedules: Vec<ScheduleLine>,
    states: Choices,
    kinds: Choices,
    tasks: Vec<TaskLine>,
    older: Option<String>,
    is_narrow: bool,
    wrong: Option<String>,
}

/// Kinds of tasks, as people call them.
const KINDS: [(&str, &str); 4] = [
    ("sync", "read a system"),
    ("apply", "carry out a plan"),
    ("enforce", "close what policy allows"),
    ("resume", "take up what was interrupted"),
];

async fn list(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Parameters(filter): Parameters<TasksFilter>,
) -> Result<Response, WebError> {
    let state = TaskState::parse(&filter.state);
    let wrong = (!filter.state.is_empty() && state.is_none())
        .then(|| format!("there is no state “{}”", safe(&filter.state)));
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let asked = TaskFilter { kind: some(&filter.kind), state, subject: None, before: some(&filter.before) };
    // One more than is shown says whether there are older ones.
    let mut rows = if wrong.is_some() { Vec::new() } else { app.store.tasks(&asked, PAGE_ROWS + 1).await? };
    let more = rows.len() > PAGE_ROWS;
    rows.truncate(PAGE_ROWS);
    let older = rows.last().filter(|_| more).map(|last| {
        let query =
            Query::new("/tasks").with("state", filter.state.as_str()).with("kind", filter.kind.as_str());
        query.with("before", last.id.as_str()).to_string()
    });
    let schedules = app.driver.schedules().await?;
    let may_cancel = person.may_everywhere(&app, Action::RunSync);
    let states = TaskState::ALL.iter().map(|state| (state.as_str().to_owned(), state.as_str().to_owned()));
    let kinds = KINDS.iter().map(|(name, words)| ((*name).to_owned(), (*words).to_owned()));
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = TasksPage {
        frame: frame.titled("Tasks"),
        schedules: schedules.iter().map(|row| schedule(&app, row)).collect(),
        states: Choices::new("state", "State", "Every state", states, &filter.state),
        kinds: Choices::new("kind", "Task", "Every task", kinds, &filter.kind),
        tasks: rows.iter().map(|row| line(&app, row, may_cancel)).collect(),
        older,
        is_narrow: [&filter.state, &filter.kind, &filter.before].iter().any(|field| !field.is_empty()),
        wrong,
    };
    frame::show_with(status, &page)
}

fn line(app: &App, row: &TaskRow, may_cancel: bool) -> TaskLine {
    let now = app.now();
    let subject = match row.kind.as_str() {
        "apply" => Some(Link::plan(&PlanHash::from(row.subject.as_str()))),
        "sync" => {
            leasehold_model::id::SystemName::new(row.subject.as_str()).ok().map(|name| Link::system(&name))
        }
        _ => None,
    };
    let when = match (row.state, row.claimed_at) {
        (TaskState::Queued, _) if row.not_before > now => {
            format!("begins {}", Moment::relative(row.not_before, now).words)
        }
        (TaskState::Queued, _) => "waits for its turn".to_owned(),
        (_, Some(at)) => format!("begun {}", Moment::relative(at, now).words),
        (_, None) => String::new(),
    };
    let took = match (row.claimed_at, row.ended_at) {
        (Some(from), Some(to)) => measured(to.as_millisecond() - from.as_millisecond()),
        _ => String::new(),
    };
    TaskLine {
        id: row.id.clone(),
        what: KINDS.iter().find(|(name, _)| *name == row.kind).map_or("", |(_, words)| words),
        kind: safe(&row.kind),
        subject,
        state: Mark::task(row.state),
        by: safe(&row.requested_by),
        asked: Moment::relative(row.requested_at, now),
        when,
        took,
        outcome: row.result.as_ref().map(outcome).unwrap_or_default(),
        error: row.error.as_ref().map(safe),
        attempts: row.attempts,
        may_cancel: may_cancel && row.state == TaskState::Queued,
    }
}

/// What came of a task, in words: its plain fields, and how many actions ended how.
fn outcome(result: &serde_json::Value) -> String {
    let Some(fields) = result.as_object() else { return safe(result) };
    let mut words = Vec::new();
    for (name, value) in
        fields.iter().filter(|(name, _)| !matches!(name.as_str(), "plan" | "epoch" | "detail"))
    {
        let word = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::Number(number) => format!("{number} {}", name.replace('_', " ")),
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(list) => format!("{} {}", list.len(), name.replace('_', " ")),
            serde_json::Value::Object(counts) => {
                let each = counts.iter().filter(|(_, many)| many.as_u64().is_some_and(|many| many > 0));
                let each: Vec<String> =
                    each.map(|(state, many)| format!("{many} {}", state.replace('_', " "))).collect();
                if each.is_empty() {
                    continue;
                }
                format!("{}: {}", name.replace('_', " "), each.join(", "))
            }
            serde_json::Value::Bool(yes) => format!("{}: {yes}", name.replace('_', " ")),
        };
        words.push(safe(word));
    }
    words.join(" · ")
}

fn schedule(app: &App, row: &ScheduleRow) -> ScheduleLine {
    let now = app.now();
    let outcome = row.outcome.map(|outcome| match outcome {
        ReadingOutcome::Complete => Mark::new("complete", Tone::Good),
        ReadingOutcome::Partial => Mark::new("partial", Tone::Bad),
        ReadingOutcome::Failed => Mark::new("failed", Tone::Bad),
    });
    ScheduleLine {
        system: Link::system(&row.system),
        last: row.ended_at.map(|at| Moment::relative(at, now)),
        outcome,
        detail: row.detail.as_ref().map(safe).unwrap_or_default(),
        failures: row.failures,
        due: Moment::relative(row.due_at, now),
        overdue: row.due_at < now,
    }
}

/// Cancels a task that nobody has begun.
async fn cancel(
    State(app): State<App>,
    person: Person,
    axum::extract::Path(id): axum::extract::Path<String>,
) -> Result<Response, WebError> {
    let task = app.store.task(&id).await?.filter(|_| person.may_everywhere(&app, Action::SeeTask));
    task.ok_or_else(|| WebError::NotFound("this task".to_owned()))?;
    if !person.may_everywhere(&app, Action::RunSync) {
        return Err(WebError::Forbidden(Action::RunSync));
    }
    let (kind, text) = if app.driver.cancel(&id).await? {
        (FlashKind::Done, "Cancelled.")
    } else {
        (FlashKind::Warning, "Not cancelled: it has begun, or ended already.")
    };
    Ok(redirect_with(&app, "/tasks", kind, text))
}
