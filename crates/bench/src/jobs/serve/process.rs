//! Processes that are measured from outside: what they used so far, and a server that answers.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A server that has been started. Dropping it ends it.
pub struct Process {
    child: Child,
    /// Where it answers.
    pub url: String,
}

impl Process {
    /// Starts a command that says on standard output where it serves.
    pub fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn().context("starting a server")?;
        let output = child.stdout.take().context("its output")?;
        let mut lines = BufReader::new(output).lines();
        let url = loop {
            let line = lines.next().context("the server ended before it served")??;
            if let Some(at) = line.find("http://") {
                break line[at..].trim().trim_end_matches('/').to_owned();
            }
        };
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, url })
    }

    /// Starts a command that serves at an address that it was told.
    pub fn at(mut command: Command, url: String) -> anyhow::Result<Self> {
        let child =
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("starting a server")?;
        Ok(Self { child, url })
    }

    /// `leasehold serve` of a folder, at a port of its own.
    pub fn leasehold(binary: &Path, folder: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        command.current_dir(folder).args(["serve", "--listen", "127.0.0.1:0"]).stderr(Stdio::null());
        Self::start(command)
    }

    /// User and system CPU seconds of all its threads so far. The kernel counts them in ticks of 10 ms.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in brackets may hold anything; what follows it is numbers.
        let after = text.rsplit_once(')').context("/proc/PID/stat")?.1;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let ticks = |at: usize| -> anyhow::Result<f64> { Ok(fields.get(at).context("too short")?.parse()?) };
        Ok((ticks(11)? + ticks(12)?) / 100.0)
    }

    /// Bytes that are in memory now, and the most there ever were.
    pub fn resident_bytes(&self) -> anyhow::Result<(u64, u64)> {
        crate::measure::resident_bytes_of(&self.child.id().to_string())
    }

    /// Waits until a path answers with success.
    pub async fn wait_for(
        &self,
        client: &reqwest::Client,
        path: &str,
        limit: Duration,
    ) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        loop {
            let answer = client.get(format!("{}{path}", self.url)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(begun.elapsed());
            }
            anyhow::ensure!(begun.elapsed() < limit, "{path} did not answer within {limit:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(id) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        let _ = self.child.wait();
    }
}

/// Runs a command of the product to its end, and returns what it printed.
pub fn run(binary: &Path, folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    eprintln!("leasehold {}", arguments.join(" "));
    let output = Command::new(binary).current_dir(folder).args(arguments).output()?;
    // 2 says that something is outstanding, which is so in this company.
    let ended = output.status.code().is_some_and(|code| code == 0 || code == 2);
    anyhow::ensure!(ended, "leasehold {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
