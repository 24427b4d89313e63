//! From a list of addresses and a checksum to a verified file.

use std::path::{Path, PathBuf};

use super::download::Held;
use super::error::{Attempt, FetchError, SourceError};
use super::hash::Sums;
use super::index::{self, Entry};
use super::local;
use super::source::{self, Source};
use super::transfer::{Failure, Settings};
use crate::model::{Algorithm, Checksum, Digest, Size};
use crate::sys::Cancel;

/// What to fetch, and who hears of it.
pub struct FetchRequest<'a> {
    /// Mirrors in order: `http(s)://`, `file://`, or a path.
    pub urls: Vec<String>,
    /// What the content must be.
    pub checksum: Checksum,
    /// Where relative paths start: the project.
    pub root: &'a Path,
    /// The cache directory; downloads lie in `downloads/` in it.
    pub cache: &'a Path,
    /// Where the store has content with this digest, if it has.
    pub stored: &'a (dyn Fn(&Digest) -> Option<PathBuf> + Sync),
    /// Hears of bytes done, and in all.
    pub progress: &'a (dyn Fn(u64, Option<u64>) + Sync),
    /// Hears of what users should know: mirrors that failed, waits, resumed downloads.
    pub notice: &'a (dyn Fn(String) + Sync),
    /// Ends it; what has been fetched is kept.
    pub cancel: &'a Cancel,
}

/// A file that is there and verified.
#[derive(Debug)]
pub struct Fetched {
    /// The file.
    pub path: PathBuf,
    /// Its content.
    pub digest: Digest,
    /// Its size.
    pub size: Size,
    /// Where it came from, passwords masked.
    pub from: String,
    /// Whose the file is.
    pub place: Place,
    // while the caller moves a download into the store, nobody else fetches or removes it
    pub(super) _held: Option<Held>,
}

/// Whose a fetched file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A download: to be moved into the store.
    Downloaded,
    /// The user's own: to be copied.
    Local,
    /// In the store already.
    Stored,
}

/// Fetches a file: from the store if it was fetched before, else from the first of the addresses that has it.
pub async fn fetch(request: &FetchRequest<'_>) -> Result<Fetched, FetchError> {
    let settings = Settings::new().map_err(|error| FetchError::Failed {
        name: "download".to_owned(),
        attempts: vec![Attempt {
            from: "this host".to_owned(),
            error,
        }],
    })?;
    fetch_with(request, &settings).await
}

pub(super) async fn fetch_with(
    request: &FetchRequest<'_>,
    settings: &Settings,
) -> Result<Fetched, FetchError> {
    let job = Job { request, settings };
    request
        .cancel
        .run(job.run())
        .await
        .unwrap_or(Err(FetchError::Cancelled))
}

/// A fetch under way.
pub(super) struct Job<'a> {
    pub(super) request: &'a FetchRequest<'a>,
    pub(super) settings: &'a Settings,
}

/// The checksum in the end; none: nothing is verified.
pub(super) type Wanted = Option<(Algorithm, String)>;

impl Job<'_> {
    async fn run(&self) -> Result<Fetched, FetchError> {
        let request = self.request;
        let sources: Vec<_> = request
            .urls
            .iter()
            .map(|url| Source::parse(url, request.root))
            .collect();
        let names: Vec<String> = sources.iter().flatten().map(Source::file_name).collect();
        let wanted = self.wanted(&names).await?;
        if let Some(fetched) = self.known(&wanted) {
            return Ok(fetched);
        }
        let mut lock = None;
        let mut attempts = Vec::new();
        for (source, url) in sources.into_iter().zip(&request.urls) {
            let from = source
                .as_ref()
                .map_or_else(|_| source::shown(url), Source::shown);
            let result = match source {
                Err(error) => Err(Failure::Source(error)),
                Ok(Source::File(path)) => self.local(&path, &wanted).await.map_err(Failure::Source),
                Ok(Source::Http(url)) => self.download(&url, &wanted, &mut lock).await,
            };
            match result {
                Ok(fetched) => return Ok(fetched),
                Err(Failure::Fatal(error)) => return Err(error),
                Err(Failure::Source(error)) => {
                    if attempts.len() + 1 < request.urls.len() {
                        (request.notice)(format!("{from}: {error}; trying the next mirror"));
                    }
                    attempts.push(Attempt { from, error });
                }
            }
        }
        match names.into_iter().next() {
            _ if attempts.is_empty() => Err(FetchError::NoSource),
            name => Err(FetchError::Failed {
                name: name.unwrap_or_else(|| "download".to_owned()),
                attempts,
            }),
        }
    }

    /// The file in the store, if this checksum was fetched before.
    pub(super) fn known(&self, wanted: &Wanted) -> Option<Fetched> {
        let (algorithm, hex) = wanted.clone()?;
        let digest = index::known(self.request.cache, &Checksum::Hex { algorithm, hex })?;
        self.stored(digest)
    }

    pub(super) fn stored(&self, digest: Digest) -> Option<Fetched> {
        let path = (self.request.stored)(&digest)?;
        let size = Size::from_bytes(path.metadata().ok()?.len());
        Some(Fetched {
            path,
            digest,
            size,
            from: "the store".to_owned(),
            place: Place::Stored,
            _held: None,
        })
    }

    async fn local(&self, path: &Path, wanted: &Wanted) -> Result<Fetched, SourceError> {
        let sums = local::hash(path, wanted.as_ref().map(|w| w.0), self.request.progress).await?;
        if let Some((algorithm, expected)) = wanted {
            if sums.wanted != *expected {
                return Err(mismatch(*algorithm, expected, sums.wanted, None));
            }
            self.remember(
                &index::key(*algorithm, expected),
                &sums,
                path.display().to_string(),
            );
        }
        Ok(Fetched {
            path: path.to_owned(),
            digest: sums.digest,
            size: Size::from_bytes(sums.size),
            from: path.display().to_string(),
            place: Place::Local,
            _held: None,
        })
    }

    fn remember(&self, key: &str, sums: &Sums, from: String) {
        let entry = Entry {
            digest: sums.digest,
            from,
            etag: None,
            last_modified: None,
        };
        // only a convenience: without it the file is fetched once more
        let _ = index::write(self.request.cache, key, &entry);
    }
}

pub(super) fn mismatch(
    algorithm: Algorithm,
    expected: &str,
    found: String,
    kept: Option<PathBuf>,
) -> SourceError {
    SourceError::Mismatch {
        algorithm,
        expected: expected.to_owned(),
        found,
        kept,
    }
}
