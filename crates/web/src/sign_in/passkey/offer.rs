//! What a page says of passkeys: where they work, or why they do not.

use crate::parts::Prose;
use crate::state::App;

/// Passkeys, as a page offers them.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    /// The only origin at which they work.
    pub(crate) origin: String,
    /// Why they cannot be used at the server's address.
    pub(crate) why_not: Option<Prose>,
}

impl Offer {
    /// What there is to say at this server.
    pub(crate) fn of(app: &App) -> Self {
        Self { origin: app.settings.origin(), why_not: app.passkeys.why_not().map(Prose::new) }
    }
}
