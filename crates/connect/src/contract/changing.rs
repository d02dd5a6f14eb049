//! The checks that change the fixture's subject, each followed by a read-back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use leasehold_model::id::{ActionId, EntitlementName};
use leasehold_model::plan::Verb;
use leasehold_model::request::{
    AccountTarget, ActionRequest, EntitlementTarget, Outcome, ReadBack, ReadTarget,
};

use super::reading::cannot_tell;
use super::{Check, Miss, NOTHING_NAMED, Run, Subject, Told, failed};

const POLL_MS: u64 = 20;
/// How often a change that was read once is read again: something may undo it.
const READS_AFTER: usize = 5;

impl Run<'_> {
    fn subject(&self) -> Result<Subject, Miss> {
        self.fixture.subject().ok_or(NOTHING_NAMED)
    }

    /// Makes a change that the connector claims to be able to make.
    async fn change(
        &self,
        verb: Verb,
        account: &AccountTarget,
        entitlement: Option<&EntitlementTarget>,
    ) -> Result<Outcome, Miss> {
        match self.execute(verb, account, entitlement).await? {
            outcome @ (Outcome::Acknowledged { .. } | Outcome::AlreadySo) => Ok(outcome),
            other => Err(Miss::Failed(format!("claims {verb} and answers {other:?}"))),
        }
    }

    /// Reads until the answer is as wanted or the target has had its time.
    pub(super) async fn settles(&self, target: &ReadTarget, wanted: impl Fn(&ReadBack) -> bool) -> Check {
        let begun = Instant::now();
        loop {
            let read = self.read(target).await?;
            if wanted(&read) {
                return Ok(());
            }
            if begun.elapsed() > Duration::from_millis(self.fixture.settle_ms_max()) {
                return failed(format!(
                    "{} ms after the change it was read as {read:?}",
                    self.fixture.settle_ms_max()
                ));
            }
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
    }

    async fn settles_as(&self, subject: &Subject, held: bool) -> Check {
        let (account, entitlement) = (subject.account.clone(), subject.entitlement.clone());
        let target = ReadTarget::Grant { account, entitlement };
        self.settles(&target, |read| {
            matches!(read, ReadBack::Grant { direct, effective }
                if *direct == held && effective.is_none_or(|effective| effective == held))
        })
        .await?;
        match self.fixture.truly_holds().await {
            Some(truly) if truly != held => failed(format!("read as held = {held}, which is not so")),
            _ => Ok(()),
        }
    }

    pub(super) async fn revoke(&self) -> Check {
        let capabilities = self.fixture.connector().capabilities();
        if !capabilities.revoke.supported || !capabilities.read_back.supported {
            return Err(Miss::DoesNotApply("it does not claim to revoke and read back"));
        }
        let subject = self.subject()?;
        let entitlement = Some(&subject.entitlement);
        self.settles_as(&subject, true).await?;
        if self.change(Verb::Revoke, &subject.account, entitlement).await? == Outcome::AlreadySo {
            return failed("a grant that was read as held was answered with AlreadySo");
        }
        self.settles_as(&subject, false).await?;
        self.change(Verb::Revoke, &subject.account, entitlement).await?;
        for _ in 0..READS_AFTER {
            self.settles_as(&subject, false).await?;
        }
        Ok(())
    }

    pub(super) async fn grant(&self) -> Check {
        let capabilities = self.fixture.connector().capabilities();
        if !capabilities.grant.supported || !capabilities.read_back.supported {
            return Err(Miss::DoesNotApply("it does not claim to grant and read back"));
        }
        let subject = self.subject()?;
        let entitlement = Some(&subject.entitlement);
        self.change(Verb::Grant, &subject.account, entitlement).await?;
        self.settles_as(&subject, true).await?;
        self.change(Verb::Grant, &subject.account, entitlement).await?;
        for _ in 0..READS_AFTER {
            self.settles_as(&subject, true).await?;
        }
        let name = EntitlementName::new(subject.entitlement.name.kind.clone(), "leasehold-contract-nothing");
        let nothing = EntitlementTarget { name, native: None };
        match self.execute(Verb::Grant, &subject.account, Some(&nothing)).await? {
            Outcome::Refused { .. } => Ok(()),
            other => failed(format!("an entitlement that does not exist was granted: {other:?}")),
        }
    }

    pub(super) async fn nothing_else_changed(&self, first: &Told) -> Check {
        let capabilities = self.fixture.connector().capabilities();
        if !capabilities.grant.supported || !capabilities.revoke.supported {
            return Err(Miss::DoesNotApply("it does not claim to revoke and grant"));
        }
        let now = self.enumerate().await;
        if let Some(Err(message)) = &now.ended {
            return failed(format!("the enumeration failed: {message}"));
        }
        let (before, after) = (first.grants(), now.grants());
        let lost: Vec<String> =
            before.difference(&after).map(|(account, name)| format!("{account} lost {name}")).collect();
        let won: Vec<String> =
            after.difference(&before).map(|(account, name)| format!("{account} has {name}")).collect();
        if lost.is_empty() && won.is_empty() { Ok(()) } else { failed([lost, won].concat().join(", ")) }
    }

    pub(super) async fn end_sessions(&self) -> Check {
        let capabilities = self.fixture.connector().capabilities();
        if !capabilities.end_sessions.supported || !capabilities.list_sessions.supported {
            return Err(Miss::DoesNotApply("it does not claim to end and list sessions"));
        }
        let subject = self.subject()?;
        self.change(Verb::EndSessions, &subject.account, None).await?;
        let target = ReadTarget::Sessions { account: subject.account.clone() };
        self.settles(&target, |read| matches!(read, ReadBack::Sessions { live, .. } if live.is_empty()))
            .await?;
        self.change(Verb::EndSessions, &subject.account, None).await.map(|_| ())
    }

    pub(super) async fn disable(&self) -> Check {
        let capabilities = self.fixture.connector().capabilities();
        if !capabilities.disable_account.supported || !capabilities.read_back.supported {
            return Err(Miss::DoesNotApply("it does not claim to disable accounts and read back"));
        }
        self.switch(Verb::DisableAccount, &self.subject()?.account, false).await
    }

    pub(super) async fn enable(&self) -> Check {
        let capabilities = self.fixture.connector().capabilities();
        if !capabilities.enable_account.supported || !capabilities.disable_account.supported {
            return Err(Miss::DoesNotApply("it does not claim to disable and enable accounts"));
        }
        self.switch(Verb::EnableAccount, &self.subject()?.account, true).await
    }

    /// Asks twice for an account to be disabled or enabled. Where the target has no way back, one that is gone is disabled.
    async fn switch(&self, verb: Verb, account: &AccountTarget, enabled: bool) -> Check {
        let has_way_back = self.fixture.connector().capabilities().enable_account.supported;
        let target = ReadTarget::Account { account: account.clone() };
        let is_so = |read: &ReadBack| match *read {
            ReadBack::Account { exists, enabled: is } => is == enabled && (exists || !has_way_back),
            _ => false,
        };
        for _ in 0..2 {
            self.change(verb, account, None).await?;
            self.settles(&target, is_so).await?;
        }
        Ok(())
    }

    pub(super) async fn credential_ends(&self) -> Check {
        let capabilities = self.fixture.connector().capabilities();
        let stops = capabilities.disable_credential.supported;
        if !capabilities.revoke_credential.supported && !stops {
            return Err(Miss::DoesNotApply("it does not claim to stop or revoke credentials"));
        }
        let Some((account, credential)) = self.fixture.credential() else {
            return self.nothing_named("it claims to change credentials, and its fixture has none");
        };
        let target = ReadTarget::Credential { account: account.clone(), credential: credential.clone() };
        let is = |wanted: bool| {
            move |read: &ReadBack| match *read {
                ReadBack::Credential { exists, active } => (exists && active) == wanted,
                _ => false,
            }
        };
        self.settles(&target, is(true)).await?;
        let mut steps = Vec::new();
        if stops {
            steps.extend([(Verb::DisableCredential, false), (Verb::EnableCredential, true)]);
        }
        if capabilities.revoke_credential.supported {
            steps.push((Verb::RevokeCredential, false));
        }
        for (verb, active) in steps {
            // Each is asked for twice: a second time changes nothing.
            for _ in 0..2 {
                let request = ActionRequest {
                    id: ActionId(format!("contract-{verb}-{}", credential.key)),
                    verb,
                    account: account.clone(),
                    entitlement: None,
                    credential: Some(credential.clone()),
                    to: None,
                    attributes: BTreeMap::new(),
                };
                match self.request(request).await? {
                    Outcome::Acknowledged { .. } | Outcome::AlreadySo => {}
                    other => return failed(format!("claims {verb} and answers {other:?}")),
                }
                self.settles(&target, is(active)).await?;
            }
        }
        if !capabilities.revoke_credential.supported {
            return Ok(());
        }
        match self.read(&target).await? {
            ReadBack::Credential { exists: false, .. } => Ok(()),
            other => failed(format!("a revoked credential was read as {other:?}")),
        }
    }

    pub(super) async fn credential_is_handed_over(&self) -> Check {
        if !self.fixture.connector().capabilities().hand_over_credential.supported {
            return Err(Miss::DoesNotApply("it does not claim to hand credentials over"));
        }
        let Some((account, credential, to)) = self.fixture.hand_over() else {
            return self.nothing_named("it claims to hand credentials over, and its fixture has none");
        };
        let is = |wanted: (bool, bool)| move |read: &ReadBack| matches!(*read, ReadBack::HandOver { left, arrived } if (left, arrived) == wanted);
        let id = ActionId(format!("contract-hand-over-{}", credential.key));
        let target = ReadTarget::HandOver {
            action: id.clone(),
            account: account.clone(),
            credential: credential.clone(),
            to: to.clone(),
        };
        self.settles(&target, is((false, false))).await?;
        let request = ActionRequest {
            id,
            verb: Verb::HandOverCredential,
            account: account.clone(),
            entitlement: None,
            credential: Some(credential.clone()),
            to: Some(to),
            attributes: BTreeMap::new(),
        };
        // To nobody it is not handed over, and stays where it is.
        let nobody = AccountTarget {
            key: "leasehold-contract-nobody".into(),
            login: "leasehold-contract-nobody".to_owned(),
        };
        match self.request(ActionRequest { to: Some(nobody), ..request.clone() }).await? {
            Outcome::Refused { .. } => {}
            other => return failed(format!("it was handed over to nobody: {other:?}")),
        }
        self.settles(&target, is((false, false))).await?;
        for _ in 0..2 {
            match self.request(request.clone()).await? {
                Outcome::Acknowledged { .. } | Outcome::AlreadySo => {}
                other => return failed(format!("claims to hand it over and answers {other:?}")),
            }
            self.settles(&target, is((true, true))).await?;
        }
        match self.read(&ReadTarget::Credential { account, credential }).await? {
            ReadBack::Credential { exists: false, .. } => Ok(()),
            other => {
                failed(format!("what was handed over was read with the account that had it as {other:?}"))
            }
        }
    }

    pub(super) async fn account_comes_and_goes(&self) -> Check {
        let capabilities = self.fixture.connector().capabilities();
        if !capabilities.create_account.supported || !capabilities.delete_account.supported {
            return Err(Miss::DoesNotApply("it does not claim to make and delete accounts"));
        }
        let Some((login, attributes)) = self.fixture.new_account() else {
            return self.nothing_named("it claims to make and delete accounts, and its fixture names none");
        };
        let by_login = AccountTarget::by_login(&login);
        let target = ReadTarget::Account { account: by_login.clone() };
        let exists = |wanted: bool| move |read: &ReadBack| matches!(read, ReadBack::Account { exists, .. } if *exists == wanted);
        match self.read(&target).await {
            Ok(ReadBack::Account { exists: false, enabled: false }) => {}
            Err(message) if cannot_tell(&message) => {}
            other => return failed(format!("before it was made, it was read as {other:?}")),
        }
        for _ in 0..2 {
            let request = ActionRequest {
                id: ActionId(format!("contract-create-{login}")),
                verb: Verb::CreateAccount,
                account: by_login.clone(),
                entitlement: None,
                credential: None,
                to: None,
                attributes: attributes.clone(),
            };
            match self.request(request).await? {
                Outcome::Acknowledged { .. } | Outcome::AlreadySo => {}
                other => return failed(format!("claims to make accounts and answers {other:?}")),
            }
            self.settles(&target, exists(true)).await?;
        }
        self.switches_by_login(&by_login).await?;
        let granted = self.grants_by_login(&by_login).await?;
        let told = self.enumerate().await;
        let made: Vec<AccountTarget> = told
            .accounts()
            .into_values()
            .filter(|account| account.login == login)
            .map(|account| by_login.with_key(account.key.clone()))
            .collect();
        let [made] = made.as_slice() else {
            return failed(format!("after it was made, {} accounts have its login", made.len()));
        };
        if made.is_by_login() {
            return failed("the account that was made is told without a key");
        }
        if let Some(entitlement) = granted {
            let name = &entitlement.name;
            if !told.grants().contains(&(&made.key, name)) {
                return failed(format!("what was granted by its login is not told: {name} to {}", made.key));
            }
            // Some targets delete nobody who holds something.
            if self.fixture.connector().capabilities().revoke.supported {
                self.change(Verb::Revoke, made, Some(&entitlement)).await?;
            }
        }
        let target = ReadTarget::Account { account: made.clone() };
        for _ in 0..2 {
            self.change(Verb::DeleteAccount, made, None).await?;
            self.settles(&target, exists(false)).await?;
        }
        Ok(())
    }

    /// Of an account that a plan made nobody knows the key, and who made it may have to close it at once.
    async fn switches_by_login(&self, by_login: &AccountTarget) -> Check {
        let capabilities = self.fixture.connector().capabilities();
        if capabilities.end_sessions.supported {
            self.change(Verb::EndSessions, by_login, None).await?;
        }
        if capabilities.disable_account.supported && capabilities.enable_account.supported {
            self.switch(Verb::DisableAccount, by_login, false).await?;
            self.switch(Verb::EnableAccount, by_login, true).await?;
        }
        Ok(())
    }

    /// What the rest of a plan does with an account that the plan itself made: nobody knows its key yet.
    async fn grants_by_login(&self, by_login: &AccountTarget) -> Result<Option<EntitlementTarget>, Miss> {
        let capabilities = self.fixture.connector().capabilities();
        let account = by_login.clone();
        if capabilities.list_sessions.supported {
            match self.read(&ReadTarget::Sessions { account: account.clone() }).await? {
                ReadBack::Sessions { live, .. } if live.is_empty() => {}
                other => return Err(Miss::Failed(format!("its sessions were read as {other:?}"))),
            }
        }
        if !capabilities.grant.supported || !capabilities.read_back.supported {
            return Ok(None);
        }
        let entitlement = self.subject()?.entitlement;
        let target = ReadTarget::Grant { account: account.clone(), entitlement: entitlement.clone() };
        let held = |wanted: bool| move |read: &ReadBack| matches!(read, ReadBack::Grant { direct, .. } if *direct == wanted);
        for (verb, wanted) in [(Verb::Grant, true), (Verb::Revoke, false), (Verb::Grant, true)] {
            if verb == Verb::Revoke && !capabilities.revoke.supported {
                continue;
            }
            for _ in 0..2 {
                self.change(verb, &account, Some(&entitlement)).await?;
                self.settles(&target, held(wanted)).await?;
            }
        }
        Ok(Some(entitlement))
    }
}
