//! What clients send, brought into the one form in which it is kept: names as the schema spells them, values of their type.
//!
//! Lenient where clients differ without meaning to: names in other case, texts for booleans, one value for a list, a text for
//! an object that has a `value`. What no schema knows is left out; what cannot be understood is refused with its name.

use std::fmt;

use jiff::Timestamp;
use leasehold_model::identity::{DayEdge, read_day};
use serde_json::{Map, Value};

use crate::scim::error::ScimError;
use crate::scim::schema::attribute::REFERENCE;
use crate::scim::schema::{Attribute, Kind, MEMBERS, Place, ResourceType};

/// A text that is looked for in an index is not longer than this, in characters and in bytes: names of facts have less than
/// 1,500 bytes, and a group's gets a word before it.
const KEY_CHARS_MAX: usize = 512;
const KEY_BYTES_MAX: usize = 1_400;
/// Any other text.
const TEXT_CHARS_MAX: usize = 65_536;
/// A list has not more values, members aside.
const VALUES_MAX: usize = 1_000;

/// A resource as it is kept: attributes by their names, those of an extension in an object under its id.
pub(crate) type Object = Map<String, Value>;

/// Takes a whole resource. What only the server sets is ignored: clients send back what they were given.
///
/// # Errors
/// `invalidSyntax`, `invalidValue`.
pub(crate) fn resource(known: &ResourceType, body: Value) -> Result<Object, ScimError> {
    let Value::Object(body) = body else {
        return Err(ScimError::syntax("a resource is wanted here: a JSON object"));
    };
    let mut object = Object::new();
    for (name, value) in body {
        for (place, part, value) in placed(known, &name, value) {
            if place.attribute.is_writable() && !is_schemas(place) {
                let value = accepted(place.attribute, part, value)?;
                set_in(&mut object, place, part, value);
            }
        }
    }
    Ok(object)
}

/// Whether this is the list of schemas, which follows from what a resource holds.
pub(crate) fn is_schemas(place: Place) -> bool {
    place.extension.is_none() && place.attribute.name == "schemas"
}

/// Where a name of a body points: an attribute, a part of one (`name.givenName`), an attribute named with its schema, or a
/// schema that holds attributes. Nothing where it is not known.
pub(crate) fn placed(
    known: &ResourceType,
    name: &str,
    value: Value,
) -> impl Iterator<Item = (Place, Option<&'static Attribute>, Value)> {
    let (schema, rest) = known.split_schema(name);
    let (mut one, mut inner) = (None, Map::new());
    match value {
        value if !rest.is_empty() => {
            one = named(known, schema, rest).map(|(place, part)| (place, part, value))
        }
        Value::Object(held) => inner = held,
        _ => {}
    }
    let inner = inner.into_iter().filter_map(move |(name, value)| {
        let (place, part) = named(known, schema, &name)?;
        Some((place, part, value))
    });
    one.into_iter().chain(inner)
}

fn named(
    known: &ResourceType,
    schema: Option<&str>,
    name: &str,
) -> Option<(Place, Option<&'static Attribute>)> {
    if let Some(place) = known.attribute(schema, name) {
        return Some((place, None));
    }
    let (attribute, part) = name.split_once('.')?;
    let place = known.attribute(schema, attribute)?;
    Some((place, Some(place.attribute.sub_attribute(part)?)))
}

/// Puts a value where it belongs; nothing takes away what was there.
fn set_in(object: &mut Object, place: Place, part: Option<&'static Attribute>, value: Option<Value>) {
    let object = match place.extension {
        None => object,
        Some(schema) => {
            if value.is_none() && !object.contains_key(schema.id) {
                return;
            }
            match object.entry(schema.id).or_insert_with(|| Value::Object(Map::new())) {
                Value::Object(inner) => inner,
                // Only objects are ever put there.
                _ => return,
            }
        }
    };
    let name = place.attribute.name;
    match (part, value) {
        (None, None) => {
            object.shift_remove(name);
        }
        (None, Some(value)) => {
            object.insert(name.to_owned(), value);
        }
        (Some(part), value) => {
            let whole = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(parts) = whole {
                match value {
                    Some(value) => parts.insert(part.name.to_owned(), value),
                    None => parts.shift_remove(part.name),
                };
            }
        }
    }
}

/// A value of an attribute or of a part of it; nothing where it says that there is none.
pub(crate) fn accepted(
    attribute: &'static Attribute,
    part: Option<&'static Attribute>,
    value: Value,
) -> Result<Option<Value>, ScimError> {
    match part {
        Some(part) => one(part, Name::of(attribute).part(part), value),
        None if attribute.is_multi_valued => many(attribute, value),
        None => one(attribute, Name::of(attribute), value),
    }
}

/// The values of a list.
pub(crate) fn many(attribute: &'static Attribute, value: Value) -> Result<Option<Value>, ScimError> {
    let values = match value {
        Value::Array(values) => values,
        // One value stands for a list of one.
        value => vec![value],
    };
    bounded(attribute, values.len())?;
    let mut accepted: Vec<Value> = Vec::with_capacity(values.len());
    for value in values {
        accepted.extend(one(attribute, Name::of(attribute), value)?);
    }
    demand_one_primary(attribute, &accepted)?;
    Ok((!accepted.is_empty()).then_some(Value::Array(accepted)))
}

/// Refuses a list that is too long.
///
/// # Errors
/// `invalidValue`.
pub(crate) fn bounded(attribute: &Attribute, values: usize) -> Result<(), ScimError> {
    if values > VALUES_MAX && attribute.name != MEMBERS {
        return Err(ScimError::value(format!("`{}` has more than {VALUES_MAX} values", attribute.name)));
    }
    Ok(())
}

/// Refuses a list of which more than one value is the preferred one (RFC 7643, section 2.4).
///
/// # Errors
/// `invalidValue`.
pub(crate) fn demand_one_primary(attribute: &Attribute, values: &[Value]) -> Result<(), ScimError> {
    if values.iter().filter(|value| is_primary(value)).count() > 1 {
        let why = format!("only one value of `{}` can be the primary one", attribute.name);
        return Err(ScimError::value(why));
    }
    Ok(())
}

/// Whether a value of a list is the preferred one.
pub(crate) fn is_primary(value: &Value) -> bool {
    value.get("primary") == Some(&Value::Bool(true))
}

/// What a value is called where it is refused: an attribute, or a part of one.
#[derive(Clone, Copy)]
pub(crate) struct Name(&'static Attribute, Option<&'static Attribute>);

impl Name {
    /// An attribute.
    pub fn of(attribute: &'static Attribute) -> Self {
        Self(attribute, None)
    }

    /// A part of it.
    pub fn part(self, part: &'static Attribute) -> Self {
        Self(self.0, Some(part))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.name)?;
        self.1.map_or(Ok(()), |part| write!(formatter, ".{}", part.name))
    }
}

/// One value.
pub(crate) fn one(
    attribute: &'static Attribute,
    name: Name,
    value: Value,
) -> Result<Option<Value>, ScimError> {
    let wrong = |wanted: &str, value: &Value| {
        let shown: String = value.to_string().chars().take(80).collect();
        Err(ScimError::value(format!("`{name}` is {wanted}, not {shown}")))
    };
    if value.is_null() {
        return Ok(None);
    }
    if value.as_str() == Some("") {
        return Ok(None);
    }
    match attribute.kind {
        Kind::Complex => complex(attribute, name, value),
        Kind::Boolean => match &value {
            Value::Bool(_) => Ok(Some(value)),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(Some(Value::Bool(true))),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(Some(Value::Bool(false))),
            _ => wrong("true or false", &value),
        },
        Kind::Instant => match value.as_str().map(str::parse::<Timestamp>) {
            Some(Ok(_)) => Ok(Some(value)),
            _ => wrong("an instant such as \"2026-01-31T08:00:00Z\"", &value),
        },
        // Taken for none, a day that nobody understands would let somebody in who has left.
        Kind::Day => match value.as_str().and_then(|text| read_day(text, None, DayEdge::End)) {
            Some(_) => Ok(Some(value)),
            None => wrong(
                "a day such as \"2026-01-31\", or an instant such as \"2026-01-31T18:00:00+01:00\"",
                &value,
            ),
        },
        Kind::Text | Kind::Binary | Kind::Reference => {
            let text = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(value) => value.to_string(),
                other => return wrong("a text", &other),
            };
            let is_key = matches!(attribute.name, "userName" | "displayName" | "externalId" | "value");
            let chars_max = if is_key { KEY_CHARS_MAX } else { TEXT_CHARS_MAX };
            let chars_max = if attribute.kind == Kind::Binary { TEXT_CHARS_MAX } else { chars_max };
            if text.len() > chars_max && text.chars().count() > chars_max {
                return Err(ScimError::value(format!("`{name}` is longer than {chars_max} characters")));
            }
            if chars_max == KEY_CHARS_MAX && text.len() > KEY_BYTES_MAX {
                return Err(ScimError::value(format!("`{name}` is longer than {KEY_BYTES_MAX} bytes")));
            }
            if text.contains('\0') {
                return Err(ScimError::value(format!(
                    "`{name}` holds the character NUL, which no text here has"
                )));
            }
            Ok(Some(Value::String(text)))
        }
    }
}

fn complex(attribute: &'static Attribute, name: Name, value: Value) -> Result<Option<Value>, ScimError> {
    let sent = match value {
        Value::Object(sent) => sent,
        // One value of an attribute that has one, sent as a list.
        Value::Array(mut values) if values.len() == 1 && !attribute.is_multi_valued => {
            return one(attribute, name, values.remove(0));
        }
        Value::Array(values) if values.is_empty() => return Ok(None),
        value => match attribute.sub_attribute("value") {
            Some(part) if !value.is_array() => Map::from_iter([(part.name.to_owned(), value)]),
            _ => {
                let shown: String = value.to_string().chars().take(80).collect();
                return Err(ScimError::value(format!("`{name}` is an object, not {shown}")));
            }
        },
    };
    let mut parts = Map::new();
    let mut reference = None;
    for (sub_name, value) in sent {
        if sub_name == REFERENCE {
            reference = value.as_str().map(str::to_owned);
        }
        let part = attribute.sub_attribute(&sub_name).or_else(|| other_name(attribute, &sub_name));
        let Some(part) = part.filter(|part| part.is_writable()) else { continue };
        if let Some(value) = one(part, name.part(part), value)? {
            parts.insert(part.name.to_owned(), value);
        }
    }
    if attribute.name == MEMBERS {
        // Where a member is ends with their id.
        if let (None, Some(id)) = (parts.get("value"), reference.as_deref().and_then(last_of)) {
            parts.insert("value".to_owned(), id.into());
        }
        if !parts.contains_key("value") {
            return Err(ScimError::value("a member has no `value`; write the id of the user or group there"));
        }
        parts.entry("type").or_insert_with(|| "User".into());
    }
    Ok((!parts.is_empty()).then_some(Value::Object(parts)))
}

/// The last part of an address.
fn last_of(address: &str) -> Option<&str> {
    address.rsplit('/').next().filter(|id| !id.is_empty())
}

/// The name that some clients use for a part.
fn other_name(attribute: &Attribute, name: &str) -> Option<&'static Attribute> {
    let is_display = attribute.name == MEMBERS && name.eq_ignore_ascii_case("displayName");
    attribute.sub_attribute("display").filter(|_| is_display)
}

/// Leaves out what is empty, and refuses a resource that lacks what it must have.
///
/// # Errors
/// `invalidValue`.
pub(crate) fn complete(known: &ResourceType, object: &mut Object) -> Result<(), ScimError> {
    for (extension, schema) in known.schemas() {
        let Some(extension) = extension else {
            let missing =
                |attribute: &&Attribute| attribute.is_required && !object.contains_key(attribute.name);
            if let Some(attribute) = schema.attributes.iter().find(missing) {
                return Err(ScimError::value(format!(
                    "`{}` is missing; a {} has one",
                    attribute.name, known.name
                )));
            }
            continue;
        };
        if object.get(extension.id).and_then(Value::as_object).is_some_and(Map::is_empty) {
            object.shift_remove(extension.id);
        }
    }
    Ok(())
}
