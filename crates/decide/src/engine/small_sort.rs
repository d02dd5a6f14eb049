//! Sorts the short rows of which a graph has millions: every value's place is counted, so there is no branch to mistake.

/// Stands where no value is; indices stay below it.
const NONE: i32 = i32::MAX;

/// Sorts values below 2^31 - 1 and drops duplicates; returns how many are left, which then come first.
pub(crate) fn sort_and_dedup(values: &mut [u32]) -> usize {
    match values.len() {
        0..=1 => values.len(),
        2..=8 => by_places::<8>(values),
        9..=16 => by_places::<16>(values),
        17..=24 => by_places::<24>(values),
        25..=32 => by_places::<32>(values),
        _ => {
            values.sort_unstable();
            let mut len = 1;
            for read in 1..values.len() {
                let value = values[read];
                values[len] = value;
                len += usize::from(value != values[len - 1]);
            }
            len
        }
    }
}

/// A value's place is the number of lesser ones. Equal values share a place and leave the next ones open.
fn by_places<const LANES: usize>(values: &mut [u32]) -> usize {
    let mut lanes = [NONE; LANES];
    for (lane, value) in lanes.iter_mut().zip(values.iter()) {
        *lane = *value as i32;
    }
    let mut places = [0i32; LANES];
    for lesser in &lanes[..values.len().min(LANES)] {
        for (place, lane) in places.iter_mut().zip(&lanes) {
            *place += i32::from(lesser < lane);
        }
    }
    let mut sorted = [NONE; LANES];
    for (place, lane) in places.iter().zip(&lanes).take(values.len()) {
        sorted[*place as usize % LANES] = *lane;
    }
    let mut len = 0;
    for value in &sorted[..values.len().min(LANES)] {
        values[len] = *value as u32;
        len += usize::from(*value != NONE);
    }
    len
}

#[cfg(test)]
mod tests {
    #[test]
    fn short_and_long_rows_are_sorted_without_duplicates() {
        let mut random = 9u64;
        let mut below = |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % bound
        };
        for round in 0..4_000usize {
            let bound = [3, 40, (1 << 31) - 2][round % 3];
            let mut values: Vec<u32> = (0..round % 70).map(|_| below(bound) as u32).collect();
            let mut expected = values.clone();
            expected.sort_unstable();
            expected.dedup();
            let len = super::sort_and_dedup(&mut values);
            assert_eq!(values[..len], expected);
        }
    }
}
