//! Ordinary days in the practice company: people join, change job and leave, and somebody in a hurry gives access directly
//! in a system. Nothing here tells Leasehold; it has to notice.

use std::collections::BTreeSet;

use leasehold_model::Timestamp;
use leasehold_model::id::{AccountKey, EntitlementAddress, IdentityKey, SystemName};
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState};

use super::company::{account_key, make_account};
use super::dice::Dice;
use super::people;
use super::roles;
use super::trouble::OUT_OF_BAND;
use super::world::World;
use crate::error::ConnectError;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// Somebody new is in the feed, with accounts that hold nothing yet.
    Joined {
        /// Who.
        identity: IdentityKey,
    },
    /// Somebody has another job, and the access of the old one.
    Moved {
        /// Who.
        identity: IdentityKey,
        /// The new department.
        department: &'static str,
    },
    /// Somebody has left, and everything that they held is still there.
    Left {
        /// Who.
        identity: IdentityKey,
    },
    /// Somebody was given access directly in a system.
    GrantedOutOfBand {
        /// Who.
        identity: IdentityKey,
        /// What.
        entitlement: EntitlementAddress,
    },
}

impl std::fmt::Display for Happening {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Joined { identity } => write!(formatter, "{identity} joined"),
            Self::Moved { identity, department } => write!(formatter, "{identity} moved to {department}"),
            Self::Left { identity } => write!(formatter, "{identity} left"),
            Self::GrantedOutOfBand { identity, entitlement } => {
                write!(
                    formatter,
                    "somebody gave {identity} {entitlement}, directly in {}",
                    entitlement.system
                )
            }
        }
    }
}

impl World {
    /// Lets one thing happen, drawn from the dice. Heads of departments stay: the policy names them as owners.
    ///
    /// # Errors
    /// Where the state cannot be saved.
    pub fn live_on(&self, dice: &mut Dice, now: Timestamp) -> Result<Option<Happening>, ConnectError> {
        let mut staff = self.staff();
        let Some(identity) = dice.take(&mut staff) else { return Ok(None) };
        let happening = match dice.below(10) {
            0..=1 => self.somebody_joins(dice, now)?,
            2..=3 => self.somebody_moves(&identity)?,
            4..=5 => {
                self.leave(identity.key.as_str(), now)?;
                Happening::Left { identity: identity.key }
            }
            _ => match self.somebody_is_given_access(dice, &identity)? {
                Some(given) => given,
                None => return Ok(None),
            },
        };
        Ok(Some(happening))
    }

    /// The active people who may move and leave.
    fn staff(&self) -> Vec<Identity> {
        let inner = self.lock();
        let stays = |identity: &Identity| {
            let title = identity.attribute("title").unwrap_or_default();
            title.starts_with("Head of ") || title == "Chief Executive"
        };
        let people = inner.state.people.values();
        people
            .filter(|identity| {
                identity.kind == IdentityKind::Person && identity.state == LifecycleState::Active
            })
            .filter(|identity| !stays(identity))
            .cloned()
            .collect()
    }

    fn somebody_joins(&self, dice: &mut Dice, now: Timestamp) -> Result<Happening, ConnectError> {
        let identity = {
            let mut inner = self.lock();
            let identity = people::hire_one_more(dice, &inner.state.people, now);
            let department = identity.attribute("department").unwrap_or_default();
            let title = identity.attribute("title").unwrap_or_default();
            let grants = roles::grants_of(&identity, department, title);
            let addresses = grants.iter().filter_map(|grant| grant.parse::<EntitlementAddress>().ok());
            let systems: BTreeSet<SystemName> = addresses.map(|address| address.system).collect();
            for name in systems {
                let key = account_key(&identity, &name);
                let account = make_account(&identity, &name, &key, now, dice);
                if let Some(system) = inner.state.systems.get_mut(&name) {
                    system.add_account(account);
                }
            }
            identity
        };
        let key = identity.key.clone();
        self.join(identity)?;
        Ok(Happening::Joined { identity: key })
    }

    fn somebody_moves(&self, identity: &Identity) -> Result<Happening, ConnectError> {
        let (department, title) = match identity.attribute("department").unwrap_or_default() {
            "Sales" => ("Support", "Support Agent"),
            "Support" => ("Sales", "Account Executive"),
            "Platform" => ("Payments", "Payments Engineer"),
            "Payments" => ("Platform", "Platform Engineer"),
            _ => ("Support", "Support Agent"),
        };
        self.mover(identity.key.as_str(), department, title)?;
        Ok(Happening::Moved { identity: identity.key.clone(), department })
    }

    /// Something that the person does not hold yet, in a system in which they have an account.
    fn somebody_is_given_access(
        &self,
        dice: &mut Dice,
        identity: &Identity,
    ) -> Result<Option<Happening>, ConnectError> {
        let mut possible: Vec<(AccountKey, EntitlementAddress)> = {
            let inner = self.lock();
            let addresses =
                OUT_OF_BAND.iter().filter_map(|address| address.parse::<EntitlementAddress>().ok());
            addresses
                .filter_map(|address| {
                    let system = inner.state.systems.get(&address.system)?;
                    let key = account_key(identity, &address.system);
                    let enabled = system.accounts.get(&key).is_some_and(|account| account.enabled);
                    let held = system.effective(&key).contains(&address.entitlement);
                    (enabled && !held).then_some((key, address))
                })
                .collect()
        };
        let Some((account, entitlement)) = dice.take(&mut possible) else { return Ok(None) };
        self.grant_out_of_band(
            entitlement.system.as_str(),
            account.as_str(),
            &entitlement.entitlement.to_string(),
        )?;
        Ok(Some(Happening::GrantedOutOfBand { identity: identity.key.clone(), entitlement }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::Company;

    #[test]
    fn days_are_the_same_for_one_seed_and_everything_happens_in_time() {
        let days = |seed| {
            let company = Company::generate(seed, 80);
            let world = World::new(&company);
            let mut dice = Dice::new(seed);
            let now = company.state.as_of;
            let happened: Vec<Happening> =
                (0..60).filter_map(|_| world.live_on(&mut dice, now).expect("a day")).collect();
            (happened, world.snapshot())
        };
        let (happened, after) = days(3);
        assert_eq!((&happened, &after), (&days(3).0, &days(3).1));
        for (number, happening) in happened.iter().enumerate() {
            let holds = match happening {
                Happening::Joined { identity } => after.people.contains_key(identity),
                Happening::Moved { identity, department } => {
                    // Whoever moves may move again.
                    after.people[identity].attribute("department") == Some(department)
                        || happened[number + 1..]
                            .iter()
                            .any(|later| matches!(later, Happening::Moved { identity: who, .. } if who == identity))
                }
                Happening::Left { identity } => after.people[identity].state == LifecycleState::Left,
                Happening::GrantedOutOfBand { entitlement, .. } => {
                    let held = after.systems[&entitlement.system].grants.values();
                    held.flat_map(|grants| grants.keys()).any(|name| *name == entitlement.entitlement)
                }
            };
            assert!(holds, "{happening}");
        }
        let kinds: BTreeSet<_> =
            happened.iter().map(std::mem::discriminant).map(|kind| format!("{kind:?}")).collect();
        assert_eq!(kinds.len(), 4, "{happened:?}");
    }
}
