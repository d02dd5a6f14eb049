//! When accounts logged in last, as far as the host has kept it. What it has not kept says nothing: a log-in without a terminal
//! is in the journal only, a journal forgets, and a host may have none.
//!
//! The journal's own fields say which program wrote a line, and only what root's sshd wrote counts. Other logs are not read:
//! every account of a host can write there what looks the same.

use std::collections::BTreeMap;

use jiff::fmt::strtime;
use jiff::{SignedDuration, Timestamp};

use crate::ssh::client::Session;
use crate::ssh::scripts;

/// What `last` tells beside accounts, by words that stand where a name does.
const NO_ACCOUNTS: [&str; 5] = ["reboot", "shutdown", "runlevel", "wtmp", "wtmpdb"];
/// How far the host's clock may be ahead of ours. What is further ahead was written by no log-in.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(1);

/// The last log-in of each account that the host has kept one of; nothing where it does not tell.
pub(super) async fn read(session: &Session<'_>, now: Timestamp) -> BTreeMap<String, Timestamp> {
    let answer = session.run("reading log-ins", &scripts::LOG_INS, b"").await;
    answer.map_or_else(|_| BTreeMap::new(), |answer| parse(&String::from_utf8_lossy(&answer.output), now))
}

/// Takes an answer of [`scripts::LOG_INS`] apart. A line that is not as it should be tells nothing.
fn parse(text: &str, now: Timestamp) -> BTreeMap<String, Timestamp> {
    let mut found = BTreeMap::new();
    let mut section = "";
    for line in text.lines() {
        let told = match section {
            _ if line.starts_with('@') => {
                section = line;
                None
            }
            "@lastlog" => of_lastlog(line),
            "@last" => of_last(line),
            "@journal" => of_journal(line),
            _ => None,
        };
        let Some((name, at)) = told.filter(|(_, at)| *at > Timestamp::UNIX_EPOCH && *at <= now + AHEAD_MAX)
        else {
            continue;
        };
        let latest = found.entry(name.to_owned()).or_insert(at);
        *latest = at.max(*latest);
    }
    found
}

/// `alice   pts/0   192.0.2.7   Fri Nov 27 19:23:08 +0000 2026`: the time is what it ends with.
fn of_lastlog(line: &str) -> Option<(&str, Timestamp)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (name, rest) = words.split_first()?;
    let at = rest.get(rest.len().checked_sub(6)?..)?.join(" ");
    Some((name, strtime::parse("%a %b %d %H:%M:%S %z %Y", at).ok()?.to_timestamp().ok()?))
}

/// `alice   pts/0   192.0.2.7   Fri Nov 27 19:20:00 2026 - …`: the first time is when it began, in UTC.
fn of_last(line: &str) -> Option<(&str, Timestamp)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (name, rest) = words.split_first()?;
    let at = rest.windows(5).find_map(|words| {
        let time = strtime::parse("%a %b %d %H:%M:%S %Y", words.join(" ")).ok()?;
        time.to_datetime().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()
    })?;
    (!NO_ACCOUNTS.contains(name)).then(|| (*name, at.timestamp()))
}

/// `1795807388.421875 alice`, as the script cuts it.
fn of_journal(line: &str) -> Option<(&str, Timestamp)> {
    let (at, name) = line.split_once(' ')?;
    let seconds = at.split('.').next()?.parse().ok()?;
    Some((name, Timestamp::from_second(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_log_in_of_each_account_counts_and_nonsense_none() {
        let now: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
        let text = "\
alice before any section Fri Nov 27 23:00:00 +0000 2026
@lastlog
Username         Port     From             Latest
alice            pts/0    192.0.2.7        Fri Nov 27 19:23:08 +0000 2026
bob              tty1                      Thu Nov 26 08:00:00 +0100 2026
carol                                      **Never logged in**
dan              pts/1    192.0.2.7        Fr 27. Nov 19:23:08 +0000 2026
future           pts/1    192.0.2.7        Sat Nov 28 02:00:00 +0000 2026
ahead            pts/1    192.0.2.7        Sat Nov 28 00:30:00 +0000 2026
epoch            pts/1    192.0.2.7        Thu Jan  1 00:00:00 +0000 1970
Fri Nov 27 19:23:08 +0000 2026
@last
alice    pts/0        192.0.2.7        Fri Nov  6 19:20:00 2026 - Fri Nov 27 19:30:00 2026  (00:10)
bob      pts/0        0.0.0.0          Fri Nov 27 07:00:00 2026   still logged in
reboot   system boot  0.0.0.0          Fri Nov 27 06:00:00 2026   still running
erin     pts/2        192.0.2.9        Fri Nov 27 06:00 - 07:00  (01:00)

wtmp begins Fri Nov 27 06:00:00 2026
@journal
1795760000.421875 alice
1795760000.421875 frank
x frank
99999999999999999999.0 gina
@end
";
        let found = parse(text, now);
        let found: Vec<(&str, String)> =
            found.iter().map(|(name, at)| (name.as_str(), at.to_string())).collect();
        let expected = [
            ("ahead", "2026-11-28T00:30:00Z"),
            ("alice", "2026-11-27T19:23:08Z"),
            ("bob", "2026-11-27T07:00:00Z"),
            ("frank", "2026-11-27T06:13:20Z"),
        ];
        assert_eq!(found, expected.map(|(name, at)| (name, at.to_owned())));
    }
}
