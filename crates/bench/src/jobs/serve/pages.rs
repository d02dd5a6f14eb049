//! Every list page, and the page of one identity, each asked for many times with other arguments.

use std::time::Instant;

use super::sql::{self, ByHand, Question};
use super::{Company, Load, Process, company};
use crate::measure::{Report, Row, percentile};

/// Within this a page answers, at the 95th percentile.
const GOAL_MS: f64 = 100.0;

/// A page: its name, its address for the nth request, and what answers for its rows by hand.
type Page<'a> = (
    &'static str,
    Box<dyn Fn(u32) -> String + 'a>,
    Option<(&'static Question, Box<dyn Fn(u32) -> String + 'a>)>,
);

fn pages<'a>(company: Company) -> Vec<Page<'a>> {
    let identity = move |number: u32| number.wrapping_mul(2_654_435_761) % company.identities;
    let page = move |number: u32, of: u32| 1 + number.wrapping_mul(2_654_435_761) % (of / 50).max(1);
    let first = |name: &'static str| Box::new(move |_| name.to_owned()) as Box<dyn Fn(u32) -> String>;
    let key = move |number: u32| company.key(identity(number));
    let held = move |number: u32| company.carried(identity(number), number % company.systems);
    let further = move |number: u32| format!("s{}:role/x{}", number % company.systems, number % 900);
    let api = |path: &str| format!("/api/v1/{path}");
    vec![
        ("home", first("/"), None),
        (
            "identities",
            Box::new(move |number| format!("/identities?page={}", page(number, company.identities))),
            Some((&sql::IDENTITIES, Box::new(key))),
        ),
        (
            "identities, searched",
            Box::new(move |number| format!("/identities?q=p{}", identity(number))),
            None,
        ),
        (
            "one identity",
            Box::new(move |number| format!("/identities/{}", key(number))),
            Some((&sql::IDENTITY, Box::new(key))),
        ),
        ("systems", first("/systems"), None),
        ("one system", Box::new(move |number| format!("/systems/s{}", number % company.systems)), None),
        (
            "accounts of a system",
            Box::new(move |number| format!("/systems/s0/accounts?page={}", page(number, company.identities))),
            Some((&sql::ACCOUNTS, Box::new(move |number| format!("p{}", identity(number))))),
        ),
        (
            "entitlements",
            Box::new(move |number| format!("/entitlements?page={}", page(number, company.systems * 1_000))),
            Some((&sql::ENTITLEMENTS, Box::new(further))),
        ),
        (
            "one entitlement",
            Box::new(move |number| format!("/entitlements/{}", held(number).replacen(':', "/", 1))),
            Some((&sql::HOLDERS, Box::new(held))),
        ),
        (
            "drift",
            Box::new(move |number| format!("/drift?page={}", page(number, company.identities / 50))),
            None,
        ),
        (
            "drift of a kind",
            Box::new(move |number| format!("/drift?kind=unjustified&system=s{}", number % company.systems)),
            None,
        ),
        ("plans", first("/plans"), None),
        ("actions", first("/actions"), None),
        ("tasks", first("/tasks"), None),
        ("ledger", first("/ledger"), None),
        ("policy", first("/policy"), None),
        ("search", Box::new(move |number| format!("/search?q=p{}", identity(number))), None),
        ("my access", first("/me"), None),
        (
            "API: identities",
            Box::new(move |number| api(&format!("identities?limit=50&q=D{}", number % company::DEPARTMENTS))),
            None,
        ),
        (
            "API: one identity's access",
            Box::new(move |number| api(&format!("identities/{}/access", key(number)))),
            Some((&sql::IDENTITY, Box::new(key))),
        ),
        (
            "API: holders",
            Box::new(move |number| {
                api(&format!("entitlements/{}/holders?limit=50", held(number).replace('/', "%2F")))
            }),
            Some((&sql::HOLDERS, Box::new(held))),
        ),
        (
            "API: accounts",
            Box::new(move |number| api(&format!("accounts?limit=50&system=s{}", number % company.systems))),
            None,
        ),
        (
            "API: entitlements",
            Box::new(move |number| {
                api(&format!("entitlements?limit=50&system=s{}", number % company.systems))
            }),
            None,
        ),
        (
            "API: grants",
            Box::new(move |number| api(&format!("grants?limit=50&system=s{}", number % company.systems))),
            None,
        ),
        (
            "API: drift",
            Box::new(move |number| api(&format!("drift?limit=50&system=s{}", number % company.systems))),
            None,
        ),
    ]
}

/// Asks for each page in turn with the SQL.
pub(super) async fn measure(
    load: &Load,
    company: Company,
    server: &Process,
    client: &reqwest::Client,
    by_hand: &mut ByHand,
    report: &mut Report,
) -> anyhow::Result<()> {
    for (name, address, question) in pages(company) {
        let (mut times, mut sql_times) = (Vec::new(), Vec::new());
        let mut first = 0.0;
        let before = server.cpu_seconds()?;
        // The first one makes what the state has not made yet, and is told apart.
        for number in 0..=load.requests {
            let path = address(number);
            let begun = Instant::now();
            let answer = client.get(format!("{}{path}", server.url)).send().await?;
            anyhow::ensure!(answer.status().is_success(), "{path} answers {}", answer.status());
            let bytes = answer.bytes().await?.len();
            anyhow::ensure!(bytes > 20, "{path} is empty");
            let time = begun.elapsed().as_nanos() as u64;
            if number == 0 {
                first = time as f64 / 1e6;
            } else {
                times.push(time);
            }
            if let Some((question, about)) = &question {
                let (time, rows) = by_hand.ask(question, &about(number)).await?;
                anyhow::ensure!(rows > 0, "no rows by hand for {}", about(number));
                sql_times.push(time.as_nanos() as u64);
            }
        }
        let cpu = (server.cpu_seconds()? - before) / f64::from(load.requests + 1) * 1e3;
        times.sort_unstable();
        sql_times.sort_unstable();
        let milliseconds = |times: &[u64], share: f64| percentile(times, share) as f64 / 1e6;
        let late = milliseconds(&times, 0.95);
        let mut row = Row::new("page", name)
            .figure(late, "ms p95")
            .at_most(late, GOAL_MS, "at most 100 ms")
            .note(format!("p50 {:.1} ms, first {first:.0} ms, CPU {cpu:.1} ms", milliseconds(&times, 0.5)));
        if !sql_times.is_empty() {
            row = row.ratio(milliseconds(&times, 0.5) / milliseconds(&sql_times, 0.5), "SQL by hand (p50)");
        }
        report.push(row);
        eprintln!("{name}: p95 {late:.1} ms");
    }
    Ok(())
}
