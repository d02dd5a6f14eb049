//! The tools from PyPI and npm that `./test` installs into `target/tools`.

use std::path::PathBuf;

/// The folder of the tools.
///
/// # Panics
/// Where they are not installed: `./test` does that.
pub fn folder() -> PathBuf {
    let program = std::env::current_exe().expect("the path of this test");
    let targets = program.ancestors().map(|folder| folder.join("tools"));
    let configured = std::env::var_os("CARGO_TARGET_DIR").map(|folder| PathBuf::from(folder).join("tools"));
    targets
        .chain(configured)
        .find(|folder| folder.join("installed").is_file())
        .expect("the tools are not installed; run `./test` once, which installs them into target/tools")
}

/// A program of the PyPI packages: `node`, `st`.
///
/// # Panics
/// Where it is not installed.
pub fn program(name: &str) -> PathBuf {
    let program = folder().join("python/bin").join(name);
    assert!(program.is_file(), "`{name}` is not installed; run `./test` once, which installs it");
    program
}
