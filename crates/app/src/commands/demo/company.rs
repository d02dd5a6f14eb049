//! The folder of the practice company: made, made anew, or gone on with.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use leasehold_connect::simulated::Company;

use super::Demo;
use crate::output;

/// Marks a folder as one that `demo` made and may make anew.
const MARK: &str = ".leasehold-demo";

impl Demo {
    /// Makes the folder, or keeps it. A folder that something else made is never touched.
    pub(super) fn prepare(&mut self) -> anyhow::Result<()> {
        let folder = self.folder.clone();
        let folder = &folder;
        let ours = folder.join(MARK).exists();
        if folder.exists() && !ours && std::fs::read_dir(folder)?.next().is_some() {
            bail!("{} holds something else; name another folder with --folder", folder.display());
        }
        if ours {
            self.lock = Some(lock(folder)?);
        }
        if ours && self.keep {
            return self.use_kept();
        }
        if ours {
            std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        let company = Company::generate_as_of(self.seed, usize::try_from(self.people)?, today());
        write(&folder.join(MARK), "Made by `leasehold demo`, which may remove this folder.\n")?;
        let configuration = company.configuration();
        self.lock = Some(lock(folder)?);
        let configuration = if self.once { configuration } else { self.watched(&configuration) };
        write(&folder.join(crate::config::FILE_NAME), &configuration)?;
        for (path, text) in company.policy_files() {
            write(&folder.join("policy").join(path.trim_start_matches("policy/")), &text)?;
        }
        Ok(())
    }

    /// Goes on with the numbers of the company that is there, and says so where others were asked for.
    fn use_kept(&mut self) -> anyhow::Result<()> {
        let path = self.folder.join(crate::config::FILE_NAME);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("cannot read {}; run `leasehold demo` without --keep", path.display())
        })?;
        let table: toml::Table =
            toml::from_str(&text).with_context(|| format!("{} cannot be understood", path.display()))?;
        let systems = table.get("system").and_then(toml::Value::as_table);
        let number = |key: &str| {
            let found = systems?.values().find_map(|system| system.get(key)?.as_integer())?;
            u64::try_from(found).ok()
        };
        let kept = (number("people").unwrap_or(self.people), number("seed").unwrap_or(self.seed));
        if kept != (self.people, self.seed) {
            output::remark(format!(
                "{} holds a company of {} people (seed {}), which is kept; leave --keep out to make another",
                self.folder.display(),
                kept.0,
                kept.1
            ));
        }
        (self.people, self.seed) = kept;
        Ok(())
    }
}

/// Takes the folder for this demo, for as long as what is given back is kept.
fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join(MARK);
    let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "a demo is running in {}: end it, or name another folder with --folder; nothing was changed",
            folder.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

impl Demo {
    /// The configuration for a server: systems are read often, answer as over a network, and some of them wait for a person,
    /// so that there is something to see and to decide.
    fn watched(&self, configuration: &str) -> String {
        let listen =
            if self.listen.port() == 0 { String::new() } else { format!("listen = \"{}\"\n", self.listen) };
        let mut text = format!("[server]\ninterval = \"5s\"\n{listen}\n");
        for (number, system) in configuration.split("[system.").enumerate() {
            if number == 0 {
                text.push_str(system);
                continue;
            }
            let waits = WAIT_FOR_A_PERSON.iter().any(|name| system.starts_with(&format!("{name}]")));
            let system = system
                .replace("connector = \"simulated\"\n", "connector = \"simulated\"\nlatency_ms = 150\n");
            let system = if waits {
                system.replace("enforce   = \"enforce\"", "enforce   = \"propose\"")
            } else {
                system
            };
            text.push_str("[system.");
            text.push_str(&system);
        }
        text
    }
}

/// The systems whose drift a person closes; that of the others is closed as the policy allows.
const WAIT_FOR_A_PERSON: [&str; 3] = ["ledger-db", "cloud", "crm"];

/// The company is as of today's midnight, so that one day's demo is the same each time.
fn today() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second() - now.as_second().rem_euclid(86_400)).unwrap_or(now)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
