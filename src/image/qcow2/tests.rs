use std::fs::{self, File};
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::image::raw;
use crate::sys::Cancel;

fn qemu(program: &str, args: &[&str]) {
    let output = Command::new(program)
        .args(args)
        .output()
        .expect("qemu-utils judge here; `scripts/test` installs them");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{args:?}: {output:?}");
    assert!(!out.contains("failed"), "{args:?}: {out}");
}

/// A chain in a directory, made by QEMU's tools.
struct Stack {
    dir: tempfile::TempDir,
    layers: Vec<PathBuf>,
}

impl Stack {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            layers: Vec::new(),
        }
    }

    /// Adds a layer with these options and lets qemu-io run commands on it.
    fn layer(&mut self, options: &str, size: &str, commands: &[&str]) {
        let name = format!("layer{}.qcow2", self.layers.len());
        let path = self.dir.path().join(name);
        let file = path.to_str().unwrap();
        let mut args = vec!["create", "-q", "-f", "qcow2", "-o", options];
        let below = self.layers.last().map(|below| below.to_str().unwrap());
        if let Some(below) = below {
            args.extend(["-b", below, "-F", "qcow2"]);
        }
        args.extend([file, size]);
        qemu("qemu-img", &args);
        let mut args = vec!["-f", "qcow2"];
        for command in commands {
            args.extend(["-c", command]);
        }
        args.push(file);
        if !commands.is_empty() {
            qemu("qemu-io", &args);
        }
        self.layers.push(path);
    }

    /// What qemu-img makes of the chain's top.
    fn expected(&self) -> Vec<u8> {
        let raw = self.dir.path().join("expected.raw");
        let top = self.layers.last().unwrap().to_str().unwrap();
        qemu(
            "qemu-img",
            &["convert", "-O", "raw", top, raw.to_str().unwrap()],
        );
        fs::read(raw).unwrap()
    }

    fn found(&self) -> Vec<u8> {
        let chain = Chain::open(&self.layers).unwrap();
        let path = self.dir.path().join("found.raw");
        let file = File::create(&path).unwrap();
        raw::write(&chain, &file, &|_| {}, &Cancel::new()).unwrap();
        fs::read(path).unwrap()
    }

    fn agrees(&self) {
        assert!(self.expected() == self.found());
        // Holes are told, and nothing else.
        let chain = Chain::open(&self.layers).unwrap();
        let mut from = 0;
        let expected = self.expected();
        while let Some(run) = chain.next_data(from).unwrap() {
            let hole = &expected[from as usize..run.start as usize];
            assert!(hole.iter().all(|b| *b == 0));
            from = run.end;
        }
        assert!(expected[from as usize..].iter().all(|b| *b == 0));
    }
}

#[test]
fn a_chain_reads_as_qemu_reads_it() {
    for options in [
        "compat=1.1",
        "compat=0.10",
        "compat=1.1,cluster_size=4k",
        "compat=1.1,cluster_size=2M",
        "compat=1.1,lazy_refcounts=on,cluster_size=512",
    ] {
        let mut stack = Stack::new();
        stack.layer(
            options,
            "9M",
            &[
                "write -P 1 0 100k",
                "write -P 2 5M 1M",
                "write -P 9 8900k 300k",
            ],
        );
        stack.layer(
            options,
            "12345856",
            &[
                "write -P 3 64k 64k",
                "write -z 5M 256k",
                "write -P 4 9400k 1M",
            ],
        );
        stack.layer(
            "compat=1.1",
            "12345856",
            &["write -P 5 5300k 7k", "write -z 0 64k"],
        );
        stack.agrees();
    }
}

#[test]
fn a_disk_that_shrank_and_grew_again_has_zeros_in_between() {
    let mut stack = Stack::new();
    stack.layer("compat=1.1", "8M", &["write -P 1 0 8M"]);
    stack.layer("compat=1.1", "4M", &["write -P 2 1M 1M"]);
    stack.layer("compat=1.1", "6M", &["write -P 3 3M 64k"]);
    stack.agrees();
}

#[test]
fn compressed_clusters_and_an_empty_disk_are_read() {
    let mut stack = Stack::new();
    stack.layer("compat=1.1", "8M", &["write -P 7 0 3M", "write -P 8 6M 1M"]);
    let packed = stack.dir.path().join("packed.qcow2");
    let files = [stack.layers[0].to_str().unwrap(), packed.to_str().unwrap()];
    let convert = ["convert", "-c", "-O", "qcow2", "-o", "cluster_size=32k"];
    qemu("qemu-img", &[&convert[..], &files[..]].concat());
    stack.layers = vec![packed];
    stack.agrees();
    let mut empty = Stack::new();
    empty.layer("compat=1.1", "3M", &[]);
    empty.agrees();
    assert_eq!(
        Chain::open(&empty.layers).unwrap().next_data(0).unwrap(),
        None
    );
}

#[test]
fn what_cannot_be_read_is_refused() {
    let mut stack = Stack::new();
    stack.layer("compat=1.1", "8M", &["write -P 1 0 64k"]);
    stack.layer("compat=1.1", "8M", &[]);
    let message = |layers: &[PathBuf]| Chain::open(layers).unwrap_err().to_string();
    assert_eq!(message(&[]), "a disk needs at least one layer");
    assert!(message(&stack.layers[1..]).contains("the base of the chain needs `"));
    assert!(message(&["nowhere".into()]).starts_with("nowhere: No such file"));
    let base = stack.layers[0].clone();
    let good = fs::read(&base).unwrap();
    for (at, bytes, what) in [
        (0, &b"RAW!"[..], "it does not start with `QFI`"),
        (7, &[9], "version 9 is not known"),
        (35, &[2], "it is encrypted"),
        (23, &[40], "clusters of 2^40 bytes"),
        (24, &[0x7f], "a size of "),
        (79, &[2], "it is marked as corrupt"),
        (79, &[4], "its data lies in another file"),
        (79, &[16], "it has subclusters"),
        (72, &[1], "the unknown features 0x100000000000000"),
        (104, &[2], "the unknown compression 2"),
        (39, &[0], "its first table is too short"),
        (40, &[0x7f], "its first table does not lie within the file"),
    ] {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(&base, bad).unwrap();
        let found = message(std::slice::from_ref(&base));
        assert!(found.contains(what), "{found}\nexpected: {what}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_writes_read_back(
        cluster in prop::sample::select(vec!["512", "4k", "64k", "1M"]),
        layers in prop::collection::vec(
            prop::collection::vec((0_u64..7000, 1_u64..2000, 0_u8..4), 0..6),
            1..4,
        ),
    ) {
        let mut stack = Stack::new();
        for writes in layers {
            let commands: Vec<String> = writes
                .into_iter()
                .map(|(at, len, kind)| {
                    let len = len.min(8192 - at);
                    match kind {
                        0 => format!("write -z {at}k {len}k"),
                        1 => format!("write -P 0 {at}k {len}k"),
                        n => format!("write -P {n} {at}k {len}k"),
                    }
                })
                .collect();
            let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
            let options = format!("compat=1.1,cluster_size={cluster}");
            stack.layer(&options, "8M", &commands);
        }
        stack.agrees();
    }

    #[test]
    fn garbled_images_never_panic(
        changes in prop::collection::vec((0_usize..400_000, any::<u8>()), 1..12),
        header in prop::collection::vec((0_usize..120, any::<u8>()), 0..3),
        cut in 0_usize..300_000,
    ) {
        let mut stack = Stack::new();
        stack.layer("compat=1.1,cluster_size=4k", "2M", &["write -P 1 100k 50k"]);
        let path = &stack.layers[0];
        let mut bytes = fs::read(path).unwrap();
        for (at, value) in changes.into_iter().chain(header) {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(bytes.len().saturating_sub(cut / 4).max(200));
        fs::write(path, bytes).unwrap();
        if let Ok(chain) = Chain::open(&stack.layers) {
            let mut buffer = vec![0; 100_000];
            let _ = chain.read_at(&mut buffer, 90_000);
            let _ = chain.next_data(0);
        }
    }
}
