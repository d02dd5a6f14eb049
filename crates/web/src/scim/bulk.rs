//! `/Bulk` (RFC 7644, section 3.7): many operations in one request, each done or refused by itself.
//!
//! Ids are given before anything is done, so that an operation can name what another one makes, whichever comes first and even
//! each the other. What names something that was refused is refused, too.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::post;
use leasehold_decide::authority::Action;
use serde_json::{Map, Value, json};

use crate::route::Route;
use crate::scim::caller::Caller;
use crate::scim::deeds::{self, Condition, Deed, Done, NewId};
use crate::scim::error::ScimError;
use crate::scim::patch::Patch;
use crate::scim::schema::ResourceType;
use crate::scim::{answer, document, resources, value};
use crate::state::App;

/// More operations are not taken at once.
pub(crate) const OPERATIONS_MAX: usize = 1_000;
/// Nor more bytes.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 4 << 20;

const REFERENCE: &str = "bulkId:";

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::scim(Method::POST, "/scim/v2/Bulk", Action::PushIdentities, || post(bulk))];

/// One operation as it was sent.
struct Operation {
    method: Method,
    known: &'static ResourceType,
    /// What it is about; for what is to be made, the id that it gets.
    id: String,
    bulk_id: Option<String>,
    condition: Condition,
    data: Value,
    /// The operations whose resources it names.
    names: Vec<usize>,
}

async fn bulk(State(app): State<App>, caller: Caller, body: Bytes) -> Result<Response, ScimError> {
    if body.len() > PAYLOAD_BYTES_MAX {
        return Err(ScimError::TooLarge(format!(
            "a bulk request has at most {PAYLOAD_BYTES_MAX} bytes; send several"
        )));
    }
    let Value::Object(mut body) = deeds::json(&body)? else {
        return Err(ScimError::syntax("an object with `Operations` is wanted here"));
    };
    let Some(Value::Array(sent)) = body.shift_remove("Operations") else {
        return Err(ScimError::syntax("`Operations` is missing; it is a list of operations"));
    };
    if sent.len() > OPERATIONS_MAX {
        return Err(ScimError::TooLarge(format!(
            "a bulk request has at most {OPERATIONS_MAX} operations; send several"
        )));
    }
    let errors_max = match body.get("failOnErrors") {
        None | Some(Value::Null) => u64::MAX,
        Some(value) => value.as_u64().filter(|errors| *errors > 0).ok_or_else(|| {
            ScimError::value("`failOnErrors` is a number of errors after which nothing more is done")
        })?,
    };
    let operations = read(sent)?;
    let mut answers: Vec<Option<Value>> = operations.iter().map(|_| None).collect();
    let mut failed: HashSet<usize> = HashSet::new();
    for position in order(&operations) {
        if failed.len() as u64 >= errors_max {
            break;
        }
        let done = match &operations[position] {
            Err(_) => None,
            Ok(operation) => match operation.names.iter().find(|named| failed.contains(named)) {
                Some(_) => {
                    let why = "what this names with `bulkId:` was not made";
                    Some(Err(ScimError::value(why)))
                }
                None => Some(carry_out(&app, &caller, operation).await),
            },
        };
        let (answer, is_failed) = told(&app, &operations[position], done);
        answers[position] = Some(answer);
        if is_failed {
            failed.insert(position);
        }
    }
    let told = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkResponse"],
        "Operations": answers.into_iter().flatten().collect::<Vec<Value>>(),
    });
    Ok(answer::value(StatusCode::OK, &told))
}

/// An operation that cannot even be tried.
struct Unusable {
    method: Value,
    bulk_id: Option<String>,
    error: ScimError,
}

/// Reads the operations, and puts ids in the place of references.
fn read(sent: Vec<Value>) -> Result<Vec<Result<Operation, Box<Unusable>>>, ScimError> {
    let mut ids: HashMap<String, (usize, String)> = HashMap::new();
    for (position, operation) in sent.iter().enumerate() {
        let is_post = operation["method"].as_str().is_some_and(|method| method.eq_ignore_ascii_case("POST"));
        if let Some(bulk_id) = operation["bulkId"].as_str().filter(|_| is_post)
            && ids.insert(bulk_id.to_owned(), (position, deeds::new_id())).is_some()
        {
            return Err(ScimError::value(format!("two operations have the `bulkId` {bulk_id}")));
        }
    }
    Ok(sent
        .into_iter()
        .map(|operation| {
            let method = operation["method"].clone();
            let bulk_id = operation["bulkId"].as_str().map(str::to_owned);
            one(operation, &ids).map_err(|error| Box::new(Unusable { method, bulk_id, error }))
        })
        .collect())
}

fn one(sent: Value, ids: &HashMap<String, (usize, String)>) -> Result<Operation, ScimError> {
    let text = |name: &str| sent[name].as_str().map(str::to_owned);
    let method = match text("method").map(|method| method.to_ascii_uppercase()).as_deref() {
        Some("POST") => Method::POST,
        Some("PUT") => Method::PUT,
        Some("PATCH") => Method::PATCH,
        Some("DELETE") => Method::DELETE,
        _ => return Err(ScimError::syntax("`method` is POST, PUT, PATCH or DELETE")),
    };
    let path = text("path").ok_or_else(|| ScimError::syntax("`path` is missing; such as `/Users`"))?;
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let known = resources::known(parts.next().unwrap_or_default())?;
    let named = parts.next().filter(|id| !id.is_empty());
    let bulk_id = text("bulkId");
    let mut names = Vec::new();
    let id = match (&method, named) {
        (&Method::POST, Some(_)) => {
            return Err(ScimError::value("what is to be made has no id yet; `path` is that of its type"));
        }
        (&Method::POST, None) => match bulk_id.as_ref().and_then(|bulk_id| ids.get(bulk_id)) {
            Some((_, id)) => id.clone(),
            None => return Err(ScimError::value("`bulkId` is missing; what is to be made has one")),
        },
        (_, None) => return Err(ScimError::value("`path` names no resource; write its id after the type")),
        (_, Some(named)) => match named.strip_prefix(REFERENCE) {
            Some(reference) => resolved(reference, ids, &mut names)?,
            None => named.to_owned(),
        },
    };
    let condition = Condition(text("version"));
    let mut data = sent.get("data").cloned().unwrap_or_default();
    substitute(&mut data, ids, &mut names)?;
    Ok(Operation { method, known, id, bulk_id, condition, data, names })
}

fn resolved(
    reference: &str,
    ids: &HashMap<String, (usize, String)>,
    names: &mut Vec<usize>,
) -> Result<String, ScimError> {
    let known = ids.get(reference);
    let (position, id) =
        known.ok_or_else(|| ScimError::value(format!("no operation has the `bulkId` {reference}")))?;
    names.push(*position);
    Ok(id.clone())
}

fn substitute(
    value: &mut Value,
    ids: &HashMap<String, (usize, String)>,
    names: &mut Vec<usize>,
) -> Result<(), ScimError> {
    match value {
        Value::String(text) => {
            if let Some(reference) = text.strip_prefix(REFERENCE) {
                *text = resolved(reference, ids, names)?;
            }
            Ok(())
        }
        Value::Array(values) => values.iter_mut().try_for_each(|value| substitute(value, ids, names)),
        Value::Object(parts) => parts.values_mut().try_for_each(|value| substitute(value, ids, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// What is named comes before what names it, as far as that goes; otherwise the order in which it was sent.
fn order(operations: &[Result<Operation, Box<Unusable>>]) -> Vec<usize> {
    let mut order = Vec::with_capacity(operations.len());
    let mut seen = vec![false; operations.len()];
    let mut waiting = Vec::new();
    for first in 0..operations.len() {
        waiting.push((first, false));
        while let Some((position, is_ready)) = waiting.pop() {
            if is_ready {
                order.push(position);
            } else if !std::mem::replace(&mut seen[position], true) {
                waiting.push((position, true));
                if let Ok(operation) = &operations[position] {
                    waiting.extend(operation.names.iter().rev().map(|named| (*named, false)));
                }
            }
        }
    }
    order
}

async fn carry_out(app: &App, caller: &Caller, operation: &Operation) -> Result<Done, ScimError> {
    let Operation { method, known, id, condition, data, .. } = operation;
    let deed = match *method {
        Method::POST => {
            let id = NewId { id: id.clone(), is_known: true };
            return deeds::create(app, caller, known, id, data.clone()).await;
        }
        Method::PUT => {
            let mut object = value::resource(known, data.clone())?;
            value::complete(known, &mut object)?;
            Deed::Replace(object)
        }
        Method::PATCH => Deed::Patch(Arc::new(Patch::parse(data.clone())?)),
        _ => Deed::Delete,
    };
    deeds::change(app, caller, known, id, condition, deed).await
}

/// What is said of an operation, and whether it failed.
fn told(
    app: &App,
    operation: &Result<Operation, Box<Unusable>>,
    done: Option<Result<Done, ScimError>>,
) -> (Value, bool) {
    let mut told = Map::new();
    match operation {
        Err(unusable) => {
            let Unusable { method, bulk_id, error } = &**unusable;
            told.insert("method".to_owned(), method.clone());
            told.extend(bulk_id.clone().map(|bulk_id| ("bulkId".to_owned(), bulk_id.into())));
            told.insert("status".to_owned(), error.status().as_str().into());
            told.insert("response".to_owned(), error.body());
            (Value::Object(told), true)
        }
        Ok(operation) => {
            told.insert("method".to_owned(), operation.method.as_str().into());
            told.extend(operation.bulk_id.clone().map(|bulk_id| ("bulkId".to_owned(), bulk_id.into())));
            let location = || document::location(app.scim_base(), operation.known, &operation.id);
            match done {
                Some(Ok(done)) => {
                    told.insert("location".to_owned(), location().into());
                    if let Some(resource) = &done.resource {
                        told.insert("version".to_owned(), document::tag(resource).into());
                    }
                    told.insert("status".to_owned(), done.status.as_str().into());
                    (Value::Object(told), false)
                }
                failed => {
                    let error = match failed {
                        Some(Err(error)) => error,
                        _ => ScimError::value("this was not tried"),
                    };
                    if let ScimError::Other(crate::error::WebError::Internal(cause)) = &error {
                        tracing::error!(%cause, "an operation of a bulk request failed");
                    }
                    if operation.method != Method::POST {
                        told.insert("location".to_owned(), location().into());
                    }
                    told.insert("status".to_owned(), error.status().as_str().into());
                    told.insert("response".to_owned(), error.body());
                    (Value::Object(told), true)
                }
            }
        }
    }
}
