//! A machine from power-on to a login, and back to rest.
//!
//! ```text
//! Session::launch ─▶ (boot keys) ─▶ Session::login ─▶ work ─▶ Session::turn_off ─▶ layers in the store
//!        └───────────── dropped anywhere: the machine and its files are gone ─────────────┘
//! ```
//!
//! While a login is awaited the machine is watched: when the screen, the serial line and the disks all stand still for
//! long, waiting on is pointless, and the failure says what stands there.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Host;
use super::failure::{failure, io};
use super::running;
use super::shutdown::turn_off;
use super::start::Start;
use super::watch::{Stillness, newest_change};
use crate::engine::{ExecError, Output, StageContext, StageFailure};
use crate::guest::{Guest, GuestError, SshTarget};
use crate::model::{self, DiskState, Drives, MachineState};
use crate::provider::{Address, AtRest, Checkpoint, Machine, Mark, ProviderError};
use crate::store::{Put, Staging, Store, StoreError};
use crate::sys::{Cancel, Entry, Guard};

/// How long screen, serial line and disks may stand still while a login is awaited.
const STALL: Duration = Duration::from_secs(180);

/// How often the machine is looked at.
const WATCH: Duration = Duration::from_secs(2);

/// A running machine and all that must vanish with it.
pub struct Session {
    _seen: running::Line,
    pub(super) machine: Option<Box<dyn Machine>>,
    pub(super) hardware: model::Hardware,
    /// The drives for install media that a checkpoint has to name.
    pub(super) drives: Drives,
    // fields drop in order: what others see of it, the machine, its files, then its line in the journal
    staging: Staging,
    _entry: Guard,
    pub(super) output: Output,
    pub(super) cancel: Cancel,
    diagnostics: PathBuf,
}

impl Session {
    /// Starts a machine.
    pub(crate) async fn launch(
        host: &Host,
        context: &StageContext,
        start: Start<'_>,
    ) -> Result<Self, ExecError> {
        let output = &context.output;
        let resumes = start.memory.is_some() || start.resume;
        output.step(match resumes {
            true => "resuming the machine",
            false => "starting the machine",
        });
        if let Some(error) = start
            .provider
            .preflight(&start.hardware)
            .await
            .into_iter()
            .next()
        {
            return Err(error.into());
        }
        let mark = mark(host, context);
        if let Some(error) = start.provider.clash(&mark).await {
            return Err(error.into());
        }
        let staging = host.store.staging()?;
        let entry = Entry::of_paths(
            format!("machine of {}", context.stage.key),
            vec![
                staging.path().to_owned(),
                host.running.file(&context.stage.key),
            ],
        );
        let mut entry = host
            .journal
            .enter(entry)
            .map_err(|e| io("write", Path::new("the journal"), &e))?;
        // the staging area removes itself; the journal's line is for the case that forge is killed
        entry.keep_paths();
        let provider = Arc::clone(start.provider);
        let name = start.name.clone();
        let spec = start.spec(context.stage.key.slug(), mark, staging.path())?;
        let (drives, hardware) = (spec.empty, spec.hardware.clone());
        let launched = provider
            .launch(spec, Arc::clone(&host.journal), context.cancel.clone())
            .await?;
        output.note(&provider.describe().await);
        if let Some(link) = launched.console() {
            output.line(&format!("console: {link}"));
        }
        // nothing but `forge screenshot` and `forge console` misses it
        let seen = host
            .running
            .put(&context.stage.key, &name, launched.sight());
        Ok(Self {
            _seen: running::Line(seen.ok()),
            machine: Some(launched),
            hardware,
            drives,
            staging,
            _entry: entry,
            output: output.clone(),
            cancel: context.cancel.clone(),
            diagnostics: output.log_path().with_extension(""),
        })
    }

    /// The machine while it runs.
    pub(crate) fn machine(&mut self) -> Result<&mut Box<dyn Machine>, StageFailure> {
        self.machine
            .as_mut()
            .ok_or_else(|| failure("the machine has already been turned off"))
    }

    /// Waits until the guest can be logged in to, watching that the machine still does something.
    pub(crate) async fn login(
        &mut self,
        target: &(dyn Fn(SocketAddr) -> Result<SshTarget, StageFailure> + Sync),
        timeout: model::Duration,
        watch: &mut (dyn FnMut(Duration) -> Option<StageFailure> + Send),
    ) -> Result<Guest, ExecError> {
        self.output.step("waiting for ssh");
        let started = Instant::now();
        let deadline = started + timeout.std();
        let mut stillness = Stillness::new();
        let mut addresses = self.machine()?.addresses();
        loop {
            let address = addresses.borrow_and_update().clone();
            if !address.seen.is_empty() {
                self.output.note(&address.seen);
            }
            let reached = match address.ssh {
                Some(address) => Some(target(address)?),
                None => None,
            };
            let (output, cancel) = (self.output.clone(), self.cancel.clone());
            let note = move |text: &str| output.note(text);
            let connect = connect(reached.as_ref(), deadline, &cancel, &note);
            tokio::pin!(connect);
            let mut moves = addresses.clone();
            let moved = moved(&mut moves, address.ssh);
            tokio::pin!(moved);
            // one address; another one begins again
            loop {
                tokio::select! {
                    // a machine that is gone has no address either: say the former
                    biased;
                    connected = &mut connect => return match connected {
                        Some(Ok(guest)) => Ok(guest),
                        Some(Err(error)) => Err(self.no_login(error.into()).await),
                        None => {
                            let seen = addresses.borrow().seen.clone();
                            let error = failure(format!("the guest had no address within {timeout}: {seen}"));
                            Err(self.no_login(error.into()).await)
                        }
                    },
                    error = self.trouble() => return Err(self.evidence(error).await),
                    moved = &mut moved => match moved {
                        true => break,
                        false => return Err(failure(address.seen).into()),
                    },
                    () = tokio::time::sleep(WATCH) => {
                        let failed = match watch(started.elapsed()) {
                            Some(failure) => Some(failure),
                            None => self.stalled(&mut stillness).await?,
                        };
                        if let Some(failure) = failed {
                            return Err(self.diagnose(failure.into()).await);
                        }
                    }
                }
            }
        }
    }

    async fn no_login(&mut self, error: ExecError) -> ExecError {
        let mut failed = self.diagnose(error).await;
        if let ExecError::Failed(failure) = &mut failed {
            failure.step = Some("waiting for ssh".into());
        }
        failed
    }

    /// Returns when the guest has been stopped because of what is wrong on the host.
    pub(crate) async fn trouble(&mut self) -> ExecError {
        match self.machine.as_mut() {
            Some(machine) => machine.trouble().await.into(),
            None => std::future::pending().await,
        }
    }

    async fn stalled(
        &mut self,
        stillness: &mut Stillness,
    ) -> Result<Option<StageFailure>, ExecError> {
        let work = self.staging.path().join("machine");
        let machine = self.machine()?;
        if !machine.is_on() {
            return Ok(Some(failure(
                "the machine turned itself off before it could be logged in to",
            )));
        }
        let Ok(screen) = machine.screen().await else {
            return Ok(None);
        };
        let still = stillness.observe((
            screen.fingerprint,
            newest_change(&work, machine.serial_log()),
        ));
        Ok((still >= STALL).then(|| {
            failure(format!(
                "the machine has stood still for {}: nothing new on the screen, the serial line or the disks",
                model::Duration::from(STALL)
            ))
        }))
    }

    /// Adds to a failure what can be seen of the machine: a screenshot with its text, and the serial log.
    pub(crate) async fn diagnose(&mut self, error: ExecError) -> ExecError {
        let ExecError::Failed(mut failure) = self.evidence(error).await else {
            return ExecError::Cancelled;
        };
        let Some(machine) = self.machine.as_mut() else {
            return ExecError::Failed(failure);
        };
        if let Ok(screen) = machine.screen().await
            && let Some(text) = screen.text
        {
            let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
            let shown = lines.iter().skip(lines.len().saturating_sub(20));
            failure.tail = shown
                .map(|line| self.output.redact(&format!("screen: {line}")))
                .collect();
        }
        ExecError::Failed(failure)
    }

    /// Adds to a failure a screenshot and the serial log, where there are any.
    pub(crate) async fn evidence(&mut self, error: ExecError) -> ExecError {
        let ExecError::Failed(mut failure) = error else {
            return error;
        };
        let Some(machine) = self.machine.as_mut() else {
            return ExecError::Failed(failure);
        };
        let picture = self.diagnostics.with_extension("png");
        if machine.is_on() && machine.screenshot(&picture).await.is_ok() {
            failure.screenshot = Some(picture);
        }
        if let Some(serial) = machine.serial_log() {
            let kept = self.diagnostics.with_extension("serial.log");
            if std::fs::copy(serial, &kept).is_ok_and(|size| size > 0) {
                failure
                    .help
                    .push(format!("the serial console's log: {}", kept.display()));
            }
        }
        ExecError::Failed(failure)
    }

    /// Turns the guest off by `command`, or by the power button; what is left are its files.
    pub(crate) async fn turn_off(
        &mut self,
        guest: Guest,
        command: Option<&str>,
    ) -> Result<AtRest, ExecError> {
        self.output.step("shutting down");
        let cancel = self.cancel.clone();
        let machine = self.machine()?;
        let off = turn_off(machine, &guest, command, &cancel).await;
        drop(guest);
        if let Err(error) = off {
            return Err(self.diagnose(error).await);
        }
        let machine = self
            .machine
            .take()
            .ok_or_else(|| failure("the machine has already been turned off"))?;
        Ok(machine.finish().await?)
    }

    /// Puts the disks of the machine, which is off, into the store as new layers over `below`.
    pub(crate) fn keep(
        self,
        host: &Host,
        at_rest: &AtRest,
        below: &MachineState,
    ) -> Result<MachineState, ExecError> {
        self.output.step("keeping the disks");
        Ok(keep_layers(&host.store, at_rest, below)?)
    }

    /// Takes the install media out.
    pub(crate) async fn eject(&mut self) -> Result<(), ExecError> {
        self.drives = self.machine()?.eject().await?;
        Ok(())
    }

    /// Stops the machine for a moment and takes its state: disks and memory, in files of its own. It runs on. Where there is
    /// only a reason instead, it is as it was. An error is one of the machine itself.
    pub(crate) async fn checkpoint(&mut self) -> Result<Result<Checkpoint, String>, ExecError> {
        let work = self.staging.path().to_owned();
        let memory = self.hardware.memory;
        if crate::sys::fs::free_space(&work).is_ok_and(|free| free < memory.bytes()) {
            let why = format!("less than {memory} are free at {}", work.display());
            return Ok(Err(why));
        }
        match self.machine()?.checkpoint().await {
            Ok(taken) => Ok(Ok(taken)),
            Err(
                error @ (ProviderError::Failed(_)
                | ProviderError::Broken { .. }
                | ProviderError::Io { .. }),
            ) => Ok(Err(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// Throws the machine away.
    pub(crate) fn destroy(self) {
        drop(self);
    }
}

/// What is written on the machine of a running stage.
fn mark(host: &Host, context: &StageContext) -> Mark {
    Mark {
        fingerprint: context.ingredients.fingerprint().hex(),
        ..super::remote::mark(host, &context.stage)
    }
}

/// Logs in; `None` when the deadline came before an address.
async fn connect(
    target: Option<&SshTarget>,
    deadline: Instant,
    cancel: &Cancel,
    note: &(dyn Fn(&str) + Send + Sync),
) -> Option<Result<Guest, GuestError>> {
    if let Some(target) = target {
        return Some(Guest::connect(target, deadline, cancel, note).await);
    }
    let time = tokio::time::sleep_until(deadline.into());
    match cancel.run(time).await {
        Some(()) => None,
        None => Some(Err(GuestError::Cancelled)),
    }
}

/// Returns when the guest has another address (true), or will never have one (false).
async fn moved(addresses: &mut watch::Receiver<Address>, from: Option<SocketAddr>) -> bool {
    let known = addresses
        .wait_for(|address| address.ssh != from)
        .await
        .is_ok();
    if !known && from.is_some() {
        return std::future::pending().await;
    }
    known
}

/// Puts a machine's layers into the store, over those `below`. Blocking.
pub(super) fn keep_layers(
    store: &Store,
    at_rest: &AtRest,
    below: &MachineState,
) -> Result<MachineState, StoreError> {
    let put = |path: &Path| store.put_file(path, Put::Move);
    let mut disks = Vec::new();
    for (index, disk) in at_rest.disks.iter().enumerate() {
        let known = below.disks.get(index);
        let mut layers = known.map(|disk| disk.layers.clone()).unwrap_or_default();
        for layer in &disk.layers {
            layers.push(put(layer)?.digest);
        }
        disks.push(DiskState { layers });
    }
    let nvram = at_rest
        .nvram
        .as_deref()
        .map(put)
        .transpose()?
        .map(|file| file.digest);
    Ok(MachineState {
        disks,
        nvram: nvram.or(below.nvram),
        remote: at_rest.remote.clone(),
        ..below.clone()
    })
}
