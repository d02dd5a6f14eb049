//! Which systems a person may see something of: asked once for a page, not once for each row.

use std::collections::HashSet;

use leasehold_decide::authority::Action;
use leasehold_model::id::SystemName;
use leasehold_reconcile::view::View;

use crate::person::Person;
use crate::state::App;

/// The systems that somebody may do something to.
#[derive(Debug, Clone)]
pub(crate) enum SeenSystems {
    /// Every one, configured or not.
    All,
    /// Only these.
    Some(HashSet<SystemName>),
}

impl SeenSystems {
    /// Those that a person may do this to.
    pub(crate) fn of(app: &App, view: &View, person: &Person, action: Action) -> Self {
        if person.may_everywhere(app, action) {
            return Self::All;
        }
        let read = view.systems().iter().map(|system| &system.name);
        let names: HashSet<&SystemName> = read.chain(view.loaded().settings.keys()).collect();
        let seen = names.into_iter().filter(|name| person.may(app, action, &app.resource_of_system(name)));
        Self::Some(seen.cloned().collect())
    }

    /// Whether this one is among them.
    pub(crate) fn has(&self, name: &SystemName) -> bool {
        match self {
            Self::All => true,
            Self::Some(names) => names.contains(name),
        }
    }

    /// Whether all are among them.
    pub(crate) fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }
}
