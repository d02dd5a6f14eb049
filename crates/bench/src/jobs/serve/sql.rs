//! What somebody would write by hand over the same rows: tables with the indexes that the questions want, prepared
//! statements, in process. It decides nothing and draws no page; it is the floor for reading rows.

use std::path::Path;
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

const TABLES: &str = "
CREATE TABLE identity (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE account (id INTEGER PRIMARY KEY, system TEXT NOT NULL, login TEXT NOT NULL, identity TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE entitlement (id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
CREATE TABLE held (account INTEGER NOT NULL, entitlement INTEGER NOT NULL, PRIMARY KEY (account, entitlement)) WITHOUT ROWID;
CREATE TABLE contain (parent INTEGER NOT NULL, child INTEGER NOT NULL, PRIMARY KEY (child, parent)) WITHOUT ROWID;
";

/// From the product's store: the newest rows of each relation.
const COPY: &str = "
INSERT INTO identity SELECT o.key, i.body FROM store.object o
    JOIN store.state_interval i ON i.system = o.system AND i.object = o.id AND i.aspect = 'state' AND i.until IS NULL
    WHERE o.class = 'identity' ORDER BY o.key;
INSERT INTO account SELECT o.system * 100000000 + o.id, s.name, json_extract(i.body, '$.login'),
        json_extract(i.body, '$.login') || '@example.com', i.body
    FROM store.object o JOIN store.system s ON s.id = o.system
    JOIN store.state_interval i ON i.system = o.system AND i.object = o.id AND i.aspect = 'state' AND i.until IS NULL
    WHERE o.class = 'account';
INSERT INTO entitlement SELECT o.system * 100000000 + o.id, s.name || ':' || o.key, i.body
    FROM store.object o JOIN store.system s ON s.id = o.system
    JOIN store.state_interval i ON i.system = o.system AND i.object = o.id AND i.aspect = 'state' AND i.until IS NULL
    WHERE o.class = 'entitlement';
INSERT INTO held SELECT system * 100000000 + account, system * 100000000 + entitlement FROM store.grant_interval
    WHERE until IS NULL ORDER BY 1, 2;
INSERT INTO contain SELECT system * 100000000 + parent, system * 100000000 + child FROM store.containment_interval
    WHERE until IS NULL;
CREATE INDEX account_of_identity ON account (identity);
CREATE INDEX account_of_system ON account (system, login);
CREATE INDEX held_by ON held (entitlement, account);
ANALYZE;
";

/// The rows by hand.
pub struct ByHand(SqliteConnection);

/// A question, with what it is asked about.
pub struct Question {
    /// The statements, run one after the other; the first text in each is bound where it has a place for one.
    pub statements: &'static [&'static str],
}

/// A page of identities, and how many there are.
pub const IDENTITIES: Question = Question {
    statements: &[
        "SELECT key, body FROM identity WHERE key >= ?1 ORDER BY key LIMIT 50",
        "SELECT count(*), '' FROM identity",
    ],
};
/// A page of entitlements with how many hold each directly, and how many there are.
pub const ENTITLEMENTS: Question = Question {
    statements: &[
        "SELECT address, (SELECT count(*) FROM held WHERE entitlement = e.id) || body FROM entitlement e
         WHERE address >= ?1 ORDER BY address LIMIT 50",
        "SELECT count(*), '' FROM entitlement",
    ],
};
/// A page of a system's accounts with how much each holds, and how many there are.
pub const ACCOUNTS: Question = Question {
    statements: &[
        "SELECT login, (SELECT count(*) FROM held WHERE account = a.id) || body FROM account a
         WHERE system = 's0' AND login >= ?1 ORDER BY login LIMIT 50",
        "SELECT count(*), '' FROM account WHERE system = 's0'",
    ],
};
/// Everything that one identity effectively holds.
pub const IDENTITY: Question = Question {
    statements: &[
        "SELECT key, body FROM identity WHERE key = ?1",
        "WITH RECURSIVE reach (account, entitlement) AS (
             SELECT account, entitlement FROM held WHERE account IN (SELECT id FROM account WHERE identity = ?1)
             UNION SELECT account, child FROM reach JOIN contain ON parent = entitlement)
         SELECT address, body FROM reach JOIN entitlement ON id = reach.entitlement ORDER BY address",
    ],
};
/// A page of who effectively holds one entitlement.
pub const HOLDERS: Question = Question {
    statements: &["WITH RECURSIVE up (entitlement) AS (
             SELECT id FROM entitlement WHERE address = ?1
             UNION SELECT parent FROM contain JOIN up ON child = up.entitlement)
         SELECT DISTINCT login, identity FROM up JOIN held ON held.entitlement = up.entitlement
         JOIN account ON account.id = held.account ORDER BY login LIMIT 50"],
};
/// Whether one identity effectively holds one entitlement; the two are bound with a space between.
pub const CHECK: Question = Question {
    statements: &["WITH RECURSIVE up (entitlement) AS (
             SELECT id FROM entitlement WHERE address = substr(?1, instr(?1, ' ') + 1)
             UNION SELECT parent FROM contain JOIN up ON child = up.entitlement)
         SELECT login, identity FROM account
         WHERE identity = substr(?1, 1, instr(?1, ' ') - 1) AND EXISTS (
             SELECT 1 FROM up JOIN held ON held.account = account.id AND held.entitlement = up.entitlement)"],
};

impl ByHand {
    /// Copies the rows of a store into tables of its own.
    pub async fn of(store: &Path, into: &Path) -> anyhow::Result<Self> {
        let options =
            SqliteConnectOptions::from_str(&format!("sqlite:{}", into.display()))?.create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        sqlx::raw_sql("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000;")
            .execute(&mut connection)
            .await?;
        sqlx::raw_sql(TABLES).execute(&mut connection).await?;
        sqlx::query("ATTACH ?1 AS store").bind(store.display().to_string()).execute(&mut connection).await?;
        sqlx::raw_sql(COPY).execute(&mut connection).await.context("copying the rows")?;
        Ok(Self(connection))
    }

    /// How many grants there are.
    pub async fn grants(&mut self) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar("SELECT count(*) FROM held").fetch_one(&mut self.0).await?)
    }

    /// Asks, and returns how long it took and how many rows came.
    pub async fn ask(&mut self, question: &Question, about: &str) -> anyhow::Result<(Duration, usize)> {
        let begun = Instant::now();
        let mut rows = 0;
        for statement in question.statements.iter().copied() {
            let mut query = sqlx::query(statement);
            if statement.contains("?1") {
                query = query.bind(about);
            }
            rows += query.fetch_all(&mut self.0).await?.len();
        }
        Ok((begun.elapsed(), rows))
    }
}
