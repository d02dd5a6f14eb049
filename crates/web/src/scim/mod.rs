//! A service provider of SCIM 2.0 (RFC 7643, 7644, 9865): identity providers push users and groups, each into one system.
//!
//! Everything is answered after it lasts. What resources are like is data (`schema/`), so that another type is a file.

mod answer;
pub(crate) mod bulk;
mod caller;
mod cursor;
mod deeds;
pub(crate) mod discovery;
mod document;
pub(crate) mod error;
mod filter;
mod list;
mod patch;
mod projection;
mod query;
pub(crate) mod resources;
mod schema;
pub(crate) mod search;
mod short;
pub(crate) mod token;
mod value;

pub(crate) use caller::{Callers, identify};
pub(crate) use short::Short;

/// Whether a path is one of SCIM's.
pub(crate) fn is_scim(path: &str) -> bool {
    path.starts_with("/scim/")
}
