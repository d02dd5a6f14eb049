//! Accounts that come, go, stop and come back, checked with the directory's own client.

use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, ActionRequest, Outcome, ReadTarget};
use leasehold_testing::openldap::OpenLdapOptions;
use leasehold_testing::{OpenLdapServer, openldap};

use super::{connector, connector_with, dn, group_of, person, target};
use crate::harness::{
    acknowledged, entitlement, enumerate_all, execute, read_account, read_grant, refused, try_build,
};

const NEW: &str = "new_account_base = 'ou=people,dc=example,dc=com'";

fn create(login: &str, attributes: &[(&str, &str)]) -> ActionRequest {
    ActionRequest {
        id: "test".into(),
        verb: Verb::CreateAccount,
        account: AccountTarget::by_login(login),
        entitlement: None,
        credential: None,
        to: None,
        attributes: attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

#[tokio::test]
async fn what_disabling_sets_is_what_enabling_takes_away() {
    let server = OpenLdapServer::start();
    let end = "pwdEndTime: 20990101000000Z\n";
    for (login, more) in [("alice", ""), ("bob", end), ("ended", "pwdEndTime: 20200101000000Z\n")] {
        server.add(&person(login, more));
    }
    let connector = connector(&server);
    let facts = enumerate_all(&*connector).await;
    let times = |login: &str| {
        ["pwdAccountLockedTime", "pwdEndTime"]
            .map(|name| server.values(openldap::BASE, &format!("(uid={login})"), name).concat())
    };
    for heeds_lock in [true, false] {
        let policy = "dn: cn=default,ou=policies,dc=example,dc=com\nchangetype: modify\nreplace: pwdLockout\npwdLockout: ";
        server.modify(&format!("{policy}{}\n\n", if heeds_lock { "TRUE" } else { "FALSE" }));
        for login in ["alice", "bob"] {
            let account = target(&facts, login);
            let password = format!("{login}pw");
            assert_eq!(execute(&*connector, Verb::EnableAccount, &account, None).await, Outcome::AlreadySo);
            acknowledged(&*connector, Verb::DisableAccount, &account, None).await;
            assert!(!server.can_bind(&dn(login), &password), "{login} {heeds_lock}");
            acknowledged(&*connector, Verb::EnableAccount, &account, None).await;
            assert!(server.can_bind(&dn(login), &password), "{login} {heeds_lock}");
            assert_eq!(read_account(&*connector, &account).await, (true, true), "{login} {heeds_lock}");
            // An end that is to come is written over where the lock is not heeded, and only there.
            let kept = if login == "bob" && heeds_lock { "20990101000000Z" } else { "" };
            assert_eq!(times(login), ["", kept], "{login} {heeds_lock}");
        }
        // Somebody else's end is not undone.
        let ended = target(&facts, "ended");
        acknowledged(&*connector, Verb::DisableAccount, &ended, None).await;
        let why = refused(&*connector, Verb::EnableAccount, &ended, None).await;
        assert!(why.contains("pwdEndTime") && why.contains("not set by disabling"), "{why}");
        assert_eq!(times("ended"), ["000001010000Z", "20200101000000Z"]);
        server.modify(&format!("dn: {}\nchangetype: modify\ndelete: pwdAccountLockedTime\n\n", dn("ended")));
    }
}

#[tokio::test]
async fn a_new_entry_carries_who_it_is_and_lets_nobody_in() {
    let server = OpenLdapServer::start();
    server.add(&person("alice", ""));
    server.add(&group_of("names", "groupOfNames", "member", &[&dn("alice")]));
    let connector = connector_with(&server, NEW);
    let who = [
        ("email", "new@example.com"),
        ("employee_number", "77"),
        ("family_name", "Person"),
        ("hobby", "chess"),
    ];
    let made = connector.execute(&create("new", &who)).await.unwrap();
    assert!(matches!(made, Outcome::Acknowledged { .. }), "{made:?}");
    assert_eq!(connector.execute(&create("NEW", &who)).await.unwrap(), Outcome::AlreadySo);
    let value = |name: &str| server.values(openldap::BASE, "(uid=new)", name);
    for (name, expected) in [
        ("mail", "new@example.com"),
        ("employeeNumber", "77"),
        ("sn", "Person"),
        ("objectClass", "inetOrgPerson"),
    ] {
        assert_eq!(value(name), [expected], "{name}");
    }
    assert_eq!((value("dn"), value("userPassword")), (vec![dn("new")], vec![]));
    assert!(!server.can_bind(&dn("new"), "new"));

    let (account, names) = (AccountTarget::by_login("new"), entitlement("group/names"));
    assert_eq!(read_grant(&*connector, &account, &names).await, (false, false));
    acknowledged(&*connector, Verb::Grant, &account, Some(&names)).await;
    assert_eq!(read_grant(&*connector, &account, &names).await, (true, true));
    assert!(server.values(openldap::BASE, "(cn=names)", "member").contains(&dn("new")));
    let facts = enumerate_all(&*connector).await;
    assert_eq!(facts.held_by("new"), ["group/names"]);
    assert_eq!(facts.accounts["new"].attributes["employeeNumber"], "77");

    // Two entries of one login: which is meant would be a guess.
    server.add(&person("new", "").replace("uid=new,ou=people", "cn=other,ou=groups"));
    let why = refused(&*connector, Verb::DisableAccount, &account, None).await;
    assert!(why.contains("2 accounts have the login `new`"), "{why}");
}

#[tokio::test]
async fn what_cannot_be_made_is_refused_with_a_way_on() {
    let server = OpenLdapServer::start_with(OpenLdapOptions { access: HIDDEN, ..Default::default() });
    server.add(&person("ghost", "description: hidden\n"));
    for (settings, login, expected) in [
        ("", "new", "unless `new_account_base` names"),
        (NEW, "ghost", "exists, and is no account of this login that may be read"),
        ("new_account_base = 'ou=nowhere,dc=example,dc=com'", "new", "must name an entry that is there"),
        (&format!("{NEW}\nnew_account_classes = ['account']"), "new", "cn"),
    ] {
        let connector = connector_with(&server, settings);
        let claimed = connector.capabilities().create_account.supported;
        assert_eq!(claimed, !settings.is_empty());
        let outcome = connector.execute(&create(login, &[])).await.unwrap();
        let Outcome::Refused { why } = outcome else { panic!("{settings}: {outcome:?}") };
        assert!(why.contains(expected), "{settings}: {why}");
    }
    for (settings, expected) in [
        ("new_account_base = 'dc=elsewhere'", "is not below `base_dn`"),
        ("new_account_base = 'nonsense'", "is not a distinguished name"),
        ("new_account_classes = ['x']", "is missing"),
    ] {
        let table = format!("url = 'ldap://localhost'\nbase_dn = 'dc=example,dc=com'\n{settings}");
        let error = try_build("ldap", &table).err().expect(settings).to_string();
        assert!(error.contains("new_account_base") && error.contains(expected), "{error}");
    }
}

const HIDDEN: &str = r#"
access to filter=(description=hidden) by dn.exact="cn=leasehold,dc=example,dc=com" none by * break
"#;

#[tokio::test]
async fn a_deleted_account_is_proved_gone_and_one_that_is_hidden_is_not() {
    let server = OpenLdapServer::start_with(OpenLdapOptions { access: HIDDEN, ..Default::default() });
    for login in ["alice", "bob", "carol"] {
        server.add(&person(login, ""));
    }
    server.add(&format!("dn: cn=device,{}\nobjectClass: device\ncn: device\n\n", dn("bob")));
    let connector = connector(&server);
    let facts = enumerate_all(&*connector).await;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|login| target(&facts, login));

    let why = refused(&*connector, Verb::DeleteAccount, &bob, None).await;
    assert!(why.contains("has entries below it"), "{why}");
    assert_eq!(server.values(openldap::BASE, "(cn=device)", "cn"), ["device"]);

    acknowledged(&*connector, Verb::DeleteAccount, &alice, None).await;
    assert_eq!(read_account(&*connector, &alice).await, (false, false));
    assert_eq!(execute(&*connector, Verb::DeleteAccount, &alice, None).await, Outcome::AlreadySo);
    assert_eq!(server.values(openldap::BASE, "(uid=alice)", "uid"), Vec::<String>::new());

    // An entry of the same name that this log-in may not see could be the same one.
    server.add(&person("alice", "description: hidden\n"));
    let hidden =
        format!("dn: {}\nchangetype: modify\nadd: description\ndescription: hidden\n\n", dn("carol"));
    server.modify(&hidden);
    for account in [&alice, &carol] {
        let read = connector.read_back(&ReadTarget::Account { account: account.clone() }).await;
        assert!(read.unwrap_err().to_string().contains("may not be read"), "{account:?}");
        let why = refused(&*connector, Verb::DeleteAccount, account, None).await;
        assert!(why.contains("may not be read"), "{why}");
    }
    assert_eq!(
        server.values(openldap::BASE, "(uid=alice)", "description"),
        ["hidden"],
        "asking changed nothing"
    );
}
