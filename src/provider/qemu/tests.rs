use super::*;
use crate::model::{Controller, Disk, Duration, Nic, NicAdapter, Size};

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
        }],
        guest_id: None,
        hardware_version: 13,
    }
}

struct Bench {
    dir: tempfile::TempDir,
    qemu: Qemu,
    journal: Arc<Journal>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("journal"), "test-run").unwrap();
        let settings = Settings {
            accelerator: Accelerator::Tcg,
            ..Settings::default()
        };
        Self {
            qemu: Qemu::new(settings, &dir.path().join("cache"), "test-run"),
            journal: Arc::new(journal),
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
            cds: Vec::new(),
            floppy: None,
            ssh_port: 22,
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
    shows(&mut machine, "No bootable device").await;
    let address = machine.ssh_address(Duration::from_secs(1)).await.unwrap();
    assert!(address.ip().is_loopback() && address.port() != 0);
    let png = bench.dir.path().join("screen.png");
    machine.screenshot(&png).await.unwrap();
    assert!(std::fs::read(&png).unwrap().starts_with(b"\x89PNG"));
    assert!(machine.is_on());
    let rest = machine.finish().await.unwrap();
    assert_eq!(rest.disks.len(), 1);
    assert!(rest.disks[0].path.is_file() && rest.nvram.is_none());
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
