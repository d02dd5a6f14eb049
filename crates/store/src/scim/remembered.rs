//! Resources as they stood at the newest change, so that a question for one by its id need only ask whether anything has changed
//! since, and whether whoever asks may: a tenth of what reading it anew costs.
//!
//! Every transaction that writes what was pushed raises one number in the store. What is remembered counts for exactly that
//! number: a change by any other process makes all of it worthless, one of our own is followed. Where a store tells that nothing
//! at all was committed since it was asked last, it need not even be asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use jiff::Timestamp;

use super::{ScimAuthority, ScimPlace, ScimResource};
use crate::commit_mark::CommitMark;

/// More of one type in one system is not remembered, in bytes: what came first goes first.
const BYTES_MAX: usize = 32 << 20;
/// What an entry takes beside its texts, about.
const ENTRY_BYTES: usize = 500;
/// And a group in it.
const GROUP_BYTES: usize = 200;
/// So many authorities are known to hold at once; who comes then is asked about each time.
const IN_FORCE_MAX: usize = 64;

/// What is remembered: resources without members, each with its text as it was sent.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<AtOneChange>);

#[derive(Debug, Default)]
struct AtOneChange {
    change: i64,
    /// By type and system.
    places: HashMap<&'static str, HashMap<String, OfPlace>>,
    /// How the store stood when this was its newest change, and who might ask then.
    proof: Option<Proof>,
}

/// What statements have said between which nothing was committed.
#[derive(Debug)]
struct Proof {
    mark: CommitMark,
    in_force: Vec<InForce>,
}

/// Whose authority held for a system, and until when if nothing changes.
#[derive(Debug)]
struct InForce {
    by: ScimAuthority,
    system: String,
    until: Timestamp,
}

#[derive(Debug, Default)]
struct OfPlace {
    bytes: usize,
    /// By id, each with the number of its coming.
    resources: HashMap<String, (u64, Arc<ScimResource>)>,
    /// Who came when; what came again or is forgotten stands here still.
    order: VecDeque<(u64, String)>,
    came: u64,
}

/// What one transaction of ours made of a resource.
pub(super) enum Followed {
    /// It stands so now.
    Now(ScimPlace, Arc<ScimResource>),
    /// It is another than it was.
    Forget(ScimPlace, String),
    /// These of a system are, of whatever type.
    ForgetAny(String, Vec<String>),
    /// So are others.
    ForgetAll,
}

impl Remembered {
    fn lock(&self) -> MutexGuard<'_, AtOneChange> {
        // What a panic left behind is whole: every step is one insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all of these are remembered. What is may be out of date: [`Self::at`] says.
    pub fn has_all<'a>(&self, place: &ScimPlace, mut ids: impl Iterator<Item = &'a str>) -> bool {
        let known = self.lock();
        known.of_place(place).is_some_and(|of_place| ids.all(|id| of_place.resources.contains_key(id)))
    }

    /// These as they stand at a change, where that is what is remembered, and all of them are.
    pub fn at(
        &self,
        change: i64,
        place: &ScimPlace,
        ids: &[&str],
    ) -> Option<std::collections::HashMap<String, Arc<ScimResource>>> {
        let known = self.lock();
        let of_place = known.of_place(place)?;
        let is_valid = known.change == change;
        let found = ids.iter().map(|id| of_place.resources.get_key_value(*id));
        let found = found.map(|found| found.map(|(id, (_, resource))| (id.clone(), resource.clone())));
        is_valid.then(|| found.collect()).flatten()
    }

    /// Notes what was read at a change.
    pub fn note<'a>(
        &self,
        change: i64,
        place: &ScimPlace,
        resources: impl Iterator<Item = &'a Arc<ScimResource>>,
    ) {
        let mut known = self.lock();
        if change > known.change {
            known.forget_all(change);
        }
        if change == known.change {
            resources.for_each(|resource| known.put(place, resource.clone()));
        }
    }

    /// Notes that this was the newest change, and an authority in force, in a statement that began after the store had been
    /// marked so.
    pub fn prove(
        &self,
        mark: CommitMark,
        change: i64,
        by: &ScimAuthority,
        place: &ScimPlace,
        until: Timestamp,
    ) {
        let mut known = self.lock();
        if known.change != change {
            return;
        }
        if known.proof.as_ref().is_none_or(|proof| proof.mark != mark) {
            known.proof = Some(Proof { mark, in_force: Vec::new() });
        }
        let Some(proof) = &mut known.proof else { return };
        let is_new = |known: &InForce| known.by != *by || known.system != place.system;
        if proof.in_force.len() < IN_FORCE_MAX && proof.in_force.iter().all(is_new) {
            proof.in_force.push(InForce { by: by.clone(), system: place.system.clone(), until });
        }
    }

    /// A resource as the store has it now, which is marked so: where nothing was committed since the store said that this
    /// authority holds, and what is remembered was its newest change.
    pub fn proven(
        &self,
        mark: CommitMark,
        by: &ScimAuthority,
        place: &ScimPlace,
        id: &str,
        now: Timestamp,
    ) -> Option<Arc<ScimResource>> {
        let known = self.lock();
        let proof = known.proof.as_ref().filter(|proof| proof.mark == mark)?;
        let holds = |known: &InForce| known.by == *by && known.system == place.system && now < known.until;
        if !proof.in_force.iter().any(holds) {
            return None;
        }
        let (_, resource) = known.of_place(place)?.resources.get(id)?;
        Some(resource.clone())
    }

    /// Follows a transaction of ours, which is this change.
    pub fn follow(&self, change: i64, followed: Vec<Followed>) {
        let mut known = self.lock();
        if change > known.change + 1 {
            known.forget_all(change);
        }
        if change < known.change {
            return;
        }
        known.change = change;
        known.proof = None;
        for followed in followed {
            match followed {
                Followed::Now(place, resource) => known.put(&place, resource),
                Followed::Forget(place, id) => known.forget(&place, &id),
                Followed::ForgetAny(system, ids) => known.forget_any(&system, &ids),
                Followed::ForgetAll => known.forget_all(change),
            }
        }
    }
}

impl AtOneChange {
    fn forget_all(&mut self, change: i64) {
        *self = Self { change, ..Self::default() };
    }

    fn of_place(&self, place: &ScimPlace) -> Option<&OfPlace> {
        self.places.get(place.kind)?.get(&place.system)
    }

    fn forget(&mut self, place: &ScimPlace, id: &str) {
        let of_place = self.places.get_mut(place.kind).and_then(|of_kind| of_kind.get_mut(&place.system));
        if let Some(of_place) = of_place {
            of_place.forget(id);
        }
    }

    fn forget_any(&mut self, system: &str, ids: &[String]) {
        for of_place in self.places.values_mut().filter_map(|of_kind| of_kind.get_mut(system)) {
            ids.iter().for_each(|id| of_place.forget(id));
        }
    }

    fn put(&mut self, place: &ScimPlace, resource: Arc<ScimResource>) {
        let of_kind = self.places.entry(place.kind).or_default();
        of_kind.entry(place.system.clone()).or_default().put(resource);
    }
}

impl OfPlace {
    fn forget(&mut self, id: &str) {
        if let Some((_, resource)) = self.resources.remove(id) {
            self.bytes -= bytes(&resource);
        }
    }

    fn put(&mut self, resource: Arc<ScimResource>) {
        self.forget(&resource.id);
        self.bytes += bytes(&resource);
        self.came += 1;
        self.order.push_back((self.came, resource.id.clone()));
        self.resources.insert(resource.id.clone(), (self.came, resource));
        while self.bytes > BYTES_MAX {
            let Some((came, id)) = self.order.pop_front() else { break };
            if self.resources.get(&id).is_some_and(|(last, _)| *last == came) {
                self.forget(&id);
            }
        }
        if self.order.len() > 2 * self.resources.len() + 64 {
            let resources = &self.resources;
            self.order.retain(|(came, id)| resources.get(id).is_some_and(|(last, _)| last == came));
        }
    }
}

fn bytes(resource: &ScimResource) -> usize {
    // The text that is sent is kept, too, and a little longer.
    let groups =
        resource.groups.iter().map(|group| group.id.len() + group.display.as_ref().map_or(0, String::len));
    let groups: usize = groups.map(|bytes| 2 * bytes + GROUP_BYTES).sum();
    2 * resource.document.len() + 2 * resource.id.len() + groups + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::super::Sent;
    use super::*;

    fn place() -> ScimPlace {
        ScimPlace { system: "hr".to_owned(), kind: "User", has_members: false, member_of: Some("Group") }
    }

    fn user(id: &str, version: i64) -> Arc<ScimResource> {
        let at = Timestamp::UNIX_EPOCH;
        let document = format!("{{\"id\":\"{id}\"}}");
        Arc::new(ScimResource {
            id: id.to_owned(),
            document: document.into(),
            version,
            created_at: at,
            changed_at: at,
            members: Vec::new(),
            groups: Vec::new(),
            sent: Sent::default(),
        })
    }

    fn version(remembered: &Remembered, change: i64, id: &str) -> Option<i64> {
        Some(remembered.at(change, &place(), &[id])?[id].version)
    }

    #[test]
    fn what_is_remembered_counts_for_one_change_only() {
        let remembered = Remembered::default();
        remembered.note(5, &place(), [user("ada", 1)].iter());
        assert!(remembered.has_all(&place(), ["ada"].into_iter()));
        assert!(!remembered.has_all(&place(), ["ada", "eve"].into_iter()));
        assert_eq!(version(&remembered, 5, "ada"), Some(1));
        assert_eq!(version(&remembered, 6, "ada"), None, "somebody else has changed something");
        assert_eq!(version(&remembered, 4, "ada"), None, "whoever asks sees an older state");
        remembered.note(7, &place(), [user("eve", 1)].iter());
        assert_eq!(version(&remembered, 7, "ada"), None);
        remembered.note(6, &place(), [user("ada", 1)].iter());
        assert_eq!(
            version(&remembered, 7, "ada"),
            None,
            "what was read before a change is not true after it"
        );
        assert_eq!(version(&remembered, 7, "eve"), Some(1));
    }

    #[test]
    fn changes_of_our_own_are_followed() {
        let remembered = Remembered::default();
        remembered.note(5, &place(), [user("ada", 1), user("eve", 1), user("tom", 1)].iter());
        let forget = Followed::Forget(place(), "eve".to_owned());
        remembered.follow(6, vec![Followed::Now(place(), user("ada", 2)), forget]);
        assert_eq!(version(&remembered, 6, "ada"), Some(2));
        assert_eq!(version(&remembered, 6, "eve"), None);
        assert_eq!(version(&remembered, 6, "tom"), Some(1));
        let elsewhere = Followed::ForgetAny("portal".to_owned(), vec!["ada".to_owned()]);
        remembered.follow(7, vec![elsewhere, Followed::ForgetAny("hr".to_owned(), vec!["tom".to_owned()])]);
        assert_eq!((version(&remembered, 7, "ada"), version(&remembered, 7, "tom")), (Some(2), None));
        remembered.follow(8, vec![Followed::Now(place(), user("tom", 1))]);
        // Another process made change 9.
        remembered.follow(10, vec![Followed::Now(place(), user("ada", 4))]);
        assert_eq!(version(&remembered, 10, "tom"), None);
        assert_eq!(version(&remembered, 10, "ada"), Some(4));
        // Somebody has read change 11 before this process has noted its own change 11.
        remembered.note(11, &place(), [user("ada", 5)].iter());
        remembered.follow(11, vec![Followed::Now(place(), user("ada", 5)), Followed::ForgetAll]);
        assert_eq!(version(&remembered, 11, "ada"), None);
    }

    #[test]
    fn nothing_is_proved_but_what_was_asked_about_since_the_last_commit() {
        let by = |token: &str| ScimAuthority { token: token.to_owned(), owner_version: 1 };
        let (okta, entra, until) = (by("okta"), by("entra"), Timestamp::UNIX_EPOCH);
        let before = until.checked_sub(jiff::SignedDuration::from_secs(1)).expect("an instant");
        let [one, two] = [1, 2].map(CommitMark::numbered);
        let remembered = Remembered::default();
        let proven = |mark: CommitMark, by: &ScimAuthority, id: &str, now: Timestamp| {
            remembered.proven(mark, by, &place(), id, now).map(|resource| resource.version)
        };
        remembered.note(5, &place(), [user("ada", 1)].iter());
        assert_eq!(proven(one, &okta, "ada", before), None, "nobody was asked about");
        remembered.prove(one, 5, &okta, &place(), until);
        assert_eq!(proven(one, &okta, "ada", before), Some(1));
        assert_eq!(proven(one, &okta, "ada", until), None, "the authority ends then");
        assert_eq!(proven(one, &entra, "ada", before), None, "another authority");
        assert_eq!(proven(one, &okta, "eve", before), None, "what is not remembered");
        assert_eq!(proven(two, &okta, "ada", before), None, "something was committed");
        let elsewhere = ScimPlace { system: "portal".to_owned(), ..place() };
        assert_eq!(remembered.proven(one, &okta, &elsewhere, "ada", before), None);
        // A statement that saw an older or newer state than what is remembered proves nothing.
        remembered.prove(two, 4, &entra, &place(), until);
        remembered.prove(two, 6, &entra, &place(), until);
        assert_eq!(proven(two, &entra, "ada", before), None);
        remembered.prove(two, 5, &entra, &place(), until);
        assert_eq!((proven(two, &entra, "ada", before), proven(two, &okta, "ada", before)), (Some(1), None));
        remembered.follow(6, vec![Followed::Now(place(), user("ada", 2))]);
        assert_eq!(proven(two, &entra, "ada", before), None, "we have committed something");
        remembered.prove(one, 6, &entra, &place(), until);
        remembered.note(7, &place(), [user("ada", 3)].iter());
        assert_eq!(proven(one, &entra, "ada", before), None, "somebody else has");
    }

    #[test]
    fn it_takes_no_more_memory_than_it_may() {
        let remembered = Remembered::default();
        for number in 0..3_000 {
            let mut large = Arc::unwrap_or_clone(user(&number.to_string(), 1));
            large.document = "x".repeat(25 << 10).into();
            remembered.note(1, &place(), [Arc::new(large)].iter());
        }
        let change_of_one = user("2999", 2);
        for _ in 0..3_000 {
            remembered.note(1, &place(), [change_of_one.clone()].iter());
        }
        let known = remembered.lock();
        let of_place = known.of_place(&place()).expect("the place");
        let held: usize = of_place.resources.values().map(|(_, resource)| bytes(resource)).sum();
        assert_eq!(held, of_place.bytes);
        assert!(held <= BYTES_MAX && of_place.resources.len() > 500, "{held} bytes");
        assert!(of_place.order.len() < 3 * of_place.resources.len());
        assert!(of_place.resources.contains_key("2998") && !of_place.resources.contains_key("0"));
    }
}
