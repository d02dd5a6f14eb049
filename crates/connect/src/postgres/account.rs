//! Accounts that come, go, stop and come back.

use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, Outcome};

use crate::connector::not_offered;
use crate::error::ConnectError;
use crate::postgres::client::{Client, Session};
use crate::postgres::execute::{Failure, commit, named, refused, run};
use crate::postgres::read_back::RoleState;
use crate::postgres::sql_accounts;

/// The server cuts longer names off, and would mean somebody else by the rest.
const NAME_BYTES_MAX: usize = 63;

/// Changes an account itself: one that is there.
pub(super) async fn change_account(
    client: &Client,
    session: &mut Session,
    verb: Verb,
    account: &AccountTarget,
    found: &RoleState,
) -> Result<Outcome, ConnectError> {
    let (statement, detail) = match verb {
        Verb::CreateAccount if found.can_log_in => return Ok(Outcome::AlreadySo),
        Verb::CreateAccount => {
            return Ok(refused(format!(
                "`{}` is a role already, which may not log in: a group, or an account that was closed; choose another \
                 login, or let it log in again",
                account.key
            )));
        }
        Verb::DisableAccount if !found.can_log_in => return Ok(Outcome::AlreadySo),
        Verb::DisableAccount => (sql_accounts::DISABLE, "NOLOGIN set".to_owned()),
        Verb::EnableAccount if found.can_log_in => return Ok(Outcome::AlreadySo),
        Verb::EnableAccount => (sql_accounts::ENABLE, enabled(found)),
        Verb::DeleteAccount => (sql_accounts::DROP, "dropped".to_owned()),
        verb => return Ok(not_offered(verb)),
    };
    match run(client, session, named(account), statement).await? {
        Ok(()) => commit(client, session, &detail).await,
        Err(Failure::Dependants { why }) => Ok(refused(format!(
            "{why}; hand over what it owns (REASSIGN OWNED BY) and revoke what it holds, in the databases that the server \
             names, then plan again"
        ))),
        Err(Failure::Denied { why }) => Ok(refused(why)),
        Err(Failure::Outcome(outcome)) => Ok(outcome),
    }
}

/// What letting somebody in again did not do.
fn enabled(found: &RoleState) -> String {
    match found.is_past {
        true => "LOGIN set; its VALID UNTIL is past and stays, so that no password lets it in until that is changed"
            .to_owned(),
        false => "LOGIN set".to_owned(),
    }
}

/// Makes an account that holds nothing and has no password.
pub(super) async fn create_account(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
) -> Result<Outcome, ConnectError> {
    let name = account.key.as_str();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') {
        return Ok(refused(format!(
            "`{}` cannot be the name of a role, which has 1 to {NAME_BYTES_MAX} bytes",
            name.escape_debug()
        )));
    }
    match run(client, session, named(account), sql_accounts::CREATE).await? {
        Ok(()) => commit(client, session, "created, without a password").await,
        Err(Failure::Dependants { why } | Failure::Denied { why }) => Ok(refused(why)),
        Err(Failure::Outcome(outcome)) => Ok(outcome),
    }
}
