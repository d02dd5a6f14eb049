//! Sixteen messages at once: each takes one lane, and a lane whose message has ended takes the next.

#[cfg(target_arch = "x86_64")]
mod avx512;

use multiversion::multiversion;
use multiversion::target::match_target;
use sha2::block_api::compress256;

use super::message::{BLOCK_BYTES, Block, INITIAL, Message, hash_of};
use super::{HASH_BYTES, Hash};

/// Messages in the lanes of one register.
const LANES: usize = 16;

/// With fewer messages than this, the SHA instructions of the processor are faster than lanes that are mostly idle.
pub const LANES_MIN: usize = 7;

/// The state of every lane: word by word, and in each word lane by lane.
type States = [[u32; LANES]; 8];

/// Takes one block into the state of every lane.
pub type Compress = fn(&mut States, &[&Block; LANES]);

/// What takes the block of a lane that has no message.
const IDLE: Block = [0; BLOCK_BYTES];

/// The compression for this processor; `None` where lanes would not be faster than SHA instructions.
#[multiversion(targets("x86_64+avx512f+avx512bw"))]
pub fn compressor() -> Option<Compress> {
    match_target! {
        "x86_64+avx512f+avx512bw" => Some(avx512::compress),
        _ => None,
    }
}

/// The messages in the lanes.
struct Lanes<'a> {
    states: States,
    messages: [Message<'a>; LANES],
    /// How many blocks of its message each lane still has; none when it is idle.
    left: [usize; LANES],
    /// Where the hash of its message goes.
    places: [usize; LANES],
}

/// Appends the leaf hash of every entry to `out`, in order.
pub fn leaf_hashes<'a>(compress: Compress, entries: impl Iterator<Item = &'a [u8]>, out: &mut Vec<Hash>) {
    let mut entries = entries.fuse();
    let (left, places) = ([0; LANES], [0; LANES]);
    let mut lanes = Lanes { states: [[0; LANES]; 8], messages: [Message::NONE; LANES], left, places };
    loop {
        for lane in 0..LANES {
            if lanes.left[lane] == 0
                && let Some(entry) = entries.next()
            {
                lanes.start(lane, entry, out.len());
                out.push([0; HASH_BYTES]);
            }
        }
        let running = lanes.left.iter().filter(|left| **left > 0);
        if running.clone().count() < LANES_MIN {
            // Lanes are idle only when the entries have ended.
            return lanes.finish_in_turn(out);
        }
        lanes.run(compress, *running.min().unwrap_or(&0), out);
    }
}

impl<'a> Lanes<'a> {
    #[inline]
    fn start(&mut self, lane: usize, entry: &'a [u8], place: usize) {
        self.messages[lane].fill_leaf(entry);
        self.left[lane] = self.messages[lane].blocks();
        self.places[lane] = place;
        for (words, word) in self.states.iter_mut().zip(INITIAL) {
            words[lane] = word;
        }
    }

    /// Takes so many blocks of every message, which is as many as the shortest has left.
    fn run(&mut self, compress: Compress, steps: usize, out: &mut [Hash]) {
        for step in 0..steps {
            let mut blocks = [&IDLE; LANES];
            for ((block, left), message) in blocks.iter_mut().zip(self.left).zip(&self.messages) {
                if left > 0 {
                    *block = message.block(message.blocks() - left + step);
                }
            }
            compress(&mut self.states, &blocks);
        }
        for (lane, left) in self.left.iter_mut().enumerate().filter(|(_, left)| **left > 0) {
            *left -= steps;
            if *left == 0 {
                out[self.places[lane]] = hash_of(lane_of(&self.states, lane));
            }
        }
    }

    /// Ends the messages that are left, block by block in turn.
    fn finish_in_turn(mut self, out: &mut [Hash]) {
        let mut states = std::array::from_fn::<_, LANES, _>(|lane| lane_of(&self.states, lane));
        while self.left.iter().any(|left| *left > 0) {
            for (lane, left) in self.left.iter_mut().enumerate().filter(|(_, left)| **left > 0) {
                let message = &self.messages[lane];
                let block = message.block(message.blocks() - *left);
                compress256(&mut states[lane], std::slice::from_ref(block));
                *left -= 1;
                if *left == 0 {
                    out[self.places[lane]] = hash_of(states[lane]);
                }
            }
        }
    }
}

/// Replaces the nodes of one level by their parents, which take the first half of the room.
pub fn parents(compress: Compress, hashes: &mut [Hash]) {
    // All nodes are of one length, so the padding is written once; only the last byte of the right child stands before it.
    let mut blocks = [[[0; BLOCK_BYTES]; 2]; LANES];
    for [first, second] in &mut blocks {
        first[0] = 1;
        second[1] = 0x80;
        let bits = (2 * HASH_BYTES as u64 + 1) * 8;
        second[BLOCK_BYTES - 8..].copy_from_slice(&bits.to_be_bytes());
    }
    let pairs = hashes.len() / 2;
    for start in (0..pairs).step_by(LANES) {
        let end = pairs.min(start + LANES);
        let children = hashes[2 * start..2 * end].as_chunks::<2>().0;
        for ([left, right], [first, second]) in children.iter().zip(&mut blocks) {
            first[1..33].copy_from_slice(left);
            first[33..].copy_from_slice(&right[..31]);
            second[0] = right[31];
        }
        let mut states: States = INITIAL.map(|word| [word; LANES]);
        compress(&mut states, &blocks.each_ref().map(|[first, _]| first));
        compress(&mut states, &blocks.each_ref().map(|[_, second]| second));
        // A parent is written to the left of every child that is still to be read.
        for (lane, parent) in hashes[start..end].iter_mut().enumerate() {
            *parent = hash_of(lane_of(&states, lane));
        }
    }
}

#[inline]
fn lane_of(states: &States, lane: usize) -> [u32; 8] {
    std::array::from_fn(|word| states[word][lane])
}
