//! Jobs of `at`: each runs once with the rights of whoever made it, whether or not anybody can log in as it.
//!
//! All of an account's are one credential: they are stopped, brought back and removed together. atd leaves out a job whose file
//! its owner may not execute, which is how `at` itself keeps back one that is not whole yet.

use crate::ssh::keys::Change;

/// What stands after the account in the key of its jobs; no fingerprint of a key looks like it.
pub(super) const KEY: &str = "at";

/// One account's: how many will run, and how many are stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AtJobs {
    pub waiting: usize,
    pub stopped: usize,
}

impl AtJobs {
    /// There is something that will run, or can be brought back.
    pub fn is_there(self) -> bool {
        self != Self::default()
    }

    /// Whether a change would change nothing.
    pub fn is_so(self, change: Change) -> bool {
        match change {
            Change::Disable => self.waiting == 0,
            Change::Enable => self.stopped == 0,
            Change::Remove => !self.is_there(),
        }
    }

    /// Notes a job by the mode of its file, as `ls` writes it.
    pub fn add(&mut self, mode: &str) {
        match mode.chars().nth(3) {
            Some('x' | 's') => self.waiting += 1,
            _ => self.stopped += 1,
        }
    }
}

/// What the host is told to do with the files.
pub(super) fn word(change: Change) -> &'static str {
    match change {
        Change::Disable => "stop",
        Change::Enable => "start",
        Change::Remove => "remove",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_whose_file_is_not_to_be_executed_is_stopped() {
        let mut jobs = AtJobs::default();
        assert!(!jobs.is_there() && jobs.is_so(Change::Remove));
        for mode in ["-rwx------", "-rw-------", "-rwS------"] {
            jobs.add(mode);
        }
        assert_eq!(jobs, AtJobs { waiting: 1, stopped: 2 });
        for change in [Change::Disable, Change::Enable, Change::Remove] {
            assert!(!jobs.is_so(change), "{change:?}");
        }
    }
}
