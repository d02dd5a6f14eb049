//! Making one change at a time, and saying what the host made of it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use leasehold_model::plan::Verb;
use leasehold_model::request::{ActionRequest, Outcome};

use crate::connector::not_offered;
use crate::error::ConnectError;
use crate::ssh::client::{Answer, Client, Session};
use crate::ssh::crontab::{self, Crontab};
use crate::ssh::enumerate::RULES_ARE_EDITED;
use crate::ssh::host::Host;
use crate::ssh::keys::{self, Change};
use crate::ssh::read_back::{checked, name_of, sessions};
use crate::ssh::scripts::{self, Script};
use crate::ssh::{at, hand_over};

/// Between two looks at whether processes have ended.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// `userdel` says so of an account that has processes.
const STILL_LOGGED_IN: u32 = 8;

/// Makes one change.
pub(super) async fn execute(client: &Client, request: &ActionRequest) -> Result<Outcome, ConnectError> {
    let name = match name_of(&request.account) {
        Ok(name) => name,
        Err(why) => return Ok(refused(why)),
    };
    if request.verb.takes_away() && name == client.settings.user {
        return Ok(refused(format!("`{name}` is the account that the connector itself uses")));
    }
    let session = match client.session().await {
        // Nothing was sent yet.
        Err(ConnectError::Unreachable { address, message, .. }) => {
            return Ok(Outcome::Retry { after_ms: None, why: format!("cannot reach {address}: {message}") });
        }
        connected => connected?,
    };
    let outcome = execute_now(client, &session, request, name).await;
    session.close().await;
    outcome
}

async fn execute_now(
    client: &Client,
    session: &Session<'_>,
    request: &ActionRequest,
    name: &str,
) -> Result<Outcome, ConnectError> {
    let verb = request.verb;
    if verb == Verb::EndSessions {
        return end_sessions(client, session, name).await;
    }
    let host = Host::read_of(client, session, name).await?;
    let Some(user) = host.users.get(name) else {
        return Ok(match verb {
            // Who does not exist holds nothing.
            Verb::Revoke
            | Verb::DisableAccount
            | Verb::DeleteAccount
            | Verb::DisableCredential
            | Verb::RevokeCredential => Outcome::AlreadySo,
            Verb::Grant | Verb::EnableAccount | Verb::EnableCredential | Verb::HandOverCredential => {
                refused(format!("there is no account `{name}`"))
            }
            Verb::CreateAccount => return create(client, session, request, name).await,
            verb => not_offered(verb),
        });
    };
    if user.uid == 0 && verb.takes_away() {
        return Ok(refused(format!("`{name}` is root, and the host cannot do without")));
    }
    let line = format!("{name}\n");
    match verb {
        Verb::CreateAccount => Ok(Outcome::AlreadySo),
        Verb::DisableAccount if !user.is_enabled(Timestamp::now()) => Ok(Outcome::AlreadySo),
        Verb::DisableAccount => run(session, &scripts::DISABLE, &line, "expired").await,
        Verb::EnableAccount if user.is_enabled(Timestamp::now()) => Ok(Outcome::AlreadySo),
        Verb::EnableAccount if !user.has_shell() => Ok(refused(format!(
            "its shell is {}, which lets nobody in; set one by usermod --shell",
            user.shell
        ))),
        Verb::EnableAccount => run(session, &scripts::ENABLE, &line, "expires no more").await,
        Verb::DeleteAccount => run(session, &scripts::DELETE, &line, "deleted; its home folder stays").await,
        Verb::Grant | Verb::Revoke => membership(session, &host, request, name).await,
        Verb::EnableCredential => change_key(session, &host, request, name, Change::Enable).await,
        Verb::DisableCredential => change_key(session, &host, request, name, Change::Disable).await,
        Verb::RevokeCredential => change_key(session, &host, request, name, Change::Remove).await,
        Verb::HandOverCredential => hand_over::execute(client, session, &host, request, name).await,
        verb => Ok(not_offered(verb)),
    }
}

pub(super) fn refused(why: impl Into<String>) -> Outcome {
    Outcome::Refused { why: why.into() }
}

/// Makes an account that nobody can log in as: it has neither a key nor a password that works.
async fn create(
    client: &Client,
    session: &Session<'_>,
    request: &ActionRequest,
    name: &str,
) -> Result<Outcome, ConnectError> {
    let full = request.attributes.get("display_name").map(String::as_str).unwrap_or_default();
    // What would end the field or the line is left out: it is for people only.
    let full: String = full.chars().filter(|c| !c.is_control() && !":,".contains(*c)).collect();
    let shell = &client.settings.new_account_shell;
    let input = format!("{name}\n{shell}\n{full}\n");
    let answer = session.run("changing the host", &scripts::CREATE, input.as_bytes()).await?;
    Ok(match answer.status {
        0 => Outcome::Acknowledged { detail: "made, with a locked password and no key".to_owned() },
        scripts::NO_SHELL => {
            refused(format!("there is no program {shell} on this host; set `new_account_shell`"))
        }
        scripts::HOME_IS_THERE => refused(format!(
            "{} is there already, and may hold keys of somebody who had this name before: move it away first",
            answer.message
        )),
        status => refused(format!("useradd ended with {status}: {}", answer.message)),
    })
}

/// Puts an account into a group or takes it out.
async fn membership(
    session: &Session<'_>,
    host: &Host,
    request: &ActionRequest,
    name: &str,
) -> Result<Outcome, ConnectError> {
    let give = request.verb == Verb::Grant;
    let Some(entitlement) = &request.entitlement else {
        return Ok(refused(format!("{} needs an entitlement", request.verb)));
    };
    let group = entitlement.name.name.as_str();
    match entitlement.name.kind.as_str() {
        "group" => {}
        "sudo" => return Ok(refused(RULES_ARE_EDITED)),
        other => {
            return Ok(refused(format!(
                "`{other}` is not a kind of entitlement here; known are group, sudo"
            )));
        }
    }
    let group = match checked(group) {
        Ok(group) => group,
        Err(why) => return Ok(refused(why)),
    };
    if give && !host.groups.contains_key(group) {
        return Ok(refused(format!("there is no group `{group}` on this host")));
    }
    match host.groups_of(name).find(|(held, _)| *held == group) {
        Some(_) if give => return Ok(Outcome::AlreadySo),
        None if !give => return Ok(Outcome::AlreadySo),
        Some((_, true)) => {
            let why = format!("`{group}` is the primary group of `{name}`; give it another by usermod --gid");
            return Ok(refused(why));
        }
        _ => {}
    }
    let (script, detail) = match give {
        true => (&scripts::JOIN, "granted; a live session gets the group when it begins anew"),
        false => (&scripts::LEAVE, "revoked; a live session keeps the group until it is ended"),
    };
    run(session, script, &format!("{name}\n{group}\n"), detail).await
}

/// Changes the lines of a key in every file that has it.
async fn change_key(
    session: &Session<'_>,
    host: &Host,
    request: &ActionRequest,
    name: &str,
    change: Change,
) -> Result<Outcome, ConnectError> {
    let Some(credential) = &request.credential else {
        return Ok(refused(format!("{} needs a credential", request.verb)));
    };
    if credential.key.as_str() == format!("{name} {}", crontab::KEY) {
        return change_crontab(session, host, name, change).await;
    }
    if credential.key.as_str() == format!("{name} {}", at::KEY) {
        return change_at_jobs(session, host, name, change).await;
    }
    let Some(fingerprint) = credential.key.as_str().strip_prefix(&format!("{name} ")) else {
        return Ok(refused(format!("`{}` is not a key of `{name}`", credential.key)));
    };
    let is_there = host.keys_of(name).any(|(_, key)| key.is_ok_and(|key| key.fingerprint == fingerprint));
    if !is_there && change == Change::Enable {
        return Ok(refused("that key is in no file any more"));
    }
    let detail = match change {
        Change::Enable => "the key is back in its file",
        Change::Disable => "the key is behind a marker in its file",
        Change::Remove => "the key is out of its file",
    };
    let mut outcome = Outcome::AlreadySo;
    for file in &host.key_files {
        let Some(content) = keys::change(&file.content, fingerprint, change) else { continue };
        if file.path.chars().any(char::is_control) {
            return Ok(refused("the home folder's name holds a control character"));
        }
        let input = format!("{name}\n{}\n{}\n{content}", file.path, file.sum);
        outcome = run(session, &scripts::WRITE, &input, detail).await?;
        if !matches!(outcome, Outcome::Acknowledged { .. }) {
            return Ok(outcome);
        }
    }
    Ok(outcome)
}

/// Changes every job of an account's crontabs.
pub(super) async fn change_crontab(
    session: &Session<'_>,
    host: &Host,
    name: &str,
    change: Change,
) -> Result<Outcome, ConnectError> {
    if let Some(why) = host.unread_crontabs() {
        return Ok(refused(format!("what is not read is not changed: {why}")));
    }
    if change == Change::Enable && host.crontabs_of(name).next().is_none() {
        return Ok(refused("it has no crontab any more"));
    }
    let detail = match change {
        Change::Enable => "the jobs are back",
        Change::Disable => "the jobs are behind a marker; what runs already ends with the account's sessions",
        Change::Remove => "the jobs are out of the crontab",
    };
    let mut outcome = Outcome::AlreadySo;
    for crontab in host.crontabs_of(name) {
        let Some(content) = crontab.changed(change) else { continue };
        outcome = write_crontab(session, crontab, &content, detail).await?;
        if !matches!(outcome, Outcome::Acknowledged { .. }) {
            return Ok(outcome);
        }
    }
    Ok(outcome)
}

/// Gives a crontab another content, where it is still as it was read.
pub(super) async fn write_crontab(
    session: &Session<'_>,
    crontab: &Crontab,
    content: &str,
    detail: &str,
) -> Result<Outcome, ConnectError> {
    let Crontab { account, folder, .. } = crontab;
    let (sum, size) = (crontab.sum(), content.len());
    let input = format!("{account}\n{folder}\n{sum}\n{size}\n{content}");
    run(session, &scripts::WRITE_CRONTAB, &input, detail).await
}

/// Changes every job of `at` of an account.
async fn change_at_jobs(
    session: &Session<'_>,
    host: &Host,
    name: &str,
    change: Change,
) -> Result<Outcome, ConnectError> {
    if let Some(why) = host.unread_at_jobs() {
        return Ok(refused(format!("what is not read is not changed: {why}")));
    }
    let jobs = host.at_jobs_of(name);
    if !jobs.is_there() && change == Change::Enable {
        return Ok(refused("it has no jobs of `at` any more"));
    }
    if jobs.is_so(change) {
        return Ok(Outcome::AlreadySo);
    }
    let detail = match change {
        Change::Enable => "the jobs are back; one whose time is over runs now",
        Change::Disable => "the jobs are stopped; what runs already ends with the account's sessions",
        Change::Remove => "the jobs are gone",
    };
    run(session, &scripts::CHANGE_AT, &format!("{name}\n{}\n", at::word(change)), detail).await
}

/// Runs a command, and says what the host made of it.
async fn run(
    session: &Session<'_>,
    script: &Script,
    input: &str,
    detail: &str,
) -> Result<Outcome, ConnectError> {
    let Answer { status, message, .. } = session.run("changing the host", script, input.as_bytes()).await?;
    Ok(match status {
        0 => Outcome::Acknowledged { detail: detail.to_owned() },
        scripts::CHANGED => {
            Outcome::Retry { after_ms: None, why: "the file was changed meanwhile".to_owned() }
        }
        STILL_LOGGED_IN => {
            Outcome::Retry { after_ms: None, why: format!("{message}; end its sessions first") }
        }
        scripts::NO_ACCOUNT => {
            Outcome::Retry { after_ms: None, why: "the account went away meanwhile".to_owned() }
        }
        scripts::NO_GROUP => {
            Outcome::Retry { after_ms: None, why: "the group went away meanwhile".to_owned() }
        }
        status => refused(format!("the host's command ended with {status}: {message}")),
    })
}

/// Ends every process and waits until the host no longer lists any.
async fn end_sessions(client: &Client, session: &Session<'_>, name: &str) -> Result<Outcome, ConnectError> {
    let Some(before) = sessions(client, session, name).await? else {
        return Ok(refused("what root runs is the host itself"));
    };
    if before.is_empty() {
        return Ok(Outcome::AlreadySo);
    }
    let until = Instant::now() + client.settings.timeout;
    loop {
        let answer = session.run("ending processes", &scripts::END, format!("{name}\n").as_bytes()).await?;
        if !matches!(answer.status, 0 | scripts::NO_ACCOUNT) {
            return Ok(refused(format!(
                "the host's command ended with {}: {}",
                answer.status, answer.message
            )));
        }
        let left = sessions(client, session, name).await?.unwrap_or_default();
        if left.is_empty() {
            return Ok(Outcome::Acknowledged { detail: format!("{} processes ended", before.len()) });
        }
        if Instant::now() >= until {
            let pids: Vec<&str> = left.iter().map(|live| live.id.as_str()).collect();
            return Ok(Outcome::Retry {
                after_ms: None,
                why: format!("still there: process {}", pids.join(", ")),
            });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
