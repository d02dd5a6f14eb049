//! A password of a user of `userpass`, or one more secret-id of a role of `approle`: whichever the account logs in with.

use leasehold_model::credential::CredentialKind;
use leasehold_model::request::{CredentialTarget, IssueRequest, Issued};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use crate::error::ConnectError;
use crate::issue::{self, IS_DISABLED, IS_OUR_OWN, new_password};
use crate::openbao::client::Client;
use crate::openbao::object::{LogIn, LogInKind, log_ins_of};
use crate::openbao::read_back::{Found, find, keyed};

#[derive(Deserialize)]
struct NewSecretId {
    secret_id: String,
    secret_id_accessor: String,
}

/// Makes a credential of the account's log-in.
pub(super) async fn issue(client: &Client, request: &IssueRequest) -> Result<Issued, ConnectError> {
    let refused = |why: String| issue::refused(client.settings.http.system(), &request.account.login, why);
    let account = keyed(client, &request.account).await?.map_err(refused)?;
    let log_ins = match find(client, &account).await? {
        None => return Err(refused("there is no such account".to_owned())),
        Some(Found::NoEntity) => {
            return Err(refused("these are the tokens of no entity, each somebody else's".to_owned()));
        }
        Some(Found::LogIn(log_in)) => vec![log_in],
        Some(Found::Entity(entity)) => {
            if client.own_token().await?.entity_id == entity.id {
                return Err(refused(IS_OUR_OWN.to_owned()));
            }
            if entity.disabled {
                return Err(refused(IS_DISABLED.to_owned()));
            }
            log_ins_of(client, &entity).await?
        }
    };
    let of_kind = |kind| log_ins.iter().filter(|log_in| log_in.kind == kind).collect::<Vec<_>>();
    match (of_kind(LogInKind::UserPass).as_slice(), of_kind(LogInKind::AppRole).as_slice()) {
        ([user], _) => password(client, request, user).await,
        ([], [role]) => secret_id(client, request, role).await,
        ([], []) => Err(refused(
            "it has neither a user of userpass nor a role of approle; make one, with an alias for the entity"
                .to_owned(),
        )),
        _ => {
            let keys: Vec<String> = log_ins.iter().map(LogIn::key).collect();
            Err(refused(format!(
                "it logs in by several, and which is meant is not known: {}",
                keys.join(", ")
            )))
        }
    }
}

/// Sets a new password in place of the one that is there.
async fn password(client: &Client, request: &IssueRequest, user: &LogIn) -> Result<Issued, ConnectError> {
    let http = &client.settings.http;
    let password = new_password(http.system())?;
    let body = json!({"password": password.expose_secret()});
    if let Some(outcome) = client.change(Method::POST, &user.path(&["password"]), Some(body)).await? {
        issue::made(http.system(), &request.account.login, outcome)?;
        return Err(http.target_error(&user.key(), "the user went away meanwhile"));
    }
    Ok(Issued {
        credential: Some(CredentialTarget { key: user.key().into(), kind: CredentialKind::Password }),
        kind: CredentialKind::Password,
        secret: password,
        instructions: format!(
            "The password of `{}` at {}, for `bao login -method=userpass -path={}`. It takes the place of an earlier one.",
            user.name,
            http.address(),
            user.mount.trim_start_matches("auth/")
        ),
    })
}

/// Makes one more secret-id.
async fn secret_id(client: &Client, request: &IssueRequest, role: &LogIn) -> Result<Issued, ConnectError> {
    let http = &client.settings.http;
    let role_id = role.alias_name(client).await?.unwrap_or_default();
    let made = match client.create(Method::POST, &role.path(&["secret-id"]), Some(json!({}))).await? {
        Ok(data) => data,
        Err(outcome) => {
            issue::made(http.system(), &request.account.login, outcome)?;
            return Err(http.target_error(&role.key(), "the role went away meanwhile"));
        }
    };
    // The library's message could repeat a part of the answer.
    let made: NewSecretId = serde_json::from_value(made).map_err(|_| {
        http.target_error(&role.key(), "the answer holds no secret-id; look whether there is one more now")
    })?;
    Ok(Issued {
        credential: Some(CredentialTarget {
            key: format!("{}/secret-id/{}", role.key(), made.secret_id_accessor).into(),
            kind: CredentialKind::ApiKey,
        }),
        kind: CredentialKind::ApiKey,
        secret: SecretString::from(made.secret_id),
        instructions: format!(
            "A secret-id of the role `{}` at {}, whose role_id is {role_id}. Earlier ones go on until they are revoked.",
            role.name,
            http.address()
        ),
    })
}
