//! The check that issues credentials, and looks whether they are what they are said to be.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use leasehold_model::id::ActionId;
use leasehold_model::plan::Verb;
use leasehold_model::request::{
    AccountTarget, ActionRequest, IssueRequest, Issued, Outcome, ReadBack, ReadTarget,
};
use secrecy::ExposeSecret;

use super::{Check, Miss, Run, failed};
use crate::error::ConnectError;

/// Fewer characters can be guessed.
pub(super) const SECRET_CHARACTERS_MIN: usize = 24;

impl Run<'_> {
    pub(super) async fn issue(&self) -> Check {
        let connector = self.fixture.connector();
        if !connector.capabilities().issue_credential.supported {
            let request =
                IssueRequest { id: ActionId::from("contract"), account: AccountTarget::by_login("nobody") };
            return match connector.issue_credential(&request).await {
                Err(ConnectError::NotOffered { .. }) => {
                    Err(Miss::DoesNotApply("it does not claim to issue credentials"))
                }
                other => failed(format!("does not claim to issue credentials, and answers {other:?}")),
            };
        }
        let Some(login) = self.fixture.issue_to() else {
            return self.nothing_named("it claims to issue credentials, and its fixture names no account");
        };
        let first = self.issue_one(&login).await?;
        let second = self.issue_one(&login).await?;
        if first.secret.expose_secret() == second.secret.expose_secret() {
            return failed("two credentials have one secret");
        }
        // What the first is worth now depends on the kind: a password is replaced, a key stays.
        if self.fixture.truly_lets_in(&login, &second).await == Some(false) {
            return failed("a credential that was issued lets nobody in");
        }
        self.shows(&login, &[&first, &second]).await?;
        self.earlier_ends(&login, &first, &second).await?;
        let nobody = AccountTarget::by_login("leasehold-contract-nobody");
        let request = IssueRequest { id: ActionId::from("contract-issue-nobody"), account: nobody };
        match self.heard(connector.issue_credential(&request).await) {
            Err(_) => Ok(()),
            Ok(issued) => {
                failed(format!("a credential was issued for an account that does not exist: {issued:?}"))
            }
        }
    }

    async fn issue_one(&self, login: &str) -> Result<Issued, Miss> {
        let id = ActionId(format!("contract-issue-{login}"));
        let request = IssueRequest { id, account: AccountTarget::by_login(login) };
        let issued = self.heard(self.fixture.connector().issue_credential(&request).await)?;
        self.hear(&issued.instructions);
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).push(issued.secret.clone());
        if issued.secret.expose_secret().chars().count() < SECRET_CHARACTERS_MIN {
            return Err(Miss::Failed(format!("a secret has fewer than {SECRET_CHARACTERS_MIN} characters")));
        }
        if issued.instructions.trim().is_empty() {
            return Err(Miss::Failed("nobody is told what to do with it".to_owned()));
        }
        Ok(issued)
    }

    /// Two that stand beside each other end one by one: whoever changes over revokes the earlier and keeps the later.
    async fn earlier_ends(&self, login: &str, first: &Issued, second: &Issued) -> Check {
        let (Some(earlier), Some(later)) = (&first.credential, &second.credential) else { return Ok(()) };
        if earlier == later || !self.fixture.connector().capabilities().revoke_credential.supported {
            return Ok(());
        }
        let account = AccountTarget::by_login(login);
        let request = ActionRequest {
            id: ActionId(format!("contract-revoke-{}", earlier.key)),
            verb: Verb::RevokeCredential,
            account: account.clone(),
            entitlement: None,
            credential: Some(earlier.clone()),
            to: None,
            attributes: BTreeMap::new(),
        };
        match self.request(request).await? {
            Outcome::Acknowledged { .. } => {}
            other => return failed(format!("the earlier of two credentials was revoked: {other:?}")),
        }
        for (credential, active) in [(earlier, false), (later, true)] {
            let target = ReadTarget::Credential { account: account.clone(), credential: credential.clone() };
            self.settles(&target, |read| *read == ReadBack::Credential { exists: active, active }).await?;
        }
        let first_lets_in = self.fixture.truly_lets_in(login, first).await;
        let second_lets_in = self.fixture.truly_lets_in(login, second).await;
        if first_lets_in == Some(true) || second_lets_in == Some(false) {
            return failed("the wrong one of two credentials still lets in");
        }
        Ok(())
    }

    /// Where credentials of the kind are listed, each is among them and of this account; the same one where it was replaced.
    async fn shows(&self, login: &str, issued: &[&Issued]) -> Check {
        let told = self.enumerate().await;
        let (accounts, credentials) = (told.accounts(), told.credentials());
        for issued in issued {
            let Some(target) = &issued.credential else {
                // If such a credential were listed, the one that was issued would be.
                return if credentials.values().any(|found| found.kind == issued.kind) {
                    failed("it lists credentials of that kind, and does not say which it issued")
                } else {
                    Ok(())
                };
            };
            let Some(found) = credentials.get(&target.key) else {
                return failed(format!("{} was issued, and is not told", target.key));
            };
            let is_theirs = accounts.get(&found.account).is_some_and(|account| account.login == login);
            if found.kind != issued.kind || target.kind != issued.kind || !is_theirs {
                return failed(format!("{} was issued for {login}, and is told as {found:?}", target.key));
            }
            let account = AccountTarget::by_login(login);
            match self.read(&ReadTarget::Credential { account, credential: target.clone() }).await? {
                ReadBack::Credential { exists: true, active: true } => {}
                other => return failed(format!("{} was issued, and is read as {other:?}", target.key)),
            }
        }
        Ok(())
    }
}
