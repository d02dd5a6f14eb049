//! Which certificates are accepted, and what a refused one means, for every connector that speaks TLS.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::ConnectError;
use crate::settings::Settings;

/// Trusts the named authority alone, or else whom this machine trusts.
///
/// # Errors
/// Where the file cannot be read or holds no certificate, or TLS cannot be used.
pub(crate) fn client_config(
    settings: &Settings,
    authority: Option<&Path>,
) -> Result<ClientConfig, ConnectError> {
    let mut roots = RootCertStore::empty();
    let mut configured = Vec::new();
    match authority {
        Some(path) => {
            let wrong = |problem: String| {
                settings.error("ca_certificate", format!("cannot read {}: {problem}", path.display()))
            };
            for certificate in
                CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?
            {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                configured.push(certificate.clone());
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("it holds no certificate".to_owned()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    // Named here, because a program with two providers would panic when asked for the default one.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = |error: &dyn std::fmt::Display| {
        settings.error("ca_certificate", format!("TLS cannot be used: {error}"))
    };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    let config = if configured.is_empty() {
        builder.with_root_certificates(roots).with_no_client_auth()
    } else {
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| unusable(&error))?;
        // What it accepts beside the usual is a certificate that the settings name, byte for byte.
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ConfiguredVerifier { authorities, configured }))
            .with_no_client_auth()
    };
    Ok(config)
}

/// Accepts whom the configured authorities signed; and a configured certificate itself where the server shows exactly
/// that one, although it is marked as an authority's: that is what `openssl req -x509` makes. Its dates and its names are
/// checked all the same.
#[derive(Debug)]
pub(crate) struct ConfiguredVerifier {
    pub authorities: Arc<WebPkiServerVerifier>,
    pub configured: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for ConfiguredVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let checked =
            self.authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match checked {
            // The dates come before this is looked at, so they are right; the names come after it.
            Err(rustls::Error::InvalidCertificate(problem))
                if is_authority_as_server(&problem) && self.configured.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            checked => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// The server shows a certificate that is marked as an authority's. The library hands this one on without a variant of
/// its own, under the name that it has in `webpki`.
fn is_authority_as_server(problem: &CertificateError) -> bool {
    matches!(problem, CertificateError::Other(cause) if format!("{:?}", cause.0) == "CaUsedAsEndEntity")
}

/// The certificate's problem, wherever it is in the chain of causes.
pub(crate) fn certificate_error<'error>(
    error: &'error (dyn Error + 'static),
) -> Option<&'error CertificateError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(problem)) = error.downcast_ref::<rustls::Error>() {
            return Some(problem);
        }
        // `io::Error` hides what it wraps from `source`.
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// What is wrong with the certificate and what to do, in words.
pub(crate) fn explain(problem: &CertificateError) -> String {
    match problem {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("it expired at {}; renew it on the server", instant(*not_after))
        }
        CertificateError::Expired => "it has expired; renew it on the server".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("it is valid only from {}; check both clocks", instant(*not_before))
        }
        CertificateError::NotValidYet => "it is not valid yet; check both clocks".to_owned(),
        CertificateError::UnknownIssuer => {
            "nobody we trust signed it; name the authority's certificate in `ca_certificate`".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "{problem}; use the name that the certificate was made for, or make one with this name in its \
                 subjectAltName"
            )
        }
        CertificateError::Revoked => "it was revoked".to_owned(),
        problem if is_authority_as_server(problem) => "it is marked as an authority's (CA:TRUE), as a plain `openssl req \
            -x509` makes it; give the server one of its own: add `-addext basicConstraints=critical,CA:FALSE -addext \
            subjectAltName=DNS:HOST` to that command, and name the new one in `ca_certificate`; an `ldap` system also \
            takes it as it is where `ca_certificate` is exactly this certificate"
            .to_owned(),
        other => other.to_string(),
    }
}

fn instant(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| "an unknown time".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_testing::certificates::Certificate;

    #[test]
    fn a_refused_certificate_says_what_to_do() {
        let not_after = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_577_923_200));
        let expired = CertificateError::ExpiredContext { time: UnixTime::now(), not_after };
        assert_eq!(explain(&expired), "it expired at 2020-01-02T00:00:00Z; renew it on the server");
        assert!(explain(&CertificateError::UnknownIssuer).contains("ca_certificate"));
    }

    #[test]
    fn a_configured_certificate_is_accepted_as_it_is_for_its_names_and_dates() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str| {
            let made =
                Certificate::self_signed(folder.path(), name, &["subjectAltName=DNS:ldap.example.com"]);
            CertificateDer::from_pem_file(made.certificate).unwrap()
        };
        let (ours, foreign) = (read("ours"), read("foreign"));
        let mut roots = RootCertStore::empty();
        roots.add(ours.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authorities =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let verifier = ConfiguredVerifier { authorities, configured: vec![ours.clone()] };
        let now = UnixTime::now().as_secs();
        let year = 365 * 24 * 3600;
        for (certificate, name, at, expected) in [
            (&ours, "ldap.example.com", now, ""),
            (&ours, "other.example.com", now, "make one with this name"),
            (&ours, "ldap.example.com", now + year, "it expired at"),
            (&ours, "ldap.example.com", now - year, "it is valid only from"),
            (&foreign, "ldap.example.com", now, "it is marked as an authority's (CA:TRUE)"),
        ] {
            let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at));
            let name = ServerName::try_from(name).unwrap();
            let said = match verifier.verify_server_cert(certificate, &[], &name, &[], at) {
                Ok(_) => String::new(),
                Err(rustls::Error::InvalidCertificate(problem)) => explain(&problem),
                Err(other) => panic!("{other:?}"),
            };
            assert!(
                said.contains(expected) && said.is_empty() == expected.is_empty(),
                "{name:?} {at:?}: {said}"
            );
        }
    }

    #[test]
    fn the_cause_is_found_inside_an_io_error() {
        let cause = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, cause);
        assert!(matches!(certificate_error(&error), Some(CertificateError::UnknownIssuer)));
        assert!(certificate_error(&std::io::Error::other("x")).is_none());
    }
}
