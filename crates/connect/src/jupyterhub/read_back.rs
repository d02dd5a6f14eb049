//! Asking the hub, now, about one grant, account, credential or session list; and what the token may do at all.

use leasehold_model::id::AccountKey;
use leasehold_model::request::{AccountTarget, ReadBack, ReadTarget};
use serde::Deserialize;

use crate::connector::{TestReport, nothing_handed_over};
use crate::error::ConnectError;
use crate::jupyterhub::client::Client;
use crate::jupyterhub::enumerate::READING;
use crate::jupyterhub::object::{Group, Held, Service, Share, Token, Tokens, User, Who};

/// What the changes are made with that need no administrator.
const CHANGING: [&str; 5] = ["groups", "tokens", "delete:servers", "users:shares", "delete:users"];

/// What goes on where the running servers of a user have ended.
const BROWSER_SESSIONS: &str = "the hub tells of no browser session; whoever is still logged in makes new tokens and starts servers \
     until the user is deleted";

#[derive(Deserialize)]
struct Root {
    version: String,
}

/// An account as it is now.
pub(super) enum Found {
    User(Box<User>),
    Service(Service),
}

/// Reaches the hub and reports what is missing.
pub(super) async fn test(client: &Client) -> Result<TestReport, ConnectError> {
    let own = client.own().await?;
    let Root { version } = client.read(&[]).await?;
    let scopes: Vec<&str> = READING.into_iter().chain(CHANGING).collect();
    let missing = own.missing(&scopes).into_iter();
    Ok(TestReport {
        target: format!("JupyterHub {version}"),
        acting_as: Some(own.key()),
        missing_rights: missing.map(|scope| format!("{scope}, on everything")).collect(),
    })
}

/// The account with its key, which is its login.
pub(super) fn keyed(account: &AccountTarget) -> AccountTarget {
    if account.is_by_login() { account.with_key(account.login.as_str()) } else { account.clone() }
}

/// Reads one object.
pub(super) async fn read_back(client: &Client, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
    let account = keyed(target.account());
    let found = find(client, &account.key).await?;
    match target {
        ReadTarget::Grant { entitlement, .. } => {
            let held = match Held::parse(&entitlement.name) {
                Ok(held) => held,
                Err(why) => return Ok(ReadBack::Unsupported { why }),
            };
            let (direct, effective) = match found {
                Some(found) => holds(client, &found, &held).await?,
                None => (false, false),
            };
            Ok(ReadBack::Grant { direct, effective: Some(effective) })
        }
        ReadTarget::Account { .. } => {
            Ok(ReadBack::Account { exists: found.is_some(), enabled: found.is_some() })
        }
        ReadTarget::HandOver { .. } => Ok(nothing_handed_over()),
        ReadTarget::Credential { credential, .. } => match found {
            Some(Found::Service(_)) => {
                Ok(ReadBack::Unsupported { why: "the hub tells of no token of a service".to_owned() })
            }
            Some(Found::User(user)) => {
                let exists = token(client, &user.name, credential.key.as_str()).await?.is_some();
                Ok(ReadBack::Credential { exists, active: exists })
            }
            None => Ok(ReadBack::Credential { exists: false, active: false }),
        },
        ReadTarget::Sessions { .. } => Ok(match found {
            Some(Found::User(user)) => {
                ReadBack::Sessions { live: user.sessions(), unlisted: Some(BROWSER_SESSIONS.to_owned()) }
            }
            Some(Found::Service(_)) => {
                ReadBack::Unsupported { why: "the hub tells of no session of a service".to_owned() }
            }
            // What a user had open goes with the user.
            None => ReadBack::sessions(Vec::new()),
        }),
    }
}

/// Finds an account by its key.
pub(super) async fn find(client: &Client, key: &AccountKey) -> Result<Option<Found>, ConnectError> {
    match Who::parse(key) {
        // No account has such a name, and asking for it would be asking for the list.
        Who::User("") | Who::Service("") => Ok(None),
        Who::User(name) => {
            let found: Option<User> = client.find(&["users", name], &READING).await?;
            Ok(found.map(|user| Found::User(Box::new(user))))
        }
        Who::Service(name) => Ok(client.find(&["services", name], &READING).await?.map(Found::Service)),
    }
}

/// Whether an account holds something directly, and on any path.
pub(super) async fn holds(
    client: &Client,
    found: &Found,
    held: &Held<'_>,
) -> Result<(bool, bool), ConnectError> {
    let user = match (found, held) {
        (Found::User(user), _) => user,
        (Found::Service(service), Held::Role(name)) => {
            let direct = service.roles().iter().any(|role| role == name);
            return Ok((direct, direct));
        }
        (Found::Service(_), _) => return Ok((false, false)),
    };
    match held {
        Held::Group(name) => {
            let direct = user.groups.iter().any(|group| group == name);
            Ok((direct, direct))
        }
        Held::Role(name) => {
            let direct = user.roles().iter().any(|role| role == name);
            let mut effective = direct;
            for group in &user.groups {
                let group: Option<Group> = client.find(&["groups", group], &READING).await?;
                effective |= group.is_some_and(|group| group.roles.iter().any(|role| role == name));
            }
            Ok((direct, effective))
        }
        Held::Share { owner, server } => {
            let path = ["users", user.name.as_str(), "shared"];
            let Some(listed) = client.list::<Share>(&path, &READING).await? else {
                return Ok((false, false));
            };
            if let Some(doubt) = listed.doubt {
                return Err(client.error(&path, doubt));
            }
            let wanted = format!("{owner}/{server}");
            // The hub lists those of the user's groups, too.
            let shares: Vec<_> = listed.items.iter().filter(|share| share.name().name == wanted).collect();
            Ok((shares.iter().any(|share| share.is_direct()), !shares.is_empty()))
        }
    }
}

/// A token of a user by its key; `None` where it has ended.
pub(super) async fn token(client: &Client, user: &str, key: &str) -> Result<Option<Token>, ConnectError> {
    let found: Option<Tokens> = client.find(&["users", user, "tokens"], &READING).await?;
    let tokens = found.into_iter().flat_map(|found| found.api_tokens);
    Ok(tokens.into_iter().find(|token| token.key() == key))
}
