//! What a `provision` stage goes on from when only its later steps have changed: running machines, kept between steps.
//!
//! Whatever is wrong with a checkpoint, it only counts as missing: the machine is started from its disks then.

use std::time::{Duration, Instant};

use super::Host;
use super::machine::Session;
use crate::engine::{ExecError, StageContext};
use crate::guest::{Exec, Guest};
use crate::model::{Checkpointing, Digest, MachineState, Provision};
use crate::store::StepCheckpoint;

/// What a checkpoint is expected to take before one has been measured.
const FIRST_COST: Duration = Duration::from_secs(1);
/// How many times longer doing again must take.
const WORTH: u32 = 3;

/// Keeps and finds the checkpoints of one run of a stage.
pub(super) struct Keeper<'a> {
    host: &'a Host,
    context: &'a StageContext,
    policy: Checkpointing,
    /// What the provider's checkpoints must fit to; none: it has none for this machine.
    identity: Option<String>,
    /// The identity of the machine after 0, 1, … steps.
    chain: Vec<Digest>,
    /// When the machine stood at a checkpoint last, or was started.
    since: Instant,
    cost: Duration,
}

impl<'a> Keeper<'a> {
    pub(super) async fn new(
        host: &'a Host,
        context: &'a StageContext,
        kind: &Provision,
        provider: &str,
    ) -> Result<Self, ExecError> {
        let identity = match kind.checkpoint {
            Checkpointing::Never => None,
            Checkpointing::Auto | Checkpointing::Always => {
                let provider = host.provider(provider)?;
                provider.checkpoint_identity(&kind.hardware).await
            }
        };
        Ok(Self {
            host,
            context,
            policy: kind.checkpoint,
            identity,
            chain: context.ingredients.step_fingerprints(),
            since: Instant::now(),
            cost: FIRST_COST,
        })
    }

    /// The checkpoint after the most steps that are still the same.
    pub(super) fn newest(&self) -> Option<StepCheckpoint> {
        let identity = self.identity.as_ref()?;
        if self.context.from_scratch {
            return None;
        }
        let stage = &self.context.stage.key;
        let mut found = self
            .chain
            .iter()
            .rev()
            .filter_map(|fingerprint| self.host.db.checkpoint(stage, fingerprint));
        found.find(|checkpoint| {
            let whole = |digest| self.host.store.use_object(&digest).is_ok();
            checkpoint.identity == *identity && checkpoint.digests().all(whole)
        })
    }

    /// The checkpoint could not be gone on from.
    pub(super) fn forget(&self, checkpoint: &StepCheckpoint, why: &ExecError) {
        let why = match why {
            ExecError::Failed(failure) => failure.message.as_str(),
            ExecError::Cancelled => return,
        };
        let output = &self.context.output;
        output.warn(format!(
            "the machine could not go on from where it was kept ({why}); starting it from its disks"
        ));
        let stage = &self.context.stage.key;
        let _ = self.host.db.drop_checkpoint(stage, &checkpoint.fingerprint);
        self.host.store.discard_memory(checkpoint);
    }

    /// Counts the time that a checkpoint would save from now on.
    pub(super) fn restart_clock(&mut self) {
        self.since = Instant::now();
    }

    /// Keeps the machine as it is after `done` steps, where that is worth it; `state` gets its layers.
    pub(super) async fn keep(
        &mut self,
        session: &mut Session,
        done: usize,
        state: &mut MachineState,
    ) -> Result<(), ExecError> {
        let Some(identity) = self.identity.clone() else {
            return Ok(());
        };
        let worth =
            self.policy == Checkpointing::Always || self.since.elapsed() >= WORTH * self.cost;
        // after the last step comes the artifact itself
        if !worth || done + 1 >= self.chain.len() {
            return Ok(());
        }
        let started = Instant::now();
        match session.checkpoint(self.host, state).await {
            Ok((machine, memory)) => {
                let checkpoint = StepCheckpoint {
                    step: done,
                    fingerprint: self.chain[done],
                    identity,
                    machine: machine.clone(),
                    memory,
                };
                *state = machine;
                self.record(&checkpoint);
            }
            Err(ExecError::Cancelled) => return Err(ExecError::Cancelled),
            Err(ExecError::Failed(failure)) => {
                let output = &self.context.output;
                output.warn(format!("no checkpoint: {}", failure.message));
                self.identity = None;
            }
        }
        self.cost = started.elapsed();
        self.since = Instant::now();
        Ok(())
    }

    fn record(&self, checkpoint: &StepCheckpoint) {
        let stage = &self.context.stage.key;
        match self.host.db.put_checkpoint(stage, checkpoint) {
            Ok(Some(old)) if old.memory != checkpoint.memory => {
                self.host.store.discard_memory(&old)
            }
            Ok(_) => {}
            Err(error) => self.context.output.warn(format!("no checkpoint: {error}")),
        }
        self.context.output.note(&format!(
            "checkpoint after {} of {} steps",
            checkpoint.step,
            self.chain.len() - 1
        ));
    }
}

/// Sets a resumed guest's clock, which stood still, and gives it randomness that no other machine from this checkpoint
/// has.
pub(super) async fn wake(guest: &Guest, context: &StageContext) -> Result<(), ExecError> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    let mut seed = [0; 32];
    let random = ring::rand::SystemRandom::new();
    let _ = ring::rand::SecureRandom::fill(&random, &mut seed);
    let exec = Exec {
        stdin: Some(seed.to_vec()),
        timeout: Some(Duration::from_secs(60)),
        ..Exec::new(format!(
            "cat >/dev/urandom; date -u -s @{now} >/dev/null 2>&1 || sudo -n date -u -s @{now} >/dev/null 2>&1"
        ))
    };
    let code = guest.run(&exec, &mut |_, _| {}, &context.cancel).await?;
    if code != 0 {
        let output = &context.output;
        output.warn(
            "the resumed guest's clock could not be set: it stands where the machine was kept"
                .to_owned(),
        );
    }
    Ok(())
}
