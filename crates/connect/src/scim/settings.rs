//! The settings of a `scim` system, checked before anything is reached.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use url::{Host, Url};

use crate::error::ConnectError;
use crate::http_client::HttpClient;
use crate::settings::{Settings, did_you_mean};

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

/// What is known of the server before it is reached.
pub(super) struct ScimSettings {
    pub http: HttpClient,
    /// The address that `Users` and `Groups` are below.
    pub url: Url,
    pub log_in: LogIn,
    pub membership: Membership,
    pub member_removal: MemberRemoval,
    pub page_size: u64,
    pub group_page_size: u64,
    /// Whether each page begins with the last of the page before, so that a list that moved is noticed.
    pub page_overlap: bool,
    pub sort_by: Option<String>,
    /// What every new account gets beside the attributes of the request.
    pub new_account: Value,
}

/// How the connector shows who it is.
pub(super) enum LogIn {
    /// A token that does not change.
    Token(SecretString),
    /// OAuth 2.0 client credentials (RFC 6749 section 4.4), which give a token for a while.
    Client(Box<OauthClient>),
}

/// A client of an authorization server.
pub(super) struct OauthClient {
    pub http: HttpClient,
    pub token_url: Url,
    pub id: String,
    pub secret: SecretString,
    pub scope: Option<String>,
    /// The secret is sent in the form and not in the header.
    pub secret_in_form: bool,
}

/// Reads them.
pub(super) fn read(settings: &mut Settings) -> Result<ScimSettings, ConnectError> {
    let text = settings.string("url", "https://app.example.com/scim/v2")?;
    let url = address(settings, "url", &text)?;
    let authority = settings.optional_path("ca_certificate")?;
    let timeout = Duration::from_millis(settings.integer_or("timeout_ms", 30_000, 100, 3_600_000)?);
    let client =
        |settings: &Settings, url: &Url| HttpClient::new(settings, url, authority.as_deref(), timeout);
    let http = client(settings, &url)?;
    let token = settings.secret("token")?;
    let token_url = settings.optional_string("token_url")?;
    let id = settings.optional_string("client_id")?;
    let secret = settings.secret("client_secret")?;
    let scope = settings.optional_string("scope")?;
    let client_auth = choice(settings, "client_auth", &[("basic", false), ("post", true)])?;
    let log_in = match (token, token_url) {
        (Some(token), None) => {
            let said = [
                ("client_id", id.is_some()),
                ("client_secret", secret.is_some()),
                ("scope", scope.is_some()),
            ];
            if let Some((key, _)) = said.into_iter().find(|(_, said)| *said) {
                return Err(settings.error(key, "belongs to `token_url`, and `token` is set; leave one out"));
            }
            LogIn::Token(token)
        }
        (None, Some(text)) => {
            let token_url = address(settings, "token_url", &text)?;
            let id = id.ok_or_else(|| settings.error("client_id", "is missing; `token_url` needs it"))?;
            let missing = "is missing; write `env:NAME` or `file:PATH`";
            let secret = secret.ok_or_else(|| settings.error("client_secret", missing))?;
            let http = client(settings, &token_url)?;
            LogIn::Client(Box::new(OauthClient {
                http,
                token_url,
                id,
                secret,
                scope,
                secret_in_form: client_auth,
            }))
        }
        (Some(_), Some(_)) => {
            return Err(settings.error("token", "and `token_url` are both set; leave one out"));
        }
        (None, None) => {
            let message = "is missing; write `env:NAME` or `file:PATH`, or name `token_url`, `client_id` and \
                           `client_secret`";
            return Err(settings.error("token", message));
        }
    };
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
    let new_account = serde_json::to_value(settings.table("new_account")?)
        .map_err(|error| settings.error("new_account", format!("cannot be sent: {error}")))?;
    Ok(ScimSettings {
        http,
        url,
        log_in,
        membership: choice(settings, "membership", &memberships)?,
        member_removal: choice(settings, "member_removal", &removals)?,
        page_size: settings.integer_or("page_size", PAGE_SIZE, 2, 10_000)?,
        group_page_size: settings.integer_or("group_page_size", GROUP_PAGE_SIZE, 2, 10_000)?,
        page_overlap: settings.bool_or("page_overlap", true)?,
        sort_by: settings.optional_string("sort_by")?,
        new_account,
    })
}

/// An address that secrets may be sent to.
fn address(settings: &Settings, key: &str, text: &str) -> Result<Url, ConnectError> {
    let url = Url::parse(text)
        .map_err(|error| settings.error(key, format!("`{text}` is not an address: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(settings.error(key, "must hold no user and no password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(settings.error(key, "must end with its path, without `?` and `#`"));
    }
    let nearby = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if nearby => Ok(url),
        "http" => Err(settings.error(key, "would send secrets unencrypted; use `https://`")),
        other => Err(settings.error(key, format!("`{other}://` is not spoken; use `https://`"))),
    }
}

/// One of some words; the first counts where nothing is said.
fn choice<T: Copy>(settings: &mut Settings, key: &str, words: &[(&str, T)]) -> Result<T, ConnectError> {
    let word = settings.optional_string(key)?;
    let word = word.as_deref().unwrap_or(words[0].0);
    match words.iter().find(|(known, _)| *known == word) {
        Some((_, value)) => Ok(*value),
        None => {
            let known: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
            Err(settings.error(key, format!("`{word}` is not known here{}", did_you_mean(word, &known))))
        }
    }
}
