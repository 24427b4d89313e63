//! Machines started and stopped.

use std::time::Duration;

use tokio::time::Instant;

use super::console::Question;
use super::{Client, Properties, Ref, VimError, Waiting};

/// How long a start may hang at a question: for ever.
const FOREVER: Duration = Duration::from_secs(7 * 24 * 3600);

impl Client {
    /// Starts a machine; `VirtualMachine.PowerOnVM_Task`. One that runs already is fine. A question that it asks meanwhile is
    /// a fault of the kind `Question`, with the question's text and choices; [`VimError::question`] gives it. The task goes
    /// on when it is answered.
    pub async fn power_on(&self, vm: &Ref, waiting: &Waiting<'_>) -> Result<(), VimError> {
        let task = self.start(vm, "PowerOnVM_Task", |_| {}, waiting).await?;
        let asks = |seen: &Properties| seen.get("runtime.question").and_then(Question::read);
        let deadline = Instant::now() + FOREVER;
        let question = async {
            match self
                .watch(vm, &["runtime.question"], deadline, waiting.cancel, asks)
                .await
            {
                Ok(question) => question,
                // The task's own end tells what is wrong.
                Err(_) => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            ended = self.finish(&task, waiting) => ended.map(drop),
            question = question => return Err(question.into_error(vm)),
        };
        fine_in(ended, "poweredOn")
    }

    /// Cuts a machine's power; `VirtualMachine.PowerOffVM_Task`. One that is off already is fine.
    pub async fn power_off(&self, vm: &Ref, waiting: &Waiting<'_>) -> Result<(), VimError> {
        let ended = self.task(vm, "PowerOffVM_Task", |_| {}, waiting).await;
        fine_in(ended.map(drop), "poweredOff")
    }

    /// Asks the guest to shut down, by VMware Tools; `VirtualMachine.ShutdownGuest`. Does not wait for it.
    pub async fn shutdown_guest(&self, vm: &Ref) -> Result<(), VimError> {
        self.call(vm, "ShutdownGuest", |_| {}).await.map(drop)
    }

    /// Presses a machine's reset button; `VirtualMachine.ResetVM_Task`.
    pub async fn reset(&self, vm: &Ref, waiting: &Waiting<'_>) -> Result<(), VimError> {
        self.task(vm, "ResetVM_Task", |_| {}, waiting)
            .await
            .map(drop)
    }
}

/// Forgives that a machine was in the wanted state before.
fn fine_in(ended: Result<(), VimError>, wanted: &str) -> Result<(), VimError> {
    match ended {
        Err(VimError::Fault(fault))
            if fault.kind == "InvalidPowerState"
                && fault.detail.text_of("existingState") == Some(wanted) =>
        {
            Ok(())
        }
        ended => ended,
    }
}
