//! A real browser, led by a script: headless Chromium through playwright-core, with axe-core beside it.
//!
//! A script is an ES module that imports `./browser.mjs` from this crate's folder `browser/` by the address in
//! `LEASEHOLD_BROWSER`, does what a person would do, and throws where something is not as it should be.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::{programs, tools};

/// What a script is told, by name.
pub type Told<'told> = &'told [(&'told str, &'told str)];

/// Runs a script to its end and gives what it printed. Screenshots go to `target/screenshots`.
///
/// # Panics
/// Where it throws, with everything that it said.
pub fn run(script: &Path, told: Told<'_>) -> String {
    let tools = tools::folder();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/browser.mjs");
    let screenshots = tools.with_file_name("screenshots");
    std::fs::create_dir_all(&screenshots).expect("make the folder of screenshots");
    let mut command = Command::new(tools::program("node"));
    command
        .arg(script)
        .stdin(Stdio::null())
        .env("LEASEHOLD_BROWSER", &here)
        .env("LEASEHOLD_SCREENSHOTS", &screenshots)
        .env("LEASEHOLD_CHROMIUM", programs::require("chromium", "chromium"))
        .env("LEASEHOLD_NPM", tools.join("npm"));
    for (name, value) in told {
        command.env(name, value);
    }
    programs::succeed(&mut command)
}
