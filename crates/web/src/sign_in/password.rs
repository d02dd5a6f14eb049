//! Passwords: which are taken (NIST SP 800-63B-4, section 3.1.1.2), and how they are kept (argon2id).

use std::collections::HashSet;
use std::sync::LazyLock;

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization as _;

use crate::error::WebError;

/// The least length where the password is the only factor, in characters.
pub(crate) const ALONE_CHARS_MIN: usize = 15;
/// The least length where a second factor stands beside it.
pub(crate) const BESIDE_CHARS_MIN: usize = 8;
/// The greatest length: longer ones only cost time.
pub(crate) const CHARS_MAX: usize = 256;

/// What everybody tries first, in the form of [`core`].
static BLOCKED: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("blocked_passwords.txt").lines().collect());

/// Rows of keyboards and of the alphabet, where a password that only walks along one is none.
const ROWS: &[&str] = &[
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1234567890",
];

/// A password as it is compared and hashed: the same characters, however they were put together, are the same password.
pub(crate) fn normalised(text: &str) -> SecretString {
    text.nfc().collect::<String>().into()
}

/// Whether a password is long enough to be the only factor.
pub(crate) fn stands_alone(password: &SecretString) -> bool {
    password.expose_secret().chars().count() >= ALONE_CHARS_MIN
}

/// Says what is wrong with a new password. `about` is what a stranger would try for this person: name, mail address.
///
/// # Errors
/// The complaint, with what to do.
pub(crate) fn check(password: &SecretString, second_factor: bool, about: &[&str]) -> Result<(), String> {
    let text = password.expose_secret();
    let chars = text.chars().count();
    let least = if second_factor { BESIDE_CHARS_MIN } else { ALONE_CHARS_MIN };
    if chars < least {
        let more = if second_factor { "" } else { "; a few words in a row are easy to remember" };
        return Err(format!("write at least {least} characters, this has {chars}{more}"));
    }
    if chars > CHARS_MAX {
        return Err(format!("write at most {CHARS_MAX} characters, this has {chars}"));
    }
    let core = core(text);
    let core = unit(&core);
    let own = about.iter().flat_map(|text| text.split(['@', '.', ' ', '-', '_'])).map(self::core);
    if core.chars().count() < 3 || BLOCKED.contains(core) || own.into_iter().any(|own| own == core) {
        let why =
            "this is among the first that somebody would try: choose words that have nothing to do with you";
        return Err(why.to_owned());
    }
    let folded: String = text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    if walks(unit(&folded)) {
        return Err("this only walks along the keyboard or the alphabet: choose something else".to_owned());
    }
    Ok(())
}

/// What is left of a password without the usual decoration: small letters, no digits or signs around them, and letters
/// where digits and signs commonly stand for them.
fn core(text: &str) -> String {
    let trimmed = text.trim_matches(|c: char| !c.is_alphabetic());
    let letters = trimmed.chars().flat_map(char::to_lowercase).map(|c| match c {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    });
    letters.filter(|c| c.is_alphabetic()).collect()
}

/// The piece that a text repeats: `ab` of `ababab`, the text itself where nothing repeats.
fn unit(text: &str) -> &str {
    let ends = text.char_indices().map(|(at, _)| at).skip(1);
    ends.map(|end| &text[..end])
        .find(|piece| {
            text.len().is_multiple_of(piece.len()) && piece.repeat(text.len() / piece.len()) == text
        })
        .unwrap_or(text)
}

/// Whether a text is nothing but steps along rows, forwards or backwards, of four characters and more.
fn walks(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let next = |a: char, b: char| {
        ROWS.iter().any(|row| {
            let at = |c: char| row.chars().position(|other| other == c);
            match (at(a), at(b)) {
                (Some(a), Some(b)) => a.abs_diff(b) == 1 || a.abs_diff(b) == row.len() - 1,
                _ => false,
            }
        })
    };
    let steps = chars.windows(2).filter(|pair| next(pair[0], pair[1]) || pair[0] == pair[1]).count();
    // Two breaks are a change of direction or of row.
    chars.len() >= 4 && steps + 3 >= chars.len()
}

/// Hashes and compares, a few at a time: each takes 19 MiB and some milliseconds of a whole core.
#[derive(Debug)]
pub(crate) struct Hasher {
    turns: Semaphore,
}

impl Default for Hasher {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { turns: Semaphore::new(cores) }
    }
}

impl Hasher {
    /// The hash of a password, in the PHC format.
    ///
    /// # Errors
    /// [`WebError::Internal`] where the machine gives no randomness.
    pub(crate) async fn hash(&self, password: SecretString) -> Result<String, WebError> {
        self.work(move || {
            let hash = Argon2::default().hash_password(password.expose_secret().as_bytes());
            hash.map(|hash| hash.to_string()).map_err(WebError::internal)
        })
        .await?
    }

    /// Whether this is the password. Without a hash it takes as long, and is not: nobody learns by the time it takes
    /// whether there is such a user.
    ///
    /// # Errors
    /// [`WebError::Internal`] where the work could not be done.
    pub(crate) async fn matches(
        &self,
        password: SecretString,
        hash: Option<String>,
    ) -> Result<bool, WebError> {
        /// The hash of nothing that anybody can type.
        static NOBODY: LazyLock<String> = LazyLock::new(|| {
            let mut bytes = [0_u8; 32];
            // Even without randomness no password is accepted for it.
            let _ = getrandom::fill(&mut bytes);
            Argon2::default().hash_password(&bytes).map(|hash| hash.to_string()).unwrap_or_default()
        });
        self.work(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODY.clone());
            Argon2::default().verify_password(password.expose_secret().as_bytes(), hash.as_str()).is_ok()
                && known
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WebError> {
        let _turn = self.turns.acquire().await.map_err(WebError::internal)?;
        tokio::task::spawn_blocking(work).await.map_err(WebError::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: &[&str] = &["Ada Lovelace", "ada.lovelace@example.com"];

    #[test]
    fn passwords_are_taken_by_length_and_by_what_everybody_tries() {
        for (password, second_factor, accepted) in [
            ("gravel teapot orbit", false, true),
            ("наша улица пахнет липой", false, true),
            ("lamp post 🦔 river", false, true),
            ("short but fine", false, false),
            ("short but fine", true, true),
            ("seven77", true, false),
            ("Password12345678!", false, false),
            ("p@ssw0rd!!!!!!!!!!", false, false),
            ("passwordpassword", false, false),
            ("qwertyqwertyqwerty", false, false),
            ("qwertyuiopasdfghjkl", false, false),
            ("123456789012345678", false, false),
            ("aaaaaaaaaaaaaaaaaaa", false, false),
            ("abcabcabcabcabcabc", false, false),
            ("abcdefghijklmnopq", false, false),
            ("................", false, false),
            ("adaadaadaadaada1", false, false),
            ("Lovelace-----------", false, false),
            ("correct horse battery staple", false, false),
            ("leasehold!!!!!!!!!!!", false, false),
        ] {
            let found = check(&normalised(password), second_factor, ABOUT);
            assert_eq!(found.is_ok(), accepted, "{password}: {found:?}");
        }
        assert!(check(&normalised(&"long word ".repeat(26)), false, ABOUT).is_err(), "260 characters");
    }

    #[test]
    fn one_password_in_two_spellings_of_unicode_is_one() {
        assert_eq!(
            normalised("Stra\u{00df}e caf\u{00e9}").expose_secret(),
            normalised("Stra\u{00df}e cafe\u{0301}").expose_secret()
        );
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_and_matches_its_password_only() {
        let hasher = Hasher::default();
        let hash = hasher.hash(normalised("gravel teapot orbit")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hasher.matches(normalised("gravel teapot orbit"), Some(hash.clone())).await.unwrap());
        assert!(!hasher.matches(normalised("gravel teapot orbit "), Some(hash)).await.unwrap());
        assert!(!hasher.matches(normalised("gravel teapot orbit"), None).await.unwrap());
    }
}
