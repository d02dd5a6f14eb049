//! Properties: what is printed is read as the same filter, nothing that is sent ends badly, and no index hides what fits.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Map, Number, Value, json};

use super::{Candidates, Comparison, Filter, Literal, Path, Test, path_with_filter, sought};
use crate::scim::schema::at_endpoint;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(20_261_127),
        failure_persistence: None,
        ..Default::default()
    }
}

fn name() -> impl Strategy<Value = String> {
    // Words of the grammar are names, too.
    prop_oneof!["[a-zA-Z$][a-zA-Z0-9_$-]{0,6}", "and|or|not|pr|eq|true|null".prop_map(|word| word)]
}

fn path() -> impl Strategy<Value = Path> {
    let schema = proptest::option::of("urn(:[a-zA-Z0-9.]{1,4}){1,3}");
    (schema, name(), proptest::option::of(name())).prop_map(|(schema, attribute, part)| Path {
        schema,
        attribute,
        part,
    })
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        any::<String>().prop_map(Literal::Text),
        any::<i64>().prop_map(|number| Literal::Number(number.into())),
        // Of long fractions the last digit is not read back; nobody compares with those.
        any::<i32>()
            .prop_filter_map("finite", |quarters| Number::from_f64(f64::from(quarters) / 4.0))
            .prop_map(Literal::Number),
        any::<bool>().prop_map(Literal::Boolean),
        Just(Literal::Null),
    ]
}

/// Filters over paths and literals, as deep as anybody writes them.
fn filter(
    path: impl Strategy<Value = Path> + Clone + 'static,
    literal: impl Strategy<Value = Literal> + 'static,
    inner: impl Strategy<Value = Path> + Clone + 'static,
) -> impl Strategy<Value = Filter> {
    let comparison = proptest::sample::select(Comparison::ALL.to_vec());
    let leaf = prop_oneof![
        path.clone().prop_map(Filter::Present),
        (path.clone(), comparison, literal)
            .prop_map(|(path, comparison, literal)| Filter::Compare(path, comparison, literal)),
    ];
    leaf.prop_recursive(4, 24, 3, move |part| {
        let within = inner.clone();
        prop_oneof![
            proptest::collection::vec(part.clone(), 2..4).prop_map(Filter::And),
            proptest::collection::vec(part.clone(), 2..4).prop_map(Filter::Or),
            part.clone().prop_map(|part| Filter::Not(Box::new(part))),
            (within, part).prop_map(|(path, part)| Filter::Within(path, Box::new(part))),
        ]
    })
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn what_is_printed_is_read_as_the_same(filter in filter(path().boxed(), literal(), path().boxed())) {
        let printed = filter.to_string();
        prop_assume!(printed.len() < 8_000);
        let read = Filter::parse(&printed);
        prop_assert_eq!(read.as_ref().ok(), Some(&filter), "{} {:?}", printed, read);
    }

    #[test]
    fn whatever_is_sent_is_a_filter_or_a_complaint(text in any::<String>()) {
        let _ = path_with_filter(&text);
        if let Ok(filter) = Filter::parse(&text) {
            prop_assert_eq!(Filter::parse(&filter.to_string()).ok(), Some(filter));
        }
    }

    #[test]
    fn so_is_what_is_nearly_one(words in proptest::collection::vec(proptest::sample::select(vec![
        "userName", "emails", "[", "]", "(", ")", "not", "and", "or", "eq", "pr", "\"", "\\", "\"x\"", "1e", "-", ".", ":", "true",
        "null", " ", "  ", "\u{e9}", "urn:a:b", "emails[", "type eq \"work\"]", ".value",
    ]), 0..14), glue in prop_oneof![Just(""), Just(" ")]) {
        let text = words.join(glue);
        let _ = path_with_filter(&text);
        if let Ok(filter) = Filter::parse(&text) {
            prop_assert_eq!(Filter::parse(&filter.to_string()).ok(), Some(filter), "{}", text);
        }
    }

    /// Whatever fits a filter is among those that the index gives for it.
    #[test]
    fn no_index_hides_what_fits(
        filter in filter(
            proptest::sample::select(vec!["userName", "USERNAME", "externalId", "id", "title", "groups"]).prop_map(named).boxed(),
            proptest::sample::select(vec!["a", "A", "b"]).prop_map(|text| Literal::Text(text.to_owned())),
            Just(named("emails")).boxed(),
        ),
        user_name in "[aAb]", external_id in "[aAb]", id in "[aAb]", title in "[aAb]",
        group in "[aAb]",
    ) {
        let known = at_endpoint("Users").expect("users");
        // Within brackets there are other names: such filters are refused, and no index is asked.
        let Ok(test) = Test::of(&filter, known) else { return Ok(()) };
        let object: Map<String, Value> = serde_json::from_value(
            json!({"userName": user_name, "externalId": external_id, "id": id, "title": title,
                "groups": [{"value": group}]})).expect("an object");
        let is_candidate = match sought(&filter, known) {
            None => true,
            Some(Candidates::Sought(leasehold_store::ScimSought::Name(name))) => name == user_name.to_lowercase(),
            Some(Candidates::Sought(leasehold_store::ScimSought::ExternalId(wanted))) => wanted == external_id,
            Some(Candidates::Sought(leasehold_store::ScimSought::Id(wanted))) => wanted == id,
            Some(Candidates::InGroup(wanted)) => wanted == group,
            Some(Candidates::WithMember(_)) => false,
        };
        prop_assert!(is_candidate || !test.fits(&object), "{} {:?}", filter, object);
    }
}

fn named(name: &str) -> Path {
    Path { schema: None, attribute: name.to_owned(), part: None }
}
