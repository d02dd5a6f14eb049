//! `credential`: links for new credentials as they are made, listed and taken back on the machine of the store.

use crate::offboard::{company, key_of};

fn id(document: &serde_json::Value) -> &str {
    document["id"].as_str().expect("an id")
}

#[test]
fn links_are_made_listed_and_taken_back() {
    let (mut installation, whom) = company();
    let key = key_of(&mut installation, &whom);
    let first = installation.run(&["--json", "credential", "link", "cloud", &whom]).expect(0).json();
    assert_eq!((first["state"].as_str(), first["identity"].as_str()), (Some("waiting"), Some(whom.as_str())));
    let url = first["url"].as_str().expect("an address");
    let token = url.split_once("/credential-link?token=").expect("the page of links").1.to_owned();
    assert!(token.len() > 30, "nobody guesses {token}");

    let replacing = [
        "--json",
        "credential",
        "link",
        "cloud",
        &whom,
        "--replaces",
        &key,
        "--overlap",
        "7d",
        "--lasts",
        "12h",
    ];
    let second = installation.run(&replacing).expect(0).json();
    assert_eq!(
        (second["replaces"].as_str(), second["overlap_hours"].as_i64()),
        (Some(key.as_str()), Some(168))
    );
    let listed = installation.run(&["--json", "credential", "links"]).expect(0).json();
    let states: Vec<_> =
        listed["items"].as_array().expect("items").iter().map(|link| &link["state"]).collect();
    assert_eq!(states, ["waiting", "withdrawn"], "the later one took the place of the first");
    let printed = installation.run(&["credential", "links"]).expect(0).stdout;
    assert!(printed.contains(&whom) && !printed.contains(&token), "{printed}");

    installation.run(&["credential", "withdraw", id(&second)]).expect(0);
    let again = installation.run(&["credential", "withdraw", id(&second)]).expect(1);
    assert!(again.stderr.contains("waits to be opened"), "{}", again.stderr);
    installation.run(&["ledger", "verify"]).expect(0);
}

#[test]
fn what_cannot_be_is_named_and_nothing_is_made() {
    let (mut installation, whom) = company();
    for (arguments, words) in [
        (vec!["cloud", "nobody"], "no account `nobody`"),
        (vec!["nowhere", &whom], "nowhere"),
        (vec!["cloud", &whom, "--replaces", "no-such-key"], "no credential `no-such-key`"),
        (vec!["cloud", &whom, "--lasts", "90d"], "up to 14 days"),
        (vec!["hr", &whom], "makes no credentials"),
    ] {
        let refused = installation.run(&[&["credential", "link"][..], &arguments].concat()).expect(1);
        assert!(refused.stderr.contains(words), "{arguments:?}: {}", refused.stderr);
    }
    let listed = installation.run(&["credential", "links"]).expect(0).stdout;
    assert!(listed.contains("no link was made yet"), "{listed}");
}
