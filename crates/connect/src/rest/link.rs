//! The `Link` header (RFC 8288): which page comes next.

/// The target of the first link whose relations name `next`; `None` where there is none.
pub(super) fn next(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, after) = after.split_once('>')?;
        let end = end_of_parameters(after);
        if parameters(&after[..end]).any(|(name, value)| {
            name.eq_ignore_ascii_case("rel")
                && value.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next"))
        }) {
            return Some(target.trim());
        }
        rest = &after[end..];
    }
    None
}

/// Where the comma is that parts one link from the next: the first outside of quotes.
fn end_of_parameters(text: &str) -> usize {
    split_outside_quotes(text, b',').next().map_or(0, str::len)
}

fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    split_outside_quotes(text, b';').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        Some((name.trim(), value.trim().trim_matches('"')))
    })
}

/// The parts of a text between a byte that is not quoted. No character of more bytes holds an ASCII one.
fn split_outside_quotes(text: &str, at: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        let mut escaped = false;
        let found = text.bytes().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                byte => return byte == at && !quoted,
            }
            false
        });
        match found {
            Some(found) => {
                rest = Some(&text[found + 1..]);
                Some(&text[..found])
            }
            None => rest.take(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn the_next_page_is_found_among_other_links() {
        for (header, found) in [
            (r#"<https://a.example/?page=2>; rel="next""#, Some("https://a.example/?page=2")),
            (r#"<?page=1>; rel="first", <?page=3>; rel="next", <?page=9>; rel="last""#, Some("?page=3")),
            (r#"<?a=1,2>; title="one, \"two\"; rel=next"; rel=prev,</b>;REL="up Next""#, Some("/b")),
            (r#"<?page=1>; rel="prev""#, None),
            ("<unclosed; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next(header), found, "{header}");
        }
    }
}
