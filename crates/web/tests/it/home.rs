//! The home page: every figure is the one behind its link.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use leasehold_decide::engine::IdentityIndex;
use leasehold_decide::explain::explain;
use leasehold_decide::lease::LeaseClass;
use leasehold_model::action::{ActionState, RESIDUAL};
use leasehold_model::decision::{Decision, DriftKind};
use leasehold_store::ActionRow;

use crate::company::{Office, text_of, values};

#[tokio::test]
async fn figures_agree_with_the_lists_behind_them() {
    let office = Office::open().await;
    let view = office.view();
    let mut browser = office.installation.signed_in().await;
    let home = browser.get("/").await;
    assert_eq!(home.status, StatusCode::OK);
    let text = text_of(&home.text);
    assert!(text.contains(&format!("{} items of drift", view.drift().len())), "{text}");
    assert!(text.contains("Unknown: no access was ended and read back yet"), "{text}");
    let links = values(&home.text, "<a class=\"figure\" href=\"");
    assert_eq!(links.len(), view.drift_counts().len());
    for (link, (kind, number)) in links.iter().zip(view.drift_counts()) {
        assert_eq!(*link, format!("/drift?kind={kind}"), "the most severe comes first");
        let behind = text_of(&browser.get(link).await.text);
        assert!(behind.contains(&format!("of {number}")), "{kind}: {behind}");
    }
    // Every link of the page's own lists leads somewhere.
    for link in values(&home.text, "href=\"")
        .into_iter()
        .filter(|link| ["/drift", "/plans", "/actions", "/tasks"].iter().any(|own| link.starts_with(own)))
    {
        let link = link.replace("&#38;", "&");
        assert_eq!(browser.get(&link).await.status, StatusCode::OK, "{link}");
    }
}

#[tokio::test]
async fn what_access_is_held_for_is_what_explain_says_of_each_grant() {
    let office = Office::open().await;
    let view = office.view();
    let evaluation = view.evaluation();
    let (mut justified, mut undecided, mut unjustified) = (0, 0, 0);
    for identity in (0..).take(evaluation.identities.len()).map(IdentityIndex) {
        for row in explain(evaluation, identity, 1).into_iter().filter(|row| row.direct) {
            match row.decision {
                Decision::Justified => justified += 1,
                Decision::Undecided => undecided += 1,
                Decision::Unjustified => unjustified += 1,
            }
        }
    }
    let of_nobody = |account| evaluation.graph.grants_of(account).count() as u64;
    undecided += evaluation.graph.uncorrelated_accounts().map(of_nobody).sum::<u64>();
    let leases = view.lease_counts();
    assert!(justified > 0 && undecided > 0 && unjustified > 0, "{leases:?}");
    assert_eq!(leases.of(LeaseClass::Undecided), undecided);
    assert_eq!(leases.of(LeaseClass::None), unjustified);
    assert_eq!(leases.total(), justified + undecided + unjustified);
    let mut browser = office.installation.signed_in().await;
    let text = text_of(&browser.get("/").await.text);
    assert!(text.contains(&format!("nobody can say {undecided}")), "{text}");
}

#[tokio::test]
async fn home_tells_what_was_done_and_how_fast() {
    let office = Office::open().await;
    let installation = &office.installation;
    let mut browser = installation.signed_in().await;
    installation
        .store
        .keep_drift_sample(office.view().drift_counts(), installation.now())
        .await
        .expect("keeps");
    let (plan, address) = office.plan_everything(&mut browser).await;
    let home = text_of(&browser.get("/").await.text);
    assert!(home.contains("waits for approval"), "{home}");
    let approve = format!("{address}/approve");
    assert_eq!(browser.submit(&address, &approve, &[]).await.status, StatusCode::SEE_OTHER);
    office.turn().await;
    let home = browser.get("/").await.text;
    let text = text_of(&home);
    let ended = installation.store.revocation_times_ms(1_000).await.expect("reads");
    assert!(!ended.is_empty() && plan.items.len() >= ended.len());
    assert!(text.contains(&format!("the last {} action", ended.len())), "{text}");
    assert!(text.contains("half within") && text.contains("longest"), "{text}");
    assert!(home.contains("<svg class=\"chart\"") && text.contains("The same as a table"), "{text}");
    assert!(!text.contains("waits for approval"), "it was approved: {text}");
}

/// The samples of a metric with these labels, in the order of the text.
fn samples<'text>(text: &'text str, name: &str) -> BTreeMap<&'text str, f64> {
    let of_metric =
        text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.split_once("} "));
    of_metric.map(|(labels, value)| (labels, value.parse().expect("a number"))).collect()
}

#[tokio::test]
async fn what_became_of_leavers_access_is_told_by_system_with_how_long_and_why() {
    let office = Office::open().await;
    let installation = &office.installation;
    let (mut browser, mut program) = (installation.signed_in().await, installation.program().await);
    let (name, remaining) = ("leasehold_leaver_revocation_seconds", "leasehold_leaver_remaining");
    let scrape = program.get("/metrics").await.text;
    assert!(samples(&scrape, name).is_empty(), "nothing was ended yet");
    let mut open: BTreeMap<String, f64> = BTreeMap::new();
    for item in office.view().drift().iter().filter(|item| item.kind == DriftKind::Leaver) {
        *open.entry(format!("system=\"{}\",why=\"not_begun\"", item.system)).or_default() += 1.0;
    }
    let told: BTreeMap<String, f64> =
        samples(&scrape, remaining).into_iter().map(|(labels, number)| (labels.to_owned(), number)).collect();
    assert_eq!(told, open, "all of it is still there, and nobody has begun");
    assert!(text_of(&browser.get("/").await.text).contains("not begun"));

    // It waits three days for somebody to approve it, and that counts.
    let (plan, address) = office.plan_everything(&mut browser).await;
    installation.clock.advance_ms(3 * 24 * 60 * 60 * 1_000);
    let approve = format!("{address}/approve");
    let mut browser = installation.signed_in().await;
    assert_eq!(browser.submit(&address, &approve, &[]).await.status, StatusCode::SEE_OTHER);
    office.turn().await;
    let view = office.view();
    let (evaluation, now) = (view.evaluation(), view.as_of());
    let left_at = |row: &ActionRow| {
        let index = evaluation.identity(row.item.identity.as_ref()?)?;
        evaluation.left_at(index).filter(|at| now.duration_since(*at).as_hours() <= 90 * 24)
    };
    let rows = installation.store.actions(&plan.hash).await.expect("actions");
    let (mut longest, mut numbers): (BTreeMap<String, f64>, BTreeMap<String, f64>) = Default::default();
    let mut residual = 0.0;
    for row in rows.iter().filter(|row| row.state == ActionState::Verified && row.item.verb.takes_away()) {
        let Some(left_at) = left_at(row) else { continue };
        let taken = row.read_back_at.expect("read back").duration_since(left_at).as_secs_f64();
        assert!(taken >= 3.0 * 24.0 * 3_600.0, "from when they left: {row:#?}");
        for system in ["all", row.item.system.as_str()] {
            let longest = longest.entry(format!("system=\"{system}\",quantile=\"1\"")).or_default();
            *longest = longest.max(taken);
            *numbers.entry(format!("system=\"{system}\"")).or_default() += 1.0;
        }
        residual +=
            f64::from(u8::from(row.reason.as_ref().is_some_and(|reason| reason.starts_with(RESIDUAL))));
    }
    assert!(numbers.len() > 2 && residual > 0.0, "{numbers:?}, {residual}");
    let scrape = program.get("/metrics").await.text;
    let told = samples(&scrape, name);
    for (labels, seconds) in &longest {
        assert!((told[labels.as_str()] - seconds).abs() < 1.0, "{labels}: {seconds}\n{told:#?}");
        let [half, most] =
            ["0.5", "0.95"].map(|share| told[labels.replace("\"1\"", &format!("\"{share}\"")).as_str()]);
        assert!(half <= most && most <= told[labels.as_str()], "{told:#?}");
    }
    assert_eq!(told.len(), 3 * longest.len(), "{told:#?}");
    let of_all: BTreeMap<String, f64> = samples(&scrape, "leasehold_leaver_revocations")
        .into_iter()
        .map(|(labels, number)| (labels.to_owned(), number))
        .collect();
    assert_eq!(of_all, numbers);
    let told = samples(&scrape, remaining);
    let of_why = |why: &str| -> f64 {
        told.iter()
            .filter(|(labels, _)| labels.ends_with(&format!("why=\"{why}\"")))
            .map(|(_, number)| number)
            .sum()
    };
    assert_eq!(of_why("residual"), residual, "{told:#?}");
    let held = rows.iter().filter(|row| {
        row.state == ActionState::Planned && row.item.verb.takes_away() && left_at(row).is_some()
    });
    assert_eq!(of_why("held_by_guard"), held.count() as f64, "{told:#?}");
    assert_eq!((of_why("under_way"), of_why("stuck")), (0.0, 0.0), "{told:#?}");
    let text = text_of(&browser.get("/").await.text);
    assert!(text.contains(&format!("all {}", numbers["system=\"all\""])), "{text}");
    assert!(text.contains(&format!("{residual} with live sessions that may last")), "{text}");

    // Sessions do not last for days, and history is history.
    installation.clock.advance_ms(200 * 24 * 60 * 60 * 1_000);
    office.turn().await;
    let scrape = program.get("/metrics").await.text;
    assert!(samples(&scrape, name).is_empty() && !scrape.contains("why=\"residual\""), "{scrape}");
}
