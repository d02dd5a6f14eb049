//! The two databases behind one set of verbs: one SQL text, expanded once for each, and once more for SQLite on the caller's thread.
//!
//! The macros take a [`Tx`] and run the text on whichever database it belongs to. Their texts are literals, so that
//! nothing that comes from outside ever becomes SQL. What differs (a list as a table) is named here and nowhere else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::sqlite::SqlitePool;
use sqlx::{PgPool, Postgres, Sqlite, Transaction};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::commit_mark::{CommitMark, LogIndex};
use crate::direct::{Direct, DirectTx};
use crate::error::{Result, StoreError};
use crate::turn::{Turn, Turns};

/// So long nothing is tried while another process writes to SQLite.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// The pools of one store.
#[derive(Debug, Clone)]
pub(crate) enum Db {
    /// SQLite has one writer, so writes queue for their turn instead of polling for a lock. What writes a great deal has a
    /// connection that keeps more pages: every commit looks through a table of all pages that its connection has ever kept at
    /// once. In memory all are the same pool of one connection, and there is no other, and no log.
    Sqlite {
        turns: Turns,
        write: SqlitePool,
        bulk: SqlitePool,
        read: SqlitePool,
        direct: Option<Direct>,
        log_index: Option<LogIndex>,
    },
    /// PostgreSQL.
    Postgres(PgPool),
}

/// An open transaction of either database. Dropped without [`Tx::commit`], it changed nothing.
pub(crate) enum Tx {
    /// With the turn, where it writes.
    Sqlite(Transaction<'static, Sqlite>, Option<Turn>),
    /// Of the connection that works on the thread of whoever asks it.
    Direct(DirectTx, Turn),
    Postgres(Transaction<'static, Postgres>),
}

impl Db {
    /// Begins a transaction that may write.
    pub(crate) async fn write(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { turns, write, .. } => writing(turns, write).await?,
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Begins a transaction that writes a great deal.
    pub(crate) async fn write_bulk(&self) -> Result<Tx> {
        match self {
            Self::Sqlite { turns, bulk, .. } => writing(turns, bulk).await,
            Self::Postgres(_) => self.write().await,
        }
    }

    /// Whether [`Self::write_here`] works on the caller's thread.
    pub(crate) fn is_direct(&self) -> bool {
        matches!(self, Self::Sqlite { direct: Some(_), .. })
    }

    /// Begins a transaction that may write, on the caller's thread where that can be: for many short statements, by somebody who
    /// has a thread of their own, or goes on [`apart`].
    pub(crate) async fn write_here(&self) -> Result<Tx> {
        let Self::Sqlite { turns, direct: Some(direct), .. } = self else { return self.write().await };
        let turn = turns.next().await?;
        let until = Instant::now() + turns.patience();
        loop {
            match direct.begin() {
                // Another process writes.
                Err(StoreError::Busy) if Instant::now() < until => tokio::time::sleep(BUSY_PAUSE).await,
                begun => return Ok(Tx::Direct(begun?, turn)),
            }
        }
    }

    /// Begins a transaction that sees one unchanging state, however many statements it runs.
    pub(crate) async fn read(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { read, .. } => Tx::Sqlite(read.begin_with("BEGIN").await?, None),
            Self::Postgres(pool) => {
                Tx::Postgres(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
            }
        })
    }

    /// Something that every commit changes, of whichever process; `None` where only a statement tells.
    pub(crate) fn commit_mark(&self) -> Option<CommitMark> {
        match self {
            Self::Sqlite { log_index, .. } => log_index.as_ref()?.mark(),
            Self::Postgres(_) => None,
        }
    }

    /// Takes no such mark any more: something was committed that did not change it.
    pub(crate) fn distrust_commit_mark(&self) {
        if let Self::Sqlite { log_index: Some(log_index), .. } = self {
            log_index.distrust();
        }
    }

    /// Closes every connection; what was committed stays.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { turns, write, bulk, read, direct, .. } => {
                turns.end().await;
                if let Some(direct) = direct {
                    direct.close();
                }
                read.close().await;
                bulk.close().await;
                write.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// Goes on with a transaction of [`Db::write_here`] while the runtime's other tasks go on, though it waits for the disk on its
/// thread. Whatever else is in the same task waits, and cannot be dropped meanwhile.
///
/// Where a runtime of several threads is entered it must be called on one of them: not within a `LocalSet`, nor on the thread of
/// another runtime.
pub(crate) async fn apart<Working>(tx: Tx, work: impl FnOnce(Tx) -> Working) -> Working::Output
where
    Working: Future,
{
    let runtime = Handle::current();
    let has_others = runtime.runtime_flavor() != RuntimeFlavor::CurrentThread;
    match tx {
        Tx::Direct(..) if has_others => tokio::task::block_in_place(|| runtime.block_on(work(tx))),
        _ => work(tx).await,
    }
}

async fn writing(turns: &Turns, pool: &SqlitePool) -> Result<Tx> {
    let turn = turns.next().await?;
    Ok(Tx::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?, Some(turn)))
}

impl Tx {
    /// Makes everything since the beginning of the transaction last.
    pub(crate) async fn commit(self) -> Result<()> {
        let committed = match self {
            Self::Sqlite(transaction, _turn) => transaction.commit().await.map_err(StoreError::from),
            Self::Direct(transaction, _turn) => transaction.commit(),
            Self::Postgres(transaction) => transaction.commit().await.map_err(StoreError::from),
        };
        note_commit();
        committed
    }
}

/// Notes that this process has committed something, also where that failed: it may have been done all the same.
fn note_commit() {
    COMMITS.fetch_add(1, Ordering::AcqRel);
}

static COMMITS: AtomicU64 = AtomicU64::new(0);

/// How often this process has committed something, to any store. Whoever remembers what a store said knows by it that this
/// may have changed.
pub fn commits() -> u64 {
    COMMITS.load(Ordering::Acquire)
}

/// Runs a statement, of which each database has its text and its values, and gives the number of rows that it touched.
macro_rules! execute_in {
    ($tx:expr, sqlite($sqlite:expr $(, $value:expr)*), postgres($postgres:expr $(, $bind:expr)*)) => {
        match &mut *$tx {
            $crate::db::Tx::Sqlite(transaction, _) => sqlx::query::<sqlx::Sqlite>($sqlite)$(.bind($value))*
                .execute(&mut **transaction).await
                .map(|done| done.rows_affected()).map_err($crate::error::StoreError::from),
            $crate::db::Tx::Direct(transaction, _) => transaction.execute($sqlite, rusqlite::params![$($value),*]),
            $crate::db::Tx::Postgres(transaction) => sqlx::query::<sqlx::Postgres>($postgres)$(.bind($bind))*
                .execute(&mut **transaction).await
                .map(|done| done.rows_affected()).map_err($crate::error::StoreError::from),
        }
    };
}

/// Reads rows as tuples, as many as `$how` says (`fetch_all`, `fetch_optional` or `fetch_one`), in the same way.
macro_rules! fetch_in {
    (
        $tx:expr, $row:ty, $how:ident,
        sqlite($sqlite:expr $(, $value:expr)*), postgres($postgres:expr $(, $bind:expr)*)
    ) => {
        match &mut *$tx {
            $crate::db::Tx::Sqlite(transaction, _) => {
                sqlx::query_as::<sqlx::Sqlite, $row>($sqlite)$(.bind($value))*
                    .$how(&mut **transaction).await.map_err($crate::error::StoreError::from)
            }
            $crate::db::Tx::Direct(transaction, _) => {
                transaction.$how::<$row>($sqlite, rusqlite::params![$($value),*])
            }
            $crate::db::Tx::Postgres(transaction) => {
                sqlx::query_as::<sqlx::Postgres, $row>($postgres)$(.bind($bind))*
                    .$how(&mut **transaction).await.map_err($crate::error::StoreError::from)
            }
        }
    };
}

/// Runs a statement and gives the number of rows that it touched.
macro_rules! execute {
    ($tx:expr, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::db::execute_in!($tx, sqlite($sql $(, $bind)*), postgres($sql $(, $bind)*))
    };
}

/// Runs a statement once for a whole list of numbers, which stands between `$before` and `$after` as a table with the
/// column `value`. The list is parameter `$1`.
macro_rules! execute_list {
    ($tx:expr, $numbers:expr, $before:literal, $after:literal $(, $bind:expr)* $(,)?) => {
        $crate::db::execute_in!(
            $tx,
            sqlite(concat!($before, "json_each($1) AS list", $after), $crate::db::json_list($numbers) $(, $bind)*),
            postgres(concat!($before, "UNNEST($1) AS list(value)", $after), $numbers $(, $bind)*)
        )
    };
}

/// Runs a statement once for a whole list of rows: `value->>0` is the first column of one, as text. The rows are
/// parameter `$1`, as a JSON array of arrays.
macro_rules! execute_rows {
    ($tx:expr, $rows:expr, $before:expr, $after:literal $(, $bind:expr)* $(,)?) => {{
        let rows = $crate::db::json_rows($rows)?;
        $crate::db::execute_in!(
            $tx,
            sqlite(concat!($before, "json_each($1) AS list", $after), rows $(, $bind)*),
            postgres(
                concat!($before, "json_array_elements(CAST($1 AS json)) AS list(value)", $after),
                rows $(, $bind)*
            )
        )
    }};
}

/// Inserts rows, which are tuples, into columns of a table: one after the other where a statement costs little, or else all in
/// one statement. Of each column stand its place in the tuple, its name and its type. After an error the transaction is not to be
/// committed: some rows may be there.
macro_rules! insert_rows {
    ($tx:expr, $table:literal, $rows:expr, [0 $first:ident $first_type:ident $(, $place:literal $column:ident $type:ident)* $(,)?]) => {
        if let $crate::db::Tx::Direct(transaction, _) = &mut *$tx {
            let sql = concat!(
                "INSERT INTO ", $table, " (", stringify!($first) $(, ", ", stringify!($column))*,
                ") VALUES (?" $(, $crate::db::parameter!($column))*, ")"
            );
            transaction.prepared(sql).and_then(|mut statement| {
                for ($first $(, $column)*) in $rows {
                    statement.execute(rusqlite::params![$first $(, $column)*])?;
                }
                Ok($rows.len() as u64)
            })
        } else {
            $crate::db::execute_rows!(
                $tx,
                $rows,
                concat!(
                    "INSERT INTO ", $table, " (", stringify!($first) $(, ", ", stringify!($column))*,
                    ") SELECT CAST(value->>0 AS ", stringify!($first_type), ")"
                    $(, ", CAST(value->>", $place, " AS ", stringify!($type), ")")*,
                    " FROM "
                ),
                ""
            )
        }
    };
}

/// The parameter of one more column.
macro_rules! parameter {
    ($column:ident) => {
        ", ?"
    };
}

/// The same of numbered texts, which are UTF-8, into a table that keeps them as bytes.
macro_rules! insert_blobs {
    ($tx:expr, $table:literal, $number:literal, $bytes:literal, $rows:expr) => {{
        let rows: Vec<(i64, Vec<u8>)> = $rows;
        if let $crate::db::Tx::Direct(transaction, _) = &mut *$tx {
            let sql = concat!("INSERT INTO ", $table, " (", $number, ", ", $bytes, ") VALUES (?, ?)");
            transaction.prepared(sql).and_then(|mut statement| {
                for (number, bytes) in &rows {
                    statement.execute(rusqlite::params![number, bytes])?;
                }
                Ok(rows.len() as u64)
            })
        } else {
            $crate::db::execute_in!(
                $tx,
                sqlite(
                    concat!(
                        "INSERT INTO ",
                        $table,
                        " (",
                        $number,
                        ", ",
                        $bytes,
                        ") SELECT CAST(value->>0 AS BIGINT), CAST(value->>1 AS BLOB) FROM json_each($1)"
                    ),
                    $crate::db::json_texts(&rows)?
                ),
                postgres(
                    concat!(
                        "INSERT INTO ",
                        $table,
                        " (",
                        $number,
                        ", ",
                        $bytes,
                        ") SELECT * FROM UNNEST($1, $2)"
                    ),
                    rows.iter().map(|(number, _)| *number).collect::<Vec<i64>>(),
                    rows.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<&[u8]>>()
                )
            )
        }
    }};
}

/// Reads every row as a tuple.
macro_rules! fetch_all {
    ($tx:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::db::fetch_in!($tx, $row, fetch_all, sqlite($sql $(, $bind)*), postgres($sql $(, $bind)*))
    };
}

/// Reads the first row as a tuple, where there is one.
macro_rules! fetch_optional {
    ($tx:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::db::fetch_in!($tx, $row, fetch_optional, sqlite($sql $(, $bind)*), postgres($sql $(, $bind)*))
    };
}

/// Reads the one row that must be there as a tuple.
macro_rules! fetch_one {
    ($tx:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::db::fetch_in!($tx, $row, fetch_one, sqlite($sql $(, $bind)*), postgres($sql $(, $bind)*))
    };
}

/// Runs a statement once for a whole list of rows, as `execute_rows`, and reads every row that it gives as a tuple.
macro_rules! fetch_rows {
    ($tx:expr, $rows:expr, $row:ty, $before:literal, $after:literal $(,)?) => {{
        let rows = $crate::db::json_rows($rows)?;
        $crate::db::fetch_in!(
            $tx,
            $row,
            fetch_all,
            sqlite(concat!($before, "json_each($1) AS list", $after), rows),
            postgres(concat!($before, "json_array_elements(CAST($1 AS json)) AS list(value)", $after), rows)
        )
    }};
}

/// Runs a statement once for a whole list of numbers, as `execute_list`, and reads every row that it gives as a tuple.
macro_rules! fetch_list {
    ($tx:expr, $numbers:expr, $row:ty, $before:literal, $after:literal $(, $bind:expr)* $(,)?) => {
        $crate::db::fetch_in!(
            $tx,
            $row,
            fetch_all,
            sqlite(concat!($before, "json_each($1) AS list", $after), $crate::db::json_list($numbers) $(, $bind)*),
            postgres(concat!($before, "UNNEST($1) AS list(value)", $after), $numbers $(, $bind)*)
        )
    };
}

/// Reads every row of one statement about a list of texts as a tuple, without a transaction around it: one statement sees
/// one state of the store, and what begins and ends a transaction costs more than a short one. The list stands between
/// `$before` and `$after` as a table with the column `value`, and is parameter `$1`.
macro_rules! fetch_list_alone {
    ($db:expr, $texts:expr, $row:ty, $before:literal, $after:literal $(, $bind:expr)* $(,)?) => {{
        let texts = $crate::db::json_rows($texts)?;
        match $db {
            $crate::db::Db::Sqlite { read, .. } => {
                sqlx::query_as::<sqlx::Sqlite, $row>(concat!($before, "json_each($1) AS list", $after))
                    .bind(texts)$(.bind($bind))*
                    .fetch_all(read)
                    .await
            }
            $crate::db::Db::Postgres(pool) => {
                sqlx::query_as::<sqlx::Postgres, $row>(concat!(
                    $before,
                    "json_array_elements_text(CAST($1 AS json)) AS list(value)",
                    $after
                ))
                .bind(texts)$(.bind($bind))*
                .fetch_all(pool)
                .await
            }
        }
        .map_err($crate::error::StoreError::from)
    }};
}

/// Reads row after row without holding them all, and runs the block with each.
macro_rules! for_each_row {
    ($tx:expr, $row:ty, $sql:expr, [$($bind:expr),*], |$pattern:pat_param| $block:block) => {{
        use futures::TryStreamExt as _;
        match &mut *$tx {
            $crate::db::Tx::Sqlite(transaction, _) => {
                let mut rows = sqlx::query_as::<sqlx::Sqlite, $row>($sql)$(.bind($bind))*.fetch(&mut **transaction);
                while let Some($pattern) = rows.try_next().await? $block
            }
            // Its rows are few.
            $crate::db::Tx::Direct(transaction, _) => {
                for $pattern in transaction.fetch_all::<$row>($sql, rusqlite::params![$($bind),*])? $block
            }
            $crate::db::Tx::Postgres(transaction) => {
                let mut rows = sqlx::query_as::<sqlx::Postgres, $row>($sql)$(.bind($bind))*.fetch(&mut **transaction);
                while let Some($pattern) = rows.try_next().await? $block
            }
        }
    }};
}

/// A row whose fields are the columns of these names, for more of them than a tuple can have.
macro_rules! row {
    ($visibility:vis struct $name:ident { $($column:ident: $type:ty),+ $(,)? }) => {
        #[derive(sqlx::FromRow)]
        $visibility struct $name { $($column: $type),+ }

        impl TryFrom<&rusqlite::Row<'_>> for $name {
            type Error = rusqlite::Error;

            fn try_from(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
                Ok(Self { $($column: row.get(stringify!($column))?),+ })
            }
        }
    };
}

pub(crate) use {
    execute, execute_in, execute_list, execute_rows, fetch_all, fetch_in, fetch_list, fetch_list_alone,
    fetch_one, fetch_optional, fetch_rows, for_each_row, insert_blobs, insert_rows, parameter, row,
};

/// Numbers as a JSON array, the form in which SQLite takes a list.
pub(crate) fn json_list(numbers: &[i64]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(numbers.len() * 16 + 2);
    text.push('[');
    for (position, number) in numbers.iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{number}");
    }
    text.push(']');
    text
}

/// Rows as a JSON array of arrays.
pub(crate) fn json_rows<T: serde::Serialize>(rows: &[T]) -> Result<String> {
    serde_json::to_string(rows)
        .map_err(|error| crate::error::StoreError::corrupt("rows to be written", error))
}

/// Numbered texts as a JSON array of arrays.
pub(crate) fn json_texts<'a>(rows: &'a [(i64, Vec<u8>)]) -> Result<String> {
    let text = |(number, bytes): &'a (i64, Vec<u8>)| match std::str::from_utf8(bytes) {
        Ok(text) => Ok((*number, text)),
        Err(error) => Err(StoreError::corrupt("a text to be written", error)),
    };
    json_rows(&rows.iter().map(text).collect::<Result<Vec<(i64, &str)>>>()?)
}

/// A JSON text for a column.
pub(crate) fn to_json<T: serde::Serialize>(what: &str, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| crate::error::StoreError::corrupt(what, error))
}

/// A JSON text from a column.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| crate::error::StoreError::corrupt(what, error))
}

/// An instant as it is stored: microseconds since 1970.
pub(crate) fn micros(at: jiff::Timestamp) -> i64 {
    at.as_microsecond()
}

/// An instant as it was stored.
pub(crate) fn instant(micros: i64) -> Result<jiff::Timestamp> {
    jiff::Timestamp::from_microsecond(micros)
        .map_err(|error| crate::error::StoreError::corrupt(format!("the instant {micros}"), error))
}

/// A count as it is shown. Counts in the store are never negative.
pub(crate) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A count as it is stored.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A text that PostgreSQL can hold: it refuses NUL, which nothing stops a target from sending.
pub(crate) fn without_nul(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}
