//! Writing to people and programs: tables for the one, JSON for the other.

use std::io::{IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// Whether standard output shows colour.
pub fn colour() -> bool {
    std::io::stdout().is_terminal() && colour_is_wanted()
}

/// NO_COLOR set to anything but nothing means none (no-color.org).
fn colour_is_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether standard error shows colour.
pub fn colour_on_stderr() -> bool {
    std::io::stderr().is_terminal() && colour_is_wanted()
}

/// How a word is shown where colour is.
#[derive(Debug, Clone, Copy)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Worth a look.
    Attention,
    /// A heading.
    Strong,
    /// Beside the point.
    Quiet,
}

/// A word in its tone, plain where there is no colour.
pub fn toned(text: impl std::fmt::Display, tone: Tone) -> String {
    if !colour() {
        return text.to_string();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Attention => "33",
        Tone::Strong => "1",
        Tone::Quiet => "2",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Prints a line; a reader that went away ends the command quietly.
///
/// # Errors
/// Where standard output cannot be written.
pub fn line(text: impl std::fmt::Display) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{text}")
}

/// Prints a document for programs.
///
/// # Errors
/// Where standard output cannot be written.
pub fn json(document: &impl Serialize) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    serde_json::to_writer_pretty(&mut out, document).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

/// A table with a heading row. On a terminal it is fitted to the width; elsewhere nothing is wrapped.
pub fn table(heading: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let terminal = std::io::stdout().is_terminal();
    table.set_content_arrangement(if terminal {
        ContentArrangement::Dynamic
    } else {
        ContentArrangement::Disabled
    });
    table.set_header(heading.iter().map(|name| toned(name.to_uppercase(), Tone::Quiet)));
    table
}

/// `1 grant`, `2 grants`.
pub fn count(number: usize, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// The rows that fit a screen, unless all are wanted, and how many were left out.
pub fn screenful<T>(rows: &[T], all: bool) -> (&[T], usize) {
    const ROWS_MAX: usize = 40;
    let shown = if all { rows.len() } else { rows.len().min(ROWS_MAX) };
    (&rows[..shown], rows.len() - shown)
}
