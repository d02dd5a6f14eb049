//! Asking the server, now, about one grant, account, credential or session list; and what the token may do at all.

use leasehold_model::account::Session;
use leasehold_model::credential::CredentialKind;
use leasehold_model::id::EntitlementName;
use leasehold_model::request::{AccountTarget, CredentialTarget, ReadBack, ReadTarget};
use serde::Deserialize;

use crate::connector::{TestReport, nothing_handed_over, only_one};
use crate::error::ConnectError;
use crate::openbao::client::Client;
use crate::openbao::lease::{self, LogInNames};
use crate::openbao::object::{
    Entity, Group, LogIn, LogInKind, NO_ENTITY, NO_ENTITY_LOGIN, log_ins_of, lone_log_ins,
    may_have_batch_tokens, token, tokens_of,
};

/// What a list of sessions does not say of somebody whose entity is not disabled.
const BATCH_TOKENS: &str = "batch tokens are in no list; one that a log-in gave works until it ends by itself or the entity is \
     disabled";

#[derive(Deserialize)]
struct SealStatus {
    version: String,
}

/// An account as it is now.
pub(super) enum Found {
    Entity(Entity),
    /// A log-in that no entity stands behind yet.
    LogIn(LogIn),
    /// The tokens of no entity.
    NoEntity,
}

/// What an entitlement's name says.
pub(super) enum Held<'name> {
    Group(&'name str),
    Policy(&'name str),
}

impl<'name> Held<'name> {
    /// Reads a name, or says why it means nothing here.
    pub fn parse(name: &'name EntitlementName) -> Result<Self, String> {
        match name.kind.as_str() {
            "group" => Ok(Self::Group(&name.name)),
            "policy" => Ok(Self::Policy(&name.name)),
            kind => Err(format!("`{kind}` is not a kind of entitlement here; known are group, policy")),
        }
    }
}

/// Reaches the server and reports what is missing.
pub(super) async fn test(client: &Client) -> Result<TestReport, ConnectError> {
    let own = client.own_token().await?;
    let mut missing_rights = Vec::new();
    for path in [
        ["identity", "entity", "id"].as_slice(),
        &["identity", "group", "id"],
        &["sys", "policies", "acl"],
        &["auth", "token", "accessors"],
    ] {
        if let Err(error) = client.list(path).await {
            missing_rights.push(format!("list on {} ({error})", path.join("/")));
        }
    }
    for prefix in &client.settings.lease_prefixes {
        if let Err(error) = client.list(&lease::listing(prefix)).await {
            missing_rights.push(format!("list and sudo on sys/leases/lookup/{prefix} ({error})"));
        }
    }
    let SealStatus { version } = client.read(&["sys", "seal-status"]).await?;
    Ok(TestReport {
        target: format!("OpenBao {version}"),
        acting_as: Some(format!("{} (accessor {})", own.display_name, own.accessor)),
        missing_rights,
    })
}

/// The account with its key, where one account has its login; without one where none has.
///
/// # Errors
/// The inner one where several have it.
pub(super) async fn keyed(
    client: &Client,
    account: &AccountTarget,
) -> Result<Result<AccountTarget, String>, ConnectError> {
    if !account.is_by_login() || account.login.is_empty() {
        return Ok(Ok(account.clone()));
    }
    if account.login == NO_ENTITY_LOGIN {
        return Ok(Ok(account.with_key(NO_ENTITY)));
    }
    let entity: Option<Entity> = client.find(&["identity", "entity", "name", &account.login]).await?;
    let mut keys = lone_log_ins(client, &account.login).await?;
    keys.extend(entity.map(|entity| entity.id));
    let found = only_one(&account.login, keys);
    Ok(found.map(|key| key.map_or_else(|| account.clone(), |key| account.with_key(key))))
}

/// Reads one object.
pub(super) async fn read_back(client: &Client, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
    let account = keyed(client, target.account()).await?;
    let account = account.map_err(|why| client.settings.http.target_error("finding the account", why))?;
    match &target.clone().with_account(account) {
        ReadTarget::Grant { account, entitlement } => {
            let held = match Held::parse(&entitlement.name) {
                Ok(held) => held,
                Err(why) => return Ok(ReadBack::Unsupported { why }),
            };
            let (direct, effective) = match find(client, account).await? {
                Some(found) => holds(client, &found, &held).await?,
                None => (false, false),
            };
            Ok(ReadBack::Grant { direct, effective: Some(effective) })
        }
        ReadTarget::Account { account } => Ok(match find(client, account).await? {
            Some(Found::Entity(entity)) => ReadBack::Account { exists: true, enabled: !entity.disabled },
            Some(Found::LogIn(_) | Found::NoEntity) => ReadBack::Account { exists: true, enabled: true },
            None => ReadBack::Account { exists: false, enabled: false },
        }),
        ReadTarget::HandOver { .. } => Ok(nothing_handed_over()),
        ReadTarget::Credential { account, credential } => {
            let exists = has_credential(client, account.key.as_str(), credential).await?;
            Ok(ReadBack::Credential { exists, active: exists })
        }
        ReadTarget::Sessions { account } => {
            // Of an account that is not there the key is empty, and so is the list.
            let tokens = tokens_of(client, account.key.as_str()).await?;
            let (mut leases, mut unlisted) = (Vec::new(), None);
            if let Some(Found::Entity(entity)) = find(client, account).await? {
                leases = lease::without_token(client, &entity, &tokens).await?;
                // A disabled entity's are refused.
                if !entity.disabled && may_have_batch_tokens(client, &entity).await? {
                    unlisted = Some(BATCH_TOKENS.to_owned());
                }
            }
            let leases = leases.into_iter().map(|lease| Session {
                detail: format!("lease of {}", lease.path()),
                started_at: lease.issue_time,
                id: lease.id,
            });
            let live = tokens.into_iter().map(|token| Session {
                id: token.accessor,
                started_at: token.issue_time,
                detail: format!("token of {}", token.path),
            });
            Ok(ReadBack::Sessions { live: live.chain(leases).collect(), unlisted })
        }
    }
}

/// Finds an account by its key.
pub(super) async fn find(client: &Client, target: &AccountTarget) -> Result<Option<Found>, ConnectError> {
    let key = target.key.as_str();
    if key == NO_ENTITY {
        return Ok(Some(Found::NoEntity));
    }
    if let Some(log_in) = LogIn::parse(key) {
        return Ok(log_in.policies(client).await?.map(|_| Found::LogIn(log_in)));
    }
    if key.is_empty() {
        return Ok(None);
    }
    Ok(client.find(&["identity", "entity", "id", key]).await?.map(Found::Entity))
}

/// Whether an account holds something directly, and on any path.
pub(super) async fn holds(
    client: &Client,
    found: &Found,
    held: &Held<'_>,
) -> Result<(bool, bool), ConnectError> {
    let entity = match (found, held) {
        (Found::Entity(entity), _) => entity,
        (Found::LogIn(log_in), Held::Policy(name)) => {
            let policies = log_in.policies(client).await?.unwrap_or_default();
            let direct = policies.iter().any(|policy| policy == name);
            return Ok((direct, direct));
        }
        (Found::LogIn(_) | Found::NoEntity, _) => return Ok((false, false)),
    };
    match held {
        Held::Group(name) => {
            let found: Option<Group> = client.find(&["identity", "group", "name", name]).await?;
            let Some(group) = found else { return Ok((false, false)) };
            Ok((entity.direct_group_ids.contains(&group.id), entity.group_ids.contains(&group.id)))
        }
        Held::Policy(name) => {
            let has = |policies: &[String]| policies.iter().any(|policy| policy == name);
            let mut direct = has(&entity.policies);
            for log_in in log_ins_of(client, entity).await? {
                direct = direct || has(&log_in.policies(client).await?.unwrap_or_default());
            }
            let mut effective = direct;
            for id in &entity.group_ids {
                let group: Option<Group> = client.find(&["identity", "group", "id", id]).await?;
                effective = effective || group.is_some_and(|group| has(&group.policies));
            }
            Ok((direct, effective))
        }
    }
}

/// Whether a credential of an account exists.
pub(super) async fn has_credential(
    client: &Client,
    account: &str,
    target: &CredentialTarget,
) -> Result<bool, ConnectError> {
    let key = target.key.as_str();
    match target.kind {
        CredentialKind::Token if key.contains('/') => {
            let Some(lease) = lease::find(client, key).await? else { return Ok(false) };
            let entity: Option<Entity> = client.find(&["identity", "entity", "id", account]).await?;
            match entity {
                Some(entity) => Ok(LogInNames::of(client, &entity).await?.has(lease.path())),
                // Nobody can say whose it was, and it is there.
                None => Ok(true),
            }
        }
        CredentialKind::Token => {
            let found = token(client, key).await?;
            Ok(found.is_some_and(|token| token.account().as_str() == account))
        }
        CredentialKind::Password => match LogIn::parse(key) {
            Some(log_in) if log_in.kind == LogInKind::UserPass => {
                Ok(log_in.policies(client).await?.is_some())
            }
            _ => Ok(false),
        },
        CredentialKind::ApiKey => match secret_id(key) {
            Some((log_in, accessor)) => log_in.has_secret_id(client, accessor).await,
            None => Ok(false),
        },
        _ => Ok(false),
    }
}

/// The role and the accessor in the key of a secret-id.
pub(super) fn secret_id(key: &str) -> Option<(LogIn, &str)> {
    let (log_in, accessor) = key.rsplit_once("/secret-id/")?;
    let log_in = LogIn::parse(log_in).filter(|log_in| log_in.kind == LogInKind::AppRole)?;
    (!accessor.is_empty()).then_some((log_in, accessor))
}
