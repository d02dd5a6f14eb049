//! The loop on a real directory and a real database, checked with `ldapsearch` and `psql` and never with our own code.

use std::io::Write as _;
use std::process::Child;
use std::time::{Duration, Instant};

use leasehold_testing::{OpenLdapServer, PostgresServer};
use serde_json::Value;

use crate::installation::{Installation, holds};

const DIRECTORY_PASSWORD: &str = leasehold_testing::openldap::PASSWORD;
const STORE_PASSWORD: &str = "planted-55d0-store-secret";
const DATABASE_PASSWORD: &str = "planted-7f3a-database-secret";

const PEOPLE: &str = "\
email,employee_number,given_name,family_name,title,department,location,manager,kind,status,start_date,end_date
dana@example.com,1,Dana,Field,Payments Engineer,Payments,Graz,ravi@example.com,person,active,2020-01-01,
lee@example.com,2,Lee,Moor,Payments Engineer,Payments,Graz,ravi@example.com,person,left,2020-01-01,2026-01-31
mia@example.com,3,Mia,Brook,Account Executive,Sales,Graz,ravi@example.com,person,active,2020-01-01,
ravi@example.com,4,Ravi,Hill,Head of Payments,Management,Graz,,person,active,2020-01-01,
";

const POLICY: &str = r#"
[role.payments-engineer]
title   = "Payments engineer"
task    = "Operate and change the payments service"
owner   = "ravi@example.com"
members = 'principal.kind == "person" && principal.department == "Payments"'
grants  = ["database:role/payments_rw", "directory:group/payments-eng"]

[role.everybody]
owner   = "ravi@example.com"
members = 'principal.kind == "person"'
grants  = ["directory:group/wiki"]

[protect.servers]
accounts = ["database:postgres", "directory:admin"]
why      = "the servers' own administrators"
"#;

/// A directory and a database with one leaver, one mover, and people who must stay as they are.
struct Company {
    directory: OpenLdapServer,
    database: PostgresServer,
    installation: Installation,
    store_in_postgres: bool,
}

fn person(uid: &str, number: u32) -> String {
    format!(
        "dn: uid={uid},ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\n\
         mail: {uid}@example.com\nemployeeNumber: {number}\nuserPassword: {uid}-secret\n\n"
    )
}

fn group(name: &str, members: &[&str]) -> String {
    let members: String =
        members.iter().map(|member| format!("member: {member},dc=example,dc=com\n")).collect();
    format!("dn: cn={name},ou=groups,dc=example,dc=com\nobjectClass: groupOfNames\ncn: {name}\n{members}\n")
}

impl Company {
    fn start(store_in_postgres: bool) -> Self {
        let directory = OpenLdapServer::start();
        let people = [("dana", 1), ("lee", 2), ("mia", 3), ("ravi", 4)];
        directory.add(&people.map(|(uid, number)| person(uid, number)).concat());
        let payments = ["uid=dana,ou=people", "uid=lee,ou=people", "uid=mia,ou=people"];
        directory.add(&group("payments-eng", &payments));
        // Whoever is in payments-eng is in engineering: lee's access there has a nested path only.
        directory.add(&group("engineering", &["cn=payments-eng,ou=groups"]));
        directory.add(&group(
            "wiki",
            &["uid=dana,ou=people", "uid=lee,ou=people", "uid=mia,ou=people", "uid=ravi,ou=people"],
        ));

        let database = PostgresServer::start();
        database.sql(&format!(
            "create role leasehold login createrole password '{DATABASE_PASSWORD}';
             grant pg_signal_backend, pg_read_all_stats to leasehold;
             create table payment (id int, amount int);
             create role payments_rw nologin;
             grant select, insert on payment to payments_rw;
             create role dana login password 'dana-secret';
             create role lee login password 'lee-secret';
             create role mia login password 'mia-secret';
             grant payments_rw to lee, mia;
             grant payments_rw to dana with admin option;"
        ));
        let mut installation = Installation::new();
        installation.set("DIRECTORY_PASSWORD", DIRECTORY_PASSWORD);
        installation.set("DATABASE_PASSWORD", DATABASE_PASSWORD);
        installation.write("people.csv", PEOPLE);
        installation.write("policy/all.toml", POLICY);
        if store_in_postgres {
            database.sql(&format!("create role leasehold_store login password '{STORE_PASSWORD}'"));
            database.sql("create database leasehold owner leasehold_store");
            installation.set("STORE_PASSWORD", STORE_PASSWORD);
        }
        let company = Self { directory, database, installation, store_in_postgres };
        company.configure(leasehold_testing::openldap::CONNECTOR);
        company
    }

    fn configure(&self, bind_dn: &str) {
        let store = if self.store_in_postgres {
            format!(
                "[store]\nurl = \"{}?sslmode=disable\"\npassword = \"env:STORE_PASSWORD\"\n\n",
                self.database.url("leasehold_store", "leasehold")
            )
        } else {
            String::new()
        };
        let text = format!(
            "{store}[system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\nauthoritative = true\nkey = \"email\"\n\n\
             [system.directory]\nconnector = \"ldap\"\nurl = \"{}\"\nca_certificate = \"{}\"\nbase_dn = \"dc=example,dc=com\"\n\
             bind_dn = \"{bind_dn}\"\npassword = \"env:DIRECTORY_PASSWORD\"\ncorrelate = [\"mail = email\"]\n\n\
             [system.database]\nconnector = \"postgres\"\nurl = \"{}\"\npassword = \"env:DATABASE_PASSWORD\"\n\
             sslmode = \"disable\"\ncorrelate = [\"login = email.local\"]\n",
            self.directory.tls_url(),
            self.directory.authority().certificate().display(),
            self.database.url("leasehold", "postgres"),
        );
        self.installation.write("leasehold.toml", &text);
    }

    fn members(&self, name: &str) -> Vec<String> {
        let mut members =
            self.directory.values("ou=groups,dc=example,dc=com", &format!("(cn={name})"), "member");
        members.sort();
        members
    }

    fn is_member(&self, role: &str, user: &str) -> bool {
        self.database.sql(&format!("select pg_has_role('{user}', '{role}', 'member')")) == "t"
    }
}

fn rows<'json>(document: &'json Value, kind: &str) -> Vec<&'json Value> {
    document["items"].as_array().expect("items").iter().filter(|item| item["kind"] == kind).collect()
}

/// Whether a live `psql` finds its connection cut when it next says something.
fn is_cut(child: &mut Child, limit: Duration) -> bool {
    let _ = child.stdin.as_mut().expect("psql's input").write_all(b"select 1;\n");
    let until = Instant::now() + limit;
    while Instant::now() < until {
        if child.try_wait().expect("look at psql").is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn the_loop_ends_access_in_a_real_directory_and_a_real_database() {
    let mut company = Company::start(false);
    let mut lee_session = company.database.live_session("lee", "lee-secret");
    let mut dana_session = company.database.live_session("dana", "dana-secret");
    // The mover has taken up the role that she is about to lose, and would go on with it.
    let mut mia_session = company.database.live_session("mia", "mia-secret");
    let taken_up = b"set role payments_rw;\ninsert into payment values (1, 1);\n";
    mia_session.stdin.as_mut().expect("psql's input").write_all(taken_up).expect("psql listens");
    assert!(company.directory.can_bind("uid=lee,ou=people,dc=example,dc=com", "lee-secret"));
    let run =
        |company: &mut Company, arguments: &[&str], code| company.installation.run(arguments).expect(code);

    run(&mut company, &["connector", "test"], 0);
    let sync = run(&mut company, &["sync", "--json"], 0).json();
    assert_eq!(sync["summary"]["complete"], 3, "{sync:#}");
    run(&mut company, &["policy", "check"], 0);
    run(&mut company, &["policy", "apply"], 0);

    let drift = run(&mut company, &["drift", "--json"], 2).json();
    let leaver: Vec<_> = rows(&drift, "leaver")
        .iter()
        .map(|row| (row["system"].clone(), row["entitlement"].clone()))
        .collect();
    for expected in
        [("directory", "group/payments-eng"), ("directory", "group/wiki"), ("database", "role/payments_rw")]
    {
        assert!(leaver.contains(&(expected.0.into(), expected.1.into())), "{expected:?} in {drift:#}");
    }
    let unjustified: Vec<_> = rows(&drift, "unjustified")
        .iter()
        .filter(|row| row["identity"] == "mia@example.com")
        .map(|row| row["entitlement"].clone())
        .collect();
    assert_eq!(unjustified.len(), 2, "the mover's two leftovers: {drift:#}");

    let explained =
        run(&mut company, &["explain", "lee@example.com", "directory:group/engineering", "--json"], 2).json();
    assert_eq!(
        explained["items"][0]["paths"][0].as_array().map(Vec::len),
        Some(3),
        "lee → payments-eng → engineering: {explained:#}"
    );

    let dana = ["explain", "dana@example.com", "database:role/payments_rw", "--json"];
    let dana = run(&mut company, &dana, 0).json();
    let options = dana["items"][0]["options"].as_str().unwrap_or_default();
    assert!(options.contains("admin"), "that dana may pass it on is shown: {dana:#}");

    let plan = run(&mut company, &["plan", "--out", "plan.json", "--json"], 2).json();
    let nested = plan["items"]
        .as_array()
        .expect("items")
        .iter()
        .find(|item| item["account"] == "lee" && item["entitlement"] == "group/payments-eng");
    assert_eq!(nested.expect("lee's group")["also_loses"][0], "group/engineering");
    let before_grants = company.database.sql("select count(*) from pg_auth_members");
    let applied = run(&mut company, &["apply", "plan.json", "--json"], 0).json();
    assert_eq!(
        applied["summary"]["verified"],
        applied["items"].as_array().map(Vec::len).unwrap_or_default(),
        "{applied:#}"
    );
    for item in applied["items"].as_array().expect("items") {
        let at = |field: &str| item[field].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        assert!(at("sent_at").is_some() && at("read_back_at") >= at("sent_at"), "{item:#}");
        assert!(item["ledger_index"].is_u64(), "{item:#}");
    }

    // With the targets' own clients from here on.
    assert_eq!(company.members("payments-eng"), ["uid=dana,ou=people,dc=example,dc=com"]);
    assert!(!company.members("wiki").contains(&"uid=lee,ou=people,dc=example,dc=com".to_owned()));
    assert!(company.members("wiki").contains(&"uid=mia,ou=people,dc=example,dc=com".to_owned()));
    assert!(
        !company.directory.can_bind("uid=lee,ou=people,dc=example,dc=com", "lee-secret"),
        "lee's log-in is stopped"
    );
    assert!(company.directory.can_bind("uid=mia,ou=people,dc=example,dc=com", "mia-secret"), "mia's is not");
    assert!(!company.is_member("payments_rw", "lee") && !company.is_member("payments_rw", "mia"));
    assert!(company.is_member("payments_rw", "dana"), "dana keeps what her role gives");
    assert!(is_cut(&mut lee_session, Duration::from_secs(10)), "lee's live session is dead");
    assert!(is_cut(&mut mia_session, Duration::from_secs(10)), "mia's session had the role and is dead");
    assert!(!is_cut(&mut dana_session, Duration::from_secs(1)), "dana's is not");
    assert_eq!(
        company.database.sql_as("mia", "mia-secret", "postgres", "select 1").as_deref(),
        Ok("1"),
        "mia logs in again, with what is left"
    );
    assert!(
        company.database.sql_as("lee", "lee-secret", "postgres", "select 1").is_err(),
        "lee cannot log in"
    );
    assert!(
        company.database.sql_as("mia", "mia-secret", "postgres", "select count(*) from payment").is_err()
    );
    assert_eq!(
        company.database.sql_as("dana", "dana-secret", "postgres", "select count(*) from payment").as_deref(),
        Ok("1")
    );
    let after_grants = company.database.sql("select count(*) from pg_auth_members");
    assert_eq!(
        before_grants.parse::<i32>().expect("a count") - 2,
        after_grants.parse::<i32>().expect("a count"),
        "two memberships ended, no more"
    );
    dana_session.kill().expect("end psql");

    // A second run changes nothing.
    run(&mut company, &["sync"], 0);
    let again = run(&mut company, &["plan", "--json"], 0).json();
    assert_eq!(again["items"].as_array().map(Vec::len), Some(0), "{again:#}");
    // The same plan again is not carried out twice.
    let same = run(&mut company, &["apply", "plan.json", "--json"], 0).json();
    assert_eq!(same["items"], applied["items"]);
    run(&mut company, &["ledger", "verify"], 0);
    let action = applied["items"][0]["id"].as_str().expect("an id").to_owned();
    run(&mut company, &["ledger", "prove", "--action", &action, "--out", "proof.json"], 0);
    let key = run(&mut company, &["ledger", "key"], 0).stdout.trim().to_owned();
    // The bundle verifies in a folder that has nothing else.
    let mut elsewhere = Installation::new();
    let proof = company.installation.path().join("proof.json").display().to_string();
    elsewhere.run(&["ledger", "verify", "--bundle", &proof, "--key", &key]).expect(0);

    for secret in [DIRECTORY_PASSWORD, DATABASE_PASSWORD] {
        assert!(!company.installation.printed.contains(secret), "a secret was printed");
        assert!(!holds(&company.installation.all_bytes(), secret), "a secret was written to a file");
    }
}

#[test]
fn a_removal_out_of_band_is_asked_about_and_a_partial_answer_ends_nothing() {
    // What Leasehold knows is kept in PostgreSQL here, and in SQLite in the test above.
    let mut company = Company::start(true);
    for command in [&["sync"][..], &["policy", "apply"]] {
        company.installation.run(command).expect(0);
    }
    company.installation.run(&["plan", "--out", "old.json"]).expect(2);

    // Somebody takes dana out of the wiki by hand, as in an incident.
    company.directory.modify(
        "dn: cn=wiki,ou=groups,dc=example,dc=com\nchangetype: modify\ndelete: member\nmember: uid=dana,ou=people,dc=example,dc=com\n",
    );
    company.installation.run(&["sync", "directory"]).expect(0);
    let drift =
        company.installation.run(&["drift", "--json", "--kind", "removed_out_of_band"]).expect(2).json();
    assert_eq!(drift["items"][0]["identity"], "dana@example.com", "{drift:#}");
    let plan = company.installation.run(&["plan", "--json"]).expect(2).json();
    let granted = plan["items"].as_array().expect("items").iter().any(|item| item["verb"] == "grant");
    assert!(!granted, "what somebody removed is not put back: {plan:#}");
    assert!(plan["left_alone"].to_string().contains("removed_out_of_band"), "{plan:#}");

    // A person who wants it back says so, for one identity; nobody else's plan is in it.
    let restore = ["plan", "--identity", "Dana@Example.com", "--restore", "--json"];
    let restored = company.installation.run(&restore).expect(2).json();
    let items = restored["items"].as_array().expect("items");
    assert!(
        items.len() == 1 && items[0]["verb"] == "grant" && items[0]["entitlement"] == "group/wiki",
        "{restored:#}"
    );

    // The plan from before is refused, and says which system moved.
    let refused = company.installation.run(&["apply", "old.json"]).expect(1);
    assert!(
        refused.stderr.contains("another state") && refused.stderr.contains("directory"),
        "{}",
        refused.stderr
    );
    assert!(company.is_member("payments_rw", "lee"), "nothing was changed");

    // A login that may see five entries only: the answer is partial, and what it does not show is not gone.
    company.configure(leasehold_testing::openldap::LIMITED);
    let before =
        company.installation.run(&["who", "directory:group/payments-eng", "--json"]).expect(0).json();
    let sync = company.installation.run(&["sync", "directory", "--json"]).expect(2).json();
    assert_eq!(sync["items"][0]["completeness"], "partial", "{sync:#}");
    assert_eq!(sync["items"][0]["changes"]["grants_ended"], 0, "{sync:#}");
    let after = company.installation.run(&["who", "directory:group/payments-eng", "--json"]).expect(0).json();
    assert_eq!(before["items"], after["items"]);

    // A feed that was cut between two rows reads well and is not taken for the truth.
    let rows: Vec<String> = (5..25)
        .map(|number| {
            format!("p{number}@example.com,{number},P,{number},Clerk,Desk,Graz,,person,active,2020-01-01,\n")
        })
        .collect();
    company.installation.write("people.csv", &format!("{PEOPLE}{}", rows.concat()));
    company.installation.run(&["sync", "hr"]).expect(0);
    company.installation.write("people.csv", &format!("{PEOPLE}{}", rows[..9].concat()));
    let cut = company.installation.run(&["sync", "hr", "--json"]).expect(2).json();
    assert_eq!(cut["items"][0]["completeness"], "partial", "{cut:#}");
    assert_eq!(cut["items"][0]["changes"]["identities_ended"], 0, "{cut:#}");
    let believed = company.installation.run(&["sync", "hr", "--accept-loss", "--json"]).expect(0).json();
    assert_eq!(believed["items"][0]["changes"]["identities_ended"], 11, "{believed:#}");

    // Also where it lost too little to be noticed by the number, or half of its last value only.
    let whole = format!("{PEOPLE}{}", rows.concat());
    company.installation.write("people.csv", &whole);
    company.installation.run(&["sync", "hr"]).expect(0);
    for (cut, sign) in [
        (format!("{PEOPLE}{}", rows[..18].concat()), "ends earlier than it did"),
        (format!("{PEOPLE}{}", rows[..19].concat()), "ends earlier than it did"),
        (whole[..whole.len() - 4].to_owned(), "no line break"),
        (whole[..whole.len() - rows[19].len() - 4].to_owned(), "no line break"),
    ] {
        stays_partial(&mut company, &cut, sign);
    }
    // A feed that never ends with a line break: the last value of its last row, and its last key, may be half of what
    // they were.
    let (other_row, other_key) = ("zed@example.com,99,Z,Zed,Clerk,Desk,Graz,,person,active,,", "2020-01-01");
    let unended = format!("{whole}{other_row}{other_key}");
    company.installation.write("people.csv", &unended);
    company.installation.run(&["sync", "hr", "--accept-loss"]).expect(0);
    stays_partial(&mut company, &unended[..unended.len() - 2], "no line break");
    stays_partial(&mut company, unended.trim_end_matches(other_key), "no line break");
    stays_partial(&mut company, &unended.replace("zed@example.com", "zed@example.co"), "no line break");
    company.installation.write("people.csv", &unended);
    company.installation.run(&["sync", "hr"]).expect(0);
    company.installation.write("people.csv", &whole);
    let believed = company.installation.run(&["sync", "hr", "--accept-loss", "--json"]).expect(0).json();
    assert_eq!(identities(&believed), (0.into(), 1.into()), "{believed:#}");
    // Whoever leaves the feed with others behind them is a leaver.
    for (rows, gone) in
        [([&rows[..18], &rows[19..]].concat(), 1), ([&rows[..10], &rows[12..18], &rows[19..]].concat(), 2)]
    {
        company.installation.write("people.csv", &format!("{PEOPLE}{}", rows.concat()));
        let read = company.installation.run(&["sync", "hr", "--json"]).expect(0).json();
        assert_eq!(identities(&read), (0.into(), gone.into()), "{read:#}");
    }

    company.installation.run(&["ledger", "verify"]).expect(0);
    assert!(!company.installation.printed.contains(STORE_PASSWORD), "a secret was printed");
    assert!(!holds(&company.installation.all_bytes(), STORE_PASSWORD), "a secret was written to a file");
}

/// How many identities a reading changed and ended.
fn identities(document: &Value) -> (Value, Value) {
    let changes = &document["items"][0]["changes"];
    (changes["identities_changed"].clone(), changes["identities_ended"].clone())
}

/// A feed that was cut changes nobody and says by which sign it was known.
fn stays_partial(company: &mut Company, feed: &str, sign: &str) {
    company.installation.write("people.csv", feed);
    let read = company.installation.run(&["sync", "hr", "--json"]).expect(2).json();
    assert!(read["items"][0]["detail"].as_str().is_some_and(|why| why.contains(sign)), "{read:#}");
    assert_eq!(identities(&read), (0.into(), 0.into()), "{read:#}");
}

#[test]
fn a_session_that_could_not_be_ended_stays_on_the_list_and_is_tried_again() {
    let mut company = Company::start(false);
    let session = |company: &Company| {
        let mut session = company.database.live_session("mia", "mia-secret");
        session.stdin.as_mut().expect("psql's input").write_all(b"set role payments_rw;\n").expect("psql");
        session
    };
    let mut mia_session = session(&company);
    for command in [&["sync"][..], &["policy", "apply"]] {
        company.installation.run(command).expect(0);
    }
    company.database.sql("revoke pg_signal_backend from leasehold");
    let plan = ["plan", "--identity", "mia@example.com", "--out", "mia.json"];
    company.installation.run(&plan).expect(2);
    let applied = company.installation.run(&["apply", "mia.json", "--tries", "1", "--json"]).expect(2).json();
    let state = |document: &Value, verb: &str| -> Vec<String> {
        let items = document["items"].as_array().expect("items").iter();
        let of_database = items.filter(|item| item["verb"] == verb && item["system"] == "database");
        of_database.map(|item| item["state"].as_str().expect("a state").to_owned()).collect()
    };
    assert_eq!(state(&applied, "revoke"), ["verified"], "{applied:#}");
    assert_eq!(state(&applied, "end_sessions"), ["stuck"], "{applied:#}");
    assert!(!is_cut(&mut mia_session, Duration::from_millis(300)), "it lives on, and that is what is said");

    // Nothing was mended: it stays on the list, whatever else is planned and applied.
    company.installation.run(&["sync"]).expect(0);
    company.installation.run(&["apply", "--tries", "1", "--override", "none"]).expect(1);
    company.installation.run(&["apply", "--tries", "1"]).expect(2);
    let stuck = company.installation.run(&["action", "list", "--state", "stuck", "--json"]).expect(2).json();
    assert!(state(&stuck, "end_sessions").contains(&"stuck".to_owned()), "{stuck:#}");

    company.database.sql("grant pg_signal_backend to leasehold");
    company.installation.run(&["sync"]).expect(0);
    let again = company.installation.run(&["apply", "--json"]).expect(0).json();
    assert!(state(&again, "end_sessions").iter().all(|state| state == "verified"), "{again:#}");
    assert!(is_cut(&mut mia_session, Duration::from_secs(10)), "it is dead now");
    company.installation.run(&["action", "list", "--state", "stuck"]).expect(0);
}
