//! Since when somebody is known to have left. That is kept from when it is first seen until they are here again: whatever a source
//! says of their last day afterwards, what was done for their leaving stays part of it.

use jiff::{SignedDuration, Timestamp};
use leasehold_decide::engine::IdentityIndex;
use leasehold_model::id::IdentityKey;
use leasehold_store::{NewLeaving, Store, StoreError};

use crate::view::View;

/// So long the receipt of somebody waits of whom nothing is begun: whoever leaves is mostly offboarded at once.
const NOTHING_BEGUN: SignedDuration = SignedDuration::from_mins(10);

/// Since when somebody has left: by what is kept, or by what is known now.
pub(super) async fn since(store: &Store, view: &View, index: IdentityIndex) -> Result<Timestamp, StoreError> {
    let key = &view.evaluation().identities[index.index()].key;
    // What is kept of an earlier leaving, from which they came back since, is not of this one.
    let back_at = view.evaluation().inputs.snapshot.back_at(key);
    let kept = store.leaving(key).await?.filter(|kept| back_at.is_none_or(|back_at| back_at <= *kept));
    Ok(kept.into_iter().chain([seen_since(view, index)]).min().unwrap_or_else(|| view.as_of()))
}

fn seen_since(view: &View, index: IdentityIndex) -> Timestamp {
    view.evaluation().left_at(index).unwrap_or_else(|| view.as_of()).min(view.as_of())
}

/// Keeps who has left and who is here again. Whose leaving is news has a receipt to come, also where nothing was begun.
pub(crate) async fn note(store: &Store, view: &View) -> Result<(), StoreError> {
    let known = store.leavings().await?;
    let (evaluation, now) = (view.evaluation(), view.as_of());
    let (mut left, mut returned): (Vec<NewLeaving>, Vec<IdentityKey>) = (Vec::new(), Vec::new());
    for (position, identity) in (0u32..).zip(&evaluation.identities) {
        match (identity.has_left(now), known.contains_key(&identity.key.folded())) {
            (true, false) => left.push(NewLeaving {
                identity: identity.key.clone(),
                since: seen_since(view, IdentityIndex(position)),
                is_news: is_news(view, position),
            }),
            (false, true) => returned.push(identity.key.clone()),
            _ => {}
        }
    }
    if left.is_empty() && returned.is_empty() {
        return Ok(());
    }
    store.note_leavings(&left, &returned, now.checked_add(NOTHING_BEGUN).unwrap_or(now)).await
}

/// Who left longer ago is history.
const NEWS_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Whether somebody left lately, and was here when their source was read for the first time: the others are history.
fn is_news(view: &View, position: u32) -> bool {
    let snapshot = view.evaluation().inputs.snapshot;
    let Some((system, _)) = snapshot.identities.get(position as usize) else { return false };
    let told = snapshot.identity_since.get(position as usize).copied();
    let first = snapshot.systems[*system as usize].first;
    let ended = view.evaluation().identities[position as usize].end;
    let is_lately = view.as_of().duration_since(seen_since(view, IdentityIndex(position))) <= NEWS_FOR;
    let told_at = told.and_then(|epoch| snapshot.ended_at(epoch));
    let ends_later = ended.is_some_and(|end| told_at.is_some_and(|told_at| end > told_at));
    is_lately && (told != first || ends_later)
}
