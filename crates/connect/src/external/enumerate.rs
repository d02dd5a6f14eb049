//! Telling everything that a program says about who can log in and what they hold.

use std::time::{Duration, Instant};

use leasehold_model::fact::{Completeness, Fact, Problem};

use crate::connector::{Batch, Sink};
use crate::error::ConnectError;
use crate::external::client::{Call, Client};
use crate::external::protocol::{Answer, Request};
use crate::external::settings::ExternalSettings;

/// A program that says more than this is wrong is not worth listening to.
const PROBLEMS_MAX: usize = 1000;

const OPERATION: &str = "enumerating";

/// What was heard so far.
#[derive(Default)]
struct Heard {
    /// Lines that were facts, usable or not.
    facts: u64,
    usable: u64,
    problems: usize,
    /// Of the first fact that could not be used.
    unusable: Option<String>,
    /// How long the program was waited for.
    waited: Duration,
}

/// Streams every fact. The program waits in its pipe while the sink is busy, and its time does not run then.
pub(super) async fn enumerate(client: &Client, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
    let settings = client.settings.as_ref();
    let mut call = client.begin(OPERATION, &Request::Enumerate).await?;
    let mut batch = Batch::new(sink);
    let mut heard = Heard::default();
    let ended = listen(settings, &mut call, &mut batch, &mut heard).await;
    // What came before an end of any sort counts, as facts.
    batch.flush().await?;
    let ended = match ended? {
        Answer::Error { why } => Err(call.process.wrong(OPERATION, &why)),
        Answer::Partial { why } => Ok(Completeness::Partial { why: settings.shown(&why) }),
        Answer::Complete { evidence, facts } => Ok(completeness(settings, &heard, &evidence, facts)),
        other => return Err(call.process.unexpected(OPERATION, other.name())),
    };
    call.end();
    ended
}

/// Passes facts on until the program says something else.
async fn listen(
    settings: &ExternalSettings,
    call: &mut Call<'_>,
    batch: &mut Batch<'_>,
    heard: &mut Heard,
) -> Result<Answer, ConnectError> {
    loop {
        let left = settings.enumerate_timeout.saturating_sub(heard.waited);
        let asked = Instant::now();
        let message = call.process.hear(OPERATION, left.min(settings.timeout)).await?;
        heard.waited += asked.elapsed();
        let is_fact = message.is_fact();
        heard.facts += u64::from(is_fact);
        let problem = match message.answer {
            Ok(Answer::Fact(fact)) => match unwanted(settings, &fact) {
                None => {
                    heard.usable += 1;
                    batch.push(*fact).await?;
                    continue;
                }
                Some(why) => Some(why.to_owned()),
            },
            Ok(Answer::Progress { done, total }) => {
                batch.progress(done, total);
                continue;
            }
            Ok(Answer::Problem(problem)) => {
                batch.problem(Problem::new(settings.shown(&problem.place), settings.shown(&problem.message)));
                None
            }
            Ok(end) => return Ok(end),
            Err(why) if is_fact => Some(settings.shown(&format!("`{}`: {why}", message.of_type))),
            Err(why) => return Err(call.process.malformed(OPERATION, &message.of_type, &why)),
        };
        heard.problems += 1;
        if heard.problems > PROBLEMS_MAX {
            let message = format!("there are more than {PROBLEMS_MAX} problems; mend the program first");
            return Err(call.process.wrong(OPERATION, &message));
        }
        if let Some(why) = problem {
            let place = call.process.place();
            heard.unusable.get_or_insert_with(|| format!("{place}: {why}"));
            batch.problem(Problem::new(place, why));
        }
    }
}

/// Why a fact is not taken from this program, where it is not.
fn unwanted(settings: &ExternalSettings, fact: &Fact) -> Option<&'static str> {
    match fact {
        Fact::Identity(_) if !settings.authoritative => Some(
            "an identity, and this system is not the one that says who there is; set `authoritative = true` if it is",
        ),
        Fact::Credential(_) if !settings.capabilities.list_credentials.supported => {
            Some("a credential, and `capabilities` does not name `list_credentials`; name it there")
        }
        _ => None,
    }
}

/// Whether the program's word that this was all can be believed.
fn completeness(settings: &ExternalSettings, heard: &Heard, evidence: &str, facts: u64) -> Completeness {
    let evidence = settings.shown(evidence);
    let partial = |why: String| Completeness::Partial { why };
    if facts != heard.facts {
        return partial(format!("the program says that it told {facts} facts, and {} arrived", heard.facts));
    }
    if let Some(first) = &heard.unusable {
        let unusable = heard.facts - heard.usable;
        return partial(format!("{unusable} of {facts} facts could not be used; the first is {first}"));
    }
    if facts == 0 {
        return partial("nothing at all was told".to_owned());
    }
    if evidence.trim().is_empty() {
        return partial("the program shows no evidence that this was all".to_owned());
    }
    if !settings.capabilities.prove_completeness.supported {
        return partial(format!(
            "the program says that this was all ({evidence}), and `capabilities` does not name `prove_completeness`"
        ));
    }
    Completeness::Complete { evidence: format!("{evidence}; {facts} facts told and received") }
}
