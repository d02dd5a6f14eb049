//! Credentials that another one has replaced, once both stayed for as long as was said: their reason has ended.

use leasehold_model::decision::{Because, DriftItem, DriftKind};

use super::{Context, about_credential};

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    let snapshot = evaluation.inputs.snapshot;
    for (position, until) in &snapshot.replaced {
        let credential = &snapshot.credentials[*position as usize];
        let identity = evaluation.graph.identity_of(evaluation.index_of(credential.account));
        let who = identity.map(|identity| &evaluation.identities[identity.index()]);
        // A leaver's are drift of another kind already.
        if *until <= evaluation.inputs.now && who.is_none_or(|who| who.may_hold_access(evaluation.inputs.now))
        {
            let because = vec![Because::Replaced { until: *until }];
            items.push(about_credential(evaluation, DriftKind::Expired, credential, because));
        }
    }
}
