//! What a server says is wrong (RFC 9457), and that it says nothing, in words with what to do next.

use reqwest::StatusCode;
use serde::Deserialize;

/// A problem as a server of ours sends it.
#[derive(Debug, Deserialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: String,
    detail: String,
    /// The status of the answer.
    pub status: u16,
    /// The word of RFC 8628 or RFC 6749 in answers to who asks for a token.
    #[serde(default)]
    pub error: Option<String>,
    #[serde(default)]
    errors: Vec<Field>,
    #[serde(skip)]
    server: String,
    #[serde(skip)]
    with_token: bool,
}

#[derive(Debug, Deserialize)]
struct Field {
    field: String,
    message: String,
}

impl Problem {
    /// Reads an answer; `None` where it is not one of ours.
    pub fn read(status: StatusCode, text: &str) -> Option<Self> {
        let problem: Self = serde_json::from_str(text).ok()?;
        (problem.status == status.as_u16() && problem.kind.starts_with("/api/v1/problems#"))
            .then_some(problem)
    }

    /// The same with where it comes from, and whether a token was shown.
    pub fn at(mut self, server: &str, with_token: bool) -> Self {
        (self.server, self.with_token) = (server.to_owned(), with_token);
        self
    }

    fn is(&self, word: &str) -> bool {
        self.kind.rsplit('#').next() == Some(word)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { server, detail, .. } = self;
        if self.is("bad-token") || (self.is("signed-out") && self.with_token) {
            return write!(
                formatter,
                "the token for {server} is unknown to it, expired or revoked; run `leasehold login --server {server}`, or \
                 set LEASEHOLD_TOKEN to another one"
            );
        }
        write!(formatter, "{server}: {detail}")?;
        for Field { field, message } in &self.errors {
            write!(formatter, "\n  {field}: {message}")?;
        }
        if self.is("scope") {
            write!(formatter, "; run `leasehold login --server {server} --scope SCOPE` for one that has it")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// The problem that an error is, where it is one.
pub fn of(error: &anyhow::Error) -> Option<&Problem> {
    error.chain().find_map(|cause| cause.downcast_ref::<Problem>())
}

/// A server that does not answer. What was asked is no part of it.
pub fn unreachable(server: &str, error: reqwest::Error) -> anyhow::Error {
    let error = error.without_url();
    let mut causes: Vec<String> = Vec::new();
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    let cause = causes.pop().unwrap_or_else(|| error.to_string());
    let certificate = causes.iter().chain([&cause]).any(|cause| cause.contains("certificate"));
    let mend = if error.is_timeout() {
        "it took too long; try again, or look at the server"
    } else if certificate {
        "name the certificate of its authority with --server-ca FILE, where this machine does not know it"
    } else {
        "check the address, and that the server runs"
    };
    anyhow::anyhow!("cannot reach {server}: {cause}; {mend}")
}
