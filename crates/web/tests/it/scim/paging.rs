//! Pages by index and by cursor (RFC 9865): each resource once, whatever comes and goes between two pages.

use serde_json::{Value, json};

use super::{GROUPS, Provider, USERS, encoded, id, names};

async fn eleven(provider: &mut Provider) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..11 {
        let body = json!({"userName": format!("user{number:02}"), "title": if number % 2 == 0 { "even" } else { "odd" }});
        ids.push(id(&provider.make(USERS, body).await));
    }
    ids
}

#[tokio::test]
async fn pages_by_index_hold_what_they_say() {
    let mut provider = Provider::new().await;
    eleven(&mut provider).await;
    for (query, start, first, shown) in [
        ("", 1, Some("user00"), 11),
        ("count=5", 1, Some("user00"), 5),
        ("startIndex=6&count=5", 6, Some("user05"), 5),
        ("startIndex=11&count=5", 11, Some("user10"), 1),
        ("startIndex=12&count=5", 12, None, 0),
        ("startIndex=0&count=1", 1, Some("user00"), 1),
        ("startIndex=-7&count=1", 1, Some("user00"), 1),
        ("count=0", 1, None, 0),
        ("count=-3", 1, None, 0),
        ("count=100000", 1, Some("user00"), 11),
        ("STARTINDEX=2&COUNT=2", 2, Some("user01"), 2),
    ] {
        let list = provider.get(&format!("{USERS}?{query}")).await;
        assert_eq!(list["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"]));
        assert_eq!(
            (&list["totalResults"], &list["startIndex"], &list["itemsPerPage"]),
            (&json!(11), &json!(start), &json!(shown)),
            "{query}"
        );
        assert_eq!((names(&list).first().map(String::as_str), names(&list).len()), (first, shown), "{query}");
    }
    let odd =
        provider.get(&format!("{USERS}?filter={}&startIndex=2&count=2", encoded("title eq \"odd\""))).await;
    assert_eq!(
        (names(&odd), &odd["totalResults"]),
        (vec!["user03".to_owned(), "user05".to_owned()], &json!(5))
    );
}

/// Every page of a question by cursor.
async fn pages(provider: &mut Provider, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let list = provider.get(&format!("{USERS}?{query}&cursor={cursor}")).await;
        assert!(list.get("startIndex").is_none(), "{list}");
        pages.push(names(&list));
        match list["nextCursor"].as_str() {
            Some(next) => {
                assert!(next.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c)), "{next}");
                next.clone_into(&mut cursor);
            }
            None => return pages,
        }
        assert!(pages.len() < 20, "it has an end");
    }
}

#[tokio::test]
async fn pages_by_cursor_hold_everything_once() {
    let mut provider = Provider::new().await;
    eleven(&mut provider).await;
    for (query, sizes) in [
        ("count=5", vec![5, 5, 1]),
        ("count=11", vec![11]),
        ("count=10", vec![10, 1]),
        ("", vec![11]),
        ("count=2&filter=title%20eq%20%22odd%22", vec![2, 2, 1]),
        ("count=4&sortBy=userName&sortOrder=descending", vec![4, 4, 3]),
        ("count=3&sortBy=title&filter=title%20pr", vec![3, 3, 3, 2]),
    ] {
        let pages = pages(&mut provider, query).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes, "{query}");
        let mut all = pages.concat();
        all.sort();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count, "{query}: {pages:?}");
    }
    let mut cursor = String::new();
    let mut found = Vec::new();
    loop {
        let body = json!({"cursor": cursor, "count": 4});
        let list = provider.call("POST", &format!("{USERS}/.search"), body, 200).await.json();
        found.extend(names(&list));
        let Some(next) = list["nextCursor"].as_str() else { break };
        next.clone_into(&mut cursor);
    }
    assert_eq!(found.len(), 11);
}

#[tokio::test]
async fn what_comes_and_goes_between_pages_moves_nobody_else() {
    let mut provider = Provider::new().await;
    let ids = eleven(&mut provider).await;
    let first = provider.get(&format!("{USERS}?count=5&cursor=")).await;
    // One of those who were shown goes, one who was not goes, and one comes.
    for gone in [&ids[0], &ids[7]] {
        provider.call("DELETE", &format!("{USERS}/{gone}"), Value::Null, 204).await;
    }
    provider.user("late").await;
    let cursor = first["nextCursor"].as_str().expect("more").to_owned();
    let second = provider.get(&format!("{USERS}?count=5&cursor={cursor}")).await;
    assert_eq!(names(&second), ["user05", "user06", "user08", "user09", "user10"]);
    assert_eq!(second["totalResults"], 11, "as it was when the list began");
    let cursor = second["nextCursor"].as_str().expect("more").to_owned();
    let third = provider.get(&format!("{USERS}?count=5&cursor={cursor}")).await;
    assert_eq!((names(&third), third.get("nextCursor")), (vec!["late".to_owned()], None));
}

#[tokio::test]
async fn nor_where_the_pages_are_sorted() {
    let mut provider = Provider::new().await;
    let ids = eleven(&mut provider).await;
    for (order, expected) in [
        ("ascending", [["user00", "user01", "user02"], ["user03", "user04", "user05"]]),
        ("descending", [["user10", "user09", "user08"], ["user07", "user06", "user05"]]),
    ] {
        let query = format!("{USERS}?count=3&sortBy=userName&sortOrder={order}");
        let first = provider.get(&format!("{query}&cursor=")).await;
        assert_eq!(names(&first), expected[0]);
        // One comes before what was shown, and one of those who were shown is called something else.
        let early = provider.user(if order == "ascending" { "a" } else { "z" }).await;
        let shown = &ids[if order == "ascending" { 1 } else { 9 }];
        let renamed = json!([{"op": "replace", "path": "userName", "value": format!("m{order}")}]);
        provider.patch(&format!("{USERS}/{shown}"), renamed).await;
        let cursor = first["nextCursor"].as_str().expect("more").to_owned();
        let second = provider.get(&format!("{query}&cursor={cursor}")).await;
        assert_eq!(names(&second), expected[1]);
        provider.call("DELETE", &format!("{USERS}/{early}"), Value::Null, 204).await;
    }
    // Where a page ends within equals, the next one goes on among them; and who has no value comes last.
    provider.patch(&format!("{USERS}/{}", ids[4]), json!([{"op": "remove", "path": "title"}])).await;
    let query = format!("{USERS}?count=4&sortBy=title");
    let mut cursor = String::new();
    let mut found = Vec::new();
    loop {
        let list = provider.get(&format!("{query}&cursor={cursor}")).await;
        found.extend(names(&list));
        let Some(next) = list["nextCursor"].as_str() else { break };
        next.clone_into(&mut cursor);
    }
    let whole = provider.get(&format!("{USERS}?count=100&sortBy=title")).await;
    assert_eq!(found, names(&whole));
    assert_eq!((found.len(), found.last().map(String::as_str)), (11, Some("user04")));
    // A place in the order that is too long for an address is a number, wherever it stands.
    for title in ["a", "even", "f", "odd", "z"] {
        let title = json!([{"op": "replace", "path": "title", "value": title.repeat(2_000)}]);
        provider.patch(&format!("{USERS}/{}", ids[0]), title).await;
        for count in [1, 2, 3] {
            let query = format!("count={count}&sortBy=title");
            assert_eq!(
                pages(&mut provider, &query).await.concat(),
                names(&provider.get(&format!("{USERS}?count=100&sortBy=title")).await)
            );
        }
    }
}

#[tokio::test]
async fn a_cursor_answers_its_own_question_for_an_hour() {
    let mut provider = Provider::new().await;
    eleven(&mut provider).await;
    let first = provider.get(&format!("{USERS}?count=5&cursor=")).await;
    let cursor = first["nextCursor"].as_str().expect("more").to_owned();
    let mut elsewhere = super::pushing(&provider.installation, "portal").await;
    for (query, kind) in [
        ("count=5&cursor=nonsense".to_owned(), "invalidCursor"),
        (format!("count=5&cursor={}x", &cursor[..cursor.len() - 2]), "invalidCursor"),
        (format!("count=5&filter=title%20pr&cursor={cursor}"), "invalidCursor"),
        (format!("count=5&sortBy=title&cursor={cursor}"), "invalidCursor"),
        (format!("count=4&cursor={cursor}"), "invalidCount"),
        ("count=-1&cursor".to_owned(), "invalidCount"),
        ("count=1001&cursor".to_owned(), "invalidCount"),
    ] {
        let told = provider.call("GET", &format!("{USERS}?{query}"), Value::Null, 400).await.json();
        assert_eq!(told["scimType"], kind, "{query}: {told}");
    }
    let path = format!("{USERS}?count=5&cursor={cursor}");
    assert_eq!(elsewhere.get(&path).await.json()["scimType"], "invalidCursor", "of another system");
    provider.call("GET", &format!("{GROUPS}?count=5&cursor={cursor}"), Value::Null, 400).await;
    // Without a count it is that of the first page.
    assert_eq!(names(&provider.get(&format!("{USERS}?cursor={cursor}")).await).len(), 5);
    provider.installation.clock.advance_ms(3_600_000);
    let told = provider.call("GET", &path, Value::Null, 400).await.json();
    assert_eq!(told["scimType"], "expiredCursor");
    // However long the question, its cursor fits into an address.
    let question = super::encoded(&vec!["title pr"; 300].join(" and "));
    let first = provider.get(&format!("{USERS}?count=2&cursor=&filter={question}")).await;
    let cursor = first["nextCursor"].as_str().expect("more");
    assert!(cursor.len() < 512, "{}", cursor.len());
    assert_eq!(
        names(&provider.get(&format!("{USERS}?count=2&cursor={cursor}&filter={question}")).await).len(),
        2
    );
    let counted = provider.get(&format!("{USERS}?count=0&cursor")).await;
    assert_eq!(
        (&counted["totalResults"], names(&counted).len(), counted.get("nextCursor")),
        (&json!(11), 0, None)
    );
}
