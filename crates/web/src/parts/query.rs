//! Addresses with parameters: a path, and what is asked of it.

use std::fmt;

use url::form_urlencoded::{Serializer, byte_serialize};

/// An address of this server that is put together from parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    path: String,
    pairs: Vec<(&'static str, String)>,
}

impl Query {
    /// A path without parameters.
    pub(crate) fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), pairs: Vec::new() }
    }

    /// The same with a parameter; one without a value is left out.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.pairs.push((name, value));
        }
        self
    }

    /// The parameters, for a form that carries them along.
    pub(crate) fn pairs(&self) -> &[(&'static str, String)] {
        &self.pairs
    }
}

impl fmt::Display for Query {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.path)?;
        if self.pairs.is_empty() {
            return Ok(());
        }
        write!(formatter, "?{}", Serializer::new(String::new()).extend_pairs(&self.pairs).finish())
    }
}

/// A text as one segment of a path, whatever it holds.
pub(crate) fn segment(text: &str) -> String {
    // A form's encoding, but for the space, which a path writes differently.
    byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::{Query, segment};

    #[test]
    fn addresses_keep_whatever_they_are_given() {
        let query = Query::new("/drift").with("kind", "leaver").with("system", "").with("text", "a&b=c d");
        assert_eq!(query.to_string(), "/drift?kind=leaver&text=a%26b%3Dc+d");
        assert_eq!(Query::new("/drift").to_string(), "/drift");
        assert_eq!(segment("a/b ../+?#é"), "a%2Fb%20..%2F%2B%3F%23%C3%A9");
    }
}
