//! Connections to a server and to the hosts that it names.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::endpoint::host_and_port;
use super::tls::{Accept, Judge, Thumbprint, refusal};
use super::{Endpoint, Trust, VimError};

/// The longest time to wait for a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// How long an idle connection is kept: shorter than servers and firewalls do, so that none is used that is gone.
const IDLE: Duration = Duration::from_secs(20);

/// Makes connections, and judges certificates in one way.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    judge: Option<Arc<Judge>>,
}

impl Http {
    /// Connections that are judged as the endpoint says.
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, VimError> {
        match &endpoint.trust {
            Trust::Verify => Self::verifying(endpoint),
            Trust::Insecure => Self::judging(Accept::Anyone, &endpoint.server),
            Trust::Thumbprint(text) => Self::pinned(text, &endpoint.server),
        }
    }

    /// Connections only to the holder of the certificate with this thumbprint.
    pub(super) fn pinned(thumbprint: &str, server: &str) -> Result<Self, VimError> {
        let thumbprint = Thumbprint::parse(thumbprint).ok_or_else(|| VimError::Certificate {
            server: server.to_owned(),
            why: format!("`{thumbprint}` is no thumbprint: it has neither 64 (SHA-256) nor 40 (SHA-1) hexadecimal digits"),
            thumbprint: None,
        })?;
        Self::judging(Accept::Only(thumbprint), server)
    }

    fn verifying(endpoint: &Endpoint) -> Result<Self, VimError> {
        let mut builder = builder().http1_only();
        if let Some(path) = &endpoint.ca_file {
            let io = |source| VimError::Io {
                path: path.clone(),
                source,
            };
            let pem = std::fs::read(path).map_err(io)?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem)
                .ok()
                .filter(|all| !all.is_empty())
                .ok_or_else(|| io(std::io::Error::other("there is no certificate in it")))?;
            for authority in authorities {
                builder = builder.add_root_certificate(authority);
            }
        }
        Ok(Self {
            client: builder.build().map_err(|e| broken(&endpoint.server, &e))?,
            judge: None,
        })
    }

    fn judging(accept: Accept, server: &str) -> Result<Self, VimError> {
        let judge = Judge::new(accept);
        let config = judge.config().map_err(|e| VimError::Unreachable {
            server: server.to_owned(),
            why: e.to_string(),
        })?;
        let client = builder()
            .use_preconfigured_tls(config)
            .build()
            .map_err(|e| broken(server, &e))?;
        Ok(Self {
            client,
            judge: Some(judge),
        })
    }

    /// A request to be filled in and sent.
    pub(super) fn request(&self, method: reqwest::Method, url: Url) -> reqwest::RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends a request to `url`; gives the answer, a bad one too.
    pub(super) async fn answer(
        &self,
        url: &Url,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, VimError> {
        match request.send().await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.failure(url, error).await),
        }
    }

    /// The text of an answer that came from `url`.
    pub(super) async fn text(
        &self,
        url: &Url,
        answer: reqwest::Response,
    ) -> Result<String, VimError> {
        match answer.text().await {
            Ok(text) => Ok(text),
            Err(error) => Err(self.failure(url, error).await),
        }
    }

    /// What the failure of a request to `url` means.
    pub(super) async fn failure(&self, url: &Url, error: reqwest::Error) -> VimError {
        let server = host_and_port(url);
        if let Some(why) = refusal(&error) {
            let thumbprint = match &self.judge {
                Some(judge) => judge.seen(),
                None => look(url).await,
            };
            return VimError::Certificate {
                server,
                why,
                thumbprint,
            };
        }
        broken(&server, &error)
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("forge/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .tcp_keepalive(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none())
}

/// The SHA-256 of the certificate that a server shows; no request is sent to it.
async fn look(url: &Url) -> Option<String> {
    let Http { client, judge } = Http::judging(Accept::Nobody, "").ok()?;
    let root = url.join("/").ok()?;
    // It fails for sure: nobody is let through.
    let _ = client.get(root).timeout(CONNECT).send().await;
    judge.and_then(|judge| judge.seen())
}

fn broken(server: &str, error: &reqwest::Error) -> VimError {
    VimError::Unreachable {
        server: server.to_owned(),
        why: why(error),
    }
}

/// The innermost cause.
fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return if error.is_connect() {
            format!("no connection within {} s", CONNECT.as_secs())
        } else {
            "no answer in time".into()
        };
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    match text.as_str() {
        "connection closed before message completed"
        | "end of file before message length reached"
        | "" => "the connection was closed before the end".into(),
        _ if text.starts_with("unexpected EOF") => {
            "the connection was closed before the end".into()
        }
        _ => text,
    }
}
