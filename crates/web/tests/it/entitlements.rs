//! Entitlements: the list, and who holds one by which ways, as the engine says.

use axum::http::StatusCode;
use leasehold_decide::explain::{Holding, explain, holdings, who};
use leasehold_decide::path::Carriers;
use leasehold_model::id::EntitlementAddress;

use crate::practice::{Practice, words};

#[tokio::test]
async fn one_shows_everybody_who_holds_it() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let view = practice.view();
    let evaluation = view.evaluation();
    let address: EntitlementAddress = "directory:group/wiki-readers".parse().expect("an address");
    let index = evaluation.entitlement(&address).expect("is there");
    let holders = who(evaluation, index, Carriers::PATHS_MAX);
    assert!(holders.len() > 50, "more than one page");
    let mut seen = String::new();
    for page in 1..=holders.len().div_ceil(50) {
        let answer = browser.get(&format!("/entitlements/directory/group/wiki-readers?page={page}")).await;
        assert_eq!(answer.status, StatusCode::OK);
        seen.push_str(&words(&answer));
    }
    assert!(seen.contains(&format!("of {}", holders.len())), "{seen}");
    for holder in &holders {
        assert!(seen.contains(&format!(" {} ", holder.login)), "{} is missing", holder.login);
    }
    assert!(seen.contains("group/wiki-editors → group/wiki-readers"), "carried ways are told: {seen}");
    assert!(seen.contains("What carries group/wiki-readers"), "and drawn");
}

#[tokio::test]
async fn decisions_are_those_of_explain() {
    let practice = Practice::new().await;
    let view = practice.view();
    let evaluation = view.evaluation();
    let mut compared = 0;
    for position in 0..evaluation.identities.len() {
        let index = leasehold_decide::engine::IdentityIndex(u32::try_from(position).expect("few"));
        let all = explain(evaluation, index, Carriers::PATHS_MAX);
        for account in evaluation.graph.accounts_of(index) {
            let held = evaluation.account(account);
            let system = evaluation.inputs.snapshot.system(held.system);
            for row in all.iter().filter(|row| row.login == held.account.login && &row.system == system) {
                let address =
                    EntitlementAddress { system: row.system.clone(), entitlement: row.entitlement.clone() };
                let entitlement = evaluation.entitlement(&address).expect("known");
                let (decision, because) =
                    leasehold_decide::explain::decision(evaluation, account, entitlement);
                assert_eq!((decision, &because), (row.decision, &row.because), "{address} of {}", row.login);
                let holding = Holding { login: row.login.clone(), direct: row.direct, decision, because };
                assert!(
                    holdings(evaluation, index, entitlement).contains(&holding),
                    "{address} of {}",
                    row.login
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 300, "{compared}");
}

#[tokio::test]
async fn the_list_is_filtered_and_what_is_not_there_is_not_found() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let view = practice.view();
    let all = view.evaluation().graph.entitlement_count();
    let page = words(&browser.get("/entitlements").await);
    assert!(page.contains(&format!("of {all}")), "{page}");
    let payments = browser.get("/entitlements?q=payments&system=ledger-db").await;
    let text = words(&payments);
    assert!(text.contains("role/payments_rw") && !text.contains("group/payments-eng"), "{text}");
    assert_eq!(browser.get("/entitlements?system=nowhere").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/entitlements?only=nice").await.status, StatusCode::BAD_REQUEST);
    for path in
        ["/entitlements/crm/role/not-there", "/entitlements/CRM/role/x", "/entitlements/crm/role/..%2F.."]
    {
        assert_eq!(browser.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}
