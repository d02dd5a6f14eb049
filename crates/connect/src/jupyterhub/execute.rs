//! Making one change: what is already so, and then the change.

use leasehold_model::plan::Verb;
use leasehold_model::request::{ActionRequest, CredentialTarget, EntitlementTarget, Outcome};
use reqwest::Method;
use serde_json::json;

use crate::connector::not_offered;
use crate::error::ConnectError;
use crate::jupyterhub::client::Client;
use crate::jupyterhub::enumerate::ROLE_IS_CONFIGURED;
use crate::jupyterhub::object::{ADMIN, Held, User};
use crate::jupyterhub::read_back::{Found, find, holds, keyed, token};

/// Makes one change.
pub(super) async fn execute(client: &Client, request: &ActionRequest) -> Result<Outcome, ConnectError> {
    match execute_now(client, request).await {
        // Nothing was sent: only connecting gives this error.
        Err(ConnectError::Unreachable { address, message, .. }) => {
            Ok(Outcome::Retry { after_ms: None, why: format!("cannot reach {address}: {message}") })
        }
        other => other,
    }
}

async fn execute_now(client: &Client, request: &ActionRequest) -> Result<Outcome, ConnectError> {
    let verb = request.verb;
    let is_offered = match verb {
        Verb::EnableAccount | Verb::DisableCredential | Verb::EnableCredential | Verb::HandOverCredential => {
            false
        }
        Verb::DisableAccount => client.settings.disable_by_deleting,
        _ => true,
    };
    if !is_offered {
        return Ok(not_offered(verb));
    }
    let account = keyed(&request.account);
    if verb.takes_away() && client.own().await?.key() == account.key.as_str() {
        return Ok(refused(format!("`{}` is what the connector itself logs in as", account.login)));
    }
    let found = find(client, &account.key).await?;
    if verb == Verb::CreateAccount {
        return match found {
            Some(_) => Ok(Outcome::AlreadySo),
            None => create_account(client, &account.login).await,
        };
    }
    let user = match found {
        Some(Found::User(user)) => user,
        Some(Found::Service(service)) => return service_refusal(client, request, service.name).await,
        // Who does not exist holds nothing.
        None if verb.takes_away() => return Ok(Outcome::AlreadySo),
        None => return Ok(refused(format!("there is no user `{}`", account.key))),
    };
    match verb {
        Verb::Grant | Verb::Revoke => match &request.entitlement {
            Some(entitlement) => change_grant(client, user, entitlement, verb == Verb::Grant).await,
            None => Ok(refused(format!("{verb} needs an entitlement"))),
        },
        Verb::RevokeCredential => match &request.credential {
            Some(credential) => revoke_credential(client, &user.name, credential).await,
            None => Ok(refused("revoke_credential needs a credential")),
        },
        Verb::EndSessions => end_sessions(client, &user).await,
        Verb::DisableAccount | Verb::DeleteAccount => delete_account(client, &user).await,
        Verb::EnableAccount
        | Verb::CreateAccount
        | Verb::DisableCredential
        | Verb::EnableCredential
        | Verb::HandOverCredential => Ok(not_offered(verb)),
    }
}

fn refused(why: impl Into<String>) -> Outcome {
    Outcome::Refused { why: why.into() }
}

/// What to answer where the hub took a change, or said why not.
fn made(stopped: Option<Outcome>, detail: &str) -> Outcome {
    stopped.unwrap_or_else(|| Outcome::Acknowledged { detail: detail.to_owned() })
}

/// What a service is and has stands in the hub's configuration, which the API does not write.
async fn service_refusal(
    client: &Client,
    request: &ActionRequest,
    name: String,
) -> Result<Outcome, ConnectError> {
    if request.verb == Verb::EndSessions {
        return Ok(refused(format!(
            "`{name}` is a service, and the hub tells of no session of one; what runs of it ends where it is run"
        )));
    }
    if let (Verb::Grant | Verb::Revoke, Some(entitlement)) = (request.verb, &request.entitlement)
        && let Ok(held) = Held::parse(&entitlement.name)
        && let Some(found) = find(client, &keyed(&request.account).key).await?
        && holds(client, &found, &held).await?.0 == (request.verb == Verb::Grant)
    {
        return Ok(Outcome::AlreadySo);
    }
    Ok(refused(format!(
        "`{name}` is a service of the hub's configuration, with its token and roles; change it there and start the hub anew"
    )))
}

/// Gives or takes an entitlement.
async fn change_grant(
    client: &Client,
    user: Box<User>,
    entitlement: &EntitlementTarget,
    give: bool,
) -> Result<Outcome, ConnectError> {
    let held = match Held::parse(&entitlement.name) {
        Ok(held) => held,
        Err(why) => return Ok(refused(why)),
    };
    let name = user.name.clone();
    if holds(client, &Found::User(user), &held).await?.0 == give {
        return Ok(Outcome::AlreadySo);
    }
    match held {
        Held::Group(group) => {
            let method = if give { Method::POST } else { Method::DELETE };
            let body = json!({ "users": [name] });
            let stopped = client.change(method, &["groups", group, "users"], Some(&body), "groups").await?;
            let detail = if give { "added to the group" } else { "taken out of the group" };
            Ok(made(stopped, detail))
        }
        Held::Role(ADMIN) => {
            let body = json!({ "admin": give });
            let path = ["users", &name];
            match client.change(Method::PATCH, &path, Some(&body), "admin:users").await? {
                // Here no scope is enough.
                Some(Outcome::Refused { why }) => Ok(refused(format!(
                    "{why}; only an administrator may do that: give Leasehold's service `\"admin\": True`, or do it in the hub"
                ))),
                stopped => {
                    Ok(made(stopped, if give { "an administrator" } else { "no administrator any more" }))
                }
            }
        }
        Held::Role(_) => Ok(refused(ROLE_IS_CONFIGURED)),
        Held::Share { .. } if give => Ok(refused("whoever has the server shares it")),
        Held::Share { owner, server } => {
            let path = ["users", &name, "shared", owner, server];
            let stopped = client.change(Method::DELETE, &path, None, "users:shares").await?;
            Ok(made(stopped, "no longer shared"))
        }
    }
}

/// Ends one token. Of an application that got several, the hub ends all.
async fn revoke_credential(
    client: &Client,
    user: &str,
    credential: &CredentialTarget,
) -> Result<Outcome, ConnectError> {
    let Some(token) = token(client, user, credential.key.as_str()).await? else {
        return Ok(Outcome::AlreadySo);
    };
    if token.kind() != credential.kind {
        return Ok(refused(format!(
            "{} is a credential of the kind {}",
            credential.key.as_str(),
            token.kind().as_str()
        )));
    }
    let path = ["users", user, "tokens", &token.id];
    let stopped = client.change(Method::DELETE, &path, None, "tokens").await?;
    Ok(made(stopped, "deleted"))
}

/// Stops every server of a user.
async fn end_sessions(client: &Client, user: &User) -> Result<Outcome, ConnectError> {
    if user.servers.is_empty() {
        return Ok(Outcome::AlreadySo);
    }
    let mut left = None;
    for server in user.servers.keys() {
        let named = ["users", user.name.as_str(), "servers", server];
        let path = if server.is_empty() { &["users", user.name.as_str(), "server"][..] } else { &named };
        // One that cannot be stopped must not keep the rest alive.
        match client.change(Method::DELETE, path, None, "delete:servers").await? {
            None | Some(Outcome::AlreadySo) => {}
            stopped => left = stopped,
        }
    }
    Ok(made(left, &format!("{} servers stopped", user.servers.len())))
}

/// Deletes a user with what runs in its name; the hub itself refuses one whose servers still stop.
async fn delete_account(client: &Client, user: &User) -> Result<Outcome, ConnectError> {
    match end_sessions(client, user).await? {
        Outcome::Acknowledged { .. } | Outcome::AlreadySo => {}
        stopped => return Ok(stopped),
    }
    let stopped = client.change(Method::DELETE, &["users", &user.name], None, "delete:users").await?;
    Ok(made(stopped, "deleted, with its tokens and grants"))
}

/// Makes a user.
async fn create_account(client: &Client, login: &str) -> Result<Outcome, ConnectError> {
    if login.is_empty() || login.contains('/') {
        return Ok(refused(format!(
            "`{login}` cannot be the name of a user: it needs a letter and has no slash"
        )));
    }
    // Whoever asked would not find it again under the name that it got.
    if login.to_lowercase() != login {
        return Ok(refused(format!(
            "the hub writes names in small letters: have the account named `{}`",
            login.to_lowercase()
        )));
    }
    let stopped = client.change(Method::POST, &["users", login], Some(&json!({})), "admin:users").await?;
    Ok(made(stopped, "created"))
}
