//! The `ldap` connector against real directories, checked with the directories' own clients.

mod accounts;
mod active_directory;
mod changes;
pub mod contract;
mod enumeration;
mod failures;
mod issuing;
mod rights;
mod visibility;

use leasehold_connect::connector::Connector;
use leasehold_model::request::{AccountTarget, EntitlementTarget};
use leasehold_testing::{OpenLdapServer, openldap};

use crate::harness::{Facts, build, entitlement};

/// A connector that logs in with the service account.
pub fn connector(server: &OpenLdapServer) -> Box<dyn Connector> {
    connector_with(server, "")
}

/// A connector that logs in as somebody else with the same password.
pub fn connector_as(server: &OpenLdapServer, login: &str) -> Box<dyn Connector> {
    build(
        "ldap",
        &format!(
            "url = '{}'\nbase_dn = '{}'\nbind_dn = 'cn={login},{}'\npassword = 'file:{}'",
            server.url(),
            openldap::BASE,
            openldap::BASE,
            server.password_file().display()
        ),
    )
}

/// An account that a connector can log in as.
pub fn service(login: &str) -> String {
    format!(
        "dn: cn={login},{}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: {login}\n\
         userPassword: {}\n\n",
        openldap::BASE,
        openldap::PASSWORD
    )
}

/// The same with further settings.
pub fn connector_with(server: &OpenLdapServer, more: &str) -> Box<dyn Connector> {
    build(
        "ldap",
        &format!(
            "url = '{}'\nbase_dn = '{}'\nbind_dn = '{}'\npassword = 'file:{}'\n{more}",
            server.url(),
            openldap::BASE,
            openldap::CONNECTOR,
            server.password_file().display()
        ),
    )
}

/// An account as an enumeration saw it.
pub fn target(facts: &Facts, login: &str) -> AccountTarget {
    let account = facts.accounts.get(login).unwrap_or_else(|| panic!("no account `{login}`"));
    AccountTarget { key: account.key.clone(), login: login.to_owned() }
}

/// A group as an enumeration saw it, with its key.
pub fn group(facts: &Facts, name: &str) -> EntitlementTarget {
    let native = facts.entitlements[name].native.clone();
    assert!(native.is_some(), "{name} has no key");
    EntitlementTarget { native, ..entitlement(name) }
}

/// A person's entry with a password that is the login and `pw`.
pub fn person(login: &str, more: &str) -> String {
    format!(
        "dn: uid={login},ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: {login}\ncn: {login}\n\
         sn: {login}\nmail: {login}@example.com\nuserPassword: {login}pw\n{more}\n"
    )
}

/// A group's entry; `class` and the attribute that it holds members by.
pub fn group_of(name: &str, class: &str, attribute: &str, members: &[&str]) -> String {
    let members: String = members.iter().map(|member| format!("{attribute}: {member}\n")).collect();
    format!("dn: cn={name},ou=groups,dc=example,dc=com\nobjectClass: {class}\ncn: {name}\n{members}\n")
}

/// A person's DN.
pub fn dn(login: &str) -> String {
    format!("uid={login},ou=people,dc=example,dc=com")
}

/// A group's DN.
pub fn group_dn(name: &str) -> String {
    format!("cn={name},ou=groups,dc=example,dc=com")
}
