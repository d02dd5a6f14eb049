//! What this log-in may do, found out without changing anything.
//!
//! Active Directory says of every entry what may be written. OpenLDAP does not, so it is asked to delete a value that is
//! not there: rights are checked first, and then the request fails, whatever they are (RFC 4511, 4.6).

use ldap3::{Mod, Scope};

use crate::connector::TestReport;
use crate::error::ConnectError;
use crate::ldap::client::{Client, Search, Session, code, describe, one};
use crate::ldap::dialect::Dialect;
use crate::ldap::dn::NormalDn;
use crate::ldap::entry::Entry;
use crate::ldap::find::ourselves;
use crate::ldap::policy::Policies;
use crate::ldap::read_back::connections;
use crate::ldap::witness::expected_attributes;

/// How many accounts and how many groups are tried.
const TRIED_MAX: usize = 3;
/// A time that nothing in a directory carries.
const NO_TIME: &str = "19010203040506Z";
/// A name that nobody has.
const NO_NAME: &str = "leasehold-test-of-rights";

/// Reaches the directory and reports what is missing.
pub(super) async fn test(client: &Client) -> Result<TestReport, ConnectError> {
    let mut session = client.session().await?;
    let mut missing_rights = Vec::new();
    let base = client.settings.base_dn.clone();
    if client.entry(&mut session, &base, "(objectClass=*)", &["1.1"]).await?.is_none() {
        missing_rights.push(format!("reading {base}: there is no such entry that this log-in may see"));
    } else {
        match session.dialect {
            Dialect::ActiveDirectory => active_directory(client, &mut session, &mut missing_rights).await?,
            Dialect::OpenLdap => open_ldap(client, &mut session, &mut missing_rights).await?,
        }
    }
    if session.dialect == Dialect::OpenLdap && connections(client, &mut session).await?.is_none() {
        missing_rights.push("reading cn=Monitor, to list live connections".to_owned());
    }
    let acting_as = ourselves(client, &mut session).await?.map(|(login, _)| login);
    let target = session.product.clone();
    client.keep(session).await;
    Ok(TestReport { target, acting_as, missing_rights })
}

/// Some entries of the first page that a filter finds, without the one that we are logged in as. What is missing to
/// see them at all is noted.
async fn some(
    client: &Client,
    session: &mut Session,
    what: &str,
    filter: &str,
    attributes: &[&str],
    missing: &mut Vec<String>,
) -> Result<Vec<Entry>, ConnectError> {
    let base = client.settings.base_dn.as_str();
    let key = session.dialect.key_attribute();
    let search = Search { base, scope: Scope::Subtree, filter, attributes };
    let entries = client.page(session, search, None).await?.entries;
    match entries.first() {
        None => missing.push(format!("reading {what}: the filter finds none below {base}")),
        Some(entry) if entry.bytes(key).is_none() => missing.push(format!("reading {key} of {what}")),
        Some(_) => {}
    }
    let us = client.settings.bind.as_ref().and_then(|bind| NormalDn::parse(&bind.dn));
    let others: Vec<Entry> =
        entries.into_iter().filter(|entry| us.is_none() || NormalDn::parse(&entry.dn) != us).collect();
    // From the whole page, since neighbours mostly share their rights.
    let step = others.len().div_ceil(TRIED_MAX).max(1);
    Ok(others.into_iter().step_by(step).collect())
}

async fn active_directory(
    client: &Client,
    session: &mut Session,
    missing: &mut Vec<String>,
) -> Result<(), ConnectError> {
    let dialect = session.dialect;
    let groups = client.settings.groups_filter.as_deref().unwrap_or(dialect.groups_filter()).to_owned();
    let people = client.settings.people_filter.as_deref().unwrap_or(dialect.people_filter()).to_owned();
    // MS-ADTS, 3.1.1.4.5.20.
    let attributes = [dialect.key_attribute(), "allowedAttributesEffective"];
    for (what, filter, attribute, purpose) in [
        ("people", people, "userAccountControl", "to disable accounts"),
        ("groups", groups, "member", "to change members"),
    ] {
        let entries = some(client, session, what, &filter, &attributes, missing).await?;
        let mut tries = Tries::default();
        for entry in entries {
            let writable = entry.texts("allowedAttributesEffective");
            let may = writable.iter().any(|name| name.eq_ignore_ascii_case(attribute));
            tries.note((!may).then(|| format!("{attribute} of {}", entry.dn)));
        }
        missing.extend(tries.missing(purpose));
    }
    Ok(())
}

async fn open_ldap(
    client: &Client,
    session: &mut Session,
    missing: &mut Vec<String>,
) -> Result<(), ConnectError> {
    let dialect = session.dialect;
    let groups = client.settings.groups_filter.as_deref().unwrap_or(dialect.groups_filter()).to_owned();
    let people = client.settings.people_filter.as_deref().unwrap_or(dialect.people_filter()).to_owned();
    let policies = Policies::read(client, session).await?;
    let attributes = [dialect.key_attribute(), "pwdPolicySubentry"];
    let accounts = some(client, session, "people", &people, &attributes, missing).await?;
    if !session.has_password_policy {
        missing.push("the password policy overlay, to disable accounts".to_owned());
    } else if policies.is_empty() {
        missing.push(format!(
            "a password policy (an entry of pwdPolicy below {}, or named by `password_policy`), to disable accounts: \
             without one slapd lets a locked account in",
            client.settings.base_dn
        ));
    } else {
        if policies.disagree() {
            missing.push(
                "the default password policy: several were found, some heed no lock, and `password_policy` does not \
                 name the default one; until then a lock alone is not taken for one"
                    .to_owned(),
            );
        }
        let mut tries = Tries::default();
        for account in accounts {
            let mut wanted = vec!["pwdAccountLockedTime"];
            if !policies.heeds(&account).lock {
                wanted.push("pwdEndTime");
            }
            for attribute in wanted {
                tries.note(unwritable(client, session, &account, attribute, NO_TIME).await?);
            }
        }
        missing.extend(tries.missing("to disable accounts"));
    }

    let attributes = [dialect.key_attribute(), "objectClass"];
    let mut tries = Tries::default();
    for group in some(client, session, "groups", &groups, &attributes, missing).await? {
        for attribute in expected_attributes(dialect, &group) {
            let nobody = match attribute {
                "memberUid" => NO_NAME.to_owned(),
                _ => format!("cn={NO_NAME},{}", client.settings.base_dn),
            };
            tries.note(unwritable(client, session, &group, attribute, &nobody).await?);
        }
    }
    missing.extend(tries.missing("to change members"));
    Ok(())
}

/// Asks to delete a value that is not there; gives what could not be written where the answer is about rights.
async fn unwritable(
    client: &Client,
    session: &mut Session,
    entry: &Entry,
    attribute: &str,
    absent: &str,
) -> Result<Option<String>, ConnectError> {
    let doomed = vec![Mod::Delete(attribute.to_owned(), one(absent))];
    let result = client.modify(session, &entry.dn, doomed).await?;
    Ok(match result.rc {
        // It was allowed to look for the value, or the entry has no such attribute to change.
        code::NO_SUCH_ATTRIBUTE | code::UNDEFINED_ATTRIBUTE_TYPE | code::OBJECT_CLASS_VIOLATION => None,
        _ => Some(format!("{attribute} of {}: {}", entry.dn, describe(&result))),
    })
}

/// What was tried, and what of it failed.
#[derive(Default)]
struct Tries {
    tried: usize,
    failed: Vec<String>,
}

impl Tries {
    fn note(&mut self, failed: Option<String>) {
        self.tried += 1;
        self.failed.extend(failed);
    }

    /// What is missing, and of how many tries.
    fn missing(self, purpose: &str) -> Option<String> {
        let (failed, tried) = (self.failed.len(), self.tried);
        let what = self.failed.join("; ");
        (failed > 0).then(|| format!("writing {what}, {purpose} ({failed} of {tried} tries failed)"))
    }
}
