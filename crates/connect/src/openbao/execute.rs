//! Making one change: what is already so, and then the change.

use leasehold_model::credential::CredentialKind;
use leasehold_model::plan::Verb;
use leasehold_model::request::{ActionRequest, CredentialTarget, EntitlementTarget, Outcome};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::connector::not_offered;
use crate::error::ConnectError;
use crate::openbao::client::{Client, OwnToken};
use crate::openbao::enumerate::MEMBERS_ARE_ELSEWHERE;
use crate::openbao::lease;
use crate::openbao::object::{Entity, Group, LogIn, NO_ENTITY, log_ins_of, token, tokens_of};
use crate::openbao::read_back::{Found, Held, find, has_credential, holds, keyed, secret_id};

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
    let stops = matches!(request.verb, Verb::DisableCredential | Verb::EnableCredential);
    if stops || request.verb == Verb::HandOverCredential {
        return Ok(not_offered(request.verb));
    }
    let account = match keyed(client, &request.account).await? {
        Ok(account) => account,
        Err(why) => return Ok(refused(why)),
    };
    let found = find(client, &account).await?;
    if request.verb == Verb::CreateAccount {
        return match found {
            Some(_) => Ok(Outcome::AlreadySo),
            None => create_account(client, request).await,
        };
    }
    let Some(found) = found else {
        return Ok(match request.verb.takes_away() {
            // Who does not exist holds nothing.
            true => Outcome::AlreadySo,
            false => refused(format!("there is no account `{}` with the key {}", account.login, account.key)),
        });
    };
    let own = client.own_token().await?;
    if request.verb.takes_away() && !own.entity_id.is_empty() && own.entity_id == account.key.as_str() {
        return Ok(refused(format!(
            "`{}` is the entity that the connector itself logs in as",
            account.login
        )));
    }
    match request.verb {
        Verb::Grant | Verb::Revoke => {
            let Some(entitlement) = &request.entitlement else {
                return Ok(refused(format!("{} needs an entitlement", request.verb)));
            };
            change_grant(client, &found, entitlement, request.verb == Verb::Grant).await
        }
        Verb::DisableAccount | Verb::EnableAccount => match &found {
            Found::Entity(entity) => set_enabled(client, entity, request.verb == Verb::EnableAccount).await,
            Found::LogIn(log_in) => Ok(refused(format!(
                "nobody has logged in as {} yet, and without an entity there is no switch; revoke its credentials, or \
                 delete it",
                log_in.key()
            ))),
            Found::NoEntity => {
                Ok(refused("these tokens have no entity with a switch; revoke each by itself"))
            }
        },
        Verb::RevokeCredential => match &request.credential {
            Some(credential) => revoke_credential(client, account.key.as_str(), credential, &own).await,
            None => Ok(refused("revoke_credential needs a credential")),
        },
        Verb::EndSessions => {
            let entity = match &found {
                Found::Entity(entity) => Some(entity),
                Found::LogIn(_) | Found::NoEntity => None,
            };
            end_sessions(client, account.key.as_str(), entity, &own).await
        }
        Verb::DeleteAccount => delete_account(client, &found, &own).await,
        Verb::CreateAccount | Verb::DisableCredential | Verb::EnableCredential | Verb::HandOverCredential => {
            Ok(not_offered(request.verb))
        }
    }
}

fn refused(why: impl Into<String>) -> Outcome {
    Outcome::Refused { why: why.into() }
}

/// What to answer where the server took a change, or said why not.
fn made(stopped: Option<Outcome>, detail: &str) -> Outcome {
    stopped.unwrap_or_else(|| Outcome::Acknowledged { detail: detail.to_owned() })
}

/// Gives or takes an entitlement.
async fn change_grant(
    client: &Client,
    found: &Found,
    entitlement: &EntitlementTarget,
    give: bool,
) -> Result<Outcome, ConnectError> {
    let held = match Held::parse(&entitlement.name) {
        Ok(held) => held,
        Err(why) => return Ok(refused(why)),
    };
    if holds(client, found, &held).await?.0 == give {
        return Ok(Outcome::AlreadySo);
    }
    match (&held, found) {
        (_, Found::NoEntity) => Ok(refused("a token's policies are fixed when it is made")),
        (Held::Group(name), Found::Entity(entity)) => change_member(client, name, entity, give).await,
        (Held::Group(_), Found::LogIn(_)) => Ok(refused("only entities are in groups, and it has none yet")),
        (Held::Policy(name), _) => change_policy(client, found, name, give).await,
    }
}

async fn change_member(
    client: &Client,
    name: &str,
    entity: &Entity,
    give: bool,
) -> Result<Outcome, ConnectError> {
    let found: Option<Group> = client.find(&["identity", "group", "name", name]).await?;
    let Some(mut group) = found else { return Ok(refused(format!("there is no group/{name}"))) };
    if group.kind == "external" {
        return Ok(refused(MEMBERS_ARE_ELSEWHERE));
    }
    group.member_entity_ids.retain(|id| *id != entity.id);
    if give {
        group.member_entity_ids.push(entity.id.clone());
    }
    let body = json!({"member_entity_ids": group.member_entity_ids});
    let path = ["identity", "group", "id", group.id.as_str()];
    let stopped = client.change(Method::POST, &path, Some(body)).await?;
    Ok(made(stopped, if give { "added to the group" } else { "taken out of the group" }))
}

/// An entity has policies of its own and those of each of its log-ins: all of them have to go.
async fn change_policy(
    client: &Client,
    found: &Found,
    name: &str,
    give: bool,
) -> Result<Outcome, ConnectError> {
    if give && !client.list(&["sys", "policies", "acl"]).await?.iter().any(|policy| policy == name) {
        return Ok(refused(format!("there is no policy/{name}")));
    }
    if name == "root" {
        return Ok(refused("the policy root is of root tokens alone, which are never touched"));
    }
    let log_ins = match found {
        Found::Entity(entity) => {
            let changed = with(&entity.policies, name, give);
            if changed != entity.policies {
                let path = ["identity", "entity", "id", entity.id.as_str()];
                let body = json!({"policies": changed});
                if let Some(stopped) = client.change(Method::POST, &path, Some(body)).await? {
                    return Ok(stopped);
                }
            }
            if give { Vec::new() } else { log_ins_of(client, entity).await? }
        }
        Found::LogIn(log_in) => vec![log_in.clone()],
        Found::NoEntity => Vec::new(),
    };
    for log_in in log_ins {
        let policies = log_in.policies(client).await?.unwrap_or_default();
        let changed = with(&policies, name, give);
        if changed != policies {
            let body = json!({"token_policies": changed});
            if let Some(stopped) =
                client.change(Method::POST, &log_in.path(&["policies"]), Some(body)).await?
            {
                return Ok(stopped);
            }
        }
    }
    Ok(made(None, if give { "given" } else { "taken away; tokens that were made with it keep it" }))
}

fn with(policies: &[String], name: &str, give: bool) -> Vec<String> {
    let mut changed: Vec<String> = policies.iter().filter(|policy| *policy != name).cloned().collect();
    if give {
        changed.push(name.to_owned());
    }
    changed
}

async fn set_enabled(client: &Client, entity: &Entity, enable: bool) -> Result<Outcome, ConnectError> {
    if entity.disabled != enable {
        return Ok(Outcome::AlreadySo);
    }
    let path = ["identity", "entity", "id", entity.id.as_str()];
    let stopped = client.change(Method::POST, &path, Some(json!({"disabled": !enable}))).await?;
    Ok(made(stopped, if enable { "enabled" } else { "disabled; its tokens are refused from now on" }))
}

/// Ends one credential.
async fn revoke_credential(
    client: &Client,
    account: &str,
    credential: &CredentialTarget,
    own: &OwnToken,
) -> Result<Outcome, ConnectError> {
    if !has_credential(client, account, credential).await? {
        return Ok(Outcome::AlreadySo);
    }
    let key = credential.key.as_str();
    let stopped = match credential.kind {
        CredentialKind::Token if key.contains('/') => {
            let body = json!({"lease_id": key, "sync": true});
            let stopped = client.change(Method::POST, &["sys", "leases", "revoke"], Some(body)).await?;
            return Ok(made(stopped, "revoked"));
        }
        CredentialKind::Token => return revoke_token(client, key, own).await,
        CredentialKind::Password => match LogIn::parse(key) {
            Some(log_in) => client.change(Method::DELETE, &log_in.path(&[]), None).await?,
            None => return Ok(refused(format!("`{key}` is no password"))),
        },
        CredentialKind::ApiKey => match secret_id(key) {
            Some((log_in, accessor)) => {
                let path = log_in.path(&["secret-id-accessor", "destroy"]);
                client.change(Method::POST, &path, Some(json!({"secret_id_accessor": accessor}))).await?
            }
            None => return Ok(refused(format!("`{key}` is no secret-id"))),
        },
        kind => return Ok(refused(format!("there is no credential of the kind {}", kind.as_str()))),
    };
    Ok(made(stopped, "deleted; tokens that were made with it go on until they are revoked"))
}

/// Ends a token with every token and lease that was made with it.
async fn revoke_token(client: &Client, accessor: &str, own: &OwnToken) -> Result<Outcome, ConnectError> {
    if accessor == own.accessor {
        return Ok(refused("it is the token that the connector itself logs in with"));
    }
    match token(client, accessor).await? {
        None => return Ok(Outcome::AlreadySo),
        Some(token) if token.is_root() => {
            return Ok(refused(
                "a root token is never touched; whoever made it can run `bao token revoke -accessor`",
            ));
        }
        Some(_) => {}
    }
    let path = ["auth", "token", "revoke-accessor"];
    let stopped = client.change(Method::POST, &path, Some(json!({"accessor": accessor}))).await?;
    Ok(made(stopped, "revoked, with the leases that were made with it"))
}

async fn end_sessions(
    client: &Client,
    account: &str,
    entity: Option<&Entity>,
    own: &OwnToken,
) -> Result<Outcome, ConnectError> {
    if account == NO_ENTITY {
        return Ok(refused("tokens of no entity are each somebody else's; revoke each by itself"));
    }
    let tokens = tokens_of(client, account).await?;
    let mut places = Vec::new();
    if let Some(entity) = entity {
        places = lease::places(client, entity).await?;
    }
    if tokens.is_empty() && places.is_empty() {
        return Ok(Outcome::AlreadySo);
    }
    let count = tokens.len();
    let mut left = None;
    for token in tokens {
        // One that cannot be ended must not keep the rest alive.
        match revoke_token(client, &token.accessor, own).await? {
            Outcome::Acknowledged { .. } | Outcome::AlreadySo => {}
            stopped => left = Some(stopped),
        }
    }
    // What somebody logged in to meanwhile, and what no token is listed of any more.
    for place in places {
        let path: Vec<&str> =
            ["sys", "leases", "revoke-prefix"].into_iter().chain(place.split('/')).collect();
        if !lease::ids(client, &place).await?.is_empty()
            && let Some(stopped) = client.change(Method::POST, &path, Some(json!({"sync": true}))).await?
        {
            left = Some(stopped);
        }
    }
    Ok(made(left, &format!("{count} tokens revoked")))
}

/// Deletes an account. A log-in that stayed behind would make a new entity as soon as somebody used it.
async fn delete_account(client: &Client, found: &Found, own: &OwnToken) -> Result<Outcome, ConnectError> {
    let entity = match found {
        Found::Entity(entity) => entity,
        Found::LogIn(log_in) => {
            let stopped = client.change(Method::DELETE, &log_in.path(&[]), None).await?;
            return Ok(made(stopped, "deleted"));
        }
        Found::NoEntity => {
            return Ok(refused("it stands for the tokens of no entity; revoke each by itself"));
        }
    };
    for log_in in log_ins_of(client, entity).await? {
        match client.change(Method::DELETE, &log_in.path(&[]), None).await? {
            None | Some(Outcome::AlreadySo) => {}
            Some(stopped) => return Ok(stopped),
        }
    }
    match end_sessions(client, &entity.id, Some(entity), own).await? {
        Outcome::Acknowledged { .. } | Outcome::AlreadySo => {}
        stopped => return Ok(stopped),
    }
    let path = ["identity", "entity", "id", entity.id.as_str()];
    let stopped = client.change(Method::DELETE, &path, None).await?;
    Ok(made(stopped, "deleted, with its log-ins and tokens"))
}

/// Makes an entity, which nobody can log in as until an auth method gives it an alias.
async fn create_account(client: &Client, request: &ActionRequest) -> Result<Outcome, ConnectError> {
    let login = request.account.login.as_str();
    if login.is_empty() {
        return Ok(refused("an entity needs a name"));
    }
    let metadata: Map<String, Value> =
        request.attributes.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
    let body = json!({"name": login, "metadata": metadata});
    let stopped = client.change(Method::POST, &["identity", "entity"], Some(body)).await?;
    Ok(made(stopped, "created; nobody logs in as it until an auth method has an alias for it"))
}
