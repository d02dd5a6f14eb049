//! Reaching the directory: one kept connection, time limits, pages, and what its errors mean to us.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::PoisonError;
use std::time::Instant;

use futures::FutureExt;
use ldap3::controls::{Control, ControlType, PagedResults, RawControl};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Scope, SearchEntry};
use leasehold_model::id::AccountKey;
use secrecy::ExposeSecret;
use tokio::sync::Mutex;

use crate::error::ConnectError;
use crate::ldap::dialect::{
    ACTIVE_DIRECTORY, DOMAIN_SCOPE, Dialect, PAGED_RESULTS, PASSWORD_POLICY, SHOW_DELETED,
};
use crate::ldap::entry::Entry;
use crate::ldap::settings::LdapSettings;
use crate::tls;

/// The result codes of RFC 4511, appendix A, that mean something particular here.
pub(super) mod code {
    pub const SUCCESS: u32 = 0;
    pub const SIZE_LIMIT_EXCEEDED: u32 = 4;
    pub const COMPARE_FALSE: u32 = 5;
    pub const COMPARE_TRUE: u32 = 6;
    pub const REFERRAL: u32 = 10;
    pub const NO_SUCH_ATTRIBUTE: u32 = 16;
    pub const UNDEFINED_ATTRIBUTE_TYPE: u32 = 17;
    pub const INAPPROPRIATE_MATCHING: u32 = 18;
    pub const ATTRIBUTE_OR_VALUE_EXISTS: u32 = 20;
    pub const INVALID_ATTRIBUTE_SYNTAX: u32 = 21;
    pub const NO_SUCH_OBJECT: u32 = 32;
    pub const INVALID_CREDENTIALS: u32 = 49;
    pub const INSUFFICIENT_ACCESS: u32 = 50;
    pub const BUSY: u32 = 51;
    pub const UNAVAILABLE: u32 = 52;
    pub const UNWILLING_TO_PERFORM: u32 = 53;
    pub const OBJECT_CLASS_VIOLATION: u32 = 65;
    pub const NOT_ALLOWED_ON_NON_LEAF: u32 = 66;
    pub const ENTRY_ALREADY_EXISTS: u32 = 68;
}

/// A bound connection, with what was learnt of the directory.
pub(super) struct Session {
    pub(super) ldap: Ldap,
    pub dialect: Dialect,
    /// Product and version, as far as it says.
    pub product: String,
    pub has_password_policy: bool,
    pages: bool,
    domain_scope: bool,
    /// Whether searches show what was deleted, too.
    shows_deleted: bool,
    /// Groups whose members may not be searched, and when that was found out.
    pub blind: Option<(Instant, Vec<String>)>,
}

/// What a comparison gave.
pub(super) enum Compared {
    Same,
    /// No value is the same, and we were allowed to look.
    Other,
    /// We were not allowed to look; what the directory said.
    Unseen(String),
}

/// The directory, with at most one idle connection to it.
pub(super) struct Client {
    pub settings: LdapSettings,
    idle: Mutex<Option<Session>>,
    /// Which entries the directory deleted at our request, by key: their names, to ask about them.
    deleted: std::sync::Mutex<VecDeque<(AccountKey, String)>>,
}

/// How many deleted entries are remembered.
const DELETED_MAX: usize = 1000;

/// One answer to a search: a page of it, or all.
pub(super) struct Page {
    pub entries: Vec<Entry>,
    /// Where the directory says that more is to be found.
    pub references: Vec<String>,
    /// What to ask the next page with; `None` after the last.
    pub cookie: Option<Vec<u8>>,
    pub result: LdapResult,
}

/// What to search.
#[derive(Clone, Copy)]
pub(super) struct Search<'search> {
    pub base: &'search str,
    pub scope: Scope,
    pub filter: &'search str,
    pub attributes: &'search [&'search str],
}

impl Client {
    pub fn new(settings: LdapSettings) -> Self {
        Self { settings, idle: Mutex::new(None), deleted: std::sync::Mutex::default() }
    }

    /// Remembers the name of an entry that the directory says it has deleted.
    pub fn remember_deleted(&self, key: AccountKey, dn: String) {
        let mut deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
        deleted.truncate(DELETED_MAX - 1);
        deleted.push_front((key, dn));
    }

    /// The name of an entry that was deleted.
    pub fn deleted_dn(&self, key: &AccountKey) -> Option<String> {
        let deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
        deleted.iter().find(|(found, _)| found == key).map(|(_, dn)| dn.clone())
    }

    /// A bound connection: the idle one if it still answers, else a new one.
    pub async fn session(&self) -> Result<Session, ConnectError> {
        let idle = self.idle.lock().await.take();
        if let Some(mut session) = idle {
            let root =
                Search { base: "", scope: Scope::Base, filter: "(objectClass=*)", attributes: &["1.1"] };
            if !session.ldap.is_closed() && self.page(&mut session, root, None).await.is_ok() {
                return Ok(session);
            }
        }
        self.connect().await
    }

    /// Keeps a connection for the next call.
    pub async fn keep(&self, session: Session) {
        *self.idle.lock().await = Some(session);
    }

    async fn connect(&self) -> Result<Session, ConnectError> {
        let mut settings = LdapConnSettings::new()
            .set_conn_timeout(self.settings.timeout)
            .set_starttls(self.settings.start_tls);
        if let Some(tls) = &self.settings.tls {
            settings = settings.set_config(tls.clone());
        }
        let connecting = LdapConnAsync::from_url_with_settings(settings, &self.settings.url);
        let (connection, mut ldap) =
            self.guarded("connecting", connecting).await?.map_err(|error| self.connect_error(&error))?;
        tokio::spawn(async move {
            // Whoever waits for an answer learns of the end of the connection from the answer that does not come.
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, "the LDAP connection ended");
            }
        });
        if let Some(bind) = &self.settings.bind {
            ldap.with_timeout(self.settings.timeout);
            let binding = ldap.simple_bind(&bind.dn, bind.password.expose_secret());
            let result =
                self.guarded("binding", binding).await?.map_err(|error| self.lost("binding", error))?;
            if result.rc != code::SUCCESS {
                return Err(self.bind_error(&bind.dn, &result));
            }
        }
        self.describe(ldap).await
    }

    /// Reads the root entry.
    async fn describe(&self, ldap: Ldap) -> Result<Session, ConnectError> {
        let mut session = Session {
            ldap,
            dialect: self.settings.dialect.unwrap_or(Dialect::OpenLdap),
            product: String::new(),
            has_password_policy: false,
            pages: false,
            domain_scope: false,
            shows_deleted: false,
            blind: None,
        };
        let attributes = [
            "supportedCapabilities",
            "supportedControl",
            "vendorName",
            "vendorVersion",
            "structuralObjectClass",
        ];
        let root =
            Search { base: "", scope: Scope::Base, filter: "(objectClass=*)", attributes: &attributes };
        let page = self.page(&mut session, root, None).await?;
        let Some(root) = page.entries.first() else {
            return Err(self.refused("reading the root entry", &page.result));
        };
        let controls = root.texts("supportedControl");
        let has = |wanted: &str| controls.iter().any(|control| control == wanted);
        session.pages = has(PAGED_RESULTS);
        session.domain_scope = has(DOMAIN_SCOPE);
        session.has_password_policy = has(PASSWORD_POLICY);
        let is_active = root.texts("supportedCapabilities").iter().any(|oid| oid == ACTIVE_DIRECTORY);
        if self.settings.dialect.is_none() && is_active {
            session.dialect = Dialect::ActiveDirectory;
        }
        session.product = match (root.text("vendorName"), root.text("vendorVersion")) {
            (Some(name), Some(version)) => format!("{name} {version}"),
            (Some(name), None) => name,
            _ if is_active => "Active Directory".to_owned(),
            _ if root.texts("structuralObjectClass").iter().any(|class| class == "OpenLDAProotDSE") => {
                "OpenLDAP".to_owned()
            }
            _ => "an LDAP directory".to_owned(),
        };
        Ok(session)
    }

    /// Asks for one page, or for everything where the directory does not page. `cookie` is the last page's.
    pub async fn page(
        &self,
        session: &mut Session,
        search: Search<'_>,
        cookie: Option<Vec<u8>>,
    ) -> Result<Page, ConnectError> {
        const OPERATION: &str = "searching";
        let mut controls: Vec<RawControl> = Vec::new();
        if session.pages && search.scope != Scope::Base {
            let paged = PagedResults { size: self.settings.page_size, cookie: cookie.unwrap_or_default() };
            controls.push(paged.into());
        }
        if session.domain_scope {
            controls.push(RawControl { ctype: DOMAIN_SCOPE.to_owned(), crit: false, val: None });
        }
        if session.shows_deleted {
            controls.push(RawControl { ctype: SHOW_DELETED.to_owned(), crit: true, val: None });
        }
        let asking = async {
            let mut page_entries = Vec::new();
            let mut references = Vec::new();
            let ldap = session.ldap.with_timeout(self.settings.timeout).with_controls(controls);
            let mut stream = ldap
                .streaming_search(search.base, search.scope, search.filter, search.attributes.to_vec())
                .await?;
            while let Some(entry) = stream.next().await? {
                if entry.is_ref() {
                    references.extend(ldap3::parse_refs(entry.0));
                } else if !entry.is_intermediate() {
                    page_entries.push(Entry::from(SearchEntry::construct(entry)));
                }
            }
            let result = stream.finish().await;
            let cookie = result.ctrls.iter().find_map(|control| match control {
                Control(Some(ControlType::PagedResults), raw) => Some(raw.parse::<PagedResults>().cookie),
                _ => None,
            });
            let cookie = cookie.filter(|cookie| !cookie.is_empty());
            Ok(Page { entries: page_entries, references, cookie, result })
        };
        self.guarded(OPERATION, asking).await?.map_err(|error| self.lost(OPERATION, error))
    }

    /// Everything that a search finds, over all pages. For searches that find little, and whose empty answer is to
    /// mean "absent": where the base is not there, or nothing is found here and a part is elsewhere, it is an error.
    pub async fn search(
        &self,
        session: &mut Session,
        search: Search<'_>,
    ) -> Result<Vec<Entry>, ConnectError> {
        let (entries, references) = self.search_here(session, search).await?;
        match references.first() {
            Some(elsewhere) if entries.is_empty() => Err(ConnectError::Target {
                system: self.settings.system.clone(),
                operation: format!("searching below {}", search.base),
                message: format!(
                    "not found here, and a part of the tree is in another directory: {elsewhere}"
                ),
            }),
            _ => Ok(entries),
        }
    }

    /// Everything that a search finds in this directory, and where else it says to look.
    pub async fn search_here(
        &self,
        session: &mut Session,
        search: Search<'_>,
    ) -> Result<(Vec<Entry>, Vec<String>), ConnectError> {
        let (mut entries, mut references) = (Vec::new(), Vec::new());
        let mut cookie = None;
        loop {
            let page = self.page(session, search, cookie).await?;
            if page.result.rc != code::SUCCESS {
                return Err(self.refused(&format!("searching below {}", search.base), &page.result));
            }
            entries.extend(page.entries);
            references.extend(page.references);
            cookie = page.cookie;
            if cookie.is_none() {
                return Ok((entries, references));
            }
        }
    }

    /// One entry by its name; `None` where there is none that we may see.
    pub async fn entry(
        &self,
        session: &mut Session,
        dn: &str,
        filter: &str,
        attributes: &[&str],
    ) -> Result<Option<Entry>, ConnectError> {
        let page =
            self.page(session, Search { base: dn, scope: Scope::Base, filter, attributes }, None).await?;
        match page.result.rc {
            code::SUCCESS => Ok(page.entries.into_iter().next()),
            code::NO_SUCH_OBJECT => Ok(None),
            _ => Err(self.refused(&format!("reading {dn}"), &page.result)),
        }
    }

    /// Whether an attribute of an entry has a value.
    pub async fn compare(
        &self,
        session: &mut Session,
        dn: &str,
        attribute: &str,
        value: &str,
    ) -> Result<Compared, ConnectError> {
        const OPERATION: &str = "comparing";
        session.ldap.with_timeout(self.settings.timeout);
        let comparing = session.ldap.compare(dn, attribute, value);
        let result =
            self.guarded(OPERATION, comparing).await?.map_err(|error| self.lost(OPERATION, error))?.0;
        match result.rc {
            code::COMPARE_TRUE => Ok(Compared::Same),
            // An attribute that the entry has not, that the directory does not know, or that cannot hold this value.
            code::COMPARE_FALSE
            | code::NO_SUCH_ATTRIBUTE
            | code::UNDEFINED_ATTRIBUTE_TYPE
            | code::INAPPROPRIATE_MATCHING
            | code::INVALID_ATTRIBUTE_SYNTAX => Ok(Compared::Other),
            code::INSUFFICIENT_ACCESS | code::NO_SUCH_OBJECT => Ok(Compared::Unseen(describe(&result))),
            _ => Err(self.refused(&format!("comparing {attribute} of {dn}"), &result)),
        }
    }

    /// An entry or a list that may not be seen, which is never the same as one that is gone.
    pub fn unseen(&self, what: &str, why: impl std::fmt::Display) -> ConnectError {
        ConnectError::Target {
            system: self.settings.system.clone(),
            operation: format!("reading {what}"),
            message: why.to_string(),
        }
    }

    /// Everything that a search finds among what Active Directory has deleted.
    pub async fn search_deleted(
        &self,
        session: &mut Session,
        search: Search<'_>,
    ) -> Result<Vec<Entry>, ConnectError> {
        session.shows_deleted = true;
        let found = self.search_here(session, search).await;
        session.shows_deleted = false;
        found.map(|(entries, _)| entries)
    }

    /// Waits within the time limit. The library panics on answers that are not LDAP; such an answer is an error of
    /// the target, and must not take this program with it.
    pub(super) async fn guarded<T>(
        &self,
        operation: &str,
        answer: impl Future<Output = Result<T, LdapError>>,
    ) -> Result<Result<T, LdapError>, ConnectError> {
        match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(ConnectError::Target {
                system: self.settings.system.clone(),
                operation: operation.to_owned(),
                message: "the answer was not LDAP; check that the URL names a directory".to_owned(),
            }),
        }
    }

    /// An error that came in place of an answer.
    pub(super) fn lost(&self, operation: &str, error: LdapError) -> ConnectError {
        match error {
            LdapError::Timeout { .. } => self.timed_out(operation),
            LdapError::LdapResult { result } => self.refused(operation, &result),
            other => ConnectError::Target {
                system: self.settings.system.clone(),
                operation: operation.to_owned(),
                message: format!("the connection to {} ended: {other}", self.settings.address),
            },
        }
    }

    fn timed_out(&self, operation: &str) -> ConnectError {
        ConnectError::Timeout {
            system: self.settings.system.clone(),
            operation: operation.to_owned(),
            timeout_ms: u64::try_from(self.settings.timeout.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// An answer that says no.
    pub fn refused(&self, operation: &str, result: &LdapResult) -> ConnectError {
        ConnectError::Target {
            system: self.settings.system.clone(),
            operation: operation.to_owned(),
            message: describe(result),
        }
    }

    fn connect_error(&self, error: &LdapError) -> ConnectError {
        let (system, address) = (self.settings.system.clone(), self.settings.address.clone());
        if let LdapError::Timeout { .. } = error {
            return self.timed_out("connecting");
        }
        if let Some(problem) = tls::certificate_error(error) {
            return ConnectError::Certificate { system, address, message: tls::explain(problem) };
        }
        if let LdapError::LdapResult { result } = error {
            return self.refused("StartTLS", result);
        }
        let message = format!("{error}; check the address, the network and that the directory runs");
        ConnectError::Unreachable { system, address, message }
    }

    fn bind_error(&self, dn: &str, result: &LdapResult) -> ConnectError {
        if result.rc != code::INVALID_CREDENTIALS {
            return self.refused("binding", result);
        }
        // Active Directory says more in its text: `… data 701, …` (MS-ADTS lists the codes under LDAP errors).
        let data =
            result.text.split("data ").nth(1).map(|rest| rest.split([',', ' ']).next().unwrap_or_default());
        let message = match data {
            Some("525") => "there is no such account; check `bind_dn`",
            Some("530" | "531") => "the account may not log in now or from here",
            Some("532") => "the password has expired",
            Some("533") => "the account is disabled",
            Some("701") => "the account has expired",
            Some("773") => "the password must be changed first",
            Some("775") => "the account is locked out",
            _ => "check `bind_dn` and `password`, and that the account is neither locked nor expired",
        };
        ConnectError::Authentication {
            system: self.settings.system.clone(),
            address: self.settings.address.clone(),
            login: dn.to_owned(),
            message: format!("{message} ({})", describe(result)),
        }
    }
}

/// A set of one value, as modifications want it.
pub(super) fn one(value: &str) -> HashSet<String> {
    HashSet::from([value.to_owned()])
}

/// The directory's answer in words.
pub(super) fn describe(result: &LdapResult) -> String {
    let mut text = result.to_string();
    if !result.refs.is_empty() {
        text.push_str("; it refers to ");
        text.push_str(&result.refs.join(", "));
    }
    text
}
