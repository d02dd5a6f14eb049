//! Filters and orders over a small company: the whole grammar, each operator on each kind of attribute.

use serde_json::{Value, json};

use super::{ENTERPRISE, GROUP, GROUPS, Provider, USERS, encoded, id, names};

async fn company(provider: &mut Provider) {
    for (name, external, title, active, department, mails) in [
        (
            "ada@example.com",
            "A1",
            "Engineer",
            true,
            "Research",
            vec![("work", "ada@example.com"), ("home", "ada@home.example.org")],
        ),
        ("bo@example.com", "a1", "engineer", false, "Sales", vec![("work", "bo@example.com")]),
        ("Cy@example.com", "C3", "Head of \"Sales\"", true, "Sales", vec![("home", "cy@home.example.org")]),
        ("dee@example.com", "D4", "", true, "", vec![]),
    ] {
        provider.installation.clock.advance_ms(60_000);
        let mails: Vec<Value> =
            mails.into_iter().map(|(kind, mail)| json!({"type": kind, "value": mail})).collect();
        let sent = json!({"userName": name, "externalId": external, "title": title, "active": active,
            "name": {"familyName": name.to_uppercase()}, "emails": mails, ENTERPRISE: {"department": department}});
        provider.make(USERS, sent).await;
    }
}

const FILTERS: &[(&str, &str)] = &[
    ("userName eq \"ADA@example.com\"", "ada"),
    ("USERNAME EQ \"bo@example.com\"", "bo"),
    ("urn:ietf:params:scim:schemas:core:2.0:User:userName eq \"bo@example.com\"", "bo"),
    ("userName eq \"nobody\"", ""),
    ("externalId eq \"A1\"", "ada"),
    ("externalId eq \"a1\"", "bo"),
    ("externalId ne \"A1\"", "bo cy dee"),
    ("title eq \"ENGINEER\"", "ada bo"),
    ("title ne \"engineer\"", "cy dee"),
    ("title co \"sales\"", "cy"),
    ("title eq \"Head of \\\"Sales\\\"\"", "cy"),
    ("title sw \"eng\"", "ada bo"),
    ("title ew \"NEER\"", "ada bo"),
    ("title pr", "ada bo cy"),
    ("not (title pr)", "dee"),
    ("title eq null", "dee"),
    ("title ne null", "ada bo cy"),
    ("userName gt \"bo@example.com\"", "cy dee"),
    ("userName ge \"bo@example.com\"", "bo cy dee"),
    ("userName lt \"bo@example.com\"", "ada"),
    ("userName le \"bo@example.com\"", "ada bo"),
    ("active eq true", "ada cy dee"),
    ("active eq False", "bo"),
    ("active eq \"False\"", "bo"),
    ("active ne true", "bo"),
    ("name.familyName co \"@EXAMPLE\"", "ada bo cy dee"),
    ("emails pr", "ada bo cy"),
    ("emails eq \"ADA@example.com\"", "ada"),
    ("emails.value ew \"example.org\"", "ada cy"),
    ("emails co \"example.com\"", "ada bo"),
    ("emails[type eq \"work\" and value co \"example.com\"]", "ada bo"),
    ("emails[type eq \"work\" and value co \"example.org\"]", ""),
    ("emails[type eq \"home\"] and emails[type eq \"work\"]", "ada"),
    ("emails[not (type eq \"work\")]", "ada cy"),
    ("not (emails[type eq \"work\"])", "cy dee"),
    ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq \"sales\"", "bo cy"),
    ("URN:IETF:params:scim:schemas:extension:enterprise:2.0:User:department pr", "ada bo cy"),
    ("title pr and active eq true or userName eq \"dee@example.com\"", "ada cy dee"),
    ("title pr and (active eq true or userName eq \"dee@example.com\")", "ada cy"),
    ("  ( ( title pr ) )and not(active eq false)  ", "ada cy"),
    ("userName eq \"ada@example.com\" and active eq false", ""),
    ("userName eq \"ada@example.com\" or userName eq \"bo@example.com\"", "ada bo"),
    ("meta.created gt \"2026-01-05T09:02:30Z\"", "cy dee"),
    ("meta.created le \"2026-01-05T11:02:00+02:00\"", "ada bo"),
    ("meta.resourceType eq \"User\"", "ada bo cy dee"),
    ("id pr", "ada bo cy dee"),
    ("schemas eq \"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User\"", "ada bo cy"),
];

/// The first letters of names, as the table writes them.
fn short(list: &Value) -> String {
    let mut names: Vec<String> =
        names(list).iter().map(|name| name.split('@').next().unwrap_or_default().to_lowercase()).collect();
    names.sort();
    names.join(" ")
}

#[tokio::test]
async fn filters_find_what_they_say() {
    let mut provider = Provider::new().await;
    company(&mut provider).await;
    for (filter, expected) in FILTERS {
        let found = provider.get(&format!("{USERS}?filter={}", encoded(filter))).await;
        assert_eq!(short(&found), *expected, "{filter}");
        assert_eq!(
            found["totalResults"].as_u64(),
            Some(expected.split_whitespace().count() as u64),
            "{filter}"
        );
        // Asked in a body and by cursor it is the same question.
        let search =
            json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": filter});
        let searched = provider.call("POST", &format!("{USERS}/.search"), search, 200).await.json();
        assert_eq!(searched, found, "{filter}");
        let by_cursor = provider.get(&format!("{USERS}?cursor&filter={}", encoded(filter))).await;
        assert_eq!(by_cursor["Resources"], found["Resources"], "{filter}");
    }
}

#[tokio::test]
async fn what_is_no_filter_is_refused_with_the_place() {
    let mut provider = Provider::new().await;
    let deep = format!("{}title pr{}", "(".repeat(200), ")".repeat(200));
    for (filter, told) in [
        ("title", "eq, ne"),
        ("title is \"x\"", "eq, ne"),
        ("title eq", "a value is wanted"),
        ("title eq x", "a value is wanted"),
        ("title eq \"x", "no end"),
        ("title eq \"x\" title", "`and` or `or`"),
        ("(title pr", "`)` is wanted"),
        ("emails[type eq \"x\"", "`]` is wanted"),
        ("colour eq \"red\"", "no attribute `colour`"),
        ("emails[colour eq \"red\"]", "no attribute `colour`"),
        ("title[value eq \"x\"]", "no parts"),
        ("name eq \"x\"", "has parts"),
        ("active gt true", "only eq and ne"),
        ("active eq \"perhaps\"", "true or false"),
        ("title eq true", "a text"),
        ("meta.created gt \"yesterday\"", "an instant"),
        (deep.as_str(), "too deep"),
        ("9title pr", "name of an attribute"),
    ] {
        let path = format!("{USERS}?filter={}", encoded(filter));
        let answer = provider.call("GET", &path, Value::Null, 400).await.json();
        assert_eq!(answer["scimType"], "invalidFilter", "{filter}: {answer}");
        assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains(told)), "{filter}: {answer}");
    }
}

#[tokio::test]
async fn lists_are_in_the_order_that_is_asked_for() {
    let mut provider = Provider::new().await;
    company(&mut provider).await;
    for (query, expected) in [
        ("", "ada bo cy dee"),
        ("sortBy=userName", "ada bo cy dee"),
        ("sortBy=userName&sortOrder=descending", "dee cy bo ada"),
        ("sortBy=USERNAME&sortOrder=Ascending", "ada bo cy dee"),
        ("sortBy=title", "ada bo cy dee"),
        ("sortBy=title&sortOrder=descending", "dee cy ada bo"),
        ("sortBy=meta.created&sortOrder=descending", "dee cy bo ada"),
        ("sortBy=emails", "ada bo cy dee"),
        ("sortBy=active", "bo ada cy dee"),
        ("sortBy=urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "ada bo cy dee"),
        ("sortBy=userName&sortOrder=descending&startIndex=2&count=2", "cy bo"),
        ("sortBy=userName&sortOrder=descending&filter=title%20pr", "cy bo ada"),
    ] {
        let found = provider.get(&format!("{USERS}?{query}")).await;
        let found: Vec<String> = names(&found)
            .iter()
            .map(|name| name.split('@').next().unwrap_or_default().to_lowercase())
            .collect();
        assert_eq!(found.join(" "), expected, "{query}");
    }
    for (query, kind) in [
        ("sortBy=colour", "invalidPath"),
        ("sortBy=name", "invalidPath"),
        ("sortBy=emails[type eq \"x\"]", "invalidPath"),
        ("sortBy=userName&sortOrder=up", "invalidValue"),
        ("startIndex=one", "invalidValue"),
    ] {
        let path = format!("{USERS}?{}", query.replace(' ', "%20").replace('"', "%22"));
        let told = provider.call("GET", &path, Value::Null, 400).await.json();
        assert_eq!(told["scimType"], kind, "{query}: {told}");
    }
}

#[tokio::test]
async fn a_search_goes_over_all_types_of_resources() {
    let mut provider = Provider::new().await;
    company(&mut provider).await;
    let member = id(&provider.get(&format!("{USERS}?filter=userName%20sw%20%22bo%22")).await["Resources"][0]);
    provider.make(GROUPS, json!({"schemas": [GROUP], "displayName": "Sales", "externalId": "C3", "members": [{"value": member}]})).await;
    for (filter, expected) in [
        ("externalId eq \"C3\"", vec!["Cy@example.com", "Sales"]),
        ("displayName eq \"sales\"", vec!["Sales"]),
        ("userName sw \"bo\"", vec!["bo@example.com"]),
        ("meta.resourceType eq \"Group\"", vec!["Sales"]),
    ] {
        let found = provider.call("POST", "/scim/v2/.search", json!({"filter": filter}), 200).await.json();
        assert_eq!(names(&found), expected, "{filter}");
    }
    let page = json!({"startIndex": 4, "count": 2, "attributes": ["displayName", "userName"]});
    let found = provider.call("POST", "/scim/v2/.search", page, 200).await.json();
    assert_eq!(
        (names(&found), &found["totalResults"]),
        (vec!["dee@example.com".to_owned(), "Sales".to_owned()], &json!(5))
    );
    for filter in
        [format!("members eq \"{member}\""), format!("members[value eq \"{member}\" and type eq \"User\"]")]
    {
        let found = provider.get(&format!("{GROUPS}?filter={}", encoded(&filter))).await;
        assert_eq!(names(&found), ["Sales"], "{filter}");
    }
    for body in [json!({"filter": 1}), json!([]), json!({"count": "x"}), json!({"filter": "colour pr"})] {
        provider.call("POST", "/scim/v2/.search", body, 400).await;
    }
}
