//! Work that loads or evaluates everything anew for one answer: a few at once, away from the threads that serve.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::WebError;

/// How many such answers are worked on at once. Each can need as much memory as the present state; the others wait.
const AT_ONCE: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// Waits for a turn, which lasts until it is dropped.
///
/// # Errors
/// [`WebError::Internal`]; turns are never closed.
pub(crate) async fn turn() -> Result<SemaphorePermit<'static>, WebError> {
    TURNS.acquire().await.map_err(WebError::internal)
}

/// Does the work once there is a turn for it.
///
/// # Errors
/// [`WebError::Internal`] where the work panics.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, WebError> {
    let _turn = turn().await?;
    tokio::task::spawn_blocking(work).await.map_err(WebError::internal)
}
