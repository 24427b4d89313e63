use super::*;
use crate::model::{Disk, Nic, Size};

fn hardware(firmware: Firmware, controllers: &[Controller], adapters: &[NicAdapter]) -> Hardware {
    Hardware {
        cpus: 4,
        cores_per_socket: 2,
        memory: Size::from_mib(768),
        firmware,
        disks: controllers
            .iter()
            .map(|controller| Disk {
                size: Size::from_mib(1024),
                controller: *controller,
            })
            .collect(),
        nics: adapters
            .iter()
            .map(|adapter| Nic {
                adapter: *adapter,
                network: "n".into(),
                mac: None,
            })
            .collect(),
        guest_id: None,
        hardware_version: 13,
        vsphere: None,
    }
}

fn line(hardware: &Hardware, change: impl FnOnce(&mut Invocation<'_>)) -> String {
    let disks: Vec<_> = (0..hardware.disks.len())
        .map(|n| DiskChain {
            size: Size::from_mib(64),
            top: format!("/w/disk{n}.qcow2").into(),
            below: Value::Null,
        })
        .collect();
    let mut machine = Invocation {
        name: "a,b",
        hardware,
        disks: &disks,
        cds: &[],
        floppy: None,
        flash: None,
        accelerator: "tcg",
        cpu: "max",
        control: Path::new("/t/qmp"),
        sight: Path::new("/t/see"),
        line: Path::new("/t/tty"),
        serial: Path::new("/w,x/serial.log"),
        incoming: false,
        drives: Drives::default(),
    };
    change(&mut machine);
    let words = command_line(&machine).unwrap();
    let words: Vec<_> = words.iter().map(|w| w.to_str().unwrap()).collect();
    words.join(" ")
}

#[track_caller]
fn has(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "`{part}` is not in {line}");
    }
}

#[test]
fn a_bios_machine_has_what_its_hardware_says() {
    let hardware = hardware(
        Firmware::Bios,
        &[Controller::Pvscsi, Controller::Lsilogic, Controller::Pvscsi],
        &[NicAdapter::Vmxnet3, NicAdapter::E1000],
    );
    let line = line(&hardware, |_| ());
    has(
        &line,
        &[
            "-nodefaults -no-user-config -name guest=a,,b -machine pc -accel tcg,thread=multi -cpu max",
            "-smp cpus=4,sockets=2,cores=2,threads=1 -m size=768M",
            "-chardev socket,id=serial,path=/t/tty,server=on,wait=off,logfile=/w,,x/serial.log,logappend=off -serial chardev:serial -qmp unix:/t/qmp -qmp unix:/t/see,server=on,wait=off -device virtio-rng-pci -S",
            "-device mptsas1068,id=lsilogic -device pvscsi,id=pvscsi",
            "-device scsi-hd,bus=pvscsi.0,scsi-id=0,id=drive0,drive=disk0,bootindex=50",
            "-device scsi-hd,bus=lsilogic.0,scsi-id=0,wwn=0x5000c50015ea7101,id=drive1,drive=disk1,bootindex=51",
            "-device scsi-hd,bus=pvscsi.0,scsi-id=1,id=drive2,drive=disk2,bootindex=52",
            "-netdev user,id=net0 -device vmxnet3,netdev=net0,mac=52:54:00:12:34:56,romfile= ",
            "-netdev user,id=net1,net=10.0.3.0/24 -device e1000,netdev=net1,mac=52:54:00:12:34:57,romfile=",
        ],
    );
}

#[test]
fn each_controller_has_its_device() {
    for (controller, device) in [
        (Controller::Sata, "-device ich9-ahci,id=sata"),
        (Controller::Sata, "-device ide-hd,bus=sata.0,id=drive0"),
        (Controller::Ide, "-device ide-hd,bus=ide.0,unit=0,id=drive0"),
        (Controller::Nvme, "-device nvme,serial=disk0,id=drive0"),
        (Controller::Virtio, "-device virtio-blk-pci,id=drive0"),
    ] {
        let hardware = hardware(Firmware::Bios, &[controller], &[]);
        has(&line(&hardware, |_| ()), &[device]);
    }
}

#[test]
fn disks_are_named_layer_by_layer_and_not_flushed() {
    let hardware = hardware(Firmware::Bios, &[Controller::Virtio], &[]);
    let disks = [DiskChain {
        size: Size::from_mib(64),
        top: "/w/top".into(),
        below: img::chain(&["/s/base".into(), "/s/more".into()]).unwrap(),
    }];
    let line = line(&hardware, |machine| {
        machine.disks = &*Vec::leak(disks.to_vec());
    });
    has(
        &line,
        &[
            r#""node-name":"disk0","cache":{"direct":false,"no-flush":true},"discard":"unmap","detect-zeroes":"unmap""#,
            r#""filename":"/w/top""#,
            r#""backing":{"driver":"qcow2","read-only":true,"file":{"driver":"file","filename":"/s/more","read-only":true},"backing":{"driver":"qcow2","read-only":true,"file":{"driver":"file","filename":"/s/base","read-only":true},"backing":null}}"#,
        ],
    );
}

#[test]
fn media_come_first_once_and_last_then() {
    let bios = hardware(Firmware::Bios, &[Controller::Ide], &[]);
    let cds = [PathBuf::from("/i.iso"), PathBuf::from("/ks.iso")];
    let media = |machine: &mut Invocation<'_>| {
        machine.cds = cds.clone().to_vec().leak();
        machine.floppy = Some(Path::new("/f.img"));
        machine.drives = Drives {
            cds: 2,
            floppy: true,
        };
    };
    let pc = line(&bios, media);
    has(
        &pc,
        &[
            "-device ide-cd,bus=ide.1,unit=0,id=cd0,drive=iso0,bootindex=0",
            "-device ide-cd,bus=ide.1,unit=1,id=cd1,drive=iso1,bootindex=1",
            "-device floppy,id=floppy0,drive=diskette,drive-type=144",
        ],
    );
    assert!(!pc.contains("isa-fdc"));
    assert_eq!(
        once_booted(2).collect::<Vec<_>>(),
        [("cd0".to_owned(), 100), ("cd1".to_owned(), 101)]
    );
    // what goes on from a checkpoint has the same drives, without media, and waits for its memory
    let resumed = line(&bios, |machine| {
        machine.drives = Drives {
            cds: 2,
            floppy: true,
        };
        machine.incoming = true;
    });
    has(
        &resumed,
        &[
            "-device ide-cd,bus=ide.1,unit=0,id=cd0,bootindex=0",
            "-device ide-cd,bus=ide.1,unit=1,id=cd1,bootindex=1",
            "-device floppy,id=floppy0,drive-type=144",
            "-S -incoming defer",
        ],
    );
    assert!(!resumed.contains("iso0") && !resumed.contains("diskette"));
    let efi = hardware(Firmware::Efi, &[Controller::Sata], &[]);
    has(
        &line(&efi, media),
        &[
            "-device ide-cd,bus=ide.0,id=cd0",
            "-device ide-cd,bus=ide.1,id=cd1",
            "-device isa-fdc,id=fdc -device floppy",
        ],
    );
}

#[test]
fn uefi_has_two_flash_chips_and_secure_boot_its_lock() {
    let flash = Flash {
        code: "/f/code".into(),
        vars: "/w/vars".into(),
    };
    let with_flash =
        |machine: &mut Invocation<'_>| machine.flash = Some(Box::leak(Box::new(flash.clone())));
    let efi = hardware(Firmware::Efi, &[Controller::Virtio], &[]);
    has(
        &line(&efi, with_flash),
        &[
            r#"{"driver":"file","node-name":"code","filename":"/f/code","read-only":true}"#,
            r#"{"driver":"file","node-name":"vars","filename":"/w/vars","read-only":false}"#,
            "-machine q35,pflash0=code,pflash1=vars ",
        ],
    );
    let secure = hardware(Firmware::EfiSecure, &[Controller::Virtio], &[]);
    has(
        &line(&secure, with_flash),
        &[
            "-machine q35,pflash0=code,pflash1=vars,smm=on",
            "-global driver=cfi.pflash01,property=secure,value=on",
        ],
    );
    let ide = hardware(Firmware::Efi, &[Controller::Ide], &[]);
    has(&line(&ide, with_flash), &["-machine pc,pflash0=code"]);
}

#[test]
fn what_no_machine_has_is_told() {
    let ides = hardware(Firmware::Bios, &[Controller::Ide; 3], &[]);
    assert_eq!(
        impossible(&ides).unwrap(),
        "3 disks at a `ide` controller: it has room for 2"
    );
    let secure = hardware(Firmware::EfiSecure, &[Controller::Ide], &[]);
    assert_eq!(
        impossible(&secure).unwrap(),
        "an `ide` disk does not go with `efi-secure` firmware"
    );
    assert_eq!(
        impossible(&hardware(Firmware::Bios, &[Controller::Nvme; 9], &[])),
        None
    );
    assert_eq!(
        device_names(&hardware(
            Firmware::Bios,
            &[Controller::Pvscsi, Controller::Sata],
            &[NicAdapter::Vmxnet3]
        )),
        [
            "VGA",
            "ich9-ahci",
            "ide-hd",
            "pvscsi",
            "scsi-hd",
            "virtio-rng-pci",
            "vmxnet3"
        ]
    );
}
