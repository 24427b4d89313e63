//! `forge disk`: images converted, shown and checked, each judged by programs that are not ours.

#![allow(
    clippy::too_many_lines,
    reason = "what is long in these tests is what people do and what forge says"
)]

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::process::{Command, Stdio};

use super::support::Sandbox;

/// A sandbox with a raw disk of 40 MB that is no multiple of a grain, with text at its beginning, middle and end.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::empty();
    let file = File::create(sandbox.path("disk.raw")).unwrap();
    file.set_len(40_000_000).unwrap();
    let line = |n: u32| {
        format!(
            "{n}: forge builds machine {} of {}. ",
            n * 7919 % 10_007,
            n / 7
        )
    };
    let text = (0..9000).map(line).collect::<String>();
    for at in [0, 20_000_000, 39_700_000] {
        file.write_all_at(&text.as_bytes()[..279_000], at).unwrap();
    }
    sandbox
}

fn judge(sandbox: &Sandbox, program: &str, args: &[&str]) {
    let mut command = Command::new(program);
    let output = command.args(args).current_dir(sandbox.root()).output();
    let output = output.expect("it judges here; `scripts/test` installs it");
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
}

fn convert(sandbox: &Sandbox, args: &[&str]) -> String {
    sandbox
        .forge(&[&["disk", "convert"], args].concat())
        .exits(0)
        .stdout
}

fn refused(sandbox: &Sandbox, args: &[&str]) -> String {
    sandbox.forge(&[&["disk"], args].concat()).exits(2).stderr
}

#[test]
fn an_image_goes_round_all_formats_and_stays_the_same_disk() {
    let sandbox = sandbox();
    let said = convert(&sandbox, &["disk.raw", "a.vmdk"]);
    let digest = forge::model::Digest::of(&fs::read(sandbox.path("a.vmdk")).unwrap());
    let size = fs::metadata(sandbox.path("a.vmdk")).unwrap().len();
    let size = forge::model::Size::from_bytes(size);
    assert_eq!(
        said,
        format!("a.vmdk: vmdk, {size} for a disk of 38.2MiB, 1MiB of it data\n{digest}\n")
    );
    let said = convert(&sandbox, &["a.vmdk", "b.vmdk", "-f", "vmdk-sparse"]);
    assert_eq!(
        said,
        "b.vmdk: vmdk-sparse, 1088KiB for a disk of 38.2MiB, 1MiB of it data\n"
    );
    assert!(convert(&sandbox, &["b.vmdk", "c.qcow2"]).starts_with("c.qcow2: qcow2, "));
    let back = convert(&sandbox, &["c.qcow2", "a2.vmdk"]);
    assert!(back.starts_with("a2.vmdk: vmdk, "), "{back}");
    assert_eq!(
        convert(&sandbox, &["a.vmdk", "d.img"]),
        "d.img: raw, 38.2MiB for a disk of 38.2MiB\n"
    );
    assert!(fs::metadata(sandbox.path("d.img")).unwrap().blocks() * 512 < 2 << 20);
    for image in ["a.vmdk", "b.vmdk", "c.qcow2", "a2.vmdk"] {
        judge(&sandbox, "qemu-img", &["check", "-q", image]);
        judge(&sandbox, "qemu-img", &["compare", "-q", "disk.raw", image]);
        let _ = sandbox.forge(&["disk", "check", image]).exits(0);
    }
    judge(
        &sandbox,
        "qemu-img",
        &[
            "compare", "-q", "-f", "raw", "-F", "raw", "disk.raw", "d.img",
        ],
    );
    // As everybody may read it, and nothing else is left.
    assert_eq!(
        fs::metadata(sandbox.path("a.vmdk")).unwrap().mode() & 0o777,
        0o644
    );
    assert_eq!(fs::read_dir(sandbox.root()).unwrap().count(), 6);
}

#[test]
fn a_pipe_takes_a_vmdk_and_a_raw_disk() {
    let sandbox = sandbox();
    let _ = convert(&sandbox, &["disk.raw", "a.vmdk", "--fast"]);
    let fast = fs::read(sandbox.path("a.vmdk")).unwrap();
    let piped = |args: &[&str]| {
        let output = sandbox
            .command(&[&["disk", "convert"], args].concat())
            .output()
            .unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        output.stdout
    };
    // Only the name within differs.
    let vmdk = piped(&["disk.raw", "-", "--format", "vmdk", "--level", "1"]);
    assert!(vmdk[2048..65_536] == fast[2048..65_536] && vmdk.len() == fast.len());
    let raw = piped(&["a.vmdk", "-", "--format", "raw"]);
    let mut expected = fs::read(sandbox.path("disk.raw")).unwrap();
    expected.resize(expected.len().next_multiple_of(65_536), 0);
    assert!(raw == expected);
    let smallest = piped(&["disk.raw", "-", "-f", "vmdk", "--level", "max"]);
    assert!(smallest.len() < fast.len());
    // A reader that goes away is no error.
    let mut command = sandbox.command(&["disk", "convert", "disk.raw", "-", "-f", "raw"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    // Neither is a place that is no file.
    let said = convert(&sandbox, &["disk.raw", "/dev/null", "-f", "vmdk"]);
    assert!(said.starts_with("/dev/null: vmdk, "), "{said}");
}

#[test]
fn what_is_there_stays_unless_it_shall_be_replaced() {
    let sandbox = sandbox();
    sandbox.write("a.vmdk", "precious");
    assert_eq!(
        refused(&sandbox, &["convert", "disk.raw", "a.vmdk"]),
        "error: a.vmdk is there already\n  help: `--force` replaces it\n"
    );
    assert_eq!(sandbox.read("a.vmdk"), "precious");
    std::os::unix::fs::symlink("a.vmdk", sandbox.path("link.vmdk")).unwrap();
    let _ = convert(&sandbox, &["disk.raw", "link.vmdk", "--force"]);
    assert!(
        fs::symlink_metadata(sandbox.path("link.vmdk"))
            .unwrap()
            .is_symlink()
    );
    judge(
        &sandbox,
        "qemu-img",
        &["compare", "-q", "disk.raw", "a.vmdk"],
    );
    // An image may replace itself.
    let _ = convert(&sandbox, &["a.vmdk", "a.vmdk", "--force", "--level", "9"]);
    judge(
        &sandbox,
        "qemu-img",
        &["compare", "-q", "disk.raw", "a.vmdk"],
    );
    // What others may be laid over is not replaced.
    let _ = convert(&sandbox, &["disk.raw", "base.qcow2"]);
    judge(
        &sandbox,
        "qemu-img",
        &[
            "create",
            "-q",
            "-f",
            "qcow2",
            "-F",
            "qcow2",
            "-b",
            "base.qcow2",
            "top.qcow2",
        ],
    );
    assert_eq!(
        refused(&sandbox, &["convert", "top.qcow2", "base.qcow2", "--force"]),
        "error: [ROOT]/base.qcow2 is a part of what is read\n  help: write to another file\n"
    );
    // What fails leaves nothing behind.
    sandbox.write("damaged.vmdk", "");
    let mut bytes = fs::read(sandbox.path("a.vmdk")).unwrap();
    bytes[65_536 + 40] ^= 0xff;
    fs::write(sandbox.path("damaged.vmdk"), bytes).unwrap();
    let before = fs::read_dir(sandbox.root()).unwrap().count();
    let said = sandbox
        .forge(&["disk", "convert", "damaged.vmdk", "new.raw"])
        .exits(1);
    assert_eq!(
        said.stderr,
        "error: cannot read damaged.vmdk: the vmdk is damaged at byte 65536: a grain does not unpack: it is no zlib stream, or not the one that its checksum is of\n  \
         help: `forge disk check damaged.vmdk` tells all that is wrong with it\n"
    );
    let said = sandbox
        .forge(&["disk", "convert", "disk.raw", "/dev/full", "-f", "raw"])
        .exits(3);
    assert!(
        said.stderr
            .starts_with("error: cannot write /dev/full: No space left"),
        "{}",
        said.stderr
    );
    let said = sandbox
        .forge(&["disk", "convert", "disk.raw", "nowhere/new.raw"])
        .exits(3);
    assert!(
        said.stderr
            .starts_with("error: cannot write nowhere/new.raw: No such file"),
        "{}",
        said.stderr
    );
    assert_eq!(fs::read_dir(sandbox.root()).unwrap().count(), before);
}

#[test]
fn what_people_get_wrong_is_told() {
    let sandbox = sandbox();
    sandbox.write("x.vdi.txt", "");
    for (args, said) in [
        (
            &["convert", "gone.raw", "a.vmdk"][..],
            "error: cannot read gone.raw: No such file or directory (os error 2)\n",
        ),
        (
            &["convert", ".", "a.vmdk"],
            "error: cannot read .: is a directory\n",
        ),
        (
            &["convert", "disk.raw", "a.iso"],
            "error: the name a.iso does not tell its format\n  help: say `--format vmdk`, `vmdk-sparse`, `qcow2` or `raw`\n",
        ),
        (
            &["convert", "disk.raw", "-"],
            "error: standard output has no name that tells its format\n  help: say `--format vmdk`, `vmdk-sparse`, `qcow2` or `raw`\n",
        ),
        (
            &["convert", "disk.raw", "-", "-f", "qcow2"],
            "error: a qcow2 cannot be written to a pipe: its tables stand before its data\n  help: name a file, or take `--format vmdk` or `--format raw`\n",
        ),
        (&["convert", "disk.raw", "."], "error: . is a directory\n"),
        (
            &["convert", "disk.raw", "a.raw", "--fast"],
            "error: `--fast` is for a vmdk: nothing else is compressed\n",
        ),
        (
            &["convert", "disk.raw", "a.qcow2", "--level", "3"],
            "error: `--level` is for a vmdk: nothing else is compressed\n",
        ),
        (
            &["info", "gone.raw"],
            "error: cannot read gone.raw: No such file or directory (os error 2)\n",
        ),
        (
            &["check", "gone.raw"],
            "error: cannot read gone.raw: No such file or directory (os error 2)\n",
        ),
    ] {
        assert_eq!(refused(&sandbox, args), said);
    }
    for args in [
        &["convert", "disk.raw", "a.vmdk", "--level", "13"][..],
        &["convert", "disk.raw", "a.vmdk", "--level", "0"],
        &["convert", "disk.raw", "a.vmdk", "--level", "best"],
    ] {
        let said = refused(&sandbox, args);
        assert!(
            said.contains("expected a number from 1 to 12, or `max`"),
            "{said}"
        );
    }
    let said = refused(
        &sandbox,
        &["convert", "disk.raw", "a.vmdk", "--fast", "--level", "9"],
    );
    assert!(
        said.contains("'--fast' cannot be used with '--level <LEVEL>'"),
        "{said}"
    );
    let ova = ["-cf", "disks.ova", "--format=ustar", "disk.raw"];
    judge(&sandbox, "tar", &ova);
    assert_eq!(
        refused(&sandbox, &["info", "disks.ova"]),
        "error: cannot read disks.ova: there is no .ovf in it\n"
    );
}

#[test]
fn an_image_tells_of_itself() {
    let sandbox = sandbox();
    let _ = convert(&sandbox, &["disk.raw", "a.vmdk"]);
    let shown = sandbox.forge(&["disk", "info", "a.vmdk"]).exits(0).stdout;
    let varies = regex::Regex::new(r"(takes +).*|[0-9a-f]{8}\n").unwrap();
    let shown = varies.replace_all(&shown, "$1[…]\n");
    insta::assert_snapshot!(shown.replace("\n\n", "\n"), @r"
    a.vmdk
      format      vmdk, streamOptimized, version 3, tables at the end
      disk        38.2MiB (40042496 bytes)
      data        1MiB, in 16 grains
      takes       […]
      content id  […]
      adapter     lsilogic
    ");
    let json = sandbox
        .forge(&["disk", "info", "a.vmdk", "--json"])
        .exits(0)
        .stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["virtual_size"], 40_042_496);
    assert_eq!(
        (&json["data"], &json["vmdk"]["grains"]),
        (&(1 << 20).into(), &16.into())
    );
    judge(
        &sandbox,
        "qemu-img",
        &[
            "create",
            "-q",
            "-f",
            "qcow2",
            "-F",
            "raw",
            "-b",
            "disk.raw",
            "top.qcow2",
        ],
    );
    let said = sandbox
        .forge(&["disk", "info", "top.qcow2"])
        .exits(0)
        .stdout;
    assert!(said.contains("\n  laid over   disk.raw\n"), "{said}");
    judge(
        &sandbox,
        "qemu-img",
        &[
            "convert",
            "-O",
            "vmdk",
            "-o",
            "subformat=monolithicFlat",
            "disk.raw",
            "flat.vmdk",
        ],
    );
    let said = sandbox
        .forge(&["disk", "info", "flat.vmdk"])
        .exits(0)
        .stdout;
    assert!(
        said.contains("vmdk, monolithicFlat\n")
            && said.contains("\n  content in  flat-flat.vmdk\n"),
        "{said}"
    );
    // Every field is documented.
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/disks.md")).unwrap();
    let check = sandbox
        .forge(&["disk", "check", "a.vmdk", "--json"])
        .exits(0)
        .stdout;
    let again = sandbox
        .forge(&["disk", "convert", "a.vmdk", "b.vmdk", "--output", "json"])
        .exits(0)
        .stdout;
    let names = regex::Regex::new(r#""(\w+)":"#).unwrap();
    for text in [json.to_string(), check, again] {
        for name in names.captures_iter(&text) {
            assert!(
                page.contains(&format!("`{}`", &name[1])),
                "{} is not in docs/disks.md",
                &name[1]
            );
        }
    }
}

#[test]
fn a_vmdk_without_its_end_is_told_of_and_made_good() {
    let sandbox = sandbox();
    judge(
        &sandbox,
        "qemu-img",
        &[
            "convert",
            "-O",
            "vmdk",
            "-o",
            "subformat=streamOptimized",
            "disk.raw",
            "q.vmdk",
        ],
    );
    let said = sandbox.forge(&["disk", "check", "q.vmdk"]).exits(1).stdout;
    assert!(
        said.contains("; VMware's tools reject the file's digest [end-of-stream]\n"),
        "{said}"
    );
    let said = sandbox
        .forge(&["disk", "check", "q.vmdk", "--json"])
        .exits(1)
        .stdout;
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["ok"], false);
    let _ = convert(&sandbox, &["q.vmdk", "q.vmdk", "--force"]);
    let said = sandbox.forge(&["disk", "check", "q.vmdk"]).exits(0).stdout;
    assert_eq!(
        said,
        "q.vmdk: vmdk in order, 1MiB of data on a disk of 38.2MiB\n"
    );
    judge(
        &sandbox,
        "qemu-img",
        &["compare", "-q", "disk.raw", "q.vmdk"],
    );
    let said = sandbox
        .forge(&["disk", "check", "disk.raw"])
        .exits(0)
        .stdout;
    assert!(said.starts_with("disk.raw: raw in order, "), "{said}");
}
