//! What another policy changes: line by line in its files, and for whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;
use leasehold_decide::difference::{Difference, difference};
use leasehold_decide::evaluate::{Evaluation, Inputs};
use leasehold_decide::policy::Policy;
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;
use similar::{ChangeTag, TextDiff};

use crate::error::WebError;
use crate::parts::{Link, count, number};

/// Unchanged lines around a change.
const CONTEXT_LINES: usize = 3;
/// More of either are counted, not listed.
const LISTED_MAX: usize = 100;

/// What changed in one file.
pub(super) struct FileChange {
    /// Which.
    pub path: String,
    /// `new`, `removed` or `changed`.
    pub what: &'static str,
    /// Lines, in stretches.
    pub stretches: Vec<Vec<ChangedLine>>,
}

/// One line of a difference.
pub(super) struct ChangedLine {
    /// `+`, `-` or a space.
    pub sign: &'static str,
    /// How it looks.
    pub class: &'static str,
    /// What it says.
    pub text: String,
}

/// Line by line, what differs between two sets of files.
pub(super) fn in_files(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<FileChange> {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let empty = String::new();
    let changed = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    changed
        .map(|path| {
            let (then, now) = (before.get(path).unwrap_or(&empty), after.get(path).unwrap_or(&empty));
            let what = match (before.contains_key(path), after.contains_key(path)) {
                (false, _) => "new",
                (_, false) => "removed",
                _ => "changed",
            };
            let diff = TextDiff::from_lines(then, now);
            let line = |change: similar::Change<&str>| {
                let (sign, class) = match change.tag() {
                    ChangeTag::Insert => ("+", "added"),
                    ChangeTag::Delete => ("-", "taken"),
                    ChangeTag::Equal => (" ", ""),
                };
                let text = change.value().trim_end_matches(['\r', '\n']);
                let text = text.split('\t').map(safe).collect::<Vec<_>>().join("\t");
                ChangedLine { sign, class, text }
            };
            let stretches = diff.grouped_ops(CONTEXT_LINES);
            let stretches = stretches
                .iter()
                .map(|ops| ops.iter().flat_map(|op| diff.iter_changes(op)).map(line).collect());
            FileChange { path: safe(path), what, stretches: stretches.collect() }
        })
        .collect()
}

/// Who gains and loses what.
#[derive(Template)]
#[template(path = "policy/people.html")]
pub(super) struct PeopleChange {
    /// Losses first: they are what somebody complains about.
    sides: [Side; 2],
}

impl HtmlSafe for PeopleChange {}

/// One of the two.
struct Side {
    heading: &'static str,
    nobody: &'static str,
    class: &'static str,
    count: String,
    rows: Vec<(Link, Link)>,
    more: String,
}

impl PeopleChange {
    /// Whether nobody's access would change.
    pub(super) fn is_empty(&self) -> bool {
        self.sides.iter().all(|side| side.rows.is_empty())
    }

    fn new(difference: &Difference) -> Self {
        let side = |heading, nobody, class, all: &[leasehold_decide::difference::Justified]| {
            let more = all.len().saturating_sub(LISTED_MAX);
            let row = |(identity, address): &leasehold_decide::difference::Justified| {
                let mut entitlement = Link::entitlement(&address.system, &address.entitlement);
                entitlement.text = safe(address);
                (Link::identity(identity), entitlement)
            };
            Side {
                heading,
                nobody,
                class,
                count: count(all.len(), "entitlement"),
                rows: all.iter().take(LISTED_MAX).map(row).collect(),
                more: if more > 0 { number(more as u64) } else { String::new() },
            }
        };
        let losses = side("Loses", "Nobody loses anything.", "bad", &difference.losses);
        Self { sides: [losses, side("Gains", "Nobody gains anything.", "good", &difference.gains)] }
    }
}

/// Who gains and loses what when `after` follows `before`, on the present facts; without `before` the live policy.
///
/// # Errors
/// [`WebError::Internal`] where the facts contradict each other.
pub(super) async fn for_people(
    view: &Arc<View>,
    before: Option<Policy>,
    after: Policy,
) -> Result<PeopleChange, WebError> {
    let view = view.clone();
    let compared = tokio::task::spawn_blocking(move || {
        let inputs = view.loaded().inputs();
        let then = before.as_ref().map(|policy| Evaluation::new(Inputs { policy, ..inputs })).transpose()?;
        let now = Evaluation::new(Inputs { policy: &after, ..inputs })?;
        Ok::<_, leasehold_decide::engine::EngineError>(difference(
            then.as_ref().unwrap_or(view.evaluation()),
            &now,
        ))
    });
    let difference = compared.await.map_err(WebError::internal)?.map_err(WebError::internal)?;
    Ok(PeopleChange::new(&difference))
}
