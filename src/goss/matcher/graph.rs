//! The largest matching between values and matchers (Hopcroft and Karp).
//!
//! Where several largest matchings exist, the layers are searched in the order in which goss's library searches them: which
//! element is called missing follows from it.

use std::collections::BTreeSet;

/// Which values and which matchers find no partner.
pub(super) struct Free {
    /// Values, by position.
    pub(super) left: Vec<usize>,
    /// Matchers, by position.
    pub(super) right: Vec<usize>,
}

/// Pairs as many as possible; `fits(value, matcher)` says which may be paired.
pub(super) fn pair(left: usize, right: usize, fits: impl Fn(usize, usize) -> bool) -> Free {
    let mut edges = BTreeSet::new();
    for l in 0..left {
        for r in 0..right {
            if fits(l, r) {
                edges.insert((l, left + r));
            }
        }
    }
    let graph = Graph { left, right, edges };
    let mut matching = BTreeSet::new();
    loop {
        let paths = graph.paths(&matching);
        if paths.is_empty() {
            break;
        }
        for path in paths {
            matching = matching.symmetric_difference(&path).copied().collect();
        }
    }
    Free {
        left: (0..left).filter(|node| free(&matching, *node)).collect(),
        right: (0..right)
            .filter(|node| free(&matching, left + node))
            .collect(),
    }
}

type Edges = BTreeSet<(usize, usize)>;

struct Graph {
    left: usize,
    right: usize,
    edges: Edges,
}

fn free(matching: &Edges, node: usize) -> bool {
    !matching.iter().any(|(l, r)| *l == node || *r == node)
}

impl Graph {
    fn edge(&self, a: usize, b: usize) -> Option<(usize, usize)> {
        let edge = (a.min(b), a.max(b));
        self.edges.contains(&edge).then_some(edge)
    }

    /// As many shortest augmenting paths as share no node.
    fn paths(&self, matching: &Edges) -> Vec<Edges> {
        let layers = self.layers(matching);
        let mut used = vec![false; self.left + self.right];
        let mut paths = Vec::new();
        let Some(last) = layers.last() else {
            return paths;
        };
        for start in last {
            let mut path = Vec::new();
            if self.descend(
                *start,
                layers.len() - 1,
                matching,
                &layers,
                &mut used,
                &mut path,
            ) {
                for (l, r) in &path {
                    used[*l] = true;
                    used[*r] = true;
                }
                paths.push(path.into_iter().collect());
            }
        }
        paths
    }

    fn descend(
        &self,
        node: usize,
        level: usize,
        matching: &Edges,
        layers: &[Vec<usize>],
        used: &mut [bool],
        path: &mut Vec<(usize, usize)>,
    ) -> bool {
        used[node] = true;
        if level == 0 {
            return true;
        }
        for next in &layers[level - 1] {
            if used[*next] {
                continue;
            }
            let Some(edge) = self.edge(node, *next) else {
                continue;
            };
            if matching.contains(&edge) == (level % 2 == 1) {
                continue;
            }
            path.push(edge);
            if self.descend(*next, level - 1, matching, layers, used, path) {
                return true;
            }
            path.pop();
        }
        used[node] = false;
        false
    }

    fn layers(&self, matching: &Edges) -> Vec<Vec<usize>> {
        let mut used = vec![false; self.left + self.right];
        let mut current: Vec<usize> = (0..self.left)
            .filter(|node| free(matching, *node))
            .collect();
        if current.is_empty() {
            return Vec::new();
        }
        for node in &current {
            used[*node] = true;
        }
        let mut layers = vec![current.clone()];
        let mut done = false;
        while !done {
            let to_right = layers.len() % 2 == 1;
            let others = if to_right {
                self.left..self.left + self.right
            } else {
                0..self.left
            };
            let mut next = Vec::new();
            for node in &current {
                for other in others.clone() {
                    if used[other] {
                        continue;
                    }
                    if self
                        .edge(*node, other)
                        .is_none_or(|edge| matching.contains(&edge) == to_right)
                    {
                        continue;
                    }
                    next.push(other);
                    used[other] = true;
                    done |= to_right && free(matching, other);
                }
            }
            if next.is_empty() {
                return Vec::new();
            }
            if done {
                next.retain(|node| free(matching, *node));
            }
            layers.push(next.clone());
            current = next;
        }
        layers
    }
}
