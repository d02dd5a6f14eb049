//! One file per job: what is run in turn, what is compared, and which goal each ratio has.

pub mod access;
pub mod drift;
pub mod fan_out;
pub mod files;
pub mod incremental;
pub mod ingest;
pub mod ledger;
pub mod memory;
pub mod scim;
pub mod serve;
pub mod sod;
pub mod sync_scim;
