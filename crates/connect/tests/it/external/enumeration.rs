//! What the worked example tells of real files, and what becomes of an enumeration that is not as it must be.

use leasehold_connect::error::ConnectError;
use leasehold_connect::model::fact::Completeness;

use super::{Faulty, Wiki};
use crate::harness::{enumerate, enumerate_all};
use crate::support::collect;

#[tokio::test]
async fn the_example_tells_what_is_in_the_files() {
    let wiki = Wiki::new();
    wiki.write("groups", "staff: ann ben zoe\neditors: ben\neditors: ann ben\nempty:\n");
    let facts = enumerate_all(wiki.connector().as_ref()).await;
    assert_eq!(facts.held_by("ann"), ["group/editors", "group/staff"]);
    assert_eq!(facts.held_by("ben"), ["group/editors", "group/staff"]);
    assert!(facts.entitlements.contains_key("group/empty"));
    let problems: Vec<String> = facts.problems.iter().map(|problem| problem.message.clone()).collect();
    assert_eq!(problems, ["zoe is not in the users' file; take the name out of the group"]);
    // A line that cannot be read may be of anybody.
    wiki.write("groups", "staff: ann ben\nnobody knows\n");
    let (facts, completeness) = enumerate(wiki.connector().as_ref()).await;
    assert!(!completeness.is_complete(), "{completeness:?}");
    assert_eq!(facts.problems[0].place, "groups:2");
}

/// An enumeration that went wrong: what it must end as, and how often a fact came before.
#[tokio::test]
async fn what_goes_wrong_on_the_way_is_an_error_and_what_came_before_counts() {
    for (fault, words) in [
        ("dies", "ended before it had answered (exit status: 3); its last words: the disk is full"),
        ("half", "ended in the middle of line 5 of its output"),
        ("long", "line 5 of the program's output is longer than 1048576 bytes"),
        ("other id", "line 5 of the program's output answers request 9, and request 2 was asked"),
        ("no json", "line 5 of the program's output is not one object of JSON"),
        ("no type", "line 5 of the program's output has no text as its `type`"),
        (
            "unknown type",
            "line 5 of the program's output (`complet`): `complet` is no type of message; did you mean `complete`?",
        ),
        ("nul", "line 5 of the program's output holds the character NUL"),
        ("problems", "more than 1000 problems"),
        ("error", "enumerating failed: no connection to the database"),
    ] {
        let faulty = Faulty::new(fault);
        let (collected, ended) = collect(faulty.connector.as_ref()).await;
        let message = match ended {
            Err(error @ ConnectError::Target { .. }) => error.to_string(),
            other => panic!("{fault}: {other:?}"),
        };
        assert!(message.contains(words), "{fault}: {message}");
        assert_eq!(collected.facts.len(), 3, "{fault}: what came whole counts");
    }
}

#[tokio::test]
async fn what_is_not_proved_complete_is_partial() {
    for (fault, further, words) in [
        ("partial", "", "the last page did not come"),
        ("miscounts", "", "the program says that it told 6 facts, and 5 arrived"),
        (
            "misspelt",
            "",
            "1 of 6 facts could not be used; the first is line 5 of the program's output: `account`: unknown field `enable`",
        ),
        ("empty key", "", "`key` is empty"),
        ("identity", "", "set `authoritative = true` if it is"),
        ("no evidence", "", "shows no evidence"),
        ("nothing", "capabilities = ['enumerate']", "does not name `prove_completeness`"),
    ] {
        let faulty = Faulty::with(fault, further);
        match collect(faulty.connector.as_ref()).await {
            (_, Ok(Completeness::Partial { why })) => assert!(why.contains(words), "{fault}: {why}"),
            (_, other) => panic!("{fault}: {other:?}"),
        }
    }
    let faulty = Faulty::with("identity", "authoritative = true");
    let (collected, ended) = collect(faulty.connector.as_ref()).await;
    assert!(ended.unwrap().is_complete() && collected.identities().len() == 1);
}
