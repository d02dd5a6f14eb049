//! Users: who may sign in, and making another.

use askama::Template;
use axum::extract::{Query as Asked, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use leasehold_decide::authority::Role;
use leasehold_store::{User, UserState};
use serde::Deserialize;

use super::{ADMINISTER, SEE, Tab, may_administer, require_seen, tabs, user_path};
use crate::error::WebError;
use crate::fields::Fields;
use crate::form::Complaints;
use crate::frame::{self, Frame};
use crate::parts::mark::Tone;
use crate::parts::{Mark, Moment, Pager, Query};
use crate::person::Person;
use crate::route::Route;
use crate::state::App;
use crate::users;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/settings/users", SEE, || get(list)),
    Route::page(Method::POST, "/settings/users", ADMINISTER, || post(create)),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question {
    q: String,
    page: String,
}

#[derive(Template)]
#[template(path = "settings/users.html")]
struct UsersPage {
    frame: Frame,
    tabs: Vec<Tab>,
    text: String,
    rows: Vec<UserRow>,
    pager: Pager,
    may_administer: bool,
    /// Somebody who was made just now, and the link that is shown once.
    made: Option<(String, String)>,
    mail: String,
    name: String,
    roles: Vec<RoleBox>,
    wrong: Complaints,
}

struct UserRow {
    path: String,
    mail: String,
    name: String,
    roles: String,
    state: Mark,
    last: Option<Moment>,
}

/// A role that can be given, as a box to tick.
pub(super) struct RoleBox {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) ticked: bool,
}

/// Every role that can be given; those of `given` are ticked.
pub(super) fn role_boxes(given: &[String]) -> Vec<RoleBox> {
    let about = |role| match role {
        Role::Administrator => "everything but deciding on their own access",
        Role::Operator => "everything but guards, users and the policy",
        Role::Auditor => "sees everything, changes nothing",
        _ => "sees identities, systems, entitlements and drift",
    };
    let row = |role: Role| RoleBox {
        name: role.name(),
        about: about(role),
        ticked: given.iter().any(|name| name == role.name()),
    };
    Role::ASSIGNED.into_iter().map(row).collect()
}

/// Whether somebody may sign in, in a word.
pub(super) fn state_mark(user: &User) -> Mark {
    match user.state {
        UserState::Active => Mark::new("active", Tone::Good),
        UserState::Suspended => Mark::new("suspended", Tone::Bad),
    }
}

/// The roles of a user, given here or by the provider.
pub(super) fn roles_of(user: &User) -> String {
    let mut names = [user.roles.as_slice(), user.provider_roles.as_slice()].concat();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

async fn page(
    app: &App,
    person: &Person,
    frame: Frame,
    question: &Question,
    status: StatusCode,
    fill: impl FnOnce(&mut UsersPage),
) -> Result<Response, WebError> {
    require_seen(app, person)?;
    let now = app.now();
    let wanted = question.q.trim().to_lowercase();
    let holds = |user: &&User| {
        wanted.is_empty() || [&user.mail, &user.name].iter().any(|text| text.to_lowercase().contains(&wanted))
    };
    let users = app.store.users().await?;
    let found: Vec<&User> = users.iter().filter(holds).collect();
    let query = Query::new("/settings/users").with("q", question.q.trim());
    let pager = Pager::new(question.page.parse().unwrap_or(1), found.len(), &query);
    let row = |user: &&User| UserRow {
        path: user_path(&user.id),
        mail: user.mail.clone(),
        name: user.name.clone(),
        roles: roles_of(user),
        state: state_mark(user),
        last: user.last_sign_in_at.map(|at| Moment::relative(at, now)),
    };
    let mut page = UsersPage {
        frame: frame.titled("Users"),
        tabs: tabs("/settings/users"),
        text: question.q.trim().to_owned(),
        rows: found[pager.range()].iter().map(row).collect(),
        pager,
        may_administer: may_administer(app, person),
        made: None,
        mail: String::new(),
        name: String::new(),
        roles: role_boxes(&[]),
        wrong: Complaints::default(),
    };
    fill(&mut page);
    frame::show_with(status, &page)
}

async fn list(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Asked(question): Asked<Question>,
) -> Result<Response, WebError> {
    page(&app, &person, frame, &question, StatusCode::OK, |_| {}).await
}

async fn create(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    fields: Fields,
) -> Result<Response, WebError> {
    let roles: Vec<String> = fields.all("role").map(str::to_owned).collect();
    let (mail, name) = (fields.get("mail"), fields.get("name"));
    let everybody = Question::default();
    match users::create(&app, &person, mail, name, roles.clone()).await {
        Ok((user, link)) => {
            page(&app, &person, frame, &everybody, StatusCode::OK, |page| page.made = Some((user.mail, link)))
                .await
        }
        Err(error) => {
            let status = error.status();
            let wrong = Complaints::of_error(error, "mail")?;
            page(&app, &person, frame, &everybody, status, |page| {
                page.mail = mail.to_owned();
                page.name = name.to_owned();
                page.roles = role_boxes(&roles);
                page.wrong = wrong;
            })
            .await
        }
    }
}
