//! Everything that an identity effectively holds, by system, with the decision and the paths, which are also drawn.

use leasehold_decide::engine::IdentityIndex;
use leasehold_decide::explain::{Explained, explain};
use leasehold_model::decision::Decision;
use leasehold_model::id::{EntitlementAddress, EntitlementName};
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;

use crate::drawing::{Drawing, Step, StepKind};
use crate::parts::{BecauseList, Link, Mark, Pager, Query, number};
use crate::sight::Sight;

/// More paths than this are not drawn, and not listed in a row.
const PATHS_SHOWN_MAX: usize = 12;

/// What an identity can reach.
pub(crate) struct Reach {
    /// By system and account, those of this page.
    pub groups: Vec<Group>,
    /// Of how much.
    pub pager: Pager,
    /// How many of all are justified, not justified, undecided.
    pub summary: Vec<(Mark, String)>,
    /// Entitlements that every account of their system has.
    pub common: String,
    /// How many of those there are.
    pub has_common: bool,
    /// Everything at once, or the one that was asked for.
    pub drawing: Option<Drawing>,
    /// What is drawn, where one was asked for.
    pub focus: Option<Focus>,
}

/// The one entitlement that was asked for.
pub(crate) struct Focus {
    /// Which.
    pub entitlement: String,
    /// Whether it is held.
    pub held: bool,
    /// The way back to everything.
    pub all: String,
}

/// What is held by one account.
pub(crate) struct Group {
    /// Where.
    pub system: Link,
    /// By which account.
    pub login: String,
    /// What.
    pub rows: Vec<Row>,
}

/// One held entitlement.
pub(crate) struct Row {
    /// Which.
    pub entitlement: Link,
    /// What the system calls it in words.
    pub title: String,
    /// Whether it gives power over the system.
    pub privileged: bool,
    /// Whether it was granted to the account itself.
    pub direct: bool,
    /// What the system keeps beside the grant.
    pub options: String,
    /// Since when it was seen, for a direct grant.
    pub since: Option<crate::parts::Moment>,
    /// The decision.
    pub decision: Mark,
    /// Why.
    pub because: BecauseList,
    /// By which ways, in words; the direct grant itself is none.
    pub paths: Vec<String>,
    /// There are more.
    pub more_paths: bool,
    /// Draws its paths.
    pub draw: String,
}

/// What an identity can reach. `focus` is the address of one entitlement to draw; empty for all.
pub(crate) fn reach(
    view: &View,
    sight: &Sight<'_>,
    index: IdentityIndex,
    focus: &str,
    page: usize,
    query: &Query,
) -> Reach {
    let evaluation = view.evaluation();
    let mut held = explain(evaluation, index, PATHS_SHOWN_MAX);
    let inherent = |item: &Explained| {
        let (system, entitlement) = (item.system.clone(), item.entitlement.clone());
        let index = evaluation.entitlement(&EntitlementAddress { system, entitlement });
        index.and_then(|index| evaluation.observed_entitlement(index)).is_some_and(|it| it.inherent)
    };
    let all = held.len();
    held.retain(|item| !inherent(item));
    let common = all - held.len();
    let who = &evaluation.identities[index.index()].key;
    let asked = focus.parse::<EntitlementAddress>().ok();
    let in_focus = |item: &&Explained| {
        asked
            .as_ref()
            .is_none_or(|asked| item.system == asked.system && item.entitlement == asked.entitlement)
    };
    let drawn: Vec<&Explained> = held.iter().filter(in_focus).collect();
    let title = match &asked {
        Some(address) => format!("How {} holds {}", safe(who), safe(address)),
        None => format!("What {} holds, and through what", safe(who)),
    };
    let paths: Vec<Vec<Step>> = drawn.iter().flat_map(|item| steps(who.as_str(), item, &held)).collect();
    let drawing =
        if asked.is_some() || paths.len() <= 200 { Drawing::of("paths", title, &paths) } else { None };
    let pager = Pager::new(page, held.len(), query);
    let mut groups: Vec<Group> = Vec::new();
    for item in &held[pager.range()] {
        let system = sight.link_system(&item.system);
        let login = safe(&item.login);
        if groups.last().is_none_or(|group| group.system != system || group.login != login) {
            groups.push(Group { system, login, rows: Vec::new() });
        }
        if let Some(group) = groups.last_mut() {
            group.rows.push(row(view, sight, index, item, query));
        }
    }
    let count = |decision: Decision| held.iter().filter(|item| item.decision == decision).count();
    let summary = [Decision::Unjustified, Decision::Undecided, Decision::Justified].into_iter();
    let focus = asked.map(|address| Focus {
        entitlement: safe(&address),
        held: !drawn.is_empty(),
        all: format!("{query}#paths"),
    });
    Reach {
        summary: summary
            .map(|decision| (Mark::decision(decision), count(decision)))
            .filter(|(_, count)| *count > 0)
            .map(|(mark, count)| (mark, number(count as u64)))
            .collect(),
        groups,
        pager,
        common: crate::parts::count(common, "entitlement"),
        has_common: common > 0,
        drawing,
        focus,
    }
}

/// Each path of a grant, from the identity on.
fn steps(who: &str, item: &Explained, held: &[Explained]) -> Vec<Vec<Step>> {
    let kind_of = |name: &EntitlementName| {
        let same = |other: &&Explained| {
            other.system == item.system && other.login == item.login && &other.entitlement == name
        };
        match held.iter().find(same).map(|other| other.decision) {
            Some(Decision::Justified) => StepKind::Justified,
            Some(Decision::Unjustified) => StepKind::Unjustified,
            _ => StepKind::Undecided,
        }
    };
    let from = [
        Step { key: format!("i {who}"), label: who.to_owned(), kind: StepKind::Identity },
        Step {
            key: format!("a {}:{}", item.system, item.login),
            label: format!("{}: {}", item.system, item.login),
            kind: StepKind::Account,
        },
    ];
    let entitlement = |name: &EntitlementName| Step {
        key: format!("e {}:{name}", item.system),
        label: name.to_string(),
        kind: kind_of(name),
    };
    let path =
        |path: &Vec<EntitlementName>| from.iter().cloned().chain(path.iter().map(entitlement)).collect();
    item.paths.iter().take(PATHS_SHOWN_MAX).map(path).collect()
}

fn row(view: &View, sight: &Sight<'_>, identity: IdentityIndex, item: &Explained, query: &Query) -> Row {
    let evaluation = view.evaluation();
    let address = EntitlementAddress { system: item.system.clone(), entitlement: item.entitlement.clone() };
    let index = evaluation.entitlement(&address);
    let observed = index.and_then(|index| evaluation.observed_entitlement(index));
    let ways = item.paths.iter().filter(|path| path.len() > 1);
    let since = index.filter(|_| item.direct).and_then(|index| {
        let mut accounts = evaluation.graph.accounts_of(identity);
        let account = accounts.find(|account| {
            let account = evaluation.account(*account);
            account.account.login == item.login
                && evaluation.inputs.snapshot.system(account.system) == &item.system
        })?;
        evaluation.granted_since(account, index)
    });
    Row {
        entitlement: sight.link_entitlement(&item.system, &item.entitlement),
        title: observed.and_then(|it| it.title.as_ref()).map(safe).unwrap_or_default(),
        privileged: observed.is_some_and(|it| it.privileged),
        direct: item.direct,
        options: item.options.as_ref().map(safe).unwrap_or_default(),
        since: since.map(|since| crate::parts::Moment::relative(since, view.as_of())),
        decision: Mark::decision(item.decision),
        because: BecauseList::new(&item.because),
        paths: ways
            .take(PATHS_SHOWN_MAX)
            .map(|path| path.iter().map(safe).collect::<Vec<_>>().join(" → "))
            .collect(),
        more_paths: item.more_paths,
        draw: format!("{}#paths", query.clone().with("entitlement", address.to_string())),
    }
}
