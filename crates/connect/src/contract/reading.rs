//! The checks that change nothing.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_model::account::Account;
use leasehold_model::fact::{Completeness, Fact, Owned};
use leasehold_model::id::{AccountKey, EntitlementName};
use leasehold_model::plan::Verb;
use leasehold_model::request::{
    AccountTarget, CredentialTarget, EntitlementTarget, Outcome, ReadBack, ReadTarget,
};

use super::{Check, Miss, Run, Told, failed};

/// How many grants are read back one by one.
const SAMPLE_MAX: usize = 20;
/// How many logins are looked for.
const LOGINS_MAX: usize = 3;
const NOBODY: &str = "leasehold-contract-nobody";

/// A target that cannot tell what is gone from what may not be seen has to say that, and not "absent".
pub(super) fn cannot_tell(message: &str) -> bool {
    message.contains("may not be read")
}

impl Run<'_> {
    pub(super) async fn connection_test(&self) -> Check {
        let report = self.heard(self.fixture.connector().test().await)?;
        if report.target.trim().is_empty() { failed("the report names no target") } else { Ok(()) }
    }

    pub(super) fn completeness(&self, told: &Told) -> Check {
        let claims = self.fixture.connector().capabilities().prove_completeness.supported;
        match &told.ended {
            Some(Err(message)) => failed(format!("the enumeration failed: {message}")),
            Some(Ok(Completeness::Partial { why })) if claims => {
                failed(format!("proves completeness by its own word, and was partial: {why}"))
            }
            Some(Ok(Completeness::Partial { why })) if why.trim().is_empty() => {
                failed("partial, and does not say why")
            }
            Some(Ok(Completeness::Complete { .. })) if !claims => {
                failed("claims a complete epoch and not that it can prove one")
            }
            Some(Ok(Completeness::Complete { evidence })) if evidence.trim().is_empty() => {
                failed("complete, and shows no evidence")
            }
            Some(Ok(Completeness::Complete { evidence })) if told.facts.is_empty() => {
                failed(format!("takes an empty answer for a complete one: {evidence}"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn unique_keys(&self, told: &Told) -> Check {
        let mut seen = BTreeSet::new();
        for fact in &told.facts {
            let key = match fact {
                Fact::Identity(identity) | Fact::IdentityInPart(identity, _) => {
                    format!("identity {}", identity.key)
                }
                Fact::Account(account) => format!("account {}", account.key),
                Fact::Entitlement(entitlement) => format!("entitlement {}", entitlement.name),
                Fact::Grant(grant) => format!("grant of {} to {}", grant.entitlement, grant.account),
                Fact::Containment(found) => format!("containment of {} in {}", found.child, found.parent),
                Fact::Owner(owner) => format!("owner {} of {:?}", owner.owner, owner.of),
                Fact::Credential(credential) => format!("credential {}", credential.key),
            };
            if seen.contains(&key) {
                return failed(format!("{key} came twice"));
            }
            seen.insert(key);
        }
        Ok(())
    }

    pub(super) fn references(&self, told: &Told) -> Check {
        let (accounts, entitlements) = (told.accounts(), told.entitlements());
        let account = |key: &AccountKey| match accounts.contains_key(key) {
            true => Ok(()),
            false => failed(format!("account {key} is referred to and was never told")),
        };
        let entitlement = |name: &EntitlementName| match entitlements.contains_key(name) {
            true => Ok(()),
            false => failed(format!("entitlement {name} is referred to and was never told")),
        };
        for fact in &told.facts {
            match fact {
                Fact::Credential(credential) => account(&credential.account)?,
                Fact::Grant(grant) => {
                    account(&grant.account)?;
                    entitlement(&grant.entitlement)?;
                }
                Fact::Containment(found) => {
                    entitlement(&found.parent)?;
                    entitlement(&found.child)?;
                }
                Fact::Owner(owner) => match &owner.of {
                    Owned::Account(key) => account(key)?,
                    Owned::Entitlement(name) => entitlement(name)?,
                },
                Fact::Identity(_) | Fact::IdentityInPart(..) | Fact::Account(_) | Fact::Entitlement(_) => {}
            }
        }
        Ok(())
    }

    pub(super) async fn repeatable(&self, first: &Told) -> Check {
        let second = self.enumerate().await;
        let same = first.accounts().keys().eq(second.accounts().keys())
            && first.entitlements().keys().eq(second.entitlements().keys())
            && first.credentials().keys().eq(second.credentials().keys())
            && first.grants() == second.grants();
        if same {
            Ok(())
        } else {
            failed("accounts, credentials, entitlements or grants came under other keys, or not at all")
        }
    }

    pub(super) fn progress(&self, told: &Told) -> Check {
        for pair in told.progress.windows(2) {
            if pair[1].0 < pair[0].0 {
                return failed(format!("progress went back from {} to {}", pair[0].0, pair[1].0));
            }
        }
        match told.progress.iter().find(|(done, total)| total.is_some_and(|total| *done > total)) {
            Some((done, total)) => failed(format!("progress said {done} of {total:?}")),
            None => Ok(()),
        }
    }

    pub(super) async fn reading_agrees(&self, told: &Told) -> Check {
        let claims = self.fixture.connector().capabilities().read_back.supported;
        let (accounts, entitlements, grants) = (told.accounts(), told.entitlements(), told.grants());
        let mut pairs: BTreeMap<(&AccountKey, &EntitlementName), bool> =
            grants.iter().take(SAMPLE_MAX).map(|pair| (*pair, true)).collect();
        let not_held = accounts.keys().flat_map(|key| entitlements.keys().map(move |name| (*key, *name)));
        pairs.extend(
            not_held.filter(|pair| !grants.contains(pair)).take(SAMPLE_MAX).map(|pair| (pair, false)),
        );
        if pairs.is_empty() {
            return Err(Miss::DoesNotApply("it tells no grants"));
        }
        for ((key, name), held) in pairs {
            let Some(account) = accounts.get(key) else { continue };
            let account_target = AccountTarget { key: key.clone(), login: account.login.clone() };
            let native = entitlements.get(name).copied().flatten().cloned();
            let entitlement = EntitlementTarget { name: name.clone(), native };
            let target = ReadTarget::Grant { account: account_target.clone(), entitlement };
            match self.read(&target).await? {
                ReadBack::Unsupported { why } if !claims && !why.is_empty() => {}
                ReadBack::Grant { direct, effective } if claims => {
                    if direct != held {
                        return failed(format!(
                            "{key} holding {name} was told as {held} and read back as {direct}"
                        ));
                    }
                    if held && effective == Some(false) {
                        return failed(format!("{key} holds {name} directly and not effectively"));
                    }
                }
                other => return failed(format!("claims read_back = {claims} and answers {other:?}")),
            }
            match self.read(&ReadTarget::Account { account: account_target }).await? {
                ReadBack::Unsupported { .. } if !claims => {}
                ReadBack::Account { exists: true, enabled } if enabled == account.enabled => {}
                other => {
                    return failed(format!(
                        "{key} was told as enabled = {} and read as {other:?}",
                        account.enabled
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) async fn absent_is_absent(&self, told: &Told) -> Check {
        let claims = self.fixture.connector().capabilities().read_back.supported;
        let account = AccountTarget { key: NOBODY.into(), login: NOBODY.to_owned() };
        let name = told.entitlements().keys().next().map(|name| (*name).clone());
        let name = name.unwrap_or_else(|| EntitlementName::new("role", NOBODY));
        let entitlement = EntitlementTarget { name, native: None };
        let grant = ReadTarget::Grant { account: account.clone(), entitlement: entitlement.clone() };
        match self.read(&grant).await {
            Ok(ReadBack::Unsupported { .. }) if !claims => {}
            Ok(ReadBack::Grant { direct: false, effective: None | Some(false) }) if claims => {}
            Err(message) if claims && cannot_tell(&message) => {}
            other => {
                return failed(format!("a grant of an account that does not exist was read as {other:?}"));
            }
        }
        match self.read(&ReadTarget::Account { account: account.clone() }).await {
            Ok(ReadBack::Unsupported { .. }) if !claims => {}
            Ok(ReadBack::Account { exists: false, enabled: false }) if claims => {}
            Err(message) if claims && cannot_tell(&message) => {}
            other => return failed(format!("an account that does not exist was read as {other:?}")),
        }
        match self.execute(Verb::Revoke, &account, Some(&entitlement)).await? {
            Outcome::AlreadySo | Outcome::Refused { .. } => Ok(()),
            other => {
                failed(format!("revoking from an account that does not exist was answered with {other:?}"))
            }
        }
    }

    /// Of an account that was made in the same plan nobody knows the key yet.
    pub(super) async fn found_by_login(&self, told: &Told) -> Check {
        if !self.fixture.connector().capabilities().read_back.supported {
            return Err(Miss::DoesNotApply("it does not claim to read back"));
        }
        let mut by_login: BTreeMap<&str, Vec<&Account>> = BTreeMap::new();
        for account in told.accounts().into_values() {
            by_login.entry(account.login.as_str()).or_default().push(account);
        }
        let (alone, shared): (Vec<_>, Vec<_>) = by_login.into_iter().partition(|(_, all)| all.len() == 1);
        for (login, accounts) in alone.into_iter().take(LOGINS_MAX) {
            match self.read(&ReadTarget::Account { account: AccountTarget::by_login(login) }).await? {
                ReadBack::Account { exists: true, enabled } if enabled == accounts[0].enabled => {}
                other => return failed(format!("{login} was told, and is read by its login as {other:?}")),
            }
        }
        for (login, _) in shared.into_iter().take(LOGINS_MAX) {
            let account = AccountTarget::by_login(login);
            if let Ok(read) = self.read(&ReadTarget::Account { account: account.clone() }).await {
                return failed(format!(
                    "several accounts have the login {login}, and one was read: {read:?}"
                ));
            }
            match self.execute(Verb::DisableAccount, &account, None).await? {
                Outcome::Refused { why } if !why.trim().is_empty() => {}
                other => return failed(format!("one of several accounts {login} was disabled: {other:?}")),
            }
        }
        let nobody = AccountTarget::by_login(NOBODY);
        match self.read(&ReadTarget::Account { account: nobody.clone() }).await {
            Ok(ReadBack::Account { exists: false, enabled: false }) => {}
            Err(message) if cannot_tell(&message) => {}
            other => return failed(format!("a login that nobody has was read as {other:?}")),
        }
        match self.execute(Verb::DisableAccount, &nobody, None).await? {
            Outcome::AlreadySo | Outcome::Refused { .. } => Ok(()),
            other => failed(format!("disabling by a login that nobody has was answered with {other:?}")),
        }
    }

    pub(super) async fn credentials(&self, told: &Told) -> Check {
        let claims = self.fixture.connector().capabilities().list_credentials.supported;
        let credentials = told.credentials();
        if credentials.is_empty() {
            return match claims {
                true if self.fixture.may_leave_out() => {
                    Err(Miss::DoesNotApply("the system has no credentials"))
                }
                true => failed("claims to list credentials, and its fixture has none"),
                false => Err(Miss::DoesNotApply("it does not claim to list credentials")),
            };
        }
        if !claims {
            return failed("tells credentials, and does not claim to list them");
        }
        let accounts = told.accounts();
        for credential in credentials.into_values().take(SAMPLE_MAX) {
            let Some(account) = accounts.get(&credential.account) else { continue };
            let target = ReadTarget::Credential {
                account: AccountTarget { key: account.key.clone(), login: account.login.clone() },
                credential: CredentialTarget { key: credential.key.clone(), kind: credential.kind },
            };
            match self.read(&target).await? {
                ReadBack::Credential { exists: true, active } if active == credential.active => {}
                other => return failed(format!("{} was told, and is read as {other:?}", credential.key)),
            }
        }
        Ok(())
    }

    pub(super) async fn sessions(&self, told: &Told) -> Check {
        let claims = self.fixture.connector().capabilities().list_sessions.supported;
        let Some(account) = told.accounts().into_values().next() else {
            return Err(Miss::DoesNotApply("it tells no accounts"));
        };
        let account = AccountTarget { key: account.key.clone(), login: account.login.clone() };
        match self.read(&ReadTarget::Sessions { account }).await? {
            ReadBack::Sessions { .. } if claims => Ok(()),
            ReadBack::Unsupported { why } if !claims && !why.is_empty() => Ok(()),
            other => failed(format!("claims list_sessions = {claims} and answers {other:?}")),
        }
    }

    pub(super) async fn unclaimed_is_refused(&self, told: &Told) -> Check {
        let capabilities = self.fixture.connector().capabilities();
        let account = told.accounts().into_values().next().map_or_else(
            || AccountTarget { key: NOBODY.into(), login: NOBODY.to_owned() },
            |account| AccountTarget { key: account.key.clone(), login: account.login.clone() },
        );
        let name = told.entitlements().keys().next().map(|name| (*name).clone());
        let name = name.unwrap_or_else(|| EntitlementName::new("role", NOBODY));
        let entitlement = EntitlementTarget { name, native: None };
        let mut unclaimed = 0;
        for verb in Verb::ALL {
            let (claimed, needed) = match verb {
                Verb::Grant => (capabilities.grant, Some(&entitlement)),
                Verb::Revoke => (capabilities.revoke, Some(&entitlement)),
                Verb::DisableAccount => (capabilities.disable_account, None),
                Verb::EndSessions => (capabilities.end_sessions, None),
                Verb::CreateAccount => (capabilities.create_account, None),
                Verb::EnableAccount => (capabilities.enable_account, None),
                Verb::DeleteAccount => (capabilities.delete_account, None),
                Verb::DisableCredential | Verb::EnableCredential => (capabilities.disable_credential, None),
                Verb::RevokeCredential => (capabilities.revoke_credential, None),
                Verb::HandOverCredential => (capabilities.hand_over_credential, None),
            };
            if claimed.supported {
                continue;
            }
            unclaimed += 1;
            match self.execute(verb, &account, needed).await? {
                Outcome::Refused { why } if !why.trim().is_empty() => {}
                other => return failed(format!("does not claim {verb} and answers it with {other:?}")),
            }
        }
        if unclaimed == 0 { Err(Miss::DoesNotApply("it claims every verb")) } else { Ok(()) }
    }

    pub(super) async fn unreachable(&self) -> Check {
        let Some(connector) = self.fixture.unreachable() else {
            return Err(Miss::DoesNotApply("its target cannot be out of reach"));
        };
        if let Ok(report) = self.heard(connector.test().await) {
            return failed(format!("the connection test succeeded: {report:?}"));
        }
        let mut told = Told::default();
        let ended = self.heard(connector.enumerate(&mut told).await);
        if let Ok(completeness) = ended {
            return failed(format!("the enumeration ended as {completeness:?}"));
        }
        let account = AccountTarget { key: NOBODY.into(), login: NOBODY.to_owned() };
        match self.heard(connector.read_back(&ReadTarget::Account { account }).await) {
            Err(_) | Ok(ReadBack::Unsupported { .. }) => Ok(()),
            Ok(other) => failed(format!("an account was read as {other:?}")),
        }
    }
}
