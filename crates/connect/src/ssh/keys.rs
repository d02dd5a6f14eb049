//! The lines of an `authorized_keys` file: read, stopped, brought back and removed, with every other line left as it is.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// Stands before a line that is disabled; sshd takes it for a comment.
pub(super) const MARKER: &str = "#leasehold-disabled ";

/// One key of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// The line is not behind the marker.
    pub enabled: bool,
    pub expires_at: Option<Timestamp>,
    pub comment: String,
    /// The other options, each as it is written.
    pub options: Vec<String>,
}

/// What becomes of the lines of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Enable,
    Disable,
    Remove,
}

/// The key of a line; `None` for an empty line or a comment.
///
/// # Errors
/// Where a line is neither, nor a key.
pub(super) fn parse(line: &str) -> Result<Option<Key>, &'static str> {
    let line = line.trim();
    let (line, enabled) = match line.strip_prefix(MARKER) {
        Some(line) => (line, false),
        None if line.is_empty() || line.starts_with('#') => return Ok(None),
        None => (line, true),
    };
    let (first, rest) = split_word(line);
    let (options, sort, rest) = if is_key_type(first) {
        ("", first, rest)
    } else {
        let (sort, rest) = split_word(rest);
        (first, sort, rest)
    };
    let (blob, comment) = split_word(rest);
    if !is_key_type(sort) {
        return Err("holds no key of a kind that is known");
    }
    let bytes = STANDARD.decode(blob).map_err(|_| "holds a key that is not base64")?;
    let fingerprint = format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&bytes)));
    let mut key =
        Key { fingerprint, enabled, expires_at: None, comment: comment.to_owned(), options: Vec::new() };
    for option in split_options(options) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if name.eq_ignore_ascii_case("expiry-time") {
            key.expires_at = Some(time(value.trim_matches('"')).ok_or("has an expiry-time that is none")?);
        } else if !option.is_empty() {
            key.options.push(option.to_owned());
        }
    }
    Ok(Some(key))
}

/// The file with every line of a key changed; `None` where nothing had to be.
pub(super) fn change(content: &str, fingerprint: &str, change: Change) -> Option<String> {
    let mut changed = String::with_capacity(content.len() + MARKER.len());
    let mut is_changed = false;
    for line in content.split_inclusive('\n') {
        match parse(line) {
            Ok(Some(key)) if key.fingerprint == fingerprint => match (change, key.enabled) {
                (Change::Remove, _) => is_changed = true,
                (Change::Disable, true) => {
                    is_changed = true;
                    changed.push_str(MARKER);
                    changed.push_str(line.trim_start());
                }
                (Change::Enable, false) => {
                    is_changed = true;
                    changed.push_str(line.trim_start().strip_prefix(MARKER).unwrap_or(line));
                }
                _ => changed.push_str(line),
            },
            _ => changed.push_str(line),
        }
    }
    is_changed.then_some(changed)
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|start| word.starts_with(start))
}

/// The first word, where white space in quotes separates nothing, and what follows it.
fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_at(unquoted(text, char::is_whitespace).unwrap_or(text.len()));
    (word, rest.trim_start())
}

fn split_options(mut text: &str) -> Vec<&str> {
    let mut options = Vec::new();
    while let Some(at) = unquoted(text, |letter| letter == ',') {
        options.push(&text[..at]);
        text = &text[at + 1..];
    }
    options.push(text);
    options
}

/// Where such a letter stands outside of `"…"`, in which `\"` is a quote of the text.
fn unquoted(text: &str, is_wanted: impl Fn(char) -> bool) -> Option<usize> {
    let (mut quoted, mut before) = (false, ' ');
    for (at, letter) in text.char_indices() {
        if letter == '"' && before != '\\' {
            quoted = !quoted;
        } else if !quoted && is_wanted(letter) {
            return Some(at);
        }
        before = letter;
    }
    None
}

/// `YYYYMMDD[HHMM[SS]][Z]`, as sshd and sudo write times. Without the `Z` it is of the host's zone, which is not known here: the
/// latest instant that it may be is taken, so that nothing counts as past that may still work.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    const HOURS_BEHIND_MAX: i64 = 12;
    let (digits, is_utc) = match text.strip_suffix('Z') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let padded = match digits.len() {
        8 => format!("{digits}000000"),
        12 => format!("{digits}00"),
        14 => digits.to_owned(),
        _ => return None,
    };
    let civil = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", padded).ok()?;
    let instant = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    if is_utc {
        Some(instant)
    } else {
        instant.checked_add(jiff::SignedDuration::from_hours(HOURS_BEHIND_MAX)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"expiry-time="20300101000000Z",command="echo \"a, b\"" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me at  home"#;

    #[test]
    fn options_and_comments_are_taken_apart() {
        let key = parse(LINE).unwrap().unwrap();
        assert_eq!(key.expires_at, Some("2030-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(key.options, [r#"command="echo \"a, b\"""#]);
        assert_eq!(key.comment, "me at  home");
        assert!(key.enabled);
    }

    #[test]
    fn a_stopped_key_comes_back_as_it_was_and_other_lines_stay() {
        let file = format!("# of me\n{LINE}\n\nssh-ed25519 AAAA other\n");
        let fingerprint = parse(LINE).unwrap().unwrap().fingerprint;
        let stopped = change(&file, &fingerprint, Change::Disable).unwrap();
        assert!(!parse(stopped.lines().nth(1).unwrap()).unwrap().unwrap().enabled);
        assert_eq!(change(&stopped, &fingerprint, Change::Disable), None);
        assert_eq!(change(&stopped, &fingerprint, Change::Enable).unwrap(), file);
        let without = "# of me\n\nssh-ed25519 AAAA other\n";
        assert_eq!(change(&stopped, &fingerprint, Change::Remove).unwrap(), without);
        assert_eq!(change(without, &fingerprint, Change::Remove), None);
    }

    #[test]
    fn a_key_in_a_comment_is_not_that_key() {
        let fingerprint = parse("ssh-ed25519 AAAA").unwrap().unwrap().fingerprint;
        assert_eq!(change("ssh-ed25519 BBBB AAAA\n", &fingerprint, Change::Remove), None);
        assert!(parse("what is this").is_err());
    }
}
