//! Actions: what was asked of systems and where each stands, those that wait for a person first.

use askama::Template;
use axum::extract::{Query as Parameters, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use leasehold_decide::authority::Action;
use leasehold_model::action::ActionState;
use leasehold_model::id::{PlanHash, SystemName};
use leasehold_model::plan::Verb;
use leasehold_model::text::safe;
use leasehold_store::{ActionFilter, ActionOrder, ActionRow};
use serde::Deserialize;

use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::parts::form::Choices;
use crate::parts::link::{action_path, short_hash};
use crate::parts::mark::action_words;
use crate::parts::{About, Link, Mark, Moment, Pager, Query, Sources, number};
use crate::person::Person;
use crate::present::Present;
use crate::route::{Access, Route};
use crate::seen::SeenSystems;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::page(Method::GET, "/actions", Access::Needs(Action::SeeAction), || get(list))];

/// States that people ask for together.
const SETS: [(&str, &str, &[ActionState]); 4] = [
    ("waiting", "Waits for a person", &[ActionState::Stuck, ActionState::Planned]),
    (
        "open",
        "On the way",
        &[ActionState::Approved, ActionState::Sent, ActionState::Acknowledged, ActionState::Contradicted],
    ),
    ("ended", "Ended", &[ActionState::Verified, ActionState::Unverifiable, ActionState::Void]),
    ("all", "All", &ActionState::ALL),
];

/// What is done, as pages write it.
pub(crate) fn verb_words(verb: Verb) -> &'static str {
    match verb {
        Verb::CreateAccount => "make account",
        Verb::EnableAccount => "enable account",
        Verb::Grant => "give grant",
        Verb::EnableCredential => "let credential in again",
        Verb::HandOverCredential => "hand credential over",
        Verb::DisableAccount => "disable account",
        Verb::DisableCredential => "stop credential",
        Verb::RevokeCredential => "revoke credential",
        Verb::Revoke => "end grant",
        Verb::EndSessions => "end sessions",
        Verb::DeleteAccount => "delete account",
    }
}

/// An action in a list, with its receipt as far as there is one.
pub(crate) struct ActionLine {
    pub href: String,
    pub label: String,
    pub state: Mark,
    pub verb: &'static str,
    pub system: Link,
    pub account: String,
    pub identity: Option<Link>,
    pub about: About,
    pub sent: Option<Moment>,
    pub read_back: Option<Moment>,
    pub ledger_entry: Option<Link>,
    pub reason: String,
}

impl ActionLine {
    /// Of an action.
    pub(crate) fn of(app: &App, row: &ActionRow) -> Self {
        let item = &row.item;
        let now = app.now();
        let verb = verb_words(item.verb);
        Self {
            href: action_path(&row.plan, &row.id),
            label: format!(
                "{}: {verb} of {} in {}",
                action_words(row.state),
                safe(&item.account),
                item.system
            ),
            state: Mark::action(row.state),
            verb,
            system: Link::system(&item.system),
            account: safe(&item.account),
            identity: item.identity.as_ref().map(Link::identity),
            about: About::of(
                item.entitlement.as_ref().map(|name| Link::entitlement(&item.system, name)),
                item.credential.as_ref(),
            )
            .to(item.to.as_ref()),
            sent: row.sent_at.map(|at| Moment::relative(at, now)),
            read_back: row.read_back_at.map(|at| Moment::relative(at, now)),
            ledger_entry: row.ledger_index.map(Link::ledger_entry),
            reason: row.reason.as_ref().map(safe).unwrap_or_default(),
        }
    }
}

/// Which actions are asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ActionsFilter {
    /// A state, or a set of states.
    state: String,
    system: String,
    plan: String,
    page: String,
}

impl ActionsFilter {
    fn states(&self) -> Option<Vec<ActionState>> {
        if self.state.is_empty() {
            // Of one plan people want to see all; of all plans, what waits for them.
            let set = if self.plan.is_empty() { SETS[0].2 } else { &[] };
            return Some(set.to_vec());
        }
        let set = SETS.iter().find(|(name, ..)| *name == self.state).map(|(_, _, states)| states.to_vec());
        set.or_else(|| ActionState::parse(&self.state).map(|state| vec![state]))
    }

    fn query(&self) -> Query {
        Query::new("/actions")
            .with("state", self.state.as_str())
            .with("system", self.system.as_str())
            .with("plan", self.plan.as_str())
    }
}

/// One set of states as a tab.
struct Tab {
    label: &'static str,
    number: String,
    href: String,
    current: bool,
}

/// A list of actions, as the shared table shows it.
struct ActionList {
    receipts: Vec<ActionLine>,
    pager: Pager,
}

#[derive(Template)]
#[template(path = "actions.html")]
struct ActionsPage {
    frame: Frame,
    sources: Sources,
    tabs: Vec<Tab>,
    states: Choices,
    systems: Choices,
    plan: Option<Link>,
    plan_hash: String,
    progress: ActionList,
    is_waiting: bool,
    wrong: Option<String>,
}

async fn list(
    State(app): State<App>,
    Present(view): Present,
    person: Person,
    frame: Frame,
    Parameters(filter): Parameters<ActionsFilter>,
) -> Result<Response, WebError> {
    let seen = SeenSystems::of(&app, &view, &person, Action::SeeAction);
    let system = (!filter.system.is_empty()).then(|| SystemName::new(filter.system.trim()));
    let mut wrong = None;
    let states = filter.states().unwrap_or_else(|| {
        wrong = Some(format!("there is no state “{}”", safe(&filter.state)));
        Vec::new()
    });
    let system = match system.transpose() {
        Ok(system) => system,
        Err(error) => {
            wrong = Some(safe(error));
            None
        }
    };
    // Whoever may see one system only is asked for it, or shown the first.
    let system = match (&seen, system) {
        (SeenSystems::All, system) => system,
        (SeenSystems::Some(names), Some(name)) if names.contains(&name) => Some(name),
        (SeenSystems::Some(names), _) => {
            Some(names.iter().min().cloned().ok_or(WebError::Forbidden(Action::SeeAction))?)
        }
    };
    let plan = (!filter.plan.is_empty()).then(|| PlanHash::from(filter.plan.as_str()));
    let of_scope = ActionFilter { plan: plan.clone(), states: Vec::new(), system: system.clone() };
    let counts = app.store.action_counts(&of_scope).await?;
    let sum = |states: &[ActionState]| states.iter().filter_map(|state| counts.get(state)).sum::<u64>();
    let store_filter = ActionFilter { states: states.clone(), ..of_scope };
    let total = if wrong.is_some() {
        0
    } else if states.is_empty() {
        counts.values().sum()
    } else {
        sum(&states)
    };
    let pager = Pager::new(
        filter.page.parse().unwrap_or(1),
        usize::try_from(total).unwrap_or(usize::MAX),
        &filter.query(),
    );
    let range = pager.range();
    let rows = if total == 0 {
        Vec::new()
    } else {
        app.store.action_rows(&store_filter, ActionOrder::NewestChange, range.start, range.len()).await?
    };
    let tab = |(name, label, states): &(&'static str, &'static str, &[ActionState])| Tab {
        label,
        number: number(sum(states)),
        href: ActionsFilter { state: (*name).to_owned(), ..filter.clone() }.query().to_string(),
        current: filter.state == *name
            || (filter.state.is_empty() && *name == if filter.plan.is_empty() { "waiting" } else { "all" }),
    };
    let names = view.systems().iter().map(|system| &system.name).filter(|name| seen.has(name));
    let shown = ActionsPage {
        frame: frame.titled("Actions"),
        sources: Sources::of(&app, &view, |name| seen.has(name)),
        tabs: SETS.iter().map(tab).collect(),
        states: Choices::new(
            "state",
            "State",
            "What waits",
            SETS.iter().map(|(name, label, _)| ((*name).to_owned(), (*label).to_owned())).chain(
                ActionState::ALL.iter().map(|state| (state.to_string(), action_words(*state).to_owned())),
            ),
            &filter.state,
        ),
        systems: Choices::new(
            "system",
            "System",
            "Every system",
            names.map(|name| (name.to_string(), name.to_string())),
            system.as_ref().map_or("", SystemName::as_str),
        ),
        plan: plan.as_ref().map(|hash| Link { text: short_hash(hash), ..Link::plan(hash) }),
        plan_hash: filter.plan.clone(),
        is_waiting: states == SETS[0].2,
        progress: ActionList { receipts: rows.iter().map(|row| ActionLine::of(&app, row)).collect(), pager },
        wrong,
    };
    let status = if shown.wrong.is_some() {
        axum::http::StatusCode::UNPROCESSABLE_ENTITY
    } else {
        axum::http::StatusCode::OK
    };
    frame::show_with(status, &shown)
}

/// An action that this person may see.
pub(crate) async fn seen_action(
    app: &App,
    person: &Person,
    plan: &PlanHash,
    id: &leasehold_model::id::ActionId,
) -> Result<ActionRow, WebError> {
    let gone = || "this action".to_owned();
    let row = app.store.action(plan, id).await?.ok_or_else(|| WebError::NotFound(gone()))?;
    person.require_seen(app, Action::SeeAction, &app.resource_of_system(&row.item.system), gone)?;
    Ok(row)
}
