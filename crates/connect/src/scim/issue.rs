//! A password for a user, in the attribute that nobody can read (RFC 7643 section 4.1.1).

use leasehold_model::capability::Capability;
use leasehold_model::credential::CredentialKind;
use leasehold_model::request::{IssueRequest, Issued, Outcome};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::error::ConnectError;
use crate::issue::{self, IS_DISABLED, IS_OUR_OWN, new_password};
use crate::scim::CAPABILITIES;
use crate::scim::change::Change;
use crate::scim::client::Client;
use crate::scim::find;
use crate::scim::resource::{is_active, login, take, text};
use crate::scim::settings::Passwords;

const SWITCHED_OFF: &str = "`passwords = \"never\"` says that the server takes none";
const NOT_STATED: &str = "the server does not say in its ServiceProviderConfig (`changePassword`) that it takes passwords; \
     `passwords = \"set\"` sends them all the same";

/// Whether passwords are issued, as far as it is known by now: the server is not asked here.
pub(super) fn capability(client: &Client) -> Capability {
    match (client.settings.passwords, client.known_service()) {
        (Passwords::Never, _) => Capability::without(SWITCHED_OFF),
        (Passwords::AsStated, Some(service)) if !service.change_password => Capability::without(NOT_STATED),
        (Passwords::AsStated | Passwords::Set, _) => CAPABILITIES.issue_credential,
    }
}

/// Sets a new password in place of the one that is there.
pub(super) async fn issue(client: &Client, request: &IssueRequest) -> Result<Issued, ConnectError> {
    let (system, wanted) = (client.settings.http.system(), request.account.login.as_str());
    let refused = |why: String| issue::refused(system, wanted, why);
    // Asked first, so that what the server says of itself is known.
    if client.settings.passwords == Passwords::AsStated {
        client.service().await?;
    }
    let capability = capability(client);
    if !capability.supported {
        let operation = format!("issuing a credential for {wanted}: {}", capability.note);
        return Err(ConnectError::NotOffered { operation });
    }
    let absent = format!("there is no account `{wanted}`");
    let Some(user) = find::account(client, &request.account).await?.map(|found| found.body) else {
        return Err(refused(absent));
    };
    let id = text(&user, "id").ok_or_else(|| refused("the server told no id of it".to_owned()))?;
    if client.own_account().await? == Some(id.as_str()) {
        return Err(refused(IS_OUR_OWN.to_owned()));
    }
    if !is_active(&user) {
        return Err(refused(IS_DISABLED.to_owned()));
    }
    let password = new_password(system)?;
    let outcome = set(client, &id, &password, absent).await.map_err(|error| without(error, &password))?;
    issue::made(system, wanted, outcome).map_err(|error| without(error, &password))?;
    Ok(Issued {
        credential: None,
        kind: CredentialKind::Password,
        secret: password,
        instructions: format!(
            "The password of `{}` at {}. It takes the place of an earlier one. Change it there once you are in.",
            login(&user).unwrap_or_else(|| wanted.to_owned()),
            client.settings.http.address()
        ),
    })
}

async fn set(
    client: &Client,
    user_id: &str,
    password: &SecretString,
    absent: String,
) -> Result<Outcome, ConnectError> {
    let rewrite = |user: &mut Value| {
        take(user, "password");
        user["password"] = password.expose_secret().into();
        Ok(())
    };
    let change = Change {
        resource: "Users",
        id: user_id,
        is_so: &|_| None,
        forms: vec![
            json!({"op": "replace", "path": "password", "value": password.expose_secret()}),
            json!({"op": "replace", "value": {"password": password.expose_secret()}}),
        ],
        rewrite: &rewrite,
        detail: "password set",
        absent: Outcome::Refused { why: absent },
    };
    change.make(client).await
}

/// The error without the password: a server may repeat what it did not like.
fn without(error: ConnectError, password: &SecretString) -> ConnectError {
    let cleared = |text: String| text.replace(password.expose_secret(), "[secret]");
    match error {
        ConnectError::Target { system, operation, message } => {
            ConnectError::Target { system, operation, message: cleared(message) }
        }
        ConnectError::Refused { system, operation, message } => {
            ConnectError::Refused { system, operation, message: cleared(message) }
        }
        other => other,
    }
}
