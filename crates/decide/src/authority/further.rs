//! An installation's own authority policies: what they add to the shipped ones, and whom that can concern.
//!
//! They only add. A `permit` of theirs opens what the shipped policies leave closed, and a `forbid` closes what those open;
//! the shipped `forbid`, by which nobody decides on their own access, outweighs every `permit`.

use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint, Schema,
    ValidationMode, Validator,
};

use super::{Action, Principal, uid};
use crate::policy::diagnostic::Diagnostic;

/// A file of policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityFile {
    /// Its name, as complaints and pages name it.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

/// The part of one policy that is known without a resource.
#[derive(Debug)]
pub(super) struct Head {
    effect: Effect,
    principal: PrincipalConstraint,
    action: ActionConstraint,
}

impl Head {
    fn of(policy: &Policy) -> Self {
        Self {
            effect: policy.effect(),
            principal: policy.principal_constraint(),
            action: policy.action_constraint(),
        }
    }

    /// Whether there can be something for which this policy permits, or forbids, somebody this action.
    pub(super) fn may_concern(&self, effect: Effect, principal: &Principal, action: Action) -> bool {
        self.effect == effect && self.is_about(principal) && self.is_on(action)
    }

    fn is_about(&self, principal: &Principal) -> bool {
        let is_them = |entity: &EntityUid| {
            uid("User", &principal.user).as_ref() == Some(entity)
                || principal.roles.iter().any(|role| uid("Role", role.name()).as_ref() == Some(entity))
        };
        match &self.principal {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => true,
            PrincipalConstraint::In(entity)
            | PrincipalConstraint::Eq(entity)
            | PrincipalConstraint::IsIn(_, entity) => is_them(entity),
        }
    }

    fn is_on(&self, action: Action) -> bool {
        let names = |entity: &EntityUid| {
            uid("Action", action.name()).as_ref() == Some(entity)
                || (!action.changes() && uid("Action", "see").as_ref() == Some(entity))
        };
        match &self.action {
            ActionConstraint::Any => true,
            ActionConstraint::In(entities) => entities.iter().any(names),
            ActionConstraint::Eq(entity) => names(entity),
        }
    }
}

/// Adds the policies of a file.
///
/// # Errors
/// Everything in it that cannot be used, each with its place.
pub(super) fn add(
    policies: &mut PolicySet,
    heads: &mut Vec<Head>,
    schema: &Schema,
    file: &AuthorityFile,
) -> Result<(), Vec<Diagnostic>> {
    let parsed: PolicySet = file.text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        errors.iter().map(|error| complaint(file, error)).collect::<Vec<_>>()
    })?;
    if parsed.templates().next().is_some() {
        let help = "write the entity itself in the place of `?principal` or `?resource`";
        return Err(vec![Diagnostic::error(&file.name, 0..0, "a template decides nothing by itself", help)]);
    }
    let found = Validator::new(schema.clone()).validate(&parsed, ValidationMode::Strict);
    let complaints: Vec<Diagnostic> = found.validation_errors().map(|error| complaint(file, error)).collect();
    if !complaints.is_empty() {
        return Err(complaints);
    }
    for (number, policy) in parsed.policies().enumerate() {
        heads.push(Head::of(policy));
        let id = PolicyId::new(format!("{}#{number}", file.name));
        policies
            .add(policy.new_id(id))
            .map_err(|error| vec![Diagnostic::error(&file.name, 0..0, error.to_string(), "")])?;
    }
    Ok(())
}

/// What Cedar says, with its place in the file.
fn complaint(file: &AuthorityFile, error: &(impl miette::Diagnostic + ?Sized)) -> Diagnostic {
    let label = error.labels().and_then(|mut labels| labels.next());
    let span = label.map_or(0..0, |label| label.offset()..label.offset() + label.len());
    let help = error.help().map(|help| help.to_string()).unwrap_or_default();
    // Which of the file's policies it is, the place says better than a number.
    let message = error.to_string();
    let message = message.split_once("`, ").filter(|(before, _)| before.starts_with("for policy `"));
    let message = message.map_or_else(|| error.to_string(), |(_, rest)| rest.to_owned());
    Diagnostic::error(&file.name, span, message, help)
}
