//! The way of answers back to the threads that wait for them: all of a batch that one thread waits for, by one word to it.
//!
//! Each answer that comes from another thread wakes its runtime by a call of the kernel, also where it is awake already. Those of a
//! batch come together, and so they are handed over together and given out where they are waited for.

use std::cell::RefCell;

use tokio::sync::mpsc::error::SendError;
use tokio::sync::{mpsc, oneshot};

use super::write::Answer;

type Brought = Vec<(oneshot::Sender<Answer>, Answer)>;

thread_local! {
    /// Where answers for this thread are handed over, while somebody gives them out here.
    static HERE: RefCell<Option<mpsc::UnboundedSender<Brought>>> = const { RefCell::new(None) };
}

/// Gives out what this thread waits for, for ever: for a thread that has a runtime of its own. Without it, answers come each by itself.
pub async fn bring_scim_answers() {
    let (here, mut brought) = mpsc::unbounded_channel();
    HERE.set(Some(here));
    let _ended = Ended;
    while let Some(answers) = brought.recv().await {
        for (waiting, answer) in answers {
            give(waiting, answer);
        }
    }
}

/// Nobody gives anything out here any more.
struct Ended;

impl Drop for Ended {
    fn drop(&mut self) {
        HERE.set(None);
    }
}

fn give(waiting: oneshot::Sender<Answer>, answer: Answer) {
    // Whoever sent it may have gone; it was done all the same.
    let _ = waiting.send(answer);
}

/// Whoever waits for an answer, and on which thread.
#[derive(Debug)]
pub(super) struct Waiting {
    here: Option<mpsc::UnboundedSender<Brought>>,
    answer: oneshot::Sender<Answer>,
}

/// A way for an answer to this thread.
pub(super) fn waiting() -> (Waiting, oneshot::Receiver<Answer>) {
    let (answer, answered) = oneshot::channel();
    (Waiting { here: HERE.with_borrow(Clone::clone), answer }, answered)
}

/// Gives everybody their answer.
pub(super) fn bring(answers: impl Iterator<Item = (Waiting, Answer)>) {
    let mut threads: Vec<(mpsc::UnboundedSender<Brought>, Brought)> = Vec::new();
    for (Waiting { here, answer: waiting }, answer) in answers {
        let Some(here) = here else {
            give(waiting, answer);
            continue;
        };
        match threads.iter_mut().find(|(other, _)| here.same_channel(other)) {
            Some((_, brought)) => brought.push((waiting, answer)),
            None => threads.push((here, vec![(waiting, answer)])),
        }
    }
    for (here, brought) in threads {
        if let Err(SendError(brought)) = here.send(brought) {
            brought.into_iter().for_each(|(waiting, answer)| give(waiting, answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ScimRefusal, ScimWritten};
    use super::*;

    #[tokio::test]
    async fn answers_come_together_where_they_are_waited_for_and_alone_anywhere_else() {
        let (alone, answered_alone) = waiting();
        assert!(alone.here.is_none(), "nobody gives anything out on this thread yet");
        let bringing = bring_scim_answers();
        tokio::pin!(bringing);
        assert!(futures::poll!(&mut bringing).is_pending());
        let (one, answered_one) = waiting();
        let (other, answered_other) = waiting();
        assert!(one.here.is_some());
        let answers = [
            (alone, Ok(ScimWritten::Deleted)),
            (one, Ok(ScimWritten::NotThere)),
            (other, Err(ScimRefusal::NotInForce)),
        ];
        bring(answers.into_iter());
        assert_eq!(answered_alone.await, Ok(Ok(ScimWritten::Deleted)));
        assert!(futures::poll!(&mut bringing).is_pending());
        assert_eq!(answered_one.await, Ok(Ok(ScimWritten::NotThere)));
        assert_eq!(answered_other.await, Ok(Err(ScimRefusal::NotInForce)));
    }

    #[tokio::test]
    async fn what_comes_when_nobody_gives_it_out_any_more_is_given_all_the_same() {
        let mut bringing = Box::pin(bring_scim_answers());
        assert!(futures::poll!(&mut bringing).is_pending());
        let (late, answered_late) = waiting();
        drop(bringing);
        assert!(waiting().0.here.is_none());
        bring([(late, Ok(ScimWritten::Deleted))].into_iter());
        assert_eq!(answered_late.await, Ok(Ok(ScimWritten::Deleted)));
    }
}
