//! Making one change: what is already so, and then the change.

use leasehold_model::plan::Verb;
use leasehold_model::request::{ActionRequest, EntitlementTarget, Outcome};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::connector::not_offered;
use crate::error::ConnectError;
use crate::scim::change::{Change, changed_meanwhile};
use crate::scim::client::{Client, Reply};
use crate::scim::create;
use crate::scim::find::{self, Held};
use crate::scim::read_back::{is_direct_member, is_member};
use crate::scim::resource::{MemberKind, is_active, member, names, take, text, values};
use crate::scim::settings::{MemberRemoval, Membership};

/// How often an account is deleted anew that somebody else changed in between.
const ATTEMPTS_MAX: usize = 3;

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
        Verb::Grant | Verb::Revoke | Verb::DisableAccount | Verb::EnableAccount => true,
        Verb::CreateAccount | Verb::DeleteAccount => true,
        Verb::DisableCredential
        | Verb::EnableCredential
        | Verb::RevokeCredential
        | Verb::HandOverCredential
        | Verb::EndSessions => false,
    };
    if !is_offered {
        return Ok(not_offered(verb));
    }
    let account = &request.account;
    let found = find::account(client, account).await?;
    if verb == Verb::CreateAccount {
        return match found {
            Some(_) => Ok(Outcome::AlreadySo),
            None => create::create_account(client, request).await,
        };
    }
    let Some(user) = found.map(|found| found.body) else { return Ok(nobody(request)) };
    let Some(id) = text(&user, "id") else { return Ok(nobody(request)) };
    if verb.takes_away() && client.own_account().await? == Some(id.as_str()) {
        return Ok(refused(format!(
            "`{}` is the account that the connector itself logs in as",
            account.login
        )));
    }
    match verb {
        Verb::Grant | Verb::Revoke => {
            let Some(entitlement) = &request.entitlement else {
                return Ok(refused(format!("{verb} needs an entitlement")));
            };
            match Held::parse(&entitlement.name) {
                Ok(Held::Group(name)) => change_member(client, request, &user, entitlement, name).await,
                Ok(Held::Value { attribute, value }) => {
                    change_value(client, request, &user, attribute, value).await
                }
                Err(why) => Ok(refused(why)),
            }
        }
        Verb::DisableAccount | Verb::EnableAccount => set_active(client, request, &id).await,
        Verb::DeleteAccount => delete_account(client, &id).await,
        _ => Ok(not_offered(verb)),
    }
}

fn refused(why: impl Into<String>) -> Outcome {
    Outcome::Refused { why: why.into() }
}

/// The answer where there is no such account.
fn nobody(request: &ActionRequest) -> Outcome {
    match request.verb.takes_away() {
        // Who does not exist holds nothing.
        true => Outcome::AlreadySo,
        false => refused(format!(
            "there is no account `{}` with the key {}",
            request.account.login, request.account.key
        )),
    }
}

/// Puts a user into a group, or takes one out.
async fn change_member(
    client: &Client,
    request: &ActionRequest,
    user: &Value,
    entitlement: &EntitlementTarget,
    name: &str,
) -> Result<Outcome, ConnectError> {
    let membership = client.settings.membership;
    if membership == Membership::None {
        return Ok(refused("`membership = \"none\"` says that the server has no groups"));
    }
    let give = request.verb == Verb::Grant;
    let absent = match give {
        true => refused(format!("there is no group/{name}")),
        false => Outcome::AlreadySo,
    };
    let group = find::group(client, entitlement, name).await?;
    let Some(group_id) = group.and_then(|group| text(&group.body, "id")) else { return Ok(absent) };
    let user_id = &text(user, "id").unwrap_or_default();
    // Where users tell what they are in, groups may hide it.
    let users_tell = membership == Membership::User;
    if users_tell && is_direct_member(user, &group_id) == give {
        return Ok(Outcome::AlreadySo);
    }
    let forms = if give { additions(user_id) } else { removals(user_id, client.settings.member_removal) };
    let is_other = |written: &Value| {
        member(written).is_none_or(|(id, kind)| id != *user_id || kind == MemberKind::Group)
    };
    let rewrite = |group: &mut Value| {
        if users_tell && values(group, "members").is_empty() {
            return Err(
                "the group does not show its members, and writing it as a whole would lose them".to_owned()
            );
        }
        let mut members = match take(group, "members") {
            Value::Array(members) => members,
            _ => Vec::new(),
        };
        members.retain(is_other);
        if give {
            members.push(json!({"value": user_id}));
        }
        group["members"] = members.into();
        Ok(())
    };
    let change = Change {
        resource: "Groups",
        id: &group_id,
        is_so: &|group| {
            let is_hidden = (give || users_tell) && values(group, "members").is_empty();
            (!is_hidden).then(|| is_member(group, user_id) == give)
        },
        forms,
        rewrite: &rewrite,
        detail: if give { "added to the group" } else { "taken out of the group" },
        absent,
    };
    change.make(client).await
}

fn additions(user_id: &str) -> Vec<Value> {
    vec![
        json!({"op": "add", "path": "members", "value": [{"value": user_id, "type": "User"}]}),
        json!({"op": "add", "path": "members", "value": [{"value": user_id}]}),
    ]
}

/// A server that takes the filter for nothing refuses it. One that overlooks the value of a removal would take out everybody,
/// so that form is never tried unasked.
fn removals(user_id: &str, removal: MemberRemoval) -> Vec<Value> {
    match removal {
        MemberRemoval::Filter => {
            vec![json!({"op": "remove", "path": format!("members[value eq {}]", Value::from(user_id))})]
        }
        MemberRemoval::Value => {
            vec![json!({"op": "remove", "path": "members", "value": [{"value": user_id}]})]
        }
        MemberRemoval::Replace => Vec::new(),
    }
}

/// Gives or takes a value of an attribute of the user's own.
async fn change_value(
    client: &Client,
    request: &ActionRequest,
    user: &Value,
    attribute: &'static str,
    value: &str,
) -> Result<Outcome, ConnectError> {
    let give = request.verb == Verb::Grant;
    let is_other = |written: &Value| !names(&json!({attribute: [written]}), attribute).contains(value);
    let forms = match give {
        true => vec![json!({"op": "add", "path": attribute, "value": [{"value": value}]})],
        false => {
            let others: Vec<&Value> =
                values(user, attribute).iter().filter(|written| is_other(written)).collect();
            vec![
                json!({"op": "remove", "path": format!("{attribute}[value eq {}]", Value::from(value))}),
                // For a server that cannot read the value in a filter.
                json!({"op": "replace", "path": attribute, "value": others}),
            ]
        }
    };
    let rewrite = |user: &mut Value| {
        let mut values = match take(user, attribute) {
            Value::Array(values) => values,
            Value::Null => Vec::new(),
            one => vec![one],
        };
        values.retain(is_other);
        if give {
            values.push(json!({"value": value}));
        }
        user[attribute] = values.into();
        Ok(())
    };
    let change = Change {
        resource: "Users",
        id: &text(user, "id").unwrap_or_default(),
        is_so: &|user| Some(names(user, attribute).contains(value) == give),
        forms,
        rewrite: &rewrite,
        detail: if give { "given" } else { "taken away" },
        absent: nobody(request),
    };
    change.make(client).await
}

async fn set_active(
    client: &Client,
    request: &ActionRequest,
    user_id: &str,
) -> Result<Outcome, ConnectError> {
    let active = request.verb == Verb::EnableAccount;
    let rewrite = |user: &mut Value| {
        take(user, "active");
        user["active"] = active.into();
        Ok(())
    };
    let change = Change {
        resource: "Users",
        id: user_id,
        is_so: &|user| Some(is_active(user) == active),
        forms: vec![
            json!({"op": "replace", "path": "active", "value": active}),
            json!({"op": "replace", "value": {"active": active}}),
        ],
        rewrite: &rewrite,
        detail: if active { "enabled" } else { "disabled" },
        absent: nobody(request),
    };
    change.make(client).await
}

async fn delete_account(client: &Client, user_id: &str) -> Result<Outcome, ConnectError> {
    let path = ["Users", user_id];
    for _ in 0..ATTEMPTS_MAX {
        let Some(found) = find::by_id(client, "Users", user_id).await? else { return Ok(Outcome::AlreadySo) };
        let is_versioned = client.service().await?.etag;
        let version = found.version.as_deref().filter(|_| is_versioned);
        match client.change(Method::DELETE, &path, None, version).await? {
            Reply::Done(_) => return Ok(Outcome::Acknowledged { detail: "deleted".to_owned() }),
            Reply::NotNow { after_ms, why } => return Ok(Outcome::Retry { after_ms, why }),
            Reply::Refused(error) if error.status == StatusCode::PRECONDITION_FAILED => {}
            Reply::Refused(error) if error.status == StatusCode::NOT_FOUND && error.is_scim => {
                return Ok(Outcome::AlreadySo);
            }
            Reply::Refused(error) => return client.refusal(&path, &error),
        }
    }
    Ok(changed_meanwhile())
}
