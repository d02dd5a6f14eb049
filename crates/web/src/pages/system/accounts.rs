//! The accounts of a system: whose each is, what it can still do, what it holds.

use askama::Template;
use axum::extract::{Path, Query as Asked, State};
use axum::response::Response;
use jiff::Timestamp;
use leasehold_decide::correlate::Correlation;
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;
use serde::Deserialize;

use super::seen;
use crate::catalogue;
use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::pages::identities::one_of;
use crate::pages::identity::{LastUsed, enabled_mark, last_use};
use crate::parts::form::Choices;
use crate::parts::link::system_path;
use crate::parts::{Link, Mark, Pager, Query, Sources, number};
use crate::person::Person;
use crate::present::Present;
use crate::state::App;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    q: String,
    whose: String,
    state: String,
    page: String,
}

#[derive(Template)]
#[template(path = "system/accounts.html")]
struct AccountsPage {
    frame: Frame,
    sources: Sources,
    system: Link,
    path: String,
    text: String,
    whose: Choices,
    states: Choices,
    rows: Vec<Row>,
    pager: Pager,
    filtered: bool,
}

struct Row {
    login: String,
    key: String,
    whose: Whose,
    enabled: Mark,
    last_use: LastUsed,
    posture: Vec<String>,
    grants: String,
}

/// Whose an account is.
enum Whose {
    Identity(Link),
    Nobody,
    Several(Vec<Link>),
}

/// Lists them.
pub(super) async fn list(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Present(view): Present,
    Path(name): Path<String>,
    Asked(filter): Asked<Filter>,
) -> Result<Response, WebError> {
    let name = seen(&app, &person, &view, &name)?;
    let known = one_of(
        &[true, false],
        |known| if known { "somebody" } else { "nobody" },
        &filter.whose,
        "choice of whose",
    )?;
    let enabled = one_of(
        &[true, false],
        |it| if it { "enabled" } else { "disabled" },
        &filter.state,
        "state of an account",
    )?;
    let text = filter.q.trim().to_owned();
    let term = text.to_lowercase();
    let catalogue = catalogue::of(&app, &view).await?;
    let (snapshot, evaluation) = (&view.loaded().snapshot, view.evaluation());
    let fits = |position: &u32| {
        let account = &snapshot.accounts[*position as usize].account;
        let is_known = matches!(evaluation.correlation[*position as usize], Correlation::To { .. });
        (term.is_empty() || catalogue.accounts.fit(*position, &term).is_some())
            && known.is_none_or(|known| known == is_known)
            && enabled.is_none_or(|enabled| enabled == account.enabled)
    };
    let all = catalogue.contents(&name).map_or(&[][..], |contents| &contents.accounts);
    let found: Vec<u32> = all.iter().copied().filter(fits).collect();
    let path = system_path(&name);
    let query = Query::new(format!("{path}/accounts"))
        .with("q", &text)
        .with("whose", &filter.whose)
        .with("state", &filter.state);
    let pager = Pager::new(filter.page.parse().unwrap_or(1), found.len(), &query);
    let choice = |value: &str, label: &str| (value.to_owned(), label.to_owned());
    let page = AccountsPage {
        sources: Sources::of(&app, &view, |other| *other == name),
        frame: frame.titled(format!("Accounts of {name}")),
        system: Link::system(&name),
        path,
        filtered: !query.pairs().is_empty(),
        text,
        whose: Choices::new(
            "whose",
            "Whose",
            "anybody's",
            [choice("somebody", "somebody's"), choice("nobody", "of nobody that is known")],
            &filter.whose,
        ),
        states: Choices::new(
            "state",
            "State",
            "any",
            [choice("enabled", "enabled"), choice("disabled", "disabled")],
            &filter.state,
        ),
        rows: found[pager.range()].iter().map(|position| row(&view, *position, app.now())).collect(),
        pager,
    };
    frame::show(&page)
}

fn row(view: &View, position: u32, now: Timestamp) -> Row {
    let evaluation = view.evaluation();
    let account = &view.loaded().snapshot.accounts[position as usize].account;
    let link = |index: u32| Link::identity(&evaluation.identities[index as usize].key);
    let whose = match &evaluation.correlation[position as usize] {
        Correlation::To { identity, .. } => Whose::Identity(link(*identity)),
        Correlation::Ambiguous { candidates, .. } => {
            Whose::Several(candidates.iter().map(|candidate| link(*candidate)).collect())
        }
        Correlation::Orphan => Whose::Nobody,
    };
    let (login, key) = (safe(&account.login), safe(&account.key));
    Row {
        key: if key == login { String::new() } else { key },
        login,
        whose,
        enabled: enabled_mark(account, view.as_of()),
        last_use: last_use(account, now),
        posture: account.posture.iter().map(|finding| finding.as_str().replace('_', " ")).collect(),
        grants: number(evaluation.graph.grants_of(evaluation.index_of(position)).count() as u64),
    }
}
