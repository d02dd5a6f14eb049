//! By which paths an account holds an entitlement: every way from a direct grant through containment.

use std::collections::{HashMap, HashSet};

use crate::engine::EntitlementIndex;

/// Which entitlements carry which, one step at a time.
#[derive(Debug, Clone, Default)]
pub struct Carriers {
    children: HashMap<u32, Vec<u32>>,
}

/// Paths, each from a directly granted entitlement to the one asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paths {
    /// The paths, shortest first.
    pub paths: Vec<Vec<EntitlementIndex>>,
    /// There are more than were asked for; every direct grant that leads here still has one in the list.
    pub more: bool,
    /// Where there are more: every step, from one entitlement to what it carries, that lies on a way. All the paths are
    /// the ways along these steps, so nothing is left out, however many there are.
    pub steps: Vec<(EntitlementIndex, EntitlementIndex)>,
}

impl Carriers {
    /// How many paths are listed unless more are asked for. Densely nested groups have more than anybody can read, and
    /// their number grows exponentially; beyond this, [`Paths::steps`] tells them all.
    pub const PATHS_MAX: usize = 1_000;

    /// Reads containment edges `(parent, child)`.
    pub fn new(containments: &[(u32, u32)]) -> Self {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for (parent, child) in containments {
            children.entry(*parent).or_default().push(*child);
        }
        for row in children.values_mut() {
            row.sort_unstable();
            row.dedup();
        }
        Self { children }
    }

    /// The entitlements that this one carries directly.
    pub fn children(&self, entitlement: EntitlementIndex) -> &[u32] {
        self.children.get(&entitlement.0).map_or(&[], Vec::as_slice)
    }

    /// All simple paths from each source to the target. `leads_there` holds the entitlements from which the target can
    /// be reached, itself included: the search never leaves it, and so never runs into a dead end for long. More than
    /// `paths_max` are not listed.
    pub fn paths(
        &self,
        sources: impl IntoIterator<Item = EntitlementIndex>,
        target: EntitlementIndex,
        leads_there: &[u32],
        paths_max: usize,
    ) -> Paths {
        let leads_there: HashSet<u32> = leads_there.iter().copied().chain([target.0]).collect();
        let mut found = Paths::default();
        let sources: Vec<EntitlementIndex> = sources.into_iter().collect();
        for source in &sources {
            // One path per source is kept whatever the limit, so that no direct grant goes unnamed.
            let room = paths_max.saturating_sub(found.paths.len()).max(1);
            let before = found.paths.len();
            let mut path = vec![source.0];
            if self.walk(&mut path, target.0, &leads_there, &mut found.paths, before.saturating_add(room)) {
                found.more = true;
            }
        }
        found.paths.sort_by(|left, right| (left.len(), left).cmp(&(right.len(), right)));
        if found.more {
            found.steps = self.steps(&sources, target, &leads_there);
        }
        found
    }

    /// Every step that lies on a way from one of the sources to the target.
    fn steps(
        &self,
        sources: &[EntitlementIndex],
        target: EntitlementIndex,
        leads_there: &HashSet<u32>,
    ) -> Vec<(EntitlementIndex, EntitlementIndex)> {
        let mut reached: HashSet<u32> = sources.iter().map(|source| source.0).collect();
        let mut open: Vec<u32> = reached.iter().copied().collect();
        let mut steps = Vec::new();
        while let Some(here) = open.pop() {
            // A path ends at the target, also where the target carries something itself.
            if here == target.0 {
                continue;
            }
            for child in
                self.children(EntitlementIndex(here)).iter().filter(|child| leads_there.contains(child))
            {
                steps.push((EntitlementIndex(here), EntitlementIndex(*child)));
                if reached.insert(*child) {
                    open.push(*child);
                }
            }
        }
        steps.sort_unstable();
        steps
    }

    /// Returns whether the limit was reached.
    fn walk(
        &self,
        path: &mut Vec<u32>,
        target: u32,
        leads_there: &HashSet<u32>,
        found: &mut Vec<Vec<EntitlementIndex>>,
        limit: usize,
    ) -> bool {
        let here = path[path.len() - 1];
        if here == target {
            if found.len() >= limit {
                return true;
            }
            found.push(path.iter().copied().map(EntitlementIndex).collect());
            return false;
        }
        for child in self.children(EntitlementIndex(here)) {
            if leads_there.contains(child) && !path.contains(child) {
                path.push(*child);
                let full = self.walk(path, target, leads_there, found, limit);
                path.pop();
                if full {
                    return true;
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(edges: &[(u32, u32)], sources: &[u32], target: u32) -> Vec<Vec<u32>> {
        let carriers = Carriers::new(edges);
        let everything: Vec<u32> = (0..100).collect();
        let found = carriers.paths(
            sources.iter().copied().map(EntitlementIndex),
            EntitlementIndex(target),
            &everything,
            Carriers::PATHS_MAX,
        );
        found.paths.into_iter().map(|path| path.into_iter().map(|step| step.0).collect()).collect()
    }

    #[test]
    fn every_path_is_found_and_cycles_end() {
        let diamond_with_cycle = [(1, 2), (1, 3), (2, 4), (3, 4), (4, 1), (4, 4)];
        assert_eq!(paths(&diamond_with_cycle, &[1, 4], 4), vec![vec![4], vec![1, 2, 4], vec![1, 3, 4]]);
        assert!(paths(&diamond_with_cycle, &[9], 4).is_empty());
    }

    #[test]
    fn too_many_paths_still_name_every_source() {
        // Twelve layers of two: 4,096 paths from each source.
        let mut edges = Vec::new();
        for layer in 0..12 {
            for (from, to) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                edges.push((layer * 2 + from, (layer + 1) * 2 + to));
            }
        }
        let carriers = Carriers::new(&edges);
        let everything: Vec<u32> = (0..25).collect();
        let sources = || [0, 1].map(EntitlementIndex);
        let found = carriers.paths(sources(), EntitlementIndex(24), &everything, Carriers::PATHS_MAX);
        assert!(found.more);
        for source in [0, 1] {
            assert!(found.paths.iter().any(|path| path[0].0 == source));
        }
        // The steps tell them all: every edge but those into the target's neighbour, which leads nowhere.
        let told: Vec<(u32, u32)> = found.steps.iter().map(|(from, to)| (from.0, to.0)).collect();
        let mut expected: Vec<(u32, u32)> = edges.iter().copied().filter(|(_, to)| *to != 25).collect();
        expected.sort_unstable();
        assert_eq!(told, expected);

        let all = carriers.paths(sources(), EntitlementIndex(24), &everything, usize::MAX);
        assert_eq!((all.paths.len(), all.more, all.steps.len()), (4_096, false, 0));
    }
}
