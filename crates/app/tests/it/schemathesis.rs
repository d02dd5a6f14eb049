//! The API against its own description, by schemathesis: no server error, and no answer that is not described.

use std::process::Command;

use leasehold_testing::{programs, tools};

use crate::browser::Served;
use crate::installation::Installation;

/// What an answer is held against. That a value which the description allows is refused, with a problem that is
/// described, is no fault: a system's name is a text of a certain form, and only some of those are systems.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance";

#[test]
fn every_call_answers_as_described() {
    let mut installation = Installation::new();
    let served = Served::start(
        &installation,
        &["demo", "--seed", "11", "--people", "40", "--listen", "127.0.0.1:0", "--pace", "0"],
    );
    let config = ["--config", "leasehold-demo/leasehold.toml"];
    let token = installation.run(&[&config[..], &["token", "create", "--scope", "admin"]].concat()).expect(0);
    let report = programs::succeed(
        Command::new(tools::program("st"))
            .current_dir(installation.path())
            .args(["run", &format!("{}/api/v1/openapi.json", served.url())])
            .args(["-H", &format!("Authorization: Bearer {}", token.stdout.trim())])
            .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", "12"])
            // A stream of events never ends.
            .args(["--seed", "1", "--suppress-health-check", "all", "--exclude-path", "/api/v1/events"])
            .args(["--request-timeout", "60", "--continue-on-failure", "--no-color"]),
    );
    println!("{report}");
    assert!(report.contains("generated"), "nothing was called:\n{report}");
}
