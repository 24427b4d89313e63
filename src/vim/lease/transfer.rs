//! The streams of a lease.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Method;
use url::Url;

use super::{Lease, LeaseFile};
use crate::sys::Cancel;
use crate::vim::fetch::{Sending, receive};
use crate::vim::http::Http;
use crate::vim::{Trust, VimError};

/// What disks are to the server.
const DISK: &str = "application/x-vnd.vmware-streamVmdk";
/// What other files are.
const OTHER: &str = "application/octet-stream";

impl Lease {
    /// Downloads a file into `to`, which is given the bytes in order; gives how many there were. `progress` is told the
    /// bytes so far. What goes wrong in `to` is a [`VimError::Io`] with an empty path.
    pub async fn download(
        &self,
        file: &LeaseFile,
        to: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
        progress: &(dyn Fn(u64) + Send + Sync),
        cancel: &Cancel,
    ) -> Result<u64, VimError> {
        let (http, url) = self.route(file)?;
        let asked = cancel.run(self.ask(&http, &url)).await;
        let answer = asked
            .unwrap_or(Err(VimError::Cancelled))
            .map_err(|e| self.explain(&url, e))?;
        let mut done = 0;
        let mut write = |bytes: &[u8]| {
            to(bytes).map_err(|source| VimError::Io {
                path: PathBuf::new(),
                source,
            })?;
            self.pulse.add(bytes.len() as u64);
            done += bytes.len() as u64;
            progress(done);
            Ok(())
        };
        receive(&http, &url, answer, &mut write, cancel).await
    }

    /// Asks for a file; a session that has ended is renewed once.
    async fn ask(&self, http: &Http, url: &Url) -> Result<reqwest::Response, VimError> {
        let client = &self.client;
        let ask = || client.ask(http, client.dress(http, Method::GET, url), url);
        match ask().await {
            Err(VimError::Http { status: 401, .. }) => {
                client.ensure_session().await?;
                ask().await
            }
            answer => answer,
        }
    }

    /// Uploads a file: a disk as a `streamOptimized` VMDK, anything else as it is. `progress` is told the bytes done and all
    /// of them.
    pub async fn upload(
        &self,
        file: &LeaseFile,
        path: &Path,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
        cancel: &Cancel,
    ) -> Result<(), VimError> {
        let (http, url) = self.route(file)?;
        let told = AtomicU64::new(0);
        let count = |done: u64, all: u64| {
            self.pulse
                .add(done.saturating_sub(told.swap(done, Ordering::Relaxed)));
            progress(done, all);
        };
        let overwrite: &[(&str, &str)] = &[("Overwrite", "t")];
        self.client.ensure_session().await?;
        let sending = Sending {
            method: if file.disk { Method::POST } else { Method::PUT },
            url: url.clone(),
            content_type: if file.disk { DISK } else { OTHER },
            headers: if file.disk { &[] } else { overwrite },
            from: path,
            progress: &count,
            cancel,
        };
        self.client
            .send(&http, &sending)
            .await
            .map_err(|e| self.explain(&url, e))
    }

    /// Where a file is, and how to get there. A host `*` is the server itself; another is judged by the thumbprint that the
    /// server tells of it.
    fn route(&self, file: &LeaseFile) -> Result<(Http, Url), VimError> {
        let wire = &self.client.inner.wire;
        let bad = |why: String| VimError::Protocol(format!("`{}` is no address: {why}", file.url));
        let mut url = Url::parse(&file.url).map_err(|e| bad(e.to_string()))?;
        if url.host_str() == Some("*") {
            let moved = url
                .set_host(wire.base.host_str())
                .map_err(|e| e.to_string())
                .and_then(|()| {
                    url.set_port(wire.base.port())
                        .map_err(|()| "its port".into())
                })
                .and_then(|()| {
                    url.set_scheme(wire.base.scheme())
                        .map_err(|()| "its scheme".into())
                });
            moved.map_err(bad)?;
        }
        let foreign = !wire.is_own(&url);
        match &file.thumbprint {
            Some(thumbprint) if foreign && self.client.inner.endpoint.trust != Trust::Insecure => {
                Ok((
                    Http::pinned(thumbprint, url.host_str().unwrap_or_default())?,
                    url,
                ))
            }
            _ => Ok((wire.http.clone(), url)),
        }
    }

    /// Says what a host is that cannot be reached.
    fn explain(&self, url: &Url, error: VimError) -> VimError {
        match error {
            VimError::Unreachable { server, why } if !self.client.inner.wire.is_own(url) => {
                VimError::Unreachable {
                    why: format!(
                        "{why}; disks go straight to and from this ESXi host: its name must resolve here, and its port {} \
                         must be open from here",
                        url.port_or_known_default().unwrap_or(443)
                    ),
                    server,
                }
            }
            error => error,
        }
    }
}
