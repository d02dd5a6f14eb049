//! Telling everything that the grant tables hold.

use std::collections::BTreeSet;

use leasehold_model::account::{Account, PostureFinding};
use leasehold_model::entitlement::{Containment, DirectGrant, Entitlement};
use leasehold_model::fact::{Completeness, Fact};
use leasehold_model::id::{AccountKey, EntitlementName};

use crate::connector::{Batch, Sink};
use crate::error::ConnectError;
use crate::mariadb::catalogue::{AccountState, Catalogue, Holder, PUBLIC, PasswordEnd};
use crate::mariadb::client::Client;
use crate::mariadb::event::Event;
use crate::mariadb::name::{AccountName, Held, Object};

/// Streams every fact.
pub(super) async fn enumerate(client: &Client, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
    let mut session = client.session().await?;
    let catalogue = Catalogue::read(client, &mut session).await?;
    let events = Event::read_all(client, &mut session).await?;
    client.keep(session).await;
    let mut batch = Batch::new(sink);
    let public = Held::Role(PUBLIC.to_owned());
    for (name, state) in &catalogue.accounts {
        batch.push(Fact::Account(account(&catalogue, name, state))).await?;
        if catalogue.roles.contains(PUBLIC) {
            batch.push(Fact::Grant(grant(name, public.name(), None))).await?;
        }
    }
    let mut told: BTreeSet<&Held> = BTreeSet::new();
    for role in &catalogue.roles {
        let mut entitlement = entitlement(&Held::Role(role.clone()));
        entitlement.inherent = role == PUBLIC;
        batch.push(Fact::Entitlement(entitlement)).await?;
    }
    for (holder, all) in &catalogue.held {
        for (held, passes_on) in all {
            let known = matches!(held, Held::Role(role) if catalogue.roles.contains(role));
            if !known && told.insert(held) {
                batch.push(Fact::Entitlement(entitlement(held))).await?;
            }
            match holder {
                // A row of an account that is gone gives nothing to anybody until the account is made again.
                Holder::Account(name) if !catalogue.accounts.contains_key(name) => {
                    let place = format!("{} of {}", held.name(), name.key());
                    let message =
                        "a grant to an account that is not there; it counts when that account is made";
                    batch.problem(leasehold_model::fact::Problem::new(place, message));
                }
                Holder::Account(name) if *held != public => {
                    let options = passes_on.then(|| "with admin option".to_owned());
                    batch.push(Fact::Grant(grant(name, held.name(), options))).await?;
                }
                Holder::Account(_) => {}
                Holder::Role(role) => {
                    let parent = Held::Role(role.clone()).name();
                    batch.push(Fact::Containment(Containment { parent, child: held.name() })).await?;
                }
            }
        }
    }
    let keys: BTreeSet<AccountKey> = catalogue.accounts.keys().map(AccountName::key).collect();
    for event in &events {
        let message = match event.role() {
            Some(role) if catalogue.roles.contains(role) => as_role(event, role),
            Some(_) => {
                "its definer is no role that is there; it does nothing until that role is made".to_owned()
            }
            None if keys.contains(&AccountKey::from(event.definer.as_str())) => {
                batch.push(Fact::Credential(event.credential())).await?;
                continue;
            }
            None => "its definer is no account that is there; it does nothing until that account is made"
                .to_owned(),
        };
        let place = format!("{} of {}", event.key(), event.definer);
        batch.problem(leasehold_model::fact::Problem::new(place, message));
    }
    batch.flush().await?;
    let (accounts, grants) =
        (catalogue.accounts.len(), catalogue.held.values().map(|all| all.len()).sum::<usize>());
    let done = (accounts + grants) as u64;
    batch.progress(done, Some(done));
    if !catalogue.is_still {
        let why = "the grant tables changed each time while they were read".to_owned();
        return Ok(Completeness::Partial { why });
    }
    let evidence = format!(
        "{accounts} accounts, {} roles and {grants} grants, read between two equal checksums of the grant tables; {} events",
        catalogue.roles.len(),
        events.len()
    );
    Ok(Completeness::Complete { evidence })
}

/// What an event does whose definer is a role: it is no account's, so that it stays when whoever made it goes.
fn as_role(event: &Event, role: &str) -> String {
    let runs = if event.is_enabled() { "runs" } else { "is stopped, and would run" };
    format!(
        "its definer is the role {role}: it {runs} with all that role/{role} holds, whoever made it, be they gone or not; drop it, \
         or make it an account's by ALTER DEFINER"
    )
}

fn account(catalogue: &Catalogue, name: &AccountName, state: &AccountState) -> Account {
    let mut account = Account::new(name.key(), name.user.clone());
    account.enabled = !state.locked;
    account.credential_changed_at = state.password_changed;
    account.attributes.insert("host".to_owned(), name.host.clone());
    if !state.plugin.is_empty() {
        account.attributes.insert("plugin".to_owned(), state.plugin.clone());
    }
    if !state.default_role.is_empty() {
        account.attributes.insert("default_role".to_owned(), state.default_role.clone());
    }
    // No end of the account: with a password that has ended its holder logs in and sets a new one.
    let end = match state.password_end {
        Some(PasswordEnd::Never) => Some("never".to_owned()),
        Some(PasswordEnd::At(at)) => Some(at.to_string()),
        Some(PasswordEnd::Ended) | None => None,
    };
    let expired = state.password_expired.then(|| "true".to_owned());
    for (key, value) in [("password_expires", end), ("password_expired", expired)] {
        account.attributes.extend(value.map(|value| (key.to_owned(), value)));
    }
    if state.without_password {
        account.posture.push(PostureFinding::PasswordNotRequired);
    }
    if state.password_never_expires {
        account.posture.push(PostureFinding::PasswordNeverExpires);
    }
    let may_all = Held::Privilege { privilege: "SUPER", object: Object::Server };
    if catalogue.holds(name, &may_all).1 {
        account.posture.push(PostureFinding::Superuser);
    }
    account
}

fn entitlement(held: &Held) -> Entitlement {
    let name = held.name();
    let mut entitlement = Entitlement::new(name.kind, name.name);
    entitlement.privileged = held.is_administrative();
    entitlement
}

fn grant(account: &AccountName, entitlement: EntitlementName, options: Option<String>) -> DirectGrant {
    DirectGrant { account: account.key(), entitlement, valid_from: None, valid_until: None, options }
}
