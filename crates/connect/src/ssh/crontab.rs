//! The crontab of an account: jobs that run with its rights, whether or not anybody can log in as it.
//!
//! All of them are one credential: they are stopped, brought back and removed together. A line that sets a variable is no job.

use sha2::{Digest as _, Sha256};

use crate::ssh::keys::{Change, MARKER};

/// What stands after the account in the key of its crontab; no fingerprint of a key looks like it.
pub(super) const KEY: &str = "crontab";

/// One account's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Crontab {
    pub account: String,
    content: String,
}

impl Crontab {
    pub fn new(account: &str, content: String) -> Self {
        Self { account: account.to_owned(), content }
    }

    /// How many jobs run, and how many are stopped.
    pub fn jobs(&self) -> (usize, usize) {
        let running = self.content.lines().filter(|line| is_job(line)).count();
        let stopped = self.content.lines().filter(|line| stopped(line).is_some()).count();
        (running, stopped)
    }

    /// There is something that runs, or can be brought back.
    pub fn is_there(&self) -> bool {
        self.jobs() != (0, 0)
    }

    /// Of the content, as `sha256sum` writes it.
    pub fn sum(&self) -> String {
        Sha256::digest(&self.content).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The crontab with every job changed and every other line as it is; `None` where nothing had to be.
    pub fn changed(&self, change: Change) -> Option<String> {
        let mut changed = String::with_capacity(self.content.len() + MARKER.len());
        for line in self.content.split_inclusive('\n') {
            match (change, stopped(line)) {
                (Change::Remove, Some(_)) => {}
                (Change::Remove, None) if is_job(line) => {}
                (Change::Enable, Some(job)) => changed.push_str(job),
                (Change::Disable, None) if is_job(line) => {
                    changed.push_str(MARKER);
                    changed.push_str(line);
                }
                _ => changed.push_str(line),
            }
        }
        (changed != self.content).then_some(changed)
    }
}

/// What a line was before it was stopped.
fn stopped(line: &str) -> Option<&str> {
    line.strip_prefix(MARKER)
}

/// Whether cron runs something for this line. A job begins with a time, which is digits, `*` or `@daily` and the like; a line with
/// a name before an equals sign sets a variable. What is neither is taken for a job.
fn is_job(line: &str) -> bool {
    let line = line.trim_start();
    let name = line.split('=').next().unwrap_or_default().trim_end().trim_matches(['"', '\'']);
    let is_variable = line.contains('=')
        && name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    !line.is_empty() && !line.starts_with('#') && !is_variable
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOBS: &str = "# of me\nPATH=/usr/bin\n\"MAILTO\" = me\n\n5 4 * * * backup --to=here\n@daily X=1 report\n \t*/5 * * * * x\n";

    #[test]
    fn jobs_are_told_from_variables_and_comments() {
        let crontab = Crontab::new("a", JOBS.to_owned());
        assert_eq!((crontab.jobs(), crontab.is_there()), ((3, 0), true));
        for (line, job) in [
            ("", false),
            ("  ", false),
            ("# 5 4 * * * x", false),
            ("A=5 4 * * * x", false),
            ("5 4 * * * A=1 x", true),
            ("@reboot x", true),
            ("MON x", true),
            ("*/2 * * * * x", true),
        ] {
            assert_eq!(is_job(line), job, "{line}");
        }
    }

    #[test]
    fn stopped_jobs_come_back_as_they_were_and_other_lines_stay() {
        let crontab = Crontab::new("a", JOBS.to_owned());
        let stopped = Crontab::new("a", crontab.changed(Change::Disable).unwrap());
        assert_eq!((stopped.jobs(), stopped.changed(Change::Disable)), ((0, 3), None));
        assert_eq!(stopped.changed(Change::Enable).as_deref(), Some(JOBS));
        let removed = Crontab::new("a", stopped.changed(Change::Remove).unwrap());
        assert_eq!(removed.changed(Change::Remove), None);
        assert!(!removed.is_there());
        assert_eq!(crontab.changed(Change::Remove).as_deref(), Some(removed.content.as_str()));
        assert_eq!(crontab.changed(Change::Enable), None);
        assert_ne!(crontab.sum(), stopped.sum());
    }
}
