//! Systems that are not read but push: an identity provider sends users and groups to this server by SCIM.
//!
//! * What was pushed is in the store, which no connector sees. So this connector reaches nothing: it says what a pushed resource
//!   stands for ([`Pushed`]), and the stage that reads systems reads the store for it.
//! * Where the system is authoritative, users are identities and their groups an attribute; elsewhere they are accounts, and
//!   groups are entitlements.
//! * `active = false` is a leaver, and so is a user who was deleted: they are told as left for as long as nobody of the same name
//!   is pushed again. First and last days, and leaves, come in an extension of our own.

mod resource;

use async_trait::async_trait;
use leasehold_model::capability::{Capabilities, Capability};
use leasehold_model::fact::Completeness;
use leasehold_model::request::{ActionRequest, Outcome, ReadBack, ReadTarget};
use leasehold_model::setting::SettingField;

pub use resource::{Pushed, PushedGroup, PushedUser};

use crate::connector::{Connector, ConnectorKind, Sink, TestReport, not_offered};
use crate::error::ConnectError;
use crate::settings::{Settings, did_you_mean};

/// The registry's entry.
pub struct ScimPushKind;

/// One system that pushes.
struct ScimPush {
    system: String,
    pushed: Pushed,
}

const CAPABILITIES: Capabilities = Capabilities {
    enumerate: Capability::YES,
    prove_completeness: Capability::with("everything that was pushed, of one instant of the store"),
    read_back: Capability::without("it pushes; nobody asks it"),
    grant: Capability::without("it pushes; nothing is sent to it"),
    revoke: Capability::without("it pushes; nothing is sent to it"),
    disable_account: Capability::without("it pushes; nothing is sent to it"),
    watch: Capability::with("what is pushed is read within seconds, and a leaver at once"),
    ..Capabilities::NONE
};

/// What can be the key of an identity.
const KEYS: [&str; 5] = ["userName", "externalId", "email", "employeeNumber", "id"];

impl ConnectorKind for ScimPushKind {
    fn name(&self) -> &'static str {
        "scim_push"
    }

    fn summary(&self) -> &'static str {
        "identity providers that push users and groups to this server by SCIM 2.0, such as Okta and Entra ID"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn fields(&self) -> &'static [SettingField] {
        &[]
    }

    fn build(&self, settings: &mut Settings) -> Result<Box<dyn Connector>, ConnectError> {
        let key = settings.optional_string("key")?.unwrap_or_else(|| KEYS[0].to_owned());
        let Some(key) = KEYS.into_iter().find(|known| *known == key) else {
            let message = format!(
                "`{key}` is no attribute that tells users apart{}; write {}",
                did_you_mean(&key, &KEYS),
                KEYS.join(", ")
            );
            return Err(settings.error("key", message));
        };
        let is_authoritative = settings.bool_or("authoritative", false)?;
        let pushed = Pushed { key, is_authoritative };
        Ok(Box::new(ScimPush { system: settings.system().to_string(), pushed }))
    }
}

#[async_trait]
impl Connector for ScimPush {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn pushed(&self) -> Option<Pushed> {
        Some(self.pushed)
    }

    async fn test(&self) -> Result<TestReport, ConnectError> {
        Ok(TestReport {
            target: "what is pushed to /scim/v2 of this server; nothing is reached".to_owned(),
            acting_as: None,
            missing_rights: Vec::new(),
        })
    }

    async fn enumerate(&self, _: &mut dyn Sink) -> Result<Completeness, ConnectError> {
        Err(ConnectError::Target {
            system: self.system.clone(),
            operation: "reading".to_owned(),
            message: "what was pushed is in the store; it is read by `leasehold sync`".to_owned(),
        })
    }

    async fn read_back(&self, _: &ReadTarget) -> Result<ReadBack, ConnectError> {
        Ok(ReadBack::Unsupported { why: "this system pushes, and cannot be asked".to_owned() })
    }

    async fn execute(&self, request: &ActionRequest) -> Result<Outcome, ConnectError> {
        Ok(not_offered(request.verb))
    }
}
