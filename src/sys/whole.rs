//! Large files that appear when they are whole, and of which nothing is left if forge is killed before.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use super::fs::{directory, set_default_mode, temporary_prefix};

/// A file that is being written.
#[derive(Debug)]
pub struct Whole {
    file: File,
    target: PathBuf,
    /// Where the file system cannot have files without a name.
    name: Option<TempPath>,
}

impl Whole {
    /// A file that is to be `target`. It has no name yet where the system can do that and `target` is not there, so nobody has
    /// to clean up after a crash; else it has another one, of which `named` is told before it exists.
    pub fn create(target: &Path, named: impl FnMut(&Path)) -> io::Result<Self> {
        // only a name can replace a name
        let nameless = (!target.exists()).then(|| nameless(directory(target)));
        match nameless.flatten() {
            Some(file) => Ok(Self {
                file,
                target: target.to_owned(),
                name: None,
            }),
            None => Self::with_name(target, named),
        }
    }

    fn with_name(target: &Path, mut named: impl FnMut(&Path)) -> io::Result<Self> {
        let prefix = temporary_prefix(std::process::id());
        let mut builder = tempfile::Builder::new();
        let made = builder.prefix(&prefix).make_in(directory(target), |path| {
            named(path);
            File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(path)
        })?;
        let (file, name) = made.into_parts();
        Ok(Self {
            file,
            target: target.to_owned(),
            name: Some(name),
        })
    }

    /// The file, to be written.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Makes the file durable and lets it appear; what was there is replaced. Its size.
    pub fn appear(self) -> io::Result<u64> {
        set_default_mode(&self.file)?;
        self.file.sync_all()?;
        let size = self.file.metadata()?.len();
        let name = match self.name {
            Some(name) => name,
            None => match name_it(&self.file, &self.target) {
                Ok(()) => return Ok(size),
                // Only a name can replace a name.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => tempfile::Builder::new()
                    .prefix(&temporary_prefix(std::process::id()))
                    .make_in(directory(&self.target), |path| name_it(&self.file, path))?
                    .into_temp_path(),
                Err(e) => return Err(e),
            },
        };
        name.persist(&self.target).map_err(|e| e.error)?;
        Ok(size)
    }
}

/// How the kernel gives a name to a file that is open.
#[cfg(target_os = "linux")]
const OPEN_FILES: &str = "/proc/self/fd";

#[cfg(target_os = "linux")]
fn nameless(dir: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags, open};
    if !Path::new(OPEN_FILES).is_dir() {
        return None;
    }
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    // What is wrong with the directory is told by the way that every system knows.
    open(dir, flags, Mode::RUSR | Mode::WUSR)
        .ok()
        .map(File::from)
}

#[cfg(target_os = "linux")]
fn name_it(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd as _;
    let open = format!("{OPEN_FILES}/{}", file.as_raw_fd());
    Ok(linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn nameless(_: &Path) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
fn name_it(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_when_it_is_whole_with_and_without_a_name_before() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("disk.raw");
        for content in ["first", "second"] {
            let mut told = Vec::new();
            let named = Whole::with_name(&target, |path| told.push(path.to_owned())).unwrap();
            assert!(told[0].exists());
            drop(named);
            assert!(!told[0].exists(), "what is not wanted is gone");
            for mut whole in [
                Whole::create(&target, |_| {}).unwrap(),
                Whole::with_name(&target, |_| {}).unwrap(),
            ] {
                let before = fs::read(&target).ok();
                whole.file.write_all(content.as_bytes()).unwrap();
                assert_eq!(fs::read(&target).ok(), before);
                assert_eq!(whole.appear().unwrap(), content.len() as u64);
                assert_eq!(fs::read_to_string(&target).unwrap(), content);
            }
        }
        assert_eq!(names(dir.path()), ["disk.raw"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn without_a_name_there_is_nothing_to_be_left() {
        // a file system that knows such files, whatever this machine has elsewhere
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let whole = Whole::create(&dir.path().join("a"), |_| panic!("it has a name")).unwrap();
        assert_eq!(names(dir.path()), Vec::<String>::new());
        // As if forge were killed.
        drop(whole.file);
        assert_eq!(names(dir.path()), Vec::<String>::new());
        let gone = Whole::create(Path::new("/nowhere/a"), |_| {}).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }
}
