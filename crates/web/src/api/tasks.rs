//! Tasks: work that was asked for, and what became of it.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use leasehold_decide::authority::{Action, Resource};
use leasehold_model::id::SystemName;
use leasehold_store::{Requested, TaskFilter, TaskRow, TaskState};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::document::Problems;
use super::{paging, wrong};
use crate::error::WebError;
use crate::person::Person;
use crate::route::Route;
use crate::seen::SeenSystems;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/tasks", Action::SeeTask, || routes!(list)),
    Route::call(Method::GET, "/api/v1/tasks/{id}", Action::SeeTask, || routes!(one)),
    Route::call(Method::DELETE, "/api/v1/tasks/{id}", Action::RunSync, || routes!(cancel)),
];

/// A task.
#[derive(Serialize, ToSchema)]
struct TaskDocument {
    id: String,
    /// What is to be done.
    kind: String,
    /// What it is about.
    subject: String,
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    state: &'static str,
    requested_by: String,
    #[schema(value_type = String, format = DateTime)]
    requested_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    not_before: Timestamp,
    /// How often it was begun.
    attempts: u64,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// What came of it.
    #[schema(value_type = Option<Object>)]
    result: Option<serde_json::Value>,
    /// The error of its last attempt.
    error: Option<String>,
}

/// The task that was asked for.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskAnswer {
    /// Its id.
    task: String,
    /// The same work was queued already, and is what was asked for.
    coalesced: bool,
}

/// Says which task will do what was asked for.
pub(crate) fn accepted(requested: &Requested) -> Response {
    let coalesced = matches!(requested, Requested::Coalesced(_));
    let answer = TaskAnswer { task: requested.id().to_owned(), coalesced };
    let location = format!("/api/v1/tasks/{}", requested.id());
    (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(answer)).into_response()
}

fn document(task: TaskRow) -> TaskDocument {
    TaskDocument {
        id: task.id,
        kind: task.kind,
        subject: task.subject,
        state: task.state.as_str(),
        requested_by: task.requested_by,
        requested_at: task.requested_at,
        not_before: task.not_before,
        attempts: task.attempts,
        ended_at: task.ended_at,
        result: task.result,
        error: task.error,
    }
}

#[derive(Serialize, ToSchema)]
struct TaskList {
    items: Vec<TaskDocument>,
    /// The cursor of the following page.
    next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only of this kind.
    kind: Option<String>,
    /// Only in this state.
    state: Option<String>,
    /// Only about this.
    subject: Option<String>,
    /// Rows on a page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// From `next` of the page before.
    cursor: Option<String>,
}

#[utoipa::path(get, path = "/api/v1/tasks", tag = "tasks", params(ListQuery),
    responses((status = 200, description = "A page of tasks, the newest first", body = TaskList), Problems))]
/// Tasks that you asked for, or that work on a system that you may see, the newest first.
async fn list(
    State(app): State<App>,
    person: Person,
    Query(query): Query<ListQuery>,
) -> Result<Json<TaskList>, WebError> {
    let limit = paging::rows(query.limit)?;
    let state = match query.state.as_deref() {
        None => None,
        Some(name) => Some(
            TaskState::parse(name)
                .ok_or_else(|| wrong("state", format!("`{name}` is no state of a task")))?,
        ),
    };
    let before = paging::after(query.cursor.as_deref())?;
    let filter = TaskFilter { kind: query.kind, state, subject: query.subject, before };
    let mut tasks = app.store.tasks(&filter, limit + 1).await?;
    let more = tasks.len() > limit;
    tasks.truncate(limit);
    let next = tasks.last().filter(|_| more).map(|last| paging::cursor(&last.id));
    let seen = app.systems_seen(&person, Action::SeeTask);
    tasks.retain(|task| is_seen(&seen, &person, task));
    Ok(Json(TaskList { items: tasks.into_iter().map(document).collect(), next }))
}

/// Whoever asked for a task sees it, and whoever may see the work on its system.
fn is_seen(seen: &SeenSystems, person: &Person, task: &TaskRow) -> bool {
    let of_system = || SystemName::new(task.subject.as_str()).is_ok_and(|system| seen.has(&system));
    task.requested_by == person.actor() || matches!(seen, SeenSystems::All) || of_system()
}

async fn found(app: &App, person: &Person, id: &str) -> Result<TaskRow, WebError> {
    let seen = app.systems_seen(person, Action::SeeTask);
    let task = app.store.task(id).await?.filter(|task| is_seen(&seen, person, task));
    task.ok_or_else(|| WebError::NotFound(format!("the task {id}")))
}

#[utoipa::path(get, path = "/api/v1/tasks/{id}", tag = "tasks", params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "The task", body = TaskDocument), Problems))]
/// One task.
async fn one(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Json<TaskDocument>, WebError> {
    Ok(Json(document(found(&app, &person, &id).await?)))
}

#[utoipa::path(delete, path = "/api/v1/tasks/{id}", tag = "tasks", params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "It will not be begun"), Problems))]
/// Cancels a task that nobody has begun.
async fn cancel(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<StatusCode, WebError> {
    let task = found(&app, &person, &id).await?;
    if task.requested_by != person.actor() {
        person.require(&app, Action::RunSync, &Resource::Installation)?;
    }
    if app.driver.cancel(&id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(WebError::Conflict(
            "it was begun already, or has ended: what runs cannot be cancelled".to_owned(),
        ))
    }
}
