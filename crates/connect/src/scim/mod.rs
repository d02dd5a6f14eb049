//! Any system that speaks SCIM 2.0 (RFC 7643, RFC 7644; cursors of RFC 9865): users as accounts, groups as entitlements.
//!
//! * Accounts are users by their `id`; the login is `userName`, and `active` is the switch.
//! * `group/NAME` is a group by its `displayName`. A group that is a member of another carries that one. Groups that
//!   share a name are told with their ids, `group/NAME (ID)`.
//! * `role/NAME` and `entitlement/NAME` are values of the user's own `roles` and `entitlements`.
//! * Servers differ. Where a change is refused in one form, another is tried, as long as trying it can do no harm; the
//!   settings name what cannot be found out that way.
//! * A password can be set where the server says that it takes one (`changePassword`), or where the settings say so; no server
//!   shows it again.
//! * SCIM tells of no credentials and no sessions: ending those is the system's own business when it disables a user.

mod change;
mod client;
mod create;
mod enumerate;
mod execute;
mod find;
mod issue;
mod paging;
mod read_back;
mod resource;
mod service;
mod settings;

use async_trait::async_trait;
use leasehold_model::capability::{Capabilities, Capability};
use leasehold_model::fact::Completeness;
use leasehold_model::request::{ActionRequest, IssueRequest, Issued, Outcome, ReadBack, ReadTarget};
use leasehold_model::setting::{SettingField, SettingKind};

use crate::connector::{Connector, ConnectorKind, Sink, TestReport};
use crate::error::ConnectError;
use crate::scim::client::Client;
use crate::settings::Settings;

/// The registry's entry.
pub struct ScimKind;

/// One SCIM server, or one tenant of it.
struct Scim {
    client: Client,
}

const CAPABILITIES: Capabilities = Capabilities {
    enumerate: Capability::YES,
    prove_completeness: Capability::with(
        "users and groups came once each, as many as the server counts on every page and once more afterwards; what a \
         server hides from the token without saying so is not seen",
    ),
    read_back: Capability::with(
        "a membership with every group that carries it; a role or entitlement of the user's own, not what the system makes \
         of its groups",
    ),
    grant: Capability::with(
        "membership of a group; `role` and `entitlement` where the server lets them be written",
    ),
    revoke: Capability::with(
        "as `grant`; by PATCH, and where that is refused by writing the group or user anew",
    ),
    create_account: Capability::with("without a password; `new_account` adds what the server asks for"),
    disable_account: Capability::with("by `active`; whether live sessions end is the system's own business"),
    enable_account: Capability::YES,
    delete_account: Capability::with("some systems only disable"),
    list_credentials: Capability::without("SCIM tells of none"),
    issue_credential: Capability::with(
        "a password in place of the one that is there, where the server's ServiceProviderConfig says that it takes one \
         (`changePassword`) or `passwords = \"set\"`; no server shows whether it kept it",
    ),
    list_sessions: Capability::without("SCIM tells of none"),
    ..Capabilities::NONE
};

/// What a form asks for.
const FIELDS: &[SettingField] = &[
    SettingField::required(
        "url",
        "Address",
        SettingKind::Text,
        "What Users and Groups are below.",
        "https://app.example.com/scim/v2",
    ),
    SettingField::optional(
        "token",
        "Token",
        SettingKind::Secret,
        "A bearer token; or else the three fields below.",
    ),
    SettingField::optional(
        "token_url",
        "Token address",
        SettingKind::Text,
        "Of the authorization server (OAuth 2.0).",
    ),
    SettingField::optional("client_id", "Client id", SettingKind::Text, "There."),
    SettingField::optional("client_secret", "Client secret", SettingKind::Secret, "There."),
    SettingField::optional(
        "membership",
        "Memberships",
        SettingKind::Choice(&["group_list", "group", "user", "none"]),
        "Where the server tells who is in which group: with each group of a list, with each group by itself, with each \
         user, or nowhere.",
    ),
    SettingField::optional(
        "passwords",
        "Passwords",
        SettingKind::Choice(&["as_stated", "set", "never"]),
        "Whether new passwords can be issued: where the server says that it takes them, always, or never.",
    ),
    SettingField::optional(
        "ca_certificate",
        "Certificate authority",
        SettingKind::File,
        "A PEM file beside leasehold.toml.",
    ),
];

impl ConnectorKind for ScimKind {
    fn name(&self) -> &'static str {
        "scim"
    }

    fn summary(&self) -> &'static str {
        "any system with SCIM 2.0: users, groups with nesting, roles and entitlements of users"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn fields(&self) -> &'static [SettingField] {
        FIELDS
    }

    fn build(&self, settings: &mut Settings) -> Result<Box<dyn Connector>, ConnectError> {
        Ok(Box::new(Scim { client: Client::new(settings::read(settings)?) }))
    }
}

#[async_trait]
impl Connector for Scim {
    fn capabilities(&self) -> Capabilities {
        Capabilities { issue_credential: issue::capability(&self.client), ..CAPABILITIES }
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
