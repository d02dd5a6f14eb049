//! One more token for a user, beside those that are there: the hub has no other log-in of its own to give.

use leasehold_model::request::{CredentialTarget, IssueRequest, Issued};
use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use crate::error::ConnectError;
use crate::issue::{self, IS_OUR_OWN};
use crate::jupyterhub::client::Client;
use crate::jupyterhub::object::Token;
use crate::jupyterhub::read_back::{Found, find, keyed};

/// By which the user knows the token again in the hub's own list.
const NOTE: &str = "issued by Leasehold";

/// A token that was made: as the hub lists it, and as it is sent.
#[derive(Deserialize)]
struct NewToken {
    #[serde(flatten)]
    listed: Token,
    token: String,
}

/// Makes a token.
pub(super) async fn issue(client: &Client, request: &IssueRequest) -> Result<Issued, ConnectError> {
    let http = &client.settings.http;
    let refused = |why: String| issue::refused(http.system(), &request.account.login, why);
    let account = keyed(&request.account);
    if client.own().await?.key() == account.key.as_str() {
        return Err(refused(IS_OUR_OWN.to_owned()));
    }
    let user = match find(client, &account.key).await? {
        Some(Found::User(user)) => user,
        Some(Found::Service(service)) => {
            return Err(refused(format!(
                "`{}` is a service, whose token the hub's configuration gives it; change it there and start the hub anew",
                service.name
            )));
        }
        None => return Err(refused(format!("there is no user `{}`", account.key))),
    };
    let path = ["users", user.name.as_str(), "tokens"];
    let body = json!({ "note": NOTE });
    let made = match client.create(Method::POST, &path, Some(&body), "tokens").await? {
        Ok(data) => data,
        Err(outcome) => {
            issue::made(http.system(), &request.account.login, outcome)?;
            return Err(client.error(&path, "it was not made"));
        }
    };
    // The library's message could repeat a part of the answer.
    let made: NewToken = serde_json::from_value(made).map_err(|_| {
        client
            .error(&path, "the answer holds no token; look whether the user has one more now, and revoke it")
    })?;
    let kind = made.listed.kind();
    let ends = made.listed.expires_at.map(|at| format!("It ends at {at}. ")).unwrap_or_default();
    Ok(Issued {
        credential: Some(CredentialTarget { key: made.listed.key().into(), kind }),
        kind,
        secret: SecretString::from(made.token),
        instructions: format!(
            "An API token of `{}` at {}, sent as `Authorization: token …`. {ends}Earlier ones go on until they are revoked.",
            user.name, client.settings.url
        ),
    })
}
