//! Metrics as a Prometheus server would take them: well formed, named as the field names such things, without people.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use leasehold_testing::programs;

use crate::browser::Served;
use crate::installation::Installation;

/// Scrapes until the server has done something, four a second.
const TRIES_MAX: u32 = 400;

#[test]
fn metrics_are_what_prometheus_takes_and_name_nobody() {
    let mut installation = Installation::new();
    let demo = ["demo", "--seed", "11", "--people", "40", "--listen", "127.0.0.1:0", "--pace", "0"];
    let served = Served::start(&installation, &demo);
    let config = ["--config", "leasehold-demo/leasehold.toml"];
    let token =
        installation.run(&[&config[..], &["token", "create", "--scope", "metrics"]].concat()).expect(0);
    let scrape = || {
        let address = served.url().strip_prefix("http://").expect("an address on loopback");
        let mut connection = TcpStream::connect(address).expect("connected");
        let bearer = token.stdout.trim();
        // HTTP/1.0, so that the answer comes whole and ends with the connection.
        write!(
            connection,
            "GET /metrics HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {bearer}\r\n\r\n"
        )
        .expect("asked");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(" 200 "), "{head}\n{body}");
        body.to_owned()
    };
    // The first scrape is counted, so that a later one has it; a task ends as soon as the first system was due.
    let mut text = scrape();
    for _ in 0..TRIES_MAX {
        text = scrape();
        if text.contains("leasehold_tasks{state=\"done\"}") {
            break;
        }
        std::thread::sleep(Duration::from_millis(250));
    }

    let mut child = Command::new(programs::require("promtool", "prometheus"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start promtool");
    child.stdin.take().expect("its input").write_all(text.as_bytes()).expect("told");
    let output = child.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");

    for name in [
        "leasehold_build_info{version=",
        "leasehold_view_age_seconds ",
        "leasehold_drift_items{kind=",
        "leasehold_source_age_seconds{system=",
        "leasehold_source_complete{system=",
        "leasehold_tasks{state=",
        "leasehold_revocation_verified_seconds_bucket{le=\"+Inf\"}",
        "leasehold_revocation_verified_seconds_count ",
        "process_resident_memory_bytes ",
        "http_server_request_duration_seconds_count{",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "no {name}\n{text}");
    }
    assert!(!text.contains('@'), "somebody's address is a label:\n{text}");
}
