//! A program without a browser comes to a token: asked for, shown to a person, allowed or refused, and given back.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

use crate::support::{Answer, Browser, Installation, from};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A program that asks from an address, as RFC 8628 has it.
async fn post(installation: &Installation, source: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = Request::post(format!("/api/v1/device/{path}"))
        .header("content-type", "application/x-www-form-urlencoded");
    let mut request = request.body(Body::from(form)).expect("a request");
    request.extensions_mut().insert(from(source));
    installation.browser().send(request).await
}

struct Begun {
    device_code: String,
    user_code: String,
}

async fn begin(installation: &Installation, client: &str, scope: &str) -> Begun {
    let fields = [("client_id", client), ("scope", scope)];
    let answer = post(installation, "203.0.113.9", "authorization", &fields).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let answer = answer.json();
    let text = |name: &str| answer[name].as_str().expect("text").to_owned();
    assert_eq!((&answer["interval"], &answer["expires_in"]), (&json!(5), &json!(600)));
    assert_eq!(
        text("verification_uri_complete"),
        format!("{}?user_code={}", text("verification_uri"), text("user_code"))
    );
    Begun { device_code: text("device_code"), user_code: text("user_code") }
}

async fn ask(installation: &Installation, device_code: &str) -> Answer {
    let fields = [("grant_type", GRANT_TYPE), ("device_code", device_code)];
    post(installation, "203.0.113.9", "token", &fields).await
}

/// The word of the standard in an answer that is no token.
async fn refused(installation: &Installation, device_code: &str) -> String {
    let answer = ask(installation, device_code).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    answer.json()["error"].as_str().expect("a word").to_owned()
}

async fn decide(browser: &mut Browser, user_code: &str, decision: &str) -> Answer {
    let csrf = browser.csrf(&format!("/device?user_code={user_code}")).await;
    browser.post("/device", &[("csrf", &csrf), ("user_code", user_code), ("decision", decision)]).await
}

async fn me(installation: &Installation, token: &str) -> Answer {
    let request = Request::get("/api/v1/me").header("authorization", format!("Bearer {token}"));
    installation.browser().send(request.body(Body::empty()).expect("a request")).await
}

#[tokio::test]
async fn a_program_waits_is_shown_allowed_and_gets_one_token() {
    let installation = Installation::with_administrator().await;
    let begun = begin(&installation, "leasehold <b>on</b> a\u{202e}host", "read plan").await;
    assert_eq!(refused(&installation, &begun.device_code).await, "authorization_pending");
    assert_eq!(refused(&installation, &begun.device_code).await, "slow_down");

    let mut nobody = installation.browser();
    let page = format!("/device?user_code={}", begun.user_code);
    let sent = nobody.get(&page).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER);
    assert!(sent.location().starts_with("/sign-in?next=%2Fdevice%3Fuser_code%3D"), "{}", sent.location());

    let mut browser = installation.signed_in().await;
    let shown = browser.get(&page).await;
    for text in [
        begun.user_code.as_str(),
        "&#60;b&#62;on&#60;/b&#62; a\\u{202e}host",
        "203.0.113.9",
        "have systems read",
    ] {
        assert!(shown.text.contains(text), "{text}: {}", shown.text);
    }
    let without = browser.post("/device", &[("user_code", &begun.user_code), ("decision", "allow")]).await;
    assert_eq!(without.status, StatusCode::FORBIDDEN, "a form of no page of this session");
    let unclear = decide(&mut browser, &begun.user_code, "").await;
    assert_eq!(unclear.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused(&installation, &begun.device_code).await, "slow_down", "nobody has decided");

    let typed = begun.user_code.to_lowercase().replace('-', " ");
    let csrf = browser.csrf(&page).await;
    let fields = [("csrf", csrf.as_str()), ("user_code", typed.as_str()), ("decision", "allow")];
    assert_eq!(browser.post("/device", &fields).await.location(), "/account");
    let again = browser.get(&page).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "a code is used once");

    let granted = ask(&installation, &begun.device_code).await;
    assert_eq!(granted.status, StatusCode::OK, "{}", granted.text);
    assert_eq!(granted.header("cache-control"), "no-store");
    let granted = granted.json();
    assert_eq!((&granted["token_type"], &granted["scope"]), (&json!("Bearer"), &json!("plan read")));
    assert_eq!(granted["expires_in"], json!(30 * 24 * 3600));
    assert_eq!(refused(&installation, &begun.device_code).await, "expired_token", "and so is its own");
    let token = granted["access_token"].as_str().expect("a token");
    let seen = me(&installation, token).await.json();
    assert_eq!((&seen["mail"], &seen["scopes"]), (&json!("dana@example.com"), &json!(["plan", "read"])));

    let entries = installation.store.ledger_entries(0, 100).await.expect("reads");
    let entries: Vec<String> =
        entries.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
    let last = &entries[entries.len() - 2..];
    assert!(last[0].contains("device_login.decided") && last[0].contains("\"allowed\":true"), "{last:?}");
    assert!(last[1].contains("token.created"), "{last:?}");

    for _ in 0..2 {
        let given_back = post(&installation, "203.0.113.9", "revocation", &[("token", token)]).await;
        assert_eq!(given_back.status, StatusCode::NO_CONTENT, "{}", given_back.text);
    }
    assert_eq!(me(&installation, token).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_is_refused_late_or_unknown_gets_nothing() {
    let installation = Installation::with_administrator().await;
    let mut browser = installation.signed_in().await;
    let begun = begin(&installation, "leasehold", "read").await;
    assert_eq!(decide(&mut browser, &begun.user_code, "refuse").await.location(), "/account");
    assert_eq!(refused(&installation, &begun.device_code).await, "access_denied");
    assert_eq!(refused(&installation, &begun.device_code).await, "expired_token");

    let allowed = begin(&installation, "leasehold", "read").await;
    assert_eq!(decide(&mut browser, &allowed.user_code, "allow").await.location(), "/account");
    let late = begin(&installation, "leasehold", "read").await;
    installation.clock.advance_ms(10 * 60_000);
    for code in [&allowed.device_code, &late.device_code] {
        assert_eq!(refused(&installation, code).await, "expired_token");
    }
    assert!(installation.store.tokens(None).await.expect("reads").is_empty());

    for (fields, status, word) in [
        (&[("grant_type", GRANT_TYPE)][..], 400, json!("invalid_request")),
        (&[("grant_type", "password"), ("device_code", "x")], 400, json!("unsupported_grant_type")),
        (&[("grant_type", GRANT_TYPE), ("device_code", "x")], 400, json!("expired_token")),
    ] {
        let answer = post(&installation, "203.0.113.9", "token", fields).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (status, &word), "{}", answer.text);
    }
    for (client, scope, status, word) in [
        ("leasehold", "", 400, json!("invalid_scope")),
        ("leasehold", "read everything", 400, json!("invalid_scope")),
        ("", "read", 422, json!(null)),
    ] {
        let fields = [("client_id", client), ("scope", scope)];
        let answer = post(&installation, "203.0.113.9", "authorization", &fields).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (status, &word), "{}", answer.text);
    }
}

#[tokio::test]
async fn only_a_person_who_showed_themselves_just_now_allows() {
    let installation = Installation::with_administrator().await;
    let mut browser = installation.signed_in().await;
    installation.clock.advance_ms(11 * 60_000);
    let begun = begin(&installation, "leasehold", "admin").await;
    let page = format!("/device?user_code={}", begun.user_code);
    let sent = browser.get(&page).await;
    assert!(sent.location().starts_with("/step-up?next=%2Fdevice%3Fuser_code%3D"), "{}", sent.location());
    let csrf = browser.csrf("/device").await;
    let fields = [("csrf", csrf.as_str()), ("user_code", &begun.user_code), ("decision", "allow")];
    assert!(browser.post("/device", &fields).await.location().starts_with("/step-up"));
    let mut program = installation.program().await;
    assert_eq!(program.get(&page).await.status, StatusCode::FORBIDDEN, "a token makes no other this way");
    assert_eq!(refused(&installation, &begun.device_code).await, "authorization_pending");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_strangers_fill_nothing() {
    let installation = Installation::with_administrator().await;
    let mut browser = installation.signed_in().await;
    let mut slowed = 0;
    for _ in 0..8 {
        let wrong = browser.get("/device?user_code=BCDF-GHJK").await;
        slowed += usize::from(wrong.status == StatusCode::TOO_MANY_REQUESTS);
        assert!(wrong.text.contains("value=\"BCDF-GHJK\""), "what was typed is lost: {}", wrong.text);
    }
    assert_eq!(slowed, 3);
    let fields = [("client_id", "stranger"), ("scope", "read")];
    let mut taken = 0;
    for _ in 0..25 {
        let answer = post(&installation, "198.51.100.1", "authorization", &fields).await;
        taken += usize::from(answer.status == StatusCode::OK);
    }
    assert_eq!(taken, 20);
    begin(&installation, "leasehold", "read").await;
    installation.clock.advance_ms(10 * 60_000);
    let answer = post(&installation, "198.51.100.1", "authorization", &fields).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
}
