//! Values in the form in which the databases take and give them.

use crate::error::{Result, StoreError};

/// Numbers as a JSON array, the form in which SQLite takes a list.
pub(crate) fn json_list(numbers: &[i64]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(numbers.len() * 16 + 2);
    text.push('[');
    for (position, number) in numbers.iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{number}");
    }
    text.push(']');
    text
}

/// Rows as a JSON array of arrays.
pub(crate) fn json_rows<T: serde::Serialize>(rows: &[T]) -> Result<String> {
    serde_json::to_string(rows).map_err(|error| StoreError::corrupt("rows to be written", error))
}

/// Numbered texts as a JSON array of arrays.
pub(crate) fn json_texts<'a>(rows: &'a [(i64, Vec<u8>)]) -> Result<String> {
    let text = |(number, bytes): &'a (i64, Vec<u8>)| match std::str::from_utf8(bytes) {
        Ok(text) => Ok((*number, text)),
        Err(error) => Err(StoreError::corrupt("a text to be written", error)),
    };
    json_rows(&rows.iter().map(text).collect::<Result<Vec<(i64, &str)>>>()?)
}

/// A JSON text for a column.
pub(crate) fn to_json<T: serde::Serialize>(what: &str, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::corrupt(what, error))
}

/// A JSON text from a column.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoreError::corrupt(what, error))
}

/// An instant as it is stored: microseconds since 1970.
pub(crate) fn micros(at: jiff::Timestamp) -> i64 {
    at.as_microsecond()
}

/// An instant as it was stored.
pub(crate) fn instant(micros: i64) -> Result<jiff::Timestamp> {
    jiff::Timestamp::from_microsecond(micros)
        .map_err(|error| StoreError::corrupt(format!("the instant {micros}"), error))
}

/// A count as it is shown. Counts in the store are never negative.
pub(crate) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A count as it is stored.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A text that PostgreSQL can hold: it refuses NUL, which nothing stops a target from sending.
pub(crate) fn without_nul(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}
