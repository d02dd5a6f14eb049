//! The settings of an `ldap` system, checked before anything is reached.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};

use crate::csv::date::Dates;
use crate::error::ConnectError;
use crate::ldap::dialect::Dialect;
use crate::ldap::dn::NormalDn;
use crate::settings::Settings;
use crate::tls;

/// What is known of the directory before it is reached.
pub(super) struct LdapSettings {
    pub system: String,
    pub url: url::Url,
    /// Host and port, for messages.
    pub address: String,
    pub base_dn: String,
    pub base: NormalDn,
    /// `None` binds anonymously.
    pub bind: Option<Bind>,
    pub start_tls: bool,
    /// How to check the server's certificate; `None` where nothing is encrypted.
    pub tls: Option<Arc<ClientConfig>>,
    /// Entries of a page; with Active Directory also members of one answer.
    pub page_size: i32,
    /// `None` asks the directory itself.
    pub dialect: Option<Dialect>,
    pub people_filter: Option<String>,
    pub groups_filter: Option<String>,
    /// `None` where accounts are made by others.
    pub new_accounts: Option<NewAccounts>,
    /// A member that stands for "nobody" where a group may not be empty.
    pub placeholder: Option<(String, NormalDn)>,
    /// The DN of slapd's default password policy, where the directory holds several.
    pub password_policy: Option<String>,
    pub timeout: Duration,
    /// This directory says who there is.
    pub feed: Option<Feed>,
}

/// Where and as what new accounts are made.
pub(super) struct NewAccounts {
    /// The entry below which they are.
    pub base: String,
    /// Their object classes; empty leaves them to the dialect.
    pub classes: Vec<String>,
}

/// Whom to log in as.
pub(super) struct Bind {
    pub dn: String,
    pub password: SecretString,
}

/// How people are read from an authoritative directory.
pub(super) struct Feed {
    /// Which of our attributes is the identity's key.
    pub key: String,
    /// Our attribute names, and the directory's.
    pub columns: BTreeMap<String, String>,
    /// How days are read.
    pub dates: Dates,
}

/// Our attribute, and where directories usually keep it.
const DEFAULT_COLUMNS: [(&str, &str); 8] = [
    ("email", "mail"),
    ("employee_number", "employeeNumber"),
    ("given_name", "givenName"),
    ("family_name", "sn"),
    ("title", "title"),
    ("department", "department"),
    ("location", "l"),
    ("manager", "manager"),
];

/// Reads them.
pub(super) fn read(settings: &mut Settings) -> Result<LdapSettings, ConnectError> {
    let text = settings.string("url", "ldaps://ldap.example.com")?;
    let url =
        url::Url::parse(&text).map_err(|error| settings.error("url", format!("is not a URL: {error}")))?;
    let default_port = match url.scheme() {
        "ldap" => 389,
        "ldaps" => 636,
        other => {
            return Err(
                settings.error("url", format!("begins with `{other}://`, not `ldap://` or `ldaps://`"))
            );
        }
    };
    let Some(host) = url.host_str().filter(|host| !host.is_empty()).map(str::to_owned) else {
        return Err(settings.error("url", "names no host"));
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.path().len() > 1
    {
        return Err(settings.error(
            "url",
            "holds more than scheme, host and port; write `bind_dn`, `password` and `base_dn` instead",
        ));
    }
    let address = format!("{host}:{}", url.port().unwrap_or(default_port));

    let base_dn = settings.string("base_dn", "dc=example,dc=com")?;
    let base = NormalDn::parse(&base_dn)
        .ok_or_else(|| settings.error("base_dn", format!("`{base_dn}` is not a distinguished name")))?;
    let bind = read_bind(settings)?;

    let start_tls = settings.bool_or("start_tls", false)?;
    if start_tls && url.scheme() == "ldaps" {
        return Err(settings.error("start_tls", "is not for `ldaps://`, which is encrypted from the start"));
    }
    let encrypted = start_tls || url.scheme() == "ldaps";
    let nearby = matches!(host.as_str(), "localhost" | "[::1]") || host.starts_with("127.");
    let clear_text = settings.bool_or("allow_clear_text", false)?;
    if bind.is_some() && !encrypted && !nearby && !clear_text {
        return Err(settings.error(
            "url",
            "would send the password unencrypted; use `ldaps://` or `start_tls = true`, or say `allow_clear_text = true`",
        ));
    }
    let authority = settings.optional_path("ca_certificate")?;
    let tls = match encrypted {
        true => Some(Arc::new(tls::client_config(settings, authority.as_deref())?)),
        false => None,
    };

    let dialect = match settings.optional_string("dialect")? {
        None => None,
        Some(text) => Some(Dialect::parse(&text).ok_or_else(|| {
            settings
                .error("dialect", format!("`{text}` is not known; write `openldap` or `active-directory`"))
        })?),
    };
    let placeholder = match settings.optional_string("placeholder_member")? {
        None => None,
        Some(text) => match NormalDn::parse(&text) {
            Some(normal) => Some((text, normal)),
            None => {
                let message = format!("`{text}` is not a distinguished name");
                return Err(settings.error("placeholder_member", message));
            }
        },
    };
    let new_accounts = read_new_accounts(settings, &base)?;
    let page_size = settings.integer_or("page_size", 500, 1, 100_000)?;
    Ok(LdapSettings {
        system: settings.system().to_string(),
        url,
        address,
        base_dn,
        base,
        bind,
        start_tls,
        tls,
        page_size: i32::try_from(page_size).unwrap_or(500),
        dialect,
        people_filter: read_filter(settings, "people_filter")?,
        groups_filter: read_filter(settings, "groups_filter")?,
        new_accounts,
        placeholder,
        password_policy: settings.optional_string("password_policy")?,
        timeout: Duration::from_millis(settings.integer_or("timeout_ms", 30_000, 100, 3_600_000)?),
        feed: read_feed(settings)?,
    })
}

fn read_bind(settings: &mut Settings) -> Result<Option<Bind>, ConnectError> {
    let password = settings.secret("password")?;
    match (settings.optional_string("bind_dn")?, password) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(settings.error("bind_dn", "is missing: whose is the password?")),
        // A bind with a name and without a password succeeds as nobody (RFC 4513, 5.1.2).
        (Some(_), None) => Err(settings.error("password", "is missing; write `env:NAME` or `file:PATH`")),
        (Some(_), Some(password)) if password.expose_secret().is_empty() => {
            Err(settings.error("password", "is empty, with which a directory lets anybody in as nobody"))
        }
        (Some(dn), Some(password)) => Ok(Some(Bind { dn, password })),
    }
}

fn read_new_accounts(settings: &mut Settings, tree: &NormalDn) -> Result<Option<NewAccounts>, ConnectError> {
    let classes = settings.strings("new_account_classes")?;
    let Some(base) = settings.optional_string("new_account_base")? else {
        return match classes.is_empty() {
            true => Ok(None),
            false => {
                Err(settings
                    .error("new_account_base", "is missing: where are accounts of these classes made?"))
            }
        };
    };
    match NormalDn::parse(&base) {
        Some(normal) if normal.is_within(tree) => Ok(Some(NewAccounts { base, classes })),
        Some(_) => {
            let message = format!("`{base}` is not below `base_dn`, where new accounts would be read");
            Err(settings.error("new_account_base", message))
        }
        None => Err(settings.error("new_account_base", format!("`{base}` is not a distinguished name"))),
    }
}

fn read_filter(settings: &mut Settings, key: &str) -> Result<Option<String>, ConnectError> {
    let Some(filter) = settings.optional_string(key)? else { return Ok(None) };
    match ldap3::parse_filter(&filter) {
        Ok(_) => Ok(Some(filter)),
        Err(()) => Err(settings.error(key, format!("`{filter}` is not an LDAP filter (RFC 4515)"))),
    }
}

fn read_feed(settings: &mut Settings) -> Result<Option<Feed>, ConnectError> {
    let authoritative = settings.bool_or("authoritative", false)?;
    let key = settings.optional_string("key")?.unwrap_or_else(|| "email".to_owned());
    let mut columns: BTreeMap<String, String> =
        DEFAULT_COLUMNS.iter().map(|(ours, theirs)| ((*ours).to_owned(), (*theirs).to_owned())).collect();
    columns.extend(settings.string_table("columns")?);
    if authoritative && !columns.contains_key(&key) {
        let message = format!("`{key}` is no attribute of `columns`; known are {}", {
            columns.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
        });
        return Err(settings.error("key", message));
    }
    let dates = Dates::from_settings(settings, None)?;
    Ok(authoritative.then_some(Feed { key, columns, dates }))
}
