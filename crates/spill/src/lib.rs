//! What grows with the size of a system while it is read: in memory up to a bound, beyond it in temporary files, so that a
//! million accounts take no more memory than a hundred thousand.
//!
//! The files have no names: they are gone with the process, however it ends. They lie where `TMPDIR` says and hold marks, digests
//! and numbers, no name and no secret.

mod filter;
mod mark;
mod mark_table;
mod record_list;
mod run;

pub use mark::{Mark, Marker};
pub use mark_table::MarkTable;
pub use record_list::RecordList;
