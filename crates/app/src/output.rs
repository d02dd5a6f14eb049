//! Writing to people and programs: tables for the one, JSON for the other. What comes from targets is made harmless here.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use comfy_table::{Attribute, Color, ContentArrangement, presets};
use leasehold_model::credential::CredentialName;
use leasehold_model::id::EntitlementName;
use leasehold_model::request::AccountTarget;
use leasehold_model::text;
use serde::Serialize;

/// Below this width, in columns, wrapping makes a table unreadable: terminals that say 0 are meant above all.
const WIDTH_MIN: u16 = 40;

/// Stands for the escape character in texts of ours until they are written. It is a noncharacter of Unicode, and it is
/// escaped like a control character where a text from outside has it.
const OURS: char = '\u{fdd0}';

/// Whether standard output shows colour.
pub fn colour() -> bool {
    std::io::stdout().is_terminal() && colour_is_wanted()
}

/// Whether standard error shows colour.
pub fn colour_on_stderr() -> bool {
    std::io::stderr().is_terminal() && colour_is_wanted()
}

/// NO_COLOR set to anything but nothing means none (no-color.org).
fn colour_is_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Characters that move the cursor, recolour, hide or reorder what a terminal shows.
pub fn is_harmful(c: char) -> bool {
    text::is_harmful(c) || c == OURS
}

/// A text from outside, such as a name in a target, on one line and with everything harmful spelled out: `\u{1b}`.
pub fn safe(text: impl std::fmt::Display) -> String {
    text::escaped(&text.to_string(), is_harmful)
}

/// The same for a text of several lines, such as an error with what led to it.
pub fn safe_lines(text: impl std::fmt::Display) -> String {
    text::escaped(&text.to_string(), |c| is_harmful(c) && c != '\n')
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
#[derive(Debug, Clone)]
pub struct Toned {
    text: String,
    tone: Tone,
}

/// A word in its tone. In a cell of a table it becomes the cell's style.
pub fn toned(text: impl std::fmt::Display, tone: Tone) -> Toned {
    Toned { text: safe(text), tone }
}

impl std::fmt::Display for Toned {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !colour() {
            return formatter.pad(&self.text);
        }
        let code = match self.tone {
            Tone::Good => 32,
            Tone::Bad => 31,
            Tone::Attention => 33,
            Tone::Strong => 1,
            Tone::Quiet => 2,
        };
        write!(formatter, "{OURS}[{code}m")?;
        formatter.pad(&self.text)?;
        write!(formatter, "{OURS}[0m")
    }
}

/// What a terminal is sent: no escape sequence but a style of ours.
fn written(text: &str, colour: bool) -> String {
    let mut parts = text.split(OURS);
    let mut sent = parts.next().map(safe_lines).unwrap_or_default();
    for part in parts {
        let style = part.strip_prefix('[').and_then(|rest| rest.split_once('m')).map(|(codes, _)| codes);
        let is_style = style.is_some_and(|codes| codes.chars().all(|c| c.is_ascii_digit() || c == ';'));
        if colour && is_style {
            sent.push('\u{1b}');
        } else {
            sent.extend(OURS.escape_default());
        }
        sent += &safe_lines(part);
    }
    sent
}

/// Prints a line; a reader that went away ends the command quietly.
///
/// # Errors
/// Where standard output cannot be written.
pub fn line(text: impl std::fmt::Display) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{}", written(&text.to_string(), colour()))
}

/// Prints a line to standard error, without anything harmful.
pub fn remark(text: impl std::fmt::Display) {
    // Where nobody can be told, there is nobody to tell that to.
    let _ = writeln!(std::io::stderr(), "{}", safe_lines(text));
}

/// Prints a document for programs.
///
/// # Errors
/// Where standard output cannot be written.
pub fn json(document: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(document)?;
    writeln!(std::io::stdout(), "{}", harmless_json(text))?;
    Ok(())
}

/// JSON leaves some of what is harmful as it is; inside of its texts, where alone such characters can stand, their
/// escaped form means the same.
fn harmless_json(text: String) -> String {
    let harmful = |c: char| is_harmful(c) && c != '\n';
    if !text.contains(harmful) {
        return text;
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if harmful(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

/// One cell of a table.
pub struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl Cell {
    /// A cell with one text a line.
    pub fn lines(texts: impl IntoIterator<Item = impl std::fmt::Display>) -> Self {
        let texts: Vec<String> = texts.into_iter().map(safe).collect();
        Self { text: texts.join("\n"), tone: None }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self { text: safe(text), tone: None }
    }
}

impl From<Toned> for Cell {
    fn from(toned: Toned) -> Self {
        Self { text: toned.text, tone: Some(toned.tone) }
    }
}

/// A row of cells from texts and toned words.
macro_rules! row {
    ($($cell:expr),* $(,)?) => { [$($crate::output::Cell::from($cell)),*] };
}
pub(crate) use row;

/// A table with a heading row: what it holds is harmless, and styled where there is colour.
pub struct Table {
    table: comfy_table::Table,
    colour: bool,
}

/// A table with a heading row. On a terminal it is fitted to the width; elsewhere nothing is wrapped.
pub fn table(heading: &[&str]) -> Table {
    Table::with_look(heading, colour(), comfy_table::Table::new().width())
}

impl Table {
    fn with_look(heading: &[&str], colour: bool, width: Option<u16>) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.style_text_only();
        if colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        match width.filter(|width| *width >= WIDTH_MIN) {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic);
                table.set_width(width);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        let mut made = Self { table, colour };
        let heading = heading.iter().map(|name| made.cell(toned(name.to_uppercase(), Tone::Quiet).into()));
        let heading: Vec<comfy_table::Cell> = heading.collect();
        made.table.set_header(heading);
        made
    }

    /// Adds a row of texts, or of what [`row!`] makes of texts and toned words.
    pub fn add_row(&mut self, row: impl IntoIterator<Item = impl Into<Cell>>) {
        let cells: Vec<comfy_table::Cell> = row.into_iter().map(|cell| self.cell(cell.into())).collect();
        self.table.add_row(cells);
    }

    fn cell(&self, cell: Cell) -> comfy_table::Cell {
        let styled = comfy_table::Cell::new(cell.text);
        match cell.tone.filter(|_| self.colour) {
            None => styled,
            Some(Tone::Good) => styled.fg(Color::DarkGreen),
            Some(Tone::Bad) => styled.fg(Color::DarkRed),
            Some(Tone::Attention) => styled.fg(Color::DarkYellow),
            Some(Tone::Strong) => styled.add_attribute(Attribute::Bold),
            Some(Tone::Quiet) => styled.add_attribute(Attribute::Dim),
        }
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Cells hold no escape character, so every one in it is the table's own.
        formatter.write_str(&self.table.trim_fmt().replace('\u{1b}', &OURS.to_string()))
    }
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

/// What something is about, in a table: an entitlement, a credential, or the account itself.
pub fn about(entitlement: Option<&EntitlementName>, credential: Option<&CredentialName>) -> String {
    let credential = credential.map(ToString::to_string);
    entitlement.map(ToString::to_string).or(credential).unwrap_or_else(|| "-".to_owned())
}

/// The same of an action, with whom it hands something over to.
pub fn about_action(
    entitlement: Option<&EntitlementName>,
    credential: Option<&CredentialName>,
    to: Option<&AccountTarget>,
) -> String {
    let to = to.map_or_else(String::new, |to| format!(" to {}", to.login));
    about(entitlement, credential) + &to
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names as targets have sent them: a title for the window, C1 controls, a reordered file name, a line of its own.
    const NAMES: &[(&str, &str)] = &[
        ("dana", "dana"),
        ("é – 日本", "é – 日本"),
        ("\u{1b}]0;mine\u{7}", "\\u{1b}]0;mine\\u{7}"),
        ("\u{9b}31mred", "\\u{9b}31mred"),
        ("cod\u{202e}gpj.exe", "cod\\u{202e}gpj.exe"),
        ("two\nlines\r\t", "two\\nlines\\r\\t"),
        ("\u{fdd0}[31mours", "\\u{fdd0}[31mours"),
    ];

    #[test]
    fn names_are_spelled_out() {
        for (name, shown) in NAMES {
            assert_eq!(safe(name), *shown);
            let json = harmless_json(serde_json::to_string_pretty(&[name]).expect("JSON"));
            assert!(!json.contains(|c| is_harmful(c) && c != '\n'), "{json:?}");
            assert_eq!(serde_json::from_str::<Vec<String>>(&json).expect("the same"), [*name]);
        }
    }

    #[test]
    fn only_styles_of_ours_are_sent() {
        let ours = format!("{OURS}[1mstrong{OURS}[0m");
        assert_eq!(written(&ours, true), "\u{1b}[1mstrong\u{1b}[0m");
        for text in ["\u{1b}[31mred", "\u{fdd0}]0;title\u{7}", "\u{fdd0}[2J", "\u{fdd0}"] {
            let sent = written(text, true);
            assert!(!sent.contains(['\u{1b}', '\u{7}', OURS]), "{sent:?}");
        }
        assert_eq!(written("a\nb", false), "a\nb");
    }

    #[test]
    fn tables_are_styled_wrapped_and_trimmed() {
        let of = |colour, width| {
            let mut table = Table::with_look(&["state", "what", ""], colour, width);
            let long = "a reason that is longer than what fits into one line of a terminal ".repeat(2);
            table.add_row(row![toned("contradicted", Tone::Bad), long.as_str(), ""]);
            for (name, _) in NAMES {
                table.add_row(row![toned(name, Tone::Good), *name, "x"]);
            }
            table.add_row([Cell::lines(["one", "two\u{1b}"])]);
            written(&table.to_string(), colour)
        };
        let plain = of(false, None);
        assert!(!plain.contains('\u{1b}') && plain.contains("\\u{1b}]0;mine"), "{plain}");
        assert!(plain.lines().all(|line| line == line.trim_end()), "{plain:?}");
        assert_eq!(plain.lines().count(), 1 + 1 + NAMES.len() + 2, "nothing is wrapped: {plain}");
        for width in [0, 1, 39] {
            assert_eq!(of(false, Some(width)), plain, "{width}");
        }
        let fitted = of(true, Some(80));
        for line in fitted.lines() {
            // Every sequence that begins on a line is whole and ends on it.
            let styles: Vec<&str> = line.split('\u{1b}').skip(1).collect();
            assert!(styles.iter().all(|style| style.starts_with('[') && style.contains('m')), "{line:?}");
            assert!(
                styles.last().is_none_or(|style| style.starts_with("[0m") || style.starts_with("[39m")),
                "{line:?}"
            );
        }
        let without_style: String = fitted
            .split('\u{1b}')
            .enumerate()
            .map(
                |(number, part)| {
                    if number == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) }
                },
            )
            .collect();
        assert!(without_style.lines().all(|line| line.chars().count() <= 80), "{without_style}");
        assert!(without_style.contains("contradicted"), "{without_style}");
    }
}
