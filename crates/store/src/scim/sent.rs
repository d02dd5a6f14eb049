//! The text of a resource as it is sent, kept beside it, so that it is put together once for many who ask.

use std::sync::OnceLock;

use bytes::Bytes;

/// A text that was sent, if it was. It follows from the rest of the resource, and is no part of what makes two the same.
#[derive(Debug, Clone, Default)]
pub struct Sent(OnceLock<Bytes>);

impl Sent {
    /// The text, which is put together where it was not before.
    pub fn text(&self, put_together: impl FnOnce() -> String) -> Bytes {
        self.0.get_or_init(|| put_together().into()).clone()
    }
}

impl PartialEq for Sent {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Sent {}
