//! Bare disks before judges that are not forge's: qemu-img and libvmdk, for disks that a BIOS and an UEFI start from, one and three of
//! them, empty, full, and of sizes that are no multiple of a grain.

use std::fs;

use forge::model::Digest;

use super::support::Sandbox;
use super::support::appliance::{as_vmdk, libvmdk, tool};

const SECTOR: usize = 512;

/// So many bytes, none of which compress well.
fn noise(len: usize) -> Vec<u8> {
    let blocks = (0..len as u64 / 32 + 1).flat_map(|i| *Digest::of(&i.to_le_bytes()).as_bytes());
    blocks.take(len).collect()
}

/// Writes a partition table of one partition: DOS's for a BIOS, GPT for UEFI.
fn partition(sandbox: &Sandbox, disk: &str, firmware: &str) {
    let (label, kind) = match firmware {
        "bios" => ("dos", "83"),
        _ => ("gpt", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"),
    };
    sandbox.write(
        "table",
        &format!("label: {label}\nstart=2048, type={kind}\n"),
    );
    let line = format!("PATH=$PATH:/usr/sbin:/sbin sfdisk --quiet --no-tell-kernel {disk} < table");
    tool("sh", &["-c", &line], &sandbox.root());
}

/// Everybody's verdict on what becomes of `disk` in each format, and on what they make of it.
fn judge(sandbox: &Sandbox, disk: &str) {
    let root = sandbox.root();
    let convert = |from: &str, to: &str, format: &str| {
        let args = ["disk", "convert", from, to, "--format", format, "--force"];
        let _ = sandbox.forge(&args).exits(0);
    };
    let same = |image: &str| {
        tool("qemu-img", &["compare", "-q", disk, image], &root);
    };
    let content = fs::read(sandbox.path(disk)).unwrap();
    for format in ["vmdk", "vmdk-sparse", "qcow2"] {
        convert(disk, "ours", format);
        tool("qemu-img", &["check", "-q", "ours"], &root);
        same("ours");
        tool(
            "qemu-img",
            &["convert", "-O", "raw", "ours", "theirs"],
            &root,
        );
        let theirs = fs::read(sandbox.path("theirs")).unwrap();
        let (head, rest) = theirs.split_at(content.len());
        assert!(
            head == content && rest.iter().all(|byte| *byte == 0),
            "{disk}, {format}"
        );
        if format != "qcow2" {
            assert_eq!(
                libvmdk("ours", &root),
                as_vmdk(content.clone()),
                "{disk}, {format}"
            );
        }
        let _ = sandbox.forge(&["disk", "check", "ours"]).exits(0);
        convert("ours", "back", "raw");
        same("back");
    }
    for options in [
        &["-O", "vmdk", "-o", "subformat=streamOptimized"][..],
        &["-O", "vmdk", "-o", "subformat=monolithicSparse"],
        &["-O", "qcow2", "-c"],
    ] {
        tool(
            "qemu-img",
            &[&["convert"], options, &[disk, "theirs"]].concat(),
            &root,
        );
        convert("theirs", "back", "raw");
        same("back");
    }
}

#[test]
fn disks_are_what_everybody_else_takes_them_for() {
    let sandbox = Sandbox::empty();
    let odd = (5 << 20) + 3 * SECTOR;
    for firmware in ["bios", "uefi"] {
        // The disks of a machine with three; the first of them are those of machines with one.
        for (number, (size, data)) in [(odd, 300_000), (3 << 20, 3 << 20), (8 << 20, 0)]
            .into_iter()
            .enumerate()
        {
            let disk = format!("{firmware}-{number}");
            let mut content = noise(data);
            content.resize(size, 0);
            fs::write(sandbox.path(&disk), content).unwrap();
            if data > 0 {
                partition(&sandbox, &disk, firmware);
            }
            judge(&sandbox, &disk);
        }
    }
}

#[test]
fn disks_of_a_sector_and_of_nothing_are_disks() {
    let sandbox = Sandbox::empty();
    for (name, content) in [
        ("sector", vec![0; SECTOR]),
        ("full-sector", noise(SECTOR)),
        ("grain", noise(65_536)),
        ("more-than-a-grain", noise(65_536 + SECTOR)),
    ] {
        fs::write(sandbox.path(name), content).unwrap();
        judge(&sandbox, name);
    }
}
