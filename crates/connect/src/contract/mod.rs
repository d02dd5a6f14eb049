//! The contract suite: what every connector must hold, checked from outside over a target that a fixture prepares.
//!
//! A connector's tests implement [`ContractFixture`], call [`run`] and fail on any [`CheckResult`] that did not hold.

mod changing;
mod issuing;
mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use leasehold_model::account::Account;
use leasehold_model::credential::Credential;
use leasehold_model::fact::{Completeness, Fact, FeedEnd, Problem};
use leasehold_model::id::{AccountKey, ActionId, CredentialKey, EntitlementName};
use leasehold_model::plan::Verb;
use leasehold_model::request::{
    AccountTarget, ActionRequest, CredentialTarget, EntitlementTarget, Issued, Outcome, ReadBack, ReadTarget,
};
use secrecy::{ExposeSecret, SecretString};

use crate::connector::{Connector, Sink};
use crate::error::ConnectError;

/// An account and an entitlement that the suite may change.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Holds the entitlement directly when the suite begins. It is disabled at the end.
    pub account: AccountTarget,
    /// Is held by the account directly and on no other path.
    pub entitlement: EntitlementTarget,
}

/// A connector over a target that holds still but for what the suite does to it.
#[async_trait]
pub trait ContractFixture: Send + Sync {
    /// The connector.
    fn connector(&self) -> &dyn Connector;

    /// What may be changed; `None` where the connector claims no verb.
    fn subject(&self) -> Option<Subject>;

    /// A credential of some account that the suite may stop and end; `None` where the connector claims no verb on credentials.
    fn credential(&self) -> Option<(AccountTarget, CredentialTarget)> {
        None
    }

    /// A scheduled job of some account that the suite may hand over, and whom to; `None` where the connector does not claim it.
    fn hand_over(&self) -> Option<(AccountTarget, CredentialTarget, AccountTarget)> {
        None
    }

    /// An account that the suite may make and delete again, by its login and attributes; `None` where the connector claims
    /// not both.
    fn new_account(&self) -> Option<(String, BTreeMap<String, String>)> {
        None
    }

    /// The login of an account that the suite may issue two credentials for; `None` where the connector does not claim it.
    fn issue_to(&self) -> Option<String> {
        None
    }

    /// Whether somebody can log in with a credential that was issued, by the target's own client; `None` only where there is
    /// nothing to log in to.
    async fn truly_lets_in(&self, _login: &str, _issued: &Issued) -> Option<bool> {
        None
    }

    /// The same connector over a target that cannot be reached; `None` where there is no such thing.
    fn unreachable(&self) -> Option<Box<dyn Connector>>;

    /// Every secret in the settings; none of them may show in anything that the connector says.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether a change for which nothing is named may be left out. A connector's own tests leave nothing out that it claims;
    /// whoever tries a system of theirs names what may be changed there.
    fn may_leave_out(&self) -> bool {
        false
    }

    /// How long the target may take to show a change.
    fn settle_ms_max(&self) -> u64 {
        2000
    }

    /// Whether the subject holds its entitlement, by a way other than the connector; `None` where there is none.
    async fn truly_holds(&self) -> Option<bool> {
        None
    }
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckOutcome {
    /// It holds.
    Held,
    /// It does not, and this is what was seen.
    Failed(String),
    /// It says nothing about this connector, and why.
    DoesNotApply(&'static str),
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// Which, in words that a test can name.
    pub name: &'static str,
    /// How it ended.
    pub outcome: CheckOutcome,
}

/// Why a check did not simply hold.
enum Miss {
    Failed(String),
    DoesNotApply(&'static str),
}

impl From<String> for Miss {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

type Check = Result<(), Miss>;

const NOTHING_NAMED: Miss = Miss::DoesNotApply("nothing was named that may be changed");

fn failed(message: impl Into<String>) -> Check {
    Err(Miss::Failed(message.into()))
}

/// Runs every check, those that only read first. Afterwards the subject's account is disabled where it cannot be enabled
/// again, and the fixture's credential is revoked, where that is possible.
pub async fn run(fixture: &dyn ContractFixture) -> Vec<CheckResult> {
    let run = Run { fixture, said: Mutex::new(String::new()), issued: Mutex::new(Vec::new()) };
    let mut results = Vec::new();
    let mut note = |name, check: Check| {
        let outcome = match check {
            Ok(()) => CheckOutcome::Held,
            Err(Miss::Failed(message)) => CheckOutcome::Failed(message),
            Err(Miss::DoesNotApply(why)) => CheckOutcome::DoesNotApply(why),
        };
        results.push(CheckResult { name, outcome });
    };
    note("the connection test names the target", run.connection_test().await);
    let first = run.enumerate().await;
    note("a complete enumeration has facts and evidence", run.completeness(&first));
    let nothing = || Err(Miss::DoesNotApply("nothing was told"));
    let told = !first.facts.is_empty();
    note("every key comes once", if told { run.unique_keys(&first) } else { nothing() });
    let references = "grants, containment and owners refer to what was told";
    note(references, if told { run.references(&first) } else { nothing() });
    note("a second enumeration tells the same", if told { run.repeatable(&first).await } else { nothing() });
    note("progress goes forward and not beyond its total", run.progress(&first));
    note("reading back agrees with the enumeration", run.reading_agrees(&first).await);
    note("what does not exist is never read as held", run.absent_is_absent(&first).await);
    note("an account is found by its login", run.found_by_login(&first).await);
    note("sessions are listed where that is claimed", run.sessions(&first).await);
    note("what is not claimed is refused", run.unclaimed_is_refused(&first).await);
    note("reading credentials back agrees with the enumeration", run.credentials(&first).await);
    note("a revoked grant is read as gone and stays gone", run.revoke().await);
    note("a granted entitlement is read as held", run.grant().await);
    note("nothing else has changed", run.nothing_else_changed(&first).await);
    note("ending sessions leaves none", run.end_sessions().await);
    note("a stopped credential comes back, and a revoked one does not", run.credential_ends().await);
    note("what is handed over runs as somebody else", run.credential_is_handed_over().await);
    note("an account is made and deleted", run.account_comes_and_goes().await);
    note("an issued credential is another one each time and lets in", run.issue().await);
    note("a disabled account is read as disabled", run.disable().await);
    note("an enabled account is read as enabled", run.enable().await);
    note("an unreachable target is an error and never an absence", run.unreachable().await);
    note("no secret is told", run.no_secret());
    results
}

/// Everything that one enumeration said.
#[derive(Default)]
struct Told {
    facts: Vec<Fact>,
    problems: Vec<Problem>,
    progress: Vec<(u64, Option<u64>)>,
    ended: Option<Result<Completeness, String>>,
}

#[async_trait]
impl Sink for Told {
    async fn accept(&mut self, facts: Vec<Fact>) -> Result<(), ConnectError> {
        self.facts.extend(facts);
        Ok(())
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn progress(&mut self, done: u64, total: Option<u64>) {
        self.progress.push((done, total));
    }

    fn feed_ended(&mut self, _end: FeedEnd) -> Result<(), ConnectError> {
        Ok(())
    }
}

impl Told {
    fn accounts(&self) -> BTreeMap<&AccountKey, &Account> {
        let accounts = self.facts.iter().filter_map(|fact| match fact {
            Fact::Account(account) => Some((&account.key, account)),
            _ => None,
        });
        accounts.collect()
    }

    fn entitlements(&self) -> BTreeMap<&EntitlementName, Option<&String>> {
        let entitlements = self.facts.iter().filter_map(|fact| match fact {
            Fact::Entitlement(entitlement) => Some((&entitlement.name, entitlement.native.as_ref())),
            _ => None,
        });
        entitlements.collect()
    }

    fn credentials(&self) -> BTreeMap<&CredentialKey, &Credential> {
        let credentials = self.facts.iter().filter_map(|fact| match fact {
            Fact::Credential(credential) => Some((&credential.key, credential)),
            _ => None,
        });
        credentials.collect()
    }

    fn grants(&self) -> BTreeSet<(&AccountKey, &EntitlementName)> {
        let grants = self.facts.iter().filter_map(|fact| match fact {
            Fact::Grant(grant) => Some((&grant.account, &grant.entitlement)),
            _ => None,
        });
        grants.collect()
    }
}

struct Run<'a> {
    fixture: &'a dyn ContractFixture,
    /// Everything that the connector ever said, to look for secrets in.
    said: Mutex<String>,
    /// The secrets that were issued, which it may say in one place only.
    issued: Mutex<Vec<SecretString>>,
}

impl Run<'_> {
    fn hear(&self, said: &impl Debug) {
        let mut all = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_str(&format!("{said:?}\n"));
    }

    /// Keeps what an error says, and makes a text of it.
    fn heard<T: Debug>(&self, result: Result<T, ConnectError>) -> Result<T, String> {
        self.hear(&result);
        result.map_err(|error| {
            let message = error.to_string();
            self.hear(&message);
            message
        })
    }

    /// The end of a check that wants something which the fixture does not have.
    fn nothing_named(&self, message: &str) -> Check {
        if self.fixture.may_leave_out() { Err(NOTHING_NAMED) } else { failed(message) }
    }

    async fn enumerate(&self) -> Told {
        let mut told = Told::default();
        let ended = self.fixture.connector().enumerate(&mut told).await;
        told.ended = Some(self.heard(ended));
        self.hear(&told.facts);
        self.hear(&told.problems);
        told
    }

    async fn read(&self, target: &ReadTarget) -> Result<ReadBack, String> {
        self.heard(self.fixture.connector().read_back(target).await)
    }

    async fn execute(
        &self,
        verb: Verb,
        account: &AccountTarget,
        entitlement: Option<&EntitlementTarget>,
    ) -> Result<Outcome, String> {
        self.request(ActionRequest {
            id: ActionId(format!("contract-{verb}-{}", account.login)),
            verb,
            account: account.clone(),
            entitlement: entitlement.cloned(),
            credential: None,
            to: None,
            attributes: BTreeMap::new(),
        })
        .await
    }

    async fn request(&self, request: ActionRequest) -> Result<Outcome, String> {
        self.heard(self.fixture.connector().execute(&request).await)
    }

    fn no_secret(&self) -> Check {
        let all = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let mut secrets = self.fixture.secrets();
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.extend(issued.iter().flat_map(|secret| parts(secret.expose_secret())).map(str::to_owned));
        let shown = secrets.iter().position(|secret| all.contains(secret.as_str()));
        // The message must not repeat the secret either.
        shown.map_or(Ok(()), |index| failed(format!("secret number {} of the fixture was told", index + 1)))
    }
}

/// What of a secret must not show: each of its lines, because a key of several is never told with its line breaks. What stands
/// around such a key is the same around all of them, and a short last line would be found by chance.
fn parts(secret: &str) -> Vec<&str> {
    let of_a_key = |line: &&str| !line.starts_with("-----") && line.len() >= issuing::SECRET_CHARACTERS_MIN;
    match secret.trim_end().contains('\n') {
        true => secret.lines().filter(of_a_key).collect(),
        false => vec![secret],
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn each_line_of_a_key_is_a_secret_and_what_stands_around_it_is_none() {
        let line = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAA";
        let key = format!("-----BEGIN KEY-----\n{line}\n{line}\nQUJD\n-----END KEY-----\n");
        assert_eq!(parts(&key), [line, line]);
        assert_eq!(parts("-----a password-----"), ["-----a password-----"]);
    }
}
