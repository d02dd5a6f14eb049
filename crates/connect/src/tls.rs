//! What a refused certificate means, for every connector that speaks TLS.

use std::error::Error;

use jiff::Timestamp;
use rustls::CertificateError;
use rustls::pki_types::UnixTime;

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
            format!("{problem}; use the name that the certificate was made for")
        }
        CertificateError::Revoked => "it was revoked".to_owned(),
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

    #[test]
    fn a_refused_certificate_says_what_to_do() {
        let not_after = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_577_923_200));
        let expired = CertificateError::ExpiredContext { time: UnixTime::now(), not_after };
        assert_eq!(explain(&expired), "it expired at 2020-01-02T00:00:00Z; renew it on the server");
        assert!(explain(&CertificateError::UnknownIssuer).contains("ca_certificate"));
    }

    #[test]
    fn the_cause_is_found_inside_an_io_error() {
        let cause = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, cause);
        assert!(matches!(certificate_error(&error), Some(CertificateError::UnknownIssuer)));
        assert!(certificate_error(&std::io::Error::other("x")).is_none());
    }
}
