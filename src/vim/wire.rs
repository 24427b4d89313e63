//! Requests on their way: sent, answered, sent again where that does no harm.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap};
use url::Url;

use super::away::{Absence, Tries, WhileAway};
use super::endpoint::host_and_port;
use super::http::Http;
use super::session::Session;
use super::{Element, VimError, soap};

/// How long an answer may take. Calls that wait for something wait for a minute at most.
const PATIENCE: Duration = Duration::from_secs(180);

/// The way to a server.
pub(super) struct Wire {
    pub(super) http: Http,
    /// The server's address, without a path.
    pub(super) base: Url,
    pub(super) server: String,
    pub(super) session: Session,
    pub(super) absence: Absence,
    sdk: Url,
    /// The `SOAPAction`, which names the version of the API.
    action: String,
}

/// What went wrong with a request, and whether the server may have acted on it.
struct Trouble {
    error: VimError,
    arrived: bool,
}

impl Wire {
    /// Finds out which version of the API to speak; the server may be anyone's.
    pub(super) async fn open(http: Http, base: Url, around: WhileAway) -> Result<Self, VimError> {
        let bad = |e: url::ParseError| VimError::Protocol(e.to_string());
        let version =
            announced(&http, base.join("sdk/vimServiceVersions.xml").map_err(bad)?).await?;
        Ok(Self {
            http,
            sdk: base.join("sdk").map_err(bad)?,
            absence: Absence::new(&host_and_port(&base), around),
            server: host_and_port(&base),
            base,
            action: format!("urn:vim25/{version}"),
            session: Session::default(),
        })
    }

    /// Whether an address is the server's own, and not that of a host it names.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        url.host_str() == self.base.host_str()
            && url.port_or_known_default() == self.base.port_or_known_default()
    }

    /// Sends a request, again and again where that does no harm, and gives the answer with its headers.
    pub(super) async fn exchange(
        &self,
        method: &str,
        inside: &str,
    ) -> Result<(Element, HeaderMap), VimError> {
        let mut tries = self.tries();
        loop {
            let answer = self.once(method, inside).await;
            if matches!(
                answer,
                Ok(_)
                    | Err(Trouble {
                        error: VimError::Fault(_),
                        ..
                    })
            ) {
                self.absence.over();
            }
            let Trouble { error, arrived } = match answer {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            let again = match error {
                VimError::Unreachable { .. }
                | VimError::Http {
                    status: 502..=504, ..
                } => !arrived || soap::repeatable(method),
                _ => false,
            };
            if !again {
                return Err(error);
            }
            tries.pause(error).await?;
        }
    }

    /// The tries of one request.
    pub(super) fn tries(&self) -> Tries<'_> {
        self.absence.tries(self.session.state().generation > 0)
    }

    async fn once(&self, method: &str, inside: &str) -> Result<(Element, HeaderMap), Trouble> {
        let mut request = self
            .http
            .request(reqwest::Method::POST, self.sdk.clone())
            .header(CONTENT_TYPE, "text/xml; charset=utf-8")
            .header("SOAPAction", &self.action)
            .timeout(PATIENCE)
            .body(soap::envelope(method, inside));
        if let Some(cookie) = self.session.state().cookie.filter(|_| method != "Login") {
            request = request.header(COOKIE, cookie);
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let arrived = !error.is_connect();
                let error = self.http.failure(&self.sdk, error).await;
                return Err(Trouble { error, arrived });
            }
        };
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = match answer.text().await {
            Ok(text) => text,
            Err(error) => {
                let error = self.http.failure(&self.sdk, error).await;
                return Err(Trouble {
                    error,
                    arrived: true,
                });
            }
        };
        let arrived = !soap::never_arrived(status, &text);
        match soap::open(method, &text) {
            Ok(response) if status == 200 => Ok((response, headers)),
            Err(error @ VimError::Fault(_)) => Err(Trouble { error, arrived }),
            Err(error) if status == 200 => Err(Trouble { error, arrived }),
            _ => {
                let what = format!("`{method}` at {}", self.server);
                let error = VimError::Http { what, status };
                Err(Trouble { error, arrived })
            }
        }
    }
}

/// The version of the API to speak. A server that cannot be reached is an error; one that does not tell is old.
async fn announced(http: &Http, url: Url) -> Result<String, VimError> {
    let answer = http
        .request(reqwest::Method::GET, url.clone())
        .timeout(PATIENCE)
        .send()
        .await;
    match answer {
        Ok(answer) if answer.status().is_success() => {
            Ok(soap::version(answer.text().await.ok().as_deref()))
        }
        Ok(_) => Ok(soap::version(None)),
        Err(error) => match http.failure(&url, error).await {
            error @ VimError::Certificate { .. } => Err(error),
            // The first call tries harder.
            _ => Ok(soap::version(None)),
        },
    }
}
