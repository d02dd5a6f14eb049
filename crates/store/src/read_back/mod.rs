//! What a read-back saw, recorded as an epoch of its own: it ends and begins intervals, and outranks an enumeration
//! that was running meanwhile.

mod effect;
mod grant_ends;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use leasehold_model::account::Account;
use leasehold_model::credential::Credential;
use leasehold_model::event::EventKind;
use leasehold_model::id::{ActionId, CredentialKey, SystemName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::db::{
    Tx, count, execute, execute_rows, fetch_one, fetch_optional, fetch_rows, from_json, insert_rows, micros,
    stored, to_json,
};
use crate::dictionary::{Class, Digest};
use crate::error::{Result, StoreError};
use crate::finish::end_states;
use crate::ledger::Event;

pub use effect::ObservedEffect;

use effect::About;
use grant_ends::GrantEnds;

/// What was seen with one step of an action.
pub(crate) struct Seen<'a> {
    /// Whose step it is.
    pub action: &'a ActionId,
    /// When that action was sent first, in microseconds, where what is gone was ended by it.
    pub sent_at: Option<i64>,
    /// What was seen.
    pub observed: &'a [ObservedEffect],
    /// When.
    pub at: Timestamp,
}

/// An action of ours that took something away. Whatever a reading showed as gone after it was sent, it ended, too: the reading was only
/// the first to say so.
#[derive(Clone, Copy)]
struct EndedBy<'a> {
    action: &'a ActionId,
    /// In microseconds.
    sent_at: i64,
}

/// The fresh epoch of a read-back in one system.
struct ReadBackEpoch<'a> {
    /// The place of its step.
    step: usize,
    action: &'a ActionId,
    at: Timestamp,
    name: &'a SystemName,
    /// What was seen last of each thing; accounts before their grants.
    effects: Vec<&'a ObservedEffect>,
    epoch: i64,
    system: i64,
    /// The action that ended what is gone; `None` where it went without us.
    ended_by: Option<EndedBy<'a>>,
    /// Whether a fact is another than before.
    changed: bool,
}

/// The objects that were seen, by system, class and key.
type Objects = HashMap<(i64, &'static str, String), i64>;

/// Records what was seen, one epoch for each step and system, and gives the entries of each step for the ledger. It is as if
/// one step were recorded after the other; what comes together and is of one sort is written together.
pub(crate) async fn apply_all(tx: &mut Tx, steps: &[Seen<'_>]) -> Result<Vec<Vec<Event>>> {
    let mut events = vec![Vec::new(); steps.len()];
    let mut read_backs = epochs(tx, steps).await?;
    if read_backs.is_empty() {
        return Ok(events);
    }
    let objects = objects(tx, &read_backs).await?;
    let mut ends = GrantEnds::default();
    for place in 0..read_backs.len() {
        for effect in read_backs[place].effects.clone() {
            match read_backs[place].grant_that_ended(effect, &objects) {
                Some(grant) => {
                    if !ends.takes(&read_backs[place], grant) {
                        ends.write(tx, &mut read_backs).await?;
                    }
                    ends.add(place, &read_backs[place], grant);
                }
                None => {
                    ends.write(tx, &mut read_backs).await?;
                    let changed = read_backs[place].apply(tx, effect, &objects).await?;
                    read_backs[place].changed |= changed;
                }
            }
        }
    }
    ends.write(tx, &mut read_backs).await?;
    write_epochs(tx, &read_backs).await?;
    for read_back in &read_backs {
        events[read_back.step].push(event(read_back));
    }
    Ok(events)
}

/// The epochs of steps, numbered.
async fn epochs<'a>(tx: &mut Tx, steps: &[Seen<'a>]) -> Result<Vec<ReadBackEpoch<'a>>> {
    let mut read_backs = Vec::new();
    for (step, Seen { action, sent_at, observed, at }) in steps.iter().enumerate() {
        let mut systems: BTreeMap<&SystemName, BTreeMap<_, &ObservedEffect>> = BTreeMap::new();
        for effect in *observed {
            let (system, account, about, _) = effect.parts();
            systems.entry(system).or_default().insert((about, account), effect);
        }
        for (name, effects) in systems {
            read_backs.push(ReadBackEpoch {
                step,
                action,
                at: *at,
                name,
                effects: effects.into_values().collect(),
                epoch: 0,
                system: 0,
                ended_by: sent_at.map(|sent_at| EndedBy { action, sent_at }),
                changed: false,
            });
        }
    }
    if read_backs.is_empty() {
        return Ok(read_backs);
    }
    let names: BTreeSet<(&str,)> = read_backs.iter().map(|read_back| (read_back.name.as_str(),)).collect();
    let names: Vec<(&str,)> = names.into_iter().collect();
    let found = fetch_rows!(
        tx,
        &names,
        (String, i64),
        "SELECT system.name, system.id FROM ",
        " CROSS JOIN system WHERE system.name = list.value->>0"
    )?;
    let ids: HashMap<&str, i64> = found.iter().map(|(name, id)| (name.as_str(), *id)).collect();
    let wanted = stored(read_backs.len() as u64);
    let (newest,): (i64,) =
        fetch_one!(tx, (i64,), "UPDATE head SET epoch = epoch + $1 RETURNING epoch", wanted)?;
    for (epoch, read_back) in (newest - wanted + 1..).zip(&mut read_backs) {
        let id = ids.get(read_back.name.as_str()).copied();
        read_back.epoch = epoch;
        read_back.system = id.ok_or_else(|| StoreError::UnknownSystem { system: read_back.name.clone() })?;
    }
    Ok(read_backs)
}

/// Whatever of the objects that were seen the store has heard of.
async fn objects(tx: &mut Tx, read_backs: &[ReadBackEpoch<'_>]) -> Result<Objects> {
    let mut keys: BTreeSet<(i64, &'static str, String)> = BTreeSet::new();
    for read_back in read_backs {
        for effect in &read_back.effects {
            let (_, account, about, _) = effect.parts();
            keys.insert((read_back.system, Class::Account.as_str(), account.to_string()));
            match about {
                About::Account => None,
                About::Credential(key) => Some((Class::Credential, key.to_string())),
                About::Entitlement(name) => Some((Class::Entitlement, name.to_string())),
            }
            .map(|(class, key)| keys.insert((read_back.system, class.as_str(), key)));
        }
    }
    let keys: Vec<(usize, (i64, &'static str, String))> = keys.into_iter().enumerate().collect();
    let rows: Vec<(usize, i64, &str, &str)> =
        keys.iter().map(|(place, (system, class, key))| (*place, *system, *class, key.as_str())).collect();
    let found = fetch_rows!(
        tx,
        &rows,
        (i64, i64),
        "SELECT CAST(list.value->>0 AS BIGINT), object.id FROM ",
        " CROSS JOIN object WHERE object.system = CAST(list.value->>1 AS BIGINT) AND object.class = list.value->>2
             AND object.key = list.value->>3"
    )?;
    let mut keys: Vec<Option<(i64, &'static str, String)>> =
        keys.into_iter().map(|(_, key)| Some(key)).collect();
    let found = found.into_iter().filter_map(|(place, id)| Some((keys[count(place) as usize].take()?, id)));
    Ok(found.collect())
}

/// Writes down the epochs themselves, and that what they changed is not as it was.
async fn write_epochs(tx: &mut Tx, read_backs: &[ReadBackEpoch<'_>]) -> Result<()> {
    let row = |read_back: &ReadBackEpoch<'_>| {
        let ReadBackEpoch { epoch, system, action, at, effects, changed, .. } = read_back;
        let (at, detail) = (micros(*at), format!("read back for action {action}"));
        let facts = stored(effects.len() as u64);
        let changed = i64::from(*changed);
        (*epoch, *system, "read_back", at, at, *epoch - 1, "partial", detail, facts, 0, changed)
    };
    let rows: Vec<_> = read_backs.iter().map(row).collect();
    insert_rows!(
        tx,
        "epoch",
        &rows,
        [
            0 id BIGINT,
            1 system BIGINT,
            2 kind TEXT,
            3 started_at BIGINT,
            4 ended_at BIGINT,
            5 begun_after BIGINT,
            6 completeness TEXT,
            7 detail TEXT,
            8 facts BIGINT,
            9 problems BIGINT,
            10 changed BIGINT
        ]
    )?;
    let changed = read_backs.iter().filter(|read_back| read_back.changed);
    let newest: BTreeMap<i64, i64> = changed.map(|read_back| (read_back.system, read_back.epoch)).collect();
    let newest: Vec<(i64, i64)> = newest.into_iter().collect();
    if newest.is_empty() {
        return Ok(());
    }
    execute_rows!(
        tx,
        &newest,
        "UPDATE system SET generation = CAST(list.value->>1 AS BIGINT) FROM ",
        " WHERE system.id = CAST(list.value->>0 AS BIGINT)"
    )?;
    Ok(())
}

fn event(read_back: &ReadBackEpoch<'_>) -> Event {
    let ReadBackEpoch { action, name, epoch, changed, effects, .. } = read_back;
    let mut personal = BTreeMap::new();
    let mut kinds = Vec::new();
    for (position, effect) in effects.iter().enumerate() {
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
            "system": name,
            "epoch": epoch,
            "changed": changed,
            "observed": kinds,
        }),
        personal,
    }
}

impl ReadBackEpoch<'_> {
    /// The account and the entitlement, where all that was seen is that a grant between what is known is gone.
    fn grant_that_ended(&self, effect: &ObservedEffect, objects: &Objects) -> Option<(i64, i64)> {
        let ObservedEffect::GrantAbsent { account, entitlement, .. } = effect else { return None };
        let account = self.object(objects, Class::Account, account.as_str())?;
        Some((account, self.object(objects, Class::Entitlement, &entitlement.to_string())?))
    }

    /// Applies one effect; gives whether it changed a fact.
    async fn apply(&self, tx: &mut Tx, effect: &ObservedEffect, objects: &Objects) -> Result<bool> {
        let (_, account_key, about, _) = effect.parts();
        if account_key.0.is_empty() {
            // An account that was made and that no reading has told yet: its facts come with the reading, and what was
            // planned before it was made is old from now on.
            return Ok(true);
        }
        if let About::Credential(key) = about {
            return self.apply_to_credential(tx, key, effect, objects).await;
        }
        let Some(account) = self.object(objects, Class::Account, account_key.as_str()) else {
            return Ok(false);
        };
        let entitlement = match about {
            About::Account | About::Credential(_) => None,
            About::Entitlement(name) => match self.object(objects, Class::Entitlement, &name.to_string()) {
                None => return Ok(false),
                known => known,
            },
        };
        self.note(tx, account, entitlement).await?;
        match (effect, entitlement) {
            (ObservedEffect::GrantPresent { .. }, Some(entitlement)) => {
                self.begin_grant(tx, account, entitlement).await
            }
            // Those are ended together.
            (_, Some(_)) => Ok(false),
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
        objects: &Objects,
    ) -> Result<bool> {
        let Some(credential) = self.object(objects, Class::Credential, key.as_str()) else {
            return Ok(false);
        };
        self.note(tx, credential, None).await?;
        match effect {
            ObservedEffect::CredentialPresent { active, .. } => {
                let active = *active;
                let change = |state: &mut Credential| std::mem::replace(&mut state.active, active) != active;
                let changed =
                    self.change_state(tx, credential, "a credential", change, Digest::of_credential).await?;
                let closed = if active { false } else { self.note_closed(tx, credential, changed).await? };
                Ok(changed || closed)
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

    fn object(&self, objects: &Objects, class: Class, key: &str) -> Option<i64> {
        objects.get(&(self.system, class.as_str(), key.to_owned())).copied()
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

    /// Notes that an action of ours closed the object, where it did: then it may be opened again by us.
    async fn note_closed(&self, tx: &mut Tx, object: i64, closed: bool) -> Result<bool> {
        let Some(EndedBy { action, sent_at }) = self.ended_by else { return Ok(closed) };
        if closed {
            execute!(
                tx,
                "INSERT INTO closed_object (system, object, epoch, action) VALUES ($1, $2, $3, $4)",
                self.system,
                object,
                self.epoch,
                action.as_str()
            )?;
            return Ok(true);
        }
        let claimed = execute!(
            tx,
            "INSERT INTO closed_object (system, object, epoch, action)
             SELECT state.system, state.object, state.since, $3 FROM state_interval AS state
             JOIN epoch ON epoch.id = state.since AND epoch.kind <> 'read_back' AND epoch.ended_at >= $4
             JOIN state_interval AS before ON before.system = state.system AND before.object = state.object
                 AND before.aspect = 'state' AND before.until = state.since
                 AND (before.body LIKE '%\"enabled\":true%' OR before.body LIKE '%\"active\":true%')
             WHERE state.system = $1 AND state.object = $2 AND state.aspect = 'state' AND state.until IS NULL
             AND NOT EXISTS (SELECT 1 FROM closed_object AS noted WHERE noted.system = state.system
                 AND noted.object = state.object AND noted.epoch = state.since)",
            self.system,
            object,
            action.as_str(),
            sent_at
        )?;
        Ok(claimed > 0)
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
            self.ended_by.map(|ended_by| ended_by.action.as_str()),
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
