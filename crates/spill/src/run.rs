//! One sorted run of marks in a temporary file.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;

use crate::filter::Filter;
use crate::mark::Mark;

/// A mark and its number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marked {
    pub mark: Mark,
    pub number: u32,
}

const MARKED_BYTES: usize = Mark::BYTES + 4;
/// What one look reads: a page of the file system.
const BLOCK_MARKS: usize = 4_096 / MARKED_BYTES;
/// What is read and written at a time while two runs become one.
const BUFFER_BYTES: usize = 64 << 10;

/// A run: the file, the first mark of each of its blocks, and what it cannot hold.
#[derive(Debug)]
pub(crate) struct Run {
    file: File,
    pub count: usize,
    fences: Vec<Mark>,
    filter: Filter,
}

impl Run {
    /// Writes marks in order.
    pub(crate) fn write(count: usize, marks: impl Iterator<Item = io::Result<Marked>>) -> io::Result<Self> {
        let mut filter = Filter::for_marks(count);
        let mut fences = Vec::with_capacity(count.div_ceil(BLOCK_MARKS));
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, tempfile::tempfile()?);
        for (at, marked) in marks.enumerate() {
            let Marked { mark, number } = marked?;
            if at % BLOCK_MARKS == 0 {
                fences.push(mark);
            }
            filter.add(&mark);
            out.write_all(&mark.to_bytes())?;
            out.write_all(&number.to_le_bytes())?;
        }
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self { file, count, fences, filter })
    }

    /// Two runs as one. No mark is in both.
    pub(crate) fn merge(mut one: Self, mut other: Self) -> io::Result<Self> {
        let count = one.count + other.count;
        let (mut left, mut right) = (one.read()?.peekable(), other.read()?.peekable());
        let merged = std::iter::from_fn(|| match (left.peek(), right.peek()) {
            (Some(Ok(from_left)), Some(Ok(from_right))) if from_right.mark < from_left.mark => right.next(),
            (Some(_), _) => left.next(),
            (None, _) => right.next(),
        });
        Self::write(count, merged)
    }

    fn read(&mut self) -> io::Result<impl Iterator<Item = io::Result<Marked>> + use<'_>> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut input = BufReader::with_capacity(BUFFER_BYTES, &self.file);
        Ok((0..self.count).map(move |_| {
            let mut bytes = [0; MARKED_BYTES];
            input.read_exact(&mut bytes).map(|()| decode(&bytes))
        }))
    }

    /// The number of a mark that this run holds.
    pub(crate) fn find(&self, mark: &Mark) -> io::Result<Option<u32>> {
        if !self.filter.may_hold(mark) {
            return Ok(None);
        }
        let Some(block) = self.fences.partition_point(|fence| fence <= mark).checked_sub(1) else {
            return Ok(None);
        };
        let from = block * BLOCK_MARKS;
        let count = BLOCK_MARKS.min(self.count - from);
        let mut bytes = [0; BLOCK_MARKS * MARKED_BYTES];
        let bytes = &mut bytes[..count * MARKED_BYTES];
        self.file.read_exact_at(bytes, (from * MARKED_BYTES) as u64)?;
        let (marks, _) = bytes.as_chunks::<MARKED_BYTES>();
        let found = marks.binary_search_by(|bytes| decode(bytes).mark.cmp(mark));
        Ok(found.ok().map(|at| decode(&marks[at]).number))
    }
}

fn decode(bytes: &[u8; MARKED_BYTES]) -> Marked {
    let (mark, number) = bytes.split_at(Mark::BYTES);
    let (mut of_mark, mut of_number) = ([0; Mark::BYTES], [0; 4]);
    of_mark.copy_from_slice(mark);
    of_number.copy_from_slice(number);
    Marked { mark: Mark::from_bytes(of_mark), number: u32::from_le_bytes(of_number) }
}
