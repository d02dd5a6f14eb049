//! Which user somebody is whom the provider has signed in. Issuer and subject say so; a mail address never does.

use leasehold_store::{NewUser, ProviderSubject, StoreError, User, UserState};
use openidconnect::LocalizedClaim;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::error::WebError;
use crate::sign_in::openid::OpenIdSettings;
use crate::sign_in::openid::flow::Told;
use crate::state::App;

/// More groups than this nobody has; the rest is not read.
const GROUPS_MAX: usize = 10_000;
/// A name is not longer than this.
const NAME_CHARS_MAX: usize = 100;

/// Who somebody is at the provider.
pub(crate) fn subject(settings: &OpenIdSettings, told: &Told) -> ProviderSubject {
    ProviderSubject { issuer: settings.issuer.clone(), subject: told.id.subject().as_str().to_owned() }
}

/// The user of somebody whom the provider has signed in, made where there is none yet, with today's roles.
///
/// # Errors
/// [`WebError::Refused`] where they may not come in.
pub(crate) async fn user(app: &App, settings: &OpenIdSettings, told: &Told) -> Result<User, WebError> {
    let subject = subject(settings, told);
    let roles = settings.roles_of(&groups(settings, told));
    let user = match app.store.provider_user(&subject).await? {
        Some(user) => user,
        None => made(app, settings, told, &subject).await?,
    };
    if user.state != UserState::Active {
        return Err(WebError::Refused("an administrator has suspended this user".to_owned()));
    }
    app.store.set_provider_roles(&user.id, &roles, &settings.issuer, app.now()).await?;
    app.store.user(&user.id).await?.ok_or(WebError::SignedOut)
}

async fn made(
    app: &App,
    settings: &OpenIdSettings,
    told: &Told,
    subject: &ProviderSubject,
) -> Result<User, WebError> {
    if !app.store.has_users().await? {
        return Err(WebError::Refused(
            "nobody administers this server yet: open the link that it printed when it started".to_owned(),
        ));
    }
    let mail = verified_mail(told).unwrap_or_else(|| no_mail(subject));
    let new = NewUser {
        name: name(told).unwrap_or_else(|| mail.clone()),
        mail,
        roles: Vec::new(),
        password_hash: None,
        password_alone: false,
    };
    match app.store.create_provider_user(subject, &new, app.now()).await {
        // Two requests of the same person at once.
        Err(StoreError::UserExists { .. }) => match app.store.provider_user(subject).await? {
            Some(user) => Ok(user),
            None => Err(WebError::Refused(format!(
                "there is a user with your mail address who is not connected with {0}: sign in as that user in the way \
                 you did before, and connect {0} in Your account",
                settings.name
            ))),
        },
        other => Ok(other?),
    }
}

/// The mail address, where the provider has seen that it is theirs. Whose access a user sees follows from it.
fn verified_mail(told: &Told) -> Option<String> {
    let of_token = told.id.email().filter(|_| told.id.email_verified() == Some(true));
    let of_user = || {
        let user = told.user.as_ref()?;
        user.email().filter(|_| user.email_verified() == Some(true))
    };
    let mail = of_token.or_else(of_user)?.as_str().trim();
    let is_one =
        mail.len() <= 254 && mail.contains('@') && !mail.chars().any(|c| c.is_control() || c.is_whitespace());
    is_one.then(|| mail.to_owned())
}

/// What stands in place of a mail address: nobody's, in a domain that cannot exist (RFC 2606), and always the same.
fn no_mail(subject: &ProviderSubject) -> String {
    let digest = Sha256::digest(format!("{}\0{}", subject.issuer, subject.subject).as_bytes());
    format!("{}@openid.invalid", hex::encode(&digest[..12]))
}

fn name(told: &Told) -> Option<String> {
    let plain = |name: Option<&LocalizedClaim<openidconnect::EndUserName>>| {
        name.and_then(|name| name.get(None)).map(|name| name.as_str().to_owned())
    };
    let name = plain(told.id.name()).or_else(|| plain(told.user.as_ref()?.name()))?;
    let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
    (!name.trim().is_empty()).then(|| name.trim().to_owned())
}

/// The groups that the provider names; none where it names none.
fn groups(settings: &OpenIdSettings, told: &Told) -> Vec<String> {
    let of_user = || told.user.as_ref()?.additional_claims().all.get(&settings.groups_claim);
    match told.id.additional_claims().all.get(&settings.groups_claim).or_else(of_user) {
        Some(Value::Array(values)) => {
            values.iter().take(GROUPS_MAX).filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    }
}
