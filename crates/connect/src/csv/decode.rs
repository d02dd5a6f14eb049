//! The bytes of a file as UTF-8, decoded on the way where it is written in another encoding.

use std::io::{self, Read};

use encoding_rs::Decoder;

/// Bytes that are decoded at a time.
pub const RAW_BYTES: usize = 64 << 10;

/// Bytes of a file as UTF-8, with a count of what was read before decoding.
pub struct Source<R> {
    /// Where they come from.
    pub reader: R,
    /// How many came.
    pub bytes: u64,
    /// What decodes them; nothing where they are UTF-8 already.
    pub decoder: Option<Decoding>,
    /// Whether bytes that are not of the encoding were replaced.
    pub replaced: bool,
}

/// A decoder and the bytes that it has not read yet.
pub struct Decoding {
    /// The decoder.
    pub decoder: Decoder,
    /// Room for bytes as they are in the file.
    pub raw: Vec<u8>,
    /// Those that are to be decoded.
    pub waiting: std::ops::Range<usize>,
    /// Whether the reader is at its end.
    pub finished: bool,
}

impl<R: Read> Source<R> {
    /// Puts more bytes into `out`; 0 at the end.
    pub fn fill(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(Decoding { decoder, raw, waiting, finished }) = &mut self.decoder else {
            let read = read_some(&mut self.reader, out)?;
            self.bytes += read as u64;
            return Ok(read);
        };
        while !*finished {
            if waiting.start == waiting.end {
                let read = read_some(&mut self.reader, raw)?;
                self.bytes += read as u64;
                *waiting = 0..read;
                *finished = read == 0;
            }
            let (_, used, written, replaced) = decoder.decode_to_utf8(&raw[waiting.clone()], out, *finished);
            waiting.start += used;
            self.replaced |= replaced;
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}

fn read_some(reader: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(out) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
