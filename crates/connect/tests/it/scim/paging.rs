//! When a reading is told to be all: lists that move, lists that are cut, and cursors.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leasehold_connect::connector::Connector;
use leasehold_model::fact::Completeness;
use leasehold_testing::ScimServer;
use serde_json::{Value, json};

use super::{Company, answer};
use crate::between::Between;
use crate::harness::enumerate;

const PAGED: &str = "page_size = 4";

/// Twenty users, read in pages of four; what `change` makes of each page of users is what the connector gets. It is told how
/// often users were asked for.
async fn read_through(change: impl Fn(usize, &mut Value) + Send + 'static) -> (usize, Completeness) {
    let company = Company::start(ScimServer::start_scim2_server());
    company.server.make("Users", (0..17).map(|number| json!({"userName": format!("person-{number}")})));
    let asked = AtomicUsize::new(0);
    let between = Between::start(company.server.url(), move |request, forward| {
        let given = forward();
        if !request.starts_with("GET /v2/Users?") {
            return given;
        }
        let end = given.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        let mut page = serde_json::from_slice(&given[end..]).expect("a page");
        change(asked.fetch_add(1, Ordering::SeqCst), &mut page);
        answer("200 OK", "", &page)
    });
    let connector = company.connector_at(&company.url_at(&between.url()), PAGED);
    let (facts, completeness) = enumerate(&*connector).await;
    (facts.accounts.len(), completeness)
}

fn why(completeness: &Completeness) -> &str {
    assert!(!completeness.is_complete(), "{completeness:?}");
    completeness.detail()
}

fn resources(page: &mut Value) -> &mut Vec<Value> {
    page["Resources"].as_array_mut().expect("resources")
}

#[tokio::test]
async fn a_list_that_holds_still_is_complete() {
    let (users, completeness) = read_through(|_, _| {}).await;
    assert_eq!((users, completeness.is_complete()), (20, true), "{completeness:?}");
    assert!(completeness.detail().starts_with("20 users and 3 groups came once each"), "{completeness:?}");
}

#[tokio::test]
async fn a_total_that_moves_is_noticed_on_a_page_and_afterwards() {
    let (_, completeness) = read_through(|asked, page| {
        if asked == 2 {
            page["totalResults"] = 21.into();
        }
    })
    .await;
    assert!(why(&completeness).contains("totalResults of Users went from 20 to 21"), "{completeness:?}");
    let (users, completeness) = read_through(|_, page| {
        if page["itemsPerPage"] == 0 {
            page["totalResults"] = 21.into();
        }
    })
    .await;
    assert_eq!(users, 20);
    assert!(why(&completeness).contains("there were 20 Users, and 21 after"), "{completeness:?}");
}

#[tokio::test]
async fn a_page_that_was_cut_is_noticed() {
    let (users, completeness) = read_through(|asked, page| {
        if asked == 1 {
            resources(page).clear();
        }
    })
    .await;
    assert_eq!(users, 4);
    assert!(why(&completeness).contains("has 20 Users and gave 4"), "{completeness:?}");
}

#[tokio::test]
async fn somebody_who_slipped_between_two_pages_is_noticed() {
    // The second page begins one later than it should: its first was pushed back onto the page before, after that was read.
    let (_, completeness) = read_through(|asked, page| {
        if asked == 1 {
            resources(page).remove(0);
        }
    })
    .await;
    assert!(
        why(&completeness).contains("does not begin with the last of the one before"),
        "{completeness:?}"
    );
}

#[tokio::test]
async fn a_user_who_comes_twice_is_told_once_and_noticed() {
    let first = Arc::new(std::sync::Mutex::new(None));
    let (users, completeness) = read_through(move |asked, page| {
        let mut first = first.lock().expect("the first user");
        match (&*first, asked) {
            (None, _) => *first = Some(resources(page)[0].clone()),
            (Some(first), 2) => resources(page)[2] = first.clone(),
            _ => {}
        }
    })
    .await;
    assert_eq!(users, 19);
    assert!(why(&completeness).contains("a user came twice"), "{completeness:?}");
}

#[tokio::test]
async fn a_user_without_an_id_is_missing() {
    let (users, completeness) = read_through(|asked, page| {
        if asked == 0 {
            resources(page)[1]["id"] = Value::Null;
        }
    })
    .await;
    assert_eq!(users, 19);
    assert!(why(&completeness).contains("one of Users has no id"), "{completeness:?}");
}

/// A server that pages by cursors: `pages` of users, each with what names the next one.
fn by_cursor(
    pages: Vec<(Vec<&'static str>, Option<&'static str>)>,
    total: Option<u64>,
) -> Box<dyn Connector> {
    let between = Between::start("http://127.0.0.1:9", move |request, _| {
        let path = request.split(' ').nth(1).expect("a path");
        if path.starts_with("/ServiceProviderConfig") {
            let pagination = json!({"cursor": true, "index": false, "maxPageSize": 3});
            return answer("200 OK", "", &json!({"patch": {"supported": true}, "pagination": pagination}));
        }
        let query: Vec<(&str, &str)> = path
            .split_once('?')
            .expect("a query")
            .1
            .split('&')
            .filter_map(|part| part.split_once('='))
            .collect();
        let asked = |name: &str| query.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let cursor = asked("cursor").expect("it pages by cursor only");
        let (users, next) = if asked("count") == Some("0") {
            (Vec::new(), None)
        } else {
            assert_eq!(asked("count"), Some("3"), "no more than the server says");
            let number = if cursor.is_empty() { 0 } else { cursor[1..].parse().expect("a cursor") };
            pages[number].clone()
        };
        let users: Vec<Value> = users.into_iter().map(|name| json!({"id": name, "userName": name})).collect();
        let mut page = json!({"Resources": users});
        if let Some(total) = total {
            page["totalResults"] = total.into();
        }
        if let Some(next) = next {
            page["nextCursor"] = next.into();
        }
        answer("200 OK", "", &page)
    });
    let table = format!("url = '{}'\ntoken = 'env:PATH'\nmembership = 'none'", between.url());
    crate::harness::build("scim", &table)
}

#[tokio::test]
async fn cursors_are_followed_to_the_last_page() {
    let pages = || vec![(vec!["a", "b", "c"], Some("p1")), (vec!["d"], Some("p2")), (vec!["e"], None)];
    for total in [Some(5), None] {
        let (facts, completeness) = enumerate(&*by_cursor(pages(), total)).await;
        assert!(completeness.is_complete() && facts.accounts.len() == 5, "{completeness:?}");
    }
    let (_, completeness) = enumerate(&*by_cursor(pages(), Some(6))).await;
    assert!(why(&completeness).contains("has 6 Users and gave 5"), "{completeness:?}");
    let same = vec![(vec!["a"], Some("p1")), (vec!["b"], Some("p1"))];
    let empty = vec![(vec!["a"], Some("p1")), (vec![], Some("p2")), (vec![], Some("p1"))];
    for endless in [same, empty] {
        let connector = by_cursor(endless, None);
        let error = connector.enumerate(&mut crate::harness::Facts::default()).await;
        let error = error.expect_err("it never ends").to_string();
        assert!(error.contains("would never end"), "{error}");
    }
}
