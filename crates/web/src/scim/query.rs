//! A question for resources, from a query string or from the body of `.search` (RFC 7644, sections 3.4.2 and 3.4.3).

use serde_json::Value;

use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::{Candidates, Filter, Path, path_with_filter, sought};
use crate::scim::projection::Projection;
use crate::scim::schema::{GROUPS, MEMBERS, META, ResourceType};

/// How many resources a page has where nobody says, and how many at most.
pub(crate) const COUNT_DEFAULT: u64 = 100;
pub(crate) const COUNT_MAX: u64 = 1_000;

/// A question.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub filter: Option<Filter>,
    pub sort: Option<Sort>,
    /// How many are skipped: `startIndex` counts from one.
    pub skipped: u64,
    /// As it was sent: bounds differ by the way of paging.
    pub count: Option<i64>,
    /// A page by cursor is wanted; empty for the first.
    pub cursor: Option<String>,
    pub projection: Projection,
    /// What tells this question from others, for its cursors.
    pub named: String,
}

/// An order.
#[derive(Debug)]
pub(crate) struct Sort {
    pub by: Path,
    pub is_descending: bool,
}

/// As it was sent, before it is read.
#[derive(Default)]
struct Sent {
    filter: Option<String>,
    sort_by: Option<String>,
    sort_order: Option<String>,
    start_index: Option<i64>,
    count: Option<i64>,
    cursor: Option<String>,
    attributes: Vec<String>,
    excluded: Vec<String>,
}

impl Query {
    /// Reads a query string.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_address(query: &str) -> Result<Self, ScimError> {
        let mut sent = Sent::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            let names = || value.split(',').map(str::to_owned).collect();
            match name.to_ascii_lowercase().as_str() {
                "filter" => sent.filter = Some(value),
                "sortby" => sent.sort_by = Some(value),
                "sortorder" => sent.sort_order = Some(value),
                "startindex" => sent.start_index = Some(number("startIndex", &value)?),
                "count" => sent.count = Some(number("count", &value)?),
                "cursor" => sent.cursor = Some(value),
                "attributes" => sent.attributes = names(),
                "excludedattributes" => sent.excluded = names(),
                _ => {}
            }
        }
        sent.read()
    }

    /// Reads the body of `.search`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_body(body: Value) -> Result<Self, ScimError> {
        let Value::Object(body) = body else {
            return Err(ScimError::syntax("a question is an object with `filter`, `count`, …"));
        };
        let mut sent = Sent::default();
        for (name, value) in body {
            let text = |value: &Value| match value {
                Value::Null => Ok(None),
                Value::String(text) => Ok(Some(text.clone())),
                _ => Err(ScimError::syntax(format!("`{name}` is a text"))),
            };
            let whole = |value: &Value| match value {
                Value::Null => Ok(None),
                Value::Number(found) if found.is_i64() => Ok(found.as_i64()),
                _ => Err(ScimError::value(format!("`{name}` is a whole number"))),
            };
            let names = |value: &Value| match value {
                Value::Null => Ok(Vec::new()),
                Value::Array(names) => {
                    Ok(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                }
                Value::String(text) => Ok(text.split(',').map(str::to_owned).collect()),
                _ => Err(ScimError::syntax(format!("`{name}` is a list of names"))),
            };
            match name.to_ascii_lowercase().as_str() {
                "filter" => sent.filter = text(&value)?,
                "sortby" => sent.sort_by = text(&value)?,
                "sortorder" => sent.sort_order = text(&value)?,
                "startindex" => sent.start_index = whole(&value)?,
                "count" => sent.count = whole(&value)?,
                "cursor" => sent.cursor = text(&value)?,
                "attributes" => sent.attributes = names(&value)?,
                "excludedattributes" => sent.excluded = names(&value)?,
                _ => {}
            }
        }
        sent.read()
    }

    /// Whether what fits can only be found by looking at every resource of a type.
    pub fn looks_at_all(&self, known: &ResourceType) -> bool {
        match &self.filter {
            Some(filter) => matches!(sought(filter, known), None | Some(Candidates::InGroup(_))),
            None => self.sort.is_some(),
        }
    }

    /// Whether members have to be there to say what fits, and in which order.
    pub fn asks_about_members(&self) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.names(MEMBERS))
            || self.sort.as_ref().is_some_and(|sort| sort.by.is(MEMBERS))
    }

    /// The same of the groups that they are members of, which are part of the version, too.
    pub fn asks_about_groups(&self) -> bool {
        [GROUPS, META].into_iter().any(|name| {
            self.filter.as_ref().is_some_and(|filter| filter.names(name))
                || self.sort.as_ref().is_some_and(|sort| sort.by.is(name))
        })
    }

    /// How many resources a page by index has.
    pub fn page_size(&self) -> u64 {
        let count = self.count.map(|count| u64::try_from(count).unwrap_or(0));
        count.unwrap_or(COUNT_DEFAULT).min(COUNT_MAX)
    }
}

impl Sent {
    fn read(self) -> Result<Query, ScimError> {
        let filter = self.filter.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let filter = filter.map(Filter::parse).transpose()?;
        let is_descending = match self.sort_order.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "ascending") => false,
            Some("descending") => true,
            Some(_) => return Err(ScimError::value("`sortOrder` is ascending or descending")),
        };
        let sort_by = self.sort_by.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let sort = match sort_by.map(path_with_filter) {
            None => None,
            Some(Ok(located)) if located.filter.is_none() => Some(Sort { by: located.path, is_descending }),
            Some(_) => {
                let why = "`sortBy` is the name of an attribute, such as userName or name.familyName";
                return Err(ScimError::new(ScimType::InvalidPath, why));
            }
        };
        let filter_text = filter.as_ref().map(ToString::to_string).unwrap_or_default();
        let sort_text = sort.as_ref().map(|sort| format!("{} {is_descending}", sort.by)).unwrap_or_default();
        Ok(Query {
            named: format!("{filter_text}\0{sort_text}"),
            filter,
            sort,
            skipped: self.start_index.map_or(0, |start| u64::try_from(start.saturating_sub(1)).unwrap_or(0)),
            count: self.count,
            cursor: self.cursor,
            projection: Projection::of(self.attributes, self.excluded)?,
        })
    }
}

fn number(name: &str, text: &str) -> Result<i64, ScimError> {
    text.trim().parse().map_err(|_| ScimError::value(format!("`{name}` is a whole number")))
}
