//! A folder with a configuration, and the binary run in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What one run of the binary gave.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self:#?}"))
    }

    /// Demands an exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// A folder with a configuration.
pub struct Installation {
    folder: tempfile::TempDir,
    environment: BTreeMap<String, String>,
    /// Everything that was printed so far, to be searched for secrets.
    pub printed: String,
}

impl Installation {
    /// An empty folder.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("make a folder");
        Self { folder, environment: BTreeMap::new(), printed: String::new() }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Sets a variable for every later run.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Writes a file below the folder.
    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("make the folder");
        std::fs::write(&path, text).expect("write the file");
        path
    }

    /// What stands in a file.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path().join(path)).expect("read the file")
    }

    /// The binary, about to run in the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
        command.args(arguments).current_dir(self.path());
        command.env("LEASEHOLD_ACTOR", "tester").env("NO_COLOR", "1").envs(&self.environment);
        command
    }

    /// Runs the binary in the folder.
    pub fn run(&mut self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().expect("run leasehold");
        let ran = Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        self.printed += &ran.stdout;
        self.printed += &ran.stderr;
        ran
    }

    /// Every byte of every file below the folder.
    pub fn all_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("list the folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    bytes.extend(std::fs::read(path).expect("read a file"));
                }
            }
        }
        bytes
    }
}

/// Whether bytes hold a text.
pub fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
