//! The settings of a `rest` system, checked before anything is reached.

use std::collections::BTreeMap;
use std::time::Duration;

use leasehold_model::identity::LifecycleState;
use reqwest::header::HeaderName;
use url::Url;

use crate::csv::date::Dates;
use crate::error::ConnectError;
use crate::http_client::HttpClient;
use crate::log_in::{self, LogIn, choice, encrypted};
use crate::person::EFFECTIVE_DATE;
use crate::settings::Settings;

const PROBLEM_SHARE_MAX: f64 = 0.1;

/// What is known of the feed before it is reached.
pub(super) struct RestSettings {
    pub http: HttpClient,
    /// The first page.
    pub url: Url,
    pub log_in: LogIn,
    /// A JSON Pointer to the list of people.
    pub items: String,
    pub total: Option<Count>,
    pub paging: Paging,
    /// Our name of what tells people apart.
    pub key: String,
    /// Somebody wrote how the API pages: otherwise one page is no proof that there are no others.
    pub is_paging_said: bool,
    /// Where our names are to be found: a JSON Pointer, or the name of a member.
    pub columns: BTreeMap<String, String>,
    /// What their words for where somebody stands mean, by the word in lower case.
    pub statuses: BTreeMap<String, String>,
    pub dates: Dates,
    /// More problems than this share of people make a reading partial.
    pub problem_share_max: f64,
}

impl RestSettings {
    /// Whether the API may tell of somebody several times, each from another day on.
    pub fn has_effective_dates(&self) -> bool {
        self.columns.contains_key(EFFECTIVE_DATE)
    }
}

/// Where the API says how many people there are.
pub(super) enum Count {
    /// A JSON Pointer into the answer.
    Body(String),
    Header(HeaderName),
}

/// How the page after a page is found.
pub(super) enum Paging {
    /// There is one page.
    None,
    /// By a `Link` header with `rel="next"` (RFC 8288); none on the last page.
    Link,
    /// By an address in the answer, at this JSON Pointer; empty on the last page.
    Next(String),
    /// By a word in the answer, at this JSON Pointer, which the parameter takes; empty on the last page.
    Cursor { next: String, parameter: String },
    /// By the number of the page; the page after the last is empty.
    Page { parameter: String, first: u64 },
    /// By how many people came before.
    Offset { parameter: String, first: u64 },
}

/// Reads them.
pub(super) fn read(settings: &mut Settings) -> Result<RestSettings, ConnectError> {
    if !settings.bool_or("authoritative", false)? {
        let message = "this is a people feed; write `authoritative = true`";
        return Err(settings.error("authoritative", message));
    }
    let text = settings.string("url", "https://hr.example.com/api/employees")?;
    let mut url = encrypted(settings, "url", &text)?;
    if url.fragment().is_some() {
        return Err(settings.error("url", "holds a `#`, which is never sent; write `%23` where it is meant"));
    }
    let authority = settings.optional_path("ca_certificate")?;
    let timeout = Duration::from_millis(settings.integer_or("timeout_ms", 30_000, 100, 3_600_000)?);
    let http = HttpClient::new(settings, &url, authority.as_deref(), timeout)?;
    let log_in = log_in::read(settings, authority.as_deref(), timeout)?;
    let size = settings.integer_or("page_size", 0, 1, 100_000)?;
    match (settings.optional_string("page_size_parameter")?, size) {
        (Some(parameter), 1..) => {
            url.query_pairs_mut().append_pair(&parameter, &size.to_string());
        }
        (None, 0) => {}
        (Some(_), 0) => return Err(settings.error("page_size_parameter", "needs `page_size`")),
        (None, _) => return Err(settings.error("page_size", "needs `page_size_parameter`")),
    }
    let is_paging_said = settings.has("paging");
    let items = settings.optional_string("items")?.unwrap_or_default();
    Ok(RestSettings {
        http,
        url,
        log_in,
        items: pointer(settings, "items", items)?,
        total: count(settings)?,
        paging: paging(settings)?,
        is_paging_said,
        key: settings.optional_string("key")?.unwrap_or_else(|| "email".to_owned()),
        columns: columns(settings)?,
        statuses: statuses(settings)?,
        dates: Dates::from_settings(settings, None)?,
        problem_share_max: settings.share_or("problem_share_max", PROBLEM_SHARE_MAX)?,
    })
}

/// A JSON Pointer; the empty one is the whole.
fn pointer(settings: &Settings, key: &str, text: String) -> Result<String, ConnectError> {
    if text.is_empty() || text.starts_with('/') {
        return Ok(text);
    }
    Err(settings
        .error(key, format!("`{text}` is no JSON Pointer, which begins with a slash; write `/{text}`")))
}

fn count(settings: &mut Settings) -> Result<Option<Count>, ConnectError> {
    let Some(text) = settings.optional_string("total")? else { return Ok(None) };
    let Some(header) = text.strip_prefix("header:") else {
        return Ok(Some(Count::Body(pointer(settings, "total", text)?)));
    };
    let header = header.trim();
    match header.parse() {
        Ok(name) => Ok(Some(Count::Header(name))),
        Err(_) => Err(settings.error("total", format!("`{header}` is no name of a header"))),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    None,
    Link,
    Next,
    Cursor,
    Page,
    Offset,
}

fn paging(settings: &mut Settings) -> Result<Paging, ConnectError> {
    let ways = [
        ("link", By::Link),
        ("none", By::None),
        ("next", By::Next),
        ("cursor", By::Cursor),
        ("page", By::Page),
        ("offset", By::Offset),
    ];
    let by = choice(settings, "paging", &ways)?;
    let word = ways.iter().find(|(_, way)| *way == by).map_or("", |(word, _)| *word);
    let mut wanted = |key: &str, is_wanted: bool, example: &str| match settings.optional_string(key)? {
        Some(text) if is_wanted => Ok(text),
        None if is_wanted => {
            let message = format!("is missing; `paging = \"{word}\"` needs it: `{key} = \"{example}\"`");
            Err(settings.error(key, message))
        }
        Some(_) => {
            Err(settings.error(key, format!("has no meaning with `paging = \"{word}\"`; leave it out")))
        }
        None => Ok(String::new()),
    };
    let next = wanted("next", matches!(by, By::Next | By::Cursor), "/next")?;
    let is_by_parameter = matches!(by, By::Cursor | By::Page | By::Offset);
    let parameter = wanted("page_parameter", is_by_parameter, "page")?;
    if settings.has("page_first") && !matches!(by, By::Page | By::Offset) {
        let message = format!("has no meaning with `paging = \"{word}\"`; leave it out");
        return Err(settings.error("page_first", message));
    }
    let first = settings.integer_or("page_first", u64::from(by == By::Page), 0, u64::from(u32::MAX))?;
    let next = pointer(settings, "next", next)?;
    Ok(match by {
        By::None => Paging::None,
        By::Link => Paging::Link,
        By::Next => Paging::Next(next),
        By::Cursor => Paging::Cursor { next, parameter },
        By::Page => Paging::Page { parameter, first },
        By::Offset => Paging::Offset { parameter, first },
    })
}

fn columns(settings: &mut Settings) -> Result<BTreeMap<String, String>, ConnectError> {
    let columns = settings.string_table("columns")?;
    match columns.iter().find(|(_, place)| place.trim().is_empty()) {
        Some((ours, _)) => {
            let message =
                "names nothing; write the name of a member, or a JSON Pointer such as `/contact/email`";
            Err(settings.error(&format!("columns.{ours}"), message))
        }
        None => Ok(columns),
    }
}

fn statuses(settings: &mut Settings) -> Result<BTreeMap<String, String>, ConnectError> {
    let mut known = BTreeMap::new();
    for (theirs, ours) in settings.string_table("statuses")? {
        if ours.is_empty() || LifecycleState::parse(&ours).is_none() {
            let message = format!(
                "`{ours}` is not known; write active, leaving, left, on_leave, suspended, pre_hire or returned"
            );
            return Err(settings.error(&format!("statuses.{theirs}"), message));
        }
        known.insert(theirs.trim().to_lowercase(), ours);
    }
    Ok(known)
}
