//! Sealing: what must be read again later, but not by whoever reads the store or the browser's cookies.

use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::WebError;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// The key that seals. Several servers on one store share it.
#[derive(Clone)]
pub struct SealKey(XChaCha20Poly1305);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SealKey")
    }
}

impl SealKey {
    /// A key that nobody else has, and that is gone with this value.
    ///
    /// # Errors
    /// Where the machine gives no randomness.
    pub fn generate() -> std::io::Result<Self> {
        Ok(Self::of(&random()?))
    }

    /// The key in a file; made, readable by its owner only, where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read or made, or does not hold a key.
    pub fn at(path: &Path) -> std::io::Result<Self> {
        let in_place =
            |error: std::io::Error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let mut open = std::fs::OpenOptions::new();
        open.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
        match open.open(path) {
            Ok(mut file) => {
                let bytes = random()?;
                file.write_all(hex::encode(bytes).as_bytes()).map_err(in_place)?;
                file.sync_all().map_err(in_place)?;
                Ok(Self::of(&bytes))
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let text = std::fs::read_to_string(path).map_err(in_place)?;
                let mut bytes = [0_u8; KEY_BYTES];
                hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| {
                    let what =
                        "this is not a key: 64 hexadecimal digits are wanted; restore the file from a copy";
                    in_place(std::io::Error::new(std::io::ErrorKind::InvalidData, what))
                })?;
                Ok(Self::of(&bytes))
            }
            Err(error) => Err(in_place(error)),
        }
    }

    fn of(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(XChaCha20Poly1305::new(&(*bytes).into()))
    }

    /// Seals a value for one purpose.
    ///
    /// # Errors
    /// [`WebError::Internal`] where the machine gives no randomness.
    pub(crate) fn seal(&self, purpose: &str, value: &impl Serialize) -> Result<String, WebError> {
        let mut nonce = [0_u8; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(WebError::internal)?;
        let text = serde_json::to_vec(value).map_err(WebError::internal)?;
        let payload = Payload { msg: &text, aad: purpose.as_bytes() };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).map_err(WebError::internal)?;
        Ok(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens what was sealed for this purpose; `None` where it was not, or not with this key.
    pub(crate) fn open<T: DeserializeOwned>(&self, purpose: &str, sealed: &str) -> Option<T> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
        let payload = Payload { msg: sealed, aad: purpose.as_bytes() };
        let text = self.0.decrypt(&XNonce::from(nonce), payload).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

fn random() -> std::io::Result<[u8; KEY_BYTES]> {
    let mut bytes = [0_u8; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_purpose_only() {
        let key = SealKey::generate().unwrap();
        let sealed = key.seal("one", &"hidden").unwrap();
        assert!(!sealed.contains("hidden"));
        assert_eq!(key.open::<String>("one", &sealed).as_deref(), Some("hidden"));
        assert_eq!(key.open::<String>("two", &sealed), None);
        assert_eq!(SealKey::generate().unwrap().open::<String>("one", &sealed), None);
        let mut changed = sealed.into_bytes();
        changed[40] = if changed[40] == b'A' { b'B' } else { b'A' };
        assert_eq!(key.open::<String>("one", std::str::from_utf8(&changed).unwrap()), None);
        assert_eq!(key.open::<String>("one", ""), None);
    }

    #[test]
    fn a_key_in_a_file_is_private_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.key");
        let sealed = SealKey::at(&path).unwrap().seal("one", &1).unwrap();
        assert_eq!(SealKey::at(&path).unwrap().open::<i32>("one", &sealed), Some(1));
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, "short").unwrap();
        let error = SealKey::at(&path).unwrap_err().to_string();
        assert!(error.contains("server.key") && error.contains("64 hexadecimal"), "{error}");
    }
}
