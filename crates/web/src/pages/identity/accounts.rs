//! The accounts of an identity: what each can still do, when it was last used, and how old its credential is.

use jiff::Timestamp;
use leasehold_decide::correlate::Correlation;
use leasehold_decide::engine::IdentityIndex;
use leasehold_model::account::{Account, LastUse};
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;

use crate::parts::mark::Tone;
use crate::parts::{Link, Mark, Moment};
use crate::sight::Sight;

/// One account.
pub(crate) struct AccountRow {
    /// Where.
    pub system: Link,
    /// What its holder types.
    pub login: String,
    /// Whether it can log in.
    pub enabled: Mark,
    /// When the system itself refuses it.
    pub expires: Option<Moment>,
    /// When it was last used.
    pub last_use: LastUsed,
    /// When its credential was last changed; `None` where the system does not tell.
    pub credential: Option<Moment>,
    /// Weaknesses that the system reports.
    pub posture: Vec<String>,
    /// Since when it was seen.
    pub since: Option<Moment>,
    /// Why it is this identity's.
    pub by: String,
}

/// When something was last used, for a page.
pub(crate) enum LastUsed {
    /// The system does not tell.
    Unknown,
    /// The system keeps track and has seen no use.
    Never,
    /// Then.
    At(Moment),
}

/// When an account was last used.
pub(crate) fn last_use(account: &Account, now: Timestamp) -> LastUsed {
    used(account.last_use, now)
}

/// When something was last used.
pub(crate) fn used(last_use: LastUse, now: Timestamp) -> LastUsed {
    match last_use {
        LastUse::Unknown => LastUsed::Unknown,
        LastUse::Never => LastUsed::Never,
        LastUse::At(at) => LastUsed::At(Moment::relative(at, now)),
    }
}

/// Whether an account can log in.
pub(crate) fn enabled_mark(account: &Account, now: Timestamp) -> Mark {
    if !account.enabled && account.awaits_credential {
        Mark::new("opens with its first credential", Tone::Quiet)
    } else if !account.enabled {
        Mark::new("disabled", Tone::Quiet)
    } else if account.expires_at.is_some_and(|at| at <= now) {
        Mark::new("expired", Tone::Quiet)
    } else if account.locked {
        Mark::new("locked", Tone::Warning)
    } else {
        Mark::new("enabled", Tone::Good)
    }
}

/// The accounts of an identity.
pub(crate) fn of(view: &View, sight: &Sight<'_>, identity: IdentityIndex, now: Timestamp) -> Vec<AccountRow> {
    let evaluation = view.evaluation();
    let snapshot = &view.loaded().snapshot;
    let mut accounts: Vec<_> = evaluation.graph.accounts_of(identity).collect();
    accounts.sort_by_key(|index| {
        let account = evaluation.account(*index);
        (snapshot.system(account.system), &account.account.login)
    });
    let row = |index| {
        let held = evaluation.account(index);
        let account = &held.account;
        let by = match &evaluation.correlation[evaluation.position_of(index) as usize] {
            Correlation::To { by, .. } => safe(by),
            _ => String::new(),
        };
        AccountRow {
            system: sight.link_system(snapshot.system(held.system)),
            login: safe(&account.login),
            enabled: enabled_mark(account, view.as_of()),
            expires: account.expires_at.map(|at| Moment::relative(at, now)),
            last_use: last_use(account, now),
            credential: account.credential_changed_at.map(|at| Moment::relative(at, now)),
            posture: account.posture.iter().map(|finding| finding.as_str().replace('_', " ")).collect(),
            since: snapshot.ended_at(held.since).map(|at| Moment::relative(at, now)),
            by,
        }
    };
    accounts.into_iter().map(row).collect()
}
