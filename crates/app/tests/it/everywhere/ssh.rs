//! A Linux host: an account with a key, a group with a rule of sudo, a rule of their own, a crontab, a live session; and the agent with its
//! key.

use std::collections::BTreeSet;
use std::process::Child;

use leasehold_testing::{Manner, Proxy, SshServer};

use super::target::{AGENT, FirstCredential, LEAVER, Left, OTHERS, Target, address_of};

/// The attribute of the people feed that says what somebody's account is called.
pub const HOST_LOGIN: &str = "host_login";

/// Leasehold's own account.
const OWN: &str = "leasehold";

pub struct Host {
    server: SshServer,
    proxy: Proxy,
    team: String,
    other_team: String,
    session: Option<Child>,
}

impl Host {
    pub fn start() -> Self {
        let server = SshServer::start();
        let [team, other_team] = ["payments", "treasury"].map(|group| server.add_group(group));
        for login in OTHERS.into_iter().chain([AGENT]) {
            let name = server.add_account(login);
            server.administer("gpasswd", &["--add", &name, &team]);
        }
        server.write_rules(&format!("%{team} ALL=(root) NOPASSWD: /usr/bin/id"));
        // One of the others has it too, so that nobody leaves the host without an administrator.
        let users = [LEAVER, OTHERS[1]].map(|login| server.name(login)).join(",");
        server.write_rules(&format!("{users} ALL=(root) NOPASSWD: /usr/bin/uptime"));
        let proxy = Proxy::start(address_of(&format!("ssh://127.0.0.1:{}", server.port())));
        Self { server, proxy, team, other_team, session: None }
    }

    fn is_member(&self, login: &str) -> bool {
        let name = self.server.name(login);
        self.server.administer("id", &["-nG", &name]).split_whitespace().any(|group| group == self.team)
    }

    /// Whether somebody logs in by their key.
    fn logs_in(&self, login: &str) -> bool {
        self.server.run_as(login, "true").status.success()
    }

    /// Whether somebody logs in and becomes root by the group's rule.
    fn becomes_root(&self, login: &str) -> bool {
        self.server.run_as(login, "sudo -n /usr/bin/id -u").stdout == b"0\n"
    }

    /// Whether sudo lists a command for somebody, asked by root.
    fn may_run(&self, login: &str, command: &str) -> bool {
        self.server.administer("sudo", &["-l", "-U", &self.server.name(login)]).contains(command)
    }

    fn processes(&self, login: &str) -> bool {
        !self.server.processes(login).is_empty()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        super::end(&mut self.session);
    }
}

impl Target for Host {
    fn name(&self) -> &'static str {
        "host"
    }

    fn settings(&self) -> String {
        format!(
            "connector = \"ssh\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"{}\"\nprivate_key = \"file:{}\"\nhost_key = \"{}\"\n\
             correlate = ['login ~ \"{}\" = email.local']\n",
            self.proxy.address().port(),
            self.server.name(OWN),
            self.server.private_key(OWN).display(),
            self.server.host_key(),
            self.server.name("{}")
        )
    }

    fn entitlements(&self) -> Vec<String> {
        vec![format!("group/{}", self.team)]
    }

    fn other_entitlements(&self) -> Vec<String> {
        vec![format!("group/{}", self.other_team)]
    }

    fn new_accounts(&self) -> String {
        // Accounts of the test have a prefix, which the people feed knows.
        format!("new_account_login = \"{HOST_LOGIN}\"\nnew_account_shell = \"/bin/sh\"\n")
    }

    fn login(&self, login: &str) -> String {
        self.server.name(login)
    }

    fn held(&mut self, login: &str) -> Option<BTreeSet<String>> {
        let asked = format!("id -nG {} 2>/dev/null || true", self.server.name(login));
        let groups = self.server.administer("sh", &["-c", &asked]);
        let held = groups.split_whitespace().filter(|group| *group == self.team || *group == self.other_team);
        (!groups.is_empty()).then(|| held.map(|group| format!("group/{group}")).collect())
    }

    fn lets_in(&mut self, login: &str, first: Option<&FirstCredential>) -> bool {
        first.is_some_and(|first| self.server.lets_in(login, &format!("{}\n", first.secret)))
    }

    fn agent(&self) -> Option<String> {
        Some(self.server.name(AGENT))
    }

    fn proxy(&mut self) -> &mut Proxy {
        &mut self.proxy
    }

    fn behave(&mut self, manner: Manner) {
        // What is said to a host is encrypted, so that only the host itself can lie, and know what a change is.
        self.server.lie_to(OWN, manner == Manner::Lie);
        if manner == Manner::Lose {
            self.server.lose_connections_of(OWN);
        }
        self.proxy.set(if matches!(manner, Manner::Lie | Manner::Lose) { Manner::Pass } else { manner });
    }

    fn give(&mut self) {
        super::end(&mut self.session);
        self.server.remove_account(LEAVER);
        let name = self.server.add_account(LEAVER);
        self.server.administer("gpasswd", &["--add", &name, &self.team]);
        self.server.set_crontab(LEAVER, "@daily report --as-usual\n");
        self.session = Some(self.server.live_session(LEAVER));
    }

    fn left(&mut self) -> Vec<Left> {
        let mut left = Vec::new();
        // First, because looking whether they log in is a session too.
        if self.processes(LEAVER) {
            left.push(Left::Session);
        }
        if self.logs_in(LEAVER) {
            left.push(Left::LogIn);
        }
        if self.is_member(LEAVER) {
            left.push(Left::Entitlement(format!("group/{}", self.team)));
        }
        for command in ["/usr/bin/id", "/usr/bin/uptime"] {
            if self.may_run(LEAVER, command) {
                left.push(Left::Entitlement(format!("sudo/(root) {command}")));
            }
        }
        let keys = std::fs::read_to_string(self.server.authorized_keys(LEAVER)).unwrap_or_default();
        let public = self.server.private_key(LEAVER).with_extension("pub");
        let public = std::fs::read_to_string(public).expect("read the key");
        if keys.contains(public.trim()) {
            let key = format!("{} {}", self.server.name(LEAVER), self.server.fingerprint(LEAVER));
            left.push(Left::Credential(key));
        }
        if self.server.crontab(LEAVER).lines().any(|line| line.starts_with('@')) {
            left.push(Left::Job(format!("{} crontab", self.server.name(LEAVER))));
        }
        left
    }

    fn clear_away(&mut self, login: &str) {
        // The home folder stays when an account is deleted, and may hold keys of whoever had it.
        self.server.remove_account(login);
    }

    fn is_handed_over(&mut self) -> Option<bool> {
        let has = |login| self.server.crontab(login).lines().any(|line| line == "@daily report --as-usual");
        let left = self.server.crontab(LEAVER).lines().any(|line| line.contains("report"));
        Some(has(OTHERS[0]) && !has(OTHERS[1]) && !left)
    }

    fn residual(&self) -> Vec<Left> {
        // Rules of sudo are edited by people, in their files.
        vec![Left::Entitlement("sudo/(root) /usr/bin/uptime".to_owned())]
    }

    fn check_others_unchanged(&mut self) {
        for login in OTHERS.into_iter().chain([AGENT]) {
            assert!(self.is_member(login), "{login} is in the group");
            assert!(self.becomes_root(login), "{login} logs in and uses the rule");
        }
    }
}
