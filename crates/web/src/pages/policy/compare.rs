//! Two revisions side by side: what differs in the files, and who would gain and lose by it on the present facts.

use askama::Template;
use axum::extract::{Query as Asked, State};
use axum::response::Response;
use leasehold_decide::policy::read::read;
use leasehold_store::PolicyRevision;
use serde::Deserialize;

use super::change::{self, FileChange, PeopleChange};
use super::find;
use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::parts::form::Choices;
use crate::parts::{Moment, Sources};
use crate::present::Present;
use crate::state::App;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Question {
    from: String,
    to: String,
}

#[derive(Template)]
#[template(path = "policy/compare.html")]
struct ComparePage {
    frame: Frame,
    sources: Sources,
    from: Choices,
    to: Choices,
    then: Option<Moment>,
    now: Option<Moment>,
    files: Vec<FileChange>,
    /// `None` where a revision cannot be read by this release.
    people: Option<PeopleChange>,
}

/// Shows it. Without a choice, the live revision and the one before.
pub(super) async fn show(
    State(app): State<App>,
    frame: Frame,
    Present(view): Present,
    Asked(question): Asked<Question>,
) -> Result<Response, WebError> {
    let revisions = app.store.policy_revisions().await?;
    let chosen = |text: &str, otherwise: Option<&PolicyRevision>| match text {
        "" => Ok(otherwise.cloned()),
        id => find(&revisions, id).cloned().map(Some),
    };
    let to = chosen(&question.to, revisions.first())?;
    let before = revisions.iter().find(|revision| to.as_ref().is_some_and(|to| revision.id < to.id));
    let from = chosen(&question.from, before)?;
    let files = |revision: &Option<PolicyRevision>| {
        revision.as_ref().map(|revision| revision.files.clone()).unwrap_or_default()
    };
    let (then, now) = (files(&from), files(&to));
    let people = match (read(&then), read(&now)) {
        (Ok(then), Ok(now)) => Some(change::for_people(&view, Some(then), now).await?),
        _ => None,
    };
    let choices = |name, label, chosen: &Option<PolicyRevision>| {
        let all = revisions.iter().map(|revision| {
            let at = revision.applied_at.strftime("%Y-%m-%d %H:%M");
            (revision.id.to_string(), format!("{} of {at}", revision.id))
        });
        let id = chosen.as_ref().map(|revision| revision.id.to_string()).unwrap_or_default();
        Choices::new(name, label, "none", all, &id)
    };
    let moment = |revision: &Option<PolicyRevision>| {
        revision.as_ref().map(|revision| Moment::relative(revision.applied_at, app.now()))
    };
    let page = ComparePage {
        frame: frame.titled("Compare revisions"),
        sources: Sources::of(&app, &view, |_| true),
        from: choices("from", "From", &from),
        to: choices("to", "To", &to),
        then: moment(&from),
        now: moment(&to),
        files: change::in_files(&then, &now),
        people,
    };
    frame::show(&page)
}
