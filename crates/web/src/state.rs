//! What every handler can reach: the store, the settings, the clock and the authority.

use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use leasehold_decide::authority::Authority;
use leasehold_reconcile::driver::DriverHandle;
use leasehold_reconcile::live::{Live, View};
use leasehold_reconcile::pace::SharedPace;
use leasehold_store::{ScimQueue, Store};
use tokio::sync::watch;

use crate::catalogue::Catalogues;
use crate::connections::Connections;
use crate::directory::Directories;
use crate::drift_index::DriftIndexes;
use crate::error::WebError;
use crate::kept_plans::KeptPlans;
use crate::metrics::Metrics;
use crate::pages::policy::Drafts;
use crate::scim::Callers;
use crate::server::{Server, Settings};
use crate::sign_in::openid::Providers;
use crate::sign_in::passkey::RelyingParty;
use crate::sign_in::password::Hasher;
use crate::sign_in::recent_tokens::RecentTokens;

/// The state that handlers share. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What the state is made of.
pub struct Parts {
    /// The store.
    pub store: Store,
    /// The loop: what is to be done is asked of it.
    pub driver: DriverHandle,
    /// The present state.
    pub live: Live,
    /// Where "now" comes from.
    pub pace: SharedPace,
    /// How the server is set up.
    pub settings: Settings,
    /// Connects systems.
    pub connections: Arc<dyn Connections>,
    /// Who may do what.
    pub authority: Authority,
    /// What the server counts.
    pub metrics: Metrics,
    pub(crate) hasher: Hasher,
    pub(crate) directories: Directories,
    /// Names in their order, for lists and searches.
    pub(crate) catalogues: Catalogues,
    /// Policies that are being written.
    pub(crate) policy_drafts: Drafts,
    /// Drift in the orders of its lists.
    pub(crate) drift_indexes: DriftIndexes,
    /// Set when the server stops: what has no end of its own ends then.
    pub(crate) stopping: watch::Sender<bool>,
    /// The OpenID provider, as it was last reached.
    pub(crate) providers: Providers,
    /// The rules by which passkeys are checked.
    pub(crate) passkeys: RelyingParty,
    /// Tokens that were in force a moment ago.
    pub(crate) recent_tokens: RecentTokens,
    /// Plans that were looked at last.
    pub(crate) kept_plans: KeptPlans,
    /// Where what identity providers push and ask waits for the store.
    pub(crate) pushes: ScimQueue,
    /// Who pushed lately.
    pub(crate) pushers: Callers,
    /// Where SCIM's resources are, for their addresses.
    scim_base: String,
}

impl Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Puts the state together.
    pub(crate) fn new(server: Server) -> Self {
        let Server { driver, pace, settings, authority, connections } = server;
        let parts = Parts {
            pushes: ScimQueue::new(driver.store().clone()),
            pushers: Callers::default(),
            scim_base: format!("{}/scim/v2", settings.origin()),
            store: driver.store().clone(),
            live: driver.live().clone(),
            driver,
            pace,
            passkeys: RelyingParty::of(&settings),
            settings,
            connections,
            authority,
            metrics: Metrics::installed(),
            hasher: Hasher::default(),
            directories: Directories::default(),
            catalogues: Catalogues::default(),
            policy_drafts: Drafts::default(),
            drift_indexes: DriftIndexes::default(),
            stopping: watch::Sender::new(false),
            providers: Providers::default(),
            recent_tokens: RecentTokens::default(),
            kept_plans: KeptPlans::default(),
        };
        Self(Arc::new(parts))
    }

    /// The present state, for whoever cannot do without one.
    ///
    /// # Errors
    /// [`WebError::Loading`] until the first one is loaded, [`WebError::Unavailable`] where that fails.
    pub fn view(&self) -> Result<Arc<View>, WebError> {
        self.live.view().ok_or_else(|| match self.live.trouble() {
            Some(trouble) => WebError::Unavailable(format!("the present state cannot be loaded: {trouble}")),
            None => WebError::Loading,
        })
    }

    /// The address below which SCIM's resources are.
    pub(crate) fn scim_base(&self) -> &str {
        &self.scim_base
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.pace.now()
    }
}
