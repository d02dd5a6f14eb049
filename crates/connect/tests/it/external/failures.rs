//! Programs that cannot be started, hang, flood, or show what they must not.

use std::time::{Duration, Instant};

use leasehold_connect::error::ConnectError;
use leasehold_connect::model::plan::Verb;
use leasehold_connect::model::request::{ReadBack, ReadTarget};

use super::Faulty;
use crate::harness::{account, acknowledged, entitlement, try_build};
use crate::support::{collect, read_grant, request};

/// How long the system may take to end a process that was killed.
const GONE_WITHIN: Duration = Duration::from_secs(60);

fn runs(process: u32) -> bool {
    // One that nobody has waited for yet does nothing any more.
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

async fn are_gone(processes: &[u32]) {
    let begun = Instant::now();
    while let Some(process) = processes.iter().find(|process| runs(**process)) {
        assert!(begun.elapsed() < GONE_WITHIN, "process {process} still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_with_all_that_it_started() {
    for fault in ["hangs at once", "hangs", "floods"] {
        let faulty = Faulty::with(fault, "timeout_ms = 1000");
        // On a slow machine the time may be over before the program has come to its fault.
        let processes = loop {
            let (_, ended) = collect(faulty.connector.as_ref()).await;
            assert!(
                matches!(ended, Err(ConnectError::Timeout { timeout_ms: 1000, .. })),
                "{fault}: {ended:?}"
            );
            if let Some(processes) = faulty.reached() {
                break processes;
            }
        };
        assert_eq!(processes.len(), 2, "the program and its child");
        are_gone(&processes).await;
    }
}

#[tokio::test]
async fn a_call_that_is_let_go_takes_its_program_with_it() {
    let faulty = Faulty::new("hangs");
    let enumerating = collect(faulty.connector.as_ref());
    let reached = async {
        loop {
            match faulty.reached() {
                Some(processes) => break processes,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let processes = tokio::select! {
        (_, ended) = enumerating => panic!("{ended:?}"),
        processes = reached => processes,
    };
    are_gone(&processes).await;
}

#[tokio::test]
async fn all_time_together_is_limited() {
    let faulty = Faulty::with("hangs", "enumerate_timeout_ms = 100");
    let (_, ended) = collect(faulty.connector.as_ref()).await;
    assert!(matches!(ended, Err(ConnectError::Timeout { .. })), "{ended:?}");
}

#[tokio::test]
async fn complaints_without_end_hold_up_nobody() {
    let faulty = Faulty::new("floods and answers");
    let (collected, ended) = collect(faulty.connector.as_ref()).await;
    assert!(ended.unwrap().is_complete());
    assert_eq!(collected.facts.len(), 5);
}

#[tokio::test]
async fn what_could_not_be_read_is_never_absent() {
    for (fault, words) in [
        ("cannot read", "reading back failed: no connection to the database"),
        ("other object", "is read, which is no answer to what was asked"),
    ] {
        let faulty = Faulty::new(fault);
        let read = faulty.connector.read_back(&read_grant("ann", "group/staff")).await;
        let message = read.unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
    let faulty = Faulty::new("nothing");
    let sessions =
        faulty.connector.read_back(&ReadTarget::Sessions { account: account("ann") }).await.unwrap();
    assert!(matches!(sessions, ReadBack::Unsupported { .. }), "{sessions:?}");
}

#[tokio::test]
async fn a_program_that_behaves_is_asked_again_and_another_is_started_for_one_that_does_not() {
    let process = async |faulty: &Faulty| faulty.connector.test().await.unwrap().target;
    let faulty = Faulty::new("nothing");
    assert_eq!(process(&faulty).await, process(&faulty).await);
    // One that ended between two questions has done nothing wrong.
    let faulty = Faulty::new("ends after each");
    let first = process(&faulty).await;
    let id: u32 = first.split_whitespace().nth(1).unwrap().parse().unwrap();
    are_gone(&[id]).await;
    assert_ne!(first, process(&faulty).await);
    // A second answer to the first question is none to the second one.
    let faulty = Faulty::new("answers twice");
    let before = process(&faulty).await;
    acknowledged(faulty.connector.as_ref(), Verb::Revoke, &account("ann"), Some(&entitlement("group/staff")))
        .await;
    let message =
        faulty.connector.read_back(&read_grant("ann", "group/staff")).await.unwrap_err().to_string();
    assert!(message.contains("answer each once, in order"), "{message}");
    assert_ne!(before, process(&faulty).await);
}

#[tokio::test]
async fn a_program_is_told_its_secrets_and_shows_them_to_nobody() {
    let secret = "planted-3c7e-program-secret";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), format!("{secret}\n")).unwrap();
    let further = format!("secrets = {{ password = 'file:{}' }}", folder.path().join("secret").display());
    let faulty = Faulty::with("shows what it was given", &further);
    let target = faulty.connector.test().await.unwrap().target;
    assert!(target.contains("secret [secret]") && !target.contains(secret), "{target}");
    // Its environment holds no more than it needs.
    assert!(target.contains("'PATH'") && !target.contains("CARGO"), "{target}");
    let faulty = Faulty::with("no hello", &further);
    let message = faulty.connector.test().await.unwrap_err().to_string();
    assert!(message.contains("(exit status: 4); its last words: cannot start with [secret]"), "{message}");
    let faulty = Faulty::with("error", &further);
    let message = collect(faulty.connector.as_ref()).await.1.unwrap_err().to_string();
    assert!(message.ends_with("with [secret]"), "{message}");
}

#[tokio::test]
async fn what_the_program_says_of_itself_is_held_against_the_settings() {
    for (fault, further, words) in [
        ("speaks version 2", "", "speaks version 2 of the protocol and this Leasehold version 1"),
        (
            "offers less",
            "capabilities = ['enumerate', 'revoke']",
            "names `revoke`, which the program does not offer; it offers enumerate, prove_completeness, read_back, grant",
        ),
    ] {
        let faulty = Faulty::with(fault, further);
        let message = faulty.connector.execute(&request(Verb::Revoke, "ann", Some("group/staff"))).await;
        let message = match message {
            Err(error) => error.to_string(),
            Ok(outcome) => faulty
                .connector
                .test()
                .await
                .map_or_else(|error| error.to_string(), |_| format!("{outcome:?}")),
        };
        assert!(message.contains(words), "{fault}: {message}");
    }
    let report = Faulty::new("acts").connector.test().await.unwrap();
    let rights = report.missing_rights.join("\n");
    assert!(rights.contains("also offers disable_account, list_credentials, list_sessions"), "{rights}");
    assert!(rights.contains("write `acting_as = \"robot\"`"), "{rights}");
    let report = Faulty::with("acts", "acting_as = 'robot'").connector.test().await.unwrap();
    assert_eq!(report.missing_rights.len(), 1);
}

#[test]
fn a_setting_that_is_wrong_is_named_with_the_mend() {
    let rest = "command = ['x']\ncapabilities = ['enumerate']\n";
    for (table, words) in [
        ("capabilities = ['enumerate']", "`command` of system `target`: is missing"),
        ("command = ['x']", "`capabilities` of system `target`: names what the program may be asked for"),
        (
            "command = ['x']\ncapabilities = ['enumerate', 'revok']",
            "`revok` is nothing that a program can be asked for; did you mean `revoke`?",
        ),
        ("command = ['x']\ncapabilities = ['enumerate', 'watch']", "`watch` is nothing"),
        (
            &format!("{rest}settings.db.password = 'hunter2'"),
            "`settings.db.password` of system `target`: looks like a secret",
        ),
        (
            &format!("{rest}secrets.password = 'hunter2'"),
            "`secrets.password` of system `target`: holds a secret in clear text",
        ),
        (&format!("{rest}timeout_m = 5"), "did you mean `timeout_ms`?"),
    ] {
        let message = try_build("external", table).map(drop).unwrap_err().to_string();
        assert!(message.contains(words) && !message.contains("hunter2"), "{message}");
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let table = "command = ['bin/nowhere']\ncapabilities = ['enumerate']";
    let connector = try_build("external", table).unwrap();
    let message = connector.test().await.unwrap_err().to_string();
    assert!(
        message.contains("cannot reach the program `/bin/nowhere`") && message.contains("check `command`"),
        "{message}"
    );
}
