//! Which attributes an answer has: `attributes` and `excludedAttributes` (RFC 7644, section 3.9).

use serde_json::Value;

use crate::scim::error::{ScimError, ScimType};
use crate::scim::schema::{Attribute, Place, ResourceType, Returned};
use crate::scim::value::Object;

/// More names are not read.
const NAMES_MAX: usize = 200;

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Projection {
    attributes: Vec<String>,
    excluded: Vec<String>,
}

/// An attribute that is named, or a whole extension.
enum Named {
    Attribute(Place, Option<&'static Attribute>),
    Extension(&'static str),
}

impl Projection {
    /// Reads both lists.
    ///
    /// # Errors
    /// `invalidValue` where both are there, or too many names.
    pub fn of(attributes: Vec<String>, excluded: Vec<String>) -> Result<Self, ScimError> {
        let named = |names: Vec<String>| -> Vec<String> {
            let names = names.into_iter().map(|name| name.trim().to_owned());
            names.filter(|name| !name.is_empty()).collect()
        };
        let projection = Self { attributes: named(attributes), excluded: named(excluded) };
        if projection.attributes.len() + projection.excluded.len() > NAMES_MAX {
            let why = format!("more than {NAMES_MAX} attributes are named; leave them out to get all");
            return Err(ScimError::new(ScimType::InvalidValue, why));
        }
        if !projection.attributes.is_empty() && !projection.excluded.is_empty() {
            let why = "`attributes` and `excludedAttributes` do not go together; send one of them";
            return Err(ScimError::new(ScimType::InvalidValue, why));
        }
        Ok(projection)
    }

    /// Whether everything is asked for.
    pub fn is_whole(&self) -> bool {
        self.attributes.is_empty() && self.excluded.is_empty()
    }

    /// Whether an attribute of the resource itself can be part of the answer.
    pub fn has(&self, known: &ResourceType, name: &str) -> bool {
        let is_named = |names: &[String]| {
            names.iter().any(|text| match named(known, text) {
                Some(Named::Attribute(place, _)) => place.extension.is_none() && place.attribute.name == name,
                _ => false,
            })
        };
        if self.attributes.is_empty() {
            !self.excluded.iter().any(|text| matches!(named(known, text), Some(Named::Attribute(place, None)) if place.extension.is_none() && place.attribute.name == name))
        } else {
            is_named(&self.attributes)
        }
    }

    /// What is asked for of a resource. Names that are not known are of nothing.
    pub fn of_object(&self, known: &ResourceType, object: Object) -> Object {
        if self.is_whole() {
            return object;
        }
        if self.attributes.is_empty() {
            return self.without(known, object);
        }
        let mut kept = Object::new();
        for (name, value) in &object {
            if is_always(known, name) {
                kept.insert(name.clone(), value.clone());
            }
        }
        for text in &self.attributes {
            match named(known, text) {
                None => {}
                Some(Named::Extension(id)) => {
                    if let Some(value) = object.get(id) {
                        kept.insert(id.to_owned(), value.clone());
                    }
                }
                Some(Named::Attribute(place, part)) => keep(&object, &mut kept, place, part),
            }
        }
        kept
    }

    fn without(&self, known: &ResourceType, mut object: Object) -> Object {
        for text in &self.excluded {
            match named(known, text) {
                None => {}
                Some(Named::Extension(id)) => {
                    object.shift_remove(id);
                }
                Some(Named::Attribute(place, part)) => {
                    if place.attribute.returned == Returned::Always {
                        continue;
                    }
                    let inner = match place.extension {
                        None => Some(&mut object),
                        Some(schema) => object.get_mut(schema.id).and_then(Value::as_object_mut),
                    };
                    let Some(inner) = inner else { continue };
                    match part {
                        None => {
                            inner.shift_remove(place.attribute.name);
                        }
                        Some(part) => match inner.get_mut(place.attribute.name) {
                            Some(Value::Array(values)) => {
                                for value in values.iter_mut().filter_map(Value::as_object_mut) {
                                    value.shift_remove(part.name);
                                }
                            }
                            Some(Value::Object(value)) => {
                                value.shift_remove(part.name);
                            }
                            _ => {}
                        },
                    }
                }
            }
        }
        object
    }
}

fn is_always(known: &ResourceType, name: &str) -> bool {
    known.attribute(None, name).is_some_and(|place| place.attribute.returned == Returned::Always)
}

fn named(known: &ResourceType, text: &str) -> Option<Named> {
    let (schema, rest) = known.split_schema(text);
    if rest.is_empty() {
        return known.extension(schema?).map(|schema| Named::Extension(schema.id));
    }
    if let Some(place) = known.attribute(schema, rest) {
        return Some(Named::Attribute(place, None));
    }
    let (attribute, part) = rest.split_once('.')?;
    let place = known.attribute(schema, attribute)?;
    Some(Named::Attribute(place, Some(place.attribute.sub_attribute(part)?)))
}

fn keep(object: &Object, kept: &mut Object, place: Place, part: Option<&'static Attribute>) {
    let inner = match place.extension {
        None => Some(object),
        Some(schema) => object.get(schema.id).and_then(Value::as_object),
    };
    let Some(value) = inner.and_then(|inner| inner.get(place.attribute.name)) else { return };
    let into = match place.extension {
        None => kept,
        Some(schema) => {
            let inner = kept.entry(schema.id).or_insert_with(|| Value::Object(Object::new()));
            match inner.as_object_mut() {
                Some(inner) => inner,
                None => return,
            }
        }
    };
    let Some(part) = part else {
        into.insert(place.attribute.name.to_owned(), value.clone());
        return;
    };
    let part_of = |value: &Value| {
        let part_value = value.get(part.name)?;
        Some((part.name.to_owned(), part_value.clone()))
    };
    match (value, into.get_mut(place.attribute.name)) {
        // Two parts of the same values were asked for.
        (Value::Array(values), Some(Value::Array(shown))) => {
            for (value, shown) in values.iter().zip(shown.iter_mut().filter_map(Value::as_object_mut)) {
                shown.extend(part_of(value));
            }
        }
        (Value::Array(values), _) => {
            let shown = values.iter().map(|value| Value::Object(part_of(value).into_iter().collect()));
            let shown: Vec<Value> = shown.collect();
            into.insert(place.attribute.name.to_owned(), Value::Array(shown));
        }
        (value, Some(Value::Object(shown))) => shown.extend(part_of(value)),
        (value, _) => {
            if let Some((name, value)) = part_of(value) {
                into.insert(
                    place.attribute.name.to_owned(),
                    Value::Object(Object::from_iter([(name, value)])),
                );
            }
        }
    }
}
