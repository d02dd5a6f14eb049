//! Keeps the course of drift: how much of each kind there is, each time that the present state has changed.

use leasehold_reconcile::driver::DriverHandle;
use leasehold_reconcile::notice::NoticeKind;
use leasehold_reconcile::pace::SharedPace;
use tokio::sync::broadcast::error::RecvError;

/// Keeps it until whoever runs this stops it. A sample that could not be kept is a gap in a chart, and nothing else.
pub(crate) async fn keep(driver: DriverHandle, pace: SharedPace) {
    let (store, live) = (driver.store(), driver.live());
    let mut notices = live.subscribe();
    // What was loaded before anybody listened.
    let mut changed = live.view().is_some();
    loop {
        if changed
            && let Some(view) = live.view()
            && let Err(error) = store.keep_drift_sample(view.drift_counts(), pace.now()).await
        {
            tracing::warn!(%error, "the course of drift has a gap");
        }
        changed = match notices.recv().await {
            Ok(notice) => notice.kind == NoticeKind::ViewChanged,
            Err(RecvError::Lagged(_)) => true,
            Err(RecvError::Closed) => return,
        };
    }
}
