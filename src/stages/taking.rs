//! Taking a checkpoint: the machine stands still while it is taken, and runs on while it is put into the store.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::Host;
use super::failure::failure;
use super::machine::{self, Session};
use crate::engine::{ExecError, StageContext};
use crate::guest::{Exec, Guest, GuestError};
use crate::model::{Checkpointing, Digest, MachineState, Provision, Size, StageKey};
use crate::provider::{Checkpoint, Provider};
use crate::store::{CheckpointCost, Met, Put, StepCheckpoint, Store, StoreError};
use crate::sys::Cancel;

/// What is known of a checkpoint before it is there.
pub(super) struct Plan {
    /// The steps that were done.
    pub(super) step: usize,
    /// What the machine's state is known by.
    pub(super) fingerprint: Digest,
    /// What the hypervisor must be to go on from it.
    pub(super) identity: String,
}

/// A checkpoint on its way into the store.
pub(super) struct Taking {
    plan: Plan,
    drives: crate::model::Drives,
    met: Option<Met>,
    /// How long the stage waited.
    waited: Duration,
    storing: JoinHandle<Result<Stored, StoreError>>,
}

/// What has become of a checkpoint.
pub(super) struct Stored {
    /// What the machine's disks are laid over from now on.
    pub(super) machine: MachineState,
    /// The memory and its size (none: it is kept where the machine lives), or why there is no checkpoint.
    pub(super) memory: Result<Option<(Digest, Size)>, String>,
}

/// What is left when a checkpoint has been put away.
pub(super) struct Taken {
    /// What the machine's disks are laid over from now on.
    pub(super) machine: MachineState,
    /// The checkpoint, unless something stood in its way, which has been told.
    pub(super) checkpoint: Option<StepCheckpoint>,
}

/// Takes a checkpoint of the running machine, whose disks are laid over `below`; none if that cannot be, which is told.
pub(super) async fn take(
    host: &Host,
    context: &StageContext,
    session: &mut Session,
    guest: &Guest,
    below: &MachineState,
    plan: Plan,
) -> Result<Option<Taking>, ExecError> {
    let output = &context.output;
    if let Some(why) = no_room(host, &context.stage.key) {
        output.note(&format!("no checkpoint: {why}"));
        return Ok(None);
    }
    output.step("keeping the running machine");
    let started = Instant::now();
    let met = met(guest, below, &context.cancel).await;
    let taken = match session.checkpoint().await? {
        Ok(taken) => taken,
        Err(why) => {
            output.warn(format!("no checkpoint: {why}"));
            return Ok(None);
        }
    };
    let (store, below) = (Arc::clone(&host.store), below.clone());
    Ok(Some(Taking {
        plan,
        drives: session.drives,
        met,
        waited: started.elapsed(),
        storing: tokio::task::spawn_blocking(move || put(&store, &taken, &below)),
    }))
}

impl Taking {
    /// How long the stage waited for it.
    pub(super) const fn waited(&self) -> Duration {
        self.waited
    }

    /// Returns when the store has it. An error is one of the disks: without these layers nothing is right any more.
    pub(super) async fn settle(
        &mut self,
        host: &Host,
        context: &StageContext,
    ) -> Result<Taken, ExecError> {
        let stored = (&mut self.storing).await;
        let stored =
            stored.map_err(|error| failure(format!("the checkpoint's task ended: {error}")))??;
        let Stored { machine, memory } = stored;
        let memory = match memory {
            Ok(memory) => memory,
            Err(why) => {
                context.output.warn(format!("no checkpoint: {why}"));
                let checkpoint = None;
                return Ok(Taken {
                    machine,
                    checkpoint,
                });
            }
        };
        let cost = CheckpointCost {
            time: self.waited,
            size: memory.map_or(Size::from_bytes(0), |(_, size)| size),
        };
        // only the next decision is a little worse without it
        let _ = host.db.note_checkpoint_cost(&context.stage.key, &cost);
        let Plan {
            step,
            fingerprint,
            ref identity,
        } = self.plan;
        let checkpoint = StepCheckpoint {
            step,
            fingerprint,
            identity: identity.clone(),
            machine: machine.clone(),
            memory: memory.map(|(digest, _)| digest),
            drives: self.drives,
            met: self.met.take(),
        };
        Ok(Taken {
            machine,
            checkpoint: Some(checkpoint),
        })
    }
}

/// Why the store's quota allows no checkpoint, as far as that is known before it is taken.
fn no_room(host: &Host, stage: &StageKey) -> Option<String> {
    let expected = host.db.checkpoint_cost(stage);
    let expected = expected.map_or(1, |cost| cost.size.bytes().max(1));
    beyond(&host.store, expected)
}

fn beyond(store: &Store, bytes: u64) -> Option<String> {
    // a store that cannot be listed says so where it matters
    let room = store.room().ok()??;
    let quota = store.quota()?;
    (room.bytes() < bytes).then(|| {
        let size = Size::from_bytes(bytes);
        format!(
            "FORGE_CACHE_QUOTA is {quota}, which leaves {room} for the {size} of a running machine"
        )
    })
}

/// Puts a checkpoint away. Blocking.
pub(super) fn put(
    store: &Store,
    taken: &Checkpoint,
    below: &MachineState,
) -> Result<Stored, StoreError> {
    let machine = machine::keep_layers(store, &taken.at_rest, below)?;
    let memory = match &taken.memory {
        Some(file) => put_memory(store, file).map(Some),
        None => Ok(None),
    };
    Ok(Stored { machine, memory })
}

fn put_memory(store: &Store, file: &Path) -> Result<(Digest, Size), String> {
    let size = std::fs::metadata(file).map(|meta| meta.len());
    let put = match size.map(|size| beyond(store, size)) {
        Ok(Some(why)) => Err(why),
        Ok(None) => store
            .put_file(file, Put::Move)
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if put.is_err() {
        let _ = crate::sys::fs::remove(file);
    }
    put.map(|stored| (stored.digest, stored.size))
}

/// Where the guest of a machine on a server is: without knowing it one would wait until the server tells it anew. Asked
/// before the machine is kept: Linux makes up a boot's id when it is read for the first time.
async fn met(guest: &Guest, machine: &MachineState, cancel: &Cancel) -> Option<Met> {
    machine.remote.as_ref()?;
    let boot_id = guest.this_boot(cancel).await.ok()?;
    let address = guest.target().addr;
    Some(Met { address, boot_id })
}

/// Has the checkpoint stand in the place of an older one after the same step.
pub(super) fn record(host: &Host, context: &StageContext, checkpoint: &StepCheckpoint) {
    match host.db.put_checkpoint(&context.stage.key, checkpoint) {
        Ok(Some(old)) if old.machine.remote.is_some() => super::remote::discard(host, context, old),
        Ok(Some(old)) => {
            // goes at the end of the run, unless something else needs it
            let _ = host.store.doom(old.digests());
        }
        Ok(None) => {}
        Err(error) => context.output.warn(format!("no checkpoint: {error}")),
    }
}

/// What turns a system off and does nothing else: a machine that is gone on from has not run it.
const TURNS_OFF: &str = r"^\s*(sudo\s+)?(/\S*/)?(shutdown|poweroff|halt|systemctl\s+(poweroff|halt)|init\s+0)(\s+[\w+-]+)*\s*$";

/// A machine whose stage is done but for turning it off.
pub(super) struct Finished<'a> {
    /// Whether it is kept as it runs before.
    pub(super) policy: Checkpointing,
    pub(super) provider: &'a dyn Provider,
    pub(super) hardware: &'a crate::model::Hardware,
    /// What its disks are laid over.
    pub(super) below: MachineState,
    /// The steps that were done.
    pub(super) step: usize,
    /// The command that turns it off.
    pub(super) shutdown: Option<&'a str>,
    /// Install media are in its drives.
    pub(super) media: bool,
}

/// Turns a machine off: it is what the stage leaves.
pub(super) async fn finish(
    host: &Host,
    context: &StageContext,
    (mut session, guest): (Session, Guest),
    finished: Finished<'_>,
) -> Result<MachineState, ExecError> {
    let taking = keep_finished(host, context, &mut session, &guest, &finished).await?;
    let at_rest = session.turn_off(guest, finished.shutdown).await?;
    let (mut below, mut kept) = (finished.below, None);
    if let Some(mut taking) = taking {
        let taken = taking.settle(host, context).await?;
        (below, kept) = (taken.machine, taken.checkpoint);
    }
    let machine = MachineState {
        hardware: finished.hardware.clone(),
        ..session.keep(host, &at_rest, &below)?
    };
    if let Some(checkpoint) = kept {
        // what it is found by is what the machine has become at rest
        let fingerprint = machine.lineage();
        let checkpoint = StepCheckpoint {
            fingerprint,
            ..checkpoint
        };
        record(host, context, &checkpoint);
        context.output.note("checkpoint of the running machine");
    }
    Ok(machine)
}

/// Keeps a machine as it runs before it is turned off: a later `provision` goes on from there instead of booting what this
/// stage has left.
async fn keep_finished(
    host: &Host,
    context: &StageContext,
    session: &mut Session,
    guest: &Guest,
    finished: &Finished<'_>,
) -> Result<Option<Taking>, ExecError> {
    let plain = |command| regex::Regex::new(TURNS_OFF).is_ok_and(|off| off.is_match(command));
    let provider = finished.provider;
    let never = finished.policy == Checkpointing::Never || !provider.keeps_finished();
    if never || !finished.shutdown.is_none_or(plain) {
        return Ok(None);
    }
    let Some(identity) = provider.checkpoint_identity(finished.hardware).await else {
        return Ok(None);
    };
    // files that the guest remembers would only be carried about
    let forget = Exec {
        timeout: Some(Duration::from_secs(60)),
        ..Exec::new("sync; echo 1 2>/dev/null >/proc/sys/vm/drop_caches || true")
    };
    let forgotten = guest.run(&forget, &mut |_, _| {}, &context.cancel).await;
    let ejected = match finished.media {
        true => session.eject().await,
        false => Ok(()),
    };
    let skipped = match (forgotten, ejected) {
        (Err(GuestError::Cancelled), _) | (_, Err(ExecError::Cancelled)) => {
            return Err(ExecError::Cancelled);
        }
        (Err(error), _) => error.to_string(),
        (_, Err(ExecError::Failed(failure))) => failure.message,
        (Ok(_), Ok(())) => {
            let plan = Plan {
                step: finished.step,
                // that of what the machine becomes at rest, which is not there yet
                fingerprint: Digest::of(b""),
                identity,
            };
            return take(host, context, session, guest, &finished.below, plan).await;
        }
    };
    context.output.warn(format!("no checkpoint: {skipped}"));
    Ok(None)
}

/// The stages whose machine another `provision` goes on from: it is worth keeping as it runs.
pub fn continued(project: &crate::model::Project) -> std::collections::BTreeSet<StageKey> {
    use crate::model::StageKind;
    let provisions = project.stages.iter();
    let provisions =
        provisions.filter(|stage| matches!(stage.kind, StageKind::Provision(Provision { .. })));
    provisions
        .filter_map(|stage| {
            let mut from = stage.from.as_ref()?;
            // a clone is the same machine
            while let Some(stage) = project.stage(from)
                && let (StageKind::Clone(_), Some(next)) = (&stage.kind, &stage.from)
            {
                from = next;
            }
            Some(from.clone())
        })
        .collect()
}
