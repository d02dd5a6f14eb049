//! What is told of a server, compared with what its own client says.

use std::collections::BTreeSet;

use jiff::Timestamp;
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

/// Each account says what it said would become of its password, compared with what the server does when somebody comes with it.
#[tokio::test]
async fn the_end_of_a_password_is_told_as_the_server_takes_it() {
    let server = MariadbServer::start();
    let day = 86_400;
    // The account, how its password ends, how old it is; the end that is told, from when it was set, and whether it is past.
    let never = Some("never".to_owned());
    let accounts = [
        ("young", "password expire interval 30 day", Some(29 * day), None, false),
        ("old", "password expire interval 30 day", Some(31 * day), None, true),
        ("exempt", "password expire never", Some(400 * day), never.clone(), false),
        ("usual", "password expire default", Some(99 * day), None, false),
        ("usual_old", "", Some(101 * day), None, true),
        ("ended", "password expire", None, None, true),
    ];
    for (login, how, age, ..) in &accounts {
        server.sql(&format!("create user {login} identified by '{login}pw' {how}"));
        if let Some(age) = age {
            server.sql(&format!(
                "update mysql.global_priv set Priv = json_set(Priv, '$.password_last_changed', unix_timestamp() - {age}) \
                 where User = '{login}'; flush privileges"
            ));
        }
    }
    server.sql("create user by_socket identified via unix_socket; alter user by_socket password expire");
    server
        .sql("alter user root@'127.0.0.1' password expire never; set global default_password_lifetime = 100");
    let facts = complete(connector(&server).as_ref()).await;
    for (login, _, _, told, expired) in &accounts {
        let account = &facts.accounts[&format!("{login}@%")];
        let attribute = |key: &str| account.attributes.get(key).cloned();
        assert_eq!(attribute("password_expired").is_some(), *expired, "{login}: {account:?}");
        let stopped = server.sql_as(login, &format!("{login}pw"), "select 1").is_err();
        assert_eq!(stopped, *expired, "{login}");
        // A password that has ended is no end of the account: whoever has it sets another one.
        assert!(account.enabled && account.expires_at.is_none(), "{login}: {account:?}");
        let days = server.sql(&format!(
            "select if(json_value(Priv, '$.password_lifetime') > 0, json_value(Priv, '$.password_lifetime'), 100) * {day} \
             + json_value(Priv, '$.password_last_changed') from mysql.global_priv where User = '{login}'"
        ));
        let at = (*login != "ended")
            .then(|| Timestamp::from_second(days.parse().expect("seconds")).expect("an instant").to_string());
        assert_eq!(attribute("password_expires"), told.clone().or(at), "{login}");
    }
    let exempt = |key: &str| facts.accounts[key].posture.contains(&PostureFinding::PasswordNeverExpires);
    assert!(exempt("exempt@%") && !exempt("usual@%"));
    let by_socket = &facts.accounts["by_socket@%"];
    assert!(!by_socket.attributes.keys().any(|key| key.starts_with("password_")), "{by_socket:?}");

    server.sql("set global default_password_lifetime = 0");
    let facts = complete(connector(&server).as_ref()).await;
    let usual = &facts.accounts["usual_old@%"];
    assert_eq!(usual.attributes["password_expires"], "never");
    assert!(!usual.attributes.contains_key("password_expired"));
    server.sql_as("usual_old", "usual_oldpw", "select 1").expect("its password has no end any more");
}
