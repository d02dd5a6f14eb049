//! One user: what they are called, what they may do, how they sign in, and where they are signed in now.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use leasehold_store::{PasskeyRow, User, UserState};

use super::sessions::{SessionRow, rows};
use super::users::{RoleBox, role_boxes, state_mark};
use super::{ADMINISTER, SEE, Tab, may_administer, require_seen, tabs, user_path};
use crate::error::WebError;
use crate::fields::Fields;
use crate::flash::{self, FlashKind};
use crate::form::Complaints;
use crate::frame::{self, Frame};
use crate::parts::{Mark, Moment};
use crate::person::Person;
use crate::route::Route;
use crate::sign_in::{one_time_code, session};
use crate::state::App;
use crate::users::{self, Change};

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/settings/users/{id}", SEE, || get(show)),
    Route::page(Method::POST, "/settings/users/{id}", ADMINISTER, || post(change)),
    Route::page(Method::POST, "/settings/users/{id}/invitation", ADMINISTER, || post(invite)),
    Route::page(Method::POST, "/settings/users/{id}/factors/remove", ADMINISTER, || post(forget)),
    Route::page(Method::POST, "/settings/users/{id}/sessions/end", ADMINISTER, || post(end_sessions)),
];

#[derive(Template)]
#[template(path = "settings/user.html")]
struct UserPage {
    frame: Frame,
    tabs: Vec<Tab>,
    path: String,
    is_self: bool,
    mail: String,
    state: Mark,
    provider_roles: String,
    created: Moment,
    last: Option<Moment>,
    has_password: bool,
    has_code: bool,
    passkeys: Vec<PasskeyRow>,
    has_provider: bool,
    sessions: Vec<SessionRow>,
    may_administer: bool,
    /// A link that was made just now, and is shown once.
    link: Option<String>,
    /// The form, as it was or as it was typed.
    version: i64,
    name: String,
    roles: Vec<RoleBox>,
    suspended: bool,
    wrong: Complaints,
}

async fn page(
    app: &App,
    person: &Person,
    frame: Frame,
    user: User,
    status: StatusCode,
    fill: impl FnOnce(&mut UserPage),
) -> Result<Response, WebError> {
    require_seen(app, person)?;
    let now = app.now();
    let sessions = app.store.sessions(Some(&user.id), now - session::IDLE, now).await?;
    let mut page = UserPage {
        frame: frame.titled(user.mail.clone()),
        tabs: tabs("/settings/users"),
        path: user_path(&user.id),
        is_self: person.user() == user.id,
        state: state_mark(&user),
        provider_roles: user.provider_roles.join(", "),
        created: Moment::relative(user.created_at, now),
        last: user.last_sign_in_at.map(|at| Moment::relative(at, now)),
        has_password: user.password_hash.is_some(),
        has_code: one_time_code::is_set_up(app, &user.id).await?,
        passkeys: app.store.passkeys_of(&user.id).await?,
        has_provider: app.store.has_provider(&user.id).await?,
        sessions: rows(app, person, sessions).await?,
        may_administer: may_administer(app, person),
        link: None,
        version: user.version,
        roles: role_boxes(&user.roles),
        suspended: user.state == UserState::Suspended,
        name: user.name,
        mail: user.mail,
        wrong: Complaints::default(),
    };
    fill(&mut page);
    frame::show_with(status, &page)
}

async fn show(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    require_seen(&app, &person)?;
    let user = users::found(&app, &id).await?;
    page(&app, &person, frame, user, StatusCode::OK, |_| {}).await
}

async fn change(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, WebError> {
    users::administer(&app, &person)?;
    let mut user = users::found(&app, &id).await?;
    // Whoever was looking at an older state of the user is told, and does not undo what somebody else did.
    user.version = fields.get("version").parse().unwrap_or(user.version);
    let roles: Vec<String> = fields.all("role").map(str::to_owned).collect();
    let (name, state) = (fields.get("name"), fields.get("state"));
    let wanted = Change { name: Some(name), roles: Some(roles.clone()), state: Some(state) };
    let error = match users::change(&app, &person, &user, wanted).await {
        Ok(changed) => {
            let said = if changed.state == UserState::Suspended {
                format!("{} is suspended, and signed out everywhere.", changed.mail)
            } else if changed.roles == user.roles {
                format!("{} is changed.", changed.mail)
            } else {
                format!("{} is changed, and signs in again to use the new roles.", changed.mail)
            };
            return Ok(flash::redirect_with(&app, &user_path(&id), FlashKind::Done, &said));
        }
        Err(error) => error,
    };
    let status = error.status();
    let wrong = match error {
        WebError::Precondition => Complaints::one(
            "state",
            "somebody changed this user in the meantime: look at the facts above, and save again where this still holds",
        ),
        error => Complaints::of_error(error, "state")?,
    };
    let now = users::found(&app, &id).await?;
    page(&app, &person, frame, now, status, |page| {
        page.name = name.to_owned();
        page.roles = role_boxes(&roles);
        page.suspended = state == "suspended";
        page.wrong = wrong;
    })
    .await
}

async fn invite(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    users::administer(&app, &person)?;
    let user = users::found(&app, &id).await?;
    let link = users::invite(&app, &person, &user).await?;
    page(&app, &person, frame, user, StatusCode::OK, |page| page.link = Some(link)).await
}

async fn forget(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    users::administer(&app, &person)?;
    let user = users::found(&app, &id).await?;
    let (kind, said) = if users::remove_factors(&app, &person, &user).await? {
        (FlashKind::Done, "No second factor is asked for any more, and every session of theirs has ended.")
    } else {
        (FlashKind::Warning, "There was no second factor. Every session of theirs has ended.")
    };
    Ok(flash::redirect_with(&app, &user_path(&id), kind, said))
}

async fn end_sessions(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, WebError> {
    super::sessions::end(&app, &person, &id, fields.get("session"), &user_path(&id)).await
}
