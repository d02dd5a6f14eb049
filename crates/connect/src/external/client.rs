//! Asking the program: one that is free is asked again, another is started where all are busy, and each is let go where it
//! did not behave.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::ConnectError;
use crate::external::process::Process;
use crate::external::protocol::{Answer, Message, Request};
use crate::external::settings::ExternalSettings;

/// How long a program that is asked nothing is kept.
const IDLE: Duration = Duration::from_secs(60);

/// The program of one system.
pub(super) struct Client {
    pub settings: Arc<ExternalSettings>,
    /// As many as may run at once.
    turns: Semaphore,
    idle: Arc<Mutex<Vec<Idle>>>,
}

/// A program that waits to be asked.
struct Idle {
    process: Process,
    since: Instant,
}

/// A question that is being answered. Let go before [`Call::end`], it takes its program with it.
pub(super) struct Call<'client> {
    client: &'client Client,
    operation: &'static str,
    pub process: Process,
    _turn: SemaphorePermit<'client>,
}

impl Client {
    pub fn new(settings: ExternalSettings) -> Self {
        let turns = Semaphore::new(settings.processes_max);
        Self { settings: Arc::new(settings), turns, idle: Arc::default() }
    }

    /// Asks something that has one answer.
    pub async fn ask<T>(
        &self,
        operation: &'static str,
        request: &Request<'_>,
        wanted: impl FnOnce(Answer) -> Result<T, Answer>,
    ) -> Result<T, ConnectError> {
        let mut call = self.begin(operation, request).await?;
        let message = call.process.hear(operation, self.settings.timeout).await?;
        let answer = call.expect(message)?;
        match wanted(answer) {
            Ok(answer) => {
                call.end();
                Ok(answer)
            }
            Err(Answer::Error { why }) => {
                let error = call.process.wrong(operation, &why);
                call.end();
                Err(error)
            }
            Err(other) => Err(call.process.unexpected(operation, other.name())),
        }
    }

    /// Asks something whose answer is heard in pieces.
    pub async fn begin(
        &self,
        operation: &'static str,
        request: &Request<'_>,
    ) -> Result<Call<'_>, ConnectError> {
        let turn = self.turns.acquire().await.map_err(|error| ConnectError::Target {
            system: self.settings.system.clone(),
            operation: operation.to_owned(),
            message: error.to_string(),
        })?;
        let process = match self.free() {
            Some(process) => process,
            None => Process::start(&self.settings).await?,
        };
        let mut call = Call { client: self, operation, process, _turn: turn };
        call.process.ask(operation, request).await?;
        Ok(call)
    }

    /// A program that runs and has nothing to do.
    fn free(&self) -> Option<Process> {
        loop {
            let Idle { mut process, .. } = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if process.is_alive() {
                return Some(process);
            }
        }
    }
}

impl Call<'_> {
    /// The answer of a message, where it is as it must be.
    pub fn expect(&self, message: Message) -> Result<Answer, ConnectError> {
        message.answer.map_err(|why| self.process.malformed(self.operation, &message.of_type, &why))
    }

    /// The program has answered, and may be asked again.
    pub fn end(self) {
        let Self { client, process, .. } = self;
        let since = Instant::now();
        client.idle.lock().unwrap_or_else(PoisonError::into_inner).push(Idle { process, since });
        tokio::spawn(end_when_idle(Arc::downgrade(&client.idle)));
    }
}

/// Lets programs go that were asked nothing for long.
async fn end_when_idle(idle: Weak<Mutex<Vec<Idle>>>) {
    tokio::time::sleep(IDLE).await;
    if let Some(idle) = idle.upgrade() {
        idle.lock().unwrap_or_else(PoisonError::into_inner).retain(|idle| idle.since.elapsed() < IDLE);
    }
}
