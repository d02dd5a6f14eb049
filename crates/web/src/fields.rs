//! The fields of a form as they were sent: a name can come several times, as of boxes that are ticked.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};

use crate::error::WebError;

/// The fields of a form. An extractor.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first value of a field; empty where there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// Every value of a field.
    pub(crate) fn all<'fields>(&'fields self, name: &str) -> impl Iterator<Item = &'fields str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a box is ticked, or a button was the one that was pressed.
    pub(crate) fn has(&self, name: &str) -> bool {
        !self.get(name).is_empty()
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = WebError;

    async fn from_request(request: Request, state: &S) -> Result<Self, WebError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|error| WebError::Framework {
            status: axum::response::IntoResponse::into_response(error).status(),
            message: "what was sent could not be read".to_owned(),
        })?;
        Ok(Self(url::form_urlencoded::parse(&bytes).into_owned().collect()))
    }
}
