//! PostgreSQL: login roles as accounts; roles, privileges, role attributes, default privileges and ownership as
//! entitlements.
//!
//! * Accounts are the roles that may log in, and those that no longer may but still carry a password or a
//!   `VALID UNTIL`: a disabled account must not vanish from sight with its grants still in place.
//! * `role/NAME` is every other role, and a login role that has members of its own. A role's memberships, privileges
//!   and attributes are its containment; `role/PUBLIC` is held by everybody and contains what PUBLIC may do: by the
//!   server's own default, which is inherent, or because somebody gave it to PUBLIC.
//! * `privilege/SELECT on schema.table`, `privilege/USAGE on schema x`, `privilege/EXECUTE on function s.f(integer)`:
//!   names are written by the server's own quoting, and found again by comparing with it, so nothing here ever takes
//!   an identifier apart. In a further database of `databases` they end with ` in database x`.
//! * No statement is ever put together by this program. `GRANT` and `REVOKE` take no parameters, so the names travel
//!   as bound parameters of `set_config` and a constant `DO` block quotes them on the server with `format('%I')`.
//!   The compiler holds this: sqlx takes only `&'static str` unless told otherwise, and it is not told otherwise.

#[macro_use]
mod sql_parts;

mod account;
mod client;
mod enumerate;
mod execute;
mod issue;
mod name;
mod objects;
mod read_back;
mod settings;
mod sql;
mod sql_accounts;

use async_trait::async_trait;
use leasehold_model::capability::{Capabilities, Capability};
use leasehold_model::fact::Completeness;
use leasehold_model::request::{ActionRequest, IssueRequest, Issued, Outcome, ReadBack, ReadTarget};
use leasehold_model::setting::{SettingField, SettingKind};

use crate::connector::{Connector, ConnectorKind, Sink, TestReport};
use crate::error::ConnectError;
use crate::postgres::client::Client;
use crate::settings::Settings;

/// The registry's entry.
pub struct PostgresKind;

/// One PostgreSQL server.
struct Postgres {
    client: Client,
}

const CAPABILITIES: Capabilities = Capabilities {
    enumerate: Capability::YES,
    prove_completeness: Capability::with("one repeatable-read snapshot per database, with counts that agree"),
    read_back: Capability::YES,
    grant: Capability::with("not ownership, and not what PUBLIC holds"),
    revoke: Capability::with(
        "of every grantor; who holds the same through this grant keeps it in another way; ownership must be reassigned",
    ),
    create_account: Capability::with(
        "CREATE ROLE … LOGIN; without a password, so that no password lets it in",
    ),
    disable_account: Capability::with(
        "NOLOGIN; live sessions stay until they are ended; VALID UNTIL is set where it was not, so that the role \
         stays recognisable as an account",
    ),
    enable_account: Capability::with(
        "LOGIN; a VALID UNTIL that is past stays, unless disabling set it, and no password works then",
    ),
    delete_account: Capability::with(
        "DROP ROLE; the server refuses while the role owns or holds anything in any database; live sessions go on",
    ),
    issue_credential: Capability::with(
        "a password in place of the one that is there; the server is told its SCRAM-SHA-256 verifier only",
    ),
    list_sessions: Capability::YES,
    end_sessions: Capability::with("waits until the sessions are gone"),
    last_use: Capability::with("only while a session is live; unknown otherwise"),
    native_expiry: Capability::without(
        "VALID UNTIL is read; it ends log-ins by password, no other log-in and no live session, so that the account \
         counts as open",
    ),
    ..Capabilities::NONE
};

/// What a form asks for.
const FIELDS: &[SettingField] = &[
    SettingField::required(
        "url",
        "Address",
        SettingKind::Text,
        "Host, port and database, with the name of Leasehold's own role; no password.",
        "postgres://leasehold@db.example.com:5432/app",
    ),
    SettingField::optional("password", "Password", SettingKind::Secret, "Of that role."),
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
        "databases",
        "Further databases",
        SettingKind::List,
        "Of the same server, one in each line.",
    ),
    SettingField::optional(
        "schemas",
        "Only these schemas",
        SettingKind::List,
        "One in each line; all where none is named.",
    ),
];

impl ConnectorKind for PostgresKind {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn summary(&self) -> &'static str {
        "PostgreSQL 12 or newer: login roles, role memberships, privileges, role attributes, live sessions"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn fields(&self) -> &'static [SettingField] {
        FIELDS
    }

    fn build(&self, settings: &mut Settings) -> Result<Box<dyn Connector>, ConnectError> {
        Ok(Box::new(Postgres { client: Client::new(settings::read(settings)?) }))
    }
}

#[async_trait]
impl Connector for Postgres {
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
