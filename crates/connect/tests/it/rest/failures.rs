//! Settings that are wrong, and answers that prove nothing: lists that move, that never end, and that lead elsewhere.

use std::sync::atomic::{AtomicUsize, Ordering};

use leasehold_model::fact::Completeness;
use leasehold_testing::RestServer;
use leasehold_testing::between::Between;
use serde_json::{Value, json};

use super::{people, table};
use crate::harness::{Facts, build, enumerate, try_build};

#[test]
fn settings_are_checked_before_anything_is_reached() {
    let at = |more: &str| format!("url = 'https://hr.example.com/people'\ntoken = 'env:PATH'\n{more}");
    for (table, expected) in [
        (at(""), "write `authoritative = true`"),
        ("authoritative = true\ntoken = 'env:PATH'".to_owned(), "`url`"),
        ("authoritative = true\nurl = 'http://hr.example.com'\ntoken = 'env:PATH'".to_owned(), "unencrypted"),
        ("authoritative = true\nurl = 'https://hr.example.com'".to_owned(), "`token`"),
        (at("authoritative = true\nuser = 'ada'"), "leave one out"),
        (at("authoritative = true\npassword = 'env:PATH'"), "belongs to `user`"),
        (at("authoritative = true\ntoken_header = 'not a name'"), "no name of a header"),
        (at("authoritative = true\nitems = 'data'"), "write `/data`"),
        (at("authoritative = true\ntotal = 'header:'"), "no name of a header"),
        (at("authoritative = true\npaging = 'pages'"), "did you mean `page`"),
        (at("authoritative = true\npaging = 'page'"), "`page_parameter`"),
        (at("authoritative = true\npaging = 'next'"), "`next`"),
        (at("authoritative = true\nnext = '/next'"), "has no meaning with `paging = \"link\"`"),
        (at("authoritative = true\npage_first = 0"), "has no meaning"),
        (at("authoritative = true\npage_size = 5"), "needs `page_size_parameter`"),
        (at("authoritative = true\nstatuses = { fired = 'gone' }"), "`gone` is not known"),
        (at("authoritative = true\ncolumns = { email = '' }"), "names nothing"),
        (at("authoritative = true\ndate_order = 'ymd'"), "write `dmy` or `mdy`"),
        (at("authoritative = true\nwhere = {}"), "where"),
    ] {
        let Err(error) = try_build("rest", &table) else { panic!("{table} was taken") };
        assert!(error.to_string().contains(expected), "{table}: {error}");
    }
}

/// Reads through something that answers what `answer` makes of the number of the question and of the question itself.
async fn read(
    more: &str,
    answer: impl Fn(usize, &str) -> (&'static str, String, Value) + Send + 'static,
) -> Result<(Facts, Completeness), String> {
    let asked = AtomicUsize::new(0);
    let between = Between::start("http://127.0.0.1:1/", move |request, _| {
        let line = request.lines().next().unwrap_or_default();
        let (status, headers, body) = answer(asked.fetch_add(1, Ordering::SeqCst), line);
        let body = body.to_string();
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    });
    let table = format!("url = '{}/people'\ntoken = 'env:PATH'\nauthoritative = true\n{more}", between.url());
    let mut facts = Facts::default();
    match build("rest", &table).enumerate(&mut facts).await {
        Ok(completeness) => Ok((facts, completeness)),
        Err(error) => Err(error.to_string()),
    }
}

fn person(number: usize) -> Value {
    json!({"email": format!("p{number}@example.com")})
}

/// Two people a page, to `last`.
fn page(number: usize, last: usize) -> Vec<Value> {
    (number * 2..number * 2 + 2).filter(|person| *person < last).map(person).collect()
}

#[tokio::test]
async fn a_list_that_moved_proves_no_absence() {
    let numbered = "paging = 'page'\npage_parameter = 'page'\npage_first = 0";
    let with_total = format!("{numbered}\nitems = '/data'\ntotal = '/total'");
    for (more, answer, why) in [
        // Somebody moved up while pages were read: one is skipped, and the second reading has them.
        (
            numbered,
            Box::new(|asked: usize, _: &str| match asked {
                0 => json!(page(0, 6)),
                1 => json!([person(3), person(4)]),
                2 => json!([person(5)]),
                3 | 7 => json!([]),
                _ => json!(page(asked - 4, 6)),
            }) as Box<dyn Fn(usize, &str) -> Value + Send>,
            "a second reading told of other people",
        ),
        (
            &with_total,
            Box::new(|asked, _| json!({"data": page(asked, 5), "total": if asked < 2 { 5 } else { 6 }})),
            "went from 5 to 6",
        ),
        (
            &with_total,
            Box::new(|asked, _| json!({"data": if asked < 2 { page(asked, 5) } else { vec![] }, "total": 5})),
            "says that it has 5 people and gave 4",
        ),
        (numbered, Box::new(|asked, _| json!(page(asked.min(2), 6))), "a page told of nobody new"),
        ("", Box::new(|_, _| json!([person(1), person(1)])), "item 2 tells of somebody again"),
        ("", Box::new(|_, _| json!([person(1), {"name": "nobody"}])), "1 objects could not be used at all"),
        ("", Box::new(|_, _| json!([person(1), "nobody"])), "(items 2)"),
        ("", Box::new(|_, _| json!([])), "the API told of nobody"),
        // The API may have pages of another kind than the one that was asked for.
        ("", Box::new(|_, _| json!([person(1)])), "`paging = \"none\"`"),
    ] {
        let answer = move |asked: usize, line: &str| ("200 OK", String::new(), answer(asked, line));
        let (_, completeness) = read(more, answer).await.unwrap_or_else(|error| panic!("{more}: {error}"));
        assert!(!completeness.is_complete(), "{why}: {completeness:?}");
        assert!(completeness.detail().contains(why), "{completeness:?}");
    }
}

#[tokio::test]
async fn pages_that_the_api_names_are_followed_and_no_others() {
    let (facts, completeness) = read("paging = 'next'\nitems = '/data'\nnext = '/next'", |asked, line| {
        // It is read twice, three pages each time.
        let asked = asked % 3;
        assert_eq!(line.contains(&format!("from={asked}")), asked > 0, "{line}");
        let next = (asked < 2).then(|| format!("/people?from={}", asked + 1));
        ("200 OK", String::new(), json!({"data": page(asked, 6), "next": next}))
    })
    .await
    .expect("it is read");
    assert_eq!((facts.identities.len(), completeness.is_complete()), (6, true), "{completeness:?}");

    let cursor = "paging = 'cursor'\nitems = '/data'\nnext = '/meta/next'\npage_parameter = 'after'\ntotal = '/meta/count'";
    let (facts, completeness) = read(cursor, |asked, line| {
        assert_eq!(line.contains("after=a%2Fb%261"), asked == 1, "{line}");
        let next = ["a/b&1", ""][asked];
        ("200 OK", String::new(), json!({"data": page(asked, 4), "meta": {"next": next, "count": "4"}}))
    })
    .await
    .expect("it is read");
    assert_eq!((facts.identities.len(), completeness.is_complete()), (4, true), "{completeness:?}");

    for (link, expected) in [
        ("http://hr.evil.example/people?page=2", "another host, which is not shown what logs in"),
        ("https://127.0.0.1/people?page=2", "another host"),
        ("?page=1", "it would never end"),
    ] {
        let header = format!("Link: <{link}>; rel=\"next\"\r\n");
        let answer = move |_: usize, _: &str| ("200 OK", header.clone(), json!([person(1)]));
        let error = read("", answer).await.expect_err("it must fail");
        assert!(error.contains(expected), "{link}: {error}");
    }
}

#[tokio::test]
async fn refusals_name_the_way_on_and_not_now_is_waited_for() {
    let first = |status: &'static str| {
        move |asked: usize, _: &str| {
            let status = if asked == 0 { status } else { "200 OK" };
            (status, "Retry-After: 0\r\n".to_owned(), json!([person(1)]))
        }
    };
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let (facts, completeness) = read("paging = 'none'", first(status)).await.expect("it is read");
        assert_eq!((facts.identities.len(), completeness.is_complete()), (1, true), "{status}");
    }
    for (status, body, more, expected) in [
        ("403 Forbidden", json!([]), "", "not taken for absent"),
        ("301 Moved Permanently", json!([]), "", "redirects are not followed"),
        ("404 Not Found", json!([]), "", "check `url`"),
        ("500 Internal Server Error", json!([]), "", "HTTP 500"),
        ("200 OK", json!({"people": []}), "", "check `items`"),
        ("200 OK", json!({"people": []}), "items = '/data'", "`/data` is not in the answer"),
        ("200 OK", json!([person(1)]), "total = '/total'", "check `total`"),
    ] {
        let answer = move |_: usize, _: &str| (status, String::new(), body.clone());
        let error = read(more, answer).await.expect_err("it must fail");
        assert!(error.contains(expected), "{status} {more}: {error}");
    }
}

#[tokio::test]
async fn a_page_that_is_lost_on_the_way_proves_nothing() {
    let server = RestServer::start(&people());
    let asked = AtomicUsize::new(0);
    let between = Between::start(&server.url(""), move |_, forward| {
        let given = forward();
        // As a cache may do it, once.
        let is_lost = asked.fetch_add(1, Ordering::SeqCst) == 1;
        if is_lost { b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]".to_vec() } else { given }
    });
    let paged = "paging = 'page'\npage_parameter = '_page'";
    let table = table(&server, "people?_limit=5", paged)
        .replace(server.url("").trim_end_matches('/'), &between.url());
    let (facts, completeness) = enumerate(&*build("rest", &table)).await;
    assert_eq!((facts.identities.len(), completeness.is_complete()), (5, false), "{completeness:?}");
    assert!(completeness.detail().contains("a second reading told of other people"), "{completeness:?}");
}
