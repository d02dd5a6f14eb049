//! What every connector's test needs: building one from settings, keeping its facts, and asking it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use leasehold_connect::connector::{Connector, Sink};
use leasehold_connect::error::ConnectError;
use leasehold_connect::registry;
use leasehold_connect::settings::Settings;
use leasehold_model::account::{Account, Session};
use leasehold_model::credential::Credential;
use leasehold_model::entitlement::{DirectGrant, Entitlement};
use leasehold_model::fact::{Completeness, Fact, FeedEnd, Problem};
use leasehold_model::id::{ActionId, EntitlementName, SystemName};
use leasehold_model::identity::Identity;
use leasehold_model::plan::Verb;
use leasehold_model::request::{
    AccountTarget, ActionRequest, CredentialTarget, EntitlementTarget, IssueRequest, Issued, Outcome,
    ReadBack, ReadTarget,
};
use secrecy::ExposeSecret;

/// Builds a connector from the text of its table.
pub fn try_build(kind: &str, table: &str) -> Result<Box<dyn Connector>, ConnectError> {
    let table = table.parse().expect("the test's own settings");
    registry::build(kind, Settings::new(SystemName::new("target").unwrap(), "/", table))
}

/// Builds a connector whose settings are right.
pub fn build(kind: &str, table: &str) -> Box<dyn Connector> {
    try_build(kind, table).unwrap_or_else(|error| panic!("{error}\n{table}"))
}

/// Everything that an enumeration said.
#[derive(Debug, Default)]
pub struct Facts {
    pub identities: BTreeMap<String, Identity>,
    /// By login.
    pub accounts: BTreeMap<String, Account>,
    /// By name.
    pub entitlements: BTreeMap<String, Entitlement>,
    pub grants: Vec<DirectGrant>,
    pub containments: BTreeSet<(String, String)>,
    pub credentials: BTreeMap<String, Credential>,
    pub problems: Vec<Problem>,
    pub batches: usize,
}

#[async_trait]
impl Sink for Facts {
    async fn accept(&mut self, facts: Vec<Fact>) -> Result<(), ConnectError> {
        self.batches += 1;
        for fact in facts {
            match fact {
                Fact::Identity(identity) | Fact::IdentityInPart(identity, _) => {
                    self.identities.insert(identity.key.to_string(), identity);
                }
                Fact::Account(account) => {
                    let before = self.accounts.insert(account.login.clone(), account);
                    assert!(before.is_none(), "the account came twice: {before:?}");
                }
                Fact::Entitlement(entitlement) => {
                    let before = self.entitlements.insert(entitlement.name.to_string(), entitlement);
                    assert!(before.is_none(), "the entitlement came twice: {before:?}");
                }
                Fact::Grant(grant) => self.grants.push(grant),
                Fact::Containment(containment) => {
                    self.containments.insert((containment.parent.to_string(), containment.child.to_string()));
                }
                Fact::Credential(credential) => {
                    let before = self.credentials.insert(credential.key.to_string(), credential);
                    assert!(before.is_none(), "the credential came twice: {before:?}");
                }
                Fact::Owner(_) => {}
            }
        }
        Ok(())
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn progress(&mut self, _done: u64, _total: Option<u64>) {}

    fn feed_ended(&mut self, _end: FeedEnd) -> Result<(), ConnectError> {
        Ok(())
    }
}

impl Facts {
    /// What a login holds directly, by name and in order. Listing a grant twice is an error of the connector.
    pub fn held_by(&self, login: &str) -> Vec<String> {
        let key = &self.accounts.get(login).unwrap_or_else(|| panic!("no account `{login}`")).key;
        let mut held: Vec<String> = self
            .grants
            .iter()
            .filter(|grant| grant.account == *key)
            .map(|grant| grant.entitlement.to_string())
            .collect();
        held.sort();
        let count = held.len();
        held.dedup();
        assert_eq!(count, held.len(), "a grant of {login} came twice");
        held
    }

    /// The qualifiers of one grant.
    pub fn options(&self, login: &str, entitlement: &str) -> Option<&str> {
        let key = &self.accounts[login].key;
        let found = self
            .grants
            .iter()
            .find(|grant| grant.account == *key && grant.entitlement.to_string() == entitlement)
            .unwrap_or_else(|| panic!("{login} does not hold {entitlement}"));
        found.options.as_deref()
    }

    /// Whether holding one entitlement means holding another, in one step.
    pub fn contains(&self, parent: &str, child: &str) -> bool {
        self.containments.contains(&(parent.to_owned(), child.to_owned()))
    }

    /// Every grant and containment must be about something that came too.
    pub fn assert_closed(&self) {
        let keys: BTreeSet<_> = self.accounts.values().map(|account| account.key.clone()).collect();
        assert_eq!(keys.len(), self.accounts.len(), "two accounts have one key");
        for grant in &self.grants {
            assert!(keys.contains(&grant.account), "{grant:?} is of no account");
            assert!(
                self.entitlements.contains_key(&grant.entitlement.to_string()),
                "{grant:?} is of nothing"
            );
        }
        for (parent, child) in &self.containments {
            assert!(self.entitlements.contains_key(parent), "{parent} carries {child} and does not exist");
            assert!(self.entitlements.contains_key(child), "{child} is in {parent} and does not exist");
        }
    }
}

/// Enumerates; the enumeration must come to an end.
pub async fn enumerate(connector: &dyn Connector) -> (Facts, Completeness) {
    let mut facts = Facts::default();
    let completeness = connector.enumerate(&mut facts).await.expect("enumerate");
    facts.assert_closed();
    (facts, completeness)
}

/// Enumerates and insists on a proof.
pub async fn enumerate_all(connector: &dyn Connector) -> Facts {
    let (facts, completeness) = enumerate(connector).await;
    assert!(completeness.is_complete(), "{completeness:?}");
    facts
}

/// An account whose key is its login.
pub fn account(login: &str) -> AccountTarget {
    AccountTarget { key: login.into(), login: login.to_owned() }
}

/// An entitlement by its name alone, as a policy names it.
pub fn entitlement(name: &str) -> EntitlementTarget {
    let name: EntitlementName = name.parse().expect("an entitlement's name");
    EntitlementTarget { name, native: None }
}

/// Asks for one change.
pub async fn execute(
    connector: &dyn Connector,
    verb: Verb,
    account: &AccountTarget,
    entitlement: Option<&EntitlementTarget>,
) -> Outcome {
    let request = ActionRequest {
        id: ActionId::from("test"),
        verb,
        account: account.clone(),
        entitlement: entitlement.cloned(),
        credential: None,
        to: None,
        attributes: BTreeMap::new(),
    };
    connector.execute(&request).await.unwrap_or_else(|error| panic!("{request:?}: {error}"))
}

/// Asks for one change that the target accepts.
pub async fn acknowledged(
    connector: &dyn Connector,
    verb: Verb,
    account: &AccountTarget,
    entitlement: Option<&EntitlementTarget>,
) {
    let outcome = execute(connector, verb, account, entitlement).await;
    assert!(
        matches!(outcome, Outcome::Acknowledged { .. }),
        "{verb} {entitlement:?} of {}: {outcome:?}",
        account.login
    );
}

/// Asks for one change that the target refuses, and gives the reason.
pub async fn refused(
    connector: &dyn Connector,
    verb: Verb,
    account: &AccountTarget,
    entitlement: Option<&EntitlementTarget>,
) -> String {
    match execute(connector, verb, account, entitlement).await {
        Outcome::Refused { why } => why,
        other => panic!("{verb} {entitlement:?} of {}: {other:?}", account.login),
    }
}

/// Asks for one change of a credential.
pub async fn change_credential(
    connector: &dyn Connector,
    verb: Verb,
    account: &AccountTarget,
    credential: &CredentialTarget,
) -> Outcome {
    let request = ActionRequest {
        id: ActionId::from("test"),
        verb,
        account: account.clone(),
        entitlement: None,
        credential: Some(credential.clone()),
        to: None,
        attributes: BTreeMap::new(),
    };
    connector.execute(&request).await.unwrap_or_else(|error| panic!("{request:?}: {error}"))
}

/// Asks for a credential to be handed over.
pub async fn hand_over(
    connector: &dyn Connector,
    account: &AccountTarget,
    credential: &CredentialTarget,
    to: &AccountTarget,
) -> Outcome {
    let request = ActionRequest {
        id: ActionId::from("test"),
        verb: Verb::HandOverCredential,
        account: account.clone(),
        entitlement: None,
        credential: Some(credential.clone()),
        to: Some(to.clone()),
        attributes: BTreeMap::new(),
    };
    connector.execute(&request).await.unwrap_or_else(|error| panic!("{request:?}: {error}"))
}

/// Reads whether it was: whether the one account has it no more, and whether it runs as the other one.
pub async fn read_hand_over(
    connector: &dyn Connector,
    account: &AccountTarget,
    credential: &CredentialTarget,
    to: &AccountTarget,
) -> (bool, bool) {
    let (account, credential, to) = (account.clone(), credential.clone(), to.clone());
    let action = ActionId::from("test");
    match connector
        .read_back(&ReadTarget::HandOver { action, account, credential, to })
        .await
        .expect("read back")
    {
        ReadBack::HandOver { left, arrived } => (left, arrived),
        other => panic!("{other:?}"),
    }
}

/// Reads a credential: whether it exists, and whether it can be used.
pub async fn read_credential(
    connector: &dyn Connector,
    account: &AccountTarget,
    credential: &CredentialTarget,
) -> (bool, bool) {
    let target = ReadTarget::Credential { account: account.clone(), credential: credential.clone() };
    match connector.read_back(&target).await.expect("read back") {
        ReadBack::Credential { exists, active } => (exists, active),
        other => panic!("{target:?}: {other:?}"),
    }
}

/// Asks for a credential of whoever has a login, and gives it with its secret.
pub async fn issue(connector: &dyn Connector, login: &str) -> (Issued, String) {
    let request = IssueRequest { id: ActionId::from("test"), account: AccountTarget::by_login(login) };
    let issued = connector.issue_credential(&request).await;
    let issued = issued.unwrap_or_else(|error| panic!("issuing for {login}: {error}"));
    let secret = issued.secret.expose_secret().to_owned();
    (issued, secret)
}

/// Asks for a credential that is refused, and gives the reason.
pub async fn issue_refused(connector: &dyn Connector, account: &AccountTarget) -> String {
    let request = IssueRequest { id: ActionId::from("test"), account: account.clone() };
    match connector.issue_credential(&request).await {
        Err(ConnectError::Refused { message, .. }) => message,
        other => panic!("issuing for {}: {other:?}", account.login),
    }
}

/// Reads a grant: directly, and on any path.
pub async fn read_grant(
    connector: &dyn Connector,
    account: &AccountTarget,
    entitlement: &EntitlementTarget,
) -> (bool, bool) {
    let target = ReadTarget::Grant { account: account.clone(), entitlement: entitlement.clone() };
    match connector.read_back(&target).await.expect("read back") {
        ReadBack::Grant { direct, effective: Some(effective) } => (direct, effective),
        other => panic!("{target:?}: {other:?}"),
    }
}

/// Reads an account: whether it exists, and whether it can log in.
pub async fn read_account(connector: &dyn Connector, account: &AccountTarget) -> (bool, bool) {
    let target = ReadTarget::Account { account: account.clone() };
    match connector.read_back(&target).await.expect("read back") {
        ReadBack::Account { exists, enabled } => (exists, enabled),
        other => panic!("{target:?}: {other:?}"),
    }
}

/// Reads the live sessions.
pub async fn read_sessions(connector: &dyn Connector, account: &AccountTarget) -> Vec<Session> {
    let target = ReadTarget::Sessions { account: account.clone() };
    match connector.read_back(&target).await.expect("read back") {
        ReadBack::Sessions { live, .. } => live,
        other => panic!("{target:?}: {other:?}"),
    }
}
