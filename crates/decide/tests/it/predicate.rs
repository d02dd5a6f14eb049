//! Compiled membership predicates against Cedar itself, one identity at a time: the same members, missing attributes included.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, Policy, PolicySet, Request,
    RestrictedExpression,
};
use leasehold_decide::policy::predicate::{Attributes, Predicate};
use leasehold_model::id::IdentityKey;
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState, Unsaid};
use proptest::prelude::*;

const NAMES: [&str; 4] = ["department", "title", "location", "team"];
const VALUES: [&str; 5] = ["Payments", "Pay", "Engineer", "Senior Engineer", ""];

fn atom() -> impl Strategy<Value = String> {
    let name = prop::sample::select(&NAMES[..]);
    let value = prop::sample::select(&VALUES[..]);
    let pattern = prop::sample::select(&["*", "Pay*", "*Engineer", "*e*n*", "Pay", ""][..]);
    prop_oneof![
        (name.clone(), value.clone()).prop_map(|(name, value)| format!("principal.{name} == \"{value}\"")),
        (name.clone(), value.clone()).prop_map(|(name, value)| format!("\"{value}\" != principal.{name}")),
        (name.clone(), name.clone())
            .prop_map(|(left, right)| format!("principal.{left} == principal.{right}")),
        (name.clone(), pattern).prop_map(|(name, pattern)| format!("principal.{name} like \"{pattern}\"")),
        name.clone().prop_map(|name| format!("principal has {name}")),
        (name, value.clone(), value)
            .prop_map(|(name, a, b)| format!("[\"{a}\", \"{b}\"].contains(principal.{name})")),
        Just("true".to_owned()),
        Just("false".to_owned()),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    atom().prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} && {right})")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} || {right})")),
            inner.clone().prop_map(|inner| format!("!({inner})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("(if {a} then {b} else {c})")),
        ]
    })
}

fn identities() -> impl Strategy<Value = Vec<Identity>> {
    let attributes = prop::collection::btree_map(
        prop::sample::select(&NAMES[..]).prop_map(str::to_owned),
        prop::sample::select(&VALUES[..]).prop_map(str::to_owned),
        0..4,
    );
    let identity = attributes.prop_map(|attributes: BTreeMap<String, String>| Identity {
        key: IdentityKey::from(""),
        kind: IdentityKind::Person,
        state: LifecycleState::Active,
        start: None,
        end: None,
        manager: None,
        owner: None,
        attributes,
        unsaid: Unsaid::default(),
    });
    prop::collection::vec(identity, 1..8)
}

/// What Cedar's own authorizer says.
fn cedar_allows(expression: &str, identity: &Identity) -> bool {
    let policy = Policy::parse(None, format!("permit(principal, action, resource) when {{ {expression} }};"))
        .expect("parses");
    let policies = PolicySet::from_policies([policy]).expect("one policy");
    let uid = |text: &str| -> EntityUid { text.parse().expect("an id") };
    let attributes: HashMap<String, RestrictedExpression> = identity
        .attributes
        .iter()
        .map(|(name, value)| (name.clone(), RestrictedExpression::new_string(value.clone())))
        .collect();
    let principal = Entity::new(uid("Identity::\"i\""), attributes, HashSet::new()).expect("an entity");
    let entities = Entities::from_entities([principal], None).expect("entities");
    let request = Request::new(
        uid("Identity::\"i\""),
        uid("Action::\"a\""),
        uid("Role::\"r\""),
        Context::empty(),
        None,
    )
    .expect("a request");
    Authorizer::new().is_authorized(&request, &policies, &entities).decision() == Decision::Allow
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn compiled_predicates_have_the_members_that_cedar_would_admit(expression in expression(), identities in identities()) {
        let predicate = Predicate::parse(&expression).expect("compiles");
        let members = predicate.members(&mut Attributes::new(&identities));
        for (position, identity) in (0u32..).zip(&identities) {
            prop_assert_eq!(members.contains(position), cedar_allows(&expression, identity), "{} of {:?}", expression, identity.attributes);
        }
    }
}

#[test]
fn what_a_predicate_relies_on_is_what_it_does_not_ask_for_first() {
    for (text, expected) in [
        ("principal.department == \"x\"", &["department"][..]),
        ("principal has team && principal.team like \"*x\"", &[]),
        ("principal.title == principal.team || principal has title", &["team"]),
        ("if principal has a then principal.b == \"x\" else !([\"y\"].contains(principal.c))", &["b", "c"]),
        ("true", &[]),
    ] {
        assert_eq!(Predicate::parse(text).expect("compiles").relied_on(), expected, "{text}");
    }
}

#[test]
fn what_cannot_decide_membership_is_refused_with_words() {
    for (text, names) in [
        ("principal.department = \"x\"", "not a valid operator"),
        ("resource.owner == principal", "one side of a comparison"),
        ("principal in Group::\"x\"", "`in` is not supported"),
        ("principal.age < 3", "`<` is not supported"),
        ("", "the expression is empty"),
        (" \t", "the expression is empty"),
    ] {
        let error = Predicate::parse(text).expect_err(text);
        assert!(error.message.contains(names), "{text}: {}", error.message);
        assert!(!error.help.is_empty(), "{text}");
    }
}
