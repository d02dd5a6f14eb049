//! Filters (RFC 7644, section 3.4.2.2): what they say, as it is written.

mod index;
mod parse;
#[cfg(test)]
mod properties;
mod test;

use std::fmt;

use serde_json::Number;

pub(crate) use index::{Candidates, sought};
pub(crate) use parse::path_with_filter;
pub(crate) use test::{Test, sort_key};

use crate::scim::error::{ScimError, ScimType};

/// A filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    /// The attribute has a value.
    Present(Path),
    Compare(Path, Comparison, Literal),
    /// One of the attribute's values fits all of it.
    Within(Path, Box<Filter>),
}

/// How an attribute is named: `attribute`, `attribute.part`, `urn:…:attribute.part`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    pub schema: Option<String>,
    pub attribute: String,
    pub part: Option<String>,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Contains,
    StartsWith,
    EndsWith,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    pub const ALL: [Self; 9] = [
        Self::Equal,
        Self::NotEqual,
        Self::Contains,
        Self::StartsWith,
        Self::EndsWith,
        Self::Greater,
        Self::GreaterOrEqual,
        Self::Less,
        Self::LessOrEqual,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Equal => "eq",
            Self::NotEqual => "ne",
            Self::Contains => "co",
            Self::StartsWith => "sw",
            Self::EndsWith => "ew",
            Self::Greater => "gt",
            Self::GreaterOrEqual => "ge",
            Self::Less => "lt",
            Self::LessOrEqual => "le",
        }
    }
}

/// What an attribute is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Text(String),
    Number(Number),
    Boolean(bool),
    Null,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// `invalidFilter`, with the place.
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        parse::filter(text).map_err(|why| ScimError::new(ScimType::InvalidFilter, why))
    }

    /// Whether it asks about an attribute of this name.
    pub fn names(&self, attribute: &str) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().any(|part| part.names(attribute)),
            Self::Not(part) => part.names(attribute),
            Self::Present(path) | Self::Compare(path, ..) | Self::Within(path, _) => path.is(attribute),
        }
    }
}

impl Path {
    /// Whether it is an attribute of this name, or a part of it.
    pub fn is(&self, attribute: &str) -> bool {
        self.attribute.eq_ignore_ascii_case(attribute)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(formatter, "{schema}:")?;
        }
        formatter.write_str(&self.attribute)?;
        match &self.part {
            Some(part) => write!(formatter, ".{part}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(formatter, "{}", serde_json::Value::from(text.as_str())),
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Boolean(value) => write!(formatter, "{value}"),
            Self::Null => formatter.write_str("null"),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => joined(formatter, parts, " and "),
            Self::Or(parts) => joined(formatter, parts, " or "),
            Self::Not(filter) => write!(formatter, "not ({filter})"),
            Self::Present(path) => write!(formatter, "{path} pr"),
            Self::Compare(path, comparison, literal) => {
                write!(formatter, "{path} {} {literal}", comparison.word())
            }
            Self::Within(path, filter) => write!(formatter, "{path}[{filter}]"),
        }
    }
}

fn joined(formatter: &mut fmt::Formatter<'_>, parts: &[Filter], between: &str) -> fmt::Result {
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            formatter.write_str(between)?;
        }
        match part {
            Filter::And(_) | Filter::Or(_) => write!(formatter, "({part})")?,
            _ => write!(formatter, "{part}")?,
        }
    }
    Ok(())
}
