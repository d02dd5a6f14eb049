//! Style and scripts, embedded in the binary and named by their content, so that a browser may keep them for good.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

use crate::error::WebError;
use crate::route::{Access, Route};

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[Route::page(Method::GET, "/static/{file}", Access::Open, || get(show))];

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// Names with the beginning of the content's hash.
static ADDRESSES: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let address = |name: &str| {
        let hash = Files::get(name).map(|file| hex::encode(&file.metadata.sha256_hash()[..8]));
        format!("/static/{name}?v={}", hash.unwrap_or_default())
    };
    Files::iter().map(|name| (name.to_string(), address(&name))).collect()
});

/// Where a file is to be had. A name that is not embedded is a mistake of ours, which the tests find.
pub fn address(name: &str) -> &'static str {
    ADDRESSES.get(name).map_or("/static/missing", String::as_str)
}

async fn show(Path(name): Path<String>) -> Result<Response, WebError> {
    let file = Files::get(&name).ok_or(WebError::NotFound("this file".to_owned()))?;
    let kind = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    // A cache between keeps one for those who take it compressed and one for the others.
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::VARY, "accept-encoding"),
    ];
    Ok((StatusCode::OK, headers, file.data).into_response())
}
