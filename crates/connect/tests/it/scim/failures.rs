//! Settings that are wrong, log-ins that fail, servers that say "not now", and answers that prove nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, Outcome, ReadBack, ReadTarget};
use leasehold_testing::ScimServer;
use leasehold_testing::scim::TOKEN;
use serde_json::json;

use super::{Company, answer};
use crate::between::Between;
use crate::harness::{build, enumerate_all, execute, read_account, read_grant, try_build};

#[test]
fn settings_are_checked_before_anything_is_reached() {
    let at = |more: &str| format!("url = 'https://app.example.com/scim/v2'\n{more}");
    let oauth = "token_url = 'https://app.example.com/token'\nclient_id = 'x'";
    for (table, expected) in [
        ("token = 'env:PATH'".to_owned(), "`url`"),
        (at(""), "`token`"),
        (at("token = 'hunter2'"), "in clear text"),
        ("url = 'http://app.example.com'\ntoken = 'env:PATH'".to_owned(), "would send secrets unencrypted"),
        ("url = 'http://127.evil.example'\ntoken = 'env:PATH'".to_owned(), "would send secrets unencrypted"),
        (
            "url = 'https://ada:hunter2@app.example.com'\ntoken = 'env:PATH'".to_owned(),
            "no user and no password",
        ),
        ("url = 'https://app.example.com/scim?x=1'\ntoken = 'env:PATH'".to_owned(), "without `?`"),
        (at("token = 'env:PATH'\ntoken_url = 'https://app.example.com/token'"), "leave one out"),
        (at("token = 'env:PATH'\nclient_id = 'x'"), "belongs to `token_url`"),
        (at(oauth), "`client_secret`"),
        (
            at("token_url = 'http://app.example.com/token'\nclient_id = 'x'\nclient_secret = 'env:PATH'"),
            "unencrypted",
        ),
        (at("token = 'env:PATH'\nmembership = 'groups'"), "did you mean `group`"),
        (at("token = 'env:PATH'\nmember_removal = 'all'"), "known are filter, value, replace"),
        (at("token = 'env:PATH'\npage_size = 1"), "outside 2 to 10000"),
        (at("token = 'env:PATH'\npages_size = 10"), "did you mean `page_size`"),
    ] {
        let Err(error) = try_build("scim", &table) else { panic!("{table} was taken") };
        let message = error.to_string();
        assert!(message.contains(expected) && !message.contains("hunter2"), "{message}");
    }
}

#[tokio::test]
async fn a_wrong_token_is_named_without_being_shown() {
    for company in Company::both() {
        let file = company.server.folder().join("wrong.token");
        std::fs::write(&file, "planted-wrong-token").expect("write a token");
        let table = format!("url = '{}'\ntoken = 'file:{}'", company.server.url(), file.display());
        let error = build("scim", &table).test().await.expect_err("it must fail").to_string();
        assert!(error.contains("refused the log-in") && error.contains("check `token`"), "{error}");
        assert!(!error.contains("planted"), "{error}");
        let report = company.connector().test().await.expect("it works");
        assert!(report.missing_rights.is_empty() && report.target.contains("3 users"), "{report:?}");
    }
}

/// Answers `status` to the first requests that begin with something, and passes everything else on.
fn not_now(
    company: &Company,
    begin: &'static str,
    status: &'static str,
    more: &'static str,
    times: usize,
) -> (Between, Arc<AtomicUsize>) {
    let refused = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&refused);
    let between = Between::start(company.server.url(), move |request, forward| {
        if request.starts_with(begin) && counted.load(Ordering::SeqCst) < times {
            counted.fetch_add(1, Ordering::SeqCst);
            return answer(status, more, &json!({"detail": "slow down"}));
        }
        forward()
    });
    (between, refused)
}

#[tokio::test]
async fn a_reading_is_asked_for_again_and_a_change_is_left_to_the_plan() {
    let company = Company::start(ScimServer::start_scim2_server());
    let (between, refused) =
        not_now(&company, "GET /v2/Users", "429 Too Many Requests", "Retry-After: 0\r\n", 3);
    let facts = enumerate_all(&*company.connector_at(&company.url_at(&between.url()), "")).await;
    assert_eq!((facts.accounts.len(), refused.load(Ordering::SeqCst)), (3, 3));
    let (between, _) = not_now(&company, "PATCH ", "503 Service Unavailable", "Retry-After: 7\r\n", 1);
    let connector = company.connector_at(&company.url_at(&between.url()), "");
    match execute(&*connector, Verb::DisableAccount, &company.bob(), None).await {
        Outcome::Retry { after_ms: Some(7000), why } => assert!(why.contains("503: slow down"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(read_account(&*connector, &company.bob()).await, (true, true), "nothing was done");
    let (between, refused) =
        not_now(&company, "GET /v2/Users", "429 Too Many Requests", "Retry-After: 3600\r\n", 9);
    let connector = company.connector_at(&company.url_at(&between.url()), "");
    let error = connector.read_back(&ReadTarget::Account { account: company.bob() }).await;
    let error = error.expect_err("it is not waited for").to_string();
    assert!(error.contains("asked 1 times") && refused.load(Ordering::SeqCst) == 1, "{error}");
}

#[tokio::test]
async fn only_the_server_itself_can_say_that_somebody_is_gone() {
    let company = Company::start(ScimServer::start_scim2_server());
    let target = ReadTarget::Account { account: company.bob() };
    for (status, expected) in [
        ("404 Not Found", "no answer of a SCIM server"),
        ("400 Bad Request", "HTTP 400"),
        ("403 Forbidden", "not taken for absent"),
        ("500 Internal Server Error", "HTTP 500"),
    ] {
        let (between, _) = not_now(&company, "GET /v2/Users/", status, "", usize::MAX);
        let connector = company.connector_at(&company.url_at(&between.url()), "");
        let error = connector.read_back(&target).await.expect_err("nothing is proved").to_string();
        assert!(error.contains(expected), "{status}: {error}");
        // Where the list knows nobody of that id either, it is so.
        let gone = AccountTarget { key: "gone".into(), login: "gone".to_owned() };
        let read = connector.read_back(&ReadTarget::Account { account: gone }).await;
        if status.starts_with("404") || status.starts_with("400") {
            assert_eq!(
                read.expect("proved"),
                ReadBack::Account { exists: false, enabled: false },
                "{status}"
            );
        } else {
            read.expect_err("nothing is proved");
        }
    }
}

#[tokio::test]
async fn a_server_that_overlooks_filters_gives_nobody_elses_account() {
    for company in Company::both() {
        // What is asked about `userName` gets everybody: the filter's name is changed to one that nobody knows.
        let target = company.server.url().to_owned();
        let between = Between::start(&target, |request, forward| {
            let path = request.split(' ').nth(1).expect("a path");
            if !path.contains("filter=") {
                return forward();
            }
            let users = ["zed", "bob"].map(|name| json!({"id": name, "userName": name, "displayName": name}));
            answer("200 OK", "", &json!({"totalResults": 2, "Resources": users}))
        });
        let connector = company.connector_at(&company.url_at(&between.url()), "");
        let bob = AccountTarget { key: String::new().into(), login: "BOB".to_owned() };
        assert_eq!(read_account(&*connector, &bob).await, (true, true));
        assert_eq!(
            read_grant(&*connector, &bob, &crate::harness::entitlement("group/ops")).await,
            (true, true)
        );
        let nobody = AccountTarget { key: String::new().into(), login: "nobody".to_owned() };
        assert_eq!(read_account(&*connector, &nobody).await, (false, false));
    }
}

#[tokio::test]
async fn a_client_gets_its_token_and_a_new_one_when_that_has_ended() {
    let company = Company::start(ScimServer::start_scim2_server());
    let secret = company.server.folder().join("client.secret");
    std::fs::write(&secret, "s/e+c r:et").expect("write a secret");
    for (word, expected) in [
        // `id%3A1:s%2Fe%2Bc%20r%3Aet` in base64.
        ("basic", "authorization: basic awqlm0ex"),
        ("post", "client_id=id%3a1&client_secret=s%2fe%2bc+r%3aet"),
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        // The first token is one that the server does not take, as if it had ended before its time.
        let tokens = Between::start("http://127.0.0.1:9", move |request, _| {
            let request = request.to_lowercase();
            assert!(request.starts_with("post /token ") && request.contains(expected), "{request}");
            assert!(request.contains("grant_type=client_credentials&scope=scim"), "{request}");
            let token =
                if counted.fetch_add(1, Ordering::SeqCst) == 0 { "planted-ended-token" } else { TOKEN };
            answer("200 OK", "", &json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600}))
        });
        let connector = build(
            "scim",
            &format!(
                "url = '{}'\ntoken_url = '{}/token'\nclient_id = 'id:1'\nclient_secret = 'file:{}'\nscope = 'scim'\nclient_auth \
                 = '{word}'",
                company.server.url(),
                tokens.url(),
                secret.display()
            ),
        );
        let facts = enumerate_all(&*connector).await;
        assert_eq!(facts.accounts.len(), 3);
        assert_eq!(asked.load(Ordering::SeqCst), 2, "one token serves until it is refused");
    }
    let refusing = Between::start("http://127.0.0.1:9", |_, _| {
        answer("401 Unauthorized", "", &json!({"error": "invalid_client", "error_description": "who?"}))
    });
    let table = format!(
        "url = '{}'\ntoken_url = '{}/token'\nclient_id = 'id'\nclient_secret = 'file:{}'",
        company.server.url(),
        refusing.url(),
        secret.display()
    );
    let error = build("scim", &table).test().await.expect_err("it must fail").to_string();
    assert!(error.contains("invalid_client who?") && error.contains("check `client_id`"), "{error}");
    assert!(!error.contains("s/e+c"), "{error}");
}
