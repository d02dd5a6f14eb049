//! What a person asks for by name and that takes several steps: one file a verb.

pub mod credential_link;
pub mod offboard;
pub mod receipt;
pub mod steward;
mod unclaimed;
