//! My access: what I hold, why, and until when; and what I answer for.

use askama::Template;
use axum::extract::{Query as Asked, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_decide::engine::IdentityIndex;
use leasehold_decide::explain::explain;
use leasehold_model::decision::Because;
use leasehold_model::id::SystemName;
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;
use serde::Deserialize;

use crate::catalogue;
use crate::error::WebError;
use crate::first_log_ins;
use crate::frame::{self, Frame};
use crate::pages::identity::{AccountRow, LastUsed, Owns, Reach, accounts_of, owns, reach};
use crate::parts::link::identity_path;
use crate::parts::{BecauseList, Link, Moment, Query, Sources, number};
use crate::person::Person;
use crate::present::Present;
use crate::route::{Access, Route};
use crate::sight::Sight;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::page(Method::GET, "/me", Access::Needs(Action::SeeOwnAccess), || get(show))];

/// More than this that ends is counted, not listed.
const ENDING_MAX: usize = 25;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question {
    entitlement: String,
    page: String,
}

#[derive(Template)]
#[template(path = "me.html")]
struct MyAccess {
    frame: Frame,
    sources: Sources,
    mail: String,
    /// First log-ins of whom they manage that wait, in words; empty where none does.
    first_log_ins: String,
    mine: Option<Mine>,
}

struct Mine {
    key: Link,
    ending: Vec<Ending>,
    ending_more: String,
    drift: usize,
    drift_words: String,
    reach: Reach,
    accounts: Vec<AccountRow>,
    owns: Owns,
}

/// Something whose last reason ends.
struct Ending {
    at: Moment,
    entitlement: Link,
    system: Link,
    because: BecauseList,
}

async fn show(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Present(view): Present,
    Asked(question): Asked<Question>,
) -> Result<Response, WebError> {
    let catalogue = catalogue::of(&app, &view).await?;
    let sight = Sight::new(&app, &person, &view, catalogue);
    let index = person.identity().and_then(|own| view.evaluation().identity(own));
    let mine = index.map(|index| mine(&view, &sight, index, &question, app.now()));
    let held: std::collections::HashSet<_> = index
        .into_iter()
        .flat_map(|index| view.evaluation().graph.accounts_of(index))
        .map(|account| view.loaded().snapshot.system(view.evaluation().account(account).system))
        .collect();
    // Whoever holds something in a system may know how fresh that is, whatever else they may see of it.
    let mut sources = Sources::of(&app, &view, |name| sight.system(name) || held.contains(name));
    for row in &mut sources.rows {
        if !SystemName::new(row.system.text.as_str()).is_ok_and(|name| sight.system(&name)) {
            row.system = row.system.clone().unlinked();
        }
    }
    let first = first_log_ins::waiting(&app, &person, &view).await?.len();
    let first_log_ins = if first > 0 { crate::parts::count(first, "new account") } else { String::new() };
    let (frame, mail) = (frame.titled("My access"), safe(&person.mail));
    let page = MyAccess { sources, frame, mail, first_log_ins, mine };
    frame::show(&page)
}

fn mine(view: &View, sight: &Sight<'_>, index: IdentityIndex, question: &Question, now: Timestamp) -> Mine {
    let key = &view.evaluation().identities[index.index()].key;
    let mut ending = ending(view, sight, index, now);
    let more = ending.len().saturating_sub(ENDING_MAX);
    ending.truncate(ENDING_MAX);
    let drift = view.drift_of_identity(key).len();
    let page = question.page.parse().unwrap_or(1);
    Mine {
        key: Link::to(identity_path(key), safe(key)),
        ending: ending.into_iter().map(|(_, ending)| ending).collect(),
        ending_more: if more > 0 { number(more as u64) } else { String::new() },
        drift,
        drift_words: crate::parts::count(drift, "difference"),
        reach: reach(view, sight, index, &question.entitlement, page, &Query::new("/me")),
        accounts: accounts_of(view, sight, index, now),
        owns: owns(view, sight, key, now),
    }
}

/// What is held until a date: the latest end of its reasons, where each has one; the soonest first.
fn ending(view: &View, sight: &Sight<'_>, index: IdentityIndex, now: Timestamp) -> Vec<(Timestamp, Ending)> {
    let until = |because: &Because| match because {
        Because::Reason { reason } | Because::CarriedBy { reason, .. } => reason.until,
        _ => None,
    };
    let mut ending = Vec::new();
    for item in explain(view.evaluation(), index, 1) {
        let ends: Option<Vec<Timestamp>> = item.because.iter().map(until).collect();
        let Some(at) = ends.and_then(|ends| ends.into_iter().max()) else { continue };
        let row = Ending {
            at: Moment::relative(at, now),
            entitlement: sight.link_entitlement(&item.system, &item.entitlement),
            system: sight.link_system(&item.system),
            because: BecauseList::new(&item.because),
        };
        ending.push((at, row));
    }
    ending.sort_by(|(left_at, left), (right_at, right)| {
        (left_at, &left.entitlement).cmp(&(right_at, &right.entitlement))
    });
    ending
}
