//! The csv connector: files as they come, problems with their lines, and no absence without proof.

mod near_misses;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

use async_trait::async_trait;
use leasehold_connect::connector::{Connector, Sink};
use leasehold_connect::csv::grants::{Counts, ReadOptions, read_interned};
use leasehold_connect::csv::intern::Interner;
use leasehold_connect::error::ConnectError;
use leasehold_connect::model::account::LastUse;
use leasehold_connect::model::fact::{Completeness, Fact, FeedEnd, Owned, Problem};
use leasehold_connect::model::identity::{IdentityKind, LifecycleState};
use leasehold_connect::registry;

use crate::support::{Collected, collect, settings};

/// A folder with files and the connector over them.
fn connector(folder: &Path, files: &[(&str, &[u8])], text: &str) -> Result<Box<dyn Connector>, ConnectError> {
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    registry::build("csv", settings("source", folder, text))
}

async fn read(files: &[(&str, &str)], text: &str) -> (Collected, Result<Completeness, ConnectError>) {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    collect(connector(folder.path(), &files, text).unwrap().as_ref()).await
}

const FEED: &str = "path = 'people.csv'\nauthoritative = true\nkey = 'email'";

async fn read_feed(people: &str, more: &str) -> (Collected, Result<Completeness, ConnectError>) {
    read(&[("people.csv", people)], &format!("{FEED}\n{more}")).await
}

fn places(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.place.as_str()).collect()
}

#[tokio::test]
async fn a_feed_with_the_default_header_is_read_whole() {
    let people = "email,employee_number,given_name,family_name,title,department,location,manager,kind,status,start_date,end_date,Cost Centre\n\
        nela.quill@example.com,E1,Nela,Quill,\"Engineer, senior\",Payments,Millford,boss@example.com,person,leaving,2020-02-01,2026-03-31,17\n\
        svc-x@example.com,,,,,,,,service,active,,,\n";
    let (collected, ended) = read_feed(people, "").await;
    let evidence = ended.unwrap();
    assert!(evidence.is_complete() && evidence.detail().contains("people.csv: 2 rows"), "{evidence:?}");
    assert!(collected.problems.is_empty());
    let [person, service] = collected.identities()[..] else { panic!("{collected:?}") };
    assert_eq!(person.key.as_str(), "nela.quill@example.com");
    assert_eq!(person.state, LifecycleState::Leaving);
    assert_eq!(person.start.unwrap().to_string(), "2020-02-01T00:00:00Z");
    assert_eq!(person.end.unwrap().to_string(), "2026-04-01T00:00:00Z", "the last day is worked to its end");
    assert_eq!(person.attribute("manager"), Some("boss@example.com"));
    assert_eq!(person.attribute("title"), Some("Engineer, senior"));
    assert_eq!(person.attribute("email"), Some("nela.quill@example.com"));
    assert_eq!(person.attribute("cost_centre"), Some("17"));
    assert_eq!(service.kind, IdentityKind::Service);
    assert_eq!(collected.progress.last(), Some(&(people.len() as u64, Some(people.len() as u64))));
}

#[tokio::test]
async fn of_several_rows_about_somebody_the_one_in_force_counts() {
    let people = "email,department,Valid from,status\n\
        kim@example.com,Sales,2020-01-01,active\n\
        kim@example.com,Support,2021-01-01,active\n\
        kim@example.com,Research,2999-01-01,active\n\
        lee@example.com,Sales,2999-01-01,active\n\
        kim@example.com,Payroll,2021-01-01,active\n";
    let (collected, ended) = read_feed(people, "columns = { effective_date = 'Valid from' }").await;
    assert!(ended.unwrap().is_complete());
    let [kim, lee] = collected.identities()[..] else { panic!("{collected:?}") };
    assert_eq!((kim.attribute("department"), kim.start), (Some("Support"), None));
    assert_eq!(lee.start.unwrap().to_string(), "2999-01-01T00:00:00Z", "is still to come");
    assert_eq!(places(&collected.problems), ["people.csv:6"]);
    assert!(collected.problems[0].message.contains("line 3"), "{:?}", collected.problems);
    // Not by the header alone: many exports have such a column and one row a person.
    let (collected, _) = read_feed("email,effective_date\nkim@example.com,2999-01-01\n", "").await;
    assert_eq!((collected.identities().len(), collected.identities()[0].start), (1, None));
    assert_eq!(collected.identities()[0].attribute("effective_date"), Some("2999-01-01"));
}

#[tokio::test]
async fn their_headers_encodings_and_delimiters_are_read() {
    let latin1: Vec<u8> = "E-Mail;Abteilung;Eintritt\nnela@example.com;Zür\u{fc}ck;05.02.2026\n"
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "{FEED}\nencoding = 'latin1'\ntimezone = 'Europe/Zurich'\n\
         columns = {{ email = 'e-mail', department = 'ABTEILUNG', start_date = 'Eintritt' }}"
    );
    let source = connector(folder.path(), &[("people.csv", &latin1)], &text).unwrap();
    let (collected, ended) = collect(source.as_ref()).await;
    assert!(ended.unwrap().is_complete());
    let person = collected.identities()[0];
    assert_eq!(person.attribute("department"), Some("Zürück"));
    assert_eq!(person.start.unwrap().to_string(), "2026-02-04T23:00:00Z");
    // The same file without the setting: the name is a problem with its line, the person is still there.
    let source =
        connector(folder.path(), &[("people.csv", &latin1)], &text.replace("encoding = 'latin1'", ""))
            .unwrap();
    let (collected, _) = collect(source.as_ref()).await;
    assert_eq!(places(&collected.problems), ["people.csv:2"]);
    assert!(collected.problems[0].message.contains("windows-1252"));
    assert_eq!(collected.identities()[0].attribute("department"), None);
}

#[tokio::test]
async fn bad_rows_are_listed_with_their_physical_line_and_never_make_a_leaver() {
    let people = "email,status,end_date,note\n\
        a@example.com,active,,\"two\nlines\"\n\
        b@example.com,sabbatical,,\n\
        c@example.com,active,03/04/2026,\n\
        A@example.com,active,,\n\
        d@example.com,active,31.02.2026,\n";
    let (collected, ended) = read_feed(people, "problem_share_max = 0.9").await;
    assert_eq!(places(&collected.problems), ["people.csv:4", "people.csv:5", "people.csv:6", "people.csv:7"]);
    assert!(collected.problems[0].message.contains("sabbatical"));
    assert!(collected.problems[1].message.contains("date_order"));
    assert!(collected.problems[2].message.contains("line 2"), "{:?}", collected.problems[2]);
    let keys: BTreeSet<&str> = collected.identities().iter().map(|identity| identity.key.as_str()).collect();
    assert_eq!(keys, ["a@example.com", "b@example.com", "c@example.com", "d@example.com"].into());
    assert!(ended.unwrap().is_complete(), "nobody of the file is missing");
    // Nor do they bring one back: of whom no known state is told, what was told before counts.
    let unknown = |facts: &[Fact]| -> Vec<String> {
        let key = |fact: &Fact| match fact {
            Fact::IdentityInPart(identity, untold) if untold.state => Some(identity.key.to_string()),
            _ => None,
        };
        facts.iter().filter_map(key).collect()
    };
    assert_eq!(unknown(&collected.facts), ["b@example.com"]);
    let (collected, _) = read_feed("email,staus\na@example.com,left\nb@example.com,\n", "").await;
    assert_eq!(unknown(&collected.facts), ["a@example.com", "b@example.com"], "no column tells states");
    let (collected, _) = read_feed("email,status\na@example.com,\n", "").await;
    assert_eq!(unknown(&collected.facts).len(), 0, "an empty status says active");

    // A row that names nobody may hide somebody.
    let people = "email,status\na@example.com,active\n,active\nb@example.com,active,too many\n,\n";
    let (collected, ended) = read_feed(people, "problem_share_max = 1").await;
    assert_eq!(places(&collected.problems), ["people.csv:3", "people.csv:4"]);
    let why = ended.unwrap();
    assert!(!why.is_complete() && why.detail().contains("people.csv:3"), "{why:?}");
    let (_, ended) = read_feed(people, "problem_share_max = 1\nunusable_rows_max = 2").await;
    assert!(ended.unwrap().is_complete());
}

#[tokio::test]
async fn a_nul_byte_is_a_problem_of_its_line_and_nothing_is_told_under_such_a_name() {
    let people = "email,title\na@example.com,\nb\0@example.com,\nc@example.com,Lea\0d\n";
    let (collected, ended) = read_feed(people, "problem_share_max = 1").await;
    assert_eq!(places(&collected.problems), ["people.csv:3", "people.csv:4"]);
    assert!(collected.problems[0].message.contains("`b\\0@example.com` holds a NUL byte"), "{collected:?}");
    let keys: Vec<&str> = collected.identities().iter().map(|identity| identity.key.as_str()).collect();
    assert_eq!(keys, ["a@example.com", "c@example.com"]);
    assert_eq!(
        collected.identities()[1].attribute("title"),
        None,
        "the value is left out, the person is not"
    );
    let why = ended.unwrap();
    assert!(!why.is_complete() && why.detail().contains("1 rows could not be used"), "{why:?}");
    assert!(why.detail().contains("people.csv:3"), "{why:?}");
    let (_, ended) = read_feed(people, "problem_share_max = 1\nunusable_rows_max = 1").await;
    assert!(ended.unwrap().is_complete());

    let grants = "account,entitlement,options\nn\0,r\nn\0,r,\nn\0,r2,\nok,r\0,\nok,r,o\0\nok,r\0,\n";
    let listed =
        [("a.csv", "key\nok\nn\0\n"), ("r.csv", "name,title\nr,t\0\nr\0,\nr2,\n"), ("g.csv", grants)];
    let tables = "accounts = 'a.csv'\nentitlements = 'r.csv'\ngrants = 'g.csv'";
    for (files, text, also) in [
        (&listed[..], tables, &["a.csv:3", "r.csv:2", "r.csv:3"][..]),
        (&listed[2..], "grants = 'g.csv'", &[]),
    ] {
        let (collected, ended) = read(files, &format!("{text}\nproblem_share_max = 1")).await;
        let lines = ["g.csv:2", "g.csv:3", "g.csv:4", "g.csv:5", "g.csv:6", "g.csv:7"];
        assert_eq!(places(&collected.problems), [also, &lines[..]].concat());
        assert!(!ended.unwrap().is_complete());
        let told = format!("{:?}", collected.facts);
        assert!(!told.contains("\\0") && collected.grants().len() == 1, "{told}");
    }
}

#[tokio::test]
async fn the_year_9999_is_no_end() {
    for end in ["9999-12-31", "31.12.9999", "9999-12-31T23:59:59Z", "9999-12-31 00:00"] {
        let (collected, ended) = read_feed(&format!("email,end_date\na@example.com,{end}\n"), "").await;
        assert!(ended.unwrap().is_complete() && collected.problems.is_empty(), "{end}: {collected:?}");
        assert_eq!(collected.identities()[0].end, None, "{end}");
    }
    let (collected, _) = read_feed("email,end_date\na@example.com,9999-13-31\n", "").await;
    assert!(collected.problems[0].message.contains("not a day of the calendar"), "{collected:?}");
}

#[tokio::test]
async fn what_is_neither_yes_nor_no_is_a_problem_and_counts_as_what_is_looked_at() {
    let files = [
        ("a.csv", "key,enabled\nyes,ja\nno,nein\nodd,vielleicht\n"),
        ("r.csv", "name,privileged\nyes,ja\nno,nein\nodd,vielleicht\nnone,\n"),
        ("g.csv", "account,entitlement\nodd,odd\n"),
    ];
    let (collected, ended) =
        read(&files, "accounts = 'a.csv'\nentitlements = 'r.csv'\ngrants = 'g.csv'").await;
    assert_eq!(places(&collected.problems), ["a.csv:4", "r.csv:4"]);
    assert!(collected.problems[0].message.contains("`vielleicht` is not known and taken as enabled"));
    assert!(collected.problems[1].message.contains("counts as privileged until it is mended"));
    let enabled: Vec<bool> = collected.accounts().iter().map(|account| account.enabled).collect();
    let privileged: Vec<bool> = collected.entitlements().iter().map(|found| found.privileged).collect();
    assert_eq!((enabled, privileged), (vec![true, false, true], vec![true, false, true, false]));
    assert!(ended.unwrap().is_complete(), "nothing is missing");
}

#[tokio::test]
async fn a_file_that_ends_in_the_middle_of_a_line_is_partial_whatever_the_limits_bear() {
    let lenient = "problem_share_max = 1\nunusable_rows_max = 100";
    for (people, whole) in [
        ("email,status,title\na@example.com,active,x\nb@example.com,act", false),
        ("email,status,title\na@example.com,active,x\nb@example", false),
        ("email,status,title\na@example.com,active,x\nb@example.com,active\n", true),
        ("email,status,title\na@example.com,active,x\nb@example.com,active,y", true),
    ] {
        let (collected, ended) = read_feed(people, lenient).await;
        let ended = ended.unwrap();
        assert_eq!(ended.is_complete(), whole, "{people:?}: {ended:?}");
        assert_eq!(ended.detail().contains("ends in the middle of line 3"), !whole, "{ended:?}");
        let rows = people.lines().skip(1).filter(|line| line.matches(',').count() == 2).count();
        assert_eq!(collected.identities().len(), rows, "{people:?}");
    }
}

#[tokio::test]
async fn what_is_not_proved_complete_is_partial() {
    let mut many_bad = String::from("email,status\n");
    for number in 0..9 {
        many_bad.push_str(&format!("p{number}@example.com,{}\n", if number < 3 { "odd" } else { "active" }));
    }
    for (people, more, why) in [
        ("email,status\n", "", "answered with nothing"),
        ("email,status\na@example.com,active\n", "where = { status = 'gone' }", "answered with nothing"),
        ("email,status\na@example.com,\"act", "", "inside a quoted field of line 2"),
        (&many_bad, "", "3 of 9 rows"),
    ] {
        let (_, ended) = read_feed(people, more).await;
        let ended = ended.unwrap();
        assert!(!ended.is_complete() && ended.detail().contains(why), "{people:?}: {ended:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_at_all_is_an_error_that_names_the_way_on() {
    for (people, more, words) in [
        ("", "", vec!["people.csv", "the file is empty"]),
        ("mail,status\nx,active\n", "", vec!["`email`", "found are mail, status", "did you mean `mail`"]),
        ("email\nx\n", "columns = { title = 'Job' }", vec!["columns.title", "`Job`"]),
        ("email\nx\n", "where = { State = 'x' }", vec!["`where`", "`State`"]),
        ("email,Email\nx,y\n", "", vec!["`email`", "twice"]),
    ] {
        let (collected, ended) = read_feed(people, more).await;
        let message = ended.unwrap_err().to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        assert!(collected.facts.is_empty(), "nothing is told of a file that is not understood");
    }
    let folder = tempfile::tempdir().unwrap();
    let source = connector(folder.path(), &[], FEED).unwrap();
    for error in [collect(source.as_ref()).await.1.unwrap_err(), source.test().await.unwrap_err()] {
        assert!(
            matches!(&error, ConnectError::Unreachable { address, .. } if address.ends_with("people.csv"))
        );
    }
    for (text, words) in [
        ("", "people feed"),
        ("path = 'p.csv'\nauthoritative = false", "authoritative"),
        ("grants = 3", "a path or a table"),
        ("grants = { path = 'g.csv', columns = { acount = 'X' } }", "grants.columns.acount"),
        ("grants = { path = 'g.csv', where = { X = 3 } }", "grants.where.X"),
        ("grants = { path = 'g.csv', colums = {} }", "grants.colums"),
        ("path = 'p.csv'\nencoding = 'klingon'", "klingon"),
        ("path = 'p.csv'\ntimezone = 'Mars'", "Mars"),
        ("path = 'p.csv'\ndate_order = 'ymd'", "dmy"),
        ("path = 'p.csv'\nproblem_share_max = 2", "outside 0 to 1"),
    ] {
        let message = connector(folder.path(), &[], text).err().unwrap().to_string();
        assert!(message.contains(words), "{text}: {message}");
    }
}

const SYSTEM: &[(&str, &str)] = &[
    (
        "accounts.csv",
        "User ID,Name,State,Last login,Expires\nu1,nela,active,2026-01-02,\nu2,tavin,disabled,never,2026-12-31\nu3,svc,active,,\n",
    ),
    ("roles.csv", "name,title,privileged\nreader,May read,no\nwriter,May write,no\nadmin,May all,yes\n"),
    ("nesting.csv", "parent,child\nwriter,reader\nadmin,role/writer\nadmin,writer\n"),
    (
        "grants.tsv",
        "Who\tWhat\tState\tFrom\tTo\tHow\nu1\treader\tlive\t2026-01-01\t2026-06-30\tdefault\nu2\trole/writer\tlive\t\t\t\nu3\tadmin\tdead\t\t\t\n",
    ),
    ("owners.csv", "object,owner\nu3,nela@example.com\nadmin,tavin@example.com\n"),
];

const SYSTEM_SETTINGS: &str = "entitlements = 'roles.csv'\ncontains = 'nesting.csv'\nowners = 'owners.csv'\n\
    [accounts]\npath = 'accounts.csv'\n\
    columns = { key = 'User ID', login = 'Name', status = 'State', last_use = 'Last login', expires_at = 'Expires' }\n\
    [grants]\npath = 'grants.tsv'\nwhere = { State = '!dead' }\n\
    columns = { account = 'Who', entitlement = 'What', valid_from = 'From', valid_until = 'To', options = 'How' }\n";

#[tokio::test]
async fn a_whole_system_is_read_from_its_files() {
    let (collected, ended) = read(SYSTEM, SYSTEM_SETTINGS).await;
    assert!(ended.as_ref().unwrap().is_complete(), "{ended:?}");
    assert_eq!(places(&collected.problems), ["nesting.csv:4"], "the containment was there already");
    let [nela, tavin, service] = collected.accounts()[..] else { panic!() };
    assert_eq!((nela.key.as_str(), nela.login.as_str(), nela.enabled), ("u1", "nela", true));
    assert!(matches!(nela.last_use, LastUse::At(at) if at.to_string() == "2026-01-02T00:00:00Z"));
    assert_eq!((tavin.enabled, tavin.last_use), (false, LastUse::Never));
    assert_eq!(tavin.expires_at.unwrap().to_string(), "2027-01-01T00:00:00Z");
    assert_eq!(service.last_use, LastUse::Unknown);
    let names: Vec<String> = collected.entitlements().iter().map(|found| found.name.to_string()).collect();
    assert_eq!(names, ["role/reader", "role/writer", "role/admin"]);
    assert!(collected.entitlements()[2].privileged && !collected.entitlements()[1].privileged);
    let grants: Vec<String> =
        collected.grants().iter().map(|grant| format!("{} {}", grant.account, grant.entitlement)).collect();
    assert_eq!(grants, ["u1 role/reader", "u2 role/writer"], "the filter leaves the dead one out");
    let first = collected.grants()[0];
    assert_eq!(first.valid_until.unwrap().to_string(), "2026-07-01T00:00:00Z");
    assert_eq!(first.options.as_deref(), Some("default"));
    let owned: Vec<&Owned> = collected
        .facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Owner(owner) => Some(&owner.of),
            _ => None,
        })
        .collect();
    assert!(matches!(owned[..], [Owned::Account(_), Owned::Entitlement(_)]), "{owned:?}");
}

#[tokio::test]
async fn accounts_and_entitlements_come_from_the_grants_where_no_file_lists_them() {
    let grants = "account,kind,name\nnela,group,staff\nNELA,group,staff\ntavin,,a/b\n";
    let (collected, ended) =
        read(&[("g.csv", grants)], "grants = 'g.csv'\nfold_case = true\nproblem_share_max = 1").await;
    assert!(ended.unwrap().is_complete());
    assert_eq!(collected.accounts().len(), 2);
    assert_eq!(places(&collected.problems), ["g.csv:3"], "folded, it is the same grant");
    let names: Vec<String> = collected.entitlements().iter().map(|found| found.name.to_string()).collect();
    assert_eq!(names, ["group/staff", "a/b"]);
    let (collected, _) = read(&[("g.csv", grants)], "grants = 'g.csv'\nentitlement_kind = 'right'").await;
    assert_eq!(collected.accounts().len(), 3, "nothing is folded unless somebody says so");
    assert_eq!(collected.entitlements()[1].name.to_string(), "right/a/b");
}

#[tokio::test]
async fn a_grant_of_an_unlisted_account_is_a_problem() {
    let files = [("a.csv", "key\nnela\n"), ("g.csv", "account,entitlement\nnela,r\nNELA,r\n,r\nnela,\n")];
    let (collected, ended) = read(&files, "accounts = 'a.csv'\ngrants = 'g.csv'").await;
    assert_eq!(places(&collected.problems), ["g.csv:3", "g.csv:4", "g.csv:5"]);
    assert!(collected.problems[0].message.contains("fold_case"));
    assert_eq!(collected.grants().len(), 1);
    assert!(!ended.unwrap().is_complete(), "the accounts file left somebody out");
}

/// Appends to the file when the first facts come.
struct Meddler<'a> {
    path: &'a Path,
    done: bool,
}

#[async_trait]
impl Sink for Meddler<'_> {
    async fn accept(&mut self, _facts: Vec<Fact>) -> Result<(), ConnectError> {
        if !self.done {
            self.done = true;
            let mut file = std::fs::OpenOptions::new().append(true).open(self.path).unwrap();
            writeln!(file, "late,role/late").unwrap();
        }
        Ok(())
    }

    fn problem(&mut self, _problem: Problem) {}

    fn progress(&mut self, _done: u64, _total: Option<u64>) {}

    fn feed_ended(&mut self, _end: FeedEnd) -> Result<(), ConnectError> {
        Ok(())
    }
}

/// Fails as a store does that is full.
struct Full;

#[async_trait]
impl Sink for Full {
    async fn accept(&mut self, _facts: Vec<Fact>) -> Result<(), ConnectError> {
        Err(ConnectError::Sink("the disk is full".to_owned()))
    }

    fn problem(&mut self, _problem: Problem) {}

    fn progress(&mut self, _done: u64, _total: Option<u64>) {}

    fn feed_ended(&mut self, _end: FeedEnd) -> Result<(), ConnectError> {
        Ok(())
    }
}

fn many_grants(rows: u32) -> String {
    let mut text = String::from("account,entitlement\n");
    for row in 0..rows {
        text.push_str(&format!("u{},role/r{}\n", row / 4, row % 4));
    }
    text
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_proves_nothing_and_a_failing_sink_stops_the_reading() {
    let folder = tempfile::tempdir().unwrap();
    // Longer than the queue between the reading thread and the sink, so that the change comes in the middle.
    let text = many_grants(120_000);
    let source = connector(folder.path(), &[("g.csv", text.as_bytes())], "grants = 'g.csv'").unwrap();
    let error = source.enumerate(&mut Full).await.unwrap_err();
    assert!(matches!(error, ConnectError::Sink(why) if why == "the disk is full"));
    let path = folder.path().join("g.csv");
    let ended = source.enumerate(&mut Meddler { path: &path, done: false }).await.unwrap();
    assert!(!ended.is_complete() && ended.detail().contains("changed while it was read"), "{ended:?}");
    assert!(collect(source.as_ref()).await.1.unwrap().is_complete(), "quiet again, it is complete");
}

#[tokio::test]
async fn problems_are_counted_beyond_a_thousand() {
    let mut text = String::from("account,entitlement\n");
    (0..3000).for_each(|_| text.push_str(",r\n"));
    let (collected, _) = read(&[("g.csv", &text)], "grants = 'g.csv'").await;
    assert_eq!(collected.problems.len(), 1001);
    assert!(collected.problems[1000].message.starts_with("2000 more rows"));
}

#[test]
fn the_columnar_form_reads_the_same_grants_as_the_connector() {
    let text = many_grants(10_000) + "broken\n,role/x\n";
    let (mut accounts, mut entitlements) = (Interner::default(), Interner::default());
    let mut pairs = Vec::new();
    let counts = read_interned(
        text.as_bytes(),
        &ReadOptions::default(),
        &mut accounts,
        &mut entitlements,
        |account, entitlement| pairs.push((account, entitlement)),
    )
    .unwrap();
    assert_eq!(counts, Counts { rows: 10_000, bad: 2, bytes: text.len() as u64 });
    assert_eq!((accounts.len(), entitlements.len()), (2500, 4));
    assert_eq!(pairs[5], (1, 1));
    assert_eq!((accounts.text(1), entitlements.text(1)), (&b"u1"[..], &b"role/r1"[..]));
}
