//! How long it took until what leavers held was gone: from when they left, and not what goes later by design.

use leasehold_model::action::ActionState::{Acknowledged, Approved, Sent, Verified};
use leasehold_model::action::RESIDUAL;
use leasehold_model::credential::{CredentialKind, CredentialName};
use leasehold_model::plan::{PlanItem, Verb};
use leasehold_store::NewLeaving;

use crate::common::*;

const ADA: &str = "Ada@example.com";

on_both! {
    async fn times_of_leavers_count_from_when_they_left(fresh: &Fresh) {
        let store = &fresh.store;
        let whose = |id: &str, verb: Verb, identity: &str| {
            PlanItem { identity: Some(identity.into()), ..item(id, verb, id, Some("staff")) }
        };
        let of_credential = |id: &str, kind: CredentialKind| {
            let credential = CredentialName { key: id.into(), kind, label: id.to_owned() };
            PlanItem { credential: Some(credential), ..whose(id, Verb::RevokeCredential, ADA) }
        };
        let items = vec![
            whose("revoked", Verb::Revoke, "ADA@example.com"),
            of_credential("key", CredentialKind::AccessKey),
            // Stopped at once, and removed when nobody has missed it.
            of_credential("job", CredentialKind::ScheduledJob),
            whose("deleted", Verb::DeleteAccount, ADA),
            whose("handed", Verb::HandOverCredential, ADA),
            // Of somebody who moves, and of somebody who left long ago.
            whose("moved", Verb::Revoke, "bo@example.com"),
            whose("history", Verb::Revoke, "cy@example.com"),
        ];
        let plan = plan(items.clone(), vec![]);
        let left = |identity: &str, minute: i64| {
            NewLeaving { identity: identity.into(), since: at(minute), is_news: false }
        };
        store.note_leavings(&[left(ADA, 10), left("cy@example.com", 1)], &[], at(10)).await.expect("notes");
        store.begin_apply(&plan, &[], "ops@example.com", at(40)).await.expect("begins");
        for item in &items {
            for (from, to, minute) in [(Approved, Sent, 41), (Sent, Acknowledged, 42)] {
                make(store, step(&plan, item.id.as_str(), from, to, minute)).await;
            }
            let mut last = step(&plan, item.id.as_str(), Acknowledged, Verified, 43);
            if item.id.as_str() == "key" {
                last.reason = Some(format!("{RESIDUAL}sessions last"));
            }
            make(store, last).await;
        }
        let found = store.leaver_revocations(at(5), 100).await.expect("reads");
        let taken: Vec<i64> = found.iter().map(|revocation| revocation.taken_ms).collect();
        assert_eq!(taken, [33 * 60_000; 2], "{found:?}");
        assert_eq!(store.leaver_revocations(at(0), 100).await.expect("reads").len(), 3);
        assert_eq!(store.leaver_revocations(at(0), 1).await.expect("reads").len(), 1);
        let system = found[0].system.clone();
        assert_eq!(store.leaver_residuals(at(43)).await.expect("reads"), [(system, 1)]);
        assert_eq!(store.leaver_residuals(at(44)).await.expect("reads"), []);
        // Of everybody, from approval; what is handed over was stopped before.
        assert_eq!(store.revocation_times_ms(100).await.expect("reads"), [3 * 60_000; 6]);
        assert_eq!(store.revocation_times().await.expect("reads").number, 6);
    }
}
