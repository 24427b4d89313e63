use std::fs::{self, File};
use std::process::Command;

use super::*;
use crate::image::convert::{Converted, Target, to_file};
use crate::image::vmdk::WriteOptions;
use crate::model::Digest;
use crate::sys::Cancel;

fn qemu(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output();
    let output = output.expect("qemu-utils judge here; `scripts/test` installs them");
    assert!(output.status.success(), "{args:?}: {output:?}");
}

#[test]
fn a_chain_becomes_a_vmdk_without_a_raw_copy_and_qemu_agrees() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (base, top, disk) = (path("base.qcow2"), path("top.qcow2"), path("disk.vmdk"));
    qemu("qemu-img", &["create", "-q", "-f", "qcow2", &base, "64M"]);
    let write = ["-c", "write -P 1 0 9M", "-c", "write -P 2 40M 700k"];
    qemu("qemu-io", &[&write[..], &[&base]].concat());
    let create = ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &base];
    qemu("qemu-img", &[&create[..], &[&top, "64M"]].concat());
    let write = ["-c", "write -P 3 8M 2M", "-c", "write -z 1M 3M"];
    qemu("qemu-io", &[&write[..], &[&top]].concat());
    let chain = qcow2::Chain::open(&[base.clone().into(), top.clone().into()]).unwrap();
    let options = WriteOptions::new("disk.vmdk", Digest::of(b"test"));
    let mut out = File::create(&disk).unwrap();
    let info = vmdk::write(&chain, &options, &mut out, &|_| {}, &Cancel::new()).unwrap();
    // 10 MiB without 3 of zeros, and 700 KiB in 11 grains.
    assert_eq!(info.populated.bytes(), (7 << 20) + 11 * 65_536);
    qemu("qemu-img", &["check", "-q", &disk]);
    qemu("qemu-img", &["compare", "-q", &top, &disk]);
    let image = open(Path::new(&disk)).unwrap();
    assert_eq!(
        (image.format, image.source.size()),
        (DiskFormat::Vmdk, 64 << 20)
    );
    assert_eq!(open(Path::new(&base)).unwrap().format, DiskFormat::Qcow2);
    // What an image is laid over is found, and is the same disk.
    let image = open(Path::new(&top)).unwrap();
    assert_eq!(image.files, [PathBuf::from(&top), PathBuf::from(&base)]);
    let copy = path("copy.qcow2");
    let converted = convert(&top, &Target::Qcow2, &copy);
    assert_eq!(converted.populated, Some(info.populated));
    qemu("qemu-img", &["compare", "-q", &top, &copy]);
    assert_eq!(codes(&copy), Vec::<&str>::new());
    assert_eq!(codes(&top), Vec::<&str>::new());
}

fn convert(from: &str, target: &Target, to: &str) -> Converted {
    let image = open(Path::new(from)).unwrap();
    let out = File::create(to).unwrap();
    to_file(image.source.as_ref(), target, &out, &|_| {}, &Cancel::new()).unwrap()
}

fn codes(path: &str) -> Vec<&'static str> {
    let report = check(Path::new(path), &|_| {}, &Cancel::new()).unwrap();
    report.problems.iter().map(|problem| problem.code).collect()
}

fn options() -> WriteOptions {
    WriteOptions::new("disk.vmdk", Digest::of(b"test"))
}

/// Data at the borders of grains, clusters, tables and of the files of two gigabytes, at the disk's very end too.
fn scattered(dir: &Path, size: u64) -> String {
    let path = dir.join("scattered.raw");
    let file = File::create(&path).unwrap();
    file.set_len(size).unwrap();
    for (at, len) in [
        (0, 70_000),
        ((32 << 20) - 10, 20),
        ((512 << 20) - 70_000, 140_000),
        ((2 << 30) - 100_000, 300_000),
        (size - 700, 700),
    ] {
        let text: Vec<u8> = (0..len).map(|n| (n / 7 % 251) as u8 + 1).collect();
        let text = &text[..text
            .len()
            .min(usize::try_from(size.saturating_sub(at)).unwrap())];
        std::os::unix::fs::FileExt::write_all_at(&file, text, at.min(size)).unwrap();
    }
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_format_is_written_and_qemu_finds_the_same_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    // 2.5 GiB, and one that is no multiple of anything but a sector.
    for size in [5 << 29, 40_000_000] {
        let raw = scattered(dir.path(), size);
        for (target, name) in [
            (Target::Vmdk(options()), "a.vmdk"),
            (Target::VmdkSparse(options()), "b.vmdk"),
            (Target::Qcow2, "c.qcow2"),
            (Target::Raw, "d.raw"),
        ] {
            let written = path(name);
            convert(&raw, &target, &written);
            if !matches!(target, Target::Raw) {
                qemu("qemu-img", &["check", "-q", &written]);
            }
            qemu("qemu-img", &["compare", "-q", &raw, &written]);
            assert_eq!(codes(&written), Vec::<&str>::new(), "{name}");
            // And back, by our own readers.
            let back = path("back.raw");
            convert(&written, &Target::Raw, &back);
            qemu(
                "qemu-img",
                &["compare", "-q", "-f", "raw", "-F", "raw", &raw, &back],
            );
            let taken = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&back).unwrap()) * 512;
            assert!(taken < 2 << 20, "{name}: holes are kept, {taken}");
        }
    }
}

#[test]
fn what_qemu_writes_is_read_whatever_the_kind() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let raw = scattered(dir.path(), 5 << 29);
    for (format, option, files) in [
        ("vmdk", "subformat=monolithicSparse", 1),
        ("vmdk", "subformat=monolithicSparse,zeroed_grain=on", 1),
        ("vmdk", "subformat=monolithicFlat", 2),
        ("vmdk", "subformat=twoGbMaxExtentSparse", 3),
        ("vmdk", "subformat=twoGbMaxExtentFlat", 3),
        ("qcow2", "compression_type=zstd", 1),
        ("qcow2", "compression_type=zlib,cluster_size=4k", 1),
        ("qcow2", "compat=0.10", 1),
    ] {
        let disk = path("q.img");
        let mut args = vec!["convert", "-O", format, "-o", option];
        if option.contains("compression") {
            args.push("-c");
        }
        args.extend([raw.as_str(), &disk]);
        qemu("qemu-img", &args);
        let image = open(Path::new(&disk)).unwrap();
        assert_eq!(
            (image.files.len(), image.source.size()),
            (files, 5 << 29),
            "{option}"
        );
        assert!(image.data().unwrap().bytes() > 0);
        let back = path("back.raw");
        convert(&disk, &Target::Raw, &back);
        qemu(
            "qemu-img",
            &["compare", "-q", "-f", "raw", "-F", "raw", &raw, &back],
        );
        assert_eq!(codes(&disk), Vec::<&str>::new(), "{option}");
    }
}

#[test]
fn a_raw_base_is_read_and_a_chain_without_an_end_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (raw, top) = (scattered(dir.path(), 40 << 20), path("top.qcow2"));
    let create = ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", &raw, &top];
    qemu("qemu-img", &create);
    qemu(
        "qemu-io",
        &["-c", "write -P 3 8M 2M", "-c", "write -z 0 64k", &top],
    );
    let back = path("back.raw");
    convert(&top, &Target::Raw, &back);
    qemu("qemu-img", &["compare", "-q", &top, &back]);
    let message = |path: &str| open(Path::new(path)).unwrap_err().to_string();
    for (name, backing, why) in [
        ("gone.qcow2", "nowhere.qcow2", "No such file"),
        ("loop.qcow2", "loop.qcow2", "the chain has no end"),
        ("net.qcow2", "nbd://host/disk", "only files are read"),
        (
            "json.qcow2",
            "json:{\"driver\":\"nbd\"}",
            "only files are read",
        ),
    ] {
        let image = path(name);
        let create = [
            "create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", backing,
        ];
        qemu("qemu-img", &[&create[..], &[&image, "1M"]].concat());
        let expected = format!("{image} is laid over `{backing}`: {why}");
        assert!(
            message(&image).starts_with(&expected),
            "{}",
            message(&image)
        );
    }
    let image = path("vdi.qcow2");
    let create = [
        "create",
        "-q",
        "-u",
        "-f",
        "qcow2",
        "-F",
        "vdi",
        "-b",
        "top.qcow2",
    ];
    qemu("qemu-img", &[&create[..], &[&image, "1M"]].concat());
    assert!(
        message(&image).ends_with("its format is `vdi`, and only qcow2 and raw are read there")
    );
}

#[test]
fn a_damaged_qcow2_image_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (raw, disk, packed) = (
        scattered(dir.path(), 40 << 20),
        path("d.qcow2"),
        path("p.qcow2"),
    );
    convert(&raw, &Target::Qcow2, &disk);
    qemu("qemu-img", &["convert", "-c", "-O", "qcow2", &raw, &packed]);
    let (good, good_packed) = (fs::read(&disk).unwrap(), fs::read(&packed).unwrap());
    let word = |bytes: &[u8], at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
    let table = |bytes: &[u8]| (word(bytes, word(bytes, 40) as usize) & 0xff_ffff_ffff) as usize;
    let found = |mut bytes: Vec<u8>, change: &dyn Fn(&mut Vec<u8>)| {
        change(&mut bytes);
        fs::write(&disk, bytes).unwrap();
        codes(&disk)
    };
    let at = table(&good);
    let refcounts = word(&good, word(&good, 48) as usize) as usize;
    assert_eq!(found(good.clone(), &|_| {}), Vec::<&str>::new());
    assert_eq!(
        found(good.clone(), &|b| b[at + 5] = 0x7f),
        ["cluster", "leak"]
    );
    assert_eq!(
        found(good.clone(), &|b| b.copy_within(at..at + 8, at + 8))[0],
        "cluster-twice"
    );
    assert_eq!(found(good.clone(), &|b| b[at..at + 8].fill(0)), ["leak"]);
    assert_eq!(
        found(good.clone(), &|b| b[refcounts + 4..refcounts + 6].fill(0)),
        ["refcounts"]
    );
    assert_eq!(found(good.clone(), &|b| b[50] = 0x7f), ["refcounts"]);
    let at = table(&good_packed);
    let place = (word(&good_packed, at) & 0x3f_ffff_ffff_ffff) as usize;
    assert_eq!(found(good_packed, &|b| b[place] ^= 0xff), ["cluster"]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table of what can be wrong")]
fn an_error_names_the_image() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let message = |path: &Path| match open(path) {
        Ok(_) => panic!("it opened"),
        Err(e) => e.to_string(),
    };
    let name = path.display().to_string();
    assert!(message(&path).starts_with(&format!("{name}: No such file")));
    let refused = |bytes: &[u8], why: &str| {
        fs::write(&path, bytes).unwrap();
        assert_eq!(message(&path), format!("{name}: {why}"));
    };
    for (bytes, why) in [
        (
            &b"# Disk DescriptorFile\n"[..],
            "its descriptor names no content",
        ),
        (
            b"# Disk DescriptorFile\nparentCID=12345678\nRW 1 FLAT \"x\" 0\n",
            vmdk::HAS_PARENT,
        ),
        (
            b"# Disk DescriptorFile\nRW 1 FLAT \"../x\" 0\n",
            "its descriptor names `../x`, which does not lie beside it",
        ),
        (
            b"# Disk DescriptorFile\nRW 9 FLAT \"x\" 0\n",
            "`x` has 41 bytes, and its descriptor needs 4608 from byte 0 on",
        ),
        (
            b"# Disk DescriptorFile\nRW 9 SPARSE \"x\"\n",
            "`x`: not a vmdk that can be read: this is a descriptor whose data lies in other files",
        ),
        (
            b"# Disk DescriptorFile\nRW 9 SESPARSE \"x\"\n",
            "its content is kept as `SESPARSE`, which only ESXi reads",
        ),
        (
            b"# Disk DescriptorFile\nRW 9999999999999 ZERO\n",
            "its parts together are more than 62TiB",
        ),
        (
            b"COWD",
            "it is the sparse kind of ESX itself (`COWD`); export it from there, or convert it with `vmkfstools -i`",
        ),
    ] {
        // A sector, so that a header can be read.
        let long = if why.starts_with("`x` has") { 41 } else { 512 };
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().max(long), b'\n');
        refused(&bytes, &format!("not a vmdk that can be read: {why}"));
    }
    let mut gone = b"# Disk DescriptorFile\nRW 9 FLAT \"gone\" 0\n".to_vec();
    gone.resize(512, b'\n');
    fs::write(&path, gone).unwrap();
    assert!(
        message(&path).contains("gone: No such file"),
        "{}",
        message(&path)
    );
    fs::write(&path, b"short").unwrap();
    assert_eq!(open(&path).unwrap().format.to_string(), "raw");
}

#[test]
fn what_would_pass_for_a_raw_disk_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let name = path.display().to_string();
    let message = || open(&path).unwrap_err().to_string();
    for (at, magic, why) in [
        (0, &b"vhdxfile"[..], "this is a VHDX, "),
        (0, b"conectix", "this is a VHD, "),
        (1536, b"conectix", "this is a VHD, "),
        (64, &[0x7f, 0x10, 0xda, 0xbe], "this is a VDI, "),
        (0, b"QED\0", "this is a QED image, "),
        (
            257,
            b"ustar",
            "this is a tar file, such as an OVA; `forge ova unpack`",
        ),
        (0, &[0x1f, 0x8b], "this is compressed with gzip; "),
        (0, b"\xfd7zXZ", "this is compressed with xz; "),
        (
            0,
            &[0x28, 0xb5, 0x2f, 0xfd],
            "this is compressed with zstd; ",
        ),
    ] {
        let mut bytes = vec![0; 2048];
        bytes[at..at + magic.len()].copy_from_slice(magic);
        fs::write(&path, bytes).unwrap();
        assert!(
            message().starts_with(&format!("{name}: {why}")),
            "{}",
            message()
        );
    }
}
