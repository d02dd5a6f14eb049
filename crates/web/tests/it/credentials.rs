//! The list of credentials: whose each is, who made it and when, its last use, its end, its scope, and whether it is too old; on the
//! page and in the API.

use axum::http::StatusCode;
use jiff::SignedDuration;
use leasehold_model::account::LastUse;
use leasehold_model::clock::Clock as _;
use leasehold_model::credential::{Credential, CredentialKind};
use serde_json::{Value, json};

use crate::company::{Office, text_of};
use crate::support::system;

/// Somebody's account in the cloud, and their name.
fn holder(office: &Office) -> (String, String) {
    let cloud = &office.company.state.systems[&system("cloud")];
    let mut logins = cloud.accounts.values().map(|account| account.login.clone());
    let login = logins.find(|login| office.company.state.people.contains_key(&login.as_str().into()));
    let login = login.expect("an account of a person");
    let key =
        cloud.accounts.values().find(|account| account.login == login).expect("it is there").key.to_string();
    (key, login)
}

#[tokio::test]
async fn a_credential_is_told_with_owner_making_use_end_scope_and_age() {
    let office = Office::open().await;
    let (account, login) = holder(&office);
    let now = office.installation.clock.now();
    let days = |days: i64| now + SignedDuration::from_hours(24 * days);
    let old = Credential {
        created_at: Some(days(-2_000)),
        created_by: Some("pipeline".to_owned()),
        expires_at: Some(days(40)),
        last_use: LastUse::At(days(-3)),
        scope: vec!["s3:read".to_owned(), "s3:list".to_owned()],
        ..Credential::new("key-of-old", account.as_str(), CredentialKind::AccessKey, "old and wide")
    };
    let stopped = Credential {
        active: false,
        created_at: Some(days(-1)),
        last_use: LastUse::Never,
        ..Credential::new("key-of-new", account.as_str(), CredentialKind::AccessKey, "new and stopped")
    };
    let unknown =
        Credential::new("key-of-whom", account.as_str(), CredentialKind::AccessKey, "of unknown age");
    for credential in [&old, &stopped, &unknown] {
        office.world.create_credential("cloud", credential.clone()).expect("is made");
    }
    office.installation.driver.handle().request_sync(&system("cloud"), false, "test").await.expect("asks");
    office.turn().await;

    let mut program = office.installation.program().await;
    let expected = |credential: &Credential, changed: Value| {
        let mut row = json!({
            "system": "cloud", "account": login, "account_key": account, "identity": login,
            "key": credential.key, "kind": "access_key", "label": credential.label, "active": true,
            "created_at": null, "created_by": null, "expires_at": null, "last_use": "unknown", "last_used_at": null,
            "scope": [], "older_than_allowed": null,
        });
        for (name, value) in changed.as_object().expect("fields") {
            row[name] = value.clone();
        }
        row
    };
    for (credential, changed) in [
        (
            &old,
            json!({
                "created_at": days(-2_000), "created_by": "pipeline", "expires_at": days(40), "last_use": "at",
                "last_used_at": days(-3), "scope": ["s3:read", "s3:list"], "older_than_allowed": true,
            }),
        ),
        (
            &stopped,
            json!({"active": false, "created_at": days(-1), "last_use": "never", "older_than_allowed": false}),
        ),
        (&unknown, json!({})),
    ] {
        let found = program.get(&format!("/api/v1/credentials?q={}", credential.key)).await.json();
        assert_eq!(found["items"], json!([expected(credential, changed)]), "{}", credential.label);
    }
    let stopped_ones = program
        .get(&format!("/api/v1/credentials?identity={login}&active=false&kind=access_key"))
        .await
        .json();
    assert_eq!(stopped_ones["items"].as_array().map(Vec::len), Some(1), "{stopped_ones}");

    let mut browser = office.installation.signed_in().await;
    for (query, words) in [
        (
            "q=key-of-old",
            &["old and wide", "pipeline", "s3:read, s3:list", "older than allowed", login.as_str()][..],
        ),
        ("q=key-of-new", &["new and stopped", "stopped", "never"][..]),
        ("q=key-of-whom", &["of unknown age", "unknown"][..]),
        ("q=key-of&only=old", &["old and wide"][..]),
        ("q=key-of&only=never-used", &["new and stopped"][..]),
    ] {
        let page = browser.get(&format!("/credentials?{query}")).await;
        assert_eq!(page.status, StatusCode::OK);
        let text = text_of(&page.text);
        assert!(words.iter().all(|word| text.contains(word)), "{query}: {words:?}\n{text}");
        let others = ["old and wide", "new and stopped", "of unknown age"];
        let shown = others.iter().filter(|label| text.contains(**label)).count();
        assert_eq!(shown, 1, "{query}: {text}");
    }
}
