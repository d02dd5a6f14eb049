//! What is done about one drift item, or why nothing is.

use leasehold_model::credential::{CredentialKind, CredentialName};
use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::identity::{Identity, LifecycleState};
use leasehold_model::plan::Verb;

use super::{Planner, Scope, words};
use crate::engine::AccountIndex;

/// The kinds of drift that a plan may close without a person's word on each: everything else is left alone, with why.
pub const CLOSED_BY_PLANS: [DriftKind; 4] =
    [DriftKind::Leaver, DriftKind::Expired, DriftKind::Unjustified, DriftKind::Missing];

impl Planner<'_, '_> {
    pub(super) fn consider(&mut self, item: &DriftItem, scope: &Scope) {
        let settings = self.evaluation.inputs.systems.get(&item.system);
        if settings.is_some_and(|settings| settings.report_only.contains(&item.kind)) {
            return self.leave(item, "this system is set to `report` for this kind of drift");
        }
        let account = item
            .account
            .as_ref()
            .and_then(|key| self.accounts.get(&(item.system.clone(), key.clone())))
            .copied();
        if let Some(words) = account.and_then(|account| self.untouchable.get(&account)).cloned() {
            return self.leave(item, words);
        }
        match (item.kind, account, &item.credential) {
            (DriftKind::Leaver | DriftKind::Unjustified, Some(account), Some(credential)) => {
                return self.consider_credential(item, account, credential);
            }
            (DriftKind::Expired, Some(account), Some(credential)) => {
                return self.consider_replaced(item, account, credential);
            }
            (DriftKind::Missing, Some(account), Some(credential)) => {
                let to = item.because.iter().find_map(|because| match because {
                    Because::HandedOver { to } => Some(to),
                    _ => None,
                });
                return match to {
                    Some(to) => self.consider_handing_over(item, account, credential, to),
                    None => self.consider_bringing_back(item, account, credential),
                };
            }
            (DriftKind::Missing, Some(account), None) if item.entitlement.is_none() => {
                return self.consider_opening(item, account);
            }
            _ => {}
        }
        match (item.kind, account, &item.entitlement) {
            (DriftKind::Unjustified | DriftKind::Expired | DriftKind::Leaver, Some(account), Some(_)) => {
                self.consider_revoke(item, account);
            }
            (DriftKind::Leaver | DriftKind::Unjustified, Some(account), None) => {
                self.consider_disable(item, account);
            }
            (DriftKind::Missing, _, _) => self.consider_grant(item, account),
            (DriftKind::RemovedOutOfBand, _, _) if scope.restore => self.consider_grant(item, account),
            (DriftKind::RemovedOutOfBand, _, _) => {
                let identity = item.identity.as_ref().map(ToString::to_string).unwrap_or_default();
                let why = format!(
                    "somebody removed it on purpose or by mistake: {}; if it is to return, `leasehold plan --identity \
                     {identity} --restore`; if not, change what justifies it",
                    words(&item.because).join("; ")
                );
                self.leave(item, why);
            }
            (DriftKind::Toxic, _, _) => {
                self.leave(item, "a person chooses which side ends, by changing the policy or the roles")
            }
            (DriftKind::Orphan, _, _)
                if item.because.iter().any(|because| matches!(because, Because::Ambiguous { .. })) =>
            {
                let why = format!(
                    "{}; say whose it is with `[correlate.\"{}:{}\"]`",
                    words(&item.because).join(", "),
                    item.system,
                    item.login.as_deref().unwrap_or_default()
                );
                self.leave(item, why);
            }
            (DriftKind::Orphan, _, _) => {
                let login = item.login.as_deref().unwrap_or_default();
                let why = format!(
                    "no identity matches this account; say whose it is with `[correlate.\"{0}:{login}\"]`, or declare a non-human with `[identity.…] accounts = [\"{0}:{login}\"]`",
                    item.system
                );
                self.leave(item, why);
            }
            (DriftKind::Ownerless, _, _) => {
                self.leave(item, "somebody must take it over, or declare it finished")
            }
            (DriftKind::Dormant, _, _) => {
                self.leave(item, "disuse alone ends nothing; end its reason, or disable it by hand")
            }
            (DriftKind::StaleCredential, _, _) if item.credential.is_some() => self.leave(
                item,
                "whoever answers for the account replaces it; ending it now would stop what uses it",
            ),
            (DriftKind::StaleCredential, _, _) => self.leave(item, "the credential's holder must replace it"),
            (DriftKind::Posture, _, _) => {
                self.leave(item, "an administrator of the system must mend it there")
            }
            (
                DriftKind::UnknownSystem | DriftKind::Unjustified | DriftKind::Expired | DriftKind::Leaver,
                _,
                _,
            ) => {
                self.leave(item, "nothing that a connector could change");
            }
        }
    }

    fn consider_revoke(&mut self, item: &DriftItem, account: AccountIndex) {
        if let Some(why) = self.unproved_by(item) {
            return self.leave(item, why);
        }
        let evaluation = self.evaluation;
        let identity =
            evaluation.graph.identity_of(account).map(|identity| &evaluation.identities[identity.index()]);
        let is_suspended = |identity: &Identity| {
            identity.state == LifecycleState::Suspended && !identity.has_left(evaluation.inputs.now)
        };
        if identity.is_some_and(is_suspended) {
            let observed = &evaluation.account(account).account;
            if observed.enabled && self.abilities(&item.system).disable_account {
                self.disables.entry(account).or_insert_with(|| words(&item.because));
            }
            return self.leave(item, "the identity is suspended: its log-ins are stopped, its grants are kept until it returns or leaves");
        }
        let address = leasehold_model::id::EntitlementAddress {
            system: item.system.clone(),
            entitlement: item
                .entitlement
                .clone()
                .unwrap_or_else(|| leasehold_model::id::EntitlementName::new("", "")),
        };
        let Some(entitlement) = evaluation.entitlement(&address) else {
            return self.leave(item, "the entitlement is gone");
        };
        if let Some(why) =
            evaluation.observed_entitlement(entitlement).and_then(|observed| observed.irrevocable.clone())
        {
            return self.leave(item, format!("the connector cannot take it away: {why}"));
        }
        let live = identity.is_some_and(|identity| identity.may_hold_access(evaluation.inputs.now));
        if let Some(why) = self.undecided_by.get(&entitlement).filter(|_| live).cloned() {
            return self.leave(item, why);
        }
        if !self.abilities(&item.system).revoke {
            return self.leave(item, "the connector of this system cannot revoke; a person must do it there");
        }
        self.revokes.entry(account).or_default().insert(entitlement, words(&item.because));
    }

    /// A credential of somebody who may hold no access. It ends where its holder has left, and is stopped where they may
    /// come back. Work that runs by itself is stopped in either case where that can be, and kept for a time: others may wait for
    /// what it does.
    fn consider_credential(&mut self, item: &DriftItem, account: AccountIndex, credential: &CredentialName) {
        let evaluation = self.evaluation;
        let identity =
            evaluation.graph.identity_of(account).map(|identity| &evaluation.identities[identity.index()]);
        // Somebody who is here and has no reason to be in this system now: what is stopped comes back with the reason.
        let is_here = identity.is_some_and(|identity| identity.may_hold_access(evaluation.inputs.now));
        let is_to_come = identity.is_some_and(|identity| {
            identity.state != LifecycleState::Suspended && !identity.has_left(evaluation.inputs.now)
        });
        if is_to_come && !is_here {
            return self.leave(item, "its holder's access has not begun; nothing would bring it back then");
        }
        if let Some(why) = self.unproved_by(item) {
            return self.leave(item, why);
        }
        let can = self.abilities(&item.system);
        let has_left = item.kind == DriftKind::Leaver;
        let is_over = item.because.iter().any(|because| matches!(because, Because::RetentionPassed { .. }));
        let is_kept = credential.kind == CredentialKind::ScheduledJob && !is_over;
        let verb = match (can.revoke_credential, can.disable_credential) {
            (true, can_stop) if has_left && !(is_kept && can_stop) => Verb::RevokeCredential,
            (false, true) if is_over => {
                let why = format!(
                    "the connector of this system stops {credential} and cannot remove it; a person must do it there"
                );
                return self.leave(item, why);
            }
            (_, true) => Verb::DisableCredential,
            (true, false) => {
                let why = format!(
                    "{credential} cannot be stopped so that it comes back, and its holder has not left: a person ends it"
                );
                return self.leave(item, why);
            }
            (false, false) => {
                let why = format!(
                    "the connector of this system cannot end {credential}; a person must do it there"
                );
                return self.leave(item, why);
            }
        };
        self.credentials.insert((account, credential.clone()), (verb, words(&item.because)));
    }

    /// A credential that another one has replaced.
    fn consider_replaced(&mut self, item: &DriftItem, account: AccountIndex, credential: &CredentialName) {
        if let Some(why) = self.unproved_by(item) {
            return self.leave(item, why);
        }
        if !self.abilities(&item.system).revoke_credential {
            return self.leave(
                item,
                format!("the connector of this system cannot end {credential}; a person must do it there"),
            );
        }
        let because = words(&item.because);
        self.credentials.insert((account, credential.clone()), (Verb::RevokeCredential, because));
    }

    fn consider_disable(&mut self, item: &DriftItem, account: AccountIndex) {
        let evaluation = self.evaluation;
        let identity = evaluation.graph.identity_of(account);
        let to_come = identity.map(|identity| &evaluation.identities[identity.index()]).filter(|identity| {
            identity.state != LifecycleState::Suspended
                && !identity.has_left(evaluation.inputs.now)
                && !identity.may_hold_access(evaluation.inputs.now)
        });
        if let Some(identity) = to_come {
            let when = identity.start.map_or_else(|| "later".to_owned(), |start| format!("on {start}"));
            return self.leave(
                item,
                format!("the access of {} begins {when}; nothing would open the account again, so a person closes it until then", identity.key),
            );
        }
        if let Some(why) = self.unproved_by(item) {
            return self.leave(item, why);
        }
        if item.because.iter().any(|because| matches!(because, Because::RetentionPassed { .. })) {
            match self.abilities(&item.system).delete_account {
                true => {
                    self.deletes.insert(account, words(&item.because));
                }
                false => self.leave(
                    item,
                    "the connector of this system cannot delete accounts; a person must do it there",
                ),
            }
            if !evaluation.account(account).account.enabled {
                return;
            }
        }
        if !self.abilities(&item.system).disable_account {
            return self.leave(
                item,
                "the connector of this system cannot disable accounts; a person must do it there",
            );
        }
        self.disables.insert(account, words(&item.because));
    }

    fn consider_grant(&mut self, item: &DriftItem, account: Option<AccountIndex>) {
        let evaluation = self.evaluation;
        let Some(account) = account else { return self.consider_new_account(item) };
        if !evaluation.account(account).account.takes_credentials() && !self.is_closed_by_us(account) {
            return self
                .leave(item, "the identity's account in this system is disabled, and not by Leasehold");
        }
        if !self.abilities(&item.system).grant {
            return self.leave(item, "the connector of this system cannot grant; a person must do it there");
        }
        match self.observed(item) {
            Some(entitlement) => {
                self.grants.insert((account, entitlement), words(&item.because));
            }
            None => self.leave(item, "the system has no such entitlement; make it there, or mend the policy"),
        }
    }
}
