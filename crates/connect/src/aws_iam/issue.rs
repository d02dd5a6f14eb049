//! An access key for a user, beside the one that it may have: the old one works until it is revoked.

use leasehold_model::credential::CredentialKind;
use leasehold_model::request::{CredentialTarget, IssueRequest, Issued};
use secrecy::SecretString;

use crate::aws_iam::client::{Client, Unchanged, code};
use crate::aws_iam::read_back::{is_disabled, is_root, user};
use crate::error::ConnectError;
use crate::issue::{self, IS_DISABLED, IS_OUR_OWN};

const ACTION: &str = "CreateAccessKey";

/// Makes an access key.
pub(super) async fn issue(client: &Client, request: &IssueRequest) -> Result<Issued, ConnectError> {
    let http = &client.settings.http;
    let refused = |why: String| issue::refused(http.system(), &request.account.login, why);
    if is_root(&request.account) {
        return Err(refused(
            "the root user belongs to whoever owns the account, and should have no keys".to_owned(),
        ));
    }
    let Some(found) = user(client, &request.account).await? else {
        return Err(refused("there is no such user".to_owned()));
    };
    if client.caller().await?.id == found.id {
        return Err(refused(IS_OUR_OWN.to_owned()));
    }
    if is_disabled(client, &found.name).await? {
        return Err(refused(IS_DISABLED.to_owned()));
    }
    let mut made = match client.create(ACTION, &[("UserName", &found.name)]).await? {
        Ok(node) => node,
        Err(Unchanged::Refused(error)) if error.is(code::LIMIT_EXCEEDED) => {
            return Err(refused(format!("{error}; revoke one of its keys first")));
        }
        Err(unchanged) => {
            issue::made(http.system(), &request.account.login, unchanged.outcome())?;
            return Err(http.target_error(ACTION, "it was not made"));
        }
    };
    let key = made.take("AccessKey").unwrap_or_default();
    let (Some(id), Some(secret)) = (key.some_text("AccessKeyId"), key.some_text("SecretAccessKey")) else {
        return Err(
            http.target_error(ACTION, "the answer holds no key; look whether the user has one more now")
        );
    };
    Ok(Issued {
        credential: Some(CredentialTarget { key: id.into(), kind: CredentialKind::AccessKey }),
        kind: CredentialKind::AccessKey,
        secret: SecretString::from(secret),
        instructions: format!(
            "The secret access key of the access key {id} of the user `{}`. An earlier key works until it is revoked.",
            found.name
        ),
    })
}
