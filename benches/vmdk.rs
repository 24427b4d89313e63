//! Exporting a disk against the tools that people use for it, as ratios of CPU and wall time:
//! stream-optimized VMDK and back against `qemu-img`, packing an OVA against `sha256sum` and `tar`.
//!
//! `cargo bench --bench vmdk`. The disk is made of real files (`FORGE_BENCH_TREE`, `/usr`), `FORGE_BENCH_MIB` (1024) of
//! them, with holes and deleted-looking garbage between. Programs run in turn, `FORGE_BENCH_ROUNDS` (3) times; medians
//! and their ratios are shown. Ratios of CPU hold on a busy machine, those of wall time only on an idle one.

#![expect(clippy::print_stdout, reason = "it reports to whoever runs it")]
#![expect(clippy::unwrap_used, reason = "a measurement that fails should stop")]

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use forge::image::ova::{PackFile, PackInput, pack};
use forge::image::ovf::{self, Deploy, Description, DiskFile, Product};
use forge::image::vmdk::{self, WriteOptions};
use forge::image::{RawDisk, Window, raw};
use forge::model::{Controller, Digest, Disk, Firmware, Hardware, Size};
use forge::sys::Cancel;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // Our side runs as a process of its own, so that both sides are measured in the same way.
    match arguments.as_slice() {
        ["export", level, from, to] => export(level.parse().unwrap(), from, to),
        ["import", from, to] => import(from, to),
        ["pack", vmdk, to] => pack_ova(vmdk, to),
        _ => compare(),
    }
}

fn export(level: u32, from: &str, to: &str) {
    let options = WriteOptions {
        level,
        ..WriteOptions::new("disk.vmdk", Digest::of(b"bench"))
    };
    let source = RawDisk::open(Path::new(from)).unwrap();
    let mut out = File::create(to).unwrap();
    vmdk::write(&source, &options, &mut out, &|_| {}, &Cancel::new()).unwrap();
}

fn import(from: &str, to: &str) {
    let reader = vmdk::Reader::open(Window::open(Path::new(from)).unwrap()).unwrap();
    let out = File::create(to).unwrap();
    raw::write(&reader, &out, &|_| {}, &Cancel::new()).unwrap();
}

fn pack_ova(vmdk: &str, to: &str) {
    let reader = vmdk::Reader::open(Window::open(Path::new(vmdk)).unwrap()).unwrap();
    let info = reader.info();
    let description = Description {
        name: "bench".into(),
        hardware: Hardware {
            cpus: 1,
            cores_per_socket: 1,
            memory: Size::from_mib(1024),
            firmware: Firmware::Bios,
            disks: vec![Disk {
                size: info.capacity,
                controller: Controller::Pvscsi,
            }],
            nics: Vec::new(),
            guest_id: None,
            hardware_version: 15,
            vsphere: None,
        },
        disks: vec![DiskFile {
            href: "disk.vmdk".into(),
            size: info.size,
            capacity: info.capacity,
            populated: info.populated,
        }],
        nvram: None,
        product: Product::default(),
        annotation: None,
        eulas: Vec::new(),
        deploy: Deploy::default(),
    };
    let descriptor = ovf::write(&description).unwrap().text;
    let files = [PackFile {
        name: "disk.vmdk".into(),
        path: vmdk.into(),
        // The export has told it.
        digest: Some(Digest::of(b"bench")),
    }];
    let input = PackInput::new("bench", &descriptor, &files, 0);
    let out = File::create(to).unwrap();
    pack(&input, &out, &|_| {}, &Cancel::new()).unwrap();
}

struct Case {
    name: &'static str,
    theirs: String,
    ours: String,
    /// The files whose sizes are compared.
    sizes: (&'static str, &'static str),
}

fn compare() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let disk = at("disk.raw");
    let content = make_disk(Path::new(&disk));
    println!("disk: {} MiB of content", content >> 20);
    let me = std::env::current_exe().unwrap();
    let me = me.display();
    let (q, f) = (at("q.vmdk"), at("f.vmdk"));
    let stream = "-O vmdk -o subformat=streamOptimized";
    let mut cases: Vec<Case> = [5, 6, 1]
        .into_iter()
        .map(|level| Case {
            name: match level {
                5 => "export, level 5 (default)",
                6 => "export, level 6",
                _ => "export, level 1",
            },
            theirs: format!("qemu-img convert {stream} {disk} {q}"),
            ours: format!("{me} export {level} {disk} {f}"),
            sizes: ("q.vmdk", "f.vmdk"),
        })
        .collect();
    cases.push(Case {
        name: "back to raw",
        theirs: format!("qemu-img convert -O raw {q} {}", at("q.raw")),
        ours: format!("{me} import {f} {}", at("f.raw")),
        sizes: ("q.raw", "f.raw"),
    });
    cases.push(Case {
        name: "pack an OVA",
        theirs: format!(
            "cd {} && sha256sum f.vmdk > sum && tar -cf q.tar sum f.vmdk && sha256sum q.tar >> sum",
            dir.path().display()
        ),
        ours: format!("{me} pack {f} {}", at("f.ova")),
        sizes: ("q.tar", "f.ova"),
    });
    println!(
        "{:<28}{:>9}{:>9}{:>9}{:>9}{:>8}{:>8}{:>8}",
        "", "cpu s", "cpu s", "wall s", "wall s", "cpu", "wall", "size"
    );
    println!(
        "{:<28}{:>9}{:>9}{:>9}{:>9}{:>8}{:>8}{:>8}",
        "", "theirs", "forge", "theirs", "forge", "ratio", "ratio", "ratio"
    );
    for case in cases {
        measure(&case, dir.path());
    }
}

fn measure(case: &Case, dir: &Path) {
    let rounds = setting("FORGE_BENCH_ROUNDS", 3);
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        theirs.push(run(&case.theirs));
        ours.push(run(&case.ours));
    }
    let size = |name: &str| fs::metadata(dir.join(name)).unwrap().len() as f64;
    let (theirs, ours) = (median(&theirs), median(&ours));
    println!(
        "{:<28}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>8.2}{:>8.2}{:>8.3}",
        case.name,
        theirs.0,
        ours.0,
        theirs.1,
        ours.1,
        theirs.0 / ours.0,
        theirs.1 / ours.1,
        size(case.sizes.1) / size(case.sizes.0),
    );
}

/// CPU and wall seconds of a shell line.
fn run(line: &str) -> (f64, f64) {
    let (cpu, start) = (children_cpu(), Instant::now());
    let status = Command::new("sh").args(["-ec", line]).status().unwrap();
    assert!(status.success(), "{line}");
    (children_cpu() - cpu, start.elapsed().as_secs_f64())
}

/// CPU seconds of all children that have ended: fields 16 and 17 of `/proc/self/stat`, in hundredths.
fn children_cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: f64 = fields
        .split_whitespace()
        .skip(13)
        .take(2)
        .map(|field| field.parse::<f64>().unwrap())
        .sum();
    ticks / 100.0
}

fn median(times: &[(f64, f64)]) -> (f64, f64) {
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    (
        middle(times.iter().map(|t| t.0).collect()),
        middle(times.iter().map(|t| t.1).collect()),
    )
}

/// A sparse disk with real files; every eighth is followed by a hole of its size. Returns the bytes of content.
fn make_disk(path: &Path) -> u64 {
    let tree = std::env::var("FORGE_BENCH_TREE").unwrap_or_else(|_| "/usr".into());
    let wanted = setting("FORGE_BENCH_MIB", 1024) << 20;
    let mut files: Vec<PathBuf> = walkdir::WalkDir::new(tree)
        .sort_by_file_name()
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect();
    // A stride spreads the choice over the whole tree, the same way each time.
    let stride = (files.len() / 7).max(1) | 1;
    let count = files.len();
    files = (0..count)
        .map(|i| files[i * stride % count].clone())
        .collect();
    let mut out = File::create(path).unwrap();
    let (mut at, mut content) = (1 << 20, 0);
    for (i, file) in files.iter().enumerate() {
        let Ok(bytes) = fs::read(file) else { continue };
        out.seek(SeekFrom::Start(at)).unwrap();
        out.write_all(&bytes).unwrap();
        content += bytes.len() as u64;
        at = (at + bytes.len() as u64).next_multiple_of(4096);
        if i % 8 == 0 {
            at += (bytes.len() as u64).next_multiple_of(4096);
        }
        if content >= wanted {
            break;
        }
    }
    out.set_len((at + wanted).next_multiple_of(1 << 20))
        .unwrap();
    content
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}
