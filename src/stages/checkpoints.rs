//! What a `provision` stage goes on from instead of booting: running machines, kept between its steps and after the
//! installation.
//!
//! Whatever is wrong with a checkpoint, it only counts as missing: the machine is started from its disks then.

use std::time::{Duration, Instant};

use super::Host;
use super::failure::failure;
use super::machine::Session;
use crate::engine::{ExecError, StageContext};
use crate::guest::{Exec, Guest, GuestError};
use crate::model::{Checkpointing, Digest, IsoBase, MachineState, Provision};
use crate::store::{Met, StepCheckpoint};
use crate::sys::Cancel;

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

    /// The checkpoint after the most steps that are still the same; else that of the machine `below` these steps.
    pub(super) async fn newest(&self, below: &MachineState) -> Option<StepCheckpoint> {
        let identity = self.identity.as_ref()?;
        if self.context.from_scratch {
            return None;
        }
        let wanted = self.chain.iter().rev().copied().chain([below.lineage()]);
        let found = wanted.filter_map(|fingerprint| self.host.db.checkpoint(&fingerprint));
        let mut others = None;
        for checkpoint in found {
            let whole = |digest| self.host.store.use_object(&digest).is_ok();
            if checkpoint.identity != *identity {
                // what was installed may well be given other hardware
                others = others.or((checkpoint.step > 0).then_some(checkpoint.identity));
            } else if checkpoint.digests().all(whole) && self.is_there(&checkpoint).await {
                return Some(checkpoint);
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
        let _ = self.host.db.drop_checkpoint(&checkpoint.fingerprint);
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
        guest: &Guest,
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
        let what = (done, self.chain[done], identity);
        let (machine, kept) = take(self.host, self.context, session, state, what).await?;
        *state = machine;
        match kept {
            Some(checkpoint) => {
                let met = met(guest, &checkpoint, &self.context.cancel).await;
                record(
                    self.host,
                    self.context,
                    &StepCheckpoint { met, ..checkpoint },
                );
                let all = self.chain.len() - 1;
                let output = &self.context.output;
                output.note(&format!("checkpoint after {done} of {all} steps"));
            }
            None => self.identity = None,
        }
        self.cost = started.elapsed();
        self.since = Instant::now();
        Ok(())
    }
}

/// Takes a checkpoint of the running machine, whose disks are laid over `below`. Returns what they are laid over from then
/// on; that there is no checkpoint is told, and no error.
async fn take(
    host: &Host,
    context: &StageContext,
    session: &mut Session,
    below: &MachineState,
    (step, fingerprint, identity): (usize, Digest, String),
) -> Result<(MachineState, Option<StepCheckpoint>), ExecError> {
    context.output.step("keeping the running machine");
    let (machine, memory) = session.checkpoint(host, below).await?;
    let memory = match memory {
        Ok(memory) => memory,
        Err(why) => {
            context.output.warn(format!("no checkpoint: {why}"));
            return Ok((machine, None));
        }
    };
    let checkpoint = StepCheckpoint {
        step,
        fingerprint,
        identity,
        machine: machine.clone(),
        memory,
        drives: session.drives,
        met: None,
    };
    Ok((machine, Some(checkpoint)))
}

/// Where the guest of a machine on a server is: without knowing it one would wait until the server tells it anew.
async fn met(guest: &Guest, checkpoint: &StepCheckpoint, cancel: &Cancel) -> Option<Met> {
    checkpoint.machine.remote.as_ref()?;
    let boot_id = guest.this_boot(cancel).await.ok()?;
    let address = guest.target().addr;
    Some(Met { address, boot_id })
}

fn record(host: &Host, context: &StageContext, checkpoint: &StepCheckpoint) {
    match host.db.put_checkpoint(&context.stage.key, checkpoint) {
        Ok(Some(old)) if old.machine.remote.is_some() => super::remote::discard(host, context, old),
        Ok(Some(old)) if old.memory != checkpoint.memory => host.store.discard_memory(&old),
        Ok(_) => {}
        Err(error) => context.output.warn(format!("no checkpoint: {error}")),
    }
}

/// What turns a system off and does nothing else: a machine that is gone on from has not run it.
const TURNS_OFF: &str = r"^\s*(sudo\s+)?(/\S*/)?(shutdown|poweroff|halt|systemctl\s+(poweroff|halt)|init\s+0)(\s+[\w+-]+)*\s*$";

/// An installed machine, as it runs: `provision` goes on from there instead of booting what `iso-base` has left. Returns
/// what its disks are laid over from then on, if that has changed, and the checkpoint.
pub(super) async fn keep_installed(
    host: &Host,
    context: &StageContext,
    kind: &IsoBase,
    session: &mut Session,
    guest: &Guest,
    shutdown: Option<&str>,
) -> Result<(Option<MachineState>, Option<StepCheckpoint>), ExecError> {
    let provider = host.provider(kind.provider.as_str())?;
    let plain = |command| regex::Regex::new(TURNS_OFF).is_ok_and(|off| off.is_match(command));
    let never = kind.checkpoint == Checkpointing::Never || !provider.keeps_installed();
    if never || !shutdown.is_none_or(plain) {
        return Ok((None, None));
    }
    let Some(identity) = provider.checkpoint_identity(&kind.hardware).await else {
        return Ok((None, None));
    };
    // files that the guest remembers would only be carried about
    let forget = Exec {
        timeout: Some(Duration::from_secs(60)),
        ..Exec::new("sync; echo 1 2>/dev/null >/proc/sys/vm/drop_caches || true")
    };
    let forgotten = guest.run(&forget, &mut |_, _| {}, &context.cancel).await;
    let skipped = match (forgotten, session.eject().await) {
        (Err(GuestError::Cancelled), _) | (_, Err(ExecError::Cancelled)) => {
            return Err(ExecError::Cancelled);
        }
        (Err(error), _) => error.to_string(),
        (_, Err(ExecError::Failed(failure))) => failure.message,
        (Ok(_), Ok(())) => {
            let empty = MachineState {
                remote: None,
                provider: kind.provider.to_string(),
                hardware: kind.hardware.clone(),
                disks: Vec::new(),
                nvram: None,
            };
            // its fingerprint is that of the artifact, which is not there yet
            let what = (0, Digest::of(b""), identity);
            let (machine, kept) = take(host, context, session, &empty, what).await?;
            return Ok((Some(machine), kept));
        }
    };
    context.output.warn(format!("no checkpoint: {skipped}"));
    Ok((None, None))
}

/// Ties the checkpoint of an installed machine to what it has become at rest.
pub(super) fn record_installed(
    host: &Host,
    context: &StageContext,
    checkpoint: StepCheckpoint,
    at_rest: &MachineState,
) {
    let fingerprint = at_rest.lineage();
    let checkpoint = StepCheckpoint {
        fingerprint,
        ..checkpoint
    };
    record(host, context, &checkpoint);
    let output = &context.output;
    output.note("checkpoint of the running machine");
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
