//! The nouns that every other crate shares. Nothing here decides anything; a secret's reference and the clock are the only things that
//! look outside.

pub mod account;
pub mod action;
pub mod capability;
pub mod clock;
pub mod credential;
pub mod decision;
pub mod entitlement;
pub mod event;
pub mod fact;
pub mod feed;
pub mod id;
pub mod identity;
pub mod plan;
pub mod reason;
pub mod receipt;
pub mod request;
pub mod secret;
pub mod setting;
pub mod snapshot;
pub mod stewardship;
pub mod text;

pub use jiff::Timestamp;
