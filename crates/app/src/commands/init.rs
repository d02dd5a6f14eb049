//! `leasehold init`: a configuration and a policy folder to start from, by asking or from flags.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::context::Common;
use crate::{Outcome, output};

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct Init {
    /// The people feed: a CSV file
    #[arg(long, value_name = "FILE")]
    people: Option<PathBuf>,
    /// The column of the people feed that identifies a person
    #[arg(long, default_value = "email", value_name = "COLUMN")]
    key: String,
    /// A PostgreSQL database, without a password: postgres://user@host:5432/database
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// A directory: ldaps://ldap.example.com
    #[arg(long, value_name = "URL", requires = "base_dn")]
    ldap: Option<String>,
    /// Where the directory's tree begins
    #[arg(long, value_name = "DN")]
    base_dn: Option<String>,
    /// As whom to log in to the directory
    #[arg(long, value_name = "DN", requires = "ldap")]
    bind_dn: Option<String>,
    /// Where Leasehold keeps what it knows: sqlite:FILE or postgres://…
    #[arg(long, default_value = "sqlite:leasehold.db", value_name = "URL")]
    store: String,
}

impl Init {
    /// Writes the files; never over existing ones.
    pub fn run(mut self, common: &Common) -> anyhow::Result<Outcome> {
        let path = &common.config;
        if path.exists() {
            bail!(
                "{} is already there and stays as it is; edit it, or name another with --config",
                path.display()
            );
        }
        let nothing_given = self.people.is_none() && self.postgres.is_none() && self.ldap.is_none();
        if nothing_given && std::io::stdin().is_terminal() {
            self.ask()?;
        }
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.check(path, folder)?;
        let policy = folder.join("policy");
        for part in ["roles", "sod", "guards"] {
            std::fs::create_dir_all(policy.join(part))
                .with_context(|| format!("cannot make {}", policy.display()))?;
        }
        write_new(path, &self.configuration())?;
        write_new(&policy.join("limits.toml"), LIMITS)?;
        write_new(&policy.join("roles/example.toml"), ROLE)?;
        if common.json {
            output::json(&serde_json::json!({"config": path, "policy": policy}))?;
        } else {
            output::line(format!(
                "wrote {} and {}/\n\nnext:\n  leasehold connector test    reach every system, changing nothing\n  leasehold sync              read them\n  leasehold policy check      after you wrote the first role\n  leasehold drift             see what nobody can justify",
                path.display(),
                policy.display()
            ))?;
        }
        Ok(Outcome::Clean)
    }

    /// Nothing is written that the first command would only stumble over.
    fn check(&self, path: &Path, folder: &Path) -> anyhow::Result<()> {
        const ADDRESSES: [(&str, &[&str], &str); 2] = [
            ("--postgres", &["postgres", "postgresql"], "postgres://leasehold@db.example.com:5432/app"),
            ("--ldap", &["ldap", "ldaps"], "ldaps://ldap.example.com"),
        ];
        for ((flag, schemes, example), given) in ADDRESSES.into_iter().zip([&self.postgres, &self.ldap]) {
            let Some(given) = given else { continue };
            let Ok(url) = url::Url::parse(given) else {
                bail!("{flag} is not an address; it looks like {example}");
            };
            if url.password().is_some() {
                bail!(
                    "{flag} holds a password, and configuration holds none; leave it out here, and put it into the \
                     environment variable that {} will name",
                    path.display()
                );
            }
            if !schemes.contains(&url.scheme()) {
                bail!(
                    "{flag} begins with `{}://`, and that is nothing it can be; it looks like {example}",
                    url.scheme()
                );
            }
        }
        if let Some(people) = &self.people
            && !folder.join(people).is_file()
        {
            bail!(
                "--people: there is no file {}; name one that is there (paths are relative to the folder of {}), or \
                 leave it out and bring people.csv later",
                folder.join(people).display(),
                path.display()
            );
        }
        Ok(())
    }

    fn ask(&mut self) -> anyhow::Result<()> {
        let ask = |question: &str| -> anyhow::Result<Option<String>> {
            let answer: String =
                dialoguer::Input::new().with_prompt(question).allow_empty(true).interact_text()?;
            Ok((!answer.trim().is_empty()).then(|| answer.trim().to_owned()))
        };
        self.people = ask("People feed, a CSV file (empty: none yet)")?.map(PathBuf::from);
        self.ldap = ask("Directory, such as ldaps://ldap.example.com (empty: none)")?;
        if self.ldap.is_some() {
            self.base_dn = ask("  Base DN, such as dc=example,dc=com")?;
            self.bind_dn = ask("  Log in as, such as cn=leasehold,dc=example,dc=com")?;
        }
        self.postgres =
            ask("PostgreSQL, such as postgres://leasehold@db.example.com:5432/app (empty: none)")?;
        Ok(())
    }

    fn configuration(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut text = format!("[store]\nurl = {}\n", quoted(&self.store));
        let people =
            self.people.as_ref().map_or_else(|| "people.csv".to_owned(), |path| path.display().to_string());
        let remark = if self.people.is_some() {
            ""
        } else {
            "# Every person that access is for; people.csv is yours to bring.\n"
        };
        text += &format!(
            "\n{remark}[system.hr]\nconnector     = \"csv\"\npath          = {}\nauthoritative = true\nkey           = {}\n",
            quoted(&people),
            quoted(&self.key)
        );
        if let (Some(url), Some(base_dn)) = (&self.ldap, &self.base_dn) {
            text += &format!(
                "\n[system.directory]\nconnector = \"ldap\"\nurl       = {}\nbase_dn   = {}\n",
                quoted(url),
                quoted(base_dn)
            );
            if let Some(bind_dn) = &self.bind_dn {
                text += &format!("bind_dn   = {}\npassword  = \"env:DIRECTORY_PASSWORD\"\n", quoted(bind_dn));
            }
            text += "correlate = [\"mail = email\", \"employeeNumber = employee_number\"]\n";
        }
        if let Some(url) = &self.postgres {
            text += &format!(
                "\n[system.database]\nconnector = \"postgres\"\nurl       = {}\npassword  = \"env:DATABASE_PASSWORD\"\ncorrelate = [\"login = email.local\"]\nenforce   = \"propose\"\n",
                quoted(url)
            );
        }
        text
    }
}

fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    if path.exists() {
        return Ok(());
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

const LIMITS: &str = r#"# When an unused account and an old credential become drift, where a system can tell.
[limits]
dormant_after      = "90d"
credential_age_max = "365d"
"#;

const ROLE: &str = r#"# A role is what one job task needs. Remove the marks and make it yours; `leasehold policy check` points at mistakes.
#
# [role.payments-engineer]
# title   = "Payments engineer"
# task    = "Operate and change the payments service"
# owner   = "dana@example.com"
# members = 'principal.kind == "person" && principal.department == "Payments"'
# grants  = ["database:role/payments_rw", "directory:group/payments-eng"]
"#;
