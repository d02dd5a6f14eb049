//! The server as people and programs meet it: the real router over a real store.

mod company;
mod edge;
mod entitlements;
mod identities;
mod ledger;
mod me;
mod policy;
mod search;
mod sign_in;
mod support;
mod systems;
