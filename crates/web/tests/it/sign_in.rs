//! Signing in: the first administrator, passwords, second factors, sessions, tokens, and what slows guessing down.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use leasehold_store::LinkKind;
use leasehold_web::user_link;
use totp_rs::{Builder, Secret};

use crate::support::{Answer, Browser, Installation, PASSWORD};

#[tokio::test]
async fn the_first_link_makes_one_administrator() {
    let installation = Installation::new().await;
    let link = installation.setup_link().await.expect("nobody is there yet");
    let newer = installation.setup_link().await.expect("still nobody");
    let mut browser = installation.browser();
    assert!(browser.get("/sign-in").await.text.contains("The server printed a link"));
    assert_eq!(browser.get(&link).await.status, StatusCode::NOT_FOUND, "a newer one replaced it");
    // Looking does not use it up.
    for _ in 0..2 {
        assert!(browser.get(&newer).await.text.contains("First administrator"));
    }
    let token = newer.split_once("token=").expect("a token").1.to_owned();
    let form = |mail: &'static str, password: &'static str| {
        [
            ("token", token.clone()),
            ("name", "Dana".to_owned()),
            ("mail", mail.to_owned()),
            ("password", password.to_owned()),
        ]
    };
    for (mail, password, wrong) in [
        ("dana@example.com", "short", "at least 15 characters"),
        ("dana@example.com", "passwordpassword", "among the first"),
        ("nowhere", PASSWORD, "write a mail address"),
    ] {
        let answer = browser.post_owned("/link", &form(mail, password)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{mail} {password}");
        assert!(answer.text.contains(wrong) && answer.text.contains("value=\"Dana\""), "{}", answer.text);
        assert!(!answer.text.contains(password), "a password is not shown again");
    }
    let answer = browser.post_owned("/link", &form("dana@example.com", PASSWORD)).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/"));
    assert!(browser.get("/").await.text.contains("Dana"));
    let again = installation.browser().post_owned("/link", &form("eve@example.com", PASSWORD)).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    assert!(installation.setup_link().await.is_none());
    let user = installation.store.user_by_mail("DANA@example.com").await.expect("reads").expect("is there");
    assert_eq!(user.roles, ["administrator"]);
}

#[tokio::test]
async fn a_setup_link_expires() {
    let installation = Installation::new().await;
    let link = installation.setup_link().await.expect("a link");
    installation.clock.advance_ms(24 * 3_600_000);
    assert_eq!(installation.browser().get(&link).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_password_signs_in_and_goes_on_to_the_page_that_was_asked_for() {
    let installation = Installation::with_administrator().await;
    let mut browser = installation.browser();
    let answer = browser.get("/account").await;
    assert_eq!(answer.location(), "/sign-in?next=%2Faccount");
    assert!(browser.get(answer.location().to_owned().as_str()).await.text.contains("value=\"/account\""));
    let answer = browser.sign_in("dana@example.com", "not the password").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text.contains("do not belong together") && answer.text.contains("dana@example.com"));
    let fields = [("mail", "Dana@Example.com"), ("password", PASSWORD), ("next", "/account")];
    let answer = browser.post("/sign-in", &fields).await;
    assert_eq!(answer.location(), "/account");
    let cookie = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|line| line.to_str().expect("text"))
        .find(|line| line.starts_with("leasehold_session="));
    let cookie = cookie.expect("a session");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"),
        "{cookie}"
    );
    assert!(browser.get("/account").await.text.contains("dana@example.com"));
    let elsewhere = [("mail", "dana@example.com"), ("password", PASSWORD), ("next", "//evil.example")];
    assert_eq!(installation.browser().post("/sign-in", &elsewhere).await.location(), "/");
    // The answer to an unknown address is the same.
    let unknown = installation.browser().sign_in("nobody@example.com", PASSWORD).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unknown.text.contains("do not belong together"));
}

#[tokio::test]
async fn cookies_behind_https_are_secure_and_of_this_host() {
    let installation = Installation::at("https://leasehold.example.com").await;
    installation.make_administrator().await;
    let answer = installation.browser().sign_in("dana@example.com", PASSWORD).await;
    let lines: Vec<&str> =
        answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().expect("text")).collect();
    assert!(lines.iter().any(|line| line.starts_with("__Host-leasehold_session=")), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("; Secure") && line.starts_with("__Host-")), "{lines:?}");
}

#[tokio::test]
async fn sessions_end_by_disuse_by_time_and_by_their_user() {
    let installation = Installation::with_administrator().await;
    let mut browser = installation.signed_in().await;
    for _ in 0..4 {
        installation.clock.advance_ms(50 * 60_000);
        assert_eq!(browser.get("/account").await.status, StatusCode::OK, "in use");
    }
    installation.clock.advance_ms(61 * 60_000);
    assert_eq!(browser.get("/account").await.status, StatusCode::SEE_OTHER, "not used for an hour");

    let mut browser = installation.signed_in().await;
    for _ in 0..28 {
        installation.clock.advance_ms(50 * 60_000);
        assert_eq!(browser.get("/account").await.status, StatusCode::OK, "in use");
    }
    installation.clock.advance_ms(50 * 60_000);
    assert_eq!(browser.get("/account").await.status, StatusCode::SEE_OTHER, "a day old");

    let (mut here, mut there) = (installation.signed_in().await, installation.signed_in().await);
    let csrf = here.csrf("/account").await;
    let answer = here.post("/account/sessions/end", &[("csrf", &csrf), ("id", "all")]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(there.get("/account").await.status, StatusCode::SEE_OTHER);

    let mut browser = installation.signed_in().await;
    let kept = browser.clone();
    let csrf = browser.csrf("/").await;
    assert_eq!(browser.post("/sign-out", &[("csrf", &csrf)]).await.location(), "/sign-in");
    assert_eq!(
        kept.clone().get("/account").await.status,
        StatusCode::SEE_OTHER,
        "the secret is worth nothing now"
    );
}

#[tokio::test]
async fn a_session_is_another_one_after_each_sign_in() {
    let installation = Installation::with_administrator().await;
    let mut browser = installation.signed_in().await;
    let planted = browser.clone();
    browser.sign_in("dana@example.com", PASSWORD).await;
    assert_ne!(browser.cookies["leasehold_session"], planted.cookies["leasehold_session"]);
    assert_eq!(planted.clone().get("/account").await.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.get("/account").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_change_needs_the_token_of_its_session() {
    let installation = Installation::with_administrator().await;
    let mut browser = installation.signed_in().await;
    let of_another = installation.signed_in().await.csrf("/account").await;
    for token in ["", "AAAA", of_another.as_str()] {
        let answer = browser.post("/account/sessions/end", &[("csrf", token), ("id", "all")]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{token}");
    }
    assert_eq!(browser.get("/account").await.status, StatusCode::OK, "nothing ended");
    // The right token from another site.
    let csrf = browser.csrf("/account").await;
    let request = Request::post("/account/sessions/end")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "cross-site")
        .body(Body::from(format!("csrf={csrf}&id=all")))
        .expect("a request");
    assert_eq!(browser.send(request).await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.get("/account").await.status, StatusCode::OK, "nothing ended");
}

fn code_of(secret: &str, installation: &Installation) -> String {
    let secret = Secret::try_from_base32(secret.replace(' ', "")).expect("a secret");
    let totp = Builder::new()
        .with_secret(secret.as_ref().to_vec())
        .with_account_name("x")
        .build()
        .expect("a generator");
    let second = u64::try_from(installation.now().as_second()).expect("after 1970");
    totp.generate(second).to_string()
}

/// What stands in the `number`-th `<code>` of a page.
fn code_element(answer: &Answer, number: usize) -> String {
    let text = answer.text.split("<code>").nth(number + 1).unwrap_or_else(|| panic!("{}", answer.text));
    text.split("</code>").next().expect("an end").to_owned()
}

#[tokio::test]
async fn one_time_codes_are_asked_for_and_taken_once() {
    let installation = Installation::with_administrator().await;
    let mut browser = installation.signed_in().await;
    let secret = code_element(&browser.get("/account/code").await, 0);
    let csrf = browser.csrf("/account/code").await;
    let wrong = browser.post("/account/code", &[("csrf", &csrf), ("code", "000000")]).await;
    assert!(wrong.text.contains("not the code of this moment") && code_element(&wrong, 0) == secret);
    let first = code_of(&secret, &installation);
    let done = browser.post("/account/code", &[("csrf", &csrf), ("code", &first)]).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let recovery: Vec<String> = (0..10).map(|number| code_element(&done, number)).collect();

    let mut other = installation.browser();
    assert_eq!(other.get("/sign-in/code").await.location(), "/sign-in", "not before the password");
    let fields = [("mail", "dana@example.com"), ("password", PASSWORD), ("next", "/account")];
    assert_eq!(other.post("/sign-in", &fields).await.location(), "/sign-in/code");
    assert_eq!(other.get("/account").await.status, StatusCode::SEE_OTHER, "not signed in yet");
    let replayed = other.post("/sign-in/code", &[("code", &first)]).await;
    assert!(replayed.text.contains("used before"), "{}", replayed.text);
    installation.clock.advance_ms(30_000);
    let second = code_of(&secret, &installation);
    let answer =
        other.post("/sign-in/code", &[("code", &format!("{} {}", &second[..3], &second[3..]))]).await;
    assert_eq!(answer.location(), "/account", "{}", answer.text);
    assert_eq!(other.get("/account").await.status, StatusCode::OK);

    // A recovery code lets in once, however it is written.
    for (code, accepted) in [
        (recovery[3].to_uppercase(), true),
        (recovery[3].clone(), false),
        (recovery[4].replace('-', " "), true),
    ] {
        let mut lost = installation.browser();
        lost.post("/sign-in", &fields).await;
        let answer = lost.post("/sign-in/code", &[("code", &code)]).await;
        assert_eq!(answer.status == StatusCode::SEE_OTHER, accepted, "{code}: {}", answer.status);
    }
    // The step after the password has five minutes.
    let mut late = installation.browser();
    late.post("/sign-in", &fields).await;
    installation.clock.advance_ms(300_000);
    assert_eq!(
        late.post("/sign-in/code", &[("code", &code_of(&secret, &installation))]).await.location(),
        "/sign-in"
    );
}

#[tokio::test]
async fn what_cannot_be_undone_needs_a_recent_sign_in() {
    let installation = Installation::with_administrator().await;
    let mut browser = installation.signed_in().await;
    installation.clock.advance_ms(11 * 60_000);
    let csrf = browser.csrf("/account").await;
    let fields = [("csrf", csrf.as_str()), ("password", "another fine phrase")];
    let answer = browser.post("/account/password", &fields).await;
    assert_eq!(answer.location(), "/step-up?next=%2Faccount%2Fpassword");
    let before = browser.cookies["leasehold_session"].clone();
    let wrong = browser.post("/step-up", &[("csrf", &csrf), ("password", "no")]).await;
    assert!(wrong.text.contains("this is not your password"));
    let answer =
        browser.post("/step-up", &[("csrf", &csrf), ("password", PASSWORD), ("next", "/account")]).await;
    assert_eq!(answer.location(), "/account");
    assert_ne!(browser.cookies["leasehold_session"], before, "it has another secret");
    let mut there = installation.signed_in().await;
    let csrf = browser.csrf("/account").await;
    let fields = [("csrf", csrf.as_str()), ("password", "another fine phrase")];
    assert_eq!(browser.post("/account/password", &fields).await.location(), "/account");
    assert!(browser.get("/account").await.text.contains("Your password is changed"));
    assert!(!browser.get("/account").await.text.contains("Your password is changed"), "said once");
    assert_eq!(there.get("/account").await.status, StatusCode::SEE_OTHER, "other sessions ended");
    assert_eq!(
        installation.browser().sign_in("dana@example.com", PASSWORD).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

async fn wrong_tries(browser: &mut Browser, source: &str, count: usize) -> usize {
    let mut slowed = 0;
    for number in 0..count {
        let answer = browser.sign_in_from(source, "dana@example.com", &format!("guess {number}")).await;
        slowed += usize::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    slowed
}

#[tokio::test]
async fn guessing_is_slowed_down_and_locks_nobody_out() {
    let installation = Installation::with_administrator().await;
    let mut known = installation.signed_in().await;
    let mut stranger = installation.browser();
    assert_eq!(wrong_tries(&mut stranger, "192.0.2.66", 20).await, 15, "five are free");
    // Not even the right password gets in from there, until the wait is over.
    let answer = stranger.sign_in_from("192.0.2.66", "dana@example.com", PASSWORD).await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
    // Elsewhere, and in a browser that is known, it does; even behind the stranger's own address.
    let answer = installation.browser().sign_in_from("198.51.100.7", "dana@example.com", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let answer = known.sign_in_from("192.0.2.66", "dana@example.com", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    installation.clock.advance_ms(1_000);
    let answer = stranger.sign_in_from("192.0.2.66", "dana@example.com", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "the wait is over");
}

#[tokio::test]
async fn guessing_from_many_networks_locks_nobody_out_either() {
    let installation = Installation::with_administrator().await;
    let mut stranger = installation.browser();
    for number in 0..100 {
        wrong_tries(&mut stranger, &format!("203.0.113.{number}"), 1).await;
    }
    assert_eq!(
        wrong_tries(&mut stranger, "203.0.113.5", 1).await,
        1,
        "one try of each network is all there is"
    );
    let answer = installation.browser().sign_in_from("198.51.100.7", "dana@example.com", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "whoever knows the password gets in");
}

#[tokio::test]
async fn a_network_that_tries_many_accounts_is_slowed_down() {
    let installation = Installation::with_administrator().await;
    let mut stranger = installation.browser();
    let mut slowed = 0;
    for number in 0..40 {
        let answer = stranger.sign_in_from("192.0.2.9", &format!("user{number}@example.com"), "x").await;
        slowed += usize::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(slowed, 10);
}

#[tokio::test]
async fn tokens_have_scopes_an_end_and_an_owner() {
    let installation = Installation::with_administrator().await;
    let mut browser = installation.signed_in().await;
    let csrf = browser.csrf("/account").await;
    let bad =
        browser.post("/account/tokens", &[("csrf", &csrf), ("name", "metrics"), ("days", "4000")]).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        bad.text.contains("1 to 366 days")
            && bad.text.contains("at least one scope")
            && bad.text.contains("value=\"metrics\"")
    );
    let fields = [("csrf", csrf.as_str()), ("name", "metrics"), ("days", "30"), ("scope", "metrics")];
    let made = browser.post("/account/tokens", &fields).await;
    let shown = made.text.split_once("it is not shown again:</p><p><code>").expect("the secret").1;
    let secret = shown.split('<').next().expect("an end").to_owned();
    assert!(secret.starts_with("lh_"), "{secret}");
    assert!(!browser.get("/account").await.text.contains(&secret), "shown once");
    let ask = |secret: String, path: &'static str| {
        let mut program = installation.browser();
        async move {
            let request = Request::get(path).header("authorization", format!("Bearer {secret}"));
            program.send(request.body(Body::empty()).expect("a request")).await
        }
    };
    let metrics = ask(secret.clone(), "/metrics").await;
    assert_eq!(metrics.status, StatusCode::OK);
    assert!(metrics.text.contains("http_server_request_duration_seconds_bucket"), "{}", metrics.text);
    // Counted by route: a path can name people.
    assert!(metrics.text.contains("http_route=\"/account/tokens\""), "{}", metrics.text);
    let narrow = ask(secret.clone(), "/account").await;
    assert_eq!(narrow.status, StatusCode::FORBIDDEN);
    let unknown = ask("lh_nothing".to_owned(), "/metrics").await;
    assert_eq!(
        (unknown.status, unknown.json()["type"].as_str()),
        (StatusCode::UNAUTHORIZED, Some("/api/v1/problems#bad-token"))
    );
    let token = installation.store.tokens(None).await.expect("reads").remove(0);
    assert!(token.last_used_at.is_some());
    browser.post("/account/tokens/revoke", &[("csrf", &csrf), ("id", &token.id)]).await;
    assert_eq!(ask(secret, "/metrics").await.status, StatusCode::UNAUTHORIZED);

    let lasting = installation.token(&["metrics"], 1).await;
    assert_eq!(ask(lasting.clone(), "/metrics").await.status, StatusCode::OK);
    installation.clock.advance_ms(24 * 3_600_000);
    assert_eq!(ask(lasting, "/metrics").await.status, StatusCode::UNAUTHORIZED, "expired");
}

#[tokio::test]
async fn an_invitation_sets_a_password_and_a_link_signs_in_once() {
    let installation = Installation::with_administrator().await;
    let user = installation.make_user("lee@example.com", &["auditor"]).await;
    let url = installation.url.parse().expect("an address");
    let link =
        |kind| user_link(&installation.store, &url, kind, &user, "dana@example.com", installation.now());
    let invitation = link(LinkKind::Invitation).await.expect("a link");
    let token = invitation.split_once("token=").expect("a token").1;
    let mut browser = installation.browser();
    assert!(browser.get(&invitation).await.text.contains("lee@example.com"));
    let fields = [("token", token), ("password", "a river of paper"), ("mail", "eve@example.com")];
    assert_eq!(browser.post("/link", &fields).await.location(), "/");
    assert!(browser.get("/account").await.text.contains("lee@example.com"));
    assert_eq!(installation.browser().post("/link", &fields).await.status, StatusCode::NOT_FOUND, "used");
    assert_eq!(
        installation.browser().sign_in("lee@example.com", "a river of paper").await.status,
        StatusCode::SEE_OTHER
    );

    let sign_in = link(LinkKind::SignIn).await.expect("a link");
    let token = sign_in.split_once("token=").expect("a token").1;
    let mut browser = installation.browser();
    assert_eq!(browser.post("/link", &[("token", token)]).await.location(), "/");
    assert_eq!(browser.get("/account").await.status, StatusCode::OK);
    assert_eq!(installation.browser().post("/link", &[("token", token)]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_step_is_in_the_ledger_without_personal_data_in_its_entries() {
    let installation = Installation::with_administrator().await;
    let mut browser = installation.browser();
    browser.sign_in("dana@example.com", "wrong").await;
    browser.sign_in("dana@example.com", PASSWORD).await;
    installation.token(&["read"], 30).await;
    let csrf = browser.csrf("/account").await;
    browser.post("/sign-out", &[("csrf", &csrf)]).await;
    let entries = installation.store.ledger_entries(0, 100).await.expect("reads");
    let texts: Vec<String> =
        entries.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
    for kind in ["user.changed", "sign_in.failed", "sign_in.done", "token.created", "session.ended"] {
        assert!(texts.iter().any(|text| text.contains(&format!("\"kind\":\"{kind}\""))), "{kind}");
    }
    for text in &texts {
        for personal in ["dana@example.com", "Dana", "127.0.0.1", PASSWORD, "lh_"] {
            assert!(!text.contains(personal), "{personal}: {text}");
        }
    }
}
