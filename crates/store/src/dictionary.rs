//! The names of one system while it is enumerated: which number each has, and whether it was there before.
//!
//! In memory a name takes some four bytes, however long it is, and nothing for its grants: two bytes of what is known of it,
//! and its share of what finds its mark of 12 bytes in a temporary file. The names themselves are in the store; where one has to
//! be told, it is read from there.

use std::collections::{HashMap, HashSet};

use bitflags::bitflags;
use leasehold_model::account::{Account, LastUse};
use leasehold_model::credential::Credential;
use leasehold_model::id::IdentityKey;
use leasehold_spill::{Mark, MarkTable, Marker, RecordList};
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
    const BYTES: usize = 20;

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

    /// Whether the two differ in more than use.
    pub(crate) fn differs_lastingly(self, other: Self) -> bool {
        self.lasting != other.lasting
    }

    pub(crate) fn to_text(self) -> String {
        hex::encode(self.lasting) + &hex::encode(self.use_of_it)
    }

    fn from_text(text: &str) -> Result<Self> {
        let mut digest = [0; Self::BYTES];
        // Rows from before use was told apart hold 16 bytes.
        let length = if text.len() == 32 { 16 } else { Self::BYTES };
        hex::decode_to_slice(text, &mut digest[..length])
            .map_err(|error| StoreError::corrupt("a digest", error))?;
        Ok(Self::from_bytes(&digest))
    }

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.lasting);
        bytes[16..].copy_from_slice(&self.use_of_it);
        bytes
    }

    /// Of the 20 bytes that it was.
    fn from_bytes(bytes: &[u8]) -> Self {
        let (mut lasting, mut use_of_it) = ([0; 16], [0; 4]);
        lasting.copy_from_slice(&bytes[..16]);
        use_of_it.copy_from_slice(&bytes[16..]);
        Self { lasting, use_of_it }
    }
}

fn first_bytes<const LENGTH: usize>(body: &str) -> [u8; LENGTH] {
    let mut first = [0; LENGTH];
    first.copy_from_slice(&Sha256::digest(body.as_bytes())[..LENGTH]);
    first
}

bitflags! {
    /// What is known of one name.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Known: u8 {
        /// The store held a state when the enumeration began.
        const WAS_THERE = 1;
        /// The store held an owner then.
        const HAD_OWNER = 1 << 1;
        /// This enumeration has told its state.
        const SEEN = 1 << 2;
        /// This enumeration has told a grant to it.
        const HOLDS = 1 << 3;
        /// What it told differs from what the store held, in more than use.
        const CHANGED = 1 << 4;
        /// It was used since; nothing else changed.
        const USED = 1 << 5;
        /// This enumeration has told its owner.
        const OWNER_SEEN = 1 << 6;
        /// The owner differs from what the store held.
        const OWNER_CHANGED = 1 << 7;
    }
}

/// One name's place in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub class: Class,
    pub known: Known,
}

impl Slot {
    pub(crate) fn is(self, known: Known) -> bool {
        self.known.contains(known)
    }
}

/// The key that identities are compared by.
fn folded(class: Class, key: &str) -> Option<String> {
    (class == Class::Identity).then(|| IdentityKey::from(key).folded())
}

/// The digests that the store held of one name: of its state, then of its owner.
const DIGESTS_BYTES: usize = 2 * Digest::BYTES;

/// The names of one system.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    marker: Marker,
    numbers: MarkTable,
    slots: Vec<Slot>,
    /// What the store held when the enumeration began, by number.
    before: RecordList<DIGESTS_BYTES>,
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
                let number = dictionary.add(class, &key)?;
                let mut before = [0; DIGESTS_BYTES];
                let (of_state, of_owner) = before.split_at_mut(Digest::BYTES);
                for (digest, known, to) in
                    [(state, Known::WAS_THERE, of_state), (owner, Known::HAD_OWNER, of_owner)]
                {
                    if let Some(digest) = digest {
                        dictionary.note(number, known);
                        to.copy_from_slice(&Digest::from_text(&digest)?.to_bytes());
                    }
                }
                dictionary.before.push(&before).map_err(StoreError::Spill)?;
            }
        );
        Ok(dictionary)
    }

    fn mark(&self, class: Class, key: &str) -> Mark {
        self.marker.mark((class, key))
    }

    fn add(&mut self, class: Class, key: &str) -> Result<u32> {
        // A dictionary does not reach 2^31 names.
        let number = self.slots.len() as u32;
        self.numbers.add(self.mark(class, key), number).map_err(StoreError::Spill)?;
        if let Some(folded) = folded(class, key) {
            let mark = self.spelled(&folded);
            if folded != key && self.find(&mark)?.is_none() {
                self.numbers.add(mark, number).map_err(StoreError::Spill)?;
            }
        }
        self.slots.push(Slot { class, known: Known::empty() });
        Ok(number)
    }

    /// The mark of however an identity's key is spelled.
    fn spelled(&self, folded: &str) -> Mark {
        self.marker.mark(("spelled", folded))
    }

    fn find(&self, mark: &Mark) -> Result<Option<u32>> {
        self.numbers.find(mark).map_err(StoreError::Spill)
    }

    /// The number of a name, which it keeps for ever.
    pub(crate) fn intern(&mut self, class: Class, key: &str) -> Result<u32> {
        if let Some(number) = self.number(class, key)? {
            return Ok(number);
        }
        let number = self.add(class, key)?;
        self.new_bytes += key.len() + 40;
        self.new.push((number, class.as_str(), key.into()));
        Ok(number)
    }

    /// The number of a name that has one. An identity is the same one in whatever case its source spells its key.
    pub(crate) fn number(&self, class: Class, key: &str) -> Result<Option<u32>> {
        if let Some(number) = self.find(&self.mark(class, key))? {
            return Ok(Some(number));
        }
        let Some(folded) = folded(class, key) else { return Ok(None) };
        match self.find(&self.mark(class, &folded))? {
            Some(number) => Ok(Some(number)),
            None => self.find(&self.spelled(&folded)),
        }
    }

    /// Notes something of a name.
    pub(crate) fn note(&mut self, number: u32, known: Known) {
        self.slots[number as usize].known |= known;
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The state and the owner that the store held when the enumeration began; absent where it held none.
    pub(crate) fn before(&mut self, number: u32) -> Result<(Digest, Digest)> {
        let there = Known::WAS_THERE | Known::HAD_OWNER;
        if !self.slots[number as usize].known.intersects(there) {
            return Ok(Default::default());
        }
        let before = self.before.get(number as usize).map_err(StoreError::Spill)?;
        let before = before.ok_or_else(|| {
            StoreError::corrupt("the names of a system", format!("nothing is known of number {number}"))
        })?;
        let (state, owner) = before.split_at(Digest::BYTES);
        Ok((Digest::from_bytes(state), Digest::from_bytes(owner)))
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
