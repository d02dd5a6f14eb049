//! Editing the policy: each file in a field of its own, checked with places, compared for whom it changes, and applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Query as Asked, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use leasehold_decide::policy::check::check;
use leasehold_decide::policy::diagnostic::{Diagnostic, Severity};
use leasehold_decide::policy::read::read;
use leasehold_decide::policy::{Policy, digest};
use leasehold_model::id::SystemName;
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;
use serde::Deserialize;

use super::change::{self, FileChange, PeopleChange};
use super::draft::Draft;
use crate::error::WebError;
use crate::fields::Fields;
use crate::flash::{FlashKind, redirect_with};
use crate::frame::{self, Frame};
use crate::parts::count;
use crate::parts::mark::Tone;
use crate::parts::{Mark, Query};
use crate::person::Person;
use crate::present::Present;
use crate::state::App;

/// A path longer than this is a mistake.
const PATH_CHARS_MAX: usize = 200;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Question {
    draft: String,
}

#[derive(Template)]
#[template(path = "policy/edit.html")]
struct EditPage {
    frame: Frame,
    edited: String,
    files: Vec<EditedFile>,
    /// What is wrong with no file in particular.
    complaint: String,
    verdict: Option<Verdict>,
}

/// One file and what is wrong with it.
struct EditedFile {
    number: usize,
    path: String,
    text: String,
    rows: usize,
    path_complaint: String,
    complaints: Vec<Complaint>,
    is_new: bool,
}

/// One complaint, with its place.
struct Complaint {
    mark: Mark,
    place: String,
    /// The line and a caret below.
    excerpt: String,
    message: String,
    help: String,
}

/// What was found by the check.
struct Verdict {
    words: String,
    can_be_applied: bool,
    files: Vec<FileChange>,
    people: Option<PeopleChange>,
}

/// Shows the live files, or what was typed before.
pub(super) async fn show(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Asked(question): Asked<Question>,
) -> Result<Response, WebError> {
    let live = app.store.live_policy().await?;
    let draft = if question.draft.is_empty() { None } else { app.policy_drafts.of(person.user()) };
    let draft = draft.unwrap_or_else(|| Draft {
        edited: live.as_ref().map(|live| live.digest.clone()).unwrap_or_default(),
        files: live.map(|live| live.files).unwrap_or_default(),
    });
    let page = EditPage {
        frame: frame.titled("Edit the policy"),
        files: edited_files(&draft.files, &[]),
        edited: draft.edited,
        complaint: String::new(),
        verdict: None,
    };
    frame::show(&page)
}

/// Checks what was typed, and applies it where that was asked for and nothing is wrong.
pub(super) async fn take(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Present(view): Present,
    fields: Fields,
) -> Result<Response, WebError> {
    let frame = frame.titled("Edit the policy");
    let edited = fields.get("edited").to_owned();
    let typed: Vec<(String, String)> = fields
        .all("path")
        .zip(fields.all("text"))
        // Browsers send every line with a carriage return; files are kept without.
        .map(|(path, text)| (path.trim().to_owned(), text.replace("\r\n", "\n")))
        .filter(|(path, text)| !(path.is_empty() && text.trim().is_empty()))
        .collect();
    if let Some(complained) = wrong_paths(&typed) {
        let complaint = "The paths of some files cannot be used; nothing was changed.".to_owned();
        let page = EditPage { frame, edited, files: complained, complaint, verdict: None };
        return frame::show_with(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    // A file that was emptied is a file that was removed.
    let files: BTreeMap<String, String> =
        typed.into_iter().filter(|(_, text)| !text.trim().is_empty()).collect();
    let live = app.store.live_policy().await?;
    let live_files = live.as_ref().map(|live| live.files.clone()).unwrap_or_default();
    let live_digest = live.as_ref().map(|live| live.digest.clone()).unwrap_or_default();
    let (policy, complaints) = checked(&app, &view, &files);
    let errors = complaints.iter().filter(|complaint| complaint.severity == Severity::Error).count();
    let moved = edited != live_digest;
    let policy = policy.filter(|_| errors == 0);
    if fields.has("apply")
        && !moved
        && let Some(policy) = &policy
    {
        if person.require_confirmed(app.now()).is_err() {
            app.policy_drafts.keep(person.user(), Draft { edited, files });
            let next = Query::new("/policy/edit").with("draft", "1").to_string();
            let to = Query::new("/step-up").with("next", next).to_string();
            return Ok(Redirect::to(&to).into_response());
        }
        return apply(&app, &person, policy, files, &edited).await;
    }
    let people = match &policy {
        Some(policy) => Some(change::for_people(&view, None, policy.clone()).await?),
        None => None,
    };
    let warnings = complaints.len() - errors;
    let words = match (errors, warnings) {
        (0, 0) => "Nothing is wrong with it.".to_owned(),
        (0, _) => format!("It can be applied, with {}.", count(warnings, "warning")),
        _ => format!("{} to mend; nothing was changed.", count(errors, "mistake")),
    };
    let complaint = if moved {
        "Another revision became live since you began. What you typed is below as it was; the differences shown are against the revision that is live now. Check it once more, and then apply it.".to_owned()
    } else {
        String::new()
    };
    let status = if errors > 0 {
        StatusCode::UNPROCESSABLE_ENTITY
    } else if moved {
        StatusCode::CONFLICT
    } else {
        StatusCode::OK
    };
    let page = EditPage {
        frame,
        files: edited_files(&files, &complaints),
        verdict: Some(Verdict {
            words,
            can_be_applied: errors == 0,
            files: change::in_files(&live_files, &files),
            people,
        }),
        edited: live_digest,
        complaint,
    };
    frame::show_with(status, &page)
}

/// Makes it the live revision.
async fn apply(
    app: &App,
    person: &Person,
    policy: &Policy,
    files: BTreeMap<String, String>,
    edited: &str,
) -> Result<Response, WebError> {
    let before = Some(edited).filter(|digest| !digest.is_empty());
    if policy.digest == edited {
        return Ok(redirect_with(
            app,
            "/policy",
            FlashKind::Done,
            "This policy is live already: nothing was changed",
        ));
    }
    let draft = Draft { edited: edited.to_owned(), files: files.clone() };
    let digest = digest(&files);
    let replaced = app.store.replace_policy(before, files, &digest, person.actor(), app.now()).await?;
    let Some(revision) = replaced else {
        app.policy_drafts.keep(person.user(), draft);
        let text = "Somebody else applied another policy just now: compare, and apply yours again";
        return Ok(redirect_with(app, "/policy/edit?draft=1", FlashKind::Warning, text));
    };
    app.policy_drafts.forget(person.user());
    // Whoever comes to a page next finds it evaluated; where that fails, the page says so.
    let live = app.live.clone();
    tokio::spawn(async move {
        if let Err(error) = live.refresh().await {
            tracing::warn!(%error, "the state after a policy was applied");
        }
    });
    let text = format!("Policy revision {} is live; what it means for drift shows in a moment", revision.id);
    Ok(redirect_with(app, "/policy", FlashKind::Done, &text))
}

fn checked(
    app: &App,
    view: &Arc<View>,
    files: &BTreeMap<String, String>,
) -> (Option<Policy>, Vec<Diagnostic>) {
    match read(files) {
        Err(mistakes) => (None, mistakes),
        Ok(policy) => {
            let names: Vec<SystemName> = app.driver.systems().into_iter().map(|face| face.name).collect();
            let diagnostics = check(&policy, &names, &view.loaded().snapshot);
            (Some(policy), diagnostics)
        }
    }
}

/// The files with what is wrong with their paths; `None` where nothing is.
fn wrong_paths(typed: &[(String, String)]) -> Option<Vec<EditedFile>> {
    let complaint = |position: usize, path: &str| {
        let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
        let parts_are_names = path.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
        if !plain || !parts_are_names || !path.ends_with(".toml") || path.len() > PATH_CHARS_MAX {
            "write a path below the policy folder, such as roles/payments-engineer.toml"
        } else if typed[..position].iter().any(|(other, _)| other == path) {
            "another file has this path already"
        } else {
            ""
        }
    };
    let complaints: Vec<&str> =
        typed.iter().enumerate().map(|(position, (path, _))| complaint(position, path)).collect();
    if complaints.iter().all(|complaint| complaint.is_empty()) {
        return None;
    }
    let file = |(number, ((path, text), complaint)): (usize, (&(String, String), &str))| EditedFile {
        path_complaint: complaint.to_owned(),
        ..edited_file(number, path, text, Vec::new(), true)
    };
    Some(typed.iter().zip(complaints).enumerate().map(file).collect())
}

/// Every file with its complaints, and an empty one to write a new file into.
fn edited_files(files: &BTreeMap<String, String>, complaints: &[Diagnostic]) -> Vec<EditedFile> {
    let mut edited: Vec<EditedFile> = files
        .iter()
        .enumerate()
        .map(|(number, (path, text))| {
            let own = complaints.iter().filter(|complaint| complaint.file == *path);
            edited_file(number, path, text, own.map(|own| shown(own, text)).collect(), false)
        })
        .collect();
    edited.push(edited_file(edited.len(), "", "", Vec::new(), true));
    edited
}

fn edited_file(
    number: usize,
    path: &str,
    text: &str,
    complaints: Vec<Complaint>,
    is_new: bool,
) -> EditedFile {
    EditedFile {
        number,
        path: path.to_owned(),
        text: text.to_owned(),
        rows: (text.lines().count() + 2).clamp(4, 30),
        path_complaint: String::new(),
        complaints,
        is_new,
    }
}

/// A complaint with its line and a caret. A byte that lies in no line is shown at the nearest one.
fn shown(complaint: &Diagnostic, text: &str) -> Complaint {
    let start = floor(text, complaint.span.start);
    let end = floor(text, complaint.span.end.max(start));
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let before = safe(&text[line_start..start]);
    let marked = safe(&text[start..end.min(line_end)]);
    let line = format!("{before}{marked}{}", safe(&text[end.min(line_end).max(start)..line_end]));
    let carets = "^".repeat(marked.chars().count().max(1));
    let number = text[..start].matches('\n').count() + 1;
    let (words, tone) = match complaint.severity {
        Severity::Error => ("mistake", Tone::Bad),
        Severity::Warning => ("warning", Tone::Warning),
    };
    Complaint {
        mark: Mark::new(words, tone),
        place: format!("line {number}"),
        excerpt: format!("{line}\n{}{carets}", " ".repeat(before.chars().count())),
        message: safe(&complaint.message),
        help: safe(&complaint.help),
    }
}

/// The last boundary of a character at or before a byte.
fn floor(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_stand_below_what_is_meant() {
        let text = "[role.a]\nowner = \"é@x\"\nmembers = 'y'\n";
        let at = |part: &str| text.find(part).map(|start| start..start + part.len()).expect("a part");
        for (span, place, excerpt) in [
            (at("\"é@x\""), "line 2", "owner = \"é@x\"\n        ^^^^^"),
            (at("[role.a]"), "line 1", "[role.a]\n^^^^^^^^"),
            (text.len()..text.len(), "line 4", "\n^"),
            (10_000..10_001, "line 4", "\n^"),
            (at("[role.a]").start..text.len(), "line 1", "[role.a]\n^^^^^^^^"),
        ] {
            let complaint = shown(&Diagnostic::error("a.toml", span, "m", "h"), text);
            assert_eq!((complaint.place.as_str(), complaint.excerpt.as_str()), (place, excerpt));
        }
    }
}
