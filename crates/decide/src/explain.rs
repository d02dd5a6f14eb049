//! Answers for people: what an identity holds and why, and who holds an entitlement, by which paths.

use leasehold_model::decision::{Because, Decision};
use leasehold_model::id::{EntitlementName, IdentityKey, SystemName};

use crate::correlate::Correlation;
use crate::engine::access::{self, Listing};
use crate::engine::{AccountIndex, EntitlementIndex, IdentityIndex};
use crate::evaluate::Evaluation;
use crate::path::Paths;

/// One thing that an identity effectively holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Where.
    pub system: SystemName,
    /// By which account.
    pub login: String,
    /// What.
    pub entitlement: EntitlementName,
    /// Granted to the account itself, not only carried.
    pub direct: bool,
    /// Every account of the system has it.
    pub inherent: bool,
    /// What the system keeps beside the direct grant, in its own words: the right to pass it on, for example.
    pub options: Option<String>,
    /// May it be held?
    pub decision: Decision,
    /// Why.
    pub because: Vec<Because>,
    /// The ways by which it is held, from the direct grant on, shortest first.
    pub paths: Vec<Vec<EntitlementName>>,
    /// There are more ways than are listed; `path_steps` tells them all.
    pub more_paths: bool,
    /// Where there are more: every step from one entitlement to what it carries that lies on a way.
    pub path_steps: Vec<(EntitlementName, EntitlementName)>,
}

/// One account that effectively holds an entitlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhoHolds {
    /// Whose account it is, where known.
    pub identity: Option<IdentityKey>,
    /// The account.
    pub login: String,
    /// The ways by which it is held, from the direct grant on, shortest first.
    pub paths: Vec<Vec<EntitlementName>>,
    /// There are more ways than are listed; `path_steps` tells them all.
    pub more_paths: bool,
    /// Where there are more: every step from one entitlement to what it carries that lies on a way.
    pub path_steps: Vec<(EntitlementName, EntitlementName)>,
}

/// Everything that an identity effectively holds, by system, account and entitlement, each with at most `paths_max` of
/// the ways by which it is held.
pub fn explain(evaluation: &Evaluation<'_>, identity: IdentityIndex, paths_max: usize) -> Vec<Explained> {
    let mut listing = Listing::default();
    access::list(&evaluation.graph, &evaluation.justification, identity, evaluation.now(), &mut listing);
    let mut explained: Vec<Explained> = listing
        .rows()
        .iter()
        .map(|row| {
            let reasons = listing.because(row);
            let because: Vec<Because> =
                reasons.iter().map(|because| evaluation.because(because, row.entitlement)).collect();
            let (decision, because) = match row.justified {
                true => (Decision::Justified, because),
                false => not_justified(evaluation, identity, row.account, row.entitlement),
            };
            describe(evaluation, row.account, row.entitlement, row.direct, (decision, because), paths_max)
        })
        .collect();
    explained.sort_by(|left, right| {
        (&left.system, &left.login, &left.entitlement).cmp(&(&right.system, &right.login, &right.entitlement))
    });
    explained
}

/// Everything that an account of nobody effectively holds: undecided, because it is not known whose it is.
pub fn explain_account(
    evaluation: &Evaluation<'_>,
    account: AccountIndex,
    paths_max: usize,
) -> Vec<Explained> {
    if let Some(identity) = evaluation.graph.identity_of(account) {
        let login = &evaluation.account(account).account.login;
        let system = evaluation.inputs.snapshot.system(evaluation.account(account).system);
        let mut all = explain(evaluation, identity, paths_max);
        all.retain(|row| &row.login == login && &row.system == system);
        return all;
    }
    let mut held: Vec<EntitlementIndex> = Vec::new();
    for grant in evaluation.graph.grants_of(account) {
        held.push(grant);
        held.extend(evaluation.graph.containment().reaches(grant.0).iter().copied().map(EntitlementIndex));
    }
    held.sort_unstable();
    held.dedup();
    let because = vec![Because::NoIdentity];
    let row = |entitlement: EntitlementIndex| {
        let direct = evaluation.graph.validity_of(account, entitlement).is_some();
        describe(evaluation, account, entitlement, direct, (Decision::Undecided, because.clone()), paths_max)
    };
    held.into_iter().map(row).collect()
}

/// Everything that an account, by its login or key, effectively holds; `None` where the system has no such account.
pub fn explain_named_account(
    evaluation: &Evaluation<'_>,
    system: &str,
    name: &str,
    paths_max: usize,
) -> Option<Vec<Explained>> {
    let snapshot = evaluation.inputs.snapshot;
    let (position, _) = (0u32..).zip(&snapshot.accounts).find(|(_, account)| {
        snapshot.system(account.system).as_str() == system
            && (account.account.login == name || account.account.key.as_str() == name)
    })?;
    let mut items = explain_account(evaluation, evaluation.index_of(position), paths_max);
    // The same words as drift has: several identities are another question to a person than none.
    if let Correlation::Ambiguous { candidates, by } = &evaluation.correlation[position as usize] {
        let keys = candidates.iter().map(|candidate| evaluation.identities[*candidate as usize].key.clone());
        let because = vec![
            Because::Ambiguous { candidates: keys.collect() },
            Because::Fact { text: format!("by rule `{by}`") },
        ];
        items.iter_mut().for_each(|item| item.because.clone_from(&because));
    }
    Some(items)
}

/// Whether an account may hold an entitlement that it effectively holds, and why: what [`explain`] says in one of its
/// rows, for whoever does not need the others.
pub fn decision(
    evaluation: &Evaluation<'_>,
    account: AccountIndex,
    entitlement: EntitlementIndex,
) -> (Decision, Vec<Because>) {
    let Some(identity) = evaluation.graph.identity_of(account) else {
        return (Decision::Undecided, vec![Because::NoIdentity]);
    };
    let (graph, justification) = (&evaluation.graph, &evaluation.justification);
    let held = access::check(graph, justification, identity, entitlement, evaluation.now());
    // A baseline covers the grants of one account, and not those of another of the same identity.
    let is_baseline = |because: &access::Because| matches!(because, access::Because::Baseline { .. });
    let of_another = |because: &access::Because| matches!(because, access::Because::Baseline { account: covered, .. } if *covered != account);
    let mut because = held.because;
    because.retain(|because| !of_another(because));
    let allowed = because.iter().any(is_baseline)
        || (!because.is_empty() && !justification.is_withheld(identity, entitlement));
    if held.justified && allowed {
        let words = because.iter().map(|because| evaluation.because(because, entitlement));
        return (Decision::Justified, words.collect());
    }
    not_justified(evaluation, identity, account, entitlement)
}

/// An account of an identity that effectively holds an entitlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The account.
    pub login: String,
    /// Granted to the account itself, not only carried.
    pub direct: bool,
    /// May it be held?
    pub decision: Decision,
    /// Why.
    pub because: Vec<Because>,
}

/// By which accounts an identity effectively holds one entitlement now; none where it does not. What [`explain`] says in
/// those rows, at the cost of those rows, without the paths.
pub fn holdings(
    evaluation: &Evaluation<'_>,
    identity: IdentityIndex,
    entitlement: EntitlementIndex,
) -> Vec<Holding> {
    let (graph, now) = (&evaluation.graph, evaluation.now());
    let mut holdings: Vec<Holding> = graph
        .accounts_of(identity)
        .filter(|account| graph.account_holds_effectively(account.0, entitlement.0, now))
        .map(|account| {
            let (decision, because) = decision(evaluation, account, entitlement);
            let login = evaluation.account(account).account.login.clone();
            let direct = graph.holds_directly(account.0, entitlement.0, now);
            Holding { login, direct, decision, because }
        })
        .collect();
    holdings.sort_by(|left, right| left.login.cmp(&right.login));
    holdings
}

/// Who effectively holds an entitlement, by login, each with at most `paths_max` of the ways.
pub fn who(evaluation: &Evaluation<'_>, entitlement: EntitlementIndex, paths_max: usize) -> Vec<WhoHolds> {
    let mut accounts: Vec<AccountIndex> = access::who(&evaluation.graph, entitlement, evaluation.now())
        .iter()
        .map(|holder| holder.account)
        .collect();
    accounts.dedup();
    let mut holders: Vec<WhoHolds> = accounts
        .into_iter()
        .map(|account| {
            let ways = names(evaluation, &paths(evaluation, account, entitlement, paths_max));
            let identity = evaluation.graph.identity_of(account);
            WhoHolds {
                identity: identity.map(|identity| evaluation.identities[identity.index()].key.clone()),
                login: evaluation.account(account).account.login.clone(),
                paths: ways.paths,
                more_paths: ways.more,
                path_steps: ways.steps,
            }
        })
        .collect();
    holders.sort_by(|left, right| (&left.login, &left.identity).cmp(&(&right.login, &right.identity)));
    holders
}

/// The ways by which an account holds an entitlement now, at most `paths_max` of them.
pub fn paths(
    evaluation: &Evaluation<'_>,
    account: AccountIndex,
    entitlement: EntitlementIndex,
    paths_max: usize,
) -> Paths {
    let leads_there = evaluation.graph.containment().reached_from(entitlement.0);
    let now = evaluation.now();
    let sources = evaluation.graph.grants_of(account).filter(|grant| {
        let leads = *grant == entitlement || leads_there.contains(&grant.0);
        leads && evaluation.graph.validity_of(account, *grant).is_some_and(|validity| validity.contains(now))
    });
    evaluation.carriers.paths(sources, entitlement, leads_there, paths_max)
}

/// [`Paths`] by name.
struct NamedPaths {
    paths: Vec<Vec<EntitlementName>>,
    more: bool,
    steps: Vec<(EntitlementName, EntitlementName)>,
}

fn names(evaluation: &Evaluation<'_>, paths: &Paths) -> NamedPaths {
    let name = |step: &EntitlementIndex| evaluation.entitlement_name(*step).clone();
    NamedPaths {
        paths: paths.paths.iter().map(|path| path.iter().map(name).collect()).collect(),
        more: paths.more,
        steps: paths.steps.iter().map(|(from, to)| (name(from), name(to))).collect(),
    }
}

fn describe(
    evaluation: &Evaluation<'_>,
    account: AccountIndex,
    entitlement: EntitlementIndex,
    direct: bool,
    (decision, because): (Decision, Vec<Because>),
    paths_max: usize,
) -> Explained {
    let ways = names(evaluation, &paths(evaluation, account, entitlement, paths_max));
    Explained {
        system: evaluation.system_of(entitlement).clone(),
        login: evaluation.account(account).account.login.clone(),
        entitlement: evaluation.entitlement_name(entitlement).clone(),
        direct,
        inherent: evaluation.observed_entitlement(entitlement).is_some_and(|observed| observed.inherent),
        options: evaluation.grant_options(account, entitlement).map(str::to_owned),
        decision,
        because,
        paths: ways.paths,
        more_paths: ways.more,
        path_steps: ways.steps,
    }
}

/// The engine found no reason for the entitlement itself. It may still be carried by a direct grant that a baseline
/// covers, or be held by everybody: by the system's nature, or because somebody gave it to everybody.
fn not_justified(
    evaluation: &Evaluation<'_>,
    identity: IdentityIndex,
    account: AccountIndex,
    entitlement: EntitlementIndex,
) -> (Decision, Vec<Because>) {
    let who = &evaluation.identities[identity.index()];
    let live = who.may_hold_access(evaluation.inputs.now);
    let not_live = || {
        let state = who.state_at(evaluation.inputs.now).as_str().replace('_', " ");
        let since = who.end.filter(|end| *end <= evaluation.inputs.now);
        let because = Because::IdentityNotLive { identity: who.key.clone(), state, since };
        (Decision::Unjustified, vec![because])
    };
    // What comes with every account is of use only where somebody can log in.
    if !live && evaluation.account(account).account.enabled {
        return not_live();
    }
    let is_inherent = |held: EntitlementIndex| {
        evaluation.observed_entitlement(held).is_some_and(|entitlement| entitlement.inherent)
    };
    if is_inherent(entitlement) {
        let text = "every account of this system holds it by the system's nature".to_owned();
        return (Decision::Justified, vec![Because::Fact { text }]);
    }
    let carriers = evaluation.graph.containment().reached_from(entitlement.0);
    let held_carriers = || evaluation.graph.grants_of(account).filter(|grant| carriers.contains(&grant.0));
    for grant in held_carriers() {
        let held =
            access::check(&evaluation.graph, &evaluation.justification, identity, grant, evaluation.now());
        if held.justified {
            let carried = held.because.iter().map(|because| match evaluation.because(because, grant) {
                Because::Reason { reason } => {
                    Because::CarriedBy { entitlement: evaluation.entitlement_name(grant).clone(), reason }
                }
                other => other,
            });
            return (Decision::Justified, carried.collect());
        }
    }
    if let Some(carrier) = held_carriers().find(|carrier| is_inherent(*carrier)) {
        let text = format!(
            "given to everybody through {}; nobody has said why",
            evaluation.entitlement_name(carrier)
        );
        return (Decision::Undecided, vec![Because::Fact { text }]);
    }
    if !live {
        return not_live();
    }
    let ended = evaluation.ended_reasons(identity, entitlement);
    (Decision::Unjustified, if ended.is_empty() { vec![Because::NoReason] } else { ended })
}
