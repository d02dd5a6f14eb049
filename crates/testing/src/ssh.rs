//! A real sshd of Debian's package on a free port of 127.0.0.1, with accounts of this machine that go with it.
//!
//! Accounts belong to the whole machine: they bear an unmistakable prefix with the number of the process that made them, one
//! server at a time has some, and those of a process that died are removed by the next one.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::lie;
use crate::process::{ServerProcess, free_port, listens, new_folder};
use crate::programs::{is_root, require, succeed};

const PREFIX: &str = "lhtest";
const LOCK: &str = "/run/lock/leasehold-testing-accounts.lock";
const HOMES: &str = "/home";
const AT_JOBS: &str = "/var/spool/cron/atjobs";
const CRONTABS: &str = "/var/spool/cron/crontabs";
const RULES: &str = "/etc/sudoers.d/leasehold-testing";

/// A running server with its accounts. Dropping it stops the server and removes the accounts.
#[derive(Debug)]
pub struct SshServer {
    process: ServerProcess,
    port: u16,
    /// Held as long as there are accounts.
    _lock: File,
}

impl SshServer {
    /// Starts a server; it has one account, `leasehold`, which may do everything by `sudo`.
    ///
    /// # Panics
    /// Where sshd, sudo or ssh is not installed, or where this process is not root: only root makes accounts.
    pub fn start() -> Self {
        assert!(is_root(), "accounts of this machine are made by root only; run this test as root");
        let sshd = require("sshd", "openssh-server");
        require("cvtsudoers", "sudo");
        std::fs::create_dir_all("/run/lock").expect("make the lock's folder");
        std::fs::create_dir_all("/run/sshd").expect("make sshd's folder");
        let lock = File::create(LOCK).expect("create the lock");
        lock.lock().expect("wait for the lock");
        remove_accounts();

        let folder = new_folder("ssh");
        let host_key = folder.join("host");
        make_key(&host_key, "host");
        let port = free_port();
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nPidFile none\nUsePAM yes\nPasswordAuthentication no\n",
            host_key.display()
        );
        std::fs::write(folder.join("sshd_config"), config).expect("write sshd's configuration");
        let command =
            [sshd.into_os_string(), "-D".into(), "-e".into(), "-f".into(), folder.join("sshd_config").into()];
        let process = ServerProcess::start(&folder, &command.map(OsString::from));
        process.wait_until_ready(Duration::from_secs(20), || listens([127, 0, 0, 1].into(), port));
        let server = Self { process, port, _lock: lock };
        let name = server.add_account("leasehold");
        server.write_rules(&format!("{name} ALL=(ALL) NOPASSWD: ALL"));
        server
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A folder that goes with the server, for files of the test.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// The server's public key, as it stands in its file.
    pub fn host_key(&self) -> String {
        let line = std::fs::read_to_string(self.folder().join("host.pub")).expect("read the host key");
        line.trim().to_owned()
    }

    /// The whole name of an account or group of this server.
    pub fn name(&self, short: &str) -> String {
        format!("{PREFIX}{}-{short}", std::process::id())
    }

    /// The private key of an account.
    pub fn private_key(&self, short: &str) -> PathBuf {
        self.folder().join(short)
    }

    /// The fingerprint of an account's key, as `ssh-keygen` tells it.
    ///
    /// # Panics
    /// Where there is no such key.
    pub fn fingerprint(&self, short: &str) -> String {
        let mut command = Command::new(require("ssh-keygen", "openssh-client"));
        let said = succeed(command.arg("-lf").arg(self.private_key(short).with_extension("pub")));
        said.split_whitespace().nth(1).expect("a fingerprint").to_owned()
    }

    /// The file of an account's authorized keys.
    pub fn authorized_keys(&self, short: &str) -> PathBuf {
        Path::new(HOMES).join(self.name(short)).join(".ssh/authorized_keys")
    }

    /// Makes an account that is let in by a key of its own. Gives its whole name.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn add_account(&self, short: &str) -> String {
        let name = self.name(short);
        succeed(Command::new(require("useradd", "passwd")).args([
            "--create-home",
            "--base-dir",
            HOMES,
            "--shell",
            "/bin/sh",
            &name,
        ]));
        make_key(&self.private_key(short), &format!("key of {short}"));
        let public =
            std::fs::read_to_string(self.private_key(short).with_extension("pub")).expect("read the key");
        let file = self.authorized_keys(short);
        let folder = file.parent().expect("a folder");
        std::fs::create_dir(folder).expect("make .ssh");
        std::fs::write(&file, public).expect("write the authorized keys");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("restrict the file");
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o700)).expect("restrict the folder");
        succeed(Command::new("chown").arg("-R").arg(format!("{name}:")).arg(folder));
        name
    }

    /// Removes an account with its home, its key and whatever it runs; nothing happens where there is none.
    pub fn remove_account(&self, short: &str) {
        remove_account(&self.name(short));
        let key = self.private_key(short);
        let _ = (std::fs::remove_file(key.with_extension("pub")), std::fs::remove_file(key));
        let _ = std::fs::remove_dir_all(Path::new(HOMES).join(self.name(short)));
    }

    /// The process numbers of what an account runs now. One that has ended and waits for its parent to notice does not run.
    ///
    /// # Panics
    /// Where `ps` cannot be started.
    pub fn processes(&self, short: &str) -> Vec<String> {
        let mut ps = Command::new("ps");
        let listed = ps.args(["-o", "pid=,stat=", "-U", &self.name(short)]).output().expect("run ps");
        let listed = String::from_utf8_lossy(&listed.stdout);
        let processes = listed.lines().filter_map(|line| line.trim().split_once(' '));
        let running = processes.filter(|(_, state)| !state.trim().starts_with('Z'));
        running.map(|(number, _)| number.to_owned()).collect()
    }

    /// Has the host lie to an account from now on, or no more: what would change the host does nothing for it, and succeeds.
    ///
    /// # Panics
    /// Where the account cannot be changed.
    pub fn lie_to(&self, short: &str, lies: bool) {
        let shell = if lies { lie::host::shell(&self.home_file(short, "lie")) } else { "/bin/sh".into() };
        self.set_shell(short, &shell);
    }

    /// Has an account lose its connection by whatever it changes, after that was done, until [`SshServer::lie_to`] is called.
    ///
    /// # Panics
    /// Where the account cannot be changed.
    pub fn lose_connections_of(&self, short: &str) {
        let shell = lie::host::shell_that_ends(&self.home_file(short, "ends"), &self.name(short));
        self.set_shell(short, &shell);
    }

    /// Has an account see a folder of the test in the place of `/var/spool`; `crontab` does nothing for it there, as cronie's does
    /// where PAM says no.
    ///
    /// # Panics
    /// Where the account cannot be changed.
    pub fn show_spool(&self, short: &str, spool: &Path) {
        self.set_shell(short, &lie::host::shell_with_spool(&self.home_file(short, "elsewhere"), spool));
    }

    /// Has an account see programs of the test in the place of the host's: each a name, and what it does in the shell's words.
    ///
    /// # Panics
    /// Where the account cannot be changed.
    pub fn show_programs(&self, short: &str, programs: &[(&str, &str)]) {
        self.set_shell(short, &lie::host::shell_before(&self.home_file(short, "before"), programs));
    }

    fn set_shell(&self, short: &str, shell: &Path) {
        let mut usermod = Command::new(require("usermod", "passwd"));
        succeed(usermod.arg("--shell").arg(shell).arg(self.name(short)));
    }

    /// Makes a group. Gives its whole name.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn add_group(&self, short: &str) -> String {
        let name = self.name(short);
        succeed(Command::new(require("groupadd", "passwd")).arg(&name));
        name
    }

    /// Gives an account a crontab. No cron runs it here.
    ///
    /// # Panics
    /// Where cron does not take it.
    pub fn set_crontab(&self, short: &str, content: &str) {
        let file = self.folder().join("crontab");
        std::fs::write(&file, content).expect("write a crontab");
        succeed(Command::new(require("crontab", "cron")).args(["-u", &self.name(short)]).arg(&file));
    }

    /// The crontab of an account; empty where it has none.
    ///
    /// # Panics
    /// Where cron's own program cannot be started.
    pub fn crontab(&self, short: &str) -> String {
        let mut command = Command::new(require("crontab", "cron"));
        let listed = command.args(["-u", &self.name(short), "-l"]).output().expect("run crontab");
        String::from_utf8_lossy(&listed.stdout).into_owned()
    }

    /// The file that cron keeps a crontab in, be there one or not.
    pub fn crontab_file(&self, short: &str) -> PathBuf {
        Path::new(CRONTABS).join(self.name(short))
    }

    /// Has an account ask `at` for a job that is due now. It runs once [`SshServer::start_atd`] was called.
    ///
    /// # Panics
    /// Where `at` does not take it.
    pub fn ask_at(&self, short: &str, job: &str) {
        self.ask_at_for(short, "now", job);
    }

    /// The same with a job that is not due before the test ends.
    ///
    /// # Panics
    /// As [`SshServer::ask_at`].
    pub fn ask_at_later(&self, short: &str, job: &str) {
        self.ask_at_for(short, "now + 7 days", job);
    }

    fn ask_at_for(&self, short: &str, time: &str, job: &str) {
        let mut command = Command::new(require("runuser", "util-linux"));
        command.args(["-u", &self.name(short), "--"]).arg(require("at", "at")).args(time.split(' '));
        command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut at = command.spawn().expect("start at");
        let mut pipe = at.stdin.take().expect("the input of at");
        pipe.write_all(job.as_bytes()).expect("ask at");
        drop(pipe);
        assert!(at.wait().expect("wait for at").success(), "at does not take {job}");
    }

    /// Starts the program that runs what `at` was asked for; it ends with what is given.
    ///
    /// # Panics
    /// Where it cannot be started, or where this machine runs one by itself.
    pub fn start_atd(&self) -> ServerProcess {
        let number = || std::fs::read_to_string("/run/atd.pid").unwrap_or_default();
        let runs = |number: &str| !number.is_empty() && Path::new("/proc").join(number.trim()).is_dir();
        assert!(!runs(&number()), "this machine runs atd; stop it for this test");
        let folder = new_folder("atd");
        let command = [require("atd", "at").into_os_string(), "-f".into()];
        let process = ServerProcess::start(&folder, &command);
        process.wait_until_ready(Duration::from_secs(20), || runs(&number()));
        process
    }

    /// A file in the home folder of an account.
    pub fn home_file(&self, short: &str, name: &str) -> PathBuf {
        Path::new(HOMES).join(self.name(short)).join(name)
    }

    /// Runs a program of the administrator, which must succeed, and gives its output.
    ///
    /// # Panics
    /// Where it fails.
    pub fn administer(&self, program: &str, arguments: &[&str]) -> String {
        succeed(Command::new(require(program, program)).args(arguments)).trim().to_owned()
    }

    /// Adds rules of sudo.
    ///
    /// # Panics
    /// Where sudo does not take them.
    pub fn write_rules(&self, rules: &str) {
        let before = std::fs::read_to_string(RULES).unwrap_or_default();
        // Whole at once: sudo must never see half a file.
        let new = self.folder().join("rules");
        std::fs::write(&new, format!("{before}{rules}\n")).expect("write the rules");
        std::fs::set_permissions(&new, PermissionsExt::from_mode(0o440)).expect("restrict the rules");
        succeed(Command::new(require("visudo", "sudo")).arg("-cqf").arg(&new));
        succeed(Command::new("install").args(["-m", "440"]).arg(&new).arg(RULES));
    }

    fn ssh(&self, short: &str, command: &str) -> Command {
        self.ssh_with(short, &self.private_key(short), command, "no")
    }

    fn ssh_with(&self, short: &str, key: &Path, command: &str, terminal: &str) -> Command {
        let known = self.folder().join("known_hosts");
        std::fs::write(&known, format!("[127.0.0.1]:{} {}\n", self.port, self.host_key())).expect("write");
        let mut ssh = Command::new(require("ssh", "openssh-client"));
        ssh.args([
            "-F",
            "/dev/null",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "ConnectTimeout=10",
        ])
        .arg("-o")
        .arg(format!("RequestTTY={terminal}"))
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", known.display()))
        .arg("-i")
        .arg(key)
        .args(["-p", &self.port.to_string()])
        .arg(format!("{}@127.0.0.1", self.name(short)))
        .arg(command);
        ssh
    }

    /// Runs a command as an account, by its key, with the real client.
    ///
    /// # Panics
    /// Where the client cannot be started.
    pub fn run_as(&self, short: &str, command: &str) -> Output {
        self.ssh(short, command).stdin(Stdio::null()).output().expect("run ssh")
    }

    /// The same on a terminal, as a person logs in: of that sshd keeps a record, where the host has a file for it.
    ///
    /// # Panics
    /// Where the files cannot be made, or the client cannot be started.
    pub fn run_on_terminal(&self, short: &str, command: &str) -> Output {
        for file in ["/var/log/lastlog", "/var/log/wtmp"] {
            File::options().append(true).create(true).open(file).expect("have a file for log-ins");
        }
        self.ssh_with(short, &self.private_key(short), command, "force")
            .stdin(Stdio::null())
            .output()
            .expect("run ssh")
    }

    /// Whether another key than its own lets in to an account, with the real client. It is kept in a file as people keep theirs.
    ///
    /// # Panics
    /// Where the file cannot be written, or the client cannot be started.
    pub fn lets_in(&self, short: &str, private_key: &str) -> bool {
        let file = self.folder().join("issued");
        let _ = std::fs::remove_file(&file);
        std::fs::write(&file, private_key).expect("write a key");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("restrict the key");
        let mut ssh = self.ssh_with(short, &file, "id -un", "no");
        let output = ssh.stdin(Stdio::null()).output().expect("run ssh");
        output.status.success() && String::from_utf8_lossy(&output.stdout).trim() == self.name(short)
    }

    /// Opens a session that stays until it is ended, and waits until its processes run.
    ///
    /// # Panics
    /// Where it cannot log in.
    pub fn live_session(&self, short: &str) -> Child {
        let mut child = self
            .ssh(short, "exec cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start ssh");
        let name = self.name(short);
        self.process.wait_until_ready(Duration::from_secs(20), || {
            assert!(child.try_wait().expect("look at ssh").is_none(), "ssh ended:\n{}", self.process.log());
            let listed = Command::new("ps").args(["-o", "comm=", "-U", &name]).output().expect("run ps");
            String::from_utf8_lossy(&listed.stdout).lines().any(|line| line.trim() == "cat")
        });
        child
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        remove_accounts();
    }
}

fn make_key(path: &Path, comment: &str) {
    let mut command = Command::new(require("ssh-keygen", "openssh-client"));
    succeed(command.args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]).arg(path));
}

fn remove_account(name: &str) {
    // The processes first, by the account's own name.
    quietly(Command::new("pkill").args(["-KILL", "-U", name]));
    // Its jobs would be those of the next account of this name.
    quietly(Command::new(require("crontab", "cron")).args(["-u", name, "-r"]));
    quietly(Command::new("find").args([AT_JOBS, "-type", "f", "-user", name, "-delete"]));
    quietly(Command::new(require("userdel", "passwd")).args(["--force", "--remove", name]));
}

fn quietly(command: &mut Command) {
    let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// Removes every account, group and rule with the prefix. Only who holds the lock may.
fn remove_accounts() {
    let _ = std::fs::remove_file(RULES);
    for (file, program) in [("/etc/passwd", "userdel"), ("/etc/group", "groupdel")] {
        let listed = std::fs::read_to_string(file).unwrap_or_default();
        let names = listed.lines().filter_map(|line| line.split(':').next());
        for name in names.filter(|name| name.starts_with(PREFIX)) {
            if program == "userdel" {
                remove_account(name);
            } else {
                quietly(Command::new(require(program, "passwd")).arg(name));
            }
        }
    }
    // An account that a test removed leaves its home, and may leave its crontab.
    for left in [HOMES, CRONTABS].into_iter().flat_map(std::fs::read_dir).flatten().flatten() {
        let name = left.file_name();
        if name.to_string_lossy().trim_start_matches("tmp.").starts_with(PREFIX) {
            let _ = std::fs::remove_file(left.path());
            let _ = std::fs::remove_dir_all(left.path());
        }
    }
}
