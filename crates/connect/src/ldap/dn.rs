//! Distinguished names: one spelling for all that a directory means as the same name (RFC 4514, RFC 4518).
//!
//! Directories compare names without regard to case and to repeated spaces, accept several ways to escape, and
//! hand back whichever was stored. Comparing the texts would miss members.

/// A distinguished name in its one spelling: for comparing only, never for sending.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NormalDn(String);

impl NormalDn {
    /// Reads a name; `None` where it is not one, as the empty text that `groupOfNames` is sometimes filled with.
    pub fn parse(text: &str) -> Option<Self> {
        let mut normal = String::with_capacity(text.len());
        for relative in split(text, |c| c == ',' || c == ';') {
            let mut pairs = split(relative, |c| c == '+').map(pair).collect::<Option<Vec<_>>>()?;
            // A name of several parts (`cn=a+uid=b`) means the same in any order.
            pairs.sort();
            if !normal.is_empty() {
                normal.push(',');
            }
            normal.push_str(&pairs.join("+"));
        }
        (!normal.is_empty()).then_some(Self(normal))
    }

    /// The values of every part of this type, from the front: `ad`, `example`, `com` of `dc`.
    pub fn values_of(&self, kind: &str) -> Vec<String> {
        let pairs = split(&self.0, |c| c == ',').filter_map(|part| part.split_once('='));
        pairs.filter(|(found, _)| *found == kind).filter_map(|(_, value)| unescape(value)).collect()
    }

    /// Whether this name is `base` or below it.
    pub fn is_within(&self, base: &Self) -> bool {
        self.0 == base.0 || self.0.strip_suffix(&base.0).is_some_and(|front| front.ends_with(','))
    }
}

/// The value of the first part of a name, unescaped: `Ann, B.` of `cn=Ann\, B.,dc=x`.
pub(super) fn first_value(text: &str) -> Option<String> {
    let relative = split(text, |c| c == ',' || c == ';').next()?;
    let (_, value) = split(relative, |c| c == '+').next()?.split_once('=')?;
    unescape(value)
}

/// Splits where `separates` says so, but not at escaped or quoted characters.
fn split(text: &str, separates: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let current = rest?;
        let (mut escaped, mut quoted) = (false, false);
        for (at, c) in current.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = !quoted,
                c if separates(c) && !quoted => {
                    rest = Some(&current[at + c.len_utf8()..]);
                    return Some(&current[..at]);
                }
                _ => {}
            }
        }
        rest = None;
        Some(current)
    })
}

/// `Type = value` as `type=value` in its one spelling.
fn pair(text: &str) -> Option<String> {
    let (kind, value) = text.split_once('=')?;
    let kind = kind.trim().to_ascii_lowercase();
    let kind = kind.strip_prefix("oid.").unwrap_or(&kind);
    if kind.is_empty() {
        return None;
    }
    // The long names and numbers of the types that names are made of (RFC 4519).
    let kind = match kind {
        "2.5.4.3" | "commonname" => "cn",
        "2.5.4.4" | "surname" => "sn",
        "2.5.4.6" | "countryname" => "c",
        "2.5.4.7" | "localityname" => "l",
        "2.5.4.10" | "organizationname" => "o",
        "2.5.4.11" | "organizationalunitname" => "ou",
        "0.9.2342.19200300.100.1.1" | "userid" => "uid",
        "0.9.2342.19200300.100.1.25" | "domaincomponent" => "dc",
        other => other,
    };
    let value = unescape(value)?;
    let folded: Vec<String> =
        value.split(' ').filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let mut normal = format!("{kind}=");
    for c in folded.join(" ").chars() {
        if matches!(c, ',' | '+' | '\\' | ';' | '=') {
            normal.push('\\');
        }
        normal.push(c);
    }
    Some(normal)
}

/// A value without its escapes: `\,`, `\2C`, `"…"`, and `#…` where that holds a text (RFC 4514, section 2.4).
fn unescape(text: &str) -> Option<String> {
    let text = text.trim_start();
    // A trailing space counts only where it is escaped.
    let mut end = text.trim_end();
    let slashes = end.len() - end.trim_end_matches('\\').len();
    if slashes % 2 == 1 && end.len() < text.len() {
        end = &text[..end.len() + 1];
    }
    if let Some(hex) = end.strip_prefix('#') {
        return string_of_ber(&bytes_of_hex(hex)?);
    }
    let quoted = end.len() >= 2 && end.starts_with('"') && end.ends_with('"');
    let body = if quoted { &end[1..end.len() - 1] } else { end };
    let mut bytes = Vec::with_capacity(body.len());
    let mut characters = body.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let next = characters.next()?;
        match (next.to_digit(16), characters.clone().next().and_then(|low| low.to_digit(16))) {
            (Some(high), Some(low)) => {
                characters.next();
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            _ => bytes.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    String::from_utf8(bytes).ok()
}

fn bytes_of_hex(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect()
}

/// The text of a BER string with a short length: UTF8String, PrintableString, IA5String, OCTET STRING.
fn string_of_ber(bytes: &[u8]) -> Option<String> {
    match bytes {
        [4 | 12 | 19 | 22, length, content @ ..]
            if usize::from(*length) == content.len() && *length < 128 =>
        {
            String::from_utf8(content.to_vec()).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_one() {
        for (left, right) in [
            ("cn=Ann Lee,dc=Example,dc=COM", "CN=ann  lee , DC=example,dc=com"),
            ("cn=a\\,b,dc=x", "cn=a\\2cb,dc=x"),
            ("cn=a\\,b,dc=x", "cn=\"a,b\",dc=x"),
            ("cn=M\\c3\\bcller,dc=x", "cn=Müller,dc=x"),
            ("cn=MÜLLER,dc=x", "cn=müller,dc=x"),
            ("uid=b+cn=a,dc=x", "cn=a + uid=b,dc=x"),
            ("2.5.4.3=a,dc=x", "cn=a,dc=x"),
            ("cn=\\20a,dc=x", "cn=\\ a,dc=x"),
            ("cn=#0c0161,dc=x", "cn=a,dc=x"),
            ("cn=a;dc=x", "cn=a,dc=x"),
            ("cn=a(b)\\\\c,dc=x", "cn=A(b)\\5cc,dc=x"),
        ] {
            assert_eq!(NormalDn::parse(left), NormalDn::parse(right), "{left} and {right}");
            assert!(NormalDn::parse(left).is_some(), "{left}");
        }
    }

    #[test]
    fn different_names_stay_different() {
        for (left, right) in [
            ("cn=a,dc=x", "cn=b,dc=x"),
            ("cn=a\\,dc\\=x", "cn=a,dc=x"),
            ("cn=a\\+uid\\=b,dc=x", "cn=a+uid=b,dc=x"),
            ("cn=ab,dc=x", "cn=a b,dc=x"),
        ] {
            assert_ne!(NormalDn::parse(left), NormalDn::parse(right), "{left} and {right}");
        }
        for text in ["", " ", "nonsense", "cn", "=x", "cn=a\\", "cn=#zz,dc=x"] {
            assert_eq!(NormalDn::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn below_is_not_beside() {
        let base = NormalDn::parse("dc=example,dc=com").unwrap();
        for (text, within) in
            [("dc=example,dc=com", true), ("cn=a,DC=Example,dc=com", true), ("dc=myexample,dc=com", false)]
        {
            assert_eq!(NormalDn::parse(text).unwrap().is_within(&base), within, "{text}");
        }
        assert_eq!(first_value("cn=Ann\\, B.,dc=x").as_deref(), Some("Ann, B."));
    }
}
