//! The messages of the protocol, one a line: what we ask, and what a program may answer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::account::Session;
use leasehold_model::fact::{Fact, Problem};
use leasehold_model::id::ActionId;
use leasehold_model::plan::Verb;
use leasehold_model::request::{
    AccountTarget, ActionRequest, CredentialTarget, EntitlementTarget, Outcome, ReadBack, ReadTarget,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::connector::TestReport;
use crate::external::{fact, issued};
use crate::settings::did_you_mean;

/// The version that we speak. A program that speaks another says so, and is asked nothing.
pub(super) const VERSION: u64 = 1;

/// A question, with the number that its answer must carry.
#[derive(Serialize)]
pub(super) struct Question<'a> {
    pub id: u64,
    #[serde(flatten)]
    pub request: &'a Request<'a>,
}

/// What is asked.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Request<'a> {
    /// The first thing that a program hears.
    Hello {
        protocol: u64,
        system: &'a str,
        settings: &'a Map<String, Value>,
        secrets: BTreeMap<&'a str, &'a str>,
    },
    Test,
    Enumerate,
    ReadBack(&'a ReadTarget),
    Execute(Change<'a>),
    IssueCredential {
        action: &'a ActionId,
        account: &'a AccountTarget,
    },
}

/// A change that is asked for.
#[derive(Serialize)]
pub(super) struct Change<'a> {
    action: &'a ActionId,
    verb: Verb,
    account: &'a AccountTarget,
    #[serde(skip_serializing_if = "Option::is_none")]
    entitlement: Option<&'a EntitlementTarget>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'a CredentialTarget>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a AccountTarget>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: &'a BTreeMap<String, String>,
}

impl<'a> From<&'a ActionRequest> for Change<'a> {
    fn from(request: &'a ActionRequest) -> Self {
        let ActionRequest { id, verb, account, entitlement, credential, to, attributes } = request;
        Self {
            action: id,
            verb: *verb,
            account,
            entitlement: entitlement.as_ref(),
            credential: credential.as_ref(),
            to: to.as_ref(),
            attributes,
        }
    }
}

/// What a program says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hello {
    pub protocol: u64,
    /// What it is, with its version, for people.
    pub program: String,
    /// What it can be asked for.
    pub capabilities: Vec<String>,
}

/// What a program may answer.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Hello(Hello),
    Tested(TestReport),
    Fact(Box<Fact>),
    Problem(Problem),
    Progress {
        done: u64,
        total: Option<u64>,
    },
    Complete {
        evidence: String,
        facts: u64,
    },
    Partial {
        why: String,
    },
    Read(ReadBack),
    Outcome(Outcome),
    /// A credential that was made, with the key by which the program lists it.
    Issued(Box<issued::IssuedForm>),
    /// What was asked could not be done, and nothing is known.
    Error {
        why: String,
    },
}

impl Answer {
    /// The type of its message, or the sort where several types are one.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Tested(_) => "tested",
            Self::Fact(_) => "a fact",
            Self::Problem(_) => "problem",
            Self::Progress { .. } => "progress",
            Self::Complete { .. } => "complete",
            Self::Partial { .. } => "partial",
            Self::Read(_) => "read",
            Self::Outcome(_) => "an outcome",
            Self::Issued(_) => "issued",
            Self::Error { .. } => "error",
        }
    }
}

/// A line that is a message: of a request, but perhaps not as a message of its type must be.
pub(super) struct Message {
    pub id: u64,
    pub of_type: String,
    pub answer: Result<Answer, String>,
}

impl Message {
    /// Whether what could not be read was to be a fact: then one fact is missing and the rest can be trusted.
    pub fn is_fact(&self) -> bool {
        fact::TYPES.contains(&self.of_type.as_str())
    }
}

#[derive(Deserialize)]
#[serde(remote = "TestReport", deny_unknown_fields)]
struct TestedForm {
    target: String,
    acting_as: Option<String>,
    #[serde(default)]
    missing_rights: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProblemForm {
    place: String,
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgressForm {
    done: u64,
    total: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompleteForm {
    evidence: String,
    /// How many facts came before this: one that was lost on the way would else be taken for gone.
    facts: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhyForm {
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcknowledgedForm {
    #[serde(default)]
    detail: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NothingForm {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryForm {
    after_ms: Option<u64>,
    why: String,
}

#[derive(Deserialize)]
#[serde(tag = "read", rename_all = "snake_case", deny_unknown_fields)]
enum ReadForm {
    Grant { direct: bool, effective: Option<bool> },
    Account { exists: bool, enabled: bool },
    Credential { exists: bool, active: bool },
    HandOver { left: bool, arrived: bool },
    Sessions { live: Vec<SessionForm> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionForm {
    id: String,
    started_at: Option<Timestamp>,
    #[serde(default)]
    detail: String,
}

impl From<ReadForm> for ReadBack {
    fn from(form: ReadForm) -> Self {
        match form {
            ReadForm::Grant { direct, effective } => Self::Grant { direct, effective },
            ReadForm::Account { exists, enabled } => Self::Account { exists, enabled },
            ReadForm::Credential { exists, active } => Self::Credential { exists, active },
            ReadForm::HandOver { left, arrived } => Self::HandOver { left, arrived },
            ReadForm::Sessions { live } => {
                let session = |SessionForm { id, started_at, detail }| Session { id, started_at, detail };
                Self::sessions(live.into_iter().map(session).collect())
            }
        }
    }
}

/// The types of messages that are no facts.
pub(super) const TYPES: [&str; 14] = [
    "hello",
    "tested",
    "problem",
    "progress",
    "complete",
    "partial",
    "read",
    "unsupported",
    "acknowledged",
    "already_so",
    "retry",
    "refused",
    "issued",
    "error",
];

/// Reads one line.
///
/// # Errors
/// What is wrong, where it is no message at all and so nothing that follows can be trusted.
pub(super) fn parse(line: &[u8]) -> Result<Message, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| {
        format!("is not one object of JSON ({error}); print nothing but messages, one a line")
    })?;
    let Value::Object(mut message) = value else {
        return Err("is not an object of JSON; print nothing but messages, one a line".to_owned());
    };
    if memchr::memmem::find(line, b"\\u0000").is_some() && has_nul(&message) {
        return Err("holds the character NUL in a text; leave it out".to_owned());
    }
    let id = message.remove("id").as_ref().and_then(Value::as_u64).ok_or("has no number as its `id`")?;
    let Some(Value::String(of_type)) = message.remove("type") else {
        return Err("has no text as its `type`".to_owned());
    };
    let answer = answer(&of_type, Value::Object(message));
    Ok(Message { id, of_type, answer })
}

fn has_nul(message: &Map<String, Value>) -> bool {
    fn in_value(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(values) => values.iter().any(in_value),
            Value::Object(inner) => has_nul(inner),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    message.iter().any(|(key, value)| key.contains('\0') || in_value(value))
}

fn answer(of_type: &str, rest: Value) -> Result<Answer, String> {
    if fact::TYPES.contains(&of_type) {
        return fact::parse(of_type, rest).map(|fact| Answer::Fact(Box::new(fact)));
    }
    let answer = match of_type {
        "hello" => Hello::deserialize(rest).map(Answer::Hello),
        "tested" => TestedForm::deserialize(rest).map(Answer::Tested),
        "problem" => ProblemForm::deserialize(rest)
            .map(|ProblemForm { place, message }| Answer::Problem(Problem { place, message })),
        "progress" => ProgressForm::deserialize(rest)
            .map(|ProgressForm { done, total }| Answer::Progress { done, total }),
        "complete" => CompleteForm::deserialize(rest)
            .map(|CompleteForm { evidence, facts }| Answer::Complete { evidence, facts }),
        "partial" => WhyForm::deserialize(rest).map(|WhyForm { why }| Answer::Partial { why }),
        "read" => ReadForm::deserialize(rest).map(|form| Answer::Read(form.into())),
        "unsupported" => {
            WhyForm::deserialize(rest).map(|WhyForm { why }| Answer::Read(ReadBack::Unsupported { why }))
        }
        "acknowledged" => AcknowledgedForm::deserialize(rest)
            .map(|AcknowledgedForm { detail }| Answer::Outcome(Outcome::Acknowledged { detail })),
        "already_so" => NothingForm::deserialize(rest).map(|_| Answer::Outcome(Outcome::AlreadySo)),
        "retry" => RetryForm::deserialize(rest)
            .map(|RetryForm { after_ms, why }| Answer::Outcome(Outcome::Retry { after_ms, why })),
        "refused" => {
            WhyForm::deserialize(rest).map(|WhyForm { why }| Answer::Outcome(Outcome::Refused { why }))
        }
        "issued" => return issued::parse(rest).map(|issued| Answer::Issued(Box::new(issued))),
        "error" => WhyForm::deserialize(rest).map(|WhyForm { why }| Answer::Error { why }),
        unknown => {
            let known: Vec<&str> = fact::TYPES.into_iter().chain(TYPES).collect();
            return Err(format!("`{unknown}` is no type of message{}", did_you_mean(unknown, &known)));
        }
    };
    answer.map_err(|error| error.to_string())
}
