//! A real PostgreSQL server of Debian's package, with its own data folder, on a free port of 127.0.0.1.

use std::ffi::OsString;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::certificates::{Certificate, CertificateAuthority};
use crate::process::{ServerProcess, free_port, listens, new_folder};
use crate::programs::{is_root, require, succeed};

/// The superuser's password. Everything here is reachable from this machine only and is gone after the test.
pub const PASSWORD: &str = "adminpw";

/// A running server. Dropping it stops the server and removes its data.
#[derive(Debug)]
pub struct PostgresServer {
    process: ServerProcess,
    port: u16,
    authority: Option<CertificateAuthority>,
}

/// Names a folder of `initdb` and `postgres`, to test with another version than the installed one.
const PROGRAMS_VARIABLE: &str = "LEASEHOLD_TESTING_POSTGRES_PROGRAMS";

/// The folder of the newest installed server's programs.
fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os(PROGRAMS_VARIABLE) {
        return PathBuf::from(folder);
    }
    let newest = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .max();
    let version = newest.expect("PostgreSQL's server is not installed; run `apt-get install postgresql`");
    PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"))
}

/// The start of a command that runs as an ordinary user: PostgreSQL refuses to be root.
fn as_ordinary_user() -> Vec<OsString> {
    if !is_root() {
        return Vec::new();
    }
    let setpriv = require("setpriv", "util-linux");
    let mut command = vec![setpriv.into_os_string()];
    command.extend(["--reuid=postgres", "--regid=postgres", "--clear-groups"].map(OsString::from));
    command
}

fn command_of(words: &[OsString]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

fn give_to_ordinary_user(path: &Path) {
    if is_root() {
        succeed(Command::new("chown").arg("-R").arg("postgres:").arg(path));
    }
}

impl PostgresServer {
    /// Starts a new, empty server; log-ins need a password (scram-sha-256).
    ///
    /// # Panics
    /// Where PostgreSQL is not installed or does not start.
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// The same with TLS: `expired` says whether the server shows a certificate that has ended.
    ///
    /// # Panics
    /// Where PostgreSQL or `openssl` is not installed or does not start.
    pub fn start_with_tls(expired: bool) -> Self {
        Self::start_with(Some(expired))
    }

    /// The same with a certificate that the test made: `make` gets a folder for it.
    ///
    /// # Panics
    /// As [`PostgresServer::start_with_tls`].
    pub fn start_with_certificate(make: impl FnOnce(&Path) -> Certificate) -> Self {
        let folder = new_folder("postgres");
        let certificate = make(&folder.join("tls"));
        Self::start_in(folder, None, Some(certificate))
    }

    fn start_with(tls: Option<bool>) -> Self {
        let folder = new_folder("postgres");
        let authority = tls.map(|_| CertificateAuthority::create(&folder.join("tls")));
        let certificate = match (&authority, tls) {
            (Some(authority), Some(true)) => Some(authority.issue_expired("server")),
            (Some(authority), _) => Some(authority.issue("server", &[])),
            (None, _) => None,
        };
        Self::start_in(folder, authority, certificate)
    }

    fn start_in(
        folder: PathBuf,
        authority: Option<CertificateAuthority>,
        certificate: Option<Certificate>,
    ) -> Self {
        let data = folder.join("data");
        std::fs::write(folder.join("password"), PASSWORD).expect("write the password file");
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", folder.display()),
            // Nothing here has to survive a crash.
            "fsync=off".to_owned(),
            "synchronous_commit=off".to_owned(),
            "full_page_writes=off".to_owned(),
        ];
        if let Some(certificate) = &certificate {
            settings.push("ssl=on".to_owned());
            settings.push(format!("ssl_cert_file={}", certificate.certificate.display()));
            settings.push(format!("ssl_key_file={}", certificate.key.display()));
        }
        give_to_ordinary_user(&folder);

        let mut initialise = as_ordinary_user();
        initialise.push(programs().join("initdb").into_os_string());
        succeed(
            command_of(&initialise)
                .current_dir(&folder)
                .args(["-A", "scram-sha-256", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"])
                .args(["--no-sync", "--no-instructions", "-D"])
                .arg(&data)
                .arg(format!("--pwfile={}", folder.join("password").display())),
        );

        let port = free_port();
        let mut serve = as_ordinary_user();
        serve.push(programs().join("postgres").into_os_string());
        serve.extend([OsString::from("-D"), data.into(), "-p".into(), port.to_string().into()]);
        for setting in settings {
            serve.extend([OsString::from("-c"), setting.into()]);
        }
        let process = ServerProcess::start(&folder, &serve);
        let server = Self { process, port, authority };
        server.process.wait_until_ready(Duration::from_secs(60), || {
            listens(Ipv4Addr::LOCALHOST.into(), port)
                && server
                    .psql_command("postgres", PASSWORD, "postgres")
                    .arg("-c")
                    .arg("select")
                    .output()
                    .is_ok_and(|output| output.status.success())
        });
        server
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `postgres://USER@127.0.0.1:PORT/DATABASE`, without a password.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// The certificate authority of a server that was started with TLS.
    ///
    /// # Panics
    /// Where it was started without.
    pub fn authority(&self) -> &CertificateAuthority {
        self.authority.as_ref().expect("this server was started without TLS")
    }

    /// A file with the superuser's password.
    pub fn password_file(&self) -> PathBuf {
        self.process.folder().join("password")
    }

    /// Lets a role in from this machine without a password, as a host's own identity would.
    ///
    /// # Panics
    /// Where the server's rules cannot be changed, or do not count after a while.
    pub fn let_in_without_password(&self, user: &str) {
        let rules = self.folder().join("data/pg_hba.conf");
        let others = std::fs::read_to_string(&rules).expect("read the rules");
        std::fs::write(&rules, format!("host all {user} 127.0.0.1/32 trust\n{others}"))
            .expect("write the rules");
        self.sql("select pg_reload_conf()");
        let counts = format!("select count(*) from pg_hba_file_rules where '{user}' = any (user_name)");
        assert_eq!(self.sql(&counts), "1");
        // The rules count when the server's first process has taken notice, which it does between two log-ins.
        std::thread::sleep(Duration::from_millis(300));
    }

    /// A folder that goes with the server, for files of the test.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// What the server wrote so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    fn psql_command(&self, user: &str, password: &str, database: &str) -> Command {
        let mut command = Command::new(require("psql", "postgresql-client"));
        command
            .env("PGPASSWORD", password)
            .env("PGCONNECT_TIMEOUT", "10")
            .args(["--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "-v", "ON_ERROR_STOP=1"])
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", user, "-d", database]);
        command
    }

    /// Runs SQL as the superuser in the database `postgres` and gives what `psql` printed, without the last line break.
    ///
    /// # Panics
    /// Where `psql` fails.
    pub fn sql(&self, sql: &str) -> String {
        self.sql_in("postgres", sql)
    }

    /// Runs SQL as the superuser in a database.
    ///
    /// # Panics
    /// Where `psql` fails.
    pub fn sql_in(&self, database: &str, sql: &str) -> String {
        self.sql_as("postgres", PASSWORD, database, sql).unwrap_or_else(|error| panic!("{sql}\n{error}"))
    }

    /// Runs SQL as somebody.
    ///
    /// # Errors
    /// What `psql` wrote to its standard error.
    ///
    /// # Panics
    /// Where `psql` cannot be started.
    pub fn sql_as(&self, user: &str, password: &str, database: &str, sql: &str) -> Result<String, String> {
        // By standard input, because `-c` would run several statements as one transaction.
        let mut child = self
            .psql_command(user, password, database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start psql");
        let mut input = child.stdin.take().expect("psql's standard input");
        // A refused log-in closes the pipe early; the exit status tells.
        let _ = input.write_all(sql.as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("wait for psql");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Opens a `psql` session that stays until it is ended, and waits until the server lists it.
    ///
    /// # Panics
    /// Where it cannot log in.
    pub fn live_session(&self, user: &str, password: &str) -> Child {
        let quoted = user.replace('\'', "''");
        let count = format!("select count(*) from pg_stat_activity where usename = '{quoted}'");
        let before = self.sql(&count);
        let mut child = self
            .psql_command(user, password, "postgres")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start psql");
        self.process.wait_until_ready(Duration::from_secs(20), || {
            assert!(child.try_wait().expect("look at psql").is_none(), "psql ended: {child:?}");
            self.sql(&count) != before
        });
        child
    }
}
