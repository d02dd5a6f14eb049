//! A system as files, of any size: what `leasehold sync` of the `csv` connector is measured with.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;

use crate::measure::Report;

const CONFIGURATION: &str = "\
[system.hr]
connector     = \"csv\"
path          = \"people.csv\"
authoritative = true
key           = \"email\"

[system.erp]
connector    = \"csv\"
accounts     = \"accounts.csv\"
entitlements = \"entitlements.csv\"
grants       = \"grants.csv\"
correlate    = [\"login = email.local\"]
";

/// Writes the files and a configuration that reads them.
pub fn run(folder: &Path, accounts: u32, entitlements: u32, grants_each: u32) -> anyhow::Result<Report> {
    anyhow::ensure!(grants_each <= entitlements, "an account cannot hold more entitlements than there are");
    fs::create_dir_all(folder.join("policy")).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(folder.join("leasehold.toml"), CONFIGURATION)?;
    let file = |name: &str, heading: &str| -> anyhow::Result<BufWriter<File>> {
        let mut file = BufWriter::new(File::create(folder.join(name))?);
        writeln!(file, "{heading}")?;
        Ok(file)
    };
    let mut people = file("people.csv", "email,department,title,kind,status")?;
    let mut logins = file("accounts.csv", "key,login,enabled")?;
    let mut roles = file("entitlements.csv", "kind,name")?;
    let mut grants = file("grants.csv", "account,kind,name")?;
    for entitlement in 0..entitlements {
        writeln!(roles, "role,r{entitlement}")?;
    }
    // An odd step over a power of two of slots would do; a prime meets every entitlement before it meets one twice.
    const STEP: u64 = 2_147_483_647;
    for account in 0..accounts {
        writeln!(people, "p{account}@example.com,D{},T{},person,active", account % 50, account % 7)?;
        writeln!(logins, "a{account},p{account},true")?;
        for grant in 0..u64::from(grants_each) {
            let held = (u64::from(account) * 7_919 + grant * STEP) % u64::from(entitlements);
            writeln!(grants, "a{account},role,r{held}")?;
        }
    }
    for mut written in [people, logins, roles, grants] {
        written.flush()?;
    }
    let rows = u64::from(accounts) * u64::from(grants_each);
    Ok(Report::new(format!("{accounts} accounts and {rows} grants in {}", folder.display())))
}
