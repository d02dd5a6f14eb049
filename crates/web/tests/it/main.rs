//! The server as people and programs meet it: the real router over a real store.

mod actions;
mod api;
mod authority;
mod company;
mod drift;

mod edge;
mod home;
mod plans;
mod sign_in;
mod support;
