//! The configuration of a server that runs on while leasehold.toml changes: its systems follow the file, and a system that
//! is connected in the server is written into it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use leasehold_connect::error::ConnectError;
use leasehold_connect::registry;
use leasehold_model::id::SystemName;
use leasehold_model::setting::{SettingField, SettingKind};
use leasehold_reconcile::driver::DriverHandle;
use leasehold_web::{
    ConnectedSystem, Connections, ConnectorForm, FieldError, NewSystem, NotConnected, NoticeSecrets,
    Settings, SystemOwners,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, watch};

use crate::config::Config;
use crate::diagnostic::Rendered;

/// How often it is looked whether the file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Whoever connects a system waits for an answer no longer than this.
const TRY_WITHIN: Duration = Duration::from_secs(20);
/// The folder of secrets that were typed into the server, beside leasehold.toml.
const SECRETS: &str = "secrets";

/// The configuration as it is followed and changed.
pub struct LiveConfiguration {
    path: PathBuf,
    driver: DriverHandle,
    owners: SystemOwners,
    notice_secrets: NoticeSecrets,
    /// The text that is in force; whoever holds it reads or changes the file.
    in_force: Mutex<String>,
}

impl LiveConfiguration {
    /// Begins with a configuration that is in force.
    pub fn new(config: &Config, driver: DriverHandle, server: &Settings) -> Arc<Self> {
        let in_force = Mutex::new(config.text().to_owned());
        Arc::new(Self {
            path: config.path.clone(),
            driver,
            owners: server.system_owners.clone(),
            notice_secrets: server.notice_secrets.clone(),
            in_force,
        })
    }

    /// Follows the file until told to stop: at SIGHUP, and where it changed. A file that cannot be used changes nothing.
    pub async fn follow(self: &Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut hang_up = signal(SignalKind::hangup()).ok();
        // What is wrong may be mended elsewhere, as a file with a secret: it is tried again and again, and told once.
        let mut complained_of = String::new();
        while !*stop.borrow() {
            let told = async {
                match &mut hang_up {
                    Some(hang_up) => hang_up.recv().await,
                    None => std::future::pending().await,
                }
            };
            let anew = tokio::select! {
                _ = told => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
                Ok(_) = stop.changed() => continue,
            };
            if anew {
                complained_of.clear();
            }
            match self.follow_file(anew).await {
                Ok(()) => complained_of.clear(),
                Err(error) => {
                    let complaint = format!("{error:#}");
                    if complaint != complained_of {
                        tracing::error!(file = %self.path.display(), "the configuration cannot be used; what was in force goes on: {complaint}");
                        complained_of = complaint;
                    }
                }
            }
        }
    }

    /// Follows the file as it is now; `anew` also where its text is in force already, because what it names, as a file with a
    /// secret, may hold something else.
    async fn follow_file(&self, anew: bool) -> anyhow::Result<()> {
        let mut in_force = self.in_force.lock().await;
        let text = tokio::fs::read_to_string(&self.path).await.context("it cannot be read")?;
        if !anew && *in_force == text {
            return Ok(());
        }
        let config = Config::parse(&self.path, text.clone())?;
        self.take(&config).await?;
        *in_force = text;
        tracing::info!(file = %self.path.display(), "the configuration was taken: systems and owners follow, [server] and the rest at the next start");
        Ok(())
    }

    /// Goes on with the systems of a configuration.
    async fn take(&self, config: &Config) -> anyhow::Result<()> {
        let (systems, owners) = (config.systems()?, config.owners()?);
        let notice_secrets = config.notice_secrets()?;
        self.driver.reconfigure(systems).await?;
        self.owners.replace(owners);
        self.notice_secrets.replace(notice_secrets);
        Ok(())
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    async fn try_and_write(&self, draft: &Draft) -> Result<ConnectedSystem, NotConnected> {
        let mut in_force = self.in_force.lock().await;
        let not_written = |why: String| NotConnected::NotWritten { why, table: draft.table_text() };
        let before = std::fs::read_to_string(&self.path)
            .map_err(|error| not_written(format!("{} cannot be read: {error}", self.path.display())))?;
        let after = draft.appended_to(&before);
        let secrets = draft.write_secrets(self.folder()).map_err(|error| not_written(error.to_string()))?;
        let config = Config::parse(&self.path, after.clone()).map_err(|error| as_complaint(&error))?;
        let system =
            config.connect(&draft.name).map_err(|error| match config.faulty_setting(&draft.name) {
                Some((key, message)) => NotConnected::Wrong(vec![FieldError::new(&key, message)]),
                None => as_complaint(&error),
            })?;
        let report = match tokio::time::timeout(TRY_WITHIN, system.connector.test()).await {
            Ok(Ok(report)) => report,
            Ok(Err(ConnectError::Setting { key, message, .. })) => {
                return Err(NotConnected::Wrong(vec![FieldError::new(&key, message)]));
            }
            Ok(Err(error)) => return Err(NotConnected::Unreachable(error.to_string())),
            Err(_) => {
                let why = format!(
                    "there was no answer within {} s; check address and network",
                    TRY_WITHIN.as_secs()
                );
                return Err(NotConnected::Unreachable(why));
            }
        };
        // Somebody may have written into it while the target was tried.
        let (after, config) = match std::fs::read_to_string(&self.path) {
            Ok(now) if now != before => {
                let after = draft.appended_to(&now);
                let config =
                    Config::parse(&self.path, after.clone()).map_err(|error| as_complaint(&error))?;
                (after, config)
            }
            _ => (after, config),
        };
        write_whole(&self.path, &after).map_err(|error| {
            not_written(format!(
                "{} cannot be written ({error}); write it there by hand, with the secret in a file, and the server follows",
                self.path.display()
            ))
        })?;
        secrets.keep();
        *in_force = after;
        self.take(&config).await.map_err(|error| {
            not_written(format!("it was written, and counts from the next start of the server on: {error:#}"))
        })?;
        Ok(ConnectedSystem {
            name: draft.name.clone(),
            target: report.target,
            acting_as: report.acting_as,
            missing_rights: report.missing_rights.iter().map(ToString::to_string).collect(),
        })
    }
}

#[async_trait]
impl Connections for LiveConfiguration {
    fn kinds(&self) -> Vec<ConnectorForm> {
        let form = |kind: &&dyn leasehold_connect::connector::ConnectorKind| ConnectorForm {
            kind: kind.name(),
            summary: kind.summary(),
            fields: kind.fields(),
        };
        registry::KINDS.iter().map(form).filter(|form| !form.fields.is_empty()).collect()
    }

    async fn connect(&self, new: &NewSystem) -> Result<ConnectedSystem, NotConnected> {
        let draft = Draft::of(new).map_err(NotConnected::Wrong)?;
        self.try_and_write(&draft).await
    }
}

/// What the configuration complains of, by the field where it is known.
fn as_complaint(error: &anyhow::Error) -> NotConnected {
    let message = match error.downcast_ref::<Rendered>() {
        // The place in the file says nothing to whoever typed into a form.
        Some(rendered) => plain(&rendered.0),
        None => format!("{error:#}"),
    };
    let field = match () {
        () if message.contains("duplicate key") => "name",
        () if message.contains("correlat") => "correlate",
        () => "further",
    };
    let message = if field == "name" { "there is a system of this name already".to_owned() } else { message };
    NotConnected::Wrong(vec![FieldError::new(field, message)])
}

/// A rendered complaint without its drawing.
fn plain(rendered: &str) -> String {
    let words = rendered
        .lines()
        .map(|line| line.trim_matches(|c: char| "│╭╰─·×┬,⚠".contains(c) || c.is_whitespace()));
    let words = words.filter(|line| {
        !line.is_empty() && !line.starts_with('[') && !line.chars().next().is_some_and(char::is_numeric)
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A system as it would be written.
struct Draft {
    name: SystemName,
    table: toml::Table,
    /// By key, with the file of each.
    secrets: Vec<(String, String)>,
}

impl Draft {
    /// What was typed, checked as far as that goes without the connector.
    fn of(new: &NewSystem) -> Result<Self, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let mut complain = |field: &str, message: String| wrong.push(FieldError::new(field, message));
        let name = match SystemName::new(new.name.as_str()) {
            Ok(name) => Some(name),
            Err(error) => {
                complain("name", error.to_string());
                None
            }
        };
        let kind = registry::find(&new.connector).filter(|kind| !kind.fields().is_empty());
        let fields: &[SettingField] = kind.map_or(&[], |kind| kind.fields());
        if kind.is_none() {
            complain("connector", format!("`{}` cannot be connected here", new.connector));
        }
        let mut table = toml::Table::new();
        table.insert("connector".to_owned(), new.connector.clone().into());
        let mut secrets = Vec::new();
        for unknown in new.values.keys().filter(|key| fields.iter().all(|field| field.key != key.as_str())) {
            complain(unknown, "is not asked for here; write it into the further settings".to_owned());
        }
        for field in fields {
            let typed = new.values.get(field.key).map_or("", |typed| typed.trim_matches(['\r', '\n']));
            let trimmed = typed.trim();
            if trimmed.is_empty() {
                if field.required {
                    complain(field.key, "write something here".to_owned());
                }
                continue;
            }
            match field.kind {
                SettingKind::Secret => secrets.push((field.key.to_owned(), typed.to_owned())),
                SettingKind::Flag => {
                    table.insert(field.key.to_owned(), (trimmed != "false").into());
                }
                SettingKind::List => {
                    let lines: Vec<String> = trimmed
                        .lines()
                        .map(str::trim)
                        .filter(|line| !line.is_empty())
                        .map(str::to_owned)
                        .collect();
                    table.insert(field.key.to_owned(), lines.into());
                }
                SettingKind::File if !is_inside(trimmed) => {
                    complain(
                        field.key,
                        "write a file below the folder of leasehold.toml, for example exports/people.csv"
                            .to_owned(),
                    );
                }
                SettingKind::Text | SettingKind::File | SettingKind::Choice(_) => {
                    table.insert(field.key.to_owned(), trimmed.into());
                }
            }
        }
        let rules: Vec<String> =
            new.correlate.lines().map(str::trim).filter(|rule| !rule.is_empty()).map(str::to_owned).collect();
        let is_people_feed = table.contains_key("path") || new.connector == "rest";
        if !rules.is_empty() && !is_people_feed && !table.contains_key("authoritative") {
            table.insert("correlate".to_owned(), rules.into());
        }
        match new.further.parse::<toml::Table>() {
            Ok(further) => {
                for (key, value) in further {
                    if table.contains_key(&key) || secrets.iter().any(|(known, _)| *known == key) {
                        complain("further", format!("`{key}` has a field of its own here"));
                    } else if refers_outside(&value) {
                        complain(
                            "further",
                            format!(
                                "`{key}` names a secret or a file outside; that is written in leasehold.toml only"
                            ),
                        );
                    } else {
                        table.insert(key, value);
                    }
                }
            }
            Err(error) => complain("further", format!("this is no TOML: {}", error.message())),
        }
        let Some(name) = name.filter(|_| wrong.is_empty()) else { return Err(wrong) };
        if is_people_feed {
            table.insert("authoritative".to_owned(), true.into());
        }
        for (key, _) in &secrets {
            table.insert(key.clone(), format!("file:{SECRETS}/{name}.{key}").into());
        }
        Ok(Self { name, table, secrets })
    }

    fn table_text(&self) -> String {
        let nested = toml::Table::from_iter([(
            "system".to_owned(),
            toml::Table::from_iter([(self.name.to_string(), self.table.clone().into())]).into(),
        )]);
        toml::to_string(&nested).unwrap_or_default()
    }

    /// The whole text of the configuration with the system at its end.
    fn appended_to(&self, before: &str) -> String {
        let mut text = before.trim_end().to_owned();
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str(&self.table_text());
        text
    }

    /// Writes each secret into a file that only its owner may read.
    fn write_secrets(&self, folder: &Path) -> anyhow::Result<WrittenSecrets> {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        let folder = folder.join(SECRETS);
        let mut written = WrittenSecrets(Vec::new());
        for (key, secret) in &self.secrets {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
            let path = folder.join(format!("{}.{key}", self.name));
            let mut file =
                std::fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
                    .with_context(|| format!("the file {} cannot be made for the secret", path.display()))?;
            written.0.push(path);
            file.write_all(secret.as_bytes())?;
            file.sync_all()?;
        }
        Ok(written)
    }
}

/// Files that are removed again unless the system is kept.
struct WrittenSecrets(Vec<PathBuf>);

impl WrittenSecrets {
    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for WrittenSecrets {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A path below the folder of the configuration: whoever administers the server need not be allowed to read the machine.
fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    parts.all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir))
}

/// Whether a value names a secret, or a file outside of the folder: sent to a target of their choice, it would tell whoever
/// administers the server what only the machine may know.
fn refers_outside(value: &toml::Value) -> bool {
    match value {
        toml::Value::String(text) => {
            text.starts_with("env:") || text.starts_with("file:") || !is_inside(text)
        }
        toml::Value::Array(values) => values.iter().any(refers_outside),
        toml::Value::Table(table) => table.values().any(refers_outside),
        _ => false,
    }
}

/// Replaces a file by one with this text, of the same rights, in one step.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(std::fs::metadata(path)?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_system(values: &[(&str, &str)], further: &str) -> NewSystem {
        NewSystem {
            name: "ledger-db".to_owned(),
            connector: "postgres".to_owned(),
            values: values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            correlate: "login = email.local\n\n".to_owned(),
            further: further.to_owned(),
        }
    }

    #[test]
    fn a_draft_is_appended_and_its_secret_stands_elsewhere() {
        let url = "postgres://leasehold@localhost/app";
        let new = new_system(
            &[("url", url), ("password", "hunter2"), ("databases", "a\n b \n")],
            "interval = \"1h\"",
        );
        let draft = Draft::of(&new).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        let text = draft.appended_to("# ours\n[server]\n");
        assert!(text.starts_with("# ours\n[server]\n\n[system.ledger-db]\n"), "{text}");
        assert!(!text.contains("hunter2") && text.contains("file:secrets/ledger-db.password"), "{text}");
        let read: toml::Table = text.parse().expect("TOML");
        let system = &read["system"]["ledger-db"];
        assert_eq!(system["databases"].as_array().map(Vec::len), Some(2), "{text}");
        assert_eq!(system["interval"].as_str(), Some("1h"));

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secrets/ledger-db.password");
        drop(draft.write_secrets(folder.path()).expect("writes"));
        assert!(!path.exists(), "what was not kept is gone");
        draft.write_secrets(folder.path()).expect("writes").keep();
        assert_eq!(std::fs::read_to_string(&path).expect("is there"), "hunter2");
        assert!(draft.write_secrets(folder.path()).is_err(), "another's secret is not overwritten");
    }

    #[test]
    fn what_cannot_be_used_is_told_by_its_field() {
        for (values, further, field) in [
            (vec![], "", "url"),
            (vec![("url", "postgres://a@b/c"), ("ca_certificate", "/etc/shadow")], "", "ca_certificate"),
            (vec![("url", "postgres://a@b/c"), ("ca_certificate", "../ca.pem")], "", "ca_certificate"),
            (vec![("url", "postgres://a@b/c"), ("paht", "x")], "", "paht"),
            (vec![("url", "postgres://a@b/c")], "password = \"file:secrets/other.password\"", "further"),
            (vec![("url", "postgres://a@b/c")], "url = \"postgres://x@y/z\"", "further"),
            (vec![("url", "postgres://a@b/c")], "interval = ", "further"),
        ] {
            let wrong = Draft::of(&new_system(&values, further)).err().expect("is refused");
            assert!(wrong.iter().any(|error| error.field == field), "{field}: {wrong:?}");
        }
    }
}
