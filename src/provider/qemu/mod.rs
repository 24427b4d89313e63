//! QEMU on this machine: one process for each machine, controlled over QMP.
//!
//! Disks are qcow2 layers in the machine's work directory above layers of the store, which are opened read-only and named
//! one by one. The guest's SSH port is forwarded from a port of the loopback interface that the system chooses.

mod accel;
mod asked;
mod boot_probe;
mod devices;
mod echo;
mod files;
mod firmware;
pub mod img;
mod live;
mod look;
mod machine;
mod preflight;
mod qmp;
mod screen;
mod settings;
mod typing;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::OnceCell;

use self::asked::Question;
use self::devices::Invocation;
use self::firmware::Flash;
use self::machine::QemuMachine;
use self::qmp::{Qmp, QmpError};
pub use self::settings::{Accelerator, Settings, SettingsError};
use super::{LaunchSpec, Machine, Provider, ProviderError, Screen, Sight};
use crate::model::Hardware;
use crate::sys::{Cancel, Journal, Scratch, process};

/// How long QEMU may take to connect; under load its start has taken seconds.
const START_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
/// The system limits a socket's path to 108 bytes, some to 104.
const LONGEST_SOCKET_PATH: usize = 100;
/// Changes when the same hardware gets other devices, so that a guest may turn out differently.
const DEVICES_VERSION: &str = "1";

/// The provider `qemu`.
pub struct Qemu {
    settings: Settings,
    /// Where the answer about the accelerator is kept.
    cache: PathBuf,
    /// Where processes and files are written down that no machine's launch brings a journal for.
    journal: Arc<Journal>,
    choice: OnceCell<accel::Choice>,
    version: OnceCell<String>,
}

impl Qemu {
    /// QEMU with these settings; `cache` is forge's cache directory, `journal` is for helper processes.
    #[must_use]
    pub fn new(settings: Settings, cache: &Path, journal: Arc<Journal>) -> Self {
        Self {
            settings,
            cache: cache.to_owned(),
            journal,
            choice: OnceCell::new(),
            version: OnceCell::new(),
        }
    }

    /// The emulator's path.
    fn binary(&self) -> Result<PathBuf, ProviderError> {
        let missing = |message: String| ProviderError::Environment {
            message,
            help: img::INSTALL_HELP.to_owned(),
        };
        match &self.settings.binary {
            Some(path) if path.components().count() > 1 => path
                .is_file()
                .then(|| path.clone())
                .ok_or_else(|| missing(format!("there is no qemu at `{}`", path.display()))),
            named => {
                let name = named
                    .as_deref()
                    .and_then(Path::to_str)
                    .unwrap_or("qemu-system-x86_64");
                process::find_program(&[name])
                    .ok_or_else(|| missing(format!("`{name}` is not on the search path")))
            }
        }
    }

    /// What runs the guests; probed once.
    async fn choice(&self) -> Result<&accel::Choice, ProviderError> {
        let binary = self.binary()?;
        self.choice
            .get_or_try_init(|| {
                accel::choose(
                    self.settings.accelerator,
                    &binary,
                    &self.journal,
                    &self.cache,
                )
            })
            .await
    }

    /// What the emulator says of its version, in full: `QEMU emulator version 7.2.22 (Debian …)`; asked once.
    async fn version(&self) -> Result<&str, ProviderError> {
        let binary = self.binary()?;
        let version = self.version.get_or_try_init(|| async {
            match asked::remembered(&binary, &self.cache, Question::Version) {
                Some(known) => Ok(known),
                None => {
                    asked::ask(
                        &binary,
                        &self.cache,
                        Question::Version,
                        self.journal.run_id(),
                    )
                    .await
                }
            }
        });
        version.await.map(String::as_str)
    }

    /// The same for who cannot wait: QEMU is only asked if this is another one than the last time. Blocking.
    fn known_version(&self) -> Option<String> {
        if let Some(version) = self.version.get() {
            return Some(version.clone());
        }
        let binary = self.binary().ok()?;
        let question = Question::Version;
        let known = asked::remembered(&binary, &self.cache, question)
            .or_else(|| asked::ask_now(&binary, &self.cache, question, self.journal.run_id()))?;
        let _ = self.version.set(known.clone());
        Some(known)
    }

    /// What runs the guests, if no guest has to be started to find out.
    fn known_accelerator(&self) -> Option<String> {
        if let Some(choice) = self.choice.get() {
            return Some(choice.accelerator.clone());
        }
        let known = accel::known(self.settings.accelerator, &self.binary().ok()?, &self.cache)?;
        let _ = self.choice.set(known.clone());
        Some(known.accelerator)
    }

    /// The project's own UEFI firmware.
    fn own_flash(&self) -> Option<&Flash> {
        self.settings.flash.as_ref()
    }

    fn cpu(&self, accelerator: &str) -> &str {
        match (&self.settings.cpu, accelerator) {
            (Some(cpu), _) => cpu,
            (None, "kvm" | "hvf") => "host",
            // a tenth slower to boot than the plainest model, but that one lacks what RHEL 9 and its kin insist on
            (None, _) => "max",
        }
    }
}

#[async_trait]
impl Provider for Qemu {
    async fn preflight(&self, hardware: &Hardware) -> Vec<ProviderError> {
        preflight::check(self, hardware).await
    }

    fn identity(&self) -> Vec<(String, String)> {
        vec![("qemu.devices".to_owned(), DEVICES_VERSION.to_owned())]
    }

    async fn launch(
        &self,
        spec: LaunchSpec,
        journal: Arc<Journal>,
        cancel: Cancel,
    ) -> Result<Box<dyn Machine>, ProviderError> {
        let launch = start(self, &spec, &journal, cancel.clone());
        let machine = cancel
            .run(launch)
            .await
            .unwrap_or(Err(ProviderError::Cancelled))?;
        Ok(Box::new(machine))
    }

    async fn look(&self, sight: &Sight, png: &Path) -> Result<Screen, ProviderError> {
        look::look(sight, png).await
    }

    async fn vnc(&self, sight: &Sight) -> Result<String, ProviderError> {
        look::vnc(sight).await
    }

    async fn host_address(&self) -> Result<String, ProviderError> {
        // of QEMU's user network
        Ok("10.0.2.2".to_owned())
    }

    async fn checkpoint_identity(&self, hardware: &Hardware) -> Option<String> {
        live::identity(self, hardware).await
    }

    fn known_checkpoint_identity(&self, hardware: &Hardware) -> Option<String> {
        live::known_identity(self, hardware)
    }

    async fn describe(&self) -> String {
        let version = match self.version().await {
            Ok(version) => img::version_in(version),
            Err(error) => return format!("qemu: {error}"),
        };
        match self.choice().await {
            Ok(choice) if choice.reason.is_empty() => {
                format!("qemu {version}, {}", choice.accelerator)
            }
            Ok(choice) => format!("qemu {version}, {} ({})", choice.accelerator, choice.reason),
            Err(error) => format!("qemu {version}: {error}"),
        }
    }
}

/// The files of the CDs.
fn cds(spec: &LaunchSpec) -> Result<Vec<PathBuf>, ProviderError> {
    if let Some(place) = spec.cds.iter().find_map(|cd| cd.place.as_ref()) {
        return Err(ProviderError::Environment {
            message: format!("`{place}` is a place on a vSphere server, and QEMU cannot reach it"),
            help: "give a URL or a path, or build with a provider of type `vsphere`".to_owned(),
        });
    }
    Ok(spec.cds.iter().filter_map(|cd| cd.path.clone()).collect())
}

async fn start(
    qemu: &Qemu,
    spec: &LaunchSpec,
    journal: &Journal,
    cancel: Cancel,
) -> Result<QemuMachine, ProviderError> {
    let binary = qemu.binary()?;
    let memory = spec.memory.as_deref().map(live::Memory::unpack);
    let memory = memory.transpose()?;
    let choice = qemu.choice().await?;
    let disks = files::make_disks(spec, journal.run_id()).await?;
    let flash = files::make_flash(qemu, spec)?;
    let cds = cds(spec)?;
    let serial = spec.work.join("serial.log");
    let (listener, control, socket) = listen(&spec.work, journal)?;
    let line = devices::command_line(&Invocation {
        name: &spec.name,
        hardware: &spec.hardware,
        disks: &disks,
        cds: &cds,
        floppy: spec.floppy.as_deref(),
        drives: spec.drives(),
        flash: flash.as_ref(),
        accelerator: &choice.accelerator,
        cpu: qemu.cpu(&choice.accelerator),
        control: &control,
        sight: &look::control(&control),
        line: &look::line(&control),
        serial: &serial,
        incoming: spec.memory.is_some(),
    })?;
    let log = log_path(&spec.work);
    let output = std::fs::File::create(&log).map_err(|e| io_error(&log, e))?;
    let errors = output.try_clone().map_err(|e| io_error(&log, e))?;
    let mut command = process::command(&binary, journal.run_id());
    command.args(line).stdout(output).stderr(errors);
    let mut group = process::Group::spawn(&mut command).map_err(|e| io_error(&binary, e))?;
    let qmp = connect(&listener, &mut group, &spec.work).await?;
    let ssh = prepare(&qmp, spec).await;
    let mut machine = QemuMachine {
        group,
        qmp,
        work: spec.work.clone(),
        run_id: journal.run_id().to_owned(),
        serial,
        disks: files::drives(disks),
        control,
        checkpoints: 0,
        nvram: flash.map(|flash| flash.vars),
        drives: spec.drives(),
        ssh: None,
        cancel,
        _socket: socket,
    };
    match ssh {
        Ok(ssh) => machine.ssh = ssh,
        Err(error) => return Err(machine.explain(error).await),
    }
    match memory {
        Some(memory) => live::resume(&mut machine, memory).await?,
        None => machine.command("cont", Value::Null).await.map(drop)?,
    }
    Ok(machine)
}

/// Sets up what can only be set in a running QEMU, before the guest runs.
async fn prepare(qmp: &Qmp, spec: &LaunchSpec) -> Result<Option<SocketAddr>, QmpError> {
    let mut ssh = None;
    if !spec.hardware.nics.is_empty() {
        // the system picks a free port and QEMU holds it: nobody can take it in between
        let rule = format!("hostfwd_add net0 tcp:127.0.0.1:0-:{}", spec.ssh_port);
        let answer = qmp.human(&rule).await?;
        let networks = qmp.human("info usernet").await?;
        ssh = forwarded(&networks, spec.ssh_port);
        if ssh.is_none() {
            return Err(QmpError::Refused {
                command: rule,
                reason: answer.trim().to_owned(),
            });
        }
    }
    for (device, index) in devices::once_booted(spec.drives().cds) {
        let arguments = json!({
            "path": format!("/machine/peripheral/{device}"), "property": "bootindex", "value": index,
        });
        qmp.execute("qom-set", arguments).await?;
    }
    Ok(ssh)
}

/// The host's port for the guest's port `guest`, in what `info usernet` prints.
fn forwarded(networks: &str, guest: u16) -> Option<SocketAddr> {
    networks.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        words.find(|word| *word == "TCP[HOST_FORWARD]")?;
        let [_fd, address, port, _guest, to] = [(); 5].map(|()| words.next());
        if to?.parse() != Ok(guest) {
            return None;
        }
        let address: Ipv4Addr = address?.parse().ok()?;
        Some(SocketAddr::from((address, port?.parse().ok()?)))
    })
}

/// A socket that QEMU is to connect to; in a directory of its own when the path in `work` would be too long.
fn listen(
    work: &Path,
    journal: &Journal,
) -> Result<(UnixListener, PathBuf, Option<Scratch>), ProviderError> {
    let mut path = work.join("qmp.sock");
    let mut elsewhere = None;
    if path.as_os_str().len() > LONGEST_SOCKET_PATH {
        let dir = journal
            .scratch("a control socket")
            .map_err(|e| io_error(&std::env::temp_dir(), e))?;
        path = dir.path().join("qmp.sock");
        elsewhere = Some(dir);
    }
    let listener = UnixListener::bind(&path).map_err(|e| io_error(&path, e))?;
    Ok((listener, path, elsewhere))
}

async fn connect(
    listener: &UnixListener,
    group: &mut process::Group,
    work: &Path,
) -> Result<Qmp, ProviderError> {
    let failed =
        |why: String| ProviderError::Failed(format!("qemu did not start: {why}{}", log_tail(work)));
    let accept = async {
        let (stream, _) = listener.accept().await?;
        // QEMU connects before it looks at its disks: what it dislikes there closes the socket again
        Ok::<_, std::io::Error>(Qmp::start(stream).await)
    };
    let connected = tokio::select! {
        connected = tokio::time::timeout(START_PATIENCE, accept) => connected,
        status = group.wait() => return Err(failed(words(status))),
    };
    match connected {
        Ok(Ok(Ok(qmp))) => Ok(qmp),
        Ok(Ok(Err(QmpError::Closed))) => Err(failed(words(group.wait().await))),
        Ok(Ok(Err(error))) => Err(failed(error.to_string())),
        Ok(Err(error)) => Err(io_error(work, error)),
        Err(_) => Err(ProviderError::Timeout(format!(
            "qemu did not connect within {}s{}",
            START_PATIENCE.as_secs(),
            log_tail(work)
        ))),
    }
}

fn words(status: std::io::Result<std::process::ExitStatus>) -> String {
    status.map_or_else(|e| e.to_string(), |status| status.to_string())
}

fn log_path(work: &Path) -> PathBuf {
    work.join("qemu.log")
}

/// The last lines of what QEMU said, to be put behind a message.
fn log_tail(work: &Path) -> String {
    let text = std::fs::read(log_path(work)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let tail = &lines[lines.len().saturating_sub(5)..];
    match tail.is_empty() {
        true => String::new(),
        false => format!(": {}", tail.join("; ")),
    }
}

/// What a program prints on its standard output.
async fn output(program: &Path, arguments: &[&str], run_id: &str) -> Result<String, ProviderError> {
    let mut command = process::command(program, run_id);
    command
        .args(arguments)
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.map_err(|e| io_error(program, e))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn io_error(path: &Path, source: std::io::Error) -> ProviderError {
    ProviderError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
