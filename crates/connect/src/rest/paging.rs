//! From page to page, to the end of the list and not beyond.

use std::collections::HashSet;

use reqwest::header::LINK;
use serde_json::Value;
use url::Url;

use crate::error::ConnectError;
use crate::http_client::Answer;
use crate::rest::client::Client;
use crate::rest::link;
use crate::rest::settings::{Count, Paging};

/// A list that never comes to an end is not followed further than this.
const PEOPLE_MAX: u64 = 20_000_000;
/// A page may be empty, and yet not the last; so many in a row lead nowhere.
const EMPTY_PAGES_MAX: u32 = 1_000;

/// One reading of the list.
pub(super) struct Walk<'run> {
    client: &'run Client,
    /// Where the next page is; `None` after the last.
    next: Option<Url>,
    /// The addresses that were asked for, where the API names them itself.
    asked: HashSet<Url>,
    empty_pages: u32,
    /// How many pages came.
    pub pages: u64,
    /// How many objects came.
    pub read: u64,
    /// How many there are, as the API last said.
    pub total: Option<u64>,
    /// Why what came may not be all.
    pub doubts: Vec<String>,
}

impl<'run> Walk<'run> {
    pub fn begin(client: &'run Client) -> Self {
        let settings = &client.settings;
        let mut url = settings.url.clone();
        if let Paging::Page { parameter, first } | Paging::Offset { parameter, first } = &settings.paging {
            set(&mut url, parameter, &first.to_string());
        }
        Self {
            client,
            next: Some(url),
            asked: HashSet::new(),
            empty_pages: 0,
            pages: 0,
            read: 0,
            total: None,
            doubts: Vec::new(),
        }
    }

    /// The objects of the next page; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<Value>>, ConnectError> {
        let Some(url) = self.next.take() else { return Ok(None) };
        let (answer, mut body) = self.client.page(&url).await?;
        let place = &self.client.settings.items;
        let items = match body.pointer_mut(place).map(Value::take) {
            Some(Value::Array(items)) => items,
            found => {
                let found = if found.is_some() { "is no list" } else { "is not in the answer" };
                return Err(self.client.error(&format!("`{place}` {found}; check `items`")));
            }
        };
        self.count(&answer, &body)?;
        self.pages += 1;
        self.read += items.len() as u64;
        if self.read > PEOPLE_MAX {
            return Err(self.client.error(&format!("there are more than {PEOPLE_MAX} people")));
        }
        self.empty_pages = if items.is_empty() { self.empty_pages + 1 } else { 0 };
        self.next = self.after(&url, &answer, &body, items.is_empty())?;
        if self.next.is_none()
            && let Some(total) = self.total
            && total != self.read
        {
            self.doubt(format!("the API says that it has {total} people and gave {}", self.read));
        }
        Ok(Some(items))
    }

    /// Ends the walk where it is.
    pub fn stop(&mut self) {
        self.next = None;
    }

    /// Notes why what came may not be all.
    pub fn doubt(&mut self, why: String) {
        if !self.doubts.contains(&why) && self.doubts.len() < 8 {
            self.doubts.push(why);
        }
    }

    fn count(&mut self, answer: &Answer, body: &Value) -> Result<(), ConnectError> {
        let (found, place) = match &self.client.settings.total {
            None => return Ok(()),
            Some(Count::Body(place)) => (body.pointer(place).map(text), place.as_str()),
            Some(Count::Header(name)) => {
                let value = answer.headers.get(name).and_then(|value| value.to_str().ok());
                (value.map(str::to_owned), name.as_str())
            }
        };
        let Some(total) = found.and_then(|text| text.trim().parse().ok()) else {
            return Err(self
                .client
                .error(&format!("the answer does not count people at `{place}`; check `total`")));
        };
        if let Some(before) = self.total.filter(|before| *before != total) {
            self.doubt(format!("the number of people went from {before} to {total} while they were read"));
        }
        self.total = Some(total);
        Ok(())
    }

    /// The address of the page after this one.
    fn after(
        &mut self,
        url: &Url,
        answer: &Answer,
        body: &Value,
        is_empty: bool,
    ) -> Result<Option<Url>, ConnectError> {
        let said = |place: &str| body.pointer(place).map(text).filter(|text| !text.is_empty());
        let is_all = is_empty || self.total.is_some_and(|total| self.read >= total);
        let next = match &self.client.settings.paging {
            Paging::Page { parameter, first } => {
                return Ok((!is_all).then(|| with(url, parameter, &(first + self.pages).to_string())));
            }
            Paging::Offset { parameter, first } => {
                return Ok((!is_all).then(|| with(url, parameter, &(first + self.read).to_string())));
            }
            Paging::None => return Ok(None),
            Paging::Link => {
                let headers = answer.headers.get_all(LINK).iter();
                headers.filter_map(|value| value.to_str().ok()).find_map(link::next).map(str::to_owned)
            }
            Paging::Next(place) => said(place),
            Paging::Cursor { next, parameter } => {
                let next = said(next).map(|cursor| with(url, parameter, &cursor));
                return self.named(url, next);
            }
        };
        let Some(next) = next else { return Ok(None) };
        let next = url.join(&next).map_err(|error| {
            self.client.error(&format!("what names the next page is no address: {error}"))
        })?;
        self.named(url, Some(next))
    }

    /// A page that the API named: nowhere else, and not one that was asked for before.
    fn named(&mut self, url: &Url, next: Option<Url>) -> Result<Option<Url>, ConnectError> {
        let Some(next) = next else { return Ok(None) };
        if next.origin() != url.origin() {
            let there = next.host_str().unwrap_or_default();
            let message =
                format!("the next page is at {there}, another host, which is not shown what logs in here");
            return Err(self.client.error(&message));
        }
        self.asked.insert(url.clone());
        if self.asked.contains(&next) || self.empty_pages > EMPTY_PAGES_MAX {
            let message = "one page names the next without getting anywhere; it would never end";
            return Err(self.client.error(message));
        }
        Ok(Some(next))
    }
}

/// A single value as a text; empty for all that is none.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

fn with(url: &Url, parameter: &str, value: &str) -> Url {
    let mut url = url.clone();
    set(&mut url, parameter, value);
    url
}

/// Sets a parameter of the query, in place of any that has its name.
fn set(url: &mut Url, parameter: &str, value: &str) {
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != parameter)
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair(parameter, value);
}
