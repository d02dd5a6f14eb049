//! Numbers for people.

/// A number with its thousands set apart: `1,234`.
pub(crate) fn number(value: impl TryInto<u64>) -> String {
    let digits = value.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with what it counts: `1 item`, `2,000 items`.
pub(crate) fn count(value: usize, what: &str) -> String {
    format!("{} {what}{}", number(value as u64), if value == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::{count, number};

    #[test]
    fn numbers_read_well() {
        for (value, text) in [(0u64, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(value), text);
        }
        assert_eq!(count(1, "grant"), "1 grant");
        assert_eq!(count(2_000, "grant"), "2,000 grants");
    }
}
