use super::{names, written};
use crate::model::Size;
use crate::vim::{
    BootDevice, CloneSpec, ConfigSpec, Customization, CustomizationLinux, DeviceChange, DeviceSpec,
    DiskMove, DiskSpec, Element, NetworkBacking, NicAddress, NicKind, NicSpec, Ref, RelocateSpec,
    ScsiKind, ToolsSpec,
};

/// What is written, read again.
fn read(write: impl FnOnce(&mut crate::vim::Xml)) -> Element {
    let text = written(write);
    Element::parse(&format!(
        "<r xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">{text}</r>"
    ))
    .unwrap()
}

/// `VirtualMachineConfigSpec` with everything set.
fn full() -> ConfigSpec {
    let text = |t: &str| Some(t.to_owned());
    ConfigSpec {
        name: text("n"),
        version: text("vmx-14"),
        guest_id: text("g"),
        annotation: text("a"),
        vm_path_name: text("[ds]"),
        tools: Some(ToolsSpec {
            upgrade_policy: text("manual"),
            sync_time_allowed: Some(true),
            sync_time: Some(false),
        }),
        vbs: Some(true),
        iommu: Some(true),
        cpus: Some(2),
        cores_per_socket: Some(1),
        memory_mib: Some(1024),
        memory_hot_add: Some(false),
        cpu_hot_add: Some(false),
        devices: vec![DeviceChange::add(DeviceSpec::Tpm { key: -1 })],
        cpu_reservation_mhz: Some(0),
        cpu_limit_mhz: Some(-1),
        memory_reservation_mib: Some(0),
        extra: vec![("k".into(), "v".into())],
        boot_delay_ms: Some(1),
        enter_setup: Some(false),
        secure_boot: Some(true),
        boot_retry: Some(10),
        boot_order: vec![BootDevice::Disk(2000), BootDevice::Cdrom],
        firmware: text("efi"),
        memory_reservation_locked: Some(false),
        nested_hv: Some(true),
        storage_policy: text("p"),
        vapp: Some(Element::default()),
    }
}

/// The order of the schema, which real servers insist on.
#[test]
fn a_machines_specification_is_in_the_order_of_the_schema() {
    let root = read(|xml| full().write(xml, "config"));
    let config = root.child("config").unwrap();
    assert_eq!(
        names(config),
        [
            "name",
            "version",
            "guestId",
            "annotation",
            "files",
            "tools",
            "flags",
            "numCPUs",
            "numCoresPerSocket",
            "memoryMB",
            "memoryHotAddEnabled",
            "cpuHotAddEnabled",
            "deviceChange",
            "cpuAllocation",
            "memoryAllocation",
            "extraConfig",
            "bootOptions",
            "vAppConfig",
            "firmware",
            "memoryReservationLockedToMax",
            "nestedHVEnabled",
            "vmProfile",
        ]
    );
    assert_eq!(
        names(config.child("bootOptions").unwrap()),
        [
            "bootDelay",
            "enterBIOSSetup",
            "efiSecureBootEnabled",
            "bootRetryEnabled",
            "bootRetryDelay",
            "bootOrder",
            "bootOrder",
        ]
    );
    assert_eq!(
        names(config.child("cpuAllocation").unwrap()),
        ["reservation", "limit"]
    );
    assert_eq!(config.text_of("extraConfig.value"), Some("v"));
}

#[test]
fn what_is_not_set_is_not_written() {
    assert_eq!(
        written(|xml| ConfigSpec::default().write(xml, "spec")),
        "<spec></spec>"
    );
    let cleared = ConfigSpec {
        boot_order: vec![BootDevice::Default],
        ..ConfigSpec::default()
    };
    assert_eq!(
        written(|xml| cleared.write(xml, "spec")),
        "<spec><bootOptions><bootOrder xsi:type=\"VirtualMachineBootOptionsBootableDevice\"></bootOrder></bootOptions></spec>"
    );
}

fn device(device: DeviceSpec) -> Element {
    let spec = ConfigSpec {
        devices: vec![DeviceChange::add(device)],
        ..ConfigSpec::default()
    };
    let root = read(|xml| spec.write(xml, "spec"));
    root.at("spec.deviceChange").unwrap().clone()
}

#[test]
fn a_new_disk_makes_its_file() {
    let disk = |backing_file| {
        device(DeviceSpec::Disk(DiskSpec {
            key: -2,
            controller: -1,
            unit: 0,
            capacity: Size::from_mib(1),
            thin: true,
            eager: false,
            backing_file,
            datastore: None,
            storage_policy: Some("p".into()),
        }))
    };
    let change = disk(None);
    assert_eq!(
        names(&change),
        ["operation", "fileOperation", "device", "profile"]
    );
    let made = change.child("device").unwrap();
    assert_eq!(made.kind.as_deref(), Some("VirtualDisk"));
    assert_eq!(
        names(made),
        [
            "key",
            "backing",
            "controllerKey",
            "unitNumber",
            "capacityInKB",
            "capacityInBytes"
        ]
    );
    assert_eq!(made.u64_of("capacityInKB"), Some(1024));
    assert_eq!(
        names(made.child("backing").unwrap()),
        ["fileName", "diskMode", "thinProvisioned", "eagerlyScrub"]
    );
    assert!(
        disk(Some("[ds] a.vmdk".into()))
            .child("fileOperation")
            .is_none()
    );
}

#[test]
fn network_cards_and_drives_are_in_the_order_of_the_schema() {
    let nic = device(DeviceSpec::Nic(NicSpec {
        key: -3,
        kind: NicKind::Vmxnet3,
        network: NetworkBacking::Distributed {
            switch_uuid: "s".into(),
            portgroup_key: "p".into(),
        },
        mac: Some("00:50:56:00:00:01".into()),
        controller: Some(100),
        unit: Some(7),
    }));
    let card = nic.child("device").unwrap();
    assert_eq!(
        names(card),
        [
            "key",
            "backing",
            "connectable",
            "controllerKey",
            "unitNumber",
            "addressType",
            "macAddress"
        ]
    );
    assert_eq!(card.text_of("backing.port.portgroupKey"), Some("p"));
    assert_eq!(card.text_of("addressType"), Some("manual"));
    let empty = device(DeviceSpec::Cdrom {
        key: -4,
        controller: 200,
        unit: 0,
        medium: None,
    });
    let drive = empty.child("device").unwrap();
    assert_eq!(
        names(drive),
        [
            "key",
            "backing",
            "connectable",
            "controllerKey",
            "unitNumber"
        ]
    );
    assert_eq!(
        drive.child("backing").unwrap().kind.as_deref(),
        Some("VirtualCdromRemotePassthroughBackingInfo")
    );
    assert_eq!(drive.bool_of("connectable.connected"), Some(false));
    let scsi = device(DeviceSpec::Scsi {
        key: -1,
        kind: ScsiKind::Pvscsi,
        bus: 0,
    });
    assert_eq!(
        names(scsi.child("device").unwrap()),
        ["key", "busNumber", "sharedBus", "scsiCtlrUnitNumber"]
    );
}

#[test]
fn a_clone_says_where_and_what() {
    let spec = CloneSpec {
        location: RelocateSpec {
            datastore: Some(Ref::new("Datastore", "d")),
            disk_move_type: Some(DiskMove::CreateNewChild),
            pool: Some(Ref::new("ResourcePool", "p")),
            host: Some(Ref::new("HostSystem", "h")),
            storage_policy: None,
        },
        config: Some(ConfigSpec::default()),
        customization: Some(Customization::Linux(CustomizationLinux {
            host_name: Some("h".into()),
            domain: "d".into(),
            nics: vec![NicAddress {
                ipv4: Some(("10.0.0.2".into(), "255.0.0.0".into())),
                gateways: vec!["10.0.0.1".into()],
                ..NicAddress::default()
            }],
            ..CustomizationLinux::default()
        })),
        snapshot: Some(Ref::new("VirtualMachineSnapshot", "s")),
        power_on: false,
        template: false,
    };
    let root = read(|xml| spec.write(xml, "spec"));
    let clone = root.child("spec").unwrap();
    assert_eq!(
        names(clone),
        [
            "location",
            "template",
            "config",
            "customization",
            "powerOn",
            "snapshot"
        ]
    );
    assert_eq!(
        names(clone.child("location").unwrap()),
        ["datastore", "diskMoveType", "pool", "host"]
    );
    assert_eq!(
        names(clone.child("customization").unwrap()),
        ["identity", "globalIPSettings", "nicSettingMap"]
    );
    assert_eq!(
        names(clone.at("customization.nicSettingMap.adapter").unwrap()),
        ["ip", "subnetMask", "gateway"]
    );
}
