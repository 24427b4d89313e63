use super::img::Img;
use super::*;
use crate::model::{Controller, Digest, Disk, Drives, Duration, Firmware, Nic, NicAdapter, Size};
use crate::provider::{DiskSource, Mark, Medium};

pub(super) fn hardware(controller: Controller, adapter: NicAdapter) -> Hardware {
    Hardware {
        cpus: 1,
        cores_per_socket: 1,
        memory: Size::from_mib(256),
        firmware: Firmware::Bios,
        disks: vec![Disk {
            size: Size::from_mib(64),
            controller,
        }],
        nics: vec![Nic {
            adapter,
            network: "n".into(),
            mac: None,
        }],
        guest_id: None,
        hardware_version: 13,
        vsphere: None,
    }
}

fn journal(dir: &std::path::Path) -> Arc<Journal> {
    Arc::new(Journal::open(&dir.join("journal"), "test-run").unwrap())
}

struct Bench {
    dir: tempfile::TempDir,
    qemu: Qemu,
    journal: Arc<Journal>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal(dir.path());
        let settings = Settings {
            accelerator: Accelerator::Tcg,
            ..Settings::default()
        };
        Self {
            qemu: Qemu::new(settings, &dir.path().join("cache"), Arc::clone(&journal)),
            journal,
            dir,
        }
    }

    fn spec(&self, hardware: Hardware) -> LaunchSpec {
        let work = self.dir.path().join("work");
        std::fs::create_dir_all(&work).unwrap();
        LaunchSpec {
            name: "test".into(),
            disks: hardware
                .disks
                .iter()
                .map(|disk| DiskSource::New(disk.size))
                .collect(),
            hardware,
            nvram: None,
            mark: Mark::default(),
            from: None,
            resume: false,
            ovf: None,
            cds: Vec::new(),
            floppy: None,
            empty: Drives::default(),
            ssh_port: 22,
            memory: None,
            work,
        }
    }

    async fn launch(&self, spec: LaunchSpec) -> Result<Box<dyn Machine>, ProviderError> {
        self.qemu
            .launch(spec, Arc::clone(&self.journal), Cancel::new())
            .await
    }
}

/// Waits until the screen shows `text`.
async fn shows(machine: &mut Box<dyn Machine>, text: &str) -> String {
    let mut shown = String::new();
    for _ in 0..3000 {
        shown = machine.screen().await.unwrap().text.unwrap_or_default();
        if shown.contains(text) {
            return shown;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("`{text}` was never shown, but:\n{shown}");
}

#[tokio::test]
async fn vm_a_machine_without_a_system_says_so_and_hands_out_its_disk() {
    let bench = Bench::new();
    let spec = bench.spec(hardware(Controller::Pvscsi, NicAdapter::Vmxnet3));
    let mut machine = bench.launch(spec).await.unwrap();
    shows(&mut machine, "No bootable device.").await;
    let address = machine.addresses().borrow().ssh.unwrap();
    assert!(address.ip().is_loopback() && address.port() != 0);
    let png = bench.dir.path().join("screen.png");
    machine.screenshot(&png).await.unwrap();
    assert!(std::fs::read(&png).unwrap().starts_with(b"\x89PNG"));
    assert!(machine.is_on());
    let rest = machine.finish().await.unwrap();
    assert_eq!(rest.disks.len(), 1);
    assert!(rest.disks[0].layers[0].is_file() && rest.nvram.is_none());
}

#[test]
fn the_forwarded_port_is_found() {
    let text = "Hub -1 (net0):\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n  \
                TCP[ESTABLISHED]   9       127.0.0.1 45100       10.0.2.15    22     0     0\n  \
                TCP[HOST_FORWARD]   8       127.0.0.1 45101       10.0.2.15    22     0     0\n";
    assert_eq!(
        forwarded(text, 22),
        Some("127.0.0.1:45101".parse().unwrap())
    );
    assert_eq!(forwarded(text, 2222), None);
}

/// The project's own install ISO, built when it is missing or older than its sources.
fn mini_iso() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let iso = root.join("target/test-media/mini.iso");
    let sources = root.join("scripts/mini-iso");
    let _lock = loop {
        match crate::sys::FileLock::try_acquire(&iso.with_extension("lock"), "a test") {
            Ok(lock) => break lock,
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    };
    let changed = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified()).ok();
    let newest = walkdir::WalkDir::new(&sources)
        .into_iter()
        .filter_map(|entry| changed(entry.unwrap().path()))
        .max();
    if changed(&iso) < newest {
        let made = iso.with_extension("new");
        let output = std::process::Command::new(sources.join("build.sh"))
            .arg(&made)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        std::fs::rename(&made, &iso).unwrap();
    }
    iso
}

#[tokio::test]
async fn vm_boot_lines_are_typed_at_a_boot_loader_and_read_back() {
    let bench = Bench::new();
    let mut spec = bench.spec(hardware(Controller::Virtio, NicAdapter::Virtio));
    spec.cds = vec![Medium::file(mini_iso(), Digest::of(b"mini"))];
    let mut machine = bench.launch(spec).await.unwrap();
    shows(&mut machine, "Install Forge Mini").await;
    let line = " text ks=http://10.0.2.2:8080/a_b/KS.cfg?x=[1]&y={2}";
    let keys = |text: String| crate::model::Keys::parse(&text).unwrap();
    machine
        .type_keys(&keys(format!("<tab>{line}")), &Default::default())
        .await
        .unwrap();
    let shown = machine.screen().await.unwrap().text.unwrap();
    assert!(
        shown.replace('\n', "").contains(&format!("quiet{line}")),
        "{shown}"
    );
    machine
        .type_keys(&keys("<esc><esc>linux single".into()), &Default::default())
        .await
        .unwrap();
    let shown = machine.screen().await.unwrap().text.unwrap();
    assert!(shown.contains("boot: linux single"), "{shown}");
    machine.finish().await.unwrap();
}

const KICKSTART: &str = "rootpw --plaintext forge\nnetwork --bootproto=dhcp --hostname=vm\nzerombr\nclearpart --all\n\
    part / --fstype=ext4 --grow\n%packages\nbash\n%end\nreboot\n";

/// Waits until the serial console has said `text`.
async fn says(machine: &mut Box<dyn Machine>, text: &str) {
    let log = machine.serial_log().unwrap().to_owned();
    for _ in 0..6000 {
        let said = std::fs::read(&log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        if said.contains(text) {
            return;
        }
        assert!(!said.contains("FAILED") && machine.is_on(), "{said}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the serial console never said `{text}`");
}

async fn has_ssh(machine: &mut Box<dyn Machine>) {
    use tokio::io::AsyncReadExt as _;
    let address = machine.addresses().borrow().ssh.unwrap();
    for _ in 0..100 {
        let mut banner = [0; 4];
        let read = async {
            let mut stream = tokio::net::TcpStream::connect(address).await?;
            stream.read_exact(&mut banner).await
        };
        let _ = tokio::time::timeout(std::time::Duration::from_millis(500), read).await;
        if &banner == b"SSH-" {
            return;
        }
    }
    panic!("no ssh at {address}");
}

/// Installs from the CD and leaves the running system.
async fn installs(bench: &Bench, hardware: Hardware) -> Box<dyn Machine> {
    let mut spec = bench.spec(hardware.clone());
    spec.cds = vec![Medium::file(mini_iso(), Digest::of(b"mini"))];
    let floppy = bench.dir.path().join("floppy.img");
    let files = [("ks.cfg".to_owned(), KICKSTART.as_bytes().to_vec())];
    std::fs::write(
        &floppy,
        crate::image::fat::floppy("OEMDRV", &files).unwrap(),
    )
    .unwrap();
    spec.floppy = Some(floppy);
    let mut machine = bench.launch(spec).await.unwrap();
    if hardware.firmware == Firmware::Bios {
        shows(&mut machine, "Install Forge Mini").await;
        let keys = crate::model::Keys::parse("<tab> ks=hd:fd0:/ks.cfg<enter>").unwrap();
        machine.type_keys(&keys, &Default::default()).await.unwrap();
    }
    says(&mut machine, "INSTALL COMPLETE").await;
    says(&mut machine, "BOOTED").await;
    has_ssh(&mut machine).await;
    assert!(machine.resets() >= Some(1));
    machine
}

fn mini(controller: Controller, adapter: NicAdapter, firmware: Firmware) -> Hardware {
    let mut hardware = hardware(controller, adapter);
    hardware.firmware = firmware;
    hardware.memory = Size::from_mib(512);
    hardware.disks[0].size = Size::from_mib(1024);
    hardware
}

#[tokio::test]
async fn vm_a_bios_guest_is_installed_and_goes_on_as_a_layer() {
    let bench = Bench::new();
    let hardware = mini(Controller::Pvscsi, NicAdapter::Vmxnet3, Firmware::Bios);
    let mut machine = installs(&bench, hardware.clone()).await;
    machine.power_button().await.unwrap();
    machine.wait_off(Duration::from_secs(60)).await.unwrap();
    let rest = machine.finish().await.unwrap();

    let store = bench.dir.path().join("a store, with odd \"names\"");
    std::fs::create_dir(&store).unwrap();
    let layer = store.join("base");
    std::fs::rename(&rest.disks[0].layers[0], &layer).unwrap();
    std::fs::remove_dir_all(bench.dir.path().join("work")).unwrap();
    let mut spec = bench.spec(hardware.clone());
    spec.disks[0] = DiskSource::Over {
        layers: vec![layer],
        size: hardware.disks[0].size,
    };
    let mut machine = bench.launch(spec).await.unwrap();
    says(&mut machine, "BOOTED").await;
    has_ssh(&mut machine).await;
    machine.power_button().await.unwrap();
    machine.wait_off(Duration::from_secs(60)).await.unwrap();
    let rest2 = machine.finish().await.unwrap();
    let size = std::fs::metadata(&rest2.disks[0].layers[0]).unwrap().len();
    assert!(size < 16 << 20, "{rest2:?}");
}

#[tokio::test]
async fn vm_a_uefi_guest_is_installed_and_keeps_its_variables() {
    let bench = Bench::new();
    let hardware = mini(Controller::Sata, NicAdapter::E1000e, Firmware::Efi);
    let machine = installs(&bench, hardware).await;
    let rest = machine.finish().await.unwrap();
    assert!(rest.nvram.unwrap().metadata().unwrap().len() > 100_000);
}

#[tokio::test]
async fn vm_auto_takes_a_hypervisor_only_if_guests_run_under_it() {
    let bench = Bench::new();
    let qemu = |cache: &str| {
        Qemu::new(
            Settings::default(),
            &bench.dir.path().join(cache),
            Arc::clone(&bench.journal),
        )
    };
    let first = qemu("auto").describe().await;
    // the second answer comes from the file, and is the same
    let start = std::time::Instant::now();
    assert_eq!(qemu("auto").describe().await, first);
    assert!(start.elapsed() < std::time::Duration::from_secs(2));
    let (version, rest) = first.split_once(", ").unwrap();
    assert!(version.starts_with("qemu "), "{first}");
    assert!(rest == "kvm" || rest.starts_with("tcg (kvm: "), "{first}");
}

#[tokio::test]
async fn vm_every_controller_and_adapter_starts() {
    for (controller, adapter, firmware) in [
        (Controller::Lsilogic, NicAdapter::E1000, Firmware::Bios),
        (Controller::Sata, NicAdapter::E1000e, Firmware::Bios),
        (Controller::Ide, NicAdapter::Virtio, Firmware::Bios),
        (Controller::Nvme, NicAdapter::Vmxnet3, Firmware::Bios),
        (Controller::Virtio, NicAdapter::Virtio, Firmware::Bios),
        (Controller::Pvscsi, NicAdapter::Vmxnet3, Firmware::Efi),
        (Controller::Ide, NicAdapter::E1000, Firmware::Efi),
        (
            Controller::Lsilogic,
            NicAdapter::Virtio,
            Firmware::EfiSecure,
        ),
    ] {
        let bench = Bench::new();
        let mut hardware = hardware(controller, adapter);
        hardware.firmware = firmware;
        hardware.cpus = 2;
        hardware.cores_per_socket = 2;
        hardware.disks.push(hardware.disks[0].clone());
        hardware.nics.push(hardware.nics[0].clone());
        if firmware == Firmware::Bios {
            assert!(bench.qemu.preflight(&hardware).await.is_empty());
        }
        let mut spec = bench.spec(hardware);
        let floppy = bench.dir.path().join("floppy.img");
        std::fs::write(&floppy, crate::image::fat::floppy("ks", &[]).unwrap()).unwrap();
        spec.floppy = Some(floppy);
        let mut machine = bench.launch(spec).await.unwrap();
        if firmware == Firmware::Bios {
            shows(&mut machine, "Please insert a bootable floppy").await;
        } else {
            // the firmware draws its logo in pixels: no text, and a picture that changes from the blank one
            while machine.screen().await.unwrap().text.is_some() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
        let rest = machine.finish().await.unwrap();
        assert_eq!(rest.disks.len(), 2);
        assert_eq!(rest.nvram.is_some(), firmware != Firmware::Bios);
    }
}

#[tokio::test]
async fn vm_a_machine_goes_on_from_a_checkpoint_with_every_device() {
    for (controller, adapter) in [
        (Controller::Lsilogic, NicAdapter::E1000),
        (Controller::Sata, NicAdapter::E1000e),
        (Controller::Ide, NicAdapter::Virtio),
        (Controller::Virtio, NicAdapter::Vmxnet3),
        (Controller::Pvscsi, NicAdapter::Vmxnet3),
    ] {
        let bench = Bench::new();
        let hardware = hardware(controller, adapter);
        let identity = bench.qemu.checkpoint_identity(&hardware).await;
        assert_eq!(bench.qemu.checkpoint_identity(&hardware).await, identity);
        let mut other = hardware.clone();
        other.memory = Size::from_mib(512);
        assert_ne!(bench.qemu.checkpoint_identity(&other).await, identity);
        let mut machine = bench.launch(bench.spec(hardware.clone())).await.unwrap();
        // with its full stop: the text is compared below, and a screen is seen while it is written to
        let shown = shows(&mut machine, "No bootable device.").await;
        let kept = machine.checkpoint().await.unwrap();
        // it runs on, and can be kept again
        assert!(machine.is_on());
        let second = machine.checkpoint().await.unwrap();
        assert_ne!(kept.memory, second.memory);
        assert_eq!(machine.finish().await.unwrap().disks[0].layers.len(), 1);
        let size = std::fs::metadata(kept.memory.as_ref().unwrap())
            .unwrap()
            .len();
        assert!(
            size < 32 << 20,
            "{size} bytes of 256 MiB, most of them zeros"
        );

        let kept_dir = bench.dir.path().join("kept");
        std::fs::create_dir(&kept_dir).unwrap();
        let (disk, memory) = (kept_dir.join("disk"), kept_dir.join("memory"));
        std::fs::rename(&kept.at_rest.disks[0].layers[0], &disk).unwrap();
        std::fs::rename(kept.memory.as_ref().unwrap(), &memory).unwrap();
        std::fs::remove_dir_all(bench.dir.path().join("work")).unwrap();
        let mut spec = bench.spec(hardware);
        spec.disks = vec![DiskSource::Over {
            layers: vec![disk],
            size: Size::from_mib(64),
        }];
        spec.memory = Some(memory.clone());
        let mut machine = bench.launch(spec.clone()).await.unwrap();
        assert_eq!(machine.screen().await.unwrap().text.unwrap(), shown);
        drop(machine);

        std::fs::write(&memory, "no memory").unwrap();
        std::fs::remove_dir_all(&spec.work).unwrap();
        std::fs::create_dir(&spec.work).unwrap();
        assert!(bench.launch(spec).await.is_err());
    }
}

#[tokio::test]
async fn a_machine_whose_devices_cannot_be_saved_has_no_checkpoints() {
    let qemu = Bench::new().qemu;
    let hardware = hardware(Controller::Nvme, NicAdapter::E1000);
    assert_eq!(qemu.checkpoint_identity(&hardware).await, None);
}

#[tokio::test]
async fn vm_a_crash_is_told_with_what_qemu_said() {
    let bench = Bench::new();
    let spec = bench.spec(hardware(Controller::Virtio, NicAdapter::Virtio));
    let socket = spec.work.join("qmp.sock");
    let mut machine = bench.launch(spec).await.unwrap();
    let pid = process_with(&socket);
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::SEGV).unwrap();
    let error = machine.wait_off(Duration::from_secs(20)).await.unwrap_err();
    assert!(matches!(error, ProviderError::Gone(_)), "{error:?}");
    let message = error.to_string();
    assert!(message.starts_with("qemu crashed: signal: 11"), "{message}");
    let error = machine.screen().await.unwrap_err();
    assert!(matches!(error, ProviderError::Gone(_)), "{error:?}");
    assert!(!machine.is_on());
    assert!(machine.finish().await.is_err());
}

#[tokio::test]
async fn vm_a_qemu_that_does_not_end_is_killed_and_its_disks_are_whole() {
    let bench = Bench::new();
    let spec = bench.spec(hardware(Controller::Virtio, NicAdapter::Virtio));
    let socket = spec.work.join("qmp.sock");
    let machine = bench.launch(spec).await.unwrap();
    let pid = rustix::process::Pid::from_raw(process_with(&socket)).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let rest = machine.finish().await.unwrap();
    assert_eq!(process_with(&socket), 0);
    let img = Img::locate("test-run").unwrap();
    let disk = &rest.disks[0].layers[0];
    assert_eq!(
        img.info(disk, None).await.unwrap().virtual_size,
        Size::from_mib(64)
    );
    // a layer with broken tables is not handed out
    let mut bytes = std::fs::read(disk).unwrap();
    let table = usize::try_from(u64::from_be_bytes(bytes[40..48].try_into().unwrap())).unwrap();
    bytes[table..table + 8].copy_from_slice(&0x0000_0000_0012_3400_u64.to_be_bytes());
    std::fs::write(disk, bytes).unwrap();
    let error = img.mend(disk).await.unwrap_err().to_string();
    assert!(error.starts_with("`qemu-img check` failed"), "{error}");
}

/// The process whose arguments name `file`.
fn process_with(file: &Path) -> i32 {
    let file = file.to_str().unwrap();
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: i32 = entry.unwrap().file_name().to_str()?.parse().ok()?;
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        String::from_utf8_lossy(&arguments)
            .contains(file)
            .then_some(pid)
    });
    pids.max().unwrap_or_default()
}

#[tokio::test]
async fn vm_a_dropped_or_cancelled_machine_leaves_no_process() {
    let bench = Bench::new();
    let spec = bench.spec(hardware(Controller::Virtio, NicAdapter::Virtio));
    let socket = spec.work.join("qmp.sock");
    let cancel = Cancel::new();
    let launch = bench
        .qemu
        .launch(spec, Arc::clone(&bench.journal), cancel.clone());
    let mut machine = launch.await.unwrap();
    assert_ne!(process_with(&socket), 0);
    let error = machine
        .wait_off(Duration::from_millis(50))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the machine was still on after 50ms");
    cancel.cancel(crate::sys::CancelKind::Graceful);
    let error = machine.wait_off(Duration::from_secs(60)).await.unwrap_err();
    assert!(matches!(error, ProviderError::Cancelled));
    drop(machine);
    for _ in 0..500 {
        if process_with(&socket) == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("qemu still runs");
}

#[tokio::test]
async fn vm_a_long_work_directory_gets_its_socket_elsewhere() {
    let bench = Bench::new();
    let mut spec = bench.spec(hardware(Controller::Virtio, NicAdapter::Virtio));
    spec.work = bench.dir.path().join("long".repeat(30));
    std::fs::create_dir(&spec.work).unwrap();
    let entries = || {
        std::fs::read_dir(bench.dir.path().join("journal"))
            .unwrap()
            .count()
    };
    let machine = bench.launch(spec).await.unwrap();
    assert_eq!(entries(), 2, "the journal's owner and the socket");
    machine.finish().await.unwrap();
    assert_eq!(entries(), 1);
}

#[tokio::test]
async fn vm_what_qemu_refuses_is_told_in_its_words() {
    let bench = Bench::new();
    let mut spec = bench.spec(hardware(Controller::Virtio, NicAdapter::Virtio));
    spec.cds = vec![Medium::file("/no/such.iso".into(), Digest::of(b"none"))];
    let error = bench.launch(spec).await.err().unwrap().to_string();
    assert!(
        error.starts_with("qemu did not start: exit status: 1: ")
            && error.contains("Could not open '/no/such.iso': No such file or directory"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_missing_is_told_with_the_fix() {
    let dir = tempfile::tempdir().unwrap();
    let qemu = |binary: &str| {
        let settings = Settings {
            binary: Some(binary.into()),
            ..Settings::default()
        };
        Qemu::new(settings, dir.path(), journal(dir.path()))
    };
    for (binary, message) in [
        ("/no/qemu", "there is no qemu at `/no/qemu`"),
        ("no-such-qemu", "`no-such-qemu` is not on the search path"),
    ] {
        let unmet = qemu(binary)
            .preflight(&hardware(Controller::Ide, NicAdapter::E1000))
            .await;
        match &unmet[..] {
            [
                ProviderError::Environment {
                    message: told,
                    help,
                },
            ] => {
                assert_eq!(told, message);
                assert!(help.contains("apt install qemu-system-x86"), "{help}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(qemu(binary).describe().await, format!("qemu: {message}"));
    }
}

#[tokio::test]
async fn firmware_of_the_project_is_used_and_missed() {
    let dir = tempfile::tempdir().unwrap();
    let table = [("firmware_code", "code.fd"), ("firmware_vars", "vars.fd")];
    let table = table.map(|(k, v)| (k.to_owned(), v.to_owned()));
    let settings = Settings::parse(&table.into(), dir.path()).unwrap();
    let qemu = Qemu::new(settings, dir.path(), journal(dir.path()));
    let found = || preflight::find_firmware(&qemu, Firmware::Efi);
    std::fs::write(dir.path().join("code.fd"), b"").unwrap();
    assert_eq!(
        found().unwrap_err().to_string(),
        format!(
            "there is no firmware file `{}`",
            dir.path().join("vars.fd").display()
        )
    );
    std::fs::write(dir.path().join("vars.fd"), b"").unwrap();
    assert_eq!(found().unwrap().code, dir.path().join("code.fd"));
}

#[tokio::test]
async fn content_for_every_disk_is_needed() {
    let bench = Bench::new();
    let mut spec = bench.spec(hardware(Controller::Ide, NicAdapter::E1000));
    spec.disks.clear();
    let error = bench.launch(spec).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "the hardware has 1 disks, but content is given for 0"
    );
}

#[tokio::test]
#[ignore = "nightly: six installations, minutes under translation"]
async fn vm_every_controller_is_installed_to_and_booted_from() {
    for (controller, adapter, firmware) in [
        (Controller::Lsilogic, NicAdapter::E1000, Firmware::Bios),
        (Controller::Sata, NicAdapter::E1000e, Firmware::Bios),
        (Controller::Ide, NicAdapter::Virtio, Firmware::Bios),
        (Controller::Nvme, NicAdapter::Vmxnet3, Firmware::Bios),
        (Controller::Nvme, NicAdapter::Vmxnet3, Firmware::Efi),
        (Controller::Ide, NicAdapter::E1000, Firmware::Efi),
    ] {
        println!("{controller} {adapter} {firmware}");
        let bench = Bench::new();
        installs(&bench, mini(controller, adapter, firmware)).await;
    }
}

#[tokio::test]
async fn vm_a_foreign_image_boots_below_a_layer_that_is_thrown_away() {
    let bench = Bench::new();
    // mov dx, 0x3f8; then mov al, C; out dx, al for each character; hlt
    let mut sector = vec![0xba, 0xf8, 0x03];
    for c in b"HELLO" {
        sector.extend([0xb0, *c, 0xee]);
    }
    sector.extend([0xf4, 0xeb, 0xfd]);
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    let raw = bench.dir.path().join("disk.raw");
    std::fs::write(&raw, sector).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&raw).unwrap();
    file.set_len(64 << 20).unwrap();
    let vmdk = bench.dir.path().join("disk.vmdk");
    let mut convert = process::command("qemu-img", "test");
    convert.args(["convert", "-O", "vmdk", "-o", "subformat=streamOptimized"]);
    convert.arg(&raw).arg(&vmdk);
    assert!(convert.status().await.unwrap().success());
    let before = std::fs::read(&vmdk).unwrap();
    let mut spec = bench.spec(hardware(Controller::Lsilogic, NicAdapter::E1000));
    spec.disks[0] = DiskSource::Image {
        path: vmdk.clone(),
        format: "vmdk".into(),
    };
    let mut machine = bench.launch(spec).await.unwrap();
    says(&mut machine, "HELLO").await;
    machine.finish().await.unwrap();
    assert!(std::fs::read(&vmdk).unwrap() == before);
}

#[tokio::test]
async fn vm_preflight_asks_the_firmware_for_its_driver() {
    let bench = Bench::new();
    let mut hardware = hardware(Controller::Pvscsi, NicAdapter::Vmxnet3);
    hardware.firmware = Firmware::Efi;
    // the answer as an earlier run kept it
    for (answer, count) in [(false, 1), (true, 0)] {
        boot_probe::remember(&bench.qemu, Firmware::Efi, Controller::Pvscsi, answer).unwrap();
        let unmet = bench.qemu.preflight(&hardware).await;
        assert_eq!(unmet.len(), count, "{unmet:?}");
    }
}
