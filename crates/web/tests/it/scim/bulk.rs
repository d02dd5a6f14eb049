//! Many operations in one request: each done or refused by itself, and what names another is done after it.

use axum::body::Body;
use serde_json::{Value, json};

use super::{GROUPS, Provider, USERS, names};

const BULK: &str = "/scim/v2/Bulk";

fn bulk(operations: Value) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations})
}

fn statuses(answer: &Value) -> Vec<String> {
    let operations = answer["Operations"].as_array().expect("operations").iter();
    operations.map(|told| told["status"].as_str().expect("a status").to_owned()).collect()
}

#[tokio::test]
async fn operations_name_what_others_make_whichever_comes_first() {
    let mut provider = Provider::new().await;
    let answer = provider.call("POST", BULK, bulk(json!([
        {"method": "POST", "path": "/Groups", "bulkId": "team", "data": {"displayName": "Team",
            "members": [{"value": "bulkId:ada"}, {"value": "bulkId:inner", "type": "Group"}]}},
        {"method": "post", "path": "/Users", "bulkId": "ada", "data": {"userName": "ada"}},
        {"method": "POST", "path": "Groups", "bulkId": "inner", "data": {"displayName": "Inner",
            "members": [{"value": "bulkId:team", "type": "Group"}]}},
        {"method": "PATCH", "path": "/Users/bulkId:ada", "data": {"Operations": [{"op": "add", "path": "title", "value": "x"}]}},
    ])), 200).await.json();
    assert_eq!(statuses(&answer), ["201", "201", "201", "200"], "{answer:#}");
    let told = answer["Operations"].as_array().expect("operations");
    let path = |operation: usize| {
        let location = told[operation]["location"].as_str().expect("a location");
        location.strip_prefix("http://127.0.0.1:8420").expect("ours").to_owned()
    };
    let ada = provider.get(&path(1)).await;
    assert_eq!(
        (&told[1]["bulkId"], &told[1]["method"], &told[1]["version"]),
        (&json!("ada"), &json!("POST"), &json!("W/\"1\""))
    );
    assert_eq!((&told[3]["version"], &told[3]["location"]), (&ada["meta"]["version"], &told[1]["location"]));
    let (team, inner) = (provider.get(&path(0)).await, provider.get(&path(2)).await);
    assert_eq!(team["members"].as_array().expect("members").len(), 2);
    assert_eq!(inner["members"][0]["value"], team["id"], "each names the other");
    assert_eq!((&ada["title"], &ada["groups"][0]["value"]), (&json!("x"), &team["id"]));

    // Who is named by a group that is made before them is told so at once.
    let answer = provider.call("POST", BULK, bulk(json!([
        {"method": "POST", "path": "/Users", "bulkId": "bo", "data": {"userName": "bo", "externalId": "bulkId:crew"}},
        {"method": "POST", "path": "/Groups", "bulkId": "crew", "data": {"displayName": "Crew", "members": [{"value": "bulkId:bo"}]}},
    ])), 200).await.json();
    assert_eq!(statuses(&answer), ["201", "201"], "{answer:#}");
    let bo = provider.get(&format!("{USERS}?filter=userName%20eq%20%22bo%22")).await["Resources"][0].clone();
    assert_eq!(bo["groups"][0]["display"], "Crew");
    assert_eq!(provider.get(&format!("{USERS}/{}", bo["id"].as_str().expect("an id"))).await, bo);
    assert_eq!(answer["Operations"][0]["version"], bo["meta"]["version"]);
}

#[tokio::test]
async fn each_operation_is_done_or_refused_by_itself() {
    let mut provider = Provider::new().await;
    let there = provider.user("there").await;
    let answer = provider.call("POST", BULK, bulk(json!([
        {"method": "POST", "path": "/Users", "bulkId": "twice", "data": {"userName": "There"}},
        {"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"displayName": "G", "members": [{"value": "bulkId:twice"}]}},
        {"method": "POST", "path": "/Users", "bulkId": "bo", "data": {"userName": "bo"}},
        {"method": "PUT", "path": format!("/Users/{there}"), "version": "W/\"9\"", "data": {"userName": "there"}},
        {"method": "PUT", "path": format!("/Users/{there}"), "version": "W/\"1\"", "data": {"userName": "there2"}},
        {"method": "DELETE", "path": "/Users/none"},
        {"method": "DELETE", "path": format!("/Users/{there}")},
        {"method": "GET", "path": format!("/Users/{there}")},
        {"method": "POST", "path": "/Users", "data": {"userName": "cy"}},
        {"method": "POST", "path": "/Colours", "bulkId": "c", "data": {}},
        {"method": "PATCH", "path": "/Users/bulkId:unknown", "data": {}},
        {"method": "PATCH", "path": "/Users", "data": {}},
        {"path": "/Users"},
    ])), 200).await.json();
    assert_eq!(
        statuses(&answer),
        ["409", "400", "201", "412", "200", "404", "204", "400", "400", "404", "400", "400", "400"],
        "{answer:#}"
    );
    let told = answer["Operations"].as_array().expect("operations");
    assert_eq!((&told[0]["response"]["scimType"], told[0].get("location")), (&json!("uniqueness"), None));
    assert_eq!(told[3]["response"]["status"], "412");
    assert!(told[6].get("response").is_none(), "{answer:#}");
    assert_eq!(names(&provider.get(USERS).await), ["bo"]);
    assert_eq!(provider.get(GROUPS).await["totalResults"], 0);
}

#[tokio::test]
async fn a_bulk_request_stops_at_its_errors_and_at_its_limits() {
    let mut provider = Provider::new().await;
    let bad = json!({"method": "DELETE", "path": "/Users/none"});
    let good =
        |name: &str| json!({"method": "POST", "path": "/Users", "bulkId": name, "data": {"userName": name}});
    let mut sent = bulk(json!([good("a"), bad, good("b"), bad, good("c")]));
    sent["failOnErrors"] = json!(2);
    let answer = provider.call("POST", BULK, sent.clone(), 200).await.json();
    assert_eq!(statuses(&answer), ["201", "404", "201", "404"]);
    assert_eq!(names(&provider.get(USERS).await), ["a", "b"]);
    sent["failOnErrors"] = json!(0);
    provider.call("POST", BULK, sent, 400).await;

    let many: Vec<Value> = (0..1_001).map(|_| bad.clone()).collect();
    let told = provider.call("POST", BULK, bulk(json!(many)), 413).await.json();
    assert_eq!(told["status"], "413");
    let large = bulk(
        json!([{"method": "POST", "path": "/Users", "bulkId": "x", "data": {"userName": "x", "title": "x".repeat(5 << 20)}}]),
    );
    provider.call("POST", BULK, large, 413).await;
    for body in [json!({}), json!([]), json!({"Operations": 1}), bulk(json!([good("a"), good("a")]))] {
        provider.call("POST", BULK, body, 400).await;
    }
    let request = provider.program.request("POST", BULK).body(Body::from("not JSON")).expect("a request");
    assert_eq!(provider.program.send(request).await.status, 400);
}
