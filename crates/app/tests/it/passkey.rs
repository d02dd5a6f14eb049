//! Passkeys of a virtual device, in a real browser.

use leasehold_testing::browser;
use leasehold_testing::process::free_port;

use crate::browser::{Served, script};
use crate::installation::Installation;

#[test]
fn a_passkey_is_registered_signs_in_confirms_and_is_removed() {
    let port = free_port();
    let url = format!("http://localhost:{port}");
    let elsewhere = format!("http://127.0.0.1:{port}");
    let mut installation = Installation::new();
    installation
        .write("leasehold.toml", &format!("[server]\nlisten = \"127.0.0.1:{port}\"\nurl = \"{url}\"\n"));
    let served = Served::start(&installation, &["serve"]);
    let told = [
        ("LEASEHOLD_URL", url.as_str()),
        ("LEASEHOLD_FIRST", served.first()),
        ("LEASEHOLD_ELSEWHERE", elsewhere.as_str()),
    ];
    browser::run(&script("passkey.mjs"), &told);
    served.stop();
    installation.run(&["ledger", "verify"]).expect(0);
}
