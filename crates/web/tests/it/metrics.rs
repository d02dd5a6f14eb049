//! Metrics: what they say of the present state, and that what is not known is absent.

use axum::http::StatusCode;
use leasehold_decide::lease::LeaseClass;

use crate::support::{Installation, system};

#[tokio::test]
async fn metrics_say_what_is_known_and_nothing_else() {
    let installation = Installation::with_company().await;
    let mut program = installation.program().await;
    let answer = program.get("/metrics").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    println!("{}", answer.text);
    let has = |line: &str| assert!(answer.text.lines().any(|told| told == line), "{line}\n{}", answer.text);
    let view = installation.driver.handle().live().view().expect("a state");
    for (kind, number) in view.drift_counts() {
        let of_erp = view.drift_of_system(&system("erp")).filter(|item| item.kind == *kind).count();
        assert_eq!(of_erp, *number, "all of it is in erp");
        has(&format!("leasehold_drift_items{{kind=\"{kind}\",system=\"erp\"}} {number}"));
    }
    for class in LeaseClass::ALL {
        has(&format!("leasehold_grants{{lease=\"{}\"}} {}", class.as_str(), view.lease_counts().of(*class)));
    }
    has("leasehold_source_complete{system=\"hr\"} 1");
    has("leasehold_source_age_seconds{system=\"erp\"} 0");
    has("leasehold_tasks{state=\"done\"} 2");
    has("leasehold_revocation_verified_seconds_count 0");
    assert!(!answer.text.contains("leasehold_actions"), "there is none:\n{}", answer.text);

    // Nothing was ever read: no source has an age, and there is no drift to count.
    let empty = Installation::with_administrator().await;
    let text = empty.program().await.get("/metrics").await.text;
    for absent in [
        "leasehold_source_age_seconds",
        "leasehold_source_complete",
        "leasehold_drift_items",
        "leasehold_grants",
    ] {
        assert!(!text.contains(absent), "{absent}:\n{text}");
    }
}
