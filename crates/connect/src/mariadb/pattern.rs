//! The server's patterns of hosts and databases: `%` is any text, `_` any letter, and after `\` a letter means itself.

/// Whether a text fits a pattern.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // Whether the part of the pattern that was looked at fits the first letters of the text.
    let mut fits = vec![false; text.len() + 1];
    fits[0] = true;
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        let mut next = vec![false; text.len() + 1];
        if letter == '%' {
            let mut any = false;
            for (at, next) in next.iter_mut().enumerate() {
                any |= fits[at];
                *next = any;
            }
        } else {
            let wanted = match letter {
                '_' => None,
                '\\' => Some(letters.next().unwrap_or('\\')),
                letter => Some(letter),
            };
            for (at, found) in text.iter().enumerate() {
                next[at + 1] = fits[at] && wanted.is_none_or(|wanted| wanted == *found);
            }
        }
        fits = next;
    }
    fits[text.len()]
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_backslash_takes_the_meaning_from_a_letter() {
        for (pattern, text, expected) in [
            ("app%", "app_x", true),
            ("app_x", "appyx", true),
            (r"app\_x", "appyx", false),
            (r"app\_x", "app_x", true),
            (r"a\%", "a%", true),
            (r"a\%", "ab", false),
            ("%a%b", "xaayb", true),
            ("%a%b", "xaay", false),
            ("", "", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
