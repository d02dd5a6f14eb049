//! Users and tokens from the command line: made, listed, and no secret kept anywhere.

use crate::installation::{Installation, holds};

#[test]
fn users_and_tokens_are_made_and_no_secret_is_kept() {
    let mut installation = Installation::new();
    installation.write("leasehold.toml", "[server]\nurl = \"https://leasehold.example.com\"\n");
    let nobody = installation.run(&["token", "create", "--scope", "read"]).expect(1);
    assert!(nobody.stderr.contains("leasehold serve"), "{}", nobody.stderr);
    let link =
        installation.run(&["user", "add", "dana@example.com", "--role", "administrator"]).expect(0).stdout;
    assert!(link.starts_with("https://leasehold.example.com/link?token="), "{link}");
    let again = installation.run(&["user", "add", "DANA@example.com"]).expect(1);
    assert!(again.stderr.contains("already"), "{}", again.stderr);
    let users = installation.run(&["--json", "user", "list"]).expect(0).json();
    assert_eq!(users["items"][0]["mail"], "dana@example.com");
    assert_eq!(users["items"][0]["roles"], serde_json::json!(["administrator"]));
    let another = installation.run(&["user", "link", "dana@example.com", "--sign-in"]).expect(0).stdout;
    let secret = installation.run(&["token", "create", "--scope", "read"]).expect(0).stdout;
    assert!(secret.starts_with("lh_"), "{secret}");
    let unknown = installation.run(&["user", "link", "lee@example.com"]).expect(1);
    assert!(unknown.stderr.contains("leasehold user list"), "{}", unknown.stderr);
    let bytes = installation.all_bytes();
    let token = |link: &str| link.trim().split_once("token=").expect("a token").1.to_owned();
    for secret in [secret.trim(), &token(&link), &token(&another)] {
        assert!(!holds(&bytes, secret), "a secret is kept in a file");
    }
}

#[test]
fn owners_of_a_system_are_identities_and_leave_the_files_of_a_system_alone() {
    let mut installation = Installation::new();
    let erp = "[system.erp]\nconnector = \"csv\"\ngrants = \"grants.csv\"\nowners = \"owners.csv\"\n";
    installation.write("grants.csv", "account,entitlement\ndana,role/admin\n");
    installation.write("owners.csv", "account,owner\ndana,dana@example.com\n");
    installation.write("leasehold.toml", &format!("{erp}owner = \"dana@example.com\"\n"));
    installation.run(&["sync"]).expect(0);
    installation.write("leasehold.toml", &format!("{erp}owner = 7\n"));
    let refused = installation.run(&["sync"]).expect(1);
    assert!(
        refused.stderr.contains("leasehold.toml:5") && refused.stderr.contains("owner ="),
        "{}",
        refused.stderr
    );
}
