//! The secret of a webhook, and signatures with it: HMAC-SHA256 over id, instant and body (Standard Webhooks,
//! "symmetric" scheme, version 1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::error::WebError;
use crate::seal::SealKey;

pub(super) const PREFIX: &str = "whsec_";
/// The specification wants 24 to 64.
const SECRET_BYTES: usize = 32;

/// A secret. No part of it is shown by accident.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret([u8; SECRET_BYTES]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret")
    }
}

/// What a secret is sealed for: what was sealed for one webhook opens for no other.
fn purpose(webhook: &str) -> String {
    format!("webhook secret {webhook}")
}

impl Secret {
    /// A secret that nobody knows.
    ///
    /// # Errors
    /// [`WebError::Internal`] where the machine gives no randomness.
    pub(crate) fn generate() -> Result<Self, WebError> {
        let mut bytes = [0_u8; SECRET_BYTES];
        getrandom::fill(&mut bytes).map_err(WebError::internal)?;
        Ok(Self(bytes))
    }

    /// As the receiver is given it, once.
    pub(crate) fn to_text(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(self.0))
    }

    /// Sealed, for the store.
    ///
    /// # Errors
    /// [`WebError::Internal`] where the machine gives no randomness.
    pub(crate) fn sealed(&self, key: &SealKey, webhook: &str) -> Result<String, WebError> {
        key.seal(&purpose(webhook), &self.0)
    }

    /// Opened again; `None` where it was sealed with another key, or for another webhook.
    pub(crate) fn opened(key: &SealKey, webhook: &str, sealed: &str) -> Option<Self> {
        key.open(&purpose(webhook), sealed).map(Self)
    }

    /// The signature of one message.
    pub(crate) fn sign(&self, id: &str, at_s: i64, body: &str) -> String {
        // A key of any length is one.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(format!("{id}.{at_s}.").as_bytes());
        mac.update(body.as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_that_openssl_makes() {
        // printf 'msg_1.1700000000.{"a":1}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102…1f -binary | base64
        let secret = Secret(std::array::from_fn(|position| position as u8));
        assert_eq!(
            secret.sign("msg_1", 1_700_000_000, r#"{"a":1}"#),
            "v1,AMaOha7DUT/0J0JMycRuYOBSvbx3WtwLd2khXXbaVj4="
        );
        assert_eq!(secret.to_text(), "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn a_sealed_secret_opens_for_its_webhook_only() {
        let key = SealKey::generate().unwrap();
        let secret = Secret::generate().unwrap();
        let sealed = secret.sealed(&key, "one").unwrap();
        assert_eq!(Secret::opened(&key, "one", &sealed), Some(secret.clone()));
        assert_eq!(Secret::opened(&key, "two", &sealed), None);
        assert_ne!(Secret::generate().unwrap(), secret);
    }
}
