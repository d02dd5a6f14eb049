//! What holds for every answer: headers, the faces of errors, and that nothing is reachable that is not registered.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};

use crate::support::Installation;

#[tokio::test]
async fn every_answer_carries_the_headers() {
    let installation = Installation::new().await;
    let style = installation.browser().get("/sign-in").await;
    let style =
        style.text.split('"').find(|text| text.starts_with("/static/style.css")).expect("a style").to_owned();
    for path in ["/healthz", "/readyz", &style, "/sign-in", "/no/such/page", "/api/v1/nothing"] {
        let answer = installation.browser().get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
        assert_eq!(answer.header("strict-transport-security"), "", "{path}: plain http promises nothing");
        let may_be_kept = path.starts_with("/static/");
        assert_eq!(answer.header("cache-control").contains("no-store"), !may_be_kept, "{path}");
        assert!(!answer.text.contains("<script>") && !answer.text.contains("style="), "{path}: inline code");
    }
    let secure = Installation::at("https://leasehold.example.com").await;
    let answer = secure.browser().get("/healthz").await;
    assert!(answer.header("strict-transport-security").starts_with("max-age=31536000"));
}

#[tokio::test]
async fn errors_have_the_face_of_who_asks() {
    let installation = Installation::new().await;
    let cases = [
        (Method::GET, "/no/such/page", StatusCode::NOT_FOUND, "text/html"),
        (Method::GET, "/api/v1/nothing", StatusCode::NOT_FOUND, "application/problem+json"),
        (Method::DELETE, "/sign-in", StatusCode::METHOD_NOT_ALLOWED, "text/html"),
        (Method::POST, "/healthz", StatusCode::METHOD_NOT_ALLOWED, "application/problem+json"),
        (Method::GET, "/metrics", StatusCode::UNAUTHORIZED, "application/problem+json"),
    ];
    for (method, path, status, kind) in cases {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
        let answer = installation.browser().send(request).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.header("content-type").starts_with(kind), "{path}: {}", answer.header("content-type"));
        if kind.contains("json") {
            let problem = answer.json();
            assert_eq!(problem["status"], status.as_u16(), "{path}");
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{problem}");
            assert!(problem["instance"].as_str().is_some_and(|id| id.starts_with("urn:uuid:")), "{problem}");
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            assert!(!answer.header("allow").is_empty(), "{path}");
        }
    }
    let answer = installation.browser().get("/metrics").await;
    assert!(answer.header("www-authenticate").starts_with("Bearer"));
}

#[tokio::test]
async fn signed_out_people_are_sent_to_sign_in_and_back() {
    let installation = Installation::new().await;
    let answer = installation.browser().get("/").await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/sign-in"));
}

#[tokio::test]
async fn a_theme_is_kept_and_sends_nobody_elsewhere() {
    let installation = Installation::new().await;
    let mut browser = installation.browser();
    assert!(!browser.get("/sign-in").await.text.contains("data-theme"));
    let answer = browser.post("/theme", &[("theme", "dark"), ("back", "/sign-in?next=%2Fdrift")]).await;
    assert_eq!(answer.location(), "/sign-in?next=%2Fdrift");
    assert!(browser.get("/sign-in").await.text.contains("data-theme=\"dark\""));
    for elsewhere in ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x"] {
        let answer = browser.post("/theme", &[("theme", "light"), ("back", elsewhere)]).await;
        assert_eq!(answer.location(), "/", "{elsewhere}");
    }
    let answer = browser.post("/theme", &[("theme", "auto")]).await;
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert!(!browser.get("/sign-in").await.text.contains("data-theme"));
}

#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    let installation = Installation::new().await;
    for (name, value, accepted) in [
        ("sec-fetch-site", "cross-site", false),
        ("sec-fetch-site", "same-site", false),
        ("sec-fetch-site", "same-origin", true),
        ("origin", "https://evil.example", false),
        ("origin", "null", false),
        ("origin", "http://127.0.0.1:8420", true),
    ] {
        let request = Request::post("/theme")
            .header(name, value)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from("theme=dark"))
            .expect("a request");
        let answer = installation.browser().send(request).await;
        assert_eq!(answer.status == StatusCode::SEE_OTHER, accepted, "{name}: {value}: {}", answer.status);
        assert_eq!(answer.headers.contains_key("set-cookie"), accepted, "{name}: {value}");
    }
}
