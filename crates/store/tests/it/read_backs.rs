//! Read-backs: newer than an enumeration that was running meanwhile, and marked as ours.

use leasehold_model::fact::Fact;
use leasehold_model::id::EpochId;
use leasehold_model::plan::Verb;
use leasehold_store::ObservedEffect;

use crate::common::*;

fn two_grants() -> Vec<Fact> {
    vec![
        account("ada"),
        entitlement("staff"),
        entitlement("admins"),
        grant("ada", "staff"),
        grant("ada", "admins"),
    ]
}

fn one_grant() -> Vec<Fact> {
    two_grants().into_iter().filter(|fact| *fact != grant("ada", "admins")).collect()
}

on_both! {
    async fn a_revoked_grant_is_not_resurrected_by_a_read_that_was_running(fresh: &Fresh) {
        sync(&fresh.store, two_grants(), complete(), 1).await;
        let mut running = fresh.store.begin_epoch(&system("directory"), at(2)).await.expect("begins");
        running.accept(two_grants()).await.expect("takes facts");
        read_back(&fresh.store, Verb::Revoke, "ada", vec![absent("ada", "admins")], 3).await;
        let report = running.finish(complete(), at(4)).await.expect("finishes");
        assert!(report.changes.is_empty(), "{:?}", report.changes);
        let snapshot = fresh.store.snapshot(None).await.expect("reads");
        assert_eq!(grants(&snapshot), ["ada staff"]);
        assert!(vanished(&snapshot).is_empty(), "we ended it");

        // A later read counts: what it shows is there.
        let report = sync(&fresh.store, two_grants(), complete(), 5).await;
        assert_eq!(report.changes.grants_added, 1);
    }

    async fn a_granted_entitlement_is_not_ended_by_a_read_that_was_running(fresh: &Fresh) {
        sync(&fresh.store, one_grant(), complete(), 1).await;
        let mut running = fresh.store.begin_epoch(&system("directory"), at(2)).await.expect("begins");
        running.accept(one_grant()).await.expect("takes facts");
        read_back(&fresh.store, Verb::Grant, "ada", vec![present("ada", "admins")], 3).await;
        running.finish(complete(), at(4)).await.expect("finishes");
        assert_eq!(grants(&fresh.store.snapshot(None).await.expect("reads")), ["ada staff", "ada admins"]);
        sync(&fresh.store, one_grant(), complete(), 5).await;
        let snapshot = fresh.store.snapshot(None).await.expect("reads");
        assert_eq!(grants(&snapshot), ["ada staff"]);
        assert_eq!(vanished(&snapshot), ["ada admins"], "it went without us");
    }

    async fn a_disabled_account_is_not_enabled_by_a_read_that_was_running(fresh: &Fresh) {
        let first = sync(&fresh.store, two_grants(), complete(), 1).await;
        let mut running = fresh.store.begin_epoch(&system("directory"), at(2)).await.expect("begins");
        running.accept(two_grants()).await.expect("takes facts");
        let disabled = ObservedEffect::AccountDisabled { system: system("directory"), account: "ada".into() };
        read_back(&fresh.store, Verb::DisableAccount, "ada", vec![disabled], 3).await;
        running.finish(complete(), at(4)).await.expect("finishes");
        let snapshot = fresh.store.snapshot(None).await.expect("reads");
        assert!(!snapshot.accounts[0].account.enabled);
        assert_eq!(snapshot.accounts[0].since, first.summary.id);
        assert!(fresh.store.snapshot(Some(at(2))).await.expect("reads").accounts[0].account.enabled);
        // Read again as enabled, later: that is what holds.
        sync(&fresh.store, two_grants(), complete(), 5).await;
        assert!(fresh.store.snapshot(None).await.expect("reads").accounts[0].account.enabled);
    }

    async fn an_account_read_back_as_gone_holds_nothing(fresh: &Fresh) {
        sync(&fresh.store, two_grants(), complete(), 1).await;
        let mut running = fresh.store.begin_epoch(&system("directory"), at(2)).await.expect("begins");
        running.accept(two_grants()).await.expect("takes facts");
        let gone = ObservedEffect::AccountAbsent { system: system("directory"), account: "ada".into() };
        // A grant that was seen of an account that is gone holds nothing either.
        read_back(&fresh.store, Verb::Revoke, "ada", vec![present("ada", "admins"), gone], 3).await;
        let report = running.finish(complete(), at(4)).await.expect("finishes");
        assert_eq!(report.summary.problems, 2, "both grants are told of an account that is not there");
        let snapshot = fresh.store.snapshot(None).await.expect("reads");
        assert!(snapshot.accounts.is_empty() && snapshot.grants.is_empty());
        let back = sync(&fresh.store, two_grants(), complete(), 5).await;
        assert_eq!((back.changes.accounts_added, back.changes.grants_added), (1, 2));
    }

    async fn a_read_back_moves_the_generation_only_where_it_changes_something(fresh: &Fresh) {
        let first = sync(&fresh.store, one_grant(), complete(), 1).await;
        let generation = async || fresh.store.systems().await.expect("reads")[0].generation;
        read_back(&fresh.store, Verb::Revoke, "ada", vec![absent("ada", "admins")], 2).await;
        read_back(&fresh.store, Verb::Revoke, "nobody", vec![absent("nobody", "admins")], 3).await;
        assert_eq!(generation().await, first.summary.id);
        read_back(&fresh.store, Verb::Revoke, "ada", vec![absent("ada", "staff")], 4).await;
        assert_eq!(generation().await, EpochId(first.summary.id.0 + 3));
        let state = &fresh.store.systems().await.expect("reads")[0];
        assert_eq!(state.latest.as_ref(), Some(&first.summary), "a read-back is no enumeration");
    }

    async fn what_went_before_we_sent_anything_went_without_us(fresh: &Fresh) {
        use leasehold_model::action::ActionState::{Approved, Void};
        sync(&fresh.store, two_grants(), complete(), 1).await;
        let plan = plan(vec![item("a", Verb::Revoke, "ada", Some("admins"))], Vec::new());
        fresh.store.begin_apply(&plan, &[], "ops", at(2)).await.expect("begins");
        let mut void = step(&plan, "a", Approved, Void, 3);
        void.observed = vec![absent("ada", "admins")];
        make(&fresh.store, void).await;
        assert_eq!(vanished(&fresh.store.snapshot(None).await.expect("reads")), ["ada admins"]);
    }
}
