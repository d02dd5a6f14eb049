//! Asking the server, now, about one grant or account; and what the token may do at all.

use std::collections::BTreeSet;

use leasehold_model::request::{EntitlementTarget, ReadBack, ReadTarget};
use serde_json::Value;

use crate::connector::{TestReport, no_credentials, nothing_handed_over};
use crate::error::ConnectError;
use crate::scim::client::Client;
use crate::scim::find::{self, Held};
use crate::scim::paging::{Listing, count};
use crate::scim::resource::{MemberKind, groups_of, is_active, member, names, text, values};
use crate::scim::settings::Membership;

/// How many groups one membership may be carried by.
const GROUPS_MAX: usize = 10_000;

/// Reaches the server and reports what is missing.
pub(super) async fn test(client: &Client) -> Result<TestReport, ConnectError> {
    let service = client.service().await?;
    let mut missing_rights = Vec::new();
    let users = count(client, "Users").await?;
    if client.settings.membership != Membership::None
        && let Err(error) = count(client, "Groups").await
    {
        missing_rights
            .push(format!("list Groups ({error}); a server that has none needs `membership = \"none\"`"));
    }
    let host = client.settings.url.host_str().unwrap_or_default();
    let users = users.map_or_else(|| "users".to_owned(), |users| format!("{users} users"));
    let paging = if service.cursor { "cursors" } else { "indexes" };
    let own = client.own_account().await?;
    Ok(TestReport {
        target: format!("SCIM 2.0 at {host}, {users}, paged by {paging}"),
        acting_as: own.map(|id| format!("the account {id}")),
        missing_rights,
    })
}

/// Reads one object.
pub(super) async fn read_back(client: &Client, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
    match target {
        ReadTarget::Grant { account, entitlement } => {
            let held = match Held::parse(&entitlement.name) {
                Ok(held) => held,
                Err(why) => return Ok(ReadBack::Unsupported { why }),
            };
            let (direct, effective) = match find::account(client, account).await? {
                Some(user) => holds(client, &user.body, entitlement, &held).await?,
                None => (false, false),
            };
            Ok(ReadBack::Grant { direct, effective: Some(effective) })
        }
        ReadTarget::Account { account } => Ok(match find::account(client, account).await? {
            Some(user) => ReadBack::Account { exists: true, enabled: is_active(&user.body) },
            None => ReadBack::Account { exists: false, enabled: false },
        }),
        ReadTarget::Credential { .. } => Ok(no_credentials()),
        ReadTarget::HandOver { .. } => Ok(nothing_handed_over()),
        ReadTarget::Sessions { .. } => {
            Ok(ReadBack::Unsupported { why: "SCIM knows no sessions; look in the system itself".to_owned() })
        }
    }
}

/// Whether a user holds something directly, and on any path.
async fn holds(
    client: &Client,
    user: &Value,
    entitlement: &EntitlementTarget,
    held: &Held<'_>,
) -> Result<(bool, bool), ConnectError> {
    let name = match held {
        Held::Group(name) => name,
        Held::Value { attribute, value } => {
            let direct = names(user, attribute).contains(*value);
            return Ok((direct, direct));
        }
    };
    let Some(group) = find::group(client, entitlement, name).await? else { return Ok((false, false)) };
    let (user_id, group_id) = (text(user, "id"), text(&group.body, "id"));
    let (Some(user_id), Some(group_id)) = (user_id, group_id) else { return Ok((false, false)) };
    match client.settings.membership {
        Membership::User => {
            let effective = groups_of(user).iter().any(|(id, _)| *id == group_id);
            Ok((is_direct_member(user, &group_id), effective))
        }
        Membership::None => Ok((false, false)),
        Membership::GroupList | Membership::Group => carried(client, group.body, &group_id, &user_id).await,
    }
}

/// Whether a user is a member of a group, and whether one of any group in it.
async fn carried(
    client: &Client,
    group: Value,
    group_id: &str,
    user_id: &str,
) -> Result<(bool, bool), ConnectError> {
    let direct = is_member(&group, user_id);
    if direct {
        return Ok((true, true));
    }
    let mut known: Option<BTreeSet<String>> = None;
    let mut seen = BTreeSet::from([group_id.to_owned()]);
    let mut waiting = inner_groups(client, &group, &mut known).await?;
    while let Some(id) = waiting.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        if seen.len() > GROUPS_MAX {
            let message = format!("more than {GROUPS_MAX} groups are in it, and not all were looked into");
            return Err(client.settings.http.target_error(&format!("Groups/{group_id}"), message));
        }
        // A group that went since it was a member carries nothing.
        let Some(inner) = find::by_id(client, "Groups", &id).await? else { continue };
        if is_member(&inner.body, user_id) {
            return Ok((false, true));
        }
        waiting.extend(inner_groups(client, &inner.body, &mut known).await?);
    }
    Ok((false, false))
}

/// Whether a user is among a group's own members.
pub(super) fn is_member(group: &Value, user_id: &str) -> bool {
    values(group, "members")
        .iter()
        .filter_map(member)
        .any(|(id, kind)| id == user_id && kind != MemberKind::Group)
}

/// Whether a user's own `groups` show one that is held directly.
pub(super) fn is_direct_member(user: &Value, group_id: &str) -> bool {
    groups_of(user).iter().any(|(id, is_direct)| id == group_id && *is_direct)
}

/// The groups in a group. Where the server does not say which members those are, it is asked for all groups.
async fn inner_groups(
    client: &Client,
    group: &Value,
    known: &mut Option<BTreeSet<String>>,
) -> Result<Vec<String>, ConnectError> {
    let mut inner = Vec::new();
    for (id, kind) in values(group, "members").iter().filter_map(member) {
        let is_group = match kind {
            MemberKind::User => false,
            MemberKind::Group => true,
            MemberKind::Unstated => {
                let groups = match known.take() {
                    Some(groups) => groups,
                    None => group_ids(client).await?,
                };
                known.insert(groups).contains(&id)
            }
        };
        if is_group {
            inner.push(id);
        }
    }
    Ok(inner)
}

async fn group_ids(client: &Client) -> Result<BTreeSet<String>, ConnectError> {
    let listing = Listing::begin(client, "Groups", client.settings.page_size).await?;
    let mut listing = listing.with_wish("excludedAttributes", "members");
    let mut ids = BTreeSet::new();
    while let Some(page) = listing.next().await? {
        ids.extend(page.iter().filter_map(|group| text(group, "id")));
    }
    match listing.doubts.first() {
        Some(doubt) => Err(client.settings.http.target_error("Groups", doubt.clone())),
        None => Ok(ids),
    }
}
