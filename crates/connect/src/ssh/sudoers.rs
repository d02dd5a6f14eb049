//! The rules of sudo, as `cvtsudoers -f json` tells them with every alias resolved.

use jiff::Timestamp;
use serde_json::Value;

use crate::ssh::host::Host;
use crate::ssh::keys::time;

/// Who a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    Everybody,
    User(String),
    Group(String),
    Uid(u64),
    Gid(u64),
}

/// One command that a subject may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub subject: Subject,
    /// `(root) /usr/bin/id`.
    pub name: String,
    pub valid_from: Option<Timestamp>,
    pub valid_until: Option<Timestamp>,
    pub without_password: bool,
}

impl Rule {
    /// Reads all rules.
    ///
    /// # Errors
    /// Where a part has a form that is not known: leaving it out would call a rule absent.
    pub fn read_all(json: &[u8]) -> Result<Vec<Self>, String> {
        let all: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let mut rules = Vec::new();
        for spec in list(&all, "User_Specs") {
            for subject in list(spec, "User_List") {
                let subject = subject_of(subject)?;
                for commands in list(spec, "Cmnd_Specs") {
                    read_commands(commands, &subject, &mut rules)?;
                }
            }
        }
        Ok(rules)
    }

    /// Whether a rule is for an account.
    pub fn is_for(&self, host: &Host, account: &str) -> bool {
        let Some(user) = host.users.get(account) else { return false };
        match &self.subject {
            Subject::Everybody => true,
            Subject::User(name) => name == account,
            Subject::Uid(uid) => *uid == u64::from(user.uid),
            Subject::Group(name) => host.groups_of(account).any(|(group, _)| group == name),
            Subject::Gid(gid) => {
                host.groups_of(account).any(|(group, _)| u64::from(host.groups[group].gid) == *gid)
            }
        }
    }

    /// It grants no more.
    pub fn is_past(&self, now: Timestamp) -> bool {
        self.valid_until.is_some_and(|until| until <= now)
    }
}

fn list<'json>(value: &'json Value, key: &str) -> impl Iterator<Item = &'json Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn subject_of(value: &Value) -> Result<Subject, String> {
    if value.get("negated").and_then(Value::as_bool) == Some(true) {
        return Err(format!("a rule leaves somebody out ({value}), which cannot be told; name who is meant"));
    }
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let number = |key: &str| value.get(key).and_then(Value::as_u64);
    if let Some(name) = text("username") {
        return Ok(if name == "ALL" { Subject::Everybody } else { Subject::User(name) });
    }
    text("usergroup")
        .map(Subject::Group)
        .or_else(|| number("userid").map(Subject::Uid))
        .or_else(|| number("usergid").map(Subject::Gid))
        .ok_or_else(|| format!("a rule is for {value}, which is not known here"))
}

fn read_commands(spec: &Value, subject: &Subject, rules: &mut Vec<Rule>) -> Result<(), String> {
    let names = |key: &str| -> Vec<String> {
        list(spec, key)
            .map(|item| {
                let sign = if is_negated(item) { "!" } else { "" };
                let of = ["username", "usergroup", "userid", "usergid"].iter().find_map(|key| item.get(key));
                match of {
                    Some(Value::String(name)) => format!("{sign}{name}"),
                    Some(other) => format!("{sign}#{other}"),
                    None => format!("{sign}{item}"),
                }
            })
            .collect()
    };
    let (users, groups) = (names("runasusers"), names("runasgroups"));
    let users = if users.is_empty() { "root".to_owned() } else { users.join(",") };
    let target =
        if groups.is_empty() { format!("({users})") } else { format!("({users}:{})", groups.join(",")) };
    let (mut valid_from, mut valid_until, mut without_password) = (None, None, false);
    for option in list(spec, "Options") {
        let moment = |key: &str| match option.get(key) {
            None => Ok(None),
            Some(value) => value
                .as_str()
                .and_then(time)
                .map(Some)
                .ok_or_else(|| format!("a rule has the {key} {value}, which is no time")),
        };
        valid_from = valid_from.or(moment("notbefore")?);
        valid_until = valid_until.or(moment("notafter")?);
        without_password |= option.get("authenticate").and_then(Value::as_bool) == Some(false);
    }
    for command in list(spec, "Commands") {
        let what =
            command.get("command").and_then(Value::as_str).ok_or("a rule has a command that is none")?;
        // What a rule forbids is no entitlement; it narrows the one beside it, which is told in full.
        if !is_negated(command) {
            let name = format!("{target} {what}");
            rules.push(Rule { subject: subject.clone(), name, valid_from, valid_until, without_password });
        }
    }
    Ok(())
}

fn is_negated(value: &Value) -> bool {
    value.get("negated").and_then(Value::as_bool) == Some(true)
}
