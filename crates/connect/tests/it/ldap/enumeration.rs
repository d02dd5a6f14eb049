//! What is read, against what was put in with `ldapadd`.

use leasehold_model::account::LastUse;
use leasehold_model::identity::{IdentityKind, LifecycleState};
use leasehold_testing::{OpenLdapServer, openldap};

use super::{connector, connector_with, dn, group_dn, group_of, person};
use crate::harness::{build, enumerate, enumerate_all};

#[tokio::test]
async fn accounts_carry_their_switches() {
    let server = OpenLdapServer::start();
    for (login, more) in [
        ("alice", "employeeNumber: 1001\ndisplayName: Alice Älpli\npwdChangedTime: 20250101000000Z\n"),
        ("locked", "pwdAccountLockedTime: 000001010000Z\n"),
        ("tripped", "pwdAccountLockedTime: 20260101000000Z\n"),
        ("ended", "pwdEndTime: 20200101000000Z\n"),
    ] {
        server.add(&person(login, more));
    }
    server.add(&format!("dn: uid=posix,ou=people,{}\nobjectClass: account\nobjectClass: posixAccount\nuid: posix\ncn: posix\nuidNumber: 7\ngidNumber: 7\nhomeDirectory: /\n\n", openldap::BASE));
    assert!(server.can_bind(&dn("alice"), "alicepw"));
    let facts = enumerate_all(&*connector(&server)).await;

    let logins: Vec<&str> = facts.accounts.keys().map(String::as_str).collect();
    assert_eq!(logins, ["alice", "ended", "leasehold", "limited", "locked", "posix", "tripped"]);
    let alice = &facts.accounts["alice"];
    assert_eq!(alice.key.as_str(), server.values(openldap::BASE, "(uid=alice)", "entryUUID")[0]);
    for (name, value) in [
        ("dn", dn("alice").as_str()),
        ("mail", "alice@example.com"),
        ("employeeNumber", "1001"),
        ("display_name", "Alice Älpli"),
    ] {
        assert_eq!(alice.attributes.get(name).map(String::as_str), Some(value));
    }
    assert!(alice.enabled && !alice.locked && alice.kind.is_none());
    assert!(matches!(alice.last_use, LastUse::At(_)), "lastbind is on and alice has logged in");
    let changed_at = alice.credential_changed_at.map(|at| at.to_string());
    assert_eq!(changed_at.as_deref(), Some("2025-01-01T00:00:00Z"));
    assert_eq!(facts.accounts["locked"].last_use, LastUse::Unknown, "never seen is not never used");
    let states: Vec<(bool, bool)> = ["locked", "tripped", "ended"]
        .iter()
        .map(|login| (facts.accounts[*login].enabled, facts.accounts[*login].locked))
        .collect();
    assert_eq!(states, [(false, false), (true, true), (false, false)]);
    assert_eq!(
        facts.accounts["ended"].expires_at.map(|at| at.to_string()).as_deref(),
        Some("2020-01-01T00:00:00Z")
    );
    assert_eq!(facts.accounts["leasehold"].kind, Some(IdentityKind::Service));
    assert_eq!(facts.accounts["posix"].kind, None);
}

#[tokio::test]
async fn groups_of_every_sort_are_read_with_their_members() {
    let server = OpenLdapServer::start();
    for login in ["alice", "bob", "carol"] {
        server.add(&person(login, ""));
    }
    server.add(&format!("dn: uid=dora,ou=people,{}\nobjectClass: inetOrgPerson\nobjectClass: posixAccount\nuid: dora\ncn: dora\nsn: d\nuidNumber: 1\ngidNumber: 500\nhomeDirectory: /\n\n", openldap::BASE));
    let folded = "UID=Alice , OU=People,DC=Example,DC=com";
    server.add(&group_of("staff", "groupOfNames", "member", &[folded, &dn("bob"), &group_dn("staff")]));
    server.add(&group_of(
        "unique",
        "groupOfUniqueNames",
        "uniqueMember",
        &[&dn("carol"), "uid=gone,ou=people,dc=example,dc=com"],
    ));
    server.add(&group_of("hosts", "posixGroup", "gidNumber", &["500"]));
    server.modify("dn: cn=hosts,ou=groups,dc=example,dc=com\nchangetype: modify\nadd: memberUid\nmemberUid: alice\nmemberUid: dora\nmemberUid: nobody\n\n");
    server.add(&group_of("outer", "groupOfNames", "member", &[&group_dn("staff")]));
    server.add(&group_of("empty", "groupOfNames", "member", &[""]));
    server.add(&group_of("parked", "groupOfNames", "member", &["cn=nobody,dc=example,dc=com"]));
    let facts =
        enumerate_all(&*connector_with(&server, "placeholder_member = 'CN=Nobody, dc=example,dc=com'")).await;

    let groups: Vec<&str> = facts.entitlements.keys().map(String::as_str).collect();
    assert_eq!(
        groups,
        ["group/empty", "group/hosts", "group/outer", "group/parked", "group/staff", "group/unique"]
    );
    for (login, held) in [
        ("alice", &["group/hosts", "group/staff"][..]),
        ("bob", &["group/staff"]),
        ("carol", &["group/unique"]),
        ("dora", &["group/hosts"]),
    ] {
        assert_eq!(facts.held_by(login), held, "{login}");
    }
    assert_eq!(facts.options("dora", "group/hosts"), Some("primary group (gidNumber 500)"));
    let containments: Vec<_> = facts.containments.iter().cloned().collect();
    assert_eq!(
        containments,
        [("group/staff".to_owned(), "group/outer".to_owned())],
        "members of staff hold outer"
    );
    let places: Vec<(&str, bool)> = facts
        .problems
        .iter()
        .map(|problem| {
            (problem.place.as_str(), problem.message.contains("gone") || problem.message.contains("nobody"))
        })
        .collect();
    assert_eq!(places.len(), 2, "{:?}", facts.problems);
    assert!(
        places.contains(&(group_dn("unique").as_str(), true))
            && places.contains(&(group_dn("hosts").as_str(), true))
    );
}

#[tokio::test]
async fn groups_that_share_a_name_are_called_by_their_dn() {
    let server = OpenLdapServer::start();
    server.add(&person("alice", ""));
    server.add(&format!("dn: ou=more,{}\nobjectClass: organizationalUnit\nou: more\n\n", openldap::BASE));
    server.add(&group_of("staff", "groupOfNames", "member", &[&dn("alice")]));
    server.add("dn: cn=STAFF,ou=more,dc=example,dc=com\nobjectClass: groupOfNames\ncn: STAFF\nmember: uid=alice,ou=people,dc=example,dc=com\n\n");
    let facts = enumerate_all(&*connector(&server)).await;
    assert_eq!(
        facts.held_by("alice"),
        ["group/cn=STAFF,ou=more,dc=example,dc=com", "group/cn=staff,ou=groups,dc=example,dc=com"]
    );
    assert_eq!(facts.problems.len(), 2, "{:?}", facts.problems);
    assert!(facts.problems[0].message.contains("shares the name"));
}

#[tokio::test]
async fn names_with_every_special_character_are_one_account() {
    let server = OpenLdapServer::start();
    let names = [
        ("Ann, B.", "cn=Ann\\, B."),
        ("Jürgen (Süd)", "cn=Jürgen (Süd)"),
        ("back\\slash", "cn=back\\5cslash"),
        ("a*)(uid=*", "cn=a*)(uid=*"),
        ("#hash + plus", "cn=\\#hash \\+ plus"),
        ("\"quoted\" <x>; y=z", "cn=\\\"quoted\\\" \\<x\\>\\; y\\=z"),
    ];
    let mut members = Vec::new();
    for (name, relative) in names {
        let dn = format!("{relative},ou=people,dc=example,dc=com");
        let (dn64, cn64) = (encoded(&dn), encoded(name));
        server.add(&format!("dn:: {dn64}\nobjectClass: person\ncn:: {cn64}\nsn: x\n\n"));
        members.push(dn64);
    }
    let list: String = members.iter().map(|dn| format!("member:: {dn}\n")).collect();
    server.add(&format!(
        "dn: cn=all,ou=groups,dc=example,dc=com\nobjectClass: groupOfNames\ncn: all\n{list}\n"
    ));
    let connector = connector(&server);
    let facts = enumerate_all(&*connector).await;
    assert_eq!(facts.problems, []);
    for (name, _) in names {
        assert_eq!(facts.held_by(name), ["group/all"], "{name}");
        let (account, all) = (super::target(&facts, name), crate::harness::entitlement("group/all"));
        assert_eq!(crate::harness::read_grant(&*connector, &account, &all).await, (true, true), "{name}");
    }
    let before = server.values(openldap::BASE, "(cn=all)", "member").len();
    for (removed, (name, _)) in names.iter().enumerate().skip(1) {
        let (account, all) = (super::target(&facts, name), crate::harness::entitlement("group/all"));
        crate::harness::acknowledged(&*connector, leasehold_model::plan::Verb::Revoke, &account, Some(&all))
            .await;
        assert_eq!(server.values(openldap::BASE, "(cn=all)", "member").len(), before - removed, "{name}");
        assert_eq!(crate::harness::read_grant(&*connector, &account, &all).await, (false, false), "{name}");
    }
}

/// Base64 as LDIF wants it (RFC 4648).
fn encoded(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[tokio::test]
async fn many_pages_all_come_and_a_limit_makes_it_partial() {
    let server = OpenLdapServer::start();
    let people: String = (0..13).map(|number| person(&format!("p{number:02}"), "")).collect();
    server.add(&people);
    let members: Vec<String> = (0..13).map(|number| dn(&format!("p{number:02}"))).collect();
    for number in 0..11 {
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        server.add(&group_of(&format!("g{number:02}"), "groupOfNames", "member", &members));
    }
    for page_size in [1, 2, 5, 1000] {
        let (facts, completeness) =
            enumerate(&*connector_with(&server, &format!("page_size = {page_size}"))).await;
        assert!(completeness.is_complete(), "{page_size}: {completeness:?}");
        assert_eq!(
            (facts.accounts.len(), facts.entitlements.len(), facts.grants.len()),
            (15, 11, 143),
            "{page_size}"
        );
    }

    for page_size in [2, 1000] {
        let limited = build(
            "ldap",
            &format!(
                "url = '{}'\nbase_dn = '{}'\nbind_dn = '{}'\npassword = 'file:{}'\npage_size = {page_size}",
                server.url(),
                openldap::BASE,
                openldap::LIMITED,
                server.password_file().display()
            ),
        );
        let (facts, completeness) = enumerate(&*limited).await;
        assert!(!completeness.is_complete(), "page size {page_size}: {completeness:?}");
        assert!(completeness.detail().contains("sizeLimitExceeded"), "{completeness:?}");
        assert!(facts.accounts.len() <= 5);
    }
}

#[tokio::test]
async fn nothing_at_all_is_never_complete() {
    let server = OpenLdapServer::start();
    let empty = "people_filter = '(objectClass=nothing)'\ngroups_filter = '(objectClass=nothing)'";
    let (_, completeness) = enumerate(&*connector_with(&server, empty)).await;
    assert!(!completeness.is_complete());
    assert!(completeness.detail().contains("answered with nothing"), "{completeness:?}");
}

#[tokio::test]
async fn a_part_elsewhere_makes_it_partial() {
    let server = OpenLdapServer::start();
    server.add(&person("alice", ""));
    server.add("dn: ou=far,dc=example,dc=com\nobjectClass: referral\nobjectClass: extensibleObject\nou: far\nref: ldap://far.example.com/ou=far,dc=example,dc=com\n\n");
    let (facts, completeness) = enumerate(&*connector(&server)).await;
    assert!(facts.accounts.contains_key("alice"));
    assert!(!completeness.is_complete());
    assert!(completeness.detail().contains("ldap://far.example.com"), "{completeness:?}");
}

#[tokio::test]
async fn an_authoritative_directory_says_who_there_is() {
    let server = OpenLdapServer::start();
    server.add(&person("boss", "employeeNumber: 1\n"));
    server.add(&person(
        "alice",
        "manager: UID=Boss,ou=people,dc=example,dc=com\nemployeeType: leaving\nroomNumber: 20300131\n",
    ));
    server.add(&person("keyless", ""));
    server.modify(&format!("dn: {}\nchangetype: modify\ndelete: mail\n\n", dn("keyless")));
    server.add(&person(
        "held",
        "pwdAccountLockedTime: 000001010000Z\nmanager: uid=unknown,dc=example,dc=com\n",
    ));
    let columns = "authoritative = true\ncolumns = { status = 'employeeType', end_date = 'roomNumber' }";
    let facts = enumerate_all(&*connector_with(&server, columns)).await;

    let keys: Vec<&str> = facts.identities.keys().map(String::as_str).collect();
    assert_eq!(keys, ["alice@example.com", "boss@example.com", "held@example.com"]);
    let alice = &facts.identities["alice@example.com"];
    assert_eq!(alice.manager.as_ref().map(|key| key.as_str()), Some("boss@example.com"));
    assert_eq!(alice.state, LifecycleState::Leaving);
    assert_eq!(alice.end.map(|at| at.to_string()).as_deref(), Some("2030-02-01T00:00:00Z"));
    assert_eq!(alice.attribute("family_name"), Some("alice"));
    assert_eq!(facts.identities["held@example.com"].state, LifecycleState::Suspended);
    assert_eq!(facts.identities["boss@example.com"].attribute("employee_number"), Some("1"));
    let problems: Vec<&str> = facts.problems.iter().map(|problem| problem.place.as_str()).collect();
    assert_eq!(problems, [dn("keyless"), dn("held")]);
}

#[tokio::test]
async fn the_last_day_of_somebody_ends_when_it_is_over() {
    let server = OpenLdapServer::start();
    let berlin = "timezone = 'Europe/Berlin'";
    let people = [
        ("day", "20300131", Some("2030-01-31T23:00:00Z")),
        ("dashed", "2030-01-31", Some("2030-01-31T23:00:00Z")),
        ("dotted", "31.07.2030", Some("2030-07-31T22:00:00Z")),
        ("clock", "2030-01-31 17:00", Some("2030-01-31T16:00:00Z")),
        ("instant", "2030-01-31T17:00:00Z", Some("2030-01-31T17:00:00Z")),
        ("generalized", "20300131170000Z", Some("2030-01-31T17:00:00Z")),
        ("offset", "20300131170000+0300", Some("2030-01-31T14:00:00Z")),
        ("midnight", "20300131000000Z", Some("2030-01-31T00:00:00Z")),
        ("endless", "99991231", None),
        ("boundless", "99991231235959Z", None),
        ("slashed", "03/04/2030", None),
        ("wrong", "soon", None),
    ];
    for (login, last_day, _) in people {
        server.add(&person(login, &format!("roomNumber: {last_day}\ncarLicense: 20250131\n")));
    }
    let columns = "authoritative = true\ncolumns = { start_date = 'carLicense', end_date = 'roomNumber' }";
    let facts = enumerate_all(&*connector_with(&server, &format!("{columns}\n{berlin}"))).await;
    for (login, last_day, end) in people {
        // A value that nobody can read makes nobody a leaver.
        let found = &facts.identities[&format!("{login}@example.com")];
        assert_eq!(found.end.map(|at| at.to_string()).as_deref(), end, "{login}: {last_day}");
        assert_eq!(found.start.map(|at| at.to_string()).as_deref(), Some("2025-01-30T23:00:00Z"), "{login}");
    }
    let problems: Vec<&str> = facts.problems.iter().map(|problem| problem.place.as_str()).collect();
    assert_eq!(problems, [dn("slashed"), dn("wrong")]);
    assert!(facts.problems[0].message.contains("date_order"), "{:?}", facts.problems);

    let ordered = format!("{columns}\ndate_order = 'dmy'");
    let facts = enumerate_all(&*connector_with(&server, &ordered)).await;
    let end = |login: &str| facts.identities[&format!("{login}@example.com")].end.map(|at| at.to_string());
    assert_eq!(end("slashed").as_deref(), Some("2030-04-04T00:00:00Z"));
    assert_eq!(end("day").as_deref(), Some("2030-02-01T00:00:00Z"));
}
