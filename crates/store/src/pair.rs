//! Pairs of interned names on their way into the store: sorted runs, packed into pages of bytes.
//!
//! An enumeration may bring a hundred million grants in any order. They are collected, sorted and written out in runs
//! of bounded size, and merged against what the store holds: an external merge sort, with memory that does not grow.

use crate::error::{Result, StoreError};

/// A holder and what it holds, by their numbers in the system's dictionary: an account and an entitlement, or an
/// entitlement and one that it contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pair {
    pub holder: u32,
    pub held: u32,
}

impl Pair {
    /// One number for a statement: the holder in the upper half. Numbers of a dictionary stay below 2^31.
    pub(crate) fn packed(self) -> i64 {
        (i64::from(self.holder) << 32) | i64::from(self.held)
    }
}

/// A pair as it was read, with what the system keeps beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StagedPair {
    pub pair: Pair,
    pub qualifier: Option<Box<str>>,
}

/// Sorts by pair and keeps the order of arrival among equals, so that the first stays the first.
pub(crate) fn sort(pairs: &mut [StagedPair]) {
    pairs.sort_by_key(|staged| staged.pair);
}

fn write_number(mut number: u32, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read_number(bytes: &mut &[u8]) -> Result<u32> {
    let mut number = 0u32;
    for shift in (0..32).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or_else(|| damaged("it ends too early"))?;
        *bytes = rest;
        number |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(damaged("a number is too long"))
}

fn damaged(why: &str) -> StoreError {
    StoreError::corrupt("a page of staged pairs", why)
}

/// Packs sorted pairs: the distance of each holder from the one before, what is held, and the qualifier's length plus
/// one (0 for none) with its text. LEB128 numbers; about three bytes for a pair.
pub(crate) fn encode(pairs: &[StagedPair]) -> Vec<u8> {
    let mut out = Vec::with_capacity(pairs.len() * 4);
    let mut holder = 0;
    for staged in pairs {
        write_number(staged.pair.holder - holder, &mut out);
        holder = staged.pair.holder;
        write_number(staged.pair.held, &mut out);
        match &staged.qualifier {
            None => write_number(0, &mut out),
            Some(text) => {
                write_number(u32::try_from(text.len() + 1).unwrap_or(u32::MAX), &mut out);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
    out
}

/// Unpacks what [`encode`] packed.
pub(crate) fn decode(mut bytes: &[u8]) -> Result<Vec<StagedPair>> {
    let bytes = &mut bytes;
    let mut pairs = Vec::with_capacity(bytes.len() / 4);
    let mut holder = 0u32;
    while !bytes.is_empty() {
        holder = holder
            .checked_add(read_number(bytes)?)
            .ok_or_else(|| damaged("a holder's number is too large"))?;
        let held = read_number(bytes)?;
        let qualifier = match read_number(bytes)? as usize {
            0 => None,
            length => {
                let (text, rest) =
                    bytes.split_at_checked(length - 1).ok_or_else(|| damaged("it ends too early"))?;
                *bytes = rest;
                Some(std::str::from_utf8(text).map_err(|_| damaged("a qualifier is not UTF-8"))?.into())
            }
        };
        pairs.push(StagedPair { pair: Pair { holder, held }, qualifier });
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged(holder: u32, held: u32, qualifier: Option<&str>) -> StagedPair {
        StagedPair { pair: Pair { holder, held }, qualifier: qualifier.map(Into::into) }
    }

    #[test]
    fn pages_read_back() {
        let pairs = vec![
            staged(0, 0, None),
            staged(0, 127, Some("")),
            staged(0, 128, Some("{\"options\":\"ä\"}")),
            staged(70_000, 1, None),
            staged(i32::MAX as u32, i32::MAX as u32, None),
        ];
        let bytes = encode(&pairs);
        assert_eq!(decode(&bytes).expect("reads back"), pairs);
        for end in 1..bytes.len() {
            // A page that was cut is refused or shorter, never a panic and never the same.
            assert_ne!(decode(&bytes[..end]).ok().as_ref(), Some(&pairs), "cut at {end}");
        }
    }

    #[test]
    fn the_first_of_equal_pairs_stays_first() {
        let mut pairs =
            vec![staged(2, 1, Some("a")), staged(1, 9, None), staged(2, 1, Some("b")), staged(2, 0, None)];
        sort(&mut pairs);
        let order: Vec<_> = pairs.iter().map(|staged| staged.qualifier.as_deref()).collect();
        assert_eq!(order, [None, None, Some("a"), Some("b")]);
    }
}
