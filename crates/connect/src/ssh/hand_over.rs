//! The jobs of an account's crontab as those of another account: what somebody left behind runs for whoever takes it over.
//!
//! The lines are written behind those of the other account, which stay as they are, and are taken out of the first one's crontab
//! only then: whatever happens between the two, no job is lost. Until both are done it is not read as handed over.

use jiff::Timestamp;
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
    let mut handed_over = 0;
    for left in host.crontabs_of(name).filter(|left| left.has_jobs()) {
        let lines = left.to_hand_over();
        handed_over += 1;
        let none = Crontab::new(to, &left.folder, String::new());
        let theirs = other.crontabs_of(to).find(|theirs| theirs.folder == left.folder).unwrap_or(&none);
        // It may have been written before, and the first one's taken out not yet.
        let Some(content) = theirs.with(&lines) else { continue };
        let outcome = write_crontab(session, theirs, &content, "the jobs are written").await?;
        if !matches!(outcome, Outcome::Acknowledged { .. }) {
            return Ok(outcome);
        }
    }
    if handed_over == 0 {
        return Ok(match has_arrived(&other, name, to) {
            true => Outcome::AlreadySo,
            false => refused(format!("`{name}` has no jobs in a crontab any more")),
        });
    }
    Ok(match change_crontab(session, host, name, Change::Remove).await? {
        Outcome::Acknowledged { .. } | Outcome::AlreadySo => {
            Outcome::Acknowledged { detail: format!("the jobs run as {to} from now on") }
        }
        outcome => outcome,
    })
}

/// Reads whether the crontab of an account was handed over.
pub(super) async fn read_back(
    client: &Client,
    session: &Session<'_>,
    name: &str,
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
    Ok(ReadBack::HandOver { left, arrived: has_arrived(&other, name, to) })
}

fn is_crontab(credential: &CredentialTarget, name: &str) -> bool {
    credential.key.as_str() == format!("{name} {}", crontab::KEY)
}

fn has_arrived(host: &Host, name: &str, to: &str) -> bool {
    host.crontabs_of(to).any(|theirs| theirs.runs_jobs_of(name))
}
