//! A certificate authority of the test's own, made with `openssl`: good, expired and foreign server certificates.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::{require, succeed};

/// A certificate authority in a folder.
#[derive(Debug, Clone)]
pub struct CertificateAuthority {
    folder: PathBuf,
}

/// A server's certificate and key, as PEM files.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Certificate {
    /// What a plain `openssl req -x509` makes, good for a month: signed by itself, and marked as an authority's, where
    /// the further extensions do not say otherwise.
    ///
    /// # Panics
    /// Where `openssl` fails.
    pub fn self_signed(folder: &Path, name: &str, extensions: &[&str]) -> Self {
        std::fs::create_dir_all(folder).expect("make the certificate's folder");
        let made = Self {
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}-key.pem")),
        };
        let mut request = openssl(folder);
        request
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "30", "-subj", &format!("/CN={name}")])
            .arg("-keyout")
            .arg(&made.key)
            .arg("-out")
            .arg(&made.certificate);
        for extension in extensions {
            request.args(["-addext", extension]);
        }
        succeed(&mut request);
        made
    }
}

fn openssl(folder: &Path) -> Command {
    let mut command = Command::new(require("openssl", "openssl"));
    command.current_dir(folder);
    command
}

impl CertificateAuthority {
    /// Makes a new authority with its key in `folder`.
    ///
    /// # Panics
    /// Where `openssl` fails.
    pub fn create(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("make the authority's folder");
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        succeed(openssl(folder).args(["req", "-x509"]).args(key).args([
            "-days",
            "30",
            "-subj",
            "/CN=Leasehold test authority",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout",
            "ca-key.pem",
            "-out",
            "ca.pem",
        ]));
        for (name, content) in [("index.txt", ""), ("serial", "01\n"), ("ca.cnf", CA_SETTINGS)] {
            std::fs::write(folder.join(name), content).expect("write the authority's files");
        }
        Self { folder: folder.to_owned() }
    }

    /// The authority's own certificate, for clients to trust.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A server certificate for `localhost`, 127.0.0.1 and `addresses` that is good for a month from yesterday.
    ///
    /// # Panics
    /// Where `openssl` fails.
    pub fn issue(&self, name: &str, addresses: &[&str]) -> Certificate {
        self.issue_between(name, addresses, None)
    }

    /// The same, but it ended on 2 January 2020 at midnight UTC.
    ///
    /// # Panics
    /// Where `openssl` fails.
    pub fn issue_expired(&self, name: &str) -> Certificate {
        self.issue_between(name, &[], Some(("20200101000000Z", "20200102000000Z")))
    }

    fn issue_between(&self, name: &str, addresses: &[&str], dates: Option<(&str, &str)>) -> Certificate {
        let alternatives: String =
            addresses.iter().map(|address| format!(",IP:{address}")).collect::<Vec<_>>().concat();
        let extensions = format!(
            "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n\
             subjectAltName=DNS:localhost,IP:127.0.0.1{alternatives}\n"
        );
        let file = |suffix: &str| format!("{name}{suffix}");
        std::fs::write(self.folder.join(file(".ext")), extensions).expect("write extensions");
        succeed(
            openssl(&self.folder)
                .args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
                .args(["-subj", &format!("/CN={name}")])
                .args(["-keyout", &file("-key.pem"), "-out", &file(".csr")]),
        );
        // `openssl ca` and not `openssl x509`, because only it takes an end in the past.
        let mut sign = openssl(&self.folder);
        sign.args(["ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.pem"])
            .args(["-keyfile", "ca-key.pem", "-extfile", &file(".ext")])
            .args(["-in", &file(".csr"), "-out", &file(".pem")]);
        match dates {
            Some((start, end)) => sign.args(["-startdate", start, "-enddate", end]),
            None => sign.args(["-days", "30"]),
        };
        succeed(&mut sign);
        Certificate { certificate: self.folder.join(file(".pem")), key: self.folder.join(file("-key.pem")) }
    }
}

const CA_SETTINGS: &str = "[ca]\ndefault_ca = test\n[test]\ndatabase = index.txt\nserial = serial\n\
    new_certs_dir = .\ndefault_md = sha256\npolicy = any\nunique_subject = no\n[any]\ncommonName = supplied\n";
