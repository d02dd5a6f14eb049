//! Signing in by an OpenID provider: authorization code with PKCE, roles by group, and logout by the provider's word.

pub(crate) mod back_channel;
mod flow;
mod http;
mod logout_token;
pub(crate) mod page;
mod provider;
mod who;

use std::collections::BTreeMap;

use leasehold_decide::authority::Role;
use secrecy::SecretString;

pub(crate) use provider::{Providers, said};

/// The path to which a provider sends the browser back. It is registered there, so it never changes.
pub(crate) const CALLBACK: &str = "/sign-in/openid/callback";

/// An OpenID provider, and what its word is worth here.
#[derive(Debug, Clone)]
pub struct OpenIdSettings {
    /// Its name, exactly as it says it itself.
    pub issuer: String,
    /// What this server is called there.
    pub client_id: String,
    /// What this server shows there that it is itself.
    pub client_secret: SecretString,
    /// What people call the provider.
    pub name: String,
    /// The claim that lists the groups of whoever signs in.
    pub groups_claim: String,
    /// The role that follows from each group.
    pub roles: BTreeMap<String, Role>,
    /// Scopes that are asked for beside `openid`.
    pub scopes: Vec<String>,
}

impl OpenIdSettings {
    /// The roles that follow from some groups. A group that is not named here gives none.
    fn roles_of(&self, groups: &[String]) -> Vec<String> {
        let roles = groups.iter().filter_map(|group| self.roles.get(group));
        let mut names: Vec<String> = roles.map(|role| role.name().to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}
