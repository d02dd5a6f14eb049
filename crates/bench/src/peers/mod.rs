//! Other engines on the same data.

pub mod differential;
pub mod duckdb;
