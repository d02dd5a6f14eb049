//! Changes of a resource (RFC 7644, section 3.5.2): read from what clients send, done in order, all or none.
//!
//! What Okta and Entra ID send beside the standard is taken for what it means: `"op": "Replace"`, booleans as texts, an object
//! without a path whose names have dots or schemas, values to remove listed beside the path, a value that is added where none
//! fits the brackets, a manager as a bare id.

mod apply;
#[cfg(test)]
mod properties;
mod target;

use serde_json::Value;

use crate::scim::error::{ScimError, ScimType};
use crate::scim::schema::{MEMBERS, ResourceType};
use crate::scim::value::Object;

/// More operations are not taken in one request.
const OPERATIONS_MAX: usize = 1_000;
/// Each operation may look at each member, and nobody else writes meanwhile: not more is done in one request.
const LOOKS_MAX: usize = 4_000_000;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Add,
    Replace,
    Remove,
}

/// One operation as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operation {
    verb: Verb,
    path: Option<String>,
    value: Option<Value>,
}

/// Everything that one request changes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Patch(Vec<Operation>);

impl Patch {
    /// Reads a request.
    ///
    /// # Errors
    /// `invalidSyntax` where it is none.
    pub fn parse(body: Value) -> Result<Self, ScimError> {
        let Value::Object(body) = body else {
            return Err(ScimError::syntax("an object with `Operations` is wanted here"));
        };
        let operations = body.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("operations"));
        let Some((_, Value::Array(operations))) = operations else {
            return Err(ScimError::syntax(
                "`Operations` is missing; it is a list of `{\"op\": …, \"path\": …, \"value\": …}`",
            ));
        };
        if operations.is_empty() || operations.len() > OPERATIONS_MAX {
            return Err(ScimError::syntax(format!("1 to {OPERATIONS_MAX} operations go into one request")));
        }
        operations.into_iter().map(operation).collect::<Result<_, _>>().map(Self)
    }

    /// The resource as it is after all of it; an error leaves it as it was.
    ///
    /// # Errors
    /// `invalidPath`, `invalidValue`, `noTarget`, `mutability`; where it is too much at once.
    pub fn apply(&self, known: &'static ResourceType, mut object: Object) -> Result<Object, ScimError> {
        let mut looks = 0_usize;
        for operation in &self.0 {
            let members = object.get(MEMBERS).and_then(Value::as_array).map_or(0, Vec::len);
            // Without a path each name of the value can be a path of its own.
            let paths = match (&operation.path, &operation.value) {
                (None, Some(Value::Object(parts))) => parts.len().max(1),
                _ => 1,
            };
            looks = looks.saturating_add(members.saturating_mul(paths));
            if looks > LOOKS_MAX {
                let why = format!(
                    "{} operations on {members} members are too many at once; send several requests",
                    self.0.len()
                );
                return Err(ScimError::TooLarge(why));
            }
            apply::operation(known, &mut object, operation)?;
        }
        Ok(object)
    }
}

fn operation(value: Value) -> Result<Operation, ScimError> {
    let Value::Object(sent) = value else {
        return Err(ScimError::syntax("an operation is an object with `op`"));
    };
    let (mut verb, mut path, mut value) = (None, None, None);
    for (name, sent) in sent {
        match name.to_ascii_lowercase().as_str() {
            "op" => verb = sent.as_str().map(str::to_owned),
            "path" => {
                path = match sent {
                    Value::Null => None,
                    Value::String(text) if text.trim().is_empty() => None,
                    Value::String(text) => Some(text),
                    _ => return Err(ScimError::new(ScimType::InvalidPath, "`path` is a text")),
                }
            }
            "value" => value = Some(sent),
            _ => {}
        }
    }
    let verb = match verb.as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("add") => Verb::Add,
        Some("replace") => Verb::Replace,
        Some("remove") => Verb::Remove,
        _ => return Err(ScimError::syntax("`op` is add, replace or remove")),
    };
    if verb == Verb::Remove && path.is_none() {
        return Err(ScimError::new(ScimType::NoTarget, "what is to be removed has a `path`"));
    }
    if verb != Verb::Remove && value.is_none() {
        return Err(ScimError::value("an operation that adds or replaces has a `value`"));
    }
    Ok(Operation { verb, path, value })
}
