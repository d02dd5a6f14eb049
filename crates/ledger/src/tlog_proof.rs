//! The C2SP tlog-proof text: one entry's index, inclusion proof and checkpoint, for tools of other makers (`.tlog-proof` files).

use crate::checkpoint::{
    Checkpoint, CheckpointError, SignedCheckpoint, VerifyingKey, decode_hash, encode_hash, parse_size,
};
use crate::hash::{Hash, leaf_hash};
use crate::proof::{ProofError, verify_inclusion};

/// The first line of the text.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The most hashes that a proof in a tree of 64 bit size has.
const HASHES_MAX: usize = 64;

/// A proof that an entry is in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// The entry's index.
    pub index: u64,
    /// Its inclusion proof, from the leaf's sibling upwards.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

/// Why a text is not a proof of the given entry.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TlogProofError {
    /// The text does not have the form of C2SP tlog-proof.
    #[error("this is not a tlog-proof: {0}")]
    Malformed(&'static str),
    /// The checkpoint does not hold.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The inclusion proof does not hold for this entry.
    #[error("the entry is not proved: {0}")]
    Proof(#[from] ProofError),
}

impl TlogProof {
    /// The text of the proof.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\nindex {}\n", self.index);
        for hash in &self.hashes {
            text.push_str(&encode_hash(hash));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads the text of a proof. An `extra` line is passed over, because nothing vouches for it.
    ///
    /// # Errors
    /// [`TlogProofError::Malformed`].
    pub fn from_text(text: &str) -> Result<Self, TlogProofError> {
        let malformed = TlogProofError::Malformed;
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(malformed("it has no blank line before the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(malformed("its first line is not c2sp.org/tlog-proof@v1"));
        }
        lines.next_if(|line| line.starts_with("extra "));
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(parse_size);
        let index = index.ok_or(malformed("it has no index line"))?;
        let hashes: Option<Vec<Hash>> = lines.take(HASHES_MAX + 1).map(decode_hash).collect();
        let hashes = hashes.ok_or(malformed("a line of the inclusion proof is not a hash"))?;
        if hashes.len() > HASHES_MAX {
            return Err(malformed("it has more hashes than any tree needs"));
        }
        Ok(TlogProof { index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// Checks that `entry` is in the log that `key` signs for.
    ///
    /// # Errors
    /// [`TlogProofError`].
    pub fn verify(&self, entry: &[u8], key: &VerifyingKey) -> Result<SignedCheckpoint, TlogProofError> {
        let signed = Checkpoint::parse_and_verify(&self.checkpoint, key)?;
        let Checkpoint { size, root, .. } = &signed.checkpoint;
        verify_inclusion(&leaf_hash(entry), self.index, *size, &self.hashes, root)?;
        Ok(signed)
    }
}
