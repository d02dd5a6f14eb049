//! What lets somebody in: an account where they have none, and the account or credential that an action of ours closed
//! while they were away.

use std::collections::{BTreeMap, HashMap};

use leasehold_model::credential::CredentialName;
use leasehold_model::decision::DriftItem;
use leasehold_model::id::{AccountKey, ActionId, EntitlementAddress, SystemName};
use leasehold_model::plan::{PlanItem, Verb};

use super::{Planner, words};
use crate::engine::{AccountIndex, EntitlementIndex, IdentityIndex};
use crate::evaluate::Inputs;
use crate::policy::AccountAddress;

/// What of an identity a new account is made with, where it is known.
const ATTRIBUTES: [&str; 8] = [
    "email",
    "employee_number",
    "given_name",
    "family_name",
    "display_name",
    "title",
    "department",
    "location",
];

/// An account that is made.
pub(super) struct NewAccount {
    login: String,
    because: Vec<String>,
    /// What it is given, with why.
    grants: BTreeMap<EntitlementIndex, Vec<String>>,
}

/// Logins that are there, folded, by system.
pub(super) type Logins = HashMap<SystemName, HashMap<String, AccountIndex>>;

impl Planner<'_, '_> {
    /// Somebody has a reason to hold something and no account to hold it by.
    pub(super) fn consider_new_account(&mut self, item: &DriftItem) {
        let evaluation = self.evaluation;
        let Some(identity) = item.identity.as_ref().and_then(|key| evaluation.identity(key)) else {
            return self.leave(item, "the identity is gone");
        };
        let rule = evaluation.inputs.systems.get(&item.system).and_then(|set| set.new_account_login.as_ref());
        let Some(rule) = rule else {
            let why = "the identity has no account in this system; make it there, or let Leasehold do so with \
                       `new_account_login` in leasehold.toml";
            return self.leave(item, why);
        };
        let can = self.abilities(&item.system);
        if !can.create_account || !can.grant {
            return self.leave(
                item,
                "the identity has no account, and the connector of this system cannot make one; a person must do it there",
            );
        }
        if let Some(why) = self.unproved.get(&item.system).cloned() {
            // Somebody's account may be in what was not read.
            return self.leave(item, why);
        }
        let who = &evaluation.identities[identity.index()];
        let Some(login) = rule.login_of(who) else {
            return self.leave(item, format!("{} has no `{}` to make a login from", who.key, rule.text()));
        };
        if let Some(why) = self.taken(&item.system, &login, identity) {
            return self.leave(item, why);
        }
        if !self.would_be_theirs(&item.system, &login, identity) {
            let why = format!(
                "a new account {login} would be nobody's: no rule of `correlate` gives it to {}; make `correlate` and \
                 `new_account_login` of {} agree, or say whose it is with `[correlate.\"{}:{login}\"]`",
                who.key, item.system, item.system
            );
            return self.leave(item, why);
        }
        let Some(entitlement) = self.observed(item) else {
            return self.leave(item, "the system has no such entitlement; make it there, or mend the policy");
        };
        let made = self.new_accounts.entry((item.system.clone(), identity)).or_insert_with(|| NewAccount {
            login,
            because: vec![format!("{} has a reason for access here and no account", who.key)],
            grants: BTreeMap::new(),
        });
        made.grants.insert(entitlement, words(&item.because));
    }

    /// Whether a new account would be found to be this identity's when it is read, as far as its login tells.
    fn would_be_theirs(&self, system: &SystemName, login: &str, identity: IdentityIndex) -> bool {
        let Inputs { policy, systems, .. } = self.evaluation.inputs;
        let who = &self.evaluation.identities[identity.index()];
        let address = AccountAddress { system: system.clone(), login: login.to_owned() };
        let is_said = policy.correlations.get(&address).is_some_and(|key| key.folded() == who.key.folded())
            || policy.identities.iter().any(|said| said.key == who.key && said.accounts.contains(&address));
        let rules = systems.get(system).map(|settings| &settings.correlate);
        is_said || rules.into_iter().flatten().any(|rule| rule.gives_new(login, who) != Some(false))
    }

    /// Why a login cannot be given to this identity; `None` where it can.
    fn taken(&mut self, system: &SystemName, login: &str, identity: IdentityIndex) -> Option<String> {
        let folded = login.to_lowercase();
        let evaluation = self.evaluation;
        if let Some(account) = self.logins.get(system).and_then(|logins| logins.get(&folded)) {
            let whose = match evaluation.graph.identity_of(*account) {
                Some(other) => format!("an account of {}", evaluation.identities[other.index()].key),
                None => "an account of nobody".to_owned(),
            };
            return Some(format!(
                "the login {login} is taken by {whose}; say whose it is with `[correlate.\"{system}:{login}\"]`, or make another \
                 account there"
            ));
        }
        let other = self.new_accounts.iter().find(|((of, other), made)| {
            of == system && *other != identity && made.login.to_lowercase() == folded
        });
        other.map(|((_, other), _)| {
            let other = &evaluation.identities[other.index()].key;
            format!("{other} would get the login {login}, too; make one of the two accounts there")
        })
    }

    /// The entitlement of an item, where the system shows it.
    pub(super) fn observed(&self, item: &DriftItem) -> Option<EntitlementIndex> {
        let entitlement = item.entitlement.clone()?;
        let found =
            self.evaluation.entitlement(&EntitlementAddress { system: item.system.clone(), entitlement })?;
        self.evaluation.observed_entitlement(found).map(|_| found)
    }

    /// Whether an action of ours closed the account, and nobody has opened it since.
    pub(super) fn is_closed_by_us(&self, account: AccountIndex) -> bool {
        let snapshot = self.evaluation.inputs.snapshot;
        snapshot.closed.contains_key(&self.evaluation.position_of(account))
    }

    /// An account that we closed, whose holder is here again.
    pub(super) fn consider_opening(&mut self, item: &DriftItem, account: AccountIndex) {
        if !self.abilities(&item.system).enable_account {
            return self.leave(
                item,
                "the connector of this system cannot open accounts again; a person must do it there",
            );
        }
        self.enables.insert(account, words(&item.because));
    }

    /// A credential that we stopped, whose holder is here again.
    pub(super) fn consider_bringing_back(
        &mut self,
        item: &DriftItem,
        account: AccountIndex,
        credential: &CredentialName,
    ) {
        if !self.abilities(&item.system).disable_credential {
            return self.leave(
                item,
                format!(
                    "the connector of this system cannot bring {credential} back; a person must do it there"
                ),
            );
        }
        let because = words(&item.because);
        self.credentials.insert((account, credential.clone()), (Verb::EnableCredential, because));
    }

    /// The actions that make accounts and give them what they are made for.
    pub(super) fn joining(&self) -> Vec<PlanItem> {
        let evaluation = self.evaluation;
        let mut items = Vec::new();
        for ((system, identity), made) in &self.new_accounts {
            let who = &evaluation.identities[identity.index()];
            let known = |name: &&str| Some(((*name).to_owned(), who.attribute(name)?.to_owned()));
            let create = PlanItem {
                id: ActionId(String::new()),
                verb: Verb::CreateAccount,
                system: system.clone(),
                account: made.login.clone(),
                account_key: AccountKey(String::new()),
                identity: Some(who.key.clone()),
                entitlement: None,
                entitlement_native: None,
                privileged: false,
                credential: None,
                to: None,
                attributes: ATTRIBUTES.iter().filter_map(known).collect(),
                because: made.because.clone(),
                also_loses: Vec::new(),
                must_end: Vec::new(),
                after: Vec::new(),
            };
            for (entitlement, because) in &made.grants {
                let observed = evaluation.observed_entitlement(*entitlement);
                items.push(PlanItem {
                    verb: Verb::Grant,
                    entitlement: Some(evaluation.entitlement_name(*entitlement).clone()),
                    entitlement_native: observed.and_then(|observed| observed.native.clone()),
                    privileged: observed.is_some_and(|observed| observed.privileged),
                    attributes: BTreeMap::new(),
                    because: because.clone(),
                    ..create.clone()
                });
            }
            items.push(create);
        }
        items
    }
}
