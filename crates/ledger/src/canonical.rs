//! Canonical JSON after RFC 8785, for values whose numbers are integers.
//!
//! RFC 8785 writes every number as an IEEE 754 double. Integers up to 2^53 - 1 in magnitude come out the same everywhere; anything else
//! is refused here, so that no two programs can disagree on the bytes. Text carries a number that does not fit.

use serde_json::Value;

/// The largest magnitude of an integer that RFC 8785 represents exactly (RFC 7493, section 2.2).
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// How deep arrays and objects may be nested, so that neither writing nor reading can exhaust the stack.
pub const DEPTH_MAX: usize = 96;

/// Why a value has no canonical form here.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CanonicalError {
    /// A number is not an integer within ±(2^53 - 1).
    #[error("number {number} at {pointer} is not an integer within ±9007199254740991; write it as a string")]
    Number {
        /// JSON pointer of the number.
        pointer: String,
        /// The number as it was given.
        number: String,
    },
    /// Arrays and objects are nested too deep.
    #[error("nested more than {DEPTH_MAX} levels deep at {pointer}; flatten the value")]
    TooDeep {
        /// JSON pointer of the value that is too deep.
        pointer: String,
    },
}

/// Appends the canonical form of `value` to `out`.
///
/// # Errors
/// [`CanonicalError`] with the JSON pointer of the part that has no canonical form.
pub fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    write_at(value, &mut Vec::new(), out)
}

fn write_at<'v>(value: &'v Value, path: &mut Vec<Step<'v>>, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    if path.len() > DEPTH_MAX {
        return Err(CanonicalError::TooDeep { pointer: pointer(path) });
    }
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            let fits = number.as_i64().is_some_and(|n| n.unsigned_abs() <= INTEGER_MAX);
            if !fits {
                return Err(CanonicalError::Number { pointer: pointer(path), number: number.to_string() });
            }
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                path.push(Step::Item(i));
                write_at(item, path, out)?;
                path.pop();
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            // RFC 8785, section 3.2.3: names are ordered by UTF-16 code units, which differs from UTF-8 order beyond U+FFFF.
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (i, (name, member)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(name, out);
                out.push(b':');
                path.push(Step::Member(name));
                write_at(member, path, out)?;
                path.pop();
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// Writes a string with the escapes of RFC 8785, section 3.2.2.2: the short ones where they exist, `\u00xx` for the other controls.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            0x00..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// One step of a JSON pointer.
enum Step<'v> {
    Item(usize),
    Member(&'v str),
}

/// Renders a JSON pointer (RFC 6901).
fn pointer(path: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in path {
        text.push('/');
        match step {
            Step::Item(i) => text.push_str(&i.to_string()),
            Step::Member(name) => text.push_str(&name.replace('~', "~0").replace('/', "~1")),
        }
    }
    if text.is_empty() { "the top".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn canonical(value: &Value) -> Result<String, CanonicalError> {
        let mut out = Vec::new();
        write(value, &mut out)?;
        Ok(String::from_utf8(out).expect("canonical JSON is UTF-8"))
    }

    #[test]
    fn strings_and_order_follow_rfc_8785() {
        // The property names of RFC 8785, section 3.2.3, in their required order: U+1F600 sorts before U+FB33 by UTF-16 code units.
        let value = json!({ "\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7 });
        let expected =
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}";
        assert_eq!(canonical(&value).as_deref(), Ok(expected));
        let escapes = json!("\u{20ac}$\u{f}\nA'B\"\\\\\"/");
        assert_eq!(canonical(&escapes).as_deref(), Ok("\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\""));
    }

    #[test]
    fn numbers_that_programs_may_read_differently_are_refused() {
        assert_eq!(
            canonical(&json!([0, -7, 9_007_199_254_740_991_i64])).as_deref(),
            Ok("[0,-7,9007199254740991]")
        );
        for (value, number) in
            [(json!({"a": [1.5]}), "1.5"), (json!({"a": [9_007_199_254_740_992_u64]}), "9007199254740992")]
        {
            let error = canonical(&value).expect_err("refused");
            assert_eq!(error, CanonicalError::Number { pointer: "/a/0".into(), number: number.into() });
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = (0..=DEPTH_MAX).fold(json!(1), |inner, _| json!([inner]));
        assert!(matches!(canonical(&deep), Err(CanonicalError::TooDeep { .. })));
    }
}
