//! The invented people: names, departments, titles, managers and where each stands in working life.

use std::collections::BTreeMap;

use jiff::civil::Date;
use leasehold_model::Timestamp;
use leasehold_model::id::IdentityKey;
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState, Unsaid};

use super::dice::Dice;

/// A department: its name, and its titles in the order in which they are filled, again and again.
pub(super) struct Department {
    pub(super) name: &'static str,
    /// Out of how many people the share is counted is the sum over all departments.
    share: usize,
    titles: &'static [&'static str],
}

const fn department(name: &'static str, share: usize, titles: &'static [&'static str]) -> Department {
    Department { name, share, titles }
}

/// Titles that a role or a planted finding needs come first, so that the smallest company has them.
pub(super) const DEPARTMENTS: &[Department] = &[
    department(
        "Payments",
        4,
        &["Payments Engineer", "Senior Payments Engineer", "Payments Engineer", "Product Manager"],
    ),
    department(
        "Platform",
        4,
        &[
            "Site Reliability Engineer",
            "Platform Engineer",
            "Database Administrator",
            "Senior Platform Engineer",
        ],
    ),
    department(
        "Finance",
        4,
        &[
            "Accounts Payable Clerk",
            "Financial Controller",
            "Accountant",
            "Accounts Payable Clerk",
            "Senior Accountant",
        ],
    ),
    department("Sales", 5, &["Account Executive", "Account Executive", "Sales Manager", "Account Executive"]),
    department("Support", 4, &["Support Agent", "Support Lead", "Support Agent", "Support Agent"]),
    department("People", 1, &["People Partner", "Recruiter"]),
    department("Legal", 1, &["Counsel"]),
    department("Security", 2, &["Security Engineer", "Security Analyst"]),
    department("IT", 2, &["IT Administrator", "Help Desk Technician", "Help Desk Technician"]),
];

const GIVEN_NAMES: &[&str] = &[
    "Adira", "Belno", "Corva", "Dellan", "Emrin", "Fenna", "Galio", "Hesper", "Ilvar", "Jorin", "Kelda",
    "Lumis", "Maren", "Nela", "Orlan", "Pella", "Quenby", "Rasmo", "Selka", "Tavin", "Ulani", "Vesna",
    "Wendel", "Xanti", "Yorin", "Zella", "Anwick", "Brisa", "Cadoc", "Dorit", "Elowin", "Farrow",
];

const FAMILY_NAMES: &[&str] = &[
    "Alder",
    "Barley",
    "Cobble",
    "Dapple",
    "Elmwood",
    "Fennel",
    "Gravel",
    "Hawthorn",
    "Inkwell",
    "Juniper",
    "Kettle",
    "Larkspur",
    "Marsh",
    "Nettle",
    "Oakum",
    "Pebble",
    "Quill",
    "Rowan",
    "Saltmarsh",
    "Thistle",
    "Umber",
    "Vetch",
    "Willow",
    "Yarrow",
    "Ashlar",
    "Bramble",
    "Clover",
    "Driftwood",
    "Ember",
    "Foxglove",
    "Gorse",
    "Hazel",
    "Ironwood",
    "Jasper",
    "Kelp",
    "Linden",
    "Meadow",
    "Nimbus",
    "Onyx",
    "Plover",
];

const LOCATIONS: &[&str] = &["Harbourton", "Millford", "Northwick"];

/// The company's people, all active, heads of department first. The first one leads the company.
pub(super) fn hire(dice: &mut Dice, people: usize, as_of: Timestamp) -> Vec<Identity> {
    let mut names = Names { dice: dice.clone(), taken: BTreeMap::new() };
    // The names use dice of their own; these move on, so that both streams stay apart.
    dice.roll();
    let mut hired: Vec<Identity> = Vec::with_capacity(people);
    let mut hire_one = |dice: &mut Dice, department: &str, title: &str, manager: Option<IdentityKey>| {
        let (given_name, family_name, local) = names.next();
        let email = format!("{local}@example.com");
        let number = format!("E{:05}", 1000 + hired.len());
        let location = LOCATIONS[dice.below(LOCATIONS.len())];
        let attributes = [
            ("email", email.as_str()),
            ("employee_number", &number),
            ("given_name", &given_name),
            ("family_name", &family_name),
            ("title", title),
            ("department", department),
            ("location", location),
        ];
        let identity = Identity {
            key: IdentityKey(email.clone()),
            kind: IdentityKind::Person,
            state: LifecycleState::Active,
            start: Some(days_from(as_of, -dice.between(200, 3000))),
            end: None,
            manager,
            owner: None,
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            unsaid: Unsaid::default(),
        };
        let key = identity.key.clone();
        hired.push(identity);
        key
    };
    let chief = hire_one(dice, "Executive", "Chief Executive", None);
    let heads: Vec<IdentityKey> = DEPARTMENTS
        .iter()
        .map(|department| {
            let title = format!("Head of {}", department.name);
            hire_one(dice, department.name, &title, Some(chief.clone()))
        })
        .collect();
    let shares: usize = DEPARTMENTS.iter().map(|department| department.share).sum();
    let rest = people.saturating_sub(1 + heads.len());
    let mut filled = vec![0; DEPARTMENTS.len()];
    for place in 0..rest {
        // The first places go round once, so that no department is empty; then by share.
        let index = if place < DEPARTMENTS.len() {
            place
        } else {
            let mut ticket = dice.below(shares);
            DEPARTMENTS
                .iter()
                .position(|department| {
                    let here = ticket < department.share;
                    ticket = ticket.saturating_sub(department.share);
                    here
                })
                .unwrap_or(0)
        };
        let department = &DEPARTMENTS[index];
        let title = department.titles[filled[index] % department.titles.len()];
        filled[index] += 1;
        hire_one(dice, department.name, title, Some(heads[index].clone()));
    }
    hired
}

/// Somebody who starts now in a department below its head, with a name and number that nobody has.
pub(super) fn hire_one_more(
    dice: &mut Dice,
    people: &BTreeMap<IdentityKey, Identity>,
    now: Timestamp,
) -> Identity {
    let taken = people.keys().filter_map(|key| key.as_str().split_once('@'));
    let mut names =
        Names { dice: dice.clone(), taken: taken.map(|(local, _)| (local.to_owned(), 1)).collect() };
    dice.roll();
    let (given_name, family_name, local) = loop {
        let name = names.next();
        if !people.contains_key(&IdentityKey(format!("{}@example.com", name.2))) {
            break name;
        }
    };
    let department = &DEPARTMENTS[dice.below(DEPARTMENTS.len())];
    let head = format!("Head of {}", department.name);
    let head = people.values().find(|identity| identity.attribute("title") == Some(&head));
    let email = format!("{local}@example.com");
    let attributes = [
        ("email", email.as_str()),
        ("employee_number", &format!("E{:05}", 1000 + people.len())),
        ("given_name", &given_name),
        ("family_name", &family_name),
        ("title", department.titles[dice.below(department.titles.len())]),
        ("department", department.name),
        ("location", LOCATIONS[dice.below(LOCATIONS.len())]),
    ];
    Identity {
        key: IdentityKey(email.clone()),
        kind: IdentityKind::Person,
        state: LifecycleState::Active,
        start: Some(now),
        end: None,
        manager: head.map(|head| head.key.clone()),
        owner: None,
        attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        unsaid: Unsaid::default(),
    }
}

/// The instant `days` later than `from`, earlier where negative.
pub(super) fn days_from(from: Timestamp, days: i64) -> Timestamp {
    from.checked_add(jiff::SignedDuration::from_hours(24 * days)).unwrap_or(from)
}

/// The day of an instant in UTC.
pub(super) fn day_of(instant: Timestamp) -> Date {
    instant.to_zoned(jiff::tz::TimeZone::UTC).date()
}

struct Names {
    dice: Dice,
    taken: BTreeMap<String, usize>,
}

impl Names {
    /// Given name, family name and the local part of the mail address, which nobody else has.
    fn next(&mut self) -> (String, String, String) {
        let given = GIVEN_NAMES[self.dice.below(GIVEN_NAMES.len())];
        let family = FAMILY_NAMES[self.dice.below(FAMILY_NAMES.len())];
        let mut local = format!("{}.{}", given.to_lowercase(), family.to_lowercase());
        let holders = self.taken.entry(local.clone()).or_insert(0);
        *holders += 1;
        if *holders > 1 {
            local.push_str(&holders.to_string());
        }
        (given.to_owned(), family.to_owned(), local)
    }
}
