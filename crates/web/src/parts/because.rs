//! Why something was decided, in the words of the decision.

use std::fmt::Display;

use askama::Template;
use askama::filters::HtmlSafe;
use leasehold_model::text::safe;

/// Reasons, one or several.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "parts/because.html")]
pub(crate) struct BecauseList {
    /// Each in words.
    pub reasons: Vec<String>,
}

impl HtmlSafe for BecauseList {}

impl BecauseList {
    /// Reasons of a decision or of an action. They can hold names of targets.
    pub(crate) fn new<Reason: Display>(reasons: impl IntoIterator<Item = Reason>) -> Self {
        Self { reasons: reasons.into_iter().map(safe).collect() }
    }
}
