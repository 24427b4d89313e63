//! Bytes over HTTP with the session's cookie: files of datastores, disks of leases, screens.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE};
use reqwest::{Method, RequestBuilder, Response};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, interval, timeout};
use url::Url;

use super::endpoint::host_and_port;
use super::http::Http;
use super::{Client, VimError};
use crate::sys::Cancel;

/// How long no byte may move.
const STALL: Duration = Duration::from_secs(300);
/// How often progress is told.
const TELL: Duration = Duration::from_millis(250);
/// How much is read from a file at once.
const CHUNK: usize = 256 << 10;

/// A file on its way up.
pub(super) struct Sending<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) content_type: &'a str,
    /// Other headers.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) from: &'a Path,
    /// Is told the bytes done and all of them.
    pub(super) progress: &'a (dyn Fn(u64, u64) + Send + Sync),
    pub(super) cancel: &'a Cancel,
}

impl Client {
    /// Sends a request to the server itself, again while it cannot be reached; gives a good answer. A session that has ended
    /// is renewed once.
    pub(super) async fn fetch(
        &self,
        method: Method,
        url: Url,
        fill: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, VimError> {
        let http = &self.inner.wire.http;
        let ask = || self.ask(http, fill(self.dress(http, method.clone(), &url)), &url);
        let mut tries = self.inner.wire.tries();
        let mut renewed = false;
        loop {
            let generation = self.generation();
            match ask().await {
                Err(VimError::Http { status: 401, .. }) if !renewed => {
                    renewed = true;
                    self.inner.renew(generation).await?;
                }
                Err(error @ VimError::Unreachable { .. }) => tries.pause(error).await?,
                answer => {
                    if answer.is_ok() {
                        self.inner.wire.absence.over();
                    }
                    return answer;
                }
            }
        }
    }

    /// A request with the session's cookie, which is for the server alone.
    pub(super) fn dress(&self, http: &Http, method: Method, url: &Url) -> RequestBuilder {
        let wire = &self.inner.wire;
        let request = http.request(method, url.clone());
        match wire.session.state().cookie {
            Some(cookie) if wire.is_own(url) => request.header(COOKIE, cookie),
            _ => request,
        }
    }

    /// Sends a request; gives a good answer.
    pub(super) async fn ask(
        &self,
        http: &Http,
        request: RequestBuilder,
        url: &Url,
    ) -> Result<Response, VimError> {
        let answer = http.answer(url, request).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(VimError::Http {
            what: format!("`{}` at {}", url.path(), host_and_port(url)),
            status: answer.status().as_u16(),
        })
    }

    /// Makes sure of the session, so that nobody refuses a long upload after its first bytes.
    pub(super) async fn ensure_session(&self) -> Result<(), VimError> {
        self.read(&self.content().root_folder, &["name"])
            .await
            .map(drop)
    }

    /// Sends a file with its length told before.
    pub(super) async fn send(&self, http: &Http, sending: &Sending<'_>) -> Result<(), VimError> {
        let io = |source| VimError::Io {
            path: sending.from.to_owned(),
            source,
        };
        let file = tokio::fs::File::open(sending.from).await.map_err(io)?;
        let size = file.metadata().await.map_err(io)?.len();
        let done = Arc::new(AtomicU64::new(0));
        let mut request = self
            .dress(http, sending.method.clone(), &sending.url)
            .header(CONTENT_TYPE, sending.content_type)
            .header(CONTENT_LENGTH, size)
            .body(body(file, size, Arc::clone(&done)));
        for (name, value) in sending.headers {
            request = request.header(*name, *value);
        }
        let answer = self.ask(http, request, &sending.url);
        tokio::pin!(answer);
        let mut tick = interval(TELL);
        let (mut last, mut moved) = (0, Instant::now());
        loop {
            tokio::select! {
                answer = &mut answer => {
                    answer?;
                    (sending.progress)(size, size);
                    return Ok(());
                }
                () = sending.cancel.cancelled() => return Err(VimError::Cancelled),
                _ = tick.tick() => {
                    let now = done.load(Ordering::Relaxed);
                    if now != last {
                        (last, moved) = (now, Instant::now());
                        (sending.progress)(now, size);
                    } else if moved.elapsed() > STALL {
                        return Err(stalled(&sending.url, now));
                    }
                }
            }
        }
    }
}

/// Hands the bytes of an answer to `to`; gives how many there were.
pub(super) async fn receive(
    http: &Http,
    url: &Url,
    mut answer: Response,
    to: &mut (dyn FnMut(&[u8]) -> Result<(), VimError> + Send),
    cancel: &Cancel,
) -> Result<u64, VimError> {
    let mut done = 0;
    loop {
        let Some(chunk) = cancel.run(timeout(STALL, answer.chunk())).await else {
            return Err(VimError::Cancelled);
        };
        match chunk {
            Ok(Ok(Some(bytes))) => {
                to(&bytes)?;
                done += bytes.len() as u64;
            }
            Ok(Ok(None)) => return Ok(done),
            Ok(Err(error)) => return Err(http.failure(url, error).await),
            Err(_) => return Err(stalled(url, done)),
        }
    }
}

fn stalled(url: &Url, done: u64) -> VimError {
    VimError::Unreachable {
        server: host_and_port(url),
        why: format!("nothing moved for {} s after {done} bytes", STALL.as_secs()),
    }
}

/// The first `size` bytes of a file, counted as they go.
fn body(file: tokio::fs::File, size: u64, done: Arc<AtomicU64>) -> reqwest::Body {
    let chunks = stream::unfold((file.take(size), done), |(mut file, done)| async move {
        let mut chunk = vec![0; CHUNK];
        match file.read(&mut chunk).await {
            Ok(0) => None,
            Ok(read) => {
                chunk.truncate(read);
                done.fetch_add(read as u64, Ordering::Relaxed);
                Some((Ok(chunk), (file, done)))
            }
            Err(error) => Some((Err::<Vec<u8>, io::Error>(error), (file, done))),
        }
    });
    reqwest::Body::wrap_stream(chunks)
}
