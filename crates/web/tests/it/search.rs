//! Search: everything that has a name, for whoever may see it.

use axum::http::StatusCode;
use leasehold_decide::plan::Scope;

use crate::practice::{Practice, words};

#[tokio::test]
async fn everything_with_a_name_is_found() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let view = practice.view();
    let plan = view.plan(&Scope::default());
    practice.installation.store.save_plan(&plan, practice.installation.now()).await.expect("kept");
    let person = view.evaluation().identities.iter().find(|it| it.manager.is_some()).expect("a person");
    let orphan = "temp.reception";
    let hash = &plan.hash.as_str()[..10];
    for (term, expected) in [
        (
            person.key.as_str().to_uppercase(),
            format!("/identities/{}", person.key.as_str().replace('@', "%40")),
        ),
        (
            person.attributes["family_name"].clone(),
            format!("/identities/{}", person.key.as_str().replace('@', "%40")),
        ),
        ("ledger".to_owned(), "/systems/ledger-db".to_owned()),
        ("PAYMENTS_RW".to_owned(), "/entitlements/ledger-db/role/payments_rw".to_owned()),
        (orphan.to_owned(), format!("/systems/directory/accounts?q={orphan}")),
        ("payments-engineer".to_owned(), "/policy?find=payments-engineer".to_owned()),
        (hash.to_owned(), format!("/plans/{}", plan.hash)),
    ] {
        for fragment in ["", "&fragment=1"] {
            let answer = browser.get(&format!("/search?q={}{fragment}", term.replace('@', "%40"))).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert!(answer.text.contains(&format!("href=\"{expected}")), "{term}: {}", answer.text);
            assert_eq!(answer.text.contains("<main"), fragment.is_empty(), "a fragment is no page");
        }
    }
    let nothing = browser.get("/search?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert!(words(&nothing).contains("Nothing that you may see holds"), "{}", words(&nothing));
    assert!(!nothing.text.contains("<script>alert"), "{}", nothing.text);
    assert!(words(&browser.get("/search").await).contains("Type a part of a name"));
    // The script of the palette is there, and there is no other.
    let scripts = nothing.text.matches("<script").count();
    assert_eq!((scripts, nothing.text.contains("/static/palette.js?v=")), (1, true));
}

#[tokio::test]
async fn nobody_finds_what_they_may_not_see() {
    let practice = Practice::new().await;
    let view = practice.view();
    let evaluation = view.evaluation();
    let managed = |key: &leasehold_model::id::IdentityKey| {
        evaluation
            .identities
            .iter()
            .any(|it| it.manager.as_ref() == Some(key) || it.owner.as_ref() == Some(key))
    };
    let own = evaluation
        .identities
        .iter()
        .find(|it| it.key.as_str().contains('@') && it.manager.is_some() && !managed(&it.key))
        .expect("somebody whom nobody answers to");
    let other =
        evaluation.identities.iter().find(|it| it.key != own.key && it.manager.is_some()).expect("another");
    let user = practice.installation.make_user(own.key.as_str(), &[]).await;
    let mut browser = practice.installation.browser_of(&user).await;
    let of = |key: &str| format!("/search?q={}", key.replace('@', "%40"));
    let mine = browser.get(&of(own.key.as_str())).await;
    assert!(mine.text.contains("/identities/"), "{}", words(&mine));
    for term in [other.key.as_str(), "payments_rw", "ledger", "temp.reception", "payments-engineer"] {
        let found = words(&browser.get(&of(term)).await);
        assert!(found.contains("Nothing that you may see holds"), "{term}: {found}");
    }
}
