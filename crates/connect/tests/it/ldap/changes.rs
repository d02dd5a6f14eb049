//! Changes, checked with `ldapsearch` and `ldapwhoami`: made once, harmless twice, and nothing else touched.

use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, Outcome, ReadBack, ReadTarget};
use leasehold_testing::openldap::OpenLdapOptions;
use leasehold_testing::{OpenLdapServer, openldap};

use super::{connector, connector_with, dn, group, group_dn, group_of, person, target};
use crate::harness::{
    acknowledged, entitlement, enumerate_all, execute, read_account, read_grant, read_sessions, refused,
};

#[tokio::test]
async fn members_of_every_sort_of_group_come_and_go() {
    let server = OpenLdapServer::start();
    for login in ["alice", "bob"] {
        server.add(&person(login, ""));
    }
    server.add(&group_of("names", "groupOfNames", "member", &[&dn("bob")]));
    server.add(&group_of("unique", "groupOfUniqueNames", "uniqueMember", &[&dn("bob")]));
    server.add(&group_of("hosts", "posixGroup", "gidNumber", &["500"]));
    server.modify(
        "dn: cn=hosts,ou=groups,dc=example,dc=com\nchangetype: modify\nadd: memberUid\nmemberUid: bob\n\n",
    );
    let connector = connector(&server);
    let facts = enumerate_all(&*connector).await;
    let alice = target(&facts, "alice");
    for (name, attribute, value) in [
        ("names", "member", dn("alice")),
        ("unique", "uniqueMember", dn("alice")),
        ("hosts", "memberUid", "alice".into()),
    ] {
        let members = || {
            let mut members = server.values(openldap::BASE, &format!("(cn={name})"), attribute);
            members.sort();
            members
        };
        let before = members();
        // By its name alone, as a policy says it, and by its key, as an enumeration saw it.
        for held in [entitlement(&format!("group/{name}")), group(&facts, &format!("group/{name}"))] {
            assert_eq!(read_grant(&*connector, &alice, &held).await, (false, false));
            acknowledged(&*connector, Verb::Grant, &alice, Some(&held)).await;
            assert!(members().contains(&value), "{name}: {:?}", members());
            assert_eq!(execute(&*connector, Verb::Grant, &alice, Some(&held)).await, Outcome::AlreadySo);
            assert_eq!(read_grant(&*connector, &alice, &held).await, (true, true));
            acknowledged(&*connector, Verb::Revoke, &alice, Some(&held)).await;
            assert_eq!(members(), before, "{name}");
            assert_eq!(read_grant(&*connector, &alice, &held).await, (false, false));
            assert_eq!(execute(&*connector, Verb::Revoke, &alice, Some(&held)).await, Outcome::AlreadySo);
        }
    }
}

#[tokio::test]
async fn nested_groups_and_circles_are_read_back_on_every_path() {
    let server = OpenLdapServer::start();
    server.add(&person("alice", ""));
    server.add(&person("bob", ""));
    server.add(&group_of("inner", "groupOfNames", "member", &[&dn("alice"), &dn("bob")]));
    server.add(&group_of("middle", "groupOfNames", "member", &[&group_dn("inner"), &dn("alice")]));
    server.add(&group_of("outer", "groupOfNames", "member", &[&group_dn("middle")]));
    // A circle: outer is a member of inner.
    server.modify("dn: cn=inner,ou=groups,dc=example,dc=com\nchangetype: modify\nadd: member\nmember: cn=outer,ou=groups,dc=example,dc=com\n\n");
    server.add(&group_of("aside", "groupOfNames", "member", &[&dn("bob")]));
    let connector = connector(&server);
    let facts = enumerate_all(&*connector).await;
    for (inner, outer) in [("inner", "middle"), ("middle", "outer"), ("outer", "inner")] {
        assert!(
            facts.contains(&format!("group/{inner}"), &format!("group/{outer}")),
            "{inner} gives {outer}"
        );
    }
    let alice = target(&facts, "alice");
    let (inner, middle, outer) =
        (entitlement("group/inner"), entitlement("group/middle"), entitlement("group/outer"));
    for (held, expected) in [
        (&inner, (true, true)),
        (&middle, (true, true)),
        (&outer, (false, true)),
        (&entitlement("group/aside"), (false, false)),
    ] {
        assert_eq!(read_grant(&*connector, &alice, held).await, expected, "{}", held.name);
    }
    acknowledged(&*connector, Verb::Revoke, &alice, Some(&inner)).await;
    assert_eq!(read_grant(&*connector, &alice, &inner).await, (false, true), "the circle still carries it");
    acknowledged(&*connector, Verb::Revoke, &alice, Some(&middle)).await;
    for held in [&inner, &middle, &outer] {
        assert_eq!(read_grant(&*connector, &alice, held).await, (false, false), "{}", held.name);
    }
    assert_eq!(read_grant(&*connector, &target(&facts, "bob"), &outer).await, (false, true), "bob keeps his");
}

#[tokio::test]
async fn the_last_member_stays_or_is_replaced() {
    let server = OpenLdapServer::start();
    server.add(&person("alice", ""));
    server.add(&group_of("names", "groupOfNames", "member", &[&dn("alice")]));
    server.add(&group_of("unique", "groupOfUniqueNames", "uniqueMember", &[&dn("alice")]));
    let plain = connector(&server);
    let facts = enumerate_all(&*plain).await;
    let alice = target(&facts, "alice");
    let placeholder = connector_with(&server, "placeholder_member = 'cn=nobody,dc=example,dc=com'");
    for (name, attribute) in [("names", "member"), ("unique", "uniqueMember")] {
        let held = entitlement(&format!("group/{name}"));
        let why = refused(&*plain, Verb::Revoke, &alice, Some(&held)).await;
        assert!(why.contains("last member") && why.contains("placeholder_member"), "{why}");
        assert_eq!(server.values(openldap::BASE, &format!("(cn={name})"), attribute), [dn("alice")]);
        acknowledged(&*placeholder, Verb::Revoke, &alice, Some(&held)).await;
        assert_eq!(
            server.values(openldap::BASE, &format!("(cn={name})"), attribute),
            ["cn=nobody,dc=example,dc=com"]
        );
        assert_eq!(read_grant(&*placeholder, &alice, &held).await, (false, false));
    }
    assert_eq!(enumerate_all(&*placeholder).await.problems, []);
}

#[tokio::test]
async fn a_disabled_account_cannot_log_in() {
    let server = OpenLdapServer::start();
    server.add(&person("alice", ""));
    server.add(&person("ended", "pwdEndTime: 20200101000000Z\n"));
    server.add(&person("bob", ""));
    let connector = connector(&server);
    let facts = enumerate_all(&*connector).await;
    let alice = target(&facts, "alice");
    assert!(server.can_bind(&dn("alice"), "alicepw"));
    assert_eq!(read_account(&*connector, &alice).await, (true, true));
    assert_eq!(read_account(&*connector, &target(&facts, "ended")).await, (true, false));
    assert!(!server.can_bind(&dn("ended"), "endedpw"), "the directory refuses it too");

    acknowledged(&*connector, Verb::DisableAccount, &alice, None).await;
    assert!(!server.can_bind(&dn("alice"), "alicepw"));
    assert_eq!(read_account(&*connector, &alice).await, (true, false));
    assert_eq!(server.values(openldap::BASE, "(uid=alice)", "pwdAccountLockedTime"), ["000001010000Z"]);
    assert_eq!(execute(&*connector, Verb::DisableAccount, &alice, None).await, Outcome::AlreadySo);
    assert!(server.can_bind(&dn("bob"), "bobpw"), "bob was not asked about");
    assert!(!enumerate_all(&*connector).await.accounts["alice"].enabled);
}

#[tokio::test]
async fn without_a_password_policy_an_account_cannot_be_disabled() {
    let server = OpenLdapServer::start_with(OpenLdapOptions { password_policy: false, ..Default::default() });
    server.add(&person("alice", ""));
    let connector = connector(&server);
    let facts = enumerate_all(&*connector).await;
    let why = refused(&*connector, Verb::DisableAccount, &target(&facts, "alice"), None).await;
    assert!(why.contains("password policy overlay"), "{why}");
    assert!(server.can_bind(&dn("alice"), "alicepw"));
    let missing = connector.test().await.unwrap().missing_rights;
    assert!(missing.iter().any(|right| right.contains("password policy")), "{missing:?}");
}

#[tokio::test]
async fn a_lock_that_the_policy_does_not_heed_is_not_taken_for_one() {
    let server = OpenLdapServer::start();
    server.add(&person("alice", ""));
    server.add(&person("bob", "pwdAccountLockedTime: 000001010000Z\n"));
    let policy = "dn: cn=default,ou=policies,dc=example,dc=com\nchangetype: modify\nreplace: pwdLockout\npwdLockout: FALSE\n\n";
    server.modify(policy);
    let connector = connector(&server);
    let facts = enumerate_all(&*connector).await;
    assert!(server.can_bind(&dn("bob"), "bobpw"), "slapd does not heed the lock");
    assert!(facts.accounts["bob"].enabled, "so bob is not disabled");
    for login in ["alice", "bob"] {
        let account = target(&facts, login);
        assert_eq!(read_account(&*connector, &account).await, (true, true), "{login}");
        acknowledged(&*connector, Verb::DisableAccount, &account, None).await;
        assert!(!server.can_bind(&dn(login), &format!("{login}pw")), "{login}");
        assert_eq!(read_account(&*connector, &account).await, (true, false), "{login}");
        assert_eq!(execute(&*connector, Verb::DisableAccount, &account, None).await, Outcome::AlreadySo);
    }

    server.add(&person("carol", ""));
    server.modify("dn: cn=default,ou=policies,dc=example,dc=com\nchangetype: delete\n\n");
    assert!(server.can_bind(&dn("alice"), "alicepw"), "without a policy even the end is not heeded");
    let facts = enumerate_all(&*connector).await;
    assert!(facts.accounts["alice"].enabled && facts.accounts["alice"].expires_at.is_none());
    let why = refused(&*connector, Verb::DisableAccount, &target(&facts, "carol"), None).await;
    assert!(why.contains("no password policy"), "{why}");
    let missing = connector.test().await.unwrap().missing_rights;
    assert!(missing.iter().any(|right| right.contains("pwdPolicy")), "{missing:?}");
}

#[tokio::test]
async fn live_connections_are_listed_and_outlive_everything() {
    let server = OpenLdapServer::start();
    server.add(&person("alice", ""));
    let connector = connector(&server);
    let facts = enumerate_all(&*connector).await;
    let alice = target(&facts, "alice");
    assert_eq!(read_sessions(&*connector, &alice).await, []);
    let (connection, mut live) = ldap3::LdapConnAsync::new(&server.url()).await.unwrap();
    tokio::spawn(connection.drive());
    live.simple_bind(&dn("alice"), "alicepw").await.unwrap().success().unwrap();

    let sessions = read_sessions(&*connector, &alice).await;
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert!(sessions[0].started_at.is_some() && sessions[0].detail.contains("127.0.0.1"), "{sessions:?}");
    let why = refused(&*connector, Verb::EndSessions, &alice, None).await;
    assert!(why.contains("cannot end a bound connection"), "{why}");
    acknowledged(&*connector, Verb::DisableAccount, &alice, None).await;
    assert_eq!(read_sessions(&*connector, &alice).await.len(), 1, "the lock did not end the connection");
    live.unbind().await.unwrap();

    let monitor_blind = crate::harness::build(
        "ldap",
        &format!(
            "url = '{}'\nbase_dn = '{}'\nbind_dn = '{}'\npassword = 'file:{}'",
            server.url(),
            openldap::BASE,
            openldap::LIMITED,
            server.password_file().display()
        ),
    );
    let read = monitor_blind.read_back(&ReadTarget::Sessions { account: alice }).await.unwrap();
    assert!(matches!(read, ReadBack::Unsupported { .. }), "unreadable is not none: {read:?}");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_a_way_on() {
    let server = OpenLdapServer::start();
    server.add(&person("alice", ""));
    server.add(&format!("dn: uid=dora,ou=people,{}\nobjectClass: inetOrgPerson\nobjectClass: posixAccount\nuid: dora\ncn: dora\nsn: d\nuidNumber: 1\ngidNumber: 500\nhomeDirectory: /\n\n", openldap::BASE));
    server.add(&group_of("hosts", "posixGroup", "gidNumber", &["500"]));
    server.add(&format!("dn: ou=more,{}\nobjectClass: organizationalUnit\nou: more\n\n", openldap::BASE));
    server.add(&group_of("twice", "groupOfNames", "member", &[&dn("alice")]));
    server.add("dn: cn=twice,ou=more,dc=example,dc=com\nobjectClass: groupOfNames\ncn: twice\nmember: uid=dora,ou=people,dc=example,dc=com\n\n");
    let connector = connector(&server);
    let facts = enumerate_all(&*connector).await;
    let nobody = AccountTarget { key: "00000000-0000-0000-0000-000000000000".into(), login: "nobody".into() };
    let (alice, dora, leasehold) =
        (target(&facts, "alice"), target(&facts, "dora"), target(&facts, "leasehold"));
    let cases = [
        (Verb::Grant, &alice, Some("group/nothing"), "there is no group/nothing"),
        (Verb::Grant, &nobody, Some("group/hosts"), "there is no account"),
        (Verb::Revoke, &dora, Some("group/hosts"), "is the primary group"),
        (Verb::Revoke, &alice, Some("group/twice"), "name one by its DN"),
        (Verb::Grant, &alice, Some("role/admin"), "not a kind of entitlement"),
        (Verb::DisableAccount, &leasehold, None, "the connector itself uses"),
    ];
    for (verb, account, name, expected) in cases {
        let held = name.map(entitlement);
        let why = refused(&*connector, verb, account, held.as_ref()).await;
        assert!(why.contains(expected), "{verb} {name:?}: {why}");
    }
    // What is gone and what is hidden look alike, so neither is taken for "not held".
    for (account, name) in [(&alice, "group/nothing"), (&nobody, "group/hosts"), (&alice, "group/*")] {
        let held = entitlement(name);
        let why = refused(&*connector, Verb::Revoke, account, Some(&held)).await;
        assert!(why.contains("it was deleted, or it may not be read"), "{name}: {why}");
        let target = ReadTarget::Grant { account: account.clone(), entitlement: held };
        let error = connector.read_back(&target).await.unwrap_err().to_string();
        assert!(error.contains("it was deleted, or it may not be read"), "{name}: {error}");
    }
    let error = connector.read_back(&ReadTarget::Account { account: nobody }).await.unwrap_err().to_string();
    assert!(error.contains("the account nobody") && error.contains("leasehold sync"), "{error}");
    let by_dn = entitlement("group/cn=twice,ou=groups,dc=example,dc=com");
    assert_eq!(read_grant(&*connector, &alice, &by_dn).await, (true, true));
    assert_eq!(connector.test().await.unwrap().acting_as.as_deref(), Some("leasehold"));
}

#[tokio::test]
async fn a_renamed_account_is_still_the_same() {
    let server = OpenLdapServer::start();
    server.add(&person("alice", ""));
    server.add(&group_of("names", "groupOfNames", "member", &[&dn("alice"), "cn=other,dc=example,dc=com"]));
    let connector = connector(&server);
    let facts = enumerate_all(&*connector).await;
    let alice = target(&facts, "alice");
    server
        .modify(&format!("dn: {}\nchangetype: modrdn\nnewrdn: uid=alice2\ndeleteoldrdn: 1\n\n", dn("alice")));
    assert_eq!(read_account(&*connector, &alice).await, (true, true));
    acknowledged(&*connector, Verb::Revoke, &alice, Some(&entitlement("group/names"))).await;
    assert_eq!(server.values(openldap::BASE, "(cn=names)", "member"), ["cn=other,dc=example,dc=com"]);
}
