//! A credential for an account of the practice company.

use leasehold_model::credential::CredentialKind;
use leasehold_model::id::CredentialKey;
use leasehold_model::request::{CredentialTarget, IssueRequest, Issued};

use super::change::find;
use super::connector::SimulatedConnector;
use super::faults::{FaultKind, Operation};
use super::world::World;
use crate::connector::not_issued;
use crate::error::ConnectError;
use crate::issue;

impl SimulatedConnector {
    /// Nothing can be logged in to here, so the secret is one in form only.
    pub(super) fn issue(&self, request: &IssueRequest) -> Result<Issued, ConnectError> {
        let (system, login) = (self.system.as_str(), request.account.login.as_str());
        let operation = format!("issuing a credential for {login}");
        let refused = |why: &str| Err(issue::refused(system, login, why));
        if self.is_feed() || !self.traits().credentials {
            return Err(not_issued(request));
        }
        let secret = issue::new_password(system)?;
        let (fault, hook, issued) = {
            let mut inner = self.world.lock();
            let (_, fault) = self.world.begin(&mut inner, Operation::Execute);
            match fault {
                Some(FaultKind::Refused) => {
                    return refused("the target's own rule forbids this; ask its owner");
                }
                Some(FaultKind::RateLimited { after_ms }) => {
                    return Err(self.failed(&operation, format!("answered 429; ask again in {after_ms} ms")));
                }
                _ => {}
            }
            let now = inner.clock.now();
            let state = inner.state.systems.get_mut(&self.system).ok_or_else(|| self.gone())?;
            let found =
                find(state, &[], &request.account).map_err(|why| issue::refused(system, login, why))?;
            let Some(account) = found.and_then(|key| state.accounts.get(&key)) else {
                return refused("there is no such account");
            };
            if !account.takes_credentials() {
                return refused(issue::IS_DISABLED);
            }
            let key = account.key.clone();
            // A target that lies tells of a credential that it never made.
            let issued = match fault {
                Some(FaultKind::TimeoutBefore | FaultKind::CrashBeforeSend | FaultKind::Unreachable) => None,
                Some(FaultKind::LyingSuccess) => Some(CredentialKey::from("issued-never")),
                _ => Some(state.issue_credential(&key, now)),
            };
            self.world.save(&inner, system)?;
            (fault, World::crash_hook(&inner), issued)
        };
        if let Some(error) = fault.and_then(|kind| self.failure(kind, &operation, hook)) {
            return Err(error);
        }
        let key = issued.ok_or_else(|| self.failed(&operation, "the target did not answer"))?;
        let kind = CredentialKind::ApiKey;
        let instructions = format!("The API key {key} of `{login}` in the simulated system {system}.");
        Ok(Issued { credential: Some(CredentialTarget { key, kind }), kind, secret, instructions })
    }
}
