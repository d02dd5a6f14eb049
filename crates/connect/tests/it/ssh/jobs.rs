//! Jobs that run whether or not anybody can log in: crontabs and jobs of `at`, in every folder that a host keeps them in.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use leasehold_connect::connector::Connector;
use leasehold_model::credential::CredentialKind;
use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, CredentialTarget, Outcome, ReadBack, ReadTarget};
use leasehold_testing::SshServer;

use super::{company, connector, key_of};
use crate::harness::{
    acknowledged, change_credential, enumerate, enumerate_all, hand_over, read_account, read_credential,
    read_hand_over, refused,
};

#[tokio::test]
async fn jobs_of_at_stop_and_come_back_and_go_with_the_account() {
    let server = SshServer::start();
    let (alice, bob, _) = company(&server);
    let connector = connector(&server);
    let connector = connector.as_ref();
    let [of_alice, of_bob] = ["alice", "bob"].map(|name| server.home_file(name, "ran"));
    for (name, file) in [("alice", &of_alice), ("bob", &of_bob), ("bob", &of_bob)] {
        server.ask_at(name, &format!("echo hunter2 > {}", file.display()));
    }
    let (facts, completeness) = enumerate(connector).await;
    assert!(completeness.is_complete(), "{completeness:?}");
    let told = [&alice, &bob].map(|account| &facts.credentials[&format!("{} at", account.login)]);
    assert_eq!(told.map(|told| told.label.as_str()), ["1 job of at", "2 jobs of at"]);
    assert!(told.iter().all(|told| told.active && told.kind == CredentialKind::ScheduledJob), "{told:?}");
    assert!(!format!("{told:?}").contains("hunter2"));

    // All three are due: hers were asked for first, and stay away when somebody runs them.
    let key = CredentialTarget { key: told[0].key.clone(), kind: CredentialKind::ScheduledJob };
    let changed = change_credential(connector, Verb::DisableCredential, &alice, &key).await;
    assert!(matches!(changed, Outcome::Acknowledged { .. }), "{changed:?}");
    assert_eq!(read_credential(connector, &alice, &key).await, (true, false));
    assert_eq!(change_credential(connector, Verb::DisableCredential, &alice, &key).await, Outcome::AlreadySo);
    let _atd = server.start_atd();
    let wait_for = |file: &std::path::Path| {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(120);
        while !file.exists() {
            assert!(std::time::Instant::now() < until, "{} was not made", file.display());
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    };
    wait_for(&of_bob);
    assert!(!of_alice.exists(), "a stopped job ran");
    let changed = change_credential(connector, Verb::EnableCredential, &alice, &key).await;
    assert!(matches!(changed, Outcome::Acknowledged { .. }), "{changed:?}");
    wait_for(&of_alice);

    // What is still to come can be removed, and goes with the account.
    for name in ["alice", "bob"] {
        server.ask_at_later(name, "true");
    }
    for expected in [(true, true), (false, false)] {
        assert_eq!(read_credential(connector, &alice, &key).await, expected);
        let changed = change_credential(connector, Verb::RevokeCredential, &alice, &key).await;
        assert_eq!(matches!(changed, Outcome::Acknowledged { .. }), expected.0, "{changed:?}");
    }
    acknowledged(connector, Verb::DeleteAccount, &bob, None).await;
    let (facts, _) = enumerate(connector).await;
    assert!(!facts.problems.iter().any(|problem| problem.place.contains("`at`")), "{:?}", facts.problems);
}

#[tokio::test]
async fn jobs_of_a_crontab_stop_and_come_back_and_go_with_the_account() {
    const JOBS: &str =
        "# nightly\nPATH=/usr/bin:/bin\n5 4 * * * backup --password 'hunter2' $(id)\n@daily report\n";
    let server = SshServer::start();
    let (alice, bob, _) = company(&server);
    let connector = connector(&server);
    let connector = connector.as_ref();
    server.set_crontab("alice", JOBS);
    server.set_crontab("bob", JOBS);
    let key = format!("{} crontab", alice.login);
    let (facts, completeness) = enumerate(connector).await;
    assert!(completeness.is_complete(), "{completeness:?}");
    let told = &facts.credentials[&key];
    assert_eq!(
        (told.kind, told.label.as_str(), told.active),
        (CredentialKind::ScheduledJob, "crontab with 2 jobs", true)
    );
    assert!(!format!("{told:?}").contains("hunter2"));

    let key = CredentialTarget { key: key.as_str().into(), kind: CredentialKind::ScheduledJob };
    for (verb, crontab) in [
        (
            Verb::DisableCredential,
            JOBS.replace("5 4", "#leasehold-disabled 5 4").replace("@daily", "#leasehold-disabled @daily"),
        ),
        (Verb::EnableCredential, JOBS.to_owned()),
        (Verb::RevokeCredential, "# nightly\nPATH=/usr/bin:/bin\n".to_owned()),
    ] {
        let changed = change_credential(connector, verb, &alice, &key).await;
        assert!(matches!(changed, Outcome::Acknowledged { .. }), "{changed:?}");
        assert_eq!(server.crontab("alice"), crontab, "{verb}");
        let target = ReadTarget::Credential { account: alice.clone(), credential: key.clone() };
        let read = connector.read_back(&target).await.expect("reads");
        let (exists, active) = (verb != Verb::RevokeCredential, verb == Verb::EnableCredential);
        assert_eq!(read, ReadBack::Credential { exists, active }, "{verb}");
        let again = change_credential(connector, verb, &alice, &key).await;
        assert_eq!(again, Outcome::AlreadySo, "{verb}");
    }
    assert_eq!(server.crontab("bob"), JOBS, "somebody else's jobs were changed");
    // Whoever gets the name next does not get the jobs.
    acknowledged(connector, Verb::DeleteAccount, &bob, None).await;
    let (facts, _) = enumerate(connector).await;
    assert!(!facts.problems.iter().any(|problem| problem.place.contains(&bob.login)), "{:?}", facts.problems);
}

#[tokio::test]
async fn a_crontab_is_handed_over_once_and_behind_what_is_there() {
    let server = SshServer::start();
    let (alice, bob, _) = company(&server);
    let connector = connector(&server);
    let connector = connector.as_ref();
    let own = "MAILTO=bob\n@hourly own\n";
    server.set_crontab(
        "alice",
        "# nightly\nMAILTO=alice\nPATH=/usr/bin:/bin\n5 4 * * * backup '$(id)'\n@daily report\n",
    );
    server.set_crontab("bob", own);
    let key = jobs(&alice, "crontab");
    changed(connector, Verb::DisableCredential, &alice, "crontab", (true, false)).await;
    assert_eq!(read_hand_over(connector, &alice, &key, &bob).await, (false, false));

    for (to, why) in [
        (
            AccountTarget { key: "root".into(), login: "root".to_owned() },
            "nothing that was left behind is to run as root",
        ),
        (AccountTarget { key: "nobody-here".into(), login: "nobody-here".to_owned() }, "there is no account"),
        (AccountTarget { key: "../x".into(), login: "../x".to_owned() }, "../x"),
    ] {
        match hand_over(connector, &alice, &key, &to).await {
            Outcome::Refused { why: said } => assert!(said.contains(why), "{said}"),
            other => panic!("{to:?}: {other:?}"),
        }
    }
    acknowledged(connector, Verb::DisableAccount, &bob, None).await;
    match hand_over(connector, &alice, &key, &bob).await {
        Outcome::Refused { why } => assert!(why.contains("is closed, and cron runs nothing for it"), "{why}"),
        other => panic!("{other:?}"),
    }
    acknowledged(connector, Verb::EnableAccount, &bob, None).await;
    assert_eq!(server.crontab("bob"), own);

    let lines = format!(
        "#leasehold-handed-over from {} by test\n# nightly\nPATH=/usr/bin:/bin\n5 4 * * * backup '$(id)'\n@daily report\n\
         #leasehold-handed-over end\n",
        alice.login
    );
    let stopped =
        lines.replace("5 4", "#leasehold-disabled 5 4").replace("@daily", "#leasehold-disabled @daily");
    let earlier = lines.replace("by test", "by an-earlier-one");
    let (left, jobs_left) =
        ("# nightly\nMAILTO=alice\nPATH=/usr/bin:/bin\n", "5 4 * * * backup '$(id)'\n@daily report\n");
    // The process may have died after each of the three writes; what an earlier action handed over stays as it is, or goes where it
    // never ran.
    for (theirs, hers, expected) in [
        (own.to_owned(), true, format!("{own}{lines}")),
        (format!("{own}{stopped}"), true, format!("{own}{lines}")),
        (format!("{own}{stopped}"), false, format!("{own}{lines}")),
        (format!("{own}{earlier}"), true, format!("{own}{earlier}{lines}")),
        (format!("{own}{}", stopped.replace("by test", "by an-earlier-one")), true, format!("{own}{lines}")),
    ] {
        server.set_crontab("alice", &format!("{left}{}", if hers { jobs_left } else { "" }));
        server.set_crontab("bob", &theirs);
        assert_eq!(read_hand_over(connector, &alice, &key, &bob).await, (!hers, false), "{theirs}");
        let outcome = hand_over(connector, &alice, &key, &bob).await;
        assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{outcome:?}");
        assert_eq!(server.crontab("bob"), expected);
        assert_eq!(server.crontab("alice"), left);
        assert_eq!(read_hand_over(connector, &alice, &key, &bob).await, (true, true));
        assert_eq!(hand_over(connector, &alice, &key, &bob).await, Outcome::AlreadySo);
    }
    // An earlier hand-over is not taken for this one.
    server.set_crontab("bob", &format!("{own}{earlier}"));
    assert_eq!(read_hand_over(connector, &alice, &key, &bob).await, (true, false));
    match hand_over(connector, &alice, &key, &bob).await {
        Outcome::Refused { why } => assert!(why.contains("has no jobs in a crontab any more"), "{why}"),
        other => panic!("{other:?}"),
    }

    server.set_crontab("alice", &format!("{left}{jobs_left}"));
    // Whoever has no crontab gets one that cron takes: theirs, and nobody else can read it.
    server.administer("crontab", &["-u", &bob.login, "-r"]);
    let outcome = hand_over(connector, &alice, &key, &bob).await;
    assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{outcome:?}");
    assert_eq!(server.crontab("bob"), format!("\n{lines}"));
    let file = server.crontab_file("bob");
    let owner = server.administer("stat", &["-c", "%U %G %a", &file.to_string_lossy()]);
    assert_eq!(owner.trim(), format!("{} crontab 600", bob.login));
    // Nothing is left to hand over, and a key is none.
    for (of, credential, why) in [
        (&bob, key_of(&server, "bob"), "only jobs of a crontab are handed over"),
        (&bob, jobs(&bob, "at"), "only jobs of a crontab are handed over"),
    ] {
        match hand_over(connector, of, &credential, &alice).await {
            Outcome::Refused { why: said } => assert!(said.contains(why), "{said}"),
            other => panic!("{other:?}"),
        }
    }
    changed(connector, Verb::RevokeCredential, &bob, "crontab", (false, false)).await;
    match hand_over(connector, &alice, &key, &bob).await {
        Outcome::Refused { why } => assert!(why.contains("has no jobs in a crontab any more"), "{why}"),
        other => panic!("{other:?}"),
    }
}

/// The key of an account's jobs of one sort.
fn jobs(account: &AccountTarget, sort: &str) -> CredentialTarget {
    let key = format!("{} {sort}", account.login);
    CredentialTarget { key: key.as_str().into(), kind: CredentialKind::ScheduledJob }
}

/// Changes jobs, and has the change read back.
async fn changed(
    connector: &dyn Connector,
    verb: Verb,
    account: &AccountTarget,
    sort: &str,
    expected: (bool, bool),
) {
    let outcome = change_credential(connector, verb, account, &jobs(account, sort)).await;
    assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{verb} {sort}: {outcome:?}");
    assert_eq!(read_credential(connector, account, &jobs(account, sort)).await, expected, "{verb} {sort}");
    let again = change_credential(connector, verb, account, &jobs(account, sort)).await;
    assert_eq!(again, Outcome::AlreadySo, "{verb} {sort}");
}

/// A folder that the host has in the place of `/var/spool`.
fn spool(server: &SshServer, folders: &[&str]) -> PathBuf {
    let spool = server.folder().join("spool");
    let _ = std::fs::remove_dir_all(&spool);
    for folder in folders.iter().chain(&[""]) {
        std::fs::create_dir_all(spool.join(folder)).expect("make a folder");
    }
    server.show_spool("leasehold", &spool);
    spool
}

/// Writes a file that belongs to an account.
fn write(account: &AccountTarget, path: &Path, content: &str, mode: u32) {
    std::fs::write(path, content).expect("write");
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set the mode");
    assert!(Command::new("chown").arg(&account.login).arg(path).status().expect("runs").success());
}

/// cronie asks PAM before it shows a crontab, and PAM says no of an account that has expired. So does the host here.
#[tokio::test]
async fn a_crontab_is_read_and_stopped_and_goes_though_its_account_has_expired() {
    const JOBS: &str = "MAILTO=me\n5 4 * * * report\n";
    let server = SshServer::start();
    let (alice, bob, _) = company(&server);
    let connector = connector(&server);
    let connector = connector.as_ref();
    acknowledged(connector, Verb::DisableAccount, &alice, None).await;
    for folder in ["cron/crontabs", "cron/tabs", "cron"] {
        let folder = spool(&server, &[folder, "at"]).join(folder);
        let file = folder.join(&alice.login);
        write(&alice, &file, JOBS, 0o600);
        let owner = std::fs::metadata(&file).expect("look").uid();
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        let touched = || std::fs::metadata(&folder).expect("look").modified().expect("a time") > long_ago;
        std::fs::File::open(&folder).and_then(|folder| folder.set_modified(long_ago)).expect("set the time");
        let facts = enumerate_all(connector).await;
        let told = &facts.credentials[jobs(&alice, "crontab").key.as_str()];
        assert!(told.active && told.label == "crontab with 1 job", "{told:?}");
        assert!(!touched());

        changed(connector, Verb::DisableCredential, &alice, "crontab", (true, false)).await;
        assert_eq!(
            std::fs::read_to_string(&file).expect("read"),
            "MAILTO=me\n#leasehold-disabled 5 4 * * * report\n"
        );
        let metadata = std::fs::metadata(&file).expect("look");
        assert_eq!(
            (metadata.uid(), metadata.mode() & 0o7777),
            (owner, 0o600),
            "cron takes it from its owner only"
        );
        assert!(touched(), "cron looks again");
        changed(connector, Verb::EnableCredential, &alice, "crontab", (true, true)).await;
        assert_eq!(std::fs::read_to_string(&file).expect("read"), JOBS);
        // One that has nothing but jobs goes whole.
        write(&alice, &file, "@daily report\n", 0o600);
        changed(connector, Verb::RevokeCredential, &alice, "crontab", (false, false)).await;
        assert_eq!(std::fs::read_dir(&folder).expect("list").count(), 0, "nothing is left in {folder:?}");
    }
    // Whoever gets the name next does not get the jobs.
    let folder = spool(&server, &["cron", "at"]).join("cron");
    write(&bob, &folder.join(&bob.login), JOBS, 0o600);
    acknowledged(connector, Verb::DisableAccount, &bob, None).await;
    acknowledged(connector, Verb::DeleteAccount, &bob, None).await;
    assert!(!folder.join(&bob.login).exists());
}

#[tokio::test]
async fn where_no_folder_of_jobs_is_known_nothing_is_called_absent() {
    let server = SshServer::start();
    let (alice, bob, _) = company(&server);
    let connector = connector(&server);
    let connector = connector.as_ref();
    spool(&server, &[]);
    let (_, completeness) = enumerate(connector).await;
    for word in ["an entry of crontab", "`at` is installed"] {
        assert!(!completeness.is_complete() && completeness.detail().contains(word), "{completeness:?}");
    }
    for sort in ["crontab", "at"] {
        let target = ReadTarget::Credential { account: alice.clone(), credential: jobs(&alice, sort) };
        let read = connector.read_back(&target).await;
        assert!(read.is_err(), "{sort}: {read:?}");
        let outcome =
            change_credential(connector, Verb::DisableCredential, &alice, &jobs(&alice, sort)).await;
        assert!(
            matches!(&outcome, Outcome::Refused { why } if why.contains("not read")),
            "{sort}: {outcome:?}"
        );
    }
    let why = refused(connector, Verb::DeleteAccount, &bob, None).await;
    assert!(why.contains("could not be removed") && why.contains("because of pam configuration"), "{why}");
    assert_eq!(read_account(connector, &bob).await, (true, true));
}

#[tokio::test]
async fn what_is_left_in_the_folder_of_crontabs_is_told_and_hides_nobody() {
    let server = SshServer::start();
    let (alice, ..) = company(&server);
    let connector = connector(&server);
    let connector = connector.as_ref();
    server.set_crontab("alice", "@daily report\n");
    let gone = server.crontab_file("gone");
    let aside = gone.with_file_name(format!("tmp.{}", server.name("x")));
    for file in [&gone, &aside] {
        std::fs::write(file, b"@daily \xff\n").expect("write");
    }
    let facts = enumerate_all(connector).await;
    assert!(facts.credentials.contains_key(jobs(&alice, "crontab").key.as_str()));
    let told: Vec<_> =
        facts.problems.iter().filter(|problem| problem.place.starts_with("crontab of ")).collect();
    let [problem] = told.as_slice() else { panic!("{:?}", facts.problems) };
    assert_eq!(problem.place, format!("crontab of {}", server.name("gone")));
    assert!(problem.message.contains("whoever gets this name"), "{problem:?}");
    changed(connector, Verb::DisableCredential, &alice, "crontab", (true, false)).await;
}

#[tokio::test]
async fn an_account_whose_crontab_stays_is_not_deleted() {
    let server = SshServer::start();
    let (alice, ..) = company(&server);
    let connector = connector(&server);
    server.set_crontab("alice", "@daily report\n");
    // Here `rm` succeeds and removes nothing.
    server.lie_to("leasehold", true);
    let why = refused(connector.as_ref(), Verb::DeleteAccount, &alice, None).await;
    let file = server.crontab_file("alice").display().to_string();
    assert!(why.contains(&format!("remove {file} by hand")), "{why}");
    server.lie_to("leasehold", false);
    acknowledged(connector.as_ref(), Verb::DeleteAccount, &alice, None).await;
    assert!(!server.crontab_file("alice").exists());
}

#[tokio::test]
async fn jobs_of_at_are_found_in_the_folder_of_each_distribution() {
    let server = SshServer::start();
    let (alice, bob, _) = company(&server);
    let connector = connector(&server);
    let connector = connector.as_ref();
    for folder in ["cron/atjobs", "at", "atjobs", "atd"] {
        let folder = spool(&server, &["cron/crontabs", folder]).join(folder);
        let job = folder.join("a0000101c0ffee");
        write(&alice, &job, "#!/bin/sh\n", 0o700);
        // What numbers the jobs stays, whoever it belongs to.
        let numbers = folder.join(".SEQ");
        write(&alice, &numbers, "00001\n", 0o600);
        let facts = enumerate_all(connector).await;
        assert!(facts.credentials[jobs(&alice, "at").key.as_str()].active, "{folder:?}");
        assert!(!facts.credentials.contains_key(jobs(&bob, "at").key.as_str()));
        changed(connector, Verb::DisableCredential, &alice, "at", (true, false)).await;
        assert_eq!(std::fs::metadata(&job).expect("look").mode() & 0o100, 0);
        changed(connector, Verb::EnableCredential, &alice, "at", (true, true)).await;
        changed(connector, Verb::RevokeCredential, &alice, "at", (false, false)).await;
        assert!(!job.exists() && numbers.exists());
    }
    let folder = spool(&server, &["cron/crontabs", "atd"]).join("atd");
    for name in ["a0000201c0ffee", "=0000301c0ffee", ".SEQ", "notes"] {
        write(&alice, &folder.join(name), "", 0o700);
    }
    acknowledged(connector, Verb::DeleteAccount, &alice, None).await;
    let mut left: Vec<_> =
        std::fs::read_dir(&folder).expect("list").map(|file| file.expect("a file").file_name()).collect();
    left.sort();
    assert_eq!(left, [".SEQ", "notes"]);
}

/// The file in which atd wrote its number outlives it, and the number is somebody else's then.
#[tokio::test]
async fn a_program_that_got_the_number_of_atd_is_left_alone() {
    let server = SshServer::start();
    let (alice, ..) = company(&server);
    let connector = connector(&server);
    server.ask_at_later("alice", "true");
    let mut other = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("starts");
    std::fs::write("/run/atd.pid", format!("{}\n", other.id())).expect("write the number");
    changed(connector.as_ref(), Verb::DisableCredential, &alice, "at", (true, false)).await;
    std::fs::remove_file("/run/atd.pid").expect("remove the number");
    assert!(other.try_wait().expect("look").is_none(), "it was told to start anew");
    other.kill().and_then(|()| other.wait()).expect("ends");
}
