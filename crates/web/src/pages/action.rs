//! One action: what it is to do and why, every step with its reason and its entry in the ledger, and another try.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use leasehold_decide::authority::Action;
use leasehold_model::action::ActionState;
use leasehold_model::id::{ActionId, PlanHash};
use leasehold_model::text::safe;

use super::actions::{ActionLine, seen_action, verb_words};
use crate::api::actions::{Retried, try_again};
use crate::error::WebError;
use crate::flash::{FlashKind, redirect_with};
use crate::frame::{self, Frame};
use crate::parts::link::{action_path, plan_path};
use crate::parts::mark::action_words;
use crate::parts::{BecauseList, Link, Mark, Moment};
use crate::person::Person;
use crate::route::{Access, Route};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/actions/{plan}/{id}", Access::Needs(Action::SeeAction), || get(show)),
    Route::page(Method::POST, "/actions/{plan}/{id}/retry", Access::Needs(Action::RetryAction), || {
        post(retry)
    }),
    Route::page(Method::GET, "/actions/{plan}/{id}/retry", Access::Needs(Action::SeeAction), || get(back)),
];

/// One step.
struct Step {
    at: Moment,
    from: &'static str,
    to: Mark,
    reason: String,
    ledger_entry: Link,
}

#[derive(Template)]
#[template(path = "action.html")]
struct ActionPage {
    frame: Frame,
    line: ActionLine,
    plan: Link,
    path: String,
    id: String,
    because: BecauseList,
    also_loses: Vec<Link>,
    must_end: Vec<Link>,
    after: Vec<Link>,
    attempts: u32,
    next_attempt: Option<Moment>,
    sent: Option<Moment>,
    read_back: Option<Moment>,
    steps: Vec<Step>,
    held: bool,
    plan_path: String,
    is_stuck: bool,
    may_retry: bool,
}

async fn show(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Path((plan, id)): Path<(String, String)>,
) -> Result<Response, WebError> {
    let (plan, id) = (PlanHash::from(plan), ActionId::from(id));
    let row = seen_action(&app, &person, &plan, &id).await?;
    let item = &row.item;
    let link = |name| Link::entitlement(&item.system, name);
    let mut steps = Vec::new();
    for step in app.store.transitions(&plan, &id).await? {
        steps.push(Step {
            at: Moment::exact(step.at),
            // Only what stays so is held; every action begins there.
            from: if step.from == ActionState::Planned { "planned" } else { action_words(step.from) },
            to: Mark::action(step.to),
            reason: step.reason.map(safe).unwrap_or_default(),
            ledger_entry: Link::ledger_entry(step.ledger_index),
        });
    }
    let credential = item.credential.as_ref().map(safe);
    let what = item.entitlement.as_ref().map(safe).or(credential);
    let what = what.map_or_else(String::new, |what| format!(" {what}"));
    let title = format!("{}{what}: {} in {}", verb_words(item.verb), safe(&item.account), item.system);
    frame::show(&ActionPage {
        frame: frame.titled(title),
        plan: Link::plan(&plan),
        path: action_path(&plan, &id),
        id: safe(&id),
        because: BecauseList::new(&item.because),
        also_loses: item.also_loses.iter().map(link).collect(),
        must_end: item.must_end.iter().map(link).collect(),
        after: item.after.iter().map(|after| Link::action(&plan, after)).collect(),
        attempts: row.attempts,
        next_attempt: row
            .next_attempt_at
            .filter(|_| !row.state.is_final())
            .map(|at| Moment::relative(at, app.now())),
        sent: row.sent_at.map(Moment::exact),
        read_back: row.read_back_at.map(Moment::exact),
        steps,
        held: row.state == ActionState::Planned,
        plan_path: plan_path(&plan),
        is_stuck: row.state == ActionState::Stuck,
        may_retry: person.may(&app, Action::RetryAction, &app.resource_of_system(&item.system)),
        line: ActionLine::of(&app, &row),
    })
}

async fn back(Path((plan, id)): Path<(String, String)>) -> Response {
    Redirect::to(&action_path(&PlanHash::from(plan), &ActionId::from(id))).into_response()
}

async fn retry(
    State(app): State<App>,
    person: Person,
    Path((plan, id)): Path<(String, String)>,
) -> Result<Response, WebError> {
    let (plan, id) = (PlanHash::from(plan), ActionId::from(id));
    let path = action_path(&plan, &id);
    Ok(match try_again(&app, &person, plan, id).await? {
        Retried::Again(_) => redirect_with(&app, &path, FlashKind::Done, "It is tried again now."),
        Retried::NoLonger(state) => {
            let text = format!("Nothing to try again: it is {} now.", action_words(state));
            redirect_with(&app, &path, FlashKind::Warning, &text)
        }
    })
}
