//! A server process that ends with its guard, and also when the test's own process dies.

use std::ffi::OsString;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Runs the server in the background and waits for the end of its own standard input, which is a pipe that only the
/// test's process holds: it closes on drop, on a panic and on SIGKILL alike. Then it ends its whole process group
/// and removes the server's folder. `$1` is the folder, the rest is the command.
const KEEPER: &str = r#"
folder=$1; shift
"$@" &
server=$!
read -r _
trap '' TERM
kill -TERM 0 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  kill -0 "$server" 2>/dev/null || break
  sleep 0.1
done
# Whoever ends late may write into it once more.
for _ in 1 2 3 4 5; do
  rm -rf -- "$folder" && break
  sleep 0.2
done
kill -KILL 0
"#;

/// A running server with its folder. Dropping it ends the process group and removes the folder.
#[derive(Debug)]
pub struct ServerProcess {
    keeper: Child,
    folder: PathBuf,
    log: PathBuf,
}

impl ServerProcess {
    /// Starts `command` in the background, with its output in `folder/server.log`. `folder` is the server's own and
    /// is removed with it.
    ///
    /// # Panics
    /// Where the process cannot be started.
    pub fn start(folder: &Path, command: &[OsString]) -> Self {
        let log = folder.join("server.log");
        let output = File::create(&log).expect("create the server's log");
        let keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(folder)
            .args(command)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("share the server's log"))
            .stderr(output)
            .process_group(0)
            .spawn()
            .expect("start /bin/sh");
        Self { keeper, folder: folder.to_owned(), log }
    }

    /// Waits until `ready` says so.
    ///
    /// # Panics
    /// Where it does not within `limit`, with the server's log.
    pub fn wait_until_ready(&self, limit: Duration, mut ready: impl FnMut() -> bool) {
        let began = Instant::now();
        while !ready() {
            assert!(
                began.elapsed() < limit,
                "the server in {} was not ready within {limit:?}:\n{}",
                self.folder.display(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the server wrote so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The server's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Closing the pipe is the signal; the keeper ends by its own last line.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// A folder for a server. It lives until the server's keeper removes it, which also happens when this process dies.
///
/// # Panics
/// Where it cannot be made.
pub fn new_folder(name: &str) -> PathBuf {
    tempfile::Builder::new()
        .prefix(&format!("leasehold-{name}-"))
        .tempdir()
        .expect("make a temporary folder")
        .keep()
}

/// A TCP port of 127.0.0.1 that nobody listens on now.
///
/// It is below the ports that the kernel gives outgoing connections: one of those could have it before the server does, and
/// who connects to such a port may be connected to itself. Tests run as processes of their own, so each begins elsewhere.
///
/// # Panics
/// Where there is none.
pub fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u32 = 22_000;
    const EACH: u32 = 61;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(EACH);
    // The next one is left alone: OpenBao listens there for its cluster, unasked.
    let next = || begin.wrapping_add(GIVEN.fetch_add(2, Ordering::Relaxed)) % COUNT;
    let port = || u16::try_from(next()).ok()?.checked_add(FIRST);
    let mut ports = (0..COUNT).filter_map(|_| port());
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("find a free port")
}

/// Whether somebody listens there.
pub fn listens(address: IpAddr, port: u16) -> bool {
    let stream = std::net::TcpStream::connect_timeout(&(address, port).into(), Duration::from_millis(200));
    // A connection to itself is nobody who listens.
    stream.is_ok_and(|stream| stream.local_addr().ok() != stream.peer_addr().ok())
}
