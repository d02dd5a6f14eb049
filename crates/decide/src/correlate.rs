//! Whose account is this? Ordered rules per system; one match decides, several are a question to a person.

use std::collections::HashMap;

use leasehold_model::account::Account;
use leasehold_model::identity::Identity;

/// Why a rule's text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a correlation rule: {why}; write for example `mail = email`, `login = email.local` or `login ~ \"adm-{{}}\" = email.local`"
)]
pub struct RuleError {
    text: String,
    why: &'static str,
}

/// What is done to a value before it is compared. Every comparison ignores case and surrounding blanks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transform {
    Whole,
    /// The part before the `@`.
    Local,
    /// The part after the `@`.
    Domain,
    /// A mail address without its `+tag`.
    Mail,
    /// Digits only, without leading zeros: employee numbers.
    Number,
}

impl Transform {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "local" => Self::Local,
            "domain" => Self::Domain,
            "mail" => Self::Mail,
            "number" => Self::Number,
            _ => return None,
        })
    }

    fn apply(self, value: &str) -> Option<String> {
        let value = value.trim().to_lowercase();
        let value = match self {
            Self::Whole => value,
            Self::Local => value.split_once('@').map_or(value.clone(), |(local, _)| local.to_owned()),
            Self::Domain => value.split_once('@')?.1.to_owned(),
            Self::Mail => {
                let (local, domain) = value.split_once('@')?;
                format!("{}@{domain}", local.split('+').next().unwrap_or(local))
            }
            Self::Number => {
                let digits: String = value.chars().filter(char::is_ascii_digit).collect();
                digits.trim_start_matches('0').to_owned()
            }
        };
        (!value.is_empty()).then_some(value)
    }
}

/// One side of a rule: an attribute and what is done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Operand {
    attribute: String,
    transform: Transform,
    /// What surrounds the part that is compared: `adm-{}` has the prefix `adm-`.
    around: Option<(String, String)>,
}

impl Operand {
    /// The side of an account. Connectors name attributes in families, as `tag.email`: a last part that is no transform belongs to
    /// the name, and a name in quotes is taken as it stands.
    fn parse_of_account(text: &str) -> Option<Self> {
        let (name, pattern) = match text.split_once('~') {
            None => (text.trim(), String::new()),
            Some((name, pattern)) => (name.trim(), format!("~{pattern}")),
        };
        let (attribute, transform) = match name.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => match name.rsplit_once('.') {
                Some((_, last)) if Transform::parse(last).is_some() => {
                    name.split_at(name.len() - last.len() - 1)
                }
                // These two are no families, so that is a transform that there is none of.
                Some(("login" | "key", _)) => return None,
                _ => (name, ""),
            },
        };
        if attribute.is_empty() || attribute.split('.').any(str::is_empty) {
            return None;
        }
        let plain = Self::parse(&format!("attribute{transform} {pattern}"))?;
        let is_name = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        let well_formed = name.starts_with('"') || attribute.chars().all(is_name);
        well_formed.then(|| Self { attribute: attribute.to_owned(), ..plain })
    }

    fn parse(text: &str) -> Option<Self> {
        let (text, around) = match text.split_once('~') {
            None => (text.trim(), None),
            Some((text, pattern)) => {
                let pattern = pattern.trim().strip_prefix('"')?.strip_suffix('"')?;
                let (before, after) = pattern.split_once("{}")?;
                (text.trim(), Some((before.to_lowercase(), after.to_lowercase())))
            }
        };
        let (attribute, transform) = match text.rsplit_once('.') {
            None => (text, Transform::Whole),
            Some((attribute, transform)) => (attribute, Transform::parse(transform)?),
        };
        let well_formed =
            !attribute.is_empty() && attribute.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
        well_formed.then(|| Self { attribute: attribute.to_owned(), transform, around })
    }

    fn value(&self, raw: Option<&str>) -> Option<String> {
        let value = raw?;
        let Some((before, after)) = &self.around else { return self.transform.apply(value) };
        let value = value.trim().to_lowercase();
        let inner = value.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
        self.transform.apply(inner)
    }
}

/// `account attribute = identity attribute`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrelationRule {
    text: String,
    account: Operand,
    identity: Operand,
}

impl CorrelationRule {
    /// Reads a rule.
    ///
    /// # Errors
    /// Where it does not have the form `attribute[.transform] [~ "pattern{}"] = attribute[.transform]`.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let refused = |why| RuleError { text: text.to_owned(), why };
        let (account, identity) = text.rsplit_once('=').ok_or_else(|| refused("it has no `=`"))?;
        let account = Operand::parse_of_account(account)
            .ok_or_else(|| refused("the side of the account is not understood"))?;
        let identity =
            Operand::parse(identity).ok_or_else(|| refused("the side of the identity is not understood"))?;
        Ok(Self { text: text.to_owned(), account, identity })
    }

    /// As people wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the rule gives a new account of this login to this identity; `None` where it looks at something that only the system
    /// knows of an account.
    pub fn gives_new(&self, login: &str, identity: &Identity) -> Option<bool> {
        let value = (self.account.attribute == "login").then(|| self.account.value(Some(login)))?;
        Some(value.is_some() && value == self.identity.value(identity.attribute(&self.identity.attribute)))
    }

    /// Why the rule can match nothing, where it names an attribute that no account or no identity has. A slip of the pen
    /// would otherwise look like a system full of strangers.
    pub fn names_nothing<'facts>(
        &self,
        accounts: impl IntoIterator<Item = &'facts Account>,
        identities: &[Identity],
    ) -> Option<String> {
        let Self { text, account, identity } = self;
        if !accounts.into_iter().any(|found| attribute_of(found, &account.attribute).is_some()) {
            return Some(format!("rule `{text}`: no account of this system has `{}`", account.attribute));
        }
        let known = identities.iter().any(|found| found.attribute(&identity.attribute).is_some());
        (!known).then(|| format!("rule `{text}`: no identity has `{}`", identity.attribute))
    }
}

/// What the login of a new account is made from: an attribute of its identity, such as `email.local`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRule {
    text: String,
    identity: Operand,
}

impl LoginRule {
    /// Reads a rule.
    ///
    /// # Errors
    /// Where it does not have the form `attribute[.transform]`.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let why = "it does not name an attribute, as `email.local` does";
        let identity = Operand::parse(text).filter(|operand| operand.around.is_none());
        let identity = identity.ok_or_else(|| RuleError { text: text.to_owned(), why })?;
        Ok(Self { text: text.trim().to_owned(), identity })
    }

    /// As people wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The login of this identity; `None` where it lacks what the login is made from.
    pub fn login_of(&self, identity: &Identity) -> Option<String> {
        self.identity.value(identity.attribute(&self.identity.attribute))
    }
}

/// What rules can look at in an account.
fn attribute_of<'account>(account: &'account Account, name: &str) -> Option<&'account str> {
    match name {
        "login" => Some(account.login.as_str()),
        "key" => Some(account.key.as_str()),
        name => account.attributes.get(name).map(String::as_str),
    }
}

/// Whose an account is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Correlation {
    /// This identity's (by position), and by which rule.
    To {
        /// Position in the list of identities.
        identity: u32,
        /// The rule, or `policy` where a person said so.
        by: String,
    },
    /// Several identities match; nobody is guessed.
    Ambiguous {
        /// Their positions.
        candidates: Vec<u32>,
        /// The rule that matched them.
        by: String,
    },
    /// Nobody's.
    Orphan,
}

/// The rules of one system, ready to match its accounts in constant time each.
pub struct Correlator<'rules> {
    rules: Vec<(&'rules CorrelationRule, HashMap<String, Vec<u32>>)>,
}

impl<'rules> Correlator<'rules> {
    /// Indexes the identities under each rule's right side.
    pub fn new(rules: &'rules [CorrelationRule], identities: &[Identity]) -> Self {
        let indexed = rules.iter().map(|rule| {
            let mut index: HashMap<String, Vec<u32>> = HashMap::new();
            for (position, identity) in (0u32..).zip(identities) {
                if let Some(value) = rule.identity.value(identity.attribute(&rule.identity.attribute)) {
                    index.entry(value).or_default().push(position);
                }
            }
            (rule, index)
        });
        Self { rules: indexed.collect() }
    }

    /// The first rule with a match decides.
    pub fn correlate(&self, account: &Account) -> Correlation {
        for (rule, index) in &self.rules {
            let raw = attribute_of(account, &rule.account.attribute);
            let matching = rule.account.value(raw).and_then(|value| index.get(&value));
            match matching.map(Vec::as_slice) {
                None | Some([]) => {}
                Some([identity]) => return Correlation::To { identity: *identity, by: rule.text.clone() },
                Some(several) => {
                    return Correlation::Ambiguous { candidates: several.to_vec(), by: rule.text.clone() };
                }
            }
        }
        Correlation::Orphan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_model::id::IdentityKey;
    use leasehold_model::identity::{IdentityKind, LifecycleState, Unsaid};

    fn person(key: &str, number: &str) -> Identity {
        Identity {
            key: IdentityKey::from(key),
            kind: IdentityKind::Person,
            state: LifecycleState::Active,
            start: None,
            end: None,
            manager: None,
            owner: None,
            attributes: [("email", key), ("employee_number", number)]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            unsaid: Unsaid::default(),
        }
    }

    fn outcome(rules: &[&str], account: &Account) -> String {
        let identities = [
            person("dana@example.com", "0017"),
            person("lee@example.com", "18"),
            person("lee@other.example", "19"),
        ];
        let rules: Vec<_> = rules.iter().map(|rule| CorrelationRule::parse(rule).unwrap()).collect();
        match Correlator::new(&rules, &identities).correlate(account) {
            Correlation::To { identity, by } => format!("{} by {by}", identities[identity as usize].key),
            Correlation::Ambiguous { candidates, .. } => format!("{} candidates", candidates.len()),
            Correlation::Orphan => "orphan".to_owned(),
        }
    }

    #[test]
    fn rules_are_tried_in_order_and_nobody_is_guessed() {
        let account = |login: &str, attributes: &[(&str, &str)]| Account {
            attributes: attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Account::new(login, login)
        };
        let all =
            ["mail.mail = email", "employeeNumber.number = employee_number.number", "login = email.local"];
        let cases = [
            (account("x", &[("mail", "Dana+db@Example.com")]), "dana@example.com by mail.mail = email"),
            (
                account("x", &[("employeeNumber", "17")]),
                "dana@example.com by employeeNumber.number = employee_number.number",
            ),
            (account("DANA", &[]), "dana@example.com by login = email.local"),
            (account("lee", &[]), "2 candidates"),
            (
                account("lee", &[("employeeNumber", "E-18")]),
                "lee@example.com by employeeNumber.number = employee_number.number",
            ),
            (account("nobody", &[("mail", "")]), "orphan"),
        ];
        for (account, expected) in cases {
            assert_eq!(outcome(&all, &account), expected, "{account:?}");
        }
        let pattern = ["login ~ \"adm-{}\" = email.local"];
        assert_eq!(
            outcome(&pattern, &account("adm-dana", &[])),
            format!("dana@example.com by {}", pattern[0])
        );
        assert_eq!(outcome(&pattern, &account("dana", &[])), "orphan");
    }

    #[test]
    fn a_new_account_is_given_to_whom_its_login_names() {
        let dana = person("dana@example.com", "17");
        for (rule, login, expected) in [
            ("login = email.local", "dana", Some(true)),
            ("login = email", "dana", Some(false)),
            ("login = email.local", "lee", Some(false)),
            ("login ~ \"adm-{}\" = email.local", "dana", Some(false)),
            ("mail.mail = email", "dana", None),
        ] {
            let parsed = CorrelationRule::parse(rule).expect("a rule");
            assert_eq!(parsed.gives_new(login, &dana), expected, "{rule}: {login}");
        }
    }

    #[test]
    fn attributes_of_a_family_are_named_whole() {
        let account = |name: &str, value: &str| {
            let mut account = Account::new("k", "x");
            account.attributes.insert(name.to_owned(), value.to_owned());
            account
        };
        let cases = [
            ("tag.email = email", "tag.email", "Dana@example.com", true),
            ("alias.userpass = email.local", "alias.userpass", "dana", true),
            ("tag.email.mail = email", "tag.email", "dana+aws@example.com", true),
            ("tag.mail = email", "tag.mail", "dana@example.com", false),
            ("\"tag.mail\" = email", "tag.mail", "dana@example.com", true),
            ("\"tag.mail\".mail = email", "tag.mail", "dana+aws@example.com", true),
            ("\"tag.Mail of work\" ~ \"smtp:{}\" = email", "tag.Mail of work", "smtp:dana@example.com", true),
        ];
        for (rule, name, value, matches) in cases {
            let found = outcome(&[rule], &account(name, value));
            assert_eq!(found.starts_with("dana@example.com by"), matches, "{rule}: {found}");
        }
    }

    #[test]
    fn a_rule_that_can_match_nothing_says_so() {
        let identities = [person("dana@example.com", "17")];
        let mut account = Account::new("k", "dana");
        account.attributes.insert("mail".to_owned(), "dana@example.com".to_owned());
        let cases = [
            ("mail = email", None),
            ("login = email.local", None),
            ("maill = email", Some("no account of this system has `maill`")),
            ("mail = emial", Some("no identity has `emial`")),
        ];
        for (text, expected) in cases {
            let found = CorrelationRule::parse(text).unwrap().names_nothing([&account], &identities);
            assert_eq!(found.is_some(), expected.is_some(), "{text}: {found:?}");
            assert!(expected.is_none_or(|words| found.is_some_and(|found| found.contains(words))), "{text}");
        }
    }

    #[test]
    fn malformed_rules_say_what_is_wrong() {
        for text in [
            "mail",
            "= email",
            "mail = ",
            "mail = email.shout",
            "login.shout = email",
            "tag. = email",
            ".local = email",
            "\"tag.x = email",
            "\"tag.x\".shout = email",
            "login ~ adm = email",
        ] {
            assert!(CorrelationRule::parse(text).is_err(), "{text}");
        }
    }
}
