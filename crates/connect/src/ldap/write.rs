//! Requests that change the directory, each of one entry. What the directory answers is the caller's to judge.

use std::collections::HashSet;
use std::hash::Hash;

use ldap3::exop::PasswordModify;
use ldap3::{LdapResult, Mod};
use secrecy::{ExposeSecret, SecretString};

use crate::error::ConnectError;
use crate::ldap::client::{Client, Session};

impl Client {
    /// Changes one entry.
    pub async fn modify(
        &self,
        session: &mut Session,
        dn: &str,
        changes: Vec<Mod<impl AsRef<[u8]> + Eq + Hash + Send>>,
    ) -> Result<LdapResult, ConnectError> {
        const OPERATION: &str = "changing the entry";
        session.ldap.with_timeout(self.settings.timeout);
        let modifying = session.ldap.modify(dn, changes);
        self.guarded(OPERATION, modifying).await?.map_err(|error| self.lost(OPERATION, error))
    }

    /// Adds one entry.
    pub async fn add(
        &self,
        session: &mut Session,
        dn: &str,
        entry: Vec<(String, HashSet<String>)>,
    ) -> Result<LdapResult, ConnectError> {
        const OPERATION: &str = "adding the entry";
        session.ldap.with_timeout(self.settings.timeout);
        let adding = session.ldap.add(dn, entry);
        self.guarded(OPERATION, adding).await?.map_err(|error| self.lost(OPERATION, error))
    }

    /// Sets the password of an entry; the directory hashes it (RFC 3062).
    pub async fn set_password(
        &self,
        session: &mut Session,
        dn: &str,
        password: &SecretString,
    ) -> Result<LdapResult, ConnectError> {
        const OPERATION: &str = "setting the password";
        session.ldap.with_timeout(self.settings.timeout);
        let new =
            PasswordModify { user_id: Some(dn), old_pass: None, new_pass: Some(password.expose_secret()) };
        let setting = session.ldap.extended(new);
        let result = self.guarded(OPERATION, setting).await?.map_err(|error| self.lost(OPERATION, error))?;
        Ok(result.1)
    }

    /// Deletes one entry.
    pub async fn delete(&self, session: &mut Session, dn: &str) -> Result<LdapResult, ConnectError> {
        const OPERATION: &str = "deleting the entry";
        session.ldap.with_timeout(self.settings.timeout);
        let deleting = session.ldap.delete(dn);
        self.guarded(OPERATION, deleting).await?.map_err(|error| self.lost(OPERATION, error))
    }
}
