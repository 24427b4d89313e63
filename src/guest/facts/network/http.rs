//! HTTP requests, with goss's (that is, Go's) manners: redirections, headers, proxies.

use std::time::Duration;

use base64::Engine as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{
    AUTHORIZATION, CONNECTION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION,
    PROXY_AUTHORIZATION, REFERER, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

use super::tls::{self, Trust};
use super::{Answer, Network, Question, Truth, answer, late, unreached};
use crate::guest::facts::system::Stream;
use crate::guest::facts::{KEEP, too_long};
use crate::net::percent_decoded;

/// How often a redirection is followed.
const HOPS: u32 = 10;

/// The request of one hop.
struct Hop {
    url: Url,
    method: Method,
    headers: HeaderMap,
    /// The `Host` header, where the question gives one.
    host: Option<HeaderValue>,
    body: String,
}

/// What a server has said.
struct Said {
    status: StatusCode,
    headers: HeaderMap,
    body: Result<Vec<u8>, String>,
}

impl Network<'_> {
    pub(super) async fn http(&self, number: usize, question: &Question) -> Answer {
        match self.follow(number, question).await {
            Ok(said) => answer([
                ("status", Ok(Truth::Int(said.status.as_u16().into()))),
                (
                    "Headers",
                    Ok(Truth::Bytes(lines(&said.headers).into_bytes())),
                ),
                ("Body", said.body.map(Truth::Bytes)),
            ]),
            Err(reason) => {
                let no = || Err(reason.clone());
                answer([("status", no()), ("Headers", no()), ("Body", no())])
            }
        }
    }

    async fn follow(&self, number: usize, question: &Question) -> Result<Said, String> {
        let Question::Http {
            url,
            timeout,
            no_follow_redirects,
            proxy,
            ..
        } = question
        else {
            return Err("this is no request".to_owned());
        };
        let mut hop = Hop::new(question)?;
        let trust = self.trust(number, question)?;
        let mut left = *timeout;
        for hops in 0..=HOPS {
            self.waited(hops + 1);
            let proxy = self.proxy(proxy.as_deref(), &hop.url)?;
            let begun = Instant::now();
            let said = self
                .one(&hop, proxy.as_ref(), &trust, (left, *timeout))
                .await;
            let said = said.map_err(|reason| format!("{} \"{url}\": {reason}", hop.method))?;
            left = left.saturating_sub(begun.elapsed());
            let next = if *no_follow_redirects {
                None
            } else {
                hop.next(&said)?
            };
            match next {
                Some(next) => hop = next,
                None => return Ok(said),
            }
        }
        Err(format!(
            "Get \"{}\": stopped after {HOPS} redirects",
            hop.url
        ))
    }

    /// The question's files, or the system's own authorities.
    fn trust(&self, number: usize, question: &Question) -> Result<Trust<'_>, String> {
        let Question::Http {
            allow_insecure,
            ca_file,
            cert,
            ..
        } = question
        else {
            return Ok(Trust::default());
        };
        let file = |name: &str| self.records.get(&format!("{number}.{name}"), "contents");
        let authorities = match ca_file {
            Some(path) => {
                let pem = file("ca")?;
                if !String::from_utf8_lossy(pem).contains("BEGIN CERTIFICATE") {
                    return Err(format!("Failed parse root certificate: {path}"));
                }
                pem
            }
            None => self.records.look("authorities")?.unwrap_or_default(),
        };
        let client = match cert {
            Some(_) => Some((file("cert")?, file("key")?)),
            None => None,
        };
        Ok(Trust {
            insecure: *allow_insecure,
            authorities,
            client,
        })
    }

    /// One request over one connection.
    async fn one(
        &self,
        hop: &Hop,
        proxy: Option<&Url>,
        trust: &Trust<'_>,
        (left, limit): (Duration, Duration),
    ) -> Result<Said, String> {
        let server = proxy.unwrap_or(&hop.url);
        let host = server
            .host_str()
            .unwrap_or_default()
            .trim_matches(['[', ']']);
        let port = server.port_or_known_default().unwrap_or(80);
        let dialled = self.dialler.dial(host, port, left).await;
        let (stream, end) = dialled.map_err(|end| unreached(end, limit))?;
        let work = hop.send(stream, proxy, trust);
        tokio::time::timeout_at(end, work)
            .await
            .unwrap_or_else(|_| Err(late(limit)))
    }
}

impl Hop {
    fn new(question: &Question) -> Result<Self, String> {
        let Question::Http {
            url,
            method,
            headers: given,
            body,
            login,
            ..
        } = question
        else {
            return Err("this is no request".to_owned());
        };
        let parsed = Url::parse(url).map_err(|e| format!("{url}: {e}"))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(format!(
                "unsupported protocol scheme \"{}\"",
                parsed.scheme()
            ));
        }
        let mut headers = HeaderMap::new();
        let mut host = None;
        for (name, value) in given {
            let bad = |what: &str| {
                format!("the request header `{name}` has a {what} that HTTP does not allow")
            };
            let value = HeaderValue::from_str(value).map_err(|_| bad("value"))?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("name"))?;
            if name == HOST {
                host.get_or_insert(value);
            } else {
                headers.append(name, value);
            }
        }
        if !headers.contains_key(USER_AGENT) {
            let agent = concat!("forge/", env!("CARGO_PKG_VERSION"));
            headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        }
        if let Some((user, password)) = login {
            headers.insert(AUTHORIZATION, basic(user, password)?);
        }
        let method = if method.is_empty() { "GET" } else { method };
        Ok(Self {
            url: parsed,
            method: Method::from_bytes(method.as_bytes())
                .map_err(|_| format!("`{method}` is no method"))?,
            headers,
            host,
            body: body.clone().unwrap_or_default(),
        })
    }

    /// Where a redirection leads, and with what.
    fn next(&self, said: &Said) -> Result<Option<Self>, String> {
        let keeps = matches!(said.status.as_u16(), 307 | 308);
        if !keeps && !matches!(said.status.as_u16(), 301..=303) {
            return Ok(None);
        }
        let Some(location) = said.headers.get(LOCATION) else {
            return Ok(None);
        };
        let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
        let url = self
            .url
            .join(&location)
            .map_err(|e| format!("failed to parse Location header \"{location}\": {e}"))?;
        let mut headers = self.headers.clone();
        if !self.shares_secrets_with(&url) {
            headers.remove(AUTHORIZATION);
            headers.remove(COOKIE);
        }
        let mut referer = self.url.clone();
        if !(referer.scheme() == "https" && url.scheme() == "http") {
            let _ = referer.set_username("");
            let _ = referer.set_password(None);
            referer.set_fragment(None);
            if let Ok(referer) = HeaderValue::from_str(referer.as_str()) {
                headers.insert(REFERER, referer);
            }
        }
        let relative = !location.contains("://") && !location.starts_with("//");
        let host = self.host.clone().filter(|_| relative);
        let (method, body) = match (keeps, &self.method) {
            (true, method) => (method.clone(), self.body.clone()),
            (false, &Method::HEAD) => (Method::HEAD, String::new()),
            (false, _) => (Method::GET, String::new()),
        };
        Ok(Some(Self {
            url,
            method,
            headers,
            host,
            body,
        }))
    }

    /// Whether the other server is the same, or below the same name.
    fn shares_secrets_with(&self, other: &Url) -> bool {
        let (from, to) = (
            self.url.host_str().unwrap_or_default(),
            other.host_str().unwrap_or_default(),
        );
        from == to
            || to
                .strip_suffix(from)
                .is_some_and(|rest| rest.ends_with('.'))
    }

    async fn send(
        &self,
        stream: Box<dyn Stream>,
        proxy: Option<&Url>,
        trust: &Trust<'_>,
    ) -> Result<Said, String> {
        let secure = self.url.scheme() == "https";
        let host = self.url.host_str().unwrap_or_default();
        let stream = match proxy {
            Some(proxy) if secure => self.tunnel(stream, proxy).await?,
            _ => stream,
        };
        let stream: Box<dyn Stream> = if secure {
            let (connector, name) = tls::connector(host, trust)?;
            let secured = connector.connect(name, stream).await;
            Box::new(secured.map_err(|e| format!("tls: {e}"))?)
        } else {
            stream
        };
        let mut request = self.request(proxy.is_some() && !secure)?;
        if let Some(proxy) = proxy.filter(|_| !secure) {
            authorize(request.headers_mut(), proxy)?;
        }
        let (mut sender, _driver) = handshake(stream).await?;
        let response = sender.send_request(request).await;
        read(response.map_err(|e| words(&e))?).await
    }

    fn request(&self, whole: bool) -> Result<Request<Full<Bytes>>, String> {
        let mut url = self.url.clone();
        url.set_fragment(None);
        let target = match (whole, url.query()) {
            (true, _) => {
                let _ = url.set_username("");
                let _ = url.set_password(None);
                url.to_string()
            }
            (false, Some(query)) => format!("{}?{query}", url.path()),
            (false, None) => url.path().to_owned(),
        };
        let target: Uri = target.parse().map_err(|e| format!("{url}: {e}"))?;
        let mut request = Request::new(Full::new(Bytes::from(self.body.clone())));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = target;
        *request.headers_mut() = self.headers.clone();
        let host = self
            .host
            .clone()
            .map_or_else(|| HeaderValue::from_str(&authority(&self.url)), Ok);
        let headers = request.headers_mut();
        headers.insert(HOST, host.map_err(|e| format!("{url}: {e}"))?);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if !self.url.username().is_empty() && !headers.contains_key(AUTHORIZATION) {
            headers.insert(AUTHORIZATION, of_url(&self.url)?);
        }
        Ok(request)
    }

    /// A connection to the server through the proxy.
    async fn tunnel(
        &self,
        stream: Box<dyn Stream>,
        proxy: &Url,
    ) -> Result<Box<dyn Stream>, String> {
        let host = self.url.host_str().unwrap_or_default();
        let to = format!("{host}:{}", self.url.port_or_known_default().unwrap_or(443));
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = to.parse().map_err(|e| format!("{to}: {e}"))?;
        request.headers_mut().insert(
            HOST,
            HeaderValue::from_str(&to).map_err(|e| format!("{to}: {e}"))?,
        );
        authorize(request.headers_mut(), proxy)?;
        let (mut sender, mut driver) = handshake(stream).await?;
        let response = sender.send_request(request).await.map_err(|e| words(&e))?;
        if !response.status().is_success() {
            return Err(format!("the proxy says: {}", response.status()));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(|e| words(&e))?;
        // what is left of it has nothing more to drive
        driver.detach_all();
        Ok(Box::new(TokioIo::new(upgraded)))
    }
}

type Sender = hyper::client::conn::http1::SendRequest<Full<Bytes>>;

/// What sends a request, and the task that drives the connection; dropping that ends the connection.
async fn handshake(stream: Box<dyn Stream>) -> Result<(Sender, JoinSet<()>), String> {
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.title_case_headers(true);
    let shaken = builder.handshake(TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(|e| words(&e))?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // the sender is told of its errors
        let _ = connection.with_upgrades().await;
    });
    Ok((sender, driver))
}

/// The end of an error's chain of causes says most.
fn words(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, String> {
    let login = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::from_str(&format!("Basic {login}")).map_err(|e| e.to_string())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The login that a URL carries.
fn of_url(url: &Url) -> Result<HeaderValue, String> {
    basic(
        &percent_decoded(url.username()),
        &percent_decoded(url.password().unwrap_or_default()),
    )
}

fn authorize(headers: &mut HeaderMap, proxy: &Url) -> Result<(), String> {
    if !proxy.username().is_empty() {
        headers.insert(PROXY_AUTHORIZATION, of_url(proxy)?);
    }
    Ok(())
}

/// What the `Host` header says: the port only if it is not the usual one.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

async fn read(response: Response<hyper::body::Incoming>) -> Result<Said, String> {
    let (head, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    let body = loop {
        match incoming.frame().await {
            Some(Ok(frame)) => {
                body.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                if body.len() > KEEP {
                    break Err(too_long());
                }
            }
            Some(Err(error)) => break Err(words(&error)),
            None => break Ok(body),
        }
    };
    Ok(Said {
        status: head.status,
        headers: head.headers,
        body,
    })
}

/// The headers as goss shows them: `Name: value` lines, sorted, without what belongs to the transfer.
fn lines(headers: &HeaderMap) -> String {
    let shown = |name: &HeaderName| !matches!(name.as_str(), "transfer-encoding" | "trailer");
    let mut lines: Vec<String> = headers
        .iter()
        .filter(|(name, _)| shown(name))
        .map(|(name, value)| {
            format!(
                "{}: {}",
                canonical(name.as_str()),
                String::from_utf8_lossy(value.as_bytes())
            )
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

/// `content-type` → `Content-Type`.
fn canonical(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    });
    words.collect::<Vec<_>>().join("-")
}
