//! The settings of a `scim` system, checked before anything is reached.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::error::ConnectError;
use crate::http_client::HttpClient;
use crate::log_in::{self, LogIn, address, choice};
use crate::settings::Settings;

/// What a server that states no limit of its own is asked for at once.
const PAGE_SIZE: u64 = 200;
const GROUP_PAGE_SIZE: u64 = 25;

/// Where the server tells who is in which group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Membership {
    /// In the `members` of each group of a list.
    GroupList,
    /// In the `members` of a group that is read by itself.
    Group,
    /// In the `groups` of each user.
    User,
    /// Nowhere: the server has no groups.
    None,
}

/// How a member is taken out of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberRemoval {
    /// `remove` at `members[value eq "ID"]`, as RFC 7644 has it.
    Filter,
    /// `remove` at `members` with the member as its value, as some servers want it; another would take out everybody.
    Value,
    /// The whole group is written anew without the member.
    Replace,
}

/// Whether the server takes passwords of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passwords {
    /// Where its ServiceProviderConfig says so.
    AsStated,
    /// Whatever it says.
    Set,
    /// Whatever it says, it does not: people get in by single sign-on.
    Never,
}

/// What is known of the server before it is reached.
pub(super) struct ScimSettings {
    pub http: HttpClient,
    /// The address that `Users` and `Groups` are below.
    pub url: Url,
    pub log_in: LogIn,
    pub membership: Membership,
    pub member_removal: MemberRemoval,
    pub passwords: Passwords,
    pub page_size: u64,
    pub group_page_size: u64,
    /// Whether each page begins with the last of the page before, so that a list that moved is noticed.
    pub page_overlap: bool,
    pub sort_by: Option<String>,
    /// What every new account gets beside the attributes of the request.
    pub new_account: Value,
}

/// Reads them.
pub(super) fn read(settings: &mut Settings) -> Result<ScimSettings, ConnectError> {
    let text = settings.string("url", "https://app.example.com/scim/v2")?;
    let url = address(settings, "url", &text)?;
    let authority = settings.optional_path("ca_certificate")?;
    let timeout = Duration::from_millis(settings.integer_or("timeout_ms", 30_000, 100, 3_600_000)?);
    let http = HttpClient::new(settings, &url, authority.as_deref(), timeout)?;
    let log_in = log_in::read(settings, authority.as_deref(), timeout)?;
    let memberships = [
        ("group_list", Membership::GroupList),
        ("group", Membership::Group),
        ("user", Membership::User),
        ("none", Membership::None),
    ];
    let removals = [
        ("filter", MemberRemoval::Filter),
        ("value", MemberRemoval::Value),
        ("replace", MemberRemoval::Replace),
    ];
    let passwords =
        [("as_stated", Passwords::AsStated), ("set", Passwords::Set), ("never", Passwords::Never)];
    let new_account = serde_json::to_value(settings.table("new_account")?)
        .map_err(|error| settings.error("new_account", format!("cannot be sent: {error}")))?;
    Ok(ScimSettings {
        http,
        url,
        log_in,
        membership: choice(settings, "membership", &memberships)?,
        member_removal: choice(settings, "member_removal", &removals)?,
        passwords: choice(settings, "passwords", &passwords)?,
        page_size: settings.integer_or("page_size", PAGE_SIZE, 2, 10_000)?,
        group_page_size: settings.integer_or("group_page_size", GROUP_PAGE_SIZE, 2, 10_000)?,
        page_overlap: settings.bool_or("page_overlap", true)?,
        sort_by: settings.optional_string("sort_by")?,
        new_account,
    })
}
