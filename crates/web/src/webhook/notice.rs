//! Notices: a system that is read tells that something changed there, signed by the Standard Webhooks specification.
//!
//! A notice is a hint and no fact: whatever it says, the system is read, and only what was read counts. So a forged, lost or
//! repeated one takes nobody's access away.

use std::collections::BTreeMap;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use leasehold_model::id::SystemName;
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::Sha256;

use crate::current::Current;
use crate::webhook::secret::PREFIX;

/// The specification wants 24 to 64 bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// A notice from further away than this is old, or its sender's clock is wrong.
const TOLERANCE_S: u64 = 5 * 60;

/// What a system signs its notices with.
#[derive(Debug, Clone)]
pub struct NoticeSecret(SecretSlice<u8>);

/// The secrets of the systems that send notices.
pub type SecretsBySystem = BTreeMap<SystemName, NoticeSecret>;

/// The secrets while the configuration changes.
pub type NoticeSecrets = Current<SecretsBySystem>;

/// The headers of a notice.
pub(crate) struct Signed<'request> {
    pub id: &'request str,
    pub timestamp: &'request str,
    /// One or more with a space between: while a secret is rotated, both sign.
    pub signatures: &'request str,
    pub body: &'request [u8],
}

impl FromStr for NoticeSecret {
    type Err = String;

    /// Reads `whsec_…`. The error says what is wrong and how to mend it, and does not repeat the secret.
    fn from_str(text: &str) -> Result<Self, String> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or_else(|| {
            format!("does not begin with `{PREFIX}`; write one like `{PREFIX}$(openssl rand -base64 32)`")
        })?;
        let bytes = STANDARD.decode(encoded).map_err(|_| format!("is not Base64 after `{PREFIX}`"))?;
        if !SECRET_BYTES.contains(&bytes.len()) {
            let (least, most) = SECRET_BYTES.into_inner();
            return Err(format!("has {} bytes; {least} to {most} are wanted", bytes.len()));
        }
        Ok(Self(bytes.into()))
    }
}

impl NoticeSecret {
    /// Whether a notice was signed with it, just now.
    pub(crate) fn signed(&self, notice: &Signed<'_>, now_s: i64) -> bool {
        let Ok(at_s) = notice.timestamp.parse::<i64>() else { return false };
        if now_s.abs_diff(at_s) > TOLERANCE_S || notice.id.is_empty() {
            return false;
        }
        notice.signatures.split(' ').filter_map(|signature| signature.strip_prefix("v1,")).any(|signature| {
            let Ok(signature) = STANDARD.decode(signature) else { return false };
            // A key of any length is one.
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()) else { return false };
            mac.update(format!("{}.{}.", notice.id, notice.timestamp).as_bytes());
            mac.update(notice.body);
            // In constant time.
            mac.verify_slice(&signature).is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    /// As openssl makes it; see the test of what we sign.
    const SIGNATURE: &str = "v1,AMaOha7DUT/0J0JMycRuYOBSvbx3WtwLd2khXXbaVj4=";
    const NOW_S: i64 = 1_700_000_000;

    fn is_signed(id: &str, timestamp: &str, signatures: &str, body: &str, now_s: i64) -> bool {
        let signed = Signed { id, timestamp, signatures, body: body.as_bytes() };
        SECRET.parse::<NoticeSecret>().unwrap().signed(&signed, now_s)
    }

    #[test]
    fn what_was_signed_just_now_counts_and_nothing_else() {
        let (id, at, body) = ("msg_1", "1700000000", r#"{"a":1}"#);
        let several = format!("v1,{} v1a,abc {SIGNATURE}", STANDARD.encode([7; 32]));
        for (signed, id, at, signatures, body, now_s) in [
            (true, id, at, SIGNATURE, body, NOW_S),
            (true, id, at, &several, body, NOW_S),
            (true, id, at, SIGNATURE, body, NOW_S + 300),
            (true, id, at, SIGNATURE, body, NOW_S - 300),
            (false, id, at, SIGNATURE, body, NOW_S + 301),
            (false, id, at, SIGNATURE, body, NOW_S - 301),
            (false, "msg_2", at, SIGNATURE, body, NOW_S),
            (false, "", at, SIGNATURE, body, NOW_S),
            (false, id, "1700000001", SIGNATURE, body, NOW_S),
            (false, id, "soon", SIGNATURE, body, NOW_S),
            (false, id, at, SIGNATURE, r#"{"a":2}"#, NOW_S),
            (false, id, at, &SIGNATURE[3..], body, NOW_S),
            (false, id, at, "v1,AMaO", body, NOW_S),
            (false, id, at, "v1,?", body, NOW_S),
            (false, id, at, "", body, NOW_S),
        ] {
            assert_eq!(
                is_signed(id, at, signatures, body, now_s),
                signed,
                "{id} {at} {signatures} {body} {now_s}"
            );
        }
    }

    #[test]
    fn a_secret_that_is_none_is_not_repeated() {
        for (text, why) in [
            ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "does not begin"),
            ("whsec_???", "not Base64"),
            ("whsec_AAEC", "has 3 bytes"),
        ] {
            let error = text.parse::<NoticeSecret>().unwrap_err();
            assert!(error.contains(why) && !error.contains(text), "{error}");
        }
        assert!(!format!("{:?}", SECRET.parse::<NoticeSecret>().unwrap()).contains("AAEC"));
    }
}
