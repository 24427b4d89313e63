//! One file from one server into a `.part` file, however often the connection breaks.
//!
//! Beside `KEY.part` lies `KEY.part.json`: which version the server said it was. A later transfer goes on from there, in
//! this process or in the next one, if the server still has that version, or if a checksum will prove the whole.

mod answer;
mod part;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use reqwest::{Response, StatusCode, header};
use tokio::sync::mpsc;
use url::Url;

pub(super) use answer::{html_title, status_error};
pub(super) use part::{Version, discard, version_file};

use self::answer::{HEAD, says_html};
use self::part::{Part, Writer};
use super::hash::Sums;
use super::index::Entry;
use super::{FetchError, SourceError};
use crate::model::{Algorithm, Digest, Size};
use crate::sys::FileLock;

/// How hard to try. Tests try faster.
pub(super) struct Settings {
    /// The client; proxies come from the environment.
    pub(super) client: reqwest::Client,
    /// How long no byte may come.
    pub(super) patience: Duration,
    /// The pause before the first repetition; it doubles.
    pub(super) backoff: Duration,
    /// How often progress is told.
    pub(super) tell_every: Duration,
    /// Free space where a file lies.
    pub(super) free_space: fn(&Path) -> io::Result<u64>,
}

/// How often a broken connection is taken up again without a byte of progress in between.
const TRIES_BROKEN: u32 = 5;
/// How often a server that refuses or is busy is asked again.
const TRIES_REFUSED: u32 = 2;
/// How often altogether.
const TRIES_ALL: u32 = 50;
/// The longest pause between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(20);

impl Settings {
    pub(super) fn new() -> Result<Self, SourceError> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("forge/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(20))
            .build()
            .map_err(|e| SourceError::Unreachable(why(e)))?;
        Ok(Self {
            client,
            patience: Duration::from_secs(60),
            backoff: Duration::from_secs(1),
            tell_every: Duration::from_millis(100),
            free_space: crate::sys::fs::free_space,
        })
    }
}

/// Why a transfer ended without its file.
pub(super) enum Failure {
    /// This source is no good; another one may be.
    Source(SourceError),
    /// No source will do: this machine is at fault.
    Fatal(FetchError),
}

enum Trouble {
    /// Not worth a repetition.
    Final(Failure),
    /// May pass.
    Passing(SourceError),
    /// What is there does not fit what the server has: from the start.
    Restart(&'static str),
}

impl From<SourceError> for Trouble {
    fn from(error: SourceError) -> Self {
        Self::Final(Failure::Source(error))
    }
}

/// The end of a transfer.
pub(super) enum Done {
    /// The whole file is in the `.part` file.
    Whole {
        /// Its digests.
        sums: Sums,
        /// It came in several answers, or was there before: its digests prove nothing about one server.
        mixed: bool,
        /// The server's marks.
        version: Version,
    },
    /// The server still has what was fetched before.
    Unchanged,
}

/// A transfer under way.
pub(super) struct Transfer<'a> {
    pub(super) url: &'a Url,
    pub(super) part: &'a Path,
    pub(super) wanted: Option<Algorithm>,
    pub(super) settings: &'a Settings,
    pub(super) progress: &'a (dyn Fn(u64, Option<u64>) + Sync),
    pub(super) notice: &'a (dyn Fn(String) + Sync),
    pub(super) lock: Arc<FileLock>,
    /// What was fetched from this address before and is still there, for addresses without a checksum.
    pub(super) before: Option<Entry>,
}

impl Transfer<'_> {
    /// Goes on until the file is whole or it is hopeless.
    pub(super) async fn run(&self) -> Result<Done, Failure> {
        let open = Part::open(self.part, self.wanted, &self.lock, self.progress);
        let mut part = open.await.map_err(Failure::Fatal)?;
        let mut tries = Tries {
            settings: self.settings,
            in_vain: 0,
            all: 0,
        };
        loop {
            let before = part.len();
            let error = match self.attempt(&mut part).await {
                Ok(done) => return Ok(done),
                Err(Trouble::Final(failure)) => return Err(failure),
                Err(Trouble::Restart(why)) => {
                    (self.notice)(format!("{why}; starting from the beginning"));
                    part.reset().map_err(Failure::Fatal)?;
                    let why = why.to_owned();
                    let error = SourceError::Cut {
                        got: 0,
                        total: None,
                        why,
                    };
                    tokio::time::sleep(tries.next(error).map_err(Failure::Source)?).await;
                    continue;
                }
                Err(Trouble::Passing(error)) => error,
            };
            if part.len() > before {
                tries.in_vain = 0;
            }
            let told = format!("{error}; trying again");
            let pause = tries.next(error).map_err(Failure::Source)?;
            (self.notice)(told);
            tokio::time::sleep(pause).await;
        }
    }

    /// One request and what comes of it.
    async fn attempt(&self, part: &mut Part) -> Result<Done, Trouble> {
        if !part.is_whole() {
            let offset = self.offset(part)?;
            let response =
                tokio::time::timeout(self.settings.patience, self.request(part, offset).send())
                    .await
                    .map_err(|_| Trouble::Passing(self.stalled(part.len(), part.version.total)))?
                    .map_err(|e| match unreachable(why(e)) {
                        error @ SourceError::Certificate(_) => error.into(),
                        error => Trouble::Passing(error),
                    })?;
            if response.status() == StatusCode::NOT_MODIFIED && self.before.is_some() {
                return Ok(Done::Unchanged);
            }
            self.accept(&response, offset, part)?;
            self.pump(response, part).await?;
        }
        Ok(Done::Whole {
            sums: part.finish(),
            mixed: part.mixed,
            version: part.version.clone(),
        })
    }

    /// Where to go on: after what is there if that can be trusted, else at the start.
    fn offset(&self, part: &mut Part) -> Result<u64, Trouble> {
        let trusted = self.wanted.is_some()
            || (self.is_of_this_url(part) && part.version.validator().is_some());
        if part.len() > 0 && !trusted {
            part.reset().map_err(fatal)?;
        }
        Ok(part.len())
    }

    fn request(&self, part: &Part, offset: u64) -> reqwest::RequestBuilder {
        let request = self
            .settings
            .client
            .get(self.url.clone())
            .header(header::ACCEPT_ENCODING, "identity");
        if offset > 0 {
            (self.notice)(format!("going on after {}", Size::from_bytes(offset)));
            let request = request.header(header::RANGE, format!("bytes={offset}-"));
            return match part.version.validator() {
                Some(mark) if self.is_of_this_url(part) => request.header(header::IF_RANGE, mark),
                _ => request,
            };
        }
        match &self.before {
            Some(Entry {
                etag: Some(etag), ..
            }) => request.header(header::IF_NONE_MATCH, etag),
            Some(Entry {
                last_modified: Some(date),
                ..
            }) => request.header(header::IF_MODIFIED_SINCE, date),
            _ => request,
        }
    }

    fn is_of_this_url(&self, part: &Part) -> bool {
        part.version.url == Some(self.url_digest())
    }

    fn url_digest(&self) -> Digest {
        Digest::of(self.url.as_str().as_bytes())
    }

    /// Moves the body into the `.part` file; hashing and writing have a thread of their own.
    async fn pump(&self, response: Response, part: &mut Part) -> Result<(), Trouble> {
        let (start, total) = (part.len(), part.version.total);
        let Some(Writer { sender, thread }) = part.writer() else {
            return Err(Trouble::Restart("the file is not open"));
        };
        let read = self.read(response, sender, start, total).await;
        part.take_back(thread).await.map_err(fatal)?;
        if let Err(trouble) = read {
            if matches!(
                &trouble,
                Trouble::Final(Failure::Source(SourceError::Html { .. }))
            ) {
                part.reset().map_err(fatal)?;
            }
            return Err(trouble);
        }
        let got = part.len();
        match total {
            Some(total) if got < total => {
                let why = "it ended early".to_owned();
                Err(Trouble::Passing(SourceError::Cut {
                    got,
                    total: Some(total),
                    why,
                }))
            }
            Some(_) => Ok(()),
            None => {
                // sent without a length: now it is known, for a process that finds the file here
                part.version.total = Some(got);
                part.write_version().map_err(fatal)
            }
        }
    }

    /// Reads the body to its end and hands it on.
    async fn read(
        &self,
        mut response: Response,
        sender: mpsc::Sender<Bytes>,
        start: u64,
        total: Option<u64>,
    ) -> Result<(), Trouble> {
        let says_html = says_html(response.headers());
        let mut told = Instant::now();
        let mut got = start;
        let mut head = Vec::new();
        loop {
            let chunk = match tokio::time::timeout(self.settings.patience, response.chunk()).await {
                Err(_) => return Err(Trouble::Passing(self.stalled(got, total))),
                Ok(Err(e)) => {
                    let why = why(e);
                    return Err(Trouble::Passing(SourceError::Cut { got, total, why }));
                }
                Ok(Ok(None)) => return Ok(()),
                Ok(Ok(Some(chunk))) => chunk,
            };
            if start == 0 && head.len() < HEAD {
                head.extend_from_slice(&chunk[..chunk.len().min(HEAD - head.len())]);
                self.refuse_html(&head, says_html)?;
            }
            got += chunk.len() as u64;
            if told.elapsed() >= self.settings.tell_every || Some(got) == total {
                (self.progress)(got, total);
                told = Instant::now();
            }
            // the writer stops early only with an error, which it tells itself
            if sender.send(chunk).await.is_err() {
                return Ok(());
            }
        }
    }

    fn refuse_html(&self, head: &[u8], says_html: bool) -> Result<(), Trouble> {
        let path = self.url.path().to_ascii_lowercase();
        if path.ends_with(".html") || path.ends_with(".htm") {
            return Ok(());
        }
        html_title(head, says_html).map_or(Ok(()), |title| Err(SourceError::Html { title }.into()))
    }

    fn stalled(&self, got: u64, total: Option<u64>) -> SourceError {
        SourceError::Stalled {
            patience: self.settings.patience,
            got,
            total,
        }
    }
}

/// Counts tries.
struct Tries<'a> {
    settings: &'a Settings,
    in_vain: u32,
    all: u32,
}

impl Tries<'_> {
    /// How long to wait before the next one; gives `error` back when there have been enough.
    fn next(&mut self, error: SourceError) -> Result<Duration, SourceError> {
        let broken = matches!(error, SourceError::Cut { .. } | SourceError::Stalled { .. });
        let most = if broken { TRIES_BROKEN } else { TRIES_REFUSED };
        self.in_vain += 1;
        self.all += 1;
        if self.in_vain > most || self.all > TRIES_ALL {
            return Err(error);
        }
        let pause = self
            .settings
            .backoff
            .saturating_mul(1 << (self.in_vain - 1).min(10));
        Ok(pause.min(BACKOFF_MAX))
    }
}

/// A request that got no answer. A certificate that is refused will be refused again.
pub(super) fn unreachable(why: String) -> SourceError {
    if why.contains("certificate") {
        SourceError::Certificate(why)
    } else {
        SourceError::Unreachable(why)
    }
}

/// The innermost cause. The address is not in it: it may hold a password.
pub(super) fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

pub(super) fn io_error(path: &Path, source: io::Error) -> FetchError {
    FetchError::Io {
        path: path.to_owned(),
        source,
    }
}

fn fatal(error: FetchError) -> Trouble {
    Trouble::Final(Failure::Fatal(error))
}
