//! What a `provision` stage goes on from instead of booting: running machines, kept between its steps and after the
//! stage before it.
//!
//! Whatever is wrong with a checkpoint, it only counts as missing: the machine is started from its disks then.

use std::time::{Duration, Instant};

use super::Host;
use super::failure::failure;
use super::machine::Session;
use super::taking::{self, Finished, Taking};
use super::worth::{self, Before, Next};
use crate::engine::{ExecError, StageContext};
use crate::guest::{Exec, Guest};
use crate::model::{Checkpointing, Digest, MachineState, Provision};
use crate::store::StepCheckpoint;

/// Keeps and finds the checkpoints of one run of a stage.
pub(super) struct Keeper<'a> {
    host: &'a Host,
    context: &'a StageContext,
    kind: &'a Provision,
    /// What the provider's checkpoints must fit to; none: it has none for this machine.
    identity: Option<String>,
    /// The identity of the machine after 0, 1, … steps.
    chain: Vec<Digest>,
    /// What the machine's disks are laid over; with [`Self::taking`] that is known once it is settled.
    state: MachineState,
    taking: Option<Taking>,
    /// When the machine stood at a checkpoint last, or was started.
    since: Instant,
    cost: Duration,
    /// What an earlier run has done of a cold build.
    before: Before,
    /// After how many steps comes the first one that is not as it was.
    changed_after: Option<usize>,
    /// After how many steps the stage failed when it ran last.
    failed_after: Option<usize>,
}

impl<'a> Keeper<'a> {
    /// For a stage whose machine starts from `below`.
    pub(super) async fn new(
        host: &'a Host,
        context: &'a StageContext,
        kind: &'a Provision,
        below: &MachineState,
    ) -> Result<Self, ExecError> {
        let key = &context.stage.key;
        let identity = match kind.has_checkpoints() {
            false => None,
            true => {
                let provider = host.provider(&below.provider)?;
                provider.checkpoint_identity(&kind.hardware).await
            }
        };
        let chain = context.ingredients.step_fingerprints();
        let failed = host.db.failed_after(key);
        let last = host.db.last(key);
        let changed =
            last.and_then(|last| context.ingredients.first_changed_step(&last.ingredients));
        let first = || worth::first_cost(kind.hardware.memory);
        Ok(Self {
            host,
            context,
            kind,
            identity,
            state: below.clone(),
            taking: None,
            since: Instant::now(),
            cost: host
                .db
                .checkpoint_cost(key)
                .map_or_else(first, |cost| cost.time),
            before: Before::of(host, &context.stage),
            changed_after: changed.map(|step| step - 1),
            failed_after: failed.and_then(|state| chain.iter().position(|known| *known == state)),
            chain,
        })
    }

    /// The checkpoint after the most steps that are still the same, with their number; else that of the machine `below`
    /// these steps.
    pub(super) async fn newest(&self, below: &MachineState) -> Option<(usize, StepCheckpoint)> {
        let identity = self.identity.as_ref()?;
        if self.context.from_scratch {
            return None;
        }
        let wanted = self.chain.iter().copied().enumerate().rev();
        let wanted = wanted.filter(|(done, _)| self.policy(*done) != Checkpointing::Never);
        let stage = &self.context.stage.key;
        let found = wanted
            .chain([(0, below.lineage())])
            .filter_map(|(done, state)| {
                let checkpoint = self.host.db.checkpoint(stage, &state)?;
                Some((done, checkpoint))
            });
        let mut others = None;
        for (done, checkpoint) in found {
            if checkpoint.identity != *identity {
                // what was installed may well be given other hardware
                others = others.or((done > 0).then_some(checkpoint.identity));
            } else if self.host.store.use_all(checkpoint.digests()).is_ok()
                && self.is_there(&checkpoint).await
            {
                return Some((done, checkpoint));
            }
        }
        if let Some(other) = others {
            let output = &self.context.output;
            output.line(&format!(
                "the machine was kept under `{other}`, and this is `{identity}`: starting it from its disks"
            ));
        }
        None
    }

    fn policy(&self, done: usize) -> Checkpointing {
        self.kind.checkpoint_after(done)
    }

    /// Whether a checkpoint that is kept on a server is still there; one of this host is in the store.
    async fn is_there(&self, checkpoint: &StepCheckpoint) -> bool {
        let Some(remote) = &checkpoint.machine.remote else {
            return true;
        };
        let Ok(provider) = self.host.provider(&checkpoint.machine.provider) else {
            return false;
        };
        let lost = provider.lost(std::slice::from_ref(remote)).await;
        lost.is_ok_and(|lost| lost.is_empty())
    }

    /// The checkpoint could not be gone on from.
    pub(super) fn forget(&self, checkpoint: &StepCheckpoint, why: &ExecError) {
        let ExecError::Failed(failure) = why else {
            return;
        };
        let output = &self.context.output;
        output.warn(format!(
            "the machine could not go on from where it was kept ({}); starting it from its disks",
            failure.message
        ));
        if failure.environment {
            // that is not its fault
            return;
        }
        let _ = self.host.store.doom(checkpoint.digests());
        let _ = self.host.db.drop_checkpoint(&checkpoint.fingerprint);
    }

    /// The machine starts now, or stands at a checkpoint: its disks are laid over `state`. Counts the time that another
    /// checkpoint would save from now on.
    pub(super) fn starts_from(&mut self, state: MachineState) {
        self.state = state;
        self.since = Instant::now();
    }

    /// What the machine's disks are laid over.
    pub(super) const fn state(&self) -> &MachineState {
        &self.state
    }

    /// Keeps the machine as it is after `done` steps, where that is worth it. The machine can be worked with at once;
    /// [`Self::settle`] has to be called meanwhile.
    pub(super) async fn keep(
        &mut self,
        session: &mut Session,
        guest: &Guest,
        done: usize,
    ) -> Result<(), ExecError> {
        // after the last step comes the artifact itself
        if done + 1 >= self.chain.len() {
            return Ok(());
        }
        let Some(identity) = self.identity.clone() else {
            return Ok(());
        };
        let next = match Some(done) {
            here if here == self.failed_after => Next::Failed,
            here if here == self.changed_after => Next::Changed,
            _ => Next::Same,
        };
        let times = (self.since.elapsed(), self.cost);
        let allowed = self.host.overhead.allows(self.cost, self.before);
        if !worth::keep(self.policy(done), next, times, allowed) {
            return Ok(());
        }
        let plan = taking::Plan {
            step: done,
            fingerprint: self.chain[done],
            identity,
        };
        let (host, context) = (self.host, self.context);
        match taking::take(host, context, session, guest, &self.state, plan).await? {
            Some(taking) => {
                self.cost = taking.waited();
                host.overhead.add(self.cost);
                self.taking = Some(taking);
            }
            // what stands in the way now does so later
            None => self.identity = None,
        }
        self.since = Instant::now();
        Ok(())
    }

    /// Returns when what was kept is in the store.
    pub(super) async fn settle(&mut self) -> Result<(), ExecError> {
        let (host, context) = (self.host, self.context);
        let Some(taking) = &mut self.taking else {
            return Ok(());
        };
        let settled = taking.settle(host, context).await;
        self.taking = None;
        let taken = settled?;
        self.state = taken.machine;
        match taken.checkpoint {
            Some(checkpoint) => {
                taking::record(host, context, &checkpoint);
                let (done, all) = (checkpoint.step, self.chain.len() - 1);
                let output = &context.output;
                output.note(&format!("checkpoint after {done} of {all} steps"));
            }
            None => self.identity = None,
        }
        Ok(())
    }

    /// All steps are done: the machine is kept as it runs for a `provision` that goes on from this stage.
    pub(super) fn finished<'f>(
        &'f self,
        shutdown: Option<&'f str>,
    ) -> Result<Finished<'f>, ExecError> {
        let (host, context) = (self.host, self.context);
        let step = self.kind.steps.len();
        let goes_on = self.identity.is_some() && host.continued.contains(&context.stage.key);
        Ok(Finished {
            policy: match goes_on {
                true => self.policy(step),
                false => Checkpointing::Never,
            },
            provider: host.provider(&self.state.provider)?.as_ref(),
            hardware: &self.kind.hardware,
            below: self.state.clone(),
            step,
            shutdown,
            media: false,
        })
    }

    /// The step after `done` others has failed, or none has: the next run keeps the machine before it.
    pub(super) fn note_failed(&self, done: Option<usize>) {
        let state = done.and_then(|done| self.chain.get(done));
        let noted = self
            .host
            .db
            .note_failed_after(&self.context.stage.key, state);
        // only the next run's decisions are a little worse without it
        let _ = noted;
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
    let set = format!("date -u -s @{now} >/dev/null 2>&1");
    let as_root = Exec {
        stdin: Some(seed.to_vec()),
        timeout: Some(Duration::from_secs(60)),
        ..Exec::new(format!("cat >/dev/urandom; {set} || sudo -n {set}"))
    };
    let mut code = guest.run(&as_root, &mut |_, _| {}, &context.cancel).await?;
    if let (1.., Some(password)) = (code, &guest.target().password) {
        let with_password = Exec {
            stdin: Some(format!("{}\n", password.reveal()).into_bytes()),
            timeout: Some(Duration::from_secs(60)),
            ..Exec::new(format!("sudo -S -p '' {set}"))
        };
        code = guest
            .run(&with_password, &mut |_, _| {}, &context.cancel)
            .await?;
    }
    match code {
        0 => Ok(()),
        _ => Err(failure("its clock could not be set").into()),
    }
}
