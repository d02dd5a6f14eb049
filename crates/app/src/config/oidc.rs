//! `[server.oidc]`: the OpenID provider that people may sign in by, and which role follows from which group.

use std::collections::BTreeMap;

use leasehold_connect::settings::did_you_mean;
use leasehold_decide::authority::Role;
use leasehold_model::secret::SecretReference;
use leasehold_web::OpenIdSettings;
use url::{Host, Url};

use super::{Config, complaint};

const KEYS: [&str; 7] = ["issuer", "client_id", "client_secret", "name", "groups_claim", "roles", "scopes"];

/// The claim that lists groups with most providers.
const GROUPS_CLAIM_DEFAULT: &str = "groups";

/// What is asked for beside `openid`: the mail address and the name.
const SCOPES_DEFAULT: [&str; 2] = ["email", "profile"];

/// `[server.oidc]` as it is written: the secret is read when the server starts.
#[derive(Debug, Clone)]
pub(super) struct ProviderSettings {
    issuer: String,
    client_id: String,
    client_secret: SecretReference,
    name: String,
    groups_claim: String,
    roles: BTreeMap<String, Role>,
    scopes: Vec<String>,
}

impl Config {
    pub(super) fn provider(&self, value: &toml::Value) -> anyhow::Result<ProviderSettings> {
        let toml::Value::Table(table) = value else {
            let help = "write `[server.oidc]` and its settings below";
            return Err(self.complain(&["server", "oidc"], "a table is wanted here", help));
        };
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let message = format!("`{key}` is not known in [server.oidc]{}", did_you_mean(key, &KEYS));
            return Err(self.complain(&["server", "oidc", key], &message, ""));
        }
        let issuer = self.required(table, "issuer", "https://id.example.com")?;
        if !is_issuer(&issuer) {
            let help = "write it as the provider does, with https, such as `issuer = \"https://id.example.com\"`; \
                        http is for this machine only";
            return Err(self.complain(&["server", "oidc", "issuer"], "not an issuer", help));
        }
        Ok(ProviderSettings {
            name: match table.get("name") {
                Some(_) => self.required(table, "name", "Example Corp")?,
                None => Url::parse(&issuer)
                    .ok()
                    .and_then(|url| url.host_str().map(str::to_owned))
                    .unwrap_or_default(),
            },
            groups_claim: match table.get("groups_claim") {
                Some(_) => self.required(table, "groups_claim", GROUPS_CLAIM_DEFAULT)?,
                None => GROUPS_CLAIM_DEFAULT.to_owned(),
            },
            client_id: self.required(table, "client_id", "leasehold")?,
            client_secret: self.client_secret(table)?,
            roles: self.provider_roles(table.get("roles"))?,
            scopes: self.scopes(table.get("scopes"))?,
            issuer,
        })
    }

    /// The OpenID provider with its secret, read now; `None` where there is none.
    ///
    /// # Errors
    /// Where the secret cannot be read.
    pub fn openid(&self) -> anyhow::Result<Option<OpenIdSettings>> {
        let Some(provider) = self.server.oidc.clone() else { return Ok(None) };
        let place = ["server", "oidc", "client_secret"];
        let reference = &provider.client_secret;
        let secret = reference
            .read(&self.folder)
            .map_err(|error| self.complain(&place, &format!("cannot read {reference}: {error}"), ""))?;
        if secret.is_empty() {
            return Err(self.complain(&place, &format!("{reference} is empty"), ""));
        }
        Ok(Some(OpenIdSettings {
            issuer: provider.issuer,
            client_id: provider.client_id,
            client_secret: secret.into(),
            name: provider.name,
            groups_claim: provider.groups_claim,
            roles: provider.roles,
            scopes: provider.scopes,
        }))
    }

    fn required(&self, table: &toml::Table, key: &str, example: &str) -> anyhow::Result<String> {
        let help = format!("write `{key} = \"{example}\"`");
        match table.get(key) {
            None => Err(self.complain(&["server", "oidc"], &format!("`{key}` is missing"), &help)),
            Some(value) => {
                let text = value.as_str().map(str::trim).filter(|text| !text.is_empty());
                let text = text
                    .ok_or_else(|| self.complain(&["server", "oidc", key], "a text is wanted here", &help))?;
                Ok(text.to_owned())
            }
        }
    }

    fn client_secret(&self, table: &toml::Table) -> anyhow::Result<SecretReference> {
        let text = self.required(table, "client_secret", "env:OIDC_CLIENT_SECRET")?;
        SecretReference::parse(&text).ok_or_else(|| {
            let span = self.span(&["server", "oidc", "client_secret"]);
            let help = "write `env:NAME` or `file:PATH` and keep the secret there";
            complaint(&self.path, &self.without_secret(&span), &span, "a secret in clear text", help)
        })
    }

    fn provider_roles(&self, value: Option<&toml::Value>) -> anyhow::Result<BTreeMap<String, Role>> {
        let place = ["server", "oidc", "roles"];
        let table = match value {
            None => return Ok(BTreeMap::new()),
            Some(toml::Value::Table(table)) => table,
            Some(_) => {
                let help = "write `roles = { \"GROUP\" = \"administrator\" }`";
                return Err(self.complain(&place, "a table of groups and roles is wanted here", help));
            }
        };
        let role = |(group, value): (&String, &toml::Value)| {
            let name = value.as_str().unwrap_or_default();
            let role = Role::assigned(name).ok_or_else(|| {
                let known = Role::ASSIGNED.map(Role::name);
                let message = format!("not a role{}", did_you_mean(name, &known));
                let help = format!("roles that a group can give are {}", known.join(", "));
                self.complain(&["server", "oidc", "roles", group], &message, &help)
            })?;
            Ok((group.clone(), role))
        };
        table.iter().map(role).collect()
    }

    fn scopes(&self, value: Option<&toml::Value>) -> anyhow::Result<Vec<String>> {
        let Some(value) = value else { return Ok(SCOPES_DEFAULT.map(str::to_owned).to_vec()) };
        // RFC 6749, section 3.3.
        let is_scope = |text: &&str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
        };
        let scope = |value: &toml::Value| value.as_str().filter(is_scope).map(str::to_owned);
        let scopes = value.as_array().and_then(|list| list.iter().map(scope).collect::<Option<Vec<_>>>());
        let mut scopes = scopes.ok_or_else(|| {
            let help = "write a list, such as `scopes = [\"email\", \"profile\", \"groups\"]`";
            self.complain(&["server", "oidc", "scopes"], "not a list of scopes", help)
        })?;
        // It is asked for whatever is written.
        scopes.retain(|scope| scope != "openid");
        Ok(scopes)
    }
}

/// Whether this can be an issuer (OpenID Connect Discovery, section 3). Without https anybody on the way could be it.
fn is_issuer(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return false,
    };
    let is_plain = (url.username(), url.password(), url.query(), url.fragment()) == ("", None, None, None);
    is_plain && (url.scheme() == "https" || (url.scheme() == "http" && is_here))
}
