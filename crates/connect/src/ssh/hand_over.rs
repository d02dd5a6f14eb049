//! The jobs of an account's crontab as those of another account: what somebody left behind runs for whoever takes it over.
//!
//! The lines are written behind those of the other account, stopped; then they are taken out of the first one's crontab; and only
//! then they run. Whatever happens between these, no job is lost and none runs twice, or for somebody who is not to have it. Around
//! them stands by which action they came, so that those of an earlier one are not taken for them.

use jiff::Timestamp;
use leasehold_model::id::ActionId;
use leasehold_model::request::{AccountTarget, ActionRequest, CredentialTarget, Outcome, ReadBack};

use crate::error::ConnectError;
use crate::ssh::client::{Client, Session};
use crate::ssh::crontab::{self, Crontab};
use crate::ssh::execute::{change_crontab, refused, write_crontab};
use crate::ssh::host::Host;
use crate::ssh::keys::Change;
use crate::ssh::read_back::name_of;

/// Hands the crontab of an account over, as the host was read for it.
pub(super) async fn execute(
    client: &Client,
    session: &Session<'_>,
    host: &Host,
    request: &ActionRequest,
    name: &str,
) -> Result<Outcome, ConnectError> {
    let (Some(credential), Some(to)) = (&request.credential, &request.to) else {
        return Ok(refused(format!("{} needs a credential and an account", request.verb)));
    };
    if !is_crontab(credential, name) {
        return Ok(refused(format!(
            "only jobs of a crontab are handed over; whoever needs `{}` sets it up anew",
            credential.key
        )));
    }
    let to = match name_of(to) {
        Ok(to) => to,
        Err(why) => return Ok(refused(why)),
    };
    match host.users.get(to) {
        None => return Ok(refused(format!("there is no account `{to}`"))),
        Some(user) if user.uid == 0 => return Ok(refused("nothing that was left behind is to run as root")),
        Some(user) if !user.is_enabled(Timestamp::now()) => {
            return Ok(refused(format!("`{to}` is closed, and cron runs nothing for it; open it first")));
        }
        Some(_) if to == client.settings.user => {
            return Ok(refused(format!("`{to}` is the account that the connector itself uses")));
        }
        Some(_) => {}
    }
    let other = Host::read_of(client, session, to).await?;
    if let Some(why) = host.unread_crontabs().or(other.unread_crontabs()) {
        return Ok(refused(format!("what is not read is not changed: {why}")));
    }
    let action = request.id.as_str();
    let mut has_jobs = false;
    for left in host.crontabs_of(name).filter(|left| left.has_jobs()) {
        has_jobs = true;
        let none = Crontab::new(to, &left.folder, String::new());
        let theirs = other.crontabs_of(to).find(|theirs| theirs.folder == left.folder).unwrap_or(&none);
        let Some(content) = theirs.with(name, action, &left.to_hand_over(action)) else { continue };
        let written = write_crontab(session, theirs, &content, "the jobs are written").await?;
        if !matches!(written, Outcome::Acknowledged { .. }) {
            return Ok(written);
        }
    }
    if has_jobs {
        let removed = change_crontab(session, host, name, Change::Remove).await?;
        if !matches!(removed, Outcome::Acknowledged { .. } | Outcome::AlreadySo) {
            return Ok(removed);
        }
    }
    let other = Host::read_of(client, session, to).await?;
    let mut outcome = match has_arrived(&other, name, action, to) {
        true => Outcome::AlreadySo,
        false => refused(format!("`{name}` has no jobs in a crontab any more")),
    };
    for theirs in other.crontabs_of(to) {
        let Some(content) = theirs.with_running(name, action) else { continue };
        outcome =
            write_crontab(session, theirs, &content, &format!("the jobs run as {to} from now on")).await?;
        if !matches!(outcome, Outcome::Acknowledged { .. }) {
            break;
        }
    }
    Ok(outcome)
}

/// Reads whether the crontab of an account was handed over.
pub(super) async fn read_back(
    client: &Client,
    session: &Session<'_>,
    name: &str,
    action: &ActionId,
    credential: &CredentialTarget,
    to: &AccountTarget,
) -> Result<ReadBack, ConnectError> {
    if !is_crontab(credential, name) {
        let why = format!("`{}` is no crontab of `{name}`, and nothing else is handed over", credential.key);
        return Ok(ReadBack::Unsupported { why });
    }
    let to = match name_of(to) {
        Ok(to) => to,
        Err(why) => return Ok(ReadBack::Unsupported { why }),
    };
    let host = Host::read_of(client, session, name).await?;
    let other = Host::read_of(client, session, to).await?;
    if let Some(why) = host.unread_crontabs().or(other.unread_crontabs()) {
        return Err(client.wrong("reading a crontab", why));
    }
    let left = crontab::jobs(host.crontabs_of(name)) == (0, 0);
    Ok(ReadBack::HandOver { left, arrived: has_arrived(&other, name, action.as_str(), to) })
}

fn is_crontab(credential: &CredentialTarget, name: &str) -> bool {
    credential.key.as_str() == format!("{name} {}", crontab::KEY)
}

fn has_arrived(host: &Host, name: &str, action: &str, to: &str) -> bool {
    host.crontabs_of(to).any(|theirs| theirs.runs(name, action))
}
