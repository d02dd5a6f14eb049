//! Making one change at a time, and saying what the program made of it.

use leasehold_model::capability::Capability;
use leasehold_model::plan::Verb;
use leasehold_model::request::{ActionRequest, Outcome};

use crate::connector::not_offered;
use crate::error::ConnectError;
use crate::external::client::Client;
use crate::external::protocol::{Answer, Request};

/// Asks for one change, where the settings let the program be asked for it.
pub(super) async fn execute(client: &Client, request: &ActionRequest) -> Result<Outcome, ConnectError> {
    let settings = client.settings.as_ref();
    if !capability(client, request.verb).supported {
        return Ok(not_offered(request.verb));
    }
    let is_own = |own: &String| *own == request.account.login || *own == request.account.key.as_str();
    if request.verb.takes_away() && settings.acting_as.as_ref().is_some_and(is_own) {
        let why =
            "it is the account that the program itself is logged in as; use another for that".to_owned();
        return Ok(Outcome::Refused { why });
    }
    let asked = Request::Execute(request.into());
    let outcome = client.ask("changing", &asked, |answer| match answer {
        Answer::Outcome(outcome) => Ok(outcome),
        other => Err(other),
    });
    Ok(match outcome.await? {
        Outcome::Acknowledged { detail } => Outcome::Acknowledged { detail: settings.shown(&detail) },
        Outcome::AlreadySo => Outcome::AlreadySo,
        Outcome::Retry { after_ms, why } => Outcome::Retry { after_ms, why: settings.shown(&why) },
        Outcome::Refused { why } => Outcome::Refused { why: settings.shown(&why) },
    })
}

fn capability(client: &Client, verb: Verb) -> Capability {
    let capabilities = &client.settings.capabilities;
    match verb {
        Verb::CreateAccount => capabilities.create_account,
        Verb::EnableAccount => capabilities.enable_account,
        Verb::Grant => capabilities.grant,
        Verb::DisableAccount => capabilities.disable_account,
        Verb::EnableCredential | Verb::DisableCredential => capabilities.disable_credential,
        Verb::HandOverCredential => capabilities.hand_over_credential,
        Verb::RevokeCredential => capabilities.revoke_credential,
        Verb::Revoke => capabilities.revoke,
        Verb::EndSessions => capabilities.end_sessions,
        Verb::DeleteAccount => capabilities.delete_account,
    }
}
