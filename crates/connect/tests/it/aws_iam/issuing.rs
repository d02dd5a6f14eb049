//! Access keys that are issued, used with AWS's own client.

use leasehold_model::plan::Verb;
use leasehold_model::request::AccountTarget;
use leasehold_testing::AwsKey;
use serde_json::json;

use super::Company;
use crate::harness::{acknowledged, issue, issue_refused};

fn key_of(company: &Company, user: &str) -> Vec<String> {
    let keys = company.iam("list_access_keys", json!({"UserName": user}));
    let keys = keys["AccessKeyMetadata"].as_array().expect("keys").iter();
    keys.map(|key| key["AccessKeyId"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn an_issued_key_works_beside_the_old_one_and_a_third_is_refused() {
    let company = Company::start();
    let connector = company.connector();
    let (issued, secret) = issue(&*connector, "alice").await;
    let id = issued.credential.expect("it says which").key.to_string();
    assert!(issued.instructions.contains(&id), "{}", issued.instructions);
    let key = AwsKey { id: id.clone(), secret, token: None };
    for key in [&key, &company.alice] {
        assert_eq!(company.lists_buckets(key), Ok(()));
    }
    let keys = key_of(&company, "alice");
    assert!(keys.len() == 2 && keys.contains(&id), "{keys:?}");
    let why = issue_refused(&*connector, &AccountTarget::by_login("alice")).await;
    assert!(why.contains("revoke one of its keys first"), "{why}");
    assert_eq!(key_of(&company, "alice"), keys);
}

#[tokio::test]
async fn who_is_kept_out_gets_no_key() {
    let company = Company::start();
    let connector = company.connector();
    let bob = company.user("bob");
    acknowledged(&*connector, Verb::DisableAccount, &bob, None).await;
    for (target, expected) in [
        (bob, "disabled"),
        (company.user("leasehold"), "the connector itself uses"),
        (AccountTarget::by_login("nobody"), "there is no such user"),
        (AccountTarget { key: "root".into(), login: "root".into() }, "root"),
    ] {
        let why = issue_refused(&*connector, &target).await;
        assert!(why.contains(expected), "{}: {why}", target.login);
    }
    assert_eq!(key_of(&company, "bob"), [company.bob.id.as_str()]);
}
