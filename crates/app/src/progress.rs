//! Progress of long work: on standard error, and only on a terminal.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// One line of progress; silent where nobody watches.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Begins with a title.
    pub fn new(title: impl Into<String>) -> Self {
        let bar = ProgressBar::no_length();
        let watched = std::io::stderr().is_terminal();
        bar.set_draw_target(if watched {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        });
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_prefix(crate::output::safe(title.into()));
        if watched {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self { bar }
    }

    /// Says how far it is.
    pub fn say(&self, message: impl Into<String>) {
        self.bar.set_message(crate::output::safe(message.into()));
    }

    /// Facts so far, with the connector's own measure where it has a total.
    pub fn facts(&self, facts: u64, done: u64, total: Option<u64>) {
        let share =
            total.filter(|total| *total > 0).map(|total| format!(" ({} %)", done.min(total) * 100 / total));
        self.say(format!("{facts} facts{}", share.unwrap_or_default()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
