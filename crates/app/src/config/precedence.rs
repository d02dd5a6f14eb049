//! `precedence` and `precedence_of` of a people feed: how early it is believed where several list somebody.

use std::collections::BTreeMap;

use leasehold_decide::merge::Precedence;

use super::Config;

impl Config {
    pub(super) fn precedence(
        &self,
        system: &str,
        general: Option<toml::Value>,
        of_attribute: Option<toml::Value>,
    ) -> anyhow::Result<Precedence> {
        let number = |value: &toml::Value, place: &[&str]| {
            let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
            number.filter(|number| *number > 0).ok_or_else(|| {
                let help = "write a whole number; the feed with the lowest is believed first";
                self.complain(place, "not a precedence", help)
            })
        };
        let mut precedence = Precedence::default();
        if let Some(value) = general {
            precedence.general = number(&value, &["system", system, "precedence"])?;
        }
        let place = ["system", system, "precedence_of"];
        match of_attribute {
            None => {}
            Some(toml::Value::Table(table)) => {
                let one = |(name, value): (&String, &toml::Value)| {
                    Ok((name.clone(), number(value, &["system", system, "precedence_of", name])?))
                };
                precedence.of_attribute =
                    table.iter().map(one).collect::<anyhow::Result<BTreeMap<_, _>>>()?;
            }
            Some(_) => {
                let help = "write `precedence_of = { email = 1 }`: attributes, and how early this feed is believed about each";
                return Err(self.complain(&place, "a table is wanted here", help));
            }
        }
        Ok(precedence)
    }
}
