//! One message of the tree, a leaf or a node, in the padded blocks of SHA-256 (FIPS 180-4, section 5).

use super::{HASH_BYTES, Hash};

/// Bytes that SHA-256 takes at a time.
pub const BLOCK_BYTES: usize = 64;

/// One block.
pub type Block = [u8; BLOCK_BYTES];

/// The initial state of SHA-256 (FIPS 180-4, section 5.3.3).
pub const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A message on its way through SHA-256: `head`, then `middle` borrowed from the entry, then the padded `tail`.
pub struct Message<'a> {
    head: Block,
    head_blocks: usize,
    middle: &'a [Block],
    tail: [Block; 2],
    tail_blocks: usize,
}

impl<'a> Message<'a> {
    /// A message of no blocks, to be filled.
    pub const NONE: Self = Message {
        head: [0; BLOCK_BYTES],
        head_blocks: 0,
        middle: &[],
        tail: [[0; BLOCK_BYTES]; 2],
        tail_blocks: 0,
    };

    /// `0x00 || entry`.
    pub fn leaf(entry: &'a [u8]) -> Self {
        let mut message = Message::NONE;
        message.fill_leaf(entry);
        message
    }

    /// Becomes `0x00 || entry`, in place, because a message is too large to be moved about for every entry.
    #[inline]
    pub fn fill_leaf(&mut self, entry: &'a [u8]) {
        // With the prefix byte, the first block takes 63 bytes of the entry; the blocks after it are the entry's own bytes, uncopied.
        if let Some((first, rest)) = entry.split_first_chunk::<{ BLOCK_BYTES - 1 }>() {
            self.head[0] = 0;
            self.head[1..].copy_from_slice(first);
            self.head_blocks = 1;
            let (middle, remainder) = rest.as_chunks();
            self.middle = middle;
            self.pad(0, remainder, entry.len() + 1);
        } else {
            self.head_blocks = 0;
            self.middle = &[];
            self.pad(1, entry, entry.len() + 1);
        }
    }

    /// `0x01 || left || right`.
    pub fn node(left: &Hash, right: &Hash) -> Self {
        let mut message = Message::NONE;
        message.head[0] = 1;
        message.head[1..33].copy_from_slice(left);
        message.head[33..].copy_from_slice(&right[..31]);
        message.head_blocks = 1;
        message.pad(0, &right[31..], 2 * HASH_BYTES + 1);
        message
    }

    /// Fills the last one or two blocks of a message of `total` bytes that ends in so many zeros and in `rest` (FIPS 180-4, section
    /// 5.1.1). Both together are shorter than one block.
    #[inline]
    fn pad(&mut self, zeros: usize, rest: &[u8], total: usize) {
        let used = zeros + rest.len();
        self.tail = [[0; BLOCK_BYTES]; 2];
        self.tail[0][zeros..used].copy_from_slice(rest);
        self.tail[0][used] = 0x80;
        self.tail_blocks = if used + 9 <= BLOCK_BYTES { 1 } else { 2 };
        let length = (total as u64 * 8).to_be_bytes();
        self.tail[self.tail_blocks - 1][BLOCK_BYTES - 8..].copy_from_slice(&length);
    }

    /// How many blocks it has.
    #[inline]
    pub fn blocks(&self) -> usize {
        self.head_blocks + self.middle.len() + self.tail_blocks
    }

    /// One of its blocks.
    #[inline]
    pub fn block(&self, block: usize) -> &Block {
        if block < self.head_blocks {
            return &self.head;
        }
        let block = block - self.head_blocks;
        match self.middle.get(block) {
            Some(block) => block,
            None => &self.tail[block - self.middle.len()],
        }
    }
}

/// The hash that a final state stands for.
#[inline]
pub fn hash_of(state: [u32; 8]) -> Hash {
    let mut hash = [0; HASH_BYTES];
    for (bytes, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    hash
}
