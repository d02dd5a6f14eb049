//! Traces as a collector gets them: decoded with OpenTelemetry's own definitions, of a revocation in a real database.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leasehold_testing::PostgresServer;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use serde_json::Value;

use crate::installation::Installation;

const DATABASE_PASSWORD: &str = "planted-61fa-database-secret";
const COLLECTOR_SECRET: &str = "planted-a7d3-collector-secret";

/// Long enough for a slow machine. Nothing waits for it unless something is lost.
const LIMIT: Duration = Duration::from_secs(240);

/// A collector that keeps what it gets.
struct Collector {
    port: u16,
    requests: Arc<Mutex<Vec<(String, ExportTraceServiceRequest)>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let kept = kept.clone();
                std::thread::spawn(move || while take(&connection, &kept).is_some() {});
            }
        });
        Self { port, requests }
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().expect("not poisoned");
        let of_resources = requests.iter().flat_map(|(_, request)| &request.resource_spans);
        of_resources.flat_map(|of| &of.scope_spans).flat_map(|of| of.spans.clone()).collect()
    }
}

/// One request over HTTP/1.1.
fn take(connection: &TcpStream, kept: &Mutex<Vec<(String, ExportTraceServiceRequest)>>) -> Option<()> {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    loop {
        let before = head.len();
        reader.read_line(&mut head).ok().filter(|read| *read > 0)?;
        if head[before..].trim().is_empty() {
            break;
        }
    }
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).expect("a length");
    let mut body = vec![0; length.trim().parse().expect("a number")];
    reader.read_exact(&mut body).ok()?;
    let request = ExportTraceServiceRequest::decode(&body[..]).expect("spans as the protocol has them");
    kept.lock().expect("not poisoned").push((head, request));
    (&mut &*connection).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}

/// A server in the background, stopped when it is dropped.
struct Running {
    child: Child,
    url: String,
}

impl Running {
    fn start(installation: &Installation, endpoint: &str) -> Self {
        let log = std::fs::File::create(installation.path().join("server.log")).expect("open the log");
        let mut child = installation
            .command(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
            .env("OTEL_EXPORTER_OTLP_HEADERS", format!("x-key={COLLECTOR_SECRET}"))
            .env_remove("LEASEHOLD_LOG")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("run leasehold");
        let mut first = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        output.read_line(&mut first).expect("a line");
        let url = first.trim().strip_prefix("leasehold serves ").expect("an address");
        let url = url.trim_end_matches('/').to_owned();
        std::thread::spawn(move || output.lines().for_each(drop));
        Self { child, url }
    }

    /// Asks for a page with a header.
    fn get(&self, path: &str, header: &str) {
        let address = self.url.strip_prefix("http://").expect("an address on loopback");
        let mut connection = TcpStream::connect(address).expect("connected");
        write!(connection, "GET {path} HTTP/1.0\r\nHost: {address}\r\n{header}\r\n\r\n").expect("asked");
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).expect("answered");
    }

    /// SIGTERM; gives how it ended.
    fn stop(&mut self) -> Option<i32> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(status.expect("run kill").success());
        self.child.wait().expect("wait for the server").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A database in which somebody who left still holds a role, and the server that is to take it away.
fn company(settings: &str) -> (PostgresServer, Installation) {
    let database = PostgresServer::start();
    database.sql(&format!(
        "create role leasehold login createrole password '{DATABASE_PASSWORD}';
         grant pg_signal_backend, pg_read_all_stats to leasehold;
         create role payments_rw nologin;
         create role lee login password 'lee-secret';
         grant payments_rw to lee;"
    ));
    let mut installation = Installation::new();
    installation.set("DATABASE_PASSWORD", DATABASE_PASSWORD);
    installation.write("people.csv", "email,status\nravi@example.com,active\nlee@example.com,left\n");
    installation.write(
        "policy/all.toml",
        "[protect.servers]\naccounts = [\"database:postgres\"]\nwhy = \"the server's own administrator\"\n",
    );
    installation.write(
        "leasehold.toml",
        &format!(
            "[server]\ninterval = \"1h\"\n{settings}\n\
             [system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\nauthoritative = true\nkey = \"email\"\n\n\
             [system.database]\nconnector = \"postgres\"\nurl = \"{}\"\npassword = \"env:DATABASE_PASSWORD\"\n\
             sslmode = \"disable\"\ncorrelate = [\"login = email.local\"]\nenforce = \"enforce\"\n",
            database.url("leasehold", "postgres")
        ),
    );
    installation.run(&["policy", "apply"]).expect(0);
    (database, installation)
}

fn wait_until_taken(database: &PostgresServer, installation: &Installation) {
    let begun = Instant::now();
    while database.sql("select pg_has_role('lee', 'payments_rw', 'member')") != "f"
        || database.sql("select rolcanlogin from pg_roles where rolname = 'lee'") != "f"
    {
        let log = std::fs::read_to_string(installation.path().join("server.log")).unwrap_or_default();
        assert!(begun.elapsed() < LIMIT, "still held:\n{log}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn attributes(of: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &KeyValue| match value.value.as_ref().and_then(|value| value.value.clone()) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    of.iter().map(|value| (value.key.clone(), text(value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_spans_of_a_revocation_are_one_trace_with_its_calls() {
    let (database, installation) = company("trusted_proxies = [\"127.0.0.1\"]");
    let collector = Collector::start();
    let mut server = Running::start(&installation, &format!("http://127.0.0.1:{}", collector.port));
    wait_until_taken(&database, &installation);
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    server.get("/sign-in?next=%2Fidentities%2Flee", &format!("traceparent: 00-{trace}-{parent}-01"));
    assert_eq!(server.stop(), Some(0));
    let spans = collector.spans();
    let by_id: BTreeMap<String, &Span> = spans.iter().map(|span| (hex(&span.span_id), span)).collect();
    let names = || spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>();

    // From each call to the database up to the task: one trace, and every parent is there.
    for (call, outcome) in [("execute revoke", "acknowledged"), ("read back revoke", "holds")] {
        let span = spans.iter().find(|span| {
            span.name == call
                && attributes(&span.attributes).get("leasehold.outcome").is_some_and(|found| found == outcome)
        });
        let span = span.unwrap_or_else(|| panic!("no `{call}` that ended as {outcome}: {:?}", names()));
        assert_eq!(span.kind, SpanKind::Client as i32);
        let told = attributes(&span.attributes);
        assert_eq!(
            (told["leasehold.system"].as_str(), told["leasehold.verb"].as_str()),
            ("database", "revoke")
        );
        let mut chain = vec![span.name.clone()];
        let mut below = span;
        while !below.parent_span_id.is_empty() {
            let above = by_id.get(&hex(&below.parent_span_id));
            let above = above.unwrap_or_else(|| panic!("`{}` has a parent that nobody told of", below.name));
            assert_eq!(above.trace_id, span.trace_id);
            chain.push(above.name.clone());
            below = above;
        }
        assert_eq!(chain[1..], ["action revoke", "enforce", "apply plan", "task enforce"], "{chain:?}");
    }
    let action = spans.iter().find(|span| span.name == "action revoke").expect("is there");
    assert_eq!(attributes(&action.attributes)["leasehold.outcome"], "verified");

    // A reading with its stages, and what followed from it.
    let reading = spans
        .iter()
        .find(|span| span.name == "observe" && attributes(&span.attributes)["leasehold.system"] == "database")
        .expect("a reading");
    assert_eq!(attributes(&reading.attributes)["leasehold.outcome"], "complete");
    let stages: BTreeSet<&str> =
        spans.iter().filter(|span| span.parent_span_id == reading.span_id).map(|span| &*span.name).collect();
    assert_eq!(stages, BTreeSet::from(["compare with the reading before", "end the epoch", "enumerate"]));
    for name in ["task sync", "evaluate", "plan", "load facts and claims"] {
        assert!(names().contains(&name), "no `{name}`: {:?}", names());
    }

    // A request by its route, below the span that a trusted proxy named.
    let request = spans.iter().find(|span| span.name == "GET /sign-in").expect("a request");
    assert_eq!((hex(&request.trace_id), hex(&request.parent_span_id)), (trace.to_owned(), parent.to_owned()));
    assert_eq!(attributes(&request.attributes)["http.response.status_code"], "200");

    // Who is asked to believe it is told by whom; and nothing names people or holds a secret.
    let requests = collector.requests.lock().expect("not poisoned");
    assert!(
        requests
            .iter()
            .all(|(head, _)| head.starts_with("post /v1/traces") && head.contains(COLLECTOR_SECRET))
    );
    for (_, request) in requests.iter() {
        let resource = request.resource_spans[0].resource.as_ref().expect("a resource");
        assert_eq!(attributes(&resource.attributes)["service.name"], "leasehold");
        let told = format!("{request:?}");
        for hidden in ["lee", "payments_rw", DATABASE_PASSWORD, COLLECTOR_SECRET] {
            assert!(!told.replace("leasehold", "").contains(hidden), "{hidden} is in a span: {told}");
        }
    }

    // The log names the trace of what it tells of.
    let log = std::fs::read_to_string(installation.path().join("server.log")).expect("the log");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let done =
        lines.iter().find(|line| line["kind"] == "enforce" && line["message"] == "done").expect("a line");
    assert_eq!(done["trace_id"].as_str(), Some(hex(&action.trace_id).as_str()));
    assert!(!log.contains(COLLECTOR_SECRET) && !log.contains(DATABASE_PASSWORD));
}

#[test]
fn a_collector_that_never_answers_keeps_nothing_waiting() {
    let (database, installation) = company("");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("an address"));
    let mut server = Running::start(&installation, &endpoint);
    wait_until_taken(&database, &installation);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn traces_that_are_set_up_wrongly_are_named_with_their_place() {
    let mut installation = Installation::new();
    for (written, wanted) in [
        ("traces = true", "a table is wanted here"),
        ("traces = { endpoint = \"collector:4318\" }", "not the address of a collector"),
        ("traces = { endpoint = \"https://key@collector.example.com\" }", "not the address of a collector"),
        ("traces = { share = 10 }", "not a share of all traces"),
        ("traces = { endpiont = \"\" }", "did you mean `endpoint`"),
    ] {
        installation.write("leasehold.toml", &format!("[server]\n{written}\n"));
        let refused = installation.run(&["user", "list"]).expect(1);
        assert!(
            refused.stderr.contains(wanted) && refused.stderr.contains("leasehold.toml:"),
            "{}",
            refused.stderr
        );
    }
}
