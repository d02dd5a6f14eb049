//! The stages of the loop, in their order.

pub mod decide;
pub mod enforce;
pub mod observe;
pub mod plan;
pub mod prove;
mod pushed;
mod step;
mod turn;
pub mod verify;
