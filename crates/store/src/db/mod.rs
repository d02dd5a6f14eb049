//! The two databases behind one kind of transaction, which `verbs` run statements on and `values` are written for.

mod values;
mod verbs;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::sqlite::SqlitePool;
use sqlx::{PgPool, Postgres, Sqlite, Transaction};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::commit_mark::{CommitMark, LogIndex};
use crate::direct::{Direct, DirectTx};
use crate::error::{Result, StoreError};
use crate::turn::{Turn, Turns};

pub(crate) use values::{
    count, from_json, instant, json_list, json_rows, json_texts, micros, stored, to_json, without_nul,
};
pub(crate) use verbs::{
    execute, execute_in, execute_list, execute_rows, fetch_all, fetch_in, fetch_list, fetch_list_alone,
    fetch_one, fetch_optional, fetch_rows, for_each_row, insert_blobs, insert_rows, parameter, row,
};

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
            Self::Sqlite { turns, write, bulk, read, direct, log_index } => {
                turns.end().await;
                if let Some(log_index) = log_index {
                    log_index.close();
                }
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
