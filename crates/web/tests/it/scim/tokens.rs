//! Who may push: a token is for one system, and ends when it is said to; access tokens are given for it.

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use leasehold_store::{ApiToken, UserChange, UserState};
use serde_json::{Value, json};

use super::{Provider, USERS, id, names, pushing};
use crate::support::{Answer, Installation};

const TOKEN: &str = "/scim/oauth/token";

#[tokio::test]
async fn what_is_pushed_into_one_system_is_not_there_in_another() {
    let mut provider = Provider::new().await;
    let mut elsewhere = pushing(&provider.installation, "portal").await;
    let ada = provider.user("ada").await;
    let path = format!("{USERS}/{ada}");
    assert_eq!(elsewhere.get(USERS).await.json()["totalResults"], 0);
    for (method, body) in [
        ("GET", Value::Null),
        ("PUT", json!({"userName": "mine"})),
        ("PATCH", super::patch(json!([{"op": "replace", "path": "title", "value": "mine"}]))),
        ("DELETE", Value::Null),
    ] {
        assert_eq!(elsewhere.call(method, &path, body).await.status, 404, "{method}");
    }
    let search = json!({"filter": format!("id eq \"{ada}\"")});
    assert_eq!(elsewhere.call("POST", "/scim/v2/.search", search).await.json()["totalResults"], 0);
    // The same name is free there.
    let theirs = elsewhere.call("POST", USERS, json!({"userName": "ada"})).await;
    assert_eq!(theirs.status, 201, "{}", theirs.text);
    let group = json!({"displayName": "G", "members": [{"value": ada}]});
    assert_eq!(elsewhere.call("POST", super::GROUPS, group).await.status, 201);
    assert_eq!(names(&provider.get(USERS).await), ["ada"]);
    assert_eq!(provider.get(super::GROUPS).await["totalResults"], 0);
}

#[tokio::test]
async fn a_token_that_pushes_does_nothing_else_and_no_other_pushes() {
    let mut provider = Provider::new().await;
    for path in ["/api/v1/identities", "/api/v1/drift", "/api/v1/tokens", "/metrics"] {
        assert_eq!(provider.program.get(path).await.status, 403, "{path}");
    }
    let mut administering = provider.installation.program().await;
    let refused = administering.get(USERS).await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()["status"].as_str()),
        (403, Some("403")),
        "{}",
        refused.text
    );
    let mut erp = pushing(&provider.installation, "erp").await;
    assert!(erp.get(USERS).await.text.contains("scim_push"), "it is read, and pushes nothing");
    let operator = provider.installation.make_user("operator@example.com", &["operator"]).await;
    let token = provider.installation.token_for(&operator, &["scim"], Some("hr"), 30).await;
    let mut operating = provider.installation.program_with(token);
    assert_eq!(operating.get(USERS).await.status, 403, "an operator pushes nothing");
    // A browser's session counts for nothing here, so that no page of another site can push.
    let mut browser = provider.installation.signed_in().await;
    assert_eq!(browser.get(USERS).await.status, 401);
    for (sent, field) in [
        (json!({"name": "x", "scopes": ["scim"]}), "system"),
        (json!({"name": "x", "scopes": ["scim", "read"], "system": "hr"}), "scopes"),
        (json!({"name": "x", "scopes": ["read"], "system": "hr"}), "system"),
        (json!({"name": "x", "scopes": ["scim"], "system": "no such!"}), "system"),
        (json!({"name": "x", "scopes": ["scim"], "system": "erp"}), "scim_push"),
    ] {
        let told = administering.call("POST", "/api/v1/tokens", sent.clone()).await;
        assert_eq!(told.status, 422, "{sent}: {}", told.text);
        assert!(told.text.contains(field), "{}", told.text);
    }
    let made = administering
        .call("POST", "/api/v1/tokens", json!({"name": "okta", "scopes": ["scim"], "system": "hr"}))
        .await;
    assert_eq!(made.json()["token"]["system"], "hr", "{}", made.text);
}

async fn newest(installation: &Installation) -> ApiToken {
    let tokens = installation.store.tokens(None).await.expect("reads");
    tokens.into_iter().max_by_key(|token| token.id.clone()).expect("a token")
}

#[tokio::test]
async fn a_token_ends_at_once_when_it_is_revoked_or_its_owner_is_suspended() {
    for ended in ["revoked", "suspended", "demoted", "old"] {
        let provider = Provider::new().await;
        let owner = provider.installation.make_user("pusher@example.com", &["administrator"]).await;
        let token = provider.installation.token_for(&owner, &["scim"], Some("hr"), 1).await;
        let mut program = provider.installation.program_with(token);
        // It is known well, and used.
        for _ in 0..3 {
            assert_eq!(program.get(USERS).await.status, 200);
        }
        let (store, now) = (&provider.installation.store, provider.installation.now());
        let expected = match ended {
            "revoked" => {
                store
                    .revoke_token(&newest(&provider.installation).await.id, None, "test", now)
                    .await
                    .expect("revokes");
                401
            }
            "old" => {
                provider.installation.clock.advance_ms(24 * 3_600_000);
                401
            }
            "suspended" => {
                let change = UserChange { state: Some(UserState::Suspended), ..UserChange::default() };
                store.change_user(&owner.id, owner.version, &change, "test", now).await.expect("changes");
                401
            }
            _ => {
                let change = UserChange { roles: Some(Vec::new()), ..UserChange::default() };
                store.change_user(&owner.id, owner.version, &change, "test", now).await.expect("changes");
                403
            }
        };
        for (method, path) in
            [("GET", USERS.to_owned()), ("POST", USERS.to_owned()), ("GET", format!("{USERS}/none"))]
        {
            let answer = program.call(method, &path, json!({"userName": "late"})).await;
            assert_eq!(answer.status.as_u16(), expected, "{ended}: {method} {path}\n{}", answer.text);
        }
    }
}

async fn asked(provider: &Provider, fields: &[(&str, &str)], header: Option<String>) -> Answer {
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let mut request = Request::post(TOKEN).header("content-type", "application/x-www-form-urlencoded");
    if let Some(header) = header {
        request = request.header("authorization", header);
    }
    provider.installation.browser().send(request.body(Body::from(form)).expect("a request")).await
}

#[tokio::test]
async fn entra_id_gets_access_tokens_for_a_clients_secret() {
    let mut provider = Provider::new().await;
    let (client, secret) = (newest(&provider.installation).await.id, provider.program.token.clone());
    let fields = [("grant_type", "client_credentials"), ("client_id", &client), ("client_secret", &secret)];
    let given = asked(&provider, &fields, None).await;
    assert_eq!((given.status.as_u16(), given.header("cache-control")), (200, "no-store"), "{}", given.text);
    let told = given.json();
    assert_eq!(
        (&told["token_type"], &told["expires_in"], &told["scope"]),
        (&json!("Bearer"), &json!(3600), &json!("scim"))
    );
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{client}:{secret}"));
    let by_header = asked(
        &provider,
        &[("grant_type", "client_credentials"), ("scope", "scim")],
        Some(format!("Basic {basic}")),
    )
    .await;
    assert_eq!(by_header.status, 200, "{}", by_header.text);

    let lasting = std::mem::replace(
        &mut provider.program.token,
        told["access_token"].as_str().expect("a token").to_owned(),
    );
    let ada = provider.user("ada").await;
    provider.installation.clock.advance_ms(59 * 60_000);
    assert_eq!(id(&provider.get(&format!("{USERS}/{ada}")).await), ada);
    provider.installation.clock.advance_ms(60_000);
    assert_eq!(provider.program.get(USERS).await.status, 401, "an hour is over");

    let mut reading = provider.installation.program().await;
    let other = newest(&provider.installation).await.id;
    for (changed, value, status, error) in [
        ("grant_type", "password", 400, "unsupported_grant_type"),
        ("client_id", "another", 401, "invalid_client"),
        ("client_secret", "lh_wrong", 401, "invalid_client"),
        ("client_secret", "", 401, "invalid_client"),
        ("scope", "admin", 400, "invalid_scope"),
    ] {
        let mut fields = fields.to_vec();
        fields.retain(|(name, _)| *name != changed);
        fields.push((changed, value));
        let refused = asked(&provider, &fields, None).await;
        assert_eq!(
            (refused.status.as_u16(), refused.json()["error"].as_str()),
            (status, Some(error)),
            "{changed}"
        );
        assert!(!refused.text.contains(&secret));
    }
    let fields =
        [("grant_type", "client_credentials"), ("client_id", &other), ("client_secret", &reading.token)];
    assert_eq!(asked(&provider, &fields, None).await.status, 401, "a token for other things is no client");
    assert_eq!(reading.get("/api/v1/me").await.status, 200);

    // Where the lasting token ends, what was given for it ends.
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", client.as_str()),
        ("client_secret", lasting.as_str()),
    ];
    let again = asked(&provider, &fields, None).await.json();
    provider.program.token = again["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(provider.program.get(USERS).await.status, 200);
    let (store, now) = (&provider.installation.store, provider.installation.now());
    store.revoke_token(&client, None, "test", now).await.expect("revokes");
    assert_eq!(provider.program.get(USERS).await.status, 401);
    assert_eq!(asked(&provider, &fields, None).await.status, 401);
}
