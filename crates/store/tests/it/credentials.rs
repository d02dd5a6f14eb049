//! Credentials: told with their accounts, ended by a complete read or a read-back, and never without an account.

use leasehold_model::account::LastUse;
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::fact::Fact;
use leasehold_model::plan::Verb;
use leasehold_store::{ChangeCounts, ObservedEffect, Store};

use crate::common::*;

fn key(name: &str, account: &str) -> Credential {
    Credential::new(name, account, CredentialKind::AccessKey, name)
}

fn facts(keys: &[Credential]) -> Vec<Fact> {
    // A credential may come before the account that it is of.
    let keys = keys.iter().cloned().map(Fact::Credential);
    keys.chain([account("bo"), account("ada")]).collect()
}

/// Each credential with its account and whether it can be used.
async fn held(store: &Store, minute: Option<i64>) -> Vec<String> {
    let snapshot = store.snapshot(minute.map(at)).await.expect("reads");
    let line = |row: &leasehold_model::snapshot::SnapshotCredential| {
        let account = &snapshot.accounts[row.account as usize].account.login;
        let state = if row.credential.active { "" } else { " stopped" };
        format!("{account} {}{state}", row.credential.key)
    };
    let lines: Vec<String> = snapshot.credentials.iter().map(line).collect();
    for position in 0..snapshot.accounts.len() as u32 {
        assert!(snapshot.credentials_of(position).iter().all(|row| row.account == position));
    }
    let of_accounts =
        (0..snapshot.accounts.len() as u32).map(|position| snapshot.credentials_of(position).len());
    assert_eq!(of_accounts.sum::<usize>(), lines.len(), "each is found by its account");
    lines
}

on_both! {
    async fn they_come_change_and_go_with_complete_reads_only(fresh: &Fresh) {
        let store = &fresh.store;
        let report = sync(store, facts(&[key("k2", "ada"), key("k1", "ada"), key("k3", "bo")]), complete(), 1).await;
        assert_eq!(report.changes.credentials_added, 3);
        let mut at_first = held(store, None).await;
        at_first.sort();
        assert_eq!(at_first, ["ada k1", "ada k2", "bo k3"]);

        let report = sync(store, facts(&[key("k1", "ada")]), partial(), 2).await;
        assert_eq!(report.changes, ChangeCounts::default(), "a partial read ends nothing");
        assert_eq!(held(store, None).await.len(), 3);

        let stopped = Credential { active: false, ..key("k1", "ada") };
        let report = sync(store, facts(&[stopped]), complete(), 3).await;
        let expected =
            ChangeCounts { credentials_changed: 1, credentials_ended: 2, ..ChangeCounts::default() };
        assert_eq!(report.changes, expected);
        assert_eq!(held(store, None).await, ["ada k1 stopped"]);
        assert_eq!(held(store, Some(2)).await.len(), 3, "as it stood then");
    }

    async fn their_use_moves_no_plan(fresh: &Fresh) {
        let store = &fresh.store;
        let used = |minute| Credential { last_use: LastUse::At(at(minute)), ..key("k1", "ada") };
        let first = sync(store, facts(&[used(1)]), complete(), 1).await;
        let report = sync(store, facts(&[used(2)]), complete(), 2).await;
        assert!(report.changes.is_empty() && report.changes.credentials_used == 1, "{:?}", report.changes);
        let snapshot = store.snapshot(None).await.expect("reads");
        assert_eq!(snapshot.systems[0].generation, first.summary.id, "a plan made before still holds");
        assert_eq!(snapshot.credentials[0].credential.last_use, LastUse::At(at(2)));
    }

    async fn one_without_an_account_is_a_problem_and_does_not_count(fresh: &Fresh) {
        let store = &fresh.store;
        let report = sync(store, facts(&[key("k1", "ada"), key("k2", "nobody")]), complete(), 1).await;
        assert_eq!((report.changes.credentials_added, report.summary.problems), (1, 1));
        assert_eq!(held(store, None).await, ["ada k1"]);
        let problems = store.problems(&system("directory")).await.expect("reads");
        assert_eq!(problems[0].place, "credential k2");
        // Its account goes, and it with it.
        let report = sync(store, vec![account("bo"), Fact::Credential(key("k1", "ada"))], complete(), 2).await;
        assert_eq!((report.changes.accounts_ended, report.summary.problems), (1, 1));
        assert!(held(store, None).await.is_empty());
    }

    async fn what_was_read_back_is_newer_than_a_read_that_was_running(fresh: &Fresh) {
        let store = &fresh.store;
        let all = || facts(&[key("k1", "ada"), key("k2", "ada")]);
        sync(store, all(), complete(), 1).await;
        let mut running = store.begin_epoch(&system("directory"), at(2)).await.expect("begins");
        running.accept(all()).await.expect("takes facts");
        let effect = |credential: &str, active: Option<bool>| {
            let (system, account, credential) = (system("directory"), "ada".into(), credential.into());
            match active {
                Some(active) => ObservedEffect::CredentialPresent { system, account, credential, active },
                None => ObservedEffect::CredentialAbsent { system, account, credential },
            }
        };
        let seen = vec![effect("k1", None), effect("k2", Some(false)), effect("never-told", None)];
        read_back(store, Verb::RevokeCredential, "ada", seen, 3).await;
        let report = running.finish(complete(), at(4)).await.expect("finishes");
        assert!(report.changes.is_empty(), "{:?}", report.changes);
        assert_eq!(held(store, None).await, ["ada k2 stopped"]);
        // A later read counts: what it shows is there.
        let report = sync(store, all(), complete(), 5).await;
        assert_eq!((report.changes.credentials_added, report.changes.credentials_changed), (1, 1));
    }
}
