//! Making one change: members of groups here, accounts in `account.rs` and `switch.rs`.

use ldap3::{LdapResult, Mod};
use leasehold_model::plan::Verb;
use leasehold_model::request::{ActionRequest, EntitlementTarget, Outcome};

use crate::connector::not_offered;
use crate::error::ConnectError;
use crate::ldap::account::{create, delete, is_proved_gone};
use crate::ldap::client::{Client, Session, code, describe, one};
use crate::ldap::dialect::Dialect;
use crate::ldap::entry::Entry;
use crate::ldap::find::{
    Found, account_not_seen, find_account, find_group, keyed, membership, not_seen, ourselves,
};
use crate::ldap::normalise::primary_attribute;
use crate::ldap::switch::{disable, enable};

/// Makes one change.
pub(super) async fn execute(client: &Client, request: &ActionRequest) -> Result<Outcome, ConnectError> {
    match execute_now(client, request).await {
        // Nothing was sent yet: only connecting gives this error.
        Err(ConnectError::Unreachable { address, message, .. }) => {
            Ok(Outcome::Retry { after_ms: None, why: format!("cannot reach {address}: {message}") })
        }
        other => other,
    }
}

pub(super) fn refused(why: impl Into<String>) -> Outcome {
    Outcome::Refused { why: why.into() }
}

async fn execute_now(client: &Client, request: &ActionRequest) -> Result<Outcome, ConnectError> {
    let mut session = client.session().await?;
    let outcome = match keyed(client, &mut session, &request.account).await? {
        Ok(account) => {
            let request = ActionRequest { account, ..request.clone() };
            execute_on(client, &mut session, &request).await?
        }
        Err(why) => refused(why),
    };
    client.keep(session).await;
    Ok(outcome)
}

async fn execute_on(
    client: &Client,
    session: &mut Session,
    request: &ActionRequest,
) -> Result<Outcome, ConnectError> {
    Ok(match find_account(client, session, &request.account).await? {
        None if request.verb == Verb::Grant => {
            refused(format!("there is no account `{}`", request.account.login))
        }
        None if request.verb == Verb::CreateAccount => create(client, session, request).await?,
        // Connections may outlive an entry, and nobody can end those.
        None if request.verb == Verb::EndSessions => end_sessions(),
        None if request.verb == Verb::DeleteAccount
            && is_proved_gone(client, session, &request.account).await? =>
        {
            Outcome::AlreadySo
        }
        // Who does not exist holds nothing; but who cannot be seen may.
        None => refused(account_not_seen(&request.account, &client.settings.base_dn)),
        Some(account) => change(client, session, request, &account).await?,
    })
}

async fn change(
    client: &Client,
    session: &mut Session,
    request: &ActionRequest,
    account: &Entry,
) -> Result<Outcome, ConnectError> {
    if request.verb.takes_away()
        && let Some((login, Some(key))) = ourselves(client, session).await?
        && key == request.account.key.as_str()
    {
        return Ok(refused(format!("`{login}` is the account that the connector itself uses")));
    }
    match (request.verb, &request.entitlement) {
        (Verb::EndSessions, _) => Ok(end_sessions()),
        (Verb::CreateAccount, _) if client.settings.new_accounts.is_some() => Ok(Outcome::AlreadySo),
        (Verb::DisableAccount, _) => disable(client, session, account).await,
        (Verb::EnableAccount, _) => enable(client, session, account).await,
        (Verb::DeleteAccount, _) => delete(client, session, &request.account, account).await,
        (Verb::Grant | Verb::Revoke, None) => Ok(refused(format!("{} needs an entitlement", request.verb))),
        (Verb::Grant, Some(entitlement)) => match group(client, session, entitlement, true).await? {
            Ok(group) => grant(client, session, account, &group).await,
            Err(outcome) => Ok(outcome),
        },
        (Verb::Revoke, Some(entitlement)) => match group(client, session, entitlement, false).await? {
            Ok(group) => revoke(client, session, account, &group).await,
            Err(outcome) => Ok(outcome),
        },
        (verb, _) => Ok(not_offered(verb)),
    }
}

/// No directory ends a bound connection.
fn end_sessions() -> Outcome {
    refused(
        "a directory cannot end a bound connection: it lives until the client, an idle time-out or a restart ends it",
    )
}

async fn group(
    client: &Client,
    session: &mut Session,
    entitlement: &EntitlementTarget,
    give: bool,
) -> Result<Result<Box<Entry>, Outcome>, ConnectError> {
    Ok(match find_group(client, session, entitlement).await? {
        Found::Group(group) => Ok(group),
        Found::Nothing if give => Err(refused(format!("there is no {}", entitlement.name))),
        Found::Nothing => Err(refused(not_seen("group", &entitlement.name.name, &client.settings.base_dn))),
        Found::Several(names) => {
            Err(refused(format!("several groups have this name: {}; name one by its DN", names.join("; "))))
        }
        Found::Wrong(why) => Err(refused(why)),
    })
}

async fn grant(
    client: &Client,
    session: &mut Session,
    account: &Entry,
    group: &Entry,
) -> Result<Outcome, ConnectError> {
    if membership(client, session, account, group).await?.is_direct() {
        return Ok(Outcome::AlreadySo);
    }
    let attribute = match session.dialect {
        Dialect::ActiveDirectory => "member",
        Dialect::OpenLdap if group.is_a("groupOfNames") || group.is_a("groupOfMembers") => "member",
        Dialect::OpenLdap if group.is_a("groupOfUniqueNames") => "uniqueMember",
        Dialect::OpenLdap if group.is_a("posixGroup") => "memberUid",
        Dialect::OpenLdap => "member",
    };
    let value = match attribute {
        "memberUid" => match account.text("uid") {
            Some(uid) => uid,
            None => {
                return Ok(refused(format!(
                    "{} has no uid, by which this group knows its members",
                    account.dn
                )));
            }
        },
        _ => account.dn.clone(),
    };
    let changes = vec![Mod::Add(attribute.to_owned(), one(&value))];
    let result = client.modify(session, &group.dn, changes).await?;
    Ok(match result.rc {
        code::ATTRIBUTE_OR_VALUE_EXISTS | code::ENTRY_ALREADY_EXISTS => Outcome::AlreadySo,
        _ => judge(&result, format!("added to {attribute} of {}", group.dn)),
    })
}

async fn revoke(
    client: &Client,
    session: &mut Session,
    account: &Entry,
    group: &Entry,
) -> Result<Outcome, ConnectError> {
    let membership = membership(client, session, account, group).await?;
    if membership.primary {
        let attribute = primary_attribute(session.dialect);
        return Ok(refused(format!(
            "{} is the primary group of {}; give the account another one in {attribute} first",
            group.dn, account.dn
        )));
    }
    if membership.values.is_empty() {
        return Ok(match membership.unseen {
            None => Outcome::AlreadySo,
            Some(why) => refused(format!("whether {} is a member cannot be known: {why}", account.dn)),
        });
    }
    let removals: Vec<Mod<String>> = membership
        .values
        .iter()
        .map(|(attribute, values)| Mod::Delete((*attribute).to_owned(), values.iter().cloned().collect()))
        .collect();
    let detail = format!("removed from {}", group.dn);
    let result = client.modify(session, &group.dn, removals.clone()).await?;
    match result.rc {
        code::NO_SUCH_ATTRIBUTE => Ok(Outcome::AlreadySo),
        // A group of names may not be empty (RFC 4519, 3.5).
        code::OBJECT_CLASS_VIOLATION => match &client.settings.placeholder {
            None => Ok(refused(format!(
                "{} is the last member of {}, which may not be empty: delete the group, or set `placeholder_member` \
                 for the connector to put in its place",
                account.dn, group.dn
            ))),
            Some((placeholder, _)) => {
                let mut changes: Vec<Mod<String>> = membership
                    .values
                    .iter()
                    .filter(|(attribute, _)| *attribute != "memberUid")
                    .map(|(attribute, _)| Mod::Add((*attribute).to_owned(), one(placeholder)))
                    .collect();
                changes.extend(removals);
                let result = client.modify(session, &group.dn, changes).await?;
                Ok(judge(&result, format!("{detail}; {placeholder} stands in its place")))
            }
        },
        _ => Ok(judge(&result, detail)),
    }
}

/// What the directory's answer to a change means where nothing particular is expected.
pub(super) fn judge(result: &LdapResult, detail: String) -> Outcome {
    match result.rc {
        code::SUCCESS => Outcome::Acknowledged { detail },
        code::BUSY | code::UNAVAILABLE => Outcome::Retry { after_ms: None, why: describe(result) },
        code::INSUFFICIENT_ACCESS => {
            refused(format!("{}; the connector's account lacks the right to write here", describe(result)))
        }
        _ => refused(describe(result)),
    }
}
