//! The two databases behind one set of verbs: one SQL text, expanded once for each.
//!
//! The macros take a [`Tx`] and run the text on whichever database it belongs to. Their texts are literals, so that
//! nothing that comes from outside ever becomes SQL. What differs (a list as a table) is named here and nowhere else.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use sqlx::sqlite::SqlitePool;
use sqlx::{PgPool, Postgres, Sqlite, Transaction};

use crate::commit_mark::{CommitMark, LogIndex};
use crate::direct::Direct;
use crate::error::Result;
use crate::turn::{Turn, Turns};

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

    /// Whether [`Self::directly`] does anything.
    pub(crate) fn is_direct(&self) -> bool {
        matches!(self, Self::Sqlite { direct: Some(_), .. })
    }

    /// Has a connection that works on the caller's thread do this when it is its turn, as a write of its own. None where there is
    /// no such connection.
    pub(crate) async fn directly<Done>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<Done>,
    ) -> Result<Option<Done>> {
        let Self::Sqlite { turns, direct: Some(direct), .. } = self else { return Ok(None) };
        let _turn = turns.next().await?;
        direct.with(work).map(Some)
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

async fn writing(turns: &Turns, pool: &SqlitePool) -> Result<Tx> {
    let turn = turns.next().await?;
    Ok(Tx::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?, Some(turn)))
}

impl Tx {
    /// Makes everything since the beginning of the transaction last.
    pub(crate) async fn commit(self) -> Result<()> {
        let committed = match self {
            Self::Sqlite(transaction, _turn) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
        };
        note_commit();
        Ok(committed?)
    }
}

/// Notes that this process has committed something, also where that failed: it may have been done all the same.
pub(crate) fn note_commit() {
    COMMITS.fetch_add(1, Ordering::AcqRel);
}

static COMMITS: AtomicU64 = AtomicU64::new(0);

/// How often this process has committed something, to any store. Whoever remembers what a store said knows by it that this
/// may have changed.
pub fn commits() -> u64 {
    COMMITS.load(Ordering::Acquire)
}

/// Runs a statement and gives the number of rows that it touched.
macro_rules! execute {
    ($tx:expr, $sql:expr $(, $bind:expr)* $(,)?) => {
        match &mut *$tx {
            $crate::db::Tx::Sqlite(transaction, _) => sqlx::query::<sqlx::Sqlite>($sql)$(.bind($bind))*
                .execute(&mut **transaction).await.map(|done| done.rows_affected()),
            $crate::db::Tx::Postgres(transaction) => sqlx::query::<sqlx::Postgres>($sql)$(.bind($bind))*
                .execute(&mut **transaction).await.map(|done| done.rows_affected()),
        }.map_err($crate::error::StoreError::from)
    };
}

/// Runs a statement once for a whole list of numbers, which stands between `$before` and `$after` as a table with the
/// column `value`. The list is parameter `$1`.
macro_rules! execute_list {
    ($tx:expr, $numbers:expr, $before:literal, $after:literal $(, $bind:expr)* $(,)?) => {
        match &mut *$tx {
            $crate::db::Tx::Sqlite(transaction, _) => {
                sqlx::query::<sqlx::Sqlite>(concat!($before, "json_each($1) AS list", $after))
                    .bind($crate::db::json_list($numbers))$(.bind($bind))*
                    .execute(&mut **transaction).await.map(|done| done.rows_affected())
            }
            $crate::db::Tx::Postgres(transaction) => {
                sqlx::query::<sqlx::Postgres>(concat!($before, "UNNEST($1) AS list(value)", $after))
                    .bind($numbers)$(.bind($bind))*
                    .execute(&mut **transaction).await.map(|done| done.rows_affected())
            }
        }.map_err($crate::error::StoreError::from)
    };
}

/// Runs a statement once for a whole list of rows: `value->>0` is the first column of one, as text. The rows are
/// parameter `$1`, as a JSON array of arrays.
macro_rules! execute_rows {
    ($tx:expr, $rows:expr, $before:literal, $after:literal $(, $bind:expr)* $(,)?) => {{
        let rows = $crate::db::json_rows($rows)?;
        match &mut *$tx {
            $crate::db::Tx::Sqlite(transaction, _) => {
                sqlx::query::<sqlx::Sqlite>(concat!($before, "json_each($1) AS list", $after))
                    .bind(rows)$(.bind($bind))*
                    .execute(&mut **transaction).await.map(|done| done.rows_affected())
            }
            $crate::db::Tx::Postgres(transaction) => {
                sqlx::query::<sqlx::Postgres>(
                    concat!($before, "json_array_elements(CAST($1 AS json)) AS list(value)", $after),
                )
                .bind(rows)$(.bind($bind))*
                .execute(&mut **transaction).await.map(|done| done.rows_affected())
            }
        }.map_err($crate::error::StoreError::from)
    }};
}

/// Inserts numbered texts, which are UTF-8, into a table that keeps them as bytes, all in one statement.
macro_rules! insert_blobs {
    ($tx:expr, $table:literal, $number:literal, $bytes:literal, $rows:expr) => {{
        let rows: Vec<(i64, Vec<u8>)> = $rows;
        match &mut *$tx {
            $crate::db::Tx::Sqlite(transaction, _) => {
                let mut texts = Vec::with_capacity(rows.len());
                for (number, bytes) in &rows {
                    let text = std::str::from_utf8(bytes)
                        .map_err(|error| $crate::error::StoreError::corrupt("a text to be written", error))?;
                    texts.push((*number, text));
                }
                sqlx::query::<sqlx::Sqlite>(concat!(
                    "INSERT INTO ",
                    $table,
                    " (",
                    $number,
                    ", ",
                    $bytes,
                    ")
                     SELECT CAST(value->>0 AS BIGINT), CAST(value->>1 AS BLOB) FROM json_each($1)"
                ))
                .bind($crate::db::json_rows(&texts)?)
                .execute(&mut **transaction)
                .await
                .map(|done| done.rows_affected())
            }
            $crate::db::Tx::Postgres(transaction) => {
                let (numbers, bytes): (Vec<i64>, Vec<Vec<u8>>) = rows.into_iter().unzip();
                sqlx::query::<sqlx::Postgres>(concat!(
                    "INSERT INTO ",
                    $table,
                    " (",
                    $number,
                    ", ",
                    $bytes,
                    ") SELECT * FROM UNNEST($1, $2)"
                ))
                .bind(numbers)
                .bind(bytes)
                .execute(&mut **transaction)
                .await
                .map(|done| done.rows_affected())
            }
        }
        .map_err($crate::error::StoreError::from)
    }};
}

/// Reads every row as a tuple.
macro_rules! fetch_all {
    ($tx:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        match &mut *$tx {
            $crate::db::Tx::Sqlite(transaction, _) => sqlx::query_as::<sqlx::Sqlite, $row>($sql)$(.bind($bind))*
                .fetch_all(&mut **transaction).await,
            $crate::db::Tx::Postgres(transaction) => sqlx::query_as::<sqlx::Postgres, $row>($sql)$(.bind($bind))*
                .fetch_all(&mut **transaction).await,
        }.map_err($crate::error::StoreError::from)
    };
}

/// Reads the first row as a tuple, where there is one.
macro_rules! fetch_optional {
    ($tx:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        match &mut *$tx {
            $crate::db::Tx::Sqlite(transaction, _) => sqlx::query_as::<sqlx::Sqlite, $row>($sql)$(.bind($bind))*
                .fetch_optional(&mut **transaction).await,
            $crate::db::Tx::Postgres(transaction) => sqlx::query_as::<sqlx::Postgres, $row>($sql)$(.bind($bind))*
                .fetch_optional(&mut **transaction).await,
        }.map_err($crate::error::StoreError::from)
    };
}

/// Runs a statement once for a whole list of rows, as `execute_rows`, and reads every row that it gives as a tuple.
macro_rules! fetch_rows {
    ($tx:expr, $rows:expr, $row:ty, $before:literal, $after:literal $(,)?) => {{
        let rows = $crate::db::json_rows($rows)?;
        match &mut *$tx {
            $crate::db::Tx::Sqlite(transaction, _) => {
                sqlx::query_as::<sqlx::Sqlite, $row>(concat!($before, "json_each($1) AS list", $after))
                    .bind(rows)
                    .fetch_all(&mut **transaction)
                    .await
            }
            $crate::db::Tx::Postgres(transaction) => {
                sqlx::query_as::<sqlx::Postgres, $row>(concat!(
                    $before,
                    "json_array_elements(CAST($1 AS json)) AS list(value)",
                    $after
                ))
                .bind(rows)
                .fetch_all(&mut **transaction)
                .await
            }
        }
        .map_err($crate::error::StoreError::from)
    }};
}

/// Runs a statement once for a whole list of numbers, as `execute_list`, and reads every row that it gives as a tuple.
macro_rules! fetch_list {
    ($tx:expr, $numbers:expr, $row:ty, $before:literal, $after:literal $(, $bind:expr)* $(,)?) => {
        match &mut *$tx {
            $crate::db::Tx::Sqlite(transaction, _) => {
                sqlx::query_as::<sqlx::Sqlite, $row>(concat!($before, "json_each($1) AS list", $after))
                    .bind($crate::db::json_list($numbers))$(.bind($bind))*
                    .fetch_all(&mut **transaction).await
            }
            $crate::db::Tx::Postgres(transaction) => {
                sqlx::query_as::<sqlx::Postgres, $row>(concat!($before, "UNNEST($1) AS list(value)", $after))
                    .bind($numbers)$(.bind($bind))*
                    .fetch_all(&mut **transaction).await
            }
        }.map_err($crate::error::StoreError::from)
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

/// Reads the one row that must be there as a tuple.
macro_rules! fetch_one {
    ($tx:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        match &mut *$tx {
            $crate::db::Tx::Sqlite(transaction, _) => sqlx::query_as::<sqlx::Sqlite, $row>($sql)$(.bind($bind))*
                .fetch_one(&mut **transaction).await,
            $crate::db::Tx::Postgres(transaction) => sqlx::query_as::<sqlx::Postgres, $row>($sql)$(.bind($bind))*
                .fetch_one(&mut **transaction).await,
        }.map_err($crate::error::StoreError::from)
    };
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
            $crate::db::Tx::Postgres(transaction) => {
                let mut rows = sqlx::query_as::<sqlx::Postgres, $row>($sql)$(.bind($bind))*.fetch(&mut **transaction);
                while let Some($pattern) = rows.try_next().await? $block
            }
        }
    }};
}

pub(crate) use {
    execute, execute_list, execute_rows, fetch_all, fetch_list, fetch_list_alone, fetch_one, fetch_optional,
    fetch_rows, for_each_row, insert_blobs,
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
