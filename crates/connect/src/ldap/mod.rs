//! LDAP directories: OpenLDAP and Active Directory, one connector with two dialects.
//!
//! * Accounts are known by `entryUUID` or `objectGUID`, which stay when an entry is renamed; groups are
//!   `group/CN`, and by their full DN where several share a name.
//! * A group that is a member of a group gives its members what the outer group gives: the inner one contains the
//!   outer one.
//! * An enumeration counts as complete when every page came with success to the last, the groups were counted twice
//!   alike, and no limit, reference or break was met. What the connector's account may not see is not known to it.
//! * "Not visible" is not "gone": a read-back says "not granted" only where the group's entry and its members may be
//!   read, and an account or a group that cannot be seen is an error.
//! * A group of names may not become empty. Its last member is not removed, unless `placeholder_member` names what
//!   is to stand in its place.

mod account;
mod client;
mod dialect;
mod dn;
mod entry;
mod enumerate;
mod execute;
mod feed;
mod find;
mod issue;
mod normalise;
mod policy;
mod read_back;
mod rights;
mod settings;
mod switch;
mod unseen;
mod witness;
mod write;

use async_trait::async_trait;
use leasehold_model::capability::{Capabilities, Capability};
use leasehold_model::fact::Completeness;
use leasehold_model::request::{ActionRequest, IssueRequest, Issued, Outcome, ReadBack, ReadTarget};
use leasehold_model::setting::{SettingField, SettingKind};

use crate::connector::{Connector, ConnectorKind, Sink, TestReport};
use crate::error::ConnectError;
use crate::ldap::client::Client;
use crate::settings::Settings;

/// The registry's entry.
pub struct LdapKind;

/// One directory.
struct Ldap {
    client: Client,
}

const CAPABILITIES: Capabilities = Capabilities {
    enumerate: Capability::YES,
    prove_completeness: Capability::with(
        "every page to the last, groups counted twice; not what the connector's account may not see",
    ),
    read_back: Capability::with(
        "nested groups too: by the directory in Active Directory, by walking in OpenLDAP; an error where an entry or \
         its members cannot be seen",
    ),
    grant: Capability::YES,
    revoke: Capability::with(
        "not the last member of a groupOfNames without `placeholder_member`, and not a primary group",
    ),
    disable_account: Capability::with(
        "OpenLDAP: by the password policy overlay, where a policy applies to the account; refused where none does",
    ),
    enable_account: Capability::with(
        "takes away what disabling sets; another end of the account is refused, and in Active Directory an account \
         without a password",
    ),
    create_account: Capability::with(
        "where `new_account_base` says where; without a password, so that nobody can bind; in Active Directory disabled, \
         and ended in 1601, until a credential is issued",
    ),
    delete_account: Capability::with(
        "the entry itself, never a subtree; that it is gone is proved by Active Directory's deleted objects, and in \
         OpenLDAP for as long as this process remembers the entry's name",
    ),
    issue_credential: Capability::with(
        "a password in place of the one that is there; in Active Directory, over TLS, one that has to be changed at the \
         next log-in, and the first of an account that was made here enables it",
    ),
    list_sessions: Capability::with("OpenLDAP with a readable cn=Monitor; not Active Directory"),
    end_sessions: Capability::without(
        "a bound connection outlives its entry, its lock and its memberships: residual until it is closed",
    ),
    last_use: Capability::with(
        "pwdLastSuccess (OpenLDAP with lastbind); lastLogonTimestamp, up to 14 days late (Active Directory)",
    ),
    native_expiry: Capability::without("pwdEndTime and accountExpires are read"),
    ..Capabilities::NONE
};

/// What a form asks for.
const FIELDS: &[SettingField] = &[
    SettingField::required(
        "url",
        "Address",
        SettingKind::Text,
        "Scheme and host.",
        "ldaps://ldap.example.com",
    ),
    SettingField::required(
        "base_dn",
        "Base",
        SettingKind::Text,
        "Everything below it is read.",
        "dc=example,dc=com",
    ),
    SettingField::optional(
        "bind_dn",
        "Bind as",
        SettingKind::Text,
        "The name of Leasehold's own entry, or an Active Directory user name.",
    ),
    SettingField::optional("password", "Password", SettingKind::Secret, "Of that entry."),
    SettingField::optional(
        "start_tls",
        "Encrypt by StartTLS",
        SettingKind::Flag,
        "For an address that begins with ldap://.",
    ),
    SettingField::optional(
        "ca_certificate",
        "Certificate authority",
        SettingKind::File,
        "A PEM file beside leasehold.toml.",
    ),
    SettingField::optional(
        "dialect",
        "Dialect",
        SettingKind::Choice(&["", "openldap", "active-directory"]),
        "Where nothing is chosen, the server is asked.",
    ),
    SettingField::optional(
        "new_account_base",
        "New accounts in",
        SettingKind::Text,
        "The entry below which accounts are made; none are made where it is empty.",
    ),
    SettingField::optional("authoritative", "The people in it are whom access is for", SettingKind::Flag, ""),
];

impl ConnectorKind for LdapKind {
    fn name(&self) -> &'static str {
        "ldap"
    }

    fn summary(&self) -> &'static str {
        "OpenLDAP and Active Directory: accounts, groups, nested groups; people, where it is authoritative"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn fields(&self) -> &'static [SettingField] {
        FIELDS
    }

    fn build(&self, settings: &mut Settings) -> Result<Box<dyn Connector>, ConnectError> {
        Ok(Box::new(Ldap { client: Client::new(settings::read(settings)?) }))
    }
}

#[async_trait]
impl Connector for Ldap {
    fn capabilities(&self) -> Capabilities {
        let create_account = match self.client.settings.new_accounts {
            Some(_) => CAPABILITIES.create_account,
            None => Capability::without("`new_account_base` does not say where"),
        };
        Capabilities { create_account, ..CAPABILITIES }
    }

    async fn test(&self) -> Result<TestReport, ConnectError> {
        rights::test(&self.client).await
    }

    async fn enumerate(&self, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
        enumerate::enumerate(&self.client, sink).await
    }

    async fn read_back(&self, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
        read_back::read_back(&self.client, target).await
    }

    async fn execute(&self, request: &ActionRequest) -> Result<Outcome, ConnectError> {
        execute::execute(&self.client, request).await
    }

    async fn issue_credential(&self, request: &IssueRequest) -> Result<Issued, ConnectError> {
        issue::issue(&self.client, request).await
    }
}
