//! The message of a credential that a program made. It is the only one that brings a secret, and so what is wrong with it is said
//! without any of its values.

use leasehold_model::credential::CredentialKind;
use leasehold_model::id::CredentialKey;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    kind: Value,
    secret: Value,
    #[serde(default)]
    key: Value,
    instructions: Value,
}

/// A credential that was made.
#[derive(Debug, Clone)]
pub(super) struct IssuedForm {
    pub kind: CredentialKind,
    pub secret: SecretString,
    /// By which the program lists it, where it lists credentials of this kind.
    pub key: Option<CredentialKey>,
    /// What its holder does with it.
    pub instructions: String,
}

/// Reads one.
///
/// # Errors
/// Says which field is not as it must be.
pub(super) fn parse(message: Value) -> Result<IssuedForm, String> {
    let written = Written::deserialize(message).map_err(|error| error.to_string())?;
    let kind = written.kind.as_str().and_then(CredentialKind::parse);
    let kind = kind.ok_or("`kind` is no kind of credential, such as password, api_key, ssh_key or token")?;
    let Value::String(secret) = written.secret else { return Err("`secret` is no text".to_owned()) };
    let secret = SecretString::from(secret);
    if secret.expose_secret().trim().is_empty() {
        return Err("`secret` is empty".to_owned());
    }
    let is_told = |text: &str| text.contains(secret.expose_secret());
    let key = match written.key {
        Value::Null => None,
        Value::String(key) if key.is_empty() => return Err("`key` is empty; leave it out".to_owned()),
        Value::String(key) if is_told(&key) => {
            return Err(
                "`key` holds the secret; the key is shown to people, and the secret must not be".to_owned()
            );
        }
        Value::String(key) => Some(CredentialKey(key)),
        _ => return Err("`key` is no text".to_owned()),
    };
    let instructions = match written.instructions {
        Value::String(text) if text.trim().is_empty() => {
            return Err("`instructions` say nothing; say what its holder does with it".to_owned());
        }
        Value::String(text) if is_told(&text) => {
            return Err("`instructions` repeat the secret; it is told in `secret` alone".to_owned());
        }
        Value::String(text) => text,
        _ => return Err("`instructions` are no text".to_owned()),
    };
    Ok(IssuedForm { kind, secret, key, instructions })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_named_and_the_secret_is_not() {
        let whole = json!({
            "kind": "token", "secret": "planted-1234567890", "key": "t-1", "instructions": "send it as a header",
        });
        let issued = parse(whole.clone()).unwrap();
        assert_eq!(issued.key, Some(CredentialKey("t-1".to_owned())));
        assert!(!format!("{issued:?}").contains("planted"), "{issued:?}");
        for (field, value, expected) in [
            ("kind", json!("planted-1234567890"), "`kind` is no kind"),
            ("kind", json!(1_234_567_890), "`kind` is no kind"),
            ("secret", json!(1_234_567_890), "`secret` is no text"),
            ("secret", json!(" "), "`secret` is empty"),
            ("key", json!(""), "`key` is empty"),
            ("key", json!(1_234_567_890), "`key` is no text"),
            ("key", json!("planted-1234567890"), "`key` holds the secret"),
            ("instructions", json!("enter planted-1234567890 there"), "repeat the secret"),
            ("instructions", json!([1_234_567_890]), "are no text"),
            ("instructions", json!(""), "say nothing"),
            ("secrets", json!("planted-1234567890"), "unknown field"),
        ] {
            let mut message = whole.clone();
            message[field] = value;
            let why = parse(message).unwrap_err();
            assert!(why.contains(expected) && !why.contains("1234567890"), "{field}: {why}");
        }
        let mut message = whole;
        message.as_object_mut().unwrap().remove("secret");
        assert!(parse(message).unwrap_err().contains("missing field"));
    }
}
