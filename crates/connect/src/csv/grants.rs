//! Grants as pairs of dense numbers: the path on which millions of rows come in, shared by the connector and by
//! whoever wants the numbers alone.

use std::io::Read;

use encoding_rs::Encoding;

use super::intern::Interner;
use super::rows::{Row, Rows};
use super::table::{fold, header_of};

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
    let columns = EntitlementColumns {
        kind: None,
        name: place(&options.entitlement)?,
        kind_default: options.kind_default.clone(),
        slash_is_name: false,
    };
    let width = header.len();
    let mut counts = Counts::default();
    let mut name = Vec::new();
    while rows.advance()? {
        let row = rows.row();
        let whole = row.len() == width && rows.fault().is_none();
        columns.compose(&row, &mut name);
        let holder = row.field(account);
        let pair = if whole && !name.is_empty() && !holder.is_empty() {
            accounts.intern(holder).zip(entitlements.intern(&name))
        } else {
            None
        };
        match pair {
            Some(((account, _), (entitlement, _))) => {
                counts.rows += 1;
                each(account, entitlement);
            }
            None => counts.bad += 1,
        }
    }
    counts.bytes = rows.bytes();
    Ok(counts)
}
