//! What is told of a server, compared with what its own client says.

use std::collections::BTreeSet;

use leasehold_model::account::PostureFinding;
use leasehold_model::request::{ReadBack, ReadTarget};
use leasehold_testing::MariadbServer;

use super::{COMPANY, account, complete, connector};
use crate::harness::entitlement;

#[tokio::test]
async fn everything_in_the_grant_tables_is_told() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    let facts = complete(connector(&server).as_ref()).await;
    let grants: BTreeSet<String> =
        facts.grants.iter().map(|grant| format!("{} {}", grant.account, grant.entitlement)).collect();
    for expected in [
        "alice@127.0.0.1 role/team",
        "alice@127.0.0.1 role/PUBLIC",
        "alice@127.0.0.1 privilege/INSERT on app.*",
        "alice@127.0.0.1 privilege/DELETE on app.*",
        "carol@% privilege/UPDATE (note) on app.orders",
        "carol@% privilege/EXECUTE on procedure app.p",
        "carol@% privilege/EXECUTE on function app.f",
        "carol@% privilege/ALTER ROUTINE on function app.f",
        "carol@% privilege/SELECT on `od``d.b`.`t (x)`",
        "carol@% privilege/INSERT (`c ``d`) on `od``d.b`.`t (x)`",
        "carol@% privilege/SELECT on `app\\_x`.*",
        "carol@% privilege/GRANT OPTION on `app\\_x`.*",
        "carol@% role/odd ' role",
        "carol@% privilege/SUPER on *.*",
        "carol@% privilege/CREATE USER on *.*",
        "carol@% proxy/alice@127.0.0.1",
        "nopw@% privilege/SLAVE MONITOR on *.*",
    ] {
        assert!(grants.contains(expected), "{expected} is not among {grants:#?}");
    }
    assert!(!grants.iter().any(|grant| grant.starts_with("alice@10.%") && !grant.ends_with("PUBLIC")));
    for (parent, child) in [
        ("role/team", "role/base"),
        ("role/base", "privilege/SELECT on app.orders"),
        ("role/team", "privilege/PROCESS on *.*"),
        ("role/PUBLIC", "privilege/SELECT on app.*"),
    ] {
        assert!(facts.containments.contains(&(parent.to_owned(), child.to_owned())), "{parent} {child}");
    }
    let account = |key: &str| facts.accounts.get(key).unwrap_or_else(|| panic!("{key}"));
    assert!(!account("bob@%").enabled && account("carol@%").enabled);
    assert!(account("o'br@ien@%").login == "o'br@ien");
    assert!(account("nopw@%").posture.contains(&PostureFinding::PasswordNotRequired));
    assert!(account("carol@%").posture.contains(&PostureFinding::Superuser));
    assert!(account("carol@%").credential_changed_at.is_some());
    assert!(facts.entitlements["role/PUBLIC"].inherent && !facts.entitlements["role/team"].inherent);
    assert!(facts.entitlements["privilege/SUPER on *.*"].privileged);
}

/// Each privilege that the server knows is granted by its own client and read under its name.
#[tokio::test]
async fn every_privilege_has_its_name() {
    let server = MariadbServer::start();
    server.sql("create user all_of_them@'%' identified by 'x'; grant all on *.* to all_of_them@'%' with grant option;");
    let told: BTreeSet<String> = complete(connector(&server).as_ref())
        .await
        .grants
        .iter()
        .filter(|grant| grant.account.as_str() == "all_of_them@%")
        .filter_map(|grant| grant.entitlement.name.strip_suffix(" on *.*").map(str::to_owned))
        .collect();
    let listed = server.sql(
        "select privilege_type from information_schema.user_privileges where grantee = \"'all_of_them'@'%'\"",
    );
    let mut listed: BTreeSet<String> =
        listed.lines().map(|line| line.replace("DELETE VERSIONING ROWS", "DELETE HISTORY")).collect();
    listed.insert("GRANT OPTION".to_owned());
    assert_eq!(told, listed);
}

#[tokio::test]
async fn what_is_carried_is_effective_and_not_direct() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    let connector = connector(&server);
    for (key, name, direct, effective) in [
        ("alice@127.0.0.1", "role/team", true, true),
        ("alice@127.0.0.1", "role/base", false, true),
        ("alice@127.0.0.1", "privilege/SELECT on app.orders", false, true),
        ("alice@10.%", "role/team", false, false),
        ("alice@10.%", "privilege/SELECT on app.*", false, true),
        // What is held on something wider.
        ("nopw@%", "privilege/SELECT on app.orders", false, true),
        ("alice@127.0.0.1", "privilege/DELETE on app.orders", false, true),
        ("alice@127.0.0.1", "privilege/INSERT (note) on app.orders", false, true),
        ("alice@127.0.0.1", "privilege/DELETE on `od``d.b`.`t (x)`", false, false),
        ("carol@%", "privilege/SELECT on app_x.t", false, true),
        ("carol@%", "privilege/SELECT on appyx.t", false, false),
        ("carol@%", "privilege/INSERT on `od``d.b`.`t (x)`", false, false),
        ("nobody@%", "role/team", false, false),
        ("carol@%", "role/nothing", false, false),
    ] {
        let target = ReadTarget::Grant { account: account(key), entitlement: entitlement(name) };
        let read = connector.read_back(&target).await.expect("reads");
        assert_eq!(read, ReadBack::Grant { direct, effective: Some(effective) }, "{key} {name}");
    }
}
