//! Forward migrations, one folder for each database, embedded in the binary.

use sqlx::migrate::{MigrateError, Migrator};

use crate::db::Db;
use crate::error::{Result, StoreError};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// The newest migration of this release.
pub fn newest() -> i64 {
    SQLITE.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Brings a database up to this release, or to an earlier migration where a test asks for that.
///
/// # Errors
/// [`StoreError::Newer`] where a later release wrote it, [`StoreError::Migrate`] where a migration fails.
pub(crate) async fn run(db: &Db, up_to: Option<i64>) -> Result<()> {
    let migrator = match db {
        Db::Sqlite { .. } => &SQLITE,
        Db::Postgres(_) => &POSTGRES,
    };
    let known = newest();
    let chosen = migrator.iter().filter(|migration| up_to.is_none_or(|last| migration.version <= last));
    let migrator = Migrator::with_migrations(chosen.cloned().collect());
    let mut tries = 0;
    loop {
        let outcome = match db {
            Db::Sqlite { write, .. } => migrator.run(write).await,
            Db::Postgres(pool) => migrator.run(pool).await,
        };
        tries += 1;
        match outcome {
            Ok(()) => return Ok(()),
            Err(MigrateError::VersionMissing(found)) if found > known => {
                return Err(StoreError::Newer { found, known });
            }
            // SQLite has no lock for this: of two processes that open a new store at once, the slower one fails in a
            // transaction that leaves nothing behind, and then finds the work done.
            Err(MigrateError::Execute(_) | MigrateError::ExecuteMigration(..))
                if matches!(db, Db::Sqlite { .. }) && tries < 5 => {}
            Err(error) => return Err(StoreError::Migrate(error)),
        }
    }
}
