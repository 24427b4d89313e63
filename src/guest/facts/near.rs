//! What this machine tells without a shell: its files, accounts, processes, ports and parameters are read, its commands run. The
//! records are those that the script would have brought; what is not sure to come out the same is left to the script.

use std::cell::LazyCell;
use std::collections::{BTreeSet, HashMap};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use md5::Md5;
use sha2::digest::Digest;
use sha2::{Sha256, Sha512};

use super::KEEP;
use super::script::{SHARED, files};
use super::system::{Place, System};
use crate::goss::{FileWants, Question, Transport, clean};
use crate::model::hex;

/// Sums of what is longer are left to the script: it sums beside everything else, and not for ever.
const SUMMED: u64 = 64 << 20;

/// Records by name.
pub(super) type Told = Vec<(String, Vec<u8>)>;

/// What was read.
#[derive(Default)]
pub(super) struct Near {
    /// The records.
    pub(super) records: Told,
    /// The questions for which nothing needs to be asked otherwise.
    pub(super) told: BTreeSet<usize>,
}

impl Near {
    /// Reads what can be read. Another machine, and this one as another user, tell nothing here.
    pub(super) async fn read(system: &System<'_>, questions: &[Question]) -> Self {
        if !system.is_here() {
            return Self::default();
        }
        let questions = questions.to_vec();
        let work = tokio::task::spawn_blocking(move || Self::of(&questions));
        // a dead file system hangs whoever looks at it: then the script, which has its own limits, asks all
        match tokio::time::timeout(SHARED, work).await {
            Ok(Ok(near)) => near,
            _ => Self::default(),
        }
    }

    fn of(questions: &[Question]) -> Self {
        let mut near = Self::default();
        let mut whole = BTreeSet::new();
        // only files ask for them
        let accounts = LazyCell::new(Accounts::read);
        for (number, question) in questions.iter().enumerate() {
            let told = match question {
                Question::File { path, wants } => near.file(number, path, *wants, &accounts),
                Question::KernelParam { key } => near.parameter(number, key),
                Question::Process { .. } => near.once("comm", processes),
                Question::Port { .. } => near.sockets(),
                Question::Group { .. }
                | Question::User { .. }
                | Question::Command { .. }
                | Question::Addr {
                    transport: Transport::Tcp,
                    ..
                } => {
                    whole.extend(files(question));
                    Some(())
                }
                _ => None,
            };
            if told.is_some() {
                near.told.insert(number);
            }
        }
        for path in whole {
            near.whole(path);
        }
        near.set("lists.s", "0 0");
        near
    }

    fn set(&mut self, key: impl Into<String>, value: impl Into<Vec<u8>>) {
        self.records.push((key.into(), value.into()));
    }

    /// A record that answers many questions.
    fn once(&mut self, key: &str, value: impl FnOnce() -> Option<Vec<u8>>) -> Option<()> {
        if !self.records.iter().any(|(known, _)| known == key) {
            self.set(key, value()?);
        }
        Some(())
    }

    fn whole(&mut self, path: &str) {
        match std::fs::read(path) {
            Ok(bytes) => self.set(path, bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => self.set(
                format!("{path}!"),
                format!("open {path}: permission denied"),
            ),
        }
    }

    fn parameter(&mut self, number: usize, key: &str) -> Option<()> {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        let file = std::fs::File::open(path);
        match file
            .ok()
            .filter(|f| f.metadata().is_ok_and(|m| m.is_file()))
        {
            Some(mut file) => {
                // with room for all of it: the kernel answers one read alone
                let mut value = Vec::with_capacity(1 << 16);
                // what cannot be read has no value
                let _ = file.read_to_end(&mut value);
                self.set(format!("{number}.value"), value);
            }
            None => self.set(format!("{number}.value!"), "could not find the given key"),
        }
        Some(())
    }

    fn sockets(&mut self) -> Option<()> {
        if ["tcp", "tcp6"]
            .iter()
            .all(|f| std::fs::File::open(format!("/proc/net/{f}")).is_err())
        {
            return None;
        }
        for table in ["tcp", "tcp6", "udp", "udp6"] {
            self.once(&format!("net.{table}"), || {
                Some(std::fs::read(format!("/proc/net/{table}")).unwrap_or_default())
            });
        }
        Some(())
    }

    /// All that is asked about a file, or nothing.
    fn file(
        &mut self,
        number: usize,
        path: &str,
        wants: FileWants,
        accounts: &Accounts,
    ) -> Option<()> {
        let path = here(path)?;
        let shown = path.clone();
        let exists = format!("{number}.x");
        let meta = match std::fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(error) => {
                match error.kind() {
                    std::io::ErrorKind::NotFound => self.set(exists, "n"),
                    std::io::ErrorKind::NotADirectory => {
                        self.set(
                            format!("{exists}!"),
                            format!("lstat {shown}: not a directory"),
                        );
                    }
                    _ => return None,
                }
                return Some(());
            }
        };
        let mut found = vec![(exists, b"y".to_vec())];
        let (owner, group) = (
            accounts.users.get(&meta.uid())?,
            accounts.groups.get(&meta.gid())?,
        );
        let status = format!(
            "{:x} {} {} {} {owner} {group}",
            meta.mode(),
            meta.size(),
            meta.uid(),
            meta.gid()
        );
        found.push((format!("{number}.stat"), status.into_bytes()));
        if meta.is_symlink() {
            let target = std::fs::read_link(&path).ok()?;
            found.push((
                format!("{number}.l"),
                target.as_os_str().as_bytes().to_vec(),
            ));
        }
        if wants.contents {
            found.push(told(format!("{number}.contents"), content(&path)?));
        }
        if wants.md5 {
            found.push(told(format!("{number}.md5"), sum::<Md5>(&path)?));
        }
        if wants.sha256 {
            found.push(told(format!("{number}.sha256"), sum::<Sha256>(&path)?));
        }
        if wants.sha512 {
            found.push(told(format!("{number}.sha512"), sum::<Sha512>(&path)?));
        }
        self.records.extend(found);
        Some(())
    }
}

impl System<'_> {
    /// Whether this process can look for itself.
    pub(super) const fn is_here(&self) -> bool {
        matches!(self.place, Place::Local) && !self.sudo
    }
}

/// A value or the reason why there is none, as a record.
fn told(key: String, value: Result<Vec<u8>, String>) -> (String, Vec<u8>) {
    match value {
        Ok(value) => (key, value),
        Err(reason) => (key + "!", reason.into_bytes()),
    }
}

/// The path that is meant; none: only a shell knows.
fn here(path: &str) -> Option<String> {
    let path = clean(path);
    match path.strip_prefix('~') {
        None => Some(path),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            Some(std::env::var("HOME").ok()? + rest)
        }
        Some(_) => None,
    }
}

/// A regular file with something in it, or why it is none; `None`: the script must look.
fn open(path: &str) -> Option<Result<std::fs::File, String>> {
    let Ok(meta) = std::fs::metadata(path) else {
        return match std::fs::symlink_metadata(path) {
            Ok(meta)
                if meta.is_symlink() && Path::new(path).try_exists().is_ok_and(|there| !there) =>
            {
                Some(Err(format!("open {path}: no such file or directory")))
            }
            _ => None,
        };
    };
    if meta.is_dir() {
        return Some(Err(format!("read {path}: is a directory")));
    }
    let kind = meta.file_type();
    // what has no size may have no end, as some of the kernel's files
    if !meta.is_file() || meta.len() == 0 || kind.is_fifo() {
        return None;
    }
    match std::fs::File::open(path) {
        Ok(file) => Some(Ok(file)),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Some(Err(format!("open {path}: permission denied")))
        }
        Err(_) => None,
    }
}

fn content(path: &str) -> Option<Result<Vec<u8>, String>> {
    let file = match open(path)? {
        Ok(file) => file,
        Err(reason) => return Some(Err(reason)),
    };
    let mut bytes = Vec::new();
    let most = u64::try_from(KEEP).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(Ok(bytes))
}

/// A file's digest in hexadecimal.
fn sum<D: Digest>(path: &str) -> Option<Result<Vec<u8>, String>> {
    let mut file = match open(path)? {
        Ok(file) => file,
        Err(reason) => return Some(Err(reason)),
    };
    if file.metadata().ok()?.len() > SUMMED {
        return None;
    }
    let (mut digest, mut buffer) = (D::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).ok()? {
            0 => break,
            n => digest.update(&buffer[..n]),
        }
    }
    Some(Ok(hex(&digest.finalize()).into_bytes()))
}

/// The names of all processes, a line each.
fn processes() -> Option<Vec<u8>> {
    std::fs::File::open("/proc/self/stat").ok()?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir("/proc").ok()?.filter_map(Result::ok) {
        if entry.file_name().as_bytes().iter().all(u8::is_ascii_digit) {
            // one that has ended meanwhile has no name
            names.extend(std::fs::read(entry.path().join("comm")).unwrap_or_default());
        }
    }
    Some(names)
}

/// Names by number. Who is known to another directory than these two files is left to the script.
struct Accounts {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Accounts {
    fn read() -> Self {
        let names = |path: &str| {
            let text = std::fs::read(path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let mut names = HashMap::new();
            for line in text.lines() {
                let mut fields = line.split(':');
                if let (Some(name), Some(id)) =
                    (fields.next(), fields.nth(1).and_then(|id| id.parse().ok()))
                {
                    // of several with one number the first counts
                    names.entry(id).or_insert_with(|| name.to_owned());
                }
            }
            names
        };
        Self {
            users: names("/etc/passwd"),
            groups: names("/etc/group"),
        }
    }
}
