//! The switch that stops an account's log-ins, and lets them in again: what disabling sets is what enabling takes away.

use jiff::Timestamp;
use ldap3::Mod;
use leasehold_model::request::Outcome;

use crate::error::ConnectError;
use crate::ldap::client::{Client, Session, code, describe, one};
use crate::ldap::dialect::{Dialect, ENDED_BY_US, LOCKED_FOR_GOOD, NO_CREDENTIAL_YET, generalized_time, uac};
use crate::ldap::entry::Entry;
use crate::ldap::execute::{judge, refused};
use crate::ldap::normalise::state;
use crate::ldap::policy::Policies;

/// Stops an account's log-ins.
pub(super) async fn disable(
    client: &Client,
    session: &mut Session,
    account: &Entry,
) -> Result<Outcome, ConnectError> {
    let policies = Policies::read(client, session).await?;
    if !state(session.dialect, &policies, account).enabled {
        return Ok(Outcome::AlreadySo);
    }
    let (changes, written, detail) = match session.dialect {
        Dialect::ActiveDirectory => match flag(account, true) {
            Ok(changes) => (changes, "userAccountControl", "the account's disabled bit was set"),
            Err(why) => return Ok(refused(why)),
        },
        Dialect::OpenLdap if !session.has_password_policy => {
            return Ok(refused(
                "the directory has no password policy overlay (slapo-ppolicy), without which it cannot lock an account",
            ));
        }
        Dialect::OpenLdap => {
            let heeds = policies.heeds(account);
            let lock = Mod::Replace("pwdAccountLockedTime".to_owned(), one(LOCKED_FOR_GOOD));
            if heeds.lock {
                (vec![lock], "pwdAccountLockedTime", "the account was locked for good")
            } else if heeds.end {
                let mut changes = vec![lock];
                // An end that is past already keeps it out as well, and is somebody else's to take away.
                if !is_past(account) {
                    changes.push(Mod::Replace("pwdEndTime".to_owned(), one(ENDED_BY_US)));
                }
                (
                    changes,
                    "pwdAccountLockedTime and pwdEndTime",
                    "the account was locked, and ended, since its password policy heeds no lock",
                )
            } else {
                return Ok(refused(format!(
                    "no password policy that can be read applies to {}, and without one slapd lets a locked account \
                     in: add a default policy, or name it by `password_policy`",
                    account.dn
                )));
            }
        }
    };
    let disagree = policies.disagree();
    send(client, session, account, changes, written, detail, disagree).await
}

/// Lets an account's log-ins in again.
pub(super) async fn enable(
    client: &Client,
    session: &mut Session,
    account: &Entry,
) -> Result<Outcome, ConnectError> {
    let policies = Policies::read(client, session).await?;
    let now = Timestamp::now();
    let before = state(session.dialect, &policies, account);
    if before.lets_in(now) {
        return Ok(Outcome::AlreadySo);
    }
    let end = account.text("accountExpires");
    if session.dialect == Dialect::ActiveDirectory && end.as_deref() == Some(NO_CREDENTIAL_YET) {
        return Ok(refused("the account has no credential yet: issue one, which lets it in"));
    }
    let (changes, written, detail) = match session.dialect {
        Dialect::ActiveDirectory if before.enabled => (Vec::new(), "", ""),
        Dialect::ActiveDirectory => match flag(account, false) {
            Ok(changes) => (changes, "userAccountControl", "the account's disabled bit was cleared"),
            Err(why) => return Ok(refused(why)),
        },
        Dialect::OpenLdap => {
            let ours = [("pwdAccountLockedTime", LOCKED_FOR_GOOD), ("pwdEndTime", ENDED_BY_US)];
            let found =
                ours.into_iter().filter(|(name, value)| account.text(name).as_deref() == Some(*value));
            let changes = found.map(|(name, value)| Mod::Delete(name.to_owned(), one(value)));
            (changes.collect(), "pwdAccountLockedTime and pwdEndTime", "the lock was taken away")
        }
    };
    // What else keeps it out was somebody's decision, and is not undone on the way.
    let ended = match session.dialect {
        Dialect::ActiveDirectory => before.expires_at.is_some_and(|end| end <= now),
        Dialect::OpenLdap => is_past(account) && account.text("pwdEndTime").as_deref() != Some(ENDED_BY_US),
    };
    if ended || changes.is_empty() {
        let attribute = match (session.dialect, ended) {
            (Dialect::ActiveDirectory, _) => "accountExpires",
            (Dialect::OpenLdap, true) => "pwdEndTime",
            (Dialect::OpenLdap, false) => "nsAccountLock",
        };
        return Ok(refused(format!(
            "{attribute} of {} keeps it out, and was not set by disabling it; take that away in the directory",
            account.dn
        )));
    }
    send(client, session, account, changes, written, detail, false).await
}

/// Whether an account's end has come.
fn is_past(account: &Entry) -> bool {
    let end = account.text("pwdEndTime").and_then(|text| generalized_time(&text));
    end.is_some_and(|end| end <= Timestamp::now())
}

/// Deleting the old value and not replacing it: if somebody changed a flag meanwhile, nothing is lost.
pub(super) fn flag(account: &Entry, disabled: bool) -> Result<Vec<Mod<String>>, String> {
    let Some(flags) = account.number("userAccountControl") else {
        return Err(format!("userAccountControl of {} cannot be read", account.dn));
    };
    let changed = if disabled { flags | uac::DISABLED } else { flags & !uac::DISABLED };
    let attribute = "userAccountControl".to_owned();
    Ok(vec![
        Mod::Delete(attribute.clone(), one(&flags.to_string())),
        Mod::Add(attribute, one(&changed.to_string())),
    ])
}

async fn send(
    client: &Client,
    session: &mut Session,
    account: &Entry,
    changes: Vec<Mod<String>>,
    written: &str,
    detail: &str,
    policies_disagree: bool,
) -> Result<Outcome, ConnectError> {
    let result = client.modify(session, &account.dn, changes).await?;
    Ok(match result.rc {
        code::NO_SUCH_ATTRIBUTE => {
            let why = "the account's flags changed meanwhile".to_owned();
            Outcome::Retry { after_ms: Some(0), why }
        }
        code::INSUFFICIENT_ACCESS => refused(format!(
            "{}; the connector's account must be able to write {written} of {}{}",
            describe(&result),
            account.dn,
            if policies_disagree { ", or `password_policy` must name the default policy" } else { "" }
        )),
        // Active Directory lets nobody in whose password its policy would not take, and one without any least of all.
        code::UNWILLING_TO_PERFORM if session.dialect == Dialect::ActiveDirectory => refused(format!(
            "{}; an account without a password that the domain's policy takes cannot be enabled: set one there first",
            describe(&result)
        )),
        _ => judge(&result, detail.to_owned()),
    })
}
