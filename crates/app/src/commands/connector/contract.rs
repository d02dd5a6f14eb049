//! `leasehold connector contract`: the contract suite over a configured system; what it may change there, a person names.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use leasehold_connect::connector::{Connector, Sink};
use leasehold_connect::contract::{self, CheckOutcome, CheckResult, ContractFixture, Subject};
use leasehold_connect::error::ConnectError;
use leasehold_model::account::Account;
use leasehold_model::credential::Credential;
use leasehold_model::fact::{Fact, FeedEnd, Problem};
use leasehold_model::id::{AccountKey, EntitlementName};
use leasehold_model::request::{AccountTarget, CredentialTarget, EntitlementTarget};
use leasehold_model::secret::SecretReference;
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::Context;
use crate::output::{self, Tone, row, toned};
use crate::progress::Progress;

/// A secret shorter than this would be found in whatever a system says.
const SECRET_CHARACTERS_MIN: usize = 4;

/// Arguments of `connector contract`.
#[derive(Debug, clap::Args)]
pub struct ContractCommand {
    /// A configured system; without further words, nothing in it is changed
    system: String,
    /// The login or key of an account that may be changed: it loses the entitlement and gets it again, is disabled and enabled
    #[arg(long, value_name = "ACCOUNT", requires = "entitlement")]
    account: Option<String>,
    /// What that account holds, directly and on no other path
    #[arg(long, value_name = "KIND/NAME", requires = "account")]
    entitlement: Option<EntitlementName>,
    /// The key of a credential that may be stopped and is revoked in the end
    #[arg(long, value_name = "KEY")]
    credential: Option<String>,
    /// The key of a scheduled job that is handed over, and stays so
    #[arg(long, value_name = "KEY", requires = "hand_over_to")]
    hand_over: Option<String>,
    /// The login or key of the account that it is handed over to
    #[arg(long, value_name = "ACCOUNT", requires = "hand_over")]
    hand_over_to: Option<String>,
    /// The login of an account that gets two new credentials; the password that it has is replaced
    #[arg(long, value_name = "LOGIN")]
    issue_to: Option<String>,
    /// The login of an account that is not there, and may be made and deleted
    #[arg(long, value_name = "LOGIN")]
    new_login: Option<String>,
    /// An attribute of that account, where the system asks for one
    #[arg(long, value_name = "NAME=VALUE", requires = "new_login", value_parser = parse_attribute)]
    attribute: Vec<(String, String)>,
    /// A second configured system of the same connector, at an address where nobody answers
    #[arg(long, value_name = "SYSTEM")]
    out_of_reach: Option<String>,
    /// How long the system may take to show a change, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2000)]
    settle_ms_max: u64,
}

fn parse_attribute(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    parts.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or("write NAME=VALUE".to_owned())
}

/// A configured system, with what was named in it.
struct Named {
    connector: Arc<dyn Connector>,
    subject: Option<Subject>,
    credential: Option<(AccountTarget, CredentialTarget)>,
    hand_over: Option<(AccountTarget, CredentialTarget, AccountTarget)>,
    new_account: Option<(String, BTreeMap<String, String>)>,
    issue_to: Option<String>,
    out_of_reach: Option<Arc<dyn Connector>>,
    secrets: Vec<String>,
    settle_ms_max: u64,
}

impl ContractFixture for Named {
    fn connector(&self) -> &dyn Connector {
        self.connector.as_ref()
    }

    fn subject(&self) -> Option<Subject> {
        self.subject.clone()
    }

    fn credential(&self) -> Option<(AccountTarget, CredentialTarget)> {
        self.credential.clone()
    }

    fn hand_over(&self) -> Option<(AccountTarget, CredentialTarget, AccountTarget)> {
        self.hand_over.clone()
    }

    fn new_account(&self) -> Option<(String, BTreeMap<String, String>)> {
        self.new_account.clone()
    }

    fn issue_to(&self) -> Option<String> {
        self.issue_to.clone()
    }

    fn unreachable(&self) -> Option<Box<dyn Connector>> {
        self.out_of_reach.clone().map(|connector| -> Box<dyn Connector> { Box::new(connector) })
    }

    fn secrets(&self) -> Vec<String> {
        self.secrets.clone()
    }

    fn settle_ms_max(&self) -> u64 {
        self.settle_ms_max
    }

    fn may_leave_out(&self) -> bool {
        true
    }
}

impl ContractCommand {
    /// Finds what was named, runs the suite, and shows every check.
    pub async fn run(self, context: &Context) -> anyhow::Result<Outcome> {
        let system = context.system(&self.system)?.connect()?;
        let connect = |name: &String| context.system(name)?.connect().map(|system| system.connector);
        let named = Named {
            out_of_reach: self.out_of_reach.as_ref().map(connect).transpose()?,
            secrets: secrets(context, &self.system),
            new_account: self
                .new_login
                .clone()
                .map(|login| (login, self.attribute.iter().cloned().collect())),
            issue_to: self.issue_to.clone(),
            settle_ms_max: self.settle_ms_max,
            subject: None,
            credential: None,
            hand_over: None,
            connector: Arc::clone(&system.connector),
        };
        let progress = Progress::new(format!("checking {}", system.name));
        let named = self.find(named).await?;
        let results = contract::run(&named).await;
        drop(progress);
        show(context.json, &results)
    }

    /// Looks up the objects that were named, by one enumeration.
    async fn find(&self, mut named: Named) -> anyhow::Result<Named> {
        if self.account.is_none() && self.credential.is_none() && self.hand_over.is_none() {
            return Ok(named);
        }
        let mut found =
            Found { wanted: self, accounts: Vec::new(), entitlement: None, credentials: Vec::new() };
        named.connector.enumerate(&mut found).await?;
        let system = &self.system;
        if let (Some(account), Some(name)) = (&self.account, &self.entitlement) {
            let account = found.account(account)?;
            let entitlement = found.entitlement.clone().with_context(|| {
                format!("there is no entitlement `{name}` in {system}; nothing was changed")
            })?;
            named.subject = Some(Subject { account, entitlement });
        }
        if let Some(key) = &self.credential {
            named.credential = Some(found.credential(key)?);
        }
        if let (Some(key), Some(to)) = (&self.hand_over, &self.hand_over_to) {
            let (account, credential) = found.credential(key)?;
            named.hand_over = Some((account, credential, found.account(to)?));
        }
        Ok(named)
    }
}

/// Keeps of an enumeration what was named.
struct Found<'command> {
    wanted: &'command ContractCommand,
    /// All of them, because facts come in any order.
    accounts: Vec<AccountTarget>,
    entitlement: Option<EntitlementTarget>,
    /// With the key of their account.
    credentials: Vec<(AccountKey, CredentialTarget)>,
}

impl Found<'_> {
    fn account(&self, named: &str) -> anyhow::Result<AccountTarget> {
        let system = &self.wanted.system;
        let is_named = |account: &&AccountTarget| named == account.login || named == account.key.as_str();
        let found: Vec<&AccountTarget> = self.accounts.iter().filter(is_named).collect();
        match found.as_slice() {
            [] => anyhow::bail!("there is no account `{named}` in {system}; nothing was changed"),
            [one] => Ok((*one).clone()),
            _ => anyhow::bail!(
                "several accounts of {system} are `{named}`; name one by its key; nothing was changed"
            ),
        }
    }

    fn credential(&self, key: &str) -> anyhow::Result<(AccountTarget, CredentialTarget)> {
        let found = self.credentials.iter().find(|(_, credential)| credential.key.as_str() == key);
        let of = found.and_then(|(owner, credential)| {
            let account = self.accounts.iter().find(|account| account.key == *owner)?;
            Some((account.clone(), credential.clone()))
        });
        of.with_context(|| {
            format!(
                "there is no credential `{key}` of an account in {}; nothing was changed",
                self.wanted.system
            )
        })
    }
}

#[async_trait]
impl Sink for Found<'_> {
    async fn accept(&mut self, facts: Vec<Fact>) -> Result<(), ConnectError> {
        for fact in facts {
            match fact {
                Fact::Account(Account { key, login, .. }) => self.accounts.push(AccountTarget { key, login }),
                Fact::Entitlement(entitlement)
                    if self.wanted.entitlement.as_ref() == Some(&entitlement.name) =>
                {
                    let (name, native) = (entitlement.name, entitlement.native);
                    self.entitlement = Some(EntitlementTarget { name, native });
                }
                Fact::Credential(Credential { key, kind, account, .. }) => {
                    let named = [&self.wanted.credential, &self.wanted.hand_over];
                    if named.into_iter().flatten().any(|named| named == key.as_str()) {
                        self.credentials.push((account, CredentialTarget { key, kind }));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn problem(&mut self, _problem: Problem) {}

    fn progress(&mut self, _done: u64, _total: Option<u64>) {}

    fn feed_ended(&mut self, _end: FeedEnd) -> Result<(), ConnectError> {
        Ok(())
    }
}

/// What the references in a system's settings stand for: none of it may be said by the connector.
fn secrets(context: &Context, system: &str) -> Vec<String> {
    fn collect(value: &toml::Value, folder: &std::path::Path, secrets: &mut Vec<String>) {
        match value {
            // What cannot be read has kept the connector from being built, or is no secret.
            toml::Value::String(text) => secrets.extend(
                SecretReference::parse(text)
                    .and_then(|reference| reference.read(folder).ok())
                    .filter(|secret| secret.chars().count() >= SECRET_CHARACTERS_MIN),
            ),
            toml::Value::Array(values) => values.iter().for_each(|value| collect(value, folder, secrets)),
            toml::Value::Table(table) => table.values().for_each(|value| collect(value, folder, secrets)),
            _ => {}
        }
    }
    let mut secrets = Vec::new();
    let settings = context.config.table(system).into_iter().flat_map(toml::Table::values);
    settings.for_each(|value| collect(value, &context.config.folder, &mut secrets));
    secrets
}

fn show(json: bool, results: &[CheckResult]) -> anyhow::Result<Outcome> {
    let count =
        |wanted: fn(&CheckOutcome) -> bool| results.iter().filter(|result| wanted(&result.outcome)).count();
    let held = count(|outcome| matches!(outcome, CheckOutcome::Held));
    let failed = count(|outcome| matches!(outcome, CheckOutcome::Failed(_)));
    if json {
        let item = |CheckResult { name, outcome }: &CheckResult| match outcome {
            CheckOutcome::Held => json!({"check": name, "outcome": "held", "detail": Value::Null}),
            CheckOutcome::Failed(seen) => json!({"check": name, "outcome": "failed", "detail": seen}),
            CheckOutcome::DoesNotApply(why) => {
                json!({"check": name, "outcome": "does_not_apply", "detail": why})
            }
        };
        let items: Vec<Value> = results.iter().map(item).collect();
        let does_not_apply = results.len() - held - failed;
        let summary = json!({"held": held, "failed": failed, "does_not_apply": does_not_apply});
        output::json(&json!({"items": items, "summary": summary}))?;
    } else {
        let mut table = output::table(&["check", "", "seen"]);
        for CheckResult { name, outcome } in results {
            match outcome {
                CheckOutcome::Held => table.add_row(row![*name, toned("held", Tone::Good), ""]),
                CheckOutcome::Failed(seen) => {
                    table.add_row(row![*name, toned("failed", Tone::Bad), seen.as_str()])
                }
                CheckOutcome::DoesNotApply(why) => {
                    table.add_row(row![*name, toned("does not apply", Tone::Quiet), *why])
                }
            };
        }
        output::line(table)?;
    }
    anyhow::ensure!(failed == 0, "{} of {} failed", output::count(failed, "check"), held + failed);
    Ok(Outcome::Clean)
}
