//! The receipts of somebody's offboarding, on their page.

use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_model::id::IdentityKey;
use leasehold_model::receipt::OffboardingStatement;
use leasehold_model::text::safe;
use leasehold_store::ReceiptRow;

use super::seen;
use crate::error::WebError;
use crate::flash::{FlashKind, redirect_with};
use crate::pages::actions::verb_words;
use crate::parts::link::identity_path;
use crate::parts::mark::action_words;
use crate::parts::{Moment, number};
use crate::person::Person;
use crate::present::Present;
use crate::proof;
use crate::receipts;
use crate::state::App;

/// What is told of receipts.
pub(super) struct ReceiptNote {
    pub latest: Option<ReceiptLine>,
    /// What the latest one says of what is not ended, each with why; cut where it is long.
    pub open: Vec<OpenLine>,
    /// How many more of that its file has.
    pub more: usize,
    pub earlier: Vec<ReceiptLine>,
    /// Whether this person may have one written now.
    pub may_write: bool,
}

/// Something that was not ended.
pub(super) struct OpenLine {
    pub system: String,
    pub what: String,
    pub why: String,
}

/// So many lines of what is not ended stand on the page.
const OPEN_MAX: usize = 20;

/// One receipt.
pub(super) struct ReceiptLine {
    pub href: String,
    pub when: Moment,
    pub words: String,
    /// Something is not verified, or still there.
    pub is_open: bool,
}

/// The receipts, of somebody who has left, for who may see the log.
pub(super) async fn note(
    app: &App,
    person: &Person,
    key: &IdentityKey,
    has_left: bool,
    now: Timestamp,
) -> Result<Option<ReceiptNote>, WebError> {
    if !person.may_everywhere(app, Action::SeeLedger) || !proof::may_open(app, person) {
        return Ok(None);
    }
    let rows = app.store.receipts(key).await?;
    if rows.is_empty() && !has_left {
        return Ok(None);
    }
    let mut lines = rows.iter().map(|row| line(row, now));
    let latest = lines.next();
    let mut open = match rows.first() {
        Some(row) => open(app.store.receipt_statement(row).await?.map(|opening| opening.value)),
        None => Vec::new(),
    };
    let more = open.len().saturating_sub(OPEN_MAX);
    open.truncate(OPEN_MAX);
    let may_write = has_left && person.may_somewhere(app, Action::ProposePlan);
    Ok(Some(ReceiptNote { latest, open, more, earlier: lines.collect(), may_write }))
}

/// What a receipt says is not ended: what could not be verified first. Nothing where what it said was erased.
fn open(said: Option<String>) -> Vec<OpenLine> {
    let said = said.and_then(|said| serde_json::from_str::<OffboardingStatement>(&said).ok());
    let Some(said) = said else { return Vec::new() };
    let about = |account: Option<&str>, entitlement: Option<String>, credential: Option<String>| {
        let parts = [account.map(str::to_owned), entitlement.or(credential)];
        safe(parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    };
    let actions = said.outstanding().map(|item| {
        let action = &item.action;
        let (entitlement, credential) = (action.entitlement.as_ref(), action.credential.as_ref());
        let named = about(
            Some(&action.account),
            entitlement.map(ToString::to_string),
            credential.map(ToString::to_string),
        );
        let reason =
            action.reason.as_deref().map_or_else(String::new, |reason| format!(": {}", safe(reason)));
        OpenLine {
            system: action.system.to_string(),
            what: format!("{} {named}", verb_words(action.verb)),
            why: format!("{}{reason}", action_words(action.state)),
        }
    });
    let remaining = said.remaining.iter().map(|left| OpenLine {
        system: left.system.to_string(),
        what: about(
            left.account.as_deref(),
            left.entitlement.as_ref().map(ToString::to_string),
            left.credential.as_ref().map(ToString::to_string),
        ),
        why: safe(&left.why),
    });
    actions.chain(remaining).collect()
}

fn line(row: &ReceiptRow, now: Timestamp) -> ReceiptLine {
    let tally = row.tally;
    let parts = [
        (tally.verified, "read back as ended"),
        (tally.void, "not needed"),
        (tally.not_verified, "not verified"),
        (tally.remaining, "still there"),
        (tally.unread, "systems never read completely"),
    ];
    let said = parts.iter().filter(|(counted, _)| *counted > 0);
    let words: Vec<String> = said.map(|(counted, words)| format!("{} {words}", number(*counted))).collect();
    ReceiptLine {
        href: format!("/receipts/{}", row.id),
        when: Moment::relative(row.written_at, now),
        words: if words.is_empty() { "nothing was found to end".to_owned() } else { words.join(", ") },
        is_open: !tally.is_clean(),
    }
}

/// Writes one now.
pub(super) async fn write(
    State(app): State<App>,
    person: Person,
    Present(view): Present,
    Path(key): Path<String>,
) -> Result<Response, WebError> {
    let key = seen(&app, &person, &view, &key)?;
    let path = identity_path(&key);
    match receipts::write(&app, &person, &key).await {
        Ok(_) => Ok(redirect_with(&app, &path, FlashKind::Done, "The receipt says what is known now")),
        Err(WebError::Conflict(why)) => Ok(redirect_with(&app, &path, FlashKind::Warning, &why)),
        Err(error) => Err(error),
    }
}

/// Hands one out as a file.
pub(super) async fn download(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    receipts::file(&app, &person, &id).await
}
