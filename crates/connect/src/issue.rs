//! What every connector needs that issues credentials: a secret that nobody can guess, and a refusal in words.

use leasehold_model::request::Outcome;
use secrecy::SecretString;

use crate::error::ConnectError;

/// Characters of a new password.
const PASSWORD_CHARACTERS: usize = 28;
/// One of each is in every password, since that is what policies of complexity ask for. Characters that look alike, and
/// those that shells, addresses and distinguished names give a meaning to, are left out.
const CLASSES: [&str; 4] = ["ABCDEFGHJKLMNPQRSTUVWXYZ", "abcdefghijkmnopqrstuvwxyz", "23456789", "-_.~"];

/// Why an account gets no credential while it is disabled: who is kept out is not let in by another door.
pub(crate) const IS_DISABLED: &str = "the account is disabled; enable it first";
/// Why the connector's own account gets none.
pub(crate) const IS_OUR_OWN: &str = "it is the account that the connector itself uses";

/// A refusal to issue a credential.
pub(crate) fn refused(system: &str, login: &str, why: impl Into<String>) -> ConnectError {
    ConnectError::Refused {
        system: system.to_owned(),
        operation: format!("issuing a credential for {login}"),
        message: why.into(),
    }
}

/// An outcome of the change that issues a credential, as an error where it was not made.
pub(crate) fn made(system: &str, login: &str, outcome: Outcome) -> Result<(), ConnectError> {
    match outcome {
        Outcome::Acknowledged { .. } | Outcome::AlreadySo => Ok(()),
        Outcome::Refused { why } => Err(refused(system, login, why)),
        Outcome::Retry { why, .. } => Err(ConnectError::Target {
            system: system.to_owned(),
            operation: format!("issuing a credential for {login}"),
            message: format!("{why}; ask again later"),
        }),
    }
}

/// A new password from the operating system's generator: about 166 bits.
pub(crate) fn new_password(system: &str) -> Result<SecretString, ConnectError> {
    let all: Vec<u8> = CLASSES.concat().into_bytes();
    // The largest multiple of the alphabet's size that a byte holds, so that no character is likelier than another.
    let limit = 256 - 256 % all.len();
    loop {
        // Its final size at once, so that no shorter copy of it is left in memory.
        let mut password = String::with_capacity(PASSWORD_CHARACTERS);
        while password.len() < PASSWORD_CHARACTERS {
            let mut bytes = [0_u8; PASSWORD_CHARACTERS];
            random(system, &mut bytes)?;
            let fitting = bytes.into_iter().map(usize::from).filter(|byte| *byte < limit);
            let missing = PASSWORD_CHARACTERS - password.len();
            password.extend(fitting.take(missing).map(|byte| char::from(all[byte % all.len()])));
        }
        let starts_well = password.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts_well && CLASSES.iter().all(|class| password.contains(|c| class.contains(c))) {
            return Ok(SecretString::from(password));
        }
    }
}

/// Fills a buffer from the operating system's generator.
pub(crate) fn random(system: &str, bytes: &mut [u8]) -> Result<(), ConnectError> {
    getrandom::fill(bytes).map_err(|error| ConnectError::Target {
        system: system.to_owned(),
        operation: "making a secret".to_owned(),
        message: format!("this machine gives no random numbers: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use std::collections::BTreeSet;

    #[test]
    fn passwords_differ_and_have_every_class() {
        let mut seen = BTreeSet::new();
        for _ in 0..500 {
            let password = new_password("db").unwrap();
            let text = password.expose_secret();
            assert_eq!(text.len(), PASSWORD_CHARACTERS);
            assert!(text.starts_with(|c: char| c.is_ascii_alphanumeric()), "options begin with a dash");
            for class in CLASSES {
                assert!(text.contains(|c| class.contains(c)));
            }
            assert!(seen.insert(text.to_owned()), "a password came twice");
        }
        let used: BTreeSet<char> = seen.iter().flat_map(|text| text.chars()).collect();
        assert_eq!(used.len(), CLASSES.concat().len(), "every character has its turn");
    }
}
