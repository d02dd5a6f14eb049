//! The dialect of Active Directory against a Samba domain controller: one server, since it takes a while to make.

use base64::Engine;
use leasehold_model::account::PostureFinding;
use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, ActionRequest, Outcome, ReadBack, ReadTarget};
use leasehold_testing::{SambaServer, samba};

use super::{group, target};
use crate::harness::{
    acknowledged, build, entitlement, enumerate, enumerate_all, execute, issue, issue_refused, read_account,
    read_grant, refused,
};

const BASE: &str = samba::BASE;

fn password(text: &str) -> String {
    let utf16: Vec<u8> = format!("\"{text}\"").encode_utf16().flat_map(u16::to_le_bytes).collect();
    base64::engine::general_purpose::STANDARD.encode(utf16)
}

fn user(login: &str, flags: u32, more: &str) -> String {
    format!(
        "dn: CN={login} Surname,CN=Users,{BASE}\nobjectClass: user\nsAMAccountName: {login}\nmail: {login}@example.com\n\
         userAccountControl: {flags}\nunicodePwd:: {}\n{more}\n",
        password("Secret-pw-42")
    )
}

fn ad_group(name: &str, members: &[&str]) -> String {
    let members: String = members.iter().map(|member| format!("member: {member}\n")).collect();
    format!("dn: CN={name},CN=Users,{BASE}\nobjectClass: group\nsAMAccountName: {name}\n{members}\n")
}

fn connector(server: &SambaServer, more: &str) -> Box<dyn leasehold_connect::connector::Connector> {
    build(
        "ldap",
        &format!(
            "url = '{}'\nbase_dn = '{BASE}'\nbind_dn = '{}'\npassword = 'file:{}'\nca_certificate = '{}'\n{more}",
            server.tls_url(),
            samba::ADMIN,
            server.password_file().display(),
            server.authority().certificate().display()
        ),
    )
}

#[tokio::test]
async fn active_directory_is_read_and_changed() {
    let server = SambaServer::start();
    server.add(&user("alice", 512, "employeeID: 7\ndisplayName: Alice\n"));
    server.add(&user("off", 514, ""));
    server.add(&user("weak", 512 + 0x1_0000 + 0x40_0000, ""));
    // 2025-01-01 and the two ways to write "never".
    server.add(&user("ended", 512, "accountExpires: 133801632000000000\n"));
    server.add(&user("never", 512, "accountExpires: 9223372036854775807\n"));
    for number in 0..11 {
        server.add(&user(&format!("m{number:02}"), 512, ""));
    }
    let dn = |login: &str| format!("CN={login} Surname,CN=Users,{BASE}");
    let everybody: Vec<String> = (0..11).map(|number| dn(&format!("m{number:02}"))).collect();
    let everybody: Vec<&str> = everybody.iter().map(String::as_str).collect();
    server.add(&ad_group("inner", &[&dn("alice")]));
    server.add(&ad_group("outer", &[&format!("CN=inner,CN=Users,{BASE}")]));
    server.add(&ad_group("long", &everybody));
    server.add(&ad_group("by-primary", &[&format!("CN=Domain Users,CN=Users,{BASE}")]));

    // Two entries a page, and two members an answer.
    let connector = connector(&server, "page_size = 2");
    let report = connector.test().await.unwrap();
    assert_eq!(report.acting_as.as_deref(), Some("Administrator"));
    assert_eq!(report.missing_rights, Vec::<String>::new());
    let (facts, completeness) = enumerate(&*connector).await;
    assert!(completeness.is_complete(), "{completeness:?}");

    // Accounts and their switches.
    let counted = server.values(BASE, "(&(objectCategory=person)(objectClass=user))", "sAMAccountName").len();
    assert_eq!(facts.accounts.len(), counted);
    let account = |login: &str| &facts.accounts[login];
    assert!(account("alice").enabled && !account("off").enabled);
    assert_eq!(account("ended").expires_at.map(|at| at.to_string()).as_deref(), Some("2025-01-01T00:00:00Z"));
    assert_eq!((account("never").expires_at, account("alice").expires_at), (None, None));
    assert_eq!(
        account("weak").posture,
        [PostureFinding::PasswordNeverExpires, PostureFinding::NoPreAuthentication]
    );
    assert!(account("alice").credential_changed_at.is_some());
    assert_eq!(account("alice").attributes["employeeID"], "7");

    // Groups, long lists of members, primary groups.
    let long = facts.grants.iter().filter(|grant| grant.entitlement.name == "long").count();
    assert_eq!(long, 11, "members came in parts");
    assert_eq!(facts.held_by("alice"), ["group/Domain Users", "group/inner"]);
    assert_eq!(facts.options("alice", "group/Domain Users"), Some("primary group (primaryGroupID 513)"));
    assert!(facts.entitlements["group/Domain Users"].inherent);
    for (name, privileged) in
        [("Domain Admins", true), ("Administrators", true), ("inner", false), ("Users", false)]
    {
        assert_eq!(facts.entitlements[&format!("group/{name}")].privileged, privileged, "{name}");
    }
    assert!(
        facts.contains("group/inner", "group/outer")
            && facts.contains("group/Domain Admins", "group/Administrators")
    );

    // Read back, also along chains and through the primary group.
    let alice = target(&facts, "alice");
    let (inner, outer) = (group(&facts, "group/inner"), entitlement("group/outer"));
    assert_eq!(read_grant(&*connector, &alice, &inner).await, (true, true));
    assert_eq!(read_grant(&*connector, &alice, &outer).await, (false, true));
    assert_eq!(read_grant(&*connector, &alice, &entitlement("group/by-primary")).await, (false, true));
    assert_eq!(read_grant(&*connector, &alice, &entitlement("group/long")).await, (false, false));
    for (login, expected) in [("alice", (true, true)), ("off", (true, false)), ("ended", (true, false))] {
        assert_eq!(read_account(&*connector, &target(&facts, login)).await, expected, "{login}");
        assert_eq!(
            server.can_bind(&format!("{login}@ad.example.com"), "Secret-pw-42"),
            expected.1,
            "{login}"
        );
    }

    // Members come and go.
    let members = |name: &str| server.values(BASE, &format!("(sAMAccountName={name})"), "member");
    acknowledged(&*connector, Verb::Revoke, &alice, Some(&inner)).await;
    assert_eq!(members("inner"), Vec::<String>::new());
    assert_eq!(read_grant(&*connector, &alice, &outer).await, (false, false));
    assert_eq!(execute(&*connector, Verb::Revoke, &alice, Some(&inner)).await, Outcome::AlreadySo);
    acknowledged(&*connector, Verb::Grant, &alice, Some(&outer)).await;
    assert!(members("outer").contains(&dn("alice")));
    assert_eq!(execute(&*connector, Verb::Grant, &alice, Some(&outer)).await, Outcome::AlreadySo);
    assert_eq!(members("long").len(), 11, "others are untouched");
    let why = refused(&*connector, Verb::Revoke, &alice, Some(&entitlement("group/Domain Users"))).await;
    assert!(why.contains("primary group"), "{why}");

    // Log-ins end; sessions cannot be listed or ended.
    acknowledged(&*connector, Verb::DisableAccount, &alice, None).await;
    assert_eq!(server.values(BASE, "(sAMAccountName=alice)", "userAccountControl"), ["514"]);
    assert!(!server.can_bind("alice@ad.example.com", "Secret-pw-42"));
    assert_eq!(read_account(&*connector, &alice).await, (true, false));
    assert_eq!(execute(&*connector, Verb::DisableAccount, &alice, None).await, Outcome::AlreadySo);
    let own = target(&facts, "Administrator");
    assert!(refused(&*connector, Verb::DisableAccount, &own, None).await.contains("connector itself"));
    refused(&*connector, Verb::EndSessions, &alice, None).await;
    let sessions = connector.read_back(&ReadTarget::Sessions { account: alice.clone() }).await.unwrap();
    assert!(matches!(sessions, ReadBack::Unsupported { .. }), "{sessions:?}");
    assert!(!enumerate_all(&*connector).await.accounts["alice"].enabled);
    acknowledged(&*connector, Verb::EnableAccount, &alice, None).await;
    assert_eq!(server.values(BASE, "(sAMAccountName=alice)", "userAccountControl"), ["512"]);
    assert!(server.can_bind("alice@ad.example.com", "Secret-pw-42"));
    assert_eq!(execute(&*connector, Verb::EnableAccount, &alice, None).await, Outcome::AlreadySo);
    let why = refused(&*connector, Verb::EnableAccount, &target(&facts, "ended"), None).await;
    assert!(why.contains("accountExpires"), "{why}");

    accounts_come_and_go(&server).await;
}

/// In the same domain, because making one takes so long.
async fn accounts_come_and_go(server: &SambaServer) {
    let connector = connector(server, &format!("new_account_base = 'CN=Users,{BASE}'"));
    let new = AccountTarget::by_login("new.person");
    let attributes = [("email", "new@example.com"), ("given_name", "New"), ("family_name", "Person")];
    let request = ActionRequest {
        id: "test".into(),
        verb: Verb::CreateAccount,
        account: new.clone(),
        entitlement: None,
        credential: None,
        to: None,
        attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    };
    let made = connector.execute(&request).await.unwrap();
    assert!(matches!(made, Outcome::Acknowledged { .. }), "{made:?}");
    assert_eq!(connector.execute(&request).await.unwrap(), Outcome::AlreadySo);
    let value = |name: &str| server.values(BASE, "(sAMAccountName=new.person)", name).concat();
    for (name, expected) in [
        ("userAccountControl", "514"),
        ("accountExpires", "1"),
        ("userPrincipalName", "new.person@ad.example.com"),
        ("mail", "new@example.com"),
        ("sn", "Person"),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    assert_eq!(read_account(&*connector, &new).await, (true, false));
    let inner = entitlement("group/inner");
    acknowledged(&*connector, Verb::Grant, &new, Some(&inner)).await;
    assert_eq!(read_grant(&*connector, &new, &inner).await, (true, true));
    assert!(!server.can_bind("new.person@ad.example.com", ""));
    let why = refused(&*connector, Verb::EnableAccount, &new, None).await;
    assert!(why.contains("no credential yet"), "{why}");

    // The first password opens the account, and has to be changed before it lets in.
    let (_, first) = issue(&*connector, "new.person").await;
    let switches = || ["userAccountControl", "accountExpires", "pwdLastSet"].map(value);
    assert_eq!(switches(), ["512", "0", "0"]);
    assert_eq!(read_account(&*connector, &new).await, (true, true));
    let was_changed = || {
        let dn = value("distinguishedName");
        server.modify(&format!("dn: {dn}\nchangetype: modify\nreplace: pwdLastSet\npwdLastSet: -1\n\n"));
    };
    let enters = |password: &str| server.can_bind("new.person@ad.example.com", password);
    assert!(!enters(&first));
    was_changed();
    assert!(enters(&first));
    let (_, second) = issue(&*connector, "new.person").await;
    was_changed();
    // A domain lets the password before in for up to an hour more.
    assert!(enters(&second) && second != first);
    // Who was closed stays out, whether they ever logged in or not.
    issue(&*connector, "new.person").await;
    acknowledged(&*connector, Verb::DisableAccount, &new, None).await;
    let why = issue_refused(&*connector, &new).await;
    assert!(why.contains("disabled"), "{why}");
    assert_eq!(switches(), ["514", "0", "0"]);
    for (login, expected) in [("ended", "end is past"), ("Administrator", "the connector itself uses")] {
        let why = issue_refused(&*connector, &AccountTarget::by_login(login)).await;
        assert!(why.contains(expected), "{login}: {why}");
    }

    let facts = enumerate_all(&*connector).await;
    assert!(facts.held_by("new.person").contains(&"group/inner".to_owned()));
    let account = target(&facts, "new.person");
    acknowledged(&*connector, Verb::DeleteAccount, &account, None).await;
    assert_eq!(read_account(&*connector, &account).await, (false, false));
    // The proof is the domain's own, so that another process has it too.
    let another = self::connector(server, "");
    assert_eq!(read_account(&*another, &account).await, (false, false));
    assert_eq!(execute(&*another, Verb::DeleteAccount, &account, None).await, Outcome::AlreadySo);
    assert_eq!(value("cn"), "");
    let nobody = AccountTarget { key: "00000000-0000-0000-0000-000000000000".into(), login: "nobody".into() };
    let read = another.read_back(&ReadTarget::Account { account: nobody }).await.unwrap_err().to_string();
    assert!(read.contains("may not be read"), "{read}");
}
