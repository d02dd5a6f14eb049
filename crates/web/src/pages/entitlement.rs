//! One entitlement: who holds it and by which ways, who answers for it, what gives it and what it carries.

use askama::Template;
use axum::extract::{Path, Query as Asked, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use leasehold_decide::authority::Action;
use leasehold_decide::engine::{AccountIndex, EntitlementIndex};
use leasehold_decide::explain;
use leasehold_model::id::{EntitlementAddress, EntitlementName, SystemName};
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;
use serde::Deserialize;

use crate::catalogue;
use crate::drawing::{Drawing, Step, StepKind};
use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::parts::link::entitlement_path;
use crate::parts::{BecauseList, Link, Mark, Moment, Pager, Query, Sources, number};
use crate::person::Person;
use crate::present::Present;
use crate::route::{Access, Route};
use crate::sight::Sight;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[Route::page(
    Method::GET,
    "/entitlements/{system}/{kind}/{*name}",
    Access::Needs(Action::SeeEntitlement),
    || get(show),
)];

/// Paths of one holder that are shown.
const PATHS_SHOWN_MAX: usize = 5;
/// Paths drawn to or from one neighbour; a drawing with more is no picture.
const PATHS_DRAWN_MAX: usize = 8;
/// Neighbours of one sort that are shown.
const NEIGHBOURS_MAX: usize = 50;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question {
    page: String,
}

#[derive(Template)]
#[template(path = "entitlement.html")]
struct EntitlementPage {
    frame: Frame,
    sources: Sources,
    address: String,
    name: String,
    system: Link,
    title: String,
    native: String,
    privileged: bool,
    inherent: bool,
    irrevocable: String,
    observed: bool,
    owners: Vec<Link>,
    roles: Vec<(Link, String)>,
    explicit: Vec<(Link, Link, Moment)>,
    carriers: Neighbours,
    carried: Neighbours,
    drawing: Option<Drawing>,
    drift: Vec<(Mark, String)>,
    drift_list: String,
    holders: Vec<Holder>,
    pager: Pager,
}

/// What carries it, or what it carries.
struct Neighbours {
    links: Vec<(Link, bool)>,
    more: String,
}

struct Holder {
    identity: Option<Link>,
    login: String,
    direct: bool,
    decision: Mark,
    because: BecauseList,
    paths: Vec<String>,
    more_paths: bool,
    since: Option<Moment>,
}

async fn show(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Present(view): Present,
    Path((system, kind, name)): Path<(String, String, String)>,
    Asked(question): Asked<Question>,
) -> Result<Response, WebError> {
    let what = || format!("entitlement `{}`", safe(format!("{system}:{kind}/{name}")));
    let not_there = || WebError::NotFound(what());
    let address = EntitlementAddress {
        system: SystemName::new(system.as_str()).map_err(|_| not_there())?,
        entitlement: EntitlementName::new(kind.as_str(), name.as_str()),
    };
    let evaluation = view.evaluation();
    let index = evaluation.entitlement(&address).ok_or_else(not_there)?;
    let catalogue = catalogue::of(&app, &view).await?;
    let sight = Sight::new(&app, &person, &view, catalogue);
    if !sight.entitlement(index) {
        return Err(not_there());
    }
    let now = app.now();
    let path = entitlement_path(&address.system, &address.entitlement);
    let accounts = sight.catalogue().accounts_holding(&view, index);
    let pager = Pager::new(question.page.parse().unwrap_or(1), accounts.len(), &Query::new(&path));
    let holders = accounts[pager.range()].iter().map(|account| holder(&view, *account, index, now));
    let observed = evaluation.observed_entitlement(index);
    let policy = &view.loaded().policy;
    let gives = |grants: &[leasehold_decide::policy::Placed<EntitlementAddress>]| {
        grants.iter().any(|grant| grant.value == address)
    };
    let roles = policy.roles.iter().filter(|role| gives(&role.grants));
    let explicit = policy.explicit.iter().enumerate().filter(|(_, explicit)| gives(&explicit.grants));
    let drift_list = Query::new("/drift").with("system", address.system.as_str()).with("text", name.as_str());
    let page = EntitlementPage {
        sources: Sources::of(&app, &view, |other| *other == address.system),
        frame: frame.titled(safe(&address)),
        title: observed.and_then(|it| it.title.as_ref()).map(safe).unwrap_or_default(),
        native: observed.and_then(|it| it.native.as_ref()).map(safe).unwrap_or_default(),
        privileged: observed.is_some_and(|it| it.privileged),
        inherent: observed.is_some_and(|it| it.inherent),
        irrevocable: observed.and_then(|it| it.irrevocable.as_ref()).map(safe).unwrap_or_default(),
        observed: observed.is_some(),
        owners: sight.catalogue().owners_of(index).iter().map(Link::identity).collect(),
        roles: roles
            .map(|role| {
                let find = Query::new("/policy").with("find", role.name.as_str()).to_string();
                (Link::to(find, safe(&role.name)), safe(&role.title))
            })
            .collect(),
        explicit: explicit
            .map(|(position, explicit)| {
                let find = Query::new("/policy").with("find", explicit.name.as_str()).to_string();
                let until = Moment::relative(evaluation.explicit_end(position), now);
                (Link::to(find, safe(&explicit.name)), Link::identity(&explicit.identity.value), until)
            })
            .collect(),
        carriers: neighbours(&view, evaluation.graph.containment().reached_from(index.0), index, |other| {
            evaluation.carriers.children(other).contains(&index.0)
        }),
        carried: neighbours(&view, evaluation.graph.containment().reaches(index.0), index, |other| {
            evaluation.carriers.children(index).contains(&other.0)
        }),
        drawing: drawing(&view, index),
        drift: drift(&view, &address),
        drift_list: drift_list.to_string(),
        holders: holders.collect(),
        pager,
        system: Link::system(&address.system),
        name: safe(&address.entitlement),
        address: safe(&address),
    };
    frame::show(&page)
}

fn holder(view: &View, account: AccountIndex, index: EntitlementIndex, now: jiff::Timestamp) -> Holder {
    let evaluation = view.evaluation();
    let held = evaluation.account(account);
    let paths = explain::paths(evaluation, account, index, PATHS_SHOWN_MAX);
    let direct = paths.paths.iter().any(|path| path.len() == 1);
    let (decision, because) = explain::decision(evaluation, account, index);
    let named = |path: &Vec<EntitlementIndex>| {
        path.iter().map(|step| safe(evaluation.entitlement_name(*step))).collect::<Vec<_>>().join(" → ")
    };
    let since = evaluation.granted_since(account, index).filter(|_| direct);
    let identity = evaluation.graph.identity_of(account);
    Holder {
        identity: identity.map(|identity| Link::identity(&evaluation.identities[identity.index()].key)),
        login: safe(&held.account.login),
        direct,
        decision: Mark::decision(decision),
        because: BecauseList::new(&because),
        paths: paths.paths.iter().filter(|path| path.len() > 1).map(named).collect(),
        more_paths: paths.more,
        since: since.map(|since| Moment::relative(since, now)),
    }
}

/// Others by containment, those next to it first.
fn neighbours(
    view: &View,
    others: &[u32],
    index: EntitlementIndex,
    is_next: impl Fn(EntitlementIndex) -> bool,
) -> Neighbours {
    let evaluation = view.evaluation();
    let others = others.iter().copied().map(EntitlementIndex).filter(|other| *other != index);
    let mut links: Vec<(Link, bool)> = others
        .map(|other| {
            let link = Link::entitlement(evaluation.system_of(other), evaluation.entitlement_name(other));
            (link, is_next(other))
        })
        .collect();
    links.sort_by(|(left, left_next), (right, right_next)| (!left_next, left).cmp(&(!right_next, right)));
    let more = links.len().saturating_sub(NEIGHBOURS_MAX);
    links.truncate(NEIGHBOURS_MAX);
    Neighbours { links, more: if more > 0 { number(more as u64) } else { String::new() } }
}

/// What carries it and what it carries, drawn; `None` where there is neither, or too much.
fn drawing(view: &View, index: EntitlementIndex) -> Option<Drawing> {
    let evaluation = view.evaluation();
    let step = |other: EntitlementIndex| {
        let label = evaluation.entitlement_name(other).to_string();
        let kind = if other == index { StepKind::Identity } else { StepKind::Account };
        Step { key: label.clone(), label, kind }
    };
    let containment = evaluation.graph.containment();
    let above = containment.reached_from(index.0);
    let sources = above.iter().copied().map(EntitlementIndex).filter(|other| *other != index);
    let mut paths: Vec<Vec<Step>> = Vec::new();
    if above.len() + containment.reaches(index.0).len() > 60 {
        return None;
    }
    for source in sources {
        let found = evaluation.carriers.paths([source], index, above, PATHS_DRAWN_MAX);
        paths.extend(found.paths.iter().map(|path| path.iter().map(|it| step(*it)).collect()));
    }
    for target in containment.reaches(index.0).iter().copied().map(EntitlementIndex) {
        if target != index {
            let leads = containment.reached_from(target.0);
            let found = evaluation.carriers.paths([index], target, leads, PATHS_DRAWN_MAX);
            paths.extend(found.paths.iter().map(|path| path.iter().map(|it| step(*it)).collect()));
        }
    }
    // What stands left of it must not be drawn at its right: shorter paths end where it stands.
    let longest_above =
        paths.iter().filter_map(|path| path.iter().position(|it| it.kind == StepKind::Identity)).max()?;
    let title = format!("What carries {}, and what it carries", safe(evaluation.entitlement_name(index)));
    Drawing::aligned("around", title, &paths, longest_above)
}

/// How much drift of each kind is about it.
fn drift(view: &View, address: &EntitlementAddress) -> Vec<(Mark, String)> {
    let mut counts = std::collections::BTreeMap::new();
    let items = view.drift_of_system(&address.system);
    for item in items.filter(|item| item.entitlement.as_ref() == Some(&address.entitlement)) {
        *counts.entry(item.kind).or_insert(0u64) += 1;
    }
    counts.into_iter().map(|(kind, count)| (Mark::drift(kind), number(count))).collect()
}
