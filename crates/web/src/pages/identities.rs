//! Identities: people and non-humans, with what is wrong about each.

use askama::Template;
use axum::extract::{Query as Asked, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use leasehold_decide::authority::Action;
use leasehold_decide::engine::IdentityIndex;
use leasehold_decide::engine::access::{self, Listing};
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState};
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;
use serde::Deserialize;

use crate::catalogue::{self, display_name};
use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::parts::form::Choices;
use crate::parts::link::identity_path;
use crate::parts::mark::Tone;
use crate::parts::{Link, Mark, Pager, Query, Sources, number};
use crate::person::Person;
use crate::present::Present;
use crate::route::{Access, Route};
use crate::sight::Sight;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::page(Method::GET, "/identities", Access::Needs(Action::SeeIdentity), || get(list))];

/// Every kind of identity.
const KINDS: [IdentityKind; 4] =
    [IdentityKind::Person, IdentityKind::Service, IdentityKind::Workload, IdentityKind::Agent];

/// Every state, in the order of a life.
const STATES: [LifecycleState; 7] = [
    LifecycleState::PreHire,
    LifecycleState::Active,
    LifecycleState::OnLeave,
    LifecycleState::Suspended,
    LifecycleState::Leaving,
    LifecycleState::Left,
    LifecycleState::Returned,
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Filter {
    q: String,
    kind: String,
    state: String,
    drift: String,
    sources: String,
    page: String,
}

#[derive(Template)]
#[template(path = "identities.html")]
struct IdentitiesPage {
    frame: Frame,
    sources: Sources,
    text: String,
    kinds: Choices,
    states: Choices,
    drift: Choices,
    /// Only those about whom their sources disagree; offered where there are any.
    disagreeing: Option<Choices>,
    rows: Vec<IdentityRow>,
    pager: Pager,
    filtered: bool,
}

struct IdentityRow {
    identity: Link,
    name: String,
    kind: &'static str,
    state: Mark,
    answers: Option<Answers>,
    accounts: String,
    entitlements: String,
    path: String,
    drift: Option<Link>,
    /// About how much its sources disagree; empty where they do not.
    conflicts: String,
}

/// Whom an identity answers to, or who answers for it.
pub(crate) struct Answers {
    /// `reports to` or `owned by`.
    pub verb: &'static str,
    /// Who.
    pub who: Link,
}

async fn list(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Present(view): Present,
    Asked(filter): Asked<Filter>,
) -> Result<Response, WebError> {
    let text = filter.q.trim().to_owned();
    let kind = one_of(&KINDS, IdentityKind::as_str, &filter.kind, "kind of identity")?;
    let state = one_of(&STATES, LifecycleState::as_str, &filter.state, "state of an identity")?;
    let drift = one_of(&[true, false], drift_word, &filter.drift, "choice of drift")?;
    let disagree = one_of(&[()], |()| "disagree", &filter.sources, "choice of sources")?.is_some();
    let catalogue = catalogue::of(&app, &view).await?;
    let sight = Sight::new(&app, &person, &view, catalogue);
    let (now, term) = (view.as_of(), text.to_lowercase());
    let mut found = sight.identities();
    let (evaluation, snapshot) = (view.evaluation(), &view.loaded().snapshot);
    found.retain(|index| {
        let identity = &evaluation.identities[index.index()];
        (term.is_empty() || sight.catalogue().identities.fit(index.0, &term).is_some())
            && kind.is_none_or(|kind| identity.kind == kind)
            && state.is_none_or(|state| snapshot.state_of(identity, now) == state)
            && drift.is_none_or(|wanted| wanted == (view.drift_of_identity(&identity.key).len() > 0))
            && (!disagree || !view.loaded().snapshot.conflicts_of(index.0).is_empty())
    });
    let query = Query::new("/identities")
        .with("q", &text)
        .with("kind", &filter.kind)
        .with("state", &filter.state)
        .with("drift", &filter.drift)
        .with("sources", &filter.sources);
    let pager = Pager::new(filter.page.parse().unwrap_or(1), found.len(), &query);
    let mut listing = Listing::default();
    let rows = found[pager.range()].iter().map(|index| row(&view, &sight, *index, &mut listing)).collect();
    let named = |word: &str| (word.to_owned(), word.replace('_', " "));
    let page = IdentitiesPage {
        sources: Sources::of(&app, &view, |name| sight.system(name)),
        frame: frame.titled("Identities"),
        filtered: !query.pairs().is_empty(),
        text,
        kinds: Choices::new("kind", "Kind", "any kind", KINDS.map(|kind| named(kind.as_str())), &filter.kind),
        states: Choices::new(
            "state",
            "State",
            "any state",
            STATES.map(|state| named(state.as_str())),
            &filter.state,
        ),
        drift: Choices::new(
            "drift",
            "Drift",
            "with or without",
            [("yes".to_owned(), "with drift".to_owned()), ("no".to_owned(), "without drift".to_owned())],
            &filter.drift,
        ),
        disagreeing: (disagree || !view.loaded().snapshot.identity_conflicts.is_empty()).then(|| {
            Choices::new(
                "sources",
                "Sources",
                "agree or not",
                [("disagree".to_owned(), "disagree".to_owned())],
                &filter.sources,
            )
        }),
        rows,
        pager,
    };
    frame::show(&page)
}

fn drift_word(with: bool) -> &'static str {
    if with { "yes" } else { "no" }
}

/// Reads a choice of a filter; `None` where nothing was chosen.
///
/// # Errors
/// [`WebError::Malformed`] names the choices that there are.
pub(crate) fn one_of<T: Copy>(
    all: &[T],
    word: impl Fn(T) -> &'static str,
    asked: &str,
    what: &str,
) -> Result<Option<T>, WebError> {
    if asked.is_empty() {
        return Ok(None);
    }
    match all.iter().copied().find(|one| word(*one) == asked) {
        Some(one) => Ok(Some(one)),
        None => {
            let words: Vec<&str> = all.iter().copied().map(&word).collect();
            Err(WebError::Malformed(format!(
                "there is no {what} `{}`; choose one of {}",
                safe(asked),
                words.join(", ")
            )))
        }
    }
}

/// A state as pages show it.
pub(crate) fn state_mark(state: LifecycleState) -> Mark {
    let tone = match state {
        LifecycleState::Active | LifecycleState::Returned => Tone::Good,
        LifecycleState::Left => Tone::Quiet,
        _ => Tone::Warning,
    };
    Mark::new(state.as_str().replace('_', " "), tone)
}

/// Whom an identity answers to: a person to their manager, a non-human to its owner.
pub(crate) fn answers(sight: &Sight<'_>, identity: &Identity) -> Option<Answers> {
    if identity.kind == IdentityKind::Person {
        identity.manager.as_ref().map(|who| Answers { verb: "reports to", who: sight.link_identity(who) })
    } else {
        identity.owner.as_ref().map(|who| Answers { verb: "owned by", who: sight.link_identity(who) })
    }
}

fn row(view: &View, sight: &Sight<'_>, index: IdentityIndex, listing: &mut Listing) -> IdentityRow {
    let evaluation = view.evaluation();
    let identity = &evaluation.identities[index.index()];
    access::list(&evaluation.graph, &evaluation.justification, index, evaluation.now(), listing);
    let own = listing.rows().iter().filter(|row| {
        evaluation.observed_entitlement(row.entitlement).is_none_or(|entitlement| !entitlement.inherent)
    });
    let drift = view.drift_of_identity(&identity.key).len();
    let drift_of = Query::new("/drift").with("identity", identity.key.as_str()).to_string();
    IdentityRow {
        identity: Link::identity(&identity.key),
        name: display_name(&identity.attributes).map(safe).unwrap_or_default(),
        kind: identity.kind.as_str(),
        state: state_mark(view.loaded().snapshot.state_of(identity, view.as_of())),
        answers: answers(sight, identity),
        accounts: number(evaluation.graph.accounts_of(index).count() as u64),
        entitlements: number(own.count() as u64),
        path: identity_path(&identity.key),
        drift: (drift > 0).then(|| Link::to(drift_of, number(drift as u64))),
        conflicts: match view.loaded().snapshot.conflicts_of(index.0) {
            [] => String::new(),
            conflicts => {
                let about: Vec<String> =
                    conflicts.iter().map(|conflict| safe(conflict.attribute.replace('_', " "))).collect();
                about.join(", ")
            }
        },
    }
}
