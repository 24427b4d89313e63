//! Which stage starts next: pure states and transitions, no clock and no threads.
//!
//! ```text
//! Waiting ──all needs done──▶ Ready ──start──▶ Running ──▶ Done
//!    │                                            └──────▶ Failed ──▶ (dependants) Blocked
//!    └── a need failed ──▶ Blocked
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{Name, Stage};

/// What the stages that run at one time may use together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Stages at one time, at least one.
    pub jobs: u32,
    /// Machines at one time, at least one.
    pub machines: u32,
    /// Memory of all machines together, in bytes.
    pub memory: u64,
}

/// What one stage uses while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Machines.
    pub machines: u32,
    /// Memory of its machines, in bytes.
    pub memory: u64,
}

/// Which stages share a named pool, and how many of them run at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    /// The number of each stage's pool; 0 for those without one.
    of: Vec<usize>,
    /// The places of the pools; that of number 0 is not asked.
    places: Vec<u32>,
}

impl Pools {
    /// The pools of `stages`, in their order, with the places that `places` says.
    #[must_use]
    pub fn of(places: &BTreeMap<Name, u32>, stages: &[Arc<Stage>]) -> Self {
        let number = |pool: &Name| places.keys().position(|name| name == pool);
        let of = stages.iter().map(|stage| stage.pool.as_ref());
        Self {
            of: of
                .map(|pool| pool.and_then(number).map_or(0, |n| n + 1))
                .collect(),
            places: [u32::MAX]
                .into_iter()
                .chain(places.values().copied())
                .collect(),
        }
    }

    fn number(&self, stage: usize) -> usize {
        self.of.get(stage).copied().unwrap_or(0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting { missing: usize },
    Ready,
    Running,
    Done,
    Failed,
    Blocked { by: usize },
}

/// The scheduler's view of a run: stages are dense indices.
#[derive(Debug)]
pub struct Schedule {
    states: Vec<State>,
    dependants: Vec<Vec<usize>>,
    demands: Vec<Demand>,
    priority: Vec<u64>,
    /// What is ready, by pool: a full one is not searched.
    ready: Vec<BTreeSet<(std::cmp::Reverse<u64>, usize)>>,
    pools: Pools,
    /// How many run, by pool.
    taken: Vec<u32>,
    limits: Limits,
    running: u32,
    used: Demand,
}

impl Schedule {
    /// `needs[i]` are the stages that `i` depends on; `cost[i]` is how long it is expected to take, in any unit.
    /// The needs form no cycle.
    #[must_use]
    pub fn new(needs: &[Vec<usize>], demands: Vec<Demand>, cost: &[u64], limits: Limits) -> Self {
        let count = needs.len();
        let mut dependants = vec![Vec::new(); count];
        for (stage, needs) in needs.iter().enumerate() {
            for need in needs {
                dependants[*need].push(stage);
            }
        }
        let states: Vec<State> = needs
            .iter()
            .map(|needs| {
                if needs.is_empty() {
                    State::Ready
                } else {
                    State::Waiting {
                        missing: needs.len(),
                    }
                }
            })
            .collect();
        let priority = remaining_paths(needs, &dependants, cost);
        let ready = (0..count)
            .filter(|i| states[*i] == State::Ready)
            .map(|i| (std::cmp::Reverse(priority[i]), i))
            .collect();
        Self {
            states,
            dependants,
            demands,
            priority,
            ready: vec![ready],
            pools: Pools::default(),
            taken: vec![0],
            limits,
            running: 0,
            used: Demand::default(),
        }
    }

    /// Before anything has started: stages that share a pool wait for a place in it.
    #[must_use]
    pub fn with_pools(mut self, pools: Pools) -> Self {
        let ready = std::mem::take(&mut self.ready);
        self.ready = vec![BTreeSet::new(); pools.places.len().max(1)];
        self.taken = vec![0; self.ready.len()];
        for (key, stage) in ready.into_iter().flatten() {
            self.ready[pools.number(stage)].insert((key, stage));
        }
        self.pools = pools;
        self
    }

    /// The ready stage with the longest remaining path that fits into what is free, now counted as running.
    /// A stage that alone exceeds the limits may run alone.
    pub fn start_next(&mut self) -> Option<usize> {
        if self.running >= self.limits.jobs {
            return None;
        }
        let has_place = |pool: usize| pool == 0 || self.taken[pool] < self.pools.places[pool];
        let pools = self.ready.iter().enumerate();
        let firsts = pools
            .filter(|(pool, _)| has_place(*pool))
            .filter_map(|(pool, ready)| {
                let fits = ready.iter().find(|(_, stage)| self.fits(*stage));
                fits.map(|(key, stage)| (*key, *stage, pool))
            });
        let (key, stage, pool) = firsts.min()?;
        self.ready[pool].remove(&(key, stage));
        self.states[stage] = State::Running;
        self.running += 1;
        self.taken[pool] += 1;
        self.used.machines += self.demands[stage].machines;
        self.used.memory += self.demands[stage].memory;
        Some(stage)
    }

    fn fits(&self, stage: usize) -> bool {
        let demand = self.demands[stage];
        if demand.machines == 0 || self.used.machines == 0 {
            return true;
        }
        self.used.machines + demand.machines <= self.limits.machines
            && self.used.memory + demand.memory <= self.limits.memory
    }

    /// A running stage has its artifact; what waited only for it becomes ready.
    pub fn done(&mut self, stage: usize) {
        self.release(stage);
        self.states[stage] = State::Done;
        for dependant in self.dependants[stage].clone() {
            if let State::Waiting { missing } = &mut self.states[dependant] {
                *missing -= 1;
                if *missing == 0 {
                    self.states[dependant] = State::Ready;
                    self.ready[self.pools.number(dependant)]
                        .insert((std::cmp::Reverse(self.priority[dependant]), dependant));
                }
            }
        }
    }

    /// A running stage has failed; returns what can no longer run because of it.
    pub fn failed(&mut self, stage: usize) -> Vec<usize> {
        self.release(stage);
        self.states[stage] = State::Failed;
        let mut blocked = Vec::new();
        let mut todo = self.dependants[stage].clone();
        while let Some(next) = todo.pop() {
            if matches!(self.states[next], State::Waiting { .. }) {
                self.states[next] = State::Blocked { by: stage };
                blocked.push(next);
                todo.extend(&self.dependants[next]);
            }
        }
        blocked.sort_unstable();
        blocked
    }

    /// How many stages run.
    #[must_use]
    pub const fn running(&self) -> u32 {
        self.running
    }

    /// Stages that have neither run nor been blocked.
    pub fn unreached(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.states.len())
            .filter(|i| matches!(self.states[*i], State::Waiting { .. } | State::Ready))
    }

    /// How long all of it takes if each stage takes as long as its `cost` says.
    #[must_use]
    pub fn makespan(mut self, cost: &[u64]) -> u64 {
        let mut now = 0;
        let mut ends = BTreeSet::new();
        loop {
            while let Some(stage) = self.start_next() {
                ends.insert((now + cost[stage], stage));
            }
            let Some((end, stage)) = ends.pop_first() else {
                return now;
            };
            now = end;
            self.done(stage);
        }
    }

    fn release(&mut self, stage: usize) {
        debug_assert_eq!(
            self.states[stage],
            State::Running,
            "only a running stage ends"
        );
        self.running -= 1;
        self.taken[self.pools.number(stage)] -= 1;
        self.used.machines -= self.demands[stage].machines;
        self.used.memory -= self.demands[stage].memory;
    }
}

/// For each stage its own cost and the costliest path behind it. Iterative, so that long chains need no stack.
fn remaining_paths(needs: &[Vec<usize>], dependants: &[Vec<usize>], cost: &[u64]) -> Vec<u64> {
    let mut open: Vec<usize> = dependants.iter().map(Vec::len).collect();
    let mut longest: Vec<u64> = cost.to_vec();
    let mut todo: Vec<usize> = (0..needs.len()).filter(|i| open[*i] == 0).collect();
    while let Some(stage) = todo.pop() {
        for need in &needs[stage] {
            longest[*need] = longest[*need].max(cost[*need] + longest[stage]);
            open[*need] -= 1;
            if open[*need] == 0 {
                todo.push(*need);
            }
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Limits = Limits {
        jobs: 9,
        machines: 9,
        memory: 1 << 40,
    };

    fn schedule(needs: &[Vec<usize>], cost: &[u64], limits: Limits) -> Schedule {
        Schedule::new(needs, vec![Demand::default(); needs.len()], cost, limits)
    }

    #[test]
    fn the_longest_remaining_path_starts_first() {
        // 0 is cheap but has a long tail (2), 1 is costlier itself
        let mut schedule = schedule(
            &[vec![], vec![], vec![0]],
            &[1, 5, 10],
            Limits { jobs: 1, ..WIDE },
        );
        assert_eq!(schedule.start_next(), Some(0));
        assert_eq!(schedule.start_next(), None, "one job");
        schedule.done(0);
        assert_eq!(schedule.start_next(), Some(2));
    }

    #[test]
    fn a_failure_blocks_what_depends_on_it_and_nothing_else() {
        let mut schedule = schedule(&[vec![], vec![0], vec![1], vec![]], &[1; 4], WIDE);
        assert_eq!(
            (schedule.start_next(), schedule.start_next()),
            (Some(0), Some(3))
        );
        assert_eq!(schedule.failed(0), vec![1, 2]);
        schedule.done(3);
        assert_eq!((schedule.start_next(), schedule.running()), (None, 0));
    }

    #[test]
    fn machines_and_memory_are_limits_but_a_giant_may_run_alone() {
        let demand = |memory| Demand {
            machines: 1,
            memory,
        };
        let limits = Limits {
            jobs: 9,
            machines: 2,
            memory: 100,
        };
        let mut schedule = Schedule::new(
            &vec![vec![]; 4],
            vec![demand(60), demand(50), demand(40), demand(500)],
            &[4, 3, 2, 1],
            limits,
        );
        assert_eq!(schedule.start_next(), Some(0));
        assert_eq!(
            schedule.start_next(),
            Some(2),
            "1 does not fit beside 0, 2 does"
        );
        schedule.done(0);
        schedule.done(2);
        assert_eq!(schedule.start_next(), Some(1));
        assert_eq!(schedule.start_next(), None);
        schedule.done(1);
        assert_eq!(schedule.start_next(), Some(3));
    }

    #[test]
    fn the_expected_end_counts_what_runs_at_one_time() {
        // 0 → 2, and 1 beside them
        let (needs, cost) = ([vec![], vec![], vec![0]], [3, 4, 5]);
        assert_eq!(schedule(&needs, &cost, WIDE).makespan(&cost), 8);
        let one = Limits { jobs: 1, ..WIDE };
        assert_eq!(schedule(&needs, &cost, one).makespan(&cost), 12);
        assert_eq!(schedule(&[], &[], WIDE).makespan(&[]), 0);
    }

    #[test]
    fn a_pool_has_as_many_places_as_it_says_and_holds_up_nobody_else() {
        let pools = Pools {
            of: vec![1, 1, 1, 0],
            places: vec![u32::MAX, 2],
        };
        let mut schedule = schedule(&vec![vec![]; 4], &[4, 3, 2, 1], WIDE).with_pools(pools);
        assert_eq!(schedule.start_next(), Some(0));
        assert_eq!(schedule.start_next(), Some(1));
        assert_eq!(schedule.start_next(), Some(3), "the pool is full");
        assert_eq!(schedule.start_next(), None);
        schedule.failed(1);
        assert_eq!(schedule.start_next(), Some(2));
    }

    proptest::proptest! {
        #[test]
        fn every_stage_runs_once_and_after_its_needs(
            edges in proptest::collection::vec(proptest::collection::vec(0usize..1000, 0..4), 1..40),
            jobs in 1u32..4,
        ) {
            let needs: Vec<Vec<usize>> = edges.iter().enumerate().map(|(i, list)| {
                let mut list: Vec<usize> = if i == 0 { vec![] } else { list.iter().map(|n| n % i).collect() };
                list.sort_unstable();
                list.dedup();
                list
            }).collect();
            let mut schedule = schedule(&needs, &vec![1; needs.len()], Limits { jobs, ..WIDE });
            let mut done = BTreeSet::new();
            let mut running = Vec::new();
            loop {
                while let Some(stage) = schedule.start_next() {
                    proptest::prop_assert!(needs[stage].iter().all(|n| done.contains(n)));
                    running.push(stage);
                    proptest::prop_assert!(running.len() <= jobs as usize);
                }
                let Some(stage) = running.pop() else { break };
                schedule.done(stage);
                proptest::prop_assert!(done.insert(stage));
            }
            proptest::prop_assert_eq!(done.len(), needs.len());
        }
    }
}
