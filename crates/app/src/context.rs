//! What most commands need: the configuration, the store, the systems, the clock, the ledger.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use leasehold_decide::evaluate::SystemSettings;
use leasehold_ledger::checkpoint::SigningKey;
use leasehold_model::clock::SystemClock;
use leasehold_model::id::SystemName;
use leasehold_reconcile::error::ReconcileError;
use leasehold_reconcile::pace::SharedPace;
use leasehold_reconcile::stages::decide::Loaded;
use leasehold_reconcile::stages::prove::{self, ProveError};
use leasehold_reconcile::system::{self, System, Systems};
use leasehold_store::{Store, StoreOptions};

use crate::config::Config;
use crate::progress::Progress;

/// Flags that every command takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Common {
    /// The configuration
    #[arg(long, global = true, env = "LEASEHOLD_CONFIG", default_value = crate::config::FILE_NAME, value_name = "FILE")]
    pub config: PathBuf,
    /// Work against this server instead of a store on this machine [env: LEASEHOLD_SERVER]
    #[arg(long, global = true, value_name = "URL", help_heading = "Server")]
    pub server: Option<String>,
    /// Trust the authorities in this file, and no others, to say which server that is
    #[arg(long, global = true, env = "LEASEHOLD_SERVER_CA", value_name = "FILE", help_heading = "Server")]
    pub server_ca: Option<PathBuf>,
    /// Send the token in clear text to a server that is not this machine
    #[arg(long, global = true, help_heading = "Server")]
    pub allow_plain_http: bool,
    /// Print JSON, as documented in docs/json.md
    #[arg(long, global = true)]
    pub json: bool,
    /// How long to wait for another command that writes the ledger
    #[arg(long, global = true, env = "LEASEHOLD_WAIT", default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub wait: u64,
}

/// An opened installation.
pub struct Context {
    /// The configuration.
    pub config: Config,
    /// The store.
    pub store: Store,
    /// What deciding needs to know of the systems.
    pub settings: BTreeMap<SystemName, SystemSettings>,
    /// The clock.
    pub pace: SharedPace,
    /// JSON is wanted.
    pub json: bool,
    /// How long to wait for another command that writes the ledger.
    wait: Duration,
}

/// A configured system whose connector is not built yet.
pub struct Configured<'config> {
    /// Its name.
    pub name: SystemName,
    config: &'config Config,
}

impl Configured<'_> {
    /// Builds its connector, without reaching the target.
    ///
    /// # Errors
    /// For a setting or secret that is missing, unknown or malformed.
    pub fn connect(&self) -> anyhow::Result<System> {
        self.config.connect(&self.name)
    }
}

impl Context {
    /// Opens the installation that the configuration describes. No connector is built, and so no secret of one is needed:
    /// a command builds those that it touches.
    ///
    /// # Errors
    /// Where the configuration or the store cannot be used.
    pub async fn open_to_read(common: &Common) -> anyhow::Result<Self> {
        let config = Config::load(&common.config)?;
        let settings = config.settings()?;
        let store = Store::open(&config.store_address()?, StoreOptions::default()).await?;
        let pace = Arc::new(SystemClock::default());
        Ok(Self { config, store, settings, pace, json: common.json, wait: Duration::from_secs(common.wait) })
    }

    /// Opens the installation to change something: the ledger must be fit to record it before anything is changed.
    ///
    /// # Errors
    /// As [`Context::open_to_read`]; and where the ledger or its key cannot be used, or does not fit the store.
    pub async fn open_to_change(common: &Common) -> anyhow::Result<Self> {
        let context = Self::open_to_read(common).await?;
        let config = &context.config;
        let key = signing_key(config)?;
        context
            .patiently("nothing was changed", async || {
                let log = prove::open(&context.store, &config.ledger, &config.ledger_origin).await?;
                prove::check_key(&context.store, &log, &key).await
            })
            .await?;
        Ok(context)
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.pace.now()
    }

    /// Facts and claims, now or at an earlier instant.
    ///
    /// # Errors
    /// Where the instant is still to come, the store fails, or the live policy cannot be read.
    pub async fn load(&self, at: Option<Timestamp>) -> anyhow::Result<Loaded> {
        let now = self.now();
        if let Some(at) = at.filter(|at| *at > now) {
            anyhow::bail!(
                "--at {at} is still to come, and nobody knows what will be so then; name an earlier instant (a date means its \
                 end, UTC), or leave --at out for now"
            );
        }
        Ok(Loaded::load_with(&self.store, self.settings.clone(), now, at).await?)
    }

    /// Builds every connector, for a command that may touch each.
    ///
    /// # Errors
    /// For the first setting or secret that is missing, unknown or malformed.
    pub fn connect_all(&mut self) -> anyhow::Result<Systems> {
        let systems = self.config.systems()?;
        self.settings = system::settings(&systems);
        Ok(systems)
    }

    /// Builds the connectors of the named systems, or of all: what else is configured needs no secret.
    ///
    /// # Errors
    /// As [`Context::system`] and [`Configured::connect`].
    pub fn connect(&self, names: &[String]) -> anyhow::Result<Vec<System>> {
        match names {
            [] => Ok(self.config.systems()?.into_values().collect()),
            names => names.iter().map(|name| self.system(name)?.connect()).collect(),
        }
    }

    /// Learns what each connector can do where it can be built; elsewhere its kind says it. For planning, which reaches
    /// no system and so must not fail for want of a secret.
    pub fn learn_abilities(&mut self) {
        for (name, settings) in &mut self.settings {
            if let Ok(system) = self.config.connect(name) {
                *settings = system.settings();
            }
        }
    }

    /// A configured system.
    ///
    /// # Errors
    /// Where there is none of that name; the message names those that there are.
    pub fn system(&self, name: &str) -> anyhow::Result<Configured<'_>> {
        Ok(Configured { name: self.system_name(name)?, config: &self.config })
    }

    /// The name of a configured system.
    ///
    /// # Errors
    /// As [`Context::system`].
    pub fn system_name(&self, name: &str) -> anyhow::Result<SystemName> {
        let found = SystemName::new(name).ok().filter(|name| self.settings.contains_key(name));
        found.with_context(|| {
            let known: Vec<&str> = self.settings.keys().map(SystemName::as_str).collect();
            format!(
                "there is no system `{name}` in {}; systems are {}",
                self.config.path.display(),
                if known.is_empty() { "none yet".to_owned() } else { known.join(", ") }
            )
        })
    }

    /// Publishes what the store recorded as a signed log.
    ///
    /// # Errors
    /// Where the log or its key cannot be used.
    pub async fn publish(&self) -> anyhow::Result<()> {
        let key = signing_key(&self.config)?;
        let config = &self.config;
        self.patiently("what was done is in the store, and the next command publishes it", async || {
            prove::publish(&self.store, &config.ledger, &config.ledger_origin, &key).await.map(|_| ())
        })
        .await
    }

    /// One command at a time has the log open. The others wait for their turn; who watches is told so.
    async fn patiently(
        &self,
        until_now: &str,
        mut attempt: impl AsyncFnMut() -> Result<(), ProveError>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut told = None;
        loop {
            match attempt().await {
                Err(ProveError::Reconcile(ReconcileError::Ledger(leasehold_ledger::Error::Locked {
                    path,
                }))) => {
                    if begun.elapsed() >= self.wait {
                        anyhow::bail!(
                            "another command writes the ledger ({path}) and did not finish within {} s; {until_now}; run this \
                             again when it has ended, or wait longer with --wait SECONDS",
                            self.wait.as_secs()
                        );
                    }
                }
                other => return Ok(other?),
            }
            if begun.elapsed() >= SILENT && told.is_none() {
                told = Some(Progress::new("waiting for another command that writes the ledger"));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// How often it is looked whether the log is free again.
const POLL: Duration = Duration::from_millis(50);

/// A wait that is not worth a word.
const SILENT: Duration = Duration::from_secs(2);

/// The ledger's signing key, readable by its owner only. It is made on first use, and never where a log was signed
/// already: a new key beside an old log is what a forgery looks like.
///
/// # Errors
/// Where the file cannot be read or written, or is gone while the log is there.
pub fn signing_key(config: &Config) -> anyhow::Result<SigningKey> {
    let (path, ledger) = (&config.ledger_key, &config.ledger);
    let load = || {
        SigningKey::load(path).with_context(|| format!("the ledger's key {} cannot be used", path.display()))
    };
    if path.exists() {
        return load();
    }
    if ledger.join("checkpoint").exists() {
        anyhow::bail!(
            "the ledger's key {} is gone, and {} was signed with it; restore the key, or move that folder away together \
             with the store to begin anew; nothing was changed",
            path.display(),
            ledger.display()
        );
    }
    let key = SigningKey::generate(&config.ledger_origin)?;
    // Of several commands that are the first at once, one gives its key its name; nobody reads half a key.
    let unnamed = path.with_extension(format!("new-{}", std::process::id()));
    let failed = || format!("cannot write the ledger's key {}", path.display());
    key.save(&unnamed).with_context(failed)?;
    let named = std::fs::hard_link(&unnamed, path);
    std::fs::remove_file(&unnamed).with_context(failed)?;
    match named {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => load(),
        // Not every file system has links.
        Err(_) => key.save(path).with_context(failed).map(|()| key),
    }
}

/// Who acts, for the record: `LEASEHOLD_ACTOR`, else the user of this session, else the user of this process.
pub fn actor() -> String {
    known_actor().unwrap_or_else(|| "unknown".to_owned())
}

/// The same, where it is known at all.
pub fn known_actor() -> Option<String> {
    ["LEASEHOLD_ACTOR", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
        .or_else(process_user)
}

/// Timers and containers set no USER. The owner of this process is its effective user, whom the system's own list names.
fn process_user() -> Option<String> {
    #[cfg(target_os = "linux")]
    {
        let user = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").ok()?);
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        Some(user_name(&users, user).unwrap_or_else(|| format!("uid {user}")))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// The name of a user id in the form of `/etc/passwd`: `name:password:uid:…`.
fn user_name(users: &str, user: u32) -> Option<String> {
    let id = user.to_string();
    let line = users.lines().find(|line| line.split(':').nth(2) == Some(id.as_str()))?;
    line.split(':').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// An instant of the command line: RFC 3339, or a date.
///
/// # Errors
/// Where it is neither.
pub fn parse_at(text: &str) -> Result<Timestamp, String> {
    leasehold_decide::policy::read::parse_when(text).ok_or_else(|| {
        "write an instant with its offset (2026-03-31T18:00:00Z) or a date (2026-03-31: its end, UTC)"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_named_by_their_id() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\n# a remark\n\nleasehold:x:998:998::/:/bin/false\n:x:7:7::/:\n";
        for (user, name) in [(0, Some("root")), (998, Some("leasehold")), (7, None), (1, None)] {
            assert_eq!(user_name(users, user).as_deref(), name, "{user}");
        }
    }
}
