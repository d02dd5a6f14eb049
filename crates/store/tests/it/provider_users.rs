//! Users as an OpenID provider knows them, the roles that it gives, and the sessions that it ends.

use leasehold_store::{NewSession, NewUser, ProviderLogout, ProviderSession, ProviderSubject, StoreError};

use crate::common::*;

const ISSUER: &str = "https://id.example.com";

fn subject(name: &str) -> ProviderSubject {
    ProviderSubject { issuer: ISSUER.to_owned(), subject: name.to_owned() }
}

fn new_user(mail: &str) -> NewUser {
    NewUser {
        mail: mail.to_owned(),
        name: mail.to_owned(),
        roles: Vec::new(),
        password_hash: None,
        password_alone: false,
    }
}

async fn begin(fresh: &Fresh, user: &str, token_hash: &str, provider: Option<(&str, Option<&str>)>) {
    let provider = provider
        .map(|(name, session)| ProviderSession { of: subject(name), session: session.map(str::to_owned) });
    let new = NewSession {
        token_hash: token_hash.to_owned(),
        user: user.to_owned(),
        expires_at: at(100),
        confirmed_at: at(1),
        source: "127.0.0.1".to_owned(),
        browser: "test".to_owned(),
        method: "openid".to_owned(),
        provider,
    };
    fresh.store.begin_session(&new, None, at(1)).await.expect("begins");
}

async fn in_use(fresh: &Fresh, hashes: &[&'static str]) -> Vec<&'static str> {
    let mut found = Vec::new();
    for hash in hashes {
        if fresh.store.session_in_use(hash, at(0), at(2)).await.expect("reads").is_some() {
            found.push(*hash);
        }
    }
    found
}

async fn end(fresh: &Fresh, token_id: &str, of: Option<&str>, session: Option<&str>) -> Option<u64> {
    let logout = ProviderLogout {
        issuer: ISSUER.to_owned(),
        token_id: token_id.to_owned(),
        subject: of.map(str::to_owned),
        session: session.map(str::to_owned),
        refused_until: at(8),
    };
    fresh.store.end_provider_sessions(&logout, at(2)).await.expect("ends")
}

on_both! {
    async fn a_mail_address_takes_nobodys_place(fresh: &Fresh) {
        let local = fresh.store.create_user(&new_user("dana@example.com"), "ops", at(0)).await.expect("a user");
        let made = fresh.store.create_provider_user(&subject("d"), &new_user("Dana@example.com"), at(1)).await;
        assert!(matches!(made, Err(StoreError::UserExists { .. })), "{made:?}");
        assert_eq!(fresh.store.provider_user(&subject("d")).await.expect("reads"), None);
        assert!(!fresh.store.has_provider(&local.id).await.expect("reads"));
        assert!(fresh.store.connect_provider_user(&subject("d"), &local.id, "dana", at(2)).await.expect("writes"));
        let found = fresh.store.provider_user(&subject("d")).await.expect("reads").expect("is known");
        assert_eq!(found.id, local.id);
        // The same subject is nobody else's afterwards, and another issuer's is another one.
        let other = fresh.store.create_user(&new_user("mia@example.com"), "ops", at(0)).await.expect("a user");
        assert!(!fresh.store.connect_provider_user(&subject("d"), &other.id, "mia", at(3)).await.expect("writes"));
        let elsewhere = ProviderSubject { issuer: "https://other.example.com".to_owned(), subject: "d".to_owned() };
        assert_eq!(fresh.store.provider_user(&elsewhere).await.expect("reads"), None);
    }

    async fn roles_of_a_provider_stand_beside_those_given_here(fresh: &Fresh) {
        let user = fresh.store.create_provider_user(&subject("m"), &new_user("mia@example.com"), at(1)).await;
        let user = user.expect("a user");
        let before = fresh.store.ledger_len().await.expect("reads");
        for (roles, entries) in [(vec!["operator"], 1), (vec!["operator"], 1), (vec![], 2)] {
            let roles: Vec<String> = roles.into_iter().map(str::to_owned).collect();
            fresh.store.set_provider_roles(&user.id, &roles, ISSUER, at(2)).await.expect("writes");
            let found = fresh.store.user(&user.id).await.expect("reads").expect("is there");
            assert_eq!((found.provider_roles, found.roles.len()), (roles, 0));
            assert_eq!(fresh.store.ledger_len().await.expect("reads"), before + entries, "one for each change");
        }
    }

    async fn a_provider_ends_its_own_sessions_once(fresh: &Fresh) {
        let mia = fresh.store.create_provider_user(&subject("m"), &new_user("mia@example.com"), at(1)).await;
        let ada = fresh.store.create_provider_user(&subject("a"), &new_user("ada@example.com"), at(1)).await;
        let (mia, ada) = (mia.expect("a user").id, ada.expect("a user").id);
        begin(fresh, &mia, "one", Some(("m", Some("sid-1")))).await;
        begin(fresh, &mia, "two", Some(("m", Some("sid-2")))).await;
        begin(fresh, &mia, "unnamed", Some(("m", None))).await;
        begin(fresh, &mia, "by password", None).await;
        begin(fresh, &ada, "of ada", Some(("a", Some("sid-3")))).await;
        let all = ["one", "two", "unnamed", "by password", "of ada"];
        assert_eq!(end(fresh, "nobody", None, None).await, Some(0));
        assert_eq!(end(fresh, "wrong pair", Some("a"), Some("sid-1")).await, Some(0));
        assert_eq!(in_use(fresh, &all).await, all);
        // A session without a name there is the subject's all the same.
        assert_eq!(end(fresh, "first", Some("m"), Some("sid-1")).await, Some(2));
        assert_eq!(in_use(fresh, &all).await, ["two", "by password", "of ada"]);
        assert_eq!(end(fresh, "first", Some("m"), None).await, None, "each token counts once");
        assert_eq!(end(fresh, "second", None, Some("sid-3")).await, Some(1));
        assert_eq!(end(fresh, "third", Some("m"), None).await, Some(1));
        assert_eq!(in_use(fresh, &all).await, ["by password"]);
    }
}
