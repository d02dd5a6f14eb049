//! One running program: started in a process group of its own, spoken to line by line, and killed with its group when it is
//! let go.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::error::ConnectError;
use crate::external::lines::{self, LINE_BYTES_MAX, Line};
use crate::external::protocol::{self, Hello, Message, Question, Request, VERSION};
use crate::external::settings::{ExternalSettings, names_of};
use crate::external::standard_error::{self, LastWords};

/// How long it is waited for the exit status and last words of a program that ended; the message goes without them then.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A program that has said hello.
pub(super) struct Process {
    settings: Arc<ExternalSettings>,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Reads what it complains of.
    complaints: JoinHandle<()>,
    last_words: LastWords,
    /// The line that is being read.
    line: Vec<u8>,
    /// How many lines it has written.
    lines: u64,
    /// The number of the question that was asked last.
    asked: u64,
    /// What it is, for people.
    pub program: String,
    /// What it can be asked for.
    pub offers: Vec<String>,
}

impl Process {
    /// Starts the program and says hello.
    pub async fn start(settings: &Arc<ExternalSettings>) -> Result<Self, ConnectError> {
        let mut process = Self::spawn(settings)?;
        let secrets = settings.secrets.iter().map(|(name, secret)| (name.as_str(), secret.expose_secret()));
        let request = Request::Hello {
            protocol: VERSION,
            system: &settings.system,
            settings: &settings.settings,
            secrets: secrets.collect(),
        };
        let operation = "saying hello";
        process.ask(operation, &request).await?;
        let said = process.hear(operation, settings.timeout).await?;
        let hello = match said.answer {
            Ok(protocol::Answer::Hello(hello)) => hello,
            Ok(protocol::Answer::Error { why }) => return Err(process.wrong(operation, &why)),
            Ok(other) => return Err(process.unexpected(operation, other.name())),
            Err(why) => return Err(process.malformed(operation, &said.of_type, &why)),
        };
        process.agree(hello)?;
        Ok(process)
    }

    fn spawn(settings: &Arc<ExternalSettings>) -> Result<Self, ConnectError> {
        let unreachable = |message: String| ConnectError::Unreachable {
            system: settings.system.clone(),
            address: format!("the program `{}`", settings.command[0]),
            message,
        };
        let environment =
            settings.environment.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut child = Command::new(&settings.command[0])
            .args(&settings.command[1..])
            .current_dir(&settings.directory)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                unreachable(format!("{error}; check `command`, and that the file may be executed"))
            })?;
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(unreachable("it was started without its pipes".to_owned()));
        };
        let last_words = LastWords::default();
        let draining = standard_error::drain(errors, Arc::clone(settings), last_words.clone());
        Ok(Self {
            settings: Arc::clone(settings),
            child,
            input,
            output: BufReader::with_capacity(64 << 10, output),
            complaints: tokio::spawn(draining),
            last_words,
            line: Vec::new(),
            lines: 0,
            asked: 0,
            program: String::new(),
            offers: Vec::new(),
        })
    }

    /// Checks what the program says of itself.
    fn agree(&mut self, hello: Hello) -> Result<(), ConnectError> {
        if hello.protocol != VERSION {
            let message = format!(
                "the program speaks version {} of the protocol and this Leasehold version {VERSION}; take the program's \
                 release for it",
                hello.protocol
            );
            return Err(self.wrong("saying hello", &message));
        }
        let wanted = names_of(&self.settings.capabilities);
        if let Some(missing) =
            wanted.iter().find(|name| !hello.capabilities.iter().any(|offered| offered == *name))
        {
            let offers = self.settings.shown(&hello.capabilities.join(", "));
            return Err(ConnectError::Setting {
                system: self.settings.system.clone(),
                key: "capabilities".to_owned(),
                message: format!("names `{missing}`, which the program does not offer; it offers {offers}"),
            });
        }
        self.program = hello.program;
        self.offers = hello.capabilities;
        Ok(())
    }

    /// Whether it still runs and can be asked again.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks something.
    pub async fn ask(&mut self, operation: &str, request: &Request<'_>) -> Result<(), ConnectError> {
        self.asked += 1;
        let question = Question { id: self.asked, request };
        let mut line = serde_json::to_string(&question)
            .map_err(|error| self.wrong(operation, &format!("the question has no form in JSON: {error}")))?;
        line.push('\n');
        // It may hold secrets, and is wiped when it is let go.
        let line = SecretString::from(line);
        let writing = async {
            self.input.write_all(line.expose_secret().as_bytes()).await?;
            self.input.flush().await
        };
        match tokio::time::timeout(self.settings.timeout, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.ended(operation, "the program ended before it was asked").await),
            Err(_) => Err(self.timed_out(operation, self.settings.timeout)),
        }
    }

    /// Waits for the next message about what was asked last.
    pub async fn hear(&mut self, operation: &str, within: Duration) -> Result<Message, ConnectError> {
        let reading = lines::read(&mut self.output, &mut self.line);
        let Ok(read) = tokio::time::timeout(within, reading).await else {
            return Err(self.timed_out(operation, within));
        };
        match read {
            Ok(Line::Whole) => self.lines += 1,
            Ok(Line::TooLong) => {
                let message = format!(
                    "line {} of the program's output is longer than {LINE_BYTES_MAX} bytes; tell one fact a line",
                    self.lines + 1
                );
                return Err(self.wrong(operation, &message));
            }
            Ok(Line::Cut) => {
                let what =
                    format!("the program ended in the middle of line {} of its output", self.lines + 1);
                return Err(self.ended(operation, &what).await);
            }
            Ok(Line::End) => {
                return Err(self.ended(operation, "the program ended before it had answered").await);
            }
            Err(error) => return Err(self.wrong(operation, &format!("its output cannot be read: {error}"))),
        }
        let message = protocol::parse(&self.line).map_err(|why| {
            self.wrong(operation, &format!("line {} of the program's output {why}", self.lines))
        })?;
        if message.id != self.asked {
            let why = format!(
                "line {} of the program's output answers request {}, and request {} was asked; answer each once, in order",
                self.lines, message.id, self.asked
            );
            return Err(self.wrong(operation, &why));
        }
        Ok(message)
    }

    /// Where the line that was read last stands.
    pub fn place(&self) -> String {
        format!("line {} of the program's output", self.lines)
    }

    /// The error where a message is not as its type must be.
    pub fn malformed(&self, operation: &str, of_type: &str, why: &str) -> ConnectError {
        self.wrong(operation, &format!("{} (`{of_type}`): {why}", self.place()))
    }

    /// The error where a message is none that answers what was asked.
    pub fn unexpected(&self, operation: &str, name: &str) -> ConnectError {
        self.wrong(operation, &format!("{} is {name}, which is no answer to what was asked", self.place()))
    }

    /// The error where the program said that it could not do it, or did not do it as it must.
    pub fn wrong(&self, operation: &str, message: &str) -> ConnectError {
        ConnectError::Target {
            system: self.settings.system.clone(),
            operation: operation.to_owned(),
            message: self.settings.shown(message),
        }
    }

    fn timed_out(&self, operation: &str, timeout: Duration) -> ConnectError {
        ConnectError::Timeout {
            system: self.settings.system.clone(),
            operation: operation.to_owned(),
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The error where the program is gone, with its exit status and last words as far as they are known.
    async fn ended(&mut self, operation: &str, what: &str) -> ConnectError {
        let mut message = what.to_owned();
        if let Ok(Ok(status)) = tokio::time::timeout(LAST_WORDS, self.child.wait()).await {
            message += &format!(" ({status})");
        }
        if !self.complaints.is_finished() {
            // Another process of the group may hold the pipe open for longer.
            let _ = tokio::time::timeout(LAST_WORDS, &mut self.complaints).await;
        }
        match self.last_words.get() {
            words if words.is_empty() => {}
            words => message += &format!("; its last words: {words}"),
        }
        self.wrong(operation, &message)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.complaints.abort();
        // A child that was not waited for keeps its number, so the group cannot be another one.
        let group = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = group {
            // It may have ended by itself; then there is nothing to kill.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
