//! A people feed that is read from a JSON API, as HR systems have one: one object a person, on one page or many.
//!
//! * Where things are in an answer is said by JSON Pointers (RFC 6901); pages are found by links (RFC 8288), by what an answer
//!   names, or by numbers.
//! * An API tells nobody whether its list held still while it was read. So a reading is complete where the API counts and the
//!   count agrees, where there is one page only, or where a second reading names the same people.

mod client;
mod enumerate;
mod link;
mod paging;
mod person;
mod settings;

use async_trait::async_trait;
use leasehold_model::capability::{Capabilities, Capability};
use leasehold_model::fact::Completeness;
use leasehold_model::request::{ActionRequest, Outcome, ReadBack, ReadTarget};
use leasehold_model::setting::{SettingField, SettingKind};

use crate::connector::{Connector, ConnectorKind, Sink, TestReport, not_offered};
use crate::error::ConnectError;
use crate::rest::client::Client;
use crate::settings::Settings;

/// The registry's entry.
pub struct RestKind;

/// One feed.
struct Rest {
    client: Client,
}

const CAPABILITIES: Capabilities = Capabilities {
    enumerate: Capability::YES,
    prove_completeness: Capability::with(
        "the API's own count, the same on every page; or one page only; or a second reading with the same people",
    ),
    read_back: Capability::without("it tells of people, who are the reason for access and not access"),
    grant: Capability::without("it tells of people, and is changed by whoever keeps it"),
    revoke: Capability::without("it tells of people, and is changed by whoever keeps it"),
    disable_account: Capability::without("it tells of people, and is changed by whoever keeps it"),
    watch: Capability::with("where it sends signed notices, it is read at once"),
    ..Capabilities::NONE
};

/// What a form asks for.
const FIELDS: &[SettingField] = &[
    SettingField::required(
        "url",
        "Address",
        SettingKind::Text,
        "Of the list of people, with its query.",
        "https://hr.example.com/api/employees",
    ),
    SettingField::optional("token", "Token", SettingKind::Secret, "A bearer token."),
    SettingField::optional(
        "items",
        "Where the people are",
        SettingKind::Text,
        "A JSON Pointer to the list, such as /data; empty where the answer is the list.",
    ),
    SettingField::optional(
        "key",
        "Key of a person",
        SettingKind::Text,
        "What tells people apart; email where nothing is written.",
    ),
    SettingField::optional(
        "total",
        "Where the count is",
        SettingKind::Text,
        "A JSON Pointer such as /total, or a header such as header:X-Total-Count.",
    ),
    SettingField::optional(
        "ca_certificate",
        "Certificate authority",
        SettingKind::File,
        "A PEM file beside leasehold.toml.",
    ),
];

impl ConnectorKind for RestKind {
    fn name(&self) -> &'static str {
        "rest"
    }

    fn summary(&self) -> &'static str {
        "an authoritative people feed from any JSON API, such as an HR system's"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn fields(&self) -> &'static [SettingField] {
        FIELDS
    }

    fn build(&self, settings: &mut Settings) -> Result<Box<dyn Connector>, ConnectError> {
        Ok(Box::new(Rest { client: Client::new(settings::read(settings)?) }))
    }
}

#[async_trait]
impl Connector for Rest {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn test(&self) -> Result<TestReport, ConnectError> {
        enumerate::test(&self.client).await
    }

    async fn enumerate(&self, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
        enumerate::enumerate(&self.client, sink).await
    }

    async fn read_back(&self, _: &ReadTarget) -> Result<ReadBack, ConnectError> {
        Ok(ReadBack::Unsupported { why: "a people feed tells of people, and of no access".to_owned() })
    }

    async fn execute(&self, request: &ActionRequest) -> Result<Outcome, ConnectError> {
        Ok(not_offered(request.verb))
    }
}
