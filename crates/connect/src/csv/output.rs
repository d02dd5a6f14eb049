//! Between the thread that reads files and the sink: batches of facts through a short queue, so that neither waits
//! for the other more than it must and memory stays bounded.

use leasehold_model::fact::{Fact, FeedEnd, Problem};
use tokio::sync::mpsc::Sender;

const FACTS_MAX: usize = 4096;

/// What the reading thread sends.
pub enum Message {
    /// A batch of facts.
    Facts(Vec<Fact>),
    /// Input that could not be used.
    Problem(Problem),
    /// Bytes read, of how many.
    Progress(u64, u64),
    /// Where the people feed ended.
    FeedEnded(FeedEnd),
}

/// The sink is gone: it failed, and has said why.
#[derive(Debug)]
pub struct Stopped;

/// The sending end.
pub struct Output {
    sender: Sender<Message>,
    facts: Vec<Fact>,
    /// Bytes of the files that were read before the present one.
    pub bytes_before: u64,
    /// Bytes of all files.
    pub bytes_total: u64,
}

impl Output {
    /// Nothing sent yet.
    pub fn new(sender: Sender<Message>, bytes_total: u64) -> Self {
        Self { sender, facts: Vec::with_capacity(FACTS_MAX), bytes_before: 0, bytes_total }
    }

    /// Sends a fact with its batch.
    ///
    /// # Errors
    /// Where nobody listens any more.
    #[inline]
    pub fn push(&mut self, fact: Fact) -> Result<(), Stopped> {
        self.facts.push(fact);
        if self.facts.len() == FACTS_MAX { self.flush() } else { Ok(()) }
    }

    /// Sends the rest.
    ///
    /// # Errors
    /// Where nobody listens any more.
    pub fn flush(&mut self) -> Result<(), Stopped> {
        let facts = std::mem::replace(&mut self.facts, Vec::with_capacity(FACTS_MAX));
        self.send(Message::Facts(facts))
    }

    /// Sends a problem.
    ///
    /// # Errors
    /// Where nobody listens any more.
    pub fn problem(&mut self, problem: Problem) -> Result<(), Stopped> {
        self.send(Message::Problem(problem))
    }

    /// Says how far the present file is.
    ///
    /// # Errors
    /// Where nobody listens any more.
    pub fn progress(&mut self, bytes: u64) -> Result<(), Stopped> {
        self.send(Message::Progress(self.bytes_before + bytes, self.bytes_total))
    }

    /// Says where the people feed ended, after everything that it told.
    ///
    /// # Errors
    /// Where nobody listens any more.
    pub fn feed_ended(&mut self, end: FeedEnd) -> Result<(), Stopped> {
        self.flush()?;
        self.send(Message::FeedEnded(end))
    }

    fn send(&mut self, message: Message) -> Result<(), Stopped> {
        self.sender.blocking_send(message).map_err(|_| Stopped)
    }
}
