//! A real OpenLDAP server of Debian's package with the overlays that companies use, on free ports of 127.0.0.1.

use std::ffi::OsString;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::certificates::{Certificate, CertificateAuthority};
use crate::lie::Lie;
use crate::process::{ServerProcess, free_port, listens, new_folder};
use crate::programs::require;

/// The suffix of the directory.
pub const BASE: &str = "dc=example,dc=com";
/// May do anything.
pub const ADMIN: &str = "cn=admin,dc=example,dc=com";
/// A service account that may write everything and read `cn=monitor`: what a connector would be given.
pub const CONNECTOR: &str = "cn=leasehold,dc=example,dc=com";
/// May read everything, but no more than five entries in one search, pages or not.
pub const LIMITED: &str = "cn=limited,dc=example,dc=com";
/// The password of all three.
pub const PASSWORD: &str = "adminpw";

/// How the server is set up.
#[derive(Debug, Clone, Copy)]
pub struct OpenLdapOptions {
    /// With the password policy overlay and a default policy that locks out.
    pub password_policy: bool,
    /// With a certificate that has ended.
    pub expired_certificate: bool,
    /// With a certificate that is signed by itself and marked as an authority's: what a plain `openssl req -x509` makes.
    pub self_signed: bool,
    /// Access rules (slapd.access(5)) that come before the others.
    pub access: &'static str,
}

impl Default for OpenLdapOptions {
    fn default() -> Self {
        Self { password_policy: true, expired_certificate: false, self_signed: false, access: "" }
    }
}

/// A running server. Dropping it stops the server and removes its data.
#[derive(Debug)]
pub struct OpenLdapServer {
    process: ServerProcess,
    port: u16,
    tls_port: u16,
    authority: CertificateAuthority,
    certificate: Certificate,
}

impl OpenLdapServer {
    /// Starts a new server with the suffix, `ou=people`, `ou=groups` and three service accounts.
    ///
    /// # Panics
    /// Where slapd or `openssl` is not installed or does not start.
    pub fn start() -> Self {
        Self::start_with(OpenLdapOptions::default())
    }

    /// The same with other options.
    ///
    /// # Panics
    /// As [`OpenLdapServer::start`].
    pub fn start_with(options: OpenLdapOptions) -> Self {
        let folder = new_folder("openldap");
        let authority = CertificateAuthority::create(&folder.join("tls"));
        let certificate = if options.self_signed {
            Certificate::self_signed(&folder.join("tls"), "server", &["subjectAltName=IP:127.0.0.1"])
        } else if options.expired_certificate {
            authority.issue_expired("server")
        } else {
            authority.issue("server", &[])
        };
        std::fs::create_dir(folder.join("db")).expect("make the database's folder");
        let configuration = folder.join("slapd.conf");
        let mut text = CONFIGURATION.to_owned();
        if options.password_policy {
            text = text.replace("#POLICY-MODULE ", "").replace("#POLICY ", "");
        }
        let text = text
            .replace("#ACCESS", options.access)
            .replace("FOLDER", &folder.display().to_string())
            .replace("AUTHORITY", &authority.certificate().display().to_string())
            .replace("CERTIFICATE", &certificate.certificate.display().to_string())
            .replace("KEY", &certificate.key.display().to_string());
        std::fs::write(&configuration, text).expect("write slapd.conf");

        let (port, tls_port) = (free_port(), free_port());
        let listen = format!("ldap://127.0.0.1:{port} ldaps://127.0.0.1:{tls_port}");
        let command: Vec<OsString> = vec![
            require("slapd", "slapd").into(),
            // With a debug level, even this one, slapd stays in the foreground.
            "-d0".into(),
            "-f".into(),
            configuration.into(),
            "-h".into(),
            listen.into(),
        ];
        let process = ServerProcess::start(&folder, &command);
        process.wait_until_ready(Duration::from_secs(30), || {
            let here = Ipv4Addr::LOCALHOST.into();
            listens(here, port) && listens(here, tls_port)
        });
        let server = Self { process, port, tls_port, authority, certificate };
        server.add(INITIAL);
        if options.password_policy {
            server.add(INITIAL_POLICY);
        }
        server
    }

    /// `ldap://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    /// `ldaps://127.0.0.1:PORT`.
    pub fn tls_url(&self) -> String {
        format!("ldaps://127.0.0.1:{}", self.tls_port)
    }

    /// The authority that signed the server's certificate.
    pub fn authority(&self) -> &CertificateAuthority {
        &self.authority
    }

    /// The server's own certificate.
    pub fn certificate(&self) -> &Path {
        &self.certificate.certificate
    }

    /// How somebody in front of it lies.
    pub fn lie(&self) -> Lie {
        Lie::ldap(&self.certificate, &self.authority, Ipv4Addr::LOCALHOST.into())
    }

    /// A folder that goes with the server, for files of the test.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// A file with the password of the service accounts.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn password_file(&self) -> PathBuf {
        let path = self.process.folder().join("password");
        std::fs::write(&path, PASSWORD).expect("write the password file");
        path
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
        // The relax control lets a test set operational attributes, such as a lock's time.
        let arguments = ["-e", "relax"];
        send_ldif(program, &self.url(), ADMIN, PASSWORD, &arguments, None, ldif);
    }

    /// Every value of one attribute over the entries that `filter` finds below `base`, in `ldapsearch`'s order.
    ///
    /// # Panics
    /// Where `ldapsearch` fails.
    pub fn values(&self, base: &str, filter: &str, attribute: &str) -> Vec<String> {
        search_values(&self.url(), ADMIN, PASSWORD, None, base, filter, attribute)
    }

    /// Opens a session that stays bound until it is ended, and waits until the server lists it.
    ///
    /// # Panics
    /// Where it cannot log in.
    pub fn live_session(&self, dn: &str, password: &str) -> Child {
        let mut command = Command::new(require("ldapsearch", "ldap-utils"));
        command.args(["-x", "-H", &self.url(), "-D", dn, "-w", password, "-b", BASE]);
        // It searches for each line of its standard input, and waits for the next one.
        command.args(["-f", "-", "(cn=%s)", "cn"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start ldapsearch");
        self.process.wait_until_ready(Duration::from_secs(20), || {
            assert!(child.try_wait().expect("look at ldapsearch").is_none(), "ldapsearch ended");
            self.connected().iter().any(|who| who.eq_ignore_ascii_case(dn))
        });
        child
    }

    /// Who is connected now, by the DN that each connection is bound as.
    pub fn connected(&self) -> Vec<String> {
        let bound = "(monitorConnectionAuthzDN=*)";
        self.values("cn=Connections,cn=Monitor", bound, "monitorConnectionAuthzDN")
    }

    /// Whether somebody can log in.
    ///
    /// # Panics
    /// Where `ldapwhoami` cannot be started.
    pub fn can_bind(&self, dn: &str, password: &str) -> bool {
        let mut command = Command::new(require("ldapwhoami", "ldap-utils"));
        command.args(["-x", "-H", &self.url(), "-D", dn, "-w", password]);
        command.output().expect("run ldapwhoami").status.success()
    }
}

/// Sends LDIF with one of the target's own clients. `authority` is the certificate to trust, for TLS.
///
/// # Panics
/// Where the client fails, with what it wrote.
pub fn send_ldif(
    program: &str,
    url: &str,
    dn: &str,
    password: &str,
    arguments: &[&str],
    authority: Option<&Path>,
    ldif: &str,
) {
    let mut command = Command::new(require(program, "ldap-utils"));
    command.args(["-x", "-H", url, "-D", dn, "-w", password]).args(arguments);
    trust(&mut command, authority);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the LDIF client");
    let mut input = child.stdin.take().expect("the client's standard input");
    let _ = input.write_all(ldif.as_bytes());
    drop(input);
    let output = child.wait_with_output().expect("wait for the LDIF client");
    assert!(output.status.success(), "{program}: {}\n{ldif}", String::from_utf8_lossy(&output.stderr));
}

/// Every value of one attribute that `ldapsearch` shows, decoded from base64 where it was sent so.
///
/// # Panics
/// Where `ldapsearch` fails.
pub fn search_values(
    url: &str,
    dn: &str,
    password: &str,
    authority: Option<&Path>,
    base: &str,
    filter: &str,
    attribute: &str,
) -> Vec<String> {
    let mut command = Command::new(require("ldapsearch", "ldap-utils"));
    command.args(["-x", "-LLL", "-o", "ldif-wrap=no", "-H", url, "-D", dn, "-w", password]);
    command.args(["-b", base, filter, attribute]);
    trust(&mut command, authority);
    let text = crate::programs::succeed(&mut command);
    let plain = format!("{attribute}: ").to_ascii_lowercase();
    let encoded = format!("{attribute}:: ").to_ascii_lowercase();
    text.lines()
        .filter_map(|line| {
            let folded = line.to_ascii_lowercase();
            if folded.starts_with(&plain) {
                Some(line[plain.len()..].to_owned())
            } else if folded.starts_with(&encoded) {
                Some(decode_base64(&line[encoded.len()..]))
            } else {
                None
            }
        })
        .collect()
}

fn trust(command: &mut Command, authority: Option<&Path>) {
    if let Some(authority) = authority {
        command.env("LDAPTLS_CACERT", authority);
    }
}

fn decode_base64(text: &str) -> String {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for sextet in text.bytes().filter_map(value) {
        bits = (bits << 6 | u32::from(sextet)) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const CONFIGURATION: &str = r#"
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
pidfile FOLDER/pid
argsfile FOLDER/arguments
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload back_monitor
moduleload memberof
moduleload refint
#POLICY-MODULE moduleload ppolicy
TLSCACertificateFile AUTHORITY
TLSCertificateFile CERTIFICATE
TLSCertificateKeyFile KEY
database monitor
access to * by dn.exact="cn=admin,dc=example,dc=com" read by dn.exact="cn=leasehold,dc=example,dc=com" read by * none
database mdb
suffix dc=example,dc=com
directory FOLDER/db
maxsize 268435456
rootdn cn=admin,dc=example,dc=com
rootpw adminpw
lastbind on
index objectClass,uid,cn,member,memberOf,uniqueMember,memberUid,entryUUID eq
limits dn.exact="cn=leasehold,dc=example,dc=com" size=unlimited
limits dn.exact="cn=limited,dc=example,dc=com" size.soft=5 size.hard=5 size.prtotal=5
#ACCESS
access to attrs=userPassword by dn.exact="cn=leasehold,dc=example,dc=com" write by self write by anonymous auth by * none
access to * by dn.exact="cn=leasehold,dc=example,dc=com" manage by users read by * none
overlay memberof
memberof-refint TRUE
overlay refint
refint_attributes member uniqueMember manager
#POLICY overlay ppolicy
#POLICY ppolicy_default cn=default,ou=policies,dc=example,dc=com
"#;

const INITIAL: &str = "dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups

dn: cn=leasehold,dc=example,dc=com
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: leasehold
userPassword: adminpw

dn: cn=limited,dc=example,dc=com
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: limited
userPassword: adminpw
";

const INITIAL_POLICY: &str = "dn: ou=policies,dc=example,dc=com
objectClass: organizationalUnit
ou: policies

dn: cn=default,ou=policies,dc=example,dc=com
objectClass: device
objectClass: pwdPolicy
cn: default
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 3
";
