//! Who is pushed is an identity; who is deactivated or deleted has left at once, and what they hold elsewhere is drift.

use leasehold_model::decision::DriftKind;
use leasehold_model::id::IdentityKey;
use leasehold_model::identity::{Identity, LifecycleState, SCIM_LIFECYCLE_EXTENSION};
use serde_json::{Value, json};

use crate::support::{Installation, connected};

use super::{ENTERPRISE, GROUPS, Provider, USERS, id, pushing};

const MINUTE_MS: u64 = 60_000;

impl Provider {
    /// Has the loop do what is due.
    async fn turn(&self) -> usize {
        self.installation.driver.turn().await.expect("turns")
    }

    /// An identity as it is known now.
    fn identity(&self, key: &str) -> Option<Identity> {
        let view = self.installation.live.view().expect("a state");
        let identities = &view.loaded().snapshot.identities;
        let mut known = identities.iter().map(|(_, identity)| identity);
        known.find(|identity| identity.key == IdentityKey::from(key)).cloned()
    }

    /// The kinds of drift about somebody.
    fn drift(&self, key: &str) -> Vec<DriftKind> {
        let view = self.installation.live.view().expect("a state");
        view.drift_of_identity(&IdentityKey::from(key)).map(|item| item.kind).collect()
    }
}

fn ada() -> Value {
    json!({"userName": "ada@example.com", "name": {"givenName": "Ada", "familyName": "Byron"}, "title": "Clerk",
        "emails": [{"value": "ada@example.com", "type": "work", "primary": true}], ENTERPRISE: {"department": "Research"}})
}

#[tokio::test]
async fn who_is_pushed_is_an_identity() {
    let mut provider = Provider::new().await;
    let mia = id(&provider.make(USERS, json!({"userName": "mia@example.com"})).await);
    let mut sent = ada();
    sent[ENTERPRISE]["manager"] = json!({"value": mia});
    let made = id(&provider.make(USERS, sent).await);
    provider.make(GROUPS, json!({"displayName": "Payments", "members": [{"value": made}]})).await;
    // One push is read when no more has come for a moment: thousands of pushes are one reading.
    assert_eq!(provider.turn().await, 0);
    provider.installation.clock.advance_ms(2_000);
    assert_eq!(provider.turn().await, 1);
    assert_eq!(provider.turn().await, 0, "nothing more was pushed");
    let known = provider.identity("ada@example.com").expect("an identity");
    assert_eq!(
        (known.state, known.manager),
        (LifecycleState::Active, Some(IdentityKey::from("mia@example.com")))
    );
    for (name, value) in
        [("department", "Research"), ("title", "Clerk"), ("groups", "Payments"), ("email", "ada@example.com")]
    {
        assert_eq!(known.attributes.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_word_that_nobody_understands_brings_no_leaver_back() {
    let mut provider = Provider::new().await;
    let made = |lifecycle: Value| {
        let mut sent = ada();
        sent[SCIM_LIFECYCLE_EXTENSION] = lifecycle;
        sent
    };
    let path = format!("{USERS}/{}", id(&provider.make(USERS, made(json!({"status": "left"}))).await));
    provider.installation.clock.advance_ms(MINUTE_MS);
    provider.turn().await;
    for (lifecycle, named) in [
        (json!({"status": "resigned"}), "`status`"),
        (json!({"status": "active", "endDate": "31/01/2026"}), "`endDate`"),
        (json!({"startDate": "soon"}), "`startDate`"),
    ] {
        let refused = provider.call("PUT", &path, made(lifecycle.clone()), 400).await.json();
        let words = refused["detail"].as_str().unwrap_or_default();
        assert!(refused["scimType"] == "invalidValue" && words.contains(named), "{refused:#}");
        provider.call("POST", USERS, made(lifecycle), 400).await;
    }
    provider.installation.clock.advance_ms(MINUTE_MS);
    provider.turn().await;
    assert_eq!(provider.identity("ada@example.com").expect("known").state, LifecycleState::Left);
}

/// A provider may spell a name anew. Where the accounts then match who was there before as well, they end with the one who is there
/// now.
#[tokio::test]
async fn who_was_renamed_and_is_deactivated_leaves_no_account() {
    let mut provider = Provider::new().await;
    let path = format!("{USERS}/{}", id(&provider.make(USERS, ada()).await));
    provider.installation.clock.advance_ms(MINUTE_MS);
    provider.turn().await;
    provider
        .patch(&path, json!([{"op": "replace", "path": "userName", "value": "ada.king@example.com"}]))
        .await;
    provider.installation.clock.advance_ms(MINUTE_MS);
    provider.turn().await;
    provider.patch(&path, json!([{"op": "replace", "path": "active", "value": false}])).await;
    provider.turn().await;
    assert!(provider.drift("ada.king@example.com").contains(&DriftKind::Leaver));
}

#[tokio::test]
async fn who_is_deactivated_or_deleted_has_left_at_once() {
    let sent = |active: Value| json!({"userName": "ada@example.com", "emails": [{"value": "ada@example.com"}], "active": active});
    for (how, method, body) in [
        ("Okta, with PATCH", "PATCH", super::patch(json!([{"op": "replace", "value": {"active": false}}]))),
        ("Okta, with PUT", "PUT", sent(json!(false))),
        ("Entra ID", "PATCH", super::patch(json!([{"op": "Replace", "path": "active", "value": "False"}]))),
        ("deleted", "DELETE", Value::Null),
    ] {
        let mut provider = Provider::new().await;
        let path = format!("{USERS}/{}", id(&provider.make(USERS, ada()).await));
        provider.user("mia@example.com").await;
        provider.installation.clock.advance_ms(MINUTE_MS);
        provider.turn().await;
        assert!(!provider.drift("ada@example.com").contains(&DriftKind::Leaver));
        let status = if method == "DELETE" { 204 } else { 200 };
        provider.call(method, &path, body, status).await;
        // Not a moment later.
        assert_eq!(provider.turn().await, 1, "{how}");
        assert_eq!(
            provider.identity("ada@example.com").expect("known still").state,
            LifecycleState::Left,
            "{how}"
        );
        assert!(provider.drift("ada@example.com").contains(&DriftKind::Leaver), "{how}");
        assert_eq!(provider.identity("mia@example.com").expect("known").state, LifecycleState::Active);

        if method != "DELETE" {
            // Not by taking that away.
            let taken_away = json!([{"op": "remove", "path": "active"}]);
            provider.patch(&path, taken_away).await;
            provider.installation.clock.advance_ms(MINUTE_MS);
            assert_eq!(provider.turn().await, 1, "{how}");
            assert_eq!(
                provider.identity("ada@example.com").expect("known still").state,
                LifecycleState::Left,
                "{how}"
            );
        }

        // Who comes back is there again, by a new user of the same name too.
        match method {
            "DELETE" => drop(provider.make(USERS, ada()).await),
            _ => drop(provider.call("PUT", &path, sent(json!(true)), 200).await),
        }
        provider.installation.clock.advance_ms(MINUTE_MS);
        provider.turn().await;
        assert_eq!(
            provider.identity("ada@example.com").expect("known").state,
            LifecycleState::Active,
            "{how}"
        );
        assert!(!provider.drift("ada@example.com").contains(&DriftKind::Leaver), "{how}");
        // That they had left before is not forgotten.
        let view = provider.installation.live.view().expect("a state");
        let known = provider.identity("ada@example.com").expect("known");
        let state = view.loaded().snapshot.state_of(&known, view.as_of());
        assert_eq!(state, LifecycleState::Returned, "{how}");
    }
}

#[tokio::test]
async fn a_last_day_is_pushed_moved_and_taken_back() {
    let mut provider = Provider::new().await;
    let path = format!("{USERS}/{}", id(&provider.make(USERS, ada()).await));
    let (hour, now) = (jiff::SignedDuration::from_hours(1), provider.installation.now());
    let last_day = |end: jiff::Timestamp| json!({"status": "leaving", "endDate": end.to_string()});
    let pushed =
        |end| super::patch(json!([{"op": "add", "path": SCIM_LIFECYCLE_EXTENSION, "value": last_day(end)}]));
    let told = |provider: &Provider| {
        let known = provider.identity("ada@example.com").expect("known");
        (known.state, known.end)
    };
    // What nobody understands makes no leaver.
    let wrong =
        json!([{"op": "add", "path": format!("{SCIM_LIFECYCLE_EXTENSION}:endDate"), "value": "soon"}]);
    provider.call("PATCH", &path, super::patch(wrong), 400).await;
    provider.installation.clock.advance_ms(MINUTE_MS);
    provider.turn().await;
    assert_eq!(told(&provider), (LifecycleState::Active, None));
    // Of the day that comes first, one later, and none.
    provider.call("PATCH", &path, pushed(now + hour), 200).await;
    provider.installation.clock.advance_ms(MINUTE_MS);
    provider.turn().await;
    assert_eq!(told(&provider), (LifecycleState::Leaving, Some(now + hour)));
    provider.call("PATCH", &path, pushed(now + hour * 5), 200).await;
    provider.installation.clock.advance_ms(70 * MINUTE_MS);
    provider.turn().await;
    assert!(!provider.drift("ada@example.com").contains(&DriftKind::Leaver));
    let back = json!([{"op": "remove", "path": SCIM_LIFECYCLE_EXTENSION}]);
    provider.patch(&path, back).await;
    provider.installation.clock.advance_ms(300 * MINUTE_MS);
    provider.turn().await;
    assert_eq!(told(&provider), (LifecycleState::Active, None));
    assert!(!provider.drift("ada@example.com").contains(&DriftKind::Leaver));
    // A last day that has passed counts not a moment later.
    provider.call("PATCH", &path, pushed(now), 200).await;
    assert_eq!(provider.turn().await, 1);
    assert!(provider.drift("ada@example.com").contains(&DriftKind::Leaver));
}

#[tokio::test]
async fn a_reading_is_asked_for_once_however_much_is_pushed() {
    let mut provider = Provider::new().await;
    for number in 0..40 {
        provider.user(&format!("user{number}@example.com")).await;
        // More comes before it is quiet.
        provider.installation.clock.advance_ms(1_000);
        let read = provider.turn().await;
        assert_eq!(read, usize::from(number == 29), "after {number}: half a minute is the longest wait");
    }
    provider.installation.clock.advance_ms(2_000);
    assert_eq!(provider.turn().await, 1);
    assert_eq!(provider.installation.live.view().expect("a state").loaded().snapshot.identities.len(), 40);
}

#[tokio::test]
async fn where_the_system_is_not_authoritative_users_are_accounts_and_groups_entitlements() {
    let mut provider = Provider::new().await;
    provider.make(USERS, ada()).await;
    let mut portal = pushing(&provider.installation, "portal").await;
    let mut made = async |path: &str, body: Value| id(&portal.call("POST", path, body).await.json());
    let ada = made(USERS, ada()).await;
    let bo = made(USERS, json!({"userName": "stranger", "active": false})).await;
    let inner =
        made(GROUPS, json!({"displayName": "Readers", "members": [{"value": ada}, {"value": bo}]})).await;
    made(GROUPS, json!({"displayName": "Writers", "members": [{"value": inner, "type": "Group"}]})).await;
    made(GROUPS, json!({"displayName": "Writers"})).await;
    provider.installation.clock.advance_ms(MINUTE_MS);
    assert_eq!(provider.turn().await, 2);
    let mut program = provider.installation.program().await;
    let access = program.get("/api/v1/identities/ada@example.com/access").await.json().to_string();
    assert!(access.contains("group/Readers"), "{access}");
    let listed = program.get("/api/v1/entitlements?system=portal").await.json();
    let names: Vec<&str> = listed["items"]
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(|row| row["entitlement"].as_str())
        .collect();
    assert!(names.iter().any(|name| name.contains("group/Readers")), "{listed:#}");
    assert_eq!(
        names.iter().filter(|name| name.contains("Writers (")).count(),
        2,
        "of one name, told apart: {listed:#}"
    );
    let accounts = program.get("/api/v1/accounts?system=portal").await.json().to_string();
    assert!(accounts.contains("stranger"), "{accounts}");
}

#[tokio::test]
async fn of_whom_it_is_not_known_who_they_are_leaves_nobody() {
    let installation = Installation::with_systems(|folder| {
        let hr = connected(folder, "hr", "scim_push", true, "authoritative = true\nkey = \"email\"");
        [(hr.name.clone(), hr)].into()
    })
    .await;
    let program = pushing(&installation, "hr").await;
    let mut provider = Provider { installation, program };
    let reading = async |provider: &Provider| {
        provider.installation.clock.advance_ms(MINUTE_MS);
        provider.turn().await;
        let epochs = provider.installation.store.systems().await.expect("systems");
        epochs[0].latest.as_ref().expect("a reading").completeness.clone()
    };
    let path = format!("{USERS}/{}", id(&provider.make(USERS, ada()).await));
    assert!(reading(&provider).await.is_complete());
    let state = |provider: &Provider| provider.identity("ada@example.com").map(|identity| identity.state);
    assert_eq!(state(&provider), Some(LifecycleState::Active));

    // Without the attribute that tells who somebody is, it is not known that they are gone.
    provider.patch(&path, json!([{"op": "remove", "path": "emails"}])).await;
    let nameless = reading(&provider).await;
    assert!(!nameless.is_complete() && nameless.detail().contains("`email`"), "{nameless:?}");
    assert_eq!(state(&provider), Some(LifecycleState::Active));
    let back = json!([{"op": "add", "path": "emails", "value": ada()["emails"]}]);
    provider.patch(&path, back).await;
    assert!(reading(&provider).await.is_complete());

    // Nor which of two says how it is.
    let mut twin = ada();
    (twin["userName"], twin["active"]) = (json!("ada.byron"), json!(false));
    let twin = id(&provider.make(USERS, twin).await);
    let doubtful = reading(&provider).await;
    assert!(!doubtful.is_complete() && doubtful.detail().contains(&twin), "{doubtful:?}");
    assert_eq!(state(&provider), Some(LifecycleState::Active));
    // Whoever of them it is: nobody of them is there any more.
    provider.patch(&path, json!([{"op": "replace", "path": "active", "value": false}])).await;
    assert!(reading(&provider).await.is_complete());
    assert_eq!(state(&provider), Some(LifecycleState::Left));
    provider.patch(&path, json!([{"op": "replace", "path": "active", "value": true}])).await;
    assert!(!reading(&provider).await.is_complete());
    assert_eq!(state(&provider), Some(LifecycleState::Left), "nothing is taken from either");
    let twin_path = format!("{USERS}/{twin}");
    provider.patch(&twin_path, json!([{"op": "remove", "path": "emails"}])).await;
    reading(&provider).await;
    assert_eq!(state(&provider), Some(LifecycleState::Active));
    provider.patch(&twin_path, json!([{"op": "add", "path": "emails", "value": ada()["emails"]}])).await;
    provider.call("PATCH", &path, super::patch(json!([{"op": "remove", "path": "emails"}])), 200).await;
    reading(&provider).await;
    assert_eq!(state(&provider), Some(LifecycleState::Left), "the other one says that they left");
}
