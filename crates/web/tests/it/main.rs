//! The server as people and programs meet it: the real router over a real store.

mod api;
mod authority;
mod company;
mod edge;
mod entitlements;
mod identities;
mod ledger;
mod me;
mod network;
mod policy;
mod search;
mod sign_in;
mod support;
mod systems;
