//! The policy's pages: what is live, what differs, and editing with checks.

use axum::http::StatusCode;
use jiff::SignedDuration;

use crate::practice::{Practice, send, words};
use crate::support::{Browser, PASSWORD};

/// The fields of the edit form as the page has them.
async fn form(browser: &mut Browser, address: &str) -> (String, Vec<(String, String)>) {
    let page = browser.get(address).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let attribute = |text: &str, name: &str| {
        let rest = text.split_once(&format!("{name}=\"")).map(|(_, rest)| rest);
        rest.and_then(|rest| rest.split_once('"')).map(|(value, _)| unescaped(value)).unwrap_or_default()
    };
    let edited = attribute(page.text.split_once("name=\"edited\"").expect("a digest").1, "value");
    let files = page.text.split("<fieldset class=\"file\">").skip(1).map(|field| {
        let path = attribute(field.split_once("name=\"path\"").expect("a path").1, "value");
        let text =
            field.split_once("<textarea").and_then(|(_, rest)| rest.split_once(">\n")).expect("a text").1;
        (path, unescaped(text.split_once("</textarea>").expect("an end").0))
    });
    let files = files.collect();
    (edited, files)
}

fn unescaped(text: &str) -> String {
    let named = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    named.iter().fold(text.to_owned(), |text, (name, c)| text.replace(name, c))
}

/// Sends the edit form, with the lines as a browser sends them.
async fn submit(
    browser: &mut Browser,
    button: &str,
    edited: &str,
    files: &[(String, String)],
) -> crate::support::Answer {
    let sent: Vec<String> = files.iter().map(|(_, text)| text.replace('\n', "\r\n")).collect();
    let mut fields = vec![("edited", edited), (button, "1")];
    for ((path, _), text) in files.iter().zip(&sent) {
        fields.push(("path", path.as_str()));
        fields.push(("text", text.as_str()));
    }
    send(browser, "/policy/edit", "/policy/edit", &fields).await
}

#[tokio::test]
async fn the_live_policy_is_shown_and_searched() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let page = browser.get("/policy?find=payments-engineer").await;
    let text = words(&page);
    assert!(text.contains("Revision 1, applied") && text.contains("by dana@example.com"), "{text}");
    let opened =
        page.text.split("<details").filter(|part| part.contains("\" open>") || part.contains(" open>"));
    let opened: Vec<&str> = opened.collect();
    assert!(
        !opened.is_empty() && opened.iter().all(|part| part.contains("payments-engineer")),
        "{}",
        page.text
    );
    assert_eq!(browser.get("/policy/revisions/1").await.status, StatusCode::OK);
    assert_eq!(browser.get("/policy/revisions/9").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/policy/diff").await.status, StatusCode::OK);
    assert_eq!(browser.get("/policy/diff?from=1&to=x").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_edit_is_checked_compared_and_applied() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let (edited, mut files) = form(&mut browser, "/policy/edit").await;
    let stored = practice.installation.store.live_policy().await.expect("reads").expect("one");
    assert_eq!(edited, stored.digest);
    // A form that is sent as it came changes nothing, whatever a browser does to the ends of lines.
    let same = submit(&mut browser, "check", &edited, &files).await;
    assert!(words(&same).contains("Nothing differs from the live revision"), "{}", words(&same));

    let role =
        files.iter_mut().find(|(_, text)| text.contains("[role.payments-engineer]")).expect("the role");
    let right = role.1.clone();
    role.1 = right.replacen("ledger-db:role/payments_rw", "ledger-db:role/no_such_role", 1);
    let wrong = submit(&mut browser, "check", &edited, &files).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let text = words(&wrong);
    assert!(text.contains("1 mistake to mend; nothing was changed"), "{text}");
    assert!(text.contains("^^^^") && text.contains("no_such_role"), "the place is shown: {text}");
    assert!(wrong.text.contains("aria-invalid=\"true\""), "beside the field");
    assert!(!wrong.text.contains("name=\"apply\""), "what is wrong cannot be applied");
    let forced = submit(&mut browser, "apply", &edited, &files).await;
    assert_eq!(forced.status, StatusCode::UNPROCESSABLE_ENTITY);

    // Without one of its grants, those who had it by the role lose it.
    let role =
        files.iter_mut().find(|(_, text)| text.contains("[role.payments-engineer]")).expect("the role");
    role.1 = right.replacen("\"ledger-db:role/payments_rw\"", "", 1).replace(", ,", ",").replace("[, ", "[");
    let checked = submit(&mut browser, "check", &edited, &files).await;
    assert_eq!(checked.status, StatusCode::OK, "{}", words(&checked));
    let text = words(&checked);
    assert!(text.contains("Loses") && text.contains("ledger-db:role/payments_rw"), "{text}");
    assert!(text.contains("Nobody gains anything"), "{text}");
    assert!(checked.text.contains("class=\"taken\""), "{}", checked.text);
    let applied = submit(&mut browser, "apply", &edited, &files).await;
    assert_eq!(
        (applied.status, applied.location()),
        (StatusCode::SEE_OTHER, "/policy"),
        "{}",
        words(&applied)
    );
    let live = practice.installation.store.live_policy().await.expect("reads").expect("one");
    assert_eq!((live.id, live.applied_by.as_str()), (2, "dana@example.com"));
    assert!(live.files.values().all(|text| !text.contains('\r')), "files are kept without carriage returns");
    let compared = words(&browser.get("/policy/diff?from=1&to=2").await);
    assert!(compared.contains("Loses") && compared.contains("ledger-db:role/payments_rw"), "{compared}");

    // Somebody who began before that is told, and loses nothing.
    let late = submit(&mut browser, "apply", &edited, &files).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(words(&late).contains("Another revision became live since you began"), "{}", words(&late));
    assert_eq!(practice.installation.store.policy_revisions().await.expect("reads").len(), 2);
}

#[tokio::test]
async fn paths_are_checked_and_what_was_typed_stays() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    for path in ["../../etc/passwd.toml", "roles/x.txt", "/roles/x.toml", "roles//x.toml", "a b.toml", ""] {
        let files = [(path.to_owned(), "# <typed> & kept\n".to_owned())];
        let answer = submit(&mut browser, "apply", "", &files).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert!(answer.text.contains("# &#60;typed&#62; &#38; kept"), "{path}: {}", answer.text);
        assert!(answer.text.contains("write a path below the policy folder"), "{path}");
    }
    let twice = [("a.toml".to_owned(), "# one\n".to_owned()), ("a.toml".to_owned(), "# two\n".to_owned())];
    let answer = submit(&mut browser, "check", "", &twice).await;
    assert!(words(&answer).contains("another file has this path already"), "{}", words(&answer));
    assert_eq!(practice.installation.store.policy_revisions().await.expect("reads").len(), 1);
}

#[tokio::test]
async fn who_signed_in_long_ago_confirms_and_finds_what_they_typed() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let (edited, mut files) = form(&mut browser, "/policy/edit").await;
    files[0].1.push_str("\n# a remark\n");
    practice
        .installation
        .clock
        .advance_ms(u64::try_from(SignedDuration::from_mins(11).as_millis()).expect("positive"));
    let asked = submit(&mut browser, "apply", &edited, &files).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER);
    assert!(
        asked.location().starts_with("/step-up?next=%2Fpolicy%2Fedit%3Fdraft%3D1"),
        "{}",
        asked.location()
    );
    assert_eq!(practice.installation.store.policy_revisions().await.expect("reads").len(), 1);
    let confirmed = send(
        &mut browser,
        asked.location(),
        "/step-up",
        &[("password", PASSWORD), ("next", "/policy/edit?draft=1")],
    )
    .await;
    assert_eq!(confirmed.location(), "/policy/edit?draft=1", "{}", confirmed.text);
    let (edited, kept) = form(&mut browser, "/policy/edit?draft=1").await;
    assert!(kept[0].1.contains("# a remark"), "nothing that was typed is lost: {}", kept[0].1);
    let applied = submit(&mut browser, "apply", &edited, &kept).await;
    assert_eq!(applied.location(), "/policy", "{}", words(&applied));
    assert_eq!(practice.installation.store.policy_revisions().await.expect("reads").len(), 2);
}

#[tokio::test]
async fn operators_and_auditors_see_the_policy_and_do_not_change_it() {
    let practice = Practice::new().await;
    for role in ["operator", "auditor"] {
        let user = practice.installation.make_user(&format!("{role}@example.com"), &[role]).await;
        let mut browser = practice.installation.browser_of(&user).await;
        let page = browser.get("/policy").await;
        assert_eq!(page.status, StatusCode::OK, "{role}");
        assert!(!page.text.contains("/policy/edit"), "{role}");
        assert_eq!(browser.get("/policy/edit").await.status, StatusCode::FORBIDDEN, "{role}");
        let refused = send(&mut browser, "/policy", "/policy/edit", &[("apply", "1")]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{role}");
    }
}
