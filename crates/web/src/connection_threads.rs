//! Threads that speak with clients. Each has a runtime of its own with nobody to share its work with: a short answer is given
//! where its request came in, and wakes no other thread. All else is done by the server's runtime, and only sent from here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Each thread has something to wait for within this time, sooner than any limit of a connection. A runtime that waits for nothing so
/// near is told of each limit that is set by a call of the kernel: one for every answer, since the next request's limit begins with it.
const TICK: Duration = Duration::from_secs(2);

/// The threads, while they run: they end with this value, and with them what they still do.
pub(crate) struct ConnectionThreads {
    threads: Vec<(Handle, oneshot::Sender<()>)>,
    next: usize,
}

impl ConnectionThreads {
    /// Begins one thread for every two processors: the work behind the answers needs the others.
    ///
    /// # Errors
    /// Where the system gives no thread, or no way to wait for connections.
    pub fn begin() -> io::Result<Self> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let threads = (0..processors.div_ceil(2)).map(begin).collect::<io::Result<_>>()?;
        Ok(Self { threads, next: 0 })
    }

    /// Has the next of them, in turn, do this to its end.
    pub fn spawn(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        self.next = (self.next + 1) % self.threads.len();
        self.threads[self.next].0.spawn(connection);
    }
}

fn begin(number: usize) -> io::Result<(Handle, oneshot::Sender<()>)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (handle, (stop, stopped)) = (runtime.handle().clone(), oneshot::channel());
    let name = format!("connections-{number}");
    thread::Builder::new().name(name).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                // It ends with a word or with whoever could say it.
                _ = stopped => {}
                () = tick() => {}
                () = leasehold_store::bring_scim_answers() => {}
            }
        });
    })?;
    Ok((handle, stop))
}

async fn tick() {
    loop {
        tokio::time::sleep(TICK).await;
    }
}

/// Something that is done on one of the threads, while what it begins (tasks, connections to the store) belongs to another
/// runtime, and lasts as long as that.
pub(crate) struct Within<Doing> {
    runtime: Handle,
    /// Taken away when it is given up: what it holds can have something to do then, too.
    doing: Option<Doing>,
}

impl<Doing> Within<Doing> {
    /// Does it within a runtime.
    pub fn new(runtime: Handle, doing: Doing) -> Self {
        Self { runtime, doing: Some(doing) }
    }
}

impl<Doing: Future + Unpin> Future for Within<Doing> {
    type Output = Doing::Output;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { runtime, doing } = &mut *self;
        let _entered = runtime.enter();
        match doing {
            Some(doing) => Pin::new(doing).poll(task),
            None => Poll::Pending,
        }
    }
}

impl<Doing> Drop for Within<Doing> {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        self.doing = None;
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Id;

    use super::*;

    /// Tells in which runtime it ends.
    struct Held(Option<oneshot::Sender<Id>>);

    impl Drop for Held {
        fn drop(&mut self) {
            if let Some(told) = self.0.take() {
                let _ = told.send(Handle::current().id());
            }
        }
    }

    #[tokio::test]
    async fn what_is_done_on_a_thread_belongs_to_the_other_runtime_to_its_end() {
        let here = Handle::current();
        let mut threads = ConnectionThreads::begin().expect("threads");
        let (told, there) = oneshot::channel();
        threads.spawn(async move {
            let _ = told.send(Handle::current().id());
        });
        assert_ne!(there.await.expect("is told"), here.id(), "a thread has a runtime of its own");
        let ((began, begun), (told, ended)) = (oneshot::channel(), oneshot::channel());
        let held = Held(Some(told));
        let doing = Within::new(
            here.clone(),
            Box::pin(async move {
                let _held = held;
                let _ = began.send(Handle::current().id());
                std::future::pending::<()>().await;
            }),
        );
        threads.spawn(doing);
        assert_eq!(begun.await.expect("is begun"), here.id());
        drop(threads);
        assert_eq!(ended.await.expect("ends with the threads"), here.id());
    }
}
