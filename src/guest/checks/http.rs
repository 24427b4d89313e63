//! HTTP requests as the guest would make them: through a tunnel that starts inside of it, so that nothing need be
//! installed there.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::header::{HOST, LOCATION};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;
use tokio::time::Instant;
use url::{Host, Url};

use super::facts::subject;
use super::matcher::Actual;
use super::{Answers, HTTP_LIMIT, limit};
use crate::guest::connection::Limits;
use crate::guest::tunnel::TunnelEnd;
use crate::guest::{Guest, GuestError};
use crate::model::Check;
use crate::sys::Cancel;

/// How often a redirection is followed.
const HOPS: usize = 10;
/// How much of a body is looked at.
const BODY: usize = 8 << 20;

/// Why there is no answer.
enum Fault {
    /// Nobody answers, or not in time: the check fails.
    Nothing(String),
    /// It cannot be known.
    Unknown(String),
    /// The guest is gone.
    Guest(GuestError),
}

/// Makes a check's request.
pub(super) async fn ask(
    guest: &Guest,
    check: &Check,
    cancel: &Cancel,
) -> Result<Answers, GuestError> {
    let time = limit(check, HTTP_LIMIT);
    let limits = Limits {
        deadline: Some(Instant::now() + time),
        cancel,
    };
    match follow(guest, check, limits).await {
        Ok(values) => Ok(Answers::Values(values)),
        Err(Fault::Nothing(reason)) => Ok(Answers::Nothing(reason)),
        Err(Fault::Unknown(reason)) => Ok(Answers::Unknown(reason)),
        Err(Fault::Guest(GuestError::Timeout { .. })) => Ok(Answers::Nothing(format!(
            "no answer within {} ms",
            time.as_millis()
        ))),
        Err(Fault::Guest(GuestError::Failed(reason))) => Ok(Answers::Unknown(reason)),
        Err(Fault::Guest(error)) => Err(error),
    }
}

type Values = Vec<(&'static str, Actual)>;

/// Follows redirections; each may lead to another server, so each has its own tunnel.
async fn follow(guest: &Guest, check: &Check, limits: Limits<'_>) -> Result<Values, Fault> {
    let stay = check.setting("no-follow-redirects") == Some(&Value::Bool(true));
    let url = subject(check, "url");
    let mut url = Url::parse(url).map_err(|e| Fault::Unknown(format!("{url}: {e}")))?;
    for _ in 0..=HOPS {
        let answer = request(guest, check, &url, limits).await?;
        match answer.next {
            Some(next) if !stay => url = next,
            _ => return Ok(answer.values),
        }
    }
    Err(Fault::Nothing(format!("more than {HOPS} redirections")))
}

struct Answer {
    values: Values,
    /// Where a redirection leads.
    next: Option<Url>,
}

/// One request through one tunnel.
async fn request(
    guest: &Guest,
    check: &Check,
    url: &Url,
    limits: Limits<'_>,
) -> Result<Answer, Fault> {
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(ip)) => ip.to_string(),
        Some(Host::Ipv6(ip)) => ip.to_string(),
        None => return Err(Fault::Unknown(format!("{url} has no host"))),
    };
    let port = url.port_or_known_default().unwrap_or(80);
    let tunnel = guest.tunnel(&host, port, limits).await;
    let mut tunnel = tunnel.map_err(Fault::Guest)?;
    let addr = tunnel.addr().map_err(|e| Fault::Unknown(e.to_string()))?;
    let send = send(check, url, addr);
    tokio::select! {
        // the tunnel's own trouble explains the request's
        biased;
        end = tunnel.carry(limits) => Err(match end {
            TunnelEnd::Unreachable(reason) => Fault::Nothing(reason),
            TunnelEnd::Forbidden(reason) => Fault::Unknown(reason),
            TunnelEnd::Guest(error) => Fault::Guest(error),
        }),
        answer = send => answer,
    }
}

/// The request itself, sent to the tunnel's end at `addr`.
async fn send(check: &Check, url: &Url, addr: SocketAddr) -> Result<Answer, Fault> {
    let unknown = |error: &dyn std::fmt::Display| Fault::Unknown(error.to_string());
    let insecure = check.setting("allow-insecure") == Some(&Value::Bool(true));
    let mut builder = Client::builder()
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .danger_accept_invalid_certs(insecure)
        .user_agent(concat!("forge/", env!("CARGO_PKG_VERSION")));
    // a name is led to the tunnel behind reqwest's back; an address cannot be, and is replaced
    let mut target = url.clone();
    match url.host() {
        Some(Host::Domain(name)) => builder = builder.resolve(name, addr),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => {
            let here = IpAddr::from([127, 0, 0, 1]);
            let _ = target.set_ip_host(here);
        }
        None => {}
    }
    let _ = target.set_port(Some(addr.port()));
    let client = builder.build().map_err(|e| unknown(&e))?;
    let text = |name: &str| check.setting(name).and_then(Value::as_str);
    let method = text("method").unwrap_or("GET").to_ascii_uppercase();
    let method = Method::from_bytes(method.as_bytes()).map_err(|e| unknown(&e))?;
    let mut request = client.request(method, target).header(HOST, authority(url));
    let headers = check.setting("request-headers").and_then(Value::as_array);
    for header in headers.into_iter().flatten().filter_map(Value::as_str) {
        if let Some((name, value)) = header.split_once(':') {
            request = request.header(name.trim(), value.trim());
        }
    }
    if let Some(user) = text("username") {
        request = request.basic_auth(user, text("password"));
    }
    if let Some(body) = text("request-body") {
        request = request.body(body.to_owned());
    }
    let response = request.send().await.map_err(|error| {
        // reqwest's own message names the tunnel's address
        let mut cause: &dyn std::error::Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        Fault::Nothing(format!("no answer from {}: {cause}", authority(url)))
    })?;
    read(response, url).await
}

/// What the `Host` header says: the port only if it is not the usual one.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

async fn read(mut response: Response, url: &Url) -> Result<Answer, Fault> {
    let status = response.status();
    let mut headers: Vec<String> = response
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            format!("{}: {value}", canonical(name.as_str()))
        })
        .collect();
    headers.sort();
    let redirects = matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = response.headers().get(LOCATION);
    let location = location.and_then(|value| value.to_str().ok());
    let next = location.and_then(|place| url.join(place).ok());
    let next = next.filter(|_| redirects);
    let mut body = Vec::new();
    while body.len() < BODY {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => return Err(Fault::Nothing(format!("the answer breaks off: {error}"))),
        }
    }
    Ok(Answer {
        values: vec![
            ("status", Actual::Number(status.as_u16().into())),
            ("headers", Actual::Text(headers.join("\n"))),
            (
                "body",
                Actual::Text(String::from_utf8_lossy(&body).into_owned()),
            ),
        ],
        next,
    })
}

/// `content-type` → `Content-Type`, as goss shows them.
fn canonical(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    });
    words.collect::<Vec<_>>().join("-")
}
