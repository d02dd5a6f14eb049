//! `enforce` of a system: one word for all of its drift, or a table with a word for each kind.

use leasehold_connect::settings::did_you_mean;
use leasehold_decide::plan::CLOSED_BY_PLANS;
use leasehold_model::decision::DriftKind;

use super::{Config, Enforce, Enforcing};

/// What a word means where it stands for everything.
const WORDS: &str = "write report, propose or enforce";

impl Config {
    /// `enforce = "propose"`, or `[system.NAME.enforce]` with `default` and kinds of drift.
    pub(super) fn enforcing(&self, system: &str, value: Option<toml::Value>) -> anyhow::Result<Enforcing> {
        let place = ["system", system, "enforce"];
        let table = match value {
            None => return Ok(Enforcing::default()),
            Some(toml::Value::String(word)) => {
                let enforce = Enforce::parse(&word);
                return enforce
                    .map(Enforcing::from)
                    .ok_or_else(|| self.complain(&place, "not a way to enforce", WORDS));
            }
            Some(toml::Value::Table(table)) => table,
            Some(_) => {
                let help = "write `enforce = \"propose\"`, or a table `[system.NAME.enforce]` with `default` and kinds of drift";
                return Err(self.complain(&place, "not a way to enforce", help));
            }
        };
        let mut enforcing = Enforcing::default();
        for (name, value) in &table {
            let place = ["system", system, "enforce", name];
            let Some(enforce) = value.as_str().and_then(Enforce::parse) else {
                return Err(self.complain(&place, "not a way to enforce", WORDS));
            };
            if name == "default" {
                enforcing.default = enforce;
                continue;
            }
            let Some(kind) = DriftKind::parse(name) else {
                let mut known = vec!["default"];
                known.extend(DriftKind::ALL.iter().map(|kind| kind.as_str()));
                let message = format!("`{name}` is no kind of drift{}", did_you_mean(name, &known));
                return Err(self.complain(&place, &message, "write a kind of drift, or `default`"));
            };
            if enforce == Enforce::Enforce && !CLOSED_BY_PLANS.contains(&kind) {
                let known: Vec<&str> = CLOSED_BY_PLANS.iter().map(|kind| kind.as_str()).collect();
                let message = format!("nothing closes drift of the kind `{kind}` without a person");
                let help = format!("write report or propose here; enforce is for {}", known.join(", "));
                return Err(self.complain(&place, &message, &help));
            }
            enforcing.by_kind.insert(kind, enforce);
        }
        Ok(enforcing)
    }
}
