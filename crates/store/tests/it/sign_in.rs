//! Users, sessions, tokens, second factors and links.

use leasehold_store::{
    DeviceAnswer, DeviceLogin, IdempotentAnswer, IdempotentCall, LinkKind, NewApiToken, NewSession, NewUser,
    PasskeyRow, SignInLink, StoreError, User, UserChange, UserState,
};

use crate::common::*;

fn new_user(mail: &str, roles: &[&str]) -> NewUser {
    NewUser {
        mail: mail.to_owned(),
        name: "Dana".to_owned(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        password_hash: Some("hash".to_owned()),
        password_alone: true,
    }
}

async fn user(fresh: &Fresh, mail: &str, roles: &[&str]) -> User {
    fresh.store.create_user(&new_user(mail, roles), "ops", at(0)).await.expect("a user")
}

fn new_session(user: &str, token_hash: &str) -> NewSession {
    NewSession {
        token_hash: token_hash.to_owned(),
        user: user.to_owned(),
        expires_at: at(100),
        source: "127.0.0.1".to_owned(),
        browser: "test".to_owned(),
        method: "password".to_owned(),
        provider: None,
        confirmed_at: at(0),
    }
}

async fn in_use(fresh: &Fresh, token_hash: &str, minute: i64) -> bool {
    fresh.store.session_in_use(token_hash, at(minute - 60), at(minute)).await.expect("reads").is_some()
}

on_both! {
    async fn a_mail_address_is_one_user_in_any_case(fresh: &Fresh) {
        user(fresh, "Dana@Example.com", &["administrator"]).await;
        let again = fresh.store.create_user(&new_user("dana@example.COM", &[]), "ops", at(1)).await;
        assert!(matches!(again, Err(StoreError::UserExists { .. })), "{again:?}");
        let found = fresh.store.user_by_mail(" DANA@example.com ").await.expect("reads").expect("is there");
        assert_eq!((found.mail.as_str(), found.roles.len(), found.version), ("Dana@Example.com", 1, 1));
        assert_eq!(fresh.store.users().await.expect("reads").len(), 1);
    }

    async fn of_many_who_follow_the_first_link_one_becomes_the_first(fresh: &Fresh) {
        let link = SignInLink { kind: LinkKind::Setup, user: None, expires_at: at(10) };
        fresh.store.make_link("h", &link, "server", at(0)).await.expect("a link");
        assert!(fresh.store.create_first_user("h", &new_user("late@example.com", &[]), at(10)).await.expect("reads").is_none());
        assert!(!fresh.store.has_users().await.expect("reads"));
        let mut tries = tokio::task::JoinSet::new();
        for number in 0..8 {
            let store = fresh.store.clone();
            let new = new_user(&format!("user{number}@example.com"), &["administrator"]);
            tries.spawn(async move { store.create_first_user("h", &new, at(1)).await.expect("runs").is_some() });
        }
        assert_eq!(tries.join_all().await.into_iter().filter(|made| *made).count(), 1);
        assert_eq!(fresh.store.users().await.expect("reads").len(), 1);
    }

    async fn somebody_is_left_to_administer(fresh: &Fresh) {
        let dana = user(fresh, "dana@example.com", &["administrator"]).await;
        let lee = user(fresh, "lee@example.com", &["auditor"]).await;
        let suspended = UserChange { state: Some(UserState::Suspended), ..UserChange::default() };
        let demoted = UserChange { roles: Some(vec!["auditor".to_owned()]), ..UserChange::default() };
        for change in [&suspended, &demoted] {
            let refused = fresh.store.change_user(&dana.id, 1, change, "ops", at(1)).await;
            assert!(matches!(refused, Err(StoreError::LastAdministrator)), "{refused:?}");
        }
        let promoted = UserChange { roles: Some(vec!["administrator".to_owned()]), ..UserChange::default() };
        let moved = fresh.store.change_user(&lee.id, 7, &promoted, "ops", at(1)).await;
        assert!(matches!(moved, Err(StoreError::UserMoved)), "{moved:?}");
        fresh.store.change_user(&lee.id, 1, &promoted, "ops", at(1)).await.expect("promotes");
        fresh.store.begin_session(&new_session(&dana.id, "s"), None, at(1)).await.expect("begins");
        assert!(in_use(fresh, "s", 2).await);
        fresh.store.change_user(&dana.id, 1, &suspended, "ops", at(2)).await.expect("suspends");
        assert!(!in_use(fresh, "s", 2).await, "signed out");
        let refused = fresh.store.begin_session(&new_session(&dana.id, "t"), None, at(3)).await;
        assert!(matches!(refused, Err(StoreError::UnknownUser { .. })), "{refused:?}");
    }

    async fn a_session_ends_and_is_replaced(fresh: &Fresh) {
        let dana = user(fresh, "dana@example.com", &["administrator"]).await;
        let first = fresh.store.begin_session(&new_session(&dana.id, "a"), None, at(0)).await.expect("begins");
        fresh.store.begin_session(&new_session(&dana.id, "b"), Some(&first.id), at(1)).await.expect("begins");
        assert_eq!((in_use(fresh, "a", 2).await, in_use(fresh, "b", 2).await), (false, true));
        assert_eq!((in_use(fresh, "b", 60).await, in_use(fresh, "b", 61).await), (true, false), "not used");
        let session = fresh.store.sessions(Some(&dana.id), at(-60), at(2)).await.expect("reads").remove(0);
        fresh.store.touch_session(&session.id, at(50)).await.expect("notes");
        assert_eq!((in_use(fresh, "b", 99).await, in_use(fresh, "b", 100).await), (true, false), "too old");
        assert!(fresh.store.confirm_session(&session.id, &dana.id, "c", "password", at(51)).await.expect("notes"));
        assert_eq!((in_use(fresh, "b", 52).await, in_use(fresh, "c", 52).await), (false, true));
        assert_eq!(fresh.store.end_sessions("somebody else", Some(&session.id), "x", at(52)).await.expect("runs"), 0);
        assert_eq!(fresh.store.end_sessions(&dana.id, None, "dana", at(52)).await.expect("ends"), 1);
        assert!(!in_use(fresh, "c", 52).await);
    }

    async fn a_token_ends_by_time_and_by_revocation(fresh: &Fresh) {
        let dana = user(fresh, "dana@example.com", &["administrator"]).await;
        let new = NewApiToken {
            system: None,
            token_hash: "h".to_owned(),
            user: dana.id.clone(),
            name: "scripts".to_owned(),
            scopes: vec!["read".to_owned()],
            expires_at: at(10),
        };
        let token = fresh.store.create_token(&new, "dana", at(0)).await.expect("a token");
        let (found, owner) = fresh.store.token_in_use("h", at(9)).await.expect("reads").expect("in force");
        assert_eq!((&found, &owner.id), (&token, &dana.id));
        assert!(fresh.store.token_in_use("h", at(10)).await.expect("reads").is_none());
        assert!(!fresh.store.revoke_token(&token.id, Some("somebody else"), "x", at(1)).await.expect("runs"));
        assert!(fresh.store.revoke_token(&token.id, Some(&dana.id), "dana", at(1)).await.expect("revokes"));
        assert!(!fresh.store.revoke_token(&token.id, None, "dana", at(1)).await.expect("runs"), "once");
        assert!(fresh.store.token_in_use("h", at(2)).await.expect("reads").is_none());
    }

    async fn a_code_is_taken_once(fresh: &Fresh) {
        let dana = user(fresh, "dana@example.com", &["administrator"]).await;
        let store = &fresh.store;
        store.propose_one_time_code(&dana.id, "one").await.expect("keeps");
        store.propose_one_time_code(&dana.id, "two").await.expect("keeps another");
        let hashes = vec!["r1".to_owned(), "r2".to_owned()];
        assert!(store.confirm_one_time_code(&dana.id, 5, &hashes, "dana", at(0)).await.expect("confirms"));
        assert!(!store.confirm_one_time_code(&dana.id, 6, &hashes, "dana", at(0)).await.expect("runs"));
        store.propose_one_time_code(&dana.id, "three").await.expect("runs");
        assert_eq!(store.one_time_code(&dana.id).await.expect("reads").expect("is there").sealed_secret, "two");
        for (step, taken) in [(5, false), (7, true), (7, false), (6, false), (8, true)] {
            assert_eq!(store.use_one_time_code(&dana.id, step).await.expect("runs"), taken, "{step}");
        }
        for (code, taken) in [("r1", true), ("r1", false), ("r9", false)] {
            assert_eq!(store.use_recovery_code(&dana.id, code, at(1)).await.expect("runs"), taken, "{code}");
        }
        assert_eq!(store.recovery_codes_left(&dana.id).await.expect("reads"), 1);
        store.remove_one_time_code(&dana.id, "dana", at(2)).await.expect("removes");
        assert!(store.one_time_code(&dana.id).await.expect("reads").is_none());
        assert_eq!(store.recovery_codes_left(&dana.id).await.expect("reads"), 0);
    }

    async fn tries_are_counted_before_they_are_made(fresh: &Fresh) {
        let keys = ["a".to_owned(), "b".to_owned()];
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let (store, keys) = (fresh.store.clone(), keys.clone());
            tries.spawn(async move {
                let at_most_3 = |before: &[Option<leasehold_store::Failures>]| {
                    before[0].is_some_and(|failures| failures.count >= 3).then_some(())
                };
                store.begin_sign_in(&keys, at(0), at_most_3).await.expect("runs").is_none()
            });
        }
        assert_eq!(tries.join_all().await.into_iter().filter(|taken| *taken).count(), 3, "however many come at once");
        let seen = async |minute| {
            fresh.store.begin_sign_in(&keys, at(minute), |before| {
                Some(before.iter().map(|failures| failures.map_or(0, |failures| failures.count)).collect::<Vec<_>>())
            }).await.expect("runs").expect("refused")
        };
        assert_eq!(seen(1).await, [3, 3]);
        fresh.store.forget_failures(&keys[..1], &keys[1..]).await.expect("forgets");
        assert_eq!(seen(1).await, [0, 2]);
        assert_eq!(seen(24 * 60).await, [0, 0], "a day later");
        assert!(!fresh.store.is_known_browser("k", "u").await.expect("reads"));
        fresh.store.remember_browser("k", "u", at(0)).await.expect("keeps");
        fresh.store.remember_browser("k", "v", at(0)).await.expect("keeps");
        assert!(fresh.store.is_known_browser("k", "u").await.expect("reads"));
    }

    async fn passkeys_are_kept_once_and_taken_away_by_their_user(fresh: &Fresh) {
        let dana = user(fresh, "dana@example.com", &["administrator"]).await;
        let row = PasskeyRow {
            credential: "c".to_owned(),
            user: dana.id.clone(),
            name: "phone".to_owned(),
            body: "{}".to_owned(),
            created_at: at(0),
            last_used_at: None,
        };
        assert!(fresh.store.add_passkey(&row, "dana", at(0)).await.expect("keeps"));
        assert!(!fresh.store.add_passkey(&row, "dana", at(0)).await.expect("runs"));
        assert!(fresh.store.use_passkey(&row, "{\"counter\":1}", at(1)).await.expect("notes"));
        assert!(!fresh.store.use_passkey(&row, "{\"counter\":1}", at(1)).await.expect("runs"), "was used in between");
        let found = fresh.store.passkeys_of(&dana.id).await.expect("reads");
        assert_eq!((found.len(), found[0].body.as_str(), found[0].last_used_at), (1, "{\"counter\":1}", Some(at(1))));
        assert!(!fresh.store.remove_passkey("c", "somebody else", "x", at(2)).await.expect("runs"));
        assert!(fresh.store.remove_passkey("c", &dana.id, "dana", at(2)).await.expect("removes"));
        assert!(!fresh.store.use_passkey(&found[0], "{}", at(3)).await.expect("runs"), "is gone");
    }

    async fn a_challenge_is_answered_once_and_forgotten_when_it_has_expired(fresh: &Fresh) {
        assert!(fresh.store.use_challenge("h", at(5)).await.expect("uses"));
        assert!(!fresh.store.use_challenge("h", at(5)).await.expect("runs"));
        fresh.store.forget_expired_sign_ins(at(0), at(4)).await.expect("tidies");
        assert!(!fresh.store.use_challenge("h", at(5)).await.expect("runs"), "could still be answered");
        fresh.store.forget_expired_sign_ins(at(0), at(5)).await.expect("tidies");
        assert!(fresh.store.use_challenge("h", at(9)).await.expect("uses"), "nothing is left of it");
    }

    async fn whoever_lost_every_device_begins_anew(fresh: &Fresh) {
        let dana = user(fresh, "dana@example.com", &["administrator"]).await;
        assert!(!fresh.store.remove_factors(&dana.id, "ops", at(0)).await.expect("runs"), "there is none");
        let row = PasskeyRow {
            credential: "c".to_owned(),
            user: dana.id.clone(),
            name: "phone".to_owned(),
            body: "{}".to_owned(),
            created_at: at(0),
            last_used_at: None,
        };
        fresh.store.add_passkey(&row, "dana", at(0)).await.expect("keeps");
        fresh.store.propose_one_time_code(&dana.id, "sealed").await.expect("keeps");
        fresh.store.confirm_one_time_code(&dana.id, 1, &["r".to_owned()], "dana", at(0)).await.expect("keeps");
        assert!(fresh.store.remove_factors(&dana.id, "ops", at(1)).await.expect("removes"));
        assert_eq!(fresh.store.passkeys_of(&dana.id).await.expect("reads"), []);
        assert_eq!(fresh.store.one_time_code(&dana.id).await.expect("reads"), None);
        assert_eq!(fresh.store.recovery_codes_left(&dana.id).await.expect("reads"), 0);
    }

    async fn of_many_questions_one_gets_the_token_that_was_allowed(fresh: &Fresh) {
        let store = &fresh.store;
        let dana = user(fresh, "dana@example.com", &["administrator"]).await;
        let login = |source: &str| DeviceLogin {
            client: "a program".to_owned(),
            source: source.to_owned(),
            scopes: vec!["read".to_owned()],
            created_at: at(0),
            expires_at: at(10),
            interval_seconds: 5,
        };
        for (number, source, made) in [(1, "a", true), (2, "a", true), (3, "a", false), (4, "b", true), (5, "c", false)] {
            let (device, code) = (format!("d{number}"), format!("c{number}"));
            let begun = store.begin_device_login(&device, &code, &login(source), 3, 2).await;
            assert_eq!(begun.expect("runs"), made, "{number}");
        }
        assert_eq!(store.ask_device_login("d1", at(0)).await.expect("reads"), DeviceAnswer::Pending);
        assert_eq!(store.ask_device_login("d1", at(0)).await.expect("reads"), DeviceAnswer::TooSoon);
        assert_eq!(store.ask_device_login("d3", at(0)).await.expect("reads"), DeviceAnswer::Ended);
        assert!(store.device_login("c1", at(9)).await.expect("reads").is_some());
        assert!(store.device_login("c1", at(10)).await.expect("reads").is_none());
        let decide = async |code: &str, allowed, minute| {
            store.decide_device_login(code, allowed, &dana.id, "dana", at(minute)).await.expect("runs")
        };
        assert!(!decide("c1", true, 10).await, "too late");
        assert!(decide("c1", true, 1).await);
        assert!(!decide("c1", false, 1).await, "decided");
        assert!(decide("c2", false, 1).await);
        assert_eq!(store.ask_device_login("d2", at(1)).await.expect("reads"), DeviceAnswer::Refused);
        assert_eq!(store.ask_device_login("d2", at(1)).await.expect("reads"), DeviceAnswer::Ended);
        let allowed = store.ask_device_login("d1", at(1)).await.expect("reads");
        assert!(matches!(allowed, DeviceAnswer::Allowed { ref user, .. } if *user == dana.id), "{allowed:?}");
        let mut questions = tokio::task::JoinSet::new();
        for number in 0..8 {
            let store = store.clone();
            let new = NewApiToken {
                system: None,
                token_hash: format!("t{number}"),
                user: dana.id.clone(),
                name: "a program".to_owned(),
                scopes: vec!["read".to_owned()],
                expires_at: at(100),
            };
            questions.spawn(async move {
                store.redeem_device_login("d1", &new, "dana", at(1)).await.expect("runs").is_some()
            });
        }
        assert_eq!(questions.join_all().await.into_iter().filter(|got| *got).count(), 1);
        let tokens = store.tokens(None).await.expect("reads");
        assert_eq!(tokens.len(), 1);
        assert!(!store.give_token_back("unknown", at(2)).await.expect("runs"));
    }

    async fn a_call_with_a_key_is_done_once(fresh: &Fresh) {
        let store = &fresh.store;
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let store = store.clone();
            calls.spawn(async move { store.begin_idempotent("u", "k", "h", at(0)).await.expect("runs") == IdempotentCall::New });
        }
        assert_eq!(calls.join_all().await.into_iter().filter(|new| *new).count(), 1);
        assert_eq!(store.begin_idempotent("u", "k", "h", at(0)).await.expect("runs"), IdempotentCall::Running);
        let answer = IdempotentAnswer { status: 201, headers: "{}".to_owned(), body: "made".to_owned() };
        store.end_idempotent("u", "k", &answer).await.expect("keeps");
        assert_eq!(store.begin_idempotent("u", "k", "h", at(0)).await.expect("runs"), IdempotentCall::Done(answer));
        assert_eq!(store.begin_idempotent("u", "k", "other", at(0)).await.expect("runs"), IdempotentCall::Different);
        assert_eq!(store.begin_idempotent("v", "k", "h", at(0)).await.expect("runs"), IdempotentCall::New);
        store.forget_idempotent("v", "k").await.expect("forgets");
        assert_eq!(store.begin_idempotent("v", "k", "h", at(0)).await.expect("runs"), IdempotentCall::New);
    }
}
