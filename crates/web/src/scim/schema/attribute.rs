//! What an attribute is: the characteristics of RFC 7643, section 7, as data.

use serde_json::{Map, Value, json};

/// The part of a value that says where it is (RFC 7643, section 2.4).
pub(crate) const REFERENCE: &str = "$ref";

/// The data type of an attribute (RFC 7643, section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Boolean,
    Instant,
    /// An instant, or a day of somebody's time zone.
    Day,
    Binary,
    Reference,
    Complex,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Text | Self::Day => "string",
            Self::Boolean => "boolean",
            Self::Instant => "dateTime",
            Self::Binary => "binary",
            Self::Reference => "reference",
            Self::Complex => "complex",
        }
    }
}

/// Who may change an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutability {
    ReadOnly,
    ReadWrite,
    Immutable,
}

/// When an attribute is part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Returned {
    Always,
    Default,
}

/// An attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute {
    pub name: &'static str,
    pub kind: Kind,
    pub description: &'static str,
    pub is_multi_valued: bool,
    pub is_required: bool,
    pub is_case_exact: bool,
    pub is_unique: bool,
    pub mutability: Mutability,
    pub returned: Returned,
    pub canonical_values: &'static [&'static str],
    pub reference_types: &'static [&'static str],
    pub sub_attributes: &'static [Attribute],
}

impl Attribute {
    pub const fn text(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Text,
            description,
            is_multi_valued: false,
            is_required: false,
            is_case_exact: false,
            is_unique: false,
            mutability: Mutability::ReadWrite,
            returned: Returned::Default,
            canonical_values: &[],
            reference_types: &[],
            sub_attributes: &[],
        }
    }

    pub const fn boolean(name: &'static str, description: &'static str) -> Self {
        Self { kind: Kind::Boolean, ..Self::text(name, description) }
    }

    pub const fn instant(name: &'static str, description: &'static str) -> Self {
        Self { kind: Kind::Instant, ..Self::text(name, description) }
    }

    /// Its suggested values show clients how one is written: SCIM's own type for instants knows no days.
    pub const fn day(name: &'static str, description: &'static str) -> Self {
        let canonical_values = &["2027-03-31", "2027-03-31T18:00:00+02:00"];
        Self { kind: Kind::Day, canonical_values, ..Self::text(name, description) }
    }

    pub const fn binary(name: &'static str, description: &'static str) -> Self {
        Self { kind: Kind::Binary, is_case_exact: true, ..Self::text(name, description) }
    }

    pub const fn reference(
        name: &'static str,
        reference_types: &'static [&'static str],
        description: &'static str,
    ) -> Self {
        Self { kind: Kind::Reference, is_case_exact: true, reference_types, ..Self::text(name, description) }
    }

    pub const fn complex(
        name: &'static str,
        sub_attributes: &'static [Attribute],
        description: &'static str,
    ) -> Self {
        Self { kind: Kind::Complex, sub_attributes, ..Self::text(name, description) }
    }

    pub const fn many(self) -> Self {
        Self { is_multi_valued: true, ..self }
    }

    pub const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    pub const fn case_exact(self) -> Self {
        Self { is_case_exact: true, ..self }
    }

    pub const fn unique(self) -> Self {
        Self { is_unique: true, ..self }
    }

    pub const fn read_only(self) -> Self {
        Self { mutability: Mutability::ReadOnly, ..self }
    }

    pub const fn immutable(self) -> Self {
        Self { mutability: Mutability::Immutable, ..self }
    }

    pub const fn always(self) -> Self {
        Self { returned: Returned::Always, ..self }
    }

    pub const fn one_of(self, canonical_values: &'static [&'static str]) -> Self {
        Self { canonical_values, ..self }
    }

    /// Whether somebody other than us may set it. Where something is follows from its id, whatever is sent.
    pub fn is_writable(&self) -> bool {
        self.mutability != Mutability::ReadOnly && self.name != REFERENCE
    }

    /// Its part of this name.
    pub fn sub_attribute(&self, name: &str) -> Option<&'static Attribute> {
        find(self.sub_attributes, name)
    }

    /// As `/Schemas` describes it.
    pub fn described(&self) -> Value {
        let mut described = Map::new();
        described.insert("name".to_owned(), json!(self.name));
        described.insert("type".to_owned(), json!(self.kind.name()));
        described.insert("multiValued".to_owned(), json!(self.is_multi_valued));
        described.insert("description".to_owned(), json!(self.description));
        described.insert("required".to_owned(), json!(self.is_required));
        if matches!(self.kind, Kind::Text | Kind::Reference | Kind::Binary) {
            described.insert("caseExact".to_owned(), json!(self.is_case_exact));
            let uniqueness = if self.is_unique { "server" } else { "none" };
            described.insert("uniqueness".to_owned(), json!(uniqueness));
        }
        let mutability = match self.mutability {
            Mutability::ReadOnly => "readOnly",
            Mutability::ReadWrite => "readWrite",
            Mutability::Immutable => "immutable",
        };
        described.insert("mutability".to_owned(), json!(mutability));
        let returned = match self.returned {
            Returned::Always => "always",
            Returned::Default => "default",
        };
        described.insert("returned".to_owned(), json!(returned));
        if !self.canonical_values.is_empty() {
            described.insert("canonicalValues".to_owned(), json!(self.canonical_values));
        }
        if !self.reference_types.is_empty() {
            described.insert("referenceTypes".to_owned(), json!(self.reference_types));
        }
        if !self.sub_attributes.is_empty() {
            let parts: Vec<Value> = self.sub_attributes.iter().map(Self::described).collect();
            described.insert("subAttributes".to_owned(), Value::Array(parts));
        }
        Value::Object(described)
    }
}

/// The attribute of this name; names ignore case (RFC 7643, section 2.1).
pub(crate) fn find(attributes: &'static [Attribute], name: &str) -> Option<&'static Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}
