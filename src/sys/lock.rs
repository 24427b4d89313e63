//! Locks between forge processes, as files that also tell who holds them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use fs4::fs_std::FileExt as _;

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// What it does, such as `forge run ova`.
    pub what: String,
}

/// An exclusive lock on a file; dropping it, or dying, lets go.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
}

/// A lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("held by another process")]
    Held(Option<Holder>),
    /// The file cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl FileLock {
    /// Takes the lock if it is free; `what` is shown to others who wait for it.
    pub fn try_acquire(path: &Path, what: &str) -> Result<Self, LockError> {
        let io_error = |source| LockError::Io {
            path: path.to_owned(),
            source,
        };
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(io_error)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io_error)?;
        if !file.try_lock_exclusive().map_err(io_error)? {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            return Err(LockError::Held(serde_json::from_str(&text).ok()));
        }
        let holder = Holder {
            pid: std::process::id(),
            what: what.to_owned(),
        };
        let text = serde_json::to_string(&holder).unwrap_or_default();
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(io_error)?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Waits for the lock; `waiting` is called once, with the holder, if it is not free at once.
    pub async fn acquire(
        path: &Path,
        what: &str,
        waiting: impl FnOnce(Option<Holder>) + Send,
    ) -> Result<Self, LockError> {
        let mut waiting = Some(waiting);
        loop {
            match Self::try_acquire(path, what) {
                Err(LockError::Held(holder)) => {
                    if let Some(tell) = waiting.take() {
                        tell(holder);
                    }
                }
                other => return other,
            }
            // flock has no asynchronous form; a poll this slow costs nothing
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
        let _ = fs4::fs_std::FileExt::unlock(&self.file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_one_hears_who_holds_it_and_gets_it_after() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = FileLock::try_acquire(&path, "forge run a").unwrap();
        let Err(LockError::Held(Some(holder))) = FileLock::try_acquire(&path, "b") else {
            panic!("was free")
        };
        assert_eq!(
            holder,
            Holder {
                pid: std::process::id(),
                what: "forge run a".into()
            }
        );
        let mut told = None;
        let second = FileLock::acquire(&path, "b", |holder| {
            told = holder;
            drop(first);
        })
        .await;
        assert!(second.is_ok());
        assert_eq!(told, Some(holder));
    }
}
