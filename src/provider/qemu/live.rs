//! Checkpoints of running machines: the disks' layers are frozen and the memory goes to a file, and a new QEMU goes on
//! from both.
//!
//! ```text
//! stop ─▶ new layers on top (blockdev-snapshot) ─▶ memory to a socket of forge's (migrate) ─▶ cont
//! start with -incoming ─▶ memory from a socket (migrate-incoming) ─▶ cont
//! ```
//!
//! The memory passes through forge, which compresses it; pages of zeros take next to nothing. A snapshot inside the qcow2
//! file (`snapshot-save`) would put the memory into a layer that later ones and exports read, and could not be removed
//! without the disk.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::img::{self, Img};
use super::machine::QemuMachine;
use super::qmp::Seen;
use super::{Qemu, devices, io_error};
use crate::model::{Controller, Digest, Hardware};
use crate::provider::{AtRest, Checkpoint, DiskFile, ProviderError};

/// How long QEMU may take to connect to a socket, and to give up a transfer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the memory may take on its way: minutes for many gigabytes.
const TRANSFER: Duration = Duration::from_secs(900);
/// Bytes per second: as fast as it goes. QEMU's own limit is for networks.
const BANDWIDTH: u64 = 1 << 40;
/// Memory is written once and read seldom; higher levels cost more than they save.
const LEVEL: i32 = 1;
/// How much of a memory is passed on at once, and how many such blocks are unpacked ahead.
const BLOCK: usize = 1 << 20;
const AHEAD: usize = 64;

/// What must be the same for a checkpoint to be gone on from.
pub(super) async fn identity(qemu: &Qemu, hardware: &Hardware) -> Option<String> {
    let version = qemu.version().await.ok()?;
    let accelerator = &qemu.choice().await.ok()?.accelerator;
    identity_of(qemu, hardware, version, accelerator)
}

/// The same, if it is known without starting a guest.
pub(super) fn known_identity(qemu: &Qemu, hardware: &Hardware) -> Option<String> {
    let version = qemu.known_version()?;
    let accelerator = qemu.known_accelerator()?;
    identity_of(qemu, hardware, &version, &accelerator)
}

/// A list of the same things for every machine: a plan names those that are different.
fn identity_of(
    qemu: &Qemu,
    hardware: &Hardware,
    version: &str,
    accelerator: &str,
) -> Option<String> {
    let is_nvme = |disk: &crate::model::Disk| disk.controller == Controller::Nvme;
    if hardware.disks.iter().any(is_nvme) {
        // QEMU cannot save its NVMe controller
        return None;
    }
    let version = version.replace("QEMU emulator version", "QEMU");
    let version = version.replace(',', "");
    let cpu = qemu.cpu(accelerator);
    let chipset = devices::chipset(hardware);
    let devices = super::DEVICES_VERSION;
    let short = |text: &str| Digest::of(text.as_bytes()).short();
    let hardware = short(&format!("{hardware:?}"));
    let processor = match accelerator {
        "tcg" => "any".to_owned(),
        // what a guest is given also depends on this machine's
        _ => short(&processor()),
    };
    Some(format!(
        "{version}, {accelerator}, cpu {cpu}, processor {processor}, machine {chipset}, devices {devices}, hardware {hardware}"
    ))
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let lines = text.lines().take_while(|line| !line.is_empty());
    let said = lines.filter(|line| line.starts_with("model name") || line.starts_with("flags"));
    said.collect::<Vec<_>>().join("\n")
}

/// Takes a checkpoint; the guest stands still meanwhile.
pub(super) async fn checkpoint(machine: &mut QemuMachine) -> Result<Checkpoint, ProviderError> {
    machine.checkpoints += 1;
    machine.command("stop", Value::Null).await?;
    let taken = take(machine).await;
    // a guest that would stand still for ever is no machine any more
    let going_on = machine.command("cont", Value::Null).await;
    going_on.map_err(|error| match error {
        ProviderError::Failed(why) => ProviderError::Gone(why),
        other => other,
    })?;
    let (memory, nvram) = taken?;
    // the last one is the new top, which is written to
    let disks = machine.disks.iter_mut().map(|disk| {
        let top = disk.layers.split_off(disk.layers.len().saturating_sub(1));
        let layers = std::mem::replace(&mut disk.layers, top);
        DiskFile { layers }
    });
    let disks = disks.collect();
    Ok(Checkpoint {
        at_rest: AtRest {
            disks,
            nvram,
            remote: None,
        },
        memory: Some(memory),
    })
}

/// With the guest standing still: freezes the disks, copies the firmware's variables, saves the memory. Returns the memory
/// and the variables.
async fn take(machine: &mut QemuMachine) -> Result<(PathBuf, Option<PathBuf>), ProviderError> {
    let number = machine.checkpoints;
    freeze(machine, number).await?;
    let mut nvram = None;
    if let Some(vars) = &machine.nvram {
        let copy = machine.work.join(format!("efivars.{number}.fd"));
        std::fs::copy(vars, &copy).map_err(|e| io_error(vars, e))?;
        nvram = Some(copy);
    }
    let memory = machine.work.join(format!("memory.{number}.zst"));
    save(machine, &memory).await?;
    Ok((memory, nvram))
}

/// Puts a new layer on top of each disk.
async fn freeze(machine: &mut QemuMachine, number: usize) -> Result<(), ProviderError> {
    let img = Img::locate(&machine.run_id)?;
    for index in 0..machine.disks.len() {
        let disk = &machine.disks[index];
        let (old, size) = (disk.node.clone(), disk.size);
        let below = disk.layers.last().cloned();
        let node = format!("disk{index}-{number}");
        let top = machine.work.join(format!("disk{index}.{number}.qcow2"));
        let named = below.as_deref().map(|below| (below, "qcow2"));
        img.create(&top, size, named).await?;
        let layer = devices::writable(&node, &top, &Value::Null)?;
        machine.command("blockdev-add", layer).await?;
        let arguments = json!({ "node": old, "overlay": node });
        machine.command("blockdev-snapshot", arguments).await?;
        let disk = &mut machine.disks[index];
        disk.node = node;
        disk.layers.push(top);
    }
    Ok(())
}

/// Sends the memory and the devices' state to `file`, which is gone if that fails.
async fn save(machine: &mut QemuMachine, file: &Path) -> Result<(), ProviderError> {
    let saved = send(machine, file).await;
    if saved.is_err() {
        let _ = crate::sys::fs::remove(file);
    }
    saved
}

async fn send(machine: &mut QemuMachine, file: &Path) -> Result<(), ProviderError> {
    let socket = socket(machine)?;
    let listener = UnixListener::bind(&socket).map_err(|e| io_error(&socket, e))?;
    let to = private_file(file).map_err(|e| io_error(file, e))?;
    tell_events(machine).await?;
    let arguments = json!({ "max-bandwidth": BANDWIDTH });
    machine.command("migrate-set-parameters", arguments).await?;
    let before = machine.qmp.seen().migrations;
    let arguments = json!({ "uri": format!("unix:{}", img::utf8(&socket)?) });
    machine.command("migrate", arguments).await?;
    let stream = match tokio::time::timeout(PATIENCE, listener.accept()).await {
        Ok(Ok((stream, _))) => blocking(stream),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    match stream {
        Ok(stream) => {
            let writer = tokio::task::spawn_blocking(move || compress(stream, to));
            let transferred = transferred(machine, before).await;
            if transferred.is_err() {
                give_up(machine, before).await?;
            }
            // QEMU closes the stream when it has left the state in which `cont` is refused. A writer that has failed
            // says more (the disk is full) than QEMU, which only saw the stream close.
            let written = writer.await.map_err(io::Error::other);
            let written = written.and_then(|done| done);
            written.map_err(|e| io_error(file, e)).and(transferred)
        }
        Err(error) => {
            give_up(machine, before).await?;
            Err(io_error(&socket, error))
        }
    }
}

/// Ends a transfer that has failed, so that the guest is not stopped by its late end.
async fn give_up(machine: &mut QemuMachine, before: u64) -> Result<(), ProviderError> {
    machine.command("migrate_cancel", Value::Null).await?;
    let ended = machine
        .qmp
        .wait(|seen| seen.closed || seen.migrations > before);
    let ended = tokio::time::timeout(PATIENCE, ended).await;
    ended.map(drop).map_err(|_| {
        ProviderError::Gone("qemu does not give up the transfer of the memory".to_owned())
    })
}

/// A guest's memory holds what it was told in confidence.
fn private_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)
}

/// A checkpoint's memory on its way: it is unpacked ahead while QEMU starts.
pub(super) struct Memory {
    file: PathBuf,
    blocks: mpsc::Receiver<Vec<u8>>,
    reader: JoinHandle<io::Result<()>>,
}

impl Memory {
    /// Begins to read `file`; dropped, it ends.
    pub(super) fn unpack(file: &Path) -> Result<Self, ProviderError> {
        let from = File::open(file).map_err(|e| io_error(file, e))?;
        let (sender, blocks) = mpsc::sync_channel(AHEAD);
        Ok(Self {
            file: file.to_owned(),
            blocks,
            reader: tokio::task::spawn_blocking(move || decompress(from, &sender)),
        })
    }
}

/// Gives a QEMU that waits for its memory that of a checkpoint, and lets the guest go on.
pub(super) async fn resume(machine: &mut QemuMachine, memory: Memory) -> Result<(), ProviderError> {
    let socket = socket(machine)?;
    tell_events(machine).await?;
    let arguments = json!({ "uri": format!("unix:{}", img::utf8(&socket)?) });
    machine.command("migrate-incoming", arguments).await?;
    let stream = UnixStream::connect(&socket).map_err(|e| io_error(&socket, e))?;
    let Memory {
        file,
        blocks,
        reader,
    } = memory;
    let writer = tokio::task::spawn_blocking(move || pass_on(&blocks, stream));
    transferred(machine, 0).await?;
    for task in [reader, writer] {
        let done = task.await.map_err(io::Error::other);
        done.and_then(|done| done).map_err(|e| io_error(&file, e))?;
    }
    machine.command("cont", Value::Null).await.map(drop)
}

/// The socket for the memory, beside the control socket; what an earlier checkpoint left is removed.
fn socket(machine: &QemuMachine) -> Result<PathBuf, ProviderError> {
    // no longer than the control socket's name: paths of sockets are limited
    let socket = machine.control.with_file_name("mem.sock");
    crate::sys::fs::remove(&socket).map_err(|e| io_error(&socket, e))?;
    Ok(socket)
}

async fn tell_events(machine: &mut QemuMachine) -> Result<(), ProviderError> {
    let events = json!({ "capability": "events", "state": true });
    let arguments = json!({ "capabilities": [events] });
    machine
        .command("migrate-set-capabilities", arguments)
        .await
        .map(drop)
}

/// Waits for the end of a transfer of memory; `before` have ended until now.
async fn transferred(machine: &mut QemuMachine, before: u64) -> Result<(), ProviderError> {
    let over = |seen: &Seen| seen.closed || seen.migrations > before;
    let cancel = machine.cancel.clone();
    let wait = tokio::time::timeout(TRANSFER, machine.qmp.wait(over));
    let seen = match cancel.run(wait).await {
        None => return Err(ProviderError::Cancelled),
        Some(Err(_)) => {
            return Err(ProviderError::Failed(format!(
                "the memory was not transferred within {}s",
                TRANSFER.as_secs()
            )));
        }
        Some(Ok(seen)) => seen,
    };
    if seen.migration.as_deref() == Some("completed") {
        return Ok(());
    }
    // a QEMU that has ended says why in the answer's stead
    let told = machine.command("query-migrate", Value::Null).await?;
    let reason = told["error-desc"].as_str().unwrap_or("no reason given");
    Err(ProviderError::Failed(format!(
        "qemu could not transfer the memory: {reason}"
    )))
}

fn blocking(stream: tokio::net::UnixStream) -> io::Result<UnixStream> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn compress(from: UnixStream, to: File) -> io::Result<()> {
    zstd::stream::copy_encode(from, to, LEVEL)
}

fn decompress(from: File, to: &mpsc::SyncSender<Vec<u8>>) -> io::Result<()> {
    let mut from = zstd::stream::Decoder::new(from)?;
    loop {
        let mut block = Vec::with_capacity(BLOCK);
        (&mut from).take(BLOCK as u64).read_to_end(&mut block)?;
        // who no longer listens has said why
        if block.is_empty() || to.send(block).is_err() {
            return Ok(());
        }
    }
}

fn pass_on(blocks: &mpsc::Receiver<Vec<u8>>, mut to: UnixStream) -> io::Result<()> {
    for block in blocks {
        to.write_all(&block)?;
    }
    to.shutdown(std::net::Shutdown::Write)
}
