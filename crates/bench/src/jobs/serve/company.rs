//! A company as files: people, and systems with accounts, nested groups and grants that roles justify, but for what grew.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::Context as _;

/// Departments; everybody is in one, and each has a role.
pub const DEPARTMENTS: u32 = 50;
/// Titles; everybody has one, and each has a role.
const TITLES: u32 = 7;
/// Entitlements of each system that no role has.
const FURTHER: u32 = 1_000;
/// Grants of each account: three of the department, the department's group, and the title's.
const GRANTS_EACH: u32 = 5;

/// How large the company is.
#[derive(Clone, Copy, Debug)]
pub struct Company {
    /// Identities, each with an account in every system.
    pub identities: u32,
    /// Systems.
    pub systems: u32,
}

impl Company {
    /// What there is, in words.
    pub fn summary(self) -> String {
        let accounts = u64::from(self.identities) * u64::from(self.systems);
        format!(
            "{} identities, {} systems, {accounts} accounts, {} grants that roles give, {} that grew",
            self.identities,
            self.systems,
            accounts * u64::from(GRANTS_EACH),
            accounts / 50
        )
    }

    /// The key of an identity.
    pub fn key(self, identity: u32) -> String {
        format!("p{identity}@example.com")
    }

    /// An entitlement that the identity holds in a system by a group, and its address.
    pub fn carried(self, identity: u32, system: u32) -> String {
        format!("s{system}:role/d{}-3", identity % DEPARTMENTS)
    }

    /// Writes configuration, policy and files.
    pub fn write(self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder.join("policy"))
            .with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(folder.join("leasehold.toml"), self.configuration())?;
        fs::write(folder.join("policy/roles.toml"), self.policy())?;
        let mut people = file(folder, "people.csv", "email,department,title,manager,kind,status")?;
        for identity in 0..self.identities {
            let status = if identity % 200 == 7 { "left" } else { "active" };
            let (department, title) = (identity % DEPARTMENTS, identity % TITLES);
            let manager = self.key(identity / 20);
            writeln!(people, "{},D{department},T{title},{manager},person,{status}", self.key(identity))?;
        }
        people.flush()?;
        for system in 0..self.systems {
            self.write_system(folder, system)?;
        }
        Ok(())
    }

    fn write_system(self, folder: &Path, system: u32) -> anyhow::Result<()> {
        let mut entitlements = file(folder, &format!("s{system}-entitlements.csv"), "name")?;
        let mut contains = file(folder, &format!("s{system}-contains.csv"), "parent,child")?;
        for department in 0..DEPARTMENTS {
            for part in 0..4 {
                writeln!(entitlements, "role/d{department}-{part}")?;
            }
            writeln!(entitlements, "group/g{department}")?;
            writeln!(contains, "group/g{department},role/d{department}-3")?;
            writeln!(contains, "group/g{department},role/x{department}")?;
        }
        for title in 0..TITLES {
            writeln!(entitlements, "role/t{title}")?;
        }
        for further in 0..FURTHER {
            writeln!(entitlements, "role/x{further}")?;
        }
        let mut accounts = file(folder, &format!("s{system}-accounts.csv"), "key,login,enabled")?;
        let mut grants = file(folder, &format!("s{system}-grants.csv"), "account,entitlement")?;
        for identity in 0..self.identities {
            writeln!(accounts, "a{identity},p{identity},true")?;
            let department = identity % DEPARTMENTS;
            for part in 0..3 {
                writeln!(grants, "a{identity},role/d{department}-{part}")?;
            }
            writeln!(grants, "a{identity},group/g{department}")?;
            writeln!(grants, "a{identity},role/t{}", identity % TITLES)?;
            // What grew: one account in fifty holds something that no role has.
            if (identity + system).is_multiple_of(50) {
                let further = (u64::from(identity) * 7_919 + u64::from(system)) % u64::from(FURTHER);
                writeln!(grants, "a{identity},role/x{further}")?;
            }
        }
        for mut written in [entitlements, contains, accounts, grants] {
            written.flush()?;
        }
        Ok(())
    }

    fn configuration(self) -> String {
        let mut text = "\
[server]
interval = \"1d\"

[system.hr]
connector     = \"csv\"
path          = \"people.csv\"
authoritative = true
key           = \"email\"
"
        .to_owned();
        for system in 0..self.systems {
            text.push_str(&format!(
                "\n[system.s{system}]\nconnector = \"csv\"\ncorrelate = [\"login = email.local\"]\n"
            ));
            for name in ["accounts", "entitlements", "grants", "contains"] {
                text.push_str(&format!("{name} = \"s{system}-{name}.csv\"\n"));
            }
        }
        text
    }

    fn policy(self) -> String {
        let mut text = String::new();
        let mut role = |name: &str, members: &str, grants: Vec<String>| {
            text.push_str(&format!(
                "[role.{name}]\nowner = \"{}\"\nmembers = '{members}'\ngrants = {grants:?}\n\n",
                self.key(0)
            ));
        };
        for department in 0..DEPARTMENTS {
            let of_system = |system: u32| {
                let parts = (0..3).map(move |part| format!("s{system}:role/d{department}-{part}"));
                parts.chain([format!("s{system}:group/g{department}")])
            };
            role(
                &format!("department-{department}"),
                &format!("principal.department == \"D{department}\""),
                (0..self.systems).flat_map(of_system).collect(),
            );
        }
        for title in 0..TITLES {
            role(
                &format!("title-{title}"),
                &format!("principal.title == \"T{title}\""),
                (0..self.systems).map(|system| format!("s{system}:role/t{title}")).collect(),
            );
        }
        text
    }
}

fn file(folder: &Path, name: &str, heading: &str) -> anyhow::Result<BufWriter<File>> {
    let mut file = BufWriter::new(File::create(folder.join(name))?);
    writeln!(file, "{heading}")?;
    Ok(file)
}
