//! Ed25519 keys of a log in the text forms of C2SP signed-note, as the Go tools read and write them.

use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The signature type byte of Ed25519 in C2SP signed-note.
const ED25519: u8 = 1;

/// The start of a private key's text.
const PRIVATE: &str = "PRIVATE+KEY+";

/// Why a key cannot be made, read or kept. No message repeats key material.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The name cannot stand in a signature line.
    #[error(
        "the key name {0:?} is empty or has a space or a '+'; use a URL without scheme, such as log.example.com"
    )]
    Name(String),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes for a key: {0}")]
    Random(getrandom::Error),
    /// The text is not a key of the form that was expected.
    #[error("this is not a {expected} key of the form {form}: {why}")]
    Malformed {
        /// `signing` or `verifying`.
        expected: &'static str,
        /// The form, spelled out.
        form: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file cannot be read or written.
    #[error("the key file {path} cannot be {verb}: {source}")]
    File {
        /// The file.
        path: String,
        /// `read` or `written`.
        verb: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file can be read by others than its owner.
    #[error(
        "the key file {path} has mode {mode:o}; others can read it. Run chmod 600 on it, and consider a new key"
    )]
    Mode {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
}

/// The private key that signs checkpoints. Erased from memory when dropped; never shown.
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A new random key. The name should be the log's origin.
    ///
    /// # Errors
    /// [`KeyError::Name`] for a name that cannot stand in a signature line, [`KeyError::Random`] without random bytes.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        check_name(name)?;
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(KeyError::Random)?;
        Ok(SigningKey { name: name.to_owned(), key: ed25519_dalek::SigningKey::from_bytes(&seed) })
    }

    /// The private text form `PRIVATE+KEY+<name>+<key id>+<base64>`, as `golang.org/x/mod/sumdb/note` has it.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([ED25519; 33]);
        bytes[1..].copy_from_slice(self.key.as_bytes());
        let encoded = Zeroizing::new(BASE64.encode(bytes.as_slice()));
        // One buffer of the final size, so that growing it leaves no copy of the secret behind.
        let mut text =
            Zeroizing::new(String::with_capacity(PRIVATE.len() + self.name.len() + 10 + encoded.len()));
        for part in [PRIVATE, &self.name, "+", &hex::encode(self.verifying_key().id), "+", &encoded] {
            text.push_str(part);
        }
        text
    }

    /// Reads [`SigningKey::to_text`] back; white space around it is ignored.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] or [`KeyError::Name`].
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let malformed = |why| KeyError::Malformed {
            expected: "signing",
            form: "PRIVATE+KEY+<name>+<key id>+<base64>",
            why,
        };
        let rest = text
            .trim()
            .strip_prefix(PRIVATE)
            .ok_or_else(|| malformed("it does not start with PRIVATE+KEY+"))?;
        let (name, id, encoded) =
            split_three(rest).ok_or_else(|| malformed("it does not have three more parts"))?;
        check_name(name)?;
        let bytes =
            Zeroizing::new(BASE64.decode(encoded).map_err(|_| malformed("the last part is not base64"))?);
        let seed: &[u8; 32] = match bytes.split_first() {
            Some((&ED25519, seed)) => seed.try_into().map_err(|_| malformed("the key is not 32 bytes"))?,
            _ => return Err(malformed("the key is not of type Ed25519")),
        };
        let key = SigningKey { name: name.to_owned(), key: ed25519_dalek::SigningKey::from_bytes(seed) };
        if hex::encode(key.verifying_key().id) != id {
            return Err(malformed("the key id does not belong to this name and key"));
        }
        Ok(key)
    }

    /// Writes the private text form to a new file that only its owner can read (mode 0600), durably.
    ///
    /// # Errors
    /// [`KeyError::File`]; an existing file is never overwritten.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        let write = || -> std::io::Result<()> {
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(path)?;
            file.write_all(self.to_text().as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        };
        write().map_err(|source| KeyError::File { path: path.display().to_string(), verb: "written", source })
    }

    /// Reads a file of [`SigningKey::save`].
    ///
    /// # Errors
    /// [`KeyError::Mode`] when others than the owner may read the file, [`KeyError::File`], or as [`SigningKey::from_text`].
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File { path: path.display().to_string(), verb: "read", source };
        #[cfg(unix)]
        {
            let metadata = std::fs::metadata(path).map_err(failed)?;
            let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
            if mode & 0o077 != 0 {
                return Err(KeyError::Mode { path: path.display().to_string(), mode });
            }
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?);
        Self::from_text(&text)
    }

    /// The name in signature lines.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public half, to be handed to auditors.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey::new(self.name.clone(), self.key.verifying_key())
    }

    /// The signature line over a note's text, without its newline: em dash, name, base64 of key id and signature.
    pub(crate) fn signature_line(&self, text: &str) -> String {
        let mut bytes = self.verifying_key().id.to_vec();
        bytes.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        format!("\u{2014} {} {}", self.name, BASE64.encode(bytes))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({}, ..)", self.name)
    }
}

/// The public key by which anybody checks checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    id: [u8; 4],
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    fn new(name: String, key: ed25519_dalek::VerifyingKey) -> Self {
        let id = key_id(&name, key.as_bytes());
        VerifyingKey { name, id, key }
    }

    /// The text form `<name>+<key id>+<base64>` (a vkey).
    pub fn to_text(&self) -> String {
        let mut bytes = vec![ED25519];
        bytes.extend_from_slice(self.key.as_bytes());
        format!("{}+{}+{}", self.name, hex::encode(self.id), BASE64.encode(bytes))
    }

    /// Reads a vkey; white space around it is ignored.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] or [`KeyError::Name`].
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let malformed =
            |why| KeyError::Malformed { expected: "verifying", form: "<name>+<key id>+<base64>", why };
        if text.trim_start().starts_with(PRIVATE) {
            return Err(malformed("it is a private key, which auditors must not have"));
        }
        let (name, id, encoded) =
            split_three(text.trim()).ok_or_else(|| malformed("it does not have three parts"))?;
        check_name(name)?;
        let bytes = BASE64.decode(encoded).map_err(|_| malformed("the last part is not base64"))?;
        let key: &[u8; 32] = match bytes.split_first() {
            Some((&ED25519, key)) => key.try_into().map_err(|_| malformed("the key is not 32 bytes"))?,
            _ => return Err(malformed("the key is not of type Ed25519")),
        };
        let key = ed25519_dalek::VerifyingKey::from_bytes(key)
            .map_err(|_| malformed("the key is no curve point"))?;
        let key = VerifyingKey::new(name.to_owned(), key);
        if hex::encode(key.id) != id {
            return Err(malformed("the key id does not belong to this name and key"));
        }
        Ok(key)
    }

    /// The name in signature lines.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name and id, as messages name the key: `<name>+<key id>`.
    pub fn label(&self) -> String {
        format!("{}+{}", self.name, hex::encode(self.id))
    }

    /// The key id: the first four bytes of `SHA-256(name || 0x0A || type || key)`.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Whether `signature` (64 bytes, without the key id) is this key's over `text`.
    pub fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|s| self.key.verify_strict(text, &s).is_ok())
    }
}

/// The key id of C2SP signed-note, section "Signatures".
fn key_id(name: &str, key: &[u8; 32]) -> [u8; 4] {
    let mut hasher = Sha256::new();
    hasher.update(name.as_bytes());
    hasher.update([b'\n', ED25519]);
    hasher.update(key);
    let hash: [u8; 32] = hasher.finalize().into();
    [hash[0], hash[1], hash[2], hash[3]]
}

fn split_three(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('+')?;
    // Base64 may hold a '+', a name may not, so the last part is everything that is left.
    let (id, encoded) = rest.split_once('+')?;
    Some((name, id, encoded))
}

fn check_name(name: &str) -> Result<(), KeyError> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.contains(bad) { Err(KeyError::Name(name.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_and_a_wrong_id_is_refused() {
        let key = SigningKey::generate("log.example.com").expect("a key");
        let again = SigningKey::from_text(&key.to_text()).expect("reads back");
        assert_eq!(again.verifying_key(), key.verifying_key());
        let vkey = key.verifying_key().to_text();
        assert_eq!(VerifyingKey::from_text(&vkey).expect("reads back"), key.verifying_key());
        let renamed = vkey.replacen("log.", "lag.", 1);
        assert!(VerifyingKey::from_text(&renamed).is_err());
        assert!(
            VerifyingKey::from_text(&key.to_text()).is_err(),
            "a private key is not taken for a public one"
        );
        for bad in ["", "a b", "a+b", "a\nb"] {
            assert!(SigningKey::generate(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_no_key_material() {
        let key = SigningKey::generate("log.example.com").expect("a key");
        assert_eq!(format!("{key:?}"), "SigningKey(log.example.com, ..)");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_is_for_its_owner_only_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log.key");
        let key = SigningKey::generate("log.example.com").expect("a key");
        key.save(&path).expect("saved");
        assert_eq!(std::fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
        assert_eq!(SigningKey::load(&path).expect("loads").verifying_key(), key.verifying_key());
        assert!(matches!(key.save(&path), Err(KeyError::File { verb: "written", .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("chmod");
        assert!(matches!(SigningKey::load(&path), Err(KeyError::Mode { mode: 0o640, .. })));
    }
}
