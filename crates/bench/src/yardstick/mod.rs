//! Yardstick kernels: the least code that gives the right answer on plain arrays, for ratios to the possible.

pub mod access;
pub mod csv;
pub mod drift;
pub mod ledger;
pub mod sod;
