//! A file with its header: rows that fit, problems with their lines, and the proof that all of it was read.

use std::fs::{File, Metadata};
use std::io::Read;
use std::path::PathBuf;

use leasehold_model::fact::Problem;

use super::filter::Condition;
use super::output::{Output, Stopped};
use super::rows::{Row, RowFault, Rows};
use super::source::FileSource;
use crate::error::ConnectError;
use crate::settings::{did_you_mean, nearest};

/// Problems of one file beyond this are counted and not listed.
const PROBLEMS_MAX: u64 = 1000;
/// How often progress is told.
const PROGRESS_ROWS: u64 = 1 << 16;

/// Why reading stopped.
#[derive(Debug)]
pub enum Failure {
    /// The sink is gone.
    Stopped,
    /// The file could not be read on.
    Broken(ConnectError),
}

impl From<Stopped> for Failure {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// What becomes of columns that are none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Attributes of what the row is about.
    Attributes,
    /// They are not read.
    Nothing,
}

/// What was counted while one file was read.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Rows that the filter let through, good or bad.
    pub rows: u64,
    /// Rows with a problem.
    pub bad: u64,
    /// Rows with a problem that left nothing to use: what they describe exists and was not told.
    pub unusable: u64,
    /// Lines of the first of those.
    pub unusable_lines: Vec<u64>,
    /// Why the file cannot be taken for whole.
    pub broken: Vec<String>,
    /// Bytes read.
    pub bytes: u64,
    /// Whether the last line had a line break.
    pub final_line_break: bool,
}

/// A file that is being read.
pub struct Table {
    system: String,
    label: String,
    path: PathBuf,
    opened: Metadata,
    rows: Rows<File>,
    /// The header as the file spells it, trimmed.
    pub header: Vec<String>,
    folded: Vec<String>,
    columns: std::collections::BTreeMap<String, String>,
    conditions: Vec<(usize, Condition)>,
    /// What was counted so far.
    pub tally: Tally,
}

/// `Employee Number` and `employee-number` as `employee_number`.
pub fn fold(header: &str) -> String {
    let mut folded = String::with_capacity(header.len());
    for c in header.trim().chars() {
        if c.is_alphanumeric() {
            folded.extend(c.to_lowercase());
        } else if !folded.ends_with('_') && !folded.is_empty() {
            folded.push('_');
        }
    }
    folded.truncate(folded.trim_end_matches('_').len());
    folded
}

/// The size of a file in bytes.
///
/// # Errors
/// [`ConnectError::Unreachable`] naming the path.
pub fn size_of(system: &str, source: &FileSource) -> Result<u64, ConnectError> {
    let found = std::fs::metadata(&source.path).map_err(|error| unreachable(system, source, &error))?;
    Ok(found.len())
}

fn unreachable(system: &str, source: &FileSource, error: &std::io::Error) -> ConnectError {
    ConnectError::Unreachable {
        system: system.to_owned(),
        address: source.path.display().to_string(),
        message: format!(
            "{error}; check the path, which is relative to the folder of leasehold.toml, and its rights"
        ),
    }
}

impl Table {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// [`ConnectError::Unreachable`] where there is no such file, [`ConnectError::Target`] where it has no header or
    /// lacks a column that the settings name.
    pub fn open(system: &str, source: &FileSource) -> Result<Self, ConnectError> {
        let unreachable = |error: std::io::Error| unreachable(system, source, &error);
        let failed = |message: String| ConnectError::Target {
            system: system.to_owned(),
            operation: format!("reading {}", source.label),
            message,
        };
        let file = File::open(&source.path).map_err(unreachable)?;
        let opened = file.metadata().map_err(unreachable)?;
        let format = &source.format;
        let mut rows = Rows::new(file, format.encoding, format.delimiter).map_err(unreachable)?;
        if !rows.advance().map_err(unreachable)? {
            return Err(failed("the file is empty; its first line must name the columns".to_owned()));
        }
        let row = rows.row();
        let header: Vec<String> =
            (0..row.len()).map(|index| String::from_utf8_lossy(row.field(index)).into_owned()).collect();
        let mut table = Self {
            system: system.to_owned(),
            label: source.label.clone(),
            path: source.path.clone(),
            opened,
            rows,
            folded: header.iter().map(|name| fold(name)).collect(),
            header,
            columns: source.columns.clone(),
            conditions: Vec::new(),
            tally: Tally::default(),
        };
        for condition in &source.conditions {
            let index = table.position(&condition.header)?.ok_or_else(|| {
                failed(format!(
                    "`where` names a column `{}`{}",
                    condition.header,
                    table.found(&condition.header)
                ))
            })?;
            table.conditions.push((index, condition.clone()));
        }
        Ok(table)
    }

    fn failed(&self, message: String) -> ConnectError {
        let operation = format!("reading {}", self.label);
        ConnectError::Target { system: self.system.clone(), operation, message }
    }

    fn found(&self, wanted: &str) -> String {
        let known: Vec<&str> = self.header.iter().map(String::as_str).collect();
        let nearest = did_you_mean(wanted, &known);
        let nearest = if nearest.contains("did you mean") { nearest } else { String::new() };
        format!(", which is not there; found are {}{nearest}", known.join(", "))
    }

    /// Where a header stands: by its spelling whatever the case, else by its letters and digits alone.
    fn position(&self, header: &str) -> Result<Option<usize>, ConnectError> {
        let spelled = |name: &String| name.to_lowercase() == header.trim().to_lowercase();
        let folded = fold(header);
        let mut places: Vec<usize> = indexes(&self.header, spelled);
        if places.is_empty() {
            places = indexes(&self.folded, |name| *name == folded);
        }
        match places[..] {
            [] => Ok(None),
            [place] => Ok(Some(place)),
            _ => Err(self.failed(format!("the column `{header}` is there twice; rename one of them"))),
        }
    }

    /// Where one of our columns stands; `None` where the file has none, which settings say by an empty header.
    ///
    /// # Errors
    /// Where the settings name a header for it that the file does not have, or it is there twice.
    pub fn column(&self, ours: &str) -> Result<Option<usize>, ConnectError> {
        let Some(theirs) = self.columns.get(ours) else { return self.position(ours) };
        if theirs.trim().is_empty() {
            return Ok(None);
        }
        let place = self.position(theirs)?;
        let missing =
            || self.failed(format!("`columns.{ours}` names a column `{theirs}`{}", self.found(theirs)));
        place.map(Some).ok_or_else(missing)
    }

    /// Where one of our columns stands, only if the settings say that it is meant.
    ///
    /// # Errors
    /// Where the column that they name is not there.
    pub fn named(&self, ours: &str) -> Result<Option<usize>, ConnectError> {
        if self.columns.contains_key(ours) { self.column(ours) } else { Ok(None) }
    }

    /// Where one of our columns stands that must be there.
    ///
    /// # Errors
    /// Where it is not there, naming what was found and the nearest.
    pub fn required(&self, ours: &str) -> Result<usize, ConnectError> {
        self.column(ours)?.ok_or_else(|| {
            let found = self.found(ours);
            self.failed(format!(
                "a column `{ours}` is needed{found}; set `columns.{ours} = \"THEIR HEADER\"`"
            ))
        })
    }

    /// The columns that are none of `used`, each with the attribute name that it gets.
    pub fn attributes(&self, used: &[Option<usize>]) -> Vec<(usize, String)> {
        let renamed = |index: usize| {
            let header = &self.header[index];
            let is_its_name = |theirs: &String| !theirs.trim().is_empty() && fold(theirs) == fold(header);
            let ours = self.columns.iter().find(|(_, theirs)| is_its_name(theirs));
            ours.map(|(ours, _)| ours.clone())
        };
        let mut taken: Vec<String> = Vec::new();
        (0..self.header.len())
            .filter(|index| !used.contains(&Some(*index)))
            .filter_map(|index| {
                let name = renamed(index).unwrap_or_else(|| self.folded[index].clone());
                let fresh = !name.is_empty() && !taken.contains(&name);
                fresh.then(|| {
                    taken.push(name.clone());
                    (index, name)
                })
            })
            .collect()
    }

    /// Reports columns that are called almost like one of ours that decides something and is missing: they would decide nothing, and
    /// nobody would notice. What `columns` names is meant as it is.
    ///
    /// # Errors
    /// Where the sink is gone.
    pub fn report_near_misses(
        &self,
        ours: &[&str],
        others: Others,
        output: &mut Output,
    ) -> Result<(), Stopped> {
        let is_named = |name: &String| self.columns.values().any(|theirs| fold(theirs) == *name);
        let missing: Vec<&str> = ours
            .iter()
            .copied()
            .filter(|ours| !self.columns.contains_key(*ours) && !self.folded.iter().any(|name| name == ours))
            .collect();
        for (header, name) in self.header.iter().zip(&self.folded).filter(|(_, name)| !is_named(name)) {
            // Short words are near to many: `id` is no `kind`.
            if let Some(near) = nearest(name, &missing, 2.min(name.chars().count() / 3)) {
                let (read_as, is_meant) = match others {
                    Others::Attributes => ("read as an attribute", format!("columns.{name} = \"{header}\"")),
                    Others::Nothing => ("not read", format!("columns.{near} = \"\"")),
                };
                let message = format!(
                    "the column `{header}` is {read_as} and decides nothing; if it is the `{near}`, set \
                     `columns.{near} = \"{header}\"`, and if it is not, `{is_meant}`"
                );
                output.problem(Problem::new(&self.label, message))?;
            }
        }
        Ok(())
    }

    /// Reads on to the next row that is whole and passes the filter; false at the end.
    ///
    /// # Errors
    /// Where the file cannot be read on, or the sink is gone.
    #[inline]
    pub fn advance(&mut self, output: &mut Output) -> Result<bool, Failure> {
        loop {
            match self.rows.advance() {
                Ok(true) => {}
                Ok(false) => {
                    self.finish(output)?;
                    return Ok(false);
                }
                Err(error) => return Err(Failure::Broken(self.failed(error.to_string()))),
            }
            let row = self.rows.row();
            let whole = row.len() == self.header.len() && self.rows.fault().is_none();
            if whole && !self.conditions.iter().all(|(index, condition)| condition.fits(row.field(*index))) {
                continue;
            }
            // Spreadsheets export empty rows below the data.
            let empty = || (0..row.len()).all(|index| row.field(index).is_empty());
            if self.rows.fault().is_none() && empty() {
                continue;
            }
            if !whole {
                self.tally.rows += 1;
                self.report_shape(output)?;
                continue;
            }
            self.tally.rows += 1;
            if self.tally.rows.is_multiple_of(PROGRESS_ROWS) {
                output.progress(self.rows.bytes())?;
            }
            return Ok(true);
        }
    }

    /// The row that [`Table::advance`] read.
    #[inline]
    pub fn row(&self) -> Row<'_> {
        self.rows.row()
    }

    fn report_shape(&mut self, output: &mut Output) -> Result<(), Stopped> {
        let message = match self.rows.fault() {
            Some(RowFault::Unclosed) => {
                let line = self.rows.row().line;
                self.tally.broken.push(format!("{} ends inside a quoted field of line {line}", self.label));
                "the file ends inside a quoted field; export it again".to_owned()
            }
            Some(RowFault::TextAfterQuote) => {
                "text follows a closing quote; write quotes inside a field twice".to_owned()
            }
            None => {
                let (line, fields) = (self.rows.row().line, self.rows.row().len());
                if fields < self.header.len() && !self.rows.final_line_break() {
                    self.tally.broken.push(format!(
                        "{} ends in the middle of line {line}: its last line has {fields} of {} fields and no line break",
                        self.label,
                        self.header.len()
                    ));
                }
                format!(
                    "has {} fields where the header has {}; put fields that hold the delimiter in quotes",
                    fields,
                    self.header.len()
                )
            }
        };
        self.unusable(output, &message)
    }

    /// Reports a row of which nothing can be used.
    ///
    /// # Errors
    /// Where the sink is gone.
    pub fn unusable(&mut self, output: &mut Output, message: &str) -> Result<(), Stopped> {
        let line = self.rows.row().line;
        self.tally.unusable += 1;
        if self.tally.unusable_lines.len() < 5 {
            self.tally.unusable_lines.push(line);
        }
        self.bad(output, line, message)
    }

    /// Reports a problem of a row; a row with two problems counts once for each.
    ///
    /// # Errors
    /// Where the sink is gone.
    pub fn bad(&mut self, output: &mut Output, line: u64, message: &str) -> Result<(), Stopped> {
        self.tally.bad += 1;
        if self.tally.bad <= PROBLEMS_MAX {
            output.problem(Problem::new(format!("{}:{line}", self.label), message))?;
        }
        Ok(())
    }

    fn finish(&mut self, output: &mut Output) -> Result<(), Stopped> {
        let tally = &mut self.tally;
        if let Some(more) = tally.bad.checked_sub(PROBLEMS_MAX).filter(|more| *more > 0) {
            let message =
                format!("{more} more rows have problems; mend those that are listed and sync again");
            output.problem(Problem::new(&self.label, message))?;
        }
        if self.rows.replaced() {
            let message =
                "some bytes are not of the file's encoding and were replaced by `\u{FFFD}`; set `encoding`";
            output.problem(Problem::new(&self.label, message))?;
        }
        tally.bytes = self.rows.bytes();
        tally.final_line_break = self.rows.final_line_break();
        output.progress(tally.bytes)?;
        output.bytes_before += tally.bytes;
        // What the name stands for now is compared, not only what is open: an export that replaces the file counts.
        let unchanged = std::fs::metadata(&self.path).is_ok_and(|now| {
            now.len() == self.opened.len() && now.modified().ok() == self.opened.modified().ok()
        });
        if !unchanged {
            tally.broken.push(format!("{} changed while it was read", self.label));
        } else if tally.bytes != self.opened.len() {
            let (read, size) = (tally.bytes, self.opened.len());
            tally.broken.push(format!("{} has {size} bytes and {read} were read", self.label));
        }
        Ok(())
    }
}

fn indexes(names: &[String], wanted: impl Fn(&String) -> bool) -> Vec<usize> {
    names.iter().enumerate().filter(|(_, name)| wanted(name)).map(|(index, _)| index).collect()
}

/// A field as text, or what to do about bytes that are none.
pub fn text(field: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(field).map_err(|_| {
        format!(
            "`{}` is not UTF-8; set `encoding = \"windows-1252\"` or what the file is written in",
            String::from_utf8_lossy(field)
        )
    })
}

/// The header of a reader that is no file; empty where there is none.
///
/// # Errors
/// Where the reader fails.
pub fn header_of<R: Read>(rows: &mut Rows<R>) -> std::io::Result<Vec<String>> {
    if !rows.advance()? {
        return Ok(Vec::new());
    }
    let row = rows.row();
    Ok((0..row.len()).map(|index| String::from_utf8_lossy(row.field(index)).into_owned()).collect())
}
