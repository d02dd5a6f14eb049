//! Signed checkpoints: the C2SP tlog-checkpoint text in a C2SP signed-note.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::hash::{HASH_BYTES, Hash};
pub use crate::key::{KeyError, SigningKey, VerifyingKey};

/// A note longer than this is refused unread; 16 signatures of any kind fit well.
const NOTE_BYTES_MAX: usize = 256 * 1024;

/// What a log says about itself at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's identity, such as `log.example.com/leasehold`.
    pub origin: String,
    /// How many entries the tree has.
    pub size: u64,
    /// The root hash at that size.
    pub root: Hash,
    /// Extension lines; none as a rule, because monitors cannot audit them.
    pub extensions: Vec<String>,
}

/// A checkpoint and the signed note that carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// The whole note, as it stands in the file `checkpoint`.
    pub text: String,
}

/// Why a note is not a checkpoint signed by the given key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CheckpointError {
    /// The note does not have the form of C2SP signed-note or tlog-checkpoint.
    #[error("this is not a signed checkpoint: {0}")]
    Malformed(&'static str),
    /// None of the signatures is of the given key.
    #[error("the checkpoint is not signed by {expected}; it is signed by {}", list(.found))]
    OtherKey {
        /// The given key's name and id.
        expected: String,
        /// The names and ids of the keys that signed.
        found: Vec<String>,
    },
    /// A signature claims to be of the given key and is not.
    #[error("the signature of {key} on the checkpoint is wrong; the text was changed after it was signed")]
    BadSignature {
        /// The given key's name and id.
        key: String,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

impl Checkpoint {
    /// The text that is signed.
    pub fn to_body(&self) -> String {
        let mut body = format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root));
        for line in &self.extensions {
            body.push_str(line);
            body.push('\n');
        }
        body
    }

    /// Signs the checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`] when origin or an extension line is empty or holds a control character.
    pub fn sign(&self, key: &SigningKey) -> Result<SignedCheckpoint, CheckpointError> {
        for line in std::iter::once(&self.origin).chain(&self.extensions) {
            if line.is_empty() || line.contains(|c: char| c.is_ascii_control()) {
                return Err(CheckpointError::Malformed("a line is empty or has a control character"));
            }
        }
        let body = self.to_body();
        let text = format!("{body}\n{}\n", key.signature_line(&body));
        Ok(SignedCheckpoint { checkpoint: self.clone(), text })
    }

    /// Reads a note and checks the key's signature. Signatures of other keys are left alone, as the note format demands.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn parse_and_verify(text: &str, key: &VerifyingKey) -> Result<SignedCheckpoint, CheckpointError> {
        let (body, signatures) = split_note(text)?;
        let checkpoint = parse_body(body)?;
        let expected = || format!("{}+{}", key.name(), hex::encode(key.id()));
        let mut found = Vec::new();
        let mut verified = false;
        for line in signatures.lines() {
            let (name, bytes) = parse_signature(line)?;
            let (id, signature) = bytes.split_at(4);
            if name != key.name() || id != key.id() {
                found.push(format!("{name}+{}", hex::encode(id)));
            } else if key.verify(body.as_bytes(), signature) {
                verified = true;
            } else {
                return Err(CheckpointError::BadSignature { key: expected() });
            }
        }
        if !verified {
            return Err(CheckpointError::OtherKey { expected: expected(), found });
        }
        Ok(SignedCheckpoint { checkpoint, text: text.to_owned() })
    }

    /// Reads a note without looking at its signatures: the writer its own files, or somebody who only wants to say what a note claims.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`].
    pub fn parse_unverified(text: &str) -> Result<SignedCheckpoint, CheckpointError> {
        let (body, _) = split_note(text)?;
        Ok(SignedCheckpoint { checkpoint: parse_body(body)?, text: text.to_owned() })
    }
}

/// Splits a note into its text, with the last newline, and its signature lines.
fn split_note(text: &str) -> Result<(&str, &str), CheckpointError> {
    let malformed = CheckpointError::Malformed;
    if text.len() > NOTE_BYTES_MAX {
        return Err(malformed("it is longer than 256 KiB"));
    }
    if text.contains(|c: char| c.is_ascii_control() && c != '\n') {
        return Err(malformed("it has control characters"));
    }
    let blank = text.rfind("\n\n").ok_or(malformed("it has no blank line before the signatures"))?;
    let (body, signatures) = (&text[..=blank], &text[blank + 2..]);
    if signatures.is_empty() || !signatures.ends_with('\n') {
        return Err(malformed("it has no complete signature line"));
    }
    Ok((body, signatures))
}

fn parse_signature(line: &str) -> Result<(&str, Vec<u8>), CheckpointError> {
    let malformed = CheckpointError::Malformed("a signature line is not '\u{2014} <name> <base64>'");
    let parts = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' '));
    let Some((name, encoded)) = parts else { return Err(malformed) };
    match BASE64.decode(encoded) {
        Ok(bytes) if !name.is_empty() && bytes.len() > 4 => Ok((name, bytes)),
        _ => Err(malformed),
    }
}

fn parse_body(body: &str) -> Result<Checkpoint, CheckpointError> {
    let malformed = CheckpointError::Malformed;
    let mut lines = body.lines();
    let origin = lines.next().filter(|line| !line.is_empty()).ok_or(malformed("it has no origin line"))?;
    let size = lines.next().and_then(parse_size).ok_or(malformed("its second line is not a tree size"))?;
    let root =
        lines.next().and_then(|line| BASE64.decode(line).ok()).and_then(|bytes| Hash::try_from(bytes).ok());
    let root = root.ok_or(malformed("its third line is not a root hash"))?;
    let extensions: Vec<String> = lines.map(str::to_owned).collect();
    if extensions.iter().any(String::is_empty) {
        return Err(malformed("it has an empty extension line"));
    }
    Ok(Checkpoint { origin: origin.to_owned(), size, root, extensions })
}

/// A decimal number without sign and leading zeros.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) { None } else { text.parse().ok() }
}

/// Standard base64 of a hash.
pub(crate) fn encode_hash(hash: &Hash) -> String {
    BASE64.encode(hash)
}

/// A hash from standard base64.
pub(crate) fn decode_hash(text: &str) -> Option<Hash> {
    let bytes = BASE64.decode(text).ok().filter(|bytes| bytes.len() == HASH_BYTES)?;
    Hash::try_from(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (SigningKey, Checkpoint) {
        let key = SigningKey::generate("log.example.com").expect("a key");
        let origin = "log.example.com".to_owned();
        (key, Checkpoint { origin, size: 7, root: [9; 32], extensions: vec!["kept".into()] })
    }

    #[test]
    fn a_checkpoint_reads_back_among_other_signatures() {
        let (key, checkpoint) = example();
        let other = SigningKey::generate("witness.example.com").expect("a key");
        let mut signed = checkpoint.sign(&key).expect("signed");
        signed.text.push_str(&other.signature_line(&checkpoint.to_body()));
        signed.text.push('\n');
        for key in [key.verifying_key(), other.verifying_key()] {
            assert_eq!(
                Checkpoint::parse_and_verify(&signed.text, &key).expect("verifies").checkpoint,
                checkpoint
            );
        }
    }

    #[test]
    fn each_fault_has_its_name() {
        let (key, checkpoint) = example();
        let text = checkpoint.sign(&key).expect("signed").text;
        let vkey = key.verifying_key();
        let changed = text.replacen("\n7\n", "\n8\n", 1);
        assert!(matches!(
            Checkpoint::parse_and_verify(&changed, &vkey),
            Err(CheckpointError::BadSignature { .. })
        ));
        let same_name = SigningKey::generate("log.example.com").expect("a key").verifying_key();
        assert!(matches!(
            Checkpoint::parse_and_verify(&text, &same_name),
            Err(CheckpointError::OtherKey { .. })
        ));
        for bad in [
            String::new(),
            text.replace("\n\n", "\n"),
            text.replacen("\n7\n", "\n07\n", 1),
            text.replacen("\n7\n", "\n+7\n", 1),
            text.replace("kept\n", "\n"),
            text.replace('\u{2014}', "-"),
            text.trim_end().to_owned(),
            text.replacen('\n', "\r\n", 1),
        ] {
            let result = Checkpoint::parse_and_verify(&bad, &vkey);
            assert!(matches!(result, Err(CheckpointError::Malformed(_))), "{bad:?} gave {result:?}");
        }
    }
}
