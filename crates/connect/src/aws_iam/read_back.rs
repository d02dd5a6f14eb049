//! Asking the account, now, about one grant, user or credential; and what Leasehold's own user may do at all.

use leasehold_model::request::{AccountTarget, ReadBack, ReadTarget};

use crate::aws_iam::client::{Caller, Client, code};
use crate::aws_iam::credentials;
use crate::aws_iam::document::Document;
use crate::aws_iam::name::{DISABLED, Held, SESSIONS_ENDED, is_possible, managed};
use crate::aws_iam::paths::roles_of;
use crate::connector::{TestReport, nothing_handed_over};
use crate::error::ConnectError;

/// The key of the account's root, which is no user.
pub(super) const ROOT: &str = "root";
/// What AWS's own reports call it.
pub(super) const ROOT_LOGIN: &str = "<root_account>";
/// The key of root's access keys, of which the account tells only whether there are any.
pub(super) const ROOT_ACCESS_KEYS: &str = "root/access-keys";

/// Readings that an enumeration cannot do without, each with the right for it.
const READINGS: [(&str, &[(&str, &str)]); 4] = [
    ("GetAccountSummary", &[]),
    ("GetAccountAuthorizationDetails", &[("MaxItems", "1"), ("Filter.member.1", "User")]),
    ("ListUsers", &[("MaxItems", "1")]),
    ("ListRoles", &[("MaxItems", "1")]),
];

/// A user as it is now.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub id: String,
    pub name: String,
    pub arn: String,
}

/// Reaches the account and reports what is missing.
pub(super) async fn test(client: &Client) -> Result<TestReport, ConnectError> {
    let caller = client.ask_caller().await?;
    let mut missing_rights = Vec::new();
    for (action, parameters) in READINGS {
        if let Err(error) = client.try_ask(action, parameters).await? {
            missing_rights.push(format!("iam:{action}, to read the account ({error})"));
        }
    }
    let Caller { arn, account, .. } = caller;
    Ok(TestReport { target: format!("AWS IAM, account {account}"), acting_as: Some(arn), missing_rights })
}

/// Whether the account's root is meant.
pub(super) fn is_root(account: &AccountTarget) -> bool {
    account.key.as_str() == ROOT || (account.is_by_login() && account.login == ROOT_LOGIN)
}

/// Reads one object.
pub(super) async fn read_back(client: &Client, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
    if is_root(target.account()) {
        return read_root(client, target).await;
    }
    let found = user(client, target.account()).await?;
    match target {
        ReadTarget::Grant { entitlement, .. } => {
            let held = match Held::parse(&entitlement.name) {
                Ok(held) => held,
                Err(why) => return Ok(ReadBack::Unsupported { why }),
            };
            let (direct, effective) = match &found {
                Some(user) => (holds(client, user, &held).await?, true),
                None => (false, false),
            };
            let effective = direct || (effective && holds_by_path(client, found.as_ref(), &held).await?);
            Ok(ReadBack::Grant { direct, effective: Some(effective) })
        }
        ReadTarget::Account { .. } => {
            let enabled = match &found {
                Some(user) => !is_disabled(client, &user.name).await?,
                None => false,
            };
            Ok(ReadBack::Account { exists: found.is_some(), enabled })
        }
        ReadTarget::Credential { credential, .. } => {
            let Some(user) = found else { return Ok(ReadBack::Credential { exists: false, active: false }) };
            match credentials::read(client, &user.name, &user.id, credential).await? {
                Some((exists, active)) => Ok(ReadBack::Credential { exists, active }),
                None => {
                    let why = format!("IAM knows no credential of the kind {}", credential.kind.as_str());
                    Ok(ReadBack::Unsupported { why })
                }
            }
        }
        ReadTarget::HandOver { .. } => Ok(nothing_handed_over()),
        ReadTarget::Sessions { .. } => {
            let since = match &found {
                Some(user) => sessions_ended_before(client, &user.name).await?,
                None => None,
            };
            let why = match since {
                Some(at) => {
                    format!(
                        "AWS lists no sessions; every one of the user that began before {at} is denied everything, and those of roles \
                         that they assumed go on until they end: at most for the role's longest session"
                    )
                }
                None => "AWS lists no sessions".to_owned(),
            };
            Ok(ReadBack::Unsupported { why })
        }
    }
}

async fn read_root(client: &Client, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
    Ok(match target {
        ReadTarget::Grant { .. } => ReadBack::Grant { direct: false, effective: Some(false) },
        ReadTarget::Account { .. } => ReadBack::Account { exists: true, enabled: true },
        ReadTarget::Credential { credential, .. } => {
            let exists = credential.key.as_str() == ROOT_ACCESS_KEYS
                && summary(client).await?.root_access_keys.unwrap_or(0) > 0;
            ReadBack::Credential { exists, active: exists }
        }
        ReadTarget::HandOver { .. } => nothing_handed_over(),
        ReadTarget::Sessions { .. } => ReadBack::Unsupported { why: "AWS lists no sessions".to_owned() },
    })
}

/// What the account counts of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub users: Option<u64>,
    pub groups: Option<u64>,
    pub roles: Option<u64>,
    pub policies: Option<u64>,
    /// How many access keys root has, where it is told.
    pub root_access_keys: Option<u64>,
    /// Whether root has a second factor, where it is told.
    pub root_has_second_factor: Option<bool>,
}

/// Reads what the account counts of itself.
pub(super) async fn summary(client: &Client) -> Result<Summary, ConnectError> {
    let node = client.ask("GetAccountSummary", &[]).await?;
    let count = |name: &str| {
        let entry = node.entries("SummaryMap").find(|(key, _)| *key == name);
        entry.and_then(|(_, value)| value.parse::<u64>().ok())
    };
    Ok(Summary {
        users: count("Users"),
        groups: count("Groups"),
        roles: count("Roles"),
        policies: count("Policies"),
        root_access_keys: count("AccountAccessKeysPresent"),
        root_has_second_factor: count("AccountMFAEnabled").map(|enabled| enabled > 0),
    })
}

/// Finds a user by its stable id, whatever it is called now; one that has none yet by its name.
pub(super) async fn user(client: &Client, target: &AccountTarget) -> Result<Option<User>, ConnectError> {
    let wanted = target.key.as_str();
    if is_possible(&target.login)
        && let Some(node) = client.find("GetUser", &[("UserName", &target.login)]).await?
        && let Some(user) = node.child("User")
        && (wanted.is_empty() || user.text("UserId") == wanted)
    {
        return Ok(Some(user_of(user)));
    }
    if wanted.is_empty() {
        return Ok(None);
    }
    // It was renamed, or is gone: only the whole list tells which.
    let (mut found, mut seen) = (None, 0);
    client
        .pages("ListUsers", &[], |page| {
            for user in page.members("Users") {
                seen += 1;
                if user.text("UserId") == wanted {
                    found = Some(user_of(user));
                }
            }
        })
        .await?;
    if found.is_none() {
        // A list that was cut short must not make anybody absent: it has to be as long as the account says.
        let users = summary(client).await?.users;
        if users.is_none_or(|users| users > seen) {
            let said = users.map_or_else(|| "an unknown number of".to_owned(), |users| users.to_string());
            let message = format!(
                "it lists {seen} of {said} users, so that nobody who is missing may be taken for gone"
            );
            return Err(client.settings.http.target_error("ListUsers", message));
        }
    }
    Ok(found)
}

fn user_of(node: &crate::aws_iam::xml::Node) -> User {
    let text = |name: &str| node.text(name).to_owned();
    User { id: text("UserId"), name: text("UserName"), arn: text("Arn") }
}

/// Whether the policy that stops a user is there and says what it must.
pub(super) async fn is_disabled(client: &Client, user: &str) -> Result<bool, ConnectError> {
    let document = own_policy(client, user, DISABLED).await?;
    Ok(document.is_some_and(|document| document.denies_everything()))
}

/// Before which instant a user's sessions are denied everything.
pub(super) async fn sessions_ended_before(
    client: &Client,
    user: &str,
) -> Result<Option<jiff::Timestamp>, ConnectError> {
    let document = own_policy(client, user, SESSIONS_ENDED).await?;
    Ok(document.and_then(|document| document.denies_sessions_before()))
}

async fn own_policy(client: &Client, user: &str, policy: &str) -> Result<Option<Document>, ConnectError> {
    let parameters = [("UserName", user), ("PolicyName", policy)];
    let found = client.find("GetUserPolicy", &parameters).await?;
    Ok(found.and_then(|node| Document::parse(node.text("PolicyDocument"))))
}

/// The names of a user's groups.
pub(super) async fn groups_of(client: &Client, user: &str) -> Result<Vec<String>, ConnectError> {
    let mut groups = Vec::new();
    client
        .pages("ListGroupsForUser", &[("UserName", user)], |page| {
            groups.extend(page.members("Groups").map(|group| group.text("GroupName").to_owned()));
        })
        .await?;
    Ok(groups)
}

/// The ARNs of the managed policies of a user (`ListAttachedUserPolicies`) or a group.
pub(super) async fn attached(
    client: &Client,
    action: &str,
    parameter: &str,
    holder: &str,
) -> Result<Vec<String>, ConnectError> {
    let mut policies = Vec::new();
    let ended = client
        .try_pages(action, &[(parameter, holder)], |page| {
            policies
                .extend(page.members("AttachedPolicies").map(|policy| policy.text("PolicyArn").to_owned()));
        })
        .await?;
    match ended {
        Ok(()) => Ok(policies),
        Err(error) if error.is(code::NO_SUCH_ENTITY) => Ok(Vec::new()),
        Err(error) => Err(client.target_error(action, &error)),
    }
}

/// Whether a user holds something directly.
pub(super) async fn holds(client: &Client, user: &User, held: &Held) -> Result<bool, ConnectError> {
    Ok(match held {
        Held::Group(group) => groups_of(client, &user.name).await?.contains(group),
        Held::Managed { .. } => {
            let policies = attached(client, "ListAttachedUserPolicies", "UserName", &user.name).await?;
            policies.iter().any(|arn| is_of(arn, held))
        }
        Held::OfUser { user: of, policy } => {
            let parameters = [("UserName", user.name.as_str()), ("PolicyName", policy.as_str())];
            *of == user.name && client.find("GetUserPolicy", &parameters).await?.is_some()
        }
        Held::Role(role) => match client.find("GetRole", &[("RoleName", role)]).await? {
            Some(node) => node
                .child("Role")
                .and_then(|role| Document::parse(role.text("AssumeRolePolicyDocument")))
                .is_some_and(|trust| trust.trusts(&user.arn)),
            None => false,
        },
        Held::OfGroup { .. } | Held::OfRole { .. } | Held::InstanceProfile => false,
    })
}

/// Whether a user holds something through a group or a role.
async fn holds_by_path(client: &Client, user: Option<&User>, held: &Held) -> Result<bool, ConnectError> {
    let Some(user) = user else { return Ok(false) };
    if matches!(held, Held::Group(_) | Held::OfUser { .. } | Held::InstanceProfile) {
        return Ok(false);
    }
    let groups = groups_of(client, &user.name).await?;
    match held {
        Held::Managed { .. } => {
            for group in &groups {
                let policies = attached(client, "ListAttachedGroupPolicies", "GroupName", group).await?;
                if policies.iter().any(|arn| is_of(arn, held)) {
                    return Ok(true);
                }
            }
            for role in roles_of(client, user, &groups).await? {
                let policies = attached(client, "ListAttachedRolePolicies", "RoleName", &role).await?;
                if policies.iter().any(|arn| is_of(arn, held)) {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Held::OfGroup { group, policy } => {
            let parameters = [("GroupName", group.as_str()), ("PolicyName", policy.as_str())];
            Ok(groups.contains(group) && client.find("GetGroupPolicy", &parameters).await?.is_some())
        }
        Held::OfRole { role, policy } => {
            let parameters = [("RoleName", role.as_str()), ("PolicyName", policy.as_str())];
            Ok(client.find("GetRolePolicy", &parameters).await?.is_some()
                && roles_of(client, user, &groups).await?.contains(role))
        }
        Held::Role(role) => Ok(roles_of(client, user, &groups).await?.contains(role)),
        Held::Group(_) | Held::OfUser { .. } | Held::InstanceProfile => Ok(false),
    }
}

/// Whether a managed policy is the one that a name means.
fn is_of(arn: &str, held: &Held) -> bool {
    Held::parse(&managed(arn)).as_ref() == Ok(held)
}
