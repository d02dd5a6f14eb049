//! The rights that the manual names are enough, what is missing of them is told, and locks count where they are heeded.

use leasehold_connect::connector::Connector;
use leasehold_model::plan::Verb;
use leasehold_model::request::{Outcome, ReadTarget};
use leasehold_testing::openldap::OpenLdapOptions;
use leasehold_testing::{OpenLdapServer, openldap};

use super::{connector, connector_with, dn, group, group_of, person, service, target};
use crate::harness::{acknowledged, build, enumerate_all, execute, read_account, read_grant, refused};

/// `documented` has the rights of `docs/operating.md`; `lock-only` has no right to write an end.
const ACCESS: &str = r#"
access to dn.subtree="ou=groups,dc=example,dc=com" attrs=member,uniqueMember,memberUid
  by dn.exact="cn=documented,dc=example,dc=com" write by * break
access to dn.subtree="ou=people,dc=example,dc=com" attrs=pwdAccountLockedTime
  by dn.exact="cn=lock-only,dc=example,dc=com" write by * break
access to dn.subtree="ou=people,dc=example,dc=com" attrs=pwdAccountLockedTime,pwdEndTime
  by dn.exact="cn=documented,dc=example,dc=com" write by * break
access to attrs=pwdPolicySubentry by dn.exact="cn=no-policy,dc=example,dc=com" none by * break
"#;

const LAX: &str = "dn: cn=lax,ou=policies,dc=example,dc=com\nobjectClass: device\nobjectClass: pwdPolicy\ncn: lax\n\
    pwdAttribute: userPassword\npwdLockout: FALSE\n\n";
const DEFAULT: &str = "password_policy = 'cn=default,ou=policies,dc=example,dc=com'";

fn people_of(server: &OpenLdapServer, login: &str, more: &str) -> Box<dyn Connector> {
    build(
        "ldap",
        &format!(
            "url = '{}'\nbase_dn = '{}'\nbind_dn = 'cn={login},{}'\npassword = 'file:{}'\n\
             people_filter = '(objectClass=inetOrgPerson)'\n{more}",
            server.url(),
            openldap::BASE,
            openldap::BASE,
            server.password_file().display()
        ),
    )
}

fn start() -> OpenLdapServer {
    let server = OpenLdapServer::start_with(OpenLdapOptions { access: ACCESS, ..Default::default() });
    for login in ["documented", "lock-only", "no-policy"] {
        server.add(&service(login));
    }
    for login in ["alice", "bob", "carol"] {
        server.add(&person(login, ""));
    }
    server.add(&group_of("names", "groupOfNames", "member", &[&dn("alice"), &dn("bob")]));
    server.add(&group_of("hosts", "posixGroup", "gidNumber", &["500"]));
    server
}

#[tokio::test]
async fn missing_rights_to_write_are_told_and_nothing_is_changed_to_find_out() {
    let server = start();
    server.add(LAX);
    let state =
        || server.values(openldap::BASE, "(|(objectClass=inetOrgPerson)(cn=names)(cn=hosts))", "entryCSN");
    let before = state();
    let missing = |connector: Box<dyn Connector>| async move {
        let missing = connector.test().await.unwrap().missing_rights;
        missing.into_iter().filter(|right| right.starts_with("writing")).collect::<Vec<_>>()
    };
    assert_eq!(missing(people_of(&server, "documented", "")).await, Vec::<String>::new());
    assert_eq!(missing(people_of(&server, "documented", DEFAULT)).await, Vec::<String>::new());

    let rights = missing(people_of(&server, "lock-only", "")).await;
    let [accounts, groups] = &rights[..] else { panic!("{rights:?}") };
    assert!(accounts.contains("pwdEndTime of uid=") && accounts.contains("3 of 6 tries"), "{accounts}");
    assert!(!accounts.contains("pwdAccountLockedTime"), "{accounts}");
    assert!(groups.contains("member of cn=names") && groups.contains("memberUid of cn=hosts"), "{groups}");
    assert!(groups.contains("2 of 2 tries") && groups.contains("insufficient"), "{groups}");
    // With the default policy named, a lock is enough.
    let rights = missing(people_of(&server, "lock-only", DEFAULT)).await;
    assert!(rights.len() == 1 && !rights[0].contains("pwdEndTime"), "{rights:?}");
    assert_eq!(state(), before, "finding out changed something");

    let told = people_of(&server, "documented", "").test().await.unwrap().missing_rights;
    assert!(told.iter().any(|right| right.contains("does not name the default one")), "{told:?}");
}

#[tokio::test]
async fn the_documented_rights_are_enough_whatever_the_policies_say() {
    let server = start();
    server.add(LAX);
    let facts = enumerate_all(&*connector(&server)).await;
    let (alice, bob) = (target(&facts, "alice"), target(&facts, "bob"));
    let why = refused(&*people_of(&server, "lock-only", ""), Verb::DisableAccount, &alice, None).await;
    for expected in ["rc=50", "pwdAccountLockedTime and pwdEndTime of uid=alice", "`password_policy`"] {
        assert!(why.contains(expected), "{why}");
    }
    assert!(server.can_bind(&dn("alice"), "alicepw"), "nothing was changed");

    let documented = people_of(&server, "documented", "");
    acknowledged(&*documented, Verb::DisableAccount, &alice, None).await;
    assert_eq!(read_account(&*documented, &alice).await, (true, false));
    assert!(!server.can_bind(&dn("alice"), "alicepw"));
    let names = group(&facts, "group/names");
    acknowledged(&*documented, Verb::Revoke, &alice, Some(&names)).await;
    assert_eq!(read_grant(&*documented, &alice, &names).await, (false, false));
    assert_eq!(server.values(openldap::BASE, "(cn=names)", "member"), [dn("bob")]);

    let lock_only = people_of(&server, "lock-only", DEFAULT);
    acknowledged(&*lock_only, Verb::DisableAccount, &bob, None).await;
    assert_eq!(read_account(&*lock_only, &bob).await, (true, false));
    assert!(!server.can_bind(&dn("bob"), "bobpw"));
}

#[tokio::test]
async fn an_administrators_lock_counts_exactly_where_the_server_heeds_it() {
    let server = start();
    for login in ["alice", "bob", "carol"] {
        server.modify(&format!(
            "dn: {}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n\n",
            dn(login)
        ));
    }
    let facts = enumerate_all(&*connector(&server)).await;
    let account = |login: &str| target(&facts, login);
    // One policy, or several that agree: every lock is heeded.
    server.add(&LAX.replace("FALSE", "TRUE"));
    assert!(!server.can_bind(&dn("alice"), "alicepw"));
    assert_eq!(read_account(&*connector(&server), &account("alice")).await, (true, false));
    assert_eq!(
        execute(&*connector(&server), Verb::DisableAccount, &account("alice"), None).await,
        Outcome::AlreadySo
    );

    server.add(&LAX.replace("lax", "other").replace("FALSE", "TRUE"));
    // They disagree: it depends on which is the account's own, or else the default one.
    server.modify("dn: cn=lax,ou=policies,dc=example,dc=com\nchangetype: modify\nreplace: pwdLockout\npwdLockout: FALSE\n\n");
    for (login, policy) in [("bob", "lax"), ("carol", "other")] {
        server.modify(&format!(
            "dn: {}\nchangetype: modify\nadd: pwdPolicySubentry\npwdPolicySubentry: cn={policy},ou=policies,{}\n\n",
            dn(login),
            openldap::BASE
        ));
    }
    let named = connector_with(&server, DEFAULT);
    for (login, connector, enabled) in [
        ("alice", &named, false),
        ("bob", &connector(&server), true),
        ("bob", &named, true),
        ("carol", &connector(&server), false),
        ("carol", &named, false),
    ] {
        assert_eq!(server.can_bind(&dn(login), &format!("{login}pw")), enabled, "{login}");
        assert_eq!(read_account(&**connector, &account(login)).await, (true, enabled), "{login}");
    }
    assert_eq!(
        read_account(&*connector(&server), &account("alice")).await,
        (true, true),
        "which policy is the default is not known, so this lock may count for nothing"
    );

    // Who may not see which policy is the account's own does not know whether the lock counts.
    let blind = people_of(&server, "no-policy", DEFAULT);
    let error =
        blind.read_back(&ReadTarget::Account { account: account("bob") }).await.unwrap_err().to_string();
    assert!(error.contains("pwdPolicySubentry"), "{error}");
}
