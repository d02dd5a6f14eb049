//! Settings: who may sign in and with what, changed by administrators, seen by operators and auditors, and by nobody else.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use leasehold_decide::authority::Role;
use leasehold_store::UserState;
use leasehold_web::OpenIdSettings;

use crate::support::{Installation, PASSWORD};

#[tokio::test]
async fn an_administrator_adds_somebody_who_then_signs_in() {
    let installation = Installation::with_administrator().await;
    let mut browser = installation.signed_in().await;
    let csrf = browser.csrf("/settings/users").await;
    let fields = [
        ("csrf", csrf.as_str()),
        ("mail", "olga@example.com"),
        ("name", "Olga"),
        ("role", "operator"),
        ("role", "reviewer"),
    ];
    let made = browser.post("/settings/users", &fields).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    let link = made.text.split_once("/link?token=").expect("a link").1;
    let token = link.split('<').next().expect("an end").to_owned();
    let user = installation.store.user_by_mail("olga@example.com").await.expect("reads").expect("is there");
    assert_eq!(user.roles, ["operator", "reviewer"]);
    let list = browser.get("/settings/users?q=OLGA").await.text;
    assert!(list.contains("operator, reviewer") && !list.contains("dana@example.com</a><br>"), "{list}");
    assert!(!list.contains("/link?token="), "a link is shown once: {list}");
    let mut olga = installation.browser();
    assert_eq!(olga.post("/link", &[("token", &token), ("password", PASSWORD)]).await.location(), "/");
    assert!(olga.get("/account").await.text.contains("olga@example.com"));
}

#[tokio::test]
async fn what_is_typed_wrong_is_told_by_the_field_and_kept() {
    let installation = Installation::with_administrator().await;
    let mut browser = installation.signed_in().await;
    let csrf = browser.csrf("/settings/users").await;
    for (mail, name, role, status, words) in [
        ("no address", "Olga", "operator", StatusCode::UNPROCESSABLE_ENTITY, "write a mail address"),
        ("olga@example.com", " ", "operator", StatusCode::UNPROCESSABLE_ENTITY, "write something here"),
        ("olga@example.com", "Olga", "king", StatusCode::UNPROCESSABLE_ENTITY, "is no role to be given"),
        ("DANA@example.com", "Olga", "operator", StatusCode::CONFLICT, "dana@example.com"),
    ] {
        let fields = [("csrf", csrf.as_str()), ("mail", mail), ("name", name), ("role", role)];
        let answer = browser.post("/settings/users", &fields).await;
        assert_eq!(answer.status, status, "{mail}: {}", answer.text);
        assert!(answer.text.to_lowercase().contains(words), "{words}: {}", answer.text);
        assert!(answer.text.contains(&format!("value=\"{mail}\"")), "{mail} is lost: {}", answer.text);
        assert_eq!(answer.text.contains("value=\"operator\" checked"), role == "operator", "{}", answer.text);
    }
    assert_eq!(installation.store.users().await.expect("reads").len(), 1);
}

#[tokio::test]
async fn a_user_is_changed_but_not_over_somebody_elses_change() {
    let installation = Installation::with_administrator().await;
    let olga = installation.make_user("olga@example.com", &["operator"]).await;
    let mut hers = installation.browser_of(&olga).await;
    let mut browser = installation.signed_in().await;
    let path = format!("/settings/users/{}", olga.id);
    let csrf = browser.csrf(&path).await;
    let form = |version: i64, name: &'static str, role: &'static str, state: &'static str| {
        [
            ("csrf", csrf.clone()),
            ("version", version.to_string()),
            ("name", name.to_owned()),
            ("role", role.to_owned()),
            ("state", state.to_owned()),
        ]
    };
    let wrong = browser.post_owned(&path, &form(1, "", "operator", "asleep")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("write something here") && wrong.text.contains("write active or suspended"));

    assert_eq!(browser.post_owned(&path, &form(1, "Olga B", "auditor", "active")).await.location(), path);
    let page = browser.get(&path).await.text;
    assert!(
        page.contains("signs in again to use the new roles") && page.contains("value=\"auditor\" checked"),
        "{page}"
    );
    assert_eq!(hers.get("/account").await.status, StatusCode::SEE_OTHER, "signed out by the new role");

    // Somebody who still looks at the page from before.
    let late = browser.post_owned(&path, &form(1, "Olga C", "operator", "suspended")).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    assert!(late.text.contains("somebody changed this user in the meantime"), "{}", late.text);
    assert!(
        late.text.contains("value=\"Olga C\"") && late.text.contains("value=\"suspended\" checked"),
        "{}",
        late.text
    );
    let user = installation.store.user(&olga.id).await.expect("reads").expect("is there");
    assert_eq!((user.name.as_str(), user.state), ("Olga B", UserState::Active));

    let version = user.version;
    let mut hers = installation.browser_of(&olga).await;
    assert_eq!(
        browser.post_owned(&path, &form(version, "Olga B", "auditor", "suspended")).await.location(),
        path
    );
    assert!(browser.get(&path).await.text.contains("is suspended, and signed out everywhere"));
    assert_eq!(hers.get("/account").await.status, StatusCode::SEE_OTHER);

    // Nobody would be left.
    let dana = installation.store.user_by_mail("dana@example.com").await.expect("reads").expect("is there");
    let path = format!("/settings/users/{}", dana.id);
    let last = browser.post_owned(&path, &form(dana.version, "Dana", "auditor", "active")).await;
    assert_eq!(last.status, StatusCode::CONFLICT);
    assert!(last.text.contains("administrator"), "{}", last.text);
    assert_eq!(browser.get("/settings/users/nobody").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn whoever_lost_password_and_devices_is_let_in_anew() {
    let installation = Installation::with_administrator().await;
    let olga = installation.make_user("olga@example.com", &[]).await;
    installation.store.propose_one_time_code(&olga.id, "sealed").await.expect("keeps");
    installation
        .store
        .confirm_one_time_code(&olga.id, 1, &[], "olga", installation.now())
        .await
        .expect("keeps");
    let mut browser = installation.signed_in().await;
    let path = format!("/settings/users/{}", olga.id);
    let csrf = browser.csrf(&path).await;
    let fields = [("csrf", csrf.as_str())];
    assert_eq!(browser.post(&format!("{path}/factors/remove"), &fields).await.location(), path);
    let page = browser.get(&path).await.text;
    assert!(
        page.contains("No second factor is asked for any more") && !page.contains("Remove second factors"),
        "{page}"
    );
    let made = browser.post(&format!("{path}/invitation"), &fields).await;
    let link = made.text.split_once("/link?token=").expect("a link").1;
    let token = link.split('<').next().expect("an end").to_owned();
    let mut hers = installation.browser();
    assert_eq!(hers.post("/link", &[("token", &token), ("password", PASSWORD)]).await.location(), "/");

    // By the API, too.
    let mut program = installation.program().await;
    let path = format!("/api/v1/users/{}/factors", olga.id);
    assert_eq!(program.call("DELETE", &path, serde_json::Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(hers.get("/account").await.status, StatusCode::SEE_OTHER, "sessions end with it");
}

#[tokio::test]
async fn sessions_and_tokens_of_everybody_are_listed_and_ended() {
    let installation = Installation::with_administrator().await;
    let olga = installation.make_user("olga@example.com", &["auditor"]).await;
    let mut hers = installation.browser_of(&olga).await;
    let mut program = installation.program_of(&olga, &["read"]).await;
    let mut browser = installation.signed_in().await;
    let csrf = browser.csrf("/settings/sessions").await;
    let page = browser.get("/settings/sessions").await.text;
    assert!(page.contains("olga@example.com") && page.contains("this one"), "{page}");
    let now = installation.now();
    let sessions = installation.store.sessions(Some(&olga.id), jiff::Timestamp::UNIX_EPOCH, now).await;
    let session = sessions.expect("reads").remove(0).id;
    let fields = [("csrf", csrf.as_str()), ("user", olga.id.as_str()), ("session", session.as_str())];
    assert_eq!(browser.post("/settings/sessions/end", &fields).await.location(), "/settings/sessions");
    assert_eq!(hers.get("/account").await.status, StatusCode::SEE_OTHER);
    assert!(browser.get("/settings/sessions").await.text.contains("The session has ended."));
    browser.post("/settings/sessions/end", &fields).await;
    assert!(browser.get("/settings/sessions").await.text.contains("had ended already"));
    let nothing = browser.post("/settings/sessions/end", &[("csrf", &csrf)]).await;
    assert_eq!(nothing.status, StatusCode::BAD_REQUEST);

    installation.browser_of(&olga).await;
    installation.browser_of(&olga).await;
    let path = format!("/settings/users/{}", olga.id);
    let all = [("csrf", csrf.as_str()), ("session", "all")];
    browser.post(&format!("{path}/sessions/end"), &all).await;
    assert!(browser.get(&path).await.text.contains("2 sessions have ended."));

    assert_eq!(program.get("/api/v1/me").await.status, StatusCode::OK);
    let page = browser.get("/settings/tokens").await.text;
    assert!(page.contains("olga@example.com") && page.contains("in force"), "{page}");
    let token = installation.store.tokens(Some(&olga.id)).await.expect("reads").remove(0).id;
    let fields = [("csrf", csrf.as_str()), ("id", token.as_str())];
    assert_eq!(browser.post("/settings/tokens/revoke", &fields).await.location(), "/settings/tokens");
    assert_eq!(program.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    let page = browser.get("/settings/tokens").await.text;
    assert!(page.contains("The token is revoked.") && page.contains("revoked"), "{page}");
}

#[tokio::test]
async fn operators_and_auditors_see_and_nobody_else_finds_a_way() {
    let installation = Installation::with_administrator().await;
    let csrf_of = |page: &str| page.contains("name=\"role\"") || page.contains("Make a link");
    for (mail, roles) in [("auditor@example.com", ["auditor"]), ("operator@example.com", ["operator"])] {
        let user = installation.make_user(mail, &roles).await;
        let mut browser = installation.browser_of(&user).await;
        let csrf = browser.csrf("/account").await;
        assert!(browser.get("/me").await.text.contains("href=\"/settings\""));
        let one = format!("/settings/users/{}", user.id);
        for path in ["/settings", "/settings/users", "/settings/sessions", "/settings/tokens", one.as_str()] {
            let page = browser.get(path).await;
            assert_eq!(page.status, StatusCode::OK, "{mail} {path}");
            assert!(!csrf_of(&page.text), "{path} offers what {mail} may not: {}", page.text);
        }
        let fields = [("csrf", csrf.as_str()), ("mail", "x@example.com"), ("name", "X")];
        assert_eq!(browser.post("/settings/users", &fields).await.status, StatusCode::FORBIDDEN, "{mail}");
    }
    let ada = installation.make_user("ada@example.com", &["reviewer"]).await;
    let mut browser = installation.browser_of(&ada).await;
    assert!(!browser.get("/account").await.text.contains("href=\"/settings\""));
    for path in ["/settings", "/settings/users", "/settings/sessions", "/settings/tokens"] {
        assert_eq!(browser.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn a_change_needs_a_recent_sign_in() {
    let installation = Installation::with_administrator().await;
    let mut browser = installation.signed_in().await;
    let csrf = browser.csrf("/settings/users").await;
    installation.clock.advance_ms(11 * 60_000);
    let fields = [("csrf", csrf.as_str()), ("mail", "x@example.com"), ("name", "X")];
    let asked = browser.post("/settings/users", &fields).await;
    assert_eq!(asked.location(), "/step-up?next=%2Fsettings%2Fusers");
    assert_eq!(installation.store.users().await.expect("reads").len(), 1);
}

#[tokio::test]
async fn what_is_configured_is_shown_with_where() {
    let installation = Installation::with_company().await;
    let mut browser = installation.signed_in().await;
    let page = browser.get("/settings").await.text;
    for words in
        ["http://127.0.0.1:8420", "[server.oidc]", "None is connected", "erp", "propose", "cannot be used"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    let provider = OpenIdSettings {
        issuer: "https://id.example.com".to_owned(),
        client_id: "leasehold".to_owned(),
        client_secret: "never shown".to_owned().into(),
        name: "Example ID".to_owned(),
        groups_claim: "groups".to_owned(),
        roles: BTreeMap::from([("<admins>".to_owned(), Role::Administrator)]),
        scopes: vec!["email".to_owned()],
    };
    let installation = Installation::with_provider(provider).await;
    installation.make_administrator().await;
    let page = installation.signed_in().await.get("/settings").await.text;
    assert!(page.contains("https://id.example.com") && page.contains("Example ID"), "{page}");
    assert!(page.contains("&#60;admins&#62;") && !page.contains("<admins>"), "{page}");
    assert!(!page.contains("never shown"));
}
