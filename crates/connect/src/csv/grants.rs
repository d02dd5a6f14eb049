//! Grants as pairs of dense numbers: the path on which millions of rows come in, shared by the connector and by
//! whoever wants the numbers alone.

use std::io::Read;

use encoding_rs::Encoding;

use super::intern::{Interner, Sought};
use super::plain::{Cut, Line};
use super::rows::{Row, Rows};
use super::table::{fold, header_of};

/// Rows whose names are looked up together: more than a core keeps cache misses in flight, few enough for the first-level
/// cache.
const STRETCH: usize = 128;

/// Where a row says which entitlement it is about.
#[derive(Debug, Clone)]
pub struct EntitlementColumns {
    /// Its kind, where that has a column of its own.
    pub kind: Option<usize>,
    /// Its name, or `kind/name`.
    pub name: usize,
    /// The kind where the row states none.
    pub kind_default: String,
    /// A `/` belongs to the name: the settings name the kind, so that no row does.
    pub slash_is_name: bool,
}

impl EntitlementColumns {
    /// Writes `kind/name` of a row; empty where the row names none.
    #[inline]
    pub fn compose(&self, row: &Row<'_>, into: &mut Vec<u8>) {
        into.clear();
        let name = row.field(self.name);
        if name.is_empty() {
            return;
        }
        let kind = self.kind.map_or(&b""[..], |index| row.field(index));
        self.compose_parts(kind, name, into);
    }

    /// Writes `kind/name` of two texts of which the first may be empty.
    pub fn compose_parts(&self, kind: &[u8], name: &[u8], into: &mut Vec<u8>) {
        into.clear();
        let has_kind = || {
            !self.slash_is_name
                && matches!(memchr::memchr(b'/', name), Some(at) if at > 0 && at + 1 < name.len())
        };
        if !kind.is_empty() {
            into.extend_from_slice(kind);
            into.push(b'/');
        } else if !has_kind() {
            into.extend_from_slice(self.kind_default.as_bytes());
            into.push(b'/');
        }
        into.extend_from_slice(name);
    }
}

/// How to read a delimited file of grants without the connector around it.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// The header of the account's column.
    pub account: String,
    /// The header of the entitlement's column.
    pub entitlement: String,
    /// The kind where a row does not write `kind/name`.
    pub kind_default: String,
    /// The delimiter; sniffed where absent.
    pub delimiter: Option<u8>,
    /// The encoding; a byte order mark or UTF-8 where absent.
    pub encoding: Option<&'static Encoding>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            account: "account".to_owned(),
            entitlement: "entitlement".to_owned(),
            kind_default: super::KIND_DEFAULT.to_owned(),
            delimiter: None,
            encoding: None,
        }
    }
}

/// What [`read_interned`] counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Rows that were told.
    pub rows: u64,
    /// Rows with a wrong number of fields, an empty field or an open quote.
    pub bad: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// Reads grants and tells each as `(account number, entitlement number)`; the interners say which texts those are.
/// Repeated rows are told again.
///
/// # Errors
/// Where the reader fails, or the header lacks one of the two columns.
pub fn read_interned<R: Read>(
    reader: R,
    options: &ReadOptions,
    accounts: &mut Interner,
    entitlements: &mut Interner,
    mut each: impl FnMut(u32, u32),
) -> std::io::Result<Counts> {
    let mut rows = Rows::new(reader, options.encoding, options.delimiter)?;
    let header = header_of(&mut rows)?;
    let place = |wanted: &str| {
        let found = header.iter().position(|name| fold(name) == fold(wanted));
        found.ok_or_else(|| {
            let message = format!("a column `{wanted}` is needed; found are {}", header.join(", "));
            std::io::Error::new(std::io::ErrorKind::InvalidData, message)
        })
    };
    let account = place(&options.account)?;
    let name = place(&options.entitlement)?;
    let mut names = Names {
        raw: Interner::default(),
        numbers: Vec::new(),
        same: true,
        columns: EntitlementColumns {
            kind: None,
            name,
            kind_default: options.kind_default.clone(),
            slash_is_name: false,
        },
        composed: Vec::new(),
    };
    let cut = Cut { delimiter: rows.delimiter(), width: header.len(), account, name };
    let mut counts = Counts::default();
    let mut lines: Vec<Line> = Vec::new();
    let mut holders: Vec<Sought> = Vec::with_capacity(STRETCH);
    let mut held: Vec<Sought> = Vec::with_capacity(STRETCH);
    loop {
        let block = rows.plain();
        if !block.is_empty() {
            lines.clear();
            let passed = cut.lines(block, &mut lines);
            counts.bad += passed.bad;
            for stretch in lines.chunks(STRETCH) {
                holders.clear();
                holders.extend(stretch.iter().map(|line| line.account.seek(block, accounts)));
                accounts.touch(&holders);
                held.clear();
                held.extend(stretch.iter().map(|line| line.name.seek(block, &mut names.raw)));
                names.raw.touch(&held);
                for ((line, account), name) in stretch.iter().zip(&holders).zip(&held) {
                    let account = accounts.intern_sought(*account, line.account.text(block));
                    let name = names.number(*name, line.name.text(block), entitlements);
                    counts.tell(account.map(|(account, _)| account).zip(name), &mut each);
                }
            }
            let bytes = block.len();
            rows.skip_plain(bytes, passed.lines);
            continue;
        }
        // A row with quotes, or one that is not all in the buffer yet.
        if !rows.advance()? {
            break;
        }
        let row = rows.row();
        let whole = row.len() == cut.width && rows.fault().is_none();
        let (holder, held) = (row.field(account), row.field(name));
        let pair = if whole && !holder.is_empty() && !held.is_empty() {
            let sought = names.raw.seek(held, 0, held.len());
            let account = accounts.intern(holder).map(|(account, _)| account);
            account.zip(names.number(sought, held, entitlements))
        } else {
            None
        };
        counts.tell(pair, &mut each);
    }
    counts.bytes = rows.bytes();
    Ok(counts)
}

impl Counts {
    #[inline(always)]
    fn tell(&mut self, pair: Option<(u32, u32)>, each: &mut impl FnMut(u32, u32)) {
        match pair {
            Some((account, entitlement)) => {
                self.rows += 1;
                each(account, entitlement);
            }
            None => self.bad += 1,
        }
    }
}

/// Numbers of entitlements by the names that rows write: `kind/name` is composed once for each of those.
struct Names {
    raw: Interner,
    numbers: Vec<Option<u32>>,
    /// Every number is that of its raw name, as long as no two names mean one entitlement: then nothing is looked up.
    same: bool,
    columns: EntitlementColumns,
    composed: Vec<u8>,
}

impl Names {
    #[inline(always)]
    fn number(&mut self, sought: Sought, name: &[u8], entitlements: &mut Interner) -> Option<u32> {
        let (raw, new) = self.raw.intern_sought(sought, name)?;
        if new {
            self.compose(name, entitlements);
        }
        if self.same { Some(raw) } else { self.numbers[raw as usize] }
    }

    #[cold]
    fn compose(&mut self, name: &[u8], entitlements: &mut Interner) {
        self.columns.compose_parts(b"", name, &mut self.composed);
        let number = entitlements.intern(&self.composed).map(|(number, _)| number);
        self.same &= number == Some(self.numbers.len() as u32);
        self.numbers.push(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Told = Vec<(Vec<u8>, Vec<u8>)>;

    /// Reads row by row, without the short way for plain lines.
    fn read_slowly(text: &[u8]) -> (Counts, Told) {
        let options = ReadOptions::default();
        let mut rows = Rows::new(text, None, None).unwrap();
        let width = header_of(&mut rows).unwrap().len();
        let columns = EntitlementColumns {
            kind: None,
            name: 1,
            kind_default: options.kind_default,
            slash_is_name: false,
        };
        let (mut counts, mut told, mut name) = (Counts::default(), Vec::new(), Vec::new());
        while rows.advance().unwrap() {
            let row = rows.row();
            columns.compose(&row, &mut name);
            let whole = row.len() == width && rows.fault().is_none();
            if whole && !name.is_empty() && !row.field(0).is_empty() {
                counts.rows += 1;
                told.push((row.field(0).to_vec(), name.clone()));
            } else {
                counts.bad += 1;
            }
        }
        counts.bytes = rows.bytes();
        (counts, told)
    }

    #[test]
    fn plain_and_quoted_lines_are_told_as_reading_row_by_row_tells_them() {
        let mut random = 17u64;
        let mut below = |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % bound
        };
        for quotes in [0, 1, 40, 900] {
            let mut text = String::from("account,entitlement\n");
            for _ in 0..20_000 {
                let account =
                    format!("{}{}", ["u", "someone.with.a.long.name", ""][below(3) as usize], below(3_000));
                let name = format!("{}r{}", ["", "role/", "group/", "a/b/"][below(4) as usize], below(50));
                let line = match below(1_000) {
                    odd if odd < quotes => format!("\"{account}\",\"{name}, \"\"x\"\"\"\n"),
                    991 => "\n\r\n".to_owned(),
                    992 => format!("{account},\n"),
                    993 => format!("{account},{name},{name}\n"),
                    994 => format!("{account}\n , {name}\n"),
                    995 => format!(" {account}\t, {name} \r\n"),
                    _ => format!("{account},{name}\n"),
                };
                text.push_str(&line);
            }
            text.push_str("last,one");
            let (mut accounts, mut entitlements) = (Interner::default(), Interner::default());
            let mut pairs = Vec::new();
            let counts = read_interned(
                text.as_bytes(),
                &ReadOptions::default(),
                &mut accounts,
                &mut entitlements,
                |account, entitlement| pairs.push((account, entitlement)),
            )
            .unwrap();
            let told: Told = pairs
                .iter()
                .map(|(account, name)| (accounts.text(*account).to_vec(), entitlements.text(*name).to_vec()))
                .collect();
            let (counts_slowly, told_slowly) = read_slowly(text.as_bytes());
            assert_eq!(counts, counts_slowly);
            assert!(told == told_slowly, "with {quotes} quoted lines in a thousand");
        }
    }
}
