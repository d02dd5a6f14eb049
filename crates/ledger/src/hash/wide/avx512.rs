//! The compression function of SHA-256 (FIPS 180-4, section 6.2.2) for sixteen lanes of a 512 bit register.
//!
//! AVX-512 rotates words and combines three of them in any way in one instruction each, which is most of what SHA-256 does.

use std::arch::x86_64::{
    __m512i, _mm_extract_epi32, _mm512_add_epi32, _mm512_extracti32x4_epi32, _mm512_ror_epi32,
    _mm512_set_epi32, _mm512_set1_epi32, _mm512_set4_epi32, _mm512_shuffle_epi8, _mm512_shuffle_i32x4,
    _mm512_srli_epi32, _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::{LANES, States};
use crate::hash::message::Block;

/// The constants of the rounds (FIPS 180-4, section 4.2.2).
const ROUND_CONSTANTS: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

/// For [`_mm512_ternarylogic_epi32`], the truth tables of three words: all of them added without carry, the second or the third as the
/// first says, and what two of the three have.
const XOR: i32 = 0x96;
const CHOOSE: i32 = 0xca;
const MAJORITY: i32 = 0xe8;

/// Takes one block into the state of every lane.
#[target_feature(enable = "avx512f,avx512bw")]
pub fn compress(states: &mut States, blocks: &[&Block; LANES]) {
    let mut words = transposed(blocks);
    let mut before = [_mm512_set1_epi32(0); 8];
    for (before, state) in before.iter_mut().zip(&*states) {
        *before = load(state.map(u32::cast_signed));
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = before;

    // Macros and not loops, so that every name stays in one register: a round renames its words instead of moving them.
    macro_rules! next_word {
        ($t:expr) => {
            let (x, y) = (words[($t + 1) % 16], words[($t + 14) % 16]);
            let (x1, x2) = (_mm512_ror_epi32::<7>(x), _mm512_ror_epi32::<18>(x));
            let (y1, y2) = (_mm512_ror_epi32::<17>(y), _mm512_ror_epi32::<19>(y));
            let small_0 = _mm512_ternarylogic_epi32::<XOR>(x1, x2, _mm512_srli_epi32::<3>(x));
            let small_1 = _mm512_ternarylogic_epi32::<XOR>(y1, y2, _mm512_srli_epi32::<10>(y));
            let earlier = _mm512_add_epi32(words[$t], words[($t + 9) % 16]);
            words[$t] = _mm512_add_epi32(earlier, _mm512_add_epi32(small_0, small_1));
        };
    }
    macro_rules! given_word {
        ($t:expr) => {};
    }
    macro_rules! round {
        ($k:expr, $t:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
            let (e1, e2, e3) =
                (_mm512_ror_epi32::<6>($e), _mm512_ror_epi32::<11>($e), _mm512_ror_epi32::<25>($e));
            let (a1, a2, a3) =
                (_mm512_ror_epi32::<2>($a), _mm512_ror_epi32::<13>($a), _mm512_ror_epi32::<22>($a));
            let big_1 = _mm512_ternarylogic_epi32::<XOR>(e1, e2, e3);
            let big_0 = _mm512_ternarylogic_epi32::<XOR>(a1, a2, a3);
            let choose = _mm512_ternarylogic_epi32::<CHOOSE>($e, $f, $g);
            let majority = _mm512_ternarylogic_epi32::<MAJORITY>($a, $b, $c);
            let constant = _mm512_set1_epi32(ROUND_CONSTANTS[$k + $t].cast_signed());
            // What waits longest for the round before is added last.
            let ready = _mm512_add_epi32($h, _mm512_add_epi32(words[$t], constant));
            let sum = _mm512_add_epi32(_mm512_add_epi32(ready, choose), big_1);
            $d = _mm512_add_epi32($d, sum);
            $h = _mm512_add_epi32(sum, _mm512_add_epi32(big_0, majority));
        };
    }
    macro_rules! rounds {
        ($word:ident, $k:expr, $($t:literal: $($names:ident)*;)*) => {
            $($word!($t); round!($k, $t, $($names)*);)*
        };
    }
    macro_rules! sixteen_rounds {
        ($word:ident, $k:expr) => {
            rounds!($word, $k,
                0: a b c d e f g h; 1: h a b c d e f g; 2: g h a b c d e f; 3: f g h a b c d e;
                4: e f g h a b c d; 5: d e f g h a b c; 6: c d e f g h a b; 7: b c d e f g h a;
                8: a b c d e f g h; 9: h a b c d e f g; 10: g h a b c d e f; 11: f g h a b c d e;
                12: e f g h a b c d; 13: d e f g h a b c; 14: c d e f g h a b; 15: b c d e f g h a;
            )
        };
    }
    sixteen_rounds!(given_word, 0);
    for k in [16, 32, 48] {
        sixteen_rounds!(next_word, k);
    }

    for ((state, before), after) in states.iter_mut().zip(before).zip([a, b, c, d, e, f, g, h]) {
        *state = store(_mm512_add_epi32(before, after));
    }
}

/// The words of sixteen blocks: element `t` has word `t` of every block.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transposed(blocks: &[&Block; LANES]) -> [__m512i; LANES] {
    // The words are big-endian, so the bytes of each are turned round.
    let turned = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    let mut rows = [turned; LANES];
    for (row, block) in rows.iter_mut().zip(blocks) {
        let mut words = [0; LANES];
        for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
            *word = i32::from_le_bytes(*bytes);
        }
        *row = _mm512_shuffle_epi8(load(words), turned);
    }
    // Words of two rows side by side, then of four: `fours[4 * g + c]` has words c, 4 + c, 8 + c and 12 + c of rows 4 * g to 4 * g + 3.
    let mut twos = rows;
    for i in (0..LANES).step_by(2) {
        twos[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        twos[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    let mut fours = twos;
    for i in (0..LANES).step_by(4) {
        fours[i] = _mm512_unpacklo_epi64(twos[i], twos[i + 2]);
        fours[i + 1] = _mm512_unpackhi_epi64(twos[i], twos[i + 2]);
        fours[i + 2] = _mm512_unpacklo_epi64(twos[i + 1], twos[i + 3]);
        fours[i + 3] = _mm512_unpackhi_epi64(twos[i + 1], twos[i + 3]);
    }
    // What is left is to transpose quarters of registers: even quarters with even ones, odd with odd.
    let mut words = fours;
    for c in 0..4 {
        let even_01 = _mm512_shuffle_i32x4::<0x88>(fours[c], fours[4 + c]);
        let even_23 = _mm512_shuffle_i32x4::<0x88>(fours[8 + c], fours[12 + c]);
        let odd_01 = _mm512_shuffle_i32x4::<0xdd>(fours[c], fours[4 + c]);
        let odd_23 = _mm512_shuffle_i32x4::<0xdd>(fours[8 + c], fours[12 + c]);
        words[c] = _mm512_shuffle_i32x4::<0x88>(even_01, even_23);
        words[4 + c] = _mm512_shuffle_i32x4::<0x88>(odd_01, odd_23);
        words[8 + c] = _mm512_shuffle_i32x4::<0xdd>(even_01, even_23);
        words[12 + c] = _mm512_shuffle_i32x4::<0xdd>(odd_01, odd_23);
    }
    words
}

/// A register from its words. It compiles to one load.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(w: [i32; LANES]) -> __m512i {
    _mm512_set_epi32(
        w[15], w[14], w[13], w[12], w[11], w[10], w[9], w[8], w[7], w[6], w[5], w[4], w[3], w[2], w[1], w[0],
    )
}

/// The words of a register. It compiles to one store.
#[inline]
#[target_feature(enable = "avx512f")]
fn store(register: __m512i) -> [u32; LANES] {
    let mut words = [0; LANES];
    macro_rules! quarter {
        ($q:literal) => {
            let quarter = _mm512_extracti32x4_epi32::<$q>(register);
            words[4 * $q] = _mm_extract_epi32::<0>(quarter).cast_unsigned();
            words[4 * $q + 1] = _mm_extract_epi32::<1>(quarter).cast_unsigned();
            words[4 * $q + 2] = _mm_extract_epi32::<2>(quarter).cast_unsigned();
            words[4 * $q + 3] = _mm_extract_epi32::<3>(quarter).cast_unsigned();
        };
    }
    quarter!(0);
    quarter!(1);
    quarter!(2);
    quarter!(3);
    words
}
