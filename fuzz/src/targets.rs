//! What is done with each input: by the fuzzer, and by the ordinary tests with the inputs that are kept
//! (`tests/it/corpus.rs`). A panic is a fault, and so is a claim here that does not hold.

use std::io::Write as _;

use forge::image::ova::{Manifest, Options, Package, UnpackLimits};
use forge::image::{BlockSource, Window, ovf, qcow2, vmdk};
use forge::model::Size;
use forge::sys::Cancel;

/// What is done with one input.
pub(crate) type Target = fn(&[u8]);

/// The function of each directory under `fuzz/corpus`.
pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("vmdk", vmdk),
    ("qcow2", qcow2),
    ("ovf", ovf),
    ("tar", tar),
    ("manifest", manifest),
];

/// More of a disk than this is not read: a small file may describe a large one.
const ENOUGH: u64 = 4 << 20;

/// Reads a VMDK in every way. One that passes the check can be read.
pub(crate) fn vmdk(data: &[u8]) {
    let file = file(data);
    let window = Window::open(file.path()).unwrap();
    let report = vmdk::check(&window, &|_| {}, &Cancel::new());
    let reader = vmdk::Reader::open(window);
    if let Ok(reader) = &reader {
        let _ = reader.info();
    }
    let good = report.is_ok_and(|report| report.problems.is_empty());
    match reader {
        Ok(reader) => read(&reader, good),
        Err(error) => assert!(!good, "the check finds nothing, the reader says: {error}"),
    }
}

/// Reads a qcow2 image of one layer.
pub(crate) fn qcow2(data: &[u8]) {
    let file = file(data);
    if let Ok(chain) = qcow2::Chain::open(&[file.path().to_owned()]) {
        read(&chain, false);
    }
}

/// Reads a descriptor. What VirtualBox is given is a descriptor if that was one.
pub(crate) fn ovf(data: &[u8]) {
    let Ok(envelope) = ovf::parse(data) else {
        return;
    };
    let _ = envelope.lower();
    for property in &envelope.product.properties {
        let _ = property.faults();
    }
    let text = std::str::from_utf8(data).unwrap();
    if let Ok(adapted) = ovf::for_virtualbox(text) {
        let again = ovf::parse(adapted.text.as_bytes()).unwrap();
        assert_eq!(again.items.len(), envelope.items.len());
    }
}

/// Reads a package in every way, and unpacks it: nothing may come to lie outside.
pub(crate) fn tar(data: &[u8]) {
    let file = file(data);
    let package = Package::of_archive(&Window::open(file.path()).unwrap());
    let mut options = Options::default();
    let _ = options.trust(data);
    let _ = package.verify(&options, &|_| {}, &Cancel::new());
    let _ = package.inspect();
    let dir = tempfile::tempdir().unwrap();
    let limits = UnpackLimits {
        size: Size::from_bytes(1 << 20),
    };
    let unpacked = package.unpack(&dir.path().join("out"), limits, &|_| {}, &Cancel::new());
    let outside = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(outside, usize::from(unpacked.is_ok()));
}

/// Reads a manifest; what is understood of it is written so that it is understood again.
pub(crate) fn manifest(data: &[u8]) {
    let manifest = Manifest::parse(&String::from_utf8_lossy(data));
    let again = Manifest::parse(&manifest.to_string());
    assert_eq!(again.entries, manifest.entries);
    assert_eq!(again.bad_lines, Vec::new());
}

fn file(data: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(data).unwrap();
    file
}

/// Goes through a disk's data. Runs never go back and never end beyond the disk.
fn read(source: &dyn BlockSource, good: bool) {
    let mut buffer = vec![0; 64 << 10];
    let (mut from, mut done) = (0, 0);
    loop {
        let run = match source.next_data(from) {
            Ok(Some(run)) => run,
            Ok(None) => return,
            Err(error) => {
                assert!(!good, "a disk without faults cannot be read: {error}");
                return;
            }
        };
        assert!(run.start >= from && run.start < run.end && run.end <= source.size());
        from = run.start;
        while from < run.end {
            if done >= ENOUGH {
                return;
            }
            let result = source.read_at(&mut buffer, from);
            assert!(
                result.is_ok() || !good,
                "a disk without faults cannot be read: {result:?}"
            );
            from += buffer.len() as u64;
            done += buffer.len() as u64;
        }
        from = run.end;
    }
}
