//! The server as people and programs meet it: the real router over a real store.

mod actions;
mod api;
mod authenticator;
mod authority;
mod company;
mod device;
mod drift;
mod edge;
mod entitlements;
mod home;
mod identities;
mod ledger;
mod me;
mod metrics;
mod network;
mod openid;
mod passkey;
mod plans;
mod policy;
mod practice;
mod search;
mod settings;
mod sign_in;
mod support;
mod systems;
mod webhooks;
