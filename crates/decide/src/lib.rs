//! Pure reasoning over facts and claims: no I/O and no clock, "now" is always an argument.

pub mod authority;
pub mod correlate;
pub mod difference;
pub mod engine;
pub mod evaluate;
pub mod explain;
pub mod guard;
pub mod lease;
pub mod merge;
pub mod path;
pub mod plan;
pub mod policy;
pub mod resemblance;
pub mod rules;
