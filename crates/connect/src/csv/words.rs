//! Texts that become part of a fact: UTF-8 without a NUL byte, which no store keeps.

use super::table::text;

/// A field as a text that can be kept, or what to do about it.
///
/// # Errors
/// What is wrong and how to mend it.
pub fn word(field: &[u8]) -> Result<&str, String> {
    let found = text(field)?;
    match found.find('\0') {
        None => Ok(found),
        Some(at) => Err(format!(
            "`{}` holds a NUL byte after {at} bytes, which no store can keep; export it again, or set `encoding` where \
             the file is UTF-16",
            found.escape_debug()
        )),
    }
}
