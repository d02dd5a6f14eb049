//! Asking the host, now, about one grant, account, key or the processes of an account; and whether this log-in may do it all.

use jiff::Timestamp;
use leasehold_model::account::Session as LiveSession;
use leasehold_model::request::{AccountTarget, ReadBack, ReadTarget};

use crate::connector::TestReport;
use crate::error::ConnectError;
use crate::ssh::client::{Client, Session};
use crate::ssh::host::Host;
use crate::ssh::scripts;
use crate::ssh::{at, crontab, hand_over};

/// What account names and group names are made of, so that one fits on a line of its own.
///
/// # Errors
/// Says what is wrong with a name.
pub(super) fn checked(name: &str) -> Result<&str, String> {
    let is_name = !name.is_empty()
        && !name.starts_with('-')
        && !name
            .chars()
            .any(|letter| letter.is_control() || letter.is_whitespace() || ":,/".contains(letter));
    if is_name {
        Ok(name)
    } else {
        Err(format!("`{}` cannot be a name on a Linux host", name.escape_debug()))
    }
}

/// The name of an account, which is both its key and its login.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn name_of(account: &AccountTarget) -> Result<&str, String> {
    checked(if account.is_by_login() { &account.login } else { account.key.as_str() })
}

/// Reaches the host and reports what is missing.
pub(super) async fn test(client: &Client) -> Result<TestReport, ConnectError> {
    let session = client.session().await?;
    let host = Host::read(client, &session).await?;
    session.close().await;
    Ok(TestReport {
        target: format!("Linux host {}", client.settings.address()),
        acting_as: Some(client.settings.user.clone()),
        missing_rights: host.missing,
    })
}

/// Reads one object.
pub(super) async fn read_back(client: &Client, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
    // A host that cannot be reached says nothing about anybody, and be the name one that no account can have.
    let session = client.session().await?;
    let read = match name_of(target.account()) {
        Ok(name) => read(client, &session, name, target).await,
        Err(why) => Ok(match target {
            ReadTarget::Account { .. } => ReadBack::Account { exists: false, enabled: false },
            ReadTarget::Grant { .. } => ReadBack::Grant { direct: false, effective: Some(false) },
            _ => ReadBack::Unsupported { why },
        }),
    };
    session.close().await;
    read
}

async fn read(
    client: &Client,
    session: &Session<'_>,
    name: &str,
    target: &ReadTarget,
) -> Result<ReadBack, ConnectError> {
    let now = Timestamp::now();
    match target {
        ReadTarget::Grant { entitlement, .. } => match entitlement.name.kind.as_str() {
            "group" => {
                let host = Host::read_of(client, session, name).await?;
                let held = host.groups_of(name).any(|(group, _)| group == entitlement.name.name);
                Ok(ReadBack::Grant { direct: held, effective: Some(held) })
            }
            "sudo" => {
                let host = Host::read_with_rules(client, session, name).await?;
                if let Some(why) = host.missing.iter().find(|why| why.starts_with("sudo rules")) {
                    return Err(client.wrong("reading sudo rules", why.clone()));
                }
                let found: Vec<_> = host
                    .rules
                    .iter()
                    .filter(|rule| {
                        rule.name == entitlement.name.name && !rule.is_past(now) && rule.is_for(&host, name)
                    })
                    .collect();
                let is_own = |rule: &&&super::sudoers::Rule| {
                    !matches!(
                        rule.subject,
                        super::sudoers::Subject::Group(_) | super::sudoers::Subject::Gid(_)
                    )
                };
                Ok(ReadBack::Grant {
                    direct: found.iter().any(|rule| is_own(&rule)),
                    effective: Some(!found.is_empty()),
                })
            }
            other => {
                let why = format!("`{other}` is not a kind of entitlement here; known are group, sudo");
                Ok(ReadBack::Unsupported { why })
            }
        },
        ReadTarget::Account { .. } => {
            let host = Host::read_of(client, session, name).await?;
            let found = host.users.get(name);
            Ok(ReadBack::Account {
                exists: found.is_some(),
                enabled: found.is_some_and(|user| user.is_enabled(now)),
            })
        }
        ReadTarget::Credential { credential, .. } => {
            if credential.key.as_str() == format!("{name} {}", crontab::KEY) {
                let host = Host::read_of(client, session, name).await?;
                if let Some(why) = host.unread_crontabs() {
                    return Err(client.wrong("reading a crontab", why));
                }
                let (running, stopped) = crontab::jobs(host.crontabs_of(name));
                return Ok(ReadBack::Credential { exists: running + stopped > 0, active: running > 0 });
            }
            if credential.key.as_str() == format!("{name} {}", at::KEY) {
                let host = Host::read_of(client, session, name).await?;
                if let Some(why) = host.unread_at_jobs() {
                    return Err(client.wrong("reading jobs of at", why));
                }
                let jobs = host.at_jobs_of(name);
                return Ok(ReadBack::Credential { exists: jobs.is_there(), active: jobs.waiting > 0 });
            }
            let Some(fingerprint) = credential.key.as_str().strip_prefix(&format!("{name} ")) else {
                let why = format!("`{}` is not a key of `{name}`", credential.key);
                return Ok(ReadBack::Unsupported { why });
            };
            let host = Host::read_of(client, session, name).await?;
            if let Some(why) = host.missing.iter().find(|why| why.contains("authorized_keys")) {
                return Err(client.wrong("reading keys", why.clone()));
            }
            let lines: Vec<_> = host
                .keys_of(name)
                .filter_map(|(_, key)| key.ok())
                .filter(|key| key.fingerprint == fingerprint)
                .collect();
            let active = lines.iter().any(|key| key.enabled && key.expires_at.is_none_or(|at| at > now));
            Ok(ReadBack::Credential { exists: !lines.is_empty(), active })
        }
        ReadTarget::HandOver { action, credential, to, .. } => {
            hand_over::read_back(client, session, name, action, credential, to).await
        }
        ReadTarget::Sessions { .. } => Ok(match sessions(client, session, name).await? {
            Some(live) => ReadBack::sessions(live),
            None => ReadBack::Unsupported { why: "what root runs is the host itself".to_owned() },
        }),
    }
}

/// The processes of an account; `None` for root.
///
/// # Errors
/// Where the account is gone and there are processes of whom no one knows.
pub(super) async fn sessions(
    client: &Client,
    session: &Session<'_>,
    name: &str,
) -> Result<Option<Vec<LiveSession>>, ConnectError> {
    let operation = "listing processes";
    let answer = session.run(operation, &scripts::PROCESSES, format!("{name}\n").as_bytes()).await?;
    match answer.status {
        0 => {}
        scripts::IS_ROOT => return Ok(None),
        scripts::NO_ACCOUNT => return without_account(client, session, name).await.map(Some),
        _ => return Err(client.wrong(operation, answer.message)),
    }
    let text = String::from_utf8_lossy(&answer.output);
    let cut = || client.wrong(operation, "the answer was cut off");
    let mut lines = text.strip_suffix("@end\n").ok_or_else(cut)?.lines();
    let now: i64 = lines.next().and_then(|line| line.trim().parse().ok()).ok_or_else(cut)?;
    let mut live = Vec::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let (pid, state) = (words.next().ok_or_else(cut)?, words.next().ok_or_else(cut)?);
        let seconds: i64 = words.next().and_then(|word| word.parse().ok()).ok_or_else(cut)?;
        // One that ended, and that its parent has not looked after yet, does nothing any more.
        if !state.starts_with('Z') {
            live.push(LiveSession {
                id: pid.to_owned(),
                started_at: Timestamp::from_second(now - seconds).ok(),
                detail: words.collect::<Vec<_>>().join(" "),
            });
        }
    }
    Ok(Some(live))
}

async fn without_account(
    client: &Client,
    session: &Session<'_>,
    name: &str,
) -> Result<Vec<LiveSession>, ConnectError> {
    let operation = "listing processes";
    let answer = session.run(operation, &scripts::OWNERLESS, b"").await?;
    let text = String::from_utf8_lossy(&answer.output);
    match text.strip_suffix("@end\n") {
        None => Err(client.wrong(operation, "the answer was cut off")),
        Some("") => Ok(Vec::new()),
        Some(pids) => {
            let pids: Vec<&str> = pids.lines().collect();
            let message = format!(
                "`{name}` is gone, and processes of accounts that are gone go on, which do not say whose they are: {}; end them by kill",
                pids.join(", ")
            );
            Err(client.wrong(operation, message))
        }
    }
}
