//! Making one change: what is already so, and then the change.

use jiff::Timestamp;
use leasehold_model::credential::CredentialKind;
use leasehold_model::plan::Verb;
use leasehold_model::request::{ActionRequest, CredentialTarget, EntitlementTarget, Outcome};

use crate::aws_iam::client::{Client, Unchanged, code};
use crate::aws_iam::credentials::{self, listing};
use crate::aws_iam::delete::delete_account;
use crate::aws_iam::document::Document;
use crate::aws_iam::name::{DISABLED, Held, SESSIONS_ENDED, is_of_aws, is_possible};
use crate::aws_iam::read_back::{User, holds, is_disabled, is_root, user};
use crate::connector::not_offered;
use crate::error::ConnectError;

/// Attributes of a new account that become tags of the user.
const TAGS: [&str; 3] = ["email", "employee_number", "display_name"];

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
    let account = &request.account;
    if is_root(account) {
        return Ok(refused(
            "the root user belongs to whoever owns the account; sign in as root to change it",
        ));
    }
    let found = user(client, account).await?;
    if request.verb == Verb::CreateAccount {
        return match found {
            Some(_) => Ok(Outcome::AlreadySo),
            None => create_account(client, request).await,
        };
    }
    let Some(found) = found else {
        return Ok(match request.verb {
            Verb::Grant | Verb::EnableAccount | Verb::EnableCredential | Verb::CreateAccount => {
                refused(format!("there is no user `{}` with the id {}", account.login, account.key))
            }
            // Who does not exist holds nothing.
            Verb::Revoke
            | Verb::DisableAccount
            | Verb::DisableCredential
            | Verb::RevokeCredential
            | Verb::EndSessions
            | Verb::DeleteAccount => Outcome::AlreadySo,
            Verb::HandOverCredential => not_offered(request.verb),
        });
    };
    if request.verb.takes_away() && client.caller().await?.id == found.id {
        return Ok(refused(format!("`{}` is the user that the connector itself logs in as", found.name)));
    }
    match request.verb {
        Verb::Grant | Verb::Revoke => {
            let Some(entitlement) = &request.entitlement else {
                return Ok(refused(format!("{} needs an entitlement", request.verb)));
            };
            change_grant(client, &found, entitlement, request.verb == Verb::Grant).await
        }
        Verb::DisableAccount | Verb::EnableAccount => {
            set_enabled(client, &found, request.verb == Verb::EnableAccount).await
        }
        Verb::EndSessions => {
            let now = Timestamp::now();
            let document = Document::sessions_ended(now);
            put_policy(
                client,
                &found,
                SESSIONS_ENDED,
                &document,
                "every session that began before now is denied",
            )
            .await
        }
        Verb::DisableCredential | Verb::EnableCredential | Verb::RevokeCredential => {
            let Some(credential) = &request.credential else {
                return Ok(refused(format!("{} needs a credential", request.verb)));
            };
            change_credential(client, &found, credential, request.verb).await
        }
        Verb::DeleteAccount => delete_account(client, &found).await,
        Verb::CreateAccount => Ok(Outcome::AlreadySo),
        Verb::HandOverCredential => Ok(not_offered(request.verb)),
    }
}

pub(super) fn refused(why: impl Into<String>) -> Outcome {
    Outcome::Refused { why: why.into() }
}

/// Gives or takes an entitlement.
async fn change_grant(
    client: &Client,
    user: &User,
    entitlement: &EntitlementTarget,
    give: bool,
) -> Result<Outcome, ConnectError> {
    let held = match Held::parse(&entitlement.name) {
        Ok(held) => held,
        Err(why) => return Ok(refused(why)),
    };
    if holds(client, user, &held).await? == give {
        return Ok(Outcome::AlreadySo);
    }
    let changed = match &held {
        Held::Group(group) => {
            let action = if give { "AddUserToGroup" } else { "RemoveUserFromGroup" };
            client.change(action, &[("GroupName", group), ("UserName", &user.name)]).await?
        }
        Held::Managed { name, is_aws } => {
            let Some(arn) = managed_arn(client, entitlement, name, *is_aws).await? else {
                return Ok(match give {
                    true => refused(format!("there is no {}", entitlement.name)),
                    false => Outcome::AlreadySo,
                });
            };
            let action = if give { "AttachUserPolicy" } else { "DetachUserPolicy" };
            client.change(action, &[("UserName", &user.name), ("PolicyArn", &arn)]).await?
        }
        Held::OfUser { policy, .. } if !give => {
            client.change("DeleteUserPolicy", &[("UserName", &user.name), ("PolicyName", policy)]).await?
        }
        Held::OfUser { .. } => {
            return Ok(refused(
                "an inline policy has no content but what its user holds: write it in IAM, or grant a managed one",
            ));
        }
        Held::Role(_) => return Ok(refused(ROLE_IS_IN_ITS_TRUST)),
        Held::OfGroup { group, .. } => {
            return Ok(refused(format!("it is held through the group: grant or revoke `group/{group}`")));
        }
        Held::OfRole { role, .. } => {
            return Ok(refused(format!("it is held through the role: see who may assume `role/{role}`")));
        }
        Held::InstanceProfile => return Ok(refused("an instance profile is held by machines, not by users")),
    };
    Ok(match changed {
        Ok(()) => acknowledged(if give { "given" } else { "taken away" }),
        Err(Unchanged::Absent(_)) if !give => Outcome::AlreadySo,
        Err(Unchanged::Absent(error)) => refused(format!("there is no {} ({error})", entitlement.name)),
        Err(unchanged) => unchanged.outcome(),
    })
}

/// Why a grant of a role is not changed here.
pub(super) const ROLE_IS_IN_ITS_TRUST: &str =
    "who may assume a role is written in its trust policy; take the user out there, in IAM";

fn acknowledged(detail: &str) -> Outcome {
    Outcome::Acknowledged { detail: detail.to_owned() }
}

/// The ARN of a managed policy: as it was seen, else looked up.
async fn managed_arn(
    client: &Client,
    entitlement: &EntitlementTarget,
    name: &str,
    is_aws: bool,
) -> Result<Option<String>, ConnectError> {
    let fits = |arn: &str| is_of_aws(arn) == is_aws && arn.rsplit('/').next() == Some(name);
    if let Some(arn) = entitlement.native.as_deref().filter(|arn| fits(arn)) {
        return Ok(Some(arn.to_owned()));
    }
    let mut found = None;
    let scope = [("Scope", if is_aws { "AWS" } else { "Local" })];
    client
        .pages("ListPolicies", &scope, |page| {
            let arns = page.members("Policies").map(|policy| policy.text("Arn"));
            if let Some(arn) = arns.into_iter().find(|arn| fits(arn)) {
                found = Some(arn.to_owned());
            }
        })
        .await?;
    Ok(found)
}

/// IAM has no switch on a user. One inline policy denies it everything, console, keys and live sessions alike, and
/// leaves all the rest as it is, so that it can be taken back.
async fn set_enabled(client: &Client, user: &User, enable: bool) -> Result<Outcome, ConnectError> {
    if is_disabled(client, &user.name).await? != enable {
        return Ok(Outcome::AlreadySo);
    }
    if !enable {
        let detail = "the inline policy LeaseholdDisabled denies everything";
        return put_policy(client, user, DISABLED, &Document::disabled(), detail).await;
    }
    let parameters = [("UserName", user.name.as_str()), ("PolicyName", DISABLED)];
    Ok(match client.change("DeleteUserPolicy", &parameters).await? {
        Ok(()) => acknowledged("the inline policy LeaseholdDisabled was deleted"),
        Err(Unchanged::Absent(_)) => Outcome::AlreadySo,
        Err(unchanged) => unchanged.outcome(),
    })
}

async fn put_policy(
    client: &Client,
    user: &User,
    name: &str,
    document: &Document,
    detail: &str,
) -> Result<Outcome, ConnectError> {
    let document = document.to_string();
    let parameters = [("UserName", user.name.as_str()), ("PolicyName", name), ("PolicyDocument", &document)];
    Ok(match client.change("PutUserPolicy", &parameters).await? {
        Ok(()) => acknowledged(detail),
        Err(unchanged) => unchanged.outcome(),
    })
}

/// Stops, brings back or ends a credential.
async fn change_credential(
    client: &Client,
    user: &User,
    credential: &CredentialTarget,
    verb: Verb,
) -> Result<Outcome, ConnectError> {
    let Some((exists, active)) = credentials::read(client, &user.name, &user.id, credential).await? else {
        return Ok(refused(format!("IAM knows no credential of the kind {}", credential.kind.as_str())));
    };
    match (verb, exists) {
        (Verb::EnableCredential, false) => {
            return Ok(refused(format!("there is no {} {}", credential.kind.as_str(), credential.key)));
        }
        (_, false) => return Ok(Outcome::AlreadySo),
        (Verb::DisableCredential, true) if !active => return Ok(Outcome::AlreadySo),
        (Verb::EnableCredential, true) if active => return Ok(Outcome::AlreadySo),
        _ => {}
    }
    if verb == Verb::RevokeCredential {
        return revoke_credential(client, &user.name, credential).await;
    }
    let Some(listing) = listing(credential.kind).filter(|listing| !listing.update.is_empty()) else {
        return Ok(refused(format!(
            "a {} cannot be stopped and brought back in IAM; revoke it, or disable the account",
            credential.kind.as_str()
        )));
    };
    let status = if verb == Verb::EnableCredential { "Active" } else { "Inactive" };
    let parameters =
        [("UserName", user.name.as_str()), (listing.id, credential.key.as_str()), ("Status", status)];
    Ok(match client.change(listing.update, &parameters).await? {
        Ok(()) => acknowledged(if status == "Active" { "active again" } else { "inactive" }),
        Err(Unchanged::Absent(_)) if verb == Verb::DisableCredential => Outcome::AlreadySo,
        Err(unchanged) => unchanged.outcome(),
    })
}

/// Ends a credential of a user.
pub(super) async fn revoke_credential(
    client: &Client,
    user: &str,
    credential: &CredentialTarget,
) -> Result<Outcome, ConnectError> {
    let key = credential.key.as_str();
    let changed = match listing(credential.kind) {
        Some(listing) => client.change(listing.delete, &[("UserName", user), (listing.id, key)]).await?,
        None if credential.kind == CredentialKind::Password => {
            client.change("DeleteLoginProfile", &[("UserName", user)]).await?
        }
        None => {
            return Ok(refused(format!("IAM knows no credential of the kind {}", credential.kind.as_str())));
        }
    };
    // A virtual device stays behind without its user, and its name would be taken; one of hardware is no object.
    if credential.kind == CredentialKind::MfaDevice && changed.is_ok() && key.starts_with("arn:") {
        match client.change("DeleteVirtualMFADevice", &[("SerialNumber", key)]).await? {
            Ok(()) | Err(Unchanged::Absent(_) | Unchanged::Refused(_)) => {}
            Err(Unchanged::Outcome(outcome)) => return Ok(outcome),
        }
    }
    Ok(match changed {
        Ok(()) => acknowledged("deleted"),
        Err(Unchanged::Absent(_)) => Outcome::AlreadySo,
        Err(unchanged) => unchanged.outcome(),
    })
}

/// Makes a user that holds nothing and can log in with nothing.
async fn create_account(client: &Client, request: &ActionRequest) -> Result<Outcome, ConnectError> {
    let login = request.account.login.as_str();
    if !is_possible(login) || login.len() > 64 {
        return Ok(refused(format!(
            "`{login}` cannot be the name of a user: at most 64 letters, digits and `_+=,.@-` are allowed"
        )));
    }
    let allowed = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
    let tags: Vec<(&str, &str)> = TAGS
        .into_iter()
        .filter_map(|tag| Some((tag, request.attributes.get(tag)?.as_str())))
        .filter(|(_, value)| value.chars().count() <= 256 && value.chars().all(allowed))
        .collect();
    let named: Vec<(String, &str)> = tags
        .iter()
        .enumerate()
        .flat_map(|(index, (tag, value))| {
            let member = index + 1;
            [(format!("Tags.member.{member}.Key"), *tag), (format!("Tags.member.{member}.Value"), *value)]
        })
        .collect();
    let mut parameters = vec![("UserName", login)];
    parameters.extend(named.iter().map(|(name, value)| (name.as_str(), *value)));
    Ok(match client.change("CreateUser", &parameters).await? {
        Ok(()) => acknowledged("created, without anything to log in with"),
        Err(Unchanged::Refused(error)) if error.is(code::ENTITY_ALREADY_EXISTS) => Outcome::AlreadySo,
        Err(unchanged) => unchanged.outcome(),
    })
}
