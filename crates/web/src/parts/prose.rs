//! Sentences with commands in them, as messages of ours write them: between backticks.

use askama::Template;
use askama::filters::HtmlSafe;
use leasehold_model::text::safe;

/// A sentence.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "parts/prose.html")]
pub(crate) struct Prose {
    /// Words and commands by turns; words come first.
    parts: Vec<String>,
}

impl HtmlSafe for Prose {}

impl Prose {
    /// A message of ours, which can hold names of targets.
    pub(crate) fn new(sentence: &str) -> Self {
        let mut parts: Vec<String> = safe(sentence).split('`').map(str::to_owned).collect();
        // A backtick without its twin is a name's own.
        if parts.len().is_multiple_of(2) {
            parts = vec![safe(sentence)];
        }
        Self { parts }
    }
}

#[cfg(test)]
mod tests {
    use super::Prose;

    #[test]
    fn commands_stand_out_and_names_are_escaped() {
        for (sentence, html) in [
            ("run `leasehold sync`; or wait", "run <code>leasehold sync</code>; or wait"),
            ("a name with ` in it", "a name with ` in it"),
            ("`<b>`", "<code>&#60;b&#62;</code>"),
        ] {
            assert_eq!(Prose::new(sentence).to_string(), html);
        }
    }
}
