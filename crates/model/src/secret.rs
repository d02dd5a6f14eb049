//! A reference to a secret: what configuration files hold in place of the secret itself.

use std::fmt;

/// Where a secret comes from: `env:NAME` or `file:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretReference {
    /// An environment variable.
    Environment(String),
    /// A file; one trailing line break is not part of the secret.
    File(String),
}

impl SecretReference {
    /// Reads a reference; `None` where the text is neither form, as when somebody wrote the secret itself.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("env:") {
            (!name.is_empty()).then(|| Self::Environment(name.to_owned()))
        } else {
            text.strip_prefix("file:").filter(|path| !path.is_empty()).map(|path| Self::File(path.to_owned()))
        }
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(formatter, "env:{name}"),
            Self::File(path) => write!(formatter, "file:{path}"),
        }
    }
}
