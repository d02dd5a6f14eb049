//! MariaDB: accounts as users seen from hosts; roles, privileges and proxies as entitlements.
//!
//! * An account's key is `user@host`: the same user from two hosts is two accounts, each with its own grants. Its login is the
//!   user.
//! * `role/NAME` carries what the role holds; `role/PUBLIC` is held by every account.
//! * `privilege/SELECT on *.*`, `… on app.*`, `… on app.orders`, `UPDATE (note) on app.orders`, `EXECUTE on procedure app.p`;
//!   `proxy/user@host` is to act as that account. An identifier that is no plain word stands in backticks. Of a database the
//!   name is a pattern, as the server keeps it.
//! * An event is a scheduled job of its definer: the server does it with the definer's rights, also while the account is locked.
//! * `REVOKE` takes a role from the account and not from its live sessions, so they are ended with it.
//! * No statement is put together by this program: names travel as parameters into variables of the session, and a constant
//!   `EXECUTE IMMEDIATE` has the server quote them (`sql.rs`).

mod catalogue;
mod client;
mod enumerate;
mod event;
mod execute;
mod issue;
mod name;
mod pattern;
mod read_back;
mod settings;
mod sql;

use async_trait::async_trait;
use leasehold_model::capability::{Capabilities, Capability};
use leasehold_model::fact::Completeness;
use leasehold_model::request::{ActionRequest, IssueRequest, Issued, Outcome, ReadBack, ReadTarget};
use leasehold_model::setting::{SettingField, SettingKind};

use crate::connector::{Connector, ConnectorKind, Sink, TestReport};
use crate::error::ConnectError;
use crate::mariadb::client::Client;
use crate::settings::Settings;

/// The registry's entry.
pub struct MariadbKind;

/// One MariaDB server.
struct Mariadb {
    client: Client,
}

const CAPABILITIES: Capabilities = Capabilities {
    enumerate: Capability::YES,
    prove_completeness: Capability::with(
        "equal checksums of the grant tables before and after they are read",
    ),
    read_back: Capability::YES,
    grant: Capability::with("not PUBLIC, which every account holds"),
    revoke: Capability::with(
        "a live session keeps a revoked role until it is ended; its privileges go at once",
    ),
    create_account: Capability::with(
        "CREATE USER, seen from `new_account_host`, with a password that no text has: nobody logs in until a credential is \
         issued",
    ),
    disable_account: Capability::with("ACCOUNT LOCK; live sessions stay until they are ended"),
    enable_account: Capability::YES,
    delete_account: Capability::with(
        "DROP USER; live sessions stay until they are ended, and events stay but do nothing without their definer",
    ),
    list_credentials: Capability::with(
        "events, by their definer, and where that is a role as a problem; passwords are told with their account",
    ),
    issue_credential: Capability::with(
        "a password in place of the one that is there; the server is told its hash only; not where another plugin lets in, \
         and not where strict_password_validation refuses hashes",
    ),
    disable_credential: Capability::with(
        "events, by DISABLE; the definer stays; not one whose name would be another in the character set that it was written in",
    ),
    revoke_credential: Capability::with("events, by DROP EVENT"),
    hand_over_credential: Capability::with(
        "events, by another definer, who needs EVENT on the database itself and not by a role; not one with SUPER; what the event does is done with that account's rights",
    ),
    list_sessions: Capability::with("of several accounts of one user, by the host that fits most narrowly"),
    end_sessions: Capability::with("KILL CONNECTION; waits until the sessions are gone"),
    last_use: Capability::with("of events; of accounts the server keeps none without an audit plugin"),
    native_expiry: Capability::without("only passwords expire, and then log-ins go on"),
    ..Capabilities::NONE
};

/// What a form asks for.
const FIELDS: &[SettingField] = &[
    SettingField::required(
        "url",
        "Address",
        SettingKind::Text,
        "Host and port, with the name of Leasehold's own account; no password.",
        "mariadb://leasehold@db.example.com:3306",
    ),
    SettingField::optional("password", "Password", SettingKind::Secret, "Of that account."),
    SettingField::optional(
        "sslmode",
        "TLS",
        SettingKind::Choice(&["", "verify-full", "verify-ca", "require", "prefer", "disable"]),
        "Where nothing is chosen, a far server must prove with its certificate who it is.",
    ),
    SettingField::optional(
        "ca_certificate",
        "Certificate authority",
        SettingKind::File,
        "A PEM file beside leasehold.toml.",
    ),
    SettingField::optional(
        "new_account_host",
        "New accounts from",
        SettingKind::Text,
        "The host part of accounts that are made; any host where it is empty.",
    ),
];

impl ConnectorKind for MariadbKind {
    fn name(&self) -> &'static str {
        "mariadb"
    }

    fn summary(&self) -> &'static str {
        "MariaDB 10.5 or newer: accounts, roles, privileges, proxies, events, live sessions"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn fields(&self) -> &'static [SettingField] {
        FIELDS
    }

    fn build(&self, settings: &mut Settings) -> Result<Box<dyn Connector>, ConnectError> {
        Ok(Box::new(Mariadb { client: Client::new(settings::read(settings)?) }))
    }
}

#[async_trait]
impl Connector for Mariadb {
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
