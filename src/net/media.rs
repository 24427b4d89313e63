//! The HTTP server that hands kickstart files to the installer of one guest.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{Method, Response, StatusCode, Uri, header};
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::source::percent_decoded;

/// What is served under a path.
#[derive(Clone, Debug)]
pub enum MediaContent {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The file's content at the time of the request.
    File(PathBuf),
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRequest {
    /// Who asked.
    pub from: SocketAddr,
    /// The path asked for, decoded, without the leading `/`.
    pub path: String,
    /// The status answered: 200, 404, 405, 500.
    pub status: u16,
}

/// A running server; dropping it ends it and its connections.
#[derive(Debug)]
pub struct MediaServer {
    address: SocketAddr,
    requests: watch::Receiver<Vec<MediaRequest>>,
    stop: CancellationToken,
}

struct Shared {
    files: BTreeMap<String, MediaContent>,
    requests: watch::Sender<Vec<MediaRequest>>,
    log: Box<dyn Fn(String) + Send + Sync>,
}

impl MediaServer {
    /// Serves `files` (path without leading `/` → content) at `bind`, port 0 for any free one. `log` hears a line about
    /// every request; one for an unknown path tells the known ones.
    pub async fn start(
        bind: SocketAddr,
        files: BTreeMap<String, MediaContent>,
        log: impl Fn(String) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(bind).await?;
        let address = listener.local_addr()?;
        let (sender, requests) = watch::channel(Vec::new());
        let files = files
            .into_iter()
            .map(|(path, content)| (normal(&path), content))
            .collect();
        let shared = Arc::new(Shared {
            files,
            requests: sender,
            log: Box::new(log),
        });
        let stop = CancellationToken::new();
        let app = Router::new()
            .fallback(answer)
            .with_state(shared)
            .into_make_service_with_connect_info::<SocketAddr>();
        let until = stop.clone();
        tokio::spawn(async move {
            let serve =
                axum::serve(listener, app).with_graceful_shutdown(until.clone().cancelled_owned());
            // a guest that is gone keeps its connection open: it gets no more than a moment
            let force = async {
                until.cancelled().await;
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            };
            tokio::select! { _ = serve => {}, () = force => {} }
        });
        Ok(Self {
            address,
            requests,
            stop,
        })
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// The address it listens at.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far, as they come.
    #[must_use]
    pub fn requests(&self) -> watch::Receiver<Vec<MediaRequest>> {
        self.requests.clone()
    }
}

impl Drop for MediaServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
) -> Response<Body> {
    let path = normal(&percent_decoded(uri.path()));
    let (response, line) = respond(&shared, &method, &path).await;
    let status = response.status();
    (shared.log)(format!("{} asks for /{path}: {line}", from.ip()));
    shared.requests.send_modify(|all| {
        all.push(MediaRequest {
            from,
            path,
            status: status.as_u16(),
        });
    });
    response
}

async fn respond(shared: &Shared, method: &Method, path: &str) -> (Response<Body>, String) {
    let plain = |status: StatusCode, text: String| {
        let mut response = Response::new(Body::from(format!("{text}\n")));
        *response.status_mut() = status;
        (response, text)
    };
    if method != Method::GET && method != Method::HEAD {
        return plain(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{method} is not answered, only GET and HEAD"),
        );
    }
    let (body, size) = match shared.files.get(path) {
        None => {
            let known: Vec<String> = shared.files.keys().map(|path| format!("/{path}")).collect();
            return plain(
                StatusCode::NOT_FOUND,
                format!("no such file; there are: {}", known.join(", ")),
            );
        }
        Some(MediaContent::Bytes(bytes)) => (Body::from(bytes.clone()), bytes.len() as u64),
        Some(MediaContent::File(file)) => match open(file).await {
            Ok(opened) => opened,
            Err(error) => {
                return plain(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("{}: {error}", file.display()),
                );
            }
        },
    };
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        body
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, size.into());
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    (response, crate::model::Size::from_bytes(size).to_string())
}

async fn open(path: &std::path::Path) -> io::Result<(Body, u64)> {
    let file = tokio::fs::File::open(path).await?;
    let size = file.metadata().await?.len();
    let chunks = futures_util::stream::try_unfold(file, |mut file| async move {
        let mut buffer = vec![0; 64 << 10];
        let read = file.read(&mut buffer).await?;
        buffer.truncate(read);
        Ok::<_, io::Error>((read > 0).then(|| (Bytes::from(buffer), file)))
    });
    Ok((Body::from_stream(chunks), size))
}

/// A path without empty and `.` components: templates often yield `//ks.cfg`.
fn normal(path: &str) -> String {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect::<Vec<_>>()
        .join("/")
}
