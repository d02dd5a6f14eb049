//! Reaching the server: one kept connection, time limits on every wait, and what its errors mean to us.

use std::future::Future;
use std::time::Duration;

use sqlx::mysql::{MySqlDatabaseError, MySqlRow};
use sqlx::{Connection, MySqlConnection, Row};
use tokio::sync::Mutex;

use crate::error::ConnectError;
use crate::mariadb::name::AccountName;
use crate::mariadb::settings::MariadbSettings;
use crate::mariadb::sql;
use crate::tls;

/// The server's errors, by the numbers of its manual.
pub(super) mod code {
    /// Access denied: to log in, to a database, to a table, for want of a privilege, to change what one may not see.
    pub const DENIED: [u16; 9] = [1044, 1045, 1142, 1143, 1227, 1370, 1396, 1410, 1698];
    pub const LOGIN: [u16; 4] = [1045, 1698, 4151, 1251];
    /// There is no such grant, or no such role is granted.
    pub const NO_SUCH_GRANT: [u16; 4] = [1141, 1147, 1403, 1959];
    /// Too many connections, a lock that somebody else has, a deadlock, a statement that ran out of its time.
    pub const TRANSIENT: [u16; 6] = [1040, 1203, 1205, 1213, 1317, 1969];
    /// The session to be ended has ended by itself.
    pub const NO_SUCH_SESSION: u16 = 1094;
}

/// A connection with what was learnt of the server when it was made.
pub(super) struct Session {
    pub connection: MySqlConnection,
    pub version: String,
    /// Whom the server takes us for.
    pub ourselves: AccountName,
}

/// The server, with at most one idle connection to it.
pub(super) struct Client {
    pub settings: MariadbSettings,
    idle: Mutex<Option<Session>>,
}

impl Client {
    pub fn new(settings: MariadbSettings) -> Self {
        Self { settings, idle: Mutex::new(None) }
    }

    /// The idle session if it still answers, else a new one.
    pub async fn session(&self) -> Result<Session, ConnectError> {
        let idle = self.idle.lock().await.take();
        if let Some(mut session) = idle {
            let answer = tokio::time::timeout(self.settings.timeout, session.connection.ping()).await;
            if matches!(answer, Ok(Ok(()))) {
                return Ok(session);
            }
        }
        self.connect().await
    }

    /// Keeps a session for the next call. Only one that is not in the middle of anything may be given here.
    pub async fn keep(&self, session: Session) {
        *self.idle.lock().await = Some(session);
    }

    async fn connect(&self) -> Result<Session, ConnectError> {
        let options = self.settings.options();
        let connecting = MySqlConnection::connect_with(&options);
        let mut connection = match tokio::time::timeout(self.settings.timeout, connecting).await {
            Ok(connected) => connected.map_err(|error| self.connect_error(&error))?,
            Err(_) => return Err(self.timed_out("connecting")),
        };
        let operation = "preparing the session";
        self.wait(operation, sqlx::raw_sql(sql::PREPARE).execute(&mut connection)).await?;
        let seconds = self.settings.timeout.as_secs_f64();
        let limit = sqlx::query(sql::LIMIT).bind(seconds).bind((seconds / 2.0).ceil() as u64);
        self.wait(operation, limit.execute(&mut connection)).await?;
        let row = self.wait(operation, sqlx::query(sql::SERVER).fetch_one(&mut connection)).await?;
        let (version, ourselves): (String, String) = (self.get(&row, 0)?, self.get(&row, 1)?);
        let ourselves =
            AccountName::parse(&ourselves.into()).map_err(|message| self.wrong(operation, message))?;
        Ok(Session { connection, version, ourselves })
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
    pub fn get<'row, T>(&self, row: &'row MySqlRow, index: usize) -> Result<T, ConnectError>
    where
        T: sqlx::Decode<'row, sqlx::MySql> + sqlx::Type<sqlx::MySql>,
    {
        row.try_get(index).map_err(|error| self.target_error("reading an answer", &error))
    }

    /// A text of a row. The grant tables hold bytes where they mean texts.
    pub fn text(&self, row: &MySqlRow, index: usize) -> Result<String, ConnectError> {
        let bytes: Option<Vec<u8>> =
            row.try_get_unchecked(index).map_err(|error| self.target_error("reading an answer", &error))?;
        String::from_utf8(bytes.unwrap_or_default())
            .map_err(|_| self.wrong("reading an answer", "a name is not UTF-8".to_owned()))
    }

    /// An error about what the server said.
    pub fn wrong(&self, operation: &str, message: String) -> ConnectError {
        ConnectError::Target {
            system: self.settings.system.clone(),
            operation: operation.to_owned(),
            message,
        }
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
        let denied = error_number(error).is_some_and(|number| code::DENIED.contains(&number));
        let more = if denied { "; `leasehold connector test` says which right is missing" } else { "" };
        self.wrong(operation, format!("{}{more}", describe(error)))
    }

    fn connect_error(&self, error: &sqlx::Error) -> ConnectError {
        let (system, address) = (self.settings.system.clone(), self.settings.address.clone());
        if let Some(problem) = tls::certificate_error(error) {
            return ConnectError::Certificate { system, address, message: tls::explain(problem) };
        }
        match error_number(error) {
            Some(number) if code::LOGIN.contains(&number) => {
                let message = format!(
                    "{}; check `password` and that the account may log in from here",
                    describe(error)
                );
                ConnectError::Authentication { system, address, login: self.settings.login.clone(), message }
            }
            Some(_) => ConnectError::Unreachable { system, address, message: describe(error) },
            None => ConnectError::Unreachable {
                system,
                address,
                message: format!("{error}; check the address, the network and that the server runs"),
            },
        }
    }
}

/// The server's number for an error, where the server sent it.
pub(super) fn error_number(error: &sqlx::Error) -> Option<u16> {
    error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// What the server said.
pub(super) fn describe(error: &sqlx::Error) -> String {
    let answer = error.as_database_error().and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
    answer.map_or_else(|| error.to_string(), |answer| answer.message().to_owned())
}
