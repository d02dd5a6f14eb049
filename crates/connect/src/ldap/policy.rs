//! Whether OpenLDAP heeds a lock: an account that carries one can still log in where its password policy does not
//! say `pwdLockout`, and where no policy applies to it at all (seen with slapd 2.5.13; slapo-ppolicy).

use std::collections::HashMap;

use ldap3::Scope;

use crate::error::ConnectError;
use crate::ldap::client::{Client, Compared, Search, Session};
use crate::ldap::dialect::Dialect;
use crate::ldap::dn::NormalDn;
use crate::ldap::entry::Entry;

/// The password policies of a directory. Which one is the default is written in slapd's configuration, which a
/// connector seldom may read; so a lock counts only where every policy that could apply heeds it.
#[derive(Debug, Default)]
pub(super) struct Policies {
    /// Each policy, and whether it says `pwdLockout`.
    lockout: HashMap<NormalDn, bool>,
    /// The default one, where the settings name it.
    default: Option<NormalDn>,
}

/// What applies to one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heeds {
    /// `pwdAccountLockedTime` keeps the account out.
    pub lock: bool,
    /// `pwdEndTime` keeps it out: any policy heeds it.
    pub end: bool,
}

impl Policies {
    /// Reads them; none for a directory that does not work this way.
    pub async fn read(client: &Client, session: &mut Session) -> Result<Self, ConnectError> {
        if session.dialect != Dialect::OpenLdap || !session.has_password_policy {
            return Ok(Self::default());
        }
        let filter = "(objectClass=pwdPolicy)";
        let attributes = &["pwdLockout"];
        let base = client.settings.base_dn.as_str();
        let search = Search { base, scope: Scope::Subtree, filter, attributes };
        let mut entries = client.search_here(session, search).await?.0;
        if let Some(dn) = &client.settings.password_policy {
            // The default one may be elsewhere.
            entries.extend(client.entry(session, dn, filter, attributes).await?);
        }
        Ok(Self::of(&entries, client.settings.password_policy.as_deref()))
    }

    fn of(entries: &[Entry], default: Option<&str>) -> Self {
        let says =
            |entry: &Entry| entry.text("pwdLockout").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let lockout =
            entries.iter().filter_map(|entry| Some((NormalDn::parse(&entry.dn)?, says(entry)))).collect();
        Self { lockout, default: default.and_then(NormalDn::parse) }
    }

    /// What applies to an account.
    pub fn heeds(&self, account: &Entry) -> Heeds {
        let named = account.text("pwdPolicySubentry").and_then(|dn| NormalDn::parse(&dn));
        match named.as_ref().or(self.default.as_ref()) {
            Some(policy) => match self.lockout.get(policy) {
                Some(lock) => Heeds { lock: *lock, end: true },
                None => Heeds { lock: false, end: false },
            },
            None => Heeds {
                lock: !self.lockout.is_empty() && self.lockout.values().all(|lock| *lock),
                end: !self.lockout.is_empty(),
            },
        }
    }

    /// Why it cannot be known which policy applies to an account, where that could make a lock count for nothing.
    pub async fn unseen(
        &self,
        client: &Client,
        session: &mut Session,
        account: &Entry,
    ) -> Result<Option<String>, ConnectError> {
        const ATTRIBUTE: &str = "pwdPolicySubentry";
        let every_one_heeds = self.lockout.values().all(|lock| *lock);
        if self.is_empty() || every_one_heeds || account.text(ATTRIBUTE).is_some() {
            return Ok(None);
        }
        Ok(match client.compare(session, &account.dn, ATTRIBUTE, &account.dn).await? {
            Compared::Same | Compared::Other => None,
            Compared::Unseen(why) => Some(format!(
                "this log-in may not compare {ATTRIBUTE} of {}, which could name a policy that heeds no lock: {why}",
                account.dn
            )),
        })
    }

    /// The policies disagree on locks, and which of them is the default is not known.
    pub fn disagree(&self) -> bool {
        let heed = self.lockout.values().filter(|lock| **lock).count();
        self.default.is_none() && heed > 0 && heed < self.lockout.len()
    }

    /// No policy was found.
    pub fn is_empty(&self) -> bool {
        self.lockout.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies(list: &[(&str, bool)], default: Option<&str>) -> Policies {
        let lockout = list.iter().map(|(dn, lock)| (NormalDn::parse(dn).unwrap(), *lock)).collect();
        Policies { lockout, default: default.and_then(NormalDn::parse) }
    }

    fn account(policy: Option<&str>) -> Entry {
        let attrs =
            policy.map(|dn| ("pwdPolicySubentry".to_owned(), vec![dn.to_owned()])).into_iter().collect();
        ldap3::SearchEntry { dn: "uid=a".to_owned(), attrs, bin_attrs: HashMap::new() }.into()
    }

    #[test]
    fn a_lock_counts_only_where_every_policy_that_could_apply_heeds_it() {
        let (strict, lax) = (("cn=strict", true), ("cn=lax", false));
        for (list, default, of_account, lock, end) in [
            (&[][..], None, None, false, false),
            (&[strict], None, None, true, true),
            (&[strict, lax], None, None, false, true),
            (&[strict, lax], Some("CN=Strict"), None, true, true),
            (&[strict, lax], None, Some("cn=strict"), true, true),
            (&[strict, lax], Some("cn=strict"), Some("cn=lax"), false, true),
            (&[strict], None, Some("cn=gone"), false, false),
        ] {
            let heeds = policies(list, default).heeds(&account(of_account));
            assert_eq!(heeds, Heeds { lock, end }, "{list:?} {default:?} {of_account:?}");
        }
    }
}
