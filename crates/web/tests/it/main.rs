//! The server as people and programs meet it: the real router over a real store.

mod api;
mod authority;
mod edge;
mod sign_in;
mod support;
