//! Sign-in by an OpenID provider that says what it should not: each lie is refused, and the truth beside it is not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use leasehold_decide::authority::Role;
use leasehold_web::OpenIdSettings;
use openidconnect::PrivateSigningKey as _;
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreHmacKey, CoreJwsSigningAlgorithm};
use serde_json::{Value, json};

use crate::support::{Answer, Browser, Installation};

const SECRET: &str = "the client's secret at the provider";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A key of Ed25519, made from nothing but a number.
fn key(seed: u8) -> CoreEdDsaPrivateSigningKey {
    // PKCS #8 in DER: what stands before the 32 bytes of every such key (RFC 8410).
    let mut der = hex::decode("302e020100300506032b657004220420").expect("hexadecimal");
    der.extend([seed; 32]);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, None).expect("a key")
}

fn signed_with(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// A token of a provider with this key.
fn signed(seed: u8, typ: &str, claims: &Value) -> String {
    let header = json!({"alg": "EdDSA", "typ": typ});
    signed_with(&header, claims, |message| {
        key(seed).sign(&CoreJwsSigningAlgorithm::EdDsa, message).expect("signs")
    })
}

/// What the provider answers next, and what it was asked.
#[derive(Default)]
struct Said {
    issuer: String,
    token: String,
    asked: HashMap<String, String>,
}

type Shared = Arc<Mutex<Said>>;

/// A provider in the test's hand.
struct Provider {
    said: Shared,
    issuer: String,
}

impl Provider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let said: Shared = Arc::new(Mutex::new(Said { issuer: issuer.clone(), ..Said::default() }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/keys", get(async || Json(json!({"keys": [key(1).as_verification_key()]}))))
            .route("/token", post(exchange))
            .with_state(said.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { said, issuer }
    }

    fn settings(&self) -> OpenIdSettings {
        OpenIdSettings {
            issuer: self.issuer.clone(),
            client_id: "leasehold".to_owned(),
            client_secret: SECRET.to_owned().into(),
            name: "Example ID".to_owned(),
            groups_claim: "groups".to_owned(),
            roles: [("ops".to_owned(), Role::Operator)].into(),
            scopes: vec!["email".to_owned()],
        }
    }

    /// The claims of a good ID token for whoever is on the way.
    fn claims(&self, installation: &Installation, nonce: &str) -> Value {
        let now = installation.now().as_second();
        json!({
            "iss": self.issuer, "aud": "leasehold", "sub": "s-1", "iat": now, "exp": now + 300, "auth_time": now,
            "nonce": nonce, "sid": "sid-1", "email": "mia@example.com", "email_verified": true, "groups": ["ops"],
        })
    }

    /// The claims of a good logout token.
    fn logout(&self, installation: &Installation) -> Value {
        let now = installation.now().as_second();
        json!({
            "iss": self.issuer, "aud": "leasehold", "sub": "s-1", "sid": "sid-1", "iat": now, "exp": now + 120,
            "jti": "logout-1", "events": { EVENT: {} },
        })
    }
}

async fn describe(State(said): State<Shared>) -> Json<Value> {
    let said = said.lock().expect("free");
    let issuer = &said.issuer;
    Json(json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn exchange(State(said): State<Shared>, Form(asked): Form<HashMap<String, String>>) -> Json<Value> {
    let mut said = said.lock().expect("free");
    said.asked = asked;
    Json(json!({"access_token": "a", "token_type": "Bearer", "id_token": said.token}))
}

/// A sign-in on its way: the browser, and what it was sent to the provider with.
async fn on_the_way(installation: &Installation) -> (Browser, HashMap<String, String>) {
    let mut browser = installation.browser();
    let answer = browser.get("/sign-in/openid?next=/account").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let address = url::Url::parse(answer.location()).expect("an address");
    (browser, address.query_pairs().into_owned().collect())
}

async fn come_back(browser: &mut Browser, pairs: &[(&str, &str)]) -> Answer {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    browser.get(&format!("/sign-in/openid/callback?{query}")).await
}

async fn installation(provider: &Provider) -> Installation {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let installation = Installation::with_provider(provider.settings()).await;
    installation.make_administrator().await;
    installation
}

#[tokio::test]
async fn what_is_asked_is_bound_to_the_browser_and_every_lie_in_the_answer_is_refused() {
    let provider = Provider::start().await;
    let installation = installation(&provider).await;
    let good = |claims: &Value| signed(1, "JWT", claims);
    let with = |name: &'static str, value: Value| {
        move |claims: &Value| {
            let mut claims = claims.clone();
            match &value {
                Value::Null => drop(claims.as_object_mut().expect("claims").remove(name)),
                value => claims[name] = value.clone(),
            }
            signed(1, "JWT", &claims)
        }
    };
    let unsigned = |claims: &Value| signed_with(&json!({"alg": "none"}), claims, |_| Vec::new());
    let by_secret = |claims: &Value| {
        signed_with(&json!({"alg": "HS256"}), claims, |message| {
            CoreHmacKey::new(SECRET).sign(&CoreJwsSigningAlgorithm::HmacSha256, message).expect("signs")
        })
    };
    let by_another = |claims: &Value| signed(2, "JWT", claims);
    type Lie<'test> = Box<dyn Fn(&Value) -> String + 'test>;
    let past = installation.now().as_second() - 1_000;
    let lies: Vec<(&str, Lie<'_>)> = vec![
        ("no nonce", Box::new(with("nonce", Value::Null))),
        ("another nonce", Box::new(with("nonce", json!("n")))),
        ("another issuer", Box::new(with("iss", json!("https://id.example.com")))),
        ("the issuer with a slash", Box::new(with("iss", json!(format!("{}/", provider.issuer))))),
        ("for somebody else", Box::new(with("aud", json!("another")))),
        ("for others too", Box::new(with("aud", json!(["leasehold", "another"])))),
        ("expired", Box::new(with("exp", json!(past)))),
        ("of the future", Box::new(with("iat", json!(past + 10_000)))),
        ("not signed", Box::new(unsigned)),
        ("signed with the secret", Box::new(by_secret)),
        ("signed by another", Box::new(by_another)),
    ];
    let is_signed_in = async |browser: &mut Browser| browser.get("/account").await.status == StatusCode::OK;
    let answer_of = async |lie: &dyn Fn(&Value) -> String, change: &[(&'static str, Option<&str>)]| {
        let (mut browser, sent) = on_the_way(&installation).await;
        let token = lie(&provider.claims(&installation, &sent["nonce"]));
        provider.said.lock().expect("free").token = token;
        let mut pairs =
            vec![("code", "c"), ("state", sent["state"].as_str()), ("iss", provider.issuer.as_str())];
        for (name, value) in change {
            pairs.retain(|(key, _)| key != name);
            pairs.extend(value.map(|value| (*name, value)));
        }
        let answer = come_back(&mut browser, &pairs).await;
        (answer, browser, sent)
    };
    for (what, lie) in &lies {
        let (answer, mut browser, _) = answer_of(&**lie, &[]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}: {}", answer.text);
        assert!(!answer.text.contains(SECRET), "{what}");
        assert!(!is_signed_in(&mut browser).await, "{what}");
        // Waits between tries end by themselves.
        installation.clock.advance_ms(900_000);
    }
    for change in [
        ("state", Some("another")),
        ("state", None),
        ("iss", Some("https://id.example.com")),
        ("iss", None),
        ("code", None),
        ("error", Some("access_denied")),
    ] {
        let (answer, mut browser, _) = answer_of(&good, &[change]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{change:?}: {}", answer.text);
        assert!(!is_signed_in(&mut browser).await, "{change:?}");
        installation.clock.advance_ms(900_000);
    }
    // The answer of one browser in another one.
    let (_, sent) = on_the_way(&installation).await;
    let pairs = [("code", "c"), ("state", sent["state"].as_str()), ("iss", provider.issuer.as_str())];
    let mut elsewhere = installation.browser();
    assert_eq!(come_back(&mut elsewhere, &pairs).await.status, StatusCode::FORBIDDEN);
    assert!(installation.store.user_by_mail("mia@example.com").await.expect("reads").is_none());

    let (answer, mut browser, sent) = answer_of(&good, &[]).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/account"), "{}", answer.text);
    assert_eq!(sent["code_challenge_method"], "S256");
    assert_eq!(sent["redirect_uri"], format!("{}/sign-in/openid/callback", installation.url));
    let verifier = provider.said.lock().expect("free").asked["code_verifier"].clone();
    let digest = <sha2::Sha256 as sha2::Digest>::digest(verifier.as_bytes());
    assert_eq!(sent["code_challenge"], URL_SAFE_NO_PAD.encode(digest));
    assert!(is_signed_in(&mut browser).await);
    let user = installation.store.user_by_mail("mia@example.com").await.expect("reads").expect("is there");
    assert_eq!((user.provider_roles.as_slice(), user.roles.len()), (&["operator".to_owned()][..], 0));
    // The next sign-in says what she is now; the address is not asked again whose it is.
    let (answer, ..) = answer_of(&with("groups", json!(["others"])), &[]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let user = installation.store.user(&user.id).await.expect("reads").expect("is there");
    assert!(user.provider_roles.is_empty(), "{user:?}");
}

#[tokio::test]
async fn only_a_good_logout_token_ends_sessions_and_only_once() {
    let provider = Provider::start().await;
    let installation = installation(&provider).await;
    let (mut browser, sent) = on_the_way(&installation).await;
    let token = signed(1, "JWT", &provider.claims(&installation, &sent["nonce"]));
    provider.said.lock().expect("free").token = token;
    let pairs = [("code", "c"), ("state", sent["state"].as_str()), ("iss", provider.issuer.as_str())];
    assert_eq!(come_back(&mut browser, &pairs).await.status, StatusCode::SEE_OTHER);

    let good = provider.logout(&installation);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let without = |names: &[&str]| {
        let mut claims = good.clone();
        for name in names {
            claims.as_object_mut().expect("claims").remove(*name);
        }
        claims
    };
    let past = installation.now().as_second() - 1_000;
    let mut sender = installation.browser();
    for (what, token) in [
        ("nothing", String::new()),
        ("no token", "a.b.c".to_owned()),
        ("an ID token", signed(1, "logout+jwt", &provider.claims(&installation, "n"))),
        ("a nonce", signed(1, "logout+jwt", &with("nonce", json!("n")))),
        ("no event", signed(1, "logout+jwt", &without(&["events"]))),
        ("another event", signed(1, "logout+jwt", &with("events", json!({"other": {}})))),
        ("another kind", signed(1, "at+jwt", &good)),
        ("another issuer", signed(1, "logout+jwt", &with("iss", json!("https://id.example.com")))),
        ("for somebody else", signed(1, "logout+jwt", &with("aud", json!("another")))),
        ("nobody", signed(1, "logout+jwt", &without(&["sub", "sid"]))),
        ("no name", signed(1, "logout+jwt", &with("jti", json!("")))),
        ("old", signed(1, "logout+jwt", &with("iat", json!(past)))),
        ("of the future", signed(1, "logout+jwt", &with("iat", json!(past + 10_000)))),
        ("expired", signed(1, "logout+jwt", &with("exp", json!(past)))),
        ("by another", signed(2, "logout+jwt", &good)),
        ("not signed", signed_with(&json!({"alg": "none", "typ": "logout+jwt"}), &good, |_| Vec::new())),
    ] {
        let answer = sender.post("/sign-in/openid/back-channel-logout", &[("logout_token", &token)]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}: {}", answer.text);
        assert_eq!(browser.get("/account").await.status, StatusCode::OK, "{what}");
    }
    let token = signed(1, "logout+jwt", &good);
    for wanted in [StatusCode::OK, StatusCode::BAD_REQUEST] {
        let answer = sender.post("/sign-in/openid/back-channel-logout", &[("logout_token", &token)]).await;
        assert_eq!(answer.status, wanted, "{}", answer.text);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(browser.get("/account").await.status, StatusCode::SEE_OTHER, "the session has ended");
    }
}
