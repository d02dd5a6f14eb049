//! The simulated systems as one shared, changing world: what stories do to it, and the truth that tests compare with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold_model::Timestamp;
use leasehold_model::account::{Account, Session};
use leasehold_model::clock::{Clock, SystemClock};
use leasehold_model::credential::Credential;
use leasehold_model::entitlement::DirectGrant;
use leasehold_model::id::{AccountKey, CredentialKey, EntitlementName, IdentityKey, SystemName};
use leasehold_model::identity::{Identity, LifecycleState};

use super::company::{Company, FEED};
use super::connector::SimulatedConnector;
use super::faults::{FaultKind, Faults, Operation, Struck};
use super::state::{SystemState, SystemTraits, WorldState};
use super::switch::Switch;
use crate::error::ConnectError;
use crate::settings::did_you_mean;

/// What is called when a crash is injected.
pub type CrashHook = Arc<dyn Fn() + Send + Sync>;

/// The simulated systems and their faults, shared by the connectors and the story that acts on them.
pub struct World {
    inner: Mutex<Inner>,
    path: Option<PathBuf>,
}

pub(super) struct Inner {
    pub(super) state: WorldState,
    pub(super) clock: Arc<dyn Clock>,
    faults: Faults,
    step: u64,
    struck: Vec<Struck>,
    pub(super) masks: Vec<Mask>,
    resurrections: Vec<Resurrection>,
    on_crash: Option<CrashHook>,
}

/// An old value that reads still show, because the target is only eventually consistent.
pub(super) struct Mask {
    pub(super) system: SystemName,
    pub(super) account: AccountKey,
    /// What it hides.
    pub(super) switch: Switch,
    /// What reads show: held, enabled, or usable.
    pub(super) shown: bool,
    pub(super) reads_left: u32,
    pub(super) until: Timestamp,
}

pub(super) struct Resurrection {
    pub(super) step: u64,
    pub(super) system: SystemName,
    pub(super) account: AccountKey,
    /// What flips back.
    pub(super) switch: Switch,
    pub(super) value: bool,
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("World").field("path", &self.path).finish_non_exhaustive()
    }
}

impl World {
    /// A world in memory.
    pub fn new(company: &Company) -> Arc<Self> {
        Self::of(company.state.clone())
    }

    /// A world in memory around any state, for stories that need a shape which no company has.
    pub fn of(state: WorldState) -> Arc<Self> {
        Arc::new(Self::around(state, None))
    }

    /// The world of a state file, which every change is saved to. Generates the company where there is no file yet.
    ///
    /// # Errors
    /// Where the file cannot be read or written, or is not a saved state.
    pub fn open(path: &Path, company: impl FnOnce() -> Company) -> std::io::Result<Arc<Self>> {
        let state = match WorldState::load(path)? {
            Some(state) => state,
            None => {
                let state = company().state;
                state.save(path)?;
                state
            }
        };
        Ok(Arc::new(Self::around(state, Some(path.to_owned()))))
    }

    fn around(state: WorldState, path: Option<PathBuf>) -> Self {
        let inner = Inner {
            state,
            clock: Arc::new(SystemClock::default()),
            faults: Faults::none(),
            step: 0,
            struck: Vec::new(),
            masks: Vec::new(),
            resurrections: Vec::new(),
            on_crash: None,
        };
        Self { inner: Mutex::new(inner), path }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A story that panics while it holds the lock has failed already; its other threads may still look.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connector to one system, or to the people feed `hr`.
    ///
    /// # Errors
    /// [`ConnectError::Setting`] where the world has no such system.
    pub fn connector(self: &Arc<Self>, system: &str) -> Result<SimulatedConnector, ConnectError> {
        let inner = self.lock();
        let known: Vec<&str> =
            std::iter::once(FEED).chain(inner.state.systems.keys().map(SystemName::as_str)).collect();
        let name = SystemName::new(system).ok().filter(|_| known.contains(&system));
        let name = name.ok_or_else(|| ConnectError::Setting {
            system: system.to_owned(),
            key: "system".to_owned(),
            message: format!("the company has no system `{system}`{}", did_you_mean(system, &known)),
        })?;
        drop(inner);
        Ok(SimulatedConnector::new(Arc::clone(self), name))
    }

    /// The names of the systems, the people feed not among them.
    pub fn systems(&self) -> Vec<SystemName> {
        self.lock().state.systems.keys().cloned().collect()
    }

    // --- faults and time ---

    /// Replaces the schedule and begins to count calls from 0.
    pub fn set_faults(&self, faults: Faults) {
        let mut inner = self.lock();
        inner.faults = faults;
        inner.step = 0;
        inner.struck.clear();
    }

    /// Replaces the system's traits, for example to take reading back away from it.
    ///
    /// # Errors
    /// Where there is no such system.
    pub fn set_traits(&self, system: &str, traits: SystemTraits) -> Result<(), ConnectError> {
        self.change(system, "setting traits", |state| {
            state.traits = traits;
            Ok(())
        })
    }

    /// What "now" is for changes that become visible later.
    pub fn set_clock(&self, clock: Arc<dyn Clock>) {
        self.lock().clock = clock;
    }

    /// What to call when a crash is injected; the call that crashed then returns an error for which
    /// [`is_injected_crash`] holds, and whoever made it must be dropped.
    pub fn on_crash(&self, hook: CrashHook) {
        self.lock().on_crash = Some(hook);
    }

    /// How many calls were made since the schedule was set.
    pub fn steps(&self) -> u64 {
        self.lock().step
    }

    /// The faults that struck since the schedule was set.
    pub fn struck(&self) -> Vec<Struck> {
        self.lock().struck.clone()
    }

    // --- what happens in the company, outside Leasehold ---

    /// Somebody gives access directly in the system.
    ///
    /// # Errors
    /// Where the system, account or entitlement does not exist, or the state cannot be saved.
    pub fn grant_out_of_band(
        &self,
        system: &str,
        account: &str,
        entitlement: &str,
    ) -> Result<(), ConnectError> {
        self.change(system, "granting out of band", |state| {
            let (account, entitlement) =
                (find_account(state, account)?, find_entitlement(state, entitlement)?);
            state.grant(&account, &entitlement);
            Ok(())
        })
    }

    /// Somebody takes access away directly in the system.
    ///
    /// # Errors
    /// Where the system, account or entitlement does not exist, or the state cannot be saved.
    pub fn remove_out_of_band(
        &self,
        system: &str,
        account: &str,
        entitlement: &str,
    ) -> Result<(), ConnectError> {
        self.change(system, "removing out of band", |state| {
            let (account, entitlement) =
                (find_account(state, account)?, find_entitlement(state, entitlement)?);
            state.revoke(&account, &entitlement);
            Ok(())
        })
    }

    /// Somebody logs in and stays.
    ///
    /// # Errors
    /// Where the system or account does not exist, or the state cannot be saved.
    pub fn log_in(&self, system: &str, account: &str) -> Result<(), ConnectError> {
        let now = self.lock().clock.now();
        self.change(system, "logging in", |state| {
            let account = find_account(state, account)?;
            let sessions = state.sessions.entry(account).or_default();
            sessions.push(Session {
                id: format!("session-{}", sessions.len() + 1),
                started_at: Some(now),
                detail: "interactive".to_owned(),
            });
            Ok(())
        })
    }

    /// Adds an account, as an administrator of that system would.
    ///
    /// # Errors
    /// Where the system does not exist, or the state cannot be saved.
    pub fn create_account(&self, system: &str, account: Account) -> Result<(), ConnectError> {
        self.change(system, "creating an account", |state| {
            state.accounts.insert(account.key.clone(), account);
            Ok(())
        })
    }

    /// Somebody leaves: the feed says so, and nothing else changes.
    ///
    /// # Errors
    /// Where the identity does not exist, or the state cannot be saved.
    pub fn leave(&self, identity: &str, at: Timestamp) -> Result<(), ConnectError> {
        self.change_identity(identity, |identity| {
            identity.state = LifecycleState::Left;
            identity.end = Some(at);
        })
    }

    /// Somebody changes job: the feed says so, and nothing else changes.
    ///
    /// # Errors
    /// Where the identity does not exist, or the state cannot be saved.
    pub fn mover(&self, identity: &str, department: &str, title: &str) -> Result<(), ConnectError> {
        self.change_identity(identity, |identity| {
            identity.attributes.insert("department".to_owned(), department.to_owned());
            identity.attributes.insert("title".to_owned(), title.to_owned());
        })
    }

    /// Somebody joins, or an entry of the feed is replaced. Accounts are not made by this.
    ///
    /// # Errors
    /// Where the state cannot be saved.
    pub fn join(&self, identity: Identity) -> Result<(), ConnectError> {
        let mut inner = self.lock();
        inner.state.people.insert(identity.key.clone(), identity);
        self.save(&inner, FEED)
    }

    // --- the truth ---

    /// Whether the account really holds the entitlement: directly, and on any path. Nothing that does not exist
    /// holds anything.
    pub fn holds(&self, system: &str, account: &str, entitlement: &str) -> (bool, bool) {
        self.with_system(system, |state| {
            let (Ok(account), Ok(entitlement)) =
                (find_account(state, account), find_entitlement(state, entitlement))
            else {
                return (false, false);
            };
            (state.holds_directly(&account, &entitlement), state.effective(&account).contains(&entitlement))
        })
        .unwrap_or_default()
    }

    /// Every direct grant of a system.
    pub fn grants(&self, system: &str) -> Vec<DirectGrant> {
        self.with_system(system, |state| {
            state.grants.values().flat_map(|held| held.values().cloned()).collect()
        })
        .unwrap_or_default()
    }

    /// Everything that the account holds on any path.
    pub fn effective(&self, system: &str, account: &str) -> BTreeSet<EntitlementName> {
        self.with_system(system, |state| {
            find_account(state, account).map(|account| state.effective(&account)).unwrap_or_default()
        })
        .unwrap_or_default()
    }

    /// An account as it really is.
    pub fn account(&self, system: &str, account: &str) -> Option<Account> {
        self.with_system(system, |state| {
            find_account(state, account).ok().and_then(|key| state.accounts.get(&key).cloned())
        })
        .flatten()
    }

    /// A credential as it really is.
    pub fn credential(&self, system: &str, credential: &CredentialKey) -> Option<Credential> {
        self.with_system(system, |state| state.credentials.get(credential).cloned()).flatten()
    }

    /// Somebody makes a credential, as the system lets them.
    ///
    /// # Errors
    /// Where the system or account does not exist, or the state cannot be saved.
    pub fn create_credential(&self, system: &str, credential: Credential) -> Result<(), ConnectError> {
        self.change(system, "creating a credential", |state| {
            find_account(state, credential.account.as_str())?;
            state.credentials.insert(credential.key.clone(), credential);
            Ok(())
        })
    }

    /// The live sessions of an account.
    pub fn sessions(&self, system: &str, account: &str) -> Vec<Session> {
        self.with_system(system, |state| {
            find_account(state, account)
                .ok()
                .and_then(|key| state.sessions.get(&key).cloned())
                .unwrap_or_default()
        })
        .unwrap_or_default()
    }

    /// Everything, as it really is.
    pub fn snapshot(&self) -> WorldState {
        self.lock().state.clone()
    }

    // --- for the connectors ---

    /// Counts a call, lets what is due come back to life, and says which fault strikes.
    pub(super) fn begin(&self, inner: &mut Inner, operation: Operation) -> (u64, Option<FaultKind>) {
        let step = inner.step;
        inner.step += 1;
        let due: Vec<Resurrection> = inner.resurrections.extract_if(.., |due| due.step <= step).collect();
        for resurrection in due {
            let Some(system) = inner.state.systems.get_mut(&resurrection.system) else { continue };
            resurrection.switch.set(system, &resurrection.account, resurrection.value);
        }
        let kind = inner.faults.strike(step, operation);
        if let Some(kind) = kind {
            inner.struck.push(Struck { step, operation, kind });
        }
        (step, kind)
    }

    pub(super) fn resurrect_later(&self, inner: &mut Inner, resurrection: Resurrection) {
        inner.resurrections.push(resurrection);
    }

    pub(super) fn crash_hook(inner: &Inner) -> Option<CrashHook> {
        inner.on_crash.clone()
    }

    pub(super) fn save(&self, inner: &Inner, system: &str) -> Result<(), ConnectError> {
        let Some(path) = &self.path else { return Ok(()) };
        inner.state.save(path).map_err(|error| ConnectError::Target {
            system: system.to_owned(),
            operation: "saving the simulated state".to_owned(),
            message: format!("{}: {error}; check that the folder exists and can be written", path.display()),
        })
    }

    fn with_system<T>(&self, system: &str, look: impl FnOnce(&SystemState) -> T) -> Option<T> {
        let name = SystemName::new(system).ok()?;
        self.lock().state.systems.get(&name).map(look)
    }

    fn change(
        &self,
        system: &str,
        operation: &str,
        change: impl FnOnce(&mut SystemState) -> Result<(), String>,
    ) -> Result<(), ConnectError> {
        let failed = |message: String| ConnectError::Target {
            system: system.to_owned(),
            operation: operation.to_owned(),
            message,
        };
        let mut inner = self.lock();
        let name = SystemName::new(system).map_err(|error| failed(error.to_string()))?;
        let state = inner
            .state
            .systems
            .get_mut(&name)
            .ok_or_else(|| failed("the company has no such system".to_owned()))?;
        change(state).map_err(failed)?;
        self.save(&inner, system)
    }

    fn change_identity(&self, key: &str, change: impl FnOnce(&mut Identity)) -> Result<(), ConnectError> {
        let mut inner = self.lock();
        let identity =
            inner.state.people.get_mut(&IdentityKey::from(key)).ok_or_else(|| ConnectError::Target {
                system: FEED.to_owned(),
                operation: "changing an identity".to_owned(),
                message: format!("the feed has no `{key}`"),
            })?;
        change(identity);
        self.save(&inner, FEED)
    }
}

fn find_account(state: &SystemState, name: &str) -> Result<AccountKey, String> {
    let key = AccountKey::from(name);
    if state.accounts.contains_key(&key) {
        return Ok(key);
    }
    let by_login = state.accounts.values().find(|account| account.login == name);
    by_login.map(|account| account.key.clone()).ok_or_else(|| format!("there is no account `{name}`"))
}

fn find_entitlement(state: &SystemState, name: &str) -> Result<EntitlementName, String> {
    let entitlement: EntitlementName = name.parse().map_err(|_| format!("`{name}` is not `kind/name`"))?;
    let known = state.entitlements.contains_key(&entitlement);
    known.then_some(entitlement).ok_or_else(|| format!("there is no entitlement `{name}`"))
}
