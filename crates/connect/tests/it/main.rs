//! The connectors from outside: as the rest of Leasehold uses them.

mod simulated;
mod support;
