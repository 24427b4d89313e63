//! Whether keeping a running machine is worth what it costs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::model::{Checkpointing, Size};

/// How many times longer doing again must take than keeping.
const WORTH: u32 = 3;
/// What part of a run may be spent on keeping machines between steps: a cold build becomes slower by a twentieth at most.
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

    /// Whether spending so much more keeps to the part of the run that may be spent.
    pub(super) fn allows(&self, cost: Duration) -> bool {
        let spent = Duration::from_millis(self.millis.load(Ordering::Relaxed));
        (spent + cost) * PART <= self.began.elapsed()
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
        assert!(!overhead.allows(second), "it has just begun");
        overhead.began = Instant::now().checked_sub(41 * second).unwrap();
        assert!(overhead.allows(2 * second) && !overhead.allows(3 * second));
        overhead.add(second);
        assert!(overhead.allows(second) && !overhead.allows(2 * second));
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
