//! Whether the host's hypervisor really runs guests: asked once per QEMU and host boot, by starting one.
//!
//! That `/dev/kvm` opens says little: in nested and container set-ups it may open and yet hang every guest. So a guest
//! is started whose only act is to end QEMU with an exit code of its own, and it has a few seconds for that.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::settings::Accelerator;
use crate::provider::ProviderError;
use crate::sys::{Journal, fs, process};

/// How long the probe guest may take; it needs a third of a second when nothing hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the guest writes to the exit port; QEMU ends with twice this and one.
const SIGN: u8 = 0x2a;
/// Where the answer is kept, in the cache directory.
const FILE: &str = "qemu-accelerator.json";
const EXIT_CODE: i32 = (SIGN as i32) << 1 | 1;

/// What runs guests here, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Choice {
    /// As QEMU names it.
    pub(super) accelerator: String,
    /// Why it is not the host's hypervisor; empty when there is nothing to explain.
    pub(super) reason: String,
}

#[derive(Serialize, Deserialize)]
struct Cached {
    key: String,
    choice: Choice,
}

/// The hypervisor that this kind of host may have.
const fn native() -> Option<Accelerator> {
    if cfg!(target_os = "linux") {
        Some(Accelerator::Kvm)
    } else if cfg!(target_os = "macos") {
        Some(Accelerator::Hvf)
    } else if cfg!(target_os = "windows") {
        Some(Accelerator::Whpx)
    } else {
        None
    }
}

/// What is decided without starting a guest: by the user, by the system, by an earlier run with the same `binary` since
/// the host's boot.
pub(super) fn known(wanted: Accelerator, binary: &Path, cache: &Path) -> Option<Choice> {
    let native = match (wanted, native()) {
        (Accelerator::Auto, Some(native)) => native,
        (Accelerator::Auto, None) => {
            return Some(tcg("this system has no hypervisor".to_owned()));
        }
        (chosen, _) => {
            return Some(Choice {
                accelerator: chosen.as_str().to_owned(),
                reason: String::new(),
            });
        }
    };
    let bytes = std::fs::read(cache.join(FILE)).ok()?;
    let known = serde_json::from_slice::<Cached>(&bytes).ok()?;
    (known.key == cache_key(binary, native)).then_some(known.choice)
}

fn tcg(reason: String) -> Choice {
    Choice {
        accelerator: "tcg".to_owned(),
        reason,
    }
}

/// Decides, by starting a guest if need be.
pub(super) async fn choose(
    wanted: Accelerator,
    binary: &Path,
    journal: &Journal,
    cache: &Path,
) -> Result<Choice, ProviderError> {
    if let Some(known) = known(wanted, binary, cache) {
        return Ok(known);
    }
    let Some(native) = native() else {
        return Ok(tcg("this system has no hypervisor".to_owned()));
    };
    let key = cache_key(binary, native);
    let file = cache.join(FILE);
    let choice = match probe(native, binary, journal).await? {
        Ok(()) => Choice {
            accelerator: native.as_str().to_owned(),
            reason: String::new(),
        },
        Err(why) => tcg(format!("{}: {why}", native.as_str())),
    };
    let cached = Cached {
        key,
        choice: choice.clone(),
    };
    // an answer that cannot be kept is asked for again
    if let Ok(bytes) = serde_json::to_vec(&cached) {
        let _ = fs::write_atomic(&file, &bytes);
    }
    Ok(choice)
}

/// Size and time of a program: another one, or none, after it was replaced.
pub(super) fn stamp(binary: &Path) -> Option<(u64, u128)> {
    let meta = std::fs::metadata(binary).ok()?;
    let since = meta.modified().ok()?.duration_since(std::time::UNIX_EPOCH);
    Some((meta.len(), since.map_or(0, |since| since.as_nanos())))
}

/// Changes with the emulator and with each boot of the host: a new kernel or BIOS setting may have mended it. So does
/// access to the device, which users are told to gain.
fn cache_key(binary: &Path, native: Accelerator) -> String {
    let stamp = stamp(binary);
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!(
        "cpu-host {} {} {stamp:?} {} {:?}",
        native.as_str(),
        binary.display(),
        boot.trim(),
        unavailable(native)
    )
}

/// Why the device cannot even be opened.
fn unavailable(native: Accelerator) -> Option<String> {
    if native != Accelerator::Kvm {
        return None;
    }
    let device = Path::new("/dev/kvm");
    let opened = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(device);
    match opened {
        Ok(_) => None,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Some("there is no /dev/kvm".to_owned())
        }
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => Some(
            "/dev/kvm may not be opened; being in the group `kvm` usually gives the right"
                .to_owned(),
        ),
        Err(e) => Some(format!("/dev/kvm does not open: {e}")),
    }
}

/// A boot sector that writes the sign to the exit port: `mov al, SIGN; out 0xf4, al; hlt; jmp $-1`.
fn boot_sector() -> Vec<u8> {
    // a whole floppy: BIOSes check its size
    let mut image = vec![0; 1_474_560];
    let code = [0xb0, SIGN, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd];
    image[..code.len()].copy_from_slice(&code);
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    image
}

/// Starts the probe guest under `accelerator`: the inner error says how it failed.
pub(super) async fn probe(
    accelerator: Accelerator,
    binary: &Path,
    journal: &Journal,
) -> Result<Result<(), String>, ProviderError> {
    if let Some(why) = unavailable(accelerator) {
        return Ok(Err(why));
    }
    let dir = journal
        .scratch("a probe of the hypervisor")
        .map_err(|source| io_error(&std::env::temp_dir(), source))?;
    let floppy = dir.path().join("boot.img");
    std::fs::write(&floppy, boot_sector()).map_err(|source| io_error(&floppy, source))?;
    let image = serde_json::json!({
        "driver": "raw", "node-name": "boot", "read-only": true,
        "file": { "driver": "file", "filename": floppy },
    });
    let mut command = process::command(binary, journal.run_id());
    command
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-m",
            "32",
        ])
        .args(["-machine", "pc", "-accel", accelerator.as_str()])
        .args(match accelerator {
            // as machines have it: a host that runs plain CPUs may refuse to show its own
            Accelerator::Kvm | Accelerator::Hvf => &["-cpu", "host"][..],
            _ => &[],
        })
        .args(["-blockdev", &image.to_string()])
        .args(["-device", "floppy,drive=boot", "-boot", "order=a"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut group =
        process::Group::spawn(&mut command).map_err(|source| io_error(binary, source))?;
    let stderr = group.child.stderr.take();
    let status = tokio::time::timeout(PATIENCE, group.wait()).await;
    let Ok(status) = status else {
        // dropping the group kills it
        return Ok(Err(format!(
            "the device opens but a probe guest did not run within {}s",
            PATIENCE.as_secs()
        )));
    };
    let status = status.map_err(|source| io_error(binary, source))?;
    if status.code() == Some(EXIT_CODE) {
        return Ok(Ok(()));
    }
    let mut text = String::new();
    if let Some(mut stderr) = stderr {
        let _ = tokio::io::AsyncReadExt::read_to_string(&mut stderr, &mut text).await;
    }
    let line = text.lines().next().unwrap_or("it said nothing");
    Ok(Err(line
        .rsplit_once("qemu-system-x86_64: ")
        .map_or(line, |(_, said)| said)
        .to_owned()))
}

fn io_error(path: &Path, source: std::io::Error) -> ProviderError {
    ProviderError::Io {
        path: PathBuf::from(path),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> (tempfile::TempDir, Journal) {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), "test").unwrap();
        (dir, journal)
    }

    fn qemu() -> PathBuf {
        process::find_program(&["qemu-system-x86_64"]).unwrap()
    }

    #[tokio::test]
    async fn vm_the_probe_guest_runs_where_guests_run() {
        let (_dir, journal) = journal();
        assert_eq!(
            probe(Accelerator::Tcg, &qemu(), &journal).await.unwrap(),
            Ok(())
        );
    }

    #[tokio::test]
    async fn vm_a_hypervisor_that_is_not_there_is_told_in_qemus_words() {
        let (_dir, journal) = journal();
        let why = probe(Accelerator::Whpx, &qemu(), &journal).await.unwrap();
        let why = why.unwrap_err();
        assert!(why.contains("whpx"), "{why}");
    }

    #[tokio::test]
    async fn the_answer_is_kept_until_the_host_boots_again() {
        let (dir, journal) = journal();
        let binary = Path::new("/no/such/qemu");
        let file = dir.path().join("qemu-accelerator.json");
        let choice = Choice {
            accelerator: "kvm".to_owned(),
            reason: "as remembered".to_owned(),
        };
        let cached = Cached {
            key: cache_key(binary, native().unwrap()),
            choice: choice.clone(),
        };
        std::fs::write(&file, serde_json::to_vec(&cached).unwrap()).unwrap();
        let answer = choose(Accelerator::Auto, binary, &journal, dir.path());
        assert_eq!(answer.await.unwrap(), choice);
        let other = Cached {
            key: "another boot".to_owned(),
            ..cached
        };
        std::fs::write(&file, serde_json::to_vec(&other).unwrap()).unwrap();
        let answer = choose(Accelerator::Auto, binary, &journal, dir.path()).await;
        // the binary is asked, and it is not there (or there is no device to ask for)
        assert!(answer.map_or(true, |a| a.accelerator == "tcg" && a != choice));
    }

    #[tokio::test]
    async fn what_the_user_names_is_taken_without_a_probe() {
        let (_dir, journal) = journal();
        let binary = Path::new("/no/such/qemu");
        for (wanted, word) in [(Accelerator::Kvm, "kvm"), (Accelerator::Tcg, "tcg")] {
            let choice = choose(wanted, binary, &journal, Path::new("/no/cache"));
            assert_eq!(choice.await.unwrap().accelerator, word);
        }
    }
}
