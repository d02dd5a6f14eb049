//! Reading one object now, and the connection test.

use leasehold_model::request::{ReadBack, ReadTarget};

use crate::connector::{TestReport, no_credentials};
use crate::error::ConnectError;
use crate::external::CAPABILITIES;
use crate::external::client::Client;
use crate::external::protocol::{Answer, Request};
use crate::external::settings::names_of;

/// Starts the program, has it reach its target, and says what is left unused or unprotected.
pub(super) async fn test(client: &Client) -> Result<TestReport, ConnectError> {
    let settings = client.settings.as_ref();
    let operation = "testing the connection";
    let mut call = client.begin(operation, &Request::Test).await?;
    let message = call.process.hear(operation, settings.timeout).await?;
    let mut report = match call.expect(message)? {
        Answer::Tested(report) => report,
        Answer::Error { why } => {
            let error = call.process.wrong(operation, &why);
            call.end();
            return Err(error);
        }
        other => return Err(call.process.unexpected(operation, other.name())),
    };
    if report.target.trim().is_empty() {
        return Err(call.process.wrong(operation, "the program does not say what it reached; fill `target`"));
    }
    report.target = settings.shown(&format!("{} by {}", report.target, call.process.program));
    report.acting_as = report.acting_as.map(|login| settings.shown(&login));
    for right in &mut report.missing_rights {
        *right = settings.shown(right);
    }
    let (known, named) = (names_of(&CAPABILITIES), names_of(&settings.capabilities));
    let unused = call.process.offers.iter().filter_map(|offer| known.iter().find(|name| *name == offer));
    let unused: Vec<&str> = unused.copied().filter(|name| !named.contains(name)).collect();
    if !unused.is_empty() {
        report.missing_rights.push(format!(
            "the program also offers {}; name them in `capabilities` to have them used",
            unused.join(", ")
        ));
    }
    if let Some(login) = report.acting_as.as_ref().filter(|login| settings.acting_as.as_ref() != Some(*login))
    {
        report.missing_rights.push(format!(
            "the program is logged in as {login}; write `acting_as = \"{login}\"`, so that no plan takes anything from it"
        ));
    }
    call.end();
    Ok(report)
}

/// Reads one object. An answer about another sort of object is no answer.
pub(super) async fn read_back(client: &Client, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
    let capabilities = &client.settings.capabilities;
    let unnamed =
        |name: &str| ReadBack::Unsupported { why: format!("`capabilities` does not name `{name}`") };
    match target {
        ReadTarget::Credential { .. } | ReadTarget::HandOver { .. }
            if !capabilities.list_credentials.supported =>
        {
            return Ok(no_credentials());
        }
        ReadTarget::Sessions { .. } if !capabilities.list_sessions.supported => {
            return Ok(unnamed("list_sessions"));
        }
        ReadTarget::Grant { .. } | ReadTarget::Account { .. } if !capabilities.read_back.supported => {
            return Ok(unnamed("read_back"));
        }
        _ => {}
    }
    let settings = client.settings.as_ref();
    let asked = Request::ReadBack(target);
    let read = client.ask("reading back", &asked, |answer| match answer {
        Answer::Read(read) if answers(target, &read) => Ok(read),
        other => Err(other),
    });
    Ok(match read.await? {
        ReadBack::Unsupported { why } => ReadBack::Unsupported { why: settings.shown(&why) },
        ReadBack::Sessions { mut live, unlisted } => {
            live.iter_mut().for_each(|session| session.detail = settings.shown(&session.detail));
            ReadBack::Sessions { live, unlisted }
        }
        read => read,
    })
}

fn answers(target: &ReadTarget, read: &ReadBack) -> bool {
    matches!(
        (target, read),
        (_, ReadBack::Unsupported { .. })
            | (ReadTarget::Grant { .. }, ReadBack::Grant { .. })
            | (ReadTarget::Account { .. }, ReadBack::Account { .. })
            | (ReadTarget::Credential { .. }, ReadBack::Credential { .. })
            | (ReadTarget::HandOver { .. }, ReadBack::HandOver { .. })
            | (ReadTarget::Sessions { .. }, ReadBack::Sessions { .. })
    )
}
