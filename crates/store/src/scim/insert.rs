//! Writing new resources, all by one statement.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use futures::TryStreamExt as _;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Either, Executor as _, FromRow as _, Sqlite};

use super::ScimAuthority;
use super::write::New;
use crate::db::{Tx, fetch_rows, micros};
use crate::error::{Result, StoreError};

/// How many rows the statement for SQLite has at most; it has 1, 2, 4 and so on.
pub(super) const ROWS_MAX: usize = 256;
/// One row of it. Rows that nothing is bound to break `NOT NULL` and are left out.
const ROW: &str = "(?, ?, ?, ?, ?, ?, ?, 1, ?, ?)";
const VALUES: usize = 9;

/// Values that are bound cost a fifth of what reading them out of one JSON text does. Nothing makes this statement fail half-way,
/// so SQLite keeps no copy of each page that it changes, to take it back.
static INSERT: LazyLock<Vec<String>> = LazyLock::new(|| {
    let sizes = std::iter::successors(Some(1), |size| Some(size * 2)).take_while(|size| *size <= ROWS_MAX);
    let statement = |size| {
        let rows = vec![ROW; size].join(", ");
        format!(
            "INSERT OR IGNORE INTO scim_resource
                (system, kind, id, name, name_tie, external_id, document, version, created_at, changed_at)
             VALUES {rows}"
        )
    };
    sizes.map(statement).collect()
});

/// The same between what begins a change and what notes in the feed that there was one: on their way to the thread of the
/// database and back, statements cost more than there.
static WHOLE_CHANGE: LazyLock<Vec<String>> = LazyLock::new(|| {
    let statement = |insert: &String| {
        format!(
            "UPDATE scim_head SET change = change + 1 RETURNING change,
                (SELECT COUNT(*) FROM api_token JOIN app_user ON app_user.id = api_token.user_id
                 WHERE api_token.id = ? AND api_token.system = ? AND api_token.revoked_at IS NULL
                   AND api_token.expires_at > ? AND app_user.state = 'active' AND app_user.version = ?),
                EXISTS (SELECT 1 FROM scim_deleted);
             {insert};
             INSERT INTO scim_feed (system, change, urgent_change, changed_at, unread_since, read_change)
             SELECT ?, (SELECT change FROM scim_head), 0, ?, ?, 0 WHERE changes() > 0
             ON CONFLICT (system) DO UPDATE SET change = excluded.change, changed_at = excluded.changed_at,
                unread_since = COALESCE(scim_feed.unread_since, excluded.unread_since)"
        )
    };
    INSERT.iter().map(statement).collect()
});

/// Which of the statements has room for so many rows, and how many rows it has.
fn size(count: usize) -> (usize, usize) {
    let rows = count.next_power_of_two();
    (rows.trailing_zeros() as usize, rows)
}

type Statement = Query<'static, Sqlite, SqliteArguments>;

fn bound(mut statement: Statement, new: &[New]) -> Statement {
    // What many have in common, and what is long, is not copied.
    let shared = |known: &mut Arc<str>, text: &str| {
        if **known != *text {
            *known = text.into();
        }
        known.clone()
    };
    let (mut system, mut kind, mut tie): (Arc<str>, Arc<str>, Arc<str>) = Default::default();
    for one in new {
        let New { place, id, content, now, .. } = one;
        statement = statement
            .bind(shared(&mut system, &place.system))
            .bind(shared(&mut kind, place.kind))
            .bind(id.as_str())
            .bind(content.name.as_str())
            .bind(shared(&mut tie, one.tie()))
            .bind(content.external_id.as_deref())
            .bind(content.document.clone())
            .bind(micros(*now))
            .bind(micros(*now));
    }
    statement
}

/// What a change of nothing but new resources came to.
pub(super) struct WholeChange {
    pub change: i64,
    pub is_in_force: bool,
    pub any_deleted: bool,
    /// The ids of those that were not written: others have their names.
    pub left_out: HashSet<String>,
}

/// Begins a change by whoever asks for all of these new resources of one system, writes them and notes it in the feed. Where the
/// authority is not in force, none of it may last. For SQLite, and not more than [`ROWS_MAX`].
pub(super) async fn whole_change(
    tx: &mut Tx,
    by: &ScimAuthority,
    new: &[New],
) -> Result<Option<WholeChange>> {
    let (Tx::Sqlite(transaction), [first, .., last] | [first @ last]) = (&mut *tx, new) else {
        return Ok(None);
    };
    let system = first.place.system.as_str();
    let (at, rows) = size(new.len());
    let statement = sqlx::query::<Sqlite>(WHOLE_CHANGE[at].as_str())
        .bind(by.token.as_str())
        .bind(system)
        .bind(micros(first.now))
        .bind(by.owner_version);
    let mut statement = bound(statement, new);
    for _ in 0..(rows - new.len()) * VALUES {
        statement = statement.bind(None::<&str>);
    }
    let statement = statement.bind(system).bind(micros(last.now)).bind(micros(last.now));
    let (mut begun, mut done) = (None, Vec::with_capacity(3));
    let mut results = (&mut **transaction).fetch_many(statement);
    while let Some(result) = results.try_next().await? {
        match result {
            Either::Left(result) => done.push(result.rows_affected()),
            Either::Right(row) => begun = Some(<(i64, i64, i64)>::from_row(&row)?),
        }
    }
    drop(results);
    let (Some((change, in_force, any_deleted)), Some(written)) = (begun, done.get(1)) else {
        return Err(StoreError::corrupt("a change of what is pushed", "not every statement was answered"));
    };
    let left_out = left_out(tx, new, *written).await?;
    Ok(Some(WholeChange { change, is_in_force: in_force > 0, any_deleted: any_deleted > 0, left_out }))
}

/// Writes new resources, but those whose name another has; gives the ids of those that were not written.
pub(super) async fn insert(tx: &mut Tx, new: &[New]) -> Result<HashSet<String>> {
    let mut count = 0;
    match tx {
        Tx::Sqlite(_) => {
            for new in new.chunks(ROWS_MAX) {
                count += insert_chunk(tx, new).await?;
            }
        }
        Tx::Postgres(_) => count = insert_list(tx, new).await?,
    }
    left_out(tx, new, count).await
}

/// Which of these new resources were not among the so many that were written.
async fn left_out(tx: &mut Tx, new: &[New], count: u64) -> Result<HashSet<String>> {
    if count == new.len() as u64 {
        return Ok(HashSet::new());
    }
    let ids: Vec<(&str, &str, &str)> =
        new.iter().map(|New { place, id, .. }| (place.system.as_str(), place.kind, id.as_str())).collect();
    let written = fetch_rows!(
        tx,
        &ids,
        (String,),
        "SELECT id FROM scim_resource WHERE (system, kind, id) IN (SELECT value->>0, value->>1, value->>2 FROM ",
        ")"
    )?;
    let mut left_out: HashSet<String> = new.iter().map(|new| new.id.clone()).collect();
    for (id,) in written {
        left_out.remove(&id);
    }
    if count != (new.len() - left_out.len()) as u64 {
        return Err(StoreError::corrupt("what is pushed", "a new resource has the id of another"));
    }
    Ok(left_out)
}

async fn insert_chunk(tx: &mut Tx, new: &[New]) -> Result<u64> {
    let Tx::Sqlite(transaction) = tx else { return Ok(0) };
    let statement = bound(sqlx::query::<Sqlite>(INSERT[size(new.len()).0].as_str()), new);
    let done = statement.execute(&mut **transaction).await.map_err(StoreError::from)?;
    Ok(done.rows_affected())
}

/// The same for PostgreSQL.
async fn insert_list(tx: &mut Tx, new: &[New]) -> Result<u64> {
    let rows: Vec<_> = new
        .iter()
        .map(|one| {
            let New { place, id, content, now, .. } = one;
            let external_id = content.external_id.as_deref();
            let (name, document) = (content.name.as_str(), &*content.document);
            let system = place.system.as_str();
            (system, place.kind, id.as_str(), name, one.tie(), external_id, document, micros(*now))
        })
        .collect();
    crate::db::execute_rows!(
        tx,
        &rows,
        "INSERT INTO scim_resource
            (system, kind, id, name, name_tie, external_id, document, version, created_at, changed_at)
         SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, 1,
                CAST(value->>7 AS BIGINT), CAST(value->>7 AS BIGINT) FROM ",
        " WHERE true ON CONFLICT (system, kind, name, name_tie) DO NOTHING"
    )
}
