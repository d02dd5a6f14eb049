//! `apply` killed with SIGKILL at random instants, again and again: it goes on where it was, and nothing is lost.

use std::process::Command;
use std::time::Duration;

use leasehold_connect::simulated::Company;

use crate::installation::Installation;

/// How often `apply` is killed before it may end by itself.
const KILLS: u64 = 25;

/// How long a call takes while `apply` is being killed. The plan is so long that no machine ends it between the kills,
/// and most of them meet a call under way, before or after its change was made.
const LATENCY_MS: u64 = 250;

#[test]
fn apply_killed_at_any_instant_goes_on_where_it_was() {
    let mut installation = Installation::new();
    let company = Company::generate(5, 160);
    let configuration = company.configuration();
    installation.write("leasehold.toml", &configuration);
    for (path, text) in company.policy_files() {
        installation.write(&format!("policy/{}", path.trim_start_matches("policy/")), &text);
    }
    installation.run(&["sync"]).expect(0);
    installation.run(&["policy", "apply"]).expect(0);
    let plan = installation.run(&["plan", "--out", "plan.json", "--json"]).expect(2).json();
    assert!(plan["items"].as_array().map(Vec::len) > Some(10));

    let slow = format!("connector = \"simulated\"\nlatency_ms = {LATENCY_MS}\n");
    installation.write("leasehold.toml", &configuration.replace("connector = \"simulated\"\n", &slow));
    for round in 0..KILLS {
        let mut child = Command::new(env!("CARGO_BIN_EXE_leasehold"))
            .args(["apply", "plan.json", "--json"])
            .current_dir(installation.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("run leasehold");
        // From before the store is open to well within the calls; the steps are spread by a fixed odd stride.
        std::thread::sleep(Duration::from_millis(20 + round * 37 % 400));
        let ended = child.try_wait().expect("look at apply");
        assert_eq!(ended, None, "round {round}: still at work when it is killed");
        child.kill().expect("kill apply");
        child.wait().expect("wait for apply");
        // What was recorded and not published yet is outstanding, and no tampering.
        let verified = installation.run(&["ledger", "verify"]);
        let unpublished = verified.stdout.contains("not in the signed log yet");
        assert_eq!(verified.code, if unpublished { 2 } else { 0 }, "{verified:#?}");
    }

    installation.write("leasehold.toml", &configuration);
    let applied = installation.run(&["apply", "plan.json", "--json"]).json();
    let total = applied["items"].as_array().map(Vec::len).unwrap_or_default();
    assert_eq!(applied["summary"]["verified"], total, "{:#}", applied["summary"]);
    installation.run(&["sync"]).expect(0);
    let again = installation.run(&["plan", "--json"]).expect(0).json();
    assert_eq!(again["items"].as_array().map(Vec::len), Some(0), "a second plan is empty: {again:#}");
    installation.run(&["ledger", "verify"]).expect(0);
}
