//! Reading a whole list, page after page, and noticing where it did not hold still.

use serde_json::Value;

use crate::error::ConnectError;
use crate::scim::client::{ApiError, Client, Document};
use crate::scim::resource::{number, take, text};

/// A server that never comes to an end is not followed further than this.
const RESOURCES_MAX: u64 = 50_000_000;
/// A page by cursor may be empty, and yet not the last; so many in a row are none that leads anywhere.
const EMPTY_PAGES_MAX: u32 = 1_000;

/// Where a page begins.
#[derive(Clone)]
enum Position {
    /// By its place, from 1 (RFC 7644 section 3.4.2.4).
    Index(u64),
    /// By what the page before said (RFC 9865); empty for the first.
    Cursor(String),
}

/// One reading of `Users` or `Groups`.
pub(super) struct Listing<'run> {
    client: &'run Client,
    resource: &'static str,
    query: Vec<(&'static str, String)>,
    /// Left out, the last one first, where the server refuses the first page with them.
    wishes: Vec<(&'static str, String)>,
    page_size: u64,
    /// Where the next page begins; `None` after the last.
    position: Option<Position>,
    /// The id of the last resource of the page before.
    last: Option<String>,
    /// How many pages in a row had nothing on them.
    empty_pages: u32,
    /// How many there are, as the server last said.
    pub total: Option<u64>,
    /// How many came.
    pub read: u64,
    /// Why what came may not be all.
    pub doubts: Vec<String>,
}

impl<'run> Listing<'run> {
    pub async fn begin(
        client: &'run Client,
        resource: &'static str,
        page_size: u64,
    ) -> Result<Self, ConnectError> {
        let service = client.service().await?;
        let first = if service.cursor { Position::Cursor(String::new()) } else { Position::Index(1) };
        let page_size = service.page_size_max.map_or(page_size, |most| page_size.min(most));
        let sort_by = client.settings.sort_by.iter();
        let query = sort_by.map(|name| ("sortBy", name.clone())).collect();
        Ok(Self {
            client,
            resource,
            query,
            wishes: Vec::new(),
            page_size,
            position: Some(first),
            last: None,
            empty_pages: 0,
            total: None,
            read: 0,
            doubts: Vec::new(),
        })
    }

    /// Asks for less than the whole, where the server is able to: what comes may be the whole all the same.
    pub fn with_wish(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.wishes.push((name, value.into()));
        self
    }

    /// The next page; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<Value>>, ConnectError> {
        let Some(position) = self.position.take() else { return Ok(None) };
        let paging = match &position {
            Position::Index(start) => ("startIndex", start.to_string()),
            Position::Cursor(cursor) => ("cursor", cursor.clone()),
        };
        let mut page = self.ask(paging).await?;
        let total = number(&page, "totalResults");
        if let (Some(before), Some(now)) = (self.total, total)
            && before != now
        {
            self.doubt(format!(
                "totalResults of {} went from {before} to {now} while it was read",
                self.resource
            ));
        }
        self.total = total.or(self.total);
        let mut resources = match take(&mut page, "Resources") {
            Value::Array(resources) => resources,
            Value::Null => Vec::new(),
            _ => return Err(self.error("`Resources` is no list")),
        };
        self.position = match position {
            Position::Index(start) => self.step(start, &mut resources)?.map(Position::Index),
            Position::Cursor(cursor) => {
                let next = text(&page, "nextCursor").filter(|next| !next.is_empty());
                self.empty_pages = if resources.is_empty() { self.empty_pages + 1 } else { 0 };
                if next.as_ref() == Some(&cursor) || self.empty_pages > EMPTY_PAGES_MAX {
                    return Err(
                        self.error("one page names the next without getting anywhere; it would never end")
                    );
                }
                self.read += resources.len() as u64;
                next.map(Position::Cursor)
            }
        };
        if self.position.is_none()
            && let Some(total) = self.total
            && self.read != total
        {
            self.doubt(format!(
                "the server says that it has {total} {} and gave {}",
                self.resource, self.read
            ));
        }
        if self.read > RESOURCES_MAX {
            return Err(self.error(&format!("there are more than {RESOURCES_MAX}")));
        }
        Ok(Some(resources))
    }

    /// Takes what a page by index told twice on purpose out of it, and says where the next one begins.
    fn step(&mut self, start: u64, resources: &mut Vec<Value>) -> Result<Option<u64>, ConnectError> {
        let total = self.total.ok_or_else(|| {
            self.error("the answer holds no totalResults, without which nobody knows whether it is all")
        })?;
        let overlaps = self.client.settings.page_overlap && self.page_size > 1;
        if overlaps && start > 1 {
            let first = resources.first().and_then(|resource| text(resource, "id"));
            if first.is_some() && first == self.last {
                resources.remove(0);
            } else {
                self.doubt(format!(
                    "{} moved while they were read: a page does not begin with the last of the one before; where that is \
                     so each time, set `page_overlap = false`",
                    self.resource
                ));
            }
        }
        self.read += resources.len() as u64;
        self.last = resources.last().and_then(|resource| text(resource, "id"));
        let next = if overlaps { self.read } else { self.read + 1 };
        Ok((!resources.is_empty() && self.read < total).then_some(next))
    }

    async fn ask(&mut self, paging: (&'static str, String)) -> Result<Value, ConnectError> {
        let mut query = self.query.clone();
        query.push(paging);
        query.push(("count", self.page_size.to_string()));
        loop {
            let asked: Vec<_> = query.iter().chain(&self.wishes).cloned().collect();
            match self.client.get(&[self.resource], &asked).await? {
                Ok(found) => return Ok(found.body),
                Err(error) if self.read == 0 && error.is_other_dialect() && self.wishes.pop().is_some() => {}
                Err(error) => return Err(self.refused(&error)),
            }
        }
    }

    fn refused(&self, error: &ApiError) -> ConnectError {
        self.client.target_error(&[self.resource], error)
    }

    fn error(&self, message: &str) -> ConnectError {
        self.client.settings.http.target_error(self.resource, message)
    }

    fn doubt(&mut self, why: String) {
        if !self.doubts.contains(&why) && self.doubts.len() < 8 {
            self.doubts.push(why);
        }
    }
}

/// How many resources there are now; `None` where the server does not count.
pub(super) async fn count(client: &Client, resource: &'static str) -> Result<Option<u64>, ConnectError> {
    let first = if client.service().await?.cursor { ("cursor", "") } else { ("startIndex", "1") };
    // Some servers know no page without anything on it.
    for count in ["0", "1"] {
        let query = [first, ("count", count)].map(|(name, value)| (name, value.to_owned()));
        match client.get(&[resource], &query).await? {
            Ok(Document { body, .. }) => {
                // Others take it for "no limit said" or leave the number out; what they count is right all the same.
                if let Some(total) = number(&body, "totalResults") {
                    return Ok(Some(total));
                }
            }
            Err(error) if error.is_other_dialect() && count == "0" => {}
            Err(error) => return Err(client.target_error(&[resource], &error)),
        }
    }
    Ok(None)
}
