//! Policy documents: what Leasehold writes, whether one gives administrative power, and who may assume what.
//!
//! `Deny` statements, conditions and permissions boundaries are not weighed: they can only make access less, so what is
//! told here is never less than what is so.

use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

const ASSUME: &str = "sts:AssumeRole";

/// A policy document.
#[derive(Debug, Clone)]
pub(super) struct Document(Value);

impl Document {
    /// Reads a document as the API gives it: percent-encoded (RFC 3986). `None` where it is no JSON.
    pub fn parse(text: &str) -> Option<Self> {
        let text = match text.trim_start().starts_with('{') {
            true => text.into(),
            false => percent_decode_str(text).decode_utf8().ok()?,
        };
        serde_json::from_str(&text).ok().map(Self)
    }

    /// The document that denies everything.
    pub fn disabled() -> Self {
        Self(json!({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}],
        }))
    }

    /// The document that denies everything to sessions that began before an instant, and in the second of it: AWS compares whole
    /// seconds.
    pub fn sessions_ended(before: Timestamp) -> Self {
        let following = before.checked_add(SignedDuration::from_secs(1)).unwrap_or(before);
        let before = following.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Self(json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Deny",
                "Action": "*",
                "Resource": "*",
                "Condition": {"DateLessThan": {"aws:TokenIssueTime": before}},
            }],
        }))
    }

    /// The instant of [`Document::sessions_ended`], where it is such a document.
    pub fn denies_sessions_before(&self) -> Option<Timestamp> {
        let statement = self.statements().find(|statement| statement["Effect"] == "Deny")?;
        statement["Condition"]["DateLessThan"]["aws:TokenIssueTime"].as_str()?.parse().ok()
    }

    /// It denies everything to everybody who has it, without a condition.
    pub fn denies_everything(&self) -> bool {
        self.statements().any(|statement| {
            statement["Effect"] == "Deny"
                && statement.get("Condition").is_none()
                && texts(&statement["Action"]).any(|action| action == "*")
                && texts(&statement["Resource"]).any(|resource| resource == "*")
        })
    }

    /// It allows whatever there is, or whatever there is in IAM, on everything.
    pub fn is_administrative(&self) -> bool {
        self.allowing().any(|statement| {
            let all = statement.get("NotAction").is_some()
                || texts(&statement["Action"])
                    .any(|action| ["*", "*:*", "iam:*"].contains(&action.to_ascii_lowercase().as_str()));
            all && texts(&statement["Resource"]).any(|resource| resource == "*")
        })
    }

    /// It lets its holder assume the role of this ARN.
    pub fn lets_assume(&self, role_arn: &str) -> bool {
        self.allowing().any(|statement| {
            let action = match statement.get("NotAction") {
                Some(not) => !texts(not).any(matches_action),
                None => texts(&statement["Action"]).any(matches_action),
            };
            let resource = match statement.get("NotResource") {
                Some(not) => !texts(not).any(|pattern| matches(pattern, role_arn)),
                None => texts(&statement["Resource"]).any(|pattern| matches(pattern, role_arn)),
            };
            action && resource
        })
    }

    /// It lets its holder assume any role at all.
    pub fn lets_assume_any(&self) -> bool {
        self.allowing().any(|statement| match statement.get("NotAction") {
            Some(not) => !texts(not).any(matches_action),
            None => texts(&statement["Action"]).any(matches_action),
        })
    }

    /// As a role's trust policy: it names exactly this user or role.
    pub fn trusts(&self, arn: &str) -> bool {
        self.trusted().any(|principal| principal == arn)
    }

    /// As a role's trust policy: whoever in the account a policy lets assume the role may do so.
    pub fn trusts_account(&self, account: &str) -> bool {
        self.trusted().any(|principal| {
            principal == "*"
                || principal == account
                || (principal.ends_with(":root") && principal.split(':').nth(4) == Some(account))
        })
    }

    fn trusted(&self) -> impl Iterator<Item = &str> {
        self.allowing().filter(|statement| texts(&statement["Action"]).any(matches_action)).flat_map(
            |statement| {
                let principal = &statement["Principal"];
                texts(principal).chain(texts(&principal["AWS"]))
            },
        )
    }

    fn statements(&self) -> impl Iterator<Item = &Value> {
        let (one, many) = match &self.0["Statement"] {
            Value::Array(many) => (None, many.as_slice()),
            one => (Some(one), &[][..]),
        };
        one.into_iter().chain(many)
    }

    fn allowing(&self) -> impl Iterator<Item = &Value> {
        self.statements().filter(|statement| statement["Effect"] == "Allow")
    }
}

impl std::fmt::Display for Document {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// One text, or a list of them.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let (one, many) = match value {
        Value::Array(many) => (None, many.as_slice()),
        one => (one.as_str(), &[][..]),
    };
    one.into_iter().chain(many.iter().filter_map(Value::as_str))
}

fn matches_action(pattern: &str) -> bool {
    matches(&pattern.to_ascii_lowercase(), &ASSUME.to_ascii_lowercase())
}

/// Whether a text is as a pattern with `*` and `?` says.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut read) = (0, 0);
    // Where the last star was, and up to where it has taken the text.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || *wanted == text[read] => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((position, taken)) => {
                    star = Some((position, taken + 1));
                    at = position + 1;
                    read = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|left| *left == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/ops/Deploy";

    fn allow(more: &str) -> Document {
        Document::parse(&format!(r#"{{"Statement": {{"Effect": "Allow", {more}}}}}"#)).unwrap()
    }

    #[test]
    fn what_may_be_assumed_is_read_from_every_form() {
        for (statement, expected) in [
            (r#""Action": "sts:AssumeRole", "Resource": "arn:aws:iam::123456789012:role/ops/*""#, true),
            (r#""Action": ["s3:*", "STS:assume*"], "Resource": ["x", "*"]"#, true),
            (r#""Action": "*", "Resource": "*""#, true),
            (r#""NotAction": "iam:*", "Resource": "*""#, true),
            (r#""NotAction": "sts:*", "Resource": "*""#, false),
            (r#""Action": "sts:*", "NotResource": "*/Deploy""#, false),
            (r#""Action": "sts:AssumeRole", "Resource": "arn:aws:iam::123456789012:role/Deplo?""#, false),
            (r#""Action": "s3:*", "Resource": "*""#, false),
        ] {
            assert_eq!(allow(statement).lets_assume(ROLE), expected, "{statement}");
        }
    }

    #[test]
    fn power_and_trust_are_read() {
        assert!(allow(r#""Action": "*", "Resource": "*""#).is_administrative());
        assert!(allow(r#""Action": ["iam:*"], "Resource": ["*"]"#).is_administrative());
        assert!(!allow(r#""Action": "s3:*", "Resource": "*""#).is_administrative());
        let trust =
            |principal: &str| allow(&format!(r#""Action": "sts:AssumeRole", "Principal": {principal}"#));
        let alice = "arn:aws:iam::123456789012:user/alice";
        assert!(trust(&format!(r#"{{"AWS": ["{alice}"]}}"#)).trusts(alice));
        assert!(!trust(&format!(r#"{{"AWS": "{alice}2"}}"#)).trusts(alice));
        for all in [r#""*""#, r#"{"AWS": "123456789012"}"#, r#"{"AWS": "arn:aws:iam::123456789012:root"}"#] {
            assert!(trust(all).trusts_account("123456789012"), "{all}");
        }
        assert!(!trust(r#"{"Service": "ec2.amazonaws.com"}"#).trusts_account("123456789012"));
    }

    #[test]
    fn our_own_documents_are_known_again() {
        // What began in the same second is stamped with the beginning of it.
        for at in ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.9Z"] {
            let ended = Document::parse(&Document::sessions_ended(at.parse().unwrap()).to_string()).unwrap();
            let following = Some("2026-01-02T03:04:06Z".parse().unwrap());
            assert_eq!(
                (ended.denies_sessions_before(), ended.denies_everything()),
                (following, false),
                "{at}"
            );
        }
        assert!(Document::disabled().denies_everything());
        assert!(Document::parse("%7B%22Statement%22%3A%5B%5D%7D").is_some());
        assert!(Document::parse("no json").is_none());
    }
}
