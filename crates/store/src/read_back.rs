//! What a read-back saw, recorded as an epoch of its own: it ends and begins intervals, and outranks an enumeration
//! that was running meanwhile.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::account::Account;
use leasehold_model::credential::Credential;
use leasehold_model::event::EventKind;
use leasehold_model::id::{AccountKey, ActionId, CredentialKey, EntitlementName, SystemName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::db::{Tx, execute, fetch_one, fetch_optional, from_json, micros, stored, to_json};
use crate::dictionary::{Class, Digest};
use crate::error::{Result, StoreError};
use crate::finish::end_states;
use crate::ledger::Event;

/// One thing that a read-back saw. What the store never heard of before changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // The fields are the same throughout: where, who, what.
pub enum ObservedEffect {
    /// The account does not hold the entitlement directly.
    GrantAbsent { system: SystemName, account: AccountKey, entitlement: EntitlementName },
    /// The account holds the entitlement directly.
    GrantPresent { system: SystemName, account: AccountKey, entitlement: EntitlementName },
    /// The account's log-ins are stopped.
    AccountDisabled { system: SystemName, account: AccountKey },
    /// The account can log in.
    AccountEnabled { system: SystemName, account: AccountKey },
    /// The account is not there, so it holds nothing.
    AccountAbsent { system: SystemName, account: AccountKey },
    /// The credential is there, and whether it can be used.
    CredentialPresent { system: SystemName, account: AccountKey, credential: CredentialKey, active: bool },
    /// The credential is not there.
    CredentialAbsent { system: SystemName, account: AccountKey, credential: CredentialKey },
}

/// What an effect is about, beside the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum About<'a> {
    Account,
    Credential(&'a CredentialKey),
    Entitlement(&'a EntitlementName),
}

impl ObservedEffect {
    fn parts(&self) -> (&SystemName, &AccountKey, About<'_>, &'static str) {
        match self {
            Self::GrantAbsent { system, account, entitlement } => {
                (system, account, About::Entitlement(entitlement), "grant_absent")
            }
            Self::GrantPresent { system, account, entitlement } => {
                (system, account, About::Entitlement(entitlement), "grant_present")
            }
            Self::AccountDisabled { system, account } => {
                (system, account, About::Account, "account_disabled")
            }
            Self::AccountEnabled { system, account } => (system, account, About::Account, "account_enabled"),
            Self::AccountAbsent { system, account } => (system, account, About::Account, "account_absent"),
            Self::CredentialPresent { system, account, credential, active: true } => {
                (system, account, About::Credential(credential), "credential_active")
            }
            Self::CredentialPresent { system, account, credential, active: false } => {
                (system, account, About::Credential(credential), "credential_stopped")
            }
            Self::CredentialAbsent { system, account, credential } => {
                (system, account, About::Credential(credential), "credential_absent")
            }
        }
    }
}

/// The fresh epoch of a read-back in one system.
struct ReadBackEpoch<'a> {
    epoch: i64,
    system: i64,
    /// The action that ended what is gone; `None` where it went without us.
    ended_by: Option<&'a ActionId>,
}

/// Records what was seen, one epoch for each system, and gives the entries for the ledger.
pub(crate) async fn apply(
    tx: &mut Tx,
    action: &ActionId,
    ended_by_us: bool,
    observed: &[ObservedEffect],
    at: Timestamp,
) -> Result<Vec<Event>> {
    // What was seen last of one thing is what counts; accounts come before their grants.
    let mut systems: BTreeMap<&SystemName, BTreeMap<_, &ObservedEffect>> = BTreeMap::new();
    for effect in observed {
        let (system, account, about, _) = effect.parts();
        systems.entry(system).or_default().insert((about, account), effect);
    }
    let mut events = Vec::new();
    for (name, effects) in systems {
        let row = fetch_optional!(tx, (i64,), "SELECT id FROM system WHERE name = $1", name.as_str())?;
        let (system,) = row.ok_or_else(|| StoreError::UnknownSystem { system: name.clone() })?;
        let (epoch,) = fetch_one!(tx, (i64,), "UPDATE head SET epoch = epoch + 1 RETURNING epoch")?;
        let read_back = ReadBackEpoch { epoch, system, ended_by: ended_by_us.then_some(action) };
        let mut changed = false;
        for effect in effects.values() {
            changed |= read_back.apply(tx, effect).await?;
        }
        execute!(
            tx,
            "INSERT INTO epoch (id, system, kind, started_at, ended_at, begun_after, completeness, detail, facts,
                                problems, changed)
             VALUES ($1, $2, 'read_back', $3, $3, $4, 'partial', $5, $6, 0, $7)",
            epoch,
            system,
            micros(at),
            epoch - 1,
            format!("read back for action {action}"),
            stored(effects.len() as u64),
            i64::from(changed)
        )?;
        if changed {
            execute!(tx, "UPDATE system SET generation = $1 WHERE id = $2", epoch, system)?;
        }
        events.push(event(action, name, epoch, changed, effects.values().copied()));
    }
    Ok(events)
}

fn event<'a>(
    action: &ActionId,
    system: &SystemName,
    epoch: i64,
    changed: bool,
    effects: impl Iterator<Item = &'a ObservedEffect>,
) -> Event {
    let mut personal = BTreeMap::new();
    let mut kinds = Vec::new();
    for (position, effect) in effects.enumerate() {
        let (_, account, about, kind) = effect.parts();
        kinds.push(kind);
        personal.insert(format!("account_key.{position}"), account.to_string());
        match about {
            About::Account => {}
            About::Credential(key) => {
                personal.insert(format!("credential.{position}"), key.to_string());
            }
            About::Entitlement(name) => {
                personal.insert(format!("entitlement.{position}"), name.to_string());
            }
        }
    }
    Event {
        kind: EventKind::ReadBack,
        subject: action.to_string(),
        body: json!({
            "action": action,
            "system": system,
            "epoch": epoch,
            "changed": changed,
            "observed": kinds,
        }),
        personal,
    }
}

impl ReadBackEpoch<'_> {
    /// Applies one effect; gives whether it changed a fact.
    async fn apply(&self, tx: &mut Tx, effect: &ObservedEffect) -> Result<bool> {
        let (_, account_key, about, _) = effect.parts();
        if account_key.0.is_empty() {
            // An account that was made and that no reading has told yet: its facts come with the reading, and what was
            // planned before it was made is old from now on.
            return Ok(true);
        }
        if let About::Credential(key) = about {
            return self.apply_to_credential(tx, key, effect).await;
        }
        let Some(account) = self.object(tx, Class::Account, account_key.as_str()).await? else {
            return Ok(false);
        };
        let entitlement = match about {
            About::Account | About::Credential(_) => None,
            About::Entitlement(name) => match self.object(tx, Class::Entitlement, &name.to_string()).await? {
                None => return Ok(false),
                known => known,
            },
        };
        self.note(tx, account, entitlement).await?;
        match (effect, entitlement) {
            (ObservedEffect::GrantPresent { .. }, Some(entitlement)) => {
                self.begin_grant(tx, account, entitlement).await
            }
            (_, Some(entitlement)) => self.end_grant(tx, account, entitlement).await,
            (ObservedEffect::AccountEnabled { .. }, None) => self.set_enabled(tx, account, true).await,
            (ObservedEffect::AccountDisabled { .. }, None) => {
                let changed = self.set_enabled(tx, account, false).await?;
                self.note_closed(tx, account, changed).await
            }
            (_, None) => self.end_account(tx, account).await,
        }
    }

    /// Applies what was seen of a credential. One that was never enumerated is told by the next enumeration.
    async fn apply_to_credential(
        &self,
        tx: &mut Tx,
        key: &CredentialKey,
        effect: &ObservedEffect,
    ) -> Result<bool> {
        let Some(credential) = self.object(tx, Class::Credential, key.as_str()).await? else {
            return Ok(false);
        };
        self.note(tx, credential, None).await?;
        match effect {
            ObservedEffect::CredentialPresent { active, .. } => {
                let active = *active;
                let change = |state: &mut Credential| std::mem::replace(&mut state.active, active) != active;
                let changed =
                    self.change_state(tx, credential, "a credential", change, Digest::of_credential).await?;
                self.note_closed(tx, credential, changed && !active).await?;
                Ok(changed)
            }
            _ => {
                let ended = execute!(
                    tx,
                    "UPDATE state_interval SET until = $1 WHERE system = $2 AND object = $3 AND until IS NULL",
                    self.epoch,
                    self.system,
                    credential
                )?;
                Ok(ended > 0)
            }
        }
    }

    /// Notes that the object was read back in this epoch.
    async fn note(&self, tx: &mut Tx, object: i64, entitlement: Option<i64>) -> Result<()> {
        execute!(
            tx,
            "INSERT INTO read_back (epoch, system, object, entitlement) VALUES ($1, $2, $3, $4)",
            self.epoch,
            self.system,
            object,
            entitlement
        )?;
        Ok(())
    }

    async fn object(&self, tx: &mut Tx, class: Class, key: &str) -> Result<Option<i64>> {
        let row = fetch_optional!(
            tx,
            (i64,),
            "SELECT id FROM object WHERE system = $1 AND class = $2 AND key = $3",
            self.system,
            class.as_str(),
            key
        )?;
        Ok(row.map(|(id,)| id))
    }

    /// Begins a grant, where both its ends are there and it is not held already.
    async fn begin_grant(&self, tx: &mut Tx, account: i64, entitlement: i64) -> Result<bool> {
        let begun = execute!(
            tx,
            "INSERT INTO grant_interval (system, account, entitlement, since)
             SELECT $1, $2, $3, $4
             FROM state_interval AS holder
             JOIN state_interval AS held ON held.system = holder.system AND held.object = $3
                 AND held.aspect = 'state' AND held.until IS NULL
             WHERE holder.system = $1 AND holder.object = $2 AND holder.aspect = 'state' AND holder.until IS NULL
             AND NOT EXISTS (SELECT 1 FROM grant_interval AS already WHERE already.system = $1
                 AND already.account = $2 AND already.entitlement = $3 AND already.until IS NULL)",
            self.system,
            account,
            entitlement,
            self.epoch
        )?;
        Ok(begun > 0)
    }

    async fn end_grant(&self, tx: &mut Tx, account: i64, entitlement: i64) -> Result<bool> {
        execute!(
            tx,
            "UPDATE grant_qualifier SET until = $1
             WHERE system = $2 AND account = $3 AND entitlement = $4 AND until IS NULL",
            self.epoch,
            self.system,
            account,
            entitlement
        )?;
        let ended = execute!(
            tx,
            "UPDATE grant_interval SET until = $1, ended_by = $2
             WHERE system = $3 AND account = $4 AND entitlement = $5 AND until IS NULL",
            self.epoch,
            self.ended_by.map(ActionId::as_str),
            self.system,
            account,
            entitlement
        )?;
        Ok(ended > 0)
    }

    /// Notes that an action of ours closed the object, where it did: then it may be opened again by us.
    async fn note_closed(&self, tx: &mut Tx, object: i64, closed: bool) -> Result<bool> {
        if let Some(action) = self.ended_by.filter(|_| closed) {
            execute!(
                tx,
                "INSERT INTO closed_object (system, object, epoch, action) VALUES ($1, $2, $3, $4)",
                self.system,
                object,
                self.epoch,
                action.as_str()
            )?;
        }
        Ok(closed)
    }

    async fn set_enabled(&self, tx: &mut Tx, account: i64, enabled: bool) -> Result<bool> {
        let change = |state: &mut Account| std::mem::replace(&mut state.enabled, enabled) != enabled;
        self.change_state(tx, account, "an account", change, Digest::of_account).await
    }

    /// Changes the state of an object, where the change changes anything.
    async fn change_state<State: Serialize + DeserializeOwned>(
        &self,
        tx: &mut Tx,
        object: i64,
        what: &'static str,
        change: impl FnOnce(&mut State) -> bool,
        digest: impl FnOnce(&State, &str) -> Result<Digest>,
    ) -> Result<bool> {
        let row = fetch_optional!(
            tx,
            (i64, String),
            "SELECT present_since, body FROM state_interval
             WHERE system = $1 AND object = $2 AND aspect = 'state' AND until IS NULL",
            self.system,
            object
        )?;
        let Some((present_since, body)) = row else { return Ok(false) };
        let mut state: State = from_json(what, &body)?;
        if !change(&mut state) {
            return Ok(false);
        }
        let body = to_json(what, &state)?;
        end_states(tx, self.system, self.epoch, "state", &[object]).await?;
        execute!(
            tx,
            "INSERT INTO state_interval (system, object, aspect, present_since, since, body, digest)
             VALUES ($1, $2, 'state', $3, $4, $5, $6)",
            self.system,
            object,
            present_since,
            self.epoch,
            body.as_str(),
            digest(&state, &body)?.to_text()
        )?;
        Ok(true)
    }

    /// Ends an account with everything it holds.
    async fn end_account(&self, tx: &mut Tx, account: i64) -> Result<bool> {
        execute!(
            tx,
            "UPDATE grant_qualifier SET until = $1 WHERE system = $2 AND account = $3 AND until IS NULL",
            self.epoch,
            self.system,
            account
        )?;
        execute!(
            tx,
            "UPDATE grant_interval SET until = $1, ended_by = $2
             WHERE system = $3 AND account = $4 AND until IS NULL",
            self.epoch,
            self.ended_by.map(ActionId::as_str),
            self.system,
            account
        )?;
        let ended = execute!(
            tx,
            "UPDATE state_interval SET until = $1 WHERE system = $2 AND object = $3 AND until IS NULL",
            self.epoch,
            self.system,
            account
        )?;
        Ok(ended > 0)
    }
}
