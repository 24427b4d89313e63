//! Stages and what they need: proof that there is no circle, order, selection.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};

use super::PlanError;
use crate::diag::closest;
use crate::model::{Axis, Name, Project, Stage, StageKey};

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Targets, stages, or stages at certain axis values (`clone[os=mini]`); none: the project's default.
    pub targets: Vec<String>,
    /// The values chosen for some axes; the others are at their first value.
    pub axes: BTreeMap<Name, Vec<String>>,
}

impl Selection {
    /// Chooses all values of `axis`.
    pub fn choose_all(&mut self, project: &Project, axis: &str) -> Result<(), PlanError> {
        let axis = find_axis(project, axis)?;
        self.axes.insert(axis.name.clone(), axis.values.clone());
        Ok(())
    }

    /// Chooses `value` of `axis`, beside those already chosen.
    pub fn choose(&mut self, project: &Project, axis: &str, value: &str) -> Result<(), PlanError> {
        let axis = find_axis(project, axis)?;
        check_value(&axis.name, &axis.values, value)?;
        let values = self.axes.entry(axis.name.clone()).or_default();
        if !values.iter().any(|v| v == value) {
            values.push(value.to_owned());
        }
        Ok(())
    }
}

/// The stages and what they need. That it exists proves that there is no circle.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The node with number N is the stage with that number in the project; edges run from what is needed to what needs it.
    graph: DiGraph<StageKey, ()>,
    index: HashMap<StageKey, NodeIndex>,
    /// The place of each node in the order.
    rank: Vec<usize>,
}

impl Graph {
    /// The graph of a project's stages, or the circle in it as a path.
    pub fn new(project: &Project) -> Result<Self, PlanError> {
        Self::of(project, |stage, needed| {
            Err(unknown_dependency(project, stage, needed))
        })
    }

    /// The graph of some stages of a project: what they need beside each other is left out.
    pub fn part(project: &Project) -> Result<Self, PlanError> {
        Self::of(project, |_, _| Ok(()))
    }

    /// `unknown` decides about a stage that needs one which is not there.
    fn of(
        project: &Project,
        unknown: impl Fn(&StageKey, &StageKey) -> Result<(), PlanError>,
    ) -> Result<Self, PlanError> {
        let edges = project.stages.iter().map(|s| s.needs.len()).sum();
        let mut graph = DiGraph::with_capacity(project.stages.len(), edges);
        let index: HashMap<StageKey, NodeIndex> = project
            .stages
            .iter()
            .map(|stage| (stage.key.clone(), graph.add_node(stage.key.clone())))
            .collect();
        for stage in &project.stages {
            for needed in &stage.needs {
                match index.get(needed) {
                    Some(from) => drop(graph.add_edge(*from, index[&stage.key], ())),
                    None => unknown(&stage.key, needed)?,
                }
            }
        }
        let rank = order(&graph)?;
        Ok(Self { graph, index, rank })
    }

    /// All stages that `targets` name at the chosen axis values, with everything that they need, in order: what is needed
    /// stands before what needs it, and otherwise the order is that of the file.
    pub fn select(
        &self,
        project: &Project,
        selection: &Selection,
    ) -> Result<Vec<StageKey>, PlanError> {
        let roots = roots(project, selection)?;
        Ok(self.closure(&roots))
    }

    /// `roots` and everything that they need, in order.
    #[must_use]
    pub fn closure(&self, roots: &[StageKey]) -> Vec<StageKey> {
        self.reach(roots, Direction::Incoming)
    }

    /// `roots` and everything that needs them, in order.
    #[must_use]
    pub fn downstream(&self, roots: &[StageKey]) -> Vec<StageKey> {
        self.reach(roots, Direction::Outgoing)
    }

    /// The stages that need `stage` themselves.
    pub fn dependents(&self, stage: &StageKey) -> impl Iterator<Item = &StageKey> {
        self.neighbors(stage, Direction::Outgoing)
    }

    /// The stages that `stage` needs itself.
    pub fn dependencies(&self, stage: &StageKey) -> impl Iterator<Item = &StageKey> {
        self.neighbors(stage, Direction::Incoming)
    }

    /// All stages, in order.
    #[must_use]
    pub fn order(&self) -> Vec<StageKey> {
        let mut nodes: Vec<NodeIndex> = self.graph.node_indices().collect();
        nodes.sort_by_key(|node| self.rank[node.index()]);
        nodes.into_iter().map(|n| self.graph[n].clone()).collect()
    }

    /// The stage with this key in the project that the graph was made of, without looking through all of them.
    #[must_use]
    pub fn stage<'a>(&self, project: &'a Project, key: &StageKey) -> Option<&'a Stage> {
        let node = self.index.get(key)?;
        project.stages.get(node.index())
    }

    fn neighbors(&self, stage: &StageKey, direction: Direction) -> impl Iterator<Item = &StageKey> {
        self.index
            .get(stage)
            .into_iter()
            .flat_map(move |node| self.graph.neighbors_directed(*node, direction))
            .map(|node| &self.graph[node])
    }

    fn reach(&self, roots: &[StageKey], direction: Direction) -> Vec<StageKey> {
        let mut stack: Vec<NodeIndex> = roots
            .iter()
            .filter_map(|key| self.index.get(key).copied())
            .collect();
        let mut seen: HashSet<NodeIndex> = stack.iter().copied().collect();
        while let Some(node) = stack.pop() {
            for next in self.graph.neighbors_directed(node, direction) {
                if seen.insert(next) {
                    stack.push(next);
                }
            }
        }
        let mut nodes: Vec<NodeIndex> = seen.into_iter().collect();
        nodes.sort_by_key(|node| self.rank[node.index()]);
        nodes.into_iter().map(|n| self.graph[n].clone()).collect()
    }
}

/// The place of each node in an order in which what is needed comes first, and otherwise as in the file.
/// Kahn's algorithm: no recursion, so that the length of a chain does not matter.
fn order(graph: &DiGraph<StageKey, ()>) -> Result<Vec<usize>, PlanError> {
    let mut open: Vec<usize> = graph
        .node_indices()
        .map(|node| graph.neighbors_directed(node, Direction::Incoming).count())
        .collect();
    let mut ready: BinaryHeap<Reverse<NodeIndex>> = graph
        .node_indices()
        .filter(|node| open[node.index()] == 0)
        .map(Reverse)
        .collect();
    let mut rank = vec![usize::MAX; graph.node_count()];
    let mut placed = 0;
    while let Some(Reverse(node)) = ready.pop() {
        rank[node.index()] = placed;
        placed += 1;
        for next in graph.neighbors_directed(node, Direction::Outgoing) {
            open[next.index()] -= 1;
            if open[next.index()] == 0 {
                ready.push(Reverse(next));
            }
        }
    }
    if placed == graph.node_count() {
        Ok(rank)
    } else {
        Err(PlanError::Cycle(find_circle(graph, &rank)))
    }
}

/// A circle among the nodes without a place. Each of them needs another one of them, so walking on from any must come
/// back to a node already seen.
fn find_circle(graph: &DiGraph<StageKey, ()>, rank: &[usize]) -> Vec<StageKey> {
    let unplaced = |node: &NodeIndex| rank[node.index()] == usize::MAX;
    let mut path: Vec<NodeIndex> = Vec::new();
    let mut seen: HashMap<NodeIndex, usize> = HashMap::new();
    let mut at = graph.node_indices().find(unplaced);
    while let Some(node) = at {
        if let Some(&start) = seen.get(&node) {
            let circle = &path[start..];
            // begin at the stage that stands first in the file, whatever way led into the circle
            let first = (0..circle.len())
                .min_by_key(|&i| circle[i])
                .unwrap_or_default();
            let (after, before) = (&circle[first..], &circle[..first]);
            let mut keys: Vec<StageKey> = after
                .iter()
                .chain(before)
                .map(|n| graph[*n].clone())
                .collect();
            keys.extend(keys.first().cloned());
            return keys;
        }
        seen.insert(node, path.len());
        path.push(node);
        at = graph
            .neighbors_directed(node, Direction::Incoming)
            .filter(|n| unplaced(n))
            .min();
    }
    Vec::new()
}

fn roots(project: &Project, selection: &Selection) -> Result<Vec<StageKey>, PlanError> {
    for (axis, values) in &selection.axes {
        let known = find_axis(project, axis.as_str())?;
        for value in values {
            check_value(&known.name, &known.values, value)?;
        }
    }
    let defaults: Vec<String>;
    let targets = if selection.targets.is_empty() {
        defaults = project.default.iter().map(ToString::to_string).collect();
        &defaults
    } else {
        &selection.targets
    };
    if targets.is_empty() {
        return Err(PlanError::NoTarget {
            known: known_targets(project),
        });
    }
    let mut by_name: HashMap<&str, Vec<&StageKey>> = HashMap::new();
    for stage in &project.stages {
        let instances = by_name.entry(stage.key.name.as_str()).or_default();
        instances.push(&stage.key);
    }
    let mut roots = Vec::new();
    for target in targets {
        resolve(project, &by_name, selection, target, &mut roots)?;
    }
    Ok(roots)
}

fn resolve(
    project: &Project,
    by_name: &HashMap<&str, Vec<&StageKey>>,
    selection: &Selection,
    target: &str,
    roots: &mut Vec<StageKey>,
) -> Result<(), PlanError> {
    let (name, at) = split_key(target);
    let mut axes = selection.axes.clone();
    for (axis, value) in at {
        let known = find_axis(project, axis)?;
        check_value(&known.name, &known.values, value)?;
        axes.insert(known.name.clone(), vec![value.to_owned()]);
    }
    let by_target = project.targets.iter().find(|(n, _)| n.as_str() == name);
    let stages: Vec<&str> = match by_target {
        Some((_, stages)) => stages.iter().map(Name::as_str).collect(),
        None => vec![name],
    };
    for stage in stages {
        let instances = by_name
            .get(stage)
            .ok_or_else(|| unknown_target(project, target, stage))?;
        let before = roots.len();
        let at_chosen = |key: &&&StageKey| chosen(project, &axes, key);
        roots.extend(instances.iter().filter(at_chosen).map(|key| (*key).clone()));
        if roots.len() == before {
            return Err(PlanError::NotAtAxes {
                stage: stage.to_owned(),
                at: show_axes(project, &axes),
            });
        }
    }
    Ok(())
}

/// `clone[os=mini,arch=x]` → `clone` and its axis values.
fn split_key(target: &str) -> (&str, Vec<(&str, &str)>) {
    target
        .strip_suffix(']')
        .and_then(|rest| rest.split_once('['))
        .map_or((target, Vec::new()), |(name, axes)| {
            let axes = axes
                .split(',')
                .filter_map(|pair| pair.split_once('='))
                .map(|(axis, value)| (axis.trim(), value.trim()));
            (name, axes.collect())
        })
}

/// Whether the instance `key` stands at chosen values: given ones, else the axis's first.
fn chosen(project: &Project, axes: &BTreeMap<Name, Vec<String>>, key: &StageKey) -> bool {
    key.axes.iter().all(|(axis, value)| match axes.get(axis) {
        Some(values) => values.contains(value),
        None => project
            .axes
            .iter()
            .find(|a| a.name == *axis)
            .and_then(|a| a.values.first())
            .is_none_or(|first| first == value),
    })
}

fn show_axes(project: &Project, axes: &BTreeMap<Name, Vec<String>>) -> String {
    let shown: Vec<String> = project
        .axes
        .iter()
        .map(|axis| {
            let values = axes
                .get(&axis.name)
                .map_or_else(|| axis.values[..1].join("|"), |v| v.join("|"));
            format!("{}={values}", axis.name)
        })
        .collect();
    shown.join(", ")
}

fn find_axis<'a>(project: &'a Project, name: &str) -> Result<&'a Axis, PlanError> {
    let known = || project.axes.iter().map(|axis| axis.name.as_str());
    project
        .axes
        .iter()
        .find(|axis| axis.name.as_str() == name)
        .ok_or_else(|| PlanError::UnknownAxis {
            name: name.to_owned(),
            near: near(name, known()),
            known: known().map(str::to_owned).collect(),
        })
}

fn check_value(axis: &Name, known: &[String], value: &str) -> Result<(), PlanError> {
    if known.iter().any(|k| k == value) {
        return Ok(());
    }
    Err(PlanError::UnknownValue {
        axis: axis.to_string(),
        value: value.to_owned(),
        near: near(value, known.iter().map(String::as_str)),
        known: known.to_vec(),
    })
}

fn known_targets(project: &Project) -> Vec<String> {
    let mut known: Vec<String> = project.targets.keys().map(ToString::to_string).collect();
    let mut seen: HashSet<String> = known.iter().cloned().collect();
    let stages = project.stages.iter().map(|s| s.key.name.to_string());
    known.extend(stages.filter(|name| seen.insert(name.clone())));
    known
}

fn unknown_target(project: &Project, target: &str, stage: &str) -> PlanError {
    let known = known_targets(project);
    PlanError::UnknownTarget {
        name: if split_key(target).0 == stage {
            target.to_owned()
        } else {
            stage.to_owned()
        },
        near: near(stage, known.iter().map(String::as_str)),
        known,
    }
}

fn unknown_dependency(project: &Project, stage: &StageKey, needs: &StageKey) -> PlanError {
    let known: Vec<String> = project.stages.iter().map(|s| s.key.to_string()).collect();
    PlanError::UnknownDependency {
        stage: stage.clone(),
        needs: needs.clone(),
        near: near(&needs.to_string(), known.iter().map(String::as_str)),
    }
}

fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(word, known).map(str::to_owned)
}
