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

/// A share in whole percent; what is not quite all or not quite nothing does not look so.
pub(crate) fn percent(part: usize, whole: usize) -> String {
    if whole == 0 {
        return "unknown".to_owned();
    }
    let share = part as f64 * 100.0 / whole as f64;
    if part > 0 && share < 1.0 {
        "under 1 %".to_owned()
    } else if part < whole && share > 99.0 {
        "over 99 %".to_owned()
    } else {
        format!("{share:.0} %")
    }
}

#[cfg(test)]
mod tests {
    use super::{count, number, percent};

    #[test]
    fn numbers_read_well() {
        for (value, text) in [(0u64, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(value), text);
        }
        assert_eq!(count(1, "grant"), "1 grant");
        assert_eq!(count(2_000, "grant"), "2,000 grants");
        for (part, whole, text) in
            [(0, 0, "unknown"), (0, 5, "0 %"), (1, 500, "under 1 %"), (499, 500, "over 99 %"), (1, 2, "50 %")]
        {
            assert_eq!(percent(part, whole), text);
        }
    }
}
