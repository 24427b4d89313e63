//! Keeping a machine that no record refers to: one whose stage has failed, or one that somebody wants to come back to.
//!
//! It is kept as it runs where that can be (disks and memory: no process is left that somebody would have to end), else its
//! disks are.

use super::Host;
use super::OnError;
use super::failure::failure;
use super::machine::{self, Session};
use super::taking;
use crate::engine::{ExecError, StageFailure};
use crate::model::{MachineState, StageKey};
use crate::store::StepCheckpoint;

/// The number of the step after which a kept machine's checkpoint is written down: no stage has so many.
const KEPT: usize = i64::MAX as usize;

impl Session {
    /// The stage has failed: keeps the machine if the run was asked to. `decided` is what somebody has answered already.
    pub(crate) async fn abandon(
        self,
        host: &Host,
        stage: &StageKey,
        below: &MachineState,
        error: ExecError,
        decided: Option<OnError>,
    ) -> ExecError {
        let ExecError::Failed(mut failure) = error else {
            return error;
        };
        let name = &stage.name;
        let wanted = match decided.unwrap_or(host.on_error) {
            OnError::Ask => super::attended::fate(host, stage, &failure, &self.cancel).await,
            wanted => wanted,
        };
        if wanted == OnError::Cleanup {
            failure.help.push(format!("`forge run --on-error keep {name}` keeps the failed machine; `forge ssh {name}` enters it"));
            return ExecError::Failed(failure);
        }
        let output = self.output.clone();
        match self.keep_for_later(host, stage, below).await {
            Ok(state) => {
                super::remote::publish_failed(host, stage, &state, &output).await;
                failure.help.push(format!(
                    "the failed machine is kept: `forge ssh {name}` enters it, `forge clean {name}` removes it"
                ));
            }
            Err(ExecError::Cancelled) => return ExecError::Cancelled,
            Err(ExecError::Failed(why)) => output.warn(format!(
                "the failed machine could not be kept: {}",
                why.message
            )),
        }
        ExecError::Failed(failure)
    }

    /// Keeps the machine, in the place of one that was kept for the stage before; it runs no longer then.
    pub(super) async fn keep_for_later(
        mut self,
        host: &Host,
        stage: &StageKey,
        below: &MachineState,
    ) -> Result<MachineState, ExecError> {
        let (state, checkpoint) = self.state_to_keep(host, below).await?;
        discard_kept(host, stage).await?;
        host.kept
            .put(stage, &state)
            .map_err(|e| failure(format!("cannot write down the kept machine: {e}")))?;
        if let Some(checkpoint) = checkpoint {
            // without it the machine is started from its disks
            let _ = host.db.put_checkpoint(stage, &checkpoint);
        }
        Ok(state)
    }

    /// The machine as it runs, with the checkpoint that it goes on from, or at rest.
    async fn state_to_keep(
        &mut self,
        host: &Host,
        below: &MachineState,
    ) -> Result<(MachineState, Option<StepCheckpoint>), ExecError> {
        let mut below = MachineState {
            hardware: self.hardware.clone(),
            ..below.clone()
        };
        let provider = host.provider(&below.provider)?;
        let is_on = self.machine.as_mut().is_some_and(|machine| machine.is_on());
        let identity = match is_on && !provider.on_server() {
            true => provider.checkpoint_identity(&self.hardware).await,
            false => None,
        };
        if let Some(identity) = identity {
            // no step of its own: what the failure is about stays the last one
            self.output.note("keeping the running machine");
            match self.checkpoint().await? {
                Ok(taken) => {
                    // what has been put away is below what the machine writes from now on
                    let stored = taking::put(&host.store, &taken, &below)?;
                    below = stored.machine;
                    match stored.memory {
                        Ok(memory) => {
                            let checkpoint = StepCheckpoint {
                                step: KEPT,
                                fingerprint: below.lineage(),
                                identity,
                                machine: below.clone(),
                                memory: memory.map(|(digest, _)| digest),
                                drives: self.drives,
                                met: None,
                            };
                            return Ok((below, Some(checkpoint)));
                        }
                        Err(why) => self.output.note(&format!("only its disks are kept: {why}")),
                    }
                }
                Err(why) => self.output.note(&format!("only its disks are kept: {why}")),
            }
        }
        let machine = self.machine.take();
        let machine = machine.ok_or_else(|| failure("the machine is gone"))?;
        let at_rest = machine.finish().await?;
        let state = machine::keep_layers(&host.store, &at_rest, &below)?;
        Ok((state, None))
    }
}

/// Lets the machine go that is kept for a stage; tells whether there was one.
pub async fn discard_kept(host: &Host, stage: &StageKey) -> Result<bool, StageFailure> {
    let Some(state) = host.kept.get(stage) else {
        return Ok(false);
    };
    let (_, wrong) = super::remove_machines(host, stage, std::slice::from_ref(&state)).await;
    if let Some(error) = wrong.into_iter().next() {
        return Err(failure(format!(
            "the kept machine could not be removed: {error}"
        )));
    }
    let fingerprint = state.lineage();
    if let Some(checkpoint) = host.db.checkpoint(stage, &fingerprint) {
        host.db.drop_checkpoint(&fingerprint)?;
        let _ = host.store.doom(checkpoint.digests());
    }
    host.kept
        .remove(stage)
        .map_err(|e| failure(format!("the kept machine could not be removed: {e}")))?;
    Ok(true)
}
