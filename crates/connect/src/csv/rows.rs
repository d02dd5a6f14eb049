//! The parser: bytes in, rows out, in memory that one row bounds. Knows physical lines and unclosed quotes, which is
//! why it is not a library's: a file that ends inside a quoted field was cut off, and that must be noticed.

use std::io::{self, Read};

use encoding_rs::{Encoding, UTF_8};
use memchr::{memchr, memchr_iter, memchr2, memrchr};

use super::decode::{Decoding, RAW_BYTES, Source};

/// A row longer than this is taken for a quote that was never closed.
const ROW_BYTES_MAX: usize = 16 << 20;
const BUFFER_BYTES: usize = 256 << 10;
const ROOM_BYTES: usize = 64;
const PLAIN_BYTES: usize = 32 << 10;

/// What is wrong with the shape of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFault {
    /// The file ends inside a quoted field.
    Unclosed,
    /// Text follows a closing quote.
    TextAfterQuote,
}

#[derive(Debug, Clone, Copy)]
struct Field {
    start: usize,
    end: usize,
    escaped: bool,
}

/// Rows of a delimited file (RFC 4180, with any single-byte delimiter and either line ending).
pub struct Rows<R> {
    source: Source<R>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    delimiter: u8,
    fields: Vec<Field>,
    /// The line on which the next row begins.
    next_line: u64,
    line: u64,
    fault: Option<RowFault>,
    final_line_break: bool,
}

enum Scan {
    NeedMore,
    Row { next: usize, lines: u64, fault: Option<RowFault>, line_break: bool },
}

/// One row, borrowed from the parser's buffer.
#[derive(Clone, Copy)]
pub struct Row<'rows> {
    buffer: &'rows [u8],
    fields: &'rows [Field],
    /// The physical line on which it begins, counted from 1.
    pub line: u64,
}

impl<'rows> Row<'rows> {
    /// The number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// A row has at least one field, which may be empty.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// A field without surrounding white space; empty where the row is too short.
    #[inline]
    pub fn field(&self, index: usize) -> &'rows [u8] {
        self.fields.get(index).map_or(b"", |field| self.buffer[field.start..field.end].trim_ascii())
    }
}

impl<R: Read> Rows<R> {
    /// Begins to read. A byte order mark wins over `encoding`, which wins over UTF-8; the delimiter is the one of
    /// `, ; tab |` that stands most often in the first line, unless it is given.
    ///
    /// # Errors
    /// Where the first bytes cannot be read.
    pub fn new(reader: R, encoding: Option<&'static Encoding>, delimiter: Option<u8>) -> io::Result<Self> {
        let mut source = Source { reader, bytes: 0, decoder: None, replaced: false };
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut end = 0;
        // The first three bytes may be a byte order mark, and a reader may give them one by one.
        while end < 3 {
            match source.fill(&mut buffer[end..])? {
                0 => break,
                read => end += read,
            }
        }
        let (encoding, mark) = Encoding::for_bom(&buffer[..end]).unwrap_or((encoding.unwrap_or(UTF_8), 0));
        let mut rows = Self {
            source,
            buffer,
            start: mark,
            end,
            at_end: false,
            delimiter: b',',
            fields: Vec::new(),
            next_line: 1,
            line: 1,
            fault: None,
            final_line_break: true,
        };
        if encoding != UTF_8 {
            let mut raw = rows.buffer[mark..end].to_vec();
            let waiting = 0..raw.len();
            raw.resize(raw.len().max(RAW_BYTES), 0);
            let decoder = encoding.new_decoder_without_bom_handling();
            rows.source.decoder = Some(Decoding { decoder, raw, waiting, finished: false });
            (rows.start, rows.end) = (0, 0);
        }
        rows.delimiter = match delimiter {
            Some(delimiter) => delimiter,
            None => rows.sniff()?,
        };
        Ok(rows)
    }

    /// The delimiter that stands most often outside quotes in the first line.
    fn sniff(&mut self) -> io::Result<u8> {
        while memchr(b'\n', &self.buffer[self.start..self.end]).is_none() && !self.at_end {
            if self.end - self.start >= RAW_BYTES {
                break;
            }
            self.refill()?;
        }
        let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
        let mut quoted = false;
        for byte in &self.buffer[self.start..self.end] {
            match byte {
                b'"' => quoted = !quoted,
                b'\n' if !quoted => break,
                _ if quoted => {}
                other => {
                    counts.iter_mut().filter(|(byte, _)| byte == other).for_each(|(_, count)| *count += 1);
                }
            }
        }
        // The first of equals wins, which is the comma.
        Ok(counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(byte, _)| *byte))
    }

    /// Reads the next row; false at the end.
    ///
    /// # Errors
    /// Where the file cannot be read, or a row has no end.
    #[inline]
    pub fn advance(&mut self) -> io::Result<bool> {
        loop {
            if self.skip_blank_lines() {
                match self.scan() {
                    Scan::Row { next, lines, fault, line_break } => {
                        self.line = self.next_line;
                        self.next_line += lines;
                        self.start = next;
                        self.fault = fault;
                        self.final_line_break = line_break;
                        self.unescape();
                        return Ok(true);
                    }
                    Scan::NeedMore => {}
                }
            } else if self.at_end {
                return Ok(false);
            }
            self.refill()?;
        }
    }

    /// Whole lines without quotes that come next, as many as are there and stay in the first-level cache; may be empty.
    /// Whoever has read them says so with [`Rows::skip_plain`].
    pub fn plain(&self) -> &[u8] {
        let data = &self.buffer[self.start..self.end];
        let data = &data[..data.len().min(PLAIN_BYTES)];
        let data = &data[..memchr(b'"', data).unwrap_or(data.len())];
        let plain = !matches!(self.delimiter, b'"' | b'\n' | b'\r');
        &data[..memrchr(b'\n', data).filter(|_| plain).map_or(0, |at| at + 1)]
    }

    /// Moves beyond what [`Rows::plain`] gave: so many bytes with so many lines.
    pub fn skip_plain(&mut self, bytes: usize, lines: u64) {
        self.start += bytes;
        self.next_line += lines;
        self.final_line_break |= bytes > 0;
    }

    /// The delimiter, given or sniffed.
    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// The row that [`Rows::advance`] read.
    #[inline]
    pub fn row(&self) -> Row<'_> {
        Row { buffer: &self.buffer, fields: &self.fields, line: self.line }
    }

    /// What is wrong with the shape of the present row.
    pub fn fault(&self) -> Option<RowFault> {
        self.fault
    }

    /// Bytes of the file read so far, before decoding.
    pub fn bytes(&self) -> u64 {
        self.source.bytes
    }

    /// Whether bytes that are not of the file's encoding were replaced.
    pub fn replaced(&self) -> bool {
        self.source.replaced
    }

    /// Whether the last row read ended with a line break.
    pub fn final_line_break(&self) -> bool {
        self.final_line_break
    }

    /// Moves to the next byte that is not a bare line break; false where there is none in the buffer.
    #[inline]
    fn skip_blank_lines(&mut self) -> bool {
        loop {
            match self.buffer[self.start..self.end] {
                [b'\n', ..] => self.start += 1,
                [b'\r', b'\n', ..] => self.start += 2,
                [b'\r'] if !self.at_end => return false,
                [] => return false,
                _ => return true,
            }
            self.next_line += 1;
        }
    }

    /// Looks for the end of the row that begins at `start`, changing nothing but the list of fields, so that it can
    /// begin again when more bytes are there.
    #[inline]
    fn scan(&mut self) -> Scan {
        let data = &self.buffer[..self.end];
        let mut at = self.start;
        let mut lines = 0;
        let mut fault = None;
        self.fields.clear();
        loop {
            let quoted = data.get(at) == Some(&b'"');
            let mut search = at;
            if quoted {
                match closing_quote(data, at + 1) {
                    Some((close, escaped)) if close + 1 < data.len() || self.at_end => {
                        lines += memchr_iter(b'\n', &data[at..close]).count() as u64;
                        self.fields.push(Field { start: at + 1, end: close, escaped });
                        search = close + 1;
                    }
                    None if self.at_end => {
                        lines += memchr_iter(b'\n', &data[at..]).count() as u64;
                        self.fields.push(Field { start: at + 1, end: data.len(), escaped: false });
                        let fault = Some(RowFault::Unclosed);
                        return Scan::Row { next: data.len(), lines, fault, line_break: false };
                    }
                    _ => return Scan::NeedMore,
                }
            }
            let stop = match memchr2(self.delimiter, b'\n', &data[search..]) {
                Some(offset) => search + offset,
                None if self.at_end => data.len(),
                None => return Scan::NeedMore,
            };
            let ends_row = data.get(stop) != Some(&self.delimiter);
            let mut end = stop;
            if ends_row && end > search && data[end - 1] == b'\r' {
                end -= 1;
            }
            if !quoted {
                self.fields.push(Field { start: at, end, escaped: false });
            } else if !data[search..end].trim_ascii().is_empty() {
                fault = Some(RowFault::TextAfterQuote);
            }
            if ends_row {
                let line_break = stop < data.len();
                let next = stop + usize::from(line_break);
                return Scan::Row { next, lines: lines + u64::from(line_break), fault, line_break };
            }
            at = stop + 1;
        }
    }

    /// Makes one quote of each doubled one, in place: the text only becomes shorter.
    #[inline]
    fn unescape(&mut self) {
        for field in self.fields.iter_mut().filter(|field| field.escaped) {
            let mut write = field.start;
            let mut read = field.start;
            while read < field.end {
                let byte = self.buffer[read];
                self.buffer[write] = byte;
                write += 1;
                read += if byte == b'"' { 2 } else { 1 };
            }
            field.end = write;
        }
    }

    /// Makes room and reads more.
    #[cold]
    fn refill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        // A decoder writes whole characters only, so a few free bytes are as good as none.
        if self.buffer.len() - self.end < ROOM_BYTES {
            if self.buffer.len() >= ROW_BYTES_MAX {
                let message = format!(
                    "the row that begins on line {} has no end within {ROW_BYTES_MAX} bytes; look for a quote that is not closed",
                    self.next_line
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let end = self.end;
        let read = self.source.fill(&mut self.buffer[end..])?;
        self.end += read;
        self.at_end = read == 0;
        Ok(())
    }
}

/// The quote that closes a field whose text begins at `from`, and whether doubled quotes come before it.
fn closing_quote(data: &[u8], from: usize) -> Option<(usize, bool)> {
    let mut escaped = false;
    let mut search = from;
    loop {
        let quote = search + memchr(b'"', data.get(search..)?)?;
        if data.get(quote + 1) != Some(&b'"') {
            return Some((quote, escaped));
        }
        escaped = true;
        search = quote + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time, so that every row is cut somewhere.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(out.len()).min(self.0.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    type Parsed = Vec<(u64, Vec<String>, Option<RowFault>)>;

    fn parse(bytes: &[u8], encoding: Option<&'static Encoding>) -> Parsed {
        let read = |step: usize| -> Parsed {
            let mut rows = Rows::new(Trickle(bytes, step), encoding, None).unwrap();
            let mut parsed = Vec::new();
            while rows.advance().unwrap() {
                let row = rows.row();
                let fields =
                    (0..row.len()).map(|index| String::from_utf8_lossy(row.field(index)).into_owned());
                parsed.push((row.line, fields.collect(), rows.fault()));
            }
            assert_eq!(rows.bytes(), bytes.len() as u64);
            parsed
        };
        let whole = read(usize::MAX);
        for step in 1..5 {
            assert_eq!(read(step), whole, "{step} bytes at a time");
        }
        whole
    }

    fn row(line: u64, fields: &[&str]) -> (u64, Vec<String>, Option<RowFault>) {
        (line, fields.iter().map(|field| (*field).to_owned()).collect(), None)
    }

    #[test]
    fn rows_keep_their_physical_lines_whatever_the_line_ends_and_quotes() {
        let parsed = parse(b"a,b\r\n1,\"two\nlines\"\n\r\n\n\"say \"\"hi\"\"\", x \r\n,\nlast,\"q\"", None);
        let expected = [
            row(1, &["a", "b"]),
            row(2, &["1", "two\nlines"]),
            row(6, &["say \"hi\"", "x"]),
            row(7, &["", ""]),
            row(8, &["last", "q"]),
        ];
        assert_eq!(parsed, expected);
    }

    #[test]
    fn the_delimiter_is_found_outside_quotes() {
        for (text, fields) in [
            ("\"a,b,c\";d\n", vec!["a,b,c", "d"]),
            ("a\tb,c\td\n", vec!["a", "b,c", "d"]),
            ("a|b\n", vec!["a", "b"]),
            ("alone\n", vec!["alone"]),
            ("a,b;c\n", vec!["a", "b;c"]),
        ] {
            assert_eq!(parse(text.as_bytes(), None), [row(1, &fields)], "{text}");
        }
    }

    #[test]
    fn a_byte_order_mark_or_a_setting_names_the_encoding() {
        let text = "naïve,ü\n";
        let utf16 = |to_bytes: fn(u16) -> [u8; 2], mark: [u8; 2]| -> Vec<u8> {
            mark.into_iter().chain(text.encode_utf16().flat_map(to_bytes)).collect()
        };
        let expected = [row(1, &["naïve", "ü"])];
        assert_eq!(parse(text.as_bytes(), None), expected);
        assert_eq!(parse(&[b"\xEF\xBB\xBF", text.as_bytes()].concat(), None), expected);
        assert_eq!(parse(&utf16(u16::to_le_bytes, [0xFF, 0xFE]), None), expected);
        assert_eq!(parse(&utf16(u16::to_be_bytes, [0xFE, 0xFF]), None), expected);
        assert_eq!(parse(b"na\xEFve,\xFC\n", Some(encoding_rs::WINDOWS_1252)), expected);
    }

    #[test]
    fn a_file_that_ends_in_a_quoted_field_is_noticed() {
        let parsed = parse(b"a,b\n1,\"cut off\nhere", None);
        assert_eq!(parsed[1].2, Some(RowFault::Unclosed));
        let parsed = parse(b"a,b\n1,\"x\"y\n2,z\n", None);
        assert_eq!(parsed[1].2, Some(RowFault::TextAfterQuote));
        assert_eq!(parsed[2], row(3, &["2", "z"]));
    }
}
