//! Plans about one identity: what closes its drift, and what takes everything down as if it had left now.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use leasehold_decide::authority::Action;
use leasehold_decide::plan::Scope;
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::plan::Plan;
use leasehold_model::text::safe;
use leasehold_reconcile::stages::decide::{Loaded, take_as_left};
use leasehold_reconcile::stages::plan;
use leasehold_reconcile::view::View;

use super::seen;
use crate::error::WebError;
use crate::flash::{FlashKind, redirect_with};
use crate::heavy;
use crate::parts::link::{identity_path, plan_path};
use crate::person::Person;
use crate::present::Present;
use crate::state::App;

/// Whether an identity can be taken down as if it had left: a source lists it, and it has not left yet. What only the
/// policy declares, or a system implies, ends where it was declared.
pub(super) fn can_be_offboarded(view: &View, key: &IdentityKey) -> bool {
    let listed = &view.loaded().snapshot.identities;
    let mut same = listed.iter().filter(|(_, identity)| identity.key.folded() == key.folded());
    same.next().is_some_and(|(_, identity)| !identity.has_left(view.as_of()))
}

/// A plan that closes the drift of an identity.
pub(super) async fn plan(
    State(app): State<App>,
    person: Person,
    Present(view): Present,
    Path(key): Path<String>,
) -> Result<Response, WebError> {
    let key = seen(&app, &person, &view, &key)?;
    let loaded = view.loaded().clone();
    propose(&app, &person, &view, loaded, &key, None).await
}

/// A plan that takes down everything that an identity holds.
pub(super) async fn offboard(
    State(app): State<App>,
    person: Person,
    Present(view): Present,
    Path(key): Path<String>,
) -> Result<Response, WebError> {
    let key = seen(&app, &person, &view, &key)?;
    let mut loaded = view.loaded().clone();
    if !can_be_offboarded(&view, &key) {
        return propose(&app, &person, &view, loaded, &key, None).await;
    }
    // Nothing is decided yet: whoever approves the plan decides that they leave.
    let mut snapshot = (*loaded.snapshot).clone();
    take_as_left(&mut snapshot, &HashMap::from([(key.folded().as_str(), loaded.now)]));
    loaded.snapshot = Arc::new(snapshot);
    let remark = format!(
        ". Their source still lists {} as here: whoever approves it decides that they leave, until that is taken back",
        safe(&key)
    );
    propose(&app, &person, &view, loaded, &key, Some(&remark)).await
}

/// Makes and keeps the plan, and shows it. Only systems for which this person may propose are in it.
async fn propose(
    app: &App,
    person: &Person,
    view: &View,
    loaded: Loaded,
    key: &IdentityKey,
    offboarding: Option<&str>,
) -> Result<Response, WebError> {
    let everywhere = person.may_everywhere(app, Action::ProposePlan);
    let may = |name: &&SystemName| person.may(app, Action::ProposePlan, &app.resource_of_system(name));
    let names = view.loaded().snapshot.systems.iter().map(|state| &state.name);
    let systems: Vec<SystemName> = names.filter(may).cloned().collect();
    if !everywhere && systems.is_empty() {
        return Err(WebError::Forbidden(Action::ProposePlan));
    }
    let scope = Scope {
        systems: if everywhere { Vec::new() } else { systems },
        identities: vec![key.clone()],
        ..Scope::default()
    };
    let computed: Result<Plan, _> = heavy::run(move || plan::compute(&loaded, &scope)).await?;
    let made = computed.map_err(WebError::internal)?;
    let made = if offboarding.is_some() { made.taking_as_left(vec![key.clone()]) } else { made };
    if made.items.is_empty() && made.left_alone.is_empty() {
        let text = format!("{} holds nothing that a plan could end: no plan was made", safe(key));
        return Ok(redirect_with(app, &identity_path(key), FlashKind::Done, &text));
    }
    app.store.save_plan(&made, app.now()).await?;
    let remark = offboarding.unwrap_or_default();
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
pub(super) fn may_take_back(app: &App, person: &Person, key: &IdentityKey) -> bool {
    person.may_everywhere(app, Action::ApprovePlan)
        && person.identity().is_none_or(|own| own.folded() != key.folded())
}
