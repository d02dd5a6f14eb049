//! API tokens of everybody: what programs may do, until when, and taking that away.

use askama::Template;
use axum::extract::{Query as Asked, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use leasehold_decide::authority::{Action, Resource};
use leasehold_store::ApiToken;
use serde::Deserialize;

use super::{ADMINISTER, SEE, Tab, mails, may_administer, require_seen, tabs, user_path};
use crate::error::WebError;
use crate::fields::Fields;
use crate::flash::{self, FlashKind};
use crate::frame::{self, Frame};
use crate::parts::mark::Tone;
use crate::parts::{Mark, Moment, Pager, Query};
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/settings/tokens", SEE, || get(list)),
    Route::page(Method::POST, "/settings/tokens/revoke", ADMINISTER, || post(revoke)),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question {
    page: String,
}

#[derive(Template)]
#[template(path = "settings/tokens.html")]
struct TokensPage {
    frame: Frame,
    tabs: Vec<Tab>,
    rows: Vec<TokenRow>,
    pager: Pager,
    may_administer: bool,
}

struct TokenRow {
    id: String,
    name: String,
    path: String,
    mail: String,
    scopes: String,
    made: Moment,
    ends: Moment,
    used: Option<Moment>,
    state: Mark,
    in_force: bool,
}

async fn list(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Asked(question): Asked<Question>,
) -> Result<Response, WebError> {
    require_seen(&app, &person)?;
    let now = app.now();
    let mails = mails(&app).await?;
    let tokens = app.store.tokens(None).await?;
    let pager = Pager::new(question.page.parse().unwrap_or(1), tokens.len(), &Query::new("/settings/tokens"));
    let row = |token: &ApiToken| {
        let state = if token.revoked_at.is_some() {
            Mark::new("revoked", Tone::Quiet)
        } else if token.expires_at <= now {
            Mark::new("expired", Tone::Quiet)
        } else {
            Mark::new("in force", Tone::Good)
        };
        TokenRow {
            id: token.id.clone(),
            name: token.name.clone(),
            path: user_path(&token.user),
            mail: mails.get(&token.user).cloned().unwrap_or_default(),
            scopes: token.scopes.join(", "),
            made: Moment::relative(token.created_at, now),
            ends: Moment::relative(token.expires_at, now),
            used: token.last_used_at.map(|at| Moment::relative(at, now)),
            in_force: state.tone == Tone::Good,
            state,
        }
    };
    let page = TokensPage {
        frame: frame.titled("API tokens"),
        tabs: tabs("/settings/tokens"),
        rows: tokens[pager.range()].iter().map(row).collect(),
        pager,
        may_administer: may_administer(&app, &person),
    };
    frame::show(&page)
}

async fn revoke(State(app): State<App>, person: Person, fields: Fields) -> Result<Response, WebError> {
    person.require(&app, Action::AdministerUsers, &Resource::Installation)?;
    let (kind, said) = if app.store.revoke_token(fields.get("id"), None, person.actor(), app.now()).await? {
        (FlashKind::Done, "The token is revoked.")
    } else {
        (FlashKind::Warning, "There is no such token in force: nothing was done.")
    };
    Ok(flash::redirect_with(&app, "/settings/tokens", kind, said))
}
