//! Everything that a directory says: groups first, since their names depend on each other; then people; then members.

use std::collections::{BTreeMap, HashMap, HashSet};

use ldap3::Scope;
use leasehold_model::entitlement::{Containment, DirectGrant};
use leasehold_model::fact::{Completeness, Fact, Problem};
use leasehold_model::id::{AccountKey, EntitlementName};

use crate::connector::{Batch, Sink};
use crate::error::ConnectError;
use crate::ldap::client::{Client, Search, Session, code, describe};
use crate::ldap::dialect::Dialect;
use crate::ldap::dn::NormalDn;
use crate::ldap::entry::Entry;
use crate::ldap::feed::People;
use crate::ldap::normalise::{
    ACCOUNT_ATTRIBUTES, GROUP_ATTRIBUTES, MORE_ATTRIBUTES, account, group, group_name, primary_attribute,
    primary_number,
};
use crate::ldap::policy::Policies;
use crate::ldap::unseen::UnseenGroups;
use crate::ldap::witness::{expected_attributes, some_of, truly_without};

/// After this many pages without an entry, a directory that always has one more page is not believed any longer.
const EMPTY_PAGES_MAX: u32 = 100;

/// One enumeration. What is held in memory grows with the accounts and groups, not with the grants.
struct Reading<'run> {
    client: &'run Client,
    batch: Batch<'run>,
    dialect: Dialect,
    groups: HashMap<NormalDn, EntitlementName>,
    /// Groups by the number that makes them somebody's primary group.
    primary: HashMap<i64, EntitlementName>,
    /// Who has which group as primary group, so that being its member too is not a second grant.
    primary_members: HashMap<EntitlementName, HashSet<AccountKey>>,
    accounts: HashMap<NormalDn, AccountKey>,
    /// By `uid`, as it is and folded, for `memberUid`. `None` where several accounts share one.
    logins: HashMap<String, Option<AccountKey>>,
    /// Groups that came without a value of an attribute that holds members.
    without: BTreeMap<&'static str, Vec<(NormalDn, String)>>,
    /// Why something may be missing.
    missing: Vec<String>,
    grants: u64,
    /// Entries read so far, over all listings.
    progress: u64,
}

/// Pages of one search, until the last or until something is amiss.
struct Pager {
    filter: String,
    cookie: Option<Vec<u8>>,
    ended: bool,
    empty_pages: u32,
    pages: u64,
    entries: u64,
}

impl Pager {
    fn new(filter: &str) -> Self {
        Self { filter: filter.to_owned(), cookie: None, ended: false, empty_pages: 0, pages: 0, entries: 0 }
    }
}

/// Streams every fact.
pub(super) async fn enumerate(client: &Client, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
    let mut session = client.session().await?;
    let mut reading = Reading {
        client,
        batch: Batch::new(sink),
        dialect: session.dialect,
        groups: HashMap::new(),
        primary: HashMap::new(),
        primary_members: HashMap::new(),
        accounts: HashMap::new(),
        logins: HashMap::new(),
        without: BTreeMap::new(),
        missing: Vec::new(),
        grants: 0,
        progress: 0,
    };
    let groups = reading.read_groups(&mut session).await?;
    let people = reading.read_people(&mut session).await?;
    let with_members = reading.read_members(&mut session).await?;
    reading.find_hidden_members(&mut session).await?;
    reading.batch.flush().await?;

    let Reading { mut missing, groups: named, accounts, grants, .. } = reading;
    if groups.entries != with_members.entries {
        missing.push(format!(
            "{} groups came in the first reading and {} in the second",
            groups.entries, with_members.entries
        ));
    }
    if accounts.is_empty() && named.is_empty() {
        missing.push(format!(
            "the directory answered with nothing below {}: neither accounts nor groups; check `base_dn`, the filters \
             and what the connector may read",
            client.settings.base_dn
        ));
    }
    if !missing.is_empty() {
        return Ok(Completeness::Partial { why: missing.join("; ") });
    }
    client.keep(session).await;
    Ok(Completeness::Complete {
        evidence: format!(
            "every page came to the last: {} pages with {} accounts, {} pages with {} groups, read twice with one \
             count; {grants} direct grants",
            people.pages, people.entries, groups.pages, groups.entries
        ),
    })
}

impl Reading<'_> {
    /// The next page of a listing; `None` at its end. Whatever is amiss ends it and is noted.
    async fn next(
        &mut self,
        session: &mut Session,
        what: &str,
        pager: &mut Pager,
        attributes: &[&str],
    ) -> Result<Option<Vec<Entry>>, ConnectError> {
        if pager.ended {
            return Ok(None);
        }
        let client = self.client;
        let search = Search {
            base: &client.settings.base_dn,
            scope: Scope::Subtree,
            filter: &pager.filter,
            attributes,
        };
        let page = match client.page(session, search, pager.cookie.take()).await {
            Ok(page) => page,
            // A listing that broke off is partial; one that could not begin is an error.
            Err(error) if pager.pages > 0 => {
                self.missing.push(format!("{what} broke off after {} entries: {error}", pager.entries));
                pager.ended = true;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        pager.pages += 1;
        let came = u64::try_from(page.entries.len()).unwrap_or(u64::MAX);
        pager.entries += came;
        self.progress += came;
        if !page.references.is_empty() {
            let places = page.references.join(", ");
            self.missing.push(format!("{what}: a part of the tree is in another directory: {places}"));
        }
        match page.result.rc {
            code::SUCCESS => {}
            code::SIZE_LIMIT_EXCEEDED | code::REFERRAL | 3 | 11 => {
                self.missing.push(format!(
                    "{what} ended after {} entries: {}; raise the directory's limit for the connector's account",
                    pager.entries,
                    describe(&page.result)
                ));
                pager.ended = true;
            }
            _ if pager.pages == 1 && page.entries.is_empty() => {
                return Err(client.refused(what, &page.result));
            }
            _ => {
                self.missing.push(format!(
                    "{what} ended after {} entries: {}",
                    pager.entries,
                    describe(&page.result)
                ));
                pager.ended = true;
            }
        }
        pager.empty_pages = if page.entries.is_empty() { pager.empty_pages + 1 } else { 0 };
        if page.cookie.is_some() && pager.empty_pages > EMPTY_PAGES_MAX {
            self.missing
                .push(format!("{what}: {EMPTY_PAGES_MAX} pages in a row were empty, and there was one more"));
            pager.ended = true;
        }
        pager.cookie = page.cookie;
        pager.ended |= pager.cookie.is_none();
        self.batch.progress(self.progress, None);
        Ok(Some(page.entries))
    }

    fn groups_filter(&self) -> String {
        let configured = self.client.settings.groups_filter.clone();
        configured.unwrap_or_else(|| self.dialect.groups_filter().to_owned())
    }

    /// Every group without its members: their names depend on which of them share one.
    async fn read_groups(&mut self, session: &mut Session) -> Result<Pager, ConnectError> {
        let mut pager = Pager::new(&self.groups_filter());
        let mut found: Vec<(NormalDn, Entry)> = Vec::new();
        let mut by_name: HashMap<String, usize> = HashMap::new();
        while let Some(entries) = self.next(session, "groups", &mut pager, &GROUP_ATTRIBUTES).await? {
            for entry in entries {
                match (NormalDn::parse(&entry.dn), group_name(&entry)) {
                    (Some(dn), Some(name)) => {
                        *by_name.entry(name.to_lowercase()).or_default() += 1;
                        found.push((dn, entry));
                    }
                    _ => self.batch.problem(Problem::new(entry.dn.clone(), "is a group without a name")),
                }
            }
        }
        for (dn, entry) in found {
            if self.groups.contains_key(&dn) {
                self.batch.problem(Problem::new(entry.dn.clone(), "came twice; the first counts"));
                continue;
            }
            let mut name = group_name(&entry).unwrap_or_default();
            if by_name.get(&name.to_lowercase()).is_some_and(|count| *count > 1) {
                let message =
                    format!("shares the name `{name}` with another group; both are called by their full DN");
                self.batch.problem(Problem::new(entry.dn.clone(), message));
                name.clone_from(&entry.dn);
            }
            let entitlement = group(self.dialect, &entry, &name);
            if let Some(number) = primary_number(self.dialect, &entry) {
                self.primary.insert(number, entitlement.name.clone());
            }
            self.groups.insert(dn, entitlement.name.clone());
            self.batch.push(Fact::Entitlement(entitlement)).await?;
        }
        Ok(pager)
    }

    async fn read_people(&mut self, session: &mut Session) -> Result<Pager, ConnectError> {
        let client = self.client;
        let filter = client.settings.people_filter.as_deref().unwrap_or(self.dialect.people_filter());
        let mut pager = Pager::new(filter);
        let mut people = client.settings.feed.as_ref().map(|feed| People::new(feed, self.dialect));
        let mut attributes: Vec<&str> = ACCOUNT_ATTRIBUTES.iter().chain(&MORE_ATTRIBUTES).copied().collect();
        if let Some(feed) = &client.settings.feed {
            attributes.extend(feed.columns.values().map(String::as_str));
        }
        attributes.push("memberOf");
        let mut unseen =
            UnseenGroups::below(&client.settings.base_dn, client.settings.groups_filter.is_none());
        let policies = Policies::read(client, session).await?;
        let mut keys: HashSet<AccountKey> = HashSet::new();
        while let Some(entries) = self.next(session, "people", &mut pager, &attributes).await? {
            for entry in entries {
                let dn = NormalDn::parse(&entry.dn);
                let (account, dn) = match (account(self.dialect, &policies, &entry), dn) {
                    (Ok(account), Some(dn)) => (account, dn),
                    (Err(why), _) => {
                        self.batch.problem(Problem::new(entry.dn.clone(), why));
                        continue;
                    }
                    (_, None) => continue,
                };
                if !keys.insert(account.key.clone()) {
                    self.batch.problem(Problem::new(entry.dn.clone(), "came twice; the first counts"));
                    continue;
                }
                unseen.look(&entry, |dn| self.groups.contains_key(dn));
                let account_key = account.key.clone();
                self.accounts.insert(dn, account_key.clone());
                for uid in entry.texts("uid") {
                    for spelling in HashSet::from([uid.to_lowercase(), uid]) {
                        let slot = self.logins.entry(spelling).or_insert_with(|| Some(account_key.clone()));
                        if slot.as_ref() != Some(&account_key) {
                            *slot = None;
                        }
                    }
                }
                if let Some(people) = &mut people {
                    let problems = people.add(&entry, &account);
                    problems.into_iter().for_each(|problem| self.batch.problem(problem));
                }
                self.batch.push(Fact::Account(account)).await?;
                self.primary_group(&entry, &account_key).await?;
            }
        }
        self.missing.extend(unseen.why());
        if let Some(people) = people {
            let (people, problems) = people.finish();
            problems.into_iter().for_each(|problem| self.batch.problem(problem));
            for person in people {
                self.batch.push(person.fact()).await?;
            }
        }
        Ok(pager)
    }

    /// A primary group is held without being among the group's members.
    async fn primary_group(&mut self, entry: &Entry, account: &AccountKey) -> Result<(), ConnectError> {
        let attribute = primary_attribute(self.dialect);
        let Some(number) = entry.number(attribute) else { return Ok(()) };
        match self.primary.get(&number).cloned() {
            Some(name) => {
                self.primary_members.entry(name.clone()).or_default().insert(account.clone());
                self.grant(account.clone(), name, Some(format!("primary group ({attribute} {number})"))).await
            }
            // A directory of accounts need not hold the hosts' groups.
            None => Ok(()),
        }
    }

    async fn grant(
        &mut self,
        account: AccountKey,
        entitlement: EntitlementName,
        options: Option<String>,
    ) -> Result<(), ConnectError> {
        self.grants += 1;
        let grant = DirectGrant { account, entitlement, valid_from: None, valid_until: None, options };
        self.batch.push(Fact::Grant(grant)).await
    }

    async fn read_members(&mut self, session: &mut Session) -> Result<Pager, ConnectError> {
        let mut pager = Pager::new(&self.groups_filter());
        // Long lists come in parts of Active Directory whether asked for or not; asked for, the parts are ours.
        let first_part = format!("member;range=0-{}", self.client.settings.page_size - 1);
        let attributes = match self.dialect {
            Dialect::OpenLdap => {
                vec!["objectClass", "entryUUID", "gidNumber", "member", "uniqueMember", "memberUid"]
            }
            Dialect::ActiveDirectory => vec!["objectGUID", "objectSid", first_part.as_str()],
        };
        while let Some(entries) = self.next(session, "members of groups", &mut pager, &attributes).await? {
            for entry in entries {
                self.read_group_members(session, entry).await?;
            }
        }
        Ok(pager)
    }

    /// A group that came without members either has none, or hides them; and hidden ones are not gone (law 3).
    async fn find_hidden_members(&mut self, session: &mut Session) -> Result<(), ConnectError> {
        for (attribute, groups) in std::mem::take(&mut self.without) {
            let empty = truly_without(self.client, session, attribute).await?;
            let hidden: Vec<String> =
                groups.into_iter().filter(|(dn, _)| !empty.contains(dn)).map(|(_, name)| name).collect();
            if !hidden.is_empty() {
                self.missing.push(format!(
                    "{attribute} of {} groups may not be read: {}; let the connector's account read it",
                    hidden.len(),
                    some_of(&hidden)
                ));
            }
        }
        Ok(())
    }

    async fn read_group_members(&mut self, session: &mut Session, entry: Entry) -> Result<(), ConnectError> {
        let Some(dn) = NormalDn::parse(&entry.dn) else { return Ok(()) };
        let Some(name) = self.groups.get(&dn).cloned() else {
            self.missing.push(format!("{} appeared while the groups were read", entry.dn));
            return Ok(());
        };
        if self.dialect == Dialect::OpenLdap {
            for attribute in expected_attributes(self.dialect, &entry) {
                if entry.raw_texts(attribute).is_empty() {
                    self.without.entry(attribute).or_default().push((dn.clone(), entry.dn.clone()));
                }
            }
        }
        let mut held: HashSet<AccountKey> = self.primary_members.remove(&name).unwrap_or_default();
        let mut within: HashSet<NormalDn> = HashSet::new();
        for uid in entry.texts("memberUid") {
            match self.logins.get(&uid).or_else(|| self.logins.get(&uid.to_lowercase())).cloned() {
                Some(Some(account)) => {
                    if held.insert(account.clone()) {
                        self.grant(account, name.clone(), None).await?;
                    }
                }
                Some(None) => self.problem(&entry, &format!("member `{uid}` is the uid of several accounts")),
                None => {
                    self.problem(&entry, &format!("member `{uid}` is the uid of no account that was read"))
                }
            }
        }
        let mut part = entry.clone();
        loop {
            let range = part.range("member");
            let attribute = range.as_ref().map_or("member", |range| range.attribute.as_str());
            let mut members = part.raw_texts(attribute);
            members.extend(part.raw_texts("uniqueMember"));
            for member in members {
                self.read_member(&entry, &dn, &name, &member, &mut held, &mut within).await?;
            }
            let Some(next) = range.and_then(|range| range.next) else { return Ok(()) };
            let page_size = u64::try_from(self.client.settings.page_size).unwrap_or(500);
            let wanted = format!("member;range={next}-{}", next + page_size - 1);
            match self.client.entry(session, &entry.dn, "(objectClass=*)", &[&wanted]).await {
                Ok(Some(more)) if more.range("member").is_some() => part = more,
                // A last part that begins where the list ends is empty.
                Ok(Some(_)) => return Ok(()),
                Ok(None) => {
                    self.missing.push(format!("{} vanished while its members were read", entry.dn));
                    return Ok(());
                }
                Err(error) => {
                    self.missing.push(format!("the members of {} broke off at {next}: {error}", entry.dn));
                    return Ok(());
                }
            }
        }
    }

    async fn read_member(
        &mut self,
        entry: &Entry,
        dn: &NormalDn,
        name: &EntitlementName,
        member: &str,
        held: &mut HashSet<AccountKey>,
        within: &mut HashSet<NormalDn>,
    ) -> Result<(), ConnectError> {
        // `groupOfNames` may not be empty: an empty name, the group itself or a placeholder stands for nobody.
        if member.trim().is_empty() {
            return Ok(());
        }
        // A unique member may carry a bit string after its name (RFC 4517, 3.3.21): `cn=a,dc=x#'0101'B`.
        let bare = member.split_once("#'").map_or(member, |(bare, _)| bare);
        let Some(member_dn) = NormalDn::parse(bare) else {
            self.problem(entry, &format!("member `{member}` is not a distinguished name"));
            return Ok(());
        };
        let placeholder = self.client.settings.placeholder.as_ref().map(|(_, normal)| normal);
        if member_dn == *dn || Some(&member_dn) == placeholder {
            return Ok(());
        }
        if let Some(account) = self.accounts.get(&member_dn).cloned() {
            if held.insert(account.clone()) {
                self.grant(account, name.clone(), None).await?;
            }
        } else if let Some(inner) = self.groups.get(&member_dn).cloned() {
            if within.insert(member_dn) {
                let containment = Containment { parent: inner, child: name.clone() };
                self.batch.push(Fact::Containment(containment)).await?;
            }
        } else {
            let message = format!(
                "member `{member}` is neither an account nor a group that was read: it is gone, elsewhere, or the \
                 filters leave it out"
            );
            self.problem(entry, &message);
        }
        Ok(())
    }

    fn problem(&mut self, entry: &Entry, message: &str) {
        self.batch.problem(Problem::new(entry.dn.clone(), message));
    }
}
