//! The checker's own reading of signed checkpoints (C2SP signed-note and tlog-checkpoint).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::finding::Finding;
use crate::checkpoint::VerifyingKey;
use crate::hash::Hash;

/// What a checkpoint claims.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The log's identity.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Whether the auditor's key stands behind a claim.
pub enum Standing {
    /// Its signature is good.
    Signed,
    /// It has no signature there; these keys have.
    OtherKey(Vec<String>),
    /// Its signature is wrong.
    Bad,
}

/// Reads a note from `place`, and looks for the key's signature.
///
/// # Errors
/// [`Finding::CheckpointMalformed`].
pub fn read(text: &[u8], place: &str, key: &VerifyingKey) -> Result<(Claim, Standing), Finding> {
    let malformed = |why: &str| Finding::CheckpointMalformed { path: place.to_owned(), why: why.to_owned() };
    let text = std::str::from_utf8(text).map_err(|_| malformed("it is not UTF-8"))?;
    if text.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        return Err(malformed("it has control characters"));
    }
    // The signatures follow the last empty line; the signed text keeps its own last newline.
    let mut lines: Vec<&str> = text.split('\n').collect();
    if lines.pop() != Some("") {
        return Err(malformed("it does not end with a newline"));
    }
    let blank =
        lines.iter().rposition(|line| line.is_empty()).ok_or_else(|| malformed("it has no empty line"))?;
    let signed: usize = lines[..blank].iter().map(|line| line.len() + 1).sum();
    let claim = claim(&lines[..blank]).map_err(malformed)?;
    let mut others = Vec::new();
    let mut standing = None;
    for line in &lines[blank + 1..] {
        let words: Vec<&str> = line.split(' ').collect();
        let ["\u{2014}", name, encoded] = words[..] else {
            return Err(malformed("a line after the empty line is no signature"));
        };
        let bytes = BASE64.decode(encoded).map_err(|_| malformed("a signature is not base64"))?;
        let (id, signature) =
            bytes.split_first_chunk::<4>().ok_or_else(|| malformed("a signature is too short"))?;
        if name != key.name() || *id != key.id() {
            others.push(format!("{name}+{}", hex::encode(id)));
        } else if !key.verify(&text.as_bytes()[..signed], signature) {
            return Ok((claim, Standing::Bad));
        } else {
            standing = Some(Standing::Signed);
        }
    }
    if standing.is_none() && others.is_empty() {
        return Err(malformed("it has no signature"));
    }
    Ok((claim, standing.unwrap_or(Standing::OtherKey(others))))
}

fn claim(lines: &[&str]) -> Result<Claim, &'static str> {
    let [origin, size, root, extensions @ ..] = lines else { return Err("it has less than three lines") };
    if origin.is_empty() || extensions.iter().any(|line| line.is_empty()) {
        return Err("it has an empty line in its text");
    }
    let number: u64 = size.parse().map_err(|_| "its second line is not a tree size")?;
    if number.to_string() != **size {
        return Err("its second line is not a tree size in its only spelling");
    }
    let root = BASE64.decode(root).ok().and_then(|bytes| Hash::try_from(bytes).ok());
    let root = root.ok_or("its third line is not a root hash")?;
    Ok(Claim { origin: (*origin).to_owned(), size: number, root })
}
