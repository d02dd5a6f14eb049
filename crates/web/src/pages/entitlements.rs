//! Entitlements: what can be held, who answers for it, and how many hold it.

use askama::Template;
use axum::extract::{Query as Asked, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use leasehold_decide::authority::Action;
use leasehold_decide::engine::EntitlementIndex;
use leasehold_model::id::SystemName;
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;
use serde::Deserialize;

use crate::catalogue;
use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::pages::identities::one_of;
use crate::parts::form::Choices;
use crate::parts::link::entitlement_path;
use crate::parts::{Link, Pager, Query, Sources, number};
use crate::person::Person;
use crate::present::Present;
use crate::route::{Access, Route};
use crate::sight::Sight;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::page(Method::GET, "/entitlements", Access::Needs(Action::SeeEntitlement), || get(list))];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Filter {
    q: String,
    system: String,
    only: String,
    page: String,
}

/// What a list can be narrowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Only {
    Privileged,
    Ownerless,
}

impl Only {
    fn word(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Ownerless => "ownerless",
        }
    }
}

#[derive(Template)]
#[template(path = "entitlements.html")]
struct EntitlementsPage {
    frame: Frame,
    sources: Sources,
    text: String,
    systems: Choices,
    only: Choices,
    rows: Vec<Row>,
    pager: Pager,
    filtered: bool,
}

struct Row {
    entitlement: Link,
    title: String,
    system: Link,
    privileged: bool,
    inherent: bool,
    observed: bool,
    owners: Vec<Link>,
    holders: String,
    path: String,
}

async fn list(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Present(view): Present,
    Asked(filter): Asked<Filter>,
) -> Result<Response, WebError> {
    let catalogue = catalogue::of(&app, &view).await?;
    let sight = Sight::new(&app, &person, &view, catalogue);
    let only = one_of(&[Only::Privileged, Only::Ownerless], Only::word, &filter.only, "choice")?;
    let text = filter.q.trim().to_owned();
    let term = text.to_lowercase();
    let evaluation = view.evaluation();
    let mut found = sight.entitlements();
    let mut systems: Vec<&SystemName> = found.iter().map(|index| evaluation.system_of(*index)).collect();
    systems.sort_unstable();
    systems.dedup();
    let system =
        match filter.system.as_str() {
            "" => None,
            name => {
                Some(systems.iter().copied().find(|system| system.as_str() == name).ok_or_else(|| {
                    WebError::NotFound(format!("a system `{}` with entitlements", safe(name)))
                })?)
            }
        };
    let names = &sight.catalogue().entitlements;
    found.retain(|index| {
        let observed = evaluation.observed_entitlement(*index);
        system.is_none_or(|system| evaluation.system_of(*index) == system)
            && (term.is_empty() || names.fit(index.0, &term).is_some())
            && match only {
                None => true,
                Some(Only::Privileged) => observed.is_some_and(|it| it.privileged),
                Some(Only::Ownerless) => sight.catalogue().owners_of(*index).is_empty(),
            }
    });
    let query = Query::new("/entitlements")
        .with("q", &text)
        .with("system", &filter.system)
        .with("only", &filter.only);
    let pager = Pager::new(filter.page.parse().unwrap_or(1), found.len(), &query);
    let page_of = found[pager.range()].to_vec();
    let rows = page_of.iter().map(|index| row(&view, &sight, *index)).collect();
    let named = |name: &&SystemName| (name.to_string(), name.to_string());
    let page = EntitlementsPage {
        sources: Sources::of(&app, &view, |name| {
            system.is_none_or(|system| system == name) && sight.system(name)
        }),
        frame: frame.titled("Entitlements"),
        filtered: !query.pairs().is_empty(),
        text,
        systems: Choices::new("system", "System", "any system", systems.iter().map(named), &filter.system),
        only: Choices::new(
            "only",
            "Only",
            "all",
            [
                ("privileged".to_owned(), "privileged".to_owned()),
                ("ownerless".to_owned(), "without an owner".to_owned()),
            ],
            &filter.only,
        ),
        rows,
        pager,
    };
    frame::show(&page)
}

fn row(view: &View, sight: &Sight<'_>, index: EntitlementIndex) -> Row {
    let evaluation = view.evaluation();
    let (system, name) = (evaluation.system_of(index), evaluation.entitlement_name(index));
    let observed = evaluation.observed_entitlement(index);
    Row {
        entitlement: Link::entitlement(system, name),
        title: observed.and_then(|it| it.title.as_ref()).map(safe).unwrap_or_default(),
        system: Link::system(system),
        privileged: observed.is_some_and(|it| it.privileged),
        inherent: observed.is_some_and(|it| it.inherent),
        observed: observed.is_some(),
        owners: sight.catalogue().owners_of(index).iter().map(Link::identity).collect(),
        holders: number(sight.catalogue().holders(view, index) as u64),
        path: entitlement_path(system, name),
    }
}
