//! The names of one system while it is enumerated: which number each has, and whether it was there before.
//!
//! In memory a name is a mark of 12 bytes, its number and what is known of it: some 70 bytes, however long it is, and nothing
//! for its grants. The names themselves are in the store; where one has to be told, it is read from there.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use leasehold_model::account::{Account, LastUse};
use leasehold_model::credential::Credential;
use sha2::{Digest as _, Sha256};

use crate::db::{Tx, fetch_list, for_each_row, to_json};
use crate::error::{Result, StoreError};
use crate::finish::number;

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    Account,
    Credential,
    Entitlement,
    Identity,
}

impl Class {
    pub(crate) const ALL: [Self; 4] = [Self::Account, Self::Credential, Self::Entitlement, Self::Identity];

    /// The name in the store, which is also the word for people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Credential => "credential",
            Self::Entitlement => "entitlement",
            Self::Identity => "identity",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|class| class.as_str() == text)
            .ok_or_else(|| StoreError::corrupt("an object", format!("its class is `{text}`")))
    }
}

/// Tells a changed state from an unchanged one without reading the stored body back: the first 16 bytes of SHA-256 over
/// what a decision can rest on, and 4 over what changes by mere use. All zeros stand for "not there". The first part
/// must resist collisions, because targets choose the bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Digest {
    lasting: [u8; 16],
    use_of_it: [u8; 4],
}

impl Digest {
    pub(crate) fn of(body: &str) -> Self {
        Self { lasting: first_bytes(body), use_of_it: [0; 4] }
    }

    /// Of an account: that somebody logged in is no other state of it.
    pub(crate) fn of_account(account: &Account, body: &str) -> Result<Self> {
        if account.last_use == LastUse::Unknown {
            return Ok(Self::of(body));
        }
        let unused = Account { last_use: LastUse::Unknown, ..account.clone() };
        Ok(Self::used(&to_json("an account", &unused)?, body))
    }

    /// Of a credential, likewise.
    pub(crate) fn of_credential(credential: &Credential, body: &str) -> Result<Self> {
        if credential.last_use == LastUse::Unknown {
            return Ok(Self::of(body));
        }
        let unused = Credential { last_use: LastUse::Unknown, ..credential.clone() };
        Ok(Self::used(&to_json("a credential", &unused)?, body))
    }

    fn used(unused: &str, body: &str) -> Self {
        Self { use_of_it: first_bytes(body), ..Self::of(unused) }
    }

    pub(crate) fn is_absent(self) -> bool {
        self == Self::default()
    }

    /// Whether the two differ in more than use.
    pub(crate) fn differs_lastingly(self, other: Self) -> bool {
        self.lasting != other.lasting
    }

    pub(crate) fn to_text(self) -> String {
        hex::encode(self.lasting) + &hex::encode(self.use_of_it)
    }

    fn from_text(text: &str) -> Result<Self> {
        let mut digest = [0; 20];
        // Rows from before use was told apart hold 16 bytes.
        let length = if text.len() == 32 { 16 } else { 20 };
        hex::decode_to_slice(text, &mut digest[..length])
            .map_err(|error| StoreError::corrupt("a digest", error))?;
        let (mut lasting, mut use_of_it) = ([0; 16], [0; 4]);
        lasting.copy_from_slice(&digest[..16]);
        use_of_it.copy_from_slice(&digest[16..]);
        Ok(Self { lasting, use_of_it })
    }
}

fn first_bytes<const LENGTH: usize>(body: &str) -> [u8; LENGTH] {
    let mut first = [0; LENGTH];
    first.copy_from_slice(&Sha256::digest(body.as_bytes())[..LENGTH]);
    first
}

/// What is known of one name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub class: Class,
    /// The state that the store held when the enumeration began.
    pub state: Digest,
    /// The store held an owner then.
    pub had_owner: bool,
    /// This enumeration has told its state.
    pub seen: bool,
    /// This enumeration has told a grant to it.
    pub holds: bool,
    /// What it told differs from what the store held, in more than use.
    pub changed: bool,
    /// It was used since; nothing else changed.
    pub used: bool,
    /// This enumeration has told its owner.
    pub owner_seen: bool,
    /// The owner differs from what the store held.
    pub owner_changed: bool,
}

impl Slot {
    fn new(class: Class) -> Self {
        Self {
            class,
            state: Digest::default(),
            had_owner: false,
            seen: false,
            holds: false,
            changed: false,
            used: false,
            owner_seen: false,
            owner_changed: false,
        }
    }
}

/// What stands for a name: 96 bits of two keyed hashes. The keys are drawn anew for each enumeration, so that nobody can choose
/// two names with one mark; among a million names two share one with a chance of 1 in 10^17 (the birthday bound).
type Mark = [u32; 3];

#[derive(Debug, Clone, Copy)]
struct Marked {
    mark: Mark,
    number: u32,
}

fn bucket(mark: &Mark) -> u64 {
    u64::from(mark[0]) << 32 | u64::from(mark[1])
}

/// The names of one system.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    keys: [RandomState; 2],
    numbers: HashTable<Marked>,
    slots: Vec<Slot>,
    /// The owners that the store held when the enumeration began.
    owners: HashMap<u32, Digest>,
    /// Names that the store does not have yet.
    pub new: Vec<(u32, &'static str, Box<str>)>,
    /// The memory that those take.
    pub new_bytes: usize,
}

impl Dictionary {
    /// Reads the names of a system and the digests of what is there now.
    pub(crate) async fn load(tx: &mut Tx, system: i64) -> Result<Self> {
        let mut dictionary = Self::default();
        for_each_row!(
            tx,
            (i64, String, String, Option<String>, Option<String>),
            "SELECT object.id, object.class, object.key, state.digest, owner.digest
             FROM object
             LEFT JOIN state_interval AS state ON state.system = object.system AND state.object = object.id
                 AND state.aspect = 'state' AND state.until IS NULL
             LEFT JOIN state_interval AS owner ON owner.system = object.system AND owner.object = object.id
                 AND owner.aspect = 'owner' AND owner.until IS NULL
             WHERE object.system = $1 ORDER BY object.id",
            [system],
            |(id, class, key, state, owner)| {
                if usize::try_from(id).ok() != Some(dictionary.slots.len()) {
                    return Err(StoreError::corrupt(
                        "the names of a system",
                        format!("number {id} is out of line"),
                    ));
                }
                let class = Class::parse(&class)?;
                let number = dictionary.add(class, dictionary.mark(class, &key));
                let slot = dictionary.slot(number);
                slot.state = state.as_deref().map(Digest::from_text).transpose()?.unwrap_or_default();
                if let Some(owner) = owner {
                    slot.had_owner = true;
                    dictionary.owners.insert(number, Digest::from_text(&owner)?);
                }
            }
        );
        Ok(dictionary)
    }

    fn mark(&self, class: Class, key: &str) -> Mark {
        let [one, other] = &self.keys;
        let (one, other) = (one.hash_one((class, key)), other.hash_one((class, key)));
        // Cut to 32 bits each.
        [(one >> 32) as u32, one as u32, other as u32]
    }

    fn find(&self, mark: &Mark) -> Option<u32> {
        self.numbers.find(bucket(mark), |known| known.mark == *mark).map(|known| known.number)
    }

    fn add(&mut self, class: Class, mark: Mark) -> u32 {
        // A dictionary in memory does not reach 2^31 names.
        let number = self.slots.len() as u32;
        self.numbers.insert_unique(bucket(&mark), Marked { mark, number }, |known| bucket(&known.mark));
        self.slots.push(Slot::new(class));
        number
    }

    /// The number of a name, which it keeps for ever.
    pub(crate) fn intern(&mut self, class: Class, key: &str) -> u32 {
        let mark = self.mark(class, key);
        if let Some(number) = self.find(&mark) {
            return number;
        }
        let number = self.add(class, mark);
        self.new_bytes += key.len() + 40;
        self.new.push((number, class.as_str(), key.into()));
        number
    }

    /// The number of a name that has one.
    pub(crate) fn number(&self, class: Class, key: &str) -> Option<u32> {
        self.find(&self.mark(class, key))
    }

    pub(crate) fn slot(&mut self, number: u32) -> &mut Slot {
        &mut self.slots[number as usize]
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The owner that the store held when the enumeration began.
    pub(crate) fn owner(&self, number: u32) -> Digest {
        self.owners.get(&number).copied().unwrap_or_default()
    }
}

/// The accounts that are there and differ only by case from one of these. Every name is in the store by now.
pub(crate) async fn spelled_like(
    tx: &mut Tx,
    system: i64,
    strangers: &HashSet<u32>,
    present: &[bool],
) -> Result<HashSet<u32>> {
    let mut alike = HashSet::new();
    if strangers.is_empty() {
        return Ok(alike);
    }
    let names = names(tx, system, strangers).await?;
    let folded: HashSet<String> = names.into_values().map(|name| name.to_lowercase()).collect();
    for_each_row!(
        tx,
        (i64, String),
        "SELECT id, key FROM object WHERE system = $1 AND class = 'account'",
        [system],
        |(id, name)| {
            let is_present = usize::try_from(id).ok().and_then(|id| present.get(id)).copied();
            if is_present.unwrap_or(false) && folded.contains(&name.to_lowercase()) {
                alike.insert(number(id)?);
            }
        }
    );
    Ok(alike)
}

/// The names of some numbers, for messages. Every name is in the store by now.
pub(crate) async fn names(tx: &mut Tx, system: i64, wanted: &HashSet<u32>) -> Result<HashMap<u32, String>> {
    let mut names = HashMap::with_capacity(wanted.len());
    if wanted.is_empty() {
        return Ok(names);
    }
    let wanted: Vec<i64> = wanted.iter().copied().map(i64::from).collect();
    let rows = fetch_list!(
        tx,
        &wanted[..],
        (i64, String),
        "SELECT id, key FROM object WHERE system = $2 AND id IN (SELECT value FROM ",
        ")",
        system
    )?;
    for (id, name) in rows {
        names.insert(number(id)?, name);
    }
    Ok(names)
}
