//! One event of the log and its exact bytes: canonical JSON with a fixed set of members.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::canonical::{self, CanonicalError};

/// The largest entry in bytes that an entry bundle can hold: its length is a 16 bit number (C2SP tlog-tiles).
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;

/// What happened, when and to what.
///
/// The tree takes the bytes of [`Entry::to_bytes`] as they are. Personal data does not belong in `body`: put a commitment into
/// `commitments` (see [`crate::commitment`]) and keep the value beside the log, so that it can be erased.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What kind of event it is, in the application's words; reports count entries by it.
    pub kind: String,
    /// When it happened, RFC 3339.
    pub at: String,
    /// What it is about: an identifier, not personal data.
    pub subject: String,
    /// The event's own fields. Numbers are integers within ±(2^53 - 1).
    pub body: Value,
    /// Salted commitments to values that are kept outside the log, by name.
    pub commitments: BTreeMap<String, String>,
}

/// Why an entry cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The kind is empty.
    #[error("an entry about {subject:?} has an empty kind; every entry names its kind")]
    EmptyKind {
        /// The subject of the entry.
        subject: String,
    },
    /// The time is not RFC 3339.
    #[error(
        "an entry of kind {kind:?} has the time {at:?}; write it as RFC 3339, such as 2026-01-31T09:30:00Z"
    )]
    Time {
        /// The kind of the entry.
        kind: String,
        /// The time as given.
        at: String,
    },
    /// The body has no canonical form.
    #[error("the body of an entry of kind {kind:?} has no canonical form: {source}")]
    Canonical {
        /// The kind of the entry.
        kind: String,
        /// What was found and where.
        source: CanonicalError,
    },
    /// The entry is larger than a bundle can hold.
    #[error(
        "an entry of kind {kind:?} has {bytes} bytes, at most {ENTRY_BYTES_MAX} fit; log a digest of the large part instead"
    )]
    TooLarge {
        /// The kind of the entry.
        kind: String,
        /// Its size in bytes.
        bytes: usize,
    },
    /// The bytes are not the JSON of an entry.
    #[error("these {bytes} bytes are not an entry: {source}")]
    Json {
        /// How many bytes were given.
        bytes: usize,
        /// What the JSON reader said.
        source: serde_json::Error,
    },
    /// The bytes are an entry, but not in canonical form.
    #[error(
        "an entry of kind {kind:?} is not in canonical form (RFC 8785); it was written by another program or changed"
    )]
    NotCanonical {
        /// The kind of the entry.
        kind: String,
    },
}

impl Entry {
    /// The bytes that are logged: canonical JSON (RFC 8785), always with all five members.
    ///
    /// # Errors
    /// [`EntryError`] when the kind is empty, the time is not RFC 3339, a number is not an integer, or the result is larger than
    /// [`ENTRY_BYTES_MAX`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, EntryError> {
        if self.kind.is_empty() {
            return Err(EntryError::EmptyKind { subject: self.subject.clone() });
        }
        if !is_rfc_3339(&self.at) {
            return Err(EntryError::Time { kind: self.kind.clone(), at: self.at.clone() });
        }
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"at\":");
        canonical::write_string(&self.at, &mut out);
        out.extend_from_slice(b",\"body\":");
        canonical::write(&self.body, &mut out)
            .map_err(|source| EntryError::Canonical { kind: self.kind.clone(), source })?;
        out.extend_from_slice(b",\"commitments\":");
        let commitments =
            self.commitments.iter().map(|(name, value)| (name.clone(), Value::String(value.clone())));
        canonical::write(&Value::Object(commitments.collect()), &mut out)
            .map_err(|source| EntryError::Canonical { kind: self.kind.clone(), source })?;
        out.extend_from_slice(b",\"kind\":");
        canonical::write_string(&self.kind, &mut out);
        out.extend_from_slice(b",\"subject\":");
        canonical::write_string(&self.subject, &mut out);
        out.push(b'}');
        if out.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::TooLarge { kind: self.kind.clone(), bytes: out.len() });
        }
        Ok(out)
    }

    /// Reads the bytes of [`Entry::to_bytes`] back.
    ///
    /// # Errors
    /// [`EntryError`] when the bytes are not JSON, have other members, or are not in canonical form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EntryError> {
        let entry: Entry = serde_json::from_slice(bytes)
            .map_err(|source| EntryError::Json { bytes: bytes.len(), source })?;
        // Repeated members, other spellings of a string and other orders all show as other bytes.
        if entry.to_bytes()? == bytes {
            Ok(entry)
        } else {
            Err(EntryError::NotCanonical { kind: entry.kind })
        }
    }
}

/// Whether the text is a date and time of RFC 3339, section 5.6.
fn is_rfc_3339(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some((date_time, rest)) = bytes.split_at_checked(19) else { return false };
    let number = |from: usize, to: usize| -> Option<u32> {
        date_time[from..to]
            .iter()
            .try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
    };
    let separated = date_time[4] == b'-'
        && date_time[7] == b'-'
        && matches!(date_time[10], b'T' | b't')
        && date_time[13] == b':'
        && date_time[16] == b':';
    let (Some(year), Some(month), Some(day)) = (number(0, 4), number(5, 7), number(8, 10)) else {
        return false;
    };
    let (Some(hour), Some(minute), Some(second)) = (number(11, 13), number(14, 16), number(17, 19)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let zone = match rest.split_first() {
        Some((b'.', fraction)) => {
            let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            &fraction[digits..]
        }
        _ => rest,
    };
    let zone_is_good = match zone {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) && (*h1, *h2) <= (b'2', b'3') && *m1 <= b'5'
        }
        _ => false,
    };
    separated
        && (1..=12).contains(&month)
        && (1..=days).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 60
        && zone_is_good
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn example() -> Entry {
        Entry {
            kind: "action.verified".into(),
            at: "2026-02-28T23:59:60.5+01:00".into(),
            subject: "action/01J".into(),
            body: json!({ "z": [1, null], "a": { "system": "directory" } }),
            commitments: BTreeMap::from([("account".into(), "sha256:00".into())]),
        }
    }

    #[test]
    fn bytes_are_canonical_and_read_back() {
        let bytes = example().to_bytes().expect("a good entry");
        let expected = concat!(
            r#"{"at":"2026-02-28T23:59:60.5+01:00","body":{"a":{"system":"directory"},"z":[1,null]},"#,
            r#""commitments":{"account":"sha256:00"},"kind":"action.verified","subject":"action/01J"}"#
        );
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
        assert_eq!(Entry::from_bytes(&bytes).expect("reads back"), example());
    }

    #[test]
    fn other_spellings_of_the_same_entry_are_refused() {
        let bytes = example().to_bytes().expect("a good entry");
        let text = String::from_utf8(bytes).expect("UTF-8");
        for other in [
            text.replace(",\"kind\"", ", \"kind\""),
            text.replace("directory", "\\u0064irectory"),
            text.replace("{\"at\":", "{\"at\":\"2026-01-01T00:00:00Z\",\"at\":"),
            text.replace("\"z\":[1,null]", "\"z\":[1,null],\"a\":1"),
            format!("{text}\n"),
        ] {
            assert!(Entry::from_bytes(other.as_bytes()).is_err(), "accepted {other}");
        }
    }

    #[test]
    fn an_entry_that_is_too_large_names_its_kind_and_size() {
        let mut entry = example();
        entry.body = json!("x".repeat(70_000));
        let message = entry.to_bytes().expect_err("too large").to_string();
        assert!(
            message.contains("action.verified") && message.contains("701") && message.contains("65535"),
            "{message}"
        );
    }

    #[test]
    fn times_are_rfc_3339() {
        for good in ["2026-01-31T09:30:00Z", "2024-02-29t00:00:00.123456789z", "2000-02-29T23:59:59-23:59"] {
            assert!(is_rfc_3339(good), "{good}");
        }
        for bad in [
            "",
            "2026-01-31",
            "2026-01-31 09:30:00Z",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-10T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T09:30:00",
            "2026-01-31T09:30:00.Z",
            "2026-01-31T09:30:00+1:00",
            "2026-01-31T09:30:00+24:00",
            "2026-01-31T09:30:00Zx",
            "20é6-01-31T09:30:00Z",
        ] {
            assert!(!is_rfc_3339(bad), "{bad}");
        }
    }
}
