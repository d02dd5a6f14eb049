//! The verbs of a transaction, as macros: one SQL text, expanded once for each database, and once more for SQLite on the caller's thread.
//!
//! Each takes a [`Tx`](super::Tx) and runs the text on whichever database it belongs to. The texts are literals, so that nothing that
//! comes from outside ever becomes SQL. What differs (a list as a table) is named here and nowhere else.

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
    ($tx:expr, $rows:expr, $row:ty, $before:literal, $after:literal $(, $bind:expr)* $(,)?) => {{
        let rows = $crate::db::json_rows($rows)?;
        $crate::db::fetch_in!(
            $tx,
            $row,
            fetch_all,
            sqlite(concat!($before, "json_each($1) AS list", $after), rows $(, $bind)*),
            postgres(
                concat!($before, "json_array_elements(CAST($1 AS json)) AS list(value)", $after),
                rows $(, $bind)*
            )
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
/// one state of the store, and what begins and ends a transaction costs more than a short one. The list stands before
/// and after `$between` as a table with the column `value`, and is parameter `$1`.
macro_rules! fetch_list_alone {
    ($db:expr, $texts:expr, $row:ty, $before:literal, $between:literal, $after:literal $(, $bind:expr)* $(,)?) => {{
        let texts = $crate::db::json_rows($texts)?;
        match $db {
            $crate::db::Db::Sqlite { read, .. } => {
                sqlx::query_as::<sqlx::Sqlite, $row>(concat!(
                    $before,
                    "json_each($1) AS list",
                    $between,
                    "json_each($1) AS list",
                    $after
                ))
                    .bind(texts)$(.bind($bind))*
                    .fetch_all(read)
                    .await
            }
            $crate::db::Db::Postgres(pool) => {
                sqlx::query_as::<sqlx::Postgres, $row>(concat!(
                    $before,
                    "json_array_elements_text(CAST($1 AS json)) AS list(value)",
                    $between,
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
