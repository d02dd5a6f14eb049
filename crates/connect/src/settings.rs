//! The settings of one `[system.NAME]` table: typed reads, secrets by reference, and no key left unread.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use leasehold_model::id::SystemName;
use leasehold_model::secret::SecretReference;
use secrecy::SecretString;
use toml::Value;

use crate::error::ConnectError;

/// The connector's own keys of one system. Every key must be asked for: [`Settings::finish`] refuses what nobody read.
#[derive(Debug)]
pub struct Settings {
    system: SystemName,
    directory: PathBuf,
    table: toml::Table,
    asked_for: BTreeSet<String>,
}

impl Settings {
    /// Wraps a table. `directory` is where relative paths start: the folder of `leasehold.toml`.
    pub fn new(system: SystemName, directory: impl Into<PathBuf>, table: toml::Table) -> Self {
        Self { system, directory: directory.into(), table, asked_for: BTreeSet::new() }
    }

    /// The system's name, for messages.
    pub fn system(&self) -> &SystemName {
        &self.system
    }

    /// Where relative paths start.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// An error about one key.
    pub fn error(&self, key: &str, message: impl Into<String>) -> ConnectError {
        ConnectError::Setting {
            system: self.system.to_string(),
            key: key.to_owned(),
            message: message.into(),
        }
    }

    /// Whether a key is there, whatever its value.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn value(&mut self, key: &str) -> Option<Value> {
        self.asked_for.insert(key.to_owned());
        self.table.get(key).cloned()
    }

    fn wrong_type(&self, key: &str, wanted: &str, found: &Value) -> ConnectError {
        self.error(key, format!("{wanted} is wanted here, not {}", found.type_str()))
    }

    /// A text that may be absent.
    ///
    /// # Errors
    /// Where the value is not a text.
    pub fn optional_string(&mut self, key: &str) -> Result<Option<String>, ConnectError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(key, "a text", &other)),
        }
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// Where it is missing or not a text.
    pub fn string(&mut self, key: &str, example: &str) -> Result<String, ConnectError> {
        self.optional_string(key)?
            .ok_or_else(|| self.error(key, format!("is missing; write for example `{key} = \"{example}\"`")))
    }

    /// A path that may be absent, relative to the configuration's folder.
    ///
    /// # Errors
    /// Where the value is not a text.
    pub fn optional_path(&mut self, key: &str) -> Result<Option<PathBuf>, ConnectError> {
        Ok(self.optional_string(key)?.map(|text| self.directory.join(text)))
    }

    /// Yes or no.
    ///
    /// # Errors
    /// Where the value is neither.
    pub fn bool_or(&mut self, key: &str, default: bool) -> Result<bool, ConnectError> {
        match self.value(key) {
            None => Ok(default),
            Some(Value::Boolean(value)) => Ok(value),
            Some(other) => Err(self.wrong_type(key, "`true` or `false`", &other)),
        }
    }

    /// A whole number within bounds.
    ///
    /// # Errors
    /// Where the value is no number or outside the bounds.
    pub fn integer_or(
        &mut self,
        key: &str,
        default: u64,
        least: u64,
        most: u64,
    ) -> Result<u64, ConnectError> {
        match self.value(key) {
            None => Ok(default),
            Some(Value::Integer(value)) => u64::try_from(value)
                .ok()
                .filter(|value| (least..=most).contains(value))
                .ok_or_else(|| self.error(key, format!("{value} is outside {least} to {most}"))),
            Some(other) => Err(self.wrong_type(key, "a whole number", &other)),
        }
    }

    /// A share between 0 and 1.
    ///
    /// # Errors
    /// Where the value is no number or outside the bounds.
    pub fn share_or(&mut self, key: &str, default: f64) -> Result<f64, ConnectError> {
        let share = match self.value(key) {
            None => return Ok(default),
            Some(Value::Float(value)) => value,
            Some(Value::Integer(value)) => value as f64,
            Some(other) => return Err(self.wrong_type(key, "a number between 0 and 1", &other)),
        };
        let inside = (0.0..=1.0).contains(&share);
        inside.then_some(share).ok_or_else(|| self.error(key, format!("{share} is outside 0 to 1")))
    }

    /// A list of texts; one text stands for a list of one.
    ///
    /// # Errors
    /// Where something else is there.
    pub fn strings(&mut self, key: &str) -> Result<Vec<String>, ConnectError> {
        match self.value(key) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(items)) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(text) => Ok(text),
                    other => Err(self.wrong_type(key, "a list of texts", &other)),
                })
                .collect(),
            Some(other) => Err(self.wrong_type(key, "a list of texts", &other)),
        }
    }

    /// A table of texts.
    ///
    /// # Errors
    /// Where something else is there.
    pub fn string_table(&mut self, key: &str) -> Result<BTreeMap<String, String>, ConnectError> {
        self.table(key)?
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(text) => Ok((name, text)),
                other => Err(self.wrong_type(&format!("{key}.{name}"), "a text", &other)),
            })
            .collect()
    }

    /// A nested table as it is; empty where it is absent.
    ///
    /// # Errors
    /// Where something else is there.
    pub fn table(&mut self, key: &str) -> Result<toml::Table, ConnectError> {
        match self.value(key) {
            None => Ok(toml::Table::new()),
            Some(Value::Table(table)) => Ok(table),
            Some(other) => Err(self.wrong_type(key, "a table", &other)),
        }
    }

    /// A nested table with settings of its own, whose keys are reported as `key.name`.
    ///
    /// # Errors
    /// Where something else is there.
    pub fn section(&mut self, key: &str) -> Result<Settings, ConnectError> {
        Ok(Self::new(self.system.clone(), self.directory.clone(), self.table(key)?))
    }

    /// A secret by reference, read now.
    ///
    /// # Errors
    /// Where the value is the secret itself, or the variable or file it names cannot be read. The message never
    /// repeats the value.
    pub fn secret(&mut self, key: &str) -> Result<Option<SecretString>, ConnectError> {
        let Some(text) = self.optional_string(key)? else { return Ok(None) };
        let reference = SecretReference::parse(&text).ok_or_else(|| {
            self.error(
                key,
                "holds a secret in clear text; write `env:NAME` or `file:PATH` and keep the secret there",
            )
        })?;
        let secret = reference
            .read(&self.directory)
            .map_err(|error| self.error(key, format!("cannot read {reference}: {error}")))?;
        Ok(Some(SecretString::from(secret)))
    }

    /// A table of secrets by reference, read now.
    ///
    /// # Errors
    /// As [`Settings::secret`], for the first that cannot be read.
    pub fn secret_table(&mut self, key: &str) -> Result<BTreeMap<String, SecretString>, ConnectError> {
        let mut section = self.section(key)?;
        let names: Vec<String> = section.table.keys().cloned().collect();
        let mut secrets = BTreeMap::new();
        for name in names {
            let secret = section.secret(&name).map_err(|error| match error {
                ConnectError::Setting { key: inner, message, .. } => {
                    self.error(&format!("{key}.{inner}"), message)
                }
                other => other,
            })?;
            secrets.extend(secret.map(|secret| (name, secret)));
        }
        Ok(secrets)
    }

    /// Ends the reading: every key that nobody asked for is an error that names the nearest known one.
    ///
    /// # Errors
    /// For the first unknown key.
    pub fn finish(&self) -> Result<(), ConnectError> {
        match self.table.keys().find(|key| !self.asked_for.contains(*key)) {
            None => Ok(()),
            Some(unknown) => {
                let known: Vec<&str> = self.asked_for.iter().map(String::as_str).collect();
                Err(self.error(unknown, format!("is not known here{}", did_you_mean(unknown, &known))))
            }
        }
    }
}

/// `; did you mean …?` where a known word is near, else the list of the known words.
pub fn did_you_mean(unknown: &str, known: &[&str]) -> String {
    match nearest(unknown, known, 2.max(unknown.chars().count() / 3)) {
        Some(word) => format!("; did you mean `{word}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; known are {}", known.join(", ")),
    }
}

/// The known word that was probably meant, where one is so near in letters that are added, left out or others.
pub fn nearest<'word>(unknown: &str, known: &[&'word str], distance_max: usize) -> Option<&'word str> {
    let (distance, word) = known.iter().map(|word| (edit_distance(unknown, word), *word)).min()?;
    (distance <= distance_max && distance < word.len()).then_some(word)
}

/// The Levenshtein distance between two short words.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, left_char) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right_char) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(left_char != *right_char);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::new(SystemName::new("db").unwrap(), "/tmp", text.parse().unwrap())
    }

    #[test]
    fn an_unread_key_is_named_with_its_nearest_neighbour() {
        let mut settings = settings("ulr = 'x'");
        settings.optional_string("url").unwrap();
        let message = settings.finish().unwrap_err().to_string();
        assert_eq!(message, "setting `ulr` of system `db`: is not known here; did you mean `url`?");
    }

    #[test]
    fn a_secret_in_clear_text_is_refused_without_repeating_it() {
        let message = settings("password = 'hunter2'").secret("password").unwrap_err().to_string();
        assert!(message.contains("env:NAME") && !message.contains("hunter2"), "{message}");
    }
}
