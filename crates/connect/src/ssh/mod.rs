//! SSH: the local accounts of one Linux host; groups and sudo rules as entitlements, authorized keys as credentials.
//!
//! * One system is one host: an account's key means something on its host only, and a host that cannot be reached must not
//!   make what another one told partial.
//! * An account's key is its name: that is what sshd, groups and sudoers go by; several names may share one number.
//! * An account is disabled by expiring it, which refuses log-ins by key too. A locked password alone does not.
//! * `group/NAME`; `sudo/(root) /usr/bin/id` with its `NOTAFTER`, and a rule that is past grants nothing any more.
//! * A credential's key is the account and the fingerprint, `alice SHA256:…`. A disabled one stays in its file behind a marker.
//! * Every command that runs on the host is a constant (`scripts.rs`). What varies travels on its standard input.

mod at;
mod client;
mod crontab;
mod enumerate;
mod execute;
mod hand_over;
mod host;
mod issue;
mod keys;
mod log_ins;
mod read_back;
mod scripts;
mod settings;
mod sudoers;

use async_trait::async_trait;
use leasehold_model::capability::{Capabilities, Capability};
use leasehold_model::fact::Completeness;
use leasehold_model::request::{ActionRequest, IssueRequest, Issued, Outcome, ReadBack, ReadTarget};
use leasehold_model::setting::{SettingField, SettingKind};

use crate::connector::{Connector, ConnectorKind, Sink, TestReport};
use crate::error::ConnectError;
use crate::settings::Settings;
use crate::ssh::client::Client;

/// The registry's entry.
pub struct SshKind;

/// One host.
struct Ssh {
    client: Client,
}

const CAPABILITIES: Capabilities = Capabilities {
    enumerate: Capability::YES,
    prove_completeness: Capability::with(
        "equal checksums of the account files before and after; partial where accounts or keys come from elsewhere",
    ),
    read_back: Capability::YES,
    grant: Capability::with("groups; sudo rules are edited in their files"),
    revoke: Capability::with("supplementary groups; a live session keeps its groups until it is ended"),
    create_account: Capability::with(
        "useradd with a new home folder and the shell of `new_account_shell`; a locked password and no key, so that nobody \
         logs in",
    ),
    disable_account: Capability::with(
        "expires the account, which refuses keys too; live sessions stay until they are ended",
    ),
    enable_account: Capability::with("takes the expiry away, also one that was there before"),
    delete_account: Capability::with(
        "userdel, with its crontab and jobs of `at`, and not while a crontab of it stays; the home folder stays; processes must be ended first",
    ),
    list_credentials: Capability::with("authorized keys, crontabs and jobs of `at`; no certificates"),
    issue_credential: Capability::with(
        "an Ed25519 key in `.ssh/authorized_keys`, beside those that are there, where sshd takes keys from; the host never \
         learns its private part; not for root",
    ),
    disable_credential: Capability::with(
        "the line stays behind a marker, so that it can come back; jobs of a crontab too; of a job of `at` the file's right to be executed goes, and one whose time is over \
         by then runs when it comes back",
    ),
    revoke_credential: Capability::YES,
    hand_over_credential: Capability::with(
        "jobs of a crontab, with their variables but MAILTO, behind those of whoever takes them over; no jobs of `at`; not to root",
    ),
    rotate_credential: Capability::with(
        "authorized keys: another one is issued, and the old one is revoked after the overlap",
    ),
    list_sessions: Capability::with("every process of the account, what it left in the background included"),
    end_sessions: Capability::with(
        "SIGKILL to every process of the account; waits until they are gone; not for root",
    ),
    last_use: Capability::with(
        "what lastlog, wtmp and the journal of sshd have kept; unknown otherwise, as a log-in without a terminal is in the journal only",
    ),
    native_expiry: Capability::without("of accounts, keys and sudo rules it is read"),
    ..Capabilities::NONE
};

/// What a form asks for.
const FIELDS: &[SettingField] = &[
    SettingField::required("host", "Host", SettingKind::Text, "Name or address.", "server.example.com"),
    SettingField::required("user", "User", SettingKind::Text, "Leasehold's own account there.", "leasehold"),
    SettingField::required(
        "private_key",
        "Private key",
        SettingKind::Secret,
        "Of that account, as ssh-keygen writes it, without a passphrase; Ed25519 or ECDSA.",
        "file:leasehold_ed25519",
    ),
    SettingField::required(
        "host_key",
        "Host key",
        SettingKind::Text,
        "The host's public key, read on the host itself: Ed25519 or ECDSA.",
        "ssh-ed25519 AAAA…",
    ),
    SettingField::optional(
        "new_account_shell",
        "Shell of new accounts",
        SettingKind::Text,
        "A path on the host; /bin/bash where it is empty.",
    ),
];

impl ConnectorKind for SshKind {
    fn name(&self) -> &'static str {
        "ssh"
    }

    fn summary(&self) -> &'static str {
        "a Linux host over SSH: local accounts, groups, sudo rules, authorized keys, crontabs, jobs of `at`, live sessions"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn fields(&self) -> &'static [SettingField] {
        FIELDS
    }

    fn build(&self, settings: &mut Settings) -> Result<Box<dyn Connector>, ConnectError> {
        Ok(Box::new(Ssh { client: Client::new(settings::read(settings)?) }))
    }
}

#[async_trait]
impl Connector for Ssh {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn test(&self) -> Result<TestReport, ConnectError> {
        read_back::test(&self.client).await
    }

    async fn enumerate(&self, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
        enumerate::enumerate(&self.client, sink).await
    }

    async fn read_back(&self, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
        read_back::read_back(&self.client, target).await
    }

    async fn execute(&self, request: &ActionRequest) -> Result<Outcome, ConnectError> {
        execute::execute(&self.client, request).await
    }
    async fn issue_credential(&self, request: &IssueRequest) -> Result<Issued, ConnectError> {
        issue::issue(&self.client, request).await
    }
}
