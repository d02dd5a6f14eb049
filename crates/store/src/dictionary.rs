//! The names of one system in memory while it is enumerated: which number each has, and whether it was there before.
//!
//! Memory grows with the number of names (about 150 bytes each), not with the number of grants.

use std::collections::{HashMap, HashSet};

use leasehold_model::account::{Account, LastUse};
use leasehold_model::credential::Credential;
use sha2::{Digest as _, Sha256};

use crate::db::{Tx, for_each_row, to_json};
use crate::error::{Result, StoreError};

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
    /// The owner that the store held then.
    pub owner: Digest,
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
            owner: Digest::default(),
            seen: false,
            holds: false,
            changed: false,
            used: false,
            owner_seen: false,
            owner_changed: false,
        }
    }
}

/// The names of one system.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    numbers: [HashMap<Box<str>, u32>; Class::ALL.len()],
    slots: Vec<Slot>,
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
                let mut slot = Slot::new(Class::parse(&class)?);
                slot.state = state.as_deref().map(Digest::from_text).transpose()?.unwrap_or_default();
                slot.owner = owner.as_deref().map(Digest::from_text).transpose()?.unwrap_or_default();
                if usize::try_from(id).ok() != Some(dictionary.slots.len()) {
                    return Err(StoreError::corrupt(
                        "the names of a system",
                        format!("number {id} is out of line"),
                    ));
                }
                dictionary.numbers[slot.class as usize].insert(key.into(), dictionary.slots.len() as u32);
                dictionary.slots.push(slot);
            }
        );
        Ok(dictionary)
    }

    /// The number of a name, which it keeps for ever.
    pub(crate) fn intern(&mut self, class: Class, key: &str) -> u32 {
        if let Some(number) = self.numbers[class as usize].get(key) {
            return *number;
        }
        // A dictionary in memory does not reach 2^31 names.
        let number = self.slots.len() as u32;
        self.numbers[class as usize].insert(key.into(), number);
        self.slots.push(Slot::new(class));
        self.new_bytes += key.len() + 40;
        self.new.push((number, class.as_str(), key.into()));
        number
    }

    /// The number of a name that has one.
    pub(crate) fn number(&self, class: Class, key: &str) -> Option<u32> {
        self.numbers[class as usize].get(key).copied()
    }

    pub(crate) fn slot(&mut self, number: u32) -> &mut Slot {
        &mut self.slots[number as usize]
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The accounts that are there and differ only by case from one of these.
    pub(crate) fn spelled_like(&self, strangers: &HashSet<u32>, present: &[bool]) -> HashSet<u32> {
        if strangers.is_empty() {
            return HashSet::new();
        }
        let accounts = &self.numbers[Class::Account as usize];
        let folded: HashSet<String> = accounts
            .iter()
            .filter(|(_, number)| strangers.contains(number))
            .map(|(name, _)| name.to_lowercase())
            .collect();
        accounts
            .iter()
            .filter(|(_, number)| present.get(**number as usize).copied().unwrap_or(false))
            .filter(|(name, _)| folded.contains(&name.to_lowercase()))
            .map(|(_, number)| *number)
            .collect()
    }

    /// The name of one number, for a message about what is rare.
    pub(crate) fn name(&self, wanted: u32) -> &str {
        let of_class = self.slots.get(wanted as usize).map(|slot| &self.numbers[slot.class as usize]);
        let mut names = of_class.into_iter().flatten();
        names.find(|(_, number)| **number == wanted).map_or("?", |(name, _)| name)
    }

    /// The names of some numbers, for messages: one pass over everything, so it is asked for many at once.
    pub(crate) fn names(&self, wanted: &HashSet<u32>) -> HashMap<u32, &str> {
        if wanted.is_empty() {
            return HashMap::new();
        }
        let all = self.numbers.iter().flatten();
        all.filter(|(_, number)| wanted.contains(number)).map(|(key, number)| (*number, &**key)).collect()
    }
}
