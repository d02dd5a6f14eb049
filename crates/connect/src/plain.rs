//! What targets say goes to terminals, logs and pages: around every connector, control characters in messages become
//! visible escapes. Facts are data and stay as they are.

use async_trait::async_trait;
use leasehold_model::capability::Capabilities;
use leasehold_model::fact::{Completeness, Fact, FeedEnd, Problem};
use leasehold_model::request::{ActionRequest, IssueRequest, Issued, Outcome, ReadBack, ReadTarget};

use crate::connector::{Connector, Sink, TestReport};
use crate::error::ConnectError;
use crate::scim_push::Pushed;

/// Escapes what a terminal could obey: control characters, line separators, and marks that turn the writing direction
/// and so show a text as another.
pub(crate) fn plain(text: String) -> String {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(obeyed) {
        return text;
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => plain.extend(c.escape_default()),
            c if obeyed(c) => plain.extend(c.escape_unicode()),
            c => plain.push(c),
        }
    }
    plain
}

fn plain_error(error: ConnectError) -> ConnectError {
    match error {
        ConnectError::Setting { system, key, message } => {
            ConnectError::Setting { system, key: plain(key), message: plain(message) }
        }
        ConnectError::Unreachable { system, address, message } => {
            ConnectError::Unreachable { system, address: plain(address), message: plain(message) }
        }
        ConnectError::Certificate { system, address, message } => {
            ConnectError::Certificate { system, address: plain(address), message: plain(message) }
        }
        ConnectError::Authentication { system, address, login, message } => ConnectError::Authentication {
            system,
            address: plain(address),
            login: plain(login),
            message: plain(message),
        },
        ConnectError::Target { system, operation, message } => {
            ConnectError::Target { system, operation: plain(operation), message: plain(message) }
        }
        ConnectError::Timeout { system, operation, timeout_ms } => {
            ConnectError::Timeout { system, operation: plain(operation), timeout_ms }
        }
        ConnectError::Refused { system, operation, message } => {
            ConnectError::Refused { system, operation: plain(operation), message: plain(message) }
        }
        ConnectError::NotOffered { operation } => ConnectError::NotOffered { operation: plain(operation) },
        ConnectError::Sink(message) => ConnectError::Sink(plain(message)),
    }
}

/// A connector whose messages can be shown anywhere.
pub(crate) struct Plain(pub Box<dyn Connector>);

/// A sink whose problems can be shown anywhere.
struct PlainSink<'sink>(&'sink mut dyn Sink);

#[async_trait]
impl Sink for PlainSink<'_> {
    async fn accept(&mut self, facts: Vec<Fact>) -> Result<(), ConnectError> {
        self.0.accept(facts).await
    }

    fn problem(&mut self, problem: Problem) {
        self.0.problem(Problem { place: plain(problem.place), message: plain(problem.message) });
    }

    fn progress(&mut self, done: u64, total: Option<u64>) {
        self.0.progress(done, total);
    }

    fn feed_ended(&mut self, end: FeedEnd) -> Result<(), ConnectError> {
        self.0.feed_ended(end)
    }
}

#[async_trait]
impl Connector for Plain {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn pushed(&self) -> Option<Pushed> {
        self.0.pushed()
    }

    async fn test(&self) -> Result<TestReport, ConnectError> {
        let report = self.0.test().await.map_err(plain_error)?;
        Ok(TestReport {
            target: plain(report.target),
            acting_as: report.acting_as.map(plain),
            missing_rights: report.missing_rights.into_iter().map(plain).collect(),
        })
    }

    async fn enumerate(&self, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
        Ok(match self.0.enumerate(&mut PlainSink(sink)).await.map_err(plain_error)? {
            Completeness::Complete { evidence } => Completeness::Complete { evidence: plain(evidence) },
            Completeness::Partial { why } => Completeness::Partial { why: plain(why) },
        })
    }

    async fn read_back(&self, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
        Ok(match self.0.read_back(target).await.map_err(plain_error)? {
            ReadBack::Unsupported { why } => ReadBack::Unsupported { why: plain(why) },
            // A client names itself as it likes.
            ReadBack::Sessions { mut live, unlisted } => {
                for session in &mut live {
                    session.detail = plain(std::mem::take(&mut session.detail));
                }
                ReadBack::Sessions { live, unlisted: unlisted.map(plain) }
            }
            other => other,
        })
    }

    async fn execute(&self, request: &ActionRequest) -> Result<Outcome, ConnectError> {
        Ok(match self.0.execute(request).await.map_err(plain_error)? {
            Outcome::Acknowledged { detail } => Outcome::Acknowledged { detail: plain(detail) },
            Outcome::AlreadySo => Outcome::AlreadySo,
            Outcome::Retry { after_ms, why } => Outcome::Retry { after_ms, why: plain(why) },
            Outcome::Refused { why } => Outcome::Refused { why: plain(why) },
        })
    }

    async fn issue_credential(&self, request: &IssueRequest) -> Result<Issued, ConnectError> {
        let issued = self.0.issue_credential(request).await.map_err(plain_error)?;
        Ok(Issued { instructions: plain(issued.instructions), ..issued })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_nothing_else() {
        for (text, expected) in [
            ("Zoë \"名\" \\ ok", "Zoë \"名\" \\ ok"),
            ("a\u{1b}[2Jb\nc\r\td\0\u{7f}\u{9b}", "a\\u{1b}[2Jb\\nc\\r\\td\\u{0}\\u{7f}\\u{9b}"),
            ("abc\u{202e}txt.exe\u{2028}", "abc\\u{202e}txt.exe\\u{2028}"),
        ] {
            assert_eq!(plain(text.to_owned()), expected);
        }
    }
}
