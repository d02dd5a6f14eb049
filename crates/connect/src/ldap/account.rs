//! Accounts that come and go: an entry of its own below `new_account_base`, and the entry itself, never a subtree.

use std::collections::HashSet;

use ldap3::{Mod, Scope, dn_escape};
use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, ActionRequest, Outcome};

use crate::connector::not_offered;
use crate::error::ConnectError;
use crate::ldap::client::{Client, Search, Session, code, describe, one};
use crate::ldap::dialect::{Dialect, NO_CREDENTIAL_YET, uac};
use crate::ldap::dn::NormalDn;
use crate::ldap::entry::Entry;
use crate::ldap::execute::{judge, refused};
use crate::ldap::normalise::key;
use crate::ldap::settings::NewAccounts;

/// Attributes of a new account, and where a person's entry keeps them; the last is known to Active Directory alone.
const PERSONAL: [(&str, &str); 7] = [
    ("email", "mail"),
    ("employee_number", "employeeNumber"),
    ("given_name", "givenName"),
    ("family_name", "sn"),
    ("display_name", "displayName"),
    ("title", "title"),
    ("department", "department"),
];
/// What no `sAMAccountName` holds (MS-SAMR, 3.1.1.6), and how long one may be.
const NOT_IN_SAM_NAMES: &str = "\"/\\[]:;|=,+*?<>@";
const SAM_NAME_CHARACTERS_MAX: usize = 20;

/// Makes an entry that is in no group and has no password.
pub(super) async fn create(
    client: &Client,
    session: &mut Session,
    request: &ActionRequest,
) -> Result<Outcome, ConnectError> {
    let Some(new_accounts) = &client.settings.new_accounts else {
        let Outcome::Refused { why } = not_offered(Verb::CreateAccount) else {
            return Ok(not_offered(request.verb));
        };
        return Ok(refused(format!("{why}, unless `new_account_base` names where new entries belong")));
    };
    let login = request.account.login.as_str();
    let entry = match new_entry(session.dialect, new_accounts, request, &client.settings.base_dn) {
        Ok(entry) => entry,
        Err(why) => return Ok(refused(why)),
    };
    let dn = format!("{}={},{}", naming(session.dialect), dn_escape(login), new_accounts.base);
    let result = client.add(session, &dn, entry).await?;
    Ok(match result.rc {
        code::ENTRY_ALREADY_EXISTS => refused(format!(
            "{dn} exists, and is no account of this login that may be read: rename it, or let the connector read it"
        )),
        code::NO_SUCH_OBJECT => refused(format!(
            "{}; `new_account_base` must name an entry that is there: {}",
            describe(&result),
            new_accounts.base
        )),
        _ => judge(&result, format!("{dn} was made, without a password")),
    })
}

/// The attribute that names a new entry.
fn naming(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenLdap => "uid",
        Dialect::ActiveDirectory => "CN",
    }
}

/// The content of a new entry.
fn new_entry(
    dialect: Dialect,
    new_accounts: &NewAccounts,
    request: &ActionRequest,
    base_dn: &str,
) -> Result<Vec<(String, HashSet<String>)>, String> {
    let login = request.account.login.as_str();
    if login.trim().is_empty() || login.chars().any(char::is_control) {
        return Err(format!("`{}` cannot be the name of an entry", login.escape_debug()));
    }
    let attribute = |name: &str| request.attributes.get(name).filter(|value| !value.trim().is_empty());
    let default = match dialect {
        Dialect::OpenLdap => "inetOrgPerson",
        Dialect::ActiveDirectory => "user",
    };
    let mut classes: HashSet<String> = new_accounts.classes.iter().cloned().collect();
    if classes.is_empty() {
        classes.insert(default.to_owned());
    }
    // Of other classes it is not known what they may hold; the directory says what they must.
    let is_person = classes.iter().any(|class| class.eq_ignore_ascii_case(default));
    let mut entry = vec![("objectClass".to_owned(), classes)];
    let mut push = |name: &str, value: &str| entry.push((name.to_owned(), one(value)));
    match dialect {
        Dialect::OpenLdap => {
            push("uid", login);
            push("cn", attribute("display_name").map_or(login, |name| name.as_str()));
            if attribute("family_name").is_none() && is_person {
                push("sn", login);
            }
        }
        Dialect::ActiveDirectory => {
            let too_long = login.chars().count() > SAM_NAME_CHARACTERS_MAX;
            if too_long || login.contains(|c| NOT_IN_SAM_NAMES.contains(c)) || login.ends_with('.') {
                return Err(format!(
                    "`{login}` cannot be a sAMAccountName: at most {SAM_NAME_CHARACTERS_MAX} characters, none of \
                     {NOT_IN_SAM_NAMES}, and no full stop at the end"
                ));
            }
            push("sAMAccountName", login);
            if let Some(domain) = domain_of(base_dn) {
                push("userPrincipalName", &format!("{login}@{domain}"));
            }
            push("userAccountControl", &(uac::NORMAL_ACCOUNT | uac::DISABLED).to_string());
            push("accountExpires", NO_CREDENTIAL_YET);
        }
    }
    for (ours, theirs) in PERSONAL.iter().filter(|_| is_person) {
        if *theirs == "department" && dialect == Dialect::OpenLdap {
            continue;
        }
        if let Some(value) = attribute(ours) {
            push(theirs, value);
        }
    }
    Ok(entry)
}

/// The domain's name in DNS: `ad.example.com` of `OU=x,DC=ad,DC=example,DC=com`.
fn domain_of(base_dn: &str) -> Option<String> {
    let parts = NormalDn::parse(base_dn)?.values_of("dc");
    (!parts.is_empty()).then(|| parts.join("."))
}

/// Removes an account's own entry.
pub(super) async fn delete(
    client: &Client,
    session: &mut Session,
    target: &AccountTarget,
    account: &Entry,
) -> Result<Outcome, ConnectError> {
    let result = client.delete(session, &account.dn).await?;
    Ok(match result.rc {
        code::NO_SUCH_OBJECT => Outcome::AlreadySo,
        code::NOT_ALLOWED_ON_NON_LEAF => refused(format!(
            "{}; {} has entries below it, and only the account itself is deleted: move or delete those first",
            describe(&result),
            account.dn
        )),
        code::SUCCESS => {
            client.remember_deleted(target.key.clone(), account.dn.clone());
            Outcome::Acknowledged { detail: format!("{} was deleted", account.dn) }
        }
        _ => judge(&result, String::new()),
    })
}

/// Whether an account that is not seen is proved to be gone, and not only hidden from this log-in.
///
/// Active Directory keeps what was deleted, and says so by the key. OpenLDAP keeps nothing; but of an entry that this
/// connector deleted the name is known, and to a request to change that name it answers with another error where there
/// is such an entry than where there is none, whatever may be read.
pub(super) async fn is_proved_gone(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
) -> Result<bool, ConnectError> {
    match session.dialect {
        Dialect::ActiveDirectory => {
            let Some(filter) = session.dialect.key_filter(account.key.as_str()) else { return Ok(false) };
            let filter = format!("(&(isDeleted=TRUE){filter})");
            let base = client.settings.base_dn.as_str();
            let search = Search { base, scope: Scope::Subtree, filter: &filter, attributes: &["objectGUID"] };
            let tombstones = client.search_deleted(session, search).await?;
            Ok(tombstones
                .iter()
                .any(|entry| key(session.dialect, entry).as_deref() == Some(account.key.as_str())))
        }
        Dialect::OpenLdap => {
            let Some(dn) = client.deleted_dn(&account.key) else { return Ok(false) };
            // The value is one that nothing carries, so that nothing would be changed if the entry were there.
            let doomed = vec![Mod::Delete("description".to_owned(), one(NO_VALUE))];
            Ok(client.modify(session, &dn, doomed).await?.rc == code::NO_SUCH_OBJECT)
        }
    }
}

const NO_VALUE: &str = "leasehold-test-of-absence";

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_model::id::ActionId;

    fn entry(dialect: Dialect, login: &str, classes: &[&str]) -> Result<Vec<String>, String> {
        let request = ActionRequest {
            id: ActionId::from("test"),
            verb: Verb::CreateAccount,
            account: AccountTarget::by_login(login),
            entitlement: None,
            credential: None,
            to: None,
            attributes: [
                ("email", "a@example.com"),
                ("family_name", "Lee"),
                ("title", " "),
                ("hobby", "chess"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        };
        let classes = classes.iter().map(|class| (*class).to_owned()).collect();
        let new_accounts = NewAccounts { base: "ou=people,dc=example,dc=com".to_owned(), classes };
        let entry = new_entry(dialect, &new_accounts, &request, "OU=x,DC=ad,DC=Example,DC=com")?;
        let mut lines: Vec<String> = entry
            .iter()
            .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}: {value}")))
            .collect();
        lines.sort();
        Ok(lines)
    }

    #[test]
    fn a_new_entry_holds_what_its_class_may_hold() {
        let open = entry(Dialect::OpenLdap, "ann", &[]).unwrap();
        assert_eq!(
            open,
            ["cn: ann", "mail: a@example.com", "objectClass: inetOrgPerson", "sn: Lee", "uid: ann"]
        );
        let bare = entry(Dialect::OpenLdap, "ann", &["account"]).unwrap();
        assert_eq!(bare, ["cn: ann", "objectClass: account", "uid: ann"]);
        let active = entry(Dialect::ActiveDirectory, "ann", &[]).unwrap();
        assert_eq!(
            active,
            [
                "accountExpires: 1",
                "mail: a@example.com",
                "objectClass: user",
                "sAMAccountName: ann",
                "sn: Lee",
                "userAccountControl: 514",
                "userPrincipalName: ann@ad.example.com"
            ]
        );
    }

    #[test]
    fn a_login_that_cannot_be_one_is_refused() {
        for login in ["", " ", "a\0b", "a\nb"] {
            assert!(entry(Dialect::OpenLdap, login, &[]).is_err(), "{login:?}");
        }
        for login in ["a/b", "a@b", "a.", "abcdefghijklmnopqrstu"] {
            assert!(entry(Dialect::ActiveDirectory, login, &[]).is_err(), "{login:?}");
        }
    }
}
