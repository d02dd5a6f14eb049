//! What a host tells of its accounts, groups, keys and rules, taken apart.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use leasehold_model::fact::Problem;
use sha2::{Digest as _, Sha256};

use crate::error::ConnectError;
use crate::ssh::at::AtJobs;
use crate::ssh::client::{Client, Session};
use crate::ssh::crontab::Crontab;
use crate::ssh::keys::{self, Key};
use crate::ssh::scripts;
use crate::ssh::sudoers::Rule;

const DAY_SECONDS: i64 = 86_400;
/// How often the accounts are read before it is said that they do not hold still.
const READINGS_MAX: usize = 4;

/// No file of an account is read beyond this: what is longer counts as not read.
const FILE_BYTES_MAX: usize = 1 << 20;
const TOO_LARGE: &str = "has more than 1 MiB; make it shorter";

/// A local account.
pub(super) struct User {
    pub uid: u32,
    pub primary_gid: u32,
    pub full_name: String,
    pub shell: String,
    /// Its password cannot be used; its keys still can.
    pub password_locked: bool,
    pub password_empty: bool,
    pub expires_at: Option<Timestamp>,
    pub password_changed: Option<Timestamp>,
}

impl User {
    /// Whether log-ins are let in, by whatever.
    pub fn is_enabled(&self, now: Timestamp) -> bool {
        self.has_shell() && self.expires_at.is_none_or(|at| at > now)
    }

    /// Its shell is one that lets somebody in.
    pub fn has_shell(&self) -> bool {
        !["/nologin", "/false"].iter().any(|end| self.shell.ends_with(end))
    }
}

/// A group.
pub(super) struct Group {
    pub gid: u32,
    pub members: Vec<String>,
}

/// A file of keys.
pub(super) struct KeyFile {
    pub account: String,
    pub path: String,
    pub content: String,
    /// Of the content, as `sha256sum` writes it.
    pub sum: String,
}

/// What a host said at one instant.
#[derive(Default)]
pub(super) struct Host {
    pub users: BTreeMap<String, User>,
    pub groups: BTreeMap<String, Group>,
    pub key_files: Vec<KeyFile>,
    pub crontabs: Vec<Crontab>,
    /// Whose crontabs there are, and who are no account.
    pub strangers: BTreeSet<String>,
    /// By the number of the account.
    pub at_jobs: BTreeMap<u32, AtJobs>,
    pub rules: Vec<Rule>,
    pub problems: Vec<Problem>,
    /// Why there may be more than this.
    pub missing: Vec<String>,
    /// Sums of the account files, before and after.
    pub sums: Vec<String>,
}

impl Host {
    /// Reads everything; again, where somebody changed something meanwhile.
    pub async fn read(client: &Client, session: &Session<'_>) -> Result<Self, ConnectError> {
        let mut host = Self::ask(client, session, "", "yes").await?;
        for _ in 1..READINGS_MAX {
            if host.is_still() {
                break;
            }
            host = Self::ask(client, session, "", "yes").await?;
        }
        Ok(host)
    }

    /// Reads accounts and groups, and the keys of one account.
    pub async fn read_of(
        client: &Client,
        session: &Session<'_>,
        account: &str,
    ) -> Result<Self, ConnectError> {
        Self::ask(client, session, account, "no").await
    }

    /// The same with sudo rules.
    pub async fn read_with_rules(
        client: &Client,
        session: &Session<'_>,
        account: &str,
    ) -> Result<Self, ConnectError> {
        Self::ask(client, session, account, "yes").await
    }

    async fn ask(
        client: &Client,
        session: &Session<'_>,
        account: &str,
        rules: &str,
    ) -> Result<Self, ConnectError> {
        let operation = "reading accounts";
        let input = format!("{account}\n{rules}\n");
        let answer = session.run(operation, &scripts::READ, input.as_bytes()).await?;
        if answer.status != 0 {
            let message = format!(
                "{}; the account needs to be root, or sudo without a password: see `leasehold connector test`",
                answer.message
            );
            return Err(client.wrong(operation, message));
        }
        let text = String::from_utf8_lossy(&answer.output);
        Self::parse(&text).map_err(|why| client.wrong(operation, why))
    }

    /// Takes an answer of [`scripts::READ`] apart.
    fn parse(text: &str) -> Result<Self, String> {
        let mut host = Self::default();
        let mut section = "";
        for line in text.lines() {
            match (section, line) {
                (
                    _,
                    "@sums" | "@passwd" | "@group" | "@shadow" | "@nsswitch" | "@sshd" | "@keys"
                    | "@crontabs" | "@atjobs" | "@sudoers" | "@end",
                ) => {
                    section = line;
                }
                ("@sums", line) => host.sums.push(line.to_owned()),
                ("@passwd", line) => host.read_passwd(line),
                ("@group", line) => host.read_group(line),
                ("@shadow", line) => host.read_shadow(line),
                ("@nsswitch", line) => host.read_sources(line),
                ("@sshd", line) => host.read_sshd(line),
                ("@keys", line) => host.read_keys(line)?,
                ("@crontabs", line) => host.read_crontab(line)?,
                ("@atjobs", line) => host.read_at_job(line)?,
                ("@sudoers", line) => host.read_rules(line),
                _ => return Err(
                    "the answer is not as the command makes it; does the account's shell print something?"
                        .into(),
                ),
            }
        }
        if section != "@end" || host.users.is_empty() {
            return Err("the answer was cut off".to_owned());
        }
        Ok(host)
    }

    /// Nothing changed while it was read.
    pub fn is_still(&self) -> bool {
        self.sums.len() == 2 && self.sums[0] == self.sums[1]
    }

    fn problem(&mut self, file: &str, place: &str, message: &str) {
        self.problems.push(Problem::new(format!("{file} of {place}"), message));
        self.missing.push(format!("an entry of {file} could not be read"));
    }

    fn read_passwd(&mut self, line: &str) {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, full_name, _home, shell] = fields[..] else {
            return self.problem(
                "passwd",
                line.split(':').next().unwrap_or_default(),
                "has not seven fields",
            );
        };
        let (Ok(uid), Ok(primary_gid)) = (uid.parse(), gid.parse()) else {
            return self.problem("passwd", name, "has a number that is none");
        };
        let user = User {
            uid,
            primary_gid,
            full_name: full_name.split(',').next().unwrap_or_default().to_owned(),
            shell: shell.to_owned(),
            password_locked: false,
            password_empty: false,
            expires_at: None,
            password_changed: None,
        };
        // The first of several entries of one name is the one that counts.
        self.users.entry(name.to_owned()).or_insert(user);
    }

    fn read_group(&mut self, line: &str) {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, gid, members] = fields[..] else {
            return self.problem("group", line.split(':').next().unwrap_or_default(), "has not four fields");
        };
        let Ok(gid) = gid.parse() else { return self.problem("group", name, "has a number that is none") };
        let members = members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect();
        self.groups.entry(name.to_owned()).or_insert(Group { gid, members });
    }

    fn read_shadow(&mut self, line: &str) {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, password, changed, _, _, _, _, expires, _] = fields[..] else {
            return self.problem("shadow", line.split(':').next().unwrap_or_default(), "has not nine fields");
        };
        let day = |text: &str| {
            let days: i64 = text.parse().ok().filter(|days| *days > 0)?;
            Timestamp::from_second(days.checked_mul(DAY_SECONDS)?).ok()
        };
        if let Some(user) = self.users.get_mut(name) {
            user.password_locked = password.starts_with(['!', '*']);
            user.password_empty = password.is_empty();
            user.expires_at = day(expires);
            user.password_changed = day(changed);
        }
    }

    /// Where accounts come from: a directory need not list all that it lets in.
    fn read_sources(&mut self, line: &str) {
        let Some((database, sources)) = line.split_once(':') else { return };
        for source in sources.split_whitespace() {
            if !source.starts_with('[') && !["files", "compat", "systemd"].contains(&source) {
                self.missing.push(format!(
                    "`{database}` of nsswitch.conf also comes from {source}, which need not list all"
                ));
            }
        }
    }

    /// Where sshd takes keys from.
    fn read_sshd(&mut self, line: &str) {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let is_read = match key {
            "authorizedkeysfile" => value.split_whitespace().all(|file| {
                [".ssh/authorized_keys", ".ssh/authorized_keys2"].contains(&file.trim_start_matches("%h/"))
            }),
            "unknown" => false,
            _ => value == "none",
        };
        if !is_read {
            self.missing.push(match key {
                "unknown" => "sshd did not say where it takes keys from (`sshd -T`)".to_owned(),
                key => format!("sshd also lets in by `{key} {value}`, which is not read"),
            });
        }
    }

    fn read_keys(&mut self, line: &str) -> Result<(), String> {
        let fields: Vec<&str> = line.split(':').collect();
        let [account, path, content] = fields[..] else {
            return Err("a file of keys came in pieces".to_owned());
        };
        let decoded =
            |text: &str| STANDARD.decode(text).map_err(|_| "a file of keys came in pieces".to_owned());
        let bytes = decoded(content)?;
        let sum = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = String::from_utf8_lossy(&decoded(path)?).into_owned();
        if bytes.len() > FILE_BYTES_MAX {
            self.problem("authorized_keys", account, TOO_LARGE);
            return Ok(());
        }
        match String::from_utf8(bytes) {
            Ok(content) => {
                self.key_files.push(KeyFile { account: account.to_owned(), path, content, sum });
            }
            Err(_) => self.problem("authorized_keys", account, "is not UTF-8; mend the file"),
        }
        Ok(())
    }

    fn read_crontab(&mut self, line: &str) -> Result<(), String> {
        let in_pieces = "a crontab came in pieces";
        if line == "unknown" {
            self.missing.push("crontabs could not be read: `ls` cannot list their folder".to_owned());
            return Ok(());
        }
        let decoded = |text: &str| STANDARD.decode(text).map_err(|_| in_pieces);
        let fields: Vec<&str> = line.rsplitn(3, ':').collect();
        let (account, told) = match fields[..] {
            [account, "unknown"] => (account, None),
            [content, account, folder] => (account, Some((folder, decoded(content)?))),
            _ => return Err(in_pieces.to_owned()),
        };
        let account = String::from_utf8_lossy(&decoded(account)?).into_owned();
        if !self.users.contains_key(&account) {
            // What cron's own programs put aside is nobody's.
            let is_aside =
                account.starts_with("tmp.") || account.starts_with('#') || account == "cron.update";
            if !is_aside {
                self.strangers.insert(account);
            }
            return Ok(());
        }
        let Some((folder, content)) = told else {
            self.problem("crontab", &account, "cannot be read by root");
            return Ok(());
        };
        if content.len() > FILE_BYTES_MAX {
            self.problem("crontab", &account, TOO_LARGE);
            return Ok(());
        }
        match String::from_utf8(content) {
            Ok(content) => self.crontabs.push(Crontab::new(&account, folder, content)),
            Err(_) => self.problem("crontab", &account, "is not UTF-8; mend it by `crontab -e`"),
        }
        Ok(())
    }

    /// The crontabs of an account: a host may have several programs of cron, each with a folder of its own.
    pub fn crontabs_of(&self, name: &str) -> impl Iterator<Item = &Crontab> {
        self.crontabs.iter().filter(move |crontab| crontab.account == name)
    }

    /// Why there may be more crontabs than were read.
    pub fn unread_crontabs(&self) -> Option<&str> {
        self.missing.iter().map(String::as_str).find(|why| why.contains("crontab"))
    }

    fn read_at_job(&mut self, line: &str) -> Result<(), String> {
        let why = match line {
            "unknown" => "jobs of `at` could not be read: `find` cannot list them",
            "nowhere" => {
                "jobs of `at` could not be read: `at` is installed, and no folder that it is known to keep them in is there"
            }
            line => {
                let job = line.split_once(':').and_then(|(uid, mode)| Some((uid.parse().ok()?, mode)));
                let (uid, mode): (u32, _) = job.ok_or("a job of `at` came in pieces")?;
                self.at_jobs.entry(uid).or_default().add(mode);
                return Ok(());
            }
        };
        self.missing.push(why.to_owned());
        Ok(())
    }

    /// Why there may be more jobs of `at` than were read.
    pub fn unread_at_jobs(&self) -> Option<&str> {
        self.missing.iter().map(String::as_str).find(|why| why.starts_with("jobs of `at`"))
    }

    /// The jobs of `at` of an account.
    pub fn at_jobs_of(&self, name: &str) -> AtJobs {
        let found = self.users.get(name).and_then(|user| self.at_jobs.get(&user.uid));
        found.copied().unwrap_or_default()
    }

    fn read_rules(&mut self, line: &str) {
        let read = match line {
            "none" => return,
            "unknown" => Err("cvtsudoers is not installed; it comes with sudo 1.8.23 and newer".to_owned()),
            line => STANDARD
                .decode(line)
                .map_err(|error| error.to_string())
                .and_then(|json| Rule::read_all(&json)),
        };
        match read {
            Ok(rules) => self.rules = rules,
            Err(why) => self.missing.push(format!("sudo rules could not be read: {why}")),
        }
    }

    /// The groups of an account, each with whether it is the primary one.
    pub fn groups_of<'host>(&'host self, account: &'host str) -> impl Iterator<Item = (&'host str, bool)> {
        let primary = self.users.get(account).map(|user| user.primary_gid);
        self.groups.iter().filter_map(move |(name, group)| {
            let is_primary = Some(group.gid) == primary;
            (is_primary || group.members.iter().any(|member| member == account))
                .then_some((name.as_str(), is_primary))
        })
    }

    /// The keys of an account, each with the place of its line; an error where a line is none.
    pub fn keys_of<'host>(
        &'host self,
        account: &'host str,
    ) -> impl Iterator<Item = (String, Result<Key, &'static str>)> + 'host {
        self.key_files.iter().filter(move |file| file.account == account).flat_map(|file| {
            file.content.lines().enumerate().filter_map(|(index, line)| {
                let place = format!("{}:{}", file.path, index + 1);
                keys::parse(line).transpose().map(|key| (place, key))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_cut_is_an_error() {
        let whole = "@sums\nx\n@passwd\na:x:1000:1000:A,,:/home/a:/bin/sh\n@group\na:x:1000:\nb:x:5:a\n@shadow\na:!:100::::::\n@nsswitch\n@sshd\n@keys\n@crontabs\n/var/spool/cron:YQ==:NSA0ICogKiAqIHgK\n/var/spool/cron:Ym9i:\n/var/spool/cron:dG1wLng=:\n@atjobs\n1000:-rwx------\n1000:-rw-------\n@sudoers\n@sums\nx\n@end\n";
        let host = Host::parse(whole).unwrap();
        assert!(host.is_still() && host.missing.is_empty());
        assert_eq!(host.groups_of("a").collect::<Vec<_>>(), [("a", true), ("b", false)]);
        assert_eq!(host.at_jobs_of("a"), AtJobs { waiting: 1, stopped: 1 });
        assert_eq!(host.crontabs, [Crontab::new("a", "/var/spool/cron", "5 4 * * * x\n".to_owned())]);
        assert_eq!(host.strangers, BTreeSet::from(["bob".to_owned()]), "and what cron put aside is nobody's");
        assert!(Host::parse(whole.strip_suffix("@end\n").unwrap()).is_err());
    }

    #[test]
    fn what_cannot_be_read_is_missing_and_not_absent() {
        let large = STANDARD.encode("# ".repeat(FILE_BYTES_MAX / 2 + 1));
        for (crontabs, keys) in [
            ("unknown".to_owned(), String::new()),
            ("unknown:YQ==".to_owned(), String::new()),
            (format!("/var/spool/cron:YQ==:{large}"), String::new()),
            (format!("/var/spool/cron:YQ==:{}", STANDARD.encode(b"* * * * * \xff")), String::new()),
            (String::new(), format!("a:L2E=:{large}")),
            (String::new(), format!("a:L2E=:{}", STANDARD.encode(b"\xff"))),
        ] {
            let (word, text) = match keys.is_empty() {
                true => ("crontab", format!("@crontabs\n{crontabs}\n")),
                false => ("authorized_keys", format!("@keys\n{keys}\n")),
            };
            let users = "@passwd\na:x:1000:1000:A,,:/home/a:/bin/sh\n@shadow\na:!:100::::::\n";
            let host = Host::parse(&format!("@sums\nx\n{users}{text}@sums\nx\n@end\n")).unwrap();
            assert!(host.crontabs.is_empty() && host.key_files.is_empty(), "{word}");
            assert!(host.missing.iter().any(|why| why.contains(word)), "{word}: {:?}", host.missing);
        }
        for word in ["unknown", "nowhere"] {
            let text = format!("@passwd\na:x:1000:1000:A,,:/home/a:/bin/sh\n@atjobs\n{word}\n@end\n");
            assert!(Host::parse(&text).unwrap().unread_at_jobs().is_some(), "{word}");
        }
    }
}
