//! Properties: whatever is sent ends in a resource that is as the schema says, or in a complaint.

use leasehold_store::{ScimResource, Sent};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

use super::Patch;
use crate::scim::document;
use crate::scim::schema::at_endpoint;
use crate::scim::value::{self, Object, is_primary};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Places of which some are there, some not, and some nowhere.
const PATHS: &[&str] = &[
    "schemas",
    "userName",
    "active",
    "title",
    "name",
    "NAME.givenname",
    "emails",
    "emails[type eq \"work\"]",
    "emails[type eq \"work\"].value",
    "emails[value co \"a\"].primary",
    "emails[primary eq true]",
    "emails.value",
    "emails.primary",
    "addresses[type eq \"home\"].locality",
    "roles",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
    "id",
    "meta.version",
    "members",
    "emails[",
];

fn texts() -> impl Strategy<Value = Value> {
    proptest::sample::select(vec!["", "a", "b", "work", "home", "True", "false"]).prop_map(Value::from)
}

/// Values as clients send them, right and wrong.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![texts(), any::<bool>().prop_map(Value::Bool), Just(Value::Null), Just(json!(7))];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let names = vec![
            "value",
            "type",
            "primary",
            "display",
            "givenName",
            "userName",
            "emails",
            "roles",
            "active",
            "name.familyName",
            "emails[type eq \"work\"].value",
            "manager",
            "department",
            ENTERPRISE,
            "locality",
            "nothing",
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::vec((proptest::sample::select(names), inner), 0..4)
                .prop_map(|parts| parts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

fn operations() -> impl Strategy<Value = Value> {
    let path = proptest::option::weighted(0.8, proptest::sample::select(PATHS.to_vec()));
    let operation = (proptest::sample::select(vec!["add", "Replace", "remove"]), path, values())
        .prop_map(|(verb, path, value)| json!({"op": verb, "path": path, "value": value}));
    proptest::collection::vec(operation, 1..5).prop_map(|operations| json!({"Operations": operations}))
}

fn ada() -> Object {
    let known = at_endpoint("Users").expect("users");
    let sent = json!({
        "userName": "ada", "active": true, "name": {"givenName": "Ada"},
        "emails": [{"value": "a", "type": "work", "primary": true}, {"value": "ab", "type": "home"}],
        ENTERPRISE: {"department": "a", "manager": {"value": "m"}},
    });
    value::resource(known, sent).expect("a user")
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4_000,
        rng_seed: RngSeed::Fixed(20_261_127),
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn what_is_changed_is_as_the_schema_says_or_refused(sent in operations()) {
        let known = at_endpoint("Users").expect("users");
        let Ok(patch) = Patch::parse(sent.clone()) else { return Ok(()) };
        let Ok(after) = patch.apply(known, ada()) else { return Ok(()) };
        for (name, value) in &after {
            let is_list = known.attribute(None, name).is_some_and(|place| place.attribute.is_multi_valued);
            prop_assert_eq!(is_list, value.is_array(), "{} after {}", name, sent);
            let values = value.as_array().map(Vec::as_slice).unwrap_or_default();
            prop_assert!(!is_list || !values.is_empty(), "an empty {} after {}", name, sent);
            prop_assert!(values.iter().filter(|value| is_primary(value)).count() < 2, "{} after {}", name, sent);
            let is_nothing = |value: &Value| value.as_object().is_some_and(|parts| parts.is_empty());
            prop_assert!(!is_nothing(value) && !values.iter().any(is_nothing), "nothing in {} after {}", name, sent);
        }
        // What is kept is read as the same, and kept as the same again.
        let content = document::content(known, "id", after.clone()).expect("it lacks nothing");
        let at = "2026-01-05T09:00:00Z".parse().expect("an instant");
        let document = content.document.clone();
        prop_assert_eq!(document.matches("\"schemas\":").count(), 1, "{} after {}", document, sent);
        let kept = ScimResource {
            id: "id".to_owned(), document, version: 1, created_at: at, changed_at: at, members: Vec::new(), groups: Vec::new(),
            sent: Sent::default(),
        };
        let held = document::held(&kept).expect("reads back");
        prop_assert_eq!(&held, &after, "{}", sent);
        prop_assert_eq!(document::content(known, "id", held).expect("it lacks nothing"), content);
    }
}
