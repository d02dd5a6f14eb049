//! Accounts that are made, checked with the server's own client.

use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, Outcome};
use leasehold_testing::MariadbServer;

use super::{COMPANY, connector, connector_with};
use crate::harness::{acknowledged, entitlement, execute, read_account, read_grant, refused};

#[tokio::test]
async fn a_new_account_holds_nothing_and_lets_nobody_in() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    let connector = connector_with(&server, "new_account_host = '127.0.0.%'");
    let account = AccountTarget::by_login("new'x");
    assert_eq!(read_account(&*connector, &account).await, (false, false));
    acknowledged(&*connector, Verb::CreateAccount, &account, None).await;
    assert_eq!(execute(&*connector, Verb::CreateAccount, &account, None).await, Outcome::AlreadySo);
    assert_eq!(server.sql("select Host from mysql.global_priv where User = 'new''x'"), "127.0.0.%");
    let granted = "select count(*) from mysql.global_priv where User = 'new''x' and json_value(Priv, '$.access') <> '0'";
    assert_eq!(server.sql(granted), "0");
    for password in ["", "invalid", "new'x"] {
        server.sql_as("new'x", password, "select 1").unwrap_err();
    }
    let team = entitlement("role/team");
    acknowledged(&*connector, Verb::Grant, &account, Some(&team)).await;
    assert_eq!(read_grant(&*connector, &account, &team).await, (true, true));
    assert_eq!(server.sql("select Host from mysql.roles_mapping where User = 'new''x'"), "127.0.0.%");
    assert_eq!(read_account(&*connector, &account).await, (true, true));

    // One user from two hosts is two accounts, and which is meant would be a guess.
    let alice = AccountTarget::by_login("alice");
    for verb in [Verb::CreateAccount, Verb::DisableAccount, Verb::DeleteAccount, Verb::EndSessions] {
        let why = refused(&*connector, verb, &alice, None).await;
        assert!(why.contains("alice@10.%, alice@127.0.0.1"), "{verb}: {why}");
    }
}

#[tokio::test]
async fn a_new_account_does_not_inherit_what_was_left_to_its_name() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    let connector = connector(&server);
    server.sql("insert into mysql.db (Host, Db, User, Select_priv) values ('%', 'app', 'ghost', 'Y')");
    let why = refused(&*connector, Verb::CreateAccount, &AccountTarget::by_login("ghost"), None).await;
    assert!(why.contains("ghost@%") && why.contains("privilege/SELECT on app.*"), "{why}");
    for login in ["", &"x".repeat(129)] {
        let why = refused(&*connector, Verb::CreateAccount, &AccountTarget::by_login(login), None).await;
        assert!(why.contains("cannot be the name of a user"), "{why}");
    }
    assert_eq!(server.sql("select count(*) from mysql.global_priv where User = 'ghost'"), "0");
}
