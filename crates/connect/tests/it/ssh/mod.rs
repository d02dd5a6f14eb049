//! The `ssh` connector against a real sshd with accounts of this machine, checked with `ssh` and the host's own programs.

mod accounts;
mod changes;
pub mod contract;
mod enumeration;
mod failures;
mod issuing;
mod jobs;
mod log_ins;

use leasehold_connect::connector::Connector;
use leasehold_model::credential::CredentialKind;
use leasehold_model::request::{AccountTarget, CredentialTarget};
use leasehold_testing::SshServer;

use crate::harness::{account, build};

/// The settings of a connector that logs in as `leasehold`.
pub fn settings(server: &SshServer) -> String {
    format!(
        "host = '127.0.0.1'\nport = {}\nuser = '{}'\nprivate_key = 'file:{}'\nhost_key = '{}'",
        server.port(),
        server.name("leasehold"),
        server.private_key("leasehold").display(),
        server.host_key()
    )
}

pub fn connector(server: &SshServer) -> Box<dyn Connector> {
    build("ssh", &settings(server))
}

/// Alice and Bob, both in the team, and Alice with rules of sudo.
pub fn company(server: &SshServer) -> (AccountTarget, AccountTarget, String) {
    let (alice, bob, team) =
        (server.add_account("alice"), server.add_account("bob"), server.add_group("team"));
    for name in [&alice, &bob] {
        server.administer("gpasswd", &["--add", name, &team]);
    }
    server.write_rules(&format!(
        "{alice} ALL=(root) NOPASSWD: /usr/bin/id, !/bin/sh\n\
         {alice} ALL=(root) NOTAFTER=20200101000000Z NOPASSWD: /usr/bin/whoami\n\
         {bob} ALL=(root) NOTAFTER=21000101000000Z NOPASSWD: /usr/bin/whoami\n\
         %{team} ALL=(root) NOPASSWD: /usr/bin/uptime"
    ));
    (account(&alice), account(&bob), team)
}

/// The key of an account.
pub fn key_of(server: &SshServer, short: &str) -> CredentialTarget {
    let key = format!("{} {}", server.name(short), server.fingerprint(short));
    CredentialTarget { key: key.into(), kind: CredentialKind::SshKey }
}
