//! A one-time link by which an identity gets a new credential of one of its accounts: whom it can be made for, and the page
//! that shows it, once.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::SignedDuration;
use leasehold_decide::authority::Action;
use leasehold_decide::engine::IdentityIndex;
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;
use leasehold_reconcile::workflow::credential_link::{LASTS_DEFAULT, Wanted};
use leasehold_store::CredentialLink;
use serde::Deserialize;

use super::seen;
use crate::api::credential_links::make;
use crate::error::WebError;
use crate::flash::{FlashKind, redirect_with};
use crate::frame::{self, Frame};
use crate::parts::Moment;
use crate::parts::link::identity_path;
use crate::person::Person;
use crate::present::Present;
use crate::state::App;

/// An account for which a link can be made.
pub(super) struct AccountChoice {
    /// The system, a space, and the account's key.
    pub value: String,
    pub label: String,
}

#[derive(Template)]
#[template(path = "identity/credential_link.html")]
struct MadePage {
    frame: Frame,
    path: String,
    key: String,
    system: String,
    login: String,
    url: String,
    expires: Moment,
}

/// The accounts of an identity for which this person may make links.
pub(super) fn choices(
    app: &App,
    person: &Person,
    view: &View,
    index: IdentityIndex,
    key: &IdentityKey,
) -> Vec<AccountChoice> {
    let evaluation = view.evaluation();
    let is_own = person.identity().is_some_and(|own| own.folded() == key.folded());
    let is_here = evaluation.identities[index.index()].may_hold_access(view.as_of());
    if is_own || !is_here || !person.may_somewhere(app, Action::IssueCredential) {
        return Vec::new();
    }
    let makes = |system: &SystemName| {
        let face = app.driver.systems().into_iter().find(|face| face.name == *system);
        face.is_some_and(|face| face.capabilities.issue_credential.supported)
            && person.may(app, Action::IssueCredential, &app.resource_of_system(system))
    };
    let accounts = evaluation.graph.accounts_of(index).filter_map(|account| {
        let observed = evaluation.account(account);
        let system = evaluation.inputs.snapshot.system(observed.system);
        (observed.account.takes_credentials() && makes(system)).then(|| AccountChoice {
            value: format!("{system} {}", observed.account.key),
            label: format!("{} in {system}", safe(&observed.account.login)),
        })
    });
    let mut choices: Vec<AccountChoice> = accounts.collect();
    choices.sort_by(|one, other| one.label.cmp(&other.label));
    choices
}

/// What was chosen.
#[derive(Deserialize)]
pub(crate) struct Chosen {
    /// The system, a space, and the account's key.
    account: String,
}

impl Chosen {
    /// A link for the account, as long as links usually last.
    ///
    /// # Errors
    /// [`WebError::Malformed`] where nothing was chosen.
    pub fn wanted(&self) -> Result<Wanted, WebError> {
        let parts = self.account.split_once(' ');
        let named = parts.and_then(|(system, account)| Some((SystemName::new(system).ok()?, account)));
        let (system, account) =
            named.ok_or_else(|| WebError::Malformed("no account was chosen".to_owned()))?;
        Ok(Wanted {
            system,
            account: account.to_owned(),
            replaces: None,
            overlap: SignedDuration::ZERO,
            lasts: LASTS_DEFAULT,
        })
    }
}

/// Makes a link, and shows it.
pub(super) async fn create(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Present(view): Present,
    Path(key): Path<String>,
    Form(chosen): Form<Chosen>,
) -> Result<Response, WebError> {
    let key = seen(&app, &person, &view, &key)?;
    let path = identity_path(&key);
    let wanted = chosen.wanted()?;
    shown(&app, frame, make(&app, &person, &wanted).await, &path)
}

/// Shows a link that was made, once; or says on the page at `path` why there is none.
pub(crate) fn shown(
    app: &App,
    frame: Frame,
    made: Result<(CredentialLink, String), WebError>,
    path: &str,
) -> Result<Response, WebError> {
    match made {
        Ok((link, url)) => frame::show(&MadePage {
            frame: frame.titled("A one-time link"),
            path: identity_path(&link.of.identity),
            key: safe(&link.of.identity).to_string(),
            system: link.of.system.to_string(),
            login: safe(&link.of.account.login).to_string(),
            url,
            expires: Moment::relative(link.of.expires_at, app.now()),
        }),
        Err(WebError::Refused(why)) => {
            Ok(redirect_with(app, path, FlashKind::Warning, &format!("{why}; nothing was made")))
        }
        Err(WebError::Invalid(all)) => {
            let why = all.into_iter().map(|error| error.message).collect::<Vec<_>>().join("; ");
            Ok(redirect_with(app, path, FlashKind::Warning, &format!("{why}; nothing was made")))
        }
        Err(error) => Err(error),
    }
}
