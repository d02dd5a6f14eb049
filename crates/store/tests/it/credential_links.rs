//! Links that give a new credential: opened once, in their time, by the fastest; and what they replace.

use leasehold_ledger::entry::Entry;
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::fact::Fact;
use leasehold_model::id::CredentialKey;
use leasehold_model::request::AccountTarget;
use leasehold_store::{CredentialLinkState as State, LinkEnd, NewCredentialLink, Store};

use crate::common::*;

fn new(account: &str, replaces: Option<&str>) -> NewCredentialLink {
    NewCredentialLink {
        system: system("directory"),
        account: AccountTarget { key: account.into(), login: account.to_owned() },
        identity: "ada@example.com".into(),
        replaces: replaces.map(CredentialKey::from),
        overlap_ms: 5 * 60_000,
        expires_at: at(60),
    }
}

fn issued(credential: Option<&str>) -> LinkEnd {
    LinkEnd::Issued {
        credential: credential.map(CredentialKey::from),
        remark: "a password was made".to_owned(),
    }
}

async fn states(store: &Store) -> Vec<State> {
    store.credential_links(10).await.expect("reads").into_iter().map(|link| link.state).collect()
}

on_both! {
    async fn a_link_is_opened_once_and_in_its_time(fresh: &Fresh) {
        let store = &fresh.store;
        let made = store.make_credential_link("hash-1", &new("ada", None), "dana", at(1)).await.expect("makes");
        assert_eq!(store.credential_link("hash-1", at(2)).await.expect("reads"), Some(made.clone()));
        assert_eq!(store.credential_link("hash-1", at(60)).await.expect("reads"), None, "its time has passed");
        assert_eq!(store.credential_link("hash-2", at(2)).await.expect("reads"), None, "another token");
        let opened = store.open_credential_link("hash-1", at(3)).await.expect("opens").expect("is in force");
        assert_eq!((opened.state, opened.opened_at), (State::Opened, Some(at(3))));
        assert_eq!(store.open_credential_link("hash-1", at(3)).await.expect("answers"), None);
        store.end_credential_link(&opened, &issued(None), at(4)).await.expect("ends");
        let listed = store.credential_links(10).await.expect("reads");
        assert_eq!((listed[0].state, listed[0].remark.as_deref()), (State::Issued, Some("a password was made")));
        assert!(!store.withdraw_credential_link(&opened.id, "dana", at(5)).await.expect("answers"));
        let entries = store.ledger_entries(0, 10).await.expect("reads");
        let kinds: Vec<String> =
            entries.iter().map(|(_, bytes)| Entry::from_bytes(bytes).expect("an entry").kind).collect();
        assert_eq!(kinds, ["credential_link.made", "credential_link.opened", "credential.issued"]);
        for (_, bytes) in &entries {
            let text = String::from_utf8_lossy(bytes);
            assert!(!text.contains("ada@example.com") && !text.contains("dana"), "who stays out of the entry: {text}");
        }
    }

    async fn a_later_link_takes_the_place_of_one_that_waits(fresh: &Fresh) {
        let store = &fresh.store;
        store.make_credential_link("hash-1", &new("ada", None), "dana", at(1)).await.expect("makes");
        store.make_credential_link("hash-2", &new("bo", None), "dana", at(2)).await.expect("makes");
        let last = store.make_credential_link("hash-3", &new("ada", None), "dana", at(3)).await.expect("makes");
        assert_eq!(states(store).await, [State::Waiting, State::Waiting, State::Withdrawn]);
        assert_eq!(store.open_credential_link("hash-1", at(4)).await.expect("answers"), None);
        assert!(store.withdraw_credential_link(&last.id, "dana", at(4)).await.expect("withdraws"));
        assert!(!store.withdraw_credential_link("no such link", "dana", at(4)).await.expect("answers"));
        assert_eq!(store.open_credential_link("hash-3", at(5)).await.expect("answers"), None);
    }

    async fn of_many_at_once_one_opens_it(fresh: &Fresh) {
        fresh.store.make_credential_link("hash", &new("ada", None), "dana", at(1)).await.expect("makes");
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let store = fresh.store.clone();
            tries.spawn(async move { store.open_credential_link("hash", at(2)).await.expect("answers").is_some() });
        }
        let opened = tries.join_all().await;
        assert_eq!(opened.into_iter().filter(|opened| *opened).count(), 1);
    }

    async fn what_was_replaced_stays_for_the_overlap(fresh: &Fresh) {
        let store = &fresh.store;
        let key = Fact::Credential(Credential::new("k1", "ada", CredentialKind::AccessKey, "k1"));
        sync(store, vec![account("ada"), key], complete(), 1).await;
        let before = store.revision().await.expect("reads");
        store.make_credential_link("hash", &new("ada", Some("k1")), "dana", at(2)).await.expect("makes");
        let link = store.open_credential_link("hash", at(3)).await.expect("opens").expect("is in force");
        assert!(store.snapshot(None).await.expect("reads").replaced.is_empty(), "nothing took its place yet");
        store.end_credential_link(&link, &issued(Some("k2")), at(4)).await.expect("ends");
        let replaced = store.snapshot(None).await.expect("reads").replaced;
        assert_eq!(replaced.into_iter().collect::<Vec<_>>(), [(0, at(9))]);
        assert!(store.snapshot(Some(at(3))).await.expect("reads").replaced.is_empty(), "as it stood then");
        assert_ne!(store.revision().await.expect("reads"), before, "whoever keeps the state reads it again");
        // One that gave nothing replaces nothing.
        store.make_credential_link("hash-2", &new("ada", Some("k1")), "dana", at(10)).await.expect("makes");
        let link = store.open_credential_link("hash-2", at(11)).await.expect("opens").expect("is in force");
        let end = LinkEnd::NotIssued { why: "refused\0".to_owned() };
        store.end_credential_link(&link, &end, at(12)).await.expect("ends");
        assert_eq!(store.snapshot(None).await.expect("reads").replaced[&0], at(9));
        assert_eq!(states(store).await, [State::NotIssued, State::Issued]);
    }
}
