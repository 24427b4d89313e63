//! A download: locked against other processes, held against its checksum, remembered.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use super::error::{FetchError, SourceError};
use super::fetch::{Fetched, Job, Place, Wanted, mismatch};
use super::index::{self, Entry};
use super::source::Source;
use super::transfer::{Done, Failure, Transfer, discard, io_error, version_file};
use crate::model::{Digest, Size};
use crate::sys::FileLock;

/// A finished download until its file has found its place. Nobody else fetches or removes it as long as this lives.
#[derive(Debug)]
pub(super) struct Held {
    part: PathBuf,
    // fields drop after `drop` has run: what is left is tidied up under the lock
    _lock: Arc<FileLock>,
}

impl Drop for Held {
    fn drop(&mut self) {
        // a file that was not moved away is a whole one for the next run, by what stands beside it
        if !self.part.exists() {
            let _ = crate::sys::fs::remove(&version_file(&self.part));
        }
    }
}

impl Job<'_> {
    /// Fetches `url`. `lock` is kept from one mirror to the next: they fill the same file.
    pub(super) async fn download(
        &self,
        url: &Url,
        wanted: &Wanted,
        lock: &mut Option<Arc<FileLock>>,
    ) -> Result<Fetched, Failure> {
        let source = Source::Http(url.clone());
        let key = match wanted {
            Some((algorithm, hex)) => index::key(*algorithm, hex),
            None => format!("url-{}", Digest::of(url.as_str().as_bytes())),
        };
        let downloads = self.request.cache.join("downloads");
        std::fs::create_dir_all(&downloads).map_err(|e| Failure::Fatal(io_error(&downloads, e)))?;
        let lock_file = downloads.join(format!("{key}.lock"));
        let held = match lock.take_if(|lock| lock.path() == lock_file) {
            Some(held) => held,
            None => {
                let held = Arc::new(
                    self.acquire(&lock_file, &source)
                        .await
                        .map_err(Failure::Fatal)?,
                );
                // another process may have fetched it while this one waited
                if let Some(fetched) = self.known(wanted) {
                    return Ok(fetched);
                }
                held
            }
        };
        *lock = Some(Arc::clone(&held));
        self.transfer(&key, url, wanted, held).await
    }

    async fn transfer(
        &self,
        key: &str,
        url: &Url,
        wanted: &Wanted,
        held: Arc<FileLock>,
    ) -> Result<Fetched, Failure> {
        let source = Source::Http(url.clone());
        let before = match wanted {
            Some(_) => None,
            None => index::read(self.request.cache, key),
        };
        let before = before.filter(|entry| (self.request.stored)(&entry.digest).is_some());
        let unchanged = before.as_ref().map(|entry| entry.digest);
        let part = held.path().with_extension("part");
        let transfer = Transfer {
            url,
            part: &part,
            wanted: wanted.as_ref().map(|w| w.0),
            settings: self.settings,
            progress: self.request.progress,
            notice: self.request.notice,
            lock: Arc::clone(&held),
            before,
        };
        let done = self.verified(&transfer, wanted, &source).await;
        let whole = matches!(done, Ok(Done::Whole { .. }));
        if !whole && part.metadata().is_ok_and(|meta| meta.len() == 0) {
            // nothing came: no empty files are left behind
            discard(&part).map_err(Failure::Fatal)?;
        }
        let Done::Whole { sums, version, .. } = done? else {
            let vanished = SourceError::Unreachable("the stored file has vanished".to_owned());
            return unchanged
                .and_then(|digest| self.stored(digest))
                .ok_or(Failure::Source(vanished));
        };
        let from = source.shown();
        let entry = Entry {
            digest: sums.digest,
            from: from.clone(),
            etag: version.etag,
            last_modified: version.last_modified,
        };
        index::write(self.request.cache, key, &entry)
            .map_err(|e| Failure::Fatal(io_error(self.request.cache, e)))?;
        Ok(Fetched {
            path: part.clone(),
            digest: sums.digest,
            size: Size::from_bytes(sums.size),
            from,
            place: Place::Downloaded,
            _held: Some(Held { part, _lock: held }),
        })
    }

    async fn acquire(&self, lock: &Path, source: &Source) -> Result<FileLock, FetchError> {
        let what = format!("forge fetching {}", source.file_name());
        let lock = FileLock::acquire(lock, &what, |holder| {
            let who = holder.map_or_else(
                || "another process".to_owned(),
                |holder| format!("process {} ({})", holder.pid, holder.what),
            );
            (self.request.notice)(format!("waiting for {who}, which fetches the same file"));
        })
        .await?;
        Ok(lock)
    }

    /// Runs the transfer and holds its result against the checksum. What came in several answers may be damaged, or of
    /// several versions: then it is fetched once more, whole, before the server is blamed.
    async fn verified(
        &self,
        transfer: &Transfer<'_>,
        wanted: &Wanted,
        source: &Source,
    ) -> Result<Done, Failure> {
        let mut again = true;
        loop {
            let done = transfer.run().await?;
            let (Some((algorithm, expected)), Done::Whole { sums, mixed, .. }) = (wanted, &done)
            else {
                return Ok(done);
            };
            if sums.wanted == *expected {
                return Ok(done);
            }
            if *mixed && again {
                again = false;
                (self.request.notice)(
                    "its parts do not fit together; starting from the beginning".to_owned(),
                );
                discard(transfer.part).map_err(Failure::Fatal)?;
                continue;
            }
            let kept = transfer
                .part
                .with_file_name(format!("{}.bad", source.file_name()));
            std::fs::rename(transfer.part, &kept)
                .map_err(|e| Failure::Fatal(io_error(&kept, e)))?;
            let version = version_file(transfer.part);
            crate::sys::fs::remove(&version).map_err(|e| Failure::Fatal(io_error(&version, e)))?;
            return Err(Failure::Source(mismatch(
                *algorithm,
                expected,
                sums.wanted.clone(),
                Some(kept),
            )));
        }
    }
}
