//! The HTTP server for the installer of one guest: it hands out kickstart files and takes reports.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{Method, Response, StatusCode, Uri, header};
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::report::{REPORTS, Report};
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
    /// What the status does not say, in words; empty for files that were served.
    pub detail: String,
}

/// What the server has just heard.
pub enum Heard<'a> {
    /// A request for a file.
    Request(&'a MediaRequest),
    /// A report.
    Report(&'a Report),
}

/// All that the server has heard so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hearing {
    /// The requests for files, in order.
    pub requests: Vec<MediaRequest>,
    /// The reports, in order; a thousand at most.
    pub reports: Vec<Report>,
}

impl Hearing {
    /// Why the installation has failed, if an installer has said so.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.reports.iter().find_map(Report::failure)
    }
}

/// A running server; dropping it ends it and its connections.
#[derive(Debug)]
pub struct MediaServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    hearing: watch::Receiver<Hearing>,
    stop: CancellationToken,
}

type Ear = Box<dyn Fn(Heard<'_>, Duration) + Send + Sync>;

struct Shared {
    /// Not there before the port is known: they may name it.
    files: OnceLock<BTreeMap<String, MediaContent>>,
    /// What reports have in their path, so that nobody else sends any.
    token: String,
    hearing: watch::Sender<Hearing>,
    since: Mutex<Instant>,
    ear: Ear,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl MediaServer {
    /// Listens at `bind`, port 0 for any free one; there are no files yet. `ear` is told of every request and report, and
    /// how long after [`MediaServer::begin`] it came.
    pub async fn start(
        bind: SocketAddr,
        ear: impl Fn(Heard<'_>, Duration) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(bind).await?;
        let address = listener.local_addr()?;
        let (sender, hearing) = watch::channel(Hearing::default());
        let shared = Arc::new(Shared {
            files: OnceLock::new(),
            token: token()?,
            hearing: sender,
            since: Mutex::new(Instant::now()),
            ear: Box::new(ear),
        });
        let stop = CancellationToken::new();
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared))
            .into_make_service_with_connect_info::<SocketAddr>();
        let until = stop.clone();
        tokio::spawn(async move {
            let serve =
                axum::serve(listener, app).with_graceful_shutdown(until.clone().cancelled_owned());
            // a guest that is gone keeps its connection open: it gets no more than a moment
            let force = async {
                until.cancelled().await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            };
            tokio::select! { _ = serve => {}, () = force => {} }
        });
        Ok(Self {
            address,
            shared,
            hearing,
            stop,
        })
    }

    /// Serves these files from now on (path without leading `/` → content); only the first call counts.
    pub fn serve(&self, files: BTreeMap<String, MediaContent>) {
        let files = files.into_iter();
        let files = files.map(|(path, content)| (normal(&path), content));
        let _ = self.shared.files.set(files.collect());
    }

    /// The guest starts now: times count from here.
    pub fn begin(&self) {
        let since = self.shared.since.lock();
        *since.unwrap_or_else(PoisonError::into_inner) = Instant::now();
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

    /// The path of the report URL, which nobody can guess: `/report/0123…`. A report is any request for a path below it.
    #[must_use]
    pub fn report_path(&self) -> String {
        format!("/{REPORT}{}", self.shared.token)
    }

    /// What has been heard so far, as it comes.
    #[must_use]
    pub fn hearing(&self) -> watch::Receiver<Hearing> {
        self.hearing.clone()
    }
}

impl Drop for MediaServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Where reports go, without the token.
const REPORT: &str = "report/";

fn token() -> io::Result<String> {
    let mut bytes = [0; 16];
    let random = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&random, &mut bytes)
        .map_err(|_| io::Error::other("the system gives no random bytes"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Shared {
    fn after(&self) -> Duration {
        let since = self.since.lock();
        since.unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// What stands behind the report URL in `path`, if it is below that.
    fn report<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(REPORT)?.strip_prefix(&self.token)?;
        match rest.strip_prefix('/') {
            Some(name) => Some(name),
            None => rest.is_empty().then_some(""),
        }
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    body: Body,
) -> Response<Body> {
    let raw = normal(uri.path());
    if let Some(name) = shared.report(&raw) {
        return reported(&shared, name, &uri, body).await;
    }
    let path = normal(&percent_decoded(uri.path()));
    let (response, detail) = respond(&shared, &method, &path).await;
    let request = MediaRequest {
        from,
        path,
        status: response.status().as_u16(),
        detail,
    };
    (shared.ear)(Heard::Request(&request), shared.after());
    shared
        .hearing
        .send_modify(|heard| heard.requests.push(request));
    response
}

/// Takes a report.
async fn reported(shared: &Shared, name: &str, uri: &Uri, body: Body) -> Response<Body> {
    let report = Report::read(name, uri, body).await;
    if shared.hearing.borrow().reports.len() >= REPORTS && report.failure().is_none() {
        return plain(
            StatusCode::TOO_MANY_REQUESTS,
            &format!("no more than {REPORTS} reports are taken"),
        );
    }
    (shared.ear)(Heard::Report(&report), shared.after());
    shared
        .hearing
        .send_modify(|heard| heard.reports.push(report));
    plain(StatusCode::OK, "ok")
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    response
}

async fn respond(shared: &Shared, method: &Method, path: &str) -> (Response<Body>, String) {
    let refused = |status, text: String| (plain(status, &text), text);
    if method != Method::GET && method != Method::HEAD {
        return refused(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{method} is not answered, only GET and HEAD"),
        );
    }
    let none = BTreeMap::new();
    let files = shared.files.get().unwrap_or(&none);
    let (body, size) = match files.get(path) {
        None => {
            let known: Vec<String> = files.keys().map(|path| format!("/{path}")).collect();
            let text = match known.is_empty() {
                true => "there are no files".to_owned(),
                false => format!("there are: {}", known.join(", ")),
            };
            return refused(StatusCode::NOT_FOUND, text);
        }
        Some(MediaContent::Bytes(bytes)) => (Body::from(bytes.clone()), bytes.len() as u64),
        Some(MediaContent::File(file)) => match open(file).await {
            Ok(opened) => opened,
            Err(error) => {
                return refused(
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
    (response, String::new())
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
