//! Who may do what here: the Cedar policies in force, the shipped ones and the installation's own.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::safe_text;
use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::state::App;

#[derive(Template)]
#[template(path = "policy/authority.html")]
struct AuthorityPage {
    frame: Frame,
    files: Vec<CedarFile>,
    has_own: bool,
}

struct CedarFile {
    name: String,
    shipped: bool,
    lines: usize,
    text: String,
}

pub(super) async fn show(State(app): State<App>, frame: Frame) -> Result<Response, WebError> {
    let file = |(name, text, shipped): (&str, &str, bool)| CedarFile {
        name: leasehold_model::text::safe(name),
        shipped,
        lines: text.lines().count(),
        text: safe_text(text),
    };
    let files: Vec<CedarFile> = app.authority.files().map(file).collect();
    let has_own = files.iter().any(|file| !file.shipped);
    frame::show(&AuthorityPage { frame: frame.titled("Who may do what"), files, has_own })
}
