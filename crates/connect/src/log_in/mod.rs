//! How a connector that speaks HTTP shows who it is: what its settings say of that, and the header of each request.

mod authorization;

use std::path::Path;
use std::time::Duration;

use reqwest::header::HeaderName;
use secrecy::SecretString;
use url::{Host, Url};

pub(crate) use self::authorization::{Authorization, login};
use crate::error::ConnectError;
use crate::http_client::HttpClient;
use crate::settings::{Settings, did_you_mean};

/// How the connector shows who it is.
pub(crate) enum LogIn {
    /// A token that does not change.
    Token {
        token: SecretString,
        /// The header that it is sent in as it is; `None` for a bearer token (RFC 6750).
        header: Option<HeaderName>,
    },
    /// A user with a password (RFC 7617).
    Basic { user: String, password: SecretString },
    /// OAuth 2.0 client credentials (RFC 6749 section 4.4), which give a token for a while.
    Client(Box<OauthClient>),
}

/// A client of an authorization server.
pub(crate) struct OauthClient {
    pub http: HttpClient,
    pub token_url: Url,
    pub id: String,
    pub secret: SecretString,
    pub scope: Option<String>,
    /// The secret is sent in the form and not in the header.
    pub secret_in_form: bool,
}

/// The keys that each way of logging in has beside the one that it is chosen by.
const COMPANIONS: [(&str, &[&str]); 3] = [
    ("token", &["token_header"]),
    ("user", &["password"]),
    ("token_url", &["client_id", "client_secret", "scope", "client_auth"]),
];

/// Reads `token` with `token_header`, or `user` with `password`, or `token_url` with `client_id`, `client_secret`, `scope` and
/// `client_auth`.
///
/// # Errors
/// Where none of the three is there, or more than one.
pub(crate) fn read(
    settings: &mut Settings,
    authority: Option<&Path>,
    timeout: Duration,
) -> Result<LogIn, ConnectError> {
    let said: Vec<usize> = (0..COMPANIONS.len()).filter(|way| settings.has(COMPANIONS[*way].0)).collect();
    let way = match said[..] {
        [way] => way,
        [] => {
            let message = "is missing; write `env:NAME` or `file:PATH`, or name `user` and `password`, or `token_url`, \
                           `client_id` and `client_secret`";
            return Err(settings.error("token", message));
        }
        [first, second, ..] => {
            let (first, second) = (COMPANIONS[first].0, COMPANIONS[second].0);
            return Err(settings.error(first, format!("and `{second}` are both set; leave one out")));
        }
    };
    for (other, companions) in COMPANIONS.iter().filter(|(other, _)| *other != COMPANIONS[way].0) {
        if let Some(key) = companions.iter().find(|key| settings.has(key)) {
            let message = format!("belongs to `{other}`, and `{}` is set; leave one out", COMPANIONS[way].0);
            return Err(settings.error(key, message));
        }
    }
    match way {
        0 => {
            let header = settings.optional_string("token_header")?.map(|name| {
                name.parse()
                    .map_err(|_| settings.error("token_header", format!("`{name}` is no name of a header")))
            });
            Ok(LogIn::Token { token: required_secret(settings, "token")?, header: header.transpose()? })
        }
        1 => {
            let user = settings.string("user", "leasehold")?;
            if user.contains(':') {
                return Err(settings.error("user", "holds a colon, which no user of this kind of log-in can"));
            }
            Ok(LogIn::Basic { user, password: required_secret(settings, "password")? })
        }
        _ => {
            let text = settings.string("token_url", "https://login.example.com/oauth2/token")?;
            let token_url = address(settings, "token_url", &text)?;
            let id = settings.optional_string("client_id")?;
            let id = id.ok_or_else(|| settings.error("client_id", "is missing; `token_url` needs it"))?;
            let secret = required_secret(settings, "client_secret")?;
            let scope = settings.optional_string("scope")?;
            let secret_in_form = choice(settings, "client_auth", &[("basic", false), ("post", true)])?;
            let http = HttpClient::new(settings, &token_url, authority, timeout)?;
            Ok(LogIn::Client(Box::new(OauthClient { http, token_url, id, secret, scope, secret_in_form })))
        }
    }
}

fn required_secret(settings: &mut Settings, key: &str) -> Result<SecretString, ConnectError> {
    settings.secret(key)?.ok_or_else(|| settings.error(key, "is missing; write `env:NAME` or `file:PATH`"))
}

/// An address that secrets may be sent to, and that others are put behind.
pub(crate) fn address(settings: &Settings, key: &str, text: &str) -> Result<Url, ConnectError> {
    let url = encrypted(settings, key, text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(settings.error(key, "must end with its path, without `?` and `#`"));
    }
    Ok(url)
}

/// An address that secrets may be sent to.
pub(crate) fn encrypted(settings: &Settings, key: &str, text: &str) -> Result<Url, ConnectError> {
    let url = Url::parse(text)
        .map_err(|error| settings.error(key, format!("`{text}` is not an address: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(settings.error(key, "must hold no user and no password"));
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
pub(crate) fn choice<T: Copy>(
    settings: &mut Settings,
    key: &str,
    words: &[(&str, T)],
) -> Result<T, ConnectError> {
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
