//! External programs: any language that reads and writes lines of JSON can be a connector (`docs/external-connectors.md`).
//!
//! * A program is started when it is first needed, told the settings and secrets on its standard input, asked one thing at
//!   a time, and kept for the next question as long as it behaves. One that does not is killed with its process group.
//! * What it may be asked for is what `capabilities` in the settings names, so that planning knows it without a program
//!   running; what the program offers beside that is never asked for.
//! * Everything that it says is untrusted. A line that cannot be read ends the call as an error, a fact that cannot be
//!   used makes the enumeration partial, and a program that dies has said nothing about what is absent.

mod client;
mod enumerate;
mod execute;
mod fact;
mod issue;
mod issued;
mod lines;
#[cfg(test)]
mod page;
mod process;
mod protocol;
mod read_back;
mod settings;
mod standard_error;

use async_trait::async_trait;
use leasehold_model::capability::{Capabilities, Capability};
use leasehold_model::fact::Completeness;
use leasehold_model::request::{ActionRequest, IssueRequest, Issued, Outcome, ReadBack, ReadTarget};
use leasehold_model::setting::SettingField;

use crate::connector::{Connector, ConnectorKind, Sink, TestReport};
use crate::error::ConnectError;
use crate::external::client::Client;
use crate::settings::Settings;

/// The registry's entry.
pub struct ExternalKind;

/// A program and how it is asked.
struct External {
    client: Client,
}

const AS_TOLD: Capability = Capability::with("where the program offers it and `capabilities` names it");

/// What a program can be asked for; `capabilities` in the settings may name these and no others.
const CAPABILITIES: Capabilities = Capabilities {
    enumerate: AS_TOLD,
    prove_completeness: Capability::with(
        "by the program's own evidence and the number of its facts; a program that dies or breaks the protocol is partial",
    ),
    read_back: AS_TOLD,
    grant: AS_TOLD,
    revoke: AS_TOLD,
    create_account: AS_TOLD,
    disable_account: AS_TOLD,
    enable_account: AS_TOLD,
    delete_account: AS_TOLD,
    list_credentials: AS_TOLD,
    issue_credential: AS_TOLD,
    disable_credential: AS_TOLD,
    revoke_credential: AS_TOLD,
    hand_over_credential: AS_TOLD,
    list_sessions: AS_TOLD,
    end_sessions: AS_TOLD,
    last_use: AS_TOLD,
    ..Capabilities::NONE
};

impl ConnectorKind for ExternalKind {
    fn name(&self) -> &'static str {
        "external"
    }

    fn summary(&self) -> &'static str {
        "a program of your own, in any language, that speaks lines of JSON on standard input and output"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    /// None: whoever may connect a system in the server must not choose what is run on its machine.
    fn fields(&self) -> &'static [SettingField] {
        &[]
    }

    fn build(&self, settings: &mut Settings) -> Result<Box<dyn Connector>, ConnectError> {
        Ok(Box::new(External { client: Client::new(settings::read(settings)?) }))
    }
}

#[async_trait]
impl Connector for External {
    fn capabilities(&self) -> Capabilities {
        self.client.settings.capabilities
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
