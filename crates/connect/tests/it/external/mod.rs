//! External programs: the worked example on real files, and small programs that misbehave.

mod changes;
pub mod contract;
mod enumeration;
mod failures;
mod issuing;

use std::path::{Path, PathBuf};
use std::process::Command;

use leasehold_connect::connector::Connector;
use leasehold_connect::error::ConnectError;
use leasehold_connect::registry;
use leasehold_testing::programs::require;

use crate::support::settings;

/// Debian's own Python: the programs need nothing but its standard library.
const PYTHON: &str = "/usr/bin/python3";

fn below_the_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A folder with the two files of a web server.
struct Wiki {
    folder: tempfile::TempDir,
}

impl Wiki {
    /// Ann and Ben have passwords and are in groups; `ben` has two lines for one group, and nobody may read the comment.
    fn new() -> Self {
        let wiki = Self { folder: tempfile::tempdir().unwrap() };
        wiki.write("users", "# of the wiki\n");
        for (login, password) in [("ann", "ann-password"), ("ben", "ben-password")] {
            wiki.htpasswd(&["-b", &wiki.path("users"), login, password]);
        }
        wiki.write("groups", "# groups\nstaff: ann ben\neditors: ben\neditors: ann ben\nempty:\n");
        wiki
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The web server's own tool.
    fn htpasswd(&self, arguments: &[&str]) -> bool {
        Command::new(require("htpasswd", "apache2-utils"))
            .args(arguments)
            .output()
            .expect("run htpasswd")
            .status
            .success()
    }

    /// Whether the web server would let somebody in.
    fn lets_in(&self, login: &str, password: &str) -> bool {
        self.htpasswd(&["-vb", &self.path("users"), login, password])
    }

    /// Who is in a group by the web server's rules: every line of the group counts.
    fn members(&self, group: &str) -> Vec<String> {
        let groups = self.read("groups");
        let lines = groups.lines().filter_map(|line| line.split_once(':'));
        let members =
            lines.filter(|(name, _)| *name == group).flat_map(|(_, members)| members.split_whitespace());
        members.map(str::to_owned).collect()
    }

    fn table(&self) -> String {
        let program = below_the_repository("examples/external-connector/htpasswd.py");
        format!(
            "command = ['{PYTHON}', '{}']\ncapabilities = ['enumerate', 'prove_completeness', 'read_back', 'grant', \
             'revoke', 'create_account', 'disable_account', 'enable_account', 'delete_account', 'issue_credential']\n\
             settings = {{ users = 'users', groups = 'groups' }}",
            program.display()
        )
    }

    fn connector(&self) -> Box<dyn Connector> {
        registry::build("external", settings("wiki", self.folder.path(), &self.table())).unwrap()
    }
}

/// A system whose program misbehaves as it is told to.
struct Faulty {
    folder: tempfile::TempDir,
    connector: Box<dyn Connector>,
}

impl Faulty {
    fn new(fault: &str) -> Self {
        Self::with(fault, "")
    }

    /// With further settings.
    fn with(fault: &str, further: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("members"), "ann ben").unwrap();
        let connector = Self::build(folder.path(), fault, further).unwrap();
        Self { folder, connector }
    }

    /// The same where somebody has a job that runs by itself.
    fn with_job(fault: &str, further: &str, of: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("members"), "ann ben").unwrap();
        std::fs::write(folder.path().join("jobs"), of).unwrap();
        let connector =
            Self::build(folder.path(), fault, &format!("{further}\nsettings.jobs = 'jobs'")).unwrap();
        Self { folder, connector }
    }

    fn build(folder: &Path, fault: &str, further: &str) -> Result<Box<dyn Connector>, ConnectError> {
        let program = below_the_repository("crates/connect/tests/it/external/faulty.py");
        let capabilities = if further.contains("capabilities") {
            ""
        } else {
            "capabilities = ['enumerate', 'prove_completeness', 'read_back', 'grant', 'revoke']\n"
        };
        let table = format!(
            "command = ['{PYTHON}', '{}']\n{capabilities}settings.fault = '{fault}'\nsettings.members = 'members'\n\
             settings.reached = 'reached'\n{further}",
            program.display()
        );
        registry::build("external", settings("target", folder, &table))
    }

    fn members(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("members")).unwrap()
    }

    /// The processes that the program left a note of when it came to its fault; none where it did not come that far.
    fn reached(&self) -> Option<Vec<u32>> {
        let text = std::fs::read_to_string(self.folder.path().join("reached")).ok()?;
        Some(text.split_whitespace().map(|id| id.parse().unwrap()).collect())
    }
}
