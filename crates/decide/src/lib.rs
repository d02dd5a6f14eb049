//! Pure reasoning over facts and claims: no I/O and no clock, "now" is always an argument.

pub mod engine;
