//! What Okta, Entra ID and others send beside the standard, each as a case: what there is, what is sent, what there is then.

use serde_json::{Value, json};

use super::{ENTERPRISE, Provider, USER, USERS, id, patch};

/// What a user holds before each case. `MANAGER` stands for the id of somebody.
fn ada(manager: &str) -> Value {
    json!({
        "schemas": [USER, ENTERPRISE],
        "userName": "ada@example.com",
        "externalId": "00u1",
        "active": true,
        "title": "Engineer",
        "name": {"givenName": "Ada", "familyName": "Byron"},
        "emails": [
            {"value": "ada@example.com", "type": "work", "primary": true},
            {"value": "ada@home.example.com", "type": "home"},
        ],
        ENTERPRISE: {"department": "Research", "employeeNumber": "7", "manager": {"value": manager}},
    })
}

/// Who sends it, what, and what is where in the resource afterwards; nothing where it is `null`.
type Case = (&'static str, Value, Vec<(&'static str, Value)>);

const DEPARTMENT: &str = "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/department";
const MANAGER: &str = "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/manager/value";
const MANAGER_PATH: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager";

fn cases() -> Vec<Case> {
    let work = json!({"value": "ada@example.com", "type": "work", "primary": true});
    let home = json!({"value": "ada@home.example.com", "type": "home"});
    vec![
        (
            "Entra ID: a verb with a capital, and a boolean as a text",
            json!([{"op": "Replace", "path": "active", "value": "False"}]),
            vec![("/active", json!(false)), ("/title", json!("Engineer"))],
        ),
        (
            "Entra ID: one request with names that have dots and schemas",
            json!([{"op": "Replace", "value": {
                "active": "True", "name.givenName": "Augusta", "displayName": "A",
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department": "Board"}}]),
            vec![
                ("/name", json!({"givenName": "Augusta", "familyName": "Byron"})),
                (DEPARTMENT, json!("Board")),
                ("/displayName", json!("A")),
                ("/active", json!(true)),
                (MANAGER, json!("MANAGER")),
            ],
        ),
        (
            "Entra ID: a value added where none fits is made so that it does",
            json!([{"op": "Add", "path": "emails[type eq \"other\"].value", "value": "x@example.com"}]),
            vec![("/emails", json!([work, home, {"type": "other", "value": "x@example.com"}]))],
        ),
        (
            "Entra ID: a value added where one fits replaces its part",
            json!([{"op": "Add", "path": "emails[type eq \"home\"].value", "value": "x@example.com"}]),
            vec![("/emails", json!([work, {"value": "x@example.com", "type": "home"}]))],
        ),
        (
            "Entra ID: a part of a list that is not there",
            json!([{"op": "Add", "path": "addresses[type eq \"work\"].locality", "value": "Paris"},
                {"op": "Add", "path": "addresses[type eq \"work\"].country", "value": "FR"}]),
            vec![("/addresses", json!([{"type": "work", "locality": "Paris", "country": "FR"}]))],
        ),
        (
            "Entra ID: a manager as a bare id",
            json!([{"op": "Add", "path": MANAGER_PATH, "value": "m2"}]),
            vec![(MANAGER, json!("m2")), (DEPARTMENT, json!("Research"))],
        ),
        (
            "Entra ID: a manager as an object",
            json!([{"op": "Replace", "path": MANAGER_PATH, "value": {"value": "m3"}}]),
            vec![(MANAGER, json!("m3"))],
        ),
        (
            "Entra ID: a manager as a list of one",
            json!([{"op": "Replace", "path": MANAGER_PATH, "value": [{"value": "m3"}]}]),
            vec![(MANAGER, json!("m3"))],
        ),
        (
            "Entra ID: a manager taken away by an empty text",
            json!([{"op": "Replace", "path": MANAGER_PATH, "value": ""}]),
            vec![(MANAGER, Value::Null), (DEPARTMENT, json!("Research"))],
        ),
        (
            "Entra ID: a manager taken away by null",
            json!([{"op": "Replace", "path": MANAGER_PATH, "value": null}]),
            vec![(MANAGER, Value::Null)],
        ),
        (
            "Entra ID: a manager taken away by their id",
            json!([{"op": "Remove", "path": format!("{MANAGER_PATH}[value eq \"MANAGER\"]")}]),
            vec![(MANAGER, Value::Null), (DEPARTMENT, json!("Research"))],
        ),
        (
            "Entra ID: an attribute taken away by an empty text",
            json!([{"op": "Replace", "path": "title", "value": ""}]),
            vec![("/title", Value::Null)],
        ),
        (
            "Entra ID: an attribute taken away by null, without a path",
            json!([{"op": "Replace", "value": {"title": null, "nickName": ""}}]),
            vec![("/title", Value::Null), ("/userName", json!("ada@example.com"))],
        ),
        (
            "Okta: deactivation without a path",
            json!([{"op": "replace", "value": {"active": false}}]),
            vec![("/active", json!(false)), ("/name/familyName", json!("Byron"))],
        ),
        (
            "Okta: what the server sets is sent along, and ignored",
            json!([{"op": "replace", "value": {"id": "another", "meta": {"version": "1"}, "title": "Countess"}}]),
            vec![("/title", json!("Countess"))],
        ),
        (
            "names in another case",
            json!([{"OP": "rePlace", "Path": "NAME.GIVENNAME", "VALUE": "Augusta"}]),
            vec![("/name/givenName", json!("Augusta"))],
        ),
        (
            "a path with the core schema's id",
            json!([{"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:title", "value": "Countess"}]),
            vec![("/title", json!("Countess"))],
        ),
        (
            "what an organisation adds, as an object without a path",
            json!([{"op": "add", "value": {ENTERPRISE: {"costCenter": "9"}}}]),
            vec![
                ("/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/costCenter", json!("9")),
                (DEPARTMENT, json!("Research")),
                (MANAGER, json!("MANAGER")),
            ],
        ),
        (
            "all that an organisation adds, taken away by its schema",
            json!([{"op": "remove", "path": ENTERPRISE}]),
            vec![(DEPARTMENT, Value::Null), ("/schemas", json!([USER]))],
        ),
        (
            "values of a list taken away by a filter",
            json!([{"op": "remove", "path": "emails[type eq \"home\" and value ew \"home.example.com\"]"}]),
            vec![("/emails", json!([work]))],
        ),
        (
            "all values of a list taken away",
            json!([{"op": "remove", "path": "emails"}]),
            vec![("/emails", Value::Null)],
        ),
        (
            "a part of every value taken away",
            json!([{"op": "remove", "path": "emails.type"}]),
            vec![(
                "/emails",
                json!([{"value": "ada@example.com", "primary": true}, {"value": "ada@home.example.com"}]),
            )],
        ),
        (
            "a part of the name taken away",
            json!([{"op": "remove", "path": "name.familyName"}]),
            vec![("/name", json!({"givenName": "Ada"}))],
        ),
        (
            "what is there already is not there twice",
            json!([{"op": "add", "path": "emails", "value": [{"value": "ada@home.example.com", "type": "home"}]}]),
            vec![("/emails", json!([work, home]))],
        ),
        (
            "one value of a list, sent alone",
            json!([{"op": "add", "path": "phoneNumbers", "value": {"value": "+44 1", "type": "work"}}]),
            vec![("/phoneNumbers", json!([{"value": "+44 1", "type": "work"}]))],
        ),
        (
            "a new primary value takes that from the one before",
            json!([{"op": "add", "path": "emails", "value": [{"value": "new@example.com", "type": "other", "primary": true}]}]),
            vec![("/emails/0/primary", json!(false)), ("/emails/2/primary", json!(true))],
        ),
        (
            "a whole list is replaced",
            json!([{"op": "replace", "path": "emails", "value": [{"value": "new@example.com"}]}]),
            vec![("/emails", json!([{"value": "new@example.com"}]))],
        ),
        (
            "operations are done in their order",
            json!([{"op": "replace", "path": "title", "value": "1"}, {"op": "remove", "path": "title"},
                {"op": "add", "path": "title", "value": "2"}]),
            vec![("/title", json!("2"))],
        ),
        (
            "a number for a text",
            json!([{"op": "replace", "path": format!("{ENTERPRISE}:employeeNumber"), "value": 12}]),
            vec![("/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/employeeNumber", json!("12"))],
        ),
        (
            "what no schema knows is left out",
            json!([{"op": "add", "value": {"favouriteColour": "blue", "title": "Countess"}}]),
            vec![("/favouriteColour", Value::Null), ("/title", json!("Countess"))],
        ),
    ]
}

fn with_manager(value: Value, manager: &str) -> Value {
    let text = value.to_string().replace("MANAGER", manager);
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn what_providers_send_is_taken_for_what_it_means() {
    let mut provider = Provider::new().await;
    let manager = provider.user("mia@example.com").await;
    for (who, operations, expected) in cases() {
        let made = provider.make(USERS, ada(&manager)).await;
        let path = format!("{USERS}/{}", id(&made));
        let answer = provider.program.call("PATCH", &path, patch(with_manager(operations, &manager))).await;
        assert_eq!(answer.status, 200, "{who}\n{}", answer.text);
        let shown = provider.get(&path).await;
        assert_eq!(shown, answer.json(), "{who}: the answer is the resource");
        for (pointer, value) in expected {
            let found = shown.pointer(pointer).cloned().unwrap_or_default();
            assert_eq!(found, with_manager(value, &manager), "{who}: {pointer}\n{shown:#}");
        }
        provider.call("DELETE", &path, Value::Null, 204).await;
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let mut provider = Provider::new().await;
    let made = provider.make(USERS, ada("m1")).await;
    let path = format!("{USERS}/{}", id(&made));
    let good = json!({"op": "replace", "path": "title", "value": "Countess"});
    for (operation, kind) in [
        (json!({"path": "title", "value": "x"}), "invalidSyntax"),
        (json!({"op": "move", "path": "title", "value": "x"}), "invalidSyntax"),
        (json!({"op": "replace", "path": "title"}), "invalidValue"),
        (json!({"op": "remove"}), "noTarget"),
        (json!({"op": "replace", "path": "favouriteColour", "value": "x"}), "invalidPath"),
        (json!({"op": "replace", "path": "name.favourite", "value": "x"}), "invalidPath"),
        (json!({"op": "replace", "path": "emails[type eq", "value": "x"}), "invalidPath"),
        (json!({"op": "replace", "path": "emails[colour eq \"red\"].value", "value": "x"}), "invalidPath"),
        (json!({"op": "replace", "path": "title[value eq \"x\"]", "value": "x"}), "invalidPath"),
        (json!({"op": "replace", "path": "emails[type eq \"fax\"].value", "value": "x"}), "noTarget"),
        (
            json!({"op": "add", "path": "emails[not (type eq \"x\") and value pr and type eq \"fax\"].value", "value": "x"}),
            "noTarget",
        ),
        (json!({"op": "replace", "path": "id", "value": "x"}), "mutability"),
        (json!({"op": "replace", "path": "meta.version", "value": "x"}), "mutability"),
        (json!({"op": "remove", "path": "userName"}), "mutability"),
        (json!({"op": "replace", "path": "userName", "value": ""}), "mutability"),
        (json!({"op": "replace", "path": "active", "value": "perhaps"}), "invalidValue"),
        (json!({"op": "replace", "path": "name", "value": "Ada"}), "invalidValue"),
        (json!({"op": "replace", "path": "title", "value": ["a", "b"]}), "invalidValue"),
        (json!({"op": "replace", "path": "title", "value": "a\u{0}b"}), "invalidValue"),
        (json!({"op": "replace", "value": "x"}), "invalidValue"),
        (json!({"op": "replace", "value": {"emails[type eq": "x"}}), "invalidPath"),
        (json!({"op": "add", "value": {"emails[colour eq \"red\"].value": "x"}}), "invalidPath"),
        (
            json!({"op": "replace", "path": "emails", "value": [{"value": "a", "primary": true}, {"value": "b", "primary": true}]}),
            "invalidValue",
        ),
        (json!({"op": "replace", "path": "emails.primary", "value": true}), "invalidValue"),
        (
            json!({"op": "add", "path": "emails[value co \"ada\"]", "value": {"primary": true}}),
            "invalidValue",
        ),
        (json!("replace"), "invalidSyntax"),
    ] {
        let answer = provider.program.call("PATCH", &path, patch(json!([good, operation]))).await;
        let told = answer.json();
        assert_eq!(
            (answer.status.as_u16(), told["scimType"].as_str()),
            (400, Some(kind)),
            "{operation}\n{told:#}"
        );
        assert_eq!(told["status"], "400");
        assert!(told["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{told}");
        assert_eq!(answer.header("content-type"), "application/scim+json");
        assert_eq!(provider.get(&path).await, made, "{operation}");
    }
    for body in [json!({}), json!({"Operations": []}), json!({"Operations": {}}), json!([])] {
        let told = provider.call("PATCH", &path, body, 400).await.json();
        assert_eq!(told["scimType"], "invalidSyntax", "{told}");
    }
}

#[tokio::test]
async fn okta_replaces_whole_users_with_what_it_was_given() {
    let mut provider = Provider::new().await;
    // It looks first, and makes who is not there.
    let found = provider
        .get(&format!("{USERS}?filter=userName%20eq%20%22ada%40example.com%22&startIndex=1&count=100"))
        .await;
    assert_eq!((found["totalResults"].as_u64(), found["Resources"].clone()), (Some(0), json!([])));
    let made = provider.make(USERS, ada("m1")).await;
    let path = format!("{USERS}/{}", id(&made));
    provider.call("POST", USERS, ada("m1"), 409).await;
    let mut sent = made.clone();
    sent["active"] = json!(false);
    sent["groups"] = json!([{"value": "g1"}]);
    sent["meta"]["version"] = json!("W/\"999\"");
    let put = provider.call("PUT", &path, sent, 200).await.json();
    assert_eq!(put["active"], false);
    assert_eq!((&put["id"], &put["meta"]["created"]), (&made["id"], &made["meta"]["created"]));
    // Who was deactivated does not come back because somebody leaves that out.
    let mut silent = ada("m1");
    silent.as_object_mut().expect("an object").remove("active");
    let put = provider.call("PUT", &path, silent, 200).await.json();
    assert_eq!(put["active"], false, "{put}");
    for taken_away in [
        json!({"op": "remove", "path": "active"}),
        json!({"op": "replace", "path": "active", "value": null}),
        json!({"op": "replace", "value": {"active": ""}}),
    ] {
        let deactivated = json!({"op": "replace", "path": "active", "value": false});
        let changed = provider.patch(&path, json!([deactivated, taken_away])).await;
        assert_eq!(changed.get("active"), Some(&Value::Null), "nobody comes back by {taken_away}");
    }
    let put = provider.call("PUT", &path, ada("m1"), 200).await.json();
    assert_eq!(put["active"], true);
    // What is left out of a whole resource is not there afterwards.
    let put = provider
        .call("PUT", &path, json!({"schemas": [USER], "userName": "ada@example.com"}), 200)
        .await
        .json();
    assert_eq!((put.get("title"), put.get(ENTERPRISE), put.get("emails")), (None, None, None), "{put}");
}
