//! Reaching the server: one kept connection, time limits on every wait, and what its errors mean to us.

use std::future::Future;
use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgRow};
use sqlx::{Connection, PgConnection, Row};
use tokio::sync::Mutex;

use crate::error::ConnectError;
use crate::postgres::settings::PostgresSettings;
use crate::tls;

/// The server's errors by the codes of its manual's appendix A.
pub(super) mod code {
    pub const CANNOT_CONNECT_NOW: &str = "57P03";
    pub const DEPENDENT_PRIVILEGES: &str = "2BP01";
    pub const INSUFFICIENT_PRIVILEGE: &str = "42501";
    pub const INVALID_AUTHORIZATION: [&str; 2] = ["28000", "28P01"];
    /// Too many connections, lock not available, deadlock, serialisation failure, a statement that ran out of its time,
    /// a catalogue row that somebody changed meanwhile ("tuple concurrently updated").
    pub const TRANSIENT: [&str; 6] = ["53300", "55P03", "40P01", "40001", "57014", "XX000"];
}

/// A connection with what was learnt of the server when it was made.
pub(super) struct Session {
    pub connection: PgConnection,
    /// `server_version_num`: 160004 is 16.4.
    pub version: i32,
    /// Whom we are logged in as.
    pub login: String,
}

/// The server, with at most one idle connection to it.
pub(super) struct Client {
    pub settings: PostgresSettings,
    idle: Mutex<Option<Session>>,
}

impl Client {
    pub fn new(settings: PostgresSettings) -> Self {
        Self { settings, idle: Mutex::new(None) }
    }

    /// A session in the URL's database: the idle one if it still answers, else a new one.
    pub async fn session(&self) -> Result<Session, ConnectError> {
        let idle = self.idle.lock().await.take();
        if let Some(mut session) = idle {
            let answer = tokio::time::timeout(self.settings.timeout, session.connection.ping()).await;
            if matches!(answer, Ok(Ok(()))) {
                return Ok(session);
            }
        }
        self.connect(&self.settings.database).await
    }

    /// Keeps a session for the next call. Only one that is not in the middle of anything may be given here.
    pub async fn keep(&self, session: Session) {
        *self.idle.lock().await = Some(session);
    }

    /// A new session in some database.
    pub async fn connect(&self, database: &str) -> Result<Session, ConnectError> {
        let options = self.settings.options(database);
        let connecting = PgConnection::connect_with(&options);
        let mut connection = match tokio::time::timeout(self.settings.timeout, connecting).await {
            Ok(connected) => connected.map_err(|error| self.connect_error(database, &error))?,
            Err(_) => return Err(self.timed_out("connecting")),
        };
        // An empty search path keeps functions that somebody put into a schema of theirs out of our statements, and
        // makes the server write every name with its schema.
        let prepare = sqlx::query(
            "select set_config('search_path', 'pg_catalog, pg_temp', false), \
                    set_config('statement_timeout', $1, false), \
                    set_config('lock_timeout', $2, false), \
                    current_setting('server_version_num')::int, current_user::text",
        )
        .bind(self.settings.timeout.as_millis().to_string())
        // Shorter than the statement's limit, which would strike first otherwise and not say that a lock was the cause.
        .bind((self.settings.timeout.as_millis() / 2).max(1).to_string())
        .fetch_one(&mut connection);
        let row = self.wait("preparing the session", prepare).await?;
        let (version, login) = (self.get(&row, 3)?, self.get(&row, 4)?);
        Ok(Session { connection, version, login })
    }

    /// Waits for an answer within the time limit.
    pub async fn wait<T>(
        &self,
        operation: &str,
        answer: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, ConnectError> {
        self.try_wait(operation, answer).await?.map_err(|error| self.target_error(operation, &error))
    }

    /// The same, leaving the server's own errors to the caller.
    pub async fn try_wait<T>(
        &self,
        operation: &str,
        answer: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<Result<T, sqlx::Error>, ConnectError> {
        // The server's own time limit should strike first: it ends the statement, ours leaves it running.
        let limit = self.settings.timeout + Duration::from_millis(500);
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.timed_out(operation)),
        }
    }

    /// One column of a row.
    pub fn get<'row, T>(&self, row: &'row PgRow, index: usize) -> Result<T, ConnectError>
    where
        T: sqlx::Decode<'row, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        row.try_get(index).map_err(|error| self.target_error("reading an answer", &error))
    }

    fn timed_out(&self, operation: &str) -> ConnectError {
        ConnectError::Timeout {
            system: self.settings.system.clone(),
            operation: operation.to_owned(),
            timeout_ms: u64::try_from(self.settings.timeout.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// What a server's error means where it came as the answer to a statement.
    pub fn target_error(&self, operation: &str, error: &sqlx::Error) -> ConnectError {
        ConnectError::Target {
            system: self.settings.system.clone(),
            operation: operation.to_owned(),
            message: describe(error),
        }
    }

    fn connect_error(&self, database: &str, error: &sqlx::Error) -> ConnectError {
        let system = self.settings.system.clone();
        let address = self.settings.address.clone();
        if let Some(problem) = tls::certificate_error(error) {
            return ConnectError::Certificate { system, address, message: tls::explain(problem) };
        }
        match error_code(error) {
            Some(found) if code::INVALID_AUTHORIZATION.contains(&found.as_str()) => {
                let message = format!("{}; check `password` and that the role may log in", describe(error));
                ConnectError::Authentication { system, address, login: self.settings.login.clone(), message }
            }
            Some(found) if found == code::CANNOT_CONNECT_NOW || found == "53300" => {
                ConnectError::Unreachable { system, address, message: describe(error) }
            }
            Some(_) => ConnectError::Target {
                system,
                operation: format!("connecting to the database `{database}`"),
                message: describe(error),
            },
            None => ConnectError::Unreachable {
                system,
                address,
                message: format!("{error}; check the address, the network and that the server runs"),
            },
        }
    }
}

/// The server's code for an error, where the server sent it.
pub(super) fn error_code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}

/// Whether the same statement may well succeed later: somebody else was in the way, and nothing was refused.
pub(super) fn is_transient(error: &sqlx::Error) -> bool {
    error_code(error).is_some_and(|found| code::TRANSIENT.contains(&found.as_str()))
}

/// What the server said, with its detail and hint.
pub(super) fn describe(error: &sqlx::Error) -> String {
    let Some(answer) =
        error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
    else {
        return error.to_string();
    };
    let mut text = answer.message().to_owned();
    for more in [answer.detail(), answer.hint()].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more);
    }
    text
}
