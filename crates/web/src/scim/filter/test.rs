//! A filter against the attributes that there are: bound once, and then asked about each resource.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Comparison, Filter, Literal, Path};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::schema::attribute::find;
use crate::scim::schema::{Attribute, Kind, Place, ResourceType};

/// What is asked of a resource, or of one value of a list.
#[derive(Debug)]
pub(crate) enum Test {
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
    Present(Target),
    Compare(Target, Comparison, Literal),
    Within(Target, Box<Test>),
}

/// Where a test looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub place: Place,
    pub part: Option<&'static Attribute>,
}

fn wrong(detail: String) -> ScimError {
    ScimError::new(ScimType::InvalidFilter, detail)
}

/// What names are looked up in.
#[derive(Clone, Copy)]
enum Scope<'a> {
    Resource(&'a ResourceType),
    Value(&'static Attribute),
}

impl Scope<'_> {
    fn target(self, path: &Path) -> Result<Target, ScimError> {
        let unknown =
            || wrong(format!("there is no attribute `{path}` here; /Schemas lists those that there are"));
        let place = match self {
            Self::Resource(known) => known.attribute(path.schema.as_deref(), &path.attribute),
            Self::Value(attribute) if path.schema.is_none() => {
                attribute.sub_attribute(&path.attribute).map(|attribute| Place { extension: None, attribute })
            }
            Self::Value(_) => None,
        };
        let place = place.ok_or_else(unknown)?;
        let part = match &path.part {
            None => None,
            Some(part) => Some(place.attribute.sub_attribute(part).ok_or_else(unknown)?),
        };
        Ok(Target { place, part })
    }
}

impl Test {
    /// Binds a filter to the attributes of a resource type.
    ///
    /// # Errors
    /// `invalidFilter` where it names what there is not, or asks of something what cannot be asked of it.
    pub fn of(filter: &Filter, known: &ResourceType) -> Result<Self, ScimError> {
        bind(filter, Scope::Resource(known))
    }

    /// Binds a filter to the parts of an attribute.
    ///
    /// # Errors
    /// As [`Test::of`].
    pub fn of_values(filter: &Filter, attribute: &'static Attribute) -> Result<Self, ScimError> {
        bind(filter, Scope::Value(attribute))
    }

    /// Whether a resource or value fits.
    pub fn fits(&self, object: &Map<String, Value>) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.fits(object)),
            Self::Or(parts) => parts.iter().any(|part| part.fits(object)),
            Self::Not(part) => !part.fits(object),
            Self::Present(target) => target.any(object, &mut |value| !is_empty(value)),
            Self::Compare(target, Comparison::Equal, Literal::Null) => {
                !target.any(object, &mut |value| !is_empty(value))
            }
            Self::Compare(target, Comparison::NotEqual, Literal::Null) => {
                target.any(object, &mut |value| !is_empty(value))
            }
            // What has no value is not equal to anything.
            Self::Compare(target, Comparison::NotEqual, literal) => {
                let leaf = target.leaf();
                !target.any(object, &mut |value| compared(leaf, value, Comparison::Equal, literal))
            }
            Self::Compare(target, comparison, literal) => {
                let leaf = target.leaf();
                target.any(object, &mut |value| compared(leaf, value, *comparison, literal))
            }
            Self::Within(target, part) => {
                target.any_value(object, &mut |value| value.as_object().is_some_and(|value| part.fits(value)))
            }
        }
    }
}

fn bind(filter: &Filter, scope: Scope<'_>) -> Result<Test, ScimError> {
    let all = |parts: &[Filter]| parts.iter().map(|part| bind(part, scope)).collect::<Result<Vec<_>, _>>();
    Ok(match filter {
        Filter::And(parts) => Test::And(all(parts)?),
        Filter::Or(parts) => Test::Or(all(parts)?),
        Filter::Not(part) => Test::Not(Box::new(bind(part, scope)?)),
        Filter::Present(path) => Test::Present(scope.target(path)?),
        Filter::Compare(path, comparison, literal) => {
            let target = scope.target(path)?;
            let literal = comparable(path, target.leaf(), *comparison, literal)?;
            Test::Compare(target, *comparison, literal)
        }
        Filter::Within(path, part) => {
            let target = scope.target(path)?;
            if target.part.is_some() || target.place.attribute.kind != Kind::Complex {
                return Err(wrong(format!("`{path}` has no parts that could be asked about in brackets")));
            }
            Test::Within(target, Box::new(bind(part, Scope::Value(target.place.attribute))?))
        }
    })
}

/// The literal as it is compared with an attribute of this kind.
fn comparable(
    path: &Path,
    leaf: Option<&Attribute>,
    comparison: Comparison,
    literal: &Literal,
) -> Result<Literal, ScimError> {
    let refused =
        |wanted: &str| Err(wrong(format!("`{path}` is compared with {wanted}, not with {literal}")));
    let is_order = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
    if *literal == Literal::Null {
        return if is_order { refused("a value by this operator") } else { Ok(Literal::Null) };
    }
    let Some(leaf) = leaf else {
        return Err(wrong(format!("`{path}` has parts; name the one that is meant, such as `{path}.value`")));
    };
    match (leaf.kind, literal) {
        (Kind::Boolean, _) if is_order => {
            Err(wrong(format!("`{path}` is true or false; only eq and ne can be asked of it")))
        }
        (Kind::Boolean, Literal::Boolean(_)) => Ok(literal.clone()),
        // Entra ID writes booleans as texts.
        (Kind::Boolean, Literal::Text(text)) => match text.to_ascii_lowercase().as_str() {
            "true" => Ok(Literal::Boolean(true)),
            "false" => Ok(Literal::Boolean(false)),
            _ => refused("true or false"),
        },
        (Kind::Boolean, _) => refused("true or false"),
        (Kind::Instant, Literal::Text(text)) => match text.parse::<Timestamp>() {
            Ok(_) => Ok(literal.clone()),
            Err(_) => refused("an instant such as \"2026-01-31T08:00:00Z\""),
        },
        (Kind::Instant, _) => refused("an instant such as \"2026-01-31T08:00:00Z\""),
        (_, Literal::Text(_)) if leaf.is_case_exact => Ok(literal.clone()),
        (_, Literal::Text(text)) => Ok(Literal::Text(text.to_lowercase())),
        (_, Literal::Number(number)) => Ok(Literal::Text(number.to_string())),
        (_, Literal::Boolean(_) | Literal::Null) => refused("a text in double quotes"),
    }
}

impl Target {
    /// What is compared in the end; none where an attribute has parts and none of them stands for it.
    fn leaf(&self) -> Option<&'static Attribute> {
        match self.part {
            Some(part) => Some(part),
            None if self.place.attribute.kind == Kind::Complex => {
                find(self.place.attribute.sub_attributes, "value")
            }
            None => Some(self.place.attribute),
        }
    }

    /// Whether one of the attribute's values is so.
    fn any_value(&self, object: &Map<String, Value>, is: &mut dyn FnMut(&Value) -> bool) -> bool {
        let object = match self.place.extension {
            None => Some(object),
            Some(schema) => object.get(schema.id).and_then(Value::as_object),
        };
        match object.and_then(|object| object.get(self.place.attribute.name)) {
            None => false,
            Some(Value::Array(values)) => values.iter().any(is),
            Some(value) => is(value),
        }
    }

    /// Whether what it stands for is so in one of the attribute's values.
    fn any(&self, object: &Map<String, Value>, is: &mut dyn FnMut(&Value) -> bool) -> bool {
        self.any_value(object, &mut |value| match (value, self.part) {
            (Value::Object(parts), Some(part)) => parts.get(part.name).is_some_and(&mut *is),
            (Value::Object(parts), None) => match parts.get("value") {
                Some(value) => is(value),
                None => is(value),
            },
            (value, _) => is(value),
        })
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(parts) => parts.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn compared(leaf: Option<&Attribute>, value: &Value, comparison: Comparison, literal: &Literal) -> bool {
    let Some(leaf) = leaf else { return false };
    match (value, literal) {
        (Value::Bool(value), Literal::Boolean(wanted)) => value == wanted,
        (Value::String(text), Literal::Text(wanted)) if leaf.kind == Kind::Instant => {
            compare_instants(text, wanted).is_some_and(|order| holds(order, comparison))
        }
        (Value::String(text), Literal::Text(wanted)) => {
            let folded;
            let text = if leaf.is_case_exact {
                text
            } else {
                folded = text.to_lowercase();
                &folded
            };
            match comparison {
                Comparison::Contains => text.contains(wanted.as_str()),
                Comparison::StartsWith => text.starts_with(wanted.as_str()),
                Comparison::EndsWith => text.ends_with(wanted.as_str()),
                _ => holds(text.as_str().cmp(wanted), comparison),
            }
        }
        _ => false,
    }
}

fn holds(order: Ordering, comparison: Comparison) -> bool {
    match comparison {
        Comparison::Equal => order == Ordering::Equal,
        Comparison::NotEqual => order != Ordering::Equal,
        Comparison::Greater => order == Ordering::Greater,
        Comparison::GreaterOrEqual => order != Ordering::Less,
        Comparison::Less => order == Ordering::Less,
        Comparison::LessOrEqual => order != Ordering::Greater,
        Comparison::Contains | Comparison::StartsWith | Comparison::EndsWith => false,
    }
}

/// The order of two instants as they are written; none where one is no instant.
fn compare_instants(one: &str, other: &str) -> Option<Ordering> {
    Some(one.parse::<Timestamp>().ok()?.cmp(&other.parse::<Timestamp>().ok()?))
}

/// What a resource is sorted by: of several values the primary one, else the first; without case where that does not
/// matter. Instants are written so that their texts have their order.
pub(crate) fn sort_key(
    path: &Path,
    known: &ResourceType,
) -> Result<impl Fn(&Map<String, Value>) -> Option<String> + use<>, ScimError> {
    let target = Scope::Resource(known).target(path).map_err(|_| {
        ScimError::new(ScimType::InvalidPath, format!("there is no attribute `{path}` to sort by"))
    })?;
    let leaf = target.leaf().ok_or_else(|| {
        ScimError::new(ScimType::InvalidPath, format!("`{path}` has parts; name the one to sort by"))
    })?;
    Ok(move |object: &Map<String, Value>| {
        let object = match target.place.extension {
            None => object,
            Some(schema) => object.get(schema.id)?.as_object()?,
        };
        let value = match object.get(target.place.attribute.name)? {
            Value::Array(values) => {
                let is_primary = |value: &&Value| value.get("primary") == Some(&Value::Bool(true));
                values.iter().find(is_primary).or_else(|| values.first())?
            }
            value => value,
        };
        let value = match (value, target.part) {
            (Value::Object(parts), Some(part)) => parts.get(part.name)?,
            (Value::Object(parts), None) => parts.get("value")?,
            (value, _) => value,
        };
        match value {
            Value::String(text) if leaf.is_case_exact || leaf.kind == Kind::Instant => Some(text.clone()),
            Value::String(text) => Some(text.to_lowercase()),
            Value::Bool(value) => Some(value.to_string()),
            _ => None,
        }
    })
}
