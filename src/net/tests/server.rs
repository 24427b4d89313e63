//! A server whose every answer is scripted, down to where the connection is cut.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) head: String,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    }

    fn offset(&self) -> Option<usize> {
        self.header("range")?
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// The connection is closed after so many bytes of the body.
    pub(super) cut: Option<usize>,
    /// After what was sent, nothing more happens on the connection.
    pub(super) hang: bool,
}

impl Reply {
    pub(super) fn new(status: &'static str, body: &[u8]) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_vec(),
            cut: None,
            hang: false,
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    /// What a good server answers: the part asked for, if its tag still fits.
    pub(super) fn ranged(asked: &Asked, body: &[u8], etag: &str) -> Self {
        let fits = asked.header("if-range").is_none_or(|tag| tag == etag);
        let reply = match asked.offset() {
            Some(offset) if fits && offset >= body.len() => {
                Self::new("416 Range Not Satisfiable", b"")
                    .header("content-range", &format!("bytes */{}", body.len()))
            }
            Some(offset) if fits => Self::new("206 Partial Content", &body[offset..]).header(
                "content-range",
                &format!("bytes {offset}-{}/{}", body.len() - 1, body.len()),
            ),
            _ => Self::new("200 OK", body),
        };
        reply.header("etag", etag)
    }
}

/// The server; it ends with the test's runtime.
pub(super) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers by `script`, which gets the number of the request, from 0.
    pub(super) async fn start(
        script: impl Fn(usize, &Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (log, script) = (Arc::clone(&asked), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                tokio::spawn(async move {
                    let _ = serve(stream, |asked| {
                        let mut log = log.lock().unwrap();
                        log.push(asked.clone());
                        script(log.len() - 1, asked)
                    })
                    .await;
                });
            }
        });
        Self { address, asked }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, answer: impl Fn(&Asked) -> Reply) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let reply = answer(&Asked { path, head });
    let mut out = format!("HTTP/1.1 {}\r\nconnection: close\r\n", reply.status);
    let chunked = reply
        .headers
        .iter()
        .any(|(name, _)| *name == "transfer-encoding");
    if !chunked && !reply.status.starts_with("304") {
        out.push_str(&format!("content-length: {}\r\n", reply.body.len()));
    }
    for (name, value) in &reply.headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    stream.write_all(out.as_bytes()).await?;
    let sent = reply.cut.unwrap_or(reply.body.len());
    stream.write_all(&reply.body[..sent]).await?;
    stream.flush().await?;
    if reply.hang {
        std::future::pending::<()>().await;
    }
    Ok(())
}
