//! Users and groups as a server writes them, read with the forbearance that real servers need.

use std::collections::BTreeSet;

use leasehold_model::account::Account;
use serde_json::Value;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// Attributes of a user that are told under their own names.
const OF_USER: &[&str] = &["externalId", "displayName", "nickName", "title", "userType"];
const OF_NAME: &[&str] = &["givenName", "familyName"];
const OF_ENTERPRISE: &[&str] = &["employeeNumber", "costCenter", "organization", "division", "department"];
const OF_META: &[&str] = &["created", "lastModified"];

/// An attribute. Their names have no case (RFC 7643 section 2.1).
pub(super) fn attribute<'value>(value: &'value Value, name: &str) -> Option<&'value Value> {
    let object = value.as_object()?;
    let found = object
        .get(name)
        .or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value));
    found.filter(|value| !value.is_null())
}

/// Takes an attribute out; `null` where there is none.
pub(super) fn take(value: &mut Value, name: &str) -> Value {
    let Some(object) = value.as_object_mut() else { return Value::Null };
    let key = object.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
    key.and_then(|key| object.swap_remove(&key)).unwrap_or_default()
}

/// A text; a number stands for its digits.
pub(super) fn text(value: &Value, name: &str) -> Option<String> {
    plain(attribute(value, name)?)
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A whole number; some servers write it as a text.
pub(super) fn number(value: &Value, name: &str) -> Option<u64> {
    match attribute(value, name)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Yes or no; some servers write it as a text.
pub(super) fn flag(value: &Value, name: &str) -> Option<bool> {
    match attribute(value, name)? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// The parts of an attribute with several values; one that stands alone is one of one.
pub(super) fn values<'value>(value: &'value Value, name: &str) -> &'value [Value] {
    match attribute(value, name) {
        Some(Value::Array(values)) => values,
        Some(one) => std::slice::from_ref(one),
        None => &[],
    }
}

/// Whether a user may log in. RFC 7643 lets a server leave the switch out where it has none.
pub(super) fn is_active(user: &Value) -> bool {
    flag(user, "active").unwrap_or(true)
}

/// What people call a user: the login, or whatever the server has.
pub(super) fn login(user: &Value) -> Option<String> {
    text(user, "userName").filter(|login| !login.is_empty())
}

/// An account with everything that is told of it.
pub(super) fn account(id: &str, user: &Value) -> Account {
    let mut account = Account::new(id, login(user).unwrap_or_else(|| id.to_owned()));
    account.enabled = is_active(user);
    let mut tell = |part: Option<&Value>, names: &[&str]| {
        let Some(part) = part else { return };
        for name in names {
            if let Some(text) = text(part, name).filter(|text| !text.is_empty()) {
                account.attributes.insert((*name).to_owned(), text);
            }
        }
    };
    tell(Some(user), OF_USER);
    tell(attribute(user, "name"), OF_NAME);
    tell(attribute(user, "meta"), OF_META);
    let enterprise = attribute(user, ENTERPRISE);
    tell(enterprise, OF_ENTERPRISE);
    if let Some(mail) = mail(user) {
        account.attributes.insert("mail".to_owned(), mail);
    }
    if let Some(manager) = enterprise.and_then(|part| value_of(attribute(part, "manager")?)) {
        account.attributes.insert("manager".to_owned(), manager);
    }
    account
}

/// The primary mail address, or else the first.
fn mail(user: &Value) -> Option<String> {
    let mails = values(user, "emails");
    let primary = mails.iter().find(|mail| flag(mail, "primary") == Some(true));
    primary.or(mails.first()).and_then(value_of).filter(|mail| !mail.is_empty())
}

/// What one of several values stands for: its `value`, or itself where it is no object.
fn value_of(part: &Value) -> Option<String> {
    match part {
        Value::Object(_) => text(part, "value").or_else(|| text(part, "display")),
        other => plain(other),
    }
}

/// The names in an attribute that gives something: `roles`, `entitlements`.
pub(super) fn names(user: &Value, attribute: &str) -> BTreeSet<String> {
    values(user, attribute).iter().filter_map(value_of).filter(|name| !name.is_empty()).collect()
}

/// What a member of a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberKind {
    User,
    Group,
    /// Neither its `type` nor its `$ref` says.
    Unstated,
}

/// The id and the kind of a member; `None` where it has no id.
pub(super) fn member(member: &Value) -> Option<(String, MemberKind)> {
    let id = match member {
        Value::Object(_) => text(member, "value")?,
        other => plain(other)?,
    };
    let kind = match text(member, "type").as_deref() {
        Some(kind) if kind.eq_ignore_ascii_case("User") => MemberKind::User,
        Some(kind) if kind.eq_ignore_ascii_case("Group") => MemberKind::Group,
        _ => match text(member, "$ref") {
            Some(reference) if reference.contains("/Users/") || reference.starts_with("Users/") => {
                MemberKind::User
            }
            Some(reference) if reference.contains("/Groups/") || reference.starts_with("Groups/") => {
                MemberKind::Group
            }
            _ => MemberKind::Unstated,
        },
    };
    (!id.is_empty()).then_some((id, kind))
}

/// The groups of a user with whether each is held directly, as the user's own `groups` tells.
pub(super) fn groups_of(user: &Value) -> Vec<(String, bool)> {
    let groups = values(user, "groups").iter().filter_map(|group| {
        let id = text(group, "value").filter(|id| !id.is_empty())?;
        let is_indirect = text(group, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("indirect"));
        Some((id, !is_indirect))
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_user_is_read_in_every_dialect() {
        let user = json!({
            "id": "7", "USERNAME": "ada", "Active": "False", "externalId": "E7", "displayName": "", "title": null,
            "name": {"givenName": "Ada"},
            "emails": [{"value": "home@example.com"}, {"value": "ada@example.com", "primary": "true"}],
            "roles": ["admin", {"value": "auditor"}, {"display": "reader"}, {"type": "x"}, "admin"],
            ENTERPRISE: {"employeeNumber": 4711, "manager": "12"},
            "meta": {"lastModified": "2026-01-02T03:04:05Z", "version": "W/\"3\""},
        });
        let account = account("7", &user);
        assert_eq!((account.login.as_str(), account.enabled), ("ada", false));
        let attributes: Vec<(&str, &str)> =
            account.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [
            ("employeeNumber", "4711"),
            ("externalId", "E7"),
            ("givenName", "Ada"),
            ("lastModified", "2026-01-02T03:04:05Z"),
            ("mail", "ada@example.com"),
            ("manager", "12"),
        ];
        assert_eq!(attributes, expected);
        assert_eq!(names(&user, "roles").into_iter().collect::<Vec<_>>(), ["admin", "auditor", "reader"]);
        assert!(is_active(&json!({"id": "8"})), "a server without the switch lets everybody in");
    }

    #[test]
    fn a_member_is_of_the_kind_that_it_says() {
        for (written, expected) in [
            (json!({"value": "1", "type": "User"}), Some(MemberKind::User)),
            (json!({"value": "1", "type": "group"}), Some(MemberKind::Group)),
            (json!({"value": "1", "$ref": "https://x.example/v2/Groups/1"}), Some(MemberKind::Group)),
            (json!({"value": "1", "$ref": "../Users/1"}), Some(MemberKind::User)),
            (json!({"value": 1}), Some(MemberKind::Unstated)),
            (json!("1"), Some(MemberKind::Unstated)),
            (json!({"value": ""}), None),
            (json!({"display": "x"}), None),
        ] {
            let expected = expected.map(|kind| ("1".to_owned(), kind));
            assert_eq!(member(&written), expected, "{written}");
        }
        let user = json!({"groups": [{"value": "1"}, {"value": "2", "type": "indirect"}, {"display": "x"}]});
        assert_eq!(groups_of(&user), [("1".to_owned(), true), ("2".to_owned(), false)]);
    }
}
