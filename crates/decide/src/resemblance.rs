//! Accounts of nobody that look like somebody's. Nobody is guessed, so that is a question; but when somebody leaves, it has to be asked.

use std::collections::BTreeSet;

use leasehold_model::id::IdentityKey;
use leasehold_model::identity::IdentityKind;

use crate::correlate::Correlation;
use crate::engine::{AccountIndex, IdentityIndex};
use crate::evaluate::Evaluation;
use crate::rules::is_break_glass;

/// Attributes that say what somebody themself is called. Others, such as a manager's or an owner's address, name somebody else.
const NAMES: [&str; 8] =
    ["email", "login", "mail", "upn", "user_name", "user_principal_name", "username", "userprincipalname"];

/// An account of nobody, and what makes it look like the identity's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resemblance {
    /// The account.
    pub account: AccountIndex,
    /// What was compared, in words.
    pub because: String,
}

/// Accounts of nobody that let somebody in and look like this person's: one rule gives them to several of whom they are one, their
/// login or mail address is the person's key or mail address, or their login is the part of one of these before the `@`.
pub fn resembling(evaluation: &Evaluation<'_>, identity: IdentityIndex) -> Vec<Resemblance> {
    if evaluation.identities[identity.index()].kind != IdentityKind::Person {
        return Vec::new();
    }
    let names = Names::of(evaluation, identity);
    let now = evaluation.inputs.now;
    let lets_in = |account: AccountIndex| {
        let mut credentials = evaluation.credentials_of(account).iter();
        evaluation.account(account).account.enabled || credentials.any(|found| found.credential.lets_in(now))
    };
    let accounts = evaluation.graph.uncorrelated_accounts().filter_map(|account| {
        let because = names.found_in(evaluation, account)?;
        let is_asked = lets_in(account) && !is_break_glass(evaluation, account);
        is_asked.then_some(Resemblance { account, because })
    });
    accounts.collect()
}

/// What an identity is called, in lower case.
struct Names {
    identity: IdentityIndex,
    whole: BTreeSet<String>,
    /// What stands before the `@` of one, which others elsewhere may be called, too.
    local: BTreeSet<String>,
}

impl Names {
    fn of(evaluation: &Evaluation<'_>, identity: IdentityIndex) -> Self {
        let known = &evaluation.identities[identity.index()];
        let is_of_other =
            |name: &str| evaluation.identity(&IdentityKey::from(name)).is_some_and(|other| other != identity);
        let told = known.attributes.iter().filter(|(name, _)| is_name(name)).map(|(_, value)| value.as_str());
        let told = told.filter(|value| is_mail(value) && !is_of_other(value.trim()));
        // A number may be anything somewhere else.
        let key = Some(known.key.as_str()).filter(|key| key.contains(char::is_alphabetic));
        let whole: BTreeSet<String> = told.chain(key).map(folded).collect();
        let local = whole.iter().filter_map(|name| Some(name.split_once('@')?.0.to_owned())).collect();
        Self { identity, whole, local }
    }

    /// What of an account is one of these.
    fn found_in(&self, evaluation: &Evaluation<'_>, account: AccountIndex) -> Option<String> {
        if let Correlation::Ambiguous { candidates, by } =
            &evaluation.correlation[evaluation.position_of(account) as usize]
            && candidates.contains(&self.identity.0)
        {
            return Some(format!(
                "rule `{by}` gives it to {} identities, of whom this is one",
                candidates.len()
            ));
        }
        let account = &evaluation.account(account).account;
        let named = account.attributes.iter().filter(|(name, _)| is_name(name));
        let named = named.map(|(name, value)| (name.as_str(), value.as_str()));
        let mut texts = std::iter::once(("login", account.login.as_str())).chain(named);
        if let Some((name, value)) = texts.find(|(_, value)| self.whole.contains(&folded(value))) {
            return Some(format!("its `{name}` is {value}"));
        }
        let is_local = self.local.contains(&folded(&account.login));
        is_local.then(|| format!("its login `{}` is what stands before the `@`", account.login))
    }
}

/// Whether an attribute says what somebody is called. Connectors name some in families, as `tag.email`.
fn is_name(attribute: &str) -> bool {
    let last = attribute.rsplit('.').next().unwrap_or_default();
    NAMES.iter().any(|name| name.eq_ignore_ascii_case(last))
}

fn is_mail(text: &str) -> bool {
    let text = text.trim();
    let is_one =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c == '@' || c == ',' || c.is_whitespace());
    text.split_once('@').is_some_and(|(local, domain)| is_one(local) && is_one(domain))
}

/// In lower case, a mail address without its `+tag`.
fn folded(text: &str) -> String {
    let text = text.trim().to_lowercase();
    match text.split_once('@') {
        Some((local, domain)) => format!("{}@{domain}", local.split('+').next().unwrap_or(local)),
        None => text,
    }
}
