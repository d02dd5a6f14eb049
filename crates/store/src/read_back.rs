//! What a read-back saw, recorded as an epoch of its own: it ends and begins intervals, and outranks an enumeration
//! that was running meanwhile.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::account::Account;
use leasehold_model::event::EventKind;
use leasehold_model::id::{AccountKey, ActionId, EntitlementName, SystemName};
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
}

impl ObservedEffect {
    fn parts(&self) -> (&SystemName, &AccountKey, Option<&EntitlementName>, &'static str) {
        match self {
            Self::GrantAbsent { system, account, entitlement } => {
                (system, account, Some(entitlement), "grant_absent")
            }
            Self::GrantPresent { system, account, entitlement } => {
                (system, account, Some(entitlement), "grant_present")
            }
            Self::AccountDisabled { system, account } => (system, account, None, "account_disabled"),
            Self::AccountEnabled { system, account } => (system, account, None, "account_enabled"),
            Self::AccountAbsent { system, account } => (system, account, None, "account_absent"),
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
        let (system, account, entitlement, _) = effect.parts();
        systems.entry(system).or_default().insert((entitlement.is_some(), account, entitlement), effect);
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
        let (_, account, entitlement, kind) = effect.parts();
        kinds.push(kind);
        personal.insert(format!("account_key.{position}"), account.to_string());
        if let Some(entitlement) = entitlement {
            personal.insert(format!("entitlement.{position}"), entitlement.to_string());
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
        let (_, account_key, entitlement, _) = effect.parts();
        let Some(account) = self.object(tx, Class::Account, account_key.as_str()).await? else {
            return Ok(false);
        };
        let entitlement = match entitlement {
            None => None,
            Some(name) => match self.object(tx, Class::Entitlement, &name.to_string()).await? {
                None => return Ok(false),
                known => known,
            },
        };
        execute!(
            tx,
            "INSERT INTO read_back (epoch, system, object, entitlement) VALUES ($1, $2, $3, $4)",
            self.epoch,
            self.system,
            account,
            entitlement
        )?;
        match (effect, entitlement) {
            (ObservedEffect::GrantPresent { .. }, Some(entitlement)) => {
                self.begin_grant(tx, account, entitlement).await
            }
            (_, Some(entitlement)) => self.end_grant(tx, account, entitlement).await,
            (ObservedEffect::AccountEnabled { .. }, None) => self.set_enabled(tx, account, true).await,
            (ObservedEffect::AccountDisabled { .. }, None) => self.set_enabled(tx, account, false).await,
            (_, None) => self.end_account(tx, account).await,
        }
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

    async fn set_enabled(&self, tx: &mut Tx, account: i64, enabled: bool) -> Result<bool> {
        let row = fetch_optional!(
            tx,
            (i64, String),
            "SELECT present_since, body FROM state_interval
             WHERE system = $1 AND object = $2 AND aspect = 'state' AND until IS NULL",
            self.system,
            account
        )?;
        let Some((present_since, body)) = row else { return Ok(false) };
        let mut state: Account = from_json("an account", &body)?;
        if state.enabled == enabled {
            return Ok(false);
        }
        state.enabled = enabled;
        let body = to_json("an account", &state)?;
        end_states(tx, self.system, self.epoch, "state", &[account]).await?;
        execute!(
            tx,
            "INSERT INTO state_interval (system, object, aspect, present_since, since, body, digest)
             VALUES ($1, $2, 'state', $3, $4, $5, $6)",
            self.system,
            account,
            present_since,
            self.epoch,
            body.as_str(),
            Digest::of_account(&state, &body)?.to_text()
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
