//! One enumeration of a system: what it tells is collected here and counts only when it has ended.

use std::collections::HashMap;

use jiff::Timestamp;
use leasehold_model::account::Account;
use leasehold_model::credential::Credential;
use leasehold_model::entitlement::{Containment, DirectGrant, Entitlement};
use leasehold_model::fact::{Fact, Owned, OwnerFact, Problem, Untold};
use leasehold_model::id::{EntitlementName, SystemName};
use leasehold_model::identity::{Identity, LifecycleState};
use serde::{Deserialize, Serialize};

use crate::db::{Tx, execute, fetch_all, fetch_one, fetch_optional, from_json, to_json};
use crate::dictionary::{Class, Dictionary, Digest, Known, Slot};
use crate::error::{Result, StoreError};
use crate::feed_end::StoredFeedEnd;
use crate::ledger;
use crate::pair::Pair;
use crate::problems::ProblemList;
use crate::stage::{self, PairStage, Relation, StateStage};
use crate::store::Store;

/// Longer names cannot stand in PostgreSQL's indexes, and no system has them for a good reason.
const KEY_BYTES_MAX: usize = 1_500;

/// An enumeration that is being told. Dropped without `finish`, it never counts.
#[derive(Debug)]
pub struct EpochWriter {
    pub(crate) store: Store,
    pub(crate) system: i64,
    pub(crate) name: SystemName,
    /// Whether this is still the system's latest enumeration.
    pub(crate) writer: i64,
    pub(crate) begun_after: i64,
    pub(crate) started_at: Timestamp,
    pub(crate) dictionary: Dictionary,
    pub(crate) states: StateStage,
    pub(crate) grants: PairStage,
    pub(crate) containments: PairStage,
    pub(crate) problems: ProblemList,
    /// The credentials that were told, each with its account.
    pub(crate) credentials: Vec<Pair>,
    pub(crate) facts: u64,
    /// Facts whose names cannot be held: what they were about is not known.
    left_out: u64,
    /// Where the feed ended, where it has an order of its own.
    pub(crate) feed_end: Option<StoredFeedEnd>,
    /// An identity whose row may be cut: what it says is not taken.
    pub(crate) disregarded: Option<u32>,
    /// Who was told before and is not active, or has a first or last day, by folded key; looked up when one of that is not told for the
    /// first time.
    told_before: Option<HashMap<String, Standing>>,
    /// A person said so.
    is_unknown_taken_as_active: bool,
    states_kept: u64,
    dates_kept: u64,
    /// Of whom a day was kept last.
    pub(crate) date_kept_of: Option<u32>,
}

/// Where somebody stands, and from when until when.
#[derive(Debug, Clone, Copy)]
struct Standing {
    state: LifecycleState,
    is_state_unsaid: bool,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

/// What would end because an enumeration did not tell it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// Identities.
    pub identities: Loss,
    /// Accounts.
    pub accounts: Loss,
    /// Credentials.
    pub credentials: Loss,
    /// Entitlements.
    pub entitlements: Loss,
    /// Grants; counted only where not a single one was told.
    pub grants: Loss,
}

/// How many objects of a kind were there, and how many of those were not told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loss {
    /// There before.
    pub before: u64,
    /// Not told.
    pub gone: u64,
}

/// What a system keeps beside a grant, as it is stored.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Qualifier {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
}

impl Store {
    /// Begins an enumeration of a system. What an earlier one left behind is cleared; where that one is still running,
    /// it can no longer end.
    ///
    /// # Errors
    /// [`StoreError::Busy`], [`StoreError::Database`].
    pub async fn begin_epoch(&self, name: &SystemName, now: Timestamp) -> Result<EpochWriter> {
        let mut tx = self.db.write().await?;
        let begun_after = ledger::lock(&mut tx).await?;
        let known = fetch_optional!(&mut tx, (i64,), "SELECT id FROM system WHERE name = $1", name.as_str())?;
        if known.is_none() {
            execute!(
                &mut tx,
                "INSERT INTO system (id, name, generation, writer)
                 SELECT COALESCE(MAX(id), 0) + 1, $1, 0, 0 FROM system",
                name.as_str()
            )?;
        }
        let (system, writer) = fetch_one!(
            &mut tx,
            (i64, i64),
            "UPDATE system SET writer = writer + 1 WHERE name = $1 RETURNING id, writer",
            name.as_str()
        )?;
        stage::clear(&mut tx, system).await?;
        tx.commit().await?;

        let mut tx = self.db.read().await?;
        let dictionary = Dictionary::load(&mut tx, system).await?;
        Ok(EpochWriter {
            store: self.clone(),
            system,
            name: name.clone(),
            writer,
            begun_after,
            started_at: now,
            dictionary,
            states: StateStage::default(),
            grants: PairStage::new(Relation::Grant),
            containments: PairStage::new(Relation::Containment),
            problems: ProblemList::default(),
            credentials: Vec::new(),
            facts: 0,
            left_out: 0,
            feed_end: None,
            disregarded: None,
            told_before: None,
            states_kept: 0,
            dates_kept: 0,
            date_kept_of: None,
            is_unknown_taken_as_active: false,
        })
    }
}

impl EpochWriter {
    /// Takes facts, in any order. Of two facts about the same thing the first counts and the second is a [`Problem`].
    ///
    /// # Errors
    /// [`StoreError::Overtaken`] where a later enumeration of the system has begun.
    pub async fn accept(&mut self, facts: Vec<Fact>) -> Result<()> {
        for fact in facts {
            self.facts += 1;
            match fact {
                Fact::Identity(identity) => self.take_identity(&identity)?,
                Fact::IdentityInPart(identity, untold) => {
                    let kept = self.dates_kept;
                    let identity = self.as_told_before(identity, untold).await?;
                    self.take_identity(&identity)?;
                    if self.dates_kept > kept {
                        self.date_kept_of = self.number(Class::Identity, identity.key.as_str())?;
                    }
                }
                Fact::Account(account) => self.take_account(account)?,
                Fact::Credential(credential) => self.take_credential(&credential)?,
                Fact::Entitlement(entitlement) => self.take_entitlement(&entitlement)?,
                Fact::Grant(grant) => self.take_grant(grant)?,
                Fact::Containment(containment) => self.take_containment(&containment)?,
                Fact::Owner(owner) => self.take_owner(&owner)?,
            }
            if self.is_full() {
                self.spill().await?;
            }
        }
        Ok(())
    }

    /// Lists a piece of input that the connector could not use.
    pub fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// How many facts were left out because their names cannot be held. What they were about may be there still.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// What would end if the enumeration were complete as it stands.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn losses(&self) -> Result<Losses> {
        let mut losses = Losses::default();
        for slot in self.dictionary.slots() {
            let loss = match slot.class {
                Class::Identity => &mut losses.identities,
                Class::Account => &mut losses.accounts,
                Class::Credential => &mut losses.credentials,
                Class::Entitlement => &mut losses.entitlements,
            };
            if slot.is(Known::WAS_THERE) {
                loss.before += 1;
                loss.gone += u64::from(!slot.is(Known::SEEN));
            }
        }
        if self.grants.is_empty() {
            let mut tx = self.store.db.read().await?;
            let (before,) = fetch_one!(
                &mut tx,
                (i64,),
                "SELECT COUNT(*) FROM grant_interval WHERE system = $1 AND until IS NULL",
                self.system
            )?;
            let before = crate::db::count(before);
            losses.grants = Loss { before, gone: before };
        }
        Ok(losses)
    }

    /// How many facts were taken so far.
    pub fn facts(&self) -> u64 {
        self.facts
    }

    /// Whether something has to be written out.
    fn is_full(&self) -> bool {
        let bound = self.store.stage_bytes_max;
        self.grants.is_full(bound)
            || self.containments.is_full(bound)
            || self.states.is_full(bound)
            || (!self.dictionary.new.is_empty() && self.dictionary.new_bytes >= bound)
    }

    async fn spill(&mut self) -> Result<()> {
        let mut writing = self.store.db.write_bulk().await?;
        let tx = &mut writing;
        self.check_writer(tx).await?;
        self.write_out(tx).await?;
        for pairs in [&mut self.grants, &mut self.containments] {
            if pairs.is_full(self.store.stage_bytes_max) {
                pairs.spill(tx, self.system).await?;
            }
        }
        writing.commit().await
    }

    /// Names and states to the store, so that statements over both can follow.
    pub(crate) async fn write_out(&mut self, tx: &mut Tx) -> Result<()> {
        stage::write_names(tx, self.system, &mut self.dictionary.new).await?;
        self.dictionary.new_bytes = 0;
        self.states.spill(tx, self.system).await
    }

    /// Refuses to write where a later enumeration has begun, and keeps one from beginning until the commit.
    pub(crate) async fn check_writer(&self, tx: &mut Tx) -> Result<()> {
        let current = fetch_optional!(
            tx,
            (i64,),
            "UPDATE system SET writer = writer WHERE id = $1 AND writer = $2 RETURNING id",
            self.system,
            self.writer
        )?;
        match current {
            Some(_) => Ok(()),
            None => Err(StoreError::Overtaken { system: self.name.clone() }),
        }
    }

    /// The identity with what was told of it last, where it is not told now.
    async fn as_told_before(&mut self, mut identity: Identity, untold: Untold) -> Result<Identity> {
        if self.told_before.is_none() {
            self.told_before = Some(self.not_just_active().await?);
        }
        let before = self.told_before.as_ref().filter(|before| !before.is_empty());
        let before = before.and_then(|before| before.get(&identity.key.folded())).copied();
        let was_unsaid = before.is_some_and(|before| before.is_state_unsaid);
        if identity.unsaid.state && !was_unsaid && !self.is_unknown_taken_as_active {
            // A feed that said where somebody stands before its column was lost has said so.
            let number = self.dictionary.number(Class::Identity, identity.key.as_str())?;
            let was_there = |number: u32| self.dictionary.slots()[number as usize].is(Known::WAS_THERE);
            identity.unsaid.state = !number.is_some_and(was_there);
        }
        if untold.is_start_unreadable
            && identity.state == LifecycleState::Active
            && !self.is_unknown_taken_as_active
        {
            // Whoever joins on a day that nobody can read has not joined; who was here before, or when the feed was read first, is.
            let number = self.dictionary.number(Class::Identity, identity.key.as_str())?;
            let is_new =
                !number.is_some_and(|number| self.dictionary.slots()[number as usize].is(Known::WAS_THERE));
            let waits = before
                .is_some_and(|before| before.state == LifecycleState::PreHire && before.start.is_none());
            if waits || is_new && self.has_identities() {
                identity.state = LifecycleState::PreHire;
                self.dates_kept += 1;
            }
        }
        if let Some(Standing { state, start, end, .. }) = before {
            if untold.state && state != LifecycleState::Active {
                identity.state = state;
                self.states_kept += 1;
            }
            let (start, end) = (start.filter(|_| untold.start), end.filter(|_| untold.end));
            self.dates_kept += u64::from(start.is_some() || end.is_some());
            (identity.start, identity.end) = (identity.start.or(start), identity.end.or(end));
        }
        Ok(identity)
    }

    /// Whether the feed listed anybody when it was read last.
    fn has_identities(&self) -> bool {
        let is_one = |slot: &Slot| slot.class == Class::Identity && slot.is(Known::WAS_THERE);
        self.dictionary.slots().iter().any(is_one)
    }

    /// Who is listed and not active, or has a first or last day, as was told last.
    async fn not_just_active(&self) -> Result<HashMap<String, Standing>> {
        let mut tx = self.store.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (String,),
            "SELECT body FROM object JOIN state_interval ON state_interval.system = object.system
                AND state_interval.object = object.id AND aspect = 'state' AND until IS NULL
             WHERE object.system = $1 AND class = $2 AND (body NOT LIKE '%\"state\":\"active\"%'
                OR body LIKE '%\"start\":\"%' OR body LIKE '%\"end\":\"%' OR body LIKE '%\"unsaid\":%')",
            self.system,
            Class::Identity.as_str()
        )?;
        let mut told = HashMap::with_capacity(rows.len());
        for (body,) in rows {
            let Identity { key, state, start, end, unsaid, .. } = from_json("an identity", &body)?;
            let is_state_unsaid = unsaid.state;
            told.insert(key.folded(), Standing { state, is_state_unsaid, start, end });
        }
        Ok(told)
    }

    /// Of how many the state counts on that was told before, because none that is known was told now.
    pub fn states_kept(&self) -> u64 {
        self.states_kept
    }

    /// Of how many a first or last day counts on that was told before, because none that can be read was told now.
    pub fn dates_kept(&self) -> u64 {
        self.dates_kept
    }

    /// A person says that whoever is listed without a state is active, and that there are no days where none can be read.
    pub fn take_unknown_states_as_active(&mut self) {
        self.told_before = Some(HashMap::new());
        self.is_unknown_taken_as_active = true;
    }

    fn take_identity(&mut self, identity: &Identity) -> Result<()> {
        match self.number(Class::Identity, identity.key.as_str())? {
            Some(number) => self.take_state(number, identity.key.as_str(), to_json("an identity", identity)?),
            None => Ok(()),
        }
    }

    fn take_account(&mut self, mut account: Account) -> Result<()> {
        // The order in which a system lists weaknesses is no change of the account.
        account.posture.sort_unstable();
        account.posture.dedup();
        match self.number(Class::Account, account.key.as_str())? {
            Some(number) => {
                let body = to_json("an account", &account)?;
                let digest = Digest::of_account(&account, &body)?;
                self.take_digested(number, account.key.as_str(), body, digest)
            }
            None => Ok(()),
        }
    }

    fn take_credential(&mut self, credential: &Credential) -> Result<()> {
        let account = self.number(Class::Account, credential.account.as_str())?;
        let number = self.number(Class::Credential, credential.key.as_str())?;
        if let (Some(account), Some(number)) = (account, number) {
            let body = to_json("a credential", credential)?;
            let digest = Digest::of_credential(credential, &body)?;
            self.credentials.push(Pair { holder: account, held: number });
            self.take_digested(number, credential.key.as_str(), body, digest)?;
        }
        Ok(())
    }

    fn take_entitlement(&mut self, entitlement: &Entitlement) -> Result<()> {
        match self.entitlement(&entitlement.name)? {
            Some(number) => self.take_state(
                number,
                &entitlement.name.to_string(),
                to_json("an entitlement", entitlement)?,
            ),
            None => Ok(()),
        }
    }

    fn take_state(&mut self, number: u32, key: &str, body: String) -> Result<()> {
        let digest = Digest::of(&body);
        self.take_digested(number, key, body, digest)
    }

    fn take_digested(&mut self, number: u32, key: &str, body: String, digest: Digest) -> Result<()> {
        let slot = self.dictionary.slots()[number as usize];
        if slot.is(Known::SEEN) {
            let place = format!("{} {key}", slot.class.as_str());
            self.problems.push(Problem::new(place, "listed more than once; the first one counts"));
            return Ok(());
        }
        self.dictionary.note(number, Known::SEEN);
        let (before, _) = self.dictionary.before(number)?;
        if before != digest {
            let how = if before.differs_lastingly(digest) { Known::CHANGED } else { Known::USED };
            self.dictionary.note(number, how);
            self.states.push(number, "state", body, digest);
        }
        Ok(())
    }

    fn take_grant(&mut self, grant: DirectGrant) -> Result<()> {
        let account = self.number(Class::Account, grant.account.as_str())?;
        let entitlement = self.entitlement(&grant.entitlement)?;
        if let (Some(holder), Some(held)) = (account, entitlement) {
            self.dictionary.note(holder, Known::HOLDS);
            let DirectGrant { valid_from, valid_until, options, .. } = grant;
            let qualifier = if valid_from.is_some() || valid_until.is_some() || options.is_some() {
                Some(to_json("a grant", &Qualifier { valid_from, valid_until, options })?)
            } else {
                None
            };
            self.grants.push(Pair { holder, held }, qualifier);
        }
        Ok(())
    }

    fn take_containment(&mut self, containment: &Containment) -> Result<()> {
        let parent = self.entitlement(&containment.parent)?;
        let child = self.entitlement(&containment.child)?;
        if let (Some(holder), Some(held)) = (parent, child) {
            self.containments.push(Pair { holder, held }, None);
        }
        Ok(())
    }

    fn take_owner(&mut self, fact: &OwnerFact) -> Result<()> {
        let owned = match &fact.of {
            Owned::Account(key) => self.number(Class::Account, key.as_str())?,
            Owned::Entitlement(name) => self.entitlement(name)?,
        };
        let Some(number) = owned else { return Ok(()) };
        if fact.owner.as_str().contains('\0') {
            self.problems.push(Problem::new("an owner", "its name holds a NUL character; it was left out"));
            return Ok(());
        }
        if self.dictionary.slots()[number as usize].is(Known::OWNER_SEEN) {
            let place = match &fact.of {
                Owned::Account(key) => format!("owner of account {key}"),
                Owned::Entitlement(name) => format!("owner of entitlement {name}"),
            };
            self.problems.push(Problem::new(place, "listed more than once; the first one counts"));
            return Ok(());
        }
        self.dictionary.note(number, Known::OWNER_SEEN);
        let (_, before) = self.dictionary.before(number)?;
        let digest = Digest::of(fact.owner.as_str());
        if before != digest {
            self.dictionary.note(number, Known::OWNER_CHANGED);
            self.states.push(number, "owner", fact.owner.as_str().to_owned(), digest);
        }
        Ok(())
    }

    /// The number of an entitlement; a name that would not read back is a problem.
    fn entitlement(&mut self, name: &EntitlementName) -> Result<Option<u32>> {
        if name.kind.is_empty() || name.kind.contains('/') || name.name.is_empty() {
            self.problems.push(Problem::new(
                format!("entitlement {name}"),
                "an entitlement needs a kind without `/` and a name; it was left out",
            ));
            self.left_out += 1;
            return Ok(None);
        }
        self.number(Class::Entitlement, &name.to_string())
    }

    /// The number of a name; one that the databases cannot hold is a problem.
    fn number(&mut self, class: Class, key: &str) -> Result<Option<u32>> {
        let refusal = if key.is_empty() {
            "its name is empty; it was left out".to_owned()
        } else if key.contains('\0') {
            "its name holds a NUL character; it was left out".to_owned()
        } else if key.len() > KEY_BYTES_MAX {
            format!("its name has {} bytes, at most {KEY_BYTES_MAX} can be held; it was left out", key.len())
        } else {
            return self.dictionary.intern(class, key).map(Some);
        };
        self.left_out += 1;
        let shown: String = key.chars().take(80).collect();
        self.problems.push(Problem::new(format!("{} {shown}", class.as_str()), refusal));
        Ok(None)
    }
}
