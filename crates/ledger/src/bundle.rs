//! The offline proof bundle: entries with their proofs, a signed checkpoint, and openings of commitments, in one JSON file.
//!
//! Whoever has the bundle and the log's public key needs neither the log nor the database to check it. The key for that comes from the
//! auditor; the one in the bundle only says what to ask for.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, CheckpointError, VerifyingKey, decode_hash, encode_hash};
use crate::commitment::Opening;
use crate::entry::Entry;
use crate::error::Error;
use crate::hash::{Hash, leaf_hash};
use crate::proof::{ProofError, verify_consistency, verify_inclusion};
use crate::tlog_proof::TlogProof;
use crate::view::View;

/// The only format so far.
const FORMAT: &str = "leasehold-ledger/bundle/v1";

/// Entries and what proves them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Names this format.
    pub format: String,
    /// The public key that the log says is its own. Not trusted.
    pub vkey: String,
    /// The signed checkpoint that the proofs lead to, verbatim.
    pub checkpoint: String,
    /// An older checkpoint, and the proof that the log still begins with what it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// The entries.
    pub entries: Vec<ProvedEntry>,
}

/// An older checkpoint, such as the one at the beginning of the audited period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
    /// The consistency proof in base64.
    pub proof: Vec<String>,
}

/// An entry with its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvedEntry {
    /// Its index in the log.
    pub index: u64,
    /// Its exact bytes in base64.
    pub entry: String,
    /// Its inclusion proof in base64, from the leaf's sibling upwards.
    pub proof: Vec<String>,
    /// What opens its commitments, by name. Absent for what was erased or is not for this reader.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub openings: BTreeMap<String, Opening>,
}

/// What a bundle proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The checkpoint that everything leads to.
    pub checkpoint: Checkpoint,
    /// The older checkpoint that it was proved to continue.
    pub previous: Option<Checkpoint>,
    /// The entries.
    pub entries: Vec<VerifiedEntry>,
}

/// An entry that was proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEntry {
    /// Its index.
    pub index: u64,
    /// Its exact bytes.
    pub bytes: Vec<u8>,
    /// The event, when the bytes are one.
    pub entry: Option<Entry>,
    /// The names of the commitments that were opened with the right value.
    pub opened: Vec<String>,
}

/// What is wrong with a bundle.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Finding {
    /// The bundle is of another format.
    #[error("the bundle has the format {found:?}, this program reads {FORMAT:?}")]
    Format {
        /// The format it names.
        found: String,
    },
    /// The key in the bundle is not the auditor's.
    #[error(
        "the bundle names the key {found}, you trust {expected}; ask the log's operator out of band which is right"
    )]
    KeyDiffers {
        /// The vkey in the bundle.
        found: String,
        /// The auditor's vkey.
        expected: String,
    },
    /// A checkpoint does not hold.
    #[error("the {which} checkpoint: {source}")]
    Checkpoint {
        /// `current` or `previous`.
        which: &'static str,
        /// Why.
        source: CheckpointError,
    },
    /// The older checkpoint is of another log.
    #[error("the previous checkpoint is of the log {found:?}, the current one of {expected:?}")]
    OriginDiffers {
        /// The origin of the previous one.
        found: String,
        /// The origin of the current one.
        expected: String,
    },
    /// The current checkpoint does not continue the older one.
    #[error(
        "history was rewritten: the log of {new} entries does not begin with the {old} entries signed before: {source}"
    )]
    HistoryRewritten {
        /// The older size.
        old: u64,
        /// The current size.
        new: u64,
        /// Why.
        source: ProofError,
    },
    /// Bytes or hashes are not base64.
    #[error("{place} is not base64 of the right length")]
    Encoding {
        /// What part.
        place: String,
    },
    /// An entry is not proved.
    #[error("entry {index} is not in the log as given: {source}")]
    NotIncluded {
        /// Its index.
        index: u64,
        /// Why.
        source: ProofError,
    },
    /// Openings are given for an entry that has no commitments that could be read.
    #[error("entry {index} has openings, but its bytes are no entry with commitments")]
    NoCommitments {
        /// Its index.
        index: u64,
    },
    /// An opening does not belong to the commitment.
    #[error("entry {index}: the value given for {name:?} is not the one that was committed to")]
    Opening {
        /// Its index.
        index: u64,
        /// The commitment's name.
        name: String,
    },
}

impl Bundle {
    /// Proves entries of a published log, each with the openings that this reader may have. With `previous`, an older signed
    /// checkpoint, it also proves that the log continues it.
    ///
    /// # Errors
    /// [`Error`] when an index is not published or a tile cannot be read; [`Error::Checkpoint`] when `previous` is not a checkpoint.
    pub fn build(
        view: &View,
        key: &VerifyingKey,
        entries: impl IntoIterator<Item = (u64, BTreeMap<String, Opening>)>,
        previous: Option<&str>,
    ) -> Result<Self, Error> {
        let size = view.len();
        let mut proved = Vec::new();
        for (index, openings) in entries {
            let entry = BASE64.encode(view.entry(index)?);
            let proof = encode(&view.inclusion_proof(index, size)?);
            proved.push(ProvedEntry { index, entry, proof, openings });
        }
        let previous = previous.map(|text| -> Result<Previous, Error> {
            let old = Checkpoint::parse_unverified(text)
                .map_err(|source| Error::Checkpoint { path: "the previous checkpoint".into(), source })?;
            let proof = encode(&view.consistency_proof(old.checkpoint.size, size)?);
            Ok(Previous { checkpoint: text.to_owned(), proof })
        });
        Ok(Bundle {
            format: FORMAT.to_owned(),
            vkey: key.to_text(),
            checkpoint: view.published().text.clone(),
            previous: previous.transpose()?,
            entries: proved,
        })
    }

    /// The JSON of the bundle.
    ///
    /// # Errors
    /// What the JSON writer says; there is no input known that brings it about.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// Reads the JSON of a bundle, without checking what it claims.
    ///
    /// # Errors
    /// What the JSON reader says.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The C2SP tlog-proof texts, one for each entry, with their indexes.
    ///
    /// # Errors
    /// [`Finding::Encoding`] when a proof is not base64.
    pub fn to_tlog_proofs(&self) -> Result<Vec<(u64, String)>, Finding> {
        let one = |entry: &ProvedEntry| {
            let hashes = decode(&entry.proof, || format!("the proof of entry {}", entry.index))?;
            let proof = TlogProof { index: entry.index, hashes, checkpoint: self.checkpoint.clone() };
            Ok((entry.index, proof.to_text()))
        };
        self.entries.iter().map(one).collect()
    }

    /// Checks everything in the bundle against the auditor's key. Needs no log and no database.
    ///
    /// # Errors
    /// Every [`Finding`]; a bundle with any finding proves nothing.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Report, Vec<Finding>> {
        let mut findings = Vec::new();
        if self.format != FORMAT {
            return Err(vec![Finding::Format { found: self.format.clone() }]);
        }
        if self.vkey != key.to_text() {
            findings.push(Finding::KeyDiffers { found: self.vkey.clone(), expected: key.to_text() });
        }
        let current = match Checkpoint::parse_and_verify(&self.checkpoint, key) {
            Ok(signed) => signed.checkpoint,
            Err(source) => {
                findings.push(Finding::Checkpoint { which: "current", source });
                return Err(findings);
            }
        };
        let previous =
            self.previous.as_ref().and_then(|p| p.verify(key, &current).map_err(|f| findings.push(f)).ok());
        let mut entries = Vec::new();
        for entry in &self.entries {
            match entry.verify(&current) {
                Ok(verified) => entries.push(verified),
                Err(finding) => findings.push(finding),
            }
        }
        if findings.is_empty() {
            Ok(Report { checkpoint: current, previous, entries })
        } else {
            Err(findings)
        }
    }
}

impl Previous {
    fn verify(&self, key: &VerifyingKey, current: &Checkpoint) -> Result<Checkpoint, Finding> {
        let old = Checkpoint::parse_and_verify(&self.checkpoint, key)
            .map_err(|source| Finding::Checkpoint { which: "previous", source })?
            .checkpoint;
        if old.origin != current.origin {
            return Err(Finding::OriginDiffers { found: old.origin, expected: current.origin.clone() });
        }
        let proof = decode(&self.proof, || "the consistency proof".to_owned())?;
        verify_consistency(old.size, &old.root, current.size, &current.root, &proof)
            .map_err(|source| Finding::HistoryRewritten { old: old.size, new: current.size, source })?;
        Ok(old)
    }
}

impl ProvedEntry {
    fn verify(&self, current: &Checkpoint) -> Result<VerifiedEntry, Finding> {
        let index = self.index;
        let bytes = BASE64
            .decode(&self.entry)
            .map_err(|_| Finding::Encoding { place: format!("the bytes of entry {index}") })?;
        let proof = decode(&self.proof, || format!("the proof of entry {index}"))?;
        verify_inclusion(&leaf_hash(&bytes), index, current.size, &proof, &current.root)
            .map_err(|source| Finding::NotIncluded { index, source })?;
        let entry = Entry::from_bytes(&bytes).ok();
        let mut opened = Vec::new();
        for (name, opening) in &self.openings {
            let entry = entry.as_ref().ok_or(Finding::NoCommitments { index })?;
            match entry.commitments.get(name) {
                Some(commitment) if opening.matches(commitment) => opened.push(name.clone()),
                _ => return Err(Finding::Opening { index, name: name.clone() }),
            }
        }
        Ok(VerifiedEntry { index, bytes, entry, opened })
    }
}

fn encode(proof: &[Hash]) -> Vec<String> {
    proof.iter().map(encode_hash).collect()
}

fn decode(proof: &[String], place: impl Fn() -> String) -> Result<Vec<Hash>, Finding> {
    proof
        .iter()
        .map(|text| decode_hash(text))
        .collect::<Option<_>>()
        .ok_or_else(|| Finding::Encoding { place: place() })
}
