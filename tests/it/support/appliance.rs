//! Appliances to be judged, and those who judge them.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use forge::image::RawDisk;
use forge::image::ovf::{self, Deploy, Description, DiskFile, Product, Property};
use forge::image::vmdk::{self, WriteOptions};
use forge::model::{Controller, Digest, Disk, Firmware, Hardware, Nic, NicAdapter, Size};
use forge::sys::Cancel;

use super::Sandbox;

/// What is on a disk, and its size: one that is no multiple of a grain is rounded up.
#[derive(Clone, Copy)]
pub(crate) enum Content {
    Empty,
    Full,
    Odd,
}

/// Writes it as a raw disk.
pub(crate) fn raw(path: &Path, content: Content) {
    let (size, data): (u64, Vec<u8>) = match content {
        Content::Empty => (8 << 20, Vec::new()),
        Content::Full => {
            // no two grains are alike, and none compresses well
            let bytes =
                (0_u64..(2 << 20) / 32).flat_map(|i| *Digest::of(&i.to_le_bytes()).as_bytes());
            (2 << 20, bytes.collect())
        }
        Content::Odd => ((5 << 20) + 512, b"odd".repeat(100_000)),
    };
    fs::write(path, data).unwrap();
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(size)
        .unwrap();
}

fn hardware(firmware: Firmware, disks: &[DiskFile]) -> Hardware {
    let nic = |adapter, network: &str| Nic {
        adapter,
        network: network.into(),
        mac: None,
    };
    let disk = |disk: &DiskFile| Disk {
        size: disk.capacity,
        controller: Controller::Pvscsi,
    };
    Hardware {
        cpus: 2,
        cores_per_socket: 1,
        memory: Size::from_mib(512),
        firmware,
        disks: disks.iter().map(disk).collect(),
        nics: vec![
            nic(NicAdapter::Vmxnet3, "VM Network"),
            nic(NicAdapter::E1000, "Storage & <more>"),
        ],
        guest_id: Some("debian12_64Guest".into()),
        hardware_version: 15,
        vsphere: None,
    }
}

/// A machine's OVF with its disks, in a directory of the sandbox.
pub(crate) fn appliance(sandbox: &Sandbox, name: &str, firmware: Firmware, contents: &[Content]) {
    let dir = sandbox.path(name);
    fs::create_dir(&dir).unwrap();
    let mut disks = Vec::new();
    for (i, content) in contents.iter().enumerate() {
        let source = sandbox.path(&format!("{name}-{i}.raw"));
        raw(&source, *content);
        let href = format!("{name}-disk{}.vmdk", i + 1);
        let mut out = File::create(dir.join(&href)).unwrap();
        let options = WriteOptions::new(&href, Digest::of(href.as_bytes()));
        let disk = RawDisk::open(&source).unwrap();
        let info = vmdk::write(&disk, &options, &mut out, &|_| {}, &Cancel::new()).unwrap();
        disks.push(DiskFile {
            href,
            size: info.size,
            capacity: info.capacity,
            populated: info.populated,
        });
    }
    let description = Description {
        name: name.into(),
        hardware: hardware(firmware, &disks),
        disks,
        nvram: None,
        product: Product {
            name: "Tested".into(),
            properties: vec![Property {
                key: "hostname".into(),
                qualifiers: Some("MinLen(1) MaxLen(63)".into()),
                user_configurable: true,
                ..Property::default()
            }],
            ..Product::default()
        },
        annotation: Some("line one\nline two".into()),
        eulas: vec!["Agree.".into()],
        deploy: Deploy::default(),
    };
    let text = ovf::write(&description).unwrap().text;
    fs::write(dir.join(format!("{name}.ovf")), text).unwrap();
}

/// Runs a program that must succeed; all that it says.
pub(crate) fn tool(program: &str, args: &[&str], dir: &Path) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("LIBGUESTFS_BACKEND", "direct")
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}; `scripts/test` installs it"));
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{program} {args:?}: {text}");
    text
}

/// Reads a whole disk with libvmdk and prints its size and digest.
const LIBVMDK: &str = "
import hashlib, sys, pyvmdk
disk = pyvmdk.handle()
disk.open(sys.argv[1])
disk.open_extent_data_files()
left, digest = disk.get_media_size(), hashlib.sha256()
print(left)
while left:
    piece = disk.read_buffer(min(left, 1 << 20))
    digest.update(piece)
    left -= len(piece)
print(digest.hexdigest())
";

/// The size and the digest of a VMDK's disk as libvmdk reads it, a line each.
pub(crate) fn libvmdk(vmdk: &str, dir: &Path) -> String {
    // Debian's Python, to which its packages belong.
    tool("/usr/bin/python3", &["-c", LIBVMDK, vmdk], dir)
}

/// What [`libvmdk`] says of a VMDK with this content, which is a whole number of grains.
pub(crate) fn as_vmdk(mut content: Vec<u8>) -> String {
    content.resize(content.len().next_multiple_of(65_536), 0);
    format!("{}\n{}\n", content.len(), Digest::of(&content).hex())
}
