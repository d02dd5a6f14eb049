//! Making an account: the attributes of a request in the words of SCIM.

use std::collections::BTreeMap;

use leasehold_model::request::{ActionRequest, Outcome};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::error::ConnectError;
use crate::scim::client::{Client, Reply};
use crate::scim::find;

const USER_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE_SCHEMA: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Where an attribute of a request goes.
enum Place {
    User(&'static str),
    Name(&'static str),
    Enterprise(&'static str),
    Mail,
}

/// Attributes of requests, with their places.
const PLACES: &[(&str, Place)] = &[
    ("cost_center", Place::Enterprise("costCenter")),
    ("department", Place::Enterprise("department")),
    ("display_name", Place::User("displayName")),
    ("division", Place::Enterprise("division")),
    ("email", Place::Mail),
    ("employee_number", Place::Enterprise("employeeNumber")),
    ("external_id", Place::User("externalId")),
    ("family_name", Place::Name("familyName")),
    ("given_name", Place::Name("givenName")),
    ("organization", Place::Enterprise("organization")),
    ("title", Place::User("title")),
    ("user_type", Place::User("userType")),
];

/// Makes an account that was looked for and is not there.
pub(super) async fn create_account(
    client: &Client,
    request: &ActionRequest,
) -> Result<Outcome, ConnectError> {
    if request.account.login.is_empty() {
        return Ok(Outcome::Refused { why: "an account needs a userName".to_owned() });
    }
    let (mut user, left_out) = user(&request.account.login, &request.attributes);
    if let (Value::Object(user), Value::Object(more)) = (&mut user, &client.settings.new_account) {
        user.extend(more.clone());
    }
    let path = ["Users"];
    match client.change(Method::POST, &path, Some(&user), None).await? {
        Reply::Done(_) => {
            let mut detail = "created".to_owned();
            if !left_out.is_empty() {
                detail.push_str(&format!("; SCIM has no place for {}", left_out.join(", ")));
            }
            Ok(Outcome::Acknowledged { detail })
        }
        Reply::NotNow { after_ms, why } => Ok(Outcome::Retry { after_ms, why }),
        // Somebody made it meanwhile, or something else than its name is taken.
        Reply::Refused(error) if error.status == StatusCode::CONFLICT => {
            match find::account(client, &request.account).await? {
                Some(_) => Ok(Outcome::AlreadySo),
                None => client.refusal(&path, &error),
            }
        }
        Reply::Refused(error) => client.refusal(&path, &error),
    }
}

/// A user to be made, and the attributes that found no place.
fn user(login: &str, attributes: &BTreeMap<String, String>) -> (Value, Vec<String>) {
    let (mut user, mut name, mut enterprise) = (Map::new(), Map::new(), Map::new());
    let mut left_out = Vec::new();
    user.insert("userName".to_owned(), login.into());
    user.insert("active".to_owned(), true.into());
    for (attribute, value) in attributes {
        let place = PLACES.iter().find(|(known, _)| known == attribute).map(|(_, place)| place);
        let before = match place {
            Some(Place::User(to)) => user.insert((*to).to_owned(), value.as_str().into()),
            Some(Place::Name(to)) => name.insert((*to).to_owned(), value.as_str().into()),
            Some(Place::Enterprise(to)) => enterprise.insert((*to).to_owned(), value.as_str().into()),
            Some(Place::Mail) => {
                let mails = json!([{"value": value, "type": "work", "primary": true}]);
                user.insert("emails".to_owned(), mails)
            }
            None => {
                left_out.push(attribute.clone());
                None
            }
        };
        debug_assert!(before.is_none(), "two attributes have one place");
    }
    let mut schemas = vec![USER_SCHEMA];
    if !name.is_empty() {
        user.insert("name".to_owned(), name.into());
    }
    if !enterprise.is_empty() {
        schemas.push(ENTERPRISE_SCHEMA);
        user.insert(ENTERPRISE_SCHEMA.to_owned(), enterprise.into());
    }
    user.insert("schemas".to_owned(), json!(schemas));
    (user.into(), left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_go_where_scim_has_them_and_the_rest_is_named() {
        let attributes = [
            ("email", "ada@example.com"),
            ("given_name", "Ada"),
            ("employee_number", "E7"),
            ("display_name", "Ada L."),
            ("shoe_size", "38"),
        ];
        let attributes =
            attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        let (user, left_out) = user("ada", &attributes);
        let expected = json!({
            "userName": "ada", "active": true, "displayName": "Ada L.",
            "emails": [{"value": "ada@example.com", "type": "work", "primary": true}],
            "name": {"givenName": "Ada"},
            ENTERPRISE_SCHEMA: {"employeeNumber": "E7"},
            "schemas": [USER_SCHEMA, ENTERPRISE_SCHEMA],
        });
        assert_eq!((user, left_out), (expected, vec!["shoe_size".to_owned()]));
    }
}
