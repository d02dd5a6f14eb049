//! Direct grants without a live reason: never had one (`unjustified`), had one that ended (`expired`), or whose identity
//! ended (`leaver`).

use leasehold_model::decision::{Because, DriftItem, DriftKind};

use super::{Context, about_grant, not_live};
use crate::engine::drift::DriftKind as Row;

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    for row in context.rows {
        let Some(account) = row.account else { continue };
        let (kind, because) = match row.kind {
            Row::Unjustified => (DriftKind::Unjustified, vec![Because::NoReason]),
            Row::Expired => (DriftKind::Expired, evaluation.ended_reasons(row.identity, row.entitlement)),
            Row::NotLive => {
                let left = evaluation.identities[row.identity.index()].has_left(evaluation.inputs.now);
                let kind = if left { DriftKind::Leaver } else { DriftKind::Unjustified };
                (kind, vec![not_live(evaluation, row.identity)])
            }
            Row::Missing => continue,
        };
        items.push(about_grant(evaluation, kind, account, row.entitlement, because));
    }
}
