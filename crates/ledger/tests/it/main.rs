//! Integration tests of the ledger: known answers, properties, recovery, the oracle crates and the tamper matrix.

mod bundles;
mod naive;
mod oracle;
mod proofs;
mod recovery;
mod support;
mod tamper;
