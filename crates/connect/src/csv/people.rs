//! The authoritative people feed: one identity a row, or several rows of which one is in force.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::fact::FeedEnd;
use leasehold_model::identity::Unsaid;

use super::date::Dates;
use super::intern::Interner;
use super::output::Output;
use super::source::FileSource;
use super::table::{Failure, Others, Table, Tally};
use super::words::word;
use crate::effective::EffectiveRows;
use crate::error::ConnectError;
use crate::person::{COLUMNS, EFFECTIVE_DATE, Person, PersonRow};

struct Layout {
    key: usize,
    kind: Option<usize>,
    status: Option<usize>,
    start: Option<usize>,
    end: Option<usize>,
    /// From when on a row holds; a feed with it may have several rows about one person.
    effective: Option<usize>,
    manager: Option<usize>,
    owner: Option<usize>,
    /// The key's own column is an attribute too: correlation looks for `email`.
    attributes: Vec<(usize, String)>,
}

/// Columns by which it is decided whether somebody may hold access.
const DECIDE: &[&str] = &["kind", "status", "start_date", "end_date", "manager", "owner"];

/// Whether the feed has the columns that it must have.
///
/// # Errors
/// Naming the first that is missing.
pub fn check(table: &Table, key: &str) -> Result<(), ConnectError> {
    layout(table, key).map(|_| ())
}

fn layout(table: &Table, key: &str) -> Result<Layout, ConnectError> {
    let mut layout = Layout {
        key: table.required(key)?,
        kind: table.column("kind")?,
        status: table.column("status")?,
        start: table.column("start_date")?,
        end: table.column("end_date")?,
        // Many exports have such a column and one row a person, of whom it then says nothing.
        effective: table.named(EFFECTIVE_DATE)?,
        manager: table.column("manager")?,
        owner: table.column("owner")?,
        attributes: Vec::new(),
    };
    for ours in COLUMNS {
        table.column(ours)?;
    }
    let Layout { kind, status, start, end, effective, manager, owner, .. } = layout;
    let used = [kind, status, start, end, effective, manager, owner];
    layout.attributes = table.attributes(&used);
    Ok(layout)
}

/// Reads the whole feed.
///
/// # Errors
/// Where it cannot be opened or read on.
pub fn read(system: &str, source: &FileSource, key: &str, output: &mut Output) -> Result<Tally, Failure> {
    let mut table = Table::open(system, source).map_err(Failure::Broken)?;
    let layout = layout(&table, key).map_err(Failure::Broken)?;
    table.report_near_misses(DECIDE, Others::Attributes, output)?;
    let mut seen = Interner::new(true);
    let mut first_lines: Vec<u64> = Vec::new();
    let (mut last, mut effective) = (None, EffectiveRows::at(Timestamp::now()));
    while table.advance(output)? {
        let row = table.row();
        let line = row.line;
        let found = row.field(layout.key);
        if found.is_empty() {
            table
                .unusable(output, &format!("has no `{key}`; it is the primary key and must not be empty"))?;
            continue;
        }
        let Some((number, new)) = seen.intern(found) else {
            table.unusable(output, "comes after more keys than can be numbered")?;
            continue;
        };
        if !new && layout.effective.is_none() {
            let first = first_lines.get(number as usize).copied().unwrap_or_default();
            let message = format!(
                "`{}` is there already on line {first}; remove one, or name the column with the day from which a row counts as \
                 `columns.effective_date`",
                String::from_utf8_lossy(found)
            );
            table.bad(output, line, &message)?;
            continue;
        }
        if new {
            first_lines.push(line);
        }
        match identity(&row, &layout, &source.format.dates) {
            Ok(Found { person, from, mended }) => {
                for message in mended {
                    table.bad(output, line, &message)?;
                }
                let key = person.identity.key.clone();
                last = Some(key.clone());
                if layout.effective.is_none() {
                    output.push(person.fact())?;
                    continue;
                }
                if let Err(first) = effective.offer(from, format!("line {line}"), person) {
                    let message =
                        format!("`{key}` is there already on {first}, from the same day on; remove one");
                    table.bad(output, line, &message)?;
                }
            }
            Err(message) => table.unusable(output, &message)?,
        }
    }
    for person in effective.in_force() {
        output.push(person.fact())?;
    }
    if let Some(last) = last {
        output.feed_ended(FeedEnd { last, line_break: table.tally.final_line_break })?;
    }
    Ok(table.tally)
}

/// What a row tells.
struct Found {
    person: Person,
    /// From when on the row holds.
    from: Option<Timestamp>,
    /// What of the row could not be read.
    mended: Vec<String>,
}

fn identity(row: &super::rows::Row<'_>, layout: &Layout, dates: &Dates) -> Result<Found, String> {
    let mut mended = Vec::new();
    let key = word(row.field(layout.key))?;
    let mut optional = |column: Option<usize>| -> &str {
        column.map_or("", |index| {
            word(row.field(index)).unwrap_or_else(|message| {
                mended.push(message);
                ""
            })
        })
    };
    let mut person = PersonRow {
        key,
        kind: optional(layout.kind),
        status: optional(layout.status),
        start_date: optional(layout.start),
        end_date: optional(layout.end),
        effective_date: optional(layout.effective),
        manager: optional(layout.manager),
        owner: optional(layout.owner),
        attributes: BTreeMap::new(),
    };
    for (index, name) in &layout.attributes {
        let value = optional(Some(*index));
        if !value.is_empty() {
            person.attributes.insert(name.clone(), value.to_owned());
        }
    }
    let from = person.effective_from(dates, &mut mended);
    let mut person = person.person(dates, &mut mended);
    // Without its column nothing is said, nor by what is no text.
    let is_told = |column: Option<usize>| column.is_some_and(|index| word(row.field(index)).is_ok());
    person.identity.unsaid = Unsaid { kind: layout.kind.is_none(), state: layout.status.is_none() };
    person.untold.state |= layout.status.is_none();
    person.untold.start |= !is_told(layout.start);
    person.untold.end |= !is_told(layout.end);
    Ok(Found { person, from, mended })
}
