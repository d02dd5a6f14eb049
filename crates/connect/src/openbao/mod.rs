//! OpenBao, and Vault as far as it is the same: entities with what they log in with; groups and policies as entitlements.
//!
//! * Accounts are entities of the identity store, by their id. A user of `userpass` or a role of `approle` that nobody has
//!   logged in with yet has no entity, and is an account by its place: `auth/userpass/users/NAME`. Tokens of no entity
//!   are told under one account of their own.
//! * `policy/NAME` is held by an entity, or by one of its log-ins, which is the same to whoever uses it; `group/NAME`
//!   contains its policies, and a group that is a member of another contains that one.
//! * Credentials are the passwords and secret-ids of those log-ins, and every token by its accessor. A token is what a
//!   session is here: the tokens of an entity are its sessions too.
//! * Leases below the prefixes of the settings are listed. Those of log-ins are told; the others do not say whose they are, and
//!   end with the token that they were made with.
//! * Root tokens, the connector's own token and its entity are never touched.

mod client;
mod enumerate;
mod execute;
mod issue;
mod lease;
mod object;
mod read_back;
mod settings;

use async_trait::async_trait;
use leasehold_model::capability::{Capabilities, Capability};
use leasehold_model::fact::Completeness;
use leasehold_model::request::{ActionRequest, IssueRequest, Issued, Outcome, ReadBack, ReadTarget};
use leasehold_model::setting::{SettingField, SettingKind};

use crate::connector::{Connector, ConnectorKind, Sink, TestReport};
use crate::error::ConnectError;
use crate::openbao::client::Client;
use crate::settings::Settings;

/// The registry's entry.
pub struct OpenBaoKind;

/// One OpenBao server, or one namespace of it.
struct OpenBao {
    client: Client,
}

const CAPABILITIES: Capabilities = Capabilities {
    enumerate: Capability::YES,
    prove_completeness: Capability::with(
        "entities, groups, policies and log-ins are listed whole, alike before and after; a list that may not be read is an \
         error; batch tokens have no accessor and are in no list",
    ),
    read_back: Capability::YES,
    grant: Capability::with("not members of external groups"),
    revoke: Capability::with(
        "a policy from the entity and from its log-ins; tokens that were made with it keep it until they are revoked; not \
         members of external groups",
    ),
    create_account: Capability::with(
        "an entity; nobody logs in as it until an auth method has an alias for it",
    ),
    disable_account: Capability::with(
        "entities: their tokens are refused at once; not log-ins without an entity",
    ),
    enable_account: Capability::YES,
    delete_account: Capability::with("with its tokens and its users of userpass and roles of approle"),
    list_credentials: Capability::with(
        "tokens by accessor, passwords of userpass, secret-ids of approle; below `lease_prefixes`, leases of log-ins that no \
         token is listed of",
    ),
    issue_credential: Capability::with(
        "a password of its user of userpass, else a secret-id of its role of approle; not where it has neither",
    ),
    revoke_credential: Capability::with(
        "a token with what was made with it; never a root token or the connector's own",
    ),
    rotate_credential: Capability::with(
        "secret-ids: another one is issued, and the old one is revoked after the overlap",
    ),
    list_sessions: Capability::with("the tokens of an entity, but for batch tokens"),
    end_sessions: Capability::with(
        "by revoking every token of the entity, and with them their leases; below `lease_prefixes`, then whatever is left of its \
         log-ins; a batch token works until it ends or the entity is disabled",
    ),
    native_expiry: Capability::without("the expiry of tokens and secret-ids is read"),
    ..Capabilities::NONE
};

/// What a form asks for.
const FIELDS: &[SettingField] = &[
    SettingField::required(
        "url",
        "Address",
        SettingKind::Text,
        "Of the server, without a path.",
        "https://bao.example.com:8200",
    ),
    SettingField::required("token", "Token", SettingKind::Secret, "That Leasehold logs in with.", ""),
    SettingField::optional(
        "namespace",
        "Namespace",
        SettingKind::Text,
        "That is read and changed; the root namespace where none is named.",
    ),
    SettingField::optional(
        "ca_certificate",
        "Certificate authority",
        SettingKind::File,
        "A PEM file beside leasehold.toml.",
    ),
    SettingField::optional(
        "lease_prefixes",
        "Leases below",
        SettingKind::List,
        "Paths, one in each line, such as auth/userpass/login; none where none is named.",
    ),
];

impl ConnectorKind for OpenBaoKind {
    fn name(&self) -> &'static str {
        "openbao"
    }

    fn summary(&self) -> &'static str {
        "OpenBao and Vault: entities, groups, policies, tokens, users of userpass and roles of approle"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn fields(&self) -> &'static [SettingField] {
        FIELDS
    }

    fn build(&self, settings: &mut Settings) -> Result<Box<dyn Connector>, ConnectError> {
        Ok(Box::new(OpenBao { client: Client::new(settings::read(settings)?) }))
    }
}

#[async_trait]
impl Connector for OpenBao {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn test(&self) -> Result<TestReport, ConnectError> {
        read_back::test(&self.client).await
    }

    async fn enumerate(&self, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
        enumerate::enumerate(&self.client, sink).await
    }

    async fn read_back(&self, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
        read_back::read_back(&self.client, target).await
    }

    async fn execute(&self, request: &ActionRequest) -> Result<Outcome, ConnectError> {
        execute::execute(&self.client, request).await
    }

    async fn issue_credential(&self, request: &IssueRequest) -> Result<Issued, ConnectError> {
        issue::issue(&self.client, request).await
    }
}
