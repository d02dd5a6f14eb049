//! The connectors from outside: as the rest of Leasehold uses them.

mod contract;
mod csv;
mod simulated;
mod support;
