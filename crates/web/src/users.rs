//! What administrators do to users, from a page or by the API: the same checks, in one place.

use leasehold_decide::authority::{Action, Resource, Role};
use leasehold_store::{LinkKind, NewUser, User, UserChange, UserState};

use crate::error::WebError;
use crate::form::{Complaints, mail_address, short_text};
use crate::person::Person;
use crate::sign_in::link::user_link;
use crate::state::App;

/// Refuses who may not administer users, or did not sign in within the last ten minutes.
///
/// # Errors
/// [`WebError::Forbidden`], [`WebError::StepUp`].
pub(crate) fn administer(app: &App, person: &Person) -> Result<(), WebError> {
    person.require(app, Action::AdministerUsers, &Resource::Installation)?;
    person.require_confirmed(app.now())
}

/// The user of this id.
///
/// # Errors
/// [`WebError::NotFound`].
pub(crate) async fn found(app: &App, id: &str) -> Result<User, WebError> {
    app.store.user(id).await?.ok_or_else(|| WebError::NotFound(format!("the user {id}")))
}

/// Makes a user, and the link by which they set their password.
///
/// # Errors
/// [`WebError::Invalid`] with what is wrong with `mail`, `name` or `roles`; [`WebError::Conflict`] where the mail address
/// is somebody's already.
pub(crate) async fn create(
    app: &App,
    person: &Person,
    mail: &str,
    name: &str,
    mut roles: Vec<String>,
) -> Result<(User, String), WebError> {
    administer(app, person)?;
    let mut complaints = Complaints::default();
    let name = short_text(name, "name", &mut complaints).to_owned();
    let mail = mail_address(mail, "mail", &mut complaints).to_owned();
    check_roles(&roles, &mut complaints);
    if !complaints.is_empty() {
        return Err(WebError::Invalid(complaints.into_fields()));
    }
    roles.sort_unstable();
    roles.dedup();
    let new = NewUser { mail, name, roles, password_hash: None, password_alone: false };
    let user = app.store.create_user(&new, person.actor(), app.now()).await?;
    let link = invitation(app, person, &user).await?;
    Ok((user, link))
}

/// What is to change about a user; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change<'text> {
    /// What they are called.
    pub(crate) name: Option<&'text str>,
    /// The roles that they are given here.
    pub(crate) roles: Option<Vec<String>>,
    /// `active` or `suspended`.
    pub(crate) state: Option<&'text str>,
}

/// Changes a user who was read just now. Whoever is suspended, or is given other roles, is signed out everywhere.
///
/// # Errors
/// [`WebError::Invalid`] with what is wrong with a field; [`WebError::Precondition`] where the user has changed since;
/// [`WebError::Conflict`] where nobody would be left who administers the installation.
pub(crate) async fn change(
    app: &App,
    person: &Person,
    user: &User,
    change: Change<'_>,
) -> Result<User, WebError> {
    administer(app, person)?;
    let mut complaints = Complaints::default();
    let name = change.name.map(|name| short_text(name, "name", &mut complaints).to_owned());
    check_roles(change.roles.as_deref().unwrap_or_default(), &mut complaints);
    let state = match change.state {
        None => None,
        Some("active") => Some(UserState::Active),
        Some("suspended") => Some(UserState::Suspended),
        Some(_) => {
            complaints.add("state", "write active or suspended");
            None
        }
    };
    if !complaints.is_empty() {
        return Err(WebError::Invalid(complaints.into_fields()));
    }
    let change = UserChange { name, roles: change.roles, state };
    Ok(app.store.change_user(&user.id, user.version, &change, person.actor(), app.now()).await?)
}

/// Makes a new link by which a user sets their password; the one before no longer works.
///
/// # Errors
/// Where the person may not, or the store fails.
pub(crate) async fn invite(app: &App, person: &Person, user: &User) -> Result<String, WebError> {
    administer(app, person)?;
    invitation(app, person, user).await
}

/// Takes a user's passkeys and one-time codes away, and signs them out everywhere; gives whether there were any.
///
/// # Errors
/// Where the person may not, or the store fails.
pub(crate) async fn remove_factors(app: &App, person: &Person, user: &User) -> Result<bool, WebError> {
    administer(app, person)?;
    Ok(app.store.remove_factors(&user.id, person.actor(), app.now()).await?)
}

async fn invitation(app: &App, person: &Person, user: &User) -> Result<String, WebError> {
    user_link(&app.store, &app.settings.url, LinkKind::Invitation, user, person.actor(), app.now()).await
}

fn check_roles(roles: &[String], complaints: &mut Complaints) {
    for role in roles {
        if Role::assigned(role).is_none() {
            let known: Vec<&str> = Role::ASSIGNED.iter().map(|role| role.name()).collect();
            complaints
                .add("roles", format!("`{role}` is no role to be given: there are {}", known.join(", ")));
        }
    }
}
