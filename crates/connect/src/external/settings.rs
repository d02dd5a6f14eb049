//! The settings of an `external` system, checked before its program is started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leasehold_model::capability::{Capabilities, Capability};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::error::ConnectError;
use crate::external::CAPABILITIES;
use crate::settings::{Settings, did_you_mean};

/// What of our own environment every program gets: how to find programs and files, and how to spell. The rest may hold
/// secrets that are not for it.
const ENVIRONMENT: [&str; 7] = ["PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"];

/// Words at the end of a key whose value belongs into `secrets`.
const SECRET_WORDS: [&str; 5] = ["password", "secret", "token", "api_key", "private_key"];

/// A secret shorter than this is not looked for in what a program says: it would be found everywhere.
const SECRET_CHARACTERS_MIN: usize = 4;

/// What is known of the program before it is started.
pub(super) struct ExternalSettings {
    pub system: String,
    /// The program, as an absolute path or a name that is looked for in `PATH`, and its arguments.
    pub command: Vec<String>,
    /// Where it is started: the folder of the configuration.
    pub directory: PathBuf,
    /// The names of the variables that it gets from our own environment.
    pub environment: Vec<String>,
    /// What it is told, as it stands in the configuration.
    pub settings: Map<String, Value>,
    /// What it is told besides, and nobody else.
    pub secrets: BTreeMap<String, SecretString>,
    /// What it may be asked for.
    pub capabilities: Capabilities,
    /// Whom it is logged in as, where that account is in the system.
    pub acting_as: Option<String>,
    /// Whether its identities are the ones that access is for.
    pub authoritative: bool,
    /// How long it may take to say the next thing.
    pub timeout: Duration,
    /// How long it may take in all to tell everything.
    pub enumerate_timeout: Duration,
    /// How many of it may run at once.
    pub processes_max: usize,
}

impl ExternalSettings {
    /// A text of the program's, without any of its secrets and cut where it is long.
    pub fn shown(&self, text: &str) -> String {
        const CHARACTERS_MAX: usize = 1000;
        let mut shown = text.to_owned();
        for secret in self.secrets.values().map(ExposeSecret::expose_secret) {
            if secret.chars().count() >= SECRET_CHARACTERS_MIN && shown.contains(secret) {
                shown = shown.replace(secret, "[secret]");
            }
        }
        match shown.char_indices().nth(CHARACTERS_MAX) {
            Some((end, _)) => format!("{}…", &shown[..end]),
            None => shown,
        }
    }
}

/// Reads them.
pub(super) fn read(settings: &mut Settings) -> Result<ExternalSettings, ConnectError> {
    let mut command = settings.strings("command")?;
    let Some(program) = command.first_mut().filter(|program| !program.trim().is_empty()) else {
        let message = "is missing; write for example `command = [\"python3\", \"connector.py\"]`";
        return Err(settings.error("command", message));
    };
    let directory = std::path::absolute(settings.directory())
        .or_else(|_| std::env::current_dir())
        .map_err(|error| settings.error("command", format!("has no folder to start in: {error}")))?;
    if program.contains('/') {
        *program = directory.join(Path::new(program.as_str())).to_string_lossy().into_owned();
    }
    let mut environment: Vec<String> = ENVIRONMENT.map(str::to_owned).to_vec();
    environment.extend(settings.strings("pass_environment")?);
    let timeout_ms = settings.integer_or("timeout_ms", 30_000, 100, 3_600_000)?;
    let enumerate_timeout_ms = settings.integer_or("enumerate_timeout_ms", 3_600_000, 100, 86_400_000)?;
    Ok(ExternalSettings {
        system: settings.system().to_string(),
        settings: told(settings)?,
        secrets: settings.secret_table("secrets")?,
        capabilities: capabilities(settings)?,
        acting_as: settings.optional_string("acting_as")?,
        authoritative: settings.bool_or("authoritative", false)?,
        timeout: Duration::from_millis(timeout_ms),
        enumerate_timeout: Duration::from_millis(enumerate_timeout_ms),
        processes_max: usize::try_from(settings.integer_or("processes_max", 2, 1, 16)?).unwrap_or(1),
        command,
        directory,
        environment,
    })
}

/// What the program is told. A secret in clear text is refused there as elsewhere.
fn told(settings: &mut Settings) -> Result<Map<String, Value>, ConnectError> {
    let table = settings.table("settings")?;
    let told = table.into_iter().map(|(key, value)| {
        let place = format!("settings.{key}");
        let value = json_of(&place, value).map_err(|(place, message)| settings.error(&place, message))?;
        Ok((key, value))
    });
    told.collect()
}

/// A value in JSON, or the place that has no form there and why.
fn json_of(place: &str, value: toml::Value) -> Result<Value, (String, &'static str)> {
    let key = place.rsplit('.').next().unwrap_or_default();
    Ok(match value {
        toml::Value::String(_) if is_secret(key) => {
            let message =
                "looks like a secret; write `env:NAME` or `file:PATH` under this name into `secrets`";
            return Err((place.to_owned(), message));
        }
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) if !number.is_finite() => {
            return Err((place.to_owned(), "has no form in JSON; write it as a text"));
        }
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(instant) => instant.to_string().into(),
        toml::Value::Array(values) => {
            let values = values.into_iter().map(|value| json_of(place, value));
            Value::Array(values.collect::<Result<_, _>>()?)
        }
        toml::Value::Table(table) => {
            let inner = table.into_iter().map(|(key, value)| {
                let value = json_of(&format!("{place}.{key}"), value)?;
                Ok((key, value))
            });
            Value::Object(inner.collect::<Result<_, _>>()?)
        }
    })
}

fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    SECRET_WORDS
        .iter()
        .any(|word| key.strip_suffix(word).is_some_and(|before| before.is_empty() || before.ends_with('_')))
}

/// What it may be asked for, by name.
fn capabilities(settings: &mut Settings) -> Result<Capabilities, ConnectError> {
    let names = settings.strings("capabilities")?;
    let known = names_of(&CAPABILITIES);
    let mut capabilities = Capabilities::NONE;
    for name in &names {
        match capabilities.of_mut(name).filter(|_| known.contains(&name.as_str())) {
            Some(capability) => *capability = Capability::YES,
            None => {
                let message = format!(
                    "`{name}` is nothing that a program can be asked for{}",
                    did_you_mean(name, &known)
                );
                return Err(settings.error("capabilities", message));
            }
        }
    }
    if !capabilities.enumerate.supported {
        let message = "names what the program may be asked for, `enumerate` at least; write for example \
                       `capabilities = [\"enumerate\", \"prove_completeness\", \"read_back\", \"revoke\"]`";
        return Err(settings.error("capabilities", message));
    }
    Ok(capabilities)
}

/// The names of what is possible.
pub(super) fn names_of(capabilities: &Capabilities) -> Vec<&'static str> {
    let rows = capabilities.rows().into_iter();
    rows.filter(|(_, capability)| capability.supported).map(|(name, _)| name).collect()
}
