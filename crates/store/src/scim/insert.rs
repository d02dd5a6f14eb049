//! Writing new resources, all by one statement.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::write::New;
use crate::db::{Tx, fetch_rows, micros};
use crate::error::{Result, StoreError};

/// How many rows the statement for SQLite has at least and at most; between them it is a power of two.
const ROWS_MAX: usize = 256;
/// One row of it. Rows that nothing is bound to break `NOT NULL` and are left out.
const ROW: &str = "(?, ?, ?, ?, ?, ?, ?, 1, ?, ?)";

/// For 1, 2, 4 rows and so on. Values that are bound cost a fifth of what reading them out of one JSON text does. Nothing makes
/// this statement fail half-way, so SQLite keeps no copy of each page that it changes, to take it back.
static STATEMENTS: LazyLock<Vec<String>> = LazyLock::new(|| {
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
    Ok(left_out)
}

async fn insert_chunk(tx: &mut Tx, new: &[New]) -> Result<u64> {
    let Tx::Sqlite(transaction) = tx else { return Ok(0) };
    let size = new.len().next_power_of_two().trailing_zeros() as usize;
    let mut statement = sqlx::query::<sqlx::Sqlite>(STATEMENTS[size].as_str());
    for one in new {
        let New { place, id, content, now, .. } = one;
        statement = statement
            .bind(place.system.as_str())
            .bind(place.kind)
            .bind(id.as_str())
            .bind(content.name.as_str())
            .bind(one.tie())
            .bind(content.external_id.as_deref())
            .bind(content.document.as_str())
            .bind(micros(*now))
            .bind(micros(*now));
    }
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
            let (name, document) = (content.name.as_str(), content.document.as_str());
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
