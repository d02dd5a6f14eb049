//! What the server says of itself, open to everybody, and what it says where something is not there.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::{ENTERPRISE, GROUP, Provider, USER};

#[tokio::test]
async fn everybody_is_told_what_there_is() {
    let provider = Provider::new().await;
    let mut anybody = provider.installation.browser();
    let mut get = async |path: &str| {
        let answer = anybody.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, "application/scim+json"),
            "{path}"
        );
        answer.json()
    };
    let able = get("/scim/v2/ServiceProviderConfig").await;
    for feature in ["patch", "bulk", "filter", "sort", "etag"] {
        assert_eq!(able[feature]["supported"], true, "{feature}");
    }
    assert_eq!(able["changePassword"]["supported"], false);
    assert_eq!(
        (&able["pagination"]["cursor"], &able["pagination"]["maxPageSize"]),
        (&json!(true), &json!(1000))
    );
    let types = get("/scim/v2/ResourceTypes").await;
    assert_eq!(
        (types["totalResults"].as_u64(), &types["Resources"][0]["endpoint"]),
        (Some(2), &json!("/Users"))
    );
    assert_eq!(get("/scim/v2/ResourceTypes/User").await, types["Resources"][0]);
    let schemas = get("/scim/v2/Schemas").await;
    let listed = schemas["Resources"].as_array().expect("schemas");
    for (schema, attributes) in [
        (USER, vec!["userName", "name", "emails", "active"]),
        (ENTERPRISE, vec!["department", "manager"]),
        (GROUP, vec!["displayName", "members"]),
    ] {
        let found = listed.iter().find(|known| known["id"] == schema).expect("a schema");
        let names: Vec<&str> = found["attributes"]
            .as_array()
            .expect("attributes")
            .iter()
            .filter_map(|known| known["name"].as_str())
            .collect();
        assert!(attributes.iter().all(|name| names.contains(name)), "{schema}: {names:?}");
        assert_eq!(get(&format!("/scim/v2/Schemas/{schema}")).await, *found);
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_in_scims_words() {
    let mut provider = Provider::new().await;
    for (method, path, status) in [
        ("GET", "/scim/v2/Nothing", 404),
        ("GET", "/scim/v2/Nothing/at/all", 404),
        ("GET", "/scim/v2/Users/none", 404),
        ("PUT", "/scim/v2/Users/none", 400),
        ("DELETE", "/scim/v2/Users/none", 404),
        ("GET", "/scim/v2/Schemas/none", 404),
        ("GET", "/scim/v2/ResourceTypes/none", 404),
        ("GET", "/scim/v2/Schemas?filter=id%20eq%20%22x%22", 403),
        ("POST", "/scim/v2/Schemas", 405),
        ("PUT", "/scim/v2/ServiceProviderConfig", 405),
        ("DELETE", "/scim/v2/ResourceTypes", 405),
        ("PATCH", "/scim/v2/ResourceTypes/User", 405),
        ("GET", "/scim/v2/Me", 501),
        ("GET", "/scim/v2", 404),
    ] {
        let answer = provider.program.call(method, path, json!({})).await;
        let told = answer.json();
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {told}");
        assert_eq!(
            told["schemas"],
            json!(["urn:ietf:params:scim:api:messages:2.0:Error"]),
            "{method} {path}"
        );
        assert_eq!(told["status"], status.to_string());
        assert_eq!(answer.header("content-type"), "application/scim+json");
    }
    let request =
        provider.program.request("POST", "/scim/v2/Users").header("content-type", "application/scim+json");
    let broken = provider.program.send(request.body(Body::from("{")).expect("a request")).await;
    assert_eq!((broken.status.as_u16(), &broken.json()["scimType"]), (400, &json!("invalidSyntax")));
    for body in [json!([]), json!({}), json!({"userName": ""}), json!({"userName": {"x": 1}}), Value::Null] {
        provider.call("POST", "/scim/v2/Users", body, 400).await;
    }
    // Nobody is told anything about anybody without a token.
    let mut anybody = provider.installation.browser();
    for path in ["/scim/v2/Users", "/scim/v2/Users/none", "/scim/v2/Me"] {
        let answer = anybody.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.json()["status"].as_str()), (401, Some("401")), "{path}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
    let request = Request::get("/scim/v2/Users").header("authorization", "Bearer lh_wrong");
    assert_eq!(anybody.send(request.body(Body::empty()).expect("a request")).await.status, 401);
}
