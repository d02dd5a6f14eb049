//! The access-graph engine against a slow oracle that shares no code with it.

mod cases;
mod equal;
mod oracle;
mod worlds;
