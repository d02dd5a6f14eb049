//! The home page: every figure is the one behind its link.

use axum::http::StatusCode;
use leasehold_decide::engine::IdentityIndex;
use leasehold_decide::explain::explain;
use leasehold_decide::lease::LeaseClass;
use leasehold_model::decision::Decision;

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
