//! The `.part` file: what has come so far, of which version, and its digests.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{FetchError, io_error};
use crate::model::{Algorithm, Digest, Size};
use crate::net::hash::{Hashes, Sums, hash_rest};
use crate::sys::FileLock;

/// What is known about the version that a `.part` file is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::net) struct Version {
    /// The address's digest (addresses may hold passwords).
    pub(super) url: Option<Digest>,
    pub(in crate::net) etag: Option<String>,
    pub(in crate::net) last_modified: Option<String>,
    pub(super) total: Option<u64>,
}

impl Version {
    /// What `If-Range` may carry: a strong tag, else the date.
    pub(super) fn validator(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|tag| !tag.starts_with("W/"));
        strong.or(self.last_modified.as_deref())
    }
}

/// The file, open.
pub(super) struct Part {
    path: PathBuf,
    wanted: Option<Algorithm>,
    lock: Arc<FileLock>,
    sink: Option<Sink>,
    /// Of which version it is.
    pub(super) version: Version,
    /// It came in several answers, or was there before: its digests prove nothing about one server.
    pub(super) mixed: bool,
}

/// The part of it that the writing thread holds.
struct Sink {
    file: File,
    hashes: Hashes,
    // the thread may outlive a cancelled transfer by a moment
    _lock: Arc<FileLock>,
}

impl Part {
    /// Opens the file, and hashes what is there.
    pub(super) async fn open(
        path: &Path,
        wanted: Option<Algorithm>,
        lock: &Arc<FileLock>,
        progress: &(dyn Fn(u64, Option<u64>) + Sync),
    ) -> Result<Self, FetchError> {
        let failed = |source| io_error(path, source);
        let version: Version = std::fs::read(version_file(path))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let mut file = options().truncate(false).open(path).map_err(failed)?;
        let mixed = file.metadata().map_err(failed)?.len() > 0;
        let mut hashes = Hashes::new(wanted);
        if mixed {
            let progress = |done| progress(done, version.total);
            (file, hashes) = hash_rest(file, hashes, &progress).await.map_err(failed)?;
        }
        let _lock = Arc::clone(lock);
        Ok(Self {
            path: path.to_owned(),
            wanted,
            lock: Arc::clone(lock),
            sink: Some(Sink {
                file,
                hashes,
                _lock,
            }),
            version,
            mixed,
        })
    }

    /// How much has come.
    pub(super) fn len(&self) -> u64 {
        self.sink.as_ref().map_or(0, |sink| sink.hashes.len())
    }

    /// Whether all of it is there.
    pub(super) fn is_whole(&self) -> bool {
        self.len() > 0 && self.version.total == Some(self.len())
    }

    /// Empties it.
    pub(super) fn reset(&mut self) -> Result<(), FetchError> {
        let file = options()
            .truncate(true)
            .open(&self.path)
            .map_err(|e| io_error(&self.path, e))?;
        let _lock = Arc::clone(&self.lock);
        self.sink = Some(Sink {
            file,
            hashes: Hashes::new(self.wanted),
            _lock,
        });
        self.version = Version::default();
        self.mixed = false;
        Ok(())
    }

    /// Writes down of which version it is.
    pub(super) fn write_version(&self) -> Result<(), FetchError> {
        let file = version_file(&self.path);
        let bytes = serde_json::to_vec(&self.version).unwrap_or_default();
        crate::sys::fs::write_atomic(&file, &bytes).map_err(|e| io_error(&file, e))
    }

    /// Starts a thread that appends what is sent to it; [`Part::take_back`] ends it.
    pub(super) fn writer(&mut self) -> Option<Writer> {
        let mut sink = self.sink.take()?;
        let (sender, mut receiver) = mpsc::channel::<Bytes>(32);
        let thread = tokio::task::spawn_blocking(move || {
            while let Some(chunk) = receiver.blocking_recv() {
                if let Err(error) = sink.file.write_all(&chunk) {
                    return (sink, Err(error));
                }
                sink.hashes.update(&chunk);
            }
            (sink, Ok(()))
        });
        Some(Writer {
            sender,
            thread: WriterThread(thread),
        })
    }

    /// Waits for the writer, which must have no sender left, and tells how it fared.
    pub(super) async fn take_back(&mut self, thread: WriterThread) -> Result<(), FetchError> {
        let (sink, written) = thread
            .0
            .await
            .map_err(|e| io_error(&self.path, io::Error::other(e)))?;
        self.sink = Some(sink);
        written.map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => {
                let missing = self
                    .version
                    .total
                    .map(|total| total.saturating_sub(self.len()));
                self.disk_full(missing)
            }
            _ => io_error(&self.path, error),
        })
    }

    /// Says at once that the file will not fit, rather than after an hour.
    pub(super) fn check_space(&self, free: fn(&Path) -> io::Result<u64>) -> Result<(), FetchError> {
        let (Some(total), Ok(free)) = (self.version.total, free(self.dir())) else {
            return Ok(());
        };
        let missing = total.saturating_sub(self.len()).saturating_sub(free);
        if missing == 0 {
            Ok(())
        } else {
            Err(self.disk_full(Some(missing)))
        }
    }

    fn disk_full(&self, missing: Option<u64>) -> FetchError {
        FetchError::DiskFull {
            dir: self.dir().to_owned(),
            missing: missing.map(Size::from_bytes),
            kept: Size::from_bytes(self.len()),
        }
    }

    fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// The digests of what is there; the file stays.
    pub(super) fn finish(&mut self) -> Sums {
        let sink = self.sink.take();
        sink.map_or_else(|| Hashes::new(self.wanted), |sink| sink.hashes)
            .finish()
    }
}

/// A thread that writes.
pub(super) struct Writer {
    /// Takes what is to be written; fails once writing has.
    pub(super) sender: mpsc::Sender<Bytes>,
    /// For [`Part::take_back`].
    pub(super) thread: WriterThread,
}

pub(super) struct WriterThread(tokio::task::JoinHandle<(Sink, io::Result<()>)>);

/// Throws away the `.part` file at `path` and what is known of it.
pub(in crate::net) fn discard(path: &Path) -> Result<(), FetchError> {
    for path in [path.to_owned(), version_file(path)] {
        crate::sys::fs::remove(&path).map_err(|source| FetchError::Io { path, source })?;
    }
    Ok(())
}

/// Where the version of a `.part` file stands.
pub(in crate::net) fn version_file(part: &Path) -> PathBuf {
    let mut name = part.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).create(true);
    options
}
