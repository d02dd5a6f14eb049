//! One operation, done to a resource.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::target::{self, AttributeTarget, Chosen, Target};
use super::{Operation, Verb};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::{Comparison, Filter, Literal};
use crate::scim::schema::attribute::Mutability;
use crate::scim::schema::{Attribute, MEMBERS, Place, ResourceType};
use crate::scim::value::{self, Name, Object};

pub(super) fn operation(
    known: &'static ResourceType,
    object: &mut Object,
    operation: &Operation,
) -> Result<(), ScimError> {
    let Operation { verb, path, value } = operation;
    let Some(path) = path else {
        return everywhere(known, object, *verb, value.clone().unwrap_or_default());
    };
    match target::read(known, path)? {
        Target::Attribute(target) => at(object, *verb, &target, value.clone()),
        Target::Extension(schema) if *verb == Verb::Remove => {
            object.shift_remove(schema.id);
            Ok(())
        }
        Target::Extension(schema) => {
            if *verb == Verb::Replace {
                object.shift_remove(schema.id);
            }
            let value = value.clone().unwrap_or_default();
            everywhere(known, object, *verb, Value::Object(Map::from_iter([(schema.id.to_owned(), value)])))
        }
    }
}

/// An operation without a path: each name of its value is one. What the server sets, and what is not known, is ignored:
/// clients send along what they were given.
fn everywhere(
    known: &'static ResourceType,
    object: &mut Object,
    verb: Verb,
    value: Value,
) -> Result<(), ScimError> {
    let Value::Object(sent) = value else {
        return Err(ScimError::value("without a `path`, `value` is an object with attributes"));
    };
    for (name, value) in sent {
        let value = if value.is_null() { Value::String(String::new()) } else { value };
        if let Some((attribute, _)) = name.split_once('[') {
            // What is wrong with a choice of values that are known is told; a name that is not known is passed over.
            let is_known = value::placed(known, attribute, Value::Null).next().is_some();
            match target::read(known, &name) {
                Ok(Target::Attribute(target)) => at(object, verb, &target, Some(value))?,
                Err(error) if is_known => return Err(error),
                _ => {}
            }
            continue;
        }
        for (place, part, value) in value::placed(known, &name, value) {
            if place.attribute.is_writable() {
                let target = AttributeTarget { place, chosen: None, part };
                at(object, verb, &target, Some(value))?;
            }
        }
    }
    Ok(())
}

fn at(
    object: &mut Object,
    verb: Verb,
    target: &AttributeTarget,
    value: Option<Value>,
) -> Result<(), ScimError> {
    let AttributeTarget { place, chosen, part } = target;
    // It follows from what the resource holds.
    if value::is_schemas(*place) && verb != Verb::Remove {
        return Ok(());
    }
    if part.is_some_and(|part| !part.is_writable()) {
        return Err(mutability(place.attribute, "is set by the server alone"));
    }
    if part.is_some_and(|part| part.mutability == Mutability::Immutable) {
        return Err(mutability(
            place.attribute,
            "has values that never change; take one away and add another",
        ));
    }
    let inner = match place.extension {
        None => &mut *object,
        Some(schema) => {
            let inner = object.entry(schema.id).or_insert_with(|| Value::Object(Map::new()));
            inner.as_object_mut().ok_or_else(|| ScimError::value(format!("`{}` is an object", schema.id)))?
        }
    };
    match (verb, chosen, part) {
        (Verb::Remove, None, None) => remove(inner, place.attribute, value)?,
        (Verb::Remove, None, Some(part)) => remove_part(inner, *place, None, part),
        (Verb::Remove, Some(chosen), None) => remove_chosen(inner, place.attribute, chosen),
        (Verb::Remove, Some(chosen), Some(part)) => remove_part(inner, *place, Some(chosen), part),
        (_, None, None) => put(inner, verb, place.attribute, value.unwrap_or_default())?,
        (_, None, Some(part)) => put_part(inner, place.attribute, part, value.unwrap_or_default())?,
        (_, Some(chosen), _) => put_chosen(inner, verb, target, chosen, value.unwrap_or_default())?,
    }
    if let Some(Value::Array(values)) = inner.get(place.attribute.name) {
        value::demand_one_primary(place.attribute, values)?;
    }
    if let Some(schema) = place.extension
        && object.get(schema.id).and_then(Value::as_object).is_some_and(Map::is_empty)
    {
        object.shift_remove(schema.id);
    }
    if place.attribute.is_required && place.extension.is_none() && !object.contains_key(place.attribute.name)
    {
        return Err(mutability(place.attribute, "is required and cannot be taken away"));
    }
    Ok(())
}

fn mutability(attribute: &Attribute, why: &str) -> ScimError {
    ScimError::new(ScimType::Mutability, format!("`{}` {why}", attribute.name))
}

/// Takes an attribute away, or of a list the values that are named beside the path.
fn remove(object: &mut Object, attribute: &'static Attribute, named: Option<Value>) -> Result<(), ScimError> {
    let named = match named {
        Some(named) if attribute.is_multi_valued && !named.is_null() => value::many(attribute, named)?,
        _ => {
            object.shift_remove(attribute.name);
            return Ok(());
        }
    };
    // An empty list names nothing: that is not everything.
    let Some(Value::Array(named)) = named else { return Ok(()) };
    // Only members may be many, and each is looked up once.
    let members: Option<HashSet<&str>> = (attribute.name == MEMBERS)
        .then(|| named.iter().filter_map(|named| named.get("value")?.as_str()).collect());
    let is_named = |value: &Value| match (&members, value.get("value").and_then(Value::as_str)) {
        (Some(members), Some(id)) => members.contains(id),
        _ => named.iter().any(|named| is_same(attribute, value, named)),
    };
    keep_values(object, attribute, |value| !is_named(value));
    Ok(())
}

/// Whether two values of a list stand for the same: by their `value`, else by all of them. Of two for different purposes
/// one can go; a member is known by its id alone.
fn is_same(attribute: &Attribute, one: &Value, other: &Value) -> bool {
    match (one.get("value"), other.get("value")) {
        (Some(one_value), Some(other_value)) => {
            let kinds = (one.get("type"), other.get("type"));
            let is_kind_other = matches!(kinds, (Some(one), Some(other)) if one != other);
            one_value == other_value && (attribute.name == MEMBERS || !is_kind_other)
        }
        _ => one == other,
    }
}

fn keep_values(object: &mut Object, attribute: &Attribute, keep: impl Fn(&Value) -> bool) {
    let is_empty = match object.get_mut(attribute.name) {
        Some(Value::Array(values)) => {
            values.retain(keep);
            values.is_empty()
        }
        Some(value) => !keep(value),
        None => false,
    };
    if is_empty {
        object.shift_remove(attribute.name);
    }
}

fn fits(chosen: Option<&Chosen>, value: &Value) -> bool {
    chosen.is_none_or(|chosen| value.as_object().is_some_and(|value| chosen.test.fits(value)))
}

fn remove_chosen(object: &mut Object, attribute: &Attribute, chosen: &Chosen) {
    keep_values(object, attribute, |value| !fits(Some(chosen), value));
}

fn remove_part(object: &mut Object, place: Place, chosen: Option<&Chosen>, part: &Attribute) {
    for value in values_of(object, place.attribute) {
        if fits(chosen, value)
            && let Some(parts) = value.as_object_mut()
        {
            parts.shift_remove(part.name);
        }
    }
    keep_values(object, place.attribute, |value| !value.as_object().is_some_and(Map::is_empty));
}

/// The values of a list, or the one value of another attribute.
fn values_of<'object>(object: &'object mut Object, attribute: &Attribute) -> Vec<&'object mut Value> {
    match object.get_mut(attribute.name) {
        Some(Value::Array(values)) => values.iter_mut().collect(),
        Some(value) => vec![value],
        None => Vec::new(),
    }
}

fn put(object: &mut Object, verb: Verb, attribute: &'static Attribute, sent: Value) -> Result<(), ScimError> {
    let Some(accepted) = value::accepted(attribute, None, sent)? else {
        // Nothing is added by an empty value, and what is replaced by one is gone.
        if verb == Verb::Replace || !attribute.is_multi_valued {
            object.shift_remove(attribute.name);
        }
        return Ok(());
    };
    match (accepted, object.get_mut(attribute.name)) {
        (Value::Array(added), Some(Value::Array(values))) if verb == Verb::Add => {
            add(attribute, values, added);
            value::bounded(attribute, values.len())?;
        }
        // What is said of some parts leaves the others as they are.
        (Value::Object(parts), Some(Value::Object(before))) => {
            let is_another = parts.get("value").is_some_and(|value| before.get("value") != Some(value));
            if is_another {
                before.clear();
            }
            before.extend(parts);
        }
        (Value::Array(wanted), _) => {
            let mut values: Vec<Value> = Vec::with_capacity(wanted.len());
            add(attribute, &mut values, wanted);
            object.insert(attribute.name.to_owned(), Value::Array(values));
        }
        (accepted, _) => {
            object.insert(attribute.name.to_owned(), accepted);
        }
    }
    Ok(())
}

/// Adds to a list what it does not have; of what it has, the newer saying counts. One value stays the primary one.
fn add(attribute: &Attribute, values: &mut Vec<Value>, added: Vec<Value>) {
    let mut known: std::collections::HashMap<String, usize> = values
        .iter()
        .enumerate()
        .filter_map(|(position, value)| Some((name_of(attribute, value)?, position)))
        .collect();
    for value in added {
        if value::is_primary(&value) {
            no_primary(values);
        }
        let name = name_of(attribute, &value);
        match name.as_ref().and_then(|name| known.get(name)) {
            Some(position) => values[*position] = value,
            None if name.is_none() && values.contains(&value) => {}
            None => {
                if let Some(name) = name {
                    known.insert(name, values.len());
                }
                values.push(value);
            }
        }
    }
}

/// By what a value of a list is known: what it is and what it is for; a member by its id.
fn name_of(attribute: &Attribute, value: &Value) -> Option<String> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    if attribute.name == MEMBERS {
        return text("value").map(str::to_owned);
    }
    Some(format!("{}\0{}", text("type").unwrap_or_default(), text("value")?))
}

fn no_primary(values: &mut [Value]) {
    for value in values.iter_mut().filter(|value| value::is_primary(value)) {
        value["primary"] = Value::Bool(false);
    }
}

fn put_part(
    object: &mut Object,
    attribute: &'static Attribute,
    part: &'static Attribute,
    sent: Value,
) -> Result<(), ScimError> {
    let accepted = value::accepted(attribute, Some(part), sent)?;
    if accepted.is_some() && !object.contains_key(attribute.name) {
        let new = Value::Object(Map::new());
        let new = if attribute.is_multi_valued { Value::Array(vec![new]) } else { new };
        object.insert(attribute.name.to_owned(), new);
    }
    for value in values_of(object, attribute) {
        set_part(value, part, accepted.as_ref());
    }
    keep_values(object, attribute, |value| !value.as_object().is_some_and(Map::is_empty));
    Ok(())
}

fn set_part(value: &mut Value, part: &Attribute, accepted: Option<&Value>) {
    let Some(parts) = value.as_object_mut() else { return };
    match accepted {
        Some(accepted) => parts.insert(part.name.to_owned(), accepted.clone()),
        None => parts.shift_remove(part.name),
    };
}

fn put_chosen(
    object: &mut Object,
    verb: Verb,
    target: &AttributeTarget,
    chosen: &Chosen,
    sent: Value,
) -> Result<(), ScimError> {
    let (attribute, part) = (target.place.attribute, target.part);
    let accepted = match part {
        Some(part) => value::accepted(attribute, Some(part), sent)?,
        None => value::one(attribute, Name::of(attribute), sent)?,
    };
    let sets_primary = match part {
        Some(part) => part.name == "primary" && accepted == Some(Value::Bool(true)),
        None => accepted.as_ref().is_some_and(value::is_primary),
    };
    let mut found = false;
    let mut values = values_of(object, attribute);
    for value in &mut values {
        let is_chosen = fits(Some(chosen), value);
        found |= is_chosen;
        if !is_chosen {
            if sets_primary && value::is_primary(value) {
                value["primary"] = Value::Bool(false);
            }
            continue;
        }
        match (part, &accepted) {
            (Some(part), accepted) => set_part(value, part, accepted.as_ref()),
            (None, Some(Value::Object(parts))) => {
                if let Some(before) = value.as_object_mut() {
                    before.extend(parts.clone());
                }
            }
            (None, _) => **value = Value::Object(Map::new()),
        }
    }
    if !found {
        if verb == Verb::Replace {
            let why = format!("no value of `{}` fits {}", attribute.name, chosen.filter);
            return Err(ScimError::new(ScimType::NoTarget, why));
        }
        let Some(new) = made(attribute, part, chosen, accepted)? else { return Ok(()) };
        match object.get_mut(attribute.name) {
            Some(Value::Array(values)) => {
                add(attribute, values, vec![new]);
                value::bounded(attribute, values.len())?;
            }
            _ if attribute.is_multi_valued => {
                object.insert(attribute.name.to_owned(), Value::Array(vec![new]));
            }
            _ => {
                object.insert(attribute.name.to_owned(), new);
            }
        }
    }
    keep_values(object, attribute, |value| !value.as_object().is_some_and(Map::is_empty));
    Ok(())
}

/// A value that fits what was asked for: what is added with it holds what the brackets say.
fn made(
    attribute: &'static Attribute,
    part: Option<&'static Attribute>,
    chosen: &Chosen,
    accepted: Option<Value>,
) -> Result<Option<Value>, ScimError> {
    let Some(accepted) = accepted else { return Ok(None) };
    let mut parts = Map::new();
    equalities(&chosen.filter, attribute, &mut parts)?;
    match (part, accepted) {
        (Some(part), accepted) => {
            parts.insert(part.name.to_owned(), accepted);
        }
        (None, Value::Object(accepted)) => parts.extend(accepted),
        (None, _) => {}
    }
    value::one(attribute, Name::of(attribute), Value::Object(parts))
}

fn equalities(filter: &Filter, attribute: &'static Attribute, into: &mut Object) -> Result<(), ScimError> {
    match filter {
        Filter::And(parts) => parts.iter().try_for_each(|part| equalities(part, attribute, into)),
        Filter::Compare(path, Comparison::Equal, literal) if path.part.is_none() => {
            let value = match literal {
                Literal::Text(text) => Value::from(text.as_str()),
                Literal::Boolean(value) => Value::Bool(*value),
                Literal::Number(number) => Value::Number(number.clone()),
                Literal::Null => return Ok(()),
            };
            if let Some(part) = attribute.sub_attribute(&path.attribute) {
                into.insert(part.name.to_owned(), value);
            }
            Ok(())
        }
        _ => {
            let why = format!("no value of `{}` fits, and none can be made from {filter}", attribute.name);
            Err(ScimError::new(ScimType::NoTarget, why))
        }
    }
}
