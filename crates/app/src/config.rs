//! `leasehold.toml`: read with the place of every key, so that a complaint can point at it.

mod authority;
mod enforcing;
mod notices;
mod oidc;
mod precedence;
mod server;
mod traces;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use leasehold_connect::error::ConnectError;
use leasehold_connect::registry;
use leasehold_connect::settings::{Settings, did_you_mean};
use leasehold_connect::simulated::company;
use leasehold_decide::correlate::{CorrelationRule, LoginRule};
use leasehold_decide::evaluate::SystemSettings;
use leasehold_decide::merge::Precedence;
use leasehold_decide::policy::diagnostic::Severity;
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::secret::SecretReference;
use leasehold_reconcile::system::{Enforce, Enforcing, System, Systems, abilities};
use toml_edit::{Document, Item};

pub use server::ServerSettings;

use crate::diagnostic::{Rendered, render};

/// The name of the file that is looked for.
pub const FILE_NAME: &str = "leasehold.toml";

/// What every system's table says, apart from what its connector reads.
struct CommonSettings {
    kind: String,
    correlate: Vec<CorrelationRule>,
    new_account_login: Option<LoginRule>,
    precedence: Precedence,
    enforce: Enforcing,
    interval_ms: u64,
    /// Who decides about its access.
    owners: Vec<IdentityKey>,
    rest: toml::Table,
}

/// The configuration, with its text for complaints.
pub struct Config {
    /// Where it was read from.
    pub path: PathBuf,
    /// The folder of the file: where relative paths start.
    pub folder: PathBuf,
    /// The store's address, without a password.
    pub store_url: String,
    /// Where the store's password is, where it has one.
    store_password: Option<SecretReference>,
    /// The folder of policy files.
    pub policy: PathBuf,
    /// The folder of the ledger.
    pub ledger: PathBuf,
    /// The ledger's name, which its checkpoints carry.
    pub ledger_origin: String,
    /// The file of the ledger's signing key.
    pub ledger_key: PathBuf,
    /// How `leasehold serve` runs.
    pub server: ServerSettings,
    text: String,
    document: Document<String>,
    tables: BTreeMap<String, toml::Table>,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// Where the file is not there, or says something that is not understood; with line and caret.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "cannot read {}; run `leasehold init` to write one, or name another with --config",
                path.display()
            )
        })?;
        Self::parse(path, text)
    }

    /// Reads a configuration that stands, or will stand, at `path`.
    ///
    /// # Errors
    /// Where it says something that is not understood; with line and caret.
    pub fn parse(path: &Path, text: String) -> anyhow::Result<Self> {
        let document = Document::parse(text.clone()).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            complaint(path, &text, &span, error.message(), "")
        })?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let values: toml::Table = toml::from_str(&text)
            .map_err(|error| complaint(path, &text, &error.span().unwrap_or(0..0), error.message(), ""))?;
        let mut config = Self {
            path: path.to_owned(),
            store_url: "sqlite:leasehold.db".to_owned(),
            store_password: None,
            policy: folder.join("policy"),
            ledger: folder.join("ledger"),
            ledger_origin: "leasehold.local/ledger".to_owned(),
            ledger_key: folder.join("ledger.key"),
            server: ServerSettings::default(),
            folder,
            text,
            document,
            tables: BTreeMap::new(),
        };
        config.read(&values)?;
        Ok(config)
    }

    fn read(&mut self, values: &toml::Table) -> anyhow::Result<()> {
        for (name, value) in values {
            match (name.as_str(), value) {
                ("system", toml::Value::Table(systems)) => {
                    for (system, table) in systems {
                        if let Err(error) = SystemName::new(system.as_str()) {
                            return Err(self.complain(&["system", system], &error.to_string(), ""));
                        }
                        let toml::Value::Table(table) = table else {
                            let help = "write `[system.NAME]` and its settings below";
                            return Err(self.complain(&["system", system], "a table is wanted here", help));
                        };
                        self.tables.insert(system.clone(), table.clone());
                    }
                }
                ("store", toml::Value::Table(table)) => self.section(name, table, &["url", "password"])?,
                ("server", toml::Value::Table(table)) => self.server = self.server_settings(table)?,
                ("policy", toml::Value::Table(table)) => self.section(name, table, &["path"])?,
                ("ledger", toml::Value::Table(table)) => {
                    self.section(name, table, &["path", "origin", "key"])?
                }
                _ => {
                    let help = format!(
                        "tables are [store], [policy], [ledger], [server] and [system.NAME]{}",
                        did_you_mean(name, &["store", "policy", "ledger", "server", "system"])
                    );
                    return Err(self.complain(&[name], &format!("`{name}` is not known here"), &help));
                }
            }
        }
        self.store_url = absolute_sqlite(&self.store_url, &self.folder);
        Ok(())
    }

    fn section(&mut self, name: &str, table: &toml::Table, known: &[&str]) -> anyhow::Result<()> {
        for (key, value) in table {
            if !known.contains(&key.as_str()) {
                let message = format!("`{key}` is not known in [{name}]{}", did_you_mean(key, known));
                return Err(self.complain(&[name, key], &message, ""));
            }
            let Some(text) = value.as_str() else {
                return Err(self.complain(
                    &[name, key],
                    "a text is wanted here",
                    "put it into double quotes",
                ));
            };
            match (name, key.as_str()) {
                ("store", "url") => {
                    if url::Url::parse(text).is_ok_and(|url| url.password().is_some()) {
                        let help = "take it out, and write `password = \"env:NAME\"` or `password = \"file:PATH\"` below";
                        let message = "the address holds a password in clear text";
                        return Err(self.complain_of_secret(&[name, key], message, help));
                    }
                    self.store_url = text.to_owned();
                }
                ("store", "password") => {
                    let Some(reference) = SecretReference::parse(text) else {
                        let help = "write `env:NAME` or `file:PATH` and keep the secret there";
                        return Err(self.complain_of_secret(&[name, key], "a secret in clear text", help));
                    };
                    self.store_password = Some(reference);
                }
                ("policy", "path") => self.policy = self.folder.join(text),
                ("ledger", "path") => self.ledger = self.folder.join(text),
                ("ledger", "origin") => self.ledger_origin = text.to_owned(),
                _ => self.ledger_key = self.folder.join(text),
            }
        }
        Ok(())
    }

    /// The store's address with its password, read now. Not to be shown.
    ///
    /// # Errors
    /// Where the variable or file cannot be read, or the store has no place for a password.
    pub fn store_address(&self) -> anyhow::Result<String> {
        let Some(reference) = &self.store_password else { return Ok(self.store_url.clone()) };
        let secret = reference.read(&self.folder).map_err(|error| {
            self.complain(&["store", "password"], &format!("cannot read {reference}: {error}"), "")
        })?;
        let mut url = url::Url::parse(&self.store_url)
            .map_err(|error| self.complain(&["store", "url"], &format!("not an address: {error}"), ""))?;
        url.set_password(Some(&secret))
            .map_err(|()| self.complain(&["store", "password"], "this store takes no password", ""))?;
        Ok(url.into())
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The setting that keeps a system's connector from being built, and what is wrong with it.
    pub fn faulty_setting(&self, name: &SystemName) -> Option<(String, String)> {
        let common = self.common(name.as_str(), self.tables.get(name.as_str())?).ok()?;
        let settings = Settings::new(name.clone(), self.folder.clone(), common.rest);
        match registry::build(&common.kind, settings) {
            Err(ConnectError::Setting { key, message, .. }) => Some((key, message)),
            _ => None,
        }
    }

    /// A configured system's table as it stands in the file.
    pub fn table(&self, system: &str) -> Option<&toml::Table> {
        self.tables.get(system)
    }

    /// The names of the configured systems.
    pub fn system_names(&self) -> Vec<SystemName> {
        self.tables.keys().filter_map(|name| SystemName::new(name.as_str()).ok()).collect()
    }

    /// Builds every system's connector, without reaching any target.
    ///
    /// # Errors
    /// For the first setting that is missing, unknown or malformed, with line and caret.
    pub fn systems(&self) -> anyhow::Result<Systems> {
        let mut systems = Systems::new();
        for (name, table) in &self.tables {
            let system = self.system(name, table)?;
            systems.insert(system.name.clone(), system);
        }
        Ok(systems)
    }

    /// Builds the connector of one configured system, without reaching its target.
    ///
    /// # Errors
    /// For a setting that is missing, unknown or malformed, with line and caret; or where there is no such system.
    pub fn connect(&self, name: &SystemName) -> anyhow::Result<System> {
        let table = self.tables.get(name.as_str());
        let table =
            table.with_context(|| format!("there is no system `{name}` in {}", self.path.display()))?;
        self.system(name.as_str(), table)
    }

    /// What deciding needs to know of every system, from the file alone: no connector is built and no secret is read.
    ///
    /// # Errors
    /// For the first setting of ours that is missing or malformed, with line and caret.
    pub fn settings(&self) -> anyhow::Result<BTreeMap<SystemName, SystemSettings>> {
        let mut settings = BTreeMap::new();
        for (name, table) in &self.tables {
            let common = self.common(name, table)?;
            let can =
                registry::find(&common.kind).map(|kind| abilities(&kind.capabilities())).unwrap_or_default();
            let of_system = SystemSettings {
                correlate: common.correlate,
                new_account_login: common.new_account_login,
                precedence: common.precedence,
                authoritative: is_authoritative(&common.kind, name, table),
                connector_login: connector_login(table),
                can,
                report_only: common.enforce.kinds(Enforce::Report).collect(),
            };
            settings.insert(SystemName::new(name.as_str())?, of_system);
        }
        Ok(settings)
    }

    /// The settings that every system has, apart from those of its connector.
    fn common(&self, name: &str, table: &toml::Table) -> anyhow::Result<CommonSettings> {
        let mut table = table.clone();
        let Some(kind) = table.remove("connector") else {
            let known: Vec<&str> = registry::KINDS.iter().map(|kind| kind.name()).collect();
            let help = format!("write `connector = \"…\"`; there are {}", known.join(", "));
            return Err(self.complain(&["system", name], "this system has no connector", &help));
        };
        let kind = kind.as_str().unwrap_or_default().to_owned();
        let correlate = self.correlate(name, table.remove("correlate"))?;
        let new_account_login = self.new_account_login(name, table.remove("new_account_login"))?;
        let precedence = self.precedence(name, table.remove("precedence"), table.remove("precedence_of"))?;
        let enforce = self.enforcing(name, table.remove("enforce"))?;
        let interval_ms = match table.remove("interval") {
            None => self.server.interval_ms,
            Some(value) => self.interval_ms(&["system", name, "interval"], &value)?,
        };
        let owners = self.owners_of(name, table.remove("owner"))?;
        // Nothing that a connector reads; only a server takes notices.
        table.remove("webhook_secret");
        Ok(CommonSettings {
            kind,
            correlate,
            new_account_login,
            precedence,
            enforce,
            interval_ms,
            owners,
            rest: table,
        })
    }

    fn system(&self, name: &str, table: &toml::Table) -> anyhow::Result<System> {
        let system = SystemName::new(name)?;
        let CommonSettings {
            kind, correlate, new_account_login, precedence, enforce, interval_ms, rest, ..
        } = self.common(name, table)?;
        let authoritative = is_authoritative(&kind, name, &rest);
        let connector_login = connector_login(&rest);
        let settings = Settings::new(system.clone(), self.folder.clone(), rest);
        let connector = registry::build(&kind, settings).map_err(|error| self.explain(error))?;
        Ok(System {
            name: system,
            connector_kind: kind,
            connector: Arc::from(connector),
            correlate,
            new_account_login,
            precedence,
            authoritative,
            enforce,
            interval_ms,
            connector_login,
        })
    }

    /// Who owns which system: they decide about its access in the server.
    ///
    /// # Errors
    /// For the first setting of ours that is missing or malformed, with line and caret.
    pub fn owners(&self) -> anyhow::Result<BTreeMap<SystemName, Vec<IdentityKey>>> {
        let owners = self
            .tables
            .iter()
            .map(|(name, table)| Ok((SystemName::new(name.as_str())?, self.common(name, table)?.owners)));
        owners.collect()
    }

    fn owners_of(&self, system: &str, value: Option<toml::Value>) -> anyhow::Result<Vec<IdentityKey>> {
        let values = match value {
            None => return Ok(Vec::new()),
            Some(toml::Value::Array(values)) => values,
            Some(one) => vec![one],
        };
        let owner = |value: &toml::Value| {
            value.as_str().filter(|key| !key.trim().is_empty()).map(IdentityKey::from).ok_or_else(|| {
                let help = "write the key of an identity, or a list: `owner = \"dana@example.com\"`";
                self.complain(&["system", system, "owner"], "not an owner", help)
            })
        };
        values.iter().map(owner).collect()
    }

    fn new_account_login(
        &self,
        system: &str,
        value: Option<toml::Value>,
    ) -> anyhow::Result<Option<LoginRule>> {
        let read = |value: toml::Value| {
            LoginRule::parse(value.as_str().unwrap_or_default()).map_err(|_| {
                let message = "not an attribute that a login can be made from";
                let help = "write `new_account_login = \"email.local\"`, or another attribute of identities";
                self.complain(&["system", system, "new_account_login"], message, help)
            })
        };
        value.map(read).transpose()
    }

    fn correlate(&self, system: &str, value: Option<toml::Value>) -> anyhow::Result<Vec<CorrelationRule>> {
        let place = ["system", system, "correlate"];
        let texts = match value {
            None => return Ok(Vec::new()),
            Some(toml::Value::String(text)) => vec![toml::Value::String(text)],
            Some(toml::Value::Array(texts)) => texts,
            Some(_) => {
                return Err(self.complain(
                    &place,
                    "a list of rules is wanted here",
                    "write `correlate = [\"mail = email\"]`",
                ));
            }
        };
        let rule = |text: &toml::Value| {
            CorrelationRule::parse(text.as_str().unwrap_or_default())
                .map_err(|error| self.complain(&place, &error.to_string(), ""))
        };
        texts.iter().map(rule).collect()
    }

    /// A connector's complaint about a setting, with its place in the file; any other error as it is.
    fn explain(&self, error: ConnectError) -> anyhow::Error {
        match &error {
            ConnectError::Setting { system, key, message } => {
                let mut place = vec!["system", system.as_str()];
                place.extend(key.split('.'));
                let message = format!("`{key}` of system `{system}`: {message}");
                self.complain_of_secret(&place, &message, "")
            }
            _ => error.into(),
        }
    }

    /// The text to be shown around a complaint. A value that may be a secret in clear text is not repeated.
    fn without_secret(&self, span: &Range<usize>) -> String {
        let value = self.text.get(span.clone()).unwrap_or_default();
        let line = self.text.get(..span.start).and_then(|before| before.lines().last()).unwrap_or_default();
        let names_a_secret = ["password", "secret", "token", "key", "url"]
            .iter()
            .any(|word| line.to_lowercase().contains(word));
        if !names_a_secret || SecretReference::parse(value.trim_matches(['"', '\''])).is_some() {
            return self.text.clone();
        }
        let hidden: String = value.chars().map(|c| if "\"'\n".contains(c) { c } else { '*' }).collect();
        format!("{}{hidden}{}", &self.text[..span.start], &self.text[span.end..])
    }

    /// A complaint about what may be a secret in clear text.
    fn complain_of_secret(&self, place: &[&str], message: &str, help: &str) -> anyhow::Error {
        let span = self.span(place);
        complaint(&self.path, &self.without_secret(&span), &span, message, help)
    }

    fn complain(&self, place: &[&str], message: &str, help: &str) -> anyhow::Error {
        complaint(&self.path, &self.text, &self.span(place), message, help)
    }

    /// The bytes of the deepest part of the place that is there.
    fn span(&self, place: &[&str]) -> Range<usize> {
        let mut item: &Item = self.document.as_item();
        let mut span = 0..0;
        for name in place {
            let Some(table) = item.as_table_like() else { break };
            let Some((key, next)) = table.get_key_value(name) else { break };
            span = next.span().filter(|_| !next.is_table()).or_else(|| key.span()).unwrap_or(span);
            item = next;
        }
        span
    }
}

fn complaint(path: &Path, text: &str, span: &Range<usize>, message: &str, help: &str) -> anyhow::Error {
    Rendered(render(Severity::Error, &path.to_string_lossy(), text, span, message, help)).into()
}

/// A SQLite path starts where the configuration is, wherever the command is run.
fn absolute_sqlite(url: &str, folder: &Path) -> String {
    match url.strip_prefix("sqlite:") {
        Some(path) if !path.starts_with(':') && !Path::new(path.trim_start_matches("//")).is_absolute() => {
            format!("sqlite:{}", folder.join(path).display())
        }
        _ => url.to_owned(),
    }
}

/// Whether the identities of a system are the ones that access is for: as it says, or because it can be nothing else.
fn is_authoritative(kind: &str, name: &str, table: &toml::Table) -> bool {
    let is_people_feed = match kind {
        "csv" => table.contains_key("path"),
        "simulated" => name == company::FEED,
        _ => false,
    };
    table.get("authoritative").and_then(toml::Value::as_bool).unwrap_or(is_people_feed)
}

/// Whom a connector logs in as, read from its settings: what they say outright, a bind DN, or the user of a URL.
fn connector_login(table: &toml::Table) -> Option<String> {
    let text = |key: &str| table.get(key).and_then(toml::Value::as_str);
    if let Some(login) = text("acting_as").or_else(|| text("bind_dn")) {
        return Some(login.to_owned());
    }
    let user = url::Url::parse(text("url")?).ok()?.username().to_owned();
    (!user.is_empty()).then_some(user)
}
