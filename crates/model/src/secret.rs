//! A reference to a secret: what configuration files hold in place of the secret itself.

use std::fmt;
use std::path::Path;

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

impl SecretReference {
    /// Reads the secret. A relative path starts at `folder`.
    ///
    /// # Errors
    /// Where the variable is not set or the file cannot be read. The error never holds the secret.
    pub fn read(&self, folder: &Path) -> std::io::Result<String> {
        match self {
            Self::Environment(name) => std::env::var(name).map_err(|_| {
                std::io::Error::new(
                    std::io::ErrorKind::NotFound,
                    format!("the environment variable {name} is not set"),
                )
            }),
            Self::File(path) => {
                let mut text = std::fs::read_to_string(folder.join(path))?;
                if text.ends_with('\n') {
                    text.pop();
                    if text.ends_with('\r') {
                        text.pop();
                    }
                }
                Ok(text)
            }
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
