//! Opening a store: by its url, with the rights and the durability that it needs.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

use crate::commit_mark::LogIndex;
use crate::db::Db;
use crate::direct::Direct;
use crate::error::{Result, StoreError};
use crate::migrate;
use crate::transition_queue::TransitionQueue;
use crate::turn::Turns;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Whether a commit survives a loss of power. Off only for tests: law 8 needs the intent on the disk before an
    /// action is sent. (SQLite's `synchronous`; PostgreSQL's `synchronous_commit`.)
    pub durable: bool,
    /// How long a write waits for those before it, and then for another process's, in milliseconds.
    pub busy_timeout_ms: u64,
    /// How many connections read at once.
    pub connections_max: u32,
    /// Memory for what an enumeration has told and the store does not hold yet, in bytes for each kind of fact; beyond
    /// it goes into staging tables.
    pub stage_bytes_max: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        // The first read of ten million grants is one transaction of about a minute; others wait for it.
        Self { durable: true, busy_timeout_ms: 300_000, connections_max: 8, stage_bytes_max: 8 << 20 }
    }
}

/// The store. Cheap to clone; every clone uses the same connections.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) db: Db,
    pub(crate) stage_bytes_max: usize,
    pub(crate) transitions: TransitionQueue,
}

impl Store {
    /// Opens a store and brings it up to this release. A SQLite file that is not there is made, readable by its owner
    /// only. `sqlite::memory:` is a store that lives as long as this value and its clones.
    ///
    /// # Errors
    /// [`StoreError::Address`], [`StoreError::File`], [`StoreError::Open`], [`StoreError::Newer`] and
    /// [`StoreError::Migrate`].
    pub async fn open(url: &str, options: StoreOptions) -> Result<Self> {
        Self::open_at(url, options, None).await
    }

    /// The same, stopping at an earlier migration: what the tests of migrations begin with.
    #[doc(hidden)]
    pub async fn open_at(url: &str, options: StoreOptions, migration: Option<i64>) -> Result<Self> {
        let db = if url.starts_with("sqlite:") {
            open_sqlite(url, &options).await?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            open_postgres(url, &options).await?
        } else {
            return Err(StoreError::Address);
        };
        migrate::run(&db, migration).await?;
        Ok(Self { db, stage_bytes_max: options.stage_bytes_max, transitions: TransitionQueue::default() })
    }

    /// Closes every connection, when every step of an action that was begun is made.
    pub async fn close(&self) {
        self.transitions.drained().await;
        self.db.close().await;
    }
}

async fn open_sqlite(url: &str, options: &StoreOptions) -> Result<Db> {
    let busy_timeout = Duration::from_millis(options.busy_timeout_ms);
    let pragmas = vec![
        ("synchronous", if options.durable { "FULL" } else { "OFF" }.to_owned()),
        // In KiB.
        ("cache_size", "-8192".to_owned()),
        ("temp_store", "memory".to_owned()),
        // In pages: what changes again and again is written to the database's own file once for many commits.
        ("wal_autocheckpoint", "4000".to_owned()),
        // The log of one large first read is not kept around for ever.
        ("journal_size_limit", (64 << 20).to_string()),
    ];
    let connect = SqliteConnectOptions::from_str(url)
        .map_err(StoreError::Open)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(busy_timeout)
        // Rows that the driver's thread hands over at a time: with its default of 50 it mostly changes threads.
        .row_buffer_size(2_048);
    let connect = pragmas.iter().fold(connect, |connect, (name, value)| connect.pragma(*name, value.clone()));
    // Never closed for being idle: the connection of a store in memory is the store.
    let pool = |connections: u32| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            // A file does not go away as a server does: asking each time whether it is there would be the half of what a
            // short question costs.
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(busy_timeout)
    };
    let turns = Turns::new(busy_timeout);
    let in_memory = url.contains(":memory:") || url.contains("mode=memory");
    if in_memory {
        let one = pool(1).connect_with(connect).await.map_err(StoreError::Open)?;
        let (write, bulk) = (one.clone(), one.clone());
        return Ok(Db::Sqlite { turns, write, bulk, read: one, direct: None, log_index: None });
    }
    create_private(connect.get_filename())?;
    let log_index = Some(LogIndex::of(connect.get_filename()));
    // What a url says besides the file is for the driver of the pools.
    let direct = (!url.contains('?')).then(|| Direct::new(connect.get_filename().to_owned(), pragmas));
    // After some errors, as that the disk is full, SQLite has rolled back by itself, and a connection that was not told so begins
    // nothing any more.
    let pool = |connections: u32| {
        pool(connections).before_acquire(|connection, _| {
            Box::pin(std::future::ready(Ok(!sqlx::Connection::is_in_transaction(connection))))
        })
    };
    let write = opened(|| pool(1).connect_with(connect.clone()), busy_timeout).await?;
    // A bulk load touches a few indexes in order, and this holds their edges.
    let bulk = pool(1).connect_lazy_with(connect.clone().pragma("cache_size", "-32768"));
    // There are many that read, and the operating system keeps pages for all of them.
    let connect = connect.pragma("cache_size", "-16384");
    let read = pool(options.connections_max).connect_with(connect).await.map_err(StoreError::Open)?;
    Ok(Db::Sqlite { turns, write, bulk, read, direct, log_index })
}

/// Two processes that make a file's log at the same moment are not made to wait for each other by SQLite: the second is
/// told at once that the file is locked, and tries again.
async fn opened<Connected>(
    connect: impl Fn() -> Connected,
    at_most: Duration,
) -> Result<sqlx::Pool<sqlx::Sqlite>>
where
    Connected: Future<Output = std::result::Result<sqlx::Pool<sqlx::Sqlite>, sqlx::Error>>,
{
    const PAUSE: Duration = Duration::from_millis(50);
    let tries = (at_most.as_millis() / PAUSE.as_millis()).max(1);
    for _ in 1..tries {
        match connect().await {
            Err(sqlx::Error::Database(error)) if error.message().contains("locked") => {
                tokio::time::sleep(PAUSE).await;
            }
            other => return other.map_err(StoreError::Open),
        }
    }
    connect().await.map_err(StoreError::Open)
}

/// Makes the file before SQLite does, so that nobody else can read it, not even for a moment. SQLite gives the files
/// that it puts beside it the same rights.
fn create_private(path: &Path) -> Result<()> {
    let mut open = std::fs::OpenOptions::new();
    open.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    match open.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(StoreError::File { path: path.display().to_string(), source }),
    }
}

async fn open_postgres(url: &str, options: &StoreOptions) -> Result<Db> {
    let connect = PgConnectOptions::from_str(url).map_err(StoreError::Open)?.application_name("leasehold");
    let connect = if options.durable { connect } else { connect.options([("synchronous_commit", "off")]) };
    // A pool tries again and again and then says only that time ran out; one connection says what is wrong.
    PgConnection::connect_with(&connect)
        .await
        .map_err(StoreError::Open)?
        .close()
        .await
        .map_err(StoreError::Open)?;
    let pool = PgPoolOptions::new()
        .max_connections(options.connections_max)
        .acquire_timeout(Duration::from_millis(options.busy_timeout_ms.min(30_000)))
        .connect_with(connect)
        .await
        .map_err(StoreError::Open)?;
    Ok(Db::Postgres(pool))
}
