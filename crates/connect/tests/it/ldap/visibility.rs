//! What a log-in may not see is never read as gone: groups, members, accounts and inner groups behind access rules.

use leasehold_connect::connector::Connector;
use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, EntitlementTarget, ReadTarget};
use leasehold_testing::openldap::OpenLdapOptions;
use leasehold_testing::{OpenLdapServer, openldap};

use super::{connector, connector_as, dn, group, group_dn, group_of, person, service, target};
use crate::harness::{acknowledged, entitlement, enumerate, enumerate_all, read_grant, refused};

const ACCESS: &str = r#"
access to dn.subtree="ou=groups,dc=example,dc=com" by dn.exact="cn=no-groups,dc=example,dc=com" none by * break
access to dn.subtree="ou=people,dc=example,dc=com" by dn.exact="cn=no-people,dc=example,dc=com" none by * break
access to dn.subtree="ou=groups,dc=example,dc=com" attrs=member,uniqueMember,memberUid
  by dn.exact="cn=no-members,dc=example,dc=com" none by dn.exact="cn=by-account,dc=example,dc=com" none by * break
access to attrs=memberOf by dn.exact="cn=no-members,dc=example,dc=com" none by * break
access to dn.exact="cn=inner,ou=groups,dc=example,dc=com" attrs=member
  by dn.exact="cn=no-inner,dc=example,dc=com" none by * break
access to dn.subtree="ou=groups,dc=example,dc=com" attrs=entry,cn,objectClass,entryUUID,member
  by dn.exact="cn=least,dc=example,dc=com" read by * break
access to dn.subtree="ou=groups,dc=example,dc=com" by dn.exact="cn=least,dc=example,dc=com" none by * break
"#;

const LOGINS: [&str; 6] = ["no-groups", "no-people", "no-members", "by-account", "no-inner", "least"];

async fn unseen(connector: &dyn Connector, target: ReadTarget) -> String {
    match connector.read_back(&target).await {
        Err(error) => error.to_string(),
        Ok(read) => panic!("{target:?} was read as {read:?}"),
    }
}

fn of(account: &AccountTarget, entitlement: &EntitlementTarget) -> ReadTarget {
    ReadTarget::Grant { account: account.clone(), entitlement: entitlement.clone() }
}

fn start() -> OpenLdapServer {
    let server = OpenLdapServer::start_with(OpenLdapOptions { access: ACCESS, ..Default::default() });
    for login in ["alice", "bob"] {
        server.add(&person(login, ""));
    }
    for login in LOGINS {
        server.add(&service(login));
    }
    server.add(&group_of("names", "groupOfNames", "member", &[&dn("alice"), &dn("bob")]));
    server.add(&group_of("unique", "groupOfUniqueNames", "uniqueMember", &[&dn("alice"), &dn("bob")]));
    server.add(&group_of("hosts", "posixGroup", "gidNumber", &["500"]));
    server.modify(
        "dn: cn=hosts,ou=groups,dc=example,dc=com\nchangetype: modify\nadd: memberUid\nmemberUid: alice\n\n",
    );
    server
}

#[tokio::test]
async fn a_hidden_group_or_list_of_members_is_never_read_as_not_held() {
    let server = start();
    let facts = enumerate_all(&*connector(&server)).await;
    let (alice, bob) = (target(&facts, "alice"), target(&facts, "bob"));
    for name in ["group/names", "group/unique", "group/hosts"] {
        for held in [entitlement(name), group(&facts, name)] {
            let no_groups = connector_as(&server, "no-groups");
            let why = unseen(&*no_groups, of(&alice, &held)).await;
            assert!(why.contains("sees no group") && why.contains("may not be read"), "{why}");
            let why = refused(&*no_groups, Verb::Revoke, &alice, Some(&held)).await;
            assert!(why.contains("sees no group"), "{why}");

            let no_members = connector_as(&server, "no-members");
            let why = unseen(&*no_members, of(&alice, &held)).await;
            assert!(why.contains("may not compare") && why.contains("insufficient"), "{why}");
            let why = refused(&*no_members, Verb::Revoke, &alice, Some(&held)).await;
            assert!(why.contains("cannot be known"), "{why}");
        }
    }
    // The account's own entry is a second witness, for what it says and not for what it does not say.
    let by_account = connector_as(&server, "by-account");
    assert_eq!(read_grant(&*by_account, &alice, &entitlement("group/names")).await, (false, true));
    unseen(&*by_account, of(&alice, &entitlement("group/hosts"))).await;

    let members = || server.values(openldap::BASE, "(cn=names)", "member");
    assert_eq!(members(), [dn("alice"), dn("bob")], "nothing was changed");

    // With no more than the attributes that count, "not held" can be said, and is true.
    let least = connector_as(&server, "least");
    let names = entitlement("group/names");
    assert_eq!(read_grant(&*least, &alice, &names).await, (true, true));
    acknowledged(&*connector(&server), Verb::Revoke, &alice, Some(&names)).await;
    assert_eq!(members(), [dn("bob")]);
    assert_eq!(read_grant(&*least, &alice, &names).await, (false, false));
    assert_eq!(read_grant(&*least, &bob, &names).await, (true, true));
}

#[tokio::test]
async fn a_hidden_account_is_never_read_as_gone() {
    let server = start();
    let facts = enumerate_all(&*connector(&server)).await;
    let alice = target(&facts, "alice");
    let no_people = connector_as(&server, "no-people");
    let why = unseen(&*no_people, ReadTarget::Account { account: alice.clone() }).await;
    assert!(why.contains("the account alice") && why.contains("may not be read"), "{why}");
    unseen(&*no_people, of(&alice, &entitlement("group/names"))).await;
    let why = refused(&*no_people, Verb::DisableAccount, &alice, None).await;
    assert!(why.contains("may not be read"), "{why}");
    assert!(server.can_bind(&dn("alice"), "alicepw"), "alice can still log in");
}

#[tokio::test]
async fn an_inner_group_that_hides_its_members_leaves_the_outer_one_open() {
    let server = start();
    server.add(&group_of("inner", "groupOfNames", "member", &[&dn("alice")]));
    server.add(&group_of("outer", "groupOfNames", "member", &[&group_dn("inner"), &dn("bob")]));
    let facts = enumerate_all(&*connector(&server)).await;
    let (alice, bob) = (target(&facts, "alice"), target(&facts, "bob"));
    let (outer, names) = (entitlement("group/outer"), entitlement("group/names"));
    assert_eq!(read_grant(&*connector(&server), &alice, &outer).await, (false, true));
    let no_inner = connector_as(&server, "no-inner");
    let why = unseen(&*no_inner, of(&alice, &outer)).await;
    assert!(why.contains("lead to") && why.contains("cn=inner"), "{why}");
    assert_eq!(read_grant(&*no_inner, &bob, &outer).await, (true, true));
    // The hidden one does not lead to this one, so it does not matter here.
    acknowledged(&*connector(&server), Verb::Revoke, &alice, Some(&names)).await;
    assert_eq!(read_grant(&*no_inner, &alice, &names).await, (false, false));
}

#[tokio::test]
async fn hidden_members_make_an_enumeration_partial() {
    let server = start();
    server.add(&group_of("empty", "posixGroup", "gidNumber", &["501"]));
    enumerate_all(&*connector(&server)).await;
    for login in ["no-members", "by-account"] {
        let (_, completeness) = enumerate(&*connector_as(&server, login)).await;
        let why = completeness.detail();
        assert!(!completeness.is_complete() && why.contains("may not be read"), "{login}: {completeness:?}");
        assert!(why.contains("cn=names") && why.contains("memberUid of 2 groups"), "{login}: {why}");
    }
}

#[tokio::test]
async fn a_group_that_only_its_members_name_makes_an_enumeration_partial() {
    let server = start();
    let (_, completeness) = enumerate(&*connector_as(&server, "no-groups")).await;
    let why = completeness.detail();
    assert!(!completeness.is_complete() && why.contains("by its own `memberOf`"), "{completeness:?}");
    // The server keeps `memberOf` for groupOfNames only.
    assert!(why.contains("cn=names"), "{why}");
}
