//! The server as people and programs meet it: the real router over a real store.

mod company;
mod edge;
mod identities;
mod sign_in;
mod support;
