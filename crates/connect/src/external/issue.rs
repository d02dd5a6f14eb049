//! Asking the program for a credential, which it makes and tells once.

use leasehold_model::request::{CredentialTarget, IssueRequest, Issued, Outcome};

use crate::connector::not_issued;
use crate::error::ConnectError;
use crate::external::client::Client;
use crate::external::issued::IssuedForm;
use crate::external::protocol::{Answer, Request};
use crate::issue::{self, IS_OUR_OWN};

const OPERATION: &str = "issuing a credential";

/// Asks for one, where the settings let the program be asked for it.
pub(super) async fn issue(client: &Client, request: &IssueRequest) -> Result<Issued, ConnectError> {
    let settings = client.settings.as_ref();
    let IssueRequest { id, account } = request;
    if !settings.capabilities.issue_credential.supported {
        return Err(not_issued(request));
    }
    if settings.acting_as.as_deref().is_some_and(|own| own == account.login || own == account.key.as_str()) {
        return Err(issue::refused(&settings.system, &account.login, IS_OUR_OWN));
    }
    let asked = Request::IssueCredential { action: id, account };
    let answer = client.ask(OPERATION, &asked, |answer| match answer {
        Answer::Issued(issued) => Ok(Ok(*issued)),
        Answer::Outcome(outcome @ (Outcome::Refused { .. } | Outcome::Retry { .. })) => Ok(Err(outcome)),
        other => Err(other),
    });
    let IssuedForm { kind, secret, key, instructions } = match answer.await? {
        Ok(issued) => issued,
        Err(outcome) => {
            let outcome = match outcome {
                Outcome::Refused { why } => Outcome::Refused { why: settings.shown(&why) },
                Outcome::Retry { after_ms, why } => Outcome::Retry { after_ms, why: settings.shown(&why) },
                other => other,
            };
            issue::made(&settings.system, &account.login, outcome)?;
            return Err(not_issued(request));
        }
    };
    // Where credentials are not listed, a key leads nowhere.
    let key = key.filter(|_| settings.capabilities.list_credentials.supported);
    Ok(Issued {
        credential: key.map(|key| CredentialTarget { key, kind }),
        kind,
        secret,
        instructions: settings.shown(&instructions),
    })
}
