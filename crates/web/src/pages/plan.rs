//! One plan: every effect before anything is done, what it leaves alone and why, its guards; and once it is approved,
//! how far it is, with a receipt for each action.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query as Parameters, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::get;
use leasehold_decide::authority::{Action, Resource};
use leasehold_model::action::ActionState;
use leasehold_model::id::PlanHash;
use leasehold_model::plan::Verb;
use leasehold_model::text::safe;
use leasehold_reconcile::stages::plan::check_is_current;
use leasehold_reconcile::view::View;
use leasehold_store::{ActionFilter, ActionOrder, PlanRow, TaskFilter, TaskRow, TaskState, state_digest};
use serde::Deserialize;

use super::actions::{ActionLine, verb_words};
use super::plans::PlanStanding;
use crate::error::WebError;
use crate::form::Complaints;
use crate::frame::{self, Frame};
use crate::kept_plans::KeptPlan;
use crate::parts::link::plan_path;
use crate::parts::mark::action_words;
use crate::parts::{About, BecauseList, Link, Mark, Moment, Pager, Prose, Query, Sources, count, number};
use crate::person::{Person, STEP_UP, Via};
use crate::present::Present;
use crate::route::{Access, Route};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::page(Method::GET, "/plans/{hash}", Access::Needs(Action::SeePlan), || get(show))];

/// Which pages of the plan's lists are asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PlanPart {
    page: String,
    left: String,
}

/// What happens to one identity.
struct EffectGroup {
    identity: Option<Link>,
    effects: Vec<Effect>,
}

/// One effect.
struct Effect {
    verb: &'static str,
    takes_away: bool,
    system: Link,
    account: String,
    about: About,
    also_loses: Vec<Link>,
    because: BecauseList,
    held_by: Vec<String>,
}

/// Something that the plan does nothing about.
struct Left {
    system: Link,
    whom: String,
    entitlement: Option<Link>,
    why: String,
}

/// One guard, and what was typed to override it.
struct GuardLine {
    name: String,
    field: String,
    message: Prose,
    way_on: Prose,
    holds: String,
    overridden: Option<String>,
    typed: String,
    wrong: String,
}

/// A number of actions that stand alike.
struct StateCount {
    mark: Mark,
    number: String,
    href: String,
}

/// How far a plan is that was begun.
struct Progress {
    begun: Moment,
    by: String,
    states: Vec<StateCount>,
    receipts: Vec<ActionLine>,
    words: String,
    pager: Pager,
    is_over: bool,
    /// Something waits for a person: a guard holds it, or it is stuck.
    waits: bool,
    ended: u64,
    total: u64,
}

/// A task that carries the plan out, or is to.
struct TaskLine {
    link: Link,
    mark: Mark,
    error: Option<String>,
    /// It has not ended: who approves once more changes nothing.
    is_open: bool,
    /// The plan that it carries out instead, made when facts had moved.
    anew: Option<Link>,
}

#[derive(Template)]
#[template(path = "plan.html")]
struct PlanPage {
    frame: Frame,
    hash: String,
    path: String,
    sources: Sources,
    standing: Mark,
    made: Moment,
    summary: String,
    whom: String,
    moved: Option<String>,
    guards: Vec<GuardLine>,
    groups: Vec<EffectGroup>,
    effects_pager: Pager,
    /// Who leaves by whoever approves it, where it is not approved yet.
    leavers: Vec<Link>,
    /// Non-humans, and who takes each over.
    successors: Vec<(Link, Link)>,
    left: Vec<Left>,
    left_pager: Pager,
    left_words: String,
    progress: Option<Progress>,
    task: Option<TaskLine>,
    may_approve: bool,
    may_override: bool,
    may_plan: bool,
    is_own: bool,
    is_empty: bool,
    step_up: Option<String>,
    approve_label: String,
    wrong: Complaints,
}

async fn show(
    State(app): State<App>,
    Present(view): Present,
    person: Person,
    frame: Frame,
    Path(hash): Path<String>,
    Parameters(part): Parameters<PlanPart>,
) -> Result<Response, WebError> {
    let (kept, _) = seen_plan(&app, &person, &hash).await?;
    let asked = Asked { kept, part, typed: HashMap::new(), wrong: Complaints::default() };
    page(&app, &view, &person, frame, StatusCode::OK, asked).await
}

/// A plan that this person may see, and what authority knows of it.
pub(crate) async fn seen_plan(
    app: &App,
    person: &Person,
    hash: &str,
) -> Result<(Arc<KeptPlan>, Resource), WebError> {
    let gone = || WebError::NotFound("this plan".to_owned());
    let kept = app.saved_plan(hash).await?.ok_or_else(gone)?;
    let resource = kept.resource(app, person.identity());
    person.require_seen(app, Action::SeePlan, &resource, || "this plan".to_owned())?;
    Ok((kept, resource))
}

/// A plan to be shown, and what was typed into its form.
pub(crate) struct Asked {
    pub kept: Arc<KeptPlan>,
    pub part: PlanPart,
    /// By guard.
    pub typed: HashMap<String, String>,
    pub wrong: Complaints,
}

/// Whether a person has shown a short time ago that it is them, where this plan asks for it.
pub(crate) fn needs_step_up(app: &App, person: &Person, kept: &KeptPlan) -> bool {
    let Via::Session(session) = &person.via else { return false };
    kept.takes_away() && app.now().duration_since(session.confirmed_at) > STEP_UP
}

/// The page; once more with what is wrong where its form made no sense.
pub(crate) async fn page(
    app: &App,
    view: &Arc<View>,
    person: &Person,
    frame: Frame,
    status: StatusCode,
    asked: Asked,
) -> Result<Response, WebError> {
    let Asked { kept, part, typed, wrong } = asked;
    let plan = &kept.plan;
    let row = app.store.plan_row(&plan.hash).await?;
    let row = row.ok_or_else(|| WebError::NotFound("this plan".to_owned()))?;
    let overrides = app.store.guard_overrides(&plan.hash).await?;
    let overridden: HashSet<String> = overrides.iter().map(|made| made.guard.clone()).collect();
    let standing = match PlanStanding::of(&row, &state_digest(&view.loaded().fingerprint())) {
        // It says that somebody leaves; from what they hold is looked at when it begins.
        PlanStanding::Outdated if plan.as_left.len() == 1 => PlanStanding::Proposed,
        standing => standing,
    };
    let resource = kept.resource(app, person.identity());
    let path = plan_path(&plan.hash);
    let begun = row.begun_at.is_some();
    let effects_pager = Pager::new(
        if begun { 1 } else { part.page.parse().unwrap_or(1) },
        plan.items.len(),
        &Query::new(&path).with("left", part.left.as_str()),
    );
    let left_pager = left_pager(&path, &part, plan.left_alone.len());
    let guards = plan.guards.iter().map(|guard| {
        let made = overrides.iter().find(|made| made.guard == guard.name);
        let field = format!("guard:{}", guard.name);
        GuardLine {
            name: guard.name.clone(),
            message: Prose::new(&guard.message),
            way_on: Prose::new(&guard.way_on),
            holds: count(guard.holds.len(), "action"),
            overridden: made.map(|made| {
                format!("overridden by {} {}", safe(&made.by), Moment::relative(made.at, app.now()).words)
            }),
            typed: typed.get(&guard.name).cloned().unwrap_or_default(),
            wrong: wrong.of(&field).to_owned(),
            field,
        }
    });
    let step_up = needs_step_up(app, person, &kept)
        .then(|| Query::new("/step-up").with("next", path.as_str()).to_string());
    let progress = progress(app, &row, &part, &path).await?;
    let task = task(app, &kept).await?;
    let is_under_way = task.as_ref().is_some_and(|task| task.is_open);
    let can_go_on = !is_under_way && progress.as_ref().is_none_or(|progress| progress.waits);
    let shown = PlanPage {
        frame: frame.titled(format!("Plan {}", crate::parts::link::short_hash(&plan.hash))),
        hash: plan.hash.to_string(),
        sources: Sources::of(app, view, |name| kept.systems.contains(name)),
        standing: standing.mark(),
        made: Moment::relative(row.created_at, app.now()),
        summary: verbs_words(&kept.verbs),
        whom: whom(&kept),
        moved: moved(view, &kept, standing),
        guards: guards.collect(),
        groups: if begun { Vec::new() } else { groups(&kept, &overridden, &effects_pager) },
        leavers: plan.as_left.iter().filter(|_| !begun).map(Link::identity).collect(),
        successors: plan
            .successors
            .iter()
            .map(|(identity, owner)| (Link::identity(identity), Link::identity(owner)))
            .collect(),
        left: plan.left_alone[left_pager.range()].iter().map(left).collect(),
        left_words: count(plan.left_alone.len(), "item"),
        progress,
        task,
        may_approve: can_go_on && person.may(app, Action::ApprovePlan, &resource),
        may_override: person.may(app, Action::OverrideGuard, &resource),
        may_plan: person.may_somewhere(app, Action::ProposePlan),
        is_own: matches!(&resource, Resource::Plan { affected, .. } if !affected.is_empty()),
        is_empty: plan.items.is_empty(),
        approve_label: if kept.free.is_empty() { String::new() } else { verbs_words(&kept.free) },
        effects_pager,
        left_pager,
        step_up,
        wrong,
        path,
    };
    frame::show_with(status, &shown)
}

fn left_pager(path: &str, part: &PlanPart, total: usize) -> Pager {
    let mut pager =
        Pager::new(part.left.parse().unwrap_or(1), total, &Query::new(path)).of("what is left alone");
    // The two lists of this page turn their pages apart from each other.
    let turn = |address: Option<String>| {
        address.map(|address| {
            let number = address.split_once("page=").map_or("", |(_, number)| number);
            let query = Query::new(path).with("page", part.page.as_str()).with("left", number);
            format!("{query}#left-alone")
        })
    };
    pager.previous = turn(pager.previous.take());
    pager.next = turn(pager.next.take());
    pager
}

/// What moved since the plan was made, where it was not begun.
fn moved(view: &View, kept: &KeptPlan, standing: PlanStanding) -> Option<String> {
    if standing != PlanStanding::Outdated {
        return None;
    }
    let moved = check_is_current(&kept.plan, view.loaded()).err()?;
    Some(safe(moved))
}

/// `end 12 grants, disable 3 accounts`.
fn verbs_words(verbs: &BTreeMap<Verb, usize>) -> String {
    let words = verbs.iter().map(|(verb, many)| match verb {
        Verb::CreateAccount => format!("make {}", count(*many, "account")),
        Verb::EnableAccount => format!("enable {}", count(*many, "account")),
        Verb::Grant => format!("give {}", count(*many, "grant")),
        Verb::EnableCredential => format!("let {} in again", count(*many, "credential")),
        Verb::HandOverCredential => format!("hand {} over", count(*many, "credential")),
        Verb::DisableAccount => format!("disable {}", count(*many, "account")),
        Verb::DisableCredential => format!("stop {}", count(*many, "credential")),
        Verb::RevokeCredential => format!("revoke {}", count(*many, "credential")),
        Verb::Revoke => format!("end {}", count(*many, "grant")),
        Verb::EndSessions => format!("end the sessions of {}", count(*many, "account")),
        Verb::DeleteAccount => format!("delete {}", count(*many, "account")),
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() { "do nothing".to_owned() } else { words.join(", ") }
}

fn whom(kept: &KeptPlan) -> String {
    let identities = match kept.affected.len() {
        1 => "1 identity".to_owned(),
        many => format!("{} identities", number(many as u64)),
    };
    format!("{identities} in {}", count(kept.systems.len(), "system"))
}

fn groups(kept: &KeptPlan, overridden: &HashSet<String>, pager: &Pager) -> Vec<EffectGroup> {
    let mut groups: Vec<EffectGroup> = Vec::new();
    for position in &kept.by_identity[pager.range()] {
        let item = &kept.plan.items[*position as usize];
        let identity = item.identity.as_ref().map(Link::identity);
        if groups.last().is_none_or(|group| group.identity != identity) {
            groups.push(EffectGroup { identity, effects: Vec::new() });
        }
        let held_by = kept.holding(&item.id, overridden).iter().map(|guard| safe(&guard.name)).collect();
        let effect = Effect {
            verb: verb_words(item.verb),
            takes_away: item.verb.takes_away(),
            system: Link::system(&item.system),
            account: safe(&item.account),
            about: About::of(
                item.entitlement.as_ref().map(|name| Link::entitlement(&item.system, name)),
                item.credential.as_ref(),
            )
            .to(item.to.as_ref()),
            also_loses: item.also_loses.iter().map(|name| Link::entitlement(&item.system, name)).collect(),
            because: BecauseList::new(&item.because),
            held_by,
        };
        if let Some(group) = groups.last_mut() {
            group.effects.push(effect);
        }
    }
    groups
}

fn left(left: &leasehold_model::plan::LeftAlone) -> Left {
    let whom = left.account.as_ref().map(safe).or_else(|| left.identity.as_ref().map(safe));
    Left {
        system: Link::system(&left.system),
        whom: whom.unwrap_or_default(),
        entitlement: left.entitlement.as_ref().map(|name| Link::entitlement(&left.system, name)),
        why: safe(&left.why),
    }
}

async fn progress(
    app: &App,
    row: &PlanRow,
    part: &PlanPart,
    path: &str,
) -> Result<Option<Progress>, WebError> {
    let (Some(begun_at), Some(by)) = (row.begun_at, row.begun_by.as_ref()) else { return Ok(None) };
    let filter = ActionFilter { plan: Some(row.hash.clone()), ..ActionFilter::default() };
    let counts = app.store.action_counts(&filter).await?;
    let total = counts.values().sum::<u64>();
    let pager = Pager::new(
        part.page.parse().unwrap_or(1),
        usize::try_from(total).unwrap_or(usize::MAX),
        &Query::new(path),
    );
    let range = pager.range();
    let rows = app.store.action_rows(&filter, ActionOrder::Plan, range.start, range.len()).await?;
    let states = ActionState::ALL.iter().filter_map(|state| {
        let many = counts.get(state).copied().filter(|many| *many > 0)?;
        let query = Query::new("/actions").with("state", state.as_str()).with("plan", row.hash.as_str());
        Some(StateCount { mark: Mark::action(*state), number: number(many), href: query.to_string() })
    });
    let words = ActionState::ALL.iter().filter_map(|state| {
        let many = counts.get(state)?;
        Some(format!("{} {}", number(*many), action_words(*state)))
    });
    Ok(Some(Progress {
        begun: Moment::relative(begun_at, app.now()),
        by: safe(by),
        words: words.collect::<Vec<_>>().join(", "),
        states: states.collect(),
        receipts: rows.iter().map(|row| ActionLine::of(app, row)).collect(),
        is_over: row.on_the_way == 0,
        waits: [ActionState::Planned, ActionState::Stuck].iter().any(|state| counts.contains_key(state)),
        ended: counts.iter().filter(|(state, _)| state.is_final()).map(|(_, many)| many).sum(),
        total,
        pager,
    }))
}

/// The task that carries it out, where one waits, runs, or failed last.
async fn task(app: &App, kept: &KeptPlan) -> Result<Option<TaskLine>, WebError> {
    let filter = TaskFilter {
        kind: Some("apply".to_owned()),
        subject: Some(kept.plan.hash.to_string()),
        ..TaskFilter::default()
    };
    let tasks = app.store.tasks(&filter, 1).await?;
    let carried_out = |task: &TaskRow| {
        let plan = task.result.as_ref()?.get("plan")?.as_str()?;
        (plan != kept.plan.hash.as_str()).then(|| Link::plan(&PlanHash::from(plan)))
    };
    Ok(tasks.first().map(|task| TaskLine {
        is_open: matches!(task.state, TaskState::Queued | TaskState::Running),
        anew: carried_out(task),
        link: Link::to(format!("/tasks#{}", task.id), "the task that carries it out"),
        mark: Mark::task(task.state),
        error: task.error.as_ref().map(safe),
    }))
}
