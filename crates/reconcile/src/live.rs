//! The present as everybody sees it: one evaluated state, replaced when facts, claims or time have moved.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use leasehold_decide::evaluate::SystemSettings;
use leasehold_model::id::SystemName;
use leasehold_model::snapshot::SystemState;
use leasehold_store::{Revision, Store};
use tokio::sync::{Mutex, broadcast};
use tracing::{Instrument as _, Span};

use crate::error::ReconcileError;
use crate::notice::{Notice, NoticeKind};
use crate::pace::SharedPace;
use crate::stages::decide::Loaded;
use crate::trace::SPANS;
pub use crate::view::View;

/// The age at which a state is evaluated anew although nothing is known to have moved, in milliseconds.
pub const REEVALUATE_AFTER_MS: i64 = 60_000;

/// Notices that a slow listener may fall behind before it loses the oldest.
const NOTICES_HELD: usize = 1_024;

/// The present state, and who is told when it changes. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Live {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    settings: RwLock<BTreeMap<SystemName, SystemSettings>>,
    /// Settings that the view does not have yet.
    is_reconfigured: AtomicBool,
    pace: SharedPace,
    view: RwLock<Option<Arc<View>>>,
    /// Why the last refresh failed; the state before it is still shown.
    trouble: RwLock<Option<String>>,
    /// Whoever holds it refreshes; the others wait, and then mostly find nothing left to do.
    refreshing: Mutex<()>,
    notices: broadcast::Sender<Notice>,
}

impl Live {
    /// Nothing is loaded yet.
    pub fn new(store: Store, settings: BTreeMap<SystemName, SystemSettings>, pace: SharedPace) -> Self {
        let shared = Shared {
            store,
            settings: RwLock::new(settings),
            is_reconfigured: AtomicBool::new(false),
            pace,
            view: RwLock::new(None),
            trouble: RwLock::new(None),
            refreshing: Mutex::new(()),
            notices: broadcast::channel(NOTICES_HELD).0,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The present state; `None` until the first load has finished.
    pub fn view(&self) -> Option<Arc<View>> {
        self.shared.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why the present state could not be brought up to date; `None` where it could.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Listens to what happens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Notice> {
        self.shared.notices.subscribe()
    }

    /// Tells whoever listens.
    pub fn notify(&self, kind: NoticeKind, subject: impl Into<String>) {
        let notice = Notice { kind, subject: subject.into(), at: self.shared.pace.now() };
        // An error only says that nobody listens.
        let _ = self.shared.notices.send(notice);
    }

    /// Decides with other settings of systems from the next refresh on.
    pub fn reconfigure(&self, settings: BTreeMap<SystemName, SystemSettings>) {
        *self.shared.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
        self.shared.is_reconfigured.store(true, Ordering::Release);
    }

    /// Brings the state up to what the store and the clock say, and gives it. Of many at once one loads and the others
    /// wait for it; where nothing moved, this costs one small query.
    ///
    /// # Errors
    /// As [`Loaded::load_with`] and [`Loaded::evaluate`]; the state before stays.
    pub async fn refresh(&self) -> Result<Arc<View>, ReconcileError> {
        let _refreshing = self.shared.refreshing.lock().await;
        let refreshed = self.refreshed().await;
        let trouble = refreshed.as_ref().err().map(ToString::to_string);
        *self.shared.trouble.write().unwrap_or_else(PoisonError::into_inner) = trouble;
        refreshed
    }

    async fn refreshed(&self) -> Result<Arc<View>, ReconcileError> {
        let shared = &self.shared;
        let revision = shared.store.revision().await?;
        let now = shared.pace.now();
        let Some(before) = self.view() else { return self.load(revision).await };
        if shared.is_reconfigured.swap(false, Ordering::AcqRel) {
            // Asked for again where it fails.
            return self
                .load(revision)
                .await
                .inspect_err(|_| shared.is_reconfigured.store(true, Ordering::Release));
        }
        let outdated = before.is_outdated(now, REEVALUATE_AFTER_MS);
        if before.revision() == revision && !outdated {
            return Ok(before);
        }
        let systems = if before.revision() == revision {
            before.systems().to_vec()
        } else {
            let systems = shared.store.systems().await?;
            if has_moved(&before, revision, &systems) {
                return self.load(revision).await;
            }
            systems
        };
        if !outdated {
            return Ok(self.replace(before.read_again(systems, revision, now)));
        }
        let loaded = before.loaded().at(now);
        let view = computed(move || View::new(loaded, revision, now)).await?;
        let same_drift = view.drift() == before.drift();
        let view = self.replace(view.read_again(systems, revision, now));
        if !same_drift {
            self.notify(NoticeKind::ViewChanged, revision.epoch.to_string());
        }
        Ok(view)
    }

    async fn load(&self, revision: Revision) -> Result<Arc<View>, ReconcileError> {
        let settings = self.shared.settings.read().unwrap_or_else(PoisonError::into_inner).clone();
        let store = self.shared.store.clone();
        let (now, runtime) = (self.shared.pace.now(), tokio::runtime::Handle::current());
        let view = computed(move || {
            let loading = tracing::info_span!(target: SPANS, "load facts and claims");
            let loaded =
                runtime.block_on(Loaded::load_with(&store, settings, now, None).instrument(loading))?;
            View::new(loaded, revision, now)
        })
        .await?;
        let view = self.replace(view);
        self.notify(NoticeKind::ViewChanged, revision.epoch.to_string());
        Ok(view)
    }

    fn replace(&self, view: View) -> Arc<View> {
        let view = Arc::new(view);
        *self.shared.view.write().unwrap_or_else(PoisonError::into_inner) = Some(view.clone());
        view
    }
}

/// Runs what computes away from the threads that serve.
async fn computed(
    work: impl FnOnce() -> Result<View, ReconcileError> + Send + 'static,
) -> Result<View, ReconcileError> {
    let span = Span::current();
    let work = move || span.in_scope(work);
    tokio::task::spawn_blocking(work).await.map_err(|error| ReconcileError::Worker(error.to_string()))?
}

/// Whether something that decisions rest on is another than before. A reading that showed nothing new is not.
fn has_moved(before: &View, revision: Revision, systems: &[SystemState]) -> bool {
    let known = before.systems();
    // Of what people and credential links say everything counts; readings are told apart by what they showed.
    let claims = |revision: Revision| Revision { epoch: 0, ..revision };
    claims(before.revision()) != claims(revision)
        || known.len() != systems.len()
        || known.iter().zip(systems).any(|(then, now)| {
            (&then.name, then.generation) != (&now.name, now.generation) || !same_proof(then, now)
        })
}

/// Whether absence is proved, or not, as before (law 3).
fn same_proof(then: &SystemState, now: &SystemState) -> bool {
    if then.latest_complete.is_some() != now.latest_complete.is_some() {
        return false;
    }
    // Why it never was is shown beside what waits for it.
    let why = |state: &SystemState| state.latest.as_ref().map(|epoch| epoch.completeness.clone());
    now.latest_complete.is_some() || why(then) == why(now)
}
