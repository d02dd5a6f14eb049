//! What a server says that it can do: its ServiceProviderConfig (RFC 7643 section 5, RFC 9865 section 4).

use reqwest::StatusCode;
use serde_json::Value;

use crate::error::ConnectError;
use crate::scim::client::Client;
use crate::scim::resource::{attribute, flag, number};

/// The parts that matter to the connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Service {
    pub patch: bool,
    pub filter: bool,
    /// Passwords of users can be changed; a server that says nothing of it may take one and do nothing.
    pub change_password: bool,
    /// Versions are told and `If-Match` is looked at.
    pub etag: bool,
    /// Pages follow one another by cursors.
    pub cursor: bool,
    /// The most that a page holds, where the server says.
    pub page_size_max: Option<u64>,
}

impl Service {
    /// What a server can do that says nothing of itself, as most do.
    const UNSTATED: Self = Self {
        patch: true,
        filter: true,
        change_password: false,
        etag: false,
        cursor: false,
        page_size_max: None,
    };

    /// Asks.
    pub async fn read(client: &Client) -> Result<Self, ConnectError> {
        let path = ["ServiceProviderConfig"];
        match client.get(&path, &[]).await? {
            Ok(found) => Ok(Self::parse(&found.body)),
            Err(error) if matches!(error.status, StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED) => {
                Ok(Self::UNSTATED)
            }
            Err(error) => Err(client.target_error(&path, &error)),
        }
    }

    fn parse(body: &Value) -> Self {
        let supported = |name: &str| attribute(body, name).and_then(|part| flag(part, "supported"));
        let pagination = attribute(body, "pagination");
        let page_size_max = pagination.and_then(|part| number(part, "maxPageSize"));
        let results_max = attribute(body, "filter").and_then(|part| number(part, "maxResults"));
        Self {
            patch: supported("patch").unwrap_or(Self::UNSTATED.patch),
            filter: supported("filter").unwrap_or(Self::UNSTATED.filter),
            change_password: supported("changePassword").unwrap_or(Self::UNSTATED.change_password),
            etag: supported("etag").unwrap_or(Self::UNSTATED.etag),
            cursor: pagination.and_then(|part| flag(part, "cursor")).unwrap_or(Self::UNSTATED.cursor),
            page_size_max: page_size_max.or(results_max).filter(|most| *most > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_server_says_counts_and_the_rest_is_as_of_most() {
        let said = json!({
            "patch": {"supported": false}, "filter": {"supported": "True", "maxResults": 50}, "ETAG": {"supported": true},
            "changepassword": {"supported": "true"},
            "pagination": {"cursor": true, "index": false, "maxPageSize": 100},
        });
        let expected = Service {
            patch: false,
            filter: true,
            change_password: true,
            etag: true,
            cursor: true,
            page_size_max: Some(100),
        };
        assert_eq!(Service::parse(&said), expected);
        assert_eq!(Service::parse(&json!({})), Service::UNSTATED);
        let most = Service::parse(&json!({"filter": {"supported": true, "maxResults": 50}})).page_size_max;
        assert_eq!(most, Some(50));
    }
}
