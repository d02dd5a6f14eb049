//! Integration tests of the reasoning crate.

mod engine;
mod predicate;
