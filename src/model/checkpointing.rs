//! When running machines are kept.

use super::Provision;
use super::hardware::words;

impl Provision {
    /// When the machine is kept as it is after `done` steps.
    #[must_use]
    pub fn checkpoint_after(&self, done: usize) -> Checkpointing {
        let step = done.checked_sub(1).and_then(|last| self.steps.get(last));
        step.and_then(|step| step.checkpoint)
            .unwrap_or(self.checkpoint)
    }

    /// Whether the machine may be kept anywhere.
    #[must_use]
    pub fn has_checkpoints(&self) -> bool {
        (0..=self.steps.len()).any(|done| self.checkpoint_after(done) != Checkpointing::Never)
    }
}

/// When a running machine is kept so that a later run can go on from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checkpointing {
    /// Where doing again what came before would take clearly longer than keeping it.
    #[default]
    Auto,
    /// Before the first step and after every one.
    Always,
    /// Not at all.
    Never,
}

words!(Checkpointing, "checkpointing", Auto => "auto", Always => "always", Never => "never");
