//! Pages of long lists: a limit, and an opaque cursor that names the last row of the page before.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wrong;
use crate::error::WebError;

/// Rows on a page where nobody says.
const ROWS_DEFAULT: usize = 100;
/// Rows on a page at most.
const ROWS_MAX: usize = 500;

/// The rows of a page.
///
/// # Errors
/// [`WebError::Invalid`] where there are none or too many.
pub(crate) fn rows(limit: Option<u32>) -> Result<usize, WebError> {
    match limit.map(|limit| limit as usize) {
        None => Ok(ROWS_DEFAULT),
        Some(rows @ 1..=ROWS_MAX) => Ok(rows),
        Some(_) => Err(wrong("limit", format!("write a number from 1 to {ROWS_MAX}"))),
    }
}

/// What a cursor names; `None` for the first page.
///
/// # Errors
/// [`WebError::Invalid`] where it is none of this list's.
pub(crate) fn after<K: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<K>, WebError> {
    let Some(cursor) = cursor.filter(|cursor| !cursor.is_empty()) else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let key = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    key.map(Some)
        .ok_or_else(|| wrong("cursor", "take the cursor from `next` of the page before, of the same list"))
}

/// The cursor that names a row.
pub(crate) fn cursor(key: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
}

/// Takes a page from rows that stand in the order of their keys: those after `after`.
pub(crate) fn page<'rows, Row: 'rows, Key: Ord + Serialize>(
    rows: &'rows [Row],
    limit: usize,
    after: Option<Key>,
    key: impl Fn(&'rows Row) -> Key,
    wanted: impl Fn(&'rows Row) -> bool,
) -> (Vec<&'rows Row>, Option<String>) {
    let from = after.map_or(0, |after| {
        // Partition point by hand: the standard one hands out rows of a shorter life than the keys may borrow.
        let (mut low, mut high) = (0, rows.len());
        while low < high {
            let middle = low.midpoint(high);
            if key(&rows[middle]) <= after { low = middle + 1 } else { high = middle }
        }
        low
    });
    let mut found: Vec<&Row> = rows[from..].iter().filter(|row| wanted(row)).take(limit + 1).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| cursor(&key(last)));
    (found, next)
}
