//! The chain from a stage that will run up to the first causes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::ingredients::UPSTREAM;
use super::{Ingredients, Plan, PlanStep, Reason, Record, Records, StepDecision};
use crate::model::StageKey;

/// Why a stage runs, or may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Why {
    /// The first causes, the nearest first.
    pub causes: Vec<Cause>,
    /// How many there are beside these.
    pub more: usize,
}

/// A stage with a reason of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The way from the stage that was asked about to the one with the reason; at least that one.
    pub path: Vec<StageKey>,
    /// Its reasons, but for what comes from other stages.
    pub reasons: Vec<Reason>,
    /// The ingredients that differ.
    pub changes: Vec<Change>,
    /// The run that built it already, where what it left is different from what was used before.
    pub run: Option<String>,
}

/// An ingredient that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// What it was; none: it was not there.
    pub before: Option<String>,
    /// What it is; none: it is gone.
    pub now: Option<String>,
}

/// How many causes are told.
const CAUSES: usize = 5;

/// Why the stage `key` of `plan` does not stand as it is; nothing if it does. `now` gives what a stage would be made from.
#[must_use]
pub fn why(
    plan: &Plan,
    key: &StageKey,
    records: &dyn Records,
    now: &dyn Fn(&StageKey) -> Option<Ingredients>,
) -> Why {
    let steps: BTreeMap<&StageKey, &PlanStep> =
        plan.steps.iter().map(|step| (&step.key, step)).collect();
    let mut from: BTreeMap<&StageKey, Option<&StageKey>> = BTreeMap::from([(key, None)]);
    let mut todo = VecDeque::from([key]);
    let mut why = Why::default();
    while let Some(key) = todo.pop_front() {
        let Some(step) = steps.get(key) else { continue };
        let (reasons, upstreams) = match &step.decision {
            StepDecision::Fresh(_) => continue,
            StepDecision::Stale { reasons } => (reasons, &[][..]),
            StepDecision::Pending { reasons, upstreams } => (reasons, upstreams.as_slice()),
        };
        // what was never built runs whatever those before it leave
        let anyway = reasons.contains(&Reason::NeverBuilt);
        for upstream in upstreams.iter().filter(|_| !anyway) {
            if !from.contains_key(upstream) {
                from.insert(upstream, Some(key));
                todo.push_back(upstream);
            }
        }
        if reasons.is_empty() {
            continue;
        }
        if why.causes.len() >= CAUSES {
            why.more += 1;
            continue;
        }
        let path = path(&from, key);
        let last = records.last(key);
        let own: Vec<Reason> = reasons
            .iter()
            .filter(|r| !is_upstream(r))
            .cloned()
            .collect();
        if !own.is_empty() {
            let now = now(key);
            let changes = match (&last, &now) {
                (Some(last), Some(now)) => now.changes(&last.ingredients),
                _ => Vec::new(),
            };
            why.causes.push(Cause {
                path: path.clone(),
                reasons: own,
                changes,
                run: None,
            });
        }
        if let Some(last) = last.filter(|_| reasons.iter().any(is_upstream)) {
            why.causes.extend(earlier(path, &last, &steps, records));
        }
    }
    // several ways may lead to one thing: the first one found is the shortest
    let mut told = BTreeSet::new();
    why.causes
        .retain(|cause| told.insert((cause.path.last().cloned(), cause.run.clone())));
    why
}

const fn is_upstream(reason: &Reason) -> bool {
    matches!(reason, Reason::Upstream(..))
}

fn path(from: &BTreeMap<&StageKey, Option<&StageKey>>, key: &StageKey) -> Vec<StageKey> {
    let mut path = vec![key.clone()];
    let mut at = key;
    while let Some(Some(next)) = from.get(at) {
        path.push((*next).clone());
        at = next;
    }
    path.reverse();
    path
}

/// What has become of upstream stages since `last` was made from them: they were built again in a run before this one.
fn earlier(
    path: Vec<StageKey>,
    last: &Record,
    steps: &BTreeMap<&StageKey, &PlanStep>,
    records: &dyn Records,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut todo = vec![(path, last.clone())];
    while let Some((path, user)) = todo.pop() {
        for step in steps.values() {
            let StepDecision::Fresh(current) = &step.decision else {
                continue;
            };
            let name = format!("{UPSTREAM}{}", step.key);
            let Some(used) = user.ingredients.get(&name) else {
                continue;
            };
            if used == current.artifact.digest().hex() || path.contains(&step.key) {
                continue;
            }
            let mut path = path.clone();
            path.push(step.key.clone());
            let all = records.all(&step.key);
            let before = all.iter().find(|r| r.artifact.digest().hex() == used);
            let reasons = before.map(|before| current.ingredients.diff(&before.ingredients));
            let own: Vec<Reason> = reasons
                .iter()
                .flatten()
                .filter(|r| !is_upstream(r))
                .cloned()
                .collect();
            let through = reasons.iter().flatten().any(is_upstream);
            if !own.is_empty() || !through {
                let changes = before.map(|before| current.ingredients.changes(&before.ingredients));
                causes.push(Cause {
                    path: path.clone(),
                    reasons: own,
                    changes: changes.unwrap_or_default(),
                    run: Some(current.run.clone()),
                });
            }
            if let (Some(before), true) = (before, through) {
                todo.push((path, before.clone()));
            }
        }
    }
    causes
}

impl Ingredients {
    /// The ingredients, but for upstream artifacts, that are not as in `before`, in an order for people.
    fn changes(&self, before: &Self) -> Vec<Change> {
        let mut names: Vec<&str> = self.iter().map(|(name, _)| name).collect();
        names.extend(
            before
                .iter()
                .map(|(name, _)| name)
                .filter(|name| self.get(name).is_none()),
        );
        let differ = names.into_iter().filter(|name| !name.starts_with(UPSTREAM));
        let differ = differ.filter(|name| self.get(name) != before.get(name));
        let changes = differ.map(|name| Change {
            name: name.to_owned(),
            before: before.get(name).map(str::to_owned),
            now: self.get(name).map(str::to_owned),
        });
        changes.collect()
    }
}
