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
        Self::Some(among(app, person, action, read.chain(view.loaded().settings.keys())))
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

impl App {
    /// The systems that a person may do this to, also where no state is loaded yet.
    pub(crate) fn systems_seen(&self, person: &Person, action: Action) -> SeenSystems {
        match self.live.view() {
            Some(view) => SeenSystems::of(self, &view, person, action),
            None if person.may_everywhere(self, action) => SeenSystems::All,
            None => SeenSystems::Some(among(self, person, action, self.settings.system_owners.now().keys())),
        }
    }
}

fn among<'name>(
    app: &App,
    person: &Person,
    action: Action,
    names: impl Iterator<Item = &'name SystemName>,
) -> HashSet<SystemName> {
    let names: HashSet<&SystemName> = names.collect();
    names.into_iter().filter(|name| person.may(app, action, &app.resource_of_system(name))).cloned().collect()
}
