//! Finding and running the programs that a test needs, with an answer that says what to install.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The Debian packages that hold every program used here, one a line.
pub const DEBIAN_PACKAGES: &str = include_str!("../debian-packages.txt");

/// The path of a program. `package` is the Debian package that holds it.
///
/// # Panics
/// Where it is not installed, naming the package.
pub fn require(program: &str, package: &str) -> PathBuf {
    // Servers are in the administrator's folders, which an ordinary user's PATH leaves out.
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into(), "/usr/bin".into(), "/bin".into()])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("`{program}` is not installed; run `apt-get install {package}`"))
}

/// Runs a program to its end.
///
/// # Panics
/// Where it cannot be started.
pub fn output(program: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    let mut command = Command::new(program);
    command.args(arguments);
    command.output().unwrap_or_else(|error| panic!("cannot run {}: {error}", program.display()))
}

/// The standard output of a command that must succeed.
///
/// # Panics
/// Where it fails, with what it wrote.
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether this process is root. Some servers refuse to be.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
