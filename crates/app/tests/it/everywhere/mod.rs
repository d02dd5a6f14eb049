//! One person offboarded from every real system at once: a directory, a domain, two databases, a cloud, a vault, a host and an
//! application. What is gone, what is left and what is as before is looked at with each target's own client.

mod aws;
mod career;
mod faults;
mod fixture;
mod kills;
mod mariadb;
mod openbao;
mod openldap;
mod outcome;
mod postgres;
mod samba;
mod scim;
mod silence;
mod ssh;
mod target;

use std::process::Child;
use std::time::Instant;

use serde_json::{Value, json};

use self::fixture::{Everywhere, LEAVER_KEY, SUCCESSOR_KEY};
use self::outcome::Outcome;
use self::target::{AGENT, Left, OTHERS, SERVICE, Target};
use crate::installation::Installation;

/// Ends a client that may have ended already.
fn end(session: &mut Option<Child>) {
    if let Some(mut session) = session.take() {
        let _ = (session.kill(), session.wait());
    }
}

/// The rights that the documents give Leasehold in a system: what the test shows to be enough is what they say.
pub fn documented(system: &str) -> String {
    let text = include_str!("../../../../../docs/operating.md");
    let after = text.split_once(&format!("\n**{system}**")).expect("a heading").1;
    let block = after.split("```").nth(1).expect("a fenced block");
    block.split_once('\n').expect("the block's language").1.to_owned()
}

/// The rounds in which what somebody has is taken away.
fn round(item: &Value) -> usize {
    match item["verb"].as_str() {
        Some("end_sessions") => 0,
        Some("revoke_credential" | "disable_credential") => 1,
        Some("revoke") => 2,
        Some("disable_account") => 3,
        other => panic!("{other:?} is no part of leaving"),
    }
}

/// Demands that within each system sessions end first, then credentials, then what is elevated, then the rest, then log-ins.
fn check_order(outcome: &Outcome, receipt: &Value, system: &str) {
    let planned = receipt["statement"]["items"].as_array().expect("items");
    let is_elevated = |item: &Value| {
        planned.iter().any(|planned| planned["id"] == item["id"] && planned["privileged"] == true)
    };
    let sent_at = |item: &Value| {
        item["sent_at"].as_str().expect("when it was sent").parse::<jiff::Timestamp>().expect("an instant")
    };
    let mut sent: Vec<_> = outcome
        .items(system)
        // What had to be sent again tells when that was, not when it was sent first.
        .filter(|item| item["attempts"].as_u64().is_some_and(|attempts| attempts <= 1))
        .map(|item| (sent_at(item), (round(item), !is_elevated(item))))
        .collect();
    sent.sort();
    assert!(!sent.is_empty(), "{system}: nothing was sent once");
    // Where taking away lasts, the log-in is closed without waiting for the rest of it; before the first of these is sent its
    // sessions are listed, which may last, too.
    let lasts = sent.first().zip(sent.last()).is_some_and(|((first, _), (last, _))| {
        last.duration_since(*first) > jiff::SignedDuration::from_millis(500)
    });
    if lasts {
        sent.retain(|(_, (round, _))| *round != 3);
    }
    assert!(sent.is_sorted_by_key(|(_, place)| *place), "{system}: {sent:#?}");
}

/// Demands that the receipt names something that the leaver had: ended by which action, or left and why.
fn check_named(outcome: &Outcome, receipt: &Value, target: &dyn Target, had: &Left) {
    let named = |verb: &str, about: &str| {
        outcome.items(target.name()).any(|item| {
            let names =
                item["entitlement"] == about || item["credential"]["key"] == about || about.is_empty();
            item["verb"] == verb && names && item["read_back_at"].is_string()
        })
    };
    let planned = receipt["statement"]["items"].as_array().expect("items").iter();
    let mut of_target = planned.filter(|item| item["system"] == target.name());
    let remaining = receipt["statement"]["remaining"].as_array().expect("a list");
    let is_named = match had {
        Left::LogIn => named("disable_account", ""),
        Left::Credential(key) => named("revoke_credential", key),
        Left::Job(key) => named("disable_credential", key),
        Left::Session if target.residual().contains(had) => outcome.items(target.name()).any(|item| {
            item["verb"] == "disable_account" && item["reason"].as_str().expect("why").contains("residual")
        }),
        Left::Session => named("end_sessions", ""),
        Left::Entitlement(name) if target.residual().contains(had) => remaining
            .iter()
            .any(|left| left["system"] == target.name() && left["entitlement"] == name.as_str()),
        // On the path that was revoked, or through it.
        Left::Entitlement(name) => {
            named("revoke", name)
                || of_target.any(|item| {
                    let ends = item["must_end"].as_array();
                    ends.into_iter().flatten().any(|end| end == name.as_str())
                })
        }
    };
    assert!(is_named, "{}: {had:?} is not in the receipt: {receipt:#}", target.name());
}

#[test]
fn a_person_is_offboarded_everywhere_at_once() {
    let mut everywhere = Everywhere::start();
    let mut installation = everywhere.install();
    let before = fixture::drift_of_others(&mut installation);
    let had = everywhere.each(|target| target.left());
    let began = Instant::now();
    let outcome = Everywhere::offboard(&mut installation, &["--yes", "--out", "receipt.json"]);
    println!("offboarded everywhere within {} ms", began.elapsed().as_millis());

    // All of it ended but what no program can end; with whatever it was done, the receipt names it.
    let receipt: Value = serde_json::from_str(&installation.read("receipt.json")).expect("a receipt");
    everywhere.each_numbered(|index, target| {
        let left = target.left();
        outcome.check_all_gone(target, &left);
        for had in &had[index] {
            check_named(&outcome, &receipt, target, had);
        }
        check_order(&outcome, &receipt, target.name());
    });
    // The last that nobody can look at is named, too.
    let unseen: Vec<&Value> = outcome.items("").filter(|item| item["state"] == "unverifiable").collect();
    assert_eq!(unseen.len(), 1, "{unseen:#?}");
    assert!(unseen[0]["reason"].as_str().is_some_and(|why| why.contains("lists no sessions")), "{unseen:#?}");

    // Whoever has the file and the key checks it, with nothing else at hand.
    let key = installation.run(&["ledger", "key"]).expect(0).stdout.trim().to_owned();
    let mut elsewhere = Installation::new();
    elsewhere.write("receipt.json", &receipt.to_string());
    let verify = ["ledger", "verify", "--bundle", "receipt.json", "--key", &key, "--json"];
    let verified = elsewhere.run(&verify).expect(0).json();
    assert_eq!(verified["identity"], LEAVER_KEY);
    assert_eq!(verified["items"], outcome.document["items"]);
    assert_eq!(verified["summary"]["actions"]["not_verified"], 1, "{:#}", verified["summary"]);

    // The successor answers for what the leaver answered for, and it works on as everybody else does.
    assert_eq!(
        outcome.document["successors"],
        json!({AGENT: SUCCESSOR_KEY, format!("{SERVICE}@example.com"): SUCCESSOR_KEY})
    );
    everywhere.each(|target| target.check_others_unchanged());
    installation.run(&["sync"]).expect(0);
    let after = fixture::drift_of_others(&mut installation);
    let gone: Vec<&String> = before.difference(&after).collect();
    let new: Vec<&String> = after.difference(&before).collect();
    // What the leaver may know of what the successor answers for now is on the rotation list.
    let is_rotated = |item: &&String| item.starts_with("[\"stale_credential\"");
    assert!(gone.is_empty() && new.iter().all(is_rotated), "others have what they had: {gone:?} {new:?}");
    let of = |system: &str| new.iter().any(|item| item.contains(&format!("\"{system}\"")));
    assert!(of("database") && of("cloud") && of("vault") && of("host"), "what is to be rotated: {new:?}");
    // Again there is nothing to end: nobody was forgotten.
    let plan = installation.run(&["plan", "--identity", LEAVER_KEY, "--json"]).expect(0).json();
    assert_eq!(plan["items"], json!([]), "{plan:#}");

    // What the leaver had running by itself is stopped, and runs for the successor after one word.
    everywhere.each(|target| target.allow_hand_over());
    installation.run(&["successor", LEAVER_KEY, SUCCESSOR_KEY]).expect(0);
    installation.run(&["plan", "--identity", LEAVER_KEY, "--out", "jobs.json"]).expect(2);
    let applied = installation.run(&["apply", "jobs.json", "--json"]).expect(0).json();
    let items = applied["items"].as_array().expect("items");
    let handed_over = |system: &str| {
        let of = |item: &&Value| item["system"] == system && item["verb"] == "hand_over_credential";
        items.iter().filter(of).map(|item| item["state"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(items.len(), 2, "{applied:#}");
    everywhere.each(|target| match target.is_handed_over() {
        Some(is_handed_over) => {
            assert!(is_handed_over, "{}: its job does not run as the successor", target.name());
            assert_eq!(handed_over(target.name()), ["verified"], "{applied:#}");
        }
        None => assert_eq!(handed_over(target.name()), [""; 0], "{applied:#}"),
    });
    // A receipt tells whom, and the log proves it.
    installation.run(&["receipt", LEAVER_KEY, "--out", "after.json"]).expect(2);
    let receipt: Value = serde_json::from_str(&installation.read("after.json")).expect("a receipt");
    let items = receipt["statement"]["items"].as_array().expect("items").iter();
    let told: Vec<&Value> = items.filter(|item| item["verb"] == "hand_over_credential").collect();
    assert_eq!(told.len(), 2, "{receipt:#}");
    assert!(
        told.iter().all(|item| item["to"]["login"].as_str().is_some_and(|login| login.contains(OTHERS[0])))
    );
    elsewhere.write("after.json", &receipt.to_string());
    elsewhere.run(&["ledger", "verify", "--bundle", "after.json", "--key", &key]).expect(0);
    let other =
        receipt.to_string().replace(&format!("{}@127.0.0.1", OTHERS[0]), &format!("{}@127.0.0.1", OTHERS[1]));
    elsewhere.write("other.json", &other);
    elsewhere.run(&["ledger", "verify", "--bundle", "other.json", "--key", &key]).expect(1);
    everywhere.each(|target| target.check_others_unchanged());
}
