//! Passkeys: what a device answers counts for one challenge, one browser, one purpose and one user, or not at all.

use axum::http::StatusCode;
use leasehold_model::event::EventKind;
use serde_json::Value;

use crate::authenticator::Device;
use crate::support::{Answer, Browser, Installation, PASSWORD};

const ORIGIN: &str = "http://localhost:8420";

/// A server at an address where passkeys can be used, with its administrator.
async fn installation() -> Installation {
    let installation = Installation::at(ORIGIN).await;
    installation.make_administrator().await;
    installation
}

/// What the script of a page asks for.
async fn challenge(browser: &mut Browser, path: &str, csrf: &str) -> Value {
    let answer = browser.post(&format!("{path}/challenge"), &[("csrf", csrf)]).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    answer.json()
}

/// Registers a device in one's account.
async fn register(browser: &mut Browser, device: &mut Device, name: &str) -> Answer {
    let csrf = browser.csrf("/account").await;
    let answer = device.create(&challenge(browser, "/account/passkeys", &csrf).await).to_string();
    let fields = [("csrf", csrf.as_str()), ("passkey_name", name), ("answer", answer.as_str())];
    browser.post("/account/passkeys", &fields).await
}

/// Signs in with a device alone.
async fn sign_in(browser: &mut Browser, device: &mut Device) -> Answer {
    let answer = device.get(&challenge(browser, "/sign-in/passkey", "").await).to_string();
    browser.post("/sign-in/passkey", &[("answer", &answer), ("next", "/account")]).await
}

/// A server with an administrator who has a device.
async fn with_device() -> (Installation, Device) {
    let installation = installation().await;
    let mut device = Device::new(ORIGIN, 1);
    let answer = register(&mut installation.signed_in().await, &mut device, "work phone").await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/account"), "{}", answer.text);
    (installation, device)
}

fn refused(answer: &Answer, words: &str) {
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
    assert!(answer.text.contains(words), "{words}: {}", answer.text);
}

#[tokio::test]
async fn a_passkey_signs_in_alone_and_stands_beside_the_password() {
    let (installation, mut device) = with_device().await;
    let mut browser = installation.browser();
    let answer = sign_in(&mut browser, &mut device).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/account"), "{}", answer.text);
    let page = browser.get("/account").await.text;
    assert!(page.contains("work phone") && page.contains("by passkey"), "{page}");

    // The password alone is half of it now.
    let mut browser = installation.browser();
    let answer = browser.sign_in("dana@example.com", PASSWORD).await;
    assert_eq!(answer.location(), "/sign-in/code");
    assert_eq!(browser.get("/account").await.location(), "/sign-in?next=%2Faccount");
    let page = browser.get("/sign-in/code").await.text;
    assert!(page.contains("Go on with a passkey") && !page.contains("One-time code"), "{page}");
    let code = browser.post("/sign-in/code", &[("code", "123456")]).await;
    assert_eq!(code.status, StatusCode::UNPROCESSABLE_ENTITY, "there are no codes");
    let options = challenge(&mut browser, "/sign-in/code/passkey", "").await;
    assert_eq!(options["publicKey"]["allowCredentials"][0]["id"], device.id().as_str());
    assert_eq!(options["publicKey"]["userVerification"], "required");
    let answer = device.get(&options).to_string();
    let answer = browser.post("/sign-in/code/passkey", &[("answer", &answer)]).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/"), "{}", answer.text);
    assert!(browser.get("/account").await.text.contains("by password and passkey"));
}

#[tokio::test]
async fn a_challenge_counts_once_for_one_browser_one_purpose_and_some_minutes() {
    let (installation, mut device) = with_device().await;
    let expired = "this took too long, or was sent before";

    let mut browser = installation.browser();
    let options = challenge(&mut browser, "/sign-in/passkey", "").await;
    let answer = device.get(&options).to_string();
    let kept = browser.clone();
    let fields = [("answer", answer.as_str())];
    assert_eq!(browser.post("/sign-in/passkey", &fields).await.status, StatusCode::SEE_OTHER);
    refused(&kept.clone().post("/sign-in/passkey", &fields).await, expired);

    // Signed anew, the same challenge does not count twice, either.
    let again = device.get(&options).to_string();
    refused(&kept.clone().post("/sign-in/passkey", &[("answer", &again)]).await, expired);

    // A browser that was asked nothing, and one that was asked something else.
    let mut browser = installation.browser();
    let answer = device.get(&challenge(&mut browser, "/sign-in/passkey", "").await).to_string();
    refused(&installation.browser().post("/sign-in/passkey", &[("answer", &answer)]).await, expired);
    let mut other = installation.browser();
    challenge(&mut other, "/sign-in/passkey", "").await;
    refused(&other.post("/sign-in/passkey", &[("answer", &answer)]).await, "is not known here");

    // An answer to the sign-in is none to the second factor.
    other.sign_in("dana@example.com", PASSWORD).await;
    let options = challenge(&mut other, "/sign-in/passkey", "").await;
    let answer = device.get(&options).to_string();
    refused(&other.post("/sign-in/code/passkey", &[("answer", &answer)]).await, expired);

    let mut late = installation.browser();
    let options = challenge(&mut late, "/sign-in/passkey", "").await;
    installation.clock.advance_ms(5 * 60_000);
    let answer = device.get(&options).to_string();
    refused(&late.post("/sign-in/passkey", &[("answer", &answer)]).await, expired);
}

#[tokio::test]
async fn an_answer_that_lies_is_refused() {
    let (installation, device) = with_device().await;
    let unknown = "is not known here, or was removed";

    // The device has not asked for finger, face or PIN.
    let mut careless = device.clone();
    careless.verifies = false;
    refused(&sign_in(&mut installation.browser(), &mut careless).await, unknown);

    // Another key that says it is this user's, one that claims this credential, and a page of somebody else.
    let mut stranger = Device::new(ORIGIN, 2);
    stranger.user.clone_from(&device.user);
    refused(&sign_in(&mut installation.browser(), &mut stranger).await, unknown);
    let mut forged = stranger.get(&challenge(&mut installation.browser(), "/sign-in/passkey", "").await);
    forged["id"] = device.id().into();
    forged["rawId"] = device.id().into();
    let mut browser = installation.browser();
    challenge(&mut browser, "/sign-in/passkey", "").await;
    refused(&browser.post("/sign-in/passkey", &[("answer", &forged.to_string())]).await, unknown);
    let mut phished = Device::new("https://evil.example", 1);
    phished.counter = 50;
    phished.user.clone_from(&device.user);
    refused(&sign_in(&mut installation.browser(), &mut phished).await, unknown);

    // A user's passkey as another user's.
    let olga = installation.make_user("olga@example.com", &[]).await;
    let mut hers = Device::new(ORIGIN, 3);
    let answer = register(&mut installation.browser_of(&olga).await, &mut hers, "hers").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let mut swapped = hers.clone();
    swapped.user.clone_from(&device.user);
    refused(&sign_in(&mut installation.browser(), &mut swapped).await, unknown);
    let mut browser = installation.browser();
    browser.sign_in("dana@example.com", PASSWORD).await;
    let options = challenge(&mut browser, "/sign-in/code/passkey", "").await;
    let answer = hers.get(&options).to_string();
    refused(&browser.post("/sign-in/code/passkey", &[("answer", &answer)]).await, unknown);

    refused(&browser.post("/sign-in/passkey", &[("answer", "{}")]).await, "nothing that could be read");

    // Each is in the ledger, but for what could not be read; and the right device still gets in.
    let entries = installation.store.ledger_entries(0, 1_000).await.expect("reads");
    let kind = format!("\"kind\":\"{}\"", EventKind::SignInFailed.as_str());
    let failed = entries.iter().filter(|(_, bytes)| String::from_utf8_lossy(bytes).contains(&kind)).count();
    assert_eq!(failed, 6);
    installation.clock.advance_ms(16 * 60_000);
    let mut device = device;
    assert_eq!(sign_in(&mut installation.browser(), &mut device).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_copied_device_is_noticed_by_its_counter() {
    let (installation, mut device) = with_device().await;
    let mut copy = device.clone();
    assert_eq!(sign_in(&mut installation.browser(), &mut device).await.status, StatusCode::SEE_OTHER);
    refused(&sign_in(&mut installation.browser(), &mut copy).await, "may have been copied");
}

#[tokio::test]
async fn guessing_is_slowed_down_like_everywhere() {
    let (installation, device) = with_device().await;
    let mut browser = installation.browser();
    let mut statuses = Vec::new();
    for _ in 0..7 {
        let mut stranger = Device::new(ORIGIN, 2);
        stranger.user.clone_from(&device.user);
        statuses.push(sign_in(&mut browser, &mut stranger).await.status);
    }
    assert_eq!(statuses[0], StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(statuses.last(), Some(&StatusCode::TOO_MANY_REQUESTS), "{statuses:?}");
}

#[tokio::test]
async fn a_removed_passkey_counts_no_more_and_the_last_way_in_stays() {
    let (installation, mut device) = with_device().await;
    let olga = installation.make_user("olga@example.com", &[]).await;
    let mut browser = installation.browser_of(&olga).await;
    let mut hers = Device::new(ORIGIN, 3);
    register(&mut browser, &mut hers, "only one").await;

    // Of somebody else: nothing happens.
    let csrf = browser.csrf("/account").await;
    let id = device.id();
    browser.post("/account/passkeys/remove", &[("csrf", &csrf), ("id", &id)]).await;
    assert_eq!(sign_in(&mut installation.browser(), &mut device).await.status, StatusCode::SEE_OTHER);

    // Her only way in, and a password that is too short to stand alone.
    let id = hers.id();
    browser.post("/account/passkeys/remove", &[("csrf", &csrf), ("id", &id)]).await;
    let page = browser.get("/account").await.text;
    assert!(page.contains("the only way to sign in") && page.contains("only one"), "{page}");
    let short = "plum orbit";
    let csrf = browser.csrf("/account").await;
    assert_eq!(
        browser.post("/account/password", &[("csrf", &csrf), ("password", short)]).await.location(),
        "/account"
    );
    browser.get("/account").await;
    browser.post("/account/passkeys/remove", &[("csrf", &csrf), ("id", &id)]).await;
    let page = browser.get("/account").await.text;
    assert!(page.contains("too short to be the only factor") && page.contains("only one"), "{page}");
    browser.post("/account/password", &[("csrf", &csrf), ("password", PASSWORD)]).await;
    browser.get("/account").await;
    browser.post("/account/passkeys/remove", &[("csrf", &csrf), ("id", &id)]).await;
    assert!(browser.get("/account").await.text.contains("no longer signs you in"));
    refused(&sign_in(&mut installation.browser(), &mut hers).await, "is not known here, or was removed");
    assert_eq!(installation.browser().sign_in("olga@example.com", PASSWORD).await.location(), "/");
}

#[tokio::test]
async fn a_passkey_is_registered_once_with_a_name_and_after_a_recent_sign_in() {
    let (installation, mut device) = with_device().await;
    let mut browser = installation.browser();
    sign_in(&mut browser, &mut device).await;

    let csrf = browser.csrf("/account").await;
    let options = challenge(&mut browser, "/account/passkeys", &csrf).await;
    assert_eq!(options["publicKey"]["excludeCredentials"][0]["id"], device.id().as_str());
    assert_eq!(options["publicKey"]["authenticatorSelection"]["residentKey"], "required");
    assert_eq!(options["publicKey"]["rp"]["id"], "localhost");
    let mut second = Device::new(ORIGIN, 2);
    let answer = second.create(&options).to_string();
    let fields = |name: &'static str, answer: &str| {
        [("csrf", csrf.clone()), ("passkey_name", name.to_owned()), ("answer", answer.to_owned())]
    };
    let nameless = browser.post_owned("/account/passkeys", &fields(" ", &answer)).await;
    refused(&nameless, "write something here");
    let garbled = browser.post_owned("/account/passkeys", &fields("tablet", "{")).await;
    refused(&garbled, "nothing that could be read");
    assert!(garbled.text.contains("value=\"tablet\""), "what was typed is kept: {}", garbled.text);
    // What was wrong before did not use the challenge up; what is right does.
    assert_eq!(
        browser.post_owned("/account/passkeys", &fields("tablet", &answer)).await.location(),
        "/account"
    );
    refused(&browser.post_owned("/account/passkeys", &fields("tablet", &answer)).await, "was sent before");

    // A device without a finger, face or PIN, and one that is known already.
    let mut careless = Device::new(ORIGIN, 3);
    careless.verifies = false;
    refused(&register(&mut browser, &mut careless, "careless").await, "does not fit what was asked");
    refused(&register(&mut browser, &mut second, "tablet again").await, "known here already");

    installation.clock.advance_ms(11 * 60_000);
    let late = browser.post("/account/passkeys/challenge", &[("csrf", &csrf)]).await;
    assert_eq!(late.location(), "/step-up?next=%2Faccount%2Fpasskeys%2Fchallenge");
}

#[tokio::test]
async fn a_passkey_confirms_in_its_own_session() {
    let (installation, mut device) = with_device().await;
    let mut browser = installation.browser();
    sign_in(&mut browser, &mut device).await;
    installation.clock.advance_ms(11 * 60_000);
    let csrf = browser.csrf("/account").await;
    let password = [("csrf", csrf.as_str()), ("password", "another fine phrase")];
    assert!(browser.post("/account/password", &password).await.location().starts_with("/step-up"));
    let page = browser.get("/step-up?next=/account").await.text;
    assert!(page.contains("Confirm with a passkey") && !page.contains("name=\"password\""), "{page}");
    // The password is half of it at a sign-in, and so it is here.
    let alone = browser.post("/step-up", &[("csrf", &csrf), ("password", PASSWORD)]).await;
    assert_eq!(alone.status, StatusCode::FORBIDDEN);

    let options = challenge(&mut browser, "/step-up/passkey", &csrf).await;
    let answer = device.get(&options).to_string();
    let mut elsewhere = installation.browser();
    sign_in(&mut elsewhere, &mut device).await;
    elsewhere.cookies.insert("leasehold_passkey".to_owned(), browser.cookies["leasehold_passkey"].clone());
    let theirs = elsewhere.csrf("/account").await;
    let answered = elsewhere.post("/step-up/passkey", &[("csrf", &theirs), ("answer", &answer)]).await;
    refused(&answered, "this took too long");

    let answer = device.get(&options).to_string();
    let fields = [("csrf", csrf.as_str()), ("answer", answer.as_str()), ("next", "/account")];
    assert_eq!(browser.post("/step-up/passkey", &fields).await.location(), "/account");
    let csrf = browser.csrf("/account").await;
    let password = [("csrf", csrf.as_str()), ("password", "another fine phrase")];
    assert_eq!(browser.post("/account/password", &password).await.location(), "/account");
}

#[tokio::test]
async fn an_address_without_passkeys_says_so() {
    let installation = Installation::with_administrator().await;
    let mut browser = installation.signed_in().await;
    let page = browser.get("/account").await.text;
    assert!(page.contains("Passkeys cannot be registered: passkeys belong to a host name"), "{page}");
    assert!(page.contains("set <code>url</code> under <code>[server]</code>"), "{page}");
    assert!(installation.browser().get("/sign-in").await.text.contains("Passkeys cannot be used"));
    let asked = installation.browser().post("/sign-in/passkey/challenge", &[]).await;
    assert_eq!(asked.status, StatusCode::CONFLICT);
    let csrf = browser.csrf("/account").await;
    let asked = browser.post("/account/passkeys/challenge", &[("csrf", &csrf)]).await;
    assert_eq!(asked.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn the_api_lists_and_removes_ones_own() {
    let (installation, device) = with_device().await;
    let olga = installation.make_user("olga@example.com", &[]).await;
    let mut dana = installation.program().await;
    let list = dana.get("/api/v1/passkeys").await.json();
    assert_eq!(list["items"][0]["id"], device.id().as_str());
    assert_eq!(list["items"][0]["name"], "work phone");
    let path = format!("/api/v1/passkeys/{}", device.id());
    let mut other = installation.program_of(&olga, &["admin"]).await;
    assert_eq!(other.get("/api/v1/passkeys").await.json()["items"], serde_json::json!([]));
    assert_eq!(other.call("DELETE", &path, Value::Null).await.status, StatusCode::NOT_FOUND);
    assert_eq!(dana.call("DELETE", &path, Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(dana.call("DELETE", &path, Value::Null).await.status, StatusCode::NOT_FOUND);
}
