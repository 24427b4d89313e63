use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::image::ovf::{self, Deploy, Description, DiskFile, Product};
use crate::image::vmdk::{self, WriteOptions};
use crate::image::{RawDisk, Window};
use crate::model::{Controller, Digest, Disk, Firmware, Hardware, Nic, NicAdapter, Size};
use crate::sys::Cancel;

/// A package of a small machine, and what it was made from.
pub(super) struct Made {
    pub(super) dir: tempfile::TempDir,
    descriptor: String,
    files: Vec<PackFile>,
}

pub(super) fn make() -> Made {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("disk.raw");
    fs::write(&raw, vec![b'x'; 300_000]).unwrap();
    File::options()
        .write(true)
        .open(&raw)
        .unwrap()
        .set_len(2 << 20)
        .unwrap();
    let path = dir.path().join("disk.vmdk");
    let options = WriteOptions::new("app-disk1.vmdk", Digest::of(b"test"));
    let source = RawDisk::open(&raw).unwrap();
    let mut out = File::create(&path).unwrap();
    let info = vmdk::write(&source, &options, &mut out, &|_| {}, &Cancel::new()).unwrap();
    let description = Description {
        name: "app".into(),
        hardware: Hardware {
            cpus: 2,
            cores_per_socket: 1,
            memory: Size::from_mib(512),
            firmware: Firmware::Bios,
            disks: vec![Disk {
                size: info.capacity,
                controller: Controller::Lsilogic,
            }],
            nics: vec![Nic {
                adapter: NicAdapter::E1000,
                network: "VM Network".into(),
                mac: None,
            }],
            guest_id: None,
            hardware_version: 15,
            vsphere: None,
        },
        disks: vec![DiskFile {
            href: "app-disk1.vmdk".into(),
            size: info.size,
            capacity: info.capacity,
            populated: info.populated,
        }],
        nvram: None,
        product: Product {
            name: "App".into(),
            ..Product::default()
        },
        annotation: None,
        eulas: Vec::new(),
        deploy: Deploy::default(),
    };
    Made {
        descriptor: ovf::write(&description).unwrap().text,
        files: vec![PackFile {
            name: "app-disk1.vmdk".into(),
            path,
            digest: Some(info.digest),
        }],
        dir,
    }
}

impl Made {
    pub(super) fn input<'a>(&'a self, name: &'a str) -> PackInput<'a> {
        PackInput::new(name, &self.descriptor, &self.files, 1_700_000_000)
    }

    pub(super) fn pack(&self, name: &str) -> Result<(PathBuf, PackedOva), OvaError> {
        let path = self.dir.path().join("app.ova");
        let out = File::create(&path).unwrap();
        let packed = pack(&self.input(name), &out, &|_| {}, &Cancel::new())?;
        Ok((path, packed))
    }
}

fn tool(command: &str, args: &[&str], dir: &Path) -> String {
    let output = Command::new(command)
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn tar_and_sha256sum_agree_with_what_was_packed() {
    let made = make();
    let (path, packed) = made.pack("app").unwrap();
    let dir = made.dir.path();
    let listing = tool(
        "tar",
        &["--utc", "--full-time", "-tvf", path.to_str().unwrap()],
        dir,
    );
    let names: Vec<_> = listing
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(names, ["app.ovf", "app.mf", "app-disk1.vmdk"]);
    assert!(
        listing
            .lines()
            .all(|l| l.starts_with("-rw-r--r-- 0/0") && l.contains("2023-11-14 22:13:20")),
        "{listing}"
    );
    tool("tar", &["-xf", path.to_str().unwrap()], dir);
    for entry in &packed.manifest.entries {
        let sum = tool("sha256sum", &[&entry.file], dir);
        assert_eq!(sum.split(' ').next(), Some(entry.hex.as_str()));
    }
    assert_eq!(
        fs::read_to_string(dir.join("app.mf")).unwrap(),
        packed.manifest.to_string()
    );
    let bytes = fs::read(&path).unwrap();
    assert_eq!(packed.digest, Digest::of(&bytes));
    assert_eq!(packed.size.bytes(), bytes.len() as u64);
    assert_eq!(&bytes[257..265], b"ustar\x0000");
    assert_eq!(packed.warnings, Vec::<String>::new());
}

#[test]
fn the_same_input_gives_the_same_package_with_and_without_known_digests() {
    let mut made = make();
    let first = made.pack("app").unwrap().1;
    made.files[0].digest = None;
    assert_eq!(made.pack("app").unwrap().1, first);
}

#[test]
fn a_manifest_at_the_end_says_the_same() {
    let mut made = make();
    let front = made.pack("app").unwrap().1;
    let path = made.dir.path().join("end.ova");
    for known in [true, false] {
        made.files[0].digest = made.files[0].digest.filter(|_| known);
        let input = PackInput {
            manifest: ManifestPlace::End,
            ..made.input("app")
        };
        let packed = pack(
            &input,
            &File::create(&path).unwrap(),
            &|_| {},
            &Cancel::new(),
        )
        .unwrap();
        assert_eq!(packed.manifest, front.manifest);
        assert_eq!(packed.digest, Digest::of(&fs::read(&path).unwrap()));
        let package = Package::open(&path).unwrap();
        let names: Vec<_> = package.members.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["app.ovf", "app-disk1.vmdk", "app.mf"]);
    }
}

#[test]
fn a_disk_that_becomes_the_package_gives_the_same_bytes() {
    let mut made = make();
    let descriptor = aligned(&made.input("app")).unwrap();
    made.descriptor = descriptor;
    assert_eq!(aligned(&made.input("app")).unwrap(), made.descriptor);
    let (path, packed) = made.pack("app").unwrap();
    let bytes = fs::read(&path).unwrap();
    let disk = fs::read(&made.files[0].path).unwrap();
    let start = bytes.windows(disk.len()).position(|w| w == disk).unwrap();
    assert_eq!(start % 4096, 0);
    let file = to_grow(&made.files[0].path);
    match grow(&made.input("app"), &file, &|_| {}, &Cancel::new()).unwrap() {
        Some(grown) => {
            assert_eq!(grown, packed);
            assert!(fs::read(&made.files[0].path).unwrap() == bytes);
        }
        // a file system that cannot leaves the file as it was
        None => assert!(fs::read(&made.files[0].path).unwrap() == disk),
    }
}

fn to_grow(disk: &Path) -> File {
    let mut options = File::options();
    options.read(true).write(true).open(disk).unwrap()
}

#[test]
fn a_disk_whose_growing_ends_early_is_as_it_was() {
    let mut made = make();
    made.descriptor = aligned(&made.input("app")).unwrap();
    let disk = fs::read(&made.files[0].path).unwrap();
    let file = to_grow(&made.files[0].path);
    let cancel = Cancel::new();
    cancel.cancel(crate::sys::CancelKind::Graceful);
    match grow(&made.input("app"), &file, &|_| {}, &cancel) {
        Err(error) => assert_eq!(error.to_string(), "interrupted"),
        Ok(packed) => assert_eq!(packed, None),
    }
    assert!(fs::read(&made.files[0].path).unwrap() == disk);
}

#[test]
fn nothing_is_read_for_a_package_that_cannot_grow() {
    let made = make();
    let disk = fs::read(&made.files[0].path).unwrap();
    let file = to_grow(&made.files[0].path);
    // Whoever read would see that it shall stop; room of this size is made nowhere.
    let cancel = Cancel::new();
    cancel.cancel(crate::sys::CancelKind::Graceful);
    let grown = grow(&made.input("app"), &file, &|_| {}, &cancel).unwrap();
    assert_eq!(grown, None);
    assert!(fs::read(&made.files[0].path).unwrap() == disk);
}

#[test]
fn a_package_shows_its_members_and_descriptor() {
    let made = make();
    let (path, _) = made.pack("app").unwrap();
    let package = Package::open(&path).unwrap();
    assert_eq!(package.damage, None);
    assert!(package.members.iter().all(|m| m.format == Format::Ustar));
    let appliance = package.descriptor().unwrap().lower().unwrap();
    assert_eq!(appliance.hardware.cpus, 2);
    let disk = package.member("APP-DISK1.VMDK").unwrap();
    let report = vmdk::check(&disk.data, &|_| {}, &Cancel::new()).unwrap();
    assert_eq!(report.problems, Vec::new());
    // The same, unpacked.
    tool("tar", &["-xf", path.to_str().unwrap()], made.dir.path());
    let package = Package::open(&made.dir.path().join("app.ovf")).unwrap();
    let names: Vec<_> = package.members.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["app.ovf", "app.mf", "app-disk1.vmdk"]);
}

#[test]
fn bad_input_is_refused() {
    let made = make();
    for (name, why) in [
        ("", "it starts with a dot"),
        ("a/b", "packages have no directories"),
        ("ä", "it has other characters than printable ASCII"),
        (&"n".repeat(99), "it is longer than 100 bytes"),
    ] {
        let error = made.pack(name).unwrap_err().to_string();
        assert!(error.ends_with(why), "{error}");
    }
    let mut made = make();
    made.files[0].name = "other.vmdk".into();
    assert_eq!(
        made.pack("app").unwrap_err().to_string(),
        "the descriptor and the files differ: it lists `app-disk1.vmdk` where `other.vmdk` comes"
    );
    let mut made = make();
    made.files.push(made.files[0].clone());
    assert_eq!(
        made.pack("app").unwrap_err().to_string(),
        "`app-disk1.vmdk` is no name for a file in an ova: another file has this name (case does not count)"
    );
    let mut made = make();
    fs::write(&made.files[0].path, b"short").unwrap();
    assert!(
        made.pack("app")
            .unwrap_err()
            .to_string()
            .contains("the file has 5")
    );
    made.files.clear();
    assert_eq!(
        made.pack("app").unwrap_err().to_string(),
        "the descriptor and the files differ: it lists 1 files, there are 0"
    );
    let mut made = make();
    made.files[0].path = made.dir.path().join("nowhere");
    assert!(
        made.pack("app")
            .unwrap_err()
            .to_string()
            .contains("nowhere: No such file")
    );
}

#[test]
fn a_cancel_ends_packing() {
    let made = make();
    let input = PackInput::new("app", &made.descriptor, &made.files, 0);
    let cancel = Cancel::new();
    cancel.cancel(crate::sys::CancelKind::Graceful);
    let out = tempfile::tempfile().unwrap();
    let error = pack(&input, &out, &|_| {}, &cancel).unwrap_err();
    assert_eq!(error.to_string(), "interrupted");
}

#[test]
fn what_is_no_package_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.ova");
    fs::write(&path, vec![7; 2000]).unwrap();
    assert_eq!(
        Package::open(&path).unwrap_err().to_string(),
        "the ova is damaged at byte 0: this is no tar file"
    );
    fs::write(&path, b"").unwrap();
    assert_eq!(
        Package::open(&path).unwrap_err().to_string(),
        "the ova is damaged at byte 0: the file is empty"
    );
    fs::write(&path, b"\x1f\x8b and so on").unwrap();
    assert_eq!(
        Package::open(&path).unwrap_err().to_string(),
        "the ova is damaged at byte 0: this is a gzip file, no tar file: unpack it with `gunzip` first"
    );
    let (good, _) = make()
        .pack("app")
        .map(|(p, i)| (fs::read(p).unwrap(), i))
        .unwrap();
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    let package = Package::open(&path).unwrap();
    assert_eq!(package.damage.unwrap().1, "the file ends within a member");
    let window = Window::open(&path).unwrap().part(0, 1024).unwrap();
    assert!(Package::of_archive(&window).members.is_empty());
}

/// The members of a good package, to be broken.
pub(super) fn members() -> Vec<(String, Vec<u8>)> {
    let made = make();
    let package = Package::open(&made.pack("app").unwrap().0).unwrap();
    let bytes = |m: &Member| (m.name.clone(), m.data.read_all(1 << 30).unwrap());
    package.members.iter().map(bytes).collect()
}

/// Writes members as they are, however bad.
pub(super) fn archive(path: &Path, members: &[(String, Vec<u8>)]) -> Package {
    let mut builder = tar::Builder::new(File::create(path).unwrap());
    for (name, bytes) in members {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, bytes.as_slice()).unwrap();
    }
    builder.finish().unwrap();
    Package::open(path).unwrap()
}

#[test]
fn unpacking_gives_the_files_back_and_replaces_none() {
    let made = make();
    let package = Package::open(&made.pack("app").unwrap().0).unwrap();
    let dir = made.dir.path().join("deep/out");
    let told = std::sync::atomic::AtomicU64::new(0);
    let progress = |n| told.store(n, std::sync::atomic::Ordering::Relaxed);
    let paths = package
        .unpack(&dir, UnpackLimits::NONE, &progress, &Cancel::new())
        .unwrap();
    let total: u64 = package.members.iter().map(|m| m.data.len()).sum();
    assert_eq!(told.into_inner(), total);
    for (path, (_, bytes)) in paths.iter().zip(members()) {
        assert!(fs::read(path).unwrap() == bytes, "{path:?}");
    }
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 3, "no staging is left");
    let again = package
        .unpack(&dir, UnpackLimits::NONE, &|_| {}, &Cancel::new())
        .unwrap_err();
    assert_eq!(
        again.to_string(),
        "`app.ovf` is not unpacked: there is a file of this name already"
    );
}

#[test]
fn nothing_is_unpacked_from_a_package_that_means_harm() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let good = ("a.ovf".to_owned(), b"x".to_vec());
    let unpack = |package: &Package| {
        let error = package
            .unpack(&out, UnpackLimits::NONE, &|_| {}, &Cancel::new())
            .unwrap_err();
        assert!(!out.exists(), "something was written");
        error.to_string()
    };
    for (name, why) in [
        ("../evil", "packages have no directories"),
        ("/etc/evil", "packages have no directories"),
        ("..", "it starts with a dot"),
        ("a\\b", "packages have no directories"),
        ("A.OVF", "it is there twice (case does not count)"),
    ] {
        let members = [good.clone(), (name.to_owned(), b"x".to_vec())];
        let package = archive(&dir.path().join("x.ova"), &members);
        assert_eq!(unpack(&package), format!("`{name}` is not unpacked: {why}"));
    }
    let path = dir.path().join("link.ova");
    let mut builder = tar::Builder::new(File::create(&path).unwrap());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder
        .append_link(&mut header, "disk.vmdk", "/etc/passwd")
        .unwrap();
    builder.finish().unwrap();
    assert_eq!(
        unpack(&Package::open(&path).unwrap()),
        "`disk.vmdk` is not unpacked: it is a symbolic link"
    );
    // A member that claims more than the file has.
    let mut bytes = fs::read(dir.path().join("x.ova")).unwrap();
    bytes.truncate(1024 + 512);
    fs::write(&path, &bytes).unwrap();
    let truncated = Package::open(&path).unwrap();
    assert_eq!(
        unpack(&truncated),
        "the ova is damaged at byte 1024: the file ends within a member"
    );
}

#[test]
fn holes_that_claim_to_be_files_are_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.ova");
    let size = 300 << 30;
    fs::write(&path, write::header("a.ovf", size, 0)).unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(size + 2048)
        .unwrap();
    let out = dir.path().join("out");
    let package = Package::open(&path).unwrap();
    let unpack = |limits| {
        package
            .unpack(&out, limits, &|_| {}, &Cancel::new())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        unpack(UnpackLimits::default()),
        "the files are 300GiB together, more than the 256GiB that may be unpacked"
    );
    assert!(!out.exists());
}

#[test]
fn headers_without_end_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("headers.ova");
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(0);
    header.set_cksum();
    fs::write(&path, header.as_bytes().repeat(100)).unwrap();
    assert_eq!(
        Package::open(&path).unwrap_err().to_string(),
        "the ova is damaged at byte 4096: there are too many headers before a file"
    );
    // empty files, more of them than any package has
    fs::write(&path, write::header("a", 0, 0).repeat(10_002)).unwrap();
    let package = Package::open(&path).unwrap();
    assert_eq!(package.damage.unwrap().1, "there are too many files in it");
}

#[test]
fn a_summary_tells_what_a_package_is() {
    let made = make();
    let package = Package::open(&made.pack("app").unwrap().0).unwrap();
    let summary = package.inspect().unwrap();
    insta::assert_snapshot!(summary.to_string(), @r"
    name        app
    product     App
    machine     2 CPUs (1 a socket), 512MiB of memory, bios, vmx-15, other4xLinux64Guest
    disk        2MiB (320KiB used) on lsilogic: app-disk1.vmdk, 71.5KiB
    network     e1000 on `VM Network`
    file        app.ovf, 3.8KiB
    file        app.mf, 171B
    file        app-disk1.vmdk, 71.5KiB
    manifest    sha256
    ");
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["hardware"]["cpus"], 2);
    assert_eq!(json["disks"][0]["file"], "app-disk1.vmdk");
}
