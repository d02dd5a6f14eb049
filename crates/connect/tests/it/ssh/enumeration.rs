//! What is told of a host, compared with how it was set up by its own programs.

use leasehold_model::account::PostureFinding;
use leasehold_testing::SshServer;

use super::{company, connector, key_of};
use crate::harness::{entitlement, enumerate_all, read_grant};

#[tokio::test]
async fn accounts_groups_rules_and_keys_are_told() {
    let server = SshServer::start();
    let (alice, bob, team) = company(&server);
    server.administer("usermod", &["--expiredate", "2020-01-01", bob.login.as_str()]);
    let own = std::fs::read_to_string(server.authorized_keys("alice")).expect("read");
    let expired = std::fs::read_to_string(server.private_key("bob").with_extension("pub")).expect("read");
    let file = format!(
        "# of Alice\n{own}expiry-time=\"20200101000000Z\",from=\"10.0.0.0/8,::1\" {expired}nonsense here\n"
    );
    std::fs::write(server.authorized_keys("alice"), file).expect("write");

    let facts = enumerate_all(connector(&server).as_ref()).await;
    let (alice, bob) = (alice.login.as_str(), bob.login.as_str());
    assert!(facts.accounts[alice].enabled && !facts.accounts[bob].enabled);
    assert_eq!(facts.accounts[bob].expires_at, Some("2020-01-01T00:00:00Z".parse().expect("a time")));
    assert!(facts.accounts["root"].posture.contains(&PostureFinding::Superuser));
    assert!(!facts.accounts["daemon"].enabled);

    let held = facts.held_by(alice);
    let group = |name: &str| format!("group/{name}");
    assert_eq!(held, [group(alice), group(&team), "sudo/(root) /usr/bin/id".to_owned()]);
    assert_eq!(facts.options(alice, &group(alice)), Some("primary group"));
    // Her own group gives nothing to anybody else, and nobody can take it from her.
    assert!(facts.entitlements[&group(alice)].inherent);
    assert!(
        !facts.entitlements[&group(&team)].inherent
            && facts.entitlements[&group(&team)].irrevocable.is_none()
    );
    assert!(facts.held_by(bob).contains(&"sudo/(root) /usr/bin/whoami".to_owned()));
    assert!(facts.contains(&group(&team), "sudo/(root) /usr/bin/uptime"));
    assert!(facts.entitlements["sudo/(root) /usr/bin/id"].privileged);

    let key = &facts.credentials[key_of(&server, "alice").key.as_str()];
    assert!(key.active && key.label == "key of alice" && key.expires_at.is_none());
    let theirs = format!("{alice} {}", server.fingerprint("bob"));
    let past = &facts.credentials[&theirs];
    assert!(!past.active && past.scope == ["from=\"10.0.0.0/8,::1\""], "{past:?}");
    assert!(
        facts.problems.iter().any(|problem| problem.place.ends_with("authorized_keys:4")),
        "{:?}",
        facts.problems
    );
}

#[tokio::test]
async fn a_rule_that_is_past_grants_nothing_and_one_of_a_group_is_effective() {
    let server = SshServer::start();
    let (alice, bob, _) = company(&server);
    let connector = connector(&server);
    for (account, name, direct, effective) in [
        (&alice, "sudo/(root) /usr/bin/id", true, true),
        (&alice, "sudo/(root) /usr/bin/whoami", false, false),
        (&bob, "sudo/(root) /usr/bin/whoami", true, true),
        (&bob, "sudo/(root) /usr/bin/uptime", false, true),
        (&bob, "sudo/(root) /usr/bin/id", false, false),
    ] {
        let read = read_grant(connector.as_ref(), account, &entitlement(name)).await;
        assert_eq!(read, (direct, effective), "{} {name}", account.login);
    }
    assert!(!server.run_as("alice", "sudo -n /usr/bin/whoami").status.success());
    assert!(server.run_as("bob", "sudo -n /usr/bin/whoami").status.success());
}
