//! Texts from outside made harmless before people see them: whatever moves, hides or reorders is spelled out.

/// Characters that move the cursor, recolour, hide or reorder what is shown, and those of Unicode's tag block, which
/// nobody sees.
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{e0000}'..='\u{e007f}')
}

/// A text with every character spelled out that is `harmful`: `\u{1b}`.
pub fn escaped(text: &str, harmful: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if harmful(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// A text from outside, such as a name in a target, on one line and with everything harmful spelled out.
pub fn safe(text: impl std::fmt::Display) -> String {
    escaped(&text.to_string(), is_harmful)
}
