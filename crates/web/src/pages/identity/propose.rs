//! Plans about one identity: what closes its drift, and what takes everything down as if it had left now.

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use leasehold_decide::authority::Action;
use leasehold_decide::plan::Scope;
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::plan::Plan;
use leasehold_model::text::safe;
use leasehold_reconcile::stages::plan;
use leasehold_reconcile::view::View;
use leasehold_reconcile::workflow::offboard;
use leasehold_reconcile::workflow::steward::Refusal;
use serde::Deserialize;

use super::seen;
use crate::error::WebError;
use crate::flash::{FlashKind, redirect_with};
use crate::heavy;
use crate::parts::link::{identity_path, plan_path};
use crate::person::Person;
use crate::present::Present;
use crate::state::App;

/// A plan that closes the drift of an identity.
pub(super) async fn plan(
    State(app): State<App>,
    person: Person,
    Present(view): Present,
    Path(key): Path<String>,
) -> Result<Response, WebError> {
    let key = seen(&app, &person, &view, &key)?;
    let (loaded, systems) = (view.loaded().clone(), systems_to_plan(&app, &person, &view)?);
    let scope = Scope { systems, identities: vec![key.clone()], ..Scope::default() };
    let made = heavy::run(move || plan::compute(&loaded, &scope)).await?.map_err(WebError::internal)?;
    keep(&app, &key, made).await
}

/// What was typed beside that somebody leaves.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Offboarding {
    successor: String,
}

/// A plan that takes down everything that an identity holds.
pub(super) async fn offboard(
    State(app): State<App>,
    person: Person,
    Present(view): Present,
    Path(key): Path<String>,
    Form(asked): Form<Offboarding>,
) -> Result<Response, WebError> {
    let key = seen(&app, &person, &view, &key)?;
    let successor = Some(asked.successor.trim()).filter(|key| !key.is_empty()).map(IdentityKey::from);
    let made = offboarding_plan(&app, &person, &view, &key, successor).await?;
    keep(&app, &key, made).await
}

/// The plan that takes down everything that an identity holds, in the systems for which this person may propose. Nothing is
/// decided yet: whoever approves the plan decides that they leave.
pub(crate) async fn offboarding_plan(
    app: &App,
    person: &Person,
    view: &View,
    key: &IdentityKey,
    successor: Option<IdentityKey>,
) -> Result<Plan, WebError> {
    let (loaded, systems) = (view.loaded().clone(), systems_to_plan(app, person, view)?);
    let whom = key.clone();
    let made = heavy::run(move || offboard::plan(loaded, &whom, systems, successor.as_ref())).await?;
    made.map_err(|refusal| match refusal {
        Refusal::Successor(_) => WebError::Refused(format!("{refusal}; nothing was planned")),
        refusal => WebError::internal(refusal),
    })
}

/// The systems for which a person may propose plans; none named where they may for all.
fn systems_to_plan(app: &App, person: &Person, view: &View) -> Result<Vec<SystemName>, WebError> {
    if person.may_everywhere(app, Action::ProposePlan) {
        return Ok(Vec::new());
    }
    let may = |name: &&SystemName| person.may(app, Action::ProposePlan, &app.resource_of_system(name));
    let names = view.loaded().snapshot.systems.iter().map(|state| &state.name);
    let systems: Vec<SystemName> = names.filter(may).cloned().collect();
    if systems.is_empty() { Err(WebError::Forbidden(Action::ProposePlan)) } else { Ok(systems) }
}

/// Keeps a plan about an identity, and shows it.
async fn keep(app: &App, key: &IdentityKey, made: Plan) -> Result<Response, WebError> {
    if made.items.is_empty() && made.left_alone.is_empty() {
        let text = format!("{} holds nothing that a plan could end: no plan was made", safe(key));
        return Ok(redirect_with(app, &identity_path(key), FlashKind::Done, &text));
    }
    app.store.save_plan(&made, app.now()).await?;
    let remark = match made.as_left.is_empty() {
        true => String::new(),
        false => format!(
            ". Their source still lists {} as here: whoever approves it decides that they leave, until that is taken back",
            safe(key)
        ),
    };
    let text = format!("This plan is about {}. Nothing has changed yet{remark}", safe(key));
    Ok(redirect_with(app, &plan_path(&made.hash), FlashKind::Done, &text))
}

/// Takes a departure back that a person decided on: what the source says counts again.
pub(super) async fn take_back(
    State(app): State<App>,
    person: Person,
    Present(view): Present,
    Path(key): Path<String>,
) -> Result<Response, WebError> {
    let key = seen(&app, &person, &view, &key)?;
    if !may_take_back(&app, &person, &key) {
        return Err(WebError::Forbidden(Action::ApprovePlan));
    }
    person.require_confirmed(app.now())?;
    let taken_back = app.store.rescind_departure(&key, person.actor(), app.now()).await?;
    app.live.refresh().await.map_err(WebError::internal)?;
    let text = match taken_back {
        true => format!(
            "What the source says of {} counts again; what was taken away is missing until it is given back",
            safe(&key)
        ),
        false => format!("Nobody decided that {} leaves, or it was taken back already", safe(&key)),
    };
    Ok(redirect_with(&app, &identity_path(&key), FlashKind::Done, &text))
}

/// Whether a person may take a departure back: as who may approve every plan, and never their own.
pub(crate) fn may_take_back(app: &App, person: &Person, key: &IdentityKey) -> bool {
    person.may_everywhere(app, Action::ApprovePlan)
        && person.identity().is_none_or(|own| own.folded() != key.folded())
}
