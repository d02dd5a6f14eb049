//! Passwords that are issued, checked with the directory's own client.

use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, ActionRequest, Outcome};
use leasehold_testing::openldap::OpenLdapOptions;
use leasehold_testing::{OpenLdapServer, openldap};

use super::{connector, connector_as, dn, person, service, target};
use crate::harness::{acknowledged, build, enumerate_all, execute, issue, issue_refused, read_account};

/// The rights of `docs/operating.md`, and two log-ins that have less.
const ACCESS: &str = r#"
access to filter=(description=hidden) by dn.exact="cn=documented,dc=example,dc=com" none by * break
access to attrs=userPassword
  by dn.exact="cn=documented,dc=example,dc=com" write by * break
access to dn.base="ou=people,dc=example,dc=com" attrs=children
  by dn.exact="cn=documented,dc=example,dc=com" write by * break
access to dn.children="ou=people,dc=example,dc=com" attrs=entry,@inetOrgPerson
  by dn.exact="cn=documented,dc=example,dc=com" write by * break
access to dn.subtree="ou=people,dc=example,dc=com" attrs=pwdAccountLockedTime,pwdEndTime
  by dn.exact="cn=documented,dc=example,dc=com" write by * break
"#;

#[tokio::test]
async fn an_issued_password_lets_in_and_the_documented_rights_are_enough() {
    let server = OpenLdapServer::start_with(OpenLdapOptions { access: ACCESS, ..Default::default() });
    server.add(&service("documented"));
    server.add(&person("alice", ""));
    let connector = build(
        "ldap",
        &format!(
            "url = '{}'\nbase_dn = '{}'\nbind_dn = 'cn=documented,{}'\npassword = 'file:{}'\n\
             new_account_base = 'ou=people,dc=example,dc=com'",
            server.url(),
            openldap::BASE,
            openldap::BASE,
            server.password_file().display()
        ),
    );
    let request = ActionRequest {
        id: "test".into(),
        verb: Verb::CreateAccount,
        account: AccountTarget::by_login("new"),
        entitlement: None,
        credential: None,
        to: None,
        attributes: [("email".to_owned(), "new@example.com".to_owned())].into(),
    };
    let made = connector.execute(&request).await.unwrap();
    assert!(matches!(made, Outcome::Acknowledged { .. }), "{made:?}");
    let (first, secret) = issue(&*connector, "new").await;
    assert!(server.can_bind(&dn("new"), &secret) && first.credential.is_none());
    assert!(first.instructions.contains(&dn("new")), "{}", first.instructions);
    let (_, second) = issue(&*connector, "NEW").await;
    assert!(server.can_bind(&dn("new"), &second));
    assert!(!server.can_bind(&dn("new"), &secret), "the second takes the place of the first");
    let kept = server.values(openldap::BASE, "(uid=new)", "userPassword");
    assert!(kept.len() == 1 && kept[0].starts_with("{SSHA}"), "the directory keeps a hash: {kept:?}");
    assert!(server.can_bind(&dn("alice"), "alicepw"));

    // The same rights let an account stop, come back and go.
    let account = target(&enumerate_all(&*connector).await, "new");
    acknowledged(&*connector, Verb::DisableAccount, &account, None).await;
    assert!(!server.can_bind(&dn("new"), &second));
    acknowledged(&*connector, Verb::EnableAccount, &account, None).await;
    assert!(server.can_bind(&dn("new"), &second));
    acknowledged(&*connector, Verb::DeleteAccount, &account, None).await;
    assert_eq!(read_account(&*connector, &account).await, (false, false));
    assert_eq!(execute(&*connector, Verb::DeleteAccount, &account, None).await, Outcome::AlreadySo);
}

#[tokio::test]
async fn who_is_kept_out_gets_no_password() {
    let server = OpenLdapServer::start_with(OpenLdapOptions { access: ACCESS, ..Default::default() });
    for login in ["documented", "reader"] {
        server.add(&service(login));
    }
    for (login, more) in [
        ("alice", ""),
        ("closed", ""),
        ("ended", "pwdEndTime: 20200101000000Z\n"),
        ("ghost", "description: hidden\n"),
    ] {
        server.add(&person(login, more));
    }
    let all = connector(&server);
    let closed = target(&enumerate_all(&*all).await, "closed");
    acknowledged(&*all, Verb::DisableAccount, &closed, None).await;
    let kept = || server.values(openldap::BASE, "(userPassword=*)", "userPassword");
    let before = kept();
    for (as_whom, login, expected) in [
        ("leasehold", "closed", "disabled"),
        ("leasehold", "ended", "end is past"),
        ("leasehold", "leasehold", "the connector itself uses"),
        ("leasehold", "nobody", "may not be read"),
        ("documented", "ghost", "may not be read"),
        ("reader", "alice", "must be able to write userPassword of uid=alice"),
    ] {
        let connector = connector_as(&server, as_whom);
        let why = issue_refused(&*connector, &AccountTarget::by_login(login)).await;
        assert!(why.contains(expected), "{as_whom} {login}: {why}");
    }
    assert_eq!(kept(), before);
    assert!(server.can_bind(&dn("alice"), "alicepw"));
}
