//! What a program writes to its standard error: read to the end so that it never blocks, logged up to a limit, and its last
//! words kept for the error message.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::external::settings::ExternalSettings;
use crate::plain::plain;

/// How many lines of one process are logged.
const LOGGED_LINES_MAX: u64 = 200;
/// How much of a line is logged or kept.
const LINE_BYTES_MAX: usize = 1024;

/// The last words of a program.
#[derive(Clone, Default)]
pub(super) struct LastWords(Arc<Mutex<String>>);

impl LastWords {
    /// What was said last; empty where nothing was.
    pub fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, words: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }
}

/// Reads until the pipe is closed.
pub(super) async fn drain(
    mut pipe: impl AsyncRead + Unpin,
    settings: Arc<ExternalSettings>,
    last: LastWords,
) {
    let mut chunk = [0; 8192];
    let mut line = Vec::new();
    let mut lines = 0;
    while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
        for byte in &chunk[..count] {
            if *byte == b'\n' {
                say(&settings, &last, &line, &mut lines);
                line.clear();
            } else if line.len() < LINE_BYTES_MAX {
                line.push(*byte);
            }
        }
    }
    say(&settings, &last, &line, &mut lines);
}

fn say(settings: &ExternalSettings, last: &LastWords, line: &[u8], lines: &mut u64) {
    let text = settings.shown(String::from_utf8_lossy(line).trim());
    if text.is_empty() {
        return;
    }
    *lines += 1;
    let system = settings.system.as_str();
    if *lines <= LOGGED_LINES_MAX {
        tracing::info!(system, "the connector's program says: {}", plain(text.clone()));
    } else if *lines == LOGGED_LINES_MAX + 1 {
        tracing::warn!(
            system,
            "the connector's program says more than {LOGGED_LINES_MAX} lines; the rest is left out"
        );
    }
    last.set(text);
}
