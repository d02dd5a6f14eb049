//! Finding one user or group, and proving that there is none.

use leasehold_model::id::EntitlementName;
use leasehold_model::request::{AccountTarget, EntitlementTarget};
use reqwest::StatusCode;
use serde_json::Value;

use crate::error::ConnectError;
use crate::scim::client::{Client, Document};
use crate::scim::paging::Listing;
use crate::scim::resource::{number, text};

/// What an entitlement's name says.
pub(super) enum Held<'name> {
    Group(&'name str),
    /// A value of an attribute of the user's own: `roles` or `entitlements`.
    Value {
        attribute: &'static str,
        value: &'name str,
    },
}

impl<'name> Held<'name> {
    /// Reads a name, or says why it means nothing here.
    pub fn parse(name: &'name EntitlementName) -> Result<Self, String> {
        match name.kind.as_str() {
            "group" => Ok(Self::Group(&name.name)),
            "role" => Ok(Self::Value { attribute: "roles", value: &name.name }),
            "entitlement" => Ok(Self::Value { attribute: "entitlements", value: &name.name }),
            kind => {
                Err(format!("`{kind}` is not a kind of entitlement here; known are group, role, entitlement"))
            }
        }
    }
}

/// Finds an account by its key; one that has none yet by its login.
pub(super) async fn account(
    client: &Client,
    target: &AccountTarget,
) -> Result<Option<Document>, ConnectError> {
    match target.key.as_str() {
        "" => {
            let found = named(client, "Users", "userName", &target.login).await?;
            let Some(id) = one(client, "Users", &target.login, found)? else { return Ok(None) };
            by_id(client, "Users", &id).await
        }
        id => by_id(client, "Users", id).await,
    }
}

/// Finds a group: by the id that it was seen with, and where that is gone by its name.
pub(super) async fn group(
    client: &Client,
    target: &EntitlementTarget,
    name: &str,
) -> Result<Option<Document>, ConnectError> {
    if let Some(id) = target.native.as_deref().filter(|id| !id.is_empty())
        && let Some(found) = by_id(client, "Groups", id).await?
    {
        return Ok(Some(found));
    }
    let found = named(client, "Groups", "displayName", name).await?;
    if let Some(id) = one(client, "Groups", name, found)? {
        return by_id(client, "Groups", &id).await;
    }
    // Groups that share a name are told with their ids.
    let Some((plain, id)) = name.strip_suffix(')').and_then(|name| name.rsplit_once(" (")) else {
        return Ok(None);
    };
    let found = by_id(client, "Groups", id).await?;
    Ok(found.filter(|found| text(&found.body, "displayName").as_deref() == Some(plain)))
}

/// Reads one resource; `None` where the server itself says that there is none.
pub(super) async fn by_id(
    client: &Client,
    resource: &'static str,
    id: &str,
) -> Result<Option<Document>, ConnectError> {
    let path = [resource, id];
    // An empty segment or a dot would be another address.
    if id.is_empty() || id == "." || id == ".." {
        return Ok(None);
    }
    let error = match client.get(&path, &[]).await? {
        Ok(found) if text(&found.body, "id").as_deref() == Some(id) => return Ok(Some(found)),
        Ok(_) => {
            let message = format!("asked for {id}, the server sent another resource");
            return Err(client.settings.http.target_error(&path.join("/"), message));
        }
        Err(error) => error,
    };
    if error.status == StatusCode::NOT_FOUND && error.is_scim {
        return Ok(None);
    }
    // Anything else can come from what stands before the server, and some servers take an id that they never gave for a
    // malformed question: the list has to show that there is none.
    if !matches!(error.status, StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::BAD_REQUEST) {
        return Err(client.target_error(&path, &error));
    }
    let query = [("filter", format!("id eq {}", Value::from(id)))];
    match client.get(&[resource], &query).await? {
        Ok(list) if number(&list.body, "totalResults") == Some(0) => Ok(None),
        _ => Err(client.target_error(&path, &error)),
    }
}

/// The ids of every resource whose attribute is exactly this, where case does not count.
async fn named(
    client: &Client,
    resource: &'static str,
    attribute: &str,
    name: &str,
) -> Result<Vec<String>, ConnectError> {
    let is_named = |found: &Value| text(found, attribute).is_some_and(|found| same(&found, name));
    let list = async |filter: Option<String>| {
        let mut listing = Listing::begin(client, resource, client.settings.page_size).await?;
        let is_filtered = filter.is_some();
        if let Some(filter) = filter {
            listing = listing.with_wish("filter", filter);
        }
        if resource == "Groups" {
            listing = listing.with_wish("excludedAttributes", "members");
        }
        let (mut exact, mut others) = (Vec::new(), Vec::new());
        while let Some(page) = listing.next().await? {
            if is_filtered && !page.iter().all(is_named) {
                return Ok(None);
            }
            for found in page.iter().filter(|found| is_named(found)) {
                let is_exact = text(found, attribute).as_deref() == Some(name);
                let named = if is_exact { &mut exact } else { &mut others };
                named.extend(text(found, "id"));
            }
        }
        let found = if exact.is_empty() { others } else { exact };
        match listing.doubts.first() {
            Some(doubt) if found.is_empty() => {
                let message = format!("looking for `{name}`: {doubt}");
                Err(client.settings.http.target_error(resource, message))
            }
            _ => Ok(Some(found)),
        }
    };
    if client.service().await?.filter {
        // A text in a filter is written as in JSON (RFC 7644 section 3.4.2.2).
        let filter = format!("{attribute} eq {}", Value::from(name));
        if let Some(found) = list(Some(filter)).await? {
            return Ok(found);
        }
        // The server does not look at filters, whatever it says, or cannot read this one.
    }
    Ok(list(None).await?.unwrap_or_default())
}

/// The only one of some; more are no answer.
fn one(
    client: &Client,
    resource: &str,
    name: &str,
    found: Vec<String>,
) -> Result<Option<String>, ConnectError> {
    match found.as_slice() {
        [] => Ok(None),
        [id] => Ok(Some(id.clone())),
        many => {
            let message =
                format!("{} of them are named `{name}`; sync again, so that they are told apart", many.len());
            Err(client.settings.http.target_error(resource, message))
        }
    }
}

/// Names in SCIM have no case, unless the server says so.
fn same(left: &str, right: &str) -> bool {
    left == right || left.to_lowercase() == right.to_lowercase()
}
