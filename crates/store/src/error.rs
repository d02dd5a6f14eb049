//! Everything that can go wrong in the store, each with what a person does next.

use leasehold_ledger::commitment::SaltError;
use leasehold_ledger::entry::EntryError;
use leasehold_model::action::ActionState;
use leasehold_model::id::{ActionId, PlanHash, SystemName};

/// Why the store could not do something. Nothing was changed, unless the variant says so.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address is neither SQLite's nor PostgreSQL's. It is not repeated: it may hold a password.
    #[error(
        "the store's url does not begin with `sqlite:` or `postgres://`: write `sqlite:leasehold.db` or `postgres://user@host/database`"
    )]
    Address,
    /// The file could not be made.
    #[error(
        "the store's file {path} cannot be created: {source}; check that its folder exists and can be written"
    )]
    File {
        /// Where.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The database could not be opened.
    #[error("the store cannot be opened: {0}; check the store's `url` in leasehold.toml")]
    Open(#[source] sqlx::Error),
    /// The database was written by a newer release.
    #[error(
        "this store was written by a newer release of Leasehold (its migration {found}, this release knows {known}): run that release or a later one; nothing was changed"
    )]
    Newer {
        /// The newest migration in the database.
        found: i64,
        /// The newest that this release brings.
        known: i64,
    },
    /// A migration failed.
    #[error(
        "the store cannot be brought up to this release: {0}; nothing was changed by the migration that failed"
    )]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// The database refused an operation.
    #[error("the store's database refused an operation: {0}")]
    Database(#[source] sqlx::Error),
    /// The same of SQLite where it is asked directly.
    #[error("the store's database refused an operation: {0}")]
    Direct(#[source] rusqlite::Error),
    /// Another process, or another write of this one, held the store for too long.
    #[error(
        "something else is writing to the store and did not finish in time: wait for it, or end it, then repeat the command"
    )]
    Busy,
    /// A temporary file of a large reading cannot be used.
    #[error(
        "a temporary file in {folder} cannot be used: {0}; free space there, or set TMPDIR to a folder that has it; this reading does not count",
        folder = std::env::temp_dir().display()
    )]
    Spill(#[source] std::io::Error),
    /// What is stored does not read back as what it should be.
    #[error(
        "the store holds {what} that cannot be read: {why}; restore the store from a backup, or report this"
    )]
    Corrupt {
        /// Which object.
        what: String,
        /// What was found.
        why: String,
    },
    /// A later enumeration of the same system began.
    #[error(
        "this enumeration of {system} was overtaken by a later one and does not count; nothing of it was recorded"
    )]
    Overtaken {
        /// Which system.
        system: SystemName,
    },
    /// No such system.
    #[error("the system {system} was never read: run `leasehold sync {system}` first")]
    UnknownSystem {
        /// Which.
        system: SystemName,
    },
    /// No such action.
    #[error("there is no action {action} in the store")]
    UnknownAction {
        /// Which.
        action: ActionId,
    },
    /// The states of an action do not follow each other like this.
    #[error("action {action} cannot go from {from} to {to}")]
    Transition {
        /// Which action.
        action: ActionId,
        /// The state that was expected.
        from: ActionState,
        /// The state that was asked for.
        to: ActionState,
    },
    /// Law 2.
    #[error(
        "action {action} cannot be verified by a read-back that is older than its sending: read the target again"
    )]
    ReadBackTooOld {
        /// Which action.
        action: ActionId,
    },
    /// Several plans begin like this.
    #[error("several plans begin with `{prefix}`: write more of the hash")]
    AmbiguousPlan {
        /// What was asked for.
        prefix: String,
    },
    /// The plan's content is not what its hash says.
    #[error("plan {hash} was changed after it was made: its content has the hash {content}; make a new plan")]
    PlanChanged {
        /// What the plan says.
        hash: PlanHash,
        /// What its content says.
        content: PlanHash,
    },
    /// Law 7.
    #[error("plan {hash} was made from another state: {what}; nothing was applied, make a new plan")]
    PlanMoved {
        /// Which plan.
        hash: PlanHash,
        /// What moved.
        what: String,
    },
    /// An override names a guard that the plan does not have.
    #[error("the plan has no guard `{guard}` to override; its guards: {guards}")]
    UnknownGuard {
        /// What was named.
        guard: String,
        /// What there is.
        guards: String,
    },
    /// A mail address belongs to one user.
    #[error(
        "there is a user with the mail address {mail} already: change that one, or write another address"
    )]
    UserExists {
        /// The address.
        mail: String,
    },
    /// No such user.
    #[error("there is no user `{user}`: `leasehold user list` shows them")]
    UnknownUser {
        /// What was asked for.
        user: String,
    },
    /// Somebody must be left to administer.
    #[error("this would leave nobody to administer Leasehold: make another user an administrator first")]
    LastAdministrator,
    /// A user changed since they were read.
    #[error("this user changed since you read it: read it again")]
    UserMoved,
    /// A ledger entry could not be written.
    #[error("a ledger entry cannot be written, so the change was not made: {0}")]
    Ledger(#[from] EntryError),
    /// No randomness.
    #[error(transparent)]
    Salt(#[from] SaltError),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        // SQLite's SQLITE_BUSY and SQLITE_LOCKED, with their extended codes in the higher bytes.
        let busy = matches!(&error, sqlx::Error::Database(database)
            if database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some()
                && database.code().and_then(|code| code.parse::<i64>().ok()).is_some_and(|code| matches!(code & 0xff, 5 | 6)));
        if busy || matches!(error, sqlx::Error::PoolTimedOut) { Self::Busy } else { Self::Database(error) }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
        let is_busy = matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked));
        if is_busy { Self::Busy } else { Self::Direct(error) }
    }
}

impl StoreError {
    /// Something stored that does not read back.
    pub(crate) fn corrupt(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Corrupt { what: what.into(), why: why.to_string() }
    }
}

/// What everything in this crate returns.
pub type Result<T> = std::result::Result<T, StoreError>;
