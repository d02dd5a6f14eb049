//! Drift: what is there and not justified, and the other way round; filtered, grouped, and chosen for a plan.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query as Parameters, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::get;
use leasehold_decide::authority::Action;
use leasehold_model::decision::{DriftItem, DriftKind};
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;
use serde::Deserialize;

use crate::drift_index::DriftOrder;
use crate::error::{FieldError, WebError};
use crate::fields::Fields;
use crate::frame::{self, Frame};
use crate::parts::form::Choices;
use crate::parts::mark::{drift_meaning, drift_words};
use crate::parts::{About, BecauseList, Link, Mark, Moment, Pager, Query, Sources, count, number};
use crate::person::Person;
use crate::present::Present;
use crate::route::{Access, Route};
use crate::seen::SeenSystems;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::page(Method::GET, "/drift", Access::Needs(Action::SeeDrift), || get(list))];

/// What of all drift is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DriftFilter {
    kind: String,
    system: String,
    identity: String,
    /// Part of an account's, identity's or entitlement's name.
    text: String,
    by: String,
    page: String,
}

impl DriftFilter {
    /// As a form sent it back.
    pub(crate) fn from_fields(fields: &Fields) -> Self {
        let field = |name| fields.get(name).to_owned();
        Self {
            kind: field("kind"),
            system: field("system"),
            identity: field("identity"),
            text: field("text"),
            by: field("by"),
            page: field("page"),
        }
    }

    /// The address of this list.
    pub(crate) fn query(&self) -> Query {
        let by = if self.order() == DriftOrder::Kind { "" } else { self.order().name() };
        Query::new("/drift")
            .with("kind", self.kind.as_str())
            .with("system", self.system.as_str())
            .with("identity", self.identity.as_str())
            .with("text", self.text.as_str())
            .with("by", by)
    }

    fn order(&self) -> DriftOrder {
        DriftOrder::parse(&self.by)
    }

    fn is_narrow(&self) -> bool {
        [&self.kind, &self.system, &self.identity, &self.text].iter().any(|field| !field.trim().is_empty())
    }

    /// What is asked for that there is not, such as a kind of another release.
    fn complaint(&self) -> Option<FieldError> {
        if self.kind.is_empty() || DriftKind::parse(&self.kind).is_some() {
            return None;
        }
        let known: Vec<&str> = DriftKind::ALL.iter().map(|kind| kind.as_str()).collect();
        let message =
            format!("there is no kind of drift “{}”; kinds are {}", safe(&self.kind), known.join(", "));
        Some(FieldError::new("kind", message))
    }

    /// The positions in [`View::drift`] of what passes, in the chosen order. This looks at all drift at most once.
    pub(crate) fn positions(&self, app: &App, view: &View, seen: &SeenSystems) -> Vec<u32> {
        if self.complaint().is_some() {
            return Vec::new();
        }
        let drift = view.drift();
        let kind = DriftKind::parse(&self.kind);
        let system = SystemName::new(self.system.trim()).ok();
        // No system can have a name like this.
        if system.is_none() && !self.system.trim().is_empty() {
            return Vec::new();
        }
        let identity =
            (!self.identity.trim().is_empty()).then(|| IdentityKey::from(self.identity.trim()).folded());
        let text = self.text.trim().to_lowercase();
        let index = app.drift_indexes.of(view);
        let passes = |item: &DriftItem| {
            kind.is_none_or(|kind| item.kind == kind)
                && system.as_ref().is_none_or(|system| item.system == *system)
                && seen.has(&item.system)
                && identity
                    .as_ref()
                    .is_none_or(|wanted| item.identity.as_ref().is_some_and(|key| key.folded() == *wanted))
                && (text.is_empty() || mentions(item, &text))
        };
        index.positions(view, self.order()).filter(|position| passes(&drift[*position as usize])).collect()
    }
}

/// Whether a name in it holds a text, in any case.
fn mentions(item: &DriftItem, text: &str) -> bool {
    let holds = |name: &str| name.to_lowercase().contains(text);
    item.login.as_deref().is_some_and(holds)
        || item.identity.as_ref().is_some_and(|key| holds(key.as_str()))
        || item.entitlement.as_ref().is_some_and(|name| holds(&name.kind) || holds(&name.name))
        || item.account.as_ref().is_some_and(|key| holds(key.as_str()))
}

/// One row.
struct DriftRow {
    id: String,
    kind: Mark,
    system: Link,
    account: Option<String>,
    identity: Option<Link>,
    about: About,
    since: Option<Moment>,
    because: BecauseList,
    /// What its box is called for whoever does not see the row.
    label: String,
}

/// Rows of one kind, system or identity.
struct DriftGroup {
    title: String,
    note: String,
    rows: Vec<DriftRow>,
}

#[derive(Template)]
#[template(path = "drift.html")]
struct DriftPage {
    frame: Frame,
    sources: Sources,
    kinds: Choices,
    systems: Choices,
    orders: Choices,
    filter: DriftFilter,
    kind_error: Option<String>,
    choice_error: Option<String>,
    groups: Vec<DriftGroup>,
    pager: Pager,
    by: &'static str,
    total: usize,
    total_words: String,
    is_narrow: bool,
    may_plan: bool,
    has_removed: bool,
    carried: Vec<(&'static str, String)>,
    unread: bool,
}

async fn list(
    State(app): State<App>,
    Present(view): Present,
    person: Person,
    frame: Frame,
    Parameters(filter): Parameters<DriftFilter>,
) -> Result<Response, WebError> {
    page(&app, &view, &person, frame, filter, None)
}

/// The page; once more with what is wrong where a choice made no sense.
pub(crate) fn page(
    app: &App,
    view: &Arc<View>,
    person: &Person,
    frame: Frame,
    filter: DriftFilter,
    choice_error: Option<String>,
) -> Result<Response, WebError> {
    let seen = SeenSystems::of(app, view, person, Action::SeeDrift);
    let positions = filter.positions(app, view, &seen);
    let pager = Pager::new(filter.page.parse().unwrap_or(1), positions.len(), &filter.query());
    let order = filter.order();
    let drift = view.drift();
    let mut groups: Vec<DriftGroup> = Vec::new();
    let mut last: Option<&DriftItem> = None;
    for position in &positions[pager.range()] {
        let item = &drift[*position as usize];
        if last.is_none_or(|last| order.compare(last, item).is_ne()) {
            groups.push(group(app, view, order, item, &positions));
        }
        last = Some(item);
        if let Some(group) = groups.last_mut() {
            group.rows.push(row(app, item));
        }
    }
    let may_plan = person.may_somewhere(app, Action::ProposePlan);
    let kind_error = filter.complaint().map(|error| error.message);
    let status = if kind_error.is_some() || choice_error.is_some() {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    let removed = |position: &u32| drift[*position as usize].kind == DriftKind::RemovedOutOfBand;
    let shown = DriftPage {
        frame: frame.titled("Drift"),
        sources: Sources::of(app, view, |name| seen.has(name)),
        kinds: kinds(view, &seen, &filter.kind),
        systems: systems(view, &seen, &filter.system),
        orders: Choices::new(
            "by",
            "Group by",
            "Kind",
            DriftOrder::ALL[1..].iter().map(|(_, name, label)| ((*name).to_owned(), (*label).to_owned())),
            order.name(),
        ),
        by: order.name(),
        total: positions.len(),
        total_words: count(positions.len(), "item"),
        is_narrow: filter.is_narrow(),
        may_plan,
        has_removed: positions.iter().any(removed),
        carried: filter.query().pairs().to_vec(),
        unread: view.systems().iter().all(|system| system.latest.is_none()),
        filter,
        kind_error,
        choice_error,
        groups,
        pager,
    };
    frame::show_with(status, &shown)
}

fn kinds(view: &View, seen: &SeenSystems, chosen: &str) -> Choices {
    // How much there is in all is for whoever may see all of it.
    let label = |kind: DriftKind| match view.drift_counts().get(&kind) {
        Some(many) if seen.is_all() => format!("{} ({})", drift_words(kind), number(*many as u64)),
        _ => drift_words(kind),
    };
    let choices = DriftKind::ALL.iter().map(|kind| (kind.as_str().to_owned(), label(*kind)));
    Choices::new("kind", "Kind", "Every kind", choices, chosen)
}

fn systems(view: &View, seen: &SeenSystems, chosen: &str) -> Choices {
    let names = view.systems().iter().map(|system| &system.name).filter(|name| seen.has(name));
    let choices = names.map(|name| (name.to_string(), name.to_string()));
    Choices::new("system", "System", "Every system", choices, chosen)
}

/// The group that an item begins. Those of one group stand together, so that their number is two searches away.
fn group(app: &App, view: &View, order: DriftOrder, item: &DriftItem, positions: &[u32]) -> DriftGroup {
    let drift = view.drift();
    let at = |position: &u32| order.compare(&drift[*position as usize], item);
    let begin = positions.partition_point(|position| at(position).is_lt());
    let end = positions.partition_point(|position| at(position).is_le());
    let (title, meaning) = match order {
        DriftOrder::Kind => (drift_words(item.kind), drift_meaning(item.kind).to_owned()),
        DriftOrder::System => (item.system.to_string(), String::new()),
        DriftOrder::Identity => {
            (item.identity.as_ref().map_or_else(|| "Nobody that is known".to_owned(), safe), String::new())
        }
    };
    let mut note = vec![count(end - begin, "item")];
    if !meaning.is_empty() {
        note.insert(0, meaning);
    }
    let oldest = app.drift_indexes.of(view).oldest(view).get(&item.kind).copied();
    if let Some(oldest) = oldest.filter(|_| order == DriftOrder::Kind) {
        note.push(format!("the oldest first seen {}", Moment::relative(oldest, app.now()).words));
    }
    DriftGroup { title, note: note.join(" · "), rows: Vec::new() }
}

fn row(app: &App, item: &DriftItem) -> DriftRow {
    let account = item.login.as_ref().map(safe);
    let entitlement = item.entitlement.as_ref().map(|name| Link::entitlement(&item.system, name));
    let about = About::of(entitlement, item.credential.as_ref());
    let whom = account.clone().or_else(|| item.identity.as_ref().map(safe)).unwrap_or_default();
    let what = if about == About::Account { String::new() } else { format!(", {}", about.text()) };
    DriftRow {
        id: item.id(),
        kind: Mark::drift(item.kind),
        system: Link::system(&item.system),
        label: format!("Choose {}: {whom} in {}{what}", drift_words(item.kind), item.system),
        account,
        identity: item.identity.as_ref().map(Link::identity),
        about,
        since: item.since.map(|since| Moment::relative(since, app.now())),
        because: BecauseList::new(&item.because),
    }
}

/// Refuses who may not make plans for every system that some drift is in.
pub(crate) fn require_may_plan<'drift>(
    app: &App,
    person: &Person,
    items: impl Iterator<Item = &'drift DriftItem>,
) -> Result<(), WebError> {
    if person.may_everywhere(app, Action::ProposePlan) {
        return Ok(());
    }
    let systems: std::collections::BTreeSet<&SystemName> = items.map(|item| &item.system).collect();
    systems
        .into_iter()
        .try_for_each(|name| person.require(app, Action::ProposePlan, &app.resource_of_system(name)))
}
