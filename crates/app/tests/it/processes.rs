//! Two servers on one PostgreSQL store, killed with SIGKILL in a loop while access is given out of band: nothing is lost,
//! nothing is done twice, and both go on. The target itself keeps count, with a trigger of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use leasehold_testing::PostgresServer;
use serde_json::Value;

use crate::installation::Installation;

const STORE_PASSWORD: &str = "planted-91c2-store-secret";
const DATABASE_PASSWORD: &str = "planted-3be0-database-secret";

/// How often a server is killed.
const KILLS: usize = 24;

/// People who have left and still hold something when the servers start.
const LEAVERS: usize = 60;

/// People to whom somebody gives access out of band between two kills.
const GIVEN_EACH: usize = 3;

/// Long enough for a slow machine. Nothing waits for it unless something is lost.
const LIMIT: Duration = Duration::from_secs(240);

const CONFIGURATION: &str = r#"
[server]
interval       = "1s"
takeover_after = "3s"

[system.hr]
connector     = "csv"
path          = "people.csv"
authoritative = true
key           = "email"

[system.database]
connector = "postgres"
password  = "env:DATABASE_PASSWORD"
sslmode   = "disable"
correlate = ["login = email.local"]
enforce   = "enforce"
"#;

/// Half of everybody leaves at once here, which a guard would rightly hold.
const POLICY: &str = r#"
[guard.database]
share_max = 1.0
count_min = 100000

[protect.server]
accounts = ["database:postgres"]
why      = "the server's own administrator"
"#;

/// The target's own log of what was changed in it: a change that is taken back leaves no line.
const TRIGGER: &str = "
    create table change (at timestamptz default clock_timestamp(), tag text, member text);
    create function note_change() returns event_trigger language plpgsql security definer as $$
        begin insert into public.change (tag, member) values (tg_tag, current_setting('leasehold.member', true)); end $$;
    create event trigger note_change on ddl_command_end when tag in ('GRANT', 'REVOKE')
        execute function note_change();";

fn person(number: usize) -> String {
    format!("p{number:03}")
}

/// Access given to somebody, in the target's words.
fn given(number: usize) -> String {
    format!("grant select on of_{0} to {0}", person(number))
}

/// The servers of a test. Dropping it kills them.
struct Servers<'test> {
    installation: &'test Installation,
    children: Vec<Child>,
}

impl<'test> Servers<'test> {
    fn start(installation: &'test Installation, count: usize) -> Self {
        let mut servers = Self { installation, children: Vec::new() };
        for _ in 0..count {
            servers.children.push(servers.server());
        }
        servers
    }

    fn server(&self) -> Child {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.installation.path().join("servers.log"))
            .expect("open the log");
        Command::new(env!("CARGO_BIN_EXE_leasehold"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .current_dir(self.installation.path())
            .envs([("STORE_PASSWORD", STORE_PASSWORD), ("DATABASE_PASSWORD", DATABASE_PASSWORD)])
            .env_remove("LEASEHOLD_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("run leasehold")
    }

    /// SIGKILL, and another one in its place.
    fn kill(&mut self, which: usize) {
        self.children[which].kill().expect("kill a server");
        self.children[which].wait().expect("wait for a server");
        self.children[which] = self.server();
    }

    /// SIGTERM to all of them; gives how each ended.
    fn stop(&mut self) -> Vec<Option<i32>> {
        for child in &self.children {
            let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            assert!(status.expect("run kill").success());
        }
        self.children.iter_mut().map(|child| child.wait().expect("wait for a server").code()).collect()
    }
}

impl Drop for Servers<'_> {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn two_servers_on_one_store_killed_in_a_loop_lose_nothing_and_do_nothing_twice() {
    let server = PostgresServer::start();
    let people = LEAVERS + KILLS * GIVEN_EACH;
    let mut feed = String::from("email,department,status,end_date\n");
    let mut setup = format!(
        "create role leasehold login createrole password '{DATABASE_PASSWORD}';
         grant pg_signal_backend, pg_read_all_stats to leasehold;
         create role leasehold_store login password '{STORE_PASSWORD}';"
    );
    for number in 0..people {
        let (status, end) = if number < LEAVERS { ("left", "2026-01-31") } else { ("active", "") };
        writeln!(feed, "{}@example.com,Payments,{status},{end}", person(number)).expect("writes");
        // A table for each, because PostgreSQL refuses two changes of one table's grants at the same instant.
        let name = person(number);
        write!(setup, "create role {name} login password 'secret'; create table of_{name} (id int);")
            .expect("writes");
        write!(setup, "alter table of_{name} owner to leasehold;").expect("writes");
        if number < LEAVERS {
            write!(setup, "{};", given(number)).expect("writes");
        }
    }
    server.sql(&setup);
    server.sql(TRIGGER);
    server.sql("create database leasehold owner leasehold_store");

    let mut installation = Installation::new();
    installation.set("STORE_PASSWORD", STORE_PASSWORD);
    installation.set("DATABASE_PASSWORD", DATABASE_PASSWORD);
    let store_url = server.url("leasehold_store", "leasehold");
    let target_url = server.url("leasehold", "postgres");
    installation.write(
        "leasehold.toml",
        &format!("[store]\nurl = \"{store_url}?sslmode=disable\"\npassword = \"env:STORE_PASSWORD\"\n{CONFIGURATION}url = \"{target_url}\"\n"),
    );
    installation.write("people.csv", &feed);
    installation.write("policy/all.toml", POLICY);
    installation.run(&["policy", "apply"]).expect(0);

    let mut servers = Servers::start(&installation, 2);
    let mut next = LEAVERS;
    for round in 0..KILLS {
        for _ in 0..GIVEN_EACH {
            server.sql(&given(next));
            next += 1;
        }
        // From before the store is open to well within the calls; the steps are spread by a fixed odd stride.
        std::thread::sleep(Duration::from_millis(150 + round as u64 * 137 % 900));
        servers.kill(round % 2);
    }

    let held = "select count(*) from information_schema.role_table_grants
                where (grantee like 'p0%' or grantee like 'p1%')";
    let in_store = |sql: &str| server.sql_in("leasehold", sql);
    let open = "select (select count(*) from action where state not in ('verified', 'void'))
                     + (select count(*) from task where state in ('queued', 'running') and kind <> 'sync')";
    let begun = Instant::now();
    let log = || std::fs::read_to_string(installation.path().join("servers.log")).unwrap_or_default();
    while server.sql(held) != "0" || in_store(open) != "0" {
        assert!(
            begun.elapsed() < LIMIT,
            "still held: {}; open: {}; {}\n{}",
            server.sql(held),
            in_store("select state, reason, item from action where state not in ('verified', 'void')"),
            in_store("select kind, state, attempts, error from task where state in ('queued', 'running')"),
            log()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(servers.stop(), [Some(0), Some(0)], "{}", log());

    // The target's own count: whatever was given was taken away, and not once more often than it was written down before.
    let counts = |text: String| -> BTreeMap<String, u32> {
        let lines = text.lines().filter_map(|line| line.split_once('|'));
        lines.map(|(name, count)| (name.to_owned(), count.parse().expect("a count"))).collect()
    };
    let taken =
        counts(server.sql("select member, count(*) from change where tag = 'REVOKE' group by member"));
    let sent = counts(in_store(
        "select item::json->>'account', count(*) from action_transition as step
         join action on action.plan = step.plan and action.id = step.action
         where to_state = 'sent' and item::json->>'verb' = 'revoke' group by 1",
    ));
    for (member, times) in &taken {
        assert!(times <= &sent[member], "{member}: taken away {times} times, sent {} times", sent[member]);
    }
    assert_eq!(
        server.sql("select count(distinct member) from change where tag = 'REVOKE'"),
        people.to_string()
    );
    assert_eq!(
        server.sql("select count(*) from pg_roles where rolname ~ '^p[0-9]' and rolcanlogin"),
        (people - LEAVERS).to_string()
    );
    // The store's own rows: every action came to its end by a read-back, none of a task's errors was the last word, and
    // who was overtaken changed nothing.
    assert_eq!(
        in_store("select count(*) from action where state = 'verified' and item like '%\"revoke\"%'"),
        people.to_string()
    );
    let without_end = "select count(*) from action where state = 'verified' and not exists (
        select 1 from action_transition as step where step.plan = action.plan and step.action = action.id
        and step.from_state in ('sent', 'acknowledged', 'contradicted') and step.to_state = 'verified')";
    assert_eq!(in_store(without_end), "0");
    assert_eq!(in_store("select count(*) from task where state = 'failed'"), "0");
    let taken_over = in_store("select count(*) from task where attempts > 1");
    assert_ne!(taken_over, "0", "no process was killed at work; {}", log());

    for secret in [STORE_PASSWORD, DATABASE_PASSWORD] {
        assert!(!log().contains(secret), "a secret is in the log");
    }
    for line in log().lines() {
        serde_json::from_str::<Value>(line)
            .unwrap_or_else(|error| panic!("not a line of JSON ({error}): {line}"));
    }
    drop(servers);
    installation.run(&["ledger", "verify"]).expect(0);
    let drift = installation.run(&["drift", "--system", "database", "--json"]).json();
    for kind in ["unjustified", "leaver", "expired"] {
        assert_eq!(drift["summary"]["by_kind"][kind], Value::Null, "{:#}", drift["summary"]);
    }
}
