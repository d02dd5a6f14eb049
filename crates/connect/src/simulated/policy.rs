//! The practice company's policy and configuration, as the files that an administrator would write.

use std::fmt::Write as _;

use super::company::{ACTING_AS, BREAK_GLASS, Company, FEED, Given};
use super::people::{day_of, days_from};
use super::roles::ROLES;

impl Company {
    /// The policy as files: path below the policy folder's parent, and text.
    pub fn policy_files(&self) -> Vec<(String, String)> {
        let mut files: Vec<(String, String)> = ROLES
            .iter()
            .map(|role| {
                let text = format!(
                    "[role.{}]\ntitle   = {}\ntask    = {}\nowner   = {}\nmembers = '{}'\ngrants  = {}\n",
                    role.name,
                    quoted(role.title),
                    quoted(role.task),
                    quoted(self.head_of(role.owner).as_str()),
                    role.members.cedar(),
                    list(role.grants),
                );
                (format!("policy/roles/{}.toml", role.name), text)
            })
            .collect();
        files.push(("policy/assignments.toml".to_owned(), given_text("assignment", &self.assignments)));
        files.push(("policy/exceptions.toml".to_owned(), given_text("exception", &self.exceptions)));
        files.push(("policy/sod.toml".to_owned(), SOD.to_owned()));
        files.push(("policy/owners.toml".to_owned(), self.owners_text()));
        files.push(("policy/guards.toml".to_owned(), self.guards_text()));
        files.push(("policy/limits.toml".to_owned(), LIMITS.to_owned()));
        files
    }

    fn owners_text(&self) -> String {
        let owned: [(&str, &str, &[&str]); 4] = [
            ("directory-administration", "IT", &["directory:group/domain-admins"]),
            ("ledger-administration", "Platform", &["ledger-db:role/admin", "ledger-db:role/backup"]),
            ("cloud-administration", "Platform", &["cloud:role/prod-admin", "cloud:role/organization-admin"]),
            ("customer-data", "Sales", &["crm:role/data-export", "crm:role/admin"]),
        ];
        let mut text = String::new();
        for (name, department, of) in owned {
            let owner = self.head_of(department);
            let _ =
                writeln!(text, "[owner.{name}]\nof    = {}\nowner = {}\n", list(of), quoted(owner.as_str()));
        }
        text
    }

    fn guards_text(&self) -> String {
        let mut text = String::new();
        for (system, administrators) in [
            ("directory", "directory:group/domain-admins"),
            ("ledger-db", "ledger-db:role/admin"),
            ("cloud", "cloud:role/organization-admin"),
            ("crm", "crm:role/admin"),
        ] {
            let _ = writeln!(
                text,
                "[guard.{system}]\nshare_max      = 0.3\ncount_min      = 20\nadministrators = [\"{administrators}\"]\n"
            );
        }
        let own = self.accounts_of(&format!("{ACTING_AS}@example.com").into());
        let own: Vec<String> = own
            .iter()
            .filter_map(|(system, key)| {
                let login = &self.state.systems.get(system)?.accounts.get(key)?.login;
                Some(format!("{system}:{login}"))
            })
            .collect();
        let _ = writeln!(
            text,
            "[protect.leasehold]\naccounts = {}\nwhy      = \"Leasehold works with these\"\n",
            list(&own)
        );
        for (system, login, _) in BREAK_GLASS {
            let _ = writeln!(
                text,
                "[break_glass.{system}]\naccounts = [\"{system}:{login}\"]\nowner    = {}\nuntil    = \"{}\"\n",
                quoted(self.head_of("Security").as_str()),
                day_of(days_from(self.as_of(), 300)),
            );
        }
        text
    }

    /// `leasehold.toml` for this company, with every system simulated and the state kept in `company.json`.
    pub fn configuration(&self) -> String {
        let mut text = String::new();
        let correlate: [(&str, &str); 5] = [
            ("directory", r#"["mail = email", "employeeNumber = employee_number"]"#),
            ("ledger-db", r#"["login = email.local"]"#),
            ("cloud", r#"["login = email", "created_by = email"]"#),
            ("crm", r#"["login = email"]"#),
            ("vpn", r#"["login = email.local"]"#),
        ];
        let common = format!(
            "connector = \"simulated\"\nstate     = \"company.json\"\nseed      = {}\npeople    = {}\nas_of     = \"{}\"\n",
            self.seed,
            self.people,
            self.as_of()
        );
        let _ = writeln!(text, "[system.{FEED}]\n{common}authoritative = true\n");
        for (system, rules) in correlate {
            let _ =
                writeln!(text, "[system.{system}]\n{common}correlate = {rules}\nenforce   = \"enforce\"\n");
        }
        text
    }
}

const SOD: &str = r#"[sod.create-and-approve-payment]
severity = "critical"
conflict = [["ledger-db:role/payments_rw"], ["ledger-db:role/payments_approver"]]

[sod.create-and-approve-vendor]
severity = "high"
conflict = [["ledger-db:role/vendor_edit"], ["ledger-db:role/vendor_approve"]]
"#;

const LIMITS: &str = r#"[limits]
dormant_after      = "90d"
credential_age_max = "365d"
"#;

fn given_text(table: &str, given: &[Given]) -> String {
    let mut text = String::new();
    for given in given {
        let _ = writeln!(
            text,
            "[{table}.{}]\nidentity = {}\ngrants   = {}\nuntil    = \"{}\"\nowner    = {}\nwhy      = {}\n",
            given.name,
            quoted(given.identity.as_str()),
            list(&given.grants),
            day_of(given.until),
            quoted(given.owner.as_str()),
            quoted(given.why),
        );
    }
    text
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}
