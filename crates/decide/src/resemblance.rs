//! Accounts of nobody that look like somebody's. Nobody is guessed, so that is a question; but when somebody leaves, it has to be asked.

use std::collections::BTreeSet;

use crate::correlate::Correlation;
use crate::engine::{AccountIndex, IdentityIndex};
use crate::evaluate::Evaluation;
use crate::rules::is_break_glass;

/// An account of nobody, and what makes it look like the identity's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resemblance {
    /// The account.
    pub account: AccountIndex,
    /// What was compared, in words.
    pub because: String,
}

/// Accounts of nobody that one rule gives to this identity and others, that have its key or one of its mail addresses as their
/// login or an attribute, or whose login is the part of one of these before the `@`.
pub fn resembling(evaluation: &Evaluation<'_>, identity: IdentityIndex) -> Vec<Resemblance> {
    let names = Names::of(evaluation, identity);
    let accounts = evaluation.graph.uncorrelated_accounts();
    let open = accounts.filter(|account| !is_break_glass(evaluation, *account));
    open.filter_map(|account| Some(Resemblance { account, because: names.found_in(evaluation, account)? }))
        .collect()
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
        let mails = known.attributes.values().map(String::as_str).filter(|value| is_mail(value));
        // A number may be anything somewhere else.
        let key = Some(known.key.as_str()).filter(|key| key.contains(char::is_alphabetic));
        let whole: BTreeSet<String> = mails.chain(key).map(folded).collect();
        let local = whole.iter().filter_map(|name| Some(name.split_once('@')?.0.to_owned())).collect();
        Self { identity, whole, local }
    }

    /// What of an account is one of these.
    fn found_in(&self, evaluation: &Evaluation<'_>, account: AccountIndex) -> Option<String> {
        if let Correlation::Ambiguous { candidates, by } =
            &evaluation.correlation[evaluation.position_of(account) as usize]
        {
            let is_one = candidates.contains(&self.identity.0);
            return is_one
                .then(|| format!("rule `{by}` matches {} identities, and this is one", candidates.len()));
        }
        let account = &evaluation.account(account).account;
        let attributes = account.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut texts = std::iter::once(("login", account.login.as_str())).chain(attributes);
        if let Some((name, value)) = texts.find(|(_, value)| self.whole.contains(&folded(value))) {
            return Some(format!("its `{name}` is {value}"));
        }
        let is_local = self.local.contains(&folded(&account.login));
        is_local.then(|| format!("its login `{}` is what stands before the `@`", account.login))
    }
}

fn is_mail(text: &str) -> bool {
    text.trim().split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

/// In lower case, a mail address without its `+tag`.
fn folded(text: &str) -> String {
    let text = text.trim().to_lowercase();
    match text.split_once('@') {
        Some((local, domain)) => format!("{}@{domain}", local.split('+').next().unwrap_or(local)),
        None => text,
    }
}
