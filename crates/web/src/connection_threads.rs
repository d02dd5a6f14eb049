//! Threads that speak with clients. Each has a runtime of its own with nobody to share its work with: a short answer is given
//! where its request came in, and wakes no other thread. All else is done by the server's runtime, and only sent from here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

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
        // It ends with a word or with whoever could say it.
        let _ = runtime.block_on(stopped);
    })?;
    Ok((handle, stop))
}

/// Something that is done on one of the threads, while what it begins (tasks, connections to the store) belongs to another
/// runtime, and lasts as long as that.
pub(crate) struct Within<Doing> {
    runtime: Handle,
    doing: Doing,
}

impl<Doing> Within<Doing> {
    /// Does it within a runtime.
    pub fn new(runtime: Handle, doing: Doing) -> Self {
        Self { runtime, doing }
    }
}

impl<Doing: Future + Unpin> Future for Within<Doing> {
    type Output = Doing::Output;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { runtime, doing } = &mut *self;
        let _entered = runtime.enter();
        Pin::new(doing).poll(task)
    }
}
