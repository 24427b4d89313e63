//! `forge disk` on disks that lie in an appliance: shown, checked and converted where they are.

use std::fs;

use forge::model::Firmware;

use super::support::Sandbox;
use super::support::appliance::{Content, appliance, tool};

/// `one.ova` with a disk, `three.ova` with three.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::empty();
    let three = [Content::Full, Content::Empty, Content::Odd];
    for (name, contents) in [("one", &[Content::Odd][..]), ("three", &three)] {
        appliance(&sandbox, name, Firmware::Efi, contents);
        let ova = format!("{name}.ova");
        let _ = sandbox.forge(&["ova", "pack", name, "-o", &ova]).exits(0);
    }
    sandbox
}

fn json(sandbox: &Sandbox, args: &[&str], code: i32) -> serde_json::Value {
    let args = [&["disk"], args, &["--json"]].concat();
    serde_json::from_str(&sandbox.forge(&args).exits(code).stdout).unwrap()
}

#[test]
fn an_appliances_disks_are_shown() {
    let sandbox = sandbox();
    let shown = sandbox
        .forge(&["disk", "info", "three.ova"])
        .exits(0)
        .stdout;
    let heads: Vec<&str> = shown
        .lines()
        .filter(|line| !line.starts_with(' '))
        .collect();
    assert_eq!(
        heads,
        [
            "three.ova/three-disk1.vmdk",
            "three.ova/three-disk2.vmdk",
            "three.ova/three-disk3.vmdk"
        ]
    );
    let second = ["disk", "info", "three.ova", "--disk", "2"];
    let shown = sandbox.forge(&second).exits(0).stdout;
    assert!(shown.starts_with("three.ova/three-disk2.vmdk\n"), "{shown}");
    assert!(
        shown.contains("  disk        8MiB (8388608 bytes)\n"),
        "{shown}"
    );
    // A disk by itself is told as a file would be.
    let all = json(&sandbox, &["info", "three.ova"], 0);
    assert_eq!(all["file"], "three.ova");
    assert_eq!(all["disks"][2]["name"], "three-disk3.vmdk");
    let named = json(
        &sandbox,
        &["info", "three.ova", "--disk", "three-disk3.vmdk"],
        0,
    );
    assert_eq!(named, all["disks"][2]);
    assert_eq!(named["files"], serde_json::json!(["three.ova"]));
}

#[test]
fn an_appliances_disks_are_checked() {
    let sandbox = sandbox();
    let checked = sandbox
        .forge(&["disk", "check", "three.ova"])
        .exits(0)
        .stdout;
    assert_eq!(
        checked,
        "three.ova/three-disk1.vmdk: vmdk in order, 2MiB of data on a disk of 2MiB\n\
         three.ova/three-disk2.vmdk: vmdk in order, 0B of data on a disk of 8MiB\n\
         three.ova/three-disk3.vmdk: vmdk in order, 320KiB of data on a disk of 5184KiB\n"
    );
    let all = json(&sandbox, &["check", "one.ova"], 0);
    assert_eq!(
        (&all["ok"], &all["disks"][0]["ok"]),
        (&true.into(), &true.into())
    );
    // A byte of the only disk is wrong.
    let mut bytes = fs::read(sandbox.path("one.ova")).unwrap();
    let end = bytes.windows(9).position(|b| b == b"KDMV\x03\0\0\0\x01");
    bytes[end.unwrap() + 65_536 + 40] ^= 0xff;
    fs::write(sandbox.path("bad.ova"), bytes).unwrap();
    let said = sandbox.forge(&["disk", "check", "bad.ova"]).exits(1).stdout;
    assert!(
        said.starts_with("error: bad.ova/one-disk1.vmdk, byte 65536: a grain does not unpack"),
        "{said}"
    );
    assert_eq!(json(&sandbox, &["check", "bad.ova"], 1)["ok"], false);
    let one = json(&sandbox, &["check", "bad.ova", "--disk", "1"], 1);
    assert_eq!(
        (&one["ok"], &one["name"]),
        (&false.into(), &"one-disk1.vmdk".into())
    );
}

#[test]
fn a_disk_comes_out_of_an_appliance() {
    let sandbox = sandbox();
    let said = sandbox
        .forge(&["disk", "convert", "one.ova", "one.raw"])
        .exits(0)
        .stdout;
    assert_eq!(said, "one.raw: raw, 5184KiB for a disk of 5184KiB\n");
    for (disk, out, of) in [
        ("1", "first.qcow2", 0),
        ("three-disk3.vmdk", "third.vmdk", 2),
    ] {
        let args = ["disk", "convert", "three.ova", out, "--disk", disk];
        let _ = sandbox.forge(&args).exits(0);
        let raw = format!("three-{of}.raw");
        tool("qemu-img", &["compare", &raw, out], &sandbox.root());
    }
    tool(
        "qemu-img",
        &["compare", "one-0.raw", "one.raw"],
        &sandbox.root(),
    );
    // What is read is not replaced.
    fs::copy(sandbox.path("one.ova"), sandbox.path("ova.vmdk")).unwrap();
    let args = ["disk", "convert", "ova.vmdk", "ova.vmdk", "--force"];
    let said = sandbox.forge(&args).exits(2).stderr;
    assert!(
        said.contains("ova.vmdk is a part of what is read\n"),
        "{said}"
    );
}

/// Appliances without a disk, or with one that is not read.
fn with_broken() -> Sandbox {
    let sandbox = sandbox();
    sandbox.write("disk.raw", "not much");
    appliance(&sandbox, "none", Firmware::Bios, &[]);
    let _ = sandbox
        .forge(&["ova", "pack", "none", "-o", "none.ova"])
        .exits(0);
    // Disks that are no VMDK of one file, one that no member is, and a file that ends too early.
    tool(
        "qemu-img",
        &["create", "-q", "-f", "qcow2", "one/one-disk1.vmdk", "1M"],
        &sandbox.root(),
    );
    tool(
        "tar",
        &["-cf", "qcow2.ova", "-C", "one", "one.ovf", "one-disk1.vmdk"],
        &sandbox.root(),
    );
    sandbox.write("one/one-disk1.vmdk", "# Disk DescriptorFile\n");
    tool(
        "tar",
        &["-cf", "text.ova", "-C", "one", "one.ovf", "one-disk1.vmdk"],
        &sandbox.root(),
    );
    tool(
        "tar",
        &["-cf", "lacks.ova", "-C", "one", "one.ovf"],
        &sandbox.root(),
    );
    let whole = fs::read(sandbox.path("three.ova")).unwrap();
    fs::write(sandbox.path("cut.ova"), &whole[..whole.len() / 2]).unwrap();
    let dangling = sandbox
        .read("one/one.ovf")
        .replace("ovf:fileRef=\"file1\"", "ovf:fileRef=\"file9\"");
    sandbox.write("one/one.ovf", &dangling);
    tool(
        "tar",
        &["-cf", "ref.ova", "-C", "one", "one.ovf"],
        &sandbox.root(),
    );
    sandbox
}

#[test]
fn what_is_wrong_with_an_appliances_disks_is_told() {
    let sandbox = with_broken();
    for (args, said) in [
        (
            &["convert", "three.ova", "a.raw"][..],
            "error: three.ova has 3 disks\n  help: `--disk 1` is three-disk1.vmdk, `--disk 2` is three-disk2.vmdk, `--disk 3` is three-disk3.vmdk\n",
        ),
        (
            &["convert", "three.ova", "a.raw", "--disk", "4"],
            "error: three.ova has no disk `4`\n  help: `--disk 1` is three-disk1.vmdk, `--disk 2` is three-disk2.vmdk, `--disk 3` is three-disk3.vmdk\n",
        ),
        (
            &["info", "one.ova", "--disk", "0"],
            "error: one.ova has no disk `0`\n  help: `--disk 1` is one-disk1.vmdk\n",
        ),
        (
            &["info", "disk.raw", "--disk", "1"],
            "error: `--disk` is for appliances: disk.raw is one disk\n",
        ),
        (&["info", "none.ova"], "error: none.ova has no disk\n"),
        (
            &["check", "qcow2.ova"],
            "error: cannot read qcow2.ova/one-disk1.vmdk: this is a qcow2 image; `forge ova unpack` takes it out, then it is read\n",
        ),
        (
            &["check", "text.ova"],
            "error: cannot read text.ova/one-disk1.vmdk: its content is in other files; `forge ova unpack` takes all of them out\n",
        ),
        (
            &["info", "lacks.ova"],
            "error: cannot read lacks.ova: the descriptor and the files differ: `one-disk1.vmdk` is not in the package\n",
        ),
        (
            &["info", "ref.ova"],
            "error: cannot read ref.ova: the disk `vmdisk1` of the ovf refers to `file9`, which does not exist\n",
        ),
    ] {
        let args = [&["disk"], args].concat();
        assert_eq!(sandbox.forge(&args).exits(2).stderr, said);
    }
    let said = sandbox.forge(&["disk", "info", "cut.ova"]).exits(2).stderr;
    assert!(
        said.starts_with("error: cannot read cut.ova: the ova is damaged at byte "),
        "{said}"
    );
}
