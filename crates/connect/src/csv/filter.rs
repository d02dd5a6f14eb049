//! Row filters: `where = { Header = "value" | ["one", "two"] | "!value" }`.

use toml::Value;

/// What one column must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The header, as the settings spell it.
    pub header: String,
    wanted: Vec<String>,
    unwanted: Vec<String>,
}

impl Condition {
    /// Reads one entry of a `where` table.
    ///
    /// # Errors
    /// Where the value is neither a text nor a list of texts.
    pub fn parse(header: &str, value: &Value) -> Result<Self, String> {
        let texts = match value {
            Value::String(text) => vec![text.as_str()],
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().ok_or_else(|| wanted(item)))
                .collect::<Result<_, _>>()?,
            other => return Err(wanted(other)),
        };
        let mut condition = Self { header: header.to_owned(), wanted: Vec::new(), unwanted: Vec::new() };
        for text in texts {
            match text.strip_prefix('!') {
                Some(text) => condition.unwanted.push(text.trim().to_owned()),
                None => condition.wanted.push(text.trim().to_owned()),
            }
        }
        Ok(condition)
    }

    /// Whether a field fits: one of the wanted values where there are some, and none of the unwanted.
    pub fn fits(&self, field: &[u8]) -> bool {
        let is = |text: &String| text.as_bytes() == field;
        (self.wanted.is_empty() || self.wanted.iter().any(is)) && !self.unwanted.iter().any(is)
    }
}

fn wanted(found: &Value) -> String {
    format!("a text or a list of texts is wanted here, not {}; write numbers in quotes", found.type_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_and_unwanted_values() {
        let condition = |text: &str| {
            let table: toml::Table = format!("x = {text}").parse().unwrap();
            Condition::parse("x", &table["x"])
        };
        for (text, field, fits) in [
            ("'active'", "active", true),
            ("'active'", "left", false),
            ("['a', 'b']", "b", true),
            ("['a', 'b']", "c", false),
            ("'!left'", "active", true),
            ("'!left'", "left", false),
            ("'!'", "", false),
            ("'!'", "something", true),
            ("['!a', '!b']", "b", false),
        ] {
            assert_eq!(condition(text).unwrap().fits(field.as_bytes()), fits, "{text} on {field}");
        }
        assert!(condition("3").unwrap_err().contains("quotes"));
    }
}
