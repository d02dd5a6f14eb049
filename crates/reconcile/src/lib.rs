//! What moves. Data flows one way and each stage is one file: observe, decide, plan, enforce, verify, prove.

pub mod driver;
pub mod error;
pub mod live;
mod moment;
pub mod notice;
pub mod pace;
pub mod publisher;
pub mod run;
pub mod schedule;
pub mod stages;
pub mod system;
pub mod tasks;
pub mod trace;
pub mod view;
pub mod workflow;
