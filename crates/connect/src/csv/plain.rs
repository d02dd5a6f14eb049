//! The short way through a file without quotes: whole lines are cut into two fields by masks of 64 bytes, and their names
//! are looked up a stretch at a time.

use super::intern::{Interner, Sought};

/// Bytes that are compared at once.
const STEP: usize = 64;

/// A field as a place in its block.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    start: u32,
    end: u32,
}

impl Place {
    /// The field's text.
    #[inline]
    pub fn text(self, block: &[u8]) -> &[u8] {
        &block[self.start as usize..self.end as usize]
    }

    /// What is to be found for it.
    #[inline]
    pub fn seek(self, block: &[u8], interner: &mut Interner) -> Sought {
        interner.seek(block, self.start as usize, self.end as usize)
    }

    fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// The two fields of a line that count.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line {
    /// The account, without surrounding white space.
    pub account: Place,
    /// The entitlement's name, likewise.
    pub name: Place,
}

/// How lines are cut.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// The byte between fields.
    pub delimiter: u8,
    /// Fields of a line that is whole.
    pub width: usize,
    /// The account's field.
    pub account: usize,
    /// The field of the entitlement's name.
    pub name: usize,
}

/// What was found beside the lines that are whole.
#[derive(Debug, Clone, Copy, Default)]
pub struct Passed {
    /// All lines, blank ones included.
    pub lines: u64,
    /// Lines with another number of fields, or with one of the two empty.
    pub bad: u64,
}

impl Cut {
    /// Cuts `block`, which ends with a line break, has no quotes and fewer than 2^32 bytes; appends its whole lines.
    pub fn lines(&self, block: &[u8], lines: &mut Vec<Line>) -> Passed {
        let mut walk = Walk {
            cut: *self,
            block,
            lines,
            passed: Passed::default(),
            line: Line::default(),
            field: 0,
            start: 0,
        };
        let (steps, rest) = block.as_chunks::<STEP>();
        for (number, step) in steps.iter().enumerate() {
            let mut stops = mask(step, self.delimiter);
            while stops != 0 {
                walk.stop(number * STEP + stops.trailing_zeros() as usize);
                stops &= stops - 1;
            }
        }
        for (offset, byte) in rest.iter().enumerate() {
            if *byte == self.delimiter || *byte == b'\n' {
                walk.stop(steps.len() * STEP + offset);
            }
        }
        walk.passed
    }
}

/// One bit for each byte that is the delimiter or a line break.
#[inline]
fn mask(bytes: &[u8; STEP], delimiter: u8) -> u64 {
    // The compiler compares many bytes at once here; a product then gathers eight low bits into one byte.
    let flags = bytes.map(|byte| u8::from(byte == delimiter) | u8::from(byte == b'\n'));
    let mut mask = 0;
    for (word, eight) in flags.as_chunks::<8>().0.iter().enumerate() {
        let gathered = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        mask |= gathered << (8 * word);
    }
    mask
}

struct Walk<'a> {
    cut: Cut,
    block: &'a [u8],
    lines: &'a mut Vec<Line>,
    passed: Passed,
    line: Line,
    field: usize,
    start: usize,
}

impl Walk<'_> {
    /// A field ends at `at`, and with a line break the line too.
    #[inline(always)]
    fn stop(&mut self, at: usize) {
        if self.field == self.cut.account {
            self.line.account = trimmed(self.block, self.start, at);
        }
        if self.field == self.cut.name {
            self.line.name = trimmed(self.block, self.start, at);
        }
        self.field += 1;
        if self.block[at] == b'\n' {
            self.end_line(at);
        }
        self.start = at + 1;
    }

    #[inline(always)]
    fn end_line(&mut self, at: usize) {
        let Line { account, name } = self.line;
        self.passed.lines += 1;
        if self.field == self.cut.width && !account.is_empty() && !name.is_empty() {
            self.lines.push(self.line);
        } else if !(self.field == 1 && matches!(self.block[self.start..at], [] | [b'\r'])) {
            self.passed.bad += 1;
        }
        self.field = 0;
    }
}

/// The place without surrounding white space.
#[inline(always)]
fn trimmed(block: &[u8], start: usize, end: usize) -> Place {
    // All white space lies below the first visible character, so most fields are decided by two looks.
    if start < end && block[start] > b' ' && block[end - 1] > b' ' {
        return Place { start: start as u32, end: end as u32 };
    }
    let text = &block[start..end];
    let start = start + text.len() - text.trim_ascii_start().len();
    Place { start: start as u32, end: (start + text.trim_ascii().len()) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_as_a_split_would() {
        let mut random = 3u64;
        let mut below = |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % bound
        };
        for round in 0..300 {
            let mut block: Vec<u8> =
                (0..below(400)).map(|_| b"ab;\n \r\tx\xC3\xBC"[below(10) as usize]).collect();
            block.push(b'\n');
            let width = 1 + below(3);
            let name = below(width) as usize;
            let cut = Cut { delimiter: b';', width: width as usize, account: 0, name };
            let (mut whole, mut bad, mut count) = (Vec::new(), 0, 0);
            for line in block[..block.len() - 1].split(|byte| *byte == b'\n') {
                count += 1;
                if line.is_empty() || line == b"\r" {
                    continue;
                }
                let fields: Vec<&[u8]> = line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).collect();
                match (fields.first(), fields.get(cut.name)) {
                    (Some(account), Some(name))
                        if fields.len() == cut.width && !account.is_empty() && !name.is_empty() =>
                    {
                        whole.push((account.to_vec(), name.to_vec()));
                    }
                    _ => bad += 1,
                }
            }
            let mut lines = Vec::new();
            let passed = cut.lines(&block, &mut lines);
            let text = |place: Place| place.text(&block).to_vec();
            let found: Vec<_> = lines.iter().map(|line| (text(line.account), text(line.name))).collect();
            assert_eq!(found, whole, "round {round}");
            assert_eq!((passed.bad, passed.lines), (bad, count), "round {round}");
        }
    }
}
