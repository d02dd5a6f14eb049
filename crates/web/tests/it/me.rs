//! My access: everybody's own page.

use axum::http::StatusCode;
use leasehold_decide::explain::explain;
use leasehold_model::decision::{Because, DriftKind};

use crate::practice::{Practice, words};

#[tokio::test]
async fn everybody_sees_what_they_hold_and_until_when() {
    let practice = Practice::new().await;
    let view = practice.view();
    let evaluation = view.evaluation();
    // Somebody with access that ends on a date.
    let ends = |because: &Because| matches!(because, Because::Reason { reason } if reason.until.is_some());
    let (identity, item) = evaluation
        .identities
        .iter()
        .find_map(|identity| {
            let held = explain(evaluation, evaluation.identity(&identity.key)?, 1);
            let item =
                held.into_iter().find(|item| !item.because.is_empty() && item.because.iter().all(ends))?;
            identity.key.as_str().contains('@').then_some((identity, item))
        })
        .expect("access that ends");
    let user = practice.installation.make_user(identity.key.as_str(), &[]).await;
    let mut browser = practice.installation.browser_of(&user).await;
    let page = browser.get("/me").await;
    assert_eq!(page.status, StatusCode::OK);
    let text = words(&page);
    let ending = text.split("What I hold").next().expect("a beginning");
    assert!(ending.contains(&item.entitlement.to_string()), "{text}");
    assert!(text.contains("My accounts") && text.contains(&item.login), "{text}");
    // Nothing leads to where this person may not go.
    assert!(!page.text.contains("href=\"/systems/"), "{}", page.text);
    assert!(!page.text.contains("href=\"/entitlements/"));
    assert!(!page.text.contains("/policy"));
}

#[tokio::test]
async fn drift_is_said_and_those_without_an_identity_are_told() {
    let practice = Practice::new().await;
    let toxic = practice.troubled(DriftKind::Toxic);
    let user = practice.installation.make_user(&toxic, &[]).await;
    let mut browser = practice.installation.browser_of(&user).await;
    let text = words(&browser.get("/me").await);
    assert!(text.contains("between what you hold and what somebody can justify"), "{text}");
    let mut browser = practice.installation.signed_in().await;
    let text = words(&browser.get("/me").await);
    assert!(text.contains("No identity that was read has your address dana@example.com"), "{text}");
}
