//! JupyterHub: its users and services; groups, roles and shared servers as entitlements; tokens, and what users let other
//! applications do in their name.
//!
//! * Accounts are users by their name, which is all that the hub tells them apart by, and services as `service/NAME`.
//! * `group/NAME` is held by users and contains its roles. `role/NAME` is what the hub's configuration gives to users, groups
//!   and services; `role/admin` is the one that the API gives and takes, as the user's `admin`.
//! * `share/OWNER/SERVER` is to enter somebody else's server, as its owner shared it with a user or a group.
//! * A token that another application got by OAuth is an OAuth grant; any other is a token. The hub uses the number of a
//!   token again once the newest is deleted, so that their keys hold when they were made.
//! * A running server of a user is a session: it goes on with a token of its own when nobody can log in any more. Browser sessions
//!   are not told, which is said wherever none of the others is left.
//! * The hub answers alike for what is not there and what a filtered scope hides. Before something counts as absent, the
//!   connector's own scopes are read.

mod client;
mod enumerate;
mod execute;
mod issue;
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
use crate::jupyterhub::client::Client;
use crate::settings::Settings;

/// The registry's entry.
pub struct JupyterHubKind;

/// One hub.
struct JupyterHub {
    client: Client,
}

const CAPABILITIES: Capabilities = Capabilities {
    enumerate: Capability::YES,
    prove_completeness: Capability::with(
        "users and groups as many as the hub counts on every page, and alike before and after; scopes on everybody, without \
         a filter",
    ),
    read_back: Capability::with("a role and a share with every group that carries it"),
    grant: Capability::with(
        "membership of a group; `role/admin` where Leasehold's own service is an administrator",
    ),
    revoke: Capability::with(
        "memberships, shares and `role/admin`, at once for every token; other roles are written in the hub's configuration; \
         an authenticator that manages groups puts people back when they log in",
    ),
    create_account: Capability::with(
        "with the scope admin:users; whether it is let in is the authenticator's business",
    ),
    disable_account: Capability::with(
        "only where `disable_by_deleting` is set: the hub has no switch, and whoever has a session of the hub makes new \
         tokens until the user is deleted",
    ),
    enable_account: Capability::without("the hub has no switch"),
    delete_account: Capability::with(
        "with its servers, tokens, grants, shares and browser sessions; some spawners delete what was stored with it; whom \
         the authenticator still lets in comes back as a new user",
    ),
    list_credentials: Capability::with(
        "tokens, and OAuth grants of other applications; passwords are the authenticator's; the hub tells of no token of a \
         service",
    ),
    issue_credential: Capability::with(
        "one more token of the user, with every right of theirs; it ends when the hub's `token_expires_in_max_seconds` says",
    ),
    revoke_credential: Capability::with(
        "of an application that a user let in, every grant of that user ends at once",
    ),
    rotate_credential: Capability::with(
        "tokens: another one is issued, and the old one is revoked after the overlap",
    ),
    list_sessions: Capability::with(
        "running servers of users; the hub tells of no browser session, and of no session of a service",
    ),
    end_sessions: Capability::with(
        "by stopping the servers of a user, with their tokens; a browser session of the hub is residual until the user is deleted",
    ),
    last_use: Capability::with("of users, tokens and OAuth grants"),
    native_expiry: Capability::without("the expiry of tokens is read"),
    ..Capabilities::NONE
};

/// What a form asks for.
const FIELDS: &[SettingField] = &[
    SettingField::required(
        "url",
        "Address",
        SettingKind::Text,
        "What `/hub` is below.",
        "https://hub.example.com",
    ),
    SettingField::required(
        "token",
        "Token",
        SettingKind::Secret,
        "Of Leasehold's own service in the hub.",
        "",
    ),
    SettingField::optional(
        "ca_certificate",
        "Certificate authority",
        SettingKind::File,
        "A PEM file beside leasehold.toml.",
    ),
];

impl ConnectorKind for JupyterHubKind {
    fn name(&self) -> &'static str {
        "jupyterhub"
    }

    fn summary(&self) -> &'static str {
        "JupyterHub 5 or newer: users, services, groups, roles, shared servers, tokens, OAuth grants, running servers"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn fields(&self) -> &'static [SettingField] {
        FIELDS
    }

    fn build(&self, settings: &mut Settings) -> Result<Box<dyn Connector>, ConnectError> {
        Ok(Box::new(JupyterHub { client: Client::new(settings::read(settings)?) }))
    }
}

#[async_trait]
impl Connector for JupyterHub {
    fn capabilities(&self) -> Capabilities {
        let disable_account = match self.client.settings.disable_by_deleting {
            true => Capability::with("by deleting the user"),
            false => Capability::without("the hub has no switch, and `disable_by_deleting` is not set"),
        };
        Capabilities { disable_account, ..CAPABILITIES }
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
