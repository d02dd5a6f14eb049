//! Search over everything that has a name: a page, and the same as a fragment for the palette of the keyboard.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::{Query as Asked, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use leasehold_decide::authority::Action;
use leasehold_model::id::SystemName;
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;
use leasehold_store::StoreError;
use serde::Deserialize;

use crate::catalogue::{self, Names, display_name};
use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::parts::link::{identity_path, system_path};
use crate::parts::{Link, Query, Sources};
use crate::person::Person;
use crate::present::Present;
use crate::route::{Access, Route};
use crate::sight::Sight;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::page(Method::GET, "/search", Access::Needs(Action::SeeOwnAccess), || get(show))];

/// Found of one sort, on the page.
const FOUND_MAX: usize = 20;
/// Found of one sort, in the palette.
const FRAGMENT_FOUND_MAX: usize = 6;
/// Longer terms are cut: no name is longer that anybody types.
const TERM_CHARS_MAX: usize = 200;
/// Fewer digits of a plan's hash say nothing.
const HASH_DIGITS_MIN: usize = 6;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question {
    q: String,
    fragment: String,
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    sources: Sources,
    found: Found,
}

/// What was found.
#[derive(Template)]
#[template(path = "search_found.html")]
struct Found {
    term: String,
    sorts: Vec<Sort>,
}

impl HtmlSafe for Found {}

/// What was found of one sort.
struct Sort {
    heading: &'static str,
    hits: Vec<Hit>,
    /// The list of all of them, where there may be more.
    all: Option<Link>,
}

struct Hit {
    link: Link,
    words: String,
}

async fn show(
    State(app): State<App>,
    person: Person,
    mut frame: Frame,
    Present(view): Present,
    Asked(question): Asked<Question>,
) -> Result<Response, WebError> {
    let term: String = question.q.trim().chars().take(TERM_CHARS_MAX).collect();
    let is_fragment = !question.fragment.is_empty();
    let limit = if is_fragment { FRAGMENT_FOUND_MAX } else { FOUND_MAX };
    let catalogue = catalogue::of(&app, &view).await?;
    let sight = Sight::new(&app, &person, &view, catalogue);
    let mut sorts = Vec::new();
    if !term.is_empty() {
        let folded = term.to_lowercase();
        let in_memory = [identities(&view, &sight, &folded, limit), accounts(&view, &sight, &folded, limit)];
        sorts.extend(in_memory);
        sorts.push(systems(&view, &sight, &folded, limit));
        sorts.push(entitlements(&view, &sight, &folded, limit));
        sorts.push(roles(&view, &sight, &folded, limit));
        sorts.push(plans(&app, &person, &folded).await?);
        sorts.retain(|sort| !sort.hits.is_empty());
    }
    let found = Found { term: safe(&term), sorts };
    if is_fragment {
        return frame::show(&found);
    }
    frame.search = term;
    let sources = Sources::of(&app, &view, |name| sight.system(name));
    frame::show(&SearchPage { frame: frame.titled("Search"), sources, found })
}

/// The best of them: those that are named so, then those whose name begins so, then those that hold it.
fn best(names: &Names, positions: impl Iterator<Item = u32>, term: &str, limit: usize) -> (Vec<u32>, bool) {
    let mut by_fit: [Vec<u32>; 3] = Default::default();
    let mut more = false;
    for position in positions {
        if let Some(fit) = names.fit(position, term) {
            let same = &mut by_fit[usize::from(fit)];
            if same.len() < limit {
                same.push(position);
            } else {
                more = true;
            }
        }
    }
    let mut all = by_fit.concat();
    more |= all.len() > limit;
    all.truncate(limit);
    (all, more)
}

fn identities(view: &View, sight: &Sight<'_>, term: &str, limit: usize) -> Sort {
    let positions = sight.identities().into_iter().map(|index| index.0);
    let (found, more) = best(&sight.catalogue().identities, positions, term, limit);
    let hit = |position: u32| {
        let identity = &view.evaluation().identities[position as usize];
        let name = display_name(&identity.attributes).map(safe);
        let words = [name.as_deref().unwrap_or_default(), identity.kind.as_str()].join(" ");
        Hit { link: Link::identity(&identity.key), words: words.trim().to_owned() }
    };
    let all = Query::new("/identities").with("q", term).to_string();
    Sort {
        heading: "Identities",
        hits: found.into_iter().map(hit).collect(),
        all: more.then(|| Link::to(all, "all identities like this")),
    }
}

fn accounts(view: &View, sight: &Sight<'_>, term: &str, limit: usize) -> Sort {
    let (snapshot, evaluation) = (&view.loaded().snapshot, view.evaluation());
    let catalogue = sight.catalogue();
    let seen_systems = sight.systems();
    let in_systems = seen_systems.iter().filter_map(|name| catalogue.contents(name));
    let mut positions: Vec<u32> = in_systems.flat_map(|contents| contents.accounts.iter().copied()).collect();
    if seen_systems.len() < snapshot.systems.len() {
        let own = sight.identities().into_iter().flat_map(|index| evaluation.graph.accounts_of(index));
        positions.extend(own.map(|account| evaluation.position_of(account)));
        positions.sort_unstable_by_key(|position| catalogue.accounts.rank(*position));
        positions.dedup();
    }
    let (found, _) = best(&catalogue.accounts, positions.into_iter(), term, limit);
    let hit = |position: u32| {
        let held = &snapshot.accounts[position as usize];
        let (system, login) = (snapshot.system(held.system), &held.account.login);
        let identity = evaluation.graph.identity_of(evaluation.index_of(position));
        let seen = identity.filter(|identity| sight.identity(*identity));
        let href = match seen {
            Some(identity) => {
                format!("{}#accounts", identity_path(&evaluation.identities[identity.index()].key))
            }
            None => Query::new(format!("{}/accounts", system_path(system))).with("q", login).to_string(),
        };
        let whose = seen.map(|identity| safe(&evaluation.identities[identity.index()].key));
        let words = match (identity, whose) {
            (_, Some(whose)) => format!("account in {system}, of {whose}"),
            (Some(_), None) => format!("account in {system}"),
            (None, None) => format!("account in {system}, of nobody that is known"),
        };
        Hit { link: Link::to(href, safe(login)), words }
    };
    Sort { heading: "Accounts", hits: found.into_iter().map(hit).collect(), all: None }
}

fn systems(view: &View, sight: &Sight<'_>, term: &str, limit: usize) -> Sort {
    let read = view.systems().iter().map(|state| &state.name);
    let mut names: Vec<&SystemName> = read.chain(view.loaded().settings.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let fits = names.into_iter().filter(|name| name.as_str().contains(term) && sight.system(name));
    let hit = |name: &SystemName| Hit { link: Link::system(name), words: "system".to_owned() };
    Sort { heading: "Systems", hits: fits.take(limit).map(hit).collect(), all: None }
}

fn entitlements(view: &View, sight: &Sight<'_>, term: &str, limit: usize) -> Sort {
    let evaluation = view.evaluation();
    let positions = sight.entitlements().into_iter().map(|index| index.0);
    let (found, more) = best(&sight.catalogue().entitlements, positions, term, limit);
    let hit = |position: u32| {
        let index = leasehold_decide::engine::EntitlementIndex(position);
        let (system, name) = (evaluation.system_of(index), evaluation.entitlement_name(index));
        let title = evaluation.observed_entitlement(index).and_then(|it| it.title.as_ref()).map(safe);
        let words = title.map_or_else(|| format!("in {system}"), |title| format!("in {system}: {title}"));
        Hit { link: Link::entitlement(system, name), words }
    };
    let all = Query::new("/entitlements").with("q", term).to_string();
    Sort {
        heading: "Entitlements",
        hits: found.into_iter().map(hit).collect(),
        all: more.then(|| Link::to(all, "all entitlements like this")),
    }
}

fn roles(view: &View, sight: &Sight<'_>, term: &str, limit: usize) -> Sort {
    let roles = view.loaded().policy.roles.iter().filter(|_| sight.policy());
    let fits = roles
        .filter(|role| role.name.to_lowercase().contains(term) || role.title.to_lowercase().contains(term));
    let hit = |role: &leasehold_decide::policy::Role| {
        let find = Query::new("/policy").with("find", role.name.as_str()).to_string();
        Hit { link: Link::to(find, safe(&role.name)), words: format!("role: {}", safe(&role.title)) }
    };
    Sort { heading: "Roles", hits: fits.take(limit).map(hit).collect(), all: None }
}

/// A plan by the beginning of its hash.
async fn plans(app: &App, person: &Person, term: &str) -> Result<Sort, WebError> {
    let mut hits = Vec::new();
    let is_hash = term.len() >= HASH_DIGITS_MIN && term.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash && person.may_somewhere(app, Action::SeePlan) {
        let found = match app.store.plan(term).await {
            Err(StoreError::AmbiguousPlan { .. }) => None,
            found => found?,
        };
        if let Some(plan) = found {
            let resource = app.resource_of_plan(&plan);
            if person.may(app, Action::SeePlan, &resource) {
                let words = format!("plan: {}", crate::parts::count(plan.items.len(), "item"));
                hits.push(Hit { link: Link::plan(&plan.hash), words });
            }
        }
    }
    Ok(Sort { heading: "Plans", hits, all: None })
}
