//! The stages of the loop, in their order.

pub mod observe;
pub mod decide;
pub mod plan;
pub mod enforce;
pub mod verify;
pub mod prove;
