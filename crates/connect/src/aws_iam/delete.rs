//! Deleting a user. IAM refuses while anything hangs on it, so that goes first: what it logs in with before all else.

use leasehold_model::credential::CredentialKind;
use leasehold_model::request::{CredentialTarget, Outcome};

use crate::aws_iam::client::{Client, Unchanged, code};
use crate::aws_iam::credentials::{LISTINGS, of_kind, password_key};
use crate::aws_iam::execute::{refused, revoke_credential};
use crate::aws_iam::name::DISABLED;
use crate::aws_iam::read_back::{User, attached, groups_of};
use crate::error::ConnectError;

/// Deletes a user with everything that hangs on it.
pub(super) async fn delete_account(client: &Client, user: &User) -> Result<Outcome, ConnectError> {
    if let Some(stopped) = revoke_credentials(client, user).await? {
        return Ok(stopped);
    }
    for group in groups_of(client, &user.name).await? {
        let parameters = [("GroupName", group.as_str()), ("UserName", user.name.as_str())];
        if let Some(stopped) = take_away(client, "RemoveUserFromGroup", &parameters).await? {
            return Ok(stopped);
        }
    }
    for arn in attached(client, "ListAttachedUserPolicies", "UserName", &user.name).await? {
        let parameters = [("UserName", user.name.as_str()), ("PolicyArn", arn.as_str())];
        if let Some(stopped) = take_away(client, "DetachUserPolicy", &parameters).await? {
            return Ok(stopped);
        }
    }
    let mut inline = Vec::new();
    client
        .pages("ListUserPolicies", &[("UserName", &user.name)], |page| {
            inline.extend(page.texts("PolicyNames").map(str::to_owned));
        })
        .await?;
    // What stops the user goes last, so that nothing comes back if this is interrupted.
    inline.sort_by_key(|policy| policy == DISABLED);
    for policy in inline {
        let parameters = [("UserName", user.name.as_str()), ("PolicyName", policy.as_str())];
        if let Some(stopped) = take_away(client, "DeleteUserPolicy", &parameters).await? {
            return Ok(stopped);
        }
    }
    Ok(match client.change("DeleteUser", &[("UserName", &user.name)]).await? {
        Ok(()) => Outcome::Acknowledged { detail: "deleted, with everything that hung on it".to_owned() },
        Err(Unchanged::Absent(_)) => Outcome::AlreadySo,
        Err(Unchanged::Refused(error)) if error.is(code::DELETE_CONFLICT) => {
            refused(format!("{error}; something hangs on the user that could not be seen, see `leave_out`"))
        }
        Err(unchanged) => unchanged.outcome(),
    })
}

/// Ends everything that the user logs in with. `Some` where that did not succeed.
async fn revoke_credentials(client: &Client, user: &User) -> Result<Option<Outcome>, ConnectError> {
    let mut targets =
        vec![CredentialTarget { key: password_key(&user.id).into(), kind: CredentialKind::Password }];
    let left_out = &client.settings.leave_out;
    for listing in LISTINGS.iter().filter(|listing| !left_out.iter().any(|name| name == listing.name)) {
        let found = of_kind(client, &user.name, &user.id, listing).await?;
        let found = found.map_err(|error| client.target_error("listing credentials", &error))?;
        targets.extend(found.into_iter().map(|found| CredentialTarget { key: found.key, kind: found.kind }));
    }
    for target in targets {
        match revoke_credential(client, &user.name, &target).await? {
            Outcome::Acknowledged { .. } | Outcome::AlreadySo => {}
            stopped => return Ok(Some(stopped)),
        }
    }
    Ok(None)
}

/// Takes one thing away. `Some` where that did not succeed.
async fn take_away(
    client: &Client,
    action: &str,
    parameters: &[(&str, &str)],
) -> Result<Option<Outcome>, ConnectError> {
    Ok(match client.change(action, parameters).await? {
        Ok(()) | Err(Unchanged::Absent(_)) => None,
        Err(unchanged) => Some(unchanged.outcome()),
    })
}
