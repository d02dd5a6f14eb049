//! `webhook_secret` of a system: what it signs its notices with.

use leasehold_model::id::SystemName;
use leasehold_model::secret::SecretReference;
use leasehold_web::{NoticeSecret, SecretsBySystem};

use super::Config;

impl Config {
    /// What systems sign their notices with, read now.
    ///
    /// # Errors
    /// For the first that is not there or is no such secret, with line and caret.
    pub fn notice_secrets(&self) -> anyhow::Result<SecretsBySystem> {
        let mut secrets = SecretsBySystem::new();
        for (name, table) in &self.tables {
            let Some(value) = table.get("webhook_secret") else { continue };
            secrets.insert(SystemName::new(name.as_str())?, self.notice_secret(name, value)?);
        }
        Ok(secrets)
    }

    fn notice_secret(&self, system: &str, value: &toml::Value) -> anyhow::Result<NoticeSecret> {
        let place = ["system", system, "webhook_secret"];
        let Some(reference) = value.as_str().and_then(SecretReference::parse) else {
            let help = "write `env:NAME` or `file:PATH` and keep the secret there";
            return Err(self.complain_of_secret(&place, "a reference to a secret is wanted here", help));
        };
        let text = reference
            .read(&self.folder)
            .map_err(|error| self.complain(&place, &format!("cannot read {reference}: {error}"), ""))?;
        text.parse()
            .map_err(|error: String| self.complain(&place, &format!("what {reference} holds {error}"), ""))
    }
}
