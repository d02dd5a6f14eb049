//! The generated organisation: identities, roles, reasons, reviews and what was observed, from one seed.

use clap::ValueEnum;
use leasehold_decide::engine::NEVER;
use rayon::prelude::*;

/// How much each identity holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// About 18 grants an identity, 3.3 role memberships, 1 explicit reason.
    S,
    /// About 90 grants an identity, 5.9 role memberships, 3 explicit reasons.
    L,
}

impl Shape {
    /// Mean entitlements of a role, mean further roles beside birthright ones, and mean explicit reasons, in tenths.
    fn tenths(self) -> (u32, u32, u32) {
        match self {
            Shape::S => (49, 20, 10),
            Shape::L => (149, 46, 30),
        }
    }
}

/// The second in which the benchmark lives; ends before it have passed.
pub const NOW: u32 = 1_800_000_000;

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Copy, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next word.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.word()) * u128::from(bound)) >> 64) as u32
    }

    /// True once in `denominator / numerator` times.
    pub fn chance(&mut self, numerator: u32, denominator: u32) -> bool {
        self.below(denominator) < numerator
    }
}

/// Draws numbers with probability proportional to `1 / (rank + 10)^0.9`: a long tail without one entitlement that everybody has.
struct Zipf {
    cumulative: Vec<f64>,
}

impl Zipf {
    fn new(len: u32) -> Self {
        let mut sum = 0.0;
        let weights = (0..len).map(|rank| (f64::from(rank) + 10.0).powf(-0.9));
        let cumulative = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        Zipf { cumulative }
    }

    fn draw(&self, random: &mut Random) -> u32 {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let point = random.word() as f64 / u64::MAX as f64 * total;
        (self.cumulative.partition_point(|sum| *sum < point) as u32).min(self.cumulative.len() as u32 - 1)
    }
}

/// Sparse rows: `values[offsets[i]..offsets[i + 1]]`.
#[derive(Clone, Debug)]
pub struct Lists<T> {
    /// Start of each row, and the end of the last.
    pub offsets: Vec<u32>,
    /// All rows, one after the other.
    pub values: Vec<T>,
}

impl<T: Copy> Lists<T> {
    fn new() -> Self {
        Lists { offsets: vec![0], values: Vec::new() }
    }

    fn push(&mut self, row: impl IntoIterator<Item = T>) {
        self.values.extend(row);
        self.offsets.push(self.values.len() as u32);
    }

    fn append(&mut self, other: &Lists<T>) {
        let base = self.values.len() as u32;
        self.values.extend_from_slice(&other.values);
        self.offsets.extend(other.offsets[1..].iter().map(|offset| base + offset));
    }

    /// One row.
    #[inline]
    pub fn row(&self, row: u32) -> &[T] {
        &self.values[self.offsets[row as usize] as usize..self.offsets[row as usize + 1] as usize]
    }

    /// Number of rows.
    pub fn len(&self) -> u32 {
        self.offsets.len() as u32 - 1
    }

    /// Every `(row, value)`.
    pub fn pairs(&self) -> impl Iterator<Item = (u32, T)> + '_ {
        (0..self.len()).flat_map(|row| self.row(row).iter().map(move |value| (row, *value)))
    }
}

/// All data of one run.
#[derive(Clone, Debug)]
pub struct Data {
    /// Number of identities.
    pub users: u32,
    /// Number of entitlements.
    pub entitlements: u32,
    /// Entitlements by role, ascending.
    pub roles: Lists<u32>,
    /// `(role, end)` by user.
    pub assignments: Lists<(u32, u32)>,
    /// `(entitlement, end)` by user.
    pub explicit: Lists<(u32, u32)>,
    /// `(user, entitlement)` that a review ended, ascending.
    pub reviews: Vec<(u32, u32)>,
    /// Entitlements by user as observed, ascending.
    pub observed: Lists<u32>,
    /// Pairs of entitlements that nobody may hold together.
    pub toxic: Vec<(u32, u32)>,
}

/// A changed grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantChange {
    /// Whose.
    pub user: u32,
    /// What.
    pub entitlement: u32,
    /// Appeared, not vanished.
    pub added: bool,
}

const USERS_PER_TASK: u32 = 8_192;
const BIRTHRIGHT_ROLES: u32 = 50;

impl Data {
    /// Generates an organisation; the same arguments always give the same one, whatever the number of threads.
    pub fn generate(shape: Shape, users: u32, seed: u64) -> Data {
        let entitlements = (users / 5).max(200);
        let role_count = (users / 100).max(BIRTHRIGHT_ROLES + 10);
        let entitlement_zipf = Zipf::new(entitlements);
        let role_zipf = Zipf::new(role_count - BIRTHRIGHT_ROLES);
        let mut random = Random(seed);
        // Popularity must not follow the numbers, or sorting would already be locality.
        let shuffled = shuffled(entitlements, &mut random);
        let (role_size, _, _) = shape.tenths();
        let mut roles = Lists::new();
        for _ in 0..role_count {
            let size = 1 + random.below(role_size * 2 / 10);
            let mut list: Vec<u32> =
                (0..size).map(|_| shuffled[entitlement_zipf.draw(&mut random) as usize]).collect();
            list.sort_unstable();
            list.dedup();
            roles.push(list);
        }
        let toxic = (0..200)
            .map(|_| {
                let left = shuffled[entitlement_zipf.draw(&mut random) as usize];
                let right = shuffled[entitlement_zipf.draw(&mut random) as usize];
                (left, if left == right { (right + 1) % entitlements } else { right })
            })
            .collect();
        let maker = Maker { shape, seed, entitlements, entitlement_zipf, role_zipf, shuffled, roles: &roles };
        let parts: Vec<Part> = (0..users.div_ceil(USERS_PER_TASK))
            .into_par_iter()
            .map(|task| maker.part(task * USERS_PER_TASK, ((task + 1) * USERS_PER_TASK).min(users)))
            .collect();
        let mut data = Data {
            users,
            entitlements,
            assignments: Lists::new(),
            explicit: Lists::new(),
            reviews: Vec::new(),
            observed: Lists::new(),
            toxic,
            roles: Lists::new(),
        };
        for part in parts {
            data.assignments.append(&part.assignments);
            data.explicit.append(&part.explicit);
            data.reviews.extend_from_slice(&part.reviews);
            data.observed.append(&part.observed);
        }
        data.roles = roles;
        data
    }

    /// Number of observed grants.
    pub fn grants(&self) -> usize {
        self.observed.values.len()
    }

    /// The sizes in words.
    pub fn summary(&self) -> String {
        format!(
            "{} users, {} entitlements, {} roles, {} memberships, {} explicit reasons, {} reviews, {} observed grants, {} toxic pairs",
            self.users,
            self.entitlements,
            self.roles.len(),
            self.assignments.values.len(),
            self.explicit.values.len(),
            self.reviews.len(),
            self.grants(),
            self.toxic.len()
        )
    }

    /// Observed grants as packed `(user, entitlement)`, in random order.
    pub fn snapshot(&self, seed: u64) -> Vec<u64> {
        let mut pairs: Vec<u64> = self
            .observed
            .pairs()
            .map(|(user, entitlement)| (u64::from(user) << 32) | u64::from(entitlement))
            .collect();
        let mut random = Random(seed ^ 0x5EED);
        for position in (1..pairs.len()).rev() {
            pairs.swap(position, random.below(position as u32 + 1) as usize);
        }
        pairs
    }

    /// A batch of changes: half removals of observed grants, half additions of grants not observed, in random order.
    pub fn changes(&self, share: f64, seed: u64) -> Vec<GrantChange> {
        let half = (self.grants() as f64 * share / 2.0) as usize;
        let mut random = Random(seed ^ 0xC4A6);
        let mut seen = std::collections::HashSet::new();
        let mut changes = Vec::with_capacity(2 * half);
        while changes.len() < half {
            let position = random.below(self.grants() as u32);
            let user = self.observed.offsets.partition_point(|offset| *offset <= position) as u32 - 1;
            let entitlement = self.observed.values[position as usize];
            if seen.insert((user, entitlement)) {
                changes.push(GrantChange { user, entitlement, added: false });
            }
        }
        while changes.len() < 2 * half {
            let (user, entitlement) = (random.below(self.users), random.below(self.entitlements));
            if self.observed.row(user).binary_search(&entitlement).is_err()
                && seen.insert((user, entitlement))
            {
                changes.push(GrantChange { user, entitlement, added: true });
            }
        }
        for position in (1..changes.len()).rev() {
            changes.swap(position, random.below(position as u32 + 1) as usize);
        }
        changes
    }
}

fn shuffled(len: u32, random: &mut Random) -> Vec<u32> {
    let mut numbers: Vec<u32> = (0..len).collect();
    for position in (1..len).rev() {
        numbers.swap(position as usize, random.below(position + 1) as usize);
    }
    numbers
}

struct Maker<'a> {
    shape: Shape,
    seed: u64,
    entitlements: u32,
    entitlement_zipf: Zipf,
    role_zipf: Zipf,
    shuffled: Vec<u32>,
    roles: &'a Lists<u32>,
}

struct Part {
    assignments: Lists<(u32, u32)>,
    explicit: Lists<(u32, u32)>,
    reviews: Vec<(u32, u32)>,
    observed: Lists<u32>,
}

impl Maker<'_> {
    fn part(&self, start: u32, end: u32) -> Part {
        let mut part = Part {
            assignments: Lists::new(),
            explicit: Lists::new(),
            reviews: Vec::new(),
            observed: Lists::new(),
        };
        for user in start..end {
            self.user(user, &mut part);
        }
        part
    }

    fn user(&self, user: u32, part: &mut Part) {
        let mut random = Random(self.seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ (u64::from(user) << 20));
        let (_, roles, explicit) = self.shape.tenths();
        let mut assignments: Vec<(u32, u32)> = Vec::new();
        let end = |random: &mut Random, expired: bool| {
            if expired {
                NOW - 1 - random.below(10_000_000)
            } else if random.chance(1, 5) {
                NOW + 1 + random.below(30_000_000)
            } else {
                NEVER
            }
        };
        for _ in 0..1 + u32::from(random.chance(3, 10)) {
            assignments.push((random.below(BIRTHRIGHT_ROLES), NEVER));
        }
        for _ in 0..count(roles, &mut random) {
            let role = BIRTHRIGHT_ROLES + self.role_zipf.draw(&mut random);
            let expired = random.chance(1, 100);
            assignments.push((role, end(&mut random, expired)));
        }
        assignments.sort_unstable();
        assignments.dedup_by_key(|assignment| assignment.0);

        let mut held: Vec<u32> = Vec::new();
        let mut justified: Vec<u32> = Vec::new();
        for (role, end) in &assignments {
            if NOW < *end {
                justified.extend_from_slice(self.roles.row(*role));
            }
        }
        let mut reasons: Vec<(u32, u32)> = Vec::new();
        for _ in 0..count(explicit, &mut random) {
            let entitlement = self.popular(&mut random);
            let expired = random.chance(1, 10);
            reasons.push((entitlement, end(&mut random, expired)));
            if !expired {
                justified.push(entitlement);
            } else if random.chance(1, 2) {
                held.push(entitlement);
            }
        }
        reasons.sort_unstable();
        reasons.dedup_by_key(|reason| reason.0);
        justified.sort_unstable();
        justified.dedup();
        for entitlement in justified {
            if random.chance(1, 1_000) {
                part.reviews.push((user, entitlement));
                if random.chance(1, 2) {
                    held.push(entitlement);
                }
            } else if !random.chance(5, 1_000) {
                held.push(entitlement);
            }
            if random.chance(5, 1_000) {
                held.push(self.popular(&mut random));
            }
        }
        held.sort_unstable();
        held.dedup();
        debug_assert!(held.iter().all(|entitlement| *entitlement < self.entitlements));
        part.assignments.push(assignments);
        part.explicit.push(reasons);
        part.observed.push(held);
    }

    fn popular(&self, random: &mut Random) -> u32 {
        self.shuffled[self.entitlement_zipf.draw(random) as usize]
    }
}

/// A whole number with the given mean in tenths, spread evenly from zero to twice the mean.
fn count(mean_tenths: u32, random: &mut Random) -> u32 {
    (random.below(mean_tenths * 2 + 10)) / 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_data_and_another_gives_other_data() {
        let first = Data::generate(Shape::S, 2_000, 1);
        let again = Data::generate(Shape::S, 2_000, 1);
        assert_eq!(first.observed.values, again.observed.values);
        assert_ne!(first.observed.values, Data::generate(Shape::S, 2_000, 2).observed.values);
    }

    #[test]
    fn shapes_have_about_the_grants_they_promise() {
        for (shape, low, high) in [(Shape::S, 15, 22), (Shape::L, 75, 105)] {
            let data = Data::generate(shape, 20_000, 3);
            let per_user = data.grants() / 20_000;
            assert!((low..=high).contains(&per_user), "{shape:?}: {per_user}");
            assert!(
                (0..data.users).all(|user| data.observed.row(user).is_sorted_by(|left, right| left < right))
            );
        }
    }

    #[test]
    fn changes_fit_what_is_observed() {
        let data = Data::generate(Shape::S, 5_000, 4);
        let changes = data.changes(0.01, 4);
        assert!(changes.len() > 500);
        for change in changes {
            let held = data.observed.row(change.user).binary_search(&change.entitlement).is_ok();
            assert_eq!(held, !change.added);
        }
    }
}
