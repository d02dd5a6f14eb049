//! Users from their making to their end: addresses, versions, conditions, and which attributes are shown.

use axum::body::Body;
use serde_json::{Value, json};

use super::{ENTERPRISE, Provider, USER, USERS, id};

#[tokio::test]
async fn a_user_is_made_read_replaced_and_deleted() {
    let mut provider = Provider::new().await;
    let sent = json!({"schemas": [USER, ENTERPRISE], "userName": "Ada@Example.com", "emails": [{"value": "ada@example.com"}],
        ENTERPRISE: {"department": "Research"}, "unknown": 1, "id": "mine", "meta": {"created": "never"}});
    let answer = provider.call("POST", USERS, sent, 201).await;
    let made = answer.json();
    let path = format!("{USERS}/{}", id(&made));
    assert_eq!(answer.location(), format!("http://127.0.0.1:8420{path}"));
    assert_eq!((answer.header("etag"), answer.header("content-type")), ("W/\"1\"", "application/scim+json"));
    assert_eq!(
        made["meta"],
        json!({"resourceType": "User", "created": "2026-01-05T09:00:00.000Z",
        "lastModified": "2026-01-05T09:00:00.000Z", "location": answer.location(), "version": "W/\"1\""})
    );
    assert_eq!(
        (&made["active"], &made["userName"], made.get("unknown")),
        (&json!(true), &json!("Ada@Example.com"), None)
    );
    assert_eq!(made["schemas"], json!([USER, ENTERPRISE]));
    assert_ne!(made["id"], "mine");

    let again = provider.call("POST", USERS, json!({"userName": "ada@EXAMPLE.com"}), 409).await.json();
    assert_eq!((&again["scimType"], &again["status"]), (&json!("uniqueness"), &json!("409")));
    provider.installation.clock.advance_ms(1_000);
    let put = provider.call("PUT", &path, json!({"userName": "ada", "displayName": "Ada"}), 200).await.json();
    assert_eq!(
        (&put["meta"]["version"], &put["meta"]["lastModified"]),
        (&json!("W/\"2\""), &json!("2026-01-05T09:00:01.000Z"))
    );
    assert_eq!((&put["meta"]["created"], put.get(ENTERPRISE)), (&made["meta"]["created"], None));
    // What changes nothing is no new version.
    let same = provider.call("PUT", &path, put.clone(), 200).await.json();
    assert_eq!(same, put);
    // The old name is free, and another cannot take one that is not.
    let other = provider.user("Ada@Example.com").await;
    provider.call("PUT", &format!("{USERS}/{other}"), json!({"userName": "ADA"}), 409).await;

    provider.call("DELETE", &path, Value::Null, 204).await;
    provider.call("DELETE", &path, Value::Null, 404).await;
    for method in ["GET", "PATCH", "PUT"] {
        let body =
            json!({"userName": "ada", "Operations": [{"op": "replace", "path": "title", "value": "x"}]});
        provider.call(method, &path, body, 404).await;
    }
    provider.user("ada").await;
}

/// The router decodes addresses; what is asked for without it has none to decode.
#[tokio::test]
async fn what_is_short_is_answered_as_the_router_answers_it() {
    let mut provider = Provider::new().await;
    let there = provider.user("ada").await;
    let nobody = "0123-4567";
    for (method, id, query, body) in [
        ("GET", &*there, "", Value::Null),
        ("GET", &there, "?attributes=userName", Value::Null),
        ("GET", &there, "?attributes=userName&excludedAttributes=emails", Value::Null),
        ("GET", nobody, "", Value::Null),
        ("PUT", &there, "", json!(["no", "resource"])),
        ("PUT", &there, "", json!({"userName": "ada"})),
        ("PATCH", &there, "", json!({"Operations": [{"op": "none"}]})),
        ("PATCH", nobody, "", super::patch(json!([{"op": "replace", "path": "title", "value": "x"}]))),
        ("DELETE", nobody, "", Value::Null),
    ] {
        let encoded = format!("%{:02x}{}", id.as_bytes()[0], &id[1..]);
        let mut answers = Vec::new();
        for id in [id, &encoded] {
            let path = format!("{USERS}/{id}{query}");
            let mut answer = provider.program.call(method, &path, body.clone()).await;
            assert!(answer.headers.remove("x-request-id").is_some());
            // The router writes it, and for the others whatever sends the answer.
            answer.headers.remove("content-length");
            answers.push((answer.status, answer.headers, answer.text));
        }
        assert_eq!(answers[0], answers[1], "{method} {id}{query} {body}");
    }
}

#[tokio::test]
async fn versions_guard_against_what_somebody_else_changed() {
    let mut provider = Provider::new().await;
    let path = format!("{USERS}/{}", provider.user("ada").await);
    let change = |title: &str| super::patch(json!([{"op": "replace", "path": "title", "value": title}]));
    for (method, header, version, status) in [
        ("PATCH", "if-match", "W/\"1\"", 200),
        ("PATCH", "if-match", "W/\"1\"", 412),
        ("PATCH", "if-match", "\"2\"", 200),
        ("PATCH", "if-match", "W/\"1\", W/\"3\"", 200),
        ("PATCH", "if-match", "*", 200),
        ("PUT", "if-match", "W/\"1\"", 412),
        ("DELETE", "if-match", "W/\"1\"", 412),
        ("GET", "if-none-match", "W/\"5\"", 304),
        ("GET", "if-none-match", "W/\"4\"", 200),
        ("GET", "if-none-match", "*", 304),
        ("DELETE", "if-match", "W/\"5\"", 204),
    ] {
        let mut body = change(&format!("{method} {version} {status}"));
        body["userName"] = json!("ada");
        let answer = provider.program.call_with(method, &path, &[(header, version)], body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {header}: {version}\n{}", answer.text);
        match status {
            304 => assert_eq!((answer.text.as_str(), answer.header("etag")), ("", "W/\"5\"")),
            412 => assert_eq!(answer.json()["status"], "412"),
            _ => {}
        }
    }
    // A condition that cannot be read holds for nothing.
    let path = format!("{USERS}/{}", provider.user("bo").await);
    let request = provider.program.request("DELETE", &path).header("if-match", &b"W/\"1\xe9\""[..]);
    let answer = provider.program.send(request.body(Body::empty()).expect("a request")).await;
    assert_eq!(answer.status, 412, "{}", answer.text);
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_what_there_cannot_be_is_not_there() {
    let mut provider = Provider::new().await;
    let path = format!("{USERS}/{}", provider.user("ada").await);
    let mails = |from: usize| -> Value {
        (from..from + 600).map(|number| json!({"value": format!("m{number}@example.com")})).collect()
    };
    let add = |values: Value| super::patch(json!([{"op": "add", "path": "emails", "value": values}]));
    let changed = provider.call("PATCH", &path, add(mails(0)), 200).await.json();
    // Neither in one step nor in several do lists become longer than they may be.
    let twice = json!([{"op": "add", "path": "ims", "value": mails(0)}, {"op": "add", "path": "ims", "value": mails(600)}]);
    for body in [add(mails(600)), super::patch(twice)] {
        let told = provider.call("PATCH", &path, body, 400).await.json();
        assert_eq!(told["scimType"], "invalidValue", "{told}");
    }
    let long = "x".repeat(60_000);
    let mut part = json!({"userName": "bo", "title": long, "nickName": long});
    provider.call("POST", USERS, part.clone(), 201).await;
    (part["userName"], part["displayName"]) = (json!("cy"), json!("x".repeat(500)));
    part["locale"] = json!(long);
    let told = provider.call("POST", USERS, part, 413).await.json();
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("bytes")), "{told}");
    assert_eq!(provider.get(&path).await, changed);

    let names = vec!["title"; 201].join(",");
    provider.call("GET", &format!("{path}?attributes={names}"), Value::Null, 400).await;
    // Some databases know no such character, so nobody asks them about it.
    provider.call("GET", &format!("{USERS}/a%00b"), Value::Null, 400).await;
    let bulk = json!({"Operations": [{"method": "DELETE", "path": "/Users/a\u{0}b"}]});
    let told = provider.call("POST", "/scim/v2/Bulk", bulk, 200).await.json();
    assert_eq!(told["Operations"][0]["status"], "404", "{told}");
    let filter = super::encoded("userName eq \"\\u0000\"");
    let told = provider.call("GET", &format!("{USERS}?filter={filter}"), Value::Null, 400).await.json();
    assert_eq!(told["scimType"], "invalidFilter", "{told}");
}

#[tokio::test]
async fn answers_have_the_attributes_that_are_asked_for() {
    let mut provider = Provider::new().await;
    let path = format!(
        "{USERS}/{}",
        id(&provider
            .make(
                USERS,
                json!({
        "userName": "ada", "title": "Engineer", "name": {"givenName": "Ada", "familyName": "Byron"},
        "emails": [{"value": "a@example.com", "type": "work"}, {"value": "b@example.com", "type": "home"}],
        ENTERPRISE: {"department": "Research", "costCenter": "9"}})
            )
            .await)
    );
    let always = ["id", "schemas"];
    for (query, names, parts) in [
        ("attributes=userName", vec!["userName"], json!({"userName": "ada"})),
        ("attributes=USERNAME,title", vec!["title", "userName"], json!({"title": "Engineer"})),
        ("attributes=name.givenName", vec!["name"], json!({"name": {"givenName": "Ada"}})),
        ("attributes=emails.type", vec!["emails"], json!({"emails": [{"type": "work"}, {"type": "home"}]})),
        (
            "attributes=emails.type,emails.value",
            vec!["emails"],
            json!({"emails": [
            {"type": "work", "value": "a@example.com"}, {"type": "home", "value": "b@example.com"}]}),
        ),
        (
            "attributes=urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
            vec![ENTERPRISE],
            json!({ENTERPRISE: {"department": "Research"}}),
        ),
        (
            "attributes=urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
            vec![ENTERPRISE],
            json!({ENTERPRISE: {"department": "Research", "costCenter": "9"}}),
        ),
        ("attributes=nothing", vec![], json!({})),
        (
            "excludedAttributes=name,emails,meta,active,title,id,schemas",
            vec![ENTERPRISE, "userName"],
            json!({"userName": "ada"}),
        ),
        (
            "excludedAttributes=name.givenName,emails.value,meta,active,title,userName",
            vec!["emails", "name", ENTERPRISE],
            json!({"name": {"familyName": "Byron"}, "emails": [{"type": "work"}, {"type": "home"}]}),
        ),
    ] {
        let shown = provider.get(&format!("{path}?{query}")).await;
        let mut expected: Vec<&str> = names.into_iter().chain(always).collect();
        expected.sort_unstable();
        let mut found: Vec<&String> = shown.as_object().expect("an object").keys().collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{query}");
        for (name, value) in parts.as_object().expect("parts") {
            assert_eq!(&shown[name], value, "{query}");
        }
        assert_eq!(provider.get(&format!("{USERS}?{query}")).await["Resources"][0], shown, "{query}");
    }
    provider.call("GET", &format!("{path}?attributes=a&excludedAttributes=b"), Value::Null, 400).await;
    let body = json!({"userName": "bo", "title": "x"});
    let made = provider.call("POST", &format!("{USERS}?attributes=userName"), body, 201).await.json();
    assert_eq!((&made["userName"], made.get("title")), (&json!("bo"), None));
}

#[tokio::test]
async fn values_are_taken_in_their_type_or_refused_by_name() {
    let mut provider = Provider::new().await;
    let long = "x".repeat(600);
    for (number, (attribute, sent, kept)) in [
        ("active", json!("false"), Some(json!(false))),
        ("active", json!("True"), Some(json!(true))),
        ("active", json!(1), None),
        ("title", json!(7), Some(json!("7"))),
        ("title", json!(true), Some(json!("true"))),
        ("title", json!({"a": 1}), None),
        ("emails", json!("a@example.com"), Some(json!([{"value": "a@example.com"}]))),
        ("emails", json!(["a@example.com"]), Some(json!([{"value": "a@example.com"}]))),
        (
            "emails",
            json!([{"Value": "a@example.com", "PRIMARY": "true"}]),
            Some(json!([{"value": "a@example.com", "primary": true}])),
        ),
        ("emails", json!([[1]]), None),
        ("name", json!({"GIVENNAME": "Ada", "colour": "red"}), Some(json!({"givenName": "Ada"}))),
        ("externalId", json!(long), None),
        (
            "displayName",
            json!("Zoë 🦀 \"quoted\" \\ </script>"),
            Some(json!("Zoë 🦀 \"quoted\" \\ </script>")),
        ),
        ("roles", json!([]), Some(Value::Null)),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"userName": format!("user{number}"), attribute: sent});
        let answer = provider.program.call("POST", USERS, body).await;
        match kept {
            Some(value) => {
                assert_eq!(answer.status, 201, "{attribute}: {sent}\n{}", answer.text);
                let shown = provider.get(&format!("{USERS}/{}", id(&answer.json()))).await;
                assert_eq!(shown.get(attribute).cloned().unwrap_or_default(), value, "{attribute}: {sent}");
            }
            None => {
                assert_eq!(
                    (answer.status.as_u16(), &answer.json()["scimType"]),
                    (400, &json!("invalidValue")),
                    "{attribute}: {sent}"
                );
                assert!(answer.text.contains(attribute), "{}", answer.text);
            }
        }
    }
    let request = provider
        .program
        .request("POST", USERS)
        .header("content-type", "application/scim+json; charset=utf-8");
    let made =
        provider.program.send(request.body(Body::from("{\"userName\":\"typed\"}")).expect("a request")).await;
    assert_eq!(made.status, 201, "{}", made.text);
}
