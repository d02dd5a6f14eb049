//! A whole system given as files: accounts, entitlements, grants, containment, owners.

use leasehold_model::account::Account;
use leasehold_model::entitlement::{Containment, DirectGrant, Entitlement};
use leasehold_model::fact::{Fact, Owned, OwnerFact};
use leasehold_model::id::{AccountKey, EntitlementName, IdentityKey};
use roaring::RoaringBitmap;

use super::account::{self, AccountLayout, switch};
use super::columns::{self, check};
use super::date::{Dates, Edge};
use super::grants::EntitlementColumns;
use super::intern::Interner;
use super::output::Output;
use super::source::FileSource;
use super::table::{Failure, Others, Table, Tally, text};
use super::words::word;

/// The files of a system.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Who can log in; derived from the grants where absent.
    pub accounts: Option<FileSource>,
    /// What can be held; derived from grants and containment where absent.
    pub entitlements: Option<FileSource>,
    /// Who holds what.
    pub grants: Option<FileSource>,
    /// What carries what.
    pub contains: Option<FileSource>,
    /// Who answers for what.
    pub owners: Option<FileSource>,
    /// The kind of entitlements that state none.
    pub kind_default: String,
    /// The settings name that kind, so that a `/` belongs to the name.
    pub slash_is_name: bool,
    /// Keys and names that differ in case only are one.
    pub fold_case: bool,
}

impl Files {
    /// Each file that there is, with its setting's name.
    pub fn each(&self) -> Vec<(&'static str, &FileSource)> {
        let files = [
            ("accounts", &self.accounts),
            ("entitlements", &self.entitlements),
            ("contains", &self.contains),
            ("grants", &self.grants),
            ("owners", &self.owners),
        ];
        files.into_iter().filter_map(|(name, file)| Some((name, file.as_ref()?))).collect()
    }
}

/// Reads one system's files.
pub struct Reading<'a> {
    system: &'a str,
    files: &'a Files,
    output: &'a mut Output,
    accounts: Interner,
    /// Accounts with a smaller number were listed; `None` where all are derived.
    accounts_listed: Option<usize>,
    account_lines: Vec<u64>,
    /// Accounts whose key cannot be told, so that nothing can be told of them.
    accounts_unusable: RoaringBitmap,
    entitlements: Interner,
    entitlements_listed: Option<usize>,
    entitlement_lines: Vec<u64>,
    names: Vec<Option<EntitlementName>>,
    /// For each entitlement, who was seen to hold it: the accounts' numbers, two bytes each or less.
    holders: Vec<RoaringBitmap>,
    scratch: Vec<u8>,
}

impl<'a> Reading<'a> {
    /// Nothing read yet.
    pub fn new(system: &'a str, files: &'a Files, output: &'a mut Output) -> Self {
        Self {
            system,
            files,
            output,
            accounts: Interner::new(files.fold_case),
            accounts_listed: None,
            account_lines: Vec::new(),
            accounts_unusable: RoaringBitmap::new(),
            entitlements: Interner::new(files.fold_case),
            entitlements_listed: None,
            entitlement_lines: Vec::new(),
            names: Vec::new(),
            holders: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Reads every file; gives what was counted in each.
    ///
    /// # Errors
    /// Where one cannot be opened or read on.
    pub fn read(mut self) -> Result<Vec<(&'static str, Tally)>, Failure> {
        let files = self.files;
        let mut tallies = Vec::new();
        // Every header is looked at before the first row is told: a missing column must not leave half a system.
        let mut tables = Vec::new();
        for (name, source) in files.each() {
            let table = Table::open(self.system, source).map_err(Failure::Broken)?;
            check(name, &table).map_err(Failure::Broken)?;
            tables.push((name, source, table));
        }
        for (name, source, table) in tables {
            let dates = &source.format.dates;
            let tally = match name {
                "accounts" => self.read_accounts(table, dates)?,
                "entitlements" => self.read_entitlements(table)?,
                "contains" => self.read_contains(table)?,
                "grants" => self.read_grants(table, dates)?,
                _ => self.read_owners(table)?,
            };
            tallies.push((name, tally));
        }
        Ok(tallies)
    }

    fn columns(&self, table: &Table, name: &str) -> Result<EntitlementColumns, Failure> {
        let name = table.required(name).map_err(Failure::Broken)?;
        Ok(EntitlementColumns {
            kind: table.column("kind").map_err(Failure::Broken)?,
            name,
            kind_default: self.files.kind_default.clone(),
            slash_is_name: self.files.slash_is_name,
        })
    }

    fn read_accounts(&mut self, mut table: Table, dates: &Dates) -> Result<Tally, Failure> {
        let layout = AccountLayout::of(&table).map_err(Failure::Broken)?;
        table.report_near_misses(account::DECIDE, Others::Attributes, self.output)?;
        while table.advance(self.output)? {
            let row = table.row();
            let line = row.line;
            let key = layout.key.or(layout.login).map_or(&b""[..], |index| row.field(index));
            if key.is_empty() {
                table.unusable(self.output, "names no account: its key is empty")?;
                continue;
            }
            let Some((number, new)) = self.accounts.intern(key) else {
                table.unusable(self.output, "comes after more accounts than can be numbered")?;
                continue;
            };
            if !new {
                let first = self.account_lines.get(number as usize).copied().unwrap_or_default();
                let message = format!(
                    "`{}` is there already on line {first}; remove one",
                    String::from_utf8_lossy(key)
                );
                table.bad(self.output, line, &message)?;
                continue;
            }
            self.account_lines.push(line);
            match layout.account(&row, dates) {
                Ok((account, mended)) => {
                    for message in mended {
                        table.bad(self.output, line, &message)?;
                    }
                    self.output.push(Fact::Account(account))?;
                }
                Err(message) => {
                    self.accounts_unusable.insert(number);
                    table.unusable(self.output, &message)?;
                }
            }
        }
        self.accounts_listed = Some(self.accounts.len());
        Ok(table.tally)
    }

    fn read_entitlements(&mut self, mut table: Table) -> Result<Tally, Failure> {
        let columns = self.columns(&table, "name")?;
        let optional = |ours: &str| table.column(ours).map_err(Failure::Broken);
        let (native, title, privileged) = (optional("native")?, optional("title")?, optional("privileged")?);
        table.report_near_misses(columns::ENTITLEMENTS_DECIDE, Others::Nothing, self.output)?;
        while table.advance(self.output)? {
            let row = table.row();
            let line = row.line;
            columns.compose(&row, &mut self.scratch);
            if self.scratch.is_empty() {
                table.unusable(self.output, "names no entitlement: its name is empty")?;
                continue;
            }
            let Some((number, new)) = self.number_entitlement() else {
                table.unusable(
                    self.output,
                    "is not UTF-8, holds a NUL byte, or comes after more entitlements than can be numbered",
                )?;
                continue;
            };
            if !new {
                let first = self.entitlement_lines.get(number as usize).copied().unwrap_or_default();
                let message = format!(
                    "`{}` is there already on line {first}; remove one",
                    String::from_utf8_lossy(&self.scratch)
                );
                table.bad(self.output, line, &message)?;
                continue;
            }
            self.entitlement_lines.push(line);
            let Some(name) = self.names.get(number as usize).cloned().flatten() else { continue };
            let mut unread = Vec::new();
            let mut shown = |column: Option<usize>| {
                let found = word(column.map_or(&b""[..], |index| row.field(index)));
                let found = found.map_err(|message| unread.push(message)).unwrap_or_default();
                (!found.is_empty()).then(|| found.to_owned())
            };
            let privilege = shown(privileged);
            let is_privileged = privilege.as_deref().map_or(Some(false), switch);
            let mut entitlement = Entitlement::new(name.kind, name.name);
            entitlement.native = shown(native);
            entitlement.title = shown(title);
            // What is neither is treated as the one that is looked at more closely.
            entitlement.privileged = is_privileged.unwrap_or(true);
            if is_privileged.is_none() {
                unread.push(format!(
                    "privileged `{}` is neither yes nor no and counts as privileged until it is mended; known are yes and \
                     no, true and false, 1 and 0",
                    privilege.unwrap_or_default()
                ));
            }
            for message in unread {
                table.bad(self.output, line, &message)?;
            }
            self.output.push(Fact::Entitlement(entitlement))?;
        }
        self.entitlements_listed = Some(self.entitlements.len());
        Ok(table.tally)
    }

    /// Numbers the entitlement whose `kind/name` is in `scratch`.
    #[inline]
    fn number_entitlement(&mut self) -> Option<(u32, bool)> {
        let (number, new) = self.entitlements.intern(&self.scratch)?;
        if new {
            let name = word(&self.scratch).ok().and_then(|text| text.parse().ok());
            self.names.push(name);
            self.holders.push(RoaringBitmap::new());
        }
        self.names.get(number as usize)?.as_ref().map(|_| (number, new))
    }

    /// The entitlement in `scratch`, told as a fact where it is new and none are listed; else why it cannot be used.
    #[inline]
    fn entitlement(&mut self) -> Result<Result<u32, String>, Failure> {
        if self.scratch.is_empty() {
            return Ok(Err(
                "names no entitlement; filter such rows out with `where` if they are meant".to_owned()
            ));
        }
        let Some((number, new)) = self.number_entitlement() else {
            return Ok(Err(word(&self.scratch)
                .err()
                .unwrap_or_else(|| "names an entitlement that cannot be told".to_owned())));
        };
        match self.entitlements_listed {
            Some(listed) if number as usize >= listed => {
                let name = String::from_utf8_lossy(&self.scratch).into_owned();
                return Ok(Err(format!("`{name}` is not in the entitlements file; add it there")));
            }
            None if new => {
                if let Some(Some(name)) = self.names.get(number as usize) {
                    self.output
                        .push(Fact::Entitlement(Entitlement::new(name.kind.clone(), name.name.clone())))?;
                }
            }
            _ => {}
        }
        Ok(Ok(number))
    }

    /// The account of a field, told as a fact where it is new and none are listed; else why it cannot be used.
    #[inline]
    fn account(&mut self, key: &[u8]) -> Result<Result<u32, String>, Failure> {
        if key.is_empty() {
            return Ok(Err("names no account".to_owned()));
        }
        let Some((number, new)) = self.accounts.intern(key) else {
            return Ok(Err("comes after more accounts than can be numbered".to_owned()));
        };
        match self.accounts_listed {
            Some(listed) if number as usize >= listed => {
                let key = String::from_utf8_lossy(key);
                return Ok(Err(format!(
                    "account `{key}` is not in the accounts file; add it there, or set `fold_case = true` where the system ignores case"
                )));
            }
            None if new => match word(key) {
                Ok(key) => self.output.push(Fact::Account(Account::new(key, key)))?,
                Err(_) => {
                    self.accounts_unusable.insert(number);
                }
            },
            _ => {}
        }
        if !self.accounts_unusable.is_empty() && self.accounts_unusable.contains(number) {
            let message =
                word(key).err().unwrap_or_else(|| "names an account that cannot be told".to_owned());
            return Ok(Err(message));
        }
        Ok(Ok(number))
    }

    fn account_key(&self, number: u32) -> AccountKey {
        AccountKey(String::from_utf8_lossy(self.accounts.text(number)).into_owned())
    }

    fn name(&self, number: u32) -> EntitlementName {
        // Every number that was handed out has a name; `number_entitlement` refuses the others.
        self.names.get(number as usize).cloned().flatten().unwrap_or_else(|| EntitlementName::new("", ""))
    }

    fn read_contains(&mut self, mut table: Table) -> Result<Tally, Failure> {
        let (parent, child) = (self.columns(&table, "parent")?, self.columns(&table, "child")?);
        let mut seen = std::collections::BTreeSet::new();
        while table.advance(self.output)? {
            let row = table.row();
            let line = row.line;
            parent.compose(&row, &mut self.scratch);
            let carrying = self.entitlement()?;
            child.compose(&row, &mut self.scratch);
            let carried = self.entitlement()?;
            match (carrying, carried) {
                (Ok(carrying), Ok(carried)) if seen.insert((carrying, carried)) => {
                    let containment = Containment { parent: self.name(carrying), child: self.name(carried) };
                    self.output.push(Fact::Containment(containment))?;
                }
                (Ok(_), Ok(_)) => table.bad(self.output, line, "repeats an earlier line; remove one")?,
                (Err(message), _) | (_, Err(message)) => table.unusable(self.output, &message)?,
            }
        }
        Ok(table.tally)
    }

    fn read_grants(&mut self, mut table: Table, dates: &Dates) -> Result<Tally, Failure> {
        let broken = Failure::Broken;
        let account = table.required("account").map_err(broken)?;
        let columns = match table.column("entitlement").map_err(broken)? {
            Some(_) => self.columns(&table, "entitlement")?,
            None => self.columns(&table, "name")?,
        };
        let column = |ours: &str| table.column(ours).map_err(Failure::Broken);
        let (from, until, options) = (column("valid_from")?, column("valid_until")?, column("options")?);
        table.report_near_misses(columns::GRANTS_DECIDE, Others::Nothing, self.output)?;
        while table.advance(self.output)? {
            let row = table.row();
            let line = row.line;
            columns.compose(&row, &mut self.scratch);
            let (holder, held) = match (self.account(row.field(account))?, self.entitlement()?) {
                (Ok(holder), Ok(held)) => (holder, held),
                (Err(message), _) | (_, Err(message)) => {
                    table.unusable(self.output, &message)?;
                    continue;
                }
            };
            if !self.holders[held as usize].insert(holder) {
                table.bad(self.output, line, "repeats an earlier grant; remove one")?;
                continue;
            }
            let mut grant = DirectGrant {
                account: self.account_key(holder),
                entitlement: self.name(held),
                valid_from: None,
                valid_until: None,
                options: None,
            };
            // The grant was seen, so it is told even where its dates or options cannot be read.
            let mut mended = Vec::new();
            let mut date = |column: Option<usize>, edge: Edge| {
                let value = column.map_or(&b""[..], |index| row.field(index));
                if value.is_empty() {
                    return None;
                }
                text(value).and_then(|value| dates.read(value, edge)).unwrap_or_else(|message| {
                    mended.push(message);
                    None
                })
            };
            grant.valid_from = date(from, Edge::Start);
            grant.valid_until = date(until, Edge::End);
            let words = word(options.map_or(&b""[..], |index| row.field(index)));
            let words = words.map_err(|message| mended.push(message)).unwrap_or_default();
            grant.options = (!words.is_empty()).then(|| words.to_owned());
            for message in mended {
                table.bad(self.output, line, &message)?;
            }
            self.output.push(Fact::Grant(grant))?;
        }
        Ok(table.tally)
    }

    fn read_owners(&mut self, mut table: Table) -> Result<Tally, Failure> {
        let column = |ours: &str| table.column(ours).map_err(Failure::Broken);
        let owner = table.required("owner").map_err(Failure::Broken)?;
        let (object, account, entitlement) = (column("object")?, column("account")?, column("entitlement")?);
        let parts = EntitlementColumns {
            kind: None,
            name: 0,
            kind_default: self.files.kind_default.clone(),
            slash_is_name: self.files.slash_is_name,
        };
        while table.advance(self.output)? {
            let row = table.row();
            let field = |column: Option<usize>| column.map_or(&b""[..], |index| row.field(index));
            let either = field(object);
            let account_name = if either.is_empty() { field(account) } else { either };
            let entitlement_name = if either.is_empty() { field(entitlement) } else { either };
            let holder = self.accounts.find(account_name);
            parts.compose_parts(b"", entitlement_name, &mut self.scratch);
            let held = self.entitlements.find(&self.scratch);
            let who = row.field(owner);
            let shown = String::from_utf8_lossy(either);
            let of = match (holder, held) {
                _ if who.is_empty() => Err("names no owner".to_owned()),
                (Some(holder), None) => Ok(Owned::Account(self.account_key(holder))),
                (None, Some(held)) => Ok(Owned::Entitlement(self.name(held))),
                (Some(_), Some(_)) => Err(format!(
                    "`{shown}` is an account and an entitlement; use the columns `account` and `entitlement`"
                )),
                (None, None) => Err(format!("`{shown}` is no account or entitlement of this system")),
            };
            match (of, word(who)) {
                (Ok(of), Ok(who)) => {
                    let owner = IdentityKey::from(who);
                    self.output.push(Fact::Owner(OwnerFact { of, owner }))?;
                }
                (Err(message), _) | (_, Err(message)) => {
                    table.unusable(self.output, &message)?;
                }
            }
        }
        Ok(table.tally)
    }
}
