//! When accounts logged in last, by what a real sshd leaves on the host, and by what other hosts tell.

use jiff::{SignedDuration, Timestamp};
use leasehold_model::account::LastUse;
use leasehold_testing::SshServer;

use super::connector;
use crate::harness::{enumerate, enumerate_all};

#[tokio::test]
async fn a_log_in_that_the_host_has_kept_is_told_and_no_other_is_called_unused() {
    let server = SshServer::start();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|short| server.add_account(short));
    let before = Timestamp::now();
    // Whatever zone and language the account has set for itself.
    assert!(server.run_on_terminal("alice", "TZ=Asia/Kolkata LANG=de_DE.UTF-8 tty").status.success());
    let output = server.run_as("bob", "true");
    assert!(output.status.success(), "{output:?}");
    let facts = enumerate_all(connector(&server).as_ref()).await;
    let LastUse::At(at) = facts.accounts[&alice].last_use else { panic!("{:?}", facts.accounts[&alice]) };
    assert!((at - before).abs().total(jiff::Unit::Second).expect("a span") < 60.0, "{at} is not {before}");
    for name in [&bob, &carol] {
        let told = facts.accounts[name].last_use;
        // Where this machine has a journal, Bob's is in it.
        assert!(
            told == LastUse::Unknown || (name == &bob && matches!(told, LastUse::At(_))),
            "{name}: {told:?}"
        );
    }
}

#[tokio::test]
async fn the_journal_counts_and_what_is_broken_or_missing_makes_nothing_partial() {
    let server = SshServer::start();
    let [alice, bob] = ["alice", "bob"].map(|short| server.add_account(short));
    let hour = Timestamp::now() - SignedDuration::from_hours(1);
    let line = |name: &str, seconds: i64| {
        format!("{seconds}.5 sshd[7]: Accepted publickey for {name} from ::1 port 9 ssh2")
    };
    let forged = format!(
        "{}.5 sshd[7]: Failed password for invalid user {}",
        hour.as_second(),
        line(&bob, hour.as_second())
    );
    let journal = format!(
        "[ \"$TZ$LC_ALL\" = UTCC ] || exit 1\ncase $* in *_UID=0*) ;; *) exit 1;; esac\ncat <<-end\n{}\n{}\n{forged}\nend",
        line(&alice, hour.as_second()),
        line(&alice, hour.as_second() - 60),
    );
    let silent =
        [("lastlog", "exit 127"), ("last", "echo usage: last >&2; exit 1"), ("journalctl", "exit 1")];
    let noise = "head -c 100000 /dev/urandom; echo; echo @end; echo @sums; exit 0";
    for (programs, expected) in [
        (vec![silent[0], silent[1], ("journalctl", journal.as_str())], Some(hour.as_second())),
        (silent.to_vec(), None),
        (vec![("lastlog", noise), ("last", noise), ("journalctl", noise)], None),
        (vec![silent[0], silent[1], ("journalctl", "sleep 60")], None),
    ] {
        server.show_programs("leasehold", &programs);
        let (facts, completeness) = enumerate(connector(&server).as_ref()).await;
        assert!(completeness.is_complete(), "{programs:?}: {completeness:?}");
        assert!(facts.problems.is_empty(), "{programs:?}: {:?}", facts.problems);
        let told = expected.map_or(LastUse::Unknown, |seconds| {
            LastUse::At(Timestamp::from_second(seconds).expect("an instant"))
        });
        assert_eq!(facts.accounts[&alice].last_use, told, "{programs:?}");
        assert_eq!(facts.accounts[&bob].last_use, LastUse::Unknown, "{programs:?}");
    }
}
