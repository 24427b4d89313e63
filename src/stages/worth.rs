//! Whether keeping a running machine is worth what it costs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Host;
use crate::model::{Checkpointing, Size, Stage};

/// How many times longer doing again must take than keeping.
const WORTH: u32 = 3;
/// What part of a cold build may be spent on keeping machines between steps: it becomes slower by a twentieth at most.
const PART: u32 = 20;

/// What a run spends on keeping machines between the steps of all its stages.
#[derive(Debug)]
pub struct Overhead {
    began: Instant,
    millis: AtomicU64,
}

impl Overhead {
    /// For a run that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            millis: AtomicU64::new(0),
        }
    }

    /// Counts what has been spent.
    pub(super) fn add(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.millis.fetch_add(millis, Ordering::Relaxed);
    }

    /// Whether spending so much more keeps to the part of a cold build that may be spent; `before` is what of it an earlier
    /// run has done.
    pub(super) fn allows(&self, cost: Duration, before: Before) -> bool {
        let spent = Duration::from_millis(self.millis.load(Ordering::Relaxed));
        (spent + before.spent + cost) * PART <= self.began.elapsed() + before.took
    }
}

/// What the stages below a machine took in the run that made them: a cold build does all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    /// All of it.
    pub(super) took: Duration,
    /// What of it was spent on keeping machines, by what each stage's last checkpoint has cost.
    pub(super) spent: Duration,
}

impl Before {
    /// What is recorded of the stages that `stage` comes from and that were not made in this run.
    pub(super) fn of(host: &Host, stage: &Stage) -> Self {
        let mut before = Self::default();
        let mut from = stage.from.as_ref();
        while let Some(key) = from {
            let record = host.db.last(key);
            if let Some(record) = record.filter(|record| record.run != host.run.id) {
                before.took += Duration::from_millis(record.duration_ms);
                let spent = host.db.checkpoint_cost(key);
                before.spent += spent.map_or(Duration::ZERO, |spent| spent.time);
            }
            from = host.whole.stage(key).and_then(|stage| stage.from.as_ref());
        }
        before
    }
}

impl Default for Overhead {
    fn default() -> Self {
        Self::new()
    }
}

/// What comes after the moment at which a machine could be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A step that is as it was when the stage ran last, or about which nothing is known.
    Same,
    /// The first step that is not as it was: somebody works on it, and it will be different again.
    Changed,
    /// The step at which the stage failed when it ran last.
    Failed,
}

/// Whether to keep a machine; `again` is how long it took to come here from where it was kept before, or from the start;
/// `allowed`: the run has time for it.
pub(super) fn keep(
    policy: Checkpointing,
    next: Next,
    (again, cost): (Duration, Duration),
    allowed: bool,
) -> bool {
    match (policy, next) {
        (Checkpointing::Never, _) => false,
        (Checkpointing::Always, _) | (Checkpointing::Auto, Next::Failed) => true,
        (Checkpointing::Auto, Next::Changed) => again >= cost,
        (Checkpointing::Auto, Next::Same) => allowed && again >= WORTH * cost,
    }
}

/// What a checkpoint is expected to take before one of the stage has been measured.
pub(super) fn first_cost(memory: Size) -> Duration {
    /// For the devices and the disks.
    const ALWAYS: Duration = Duration::from_millis(150);
    /// For a GiB of memory, of which a part is in use.
    const PER_GIB: u64 = 400;
    ALWAYS + Duration::from_millis(memory.mib() * PER_GIB / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automatic_is_cheap_against_what_it_saves() {
        let (second, auto) = (Duration::from_secs(1), Checkpointing::Auto);
        let at = |next, seconds, allowed| {
            let again = Duration::from_secs(seconds);
            keep(auto, next, (again, second), allowed)
        };
        assert!(!at(Next::Same, 2, true) && at(Next::Same, 3, true));
        assert!(!at(Next::Same, 3, false));
        assert!(!at(Next::Changed, 0, false) && at(Next::Changed, 1, false));
        assert!(at(Next::Failed, 0, false));
    }

    #[test]
    fn a_run_spends_a_twentieth_at_most() {
        let mut overhead = Overhead::new();
        let second = Duration::from_secs(1);
        let none = Before::default();
        assert!(!overhead.allows(second, none), "it has just begun");
        let before = Before {
            took: 41 * second,
            spent: second,
        };
        assert!(overhead.allows(second, before) && !overhead.allows(2 * second, before));
        overhead.began = Instant::now().checked_sub(41 * second).unwrap();
        assert!(overhead.allows(2 * second, none) && !overhead.allows(3 * second, none));
        overhead.add(second);
        assert!(overhead.allows(second, none) && !overhead.allows(2 * second, none));
    }

    #[test]
    fn always_and_never_are_what_they_say() {
        let long = Duration::from_secs(1000);
        for next in [Next::Same, Next::Changed, Next::Failed] {
            let (none, always) = (Duration::ZERO, Checkpointing::Always);
            assert!(keep(always, next, (none, long), false));
            assert!(!keep(Checkpointing::Never, next, (long, none), true));
        }
    }

    #[test]
    fn more_memory_is_expected_to_take_longer() {
        let cost = |mib| first_cost(Size::from_mib(mib)).as_millis();
        assert_eq!((cost(512), cost(4096)), (350, 1750));
    }
}
