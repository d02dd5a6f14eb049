//! What the worked example changes in real files, checked with the web server's own tool.

use leasehold_connect::model::plan::Verb;
use leasehold_connect::model::request::Outcome;

use super::{Faulty, Wiki};
use crate::harness::{account, acknowledged, entitlement, execute, read_account, read_grant, refused};

#[tokio::test]
async fn a_leaver_of_the_example_loses_everything_and_nobody_else_anything() {
    let wiki = Wiki::new();
    let connector = wiki.connector();
    let (ben, editors) = (account("ben"), entitlement("group/editors"));
    let ann_before = wiki.read("users").lines().find(|line| line.starts_with("ann:")).map(str::to_owned);
    assert!(wiki.lets_in("ben", "ben-password") && wiki.lets_in("ann", "ann-password"));

    acknowledged(connector.as_ref(), Verb::DisableAccount, &ben, None).await;
    assert!(!wiki.lets_in("ben", "ben-password"), "a disabled account lets nobody in");
    assert!(!wiki.lets_in("ben", "!"), "nor does the mark itself");
    assert_eq!(read_account(connector.as_ref(), &ben).await, (true, false));

    acknowledged(connector.as_ref(), Verb::Revoke, &ben, Some(&editors)).await;
    assert_eq!(wiki.members("editors"), ["ann"], "both lines of the group");
    assert_eq!(read_grant(connector.as_ref(), &ben, &editors).await, (false, false));
    assert_eq!(execute(connector.as_ref(), Verb::Revoke, &ben, Some(&editors)).await, Outcome::AlreadySo);

    acknowledged(connector.as_ref(), Verb::EnableAccount, &ben, None).await;
    assert!(wiki.lets_in("ben", "ben-password"), "it came back as it was");

    acknowledged(connector.as_ref(), Verb::DeleteAccount, &ben, None).await;
    assert_eq!(read_account(connector.as_ref(), &ben).await, (false, false));
    assert_eq!(wiki.members("staff"), ["ann"], "whoever gets the name next is in no group");
    assert!(wiki.lets_in("ann", "ann-password"));
    assert_eq!(
        wiki.read("users").lines().find(|line| line.starts_with("ann:")).map(str::to_owned),
        ann_before
    );
    assert!(wiki.read("users").starts_with("# of the wiki\n"), "comments stay");
}

#[tokio::test]
async fn a_new_account_lets_nobody_in_before_it_has_a_password() {
    let wiki = Wiki::new();
    let connector = wiki.connector();
    let cy = account("cy");
    acknowledged(connector.as_ref(), Verb::CreateAccount, &cy, None).await;
    assert_eq!(read_account(connector.as_ref(), &cy).await, (true, true));
    let nobody = || ["", "!", "*", "!*"].iter().all(|password| !wiki.lets_in("cy", password));
    assert!(nobody());
    acknowledged(connector.as_ref(), Verb::DisableAccount, &cy, None).await;
    assert_eq!(read_account(connector.as_ref(), &cy).await, (true, false));
    acknowledged(connector.as_ref(), Verb::EnableAccount, &cy, None).await;
    assert_eq!(read_account(connector.as_ref(), &cy).await, (true, true));
    assert!(nobody(), "who has no password is not let in by being enabled");
    for name in ["two words", "a:b", "#c", "line\nbreak:hash"] {
        refused(connector.as_ref(), Verb::CreateAccount, &account(name), None).await;
    }
    assert_eq!(wiki.read("users").lines().count(), 4);
}

#[tokio::test]
async fn what_was_not_named_in_the_settings_is_never_asked_for() {
    let faulty = Faulty::with("nothing", "capabilities = ['enumerate', 'read_back']");
    let staff = entitlement("group/staff");
    refused(faulty.connector.as_ref(), Verb::Revoke, &account("ann"), Some(&staff)).await;
    assert_eq!(faulty.members(), "ann ben");
    let faulty = Faulty::with("nothing", "acting_as = 'ann'");
    let why = refused(faulty.connector.as_ref(), Verb::Revoke, &account("ann"), Some(&staff)).await;
    assert!(why.contains("logged in as"), "{why}");
    acknowledged(faulty.connector.as_ref(), Verb::Revoke, &account("ben"), Some(&staff)).await;
    assert_eq!(faulty.members(), "ann");
}

#[tokio::test]
async fn the_answers_to_a_change_are_passed_on() {
    let staff = entitlement("group/staff");
    let revoke = crate::support::request(Verb::Revoke, "ben", Some("group/staff"));
    let faulty = Faulty::new("retry");
    let outcome = execute(faulty.connector.as_ref(), Verb::Revoke, &account("ben"), Some(&staff)).await;
    assert_eq!(outcome, Outcome::Retry { after_ms: Some(1500), why: "too many requests".to_owned() });
    // Whether it was done before the program died is not known, so this is no answer.
    let faulty = Faulty::new("dies at a change");
    let message = faulty.connector.execute(&revoke).await.unwrap_err().to_string();
    assert!(message.contains("ended before it had answered (exit status: 9)"), "{message}");
}
