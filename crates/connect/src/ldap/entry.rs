//! An entry as the directory sent it: attribute names without regard to case, values as bytes.

use std::collections::HashMap;

use ldap3::SearchEntry;

/// One entry.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub dn: String,
    values: HashMap<String, Vec<Vec<u8>>>,
}

impl From<SearchEntry> for Entry {
    fn from(entry: SearchEntry) -> Self {
        let texts = entry.attrs.into_iter().map(|(name, values)| {
            (name.to_ascii_lowercase(), values.into_iter().map(String::into_bytes).collect())
        });
        let mut values: HashMap<String, Vec<Vec<u8>>> = texts.collect();
        for (name, bytes) in entry.bin_attrs {
            values.entry(name.to_ascii_lowercase()).or_default().extend(bytes);
        }
        Self { dn: entry.dn, values }
    }
}

/// A part of a long list of values: Active Directory sends `member;range=0-1499` in place of `member`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// The attribute with its range, as the entry has it.
    pub attribute: String,
    /// Where the next part begins; `None` where this was the last.
    pub next: Option<u64>,
}

impl Entry {
    /// The first value, where it is text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.texts(name).into_iter().next()
    }

    /// Every value that is text and not empty.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.raw_texts(name).into_iter().filter(|text| !text.is_empty()).collect()
    }

    /// Every value that is text, empty ones too.
    pub fn raw_texts(&self, name: &str) -> Vec<String> {
        let values = self.values.get(&name.to_ascii_lowercase()).map_or(&[][..], Vec::as_slice);
        values.iter().filter_map(|value| String::from_utf8(value.clone()).ok()).collect()
    }

    /// The first value as it is.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.values.get(&name.to_ascii_lowercase())?.first().map(Vec::as_slice)
    }

    /// Every value as it is.
    pub fn all_bytes(&self, name: &str) -> Vec<&[u8]> {
        self.values.get(&name.to_ascii_lowercase()).into_iter().flatten().map(Vec::as_slice).collect()
    }

    /// The first value as a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.trim().parse().ok()
    }

    /// Whether the entry is of an object class.
    pub fn is_a(&self, class: &str) -> bool {
        self.texts("objectClass").iter().any(|found| found.eq_ignore_ascii_case(class))
    }

    /// The part of an attribute's values that came, where the directory sends them in parts.
    pub fn range(&self, name: &str) -> Option<Range> {
        let prefix = format!("{};range=", name.to_ascii_lowercase());
        let attribute = self.values.keys().find(|key| key.starts_with(&prefix))?;
        let (_, last) = attribute[prefix.len()..].split_once('-')?;
        let next = last.parse::<u64>().ok().and_then(|last| last.checked_add(1));
        Some(Range { attribute: attribute.clone(), next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(attributes: &[(&str, &str)]) -> Entry {
        let mut values: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
        for (name, value) in attributes {
            values.entry(name.to_ascii_lowercase()).or_default().push(value.as_bytes().to_vec());
        }
        Entry { dn: "cn=x".to_owned(), values }
    }

    #[test]
    fn ranges_say_where_to_go_on() {
        let first = entry(&[("Member;Range=0-1499", "cn=a")]);
        let range = first.range("member").unwrap();
        assert_eq!((first.texts(&range.attribute), range.next), (vec!["cn=a".to_owned()], Some(1500)));
        assert_eq!(entry(&[("member;range=1500-*", "cn=b")]).range("member").unwrap().next, None);
        assert_eq!(entry(&[("member", "cn=b")]).range("member"), None);
    }

    #[test]
    fn names_are_found_in_any_case() {
        let entry = entry(&[("objectClass", "groupOfNames"), ("CN", ""), ("cn", "a")]);
        assert!(entry.is_a("GROUPOFNAMES"));
        assert_eq!(entry.text("Cn").as_deref(), Some("a"), "an empty value says nothing");
    }
}
