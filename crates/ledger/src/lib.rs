//! The tamper-evident log: an append-only Merkle tree with signed checkpoints, and an independent checker of it.
//!
//! Hashing is RFC 6962 with SHA-256, proofs are verified after RFC 9162, files are laid out after C2SP tlog-tiles, checkpoints are C2SP
//! tlog-checkpoint in signed notes. This crate depends on no other crate of the workspace, so an auditor can build it alone.
//!
//! - [`writer::Log`] appends entries and publishes checkpoints; [`view::View`] reads what is published.
//! - [`entry::Entry`] is one event, [`commitment`] keeps personal data out of it.
//! - [`bundle::Bundle`] proves entries to somebody who has neither the log nor the database.
//! - [`check::check`] derives everything again from the raw entries. It shares nothing with the writer but [`hash`] and the public key.

pub mod bundle;
pub mod canonical;
pub mod check;
pub mod checkpoint;
pub mod commitment;
pub mod entry;
pub mod error;
mod growth;
pub mod hash;
mod journal;
mod key;
pub mod proof;
mod recover;
mod tile;
pub mod tlog_proof;
mod tree;
pub mod view;
pub mod writer;

pub use error::Error;
pub use hash::Hash;
