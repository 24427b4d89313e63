//! FAT12 floppies of 1.44 MB, for installers that read their answers from one.

use std::collections::BTreeSet;
use std::io::{self, Cursor, Write};

use fatfs::{Date, DateTime, FatType, FileSystem, FormatVolumeOptions, FsOptions, Time};

use crate::model::{Digest, Size};

const SIZE: usize = 1440 << 10;

/// Why a floppy could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// The files are too large, or too many.
    #[error("the files do not fit on a floppy: they have {needed}, it has {space}")]
    Full {
        /// What all files have together.
        needed: Size,
        /// What a floppy holds.
        space: Size,
    },
    /// The label cannot be a FAT label.
    #[error("`{0}` is no floppy label: up to 11 letters, digits, `-` and `_`")]
    Label(String),
    /// A path that a floppy cannot hold.
    #[error("`{path}` is no path for a floppy: {why}")]
    Path {
        /// As given.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file system could not be written.
    #[error("cannot make the floppy: {0}")]
    Io(#[from] io::Error),
}

/// A floppy's image with this label and these files: paths with `/`, directories are made as needed.
pub fn floppy(label: &str, files: &[(String, Vec<u8>)]) -> Result<Vec<u8>, FatError> {
    let label = label_bytes(label)?;
    let mut seen = BTreeSet::new();
    for (path, _) in files {
        check_path(path, &mut seen)?;
    }
    let mut image = vec![0; SIZE];
    // The serial number is the only thing that tells two floppies with one label apart.
    let names: Vec<u8> = files.iter().flat_map(|(path, _)| path.bytes()).collect();
    let id = Digest::of(&names).as_bytes()[..4]
        .iter()
        .fold(0, |n, b| n << 8 | u32::from(*b));
    let geometry = FormatVolumeOptions::new()
        .fat_type(FatType::Fat12)
        .bytes_per_cluster(512)
        .total_sectors(2880)
        .max_root_dir_entries(224)
        .media(0xf0)
        .sectors_per_track(18)
        .heads(2)
        .drive_num(0)
        .volume_id(id)
        .volume_label(label);
    fatfs::format_volume(Cursor::new(&mut image[..]), geometry)?;
    fill(&mut image, files).map_err(|e| match e.kind() {
        // Directories and long names take space too, so the sum is told and not compared beforehand.
        io::ErrorKind::WriteZero | io::ErrorKind::StorageFull => full(files),
        _ if e.to_string().contains("No space") => full(files),
        _ => FatError::Io(e),
    })?;
    Ok(image)
}

fn full(files: &[(String, Vec<u8>)]) -> FatError {
    let needed = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    FatError::Full {
        needed: Size::from_bytes(needed),
        // Boot sector, two tables and the root directory take 33 of 2880 sectors.
        space: Size::from_bytes(2847 * 512),
    }
}

fn fill(image: &mut [u8], files: &[(String, Vec<u8>)]) -> io::Result<()> {
    let options = FsOptions::new().time_provider(&FIXED_TIME);
    let disk = FileSystem::new(Cursor::new(image), options)?;
    {
        let root = disk.root_dir();
        let mut made = BTreeSet::new();
        for (path, bytes) in files {
            for (end, _) in path.match_indices('/') {
                if made.insert(path[..end].to_lowercase()) {
                    root.create_dir(&path[..end])?;
                }
            }
            let mut file = root.create_file(path)?;
            file.write_all(bytes)?;
            file.flush()?;
        }
    }
    disk.unmount()
}

fn label_bytes(label: &str) -> Result<[u8; 11], FatError> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-_ ".contains(&b);
    if label.is_empty() || label.len() > 11 || !label.bytes().all(fine) {
        return Err(FatError::Label(label.to_owned()));
    }
    let mut bytes = [b' '; 11];
    bytes[..label.len()].copy_from_slice(label.to_ascii_uppercase().as_bytes());
    Ok(bytes)
}

/// Refuses what FAT cannot name, and two files whose names differ in case alone.
fn check_path(path: &str, seen: &mut BTreeSet<String>) -> Result<(), FatError> {
    let bad = |why| {
        Err(FatError::Path {
            path: path.to_owned(),
            why,
        })
    };
    for part in path.split('/') {
        if part.is_empty() {
            return bad("it has an empty part");
        }
        if part == "." || part == ".." {
            return bad("it leads out of its directory");
        }
        if part.len() > 255 {
            return bad("a part is longer than 255 bytes");
        }
        if part.ends_with(['.', ' ']) {
            return bad("a part ends with a dot or a space");
        }
        if part.contains(|c: char| c.is_control() || "\\:*?\"<>|".contains(c)) {
            return bad("it has a character that FAT forbids");
        }
    }
    if !seen.insert(path.to_lowercase()) {
        return bad("another file has this name (case does not count)");
    }
    Ok(())
}

#[derive(Debug)]
struct FixedTime;

/// All files are from the first day of FAT's time, so that the same files give the same image.
static FIXED_TIME: FixedTime = FixedTime;

impl fatfs::TimeProvider for FixedTime {
    fn get_current_date(&self) -> Date {
        Date {
            year: 1980,
            month: 1,
            day: 1,
        }
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime {
            date: self.get_current_date(),
            time: Time {
                hour: 0,
                min: 0,
                sec: 0,
                millis: 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn files(list: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
        list.iter()
            .map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec()))
            .collect()
    }

    /// What an mtools command says about the image.
    fn mtools(command: &str, image: &[u8], args: &[&str]) -> Vec<u8> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(image).unwrap();
        let output = Command::new(command)
            .arg("-i")
            .arg(file.path())
            .args(args)
            .output()
            .expect("mtools judge here; `scripts/test` installs them");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    #[test]
    fn mtools_finds_the_label_and_every_file() {
        let big = vec![b'x'; 300_000];
        let list = files(&[
            ("ks.cfg", b"text\n"),
            ("7/ks.cfg", b"seven\n"),
            ("7/scripts/A rather long name.sh", &big),
        ]);
        let image = floppy("oemdrv", &list).unwrap();
        assert_eq!(image.len(), 1_474_560);
        assert_eq!(image, floppy("oemdrv", &list).unwrap());
        let listing = String::from_utf8(mtools("mdir", &image, &["-/", "::"])).unwrap();
        for part in ["OEMDRV", "A rather long name.sh", "1980-01-01"] {
            assert!(listing.contains(part), "{part}: {listing}");
        }
        for (path, bytes) in &list {
            let found = mtools("mtype", &image, &[&format!("::{path}")]);
            assert!(found == *bytes, "{path}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_with_both_sizes() {
        let error = floppy(
            "ks",
            &files(&[("a", &vec![1; 1 << 20]), ("b", &vec![1; 1 << 20])]),
        );
        assert_eq!(
            error.unwrap_err().to_string(),
            "the files do not fit on a floppy: they have 2MiB, it has 1.4MiB"
        );
        let many: Vec<_> = (0..300).map(|i| (format!("f{i}"), Vec::new())).collect();
        assert!(matches!(floppy("ks", &many), Err(FatError::Full { .. })));
    }

    #[test]
    fn bad_labels_and_paths_are_refused() {
        assert_eq!(
            floppy("much too long", &[]).unwrap_err().to_string(),
            "`much too long` is no floppy label: up to 11 letters, digits, `-` and `_`"
        );
        for (path, why) in [
            ("/etc/x", "it has an empty part"),
            ("../x", "it leads out of its directory"),
            ("a:b", "it has a character that FAT forbids"),
            ("a./b", "a part ends with a dot or a space"),
        ] {
            let error = floppy("x", &files(&[(path, b"")])).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("`{path}` is no path for a floppy: {why}")
            );
        }
        let twice = floppy("x", &files(&[("Ks.cfg", b""), ("ks.CFG", b"")])).unwrap_err();
        assert!(
            twice.to_string().contains("another file has this name"),
            "{twice}"
        );
    }
}
