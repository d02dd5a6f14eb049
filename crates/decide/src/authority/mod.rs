//! Authority: who may see, propose, approve, override and administer what, by Cedar policies. Pure: who asks, and about
//! what, is handed in.

mod action;
mod further;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use cedar_policy::{
    Authorizer, Context, Decision, Effect, Entities, Entity, EntityUid, PolicySet, Request,
    RestrictedExpression, Schema, ValidationMode, Validator,
};
use leasehold_model::id::IdentityKey;

pub use action::{Action, ResourceKind};
pub use further::AuthorityFile;

use further::Head;

use crate::policy::diagnostic::Diagnostic;

/// The policies that are shipped.
const DEFAULTS: &str = include_str!("defaults.cedar");
/// Of so many principals answers are remembered at once.
const PRINCIPALS_MAX: usize = 10_000;

/// What is known already, by action.
type Answers = [Option<bool>; Action::ALL.len()];

/// The entities that they speak of; the actions are added from [`Action`].
const ENTITIES: &str = include_str!("schema.cedarschema");

/// What somebody is to this installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May do everything but decide on their own access.
    Administrator,
    /// Runs the loop.
    Operator,
    /// Sees everything, changes nothing.
    Auditor,
    /// Sees what a review is about.
    Reviewer,
    /// Owns at least one system. Follows from the configuration; nobody is given it.
    SystemOwner,
    /// Manages at least one identity, or answers for one. Follows from the facts; nobody is given it.
    Manager,
}

impl Role {
    /// The roles that a user can be given.
    pub const ASSIGNED: [Self; 4] = [Self::Administrator, Self::Operator, Self::Auditor, Self::Reviewer];

    /// Its name in policies, files and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Reviewer => "reviewer",
            Self::SystemOwner => "system_owner",
            Self::Manager => "manager",
        }
    }

    /// The role that a user can be given by this name.
    pub fn assigned(name: &str) -> Option<Self> {
        Self::ASSIGNED.into_iter().find(|role| role.name() == name)
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// The user.
    pub user: String,
    /// Their mail address.
    pub mail: String,
    /// What they are.
    pub roles: BTreeSet<Role>,
    /// Whose access is theirs, where it is known.
    pub identity: Option<IdentityKey>,
}

/// About what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// The whole installation, and everything in it.
    Installation,
    /// One identity.
    Identity {
        /// Its key.
        key: IdentityKey,
        /// Whom it reports to.
        manager: Option<IdentityKey>,
        /// Who answers for it.
        owner: Option<IdentityKey>,
    },
    /// One system.
    System {
        /// Its name.
        name: String,
        /// Who owns it.
        owners: Vec<IdentityKey>,
    },
    /// One entitlement.
    Entitlement {
        /// Its address.
        address: String,
        /// Who owns it or its system.
        owners: Vec<IdentityKey>,
    },
    /// One plan.
    Plan {
        /// Its hash.
        hash: String,
        /// Every identity that an item is about.
        affected: Vec<IdentityKey>,
        /// Those who own every system that an item changes.
        owners: Vec<IdentityKey>,
    },
}

/// Authority policies that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the authority policies cannot be used: {0}")]
pub struct AuthorityError(String);

/// The policies in force.
#[derive(Debug)]
pub struct Authority {
    policies: PolicySet,
    authorizer: Authorizer,
    /// What is known beforehand of the installation's own policies.
    further: Vec<Head>,
    files: Vec<AuthorityFile>,
    /// Who may do what to everything, as it was answered before: the policies do not change, and neither does the answer.
    everywhere: RwLock<HashMap<Principal, Answers>>,
}

impl Authority {
    /// The policies that are shipped.
    ///
    /// # Errors
    /// Where they do not parse, or speak of something that the schema does not have.
    pub fn shipped() -> Result<Self, AuthorityError> {
        let policies: PolicySet =
            DEFAULTS.parse().map_err(|error| AuthorityError(format!("defaults.cedar: {error}")))?;
        let schema = schema()?;
        let found = Validator::new(schema).validate(&policies, ValidationMode::Strict);
        if let Some(error) = found.validation_errors().next() {
            return Err(AuthorityError(format!("defaults.cedar: {error}")));
        }
        Ok(Self {
            policies,
            authorizer: Authorizer::new(),
            further: Vec::new(),
            files: Vec::new(),
            everywhere: RwLock::default(),
        })
    }

    /// The shipped policies and an installation's own.
    ///
    /// # Errors
    /// Everything in its files that does not parse or does not fit the schema, each with its place.
    pub fn with(files: &[AuthorityFile]) -> Result<Self, Vec<Diagnostic>> {
        let shipped =
            |error: AuthorityError| vec![Diagnostic::error("defaults.cedar", 0..0, error.to_string(), "")];
        let mut authority = Self::shipped().map_err(shipped)?;
        let schema = schema().map_err(shipped)?;
        let mut complaints = Vec::new();
        for file in files {
            let added = further::add(&mut authority.policies, &mut authority.further, &schema, file);
            complaints.extend(added.err().into_iter().flatten());
        }
        authority.files = files.to_vec();
        if complaints.is_empty() { Ok(authority) } else { Err(complaints) }
    }

    /// Every file of policies in force, and whether it is shipped.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        let own = self.files.iter().map(|file| (file.name.as_str(), file.text.as_str(), false));
        std::iter::once(("defaults.cedar", DEFAULTS, true)).chain(own)
    }

    /// Whether only the shipped policies decide whether somebody may do this. Where they do, what somebody may do it to
    /// follows from roles, owners and managers, and a list need not ask about each of its rows.
    pub fn only_shipped(&self, principal: &Principal, action: Action) -> bool {
        !self.concerns(Effect::Permit, principal, action) && !self.concerns(Effect::Forbid, principal, action)
    }

    fn concerns(&self, effect: Effect, principal: &Principal, action: Action) -> bool {
        self.further.iter().any(|head| head.may_concern(effect, principal, action))
    }

    /// Whether somebody may do this to that. An evaluation that errs denies.
    pub fn may(&self, principal: &Principal, action: Action, resource: &Resource) -> bool {
        // Of plans, a shipped policy forbids those about oneself; of the rest, everything is everything.
        let is_of_all = !matches!(resource, Resource::Installation | Resource::Plan { .. });
        (is_of_all && self.may_everywhere(principal, action))
            || self.ask(principal, action, resource).unwrap_or(false)
    }

    /// Whether somebody may do this to everything there is, now and later.
    pub fn may_everywhere(&self, principal: &Principal, action: Action) -> bool {
        let place = action as usize;
        let known = self.everywhere.read().unwrap_or_else(PoisonError::into_inner).get(principal).copied();
        if let Some(may) = known.and_then(|answers| answers[place]) {
            return may;
        }
        let may = self.ask(principal, action, &Resource::Installation).unwrap_or(false)
            // A policy of the installation may forbid one thing of many.
            && (action.kind() == ResourceKind::Installation
                || !self.concerns(Effect::Forbid, principal, action));
        let mut everywhere = self.everywhere.write().unwrap_or_else(PoisonError::into_inner);
        if everywhere.len() >= PRINCIPALS_MAX {
            everywhere.clear();
        }
        everywhere.entry(principal.clone()).or_insert([None; Action::ALL.len()])[place] = Some(may);
        may
    }

    /// Whether there can be anything that somebody may do this to: what opens the way to a page, whose rows are then
    /// asked about one by one.
    pub fn may_somewhere(&self, principal: &Principal, action: Action) -> bool {
        self.may_everywhere(principal, action)
            || self.may(principal, action, &Resource::Installation)
            || self.concerns(Effect::Permit, principal, action)
            || principal.identity.as_ref().is_some_and(|identity| {
                let own = vec![identity.clone()];
                let resource = match action.kind() {
                    ResourceKind::Installation => return false,
                    ResourceKind::Identity => Resource::Identity {
                        key: identity.clone(),
                        manager: Some(identity.clone()),
                        owner: Some(identity.clone()),
                    },
                    ResourceKind::System => Resource::System { name: String::new(), owners: own },
                    ResourceKind::Entitlement => {
                        Resource::Entitlement { address: String::new(), owners: own }
                    }
                    ResourceKind::Plan => {
                        Resource::Plan { hash: String::new(), affected: Vec::new(), owners: own }
                    }
                };
                self.may(principal, action, &resource)
            })
    }

    fn ask(&self, principal: &Principal, action: Action, resource: &Resource) -> Option<bool> {
        let who = uid("User", &principal.user)?;
        let roles: Option<HashSet<EntityUid>> =
            principal.roles.iter().map(|role| uid("Role", role.name())).collect();
        let mail = ("mail".to_owned(), RestrictedExpression::new_string(principal.mail.to_lowercase()));
        let identity = reference("identity", principal.identity.as_ref())?;
        let attributes = identity.into_iter().chain([mail]).collect();
        let user = Entity::new(who.clone(), attributes, roles?).ok()?;
        let resource = entity(resource)?;
        let about = resource.uid();
        let mut all = vec![user, resource];
        // The group that every seeing action belongs to is known from the schema in validation, and from here in use.
        let asked = uid("Action", action.name())?;
        let group: HashSet<EntityUid> =
            if action.changes() { HashSet::new() } else { HashSet::from([uid("Action", "see")?]) };
        all.push(Entity::new(asked.clone(), Default::default(), group).ok()?);
        let entities = Entities::from_entities(all, None).ok()?;
        let request = Request::new(who, asked, about, Context::empty(), None).ok()?;
        let response = self.authorizer.is_authorized(&request, &self.policies, &entities);
        let erred = response.diagnostics().errors().next().is_some();
        Some(response.decision() == Decision::Allow && !erred)
    }
}

/// The entities, and every action on its sort of thing and on the installation.
fn schema() -> Result<Schema, AuthorityError> {
    let mut text = format!("{ENTITIES}\naction see;\n");
    for action in Action::ALL {
        let group = if action.changes() { "" } else { " in [see]" };
        let kind = match action.kind() {
            ResourceKind::Installation => "Installation",
            ResourceKind::Identity => "Identity, Installation",
            ResourceKind::System => "System, Installation",
            ResourceKind::Entitlement => "Entitlement, Installation",
            ResourceKind::Plan => "Plan, Installation",
        };
        text.push_str(&format!(
            "action {}{group} appliesTo {{ principal: [User], resource: [{kind}] }};\n",
            action.name()
        ));
    }
    let (schema, _warnings) = Schema::from_cedarschema_str(&text)
        .map_err(|error| AuthorityError(format!("schema.cedarschema: {error}")))?;
    Ok(schema)
}

fn uid(kind: &str, id: &str) -> Option<EntityUid> {
    Some(EntityUid::from_type_name_and_id(kind.parse().ok()?, cedar_policy::EntityId::new(id)))
}

/// Keys are compared as sources and people spell them: in any case.
fn identity(key: &IdentityKey) -> Option<EntityUid> {
    uid("Identity", &key.folded())
}

fn reference(name: &str, key: Option<&IdentityKey>) -> Option<Option<(String, RestrictedExpression)>> {
    let Some(key) = key else { return Some(None) };
    Some(Some((name.to_owned(), RestrictedExpression::new_entity_uid(identity(key)?))))
}

fn references(name: &str, keys: &[IdentityKey]) -> Option<(String, RestrictedExpression)> {
    let uids: Option<Vec<EntityUid>> = keys.iter().map(identity).collect();
    let set = RestrictedExpression::new_set(uids?.into_iter().map(RestrictedExpression::new_entity_uid));
    Some((name.to_owned(), set))
}

fn entity(resource: &Resource) -> Option<Entity> {
    let (id, attributes) = match resource {
        Resource::Installation => (uid("Installation", "this")?, Vec::new()),
        Resource::Identity { key, manager, owner } => {
            let known = [reference("manager", manager.as_ref())?, reference("owner", owner.as_ref())?];
            (identity(key)?, known.into_iter().flatten().collect())
        }
        Resource::System { name, owners } => (uid("System", name)?, vec![references("owners", owners)?]),
        Resource::Entitlement { address, owners } => {
            (uid("Entitlement", address)?, vec![references("owners", owners)?])
        }
        Resource::Plan { hash, affected, owners } => {
            (uid("Plan", hash)?, vec![references("affected", affected)?, references("owners", owners)?])
        }
    };
    Entity::new(id, attributes.into_iter().collect(), HashSet::new()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(roles: &[Role], identity: Option<&str>) -> Principal {
        Principal {
            user: "u1".to_owned(),
            mail: "U1@example.com".to_owned(),
            roles: roles.iter().copied().collect(),
            identity: identity.map(IdentityKey::from),
        }
    }

    fn plan(affected: &[&str], owners: &[&str]) -> Resource {
        let keys = |keys: &[&str]| keys.iter().copied().map(IdentityKey::from).collect();
        Resource::Plan { hash: "p".to_owned(), affected: keys(affected), owners: keys(owners) }
    }

    #[test]
    fn the_shipped_policies_fit_their_schema() {
        Authority::shipped().unwrap();
    }

    #[test]
    fn no_role_and_no_combination_decides_on_own_access() {
        let authority = Authority::shipped().unwrap();
        let all = [Role::ASSIGNED.as_slice(), &[Role::SystemOwner, Role::Manager]].concat();
        for action in [Action::ApprovePlan, Action::OverrideGuard] {
            let own = plan(&["lee@example.com", "ADA@example.com"], &["ada@example.com"]);
            assert!(!authority.may(&principal(&all, Some("ada@example.com")), action, &own), "{action:?}");
            assert!(authority.may(&principal(&all, Some("mia@example.com")), action, &own), "{action:?}");
        }
        let owner = principal(&[Role::SystemOwner], Some("ada@example.com"));
        assert!(authority.may(
            &owner,
            Action::ApprovePlan,
            &plan(&["lee@example.com"], &["Ada@Example.com"])
        ));
        assert!(!authority.may(
            &owner,
            Action::ApprovePlan,
            &plan(&["lee@example.com"], &["mia@example.com"])
        ));
        assert!(!authority.may(
            &owner,
            Action::OverrideGuard,
            &plan(&["lee@example.com"], &["ada@example.com"])
        ));
    }

    #[test]
    fn an_auditor_sees_everything_and_changes_nothing() {
        let authority = Authority::shipped().unwrap();
        let auditor = principal(&[Role::Auditor], None);
        for action in Action::ALL {
            let expected = !action.changes() || *action == Action::ManageOwnSignIn;
            assert_eq!(authority.may_everywhere(&auditor, *action), expected, "{action:?}");
        }
    }

    #[test]
    fn what_is_somewhere_is_not_everywhere() {
        let authority = Authority::shipped().unwrap();
        for (roles, identity, action, somewhere) in [
            (vec![], None, Action::SeeIdentity, false),
            (vec![], Some("ada@example.com"), Action::SeeIdentity, true),
            (vec![], Some("ada@example.com"), Action::SeeSystem, false),
            (vec![Role::SystemOwner], Some("ada@example.com"), Action::SeeSystem, true),
            (vec![Role::SystemOwner], Some("ada@example.com"), Action::RunSync, true),
            (vec![Role::SystemOwner], Some("ada@example.com"), Action::SeeLedger, false),
            (vec![Role::Manager], Some("ada@example.com"), Action::SeeSystem, false),
        ] {
            let who = principal(&roles, identity);
            assert_eq!(authority.may_somewhere(&who, action), somewhere, "{roles:?} {action:?}");
            assert!(!authority.may_everywhere(&who, action), "{roles:?} {action:?}");
        }
    }

    fn with(text: &str) -> Result<Authority, Vec<Diagnostic>> {
        Authority::with(&[AuthorityFile { name: "own.cedar".to_owned(), text: text.to_owned() }])
    }

    fn system(name: &str) -> Resource {
        Resource::System { name: name.to_owned(), owners: Vec::new() }
    }

    #[test]
    fn an_installation_opens_and_closes_with_policies_of_its_own() {
        let authority = with(
            r#"permit (principal, action == Action::"run_sync", resource == System::"crm")
               when { principal.mail == "u1@example.com" };
               forbid (principal in Role::"auditor", action in Action::"see", resource == System::"hr");"#,
        )
        .unwrap();
        let (nobody, auditor) = (principal(&[], None), principal(&[Role::Auditor], None));
        assert!(authority.may(&nobody, Action::RunSync, &system("crm")));
        assert!(!authority.may(&nobody, Action::RunSync, &system("erp")));
        assert!(authority.may_somewhere(&nobody, Action::RunSync));
        assert!(!authority.may_everywhere(&nobody, Action::RunSync));
        assert!(!authority.only_shipped(&nobody, Action::RunSync));
        assert!(authority.only_shipped(&nobody, Action::SeePlan));

        assert!(!authority.may(&auditor, Action::SeeSystem, &system("hr")));
        assert!(authority.may(&auditor, Action::SeeSystem, &system("crm")));
        assert!(!authority.may_everywhere(&auditor, Action::SeeSystem), "not to everything");
        assert!(authority.may_somewhere(&auditor, Action::SeeSystem));
        assert!(authority.may_everywhere(&auditor, Action::SeeOverview), "what concerns no single thing");
    }

    #[test]
    fn no_policy_of_an_installation_opens_the_own_access() {
        let authority = with("permit (principal, action, resource);").unwrap();
        let ada = principal(&[], Some("ada@example.com"));
        assert!(authority.may(&ada, Action::ChangePolicy, &Resource::Installation));
        assert!(!authority.may(&ada, Action::ApprovePlan, &plan(&["ada@example.com"], &[])));
    }

    #[test]
    fn complaints_have_their_place() {
        for (text, place, words) in [
            (
                "permit (principal, action, resource) when { principal.nmae == \"x\" };",
                "principal.nmae",
                "nmae",
            ),
            ("permit (principal, action == Action::\"se\", resource);", "Action::\"se\"", "se"),
            ("permit (principal in Role::\"audtor\", action, resource);", "Role::\"audtor\"", "audtor"),
            ("permit (principal, action, resource)\nforbid", "", "unexpected end of input"),
            ("permit (principal == ?principal, action, resource);", "", "template"),
        ] {
            let complaints = with(text).map(|_| ()).unwrap_err();
            assert_eq!(&text[complaints[0].span.clone()], place, "{complaints:?}");
            assert!(complaints[0].message.contains(words), "{complaints:?}");
        }
    }

    #[test]
    fn the_documentation_names_every_action_role_and_entity() {
        let text = include_str!("../../../../docs/authority.md");
        for action in Action::ALL {
            let row = format!("| `{}` | {:?} |", action.name(), action.kind());
            assert!(text.contains(&row), "docs/authority.md lacks {row}");
        }
        for line in ENTITIES.lines().filter(|line| line.starts_with("entity")) {
            assert!(text.contains(line), "docs/authority.md lacks {line}");
        }
        let example = text.split("```cedar\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        with(example).unwrap();
    }
}
