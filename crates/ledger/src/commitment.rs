//! Salted commitments: a value stays outside the log, its commitment goes in, and erasing the value breaks no proof.
//!
//! The commitment is `SHA-256(DOMAIN || len(salt) || salt || len(value) || value)` with 64 bit big-endian lengths, written as
//! `sha256:<hex>`. The salt is random, so that a value from a small set (a name, a mail address) cannot be found by trying all of them;
//! whoever erases a value erases its salt too.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

/// Separates these hashes from every other use of SHA-256.
const DOMAIN: &[u8] = b"leasehold-ledger/commitment/v1\0";

/// Length of a salt in bytes.
pub const SALT_BYTES: usize = 32;

/// The random part of a commitment. Kept beside the value, never in the log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Salt([u8; SALT_BYTES]);

/// Why a salt cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum SaltError {
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes for a salt: {0}")]
    Random(getrandom::Error),
    /// The text is not 64 hexadecimal digits. The text itself is not repeated, because a salt is a secret.
    #[error("a salt is {} hexadecimal digits, this text is not", SALT_BYTES * 2)]
    Malformed,
}

impl Salt {
    /// A new random salt.
    ///
    /// # Errors
    /// [`SaltError::Random`] when the operating system gives no random bytes.
    pub fn generate() -> Result<Self, SaltError> {
        let mut bytes = [0; SALT_BYTES];
        getrandom::fill(&mut bytes).map_err(SaltError::Random)?;
        Ok(Salt(bytes))
    }

    /// A salt from known bytes.
    pub fn from_bytes(bytes: [u8; SALT_BYTES]) -> Self {
        Salt(bytes)
    }

    /// The hexadecimal form, to be stored beside the value.
    pub fn to_text(&self) -> String {
        hex::encode(self.0)
    }

    /// Reads [`Salt::to_text`] back.
    ///
    /// # Errors
    /// [`SaltError::Malformed`] when the text is not 64 hexadecimal digits.
    pub fn from_text(text: &str) -> Result<Self, SaltError> {
        let mut bytes = [0; SALT_BYTES];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| SaltError::Malformed)?;
        Ok(Salt(bytes))
    }
}

impl Drop for Salt {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(..)")
    }
}

impl TryFrom<String> for Salt {
    type Error = SaltError;

    fn try_from(text: String) -> Result<Self, SaltError> {
        Salt::from_text(&Zeroizing::new(text))
    }
}

impl From<Salt> for String {
    fn from(salt: Salt) -> String {
        salt.to_text()
    }
}

/// The commitment to `value`, as it stands in an entry: `sha256:<hex>`.
pub fn commit(salt: &Salt, value: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(DOMAIN);
    for part in [&salt.0[..], value.as_bytes()] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    format!("sha256:{}", hex::encode(hasher.finalize()))
}

/// What opens a commitment: whoever has it can check that the entry meant this value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The salt of the commitment.
    pub salt: Salt,
    /// The value that was committed to; personal data as a rule.
    pub value: String,
}

impl Opening {
    /// Whether this opening belongs to that commitment.
    pub fn matches(&self, commitment: &str) -> bool {
        commit(&self.salt, &self.value) == commitment
    }
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opening(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commitment_binds_salt_and_value() {
        let salt = Salt::from_bytes([7; SALT_BYTES]);
        let commitment = commit(&salt, "ada@example.com");
        let opening = Opening { salt: salt.clone(), value: "ada@example.com".into() };
        assert!(opening.matches(&commitment));
        assert!(!Opening { salt, value: "ada@example.org".into() }.matches(&commitment));
        let other =
            Opening { salt: Salt::generate().expect("random bytes"), value: "ada@example.com".into() };
        assert!(!other.matches(&commitment));
        assert_eq!(commitment, expected_from_parts());
    }

    /// The documented layout, spelled out byte for byte.
    fn expected_from_parts() -> String {
        let mut message = b"leasehold-ledger/commitment/v1\0".to_vec();
        message.extend([0, 0, 0, 0, 0, 0, 0, 32]);
        message.extend([7; 32]);
        message.extend([0, 0, 0, 0, 0, 0, 0, 15]);
        message.extend(b"ada@example.com");
        format!("sha256:{}", hex::encode(Sha256::digest(message)))
    }

    #[test]
    fn openings_travel_as_json_and_never_show_in_debug() {
        let opening = Opening { salt: Salt::from_bytes([0xab; SALT_BYTES]), value: "ada@example.com".into() };
        let json = serde_json::to_string(&opening).expect("serialises");
        assert_eq!(serde_json::from_str::<Opening>(&json).expect("reads back"), opening);
        let shown = format!("{opening:?} {:?}", opening.salt);
        assert!(!shown.contains("ada") && !shown.contains("ab"), "{shown}");
        assert!(serde_json::from_str::<Opening>(r#"{"salt":"zz","value":"x"}"#).is_err());
    }
}
