//! What lets an identity in, besides its accounts' own switches: keys, tokens, passwords, certificates.

use jiff::Timestamp;
use leasehold_decide::engine::IdentityIndex;
use leasehold_reconcile::view::View;

use crate::pages::credentials::CredentialLine;
use crate::sight::Sight;

/// The credentials of an identity's accounts.
pub(crate) fn of(
    view: &View,
    sight: &Sight<'_>,
    identity: IdentityIndex,
    now: Timestamp,
) -> Vec<CredentialLine> {
    let evaluation = view.evaluation();
    let accounts = evaluation.graph.accounts_of(identity);
    let mut lines: Vec<CredentialLine> = accounts
        .flat_map(|account| evaluation.credentials_of(account))
        .map(|row| CredentialLine::of(view, sight, row, now))
        .collect();
    lines.sort_by(|left, right| {
        (&left.system.text, &left.account, &left.label).cmp(&(
            &right.system.text,
            &right.account,
            &right.label,
        ))
    });
    lines
}
