//! The server in a real browser: every page that links lead to, and what people do there.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use leasehold_testing::browser;

use crate::installation::Installation;

/// A server in the background, with what it printed first.
struct Served {
    child: Child,
    link: String,
}

impl Served {
    /// Starts a command that prints a link, and waits for that.
    fn start(installation: &Installation, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_leasehold"))
            .args(arguments)
            .current_dir(installation.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("run leasehold");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let (sender, receiver) = std::sync::mpsc::channel();
        // Goes on reading, so that the server never waits for a reader.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let link = line.trim();
                if link.starts_with("http") && link.contains("/link?token=") {
                    let _ = sender.send(link.to_owned());
                }
            }
        });
        let link = receiver.recv().expect("a link");
        Self { child, link }
    }

    /// The address of the server.
    fn url(&self) -> &str {
        self.link.split("/link").next().expect("an address")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser").join(name)
}

#[test]
fn every_page_that_links_lead_to_is_accessible_and_fits_every_screen() {
    let installation = Installation::new();
    let demo = ["demo", "--seed", "11", "--people", "60", "--listen", "127.0.0.1:0", "--pace", "0"];
    let served = Served::start(&installation, &demo);
    let told = [("LEASEHOLD_URL", served.url()), ("LEASEHOLD_FIRST", served.link.as_str())];
    let visited = browser::run(&script("crawl.mjs"), &told);
    let visited: serde_json::Value = serde_json::from_str(visited.trim()).expect("what was visited");
    println!("{visited:#}");
    assert!(visited["home"].is_number(), "{visited:#}");
}
