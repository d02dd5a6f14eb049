//! A real MariaDB server of Debian's package, with its own data folder, on a free port of 127.0.0.1.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::certificates::CertificateAuthority;
use crate::process::{ServerProcess, free_port, new_folder};
use crate::programs::{is_root, require, succeed};

/// The password of `root`. Everything here is reachable from this machine only and is gone after the test.
pub const PASSWORD: &str = "adminpw";

/// A running server. Dropping it stops the server and removes its data.
#[derive(Debug)]
pub struct MariadbServer {
    process: ServerProcess,
    port: u16,
    authority: CertificateAuthority,
}

impl MariadbServer {
    /// Starts a new server; `root` logs in by password from 127.0.0.1, by TLS or without.
    ///
    /// # Panics
    /// Where MariaDB or `openssl` is not installed or does not start.
    pub fn start() -> Self {
        Self::start_with(false)
    }

    /// The same with a certificate that has ended, where `expired` says so.
    ///
    /// # Panics
    /// As [`MariadbServer::start`].
    pub fn start_with(expired: bool) -> Self {
        let folder = new_folder("mariadb");
        let authority = CertificateAuthority::create(&folder.join("tls"));
        let certificate =
            if expired { authority.issue_expired("server") } else { authority.issue("server", &[]) };
        std::fs::write(folder.join("password"), PASSWORD).expect("write the password file");
        // A server that starts removes what it takes for another one's left temporary tables, so each has a folder of its own.
        let temporary = folder.join("temporary");
        std::fs::create_dir(&temporary).expect("make the folder for temporary tables");
        if is_root() {
            // The server refuses to be root.
            succeed(Command::new("chown").arg("-R").arg("mysql:").arg(&folder));
        }
        let data = folder.join("data");
        let as_user = |command: &mut Command| {
            if is_root() {
                command.arg("--user=mysql");
            }
        };
        let mut install = Command::new(require("mariadb-install-db", "mariadb-server"));
        install.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
        install.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        as_user(&mut install);
        succeed(install.env("TMPDIR", &temporary));

        let port = free_port();
        let mut serve: Vec<OsString> =
            vec![require("mariadbd", "mariadb-server").into(), "--no-defaults".into()];
        if is_root() {
            serve.push("--user=mysql".into());
        }
        for setting in [
            format!("--datadir={}", data.display()),
            format!("--tmpdir={}", temporary.display()),
            format!("--socket={}", folder.join("socket").display()),
            format!("--pid-file={}", folder.join("pid").display()),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--port={port}"),
            "--skip-name-resolve".to_owned(),
            // Nothing here has to survive a crash.
            "--innodb-flush-log-at-trx-commit=0".to_owned(),
            "--innodb-buffer-pool-size=8M".to_owned(),
            format!("--ssl-ca={}", authority.certificate().display()),
            format!("--ssl-cert={}", certificate.certificate.display()),
            format!("--ssl-key={}", certificate.key.display()),
        ] {
            serve.push(setting.into());
        }
        let process = ServerProcess::start(&folder, &serve);
        let server = Self { process, port, authority };
        server.process.wait_until_ready(Duration::from_secs(60), || {
            let mut ping = server.command("root", "");
            ping.args(["-e", "select 1"]).output().is_ok_and(|output| output.status.success())
        });
        let secure = format!(
            "delete from mysql.global_priv where user = '' or host = 'localhost.localdomain';
             alter user root@'127.0.0.1' identified by '{PASSWORD}'; flush privileges;"
        );
        server.sql_as("root", "", &secure).expect("give root a password");
        server
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `mariadb://USER@127.0.0.1:PORT`, without a password.
    pub fn url(&self, user: &str) -> String {
        format!("mariadb://{user}@127.0.0.1:{}", self.port)
    }

    /// The authority of the server's certificate.
    pub fn authority(&self) -> &CertificateAuthority {
        &self.authority
    }

    /// A file with root's password.
    pub fn password_file(&self) -> PathBuf {
        self.process.folder().join("password")
    }

    /// A folder that goes with the server, for files of the test.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    fn command(&self, user: &str, password: &str) -> Command {
        let mut command = Command::new(require("mariadb", "mariadb-client"));
        command.env("MYSQL_PWD", password).args(["--no-defaults", "--batch", "--raw", "--skip-column-names"]);
        // Whatever the locale of this machine is.
        command.arg("--default-character-set=utf8mb4").args([
            "--protocol=tcp",
            "-h",
            "127.0.0.1",
            "-P",
            &self.port.to_string(),
            "-u",
            user,
        ]);
        command
    }

    /// Runs SQL as root and gives what the client printed, without the last line break.
    ///
    /// # Panics
    /// Where the client fails.
    pub fn sql(&self, sql: &str) -> String {
        self.sql_as("root", PASSWORD, sql).unwrap_or_else(|error| panic!("{sql}\n{error}"))
    }

    /// Runs SQL as somebody.
    ///
    /// # Errors
    /// What the client wrote to its standard error.
    ///
    /// # Panics
    /// Where the client cannot be started.
    pub fn sql_as(&self, user: &str, password: &str, sql: &str) -> Result<String, String> {
        let mut child = self
            .command(user, password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the client");
        let mut input = child.stdin.take().expect("the client's standard input");
        // A refused log-in closes the pipe early; the exit status tells.
        let _ = input.write_all(sql.as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("wait for the client");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Opens a session that stays until it is ended, and waits until the server lists it. What is written to its standard
    /// input is run.
    ///
    /// # Panics
    /// Where it cannot log in.
    pub fn live_session(&self, user: &str, password: &str) -> Child {
        let mut child = self
            .command(user, password)
            .arg("--unbuffered")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the client");
        let count = format!("select count(*) from information_schema.processlist where user = '{user}'");
        self.process.wait_until_ready(Duration::from_secs(20), || {
            assert!(child.try_wait().expect("look at the client").is_none(), "the client ended: {child:?}");
            self.sql(&count) != "0"
        });
        child
    }
}
