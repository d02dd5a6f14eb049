//! Which entitlements reach which through containment: strongly connected components, then closures over the acyclic rest.

use super::bits::BitSet;

/// Closures of containment. Holding a parent means holding the child; cycles are tolerated and make their members equal.
///
/// Only entitlements with a parent or a child take part; for all others ("flat") every question is one bit test. Closures
/// are stored once per component, so their size is the number of (component, reachable entitlement) pairs: small for the
/// shallow nesting of real directories, quadratic for one very long chain.
#[derive(Clone, Debug, Default)]
pub struct Containment {
    has_children: BitSet,
    has_parents: BitSet,
    component: Vec<u32>,
    down: Lists,
    up: Lists,
}

/// Sorted lists by number.
#[derive(Clone, Debug, Default)]
struct Lists {
    offsets: Vec<u32>,
    values: Vec<u32>,
}

impl Lists {
    fn from_vecs(lists: &[Vec<u32>]) -> Self {
        let mut out = Lists { offsets: Vec::with_capacity(lists.len() + 1), values: Vec::new() };
        for list in lists {
            out.offsets.push(out.values.len() as u32);
            out.values.extend_from_slice(list);
        }
        out.offsets.push(out.values.len() as u32);
        out
    }

    fn get(&self, index: u32) -> &[u32] {
        &self.values[self.offsets[index as usize] as usize..self.offsets[index as usize + 1] as usize]
    }
}

const NO_COMPONENT: u32 = u32::MAX;

impl Containment {
    /// Computes closures from `(parent, child)` edges over `entitlements` entitlements. A self edge says nothing and is dropped.
    pub(crate) fn new(entitlements: usize, edges: &[(u32, u32)]) -> Self {
        let mut edges: Vec<(u32, u32)> =
            edges.iter().copied().filter(|(parent, child)| parent != child).collect();
        edges.sort_unstable();
        edges.dedup();
        if edges.is_empty() {
            return Containment::default();
        }
        let mut has_children = BitSet::new(entitlements);
        let mut has_parents = BitSet::new(entitlements);
        for &(parent, child) in &edges {
            has_children.set(parent as usize);
            has_parents.set(child as usize);
        }
        let (component, members) = components(entitlements, &edges);
        // Tarjan closes a component after everything it reaches, so lower numbers are already complete.
        let mut down: Vec<Vec<u32>> = Vec::with_capacity(members.len());
        for (number, list) in members.iter().enumerate() {
            let mut reach = list.clone();
            for &parent in list {
                for &(_, child) in children_of(&edges, parent) {
                    let below = component[child as usize];
                    if below as usize != number {
                        reach.extend_from_slice(&down[below as usize]);
                    }
                }
            }
            reach.sort_unstable();
            reach.dedup();
            down.push(reach);
        }
        let mut up: Vec<Vec<u32>> = vec![Vec::new(); members.len()];
        for (number, reach) in down.iter().enumerate() {
            let mut last = NO_COMPONENT;
            let mut reached: Vec<u32> =
                reach.iter().map(|entitlement| component[*entitlement as usize]).collect();
            reached.sort_unstable();
            for below in reached {
                if below != last {
                    up[below as usize].extend_from_slice(&members[number]);
                    last = below;
                }
            }
        }
        for list in &mut up {
            list.sort_unstable();
        }
        Containment {
            has_children,
            has_parents,
            component,
            down: Lists::from_vecs(&down),
            up: Lists::from_vecs(&up),
        }
    }

    /// Whether nothing contains anything.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.component.is_empty()
    }

    /// Whether the entitlement has neither a parent nor a child.
    #[inline]
    pub fn is_flat(&self, entitlement: u32) -> bool {
        !self.has_children.get(entitlement as usize) && !self.has_parents.get(entitlement as usize)
    }

    /// Whether something else contains the entitlement.
    #[inline]
    pub fn has_parents(&self, entitlement: u32) -> bool {
        self.has_parents.get(entitlement as usize)
    }

    /// Whether the entitlement contains something else.
    #[inline]
    pub fn has_children(&self, entitlement: u32) -> bool {
        self.has_children.get(entitlement as usize)
    }

    /// Everything held by who holds `entitlement`, itself included, ascending; empty when it has no child.
    #[inline]
    pub fn reaches(&self, entitlement: u32) -> &[u32] {
        if self.has_children(entitlement) { self.down.get(self.component[entitlement as usize]) } else { &[] }
    }

    /// Every entitlement whose holding means holding `entitlement`, itself included, ascending; empty when it has no parent.
    #[inline]
    pub fn reached_from(&self, entitlement: u32) -> &[u32] {
        if self.has_parents(entitlement) { self.up.get(self.component[entitlement as usize]) } else { &[] }
    }

    /// Heap bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.has_children.memory_bytes()
            + self.has_parents.memory_bytes()
            + 4 * (self.component.capacity()
                + self.down.offsets.capacity()
                + self.down.values.capacity()
                + self.up.offsets.capacity()
                + self.up.values.capacity())
    }
}

/// The edges out of one parent, in an edge list sorted by parent.
fn children_of(edges: &[(u32, u32)], parent: u32) -> &[(u32, u32)] {
    let start = edges.partition_point(|edge| edge.0 < parent);
    let end = start + edges[start..].partition_point(|edge| edge.0 == parent);
    &edges[start..end]
}

/// Tarjan's strongly connected components (Tarjan 1972), with an explicit stack because nesting depth comes from a target.
///
/// Returns the component of each entitlement that has an edge, and the members of each component, sinks first.
fn components(entitlements: usize, edges: &[(u32, u32)]) -> (Vec<u32>, Vec<Vec<u32>>) {
    const UNSEEN: u32 = u32::MAX;
    let mut component = vec![NO_COMPONENT; entitlements];
    let mut order = vec![UNSEEN; entitlements];
    let mut low = vec![0u32; entitlements];
    let mut members = Vec::new();
    let mut open: Vec<u32> = Vec::new();
    let mut next_order = 0u32;
    let mut work: Vec<(u32, usize)> = Vec::new();
    let roots = edges.iter().flat_map(|&(parent, child)| [parent, child]);
    for root in roots {
        if order[root as usize] != UNSEEN {
            continue;
        }
        work.push((root, 0));
        while let Some((node, step)) = work.pop() {
            let at = node as usize;
            if step == 0 {
                order[at] = next_order;
                low[at] = next_order;
                next_order += 1;
                open.push(node);
            }
            let children = children_of(edges, node);
            if step > 0 {
                low[at] = low[at].min(low[children[step - 1].1 as usize]);
            }
            let mut resume = None;
            for (position, &(_, child)) in children.iter().enumerate().skip(step) {
                if order[child as usize] == UNSEEN {
                    resume = Some((position, child));
                    break;
                }
                if component[child as usize] == NO_COMPONENT {
                    low[at] = low[at].min(order[child as usize]);
                }
            }
            if let Some((position, child)) = resume {
                work.push((node, position + 1));
                work.push((child, 0));
                continue;
            }
            if low[at] == order[at] {
                let mut list = Vec::new();
                while let Some(member) = open.pop() {
                    component[member as usize] = members.len() as u32;
                    list.push(member);
                    if member == node {
                        break;
                    }
                }
                list.sort_unstable();
                members.push(list);
            }
        }
    }
    (component, members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_makes_its_members_equal_and_reaches_what_hangs_below() {
        let edges = [(0, 1), (1, 2), (2, 1), (2, 3), (5, 0), (4, 4)];
        let containment = Containment::new(7, &edges);
        assert_eq!(containment.reaches(5), [0, 1, 2, 3, 5]);
        assert_eq!(containment.reaches(1), [1, 2, 3]);
        assert_eq!(containment.reaches(2), [1, 2, 3]);
        assert!(containment.reaches(3).is_empty());
        assert_eq!(containment.reached_from(3), [0, 1, 2, 3, 5]);
        assert_eq!(containment.reached_from(1), [0, 1, 2, 5]);
        assert!(containment.is_flat(4) && containment.is_flat(6));
        assert!(!containment.is_flat(3));
    }

    #[test]
    fn a_deep_chain_does_not_exhaust_the_stack() {
        let edges: Vec<(u32, u32)> = (0..2_999).map(|level| (level, level + 1)).collect();
        let containment = Containment::new(3_000, &edges);
        assert_eq!(containment.reaches(0).len(), 3_000);
        assert_eq!(containment.reached_from(2_999).len(), 3_000);
    }
}
