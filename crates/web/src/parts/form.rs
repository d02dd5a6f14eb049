//! What forms share: choices of a list, with the one that is chosen.

use askama::Template;
use askama::filters::HtmlSafe;

/// One choice of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What is sent.
    pub value: String,
    /// What people read.
    pub label: String,
}

/// A labelled list of which one is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "parts/choices.html")]
pub(crate) struct Choices {
    /// The field's name; its id is the same.
    pub name: &'static str,
    /// What it is about.
    pub label: &'static str,
    /// What no choice is called; it sends nothing.
    pub any: &'static str,
    /// The choices.
    pub choices: Vec<Choice>,
    /// The chosen one; empty where there is none.
    pub chosen: String,
}

impl HtmlSafe for Choices {}

impl Choices {
    /// A list of choices by value and label.
    pub(crate) fn new(
        name: &'static str,
        label: &'static str,
        any: &'static str,
        choices: impl IntoIterator<Item = (String, String)>,
        chosen: &str,
    ) -> Self {
        let choices = choices.into_iter().map(|(value, label)| Choice { value, label }).collect();
        Self { name, label, any, choices, chosen: chosen.to_owned() }
    }
}
