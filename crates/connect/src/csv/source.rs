//! One file as the settings describe it: where it is, how it is written, what its columns are called.

use std::collections::BTreeMap;
use std::path::PathBuf;

use encoding_rs::Encoding;
use toml::Table;

use super::date::Dates;
use super::filter::Condition;
use crate::error::ConnectError;
use crate::settings::{Settings, did_you_mean};

/// How a file is written; the keys of a system that each of its files may override.
#[derive(Debug, Clone)]
pub struct Format {
    /// The field delimiter; sniffed where absent.
    pub delimiter: Option<u8>,
    /// The encoding; a byte order mark or UTF-8 where absent.
    pub encoding: Option<&'static Encoding>,
    /// How dates are read.
    pub dates: Dates,
}

/// One file.
#[derive(Debug, Clone)]
pub struct FileSource {
    /// As the settings spell it; how messages name it.
    pub label: String,
    /// Where it is.
    pub path: PathBuf,
    /// Their header for each of our column names, where it differs.
    pub columns: BTreeMap<String, String>,
    /// Which rows count.
    pub conditions: Vec<Condition>,
    /// How it is written.
    pub format: Format,
}

impl Format {
    /// Reads `delimiter`, `encoding`, `timezone` and `date_order`, each from `otherwise` where it is absent.
    ///
    /// # Errors
    /// Where a value is not one of those that are known.
    pub fn read(settings: &mut Settings, otherwise: Option<&Self>) -> Result<Self, ConnectError> {
        let delimiter = match settings.optional_string("delimiter")?.as_deref() {
            None => otherwise.and_then(|format| format.delimiter),
            Some("tab" | "\t") => Some(b'\t'),
            Some(text) => match text.as_bytes() {
                [byte] if byte.is_ascii_punctuation() && *byte != b'"' => Some(*byte),
                _ => return Err(settings.error("delimiter", "write one character, or `tab`")),
            },
        };
        let encoding = match settings.optional_string("encoding")? {
            None => otherwise.and_then(|format| format.encoding),
            Some(label) => Some(Encoding::for_label(label.as_bytes()).ok_or_else(|| {
                let message = format!("`{label}` is not known; use `utf-8`, `utf-16le`, `windows-1252` or another label of the Encoding Standard");
                settings.error("encoding", message)
            })?),
        };
        let dates = Dates::from_settings(settings, otherwise.map(|format| &format.dates))?;
        Ok(Self { delimiter, encoding, dates })
    }
}

impl FileSource {
    /// Reads `path`, `columns`, `where` and the format from a table of settings. `known` are our column names;
    /// where `open` is set, `columns` may name others, which become attributes.
    ///
    /// # Errors
    /// Where a key is missing, unknown or malformed.
    pub fn read(
        settings: &mut Settings,
        otherwise: Option<&Format>,
        known: &[&str],
        open: bool,
    ) -> Result<Self, ConnectError> {
        let label = settings.string("path", "export.csv")?;
        let columns = settings.string_table("columns")?;
        if let Some(unknown) = columns.keys().find(|name| !open && !known.contains(&name.as_str())) {
            let hint = did_you_mean(unknown, known);
            return Err(settings
                .error(&format!("columns.{unknown}"), format!("is not a column that is read here{hint}")));
        }
        let conditions: Table = settings.table("where")?;
        let conditions = conditions
            .iter()
            .map(|(header, value)| {
                Condition::parse(header, value)
                    .map_err(|message| settings.error(&format!("where.{header}"), message))
            })
            .collect::<Result<_, _>>()?;
        let format = Format::read(settings, otherwise)?;
        let path = settings.directory().join(&label);
        Ok(Self { label, path, columns, conditions, format })
    }

    /// Reads the setting `key` that holds either a path or a table; `None` where it is absent.
    ///
    /// # Errors
    /// Where it holds something else, or the table is not as it must be.
    pub fn optional(
        settings: &mut Settings,
        key: &str,
        format: &Format,
        known: &[&str],
        open: bool,
    ) -> Result<Option<Self>, ConnectError> {
        if let Ok(text) = settings.optional_string(key) {
            return Ok(text.map(|label| Self {
                path: settings.directory().join(&label),
                label,
                columns: BTreeMap::new(),
                conditions: Vec::new(),
                format: format.clone(),
            }));
        }
        let mut section = settings
            .section(key)
            .map_err(|_| settings.error(key, "a path or a table with `path` is wanted here"))?;
        let named = |error| match error {
            ConnectError::Setting { system, key: inner, message } => {
                ConnectError::Setting { system, key: format!("{key}.{inner}"), message }
            }
            other => other,
        };
        let source = Self::read(&mut section, Some(format), known, open).map_err(named)?;
        section.finish().map_err(named)?;
        Ok(Some(source))
    }
}
