//! When time alone changes a decision: the next beginning or end of a reason, an identity or a grant.

use jiff::Timestamp;

use crate::stages::decide::Loaded;

/// The first instant after `loaded.now` at which something begins or ends. Ages (disuse, old credentials) are not
/// among them: they are counted in days, and a view is never older than [`crate::live::REEVALUATE_AFTER_MS`].
pub(crate) fn next(loaded: &Loaded) -> Option<Timestamp> {
    let Loaded { snapshot, policy, baselines, now, .. } = loaded;
    let identities = snapshot.identities.iter().flat_map(|(_, identity)| [identity.start, identity.end]);
    let validities = snapshot.validity.values().flat_map(|validity| [validity.from, validity.until]);
    let accounts = snapshot.accounts.iter().map(|account| account.account.expires_at);
    let reasons = policy.explicit.iter().map(|explicit| Some(explicit.until));
    let emergencies = policy.protected.iter().map(|protected| protected.break_glass.as_ref().map(|of| of.1));
    let baselines = baselines.iter().map(|baseline| Some(baseline.until));
    let all = identities.chain(validities).chain(accounts).chain(reasons).chain(emergencies).chain(baselines);
    all.flatten().filter(|at| at > now).min()
}
