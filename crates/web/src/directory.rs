//! Which identity is a user's, and what they are to others by it: a manager, the owner of a system.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use leasehold_decide::authority::Role;
use leasehold_model::id::IdentityKey;
use leasehold_reconcile::live::View;
use leasehold_store::Revision;

use crate::state::App;

/// Identities by mail address, and those whom others answer to; made once for each state.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    by_mail: HashMap<String, IdentityKey>,
    /// Folded keys of those who manage somebody, or answer for something.
    managers: HashSet<String>,
    /// Positions of identities, by folded key.
    pub(crate) identities: Vec<u32>,
    /// Positions of accounts, by system and key.
    pub(crate) accounts: Vec<u32>,
    /// Positions of credentials, by system, account and key.
    pub(crate) credentials: Vec<u32>,
    /// Positions of entitlements, by system and name.
    pub(crate) entitlements: Vec<u32>,
}

/// The directory of the newest state that was asked about.
#[derive(Debug, Default)]
pub(crate) struct Directories {
    newest: RwLock<Option<(Revision, Timestamp, Arc<Directory>)>>,
}

impl Directories {
    pub(crate) fn of(&self, view: &View) -> Arc<Directory> {
        let name = (view.revision(), view.as_of());
        if let Some((revision, as_of, directory)) =
            &*self.newest.read().unwrap_or_else(PoisonError::into_inner)
            && (*revision, *as_of) == name
        {
            return directory.clone();
        }
        let directory = Arc::new(Directory::new(view));
        *self.newest.write().unwrap_or_else(PoisonError::into_inner) =
            Some((name.0, name.1, directory.clone()));
        directory
    }
}

impl Directory {
    fn new(view: &View) -> Self {
        let mut directory = Self::default();
        let mut several = HashSet::new();
        for identity in &view.evaluation().identities {
            let mail = identity.attribute("email").unwrap_or(identity.key.as_str()).trim().to_lowercase();
            // An address that two identities have says of neither that it is this person's.
            if directory
                .by_mail
                .insert(mail.clone(), identity.key.clone())
                .is_some_and(|before| before != identity.key)
            {
                several.insert(mail);
            }
            directory
                .managers
                .extend([&identity.manager, &identity.owner].into_iter().flatten().map(IdentityKey::folded));
        }
        let snapshot = &view.loaded().snapshot;
        let identities = &view.evaluation().identities;
        directory.identities = (0u32..).take(identities.len()).collect();
        directory.identities.sort_by_cached_key(|position| identities[*position as usize].key.folded());
        directory.accounts = (0u32..).take(snapshot.accounts.len()).collect();
        directory.accounts.sort_by(|a, b| {
            let key = |position: &u32| {
                let account = &snapshot.accounts[*position as usize];
                (snapshot.system(account.system), &account.account.key)
            };
            key(a).cmp(&key(b))
        });
        let credentials = (0u32..).zip(&snapshot.credentials);
        let mut of_account: Vec<(u32, u32)> =
            credentials.map(|(position, credential)| (credential.account, position)).collect();
        if !of_account.is_empty() {
            let mut rank = vec![0; snapshot.accounts.len()];
            for (place, position) in (0u32..).zip(&directory.accounts) {
                rank[*position as usize] = place;
            }
            // Those of one account stand in the order of their keys already.
            of_account.sort_by_key(|(account, position)| (rank[*account as usize], *position));
        }
        directory.credentials = of_account.into_iter().map(|(_, position)| position).collect();
        directory.entitlements = (0u32..).take(snapshot.entitlements.len()).collect();
        directory.entitlements.sort_by(|a, b| {
            let key = |position: &u32| {
                let entitlement = &snapshot.entitlements[*position as usize];
                (snapshot.system(entitlement.system), &entitlement.entitlement.name)
            };
            key(a).cmp(&key(b))
        });
        directory.by_mail.retain(|mail, _| !several.contains(mail));
        directory
    }
}

/// The identity of whoever has this mail address, and the roles that follow from it.
pub(crate) fn standing(app: &App, mail: &str) -> (Option<IdentityKey>, BTreeSet<Role>) {
    let Some(view) = app.live.view() else { return (None, BTreeSet::new()) };
    let directory = app.directories.of(&view);
    let Some(key) = directory.by_mail.get(&mail.trim().to_lowercase()) else {
        return (None, BTreeSet::new());
    };
    let mut roles = BTreeSet::new();
    if directory.managers.contains(&key.folded()) {
        roles.insert(Role::Manager);
    }
    let owns = |owners: &Vec<IdentityKey>| owners.iter().any(|owner| owner.folded() == key.folded());
    if app.settings.system_owners.now().values().any(owns) {
        roles.insert(Role::SystemOwner);
    }
    (Some(key.clone()), roles)
}
