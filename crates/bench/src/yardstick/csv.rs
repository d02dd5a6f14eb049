//! The ingest floor: parse `user,entitlement` decimal rows and sort them into packed pairs.

/// Parses rows after a header line. Only what the generator wrote is understood: this is a floor, not a reader.
pub fn parse(text: &[u8]) -> Vec<u64> {
    let start = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
    let mut pairs = Vec::with_capacity(text.len() / 13);
    let (mut user, mut number) = (0u64, 0u64);
    for byte in &text[start..] {
        match byte {
            b',' => {
                user = number;
                number = 0;
            }
            b'\n' => {
                pairs.push((user << 32) | number);
                number = 0;
            }
            digit => number = number * 10 + u64::from(digit.wrapping_sub(b'0')),
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    #[test]
    fn rows_are_packed() {
        assert_eq!(super::parse(b"user,entitlement\n1,2\n30,4\n"), [(1 << 32) | 2, (30 << 32) | 4]);
    }
}
