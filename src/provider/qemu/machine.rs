//! A running QEMU: its process, its control socket, its screen and its end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::img::Img;
use super::qmp::{Qmp, QmpError};
use super::screen::{self, Cells};
use super::typing::{self, Console};
use super::{devices, live, look};
use crate::model::{Drives, Duration, Keys, Size};
use crate::provider::{
    Address, AtRest, Checkpoint, DiskFile, Machine, ProviderError, Screen, Sight, Typing,
    fingerprint,
};
use crate::sys::{Cancel, Scratch, process};

/// How long QEMU may take to write back what it holds and end. Some never do: one whose guest writes to its UEFI
/// variables at that moment waits for itself (a processor's thread holds the lock that the write's end needs).
const QUIT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// How long QEMU may take to answer; it does so within milliseconds, unless it hangs.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(60);

/// A disk of a running machine.
pub(super) struct Drive {
    /// Its size as the guest sees it.
    pub(super) size: Size,
    /// The name of the block node that is written to.
    pub(super) node: String,
    /// The layers that have not been handed out, the lowest first; the last one is written to.
    pub(super) layers: Vec<PathBuf>,
}

/// A machine under QEMU.
pub(super) struct QemuMachine {
    pub(super) group: process::Group,
    pub(super) qmp: Qmp,
    pub(super) work: PathBuf,
    /// Marks its helpers.
    pub(super) run_id: String,
    pub(super) serial: PathBuf,
    pub(super) disks: Vec<Drive>,
    /// The path of the control socket; others of the machine stand beside it.
    pub(super) control: PathBuf,
    /// How many checkpoints have been begun.
    pub(super) checkpoints: usize,
    pub(super) nvram: Option<PathBuf>,
    /// Drives for removable media.
    pub(super) drives: Drives,
    pub(super) ssh: Option<SocketAddr>,
    pub(super) cancel: Cancel,
    /// Removes the directory of the control socket when that is not in `work`.
    pub(super) _socket: Option<Scratch>,
}

impl QemuMachine {
    /// The error of a command: when QEMU has gone, why.
    pub(super) async fn explain(&mut self, error: QmpError) -> ProviderError {
        match error {
            QmpError::Refused { .. } => ProviderError::Failed(error.to_string()),
            QmpError::Closed => match self.group.wait().await {
                Ok(status) => match self.ended(status) {
                    Ok(()) => ProviderError::Gone("the machine turned itself off".to_owned()),
                    Err(error) => error,
                },
                Err(e) => ProviderError::Gone(format!("qemu has ended: {e}")),
            },
        }
    }

    pub(super) async fn command(
        &mut self,
        command: &str,
        arguments: Value,
    ) -> Result<Value, ProviderError> {
        let cancel = self.cancel.clone();
        let answer = tokio::time::timeout(ANSWER, self.qmp.execute(command, arguments));
        match cancel.run(answer).await {
            None => Err(ProviderError::Cancelled),
            Some(Ok(Ok(value))) => Ok(value),
            Some(Ok(Err(error))) => Err(self.explain(error).await),
            Some(Err(_)) => Err(self.hung(command).await),
        }
    }

    /// A QEMU that does not answer is of no use any more: it is ended.
    async fn hung(&mut self, command: &str) -> ProviderError {
        let _ = self.group.stop(std::time::Duration::ZERO).await;
        let seconds = ANSWER.as_secs();
        ProviderError::Gone(format!(
            "qemu did not answer `{command}` within {seconds}s and was ended"
        ))
    }

    /// Whether QEMU's end was the guest turning itself off, and not a crash.
    fn ended(&self, status: ExitStatus) -> Result<(), ProviderError> {
        let reason = self.qmp.seen().shutdown;
        let orderly = matches!(
            reason.as_deref(),
            Some("guest-shutdown" | "guest-reset" | "host-qmp-quit" | "host-ui")
        );
        if orderly && status.success() {
            return Ok(());
        }
        let log = super::log_tail(&self.work);
        let why = reason.map_or(String::new(), |reason| format!(" ({reason})"));
        Err(ProviderError::Gone(format!(
            "qemu crashed: {status}{why}{log}"
        )))
    }

    /// Has QEMU end, by force if it does not: `None` then.
    async fn quit(&mut self) -> Result<Option<ExitStatus>, ProviderError> {
        let deadline = tokio::time::Instant::now() + QUIT_PATIENCE;
        if matches!(self.group.child.try_wait(), Ok(None)) {
            // an answer is not waited for: QEMU may close the socket before it
            let quit = self.qmp.execute("quit", Value::Null);
            let _ = tokio::time::timeout_at(deadline, quit).await;
        }
        let gone = |e: std::io::Error| ProviderError::Gone(e.to_string());
        let status = match tokio::time::timeout_at(deadline, self.group.wait()).await {
            Ok(status) => Some(status.map_err(gone)?),
            Err(_) => {
                let no_grace = std::time::Duration::ZERO;
                self.group.stop(no_grace).await.map_err(gone)?;
                None
            }
        };
        self.qmp.wait(|seen| seen.closed).await;
        Ok(status)
    }

    /// A QEMU that was killed has not written back its tables: what the guest had flushed is there, and space that
    /// nothing leads to is given back. Disks that are worse off are an error.
    async fn mend_disks(&self) -> Result<(), ProviderError> {
        let img = Img::locate(&self.run_id)?;
        for layer in self.disks.iter().flat_map(|disk| &disk.layers) {
            img.mend(layer).await?;
        }
        Ok(())
    }

    async fn window(&mut self) -> Result<Vec<u8>, ProviderError> {
        let file = self.work.join("screen.bin");
        let arguments = json!({ "val": screen::ADDRESS, "size": screen::SIZE, "filename": file });
        self.command("pmemsave", arguments).await?;
        std::fs::read(&file).map_err(|source| ProviderError::Io { path: file, source })
    }

    async fn dump(&mut self, to: &Path, format: Option<&str>) -> Result<(), ProviderError> {
        let mut arguments = json!({ "filename": to });
        if let Some(format) = format {
            arguments["format"] = format.into();
        }
        self.command("screendump", arguments).await.map(drop)
    }
}

#[async_trait]
impl Console for QemuMachine {
    async fn cells(&mut self) -> Result<Option<(Cells, u64)>, ProviderError> {
        let window = self.window().await?;
        let fingerprint = fingerprint(&window);
        Ok(Cells::decode(&window).map(|cells| (cells, fingerprint)))
    }

    async fn send(&mut self, events: &[typing::KeyEvent]) -> Result<(), ProviderError> {
        let events: Vec<_> = events
            .iter()
            .map(|event| {
                let key = json!({ "type": "qcode", "data": event.qcode });
                json!({ "type": "key", "data": { "down": event.down, "key": key } })
            })
            .collect();
        self.command("input-send-event", json!({ "events": events }))
            .await
            .map(drop)
    }

    async fn pause(&mut self, time: std::time::Duration) -> Result<(), ProviderError> {
        self.cancel
            .run(tokio::time::sleep(time))
            .await
            .ok_or(ProviderError::Cancelled)
    }
}

#[async_trait]
impl Machine for QemuMachine {
    async fn type_keys(&mut self, keys: &Keys, typing: &Typing) -> Result<(), ProviderError> {
        typing::play(self, keys, typing).await
    }

    async fn screen(&mut self) -> Result<Screen, ProviderError> {
        if let Some((cells, fingerprint)) = self.cells().await? {
            return Ok(Screen {
                text: Some(cells.text()),
                fingerprint,
            });
        }
        let file = self.work.join("screen.ppm");
        self.dump(&file, None).await?;
        let picture =
            std::fs::read(&file).map_err(|source| ProviderError::Io { path: file, source })?;
        Ok(Screen {
            text: None,
            fingerprint: fingerprint(&picture),
        })
    }

    async fn screenshot(&mut self, to: &Path) -> Result<(), ProviderError> {
        match self.dump(to, Some("png")).await {
            // before 7.1 QEMU only writes PPM
            Err(ProviderError::Failed(_)) => {
                let file = self.work.join("screen.ppm");
                self.dump(&file, None).await?;
                screen::ppm_to_png(&file, to)
            }
            other => other,
        }
    }

    fn addresses(&mut self) -> watch::Receiver<Address> {
        let seen = match self.ssh {
            Some(address) => format!("port {} of this host", address.port()),
            None => "the machine has no network adapter for ssh".to_owned(),
        };
        // it never changes
        watch::Sender::new(Address {
            ssh: self.ssh,
            seen,
        })
        .subscribe()
    }

    fn sight(&self) -> Sight {
        Sight {
            control: Some(look::control(&self.control)),
            serial: Some(look::line(&self.control)),
            serial_log: Some(self.serial.clone()),
            ..Sight::default()
        }
    }

    fn serial_log(&self) -> Option<&Path> {
        Some(&self.serial)
    }

    async fn power_button(&mut self) -> Result<(), ProviderError> {
        self.command("system_powerdown", Value::Null)
            .await
            .map(drop)
    }

    async fn wait_off(&mut self, timeout: Duration) -> Result<(), ProviderError> {
        let cancel = self.cancel.clone();
        let end = tokio::time::timeout(timeout.std(), self.group.wait());
        let status = match cancel.run(end).await {
            None => return Err(ProviderError::Cancelled),
            Some(Err(_)) => {
                return Err(ProviderError::Timeout(format!(
                    "the machine was still on after {timeout}"
                )));
            }
            Some(Ok(status)) => status.map_err(|e| ProviderError::Gone(e.to_string()))?,
        };
        self.qmp.wait(|seen| seen.closed).await;
        self.ended(status)
    }

    fn is_on(&mut self) -> bool {
        matches!(self.group.child.try_wait(), Ok(None))
    }

    async fn trouble(&mut self) -> ProviderError {
        let seen = self.qmp.wait(|seen| seen.stopped.is_some()).await;
        let Some(reason) = seen.stopped else {
            // QEMU has ended: that is told elsewhere
            return std::future::pending().await;
        };
        ProviderError::Environment {
            message: format!(
                "qemu stopped the guest, whose disks lie in {}: {reason}",
                self.work.display()
            ),
            help: "make room, for example with `forge cache gc`, or set FORGE_CACHE_DIR to a place with more".to_owned(),
        }
    }

    fn resets(&self) -> Option<u64> {
        Some(self.qmp.seen().resets)
    }

    async fn eject(&mut self) -> Result<Drives, ProviderError> {
        let cds = (0..self.drives.cds).map(devices::cd);
        let floppy = self.drives.floppy.then(|| devices::FLOPPY.to_owned());
        for drive in cds.chain(floppy) {
            let arguments = json!({ "id": drive, "force": true });
            self.command("blockdev-open-tray", arguments).await?;
            for command in ["blockdev-remove-medium", "blockdev-close-tray"] {
                self.command(command, json!({ "id": drive })).await?;
            }
        }
        Ok(self.drives)
    }

    async fn checkpoint(&mut self) -> Result<Checkpoint, ProviderError> {
        live::checkpoint(self).await
    }

    async fn finish(mut self: Box<Self>) -> Result<AtRest, ProviderError> {
        match self.quit().await? {
            Some(status) => self.ended(status)?,
            None => self.mend_disks().await?,
        }
        let disks = self.disks.iter().map(|disk| DiskFile {
            layers: disk.layers.clone(),
        });
        Ok(AtRest {
            remote: None,
            disks: disks.collect(),
            nvram: self.nvram.clone(),
        })
    }
}
