use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;

use super::header::Header;
use super::*;
use crate::image::raw;
use crate::image::source::{BlockSource, RawDisk, Window};
use crate::model::Digest;
use crate::sys::Cancel;

/// A sparse disk with runs of `(offset, bytes)`.
fn disk(dir: &Path, size: u64, runs: &[(u64, Vec<u8>)]) -> PathBuf {
    let path = dir.join("disk.raw");
    let mut file = File::create(&path).unwrap();
    file.set_len(size).unwrap();
    for (offset, bytes) in runs {
        file.seek(SeekFrom::Start(*offset)).unwrap();
        file.write_all(bytes).unwrap();
    }
    path
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

fn options() -> WriteOptions {
    WriteOptions::new("disk.vmdk", Digest::of(b"test"))
}

fn pack(raw: &Path, options: &WriteOptions) -> (PathBuf, VmdkInfo) {
    let path = raw.with_extension("vmdk");
    let mut out = File::create(&path).unwrap();
    let source = RawDisk::open(raw).unwrap();
    let info = write(&source, options, &mut out, &|_| {}, &Cancel::new()).unwrap();
    (path, info)
}

fn problems(path: &Path) -> Vec<&'static str> {
    let report = check(&Window::open(path).unwrap(), &|_| {}, &Cancel::new()).unwrap();
    report.problems.iter().map(|p| p.code).collect()
}

fn qemu_img(args: &[&str]) {
    let output = Command::new("qemu-img").args(args).output();
    let output = output.expect("qemu-img judges here; `scripts/test` installs it");
    assert!(output.status.success(), "{output:?}");
}

fn mixed(dir: &Path) -> PathBuf {
    disk(
        dir,
        (100 << 20) + 1024,
        &[
            (0, b"boot".to_vec()),
            (65_535, noise(200_000)),
            (40 << 20, vec![b'x'; 3 << 20]),
            // Compressed size exceeds the grain.
            (64 << 20, noise(1 << 20)),
            ((100 << 20) + 1000, vec![1; 24]),
        ],
    )
}

#[test]
fn qemu_finds_the_same_disk_and_nothing_to_complain_about() {
    let dir = tempfile::tempdir().unwrap();
    let raw = mixed(dir.path());
    let (path, info) = pack(&raw, &options());
    assert_eq!(info.capacity.bytes() % 65_536, 0);
    assert_eq!(info.size.bytes(), fs::metadata(&path).unwrap().len());
    assert_eq!(info.digest, Digest::of(&fs::read(&path).unwrap()));
    assert_eq!(problems(&path), Vec::<&str>::new());
    let (raw, path) = (raw.to_str().unwrap(), path.to_str().unwrap());
    qemu_img(&["check", path]);
    qemu_img(&["compare", raw, path]);
}

#[test]
fn the_same_disk_gives_the_same_bytes_whatever_the_threads() {
    let dir = tempfile::tempdir().unwrap();
    let raw = mixed(dir.path());
    let digests: Vec<_> = [1, 2, 5]
        .map(|n| {
            let options = WriteOptions {
                threads: std::num::NonZero::new(n),
                ..options()
            };
            pack(&raw, &options).1
        })
        .into();
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
    // Beginning, and end with what surrounds it, never change by accident: they decide what is cached.
    let bytes = fs::read(raw.with_extension("vmdk")).unwrap();
    assert_eq!(&bytes[bytes.len() - 512..], [0; 512]);
    let text = String::from_utf8_lossy(&bytes[512..1200]).into_owned();
    assert!(
        text.starts_with("# Disk DescriptorFile\nversion=1\nCID="),
        "{text}"
    );
    assert!(
        text.contains("\nRW 204928 SPARSE \"disk.vmdk\"\n"),
        "{text}"
    );
}

#[test]
fn a_vmdk_goes_back_to_raw_by_us_and_qemu_alike() {
    let dir = tempfile::tempdir().unwrap();
    let original = mixed(dir.path());
    let (path, info) = pack(&original, &options());
    let reader = Reader::open(Window::open(&path).unwrap()).unwrap();
    assert_eq!(reader.info().populated, info.populated);
    assert_eq!(reader.size(), info.capacity.bytes());
    let back = dir.path().join("back.raw");
    let file = File::create(&back).unwrap();
    raw::write(&reader, &file, &|_| {}, &Cancel::new()).unwrap();
    let mut expected = fs::read(&original).unwrap();
    expected.resize(info.capacity.bytes() as usize, 0);
    assert!(expected == fs::read(&back).unwrap());
    // Holes stay holes.
    use std::os::unix::fs::MetadataExt;
    assert!(file.metadata().unwrap().blocks() * 512 < 10 << 20);
    let mut odd = vec![0; 70_000];
    reader.read_at(&mut odd, 65_000).unwrap();
    assert!(odd == expected[65_000..135_000]);
}

#[test]
fn what_qemu_writes_is_read_and_its_missing_end_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let original = mixed(dir.path());
    let path = dir.path().join("q.vmdk");
    let args = ["convert", "-O", "vmdk", "-o", "subformat=streamOptimized"];
    let files = [original.to_str().unwrap(), path.to_str().unwrap()];
    qemu_img(&[&args[..], &files[..]].concat());
    let reader = Reader::open(Window::open(&path).unwrap()).unwrap();
    assert!(!reader.info().streamed);
    let mut bytes = vec![0; 200_000];
    reader.read_at(&mut bytes, 65_535).unwrap();
    assert!(bytes == noise(200_000));
    let found = problems(&path);
    assert!(found.contains(&"end-of-stream"), "{found:?}");
    // The source's size is no multiple of a grain, and qemu keeps it.
    assert!(found.contains(&"capacity"), "{found:?}");
}

#[test]
fn a_tiny_or_empty_disk_is_one_grain_of_zeros() {
    let dir = tempfile::tempdir().unwrap();
    for size in [0, 1, 512] {
        let raw = disk(dir.path(), size, &[]);
        let (path, info) = pack(&raw, &options());
        assert_eq!((info.capacity.bytes(), info.populated.bytes()), (65_536, 0));
        assert_eq!(problems(&path), Vec::<&str>::new());
        qemu_img(&["check", path.to_str().unwrap()]);
    }
}

/// A disk of any size that holds single bytes.
struct Bytes {
    size: u64,
    at: Vec<u64>,
}

impl BlockSource for Bytes {
    fn size(&self) -> u64 {
        self.size
    }

    fn next_data(&self, from: u64) -> std::io::Result<Option<std::ops::Range<u64>>> {
        let next = self.at.iter().find(|at| **at >= from);
        Ok(next.map(|at| *at..at + 1))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        buffer.fill(0);
        for at in &self.at {
            if let Some(byte) = at
                .checked_sub(offset)
                .and_then(|n| buffer.get_mut(n as usize))
            {
                *byte = 1;
            }
        }
        Ok(())
    }
}

#[test]
fn disks_beyond_two_terabytes_and_at_the_limit_are_written_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.vmdk");
    let (table, grain) = (32_u64 << 20, 65_536_u64);
    for size in [2 << 40, (2 << 40) + 512, 62 << 40] {
        let at = vec![
            0,
            table - 1,
            table,
            5 * table + grain,
            (1 << 32) - 1,
            (2 << 40) - 1,
            size - 1,
        ];
        let at: Vec<u64> = at.into_iter().filter(|at| *at < size).collect();
        let source = Bytes { size, at };
        let mut out = std::io::BufWriter::new(File::create(&path).unwrap());
        let info = write(&source, &options(), &mut out, &|_| {}, &Cancel::new()).unwrap();
        drop(out);
        assert_eq!(info.capacity.bytes(), size.next_multiple_of(grain));
        let mut grains: Vec<u64> = source.at.iter().map(|at| at / grain).collect();
        grains.dedup();
        assert_eq!(info.populated.bytes(), grains.len() as u64 * grain);
        assert_eq!(problems(&path), Vec::<&str>::new());
        let reader = Reader::open(Window::open(&path).unwrap()).unwrap();
        let mut byte = [0];
        for at in &source.at {
            reader.read_at(&mut byte, *at).unwrap();
            assert_eq!(byte, [1], "{at} of {size}");
        }
        let (mut from, mut found) = (0, Vec::new());
        while let Some(run) = reader.next_data(from).unwrap() {
            found.extend(run.start / grain..run.end.div_ceil(grain));
            from = run.end;
        }
        assert_eq!(found, grains);
        qemu_img(&["check", path.to_str().unwrap()]);
    }
    let source = Bytes {
        size: (62 << 40) + 1,
        at: Vec::new(),
    };
    let error = write(
        &source,
        &options(),
        &mut std::io::sink(),
        &|_| {},
        &Cancel::new(),
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "a disk of 62.0TiB is too large for a vmdk, which ends at 62TiB"
    );
}

#[test]
fn a_sparse_vmdk_is_checked_without_markers() {
    let dir = tempfile::tempdir().unwrap();
    let raw = mixed(dir.path());
    let source = RawDisk::open(&raw).unwrap();
    let path = dir.path().join("sparse.vmdk");
    let out = File::create(&path).unwrap();
    let written = write_sparse(&source, &options(), &out, &|_| {}, &Cancel::new()).unwrap();
    let bytes = fs::read(&path).unwrap();
    let look = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let window = Window::open(&path).unwrap();
        check_sparse(&window, &|_| {}, &Cancel::new()).unwrap()
    };
    let report = look(&bytes);
    assert_eq!(
        (report.populated, report.problems.len()),
        (written.populated, 0)
    );
    assert_eq!(look(&bytes[..bytes.len() - 512]).problems[0].code, "grain");
    let header = Header::decode(&bytes[..512].try_into().unwrap()).unwrap();
    let table = (header.directory as usize + 1) * 512;
    let mut twice = bytes.clone();
    twice.copy_within(table..table + 4, table + 4);
    assert_eq!(look(&twice).problems[0].code, "grain-twice");
    let mut beyond = bytes.clone();
    beyond[header.directory as usize * 512 + 3] = 0x7f;
    assert_eq!(look(&beyond).problems[0].code, "tables");
    // An appliance carries no such disk.
    fs::write(&path, &bytes).unwrap();
    let refused = check(&Window::open(&path).unwrap(), &|_| {}, &Cancel::new()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "not a vmdk that can be read: its grains are not compressed: this is a sparse vmdk, not a stream-optimized one"
    );
    let read_only = File::open(&path).unwrap();
    let error = write_sparse(&source, &options(), &read_only, &|_| {}, &Cancel::new()).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot write the vmdk: "),
        "{error}"
    );
}

#[test]
fn what_a_grain_holds_beyond_the_disks_end_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let raw = disk(dir.path(), 2 << 16, &[(0, noise(2 << 16))]);
    let (path, _) = pack(&raw, &options());
    let mut bytes = fs::read(&path).unwrap();
    let footer = bytes.len() - 1024;
    for header in [0, footer] {
        bytes[header + 12..header + 20].copy_from_slice(&129_u64.to_le_bytes());
    }
    fs::write(&path, bytes).unwrap();
    let reader = Reader::open(Window::open(&path).unwrap()).unwrap();
    let mut content = vec![1; 2 << 16];
    reader.read_at(&mut content, 0).unwrap();
    let (there, beyond) = content.split_at(129 * 512);
    assert!(there == &fs::read(&raw).unwrap()[..129 * 512]);
    assert!(beyond.iter().all(|byte| *byte == 0));
}

#[test]
fn damage_is_found_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = pack(&mixed(dir.path()), &options());
    type Change<'a> = &'a dyn Fn(&mut Vec<u8>);
    let good = fs::read(&path).unwrap();
    let end = good.len();
    let damaged = |change: Change<'_>| {
        let mut bytes = good.clone();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        problems(&path)
    };
    let cases: [(&str, Change<'_>); 9] = [
        ("version", &|b| b[4] = 1),
        ("newlines", &|b| b[74] = b'\n'),
        ("unclean", &|b| b[72] = 1),
        ("grain", &|b| b[65_536 + 40] ^= 0xff),
        ("grain-place", &|b| b[65_536] = 1),
        ("end-of-stream", &|b| b.truncate(end - 512)),
        ("end-of-stream", &|b| b.extend([0; 512])),
        // The last table stands before the directory, footer and end; the disk's last grain is its entry 64.
        ("table", &|b| b[end - 4608 + 256] ^= 1),
        ("descriptor", &|b| {
            let at = b.windows(3).position(|w| w == b"RW ").unwrap();
            b[at + 3] = b'9';
        }),
    ];
    for (code, change) in cases {
        let found = damaged(change);
        assert!(found.contains(&code), "{code}: {found:?}");
    }
}

#[test]
fn a_full_disk_ends_the_writing_and_progress_never_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let raw = mixed(dir.path());
    let source = RawDisk::open(&raw).unwrap();
    let mut full = File::options().write(true).open("/dev/full").unwrap();
    let error = write(&source, &options(), &mut full, &|_| {}, &Cancel::new()).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("cannot write the vmdk: No space left"),
        "{message}"
    );
    let told = std::sync::Mutex::new(vec![0]);
    let progress = |n| told.lock().unwrap().push(n);
    let mut sink = std::io::sink();
    write(&source, &options(), &mut sink, &progress, &Cancel::new()).unwrap();
    let told = told.into_inner().unwrap();
    assert!(told.is_sorted());
    assert_eq!(told.last(), Some(&source.size()));
}

#[test]
fn each_error_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let raw = disk(dir.path(), 1 << 20, &[(0, vec![1; 9])]);
    let source = RawDisk::open(&raw).unwrap();
    let run = |options: &WriteOptions, cancel: &Cancel| {
        write(&source, options, &mut std::io::sink(), &|_| {}, cancel).unwrap_err()
    };
    let level = WriteOptions {
        level: 13,
        ..options()
    };
    assert_eq!(
        run(&level, &Cancel::new()).to_string(),
        "compression level 13 is not between 1 and 12"
    );
    let long = WriteOptions {
        name: "n".repeat(20_000),
        ..options()
    };
    assert_eq!(
        run(&long, &Cancel::new()).to_string(),
        "cannot write the vmdk: the file's name is too long for the descriptor"
    );
    let cancel = Cancel::new();
    cancel.cancel(crate::sys::CancelKind::Graceful);
    assert_eq!(run(&options(), &cancel).to_string(), "interrupted");
    let open = |bytes: &[u8]| {
        fs::write(&raw, bytes).unwrap();
        Reader::open(Window::open(&raw).unwrap())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        open(b"KDMV"),
        "the vmdk is damaged at byte 0: the file ends too early"
    );
    assert_eq!(
        open(&[0; 512]),
        "not a vmdk that can be read: it does not start with `KDMV`"
    );
    let header = Header::new(128, super::header::DIRECTORY_AT_END).encode();
    assert_eq!(
        open(&header),
        "the vmdk is damaged at byte 0: no footer before the end of the file"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_sparse_disk_comes_back(
        sectors in 1_u64..6000,
        runs in prop::collection::vec((0_u64..3_000_000, 1_usize..150_000, any::<bool>()), 0..6),
        level in 1_u32..=12,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let runs: Vec<_> = runs
            .into_iter()
            .map(|(at, len, random)| (at, if random { noise(len) } else { vec![b'a'; len] }))
            .collect();
        let raw = disk(dir.path(), sectors * 512, &runs);
        let (path, info) = pack(&raw, &WriteOptions { level, ..options() });
        prop_assert_eq!(problems(&path), Vec::<&str>::new());
        let mut expected = fs::read(&raw).unwrap();
        expected.resize(info.capacity.bytes() as usize, 0);
        let mut back = vec![1; expected.len()];
        let reader = Reader::open(Window::open(&path).unwrap()).unwrap();
        reader.read_at(&mut back, 0).unwrap();
        prop_assert!(expected == back);
    }

    #[test]
    fn garbled_files_never_panic(
        cut in 0_usize..3000,
        changes in prop::collection::vec((0_usize..80_000, any::<u8>()), 0..8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let raw = disk(dir.path(), 200_000, &[(1000, noise(3000)), (140_000, vec![7; 9000])]);
        let (path, _) = pack(&raw, &options());
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - cut);
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        fs::write(&path, bytes).unwrap();
        let window = Window::open(&path).unwrap();
        let _ = check(&window, &|_| {}, &Cancel::new());
        if let Ok(reader) = Reader::open(window) {
            let mut from = 0;
            let mut buffer = vec![0; 65_536];
            while let Ok(Some(run)) = reader.next_data(from) {
                prop_assert!(run.start >= from && run.end > run.start);
                let _ = reader.read_at(&mut buffer, run.start);
                from = run.end;
                if from > 10 << 20 { break; }
            }
        }
    }
}
