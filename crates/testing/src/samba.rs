//! A real Active Directory domain controller (Samba) with nothing but its directory service, on a loopback address of
//! its own: the directory's ports cannot be chosen, so the address is.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::certificates::{Certificate, CertificateAuthority};
use crate::lie::Lie;
use crate::openldap::{search_values, send_ldif};
use crate::process::{ServerProcess, listens, new_folder};
use crate::programs::{is_root, require, succeed};

/// The domain's naming context.
pub const BASE: &str = "DC=ad,DC=example,DC=com";
/// The domain's administrator.
pub const ADMIN: &str = "Administrator@ad.example.com";
/// The administrator's password.
pub const PASSWORD: &str = "Passw0rd!23";

/// A running domain controller. Dropping it stops the server and removes its data.
#[derive(Debug)]
pub struct SambaServer {
    process: ServerProcess,
    address: IpAddr,
    authority: CertificateAuthority,
    certificate: Certificate,
}

/// An address of 127.0.0.0/8 on whose LDAP ports nobody listens. The process id spreads parallel test processes.
fn free_address() -> Ipv4Addr {
    let start = std::process::id();
    (0..250_u32)
        .map(|step| {
            let number = start.wrapping_add(step.wrapping_mul(7919));
            let [_, high, low, _] = (number << 8).to_be_bytes();
            Ipv4Addr::new(127, 77, high, low.clamp(2, 250))
        })
        .find(|address| [389, 636].iter().all(|port| std::net::TcpListener::bind((*address, *port)).is_ok()))
        .expect("no loopback address has its LDAP ports free; binding them also needs root")
}

impl SambaServer {
    /// Provisions a new domain and starts its controller. Takes about 40 seconds.
    ///
    /// # Panics
    /// Where Samba is not installed, this process is not root, or it does not start.
    pub fn start() -> Self {
        assert!(
            is_root(),
            "Samba's domain controller listens on ports 389 and 636 and must be started by root"
        );
        let folder = new_folder("samba");
        let address = free_address();
        let authority = CertificateAuthority::create(&folder.join("tls"));
        let certificate = authority.issue("dc1.ad.example.com", &[&address.to_string()]);
        let provision = require("samba-tool", "samba samba-ad-provision samba-dsdb-modules python3-markdown");
        let option = |text: String| format!("--option={text}");
        succeed(
            Command::new(provision)
                .args(["domain", "provision", "--realm=AD.EXAMPLE.COM", "--domain=AD", "--server-role=dc"])
                .args(["--dns-backend=NONE", "--host-name=dc1", "--use-rfc2307"])
                .arg(format!("--adminpass={PASSWORD}"))
                .arg(format!("--host-ip={address}"))
                .arg(format!("--targetdir={}", folder.display()))
                .arg(option(format!("interfaces={address}/8")))
                .arg(option("bind interfaces only=yes".to_owned()))
                .arg(option("server services=ldap".to_owned()))
                .arg(option(format!("tls certfile={}", certificate.certificate.display())))
                .arg(option(format!("tls keyfile={}", certificate.key.display())))
                .arg(option(format!("tls cafile={}", authority.certificate().display()))),
        );
        let command: Vec<OsString> = vec![
            require("samba", "samba").into(),
            "--foreground".into(),
            // Its children then stay in the group that ends with the guard.
            "--no-process-group".into(),
            "--debug-stdout".into(),
            "-s".into(),
            folder.join("etc/smb.conf").into(),
            // A second server on this machine would else take this one for itself.
            option(format!("pid directory={}", folder.display())).into(),
        ];
        let process = ServerProcess::start(&folder, &command);
        process.wait_until_ready(Duration::from_secs(120), || listens(address.into(), 636));
        Self { process, address: address.into(), authority, certificate }
    }

    /// `ldaps://ADDRESS:636`.
    pub fn tls_url(&self) -> String {
        format!("ldaps://{}:636", self.address)
    }

    /// The authority that signed the server's certificate.
    pub fn authority(&self) -> &CertificateAuthority {
        &self.authority
    }

    /// How somebody in front of it lies.
    pub fn lie(&self) -> Lie {
        Lie::ldap(&self.certificate, &self.authority, self.address)
    }

    /// A folder that goes with the server, for files of the test.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// A file with the administrator's password.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn password_file(&self) -> PathBuf {
        let path = self.process.folder().join("password");
        std::fs::write(&path, PASSWORD).expect("write the password file");
        path
    }

    /// Makes a user that logs in with a password; `more` are further lines of its entry.
    ///
    /// # Panics
    /// Where `ldapadd` fails.
    pub fn add_user(&self, login: &str, password: &str, more: &str) {
        // The directory wants the password in quotes, as UTF-16.
        let quoted: Vec<u8> = format!("\"{password}\"").encode_utf16().flat_map(u16::to_le_bytes).collect();
        let path = self.process.folder().join("password-of-user");
        std::fs::write(&path, quoted).expect("write the password");
        self.add(&format!(
            "dn: CN={login},CN=Users,{BASE}\nobjectClass: user\nsAMAccountName: {login}\nuserAccountControl: 512\n\
             unicodePwd:< file://{}\n{more}\n",
            path.display()
        ));
    }

    /// Adds entries as LDIF with `ldapadd`.
    ///
    /// # Panics
    /// Where `ldapadd` fails.
    pub fn add(&self, ldif: &str) {
        self.ldif("ldapadd", ldif);
    }

    /// Changes entries as LDIF with `ldapmodify`.
    ///
    /// # Panics
    /// Where `ldapmodify` fails.
    pub fn modify(&self, ldif: &str) {
        self.ldif("ldapmodify", ldif);
    }

    fn ldif(&self, program: &str, ldif: &str) {
        let authority = self.authority.certificate();
        send_ldif(program, &self.tls_url(), ADMIN, PASSWORD, &[], Some(&authority), ldif);
    }

    /// Every value of one attribute over the entries that `filter` finds, in `ldapsearch`'s order.
    ///
    /// # Panics
    /// Where `ldapsearch` fails.
    pub fn values(&self, base: &str, filter: &str, attribute: &str) -> Vec<String> {
        let authority = self.authority.certificate();
        search_values(&self.tls_url(), ADMIN, PASSWORD, Some(&authority), base, filter, attribute)
    }

    /// Whether somebody can log in.
    ///
    /// # Panics
    /// Where `ldapwhoami` cannot be started.
    pub fn can_bind(&self, name: &str, password: &str) -> bool {
        let mut command = Command::new(require("ldapsearch", "ldap-utils"));
        command.env("LDAPTLS_CACERT", self.authority.certificate());
        command.args(["-x", "-H", &self.tls_url(), "-D", name, "-w", password]);
        command.args(["-s", "base", "-b", BASE, "dn"]);
        command.output().expect("run ldapsearch").status.success()
    }

    /// Somebody who has logged in, and stays.
    ///
    /// # Panics
    /// Where they cannot.
    pub fn live_connection(&self, name: &str, password: &str) -> LiveConnection {
        // It searches for each line of its standard input; without a terminal it would keep its answers to itself.
        let mut command = Command::new(require("stdbuf", "coreutils"));
        command.args([
            "-oL",
            "ldapsearch",
            "-x",
            "-H",
            &self.tls_url(),
            "-D",
            name,
            "-w",
            password,
            "-b",
            BASE,
        ]);
        command.args(["-f", "-", "(sAMAccountName=%s)", "sAMAccountName"]);
        command.env("LDAPTLS_CACERT", self.authority.certificate());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start ldapsearch");
        let (asking, answers) =
            (child.stdin.take().expect("its input"), child.stdout.take().expect("its output"));
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(answers).lines().map_while(Result::ok);
            lines.filter(|line| line.starts_with("sAMAccountName: ")).try_for_each(|line| tell.send(line))
        });
        let mut connection = LiveConnection { child, asking, told: Mutex::new(told) };
        assert!(connection.is_answered(), "{name} cannot log in");
        connection
    }
}

/// A connection that somebody has logged in by. Dropping it closes it.
#[derive(Debug)]
pub struct LiveConnection {
    child: Child,
    asking: ChildStdin,
    // Whoever holds it may be looked at by several threads.
    told: Mutex<Receiver<String>>,
}

impl LiveConnection {
    /// Whether the directory still answers whoever has it.
    pub fn is_answered(&mut self) -> bool {
        writeln!(self.asking, "Administrator").and_then(|()| self.asking.flush()).is_ok()
            && self.told.get_mut().is_ok_and(|told| told.recv_timeout(Duration::from_secs(10)).is_ok())
    }
}

impl Drop for LiveConnection {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}
