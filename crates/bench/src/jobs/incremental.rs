//! Drift kept current over changed grants, and over one role edit.

use leasehold_decide::engine::graph::Validity;
use leasehold_decide::engine::incremental::{Change, DriftState};
use leasehold_decide::engine::sod::SodIndex;
use leasehold_decide::engine::{AccountIndex, EntitlementIndex, IdentityIndex, RoleIndex, drift};

use crate::data::{Data, GrantChange, NOW};
use crate::measure::{Cost, Report, Row, cost, median};
use crate::peers::differential::{self, Net};
use crate::tally::Tally;
use crate::yardstick::drift::{ZMap, apply, tally};
use crate::{Size, Versus, engine};

/// Runs the job.
pub fn run(size: &Size, share: f64, versus: &[Versus]) -> anyhow::Result<Report> {
    let data = size.generate();
    let changes = data.changes(share, size.seed);
    let mut report = Report::new(format!("{}; {} changed grants", data.summary(), changes.len()));
    let graph = engine::resident_graph(&data, size.systems)?;
    graph.index_holders();
    let claims = engine::justification(&data, &graph)?;
    let sod = SodIndex::build(&graph, &engine::sod_sets(&data), NOW)?;
    let account = |change: &GrantChange| {
        let system = change.entitlement % size.systems;
        graph
            .accounts_of(IdentityIndex(change.user))
            .find(|account| graph.system_of_account(*account).0 == system)
            .unwrap_or(AccountIndex(u32::MAX))
    };
    let forward: Vec<Change> =
        changes.iter().map(|change| engine_change(*change, account(change), change.added)).collect();
    let backward: Vec<Change> =
        changes.iter().map(|change| engine_change(*change, account(change), !change.added)).collect();
    let mut weights = ZMap::default();
    drift::full(&graph, &claims, NOW, &mut MapSink(&mut weights));
    let mut state = DriftState::new(graph, claims, NOW);
    let mut sod = Some(sod);

    let mut kernel_costs = Vec::new();
    let mut costs = Vec::new();
    let mut costs_with_sod = Vec::new();
    let mut answer = Tally::default();
    for round in 0..size.rounds * 2 {
        let (kernel, ()) = cost(|| apply(&mut weights, &changes))?;
        let expected = tally(&weights);
        let (product, applied) = cost(|| state.apply(&forward))?;
        anyhow::ensure!(size.systems > 1 || applied?.recomputed == 0, "plain changes were recomputed");
        answer = Tally::default();
        state.rows(&mut answer);
        anyhow::ensure!(answer == expected, "the engine answers {answer:?}, the Z-set {expected:?}");
        if round == 0 {
            let mut full = Tally::default();
            drift::full(state.graph(), state.justification(), NOW, &mut full);
            anyhow::ensure!(full == answer, "full drift is {full:?}, incremental {answer:?}");
        }
        kernel_costs.push(kernel);
        if state.sod().is_none() { &mut costs } else { &mut costs_with_sod }.push(product);
        state.apply(&backward)?;
        state.compact();
        let undo: Vec<GrantChange> =
            changes.iter().map(|change| GrantChange { added: !change.added, ..*change }).collect();
        apply(&mut weights, &undo);
        // The second half of the rounds keeps SoD current as well.
        if round + 1 == size.rounds
            && let Some(sod) = sod.take()
        {
            state.attach_sod(sod);
        }
    }
    let job = "1% batch";
    let count = changes.len() as f64;
    let per_change =
        |costs: &[Cost]| median(costs.iter().map(|cost| cost.cpu_seconds).collect()) / count * 1e9;
    let (kernel, product, with_sod) =
        (per_change(&kernel_costs), per_change(&costs), per_change(&costs_with_sod));
    report.push(Row::new(job, "Z-set map alone").figure(kernel, "ns/change"));
    let note =
        format!("graph, holders and drift current; then {} extra, {} missing", answer.extra, answer.missing);
    report.push(
        Row::new(job, "leasehold")
            .figure(product, "ns/change")
            .ratio(product / kernel, "Z-set map")
            .note(note),
    );
    let ratio = with_sod / kernel;
    report.push(Row::new(job, "leasehold with SoD").figure(with_sod, "ns/change").ratio(ratio, "Z-set map"));

    let edit = RoleEdit::choose(&data);
    let (role_edit, edited) = role_edit(&mut state, &data, &edit, size.rounds)?;
    let rows = edit.members as f64;
    let note = format!("one entitlement more in a role of {} members", edit.members);
    let cpu = Cost { cpu_seconds: role_edit, wall_seconds: role_edit };
    report.push(
        Row::new("role edit", "leasehold").cost(cpu).figure(role_edit / rows * 1e6, "µs/member").note(note),
    );

    if versus.contains(&Versus::Differential) {
        eprintln!("running differential-dataflow");
        match differential::run(&data, &changes, &edit, size.rounds) {
            Err(error) => report.push(Row::not_measured(job, "differential-dataflow", error)),
            Ok(peer) => {
                anyhow::ensure!(
                    peer.after_batch == Net::from(answer),
                    "differential-dataflow answers {:?}",
                    peer.after_batch
                );
                anyhow::ensure!(
                    peer.after_edit == Net::from(edited),
                    "differential-dataflow answers {:?}",
                    peer.after_edit
                );
                let per_change = peer.batch.cpu_seconds / count * 1e9;
                let note = format!("loading took {:.2} CPU s", peer.load.cpu_seconds);
                let row = Row::new(job, "differential-dataflow").cost(peer.batch);
                report.push(row.figure(per_change, "ns/change").note(note));
                let ratio = product / per_change;
                let row = Row::new(job, "leasehold / differential").ratio(ratio, "differential");
                report.push(row.at_most(ratio, 1.0, "<= 1"));
                let ratio = with_sod / per_change;
                let row = Row::new(job, "leasehold with SoD / differential").ratio(ratio, "differential");
                report.push(row.at_most(ratio, 3.0, "<= 3"));
                report.push(
                    Row::new("role edit", "differential-dataflow")
                        .cost(peer.edit)
                        .figure(peer.edit.cpu_seconds / rows * 1e6, "µs/member"),
                );
                let ratio = role_edit / peer.edit.cpu_seconds;
                let row = Row::new("role edit", "leasehold / differential").ratio(ratio, "differential");
                report.push(row.at_most(ratio, 1.0, "<= 1"));
            }
        }
    }
    Ok(report)
}

fn engine_change(change: GrantChange, account: AccountIndex, added: bool) -> Change {
    let entitlement = EntitlementIndex(change.entitlement);
    if added {
        Change::GrantAdded { account, entitlement, validity: Validity::ALWAYS }
    } else {
        Change::GrantRemoved { account, entitlement }
    }
}

/// Fills the kernel's map from full drift.
struct MapSink<'a>(&'a mut ZMap);

impl drift::Sink for MapSink<'_> {
    fn row(&mut self, row: drift::DriftRow) {
        let key = (u64::from(row.identity.0) << 32) | u64::from(row.entitlement.0);
        self.0.insert(key, if row.account.is_some() { -1 } else { 1 });
    }
}

/// A role and the entitlement that is added to it.
#[derive(Clone, Copy, Debug)]
pub struct RoleEdit {
    /// The role.
    pub role: u32,
    /// What it names from now on besides.
    pub entitlement: u32,
    /// Its members.
    pub members: u32,
}

impl RoleEdit {
    /// The role whose membership is closest to 20,000.
    fn choose(data: &Data) -> RoleEdit {
        let mut members = vec![0u32; data.roles.len() as usize];
        for (_, (role, _)) in data.assignments.pairs() {
            members[role as usize] += 1;
        }
        let role =
            (0..data.roles.len()).min_by_key(|role| members[*role as usize].abs_diff(20_000)).unwrap_or(0);
        let missing = |entitlement: &u32| data.roles.row(role).binary_search(entitlement).is_err();
        let entitlement = (0..data.entitlements).rev().find(missing).unwrap_or(0);
        RoleEdit { role, entitlement, members: members[role as usize] }
    }
}

/// Adds the entitlement and takes it away again. Returns the median CPU seconds of the addition and drift after it.
fn role_edit(
    state: &mut DriftState,
    data: &Data,
    edit: &RoleEdit,
    rounds: usize,
) -> anyhow::Result<(f64, Tally)> {
    let before: Vec<EntitlementIndex> =
        data.roles.row(edit.role).iter().copied().map(EntitlementIndex).collect();
    let mut after = before.clone();
    after.push(EntitlementIndex(edit.entitlement));
    let change = |entitlements: &[EntitlementIndex]| {
        [Change::RoleEdited { role: RoleIndex(edit.role), entitlements: entitlements.to_vec() }]
    };
    let mut costs = Vec::new();
    let mut answer = Tally::default();
    for _ in 0..rounds.max(1) {
        let (once, applied) = cost(|| state.apply(&change(&after)))?;
        applied?;
        costs.push(once.cpu_seconds);
        answer = Tally::default();
        state.rows(&mut answer);
        let mut full = Tally::default();
        drift::full(state.graph(), state.justification(), NOW, &mut full);
        anyhow::ensure!(full == answer, "after a role edit full drift is {full:?}, incremental {answer:?}");
        state.apply(&change(&before))?;
    }
    Ok((median(costs), answer))
}
