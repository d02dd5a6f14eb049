//! Files as a source: an authoritative people feed, or a whole system as some tool exported it.

mod account;
mod columns;
pub mod date;
mod decode;
pub mod filter;
pub mod grants;
pub mod intern;
mod output;
mod people;
mod plain;
pub mod rows;
mod source;
mod system;
mod table;
mod words;

use std::sync::Arc;

use async_trait::async_trait;
use leasehold_model::capability::{Capabilities, Capability};
use leasehold_model::fact::Completeness;
use leasehold_model::id::SystemName;
use leasehold_model::request::{ActionRequest, Outcome, ReadBack, ReadTarget};
use leasehold_model::setting::{SettingField, SettingKind};
use tokio::sync::mpsc;

use self::output::{Message, Output};
use self::source::{FileSource, Format};
use self::system::{Files, Reading};
use self::table::{Failure, Table, Tally, size_of};
use crate::connector::{Connector, ConnectorKind, Sink, TestReport};
use crate::error::ConnectError;
use crate::settings::Settings;

/// The kind of an entitlement whose row states none.
pub(crate) const KIND_DEFAULT: &str = "role";

const PROBLEM_SHARE_MAX: f64 = 0.1;
/// In a short file one problem is a large share and says little.
const PROBLEMS_ALWAYS_BORNE: u64 = 2;
const BATCHES_WAITING_MAX: usize = 4;

const CAPABILITIES: Capabilities = Capabilities {
    enumerate: Capability::YES,
    prove_completeness: Capability::with("by the file's size and time, unchanged while it is read"),
    read_back: Capability::without("a file shows when it was exported, not what is so now"),
    grant: Capability::without("a file cannot change the system that it came from"),
    revoke: Capability::without("a file cannot change the system that it came from"),
    disable_account: Capability::without("a file cannot change the system that it came from"),
    last_use: Capability::with("where the export has the column"),
    ..Capabilities::NONE
};

/// `connector = "csv"`.
#[derive(Debug)]
pub struct Csv;

#[derive(Debug)]
enum What {
    People { source: FileSource, key: String },
    System(Box<Files>),
}

#[derive(Debug)]
struct Plan {
    system: SystemName,
    what: What,
    problem_share_max: f64,
    unusable_rows_max: u64,
}

/// A connector that reads files.
#[derive(Debug)]
pub struct CsvConnector {
    plan: Arc<Plan>,
}

/// What a form asks for.
const FIELDS: &[SettingField] = &[
    SettingField::optional(
        "path",
        "People feed",
        SettingKind::File,
        "For a source of people; leave it empty for a system that is given as files.",
    ),
    SettingField::optional(
        "key",
        "Key of a person",
        SettingKind::Text,
        "The column of the feed that tells people apart; email where nothing is written.",
    ),
    SettingField::optional(
        "accounts",
        "Accounts",
        SettingKind::File,
        "For a system: one row for each account.",
    ),
    SettingField::optional(
        "entitlements",
        "Entitlements",
        SettingKind::File,
        "For a system: what can be held there.",
    ),
    SettingField::optional("grants", "Grants", SettingKind::File, "For a system: which account holds what."),
    SettingField::optional(
        "contains",
        "What contains what",
        SettingKind::File,
        "For a system: groups in groups, and roles of roles.",
    ),
    SettingField::optional(
        "owners",
        "Owners",
        SettingKind::File,
        "For a system: who answers for accounts and entitlements.",
    ),
];

impl ConnectorKind for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn summary(&self) -> &'static str {
        "files: an authoritative people feed, or a whole system as exported by any tool"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn fields(&self) -> &'static [SettingField] {
        FIELDS
    }

    fn build(&self, settings: &mut Settings) -> Result<Box<dyn Connector>, ConnectError> {
        let problem_share_max = settings.share_or("problem_share_max", PROBLEM_SHARE_MAX)?;
        let unusable_rows_max = settings.integer_or("unusable_rows_max", 0, 0, u64::from(u32::MAX))?;
        let what = if settings.optional_string("path")?.is_some() {
            if !settings.bool_or("authoritative", true)? {
                let message = "a file given by `path` is a people feed, which is authoritative; give other files by `accounts`, `entitlements`, `grants`";
                return Err(settings.error("authoritative", message));
            }
            let key = settings.optional_string("key")?.unwrap_or_else(|| "email".to_owned());
            let source = FileSource::read(settings, None, crate::person::COLUMNS, true)?;
            What::People { source, key }
        } else {
            What::System(Box::new(read_files(settings)?))
        };
        let system = settings.system().clone();
        let plan = Plan { system, what, problem_share_max, unusable_rows_max };
        Ok(Box::new(CsvConnector { plan: Arc::new(plan) }))
    }
}

fn read_files(settings: &mut Settings) -> Result<Files, ConnectError> {
    if settings.bool_or("authoritative", false)? {
        let message = "a people feed is one file; write `path = \"people.csv\"`";
        return Err(settings.error("authoritative", message));
    }
    let format = Format::read(settings, None)?;
    let kind = settings.optional_string("entitlement_kind")?;
    let fold_case = settings.bool_or("fold_case", false)?;
    let mut file =
        |key: &str, known: &[&str], open: bool| FileSource::optional(settings, key, &format, known, open);
    let files = Files {
        accounts: file("accounts", columns::ACCOUNTS, true)?,
        entitlements: file("entitlements", columns::ENTITLEMENTS, false)?,
        grants: file("grants", columns::GRANTS, false)?,
        contains: file("contains", &[columns::CONTAINS, &["kind"]].concat(), false)?,
        owners: file("owners", columns::OWNERS, false)?,
        slash_is_name: kind.is_some(),
        kind_default: kind.unwrap_or_else(|| KIND_DEFAULT.to_owned()),
        fold_case,
    };
    if files.accounts.is_none() && files.grants.is_none() {
        let message = "is missing; write `path = \"people.csv\"` for a people feed, or `grants` and `accounts` for a system";
        return Err(settings.error("path", message));
    }
    Ok(files)
}

impl Plan {
    fn sources(&self) -> Vec<(&'static str, &FileSource)> {
        match &self.what {
            What::People { source, .. } => vec![("path", source)],
            What::System(files) => files.each(),
        }
    }

    fn read(&self, sender: mpsc::Sender<Message>) -> Result<Completeness, Failure> {
        let system = self.system.as_str();
        let mut bytes_total = 0;
        for (_, source) in self.sources() {
            bytes_total += size_of(system, source).map_err(Failure::Broken)?;
        }
        let mut output = Output::new(sender, bytes_total);
        let tallies = match &self.what {
            What::People { source, key } => vec![("path", people::read(system, source, key, &mut output)?)],
            What::System(files) => Reading::new(system, files, &mut output).read()?,
        };
        output.flush()?;
        Ok(self.judge(&tallies))
    }

    /// Whether what was read proves that nothing was left out.
    fn judge(&self, tallies: &[(&'static str, Tally)]) -> Completeness {
        let sources = self.sources();
        let label = |key: &'static str| {
            sources.iter().find(|(name, _)| *name == key).map_or(key, |(_, source)| source.label.as_str())
        };
        let mut why: Vec<String> = Vec::new();
        let mut unusable = 0;
        for (key, tally) in tallies {
            let label = label(key);
            why.extend(tally.broken.iter().cloned());
            if matches!(*key, "path" | "accounts" | "grants") && tally.rows == tally.unusable {
                why.push(format!(
                    "{label} answered with nothing; an empty answer is not taken for an empty system"
                ));
            }
            let share = tally.bad as f64 / tally.rows.max(1) as f64;
            if share > self.problem_share_max && tally.bad > PROBLEMS_ALWAYS_BORNE {
                why.push(format!(
                    "{label} has problems in {} of {} rows, more than `problem_share_max` allows",
                    tally.bad, tally.rows
                ));
            }
            unusable += tally.unusable;
        }
        if unusable > self.unusable_rows_max {
            let places: Vec<String> = tallies
                .iter()
                .flat_map(|(key, tally)| {
                    tally.unusable_lines.iter().map(|line| format!("{}:{line}", label(key)))
                })
                .take(5)
                .collect();
            why.push(format!(
                "{unusable} rows could not be used at all, so what they say may seem absent ({}); mend them, or set `unusable_rows_max`",
                places.join(", ")
            ));
        }
        if !why.is_empty() {
            return Completeness::Partial { why: why.join("; ") };
        }
        let read: Vec<String> = tallies
            .iter()
            .map(|(key, tally)| {
                let ending = if tally.final_line_break { "" } else { ", without a final line break" };
                format!("{}: {} rows in {} bytes{ending}", label(key), tally.rows, tally.bytes)
            })
            .collect();
        let evidence = format!("{}; each the file's size, unchanged while it was read", read.join(", "));
        Completeness::Complete { evidence }
    }
}

#[async_trait]
impl Connector for CsvConnector {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn test(&self) -> Result<TestReport, ConnectError> {
        let system = self.plan.system.as_str();
        let mut described = Vec::new();
        for (name, source) in self.plan.sources() {
            let table = Table::open(system, source)?;
            match &self.plan.what {
                What::People { key, .. } => people::check(&table, key)?,
                What::System(_) => columns::check(name, &table)?,
            }
            described.push(format!("{} with {} columns", source.label, table.header.len()));
        }
        Ok(TestReport { target: described.join(", "), acting_as: None, missing_rights: Vec::new() })
    }

    async fn enumerate(&self, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
        let (sender, mut receiver) = mpsc::channel(BATCHES_WAITING_MAX);
        let plan = Arc::clone(&self.plan);
        let reading = tokio::task::spawn_blocking(move || plan.read(sender));
        while let Some(message) = receiver.recv().await {
            match message {
                // An error here drops the receiver, which stops the reading thread at its next batch.
                Message::Facts(facts) => sink.accept(facts).await?,
                Message::Problem(problem) => sink.problem(problem),
                Message::Progress(done, total) => sink.progress(done, Some(total)),
                Message::FeedEnded(end) => sink.feed_ended(end)?,
            }
        }
        match reading.await {
            Ok(Ok(completeness)) => Ok(completeness),
            Ok(Err(Failure::Broken(error))) => Err(error),
            Ok(Err(Failure::Stopped)) => Err(ConnectError::Sink("nobody took the facts".to_owned())),
            Err(panicked) => Err(ConnectError::Target {
                system: self.plan.system.to_string(),
                operation: "reading files".to_owned(),
                message: format!("{panicked}; this is a defect, please report it"),
            }),
        }
    }

    async fn read_back(&self, _target: &ReadTarget) -> Result<ReadBack, ConnectError> {
        let why = "a file shows what was so when it was exported; export it again and sync".to_owned();
        Ok(ReadBack::Unsupported { why })
    }

    async fn execute(&self, request: &ActionRequest) -> Result<Outcome, ConnectError> {
        let entitlement =
            request.entitlement.as_ref().map(|target| format!(" of {}", target.name)).unwrap_or_default();
        let why = format!(
            "a file cannot change the system that it came from; do this there by hand: {}{entitlement} for {}, then export again and sync",
            request.verb, request.account.login
        );
        Ok(Outcome::Refused { why })
    }
}
