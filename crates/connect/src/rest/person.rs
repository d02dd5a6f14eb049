//! An object of the API as a person: where each of our names is found, and every other single value as an attribute.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::identity::Unsaid;
use serde_json::Value;

use crate::person::{COLUMNS, EFFECTIVE_DATE, Person, PersonRow};
use crate::rest::paging::text;
use crate::rest::settings::RestSettings;

/// Our names that are more than attributes.
const FIELDS: [&str; 6] = ["kind", "status", "start_date", "end_date", "manager", "owner"];

/// What an object tells.
pub(super) struct Found {
    pub person: Person,
    /// From when on it holds, where the API tells of what is decided and not yet due.
    pub from: Option<Timestamp>,
    /// What of it could not be read.
    pub mended: Vec<String>,
}

/// An identity.
///
/// # Errors
/// Where nobody knows whom the object is about.
pub(super) fn identity(settings: &RestSettings, object: &Value) -> Result<Found, String> {
    let Value::Object(members) = object else { return Err("is no object".to_owned()) };
    let mut mended = Vec::new();
    let mut words: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in members {
        let (ours, word) = (snake_case(name), text(value));
        let is_named = settings.columns.values().any(|place| place == name);
        if !word.is_empty() && !is_named && !settings.columns.contains_key(&ours) {
            words.entry(ours).or_insert(word);
        }
    }
    for (ours, place) in &settings.columns {
        let found = if place.starts_with('/') { object.pointer(place) } else { members.get(place) };
        if let Some(Value::Array(_) | Value::Object(_)) = found {
            mended.push(format!("`{place}` is no single value; name one in it, such as `{place}/0`"));
        }
        words.insert(ours.clone(), found.map(text).unwrap_or_default());
    }
    words.retain(|name, word| {
        let is_kept = !word.contains('\0');
        if !is_kept {
            mended.push(format!("`{name}` holds a NUL byte, which no store can keep"));
        }
        is_kept && !word.is_empty()
    });
    // What an object has no member for is not said; an empty one says that it is the usual.
    let is_unsaid = |ours: &str| {
        !settings.columns.contains_key(ours) && !members.keys().any(|name| snake_case(name) == ours)
    };
    let unsaid = Unsaid { kind: is_unsaid("kind"), state: is_unsaid("status") };
    let Some(key) = words.get(&settings.key).cloned() else {
        return Err(format!("has no `{}`; it is what tells people apart", settings.key));
    };
    let [kind, status, start_date, end_date, manager, owner] =
        FIELDS.map(
            |name| if name == settings.key { String::new() } else { words.remove(name).unwrap_or_default() },
        );
    let effective_date = match settings.has_effective_dates() {
        true => words.remove(EFFECTIVE_DATE).unwrap_or_default(),
        false => String::new(),
    };
    let status = settings.statuses.get(&status.to_lowercase()).cloned().unwrap_or(status);
    let row = PersonRow {
        key: &key,
        kind: &kind,
        status: &status,
        start_date: &start_date,
        end_date: &end_date,
        effective_date: &effective_date,
        manager: &manager,
        owner: &owner,
        attributes: words,
    };
    let from = row.effective_from(&settings.dates, &mut mended);
    let mut person = row.person(&settings.dates, &mut mended);
    person.identity.unsaid = unsaid;
    Ok(Found { person, from, mended })
}

/// A name as ours are written: `costCenter` and `Cost Center` are `cost_center`.
fn snake_case(name: &str) -> String {
    let mut folded = String::with_capacity(name.len() + 4);
    let mut before = None;
    for c in name.chars() {
        let begins_word = c.is_uppercase()
            && before.is_some_and(|before: char| before.is_lowercase() || before.is_numeric());
        let parts = begins_word || !c.is_alphanumeric();
        if parts && !folded.is_empty() && !folded.ends_with('_') {
            folded.push('_');
        }
        if c.is_alphanumeric() {
            folded.extend(c.to_lowercase());
        }
        before = Some(c);
    }
    folded.truncate(folded.trim_end_matches('_').len());
    folded
}

/// Which of our names an object has, for whoever tries the settings.
pub(super) fn known(settings: &RestSettings, object: &Value) -> Vec<&'static str> {
    let names: Vec<String> =
        object.as_object().into_iter().flatten().map(|(name, _)| snake_case(name)).collect();
    let is_there = |ours: &str| match settings.columns.get(ours) {
        Some(place) if place.starts_with('/') => object.pointer(place).is_some(),
        Some(place) => object.get(place).is_some(),
        None => names.iter().any(|name| name == ours),
    };
    COLUMNS.iter().copied().filter(|ours| is_there(ours)).collect()
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn names_are_written_as_ours() {
        for (theirs, ours) in [
            ("costCenter", "cost_center"),
            ("Cost Center", "cost_center"),
            ("employeeNumber", "employee_number"),
            ("workEmail2Address", "work_email2_address"),
            ("ID", "id"),
            ("__x-y__", "x_y"),
            ("ÄnderungsDatum", "änderungs_datum"),
            ("", ""),
        ] {
            assert_eq!(snake_case(theirs), ours);
        }
    }
}
