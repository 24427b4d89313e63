//! vCenter's other API, the vSphere Automation API over REST: content libraries and tags. It has a session of its own,
//! for the same account, which begins with the first call.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::time::sleep;
use url::Url;

use super::{ApiType, Client, Element, Fault, VimError};

/// The header with the session.
pub(super) const SESSION: &str = "vmware-api-session-id";
/// Where sessions begin on 7.0 and later.
const LOGIN: &str = "/api/session";
/// Where they do on 6.5 and 6.7.
const OLD_LOGIN: &str = "/rest/com/vmware/cis/session";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long the end of a session may take.
const GOODBYE: Duration = Duration::from_secs(10);
/// The pauses before a request is sent again.
const PAUSES: &[Duration] = &[
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

/// The present session.
#[derive(Default)]
pub(super) struct RestSession {
    state: Mutex<State>,
    /// Held during a login, so that there is one at a time.
    login: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct State {
    /// The session's secret, and where it began.
    session: Option<(String, &'static str)>,
    /// How many logins there have been.
    generation: u64,
    /// Why there will be no other login.
    closed: Option<String>,
}

impl RestSession {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request of the REST API.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a Method,
    /// Behind `/rest`.
    pub(super) path: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Option<&'a Value>,
}

impl<'a> Ask<'a> {
    /// A `GET`.
    pub(super) fn get(path: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            method: &Method::GET,
            path,
            query,
            body: None,
        }
    }

    /// A `POST` with a body.
    pub(super) fn post(path: &'a str, query: &'a [(&'a str, &'a str)], body: &'a Value) -> Self {
        Self {
            method: &Method::POST,
            path,
            query,
            body: Some(body),
        }
    }

    /// The query as it is sent: `~action` must stay as it is.
    fn query(&self) -> Option<String> {
        let pair = |(name, value): &(&str, &str)| {
            let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            format!("{name}={value}")
        };
        let pairs: Vec<String> = self.query.iter().map(pair).collect();
        (!pairs.is_empty()).then(|| pairs.join("&"))
    }

    /// Whether it can be sent twice where once was meant.
    fn repeatable(&self) -> bool {
        let reads = |action: &str| action.starts_with("find") || action.starts_with("list");
        match *self.method {
            Method::GET | Method::DELETE => true,
            _ => self.query.iter().any(|(_, action)| reads(action)),
        }
    }
}

impl Client {
    /// Asks, and gives what is in the answer's `value`. A session that has ended is renewed once.
    pub(super) async fn rest(&self, ask: Ask<'_>) -> Result<Value, VimError> {
        let mut url = self.inner.wire.base.clone();
        url.set_path(&format!("/rest{}", ask.path));
        url.set_query(ask.query().as_deref());
        let mut pauses = PAUSES.iter();
        loop {
            let (session, generation) = self.rest_session(0).await?;
            let mut answer = self.ask_rest(&url, ask, &session).await;
            if matches!(&answer, Ok(answer) if answer.status().as_u16() == 401) {
                let (session, _) = self.rest_session(generation).await?;
                answer = self.ask_rest(&url, ask, &session).await;
            }
            let (again, error) = match answer {
                Ok(answer) => match self.opened(&url, answer).await {
                    Err(error @ VimError::Http { status, .. }) => {
                        (ask.repeatable() && matches!(status, 502..=504), error)
                    }
                    result => return result,
                },
                Err(error) => (
                    ask.repeatable() || error.is_connect(),
                    self.inner.wire.http.failure(&url, error).await,
                ),
            };
            match pauses.next() {
                Some(pause) if again => sleep(*pause).await,
                _ => return Err(error),
            }
        }
    }

    /// The session's secret and its number; a new one if `ended` is the number of the present one.
    pub(super) async fn rest_session(&self, ended: u64) -> Result<(String, u64), VimError> {
        let rest = &self.inner.rest;
        let _one_at_a_time = rest.login.lock().await;
        let state = rest.lock().clone();
        if let Some(why) = state.closed {
            return Err(VimError::Login(why));
        }
        if let Some((session, _)) = state.session.filter(|_| state.generation != ended) {
            return Ok((session, state.generation));
        }
        let begun = match self.rest_login(LOGIN).await {
            // what servers say that do not know the place yet
            Err(VimError::Http {
                status: 400 | 403..=405 | 501,
                ..
            }) => self.rest_login(OLD_LOGIN).await,
            begun => begun,
        };
        let mut state = rest.lock();
        match begun {
            Ok(session) => {
                state.generation += 1;
                state.session = Some(session.clone());
                Ok((session.0, state.generation))
            }
            Err(error) => {
                if let VimError::Login(why) = &error {
                    state.closed = Some(why.clone());
                }
                Err(error)
            }
        }
    }

    async fn rest_login(&self, path: &'static str) -> Result<(String, &'static str), VimError> {
        if self.about().api == ApiType::HostAgent {
            return Err(fault(
                "NotSupported",
                "content libraries and tags are vCenter's: a single host has none".into(),
            ));
        }
        let endpoint = &self.inner.endpoint;
        let mut url = self.inner.wire.base.clone();
        url.set_path(path);
        let http = &self.inner.wire.http;
        let request = http
            .request(Method::POST, url.clone())
            .basic_auth(&endpoint.username, Some(endpoint.password.reveal()))
            .timeout(PATIENCE);
        let answer = http.answer(&url, request).await?;
        if answer.status().as_u16() == 401 {
            let server = self.server();
            let why = format!("the REST API of {server} does not let this account in");
            return Err(VimError::Login(why));
        }
        match self.opened(&url, answer).await? {
            Value::String(session) => Ok((session, path)),
            _ => Err(VimError::Protocol(format!(
                "`{path}` at {} gives no session",
                self.server()
            ))),
        }
    }

    async fn ask_rest(
        &self,
        url: &Url,
        ask: Ask<'_>,
        session: &str,
    ) -> Result<Response, reqwest::Error> {
        let http = &self.inner.wire.http;
        let mut request = http
            .request(ask.method.clone(), url.clone())
            .header(SESSION, session)
            .timeout(PATIENCE);
        if let Some(body) = ask.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        request.send().await
    }

    /// The value in an answer, or what it says is wrong.
    async fn opened(&self, url: &Url, answer: Response) -> Result<Value, VimError> {
        let status = answer.status();
        let text = self.inner.wire.http.text(url, answer).await?;
        let read: Option<Value> = serde_json::from_str(&text).ok();
        if status.is_success() {
            return match read {
                Some(Value::Object(mut object)) => {
                    Ok(object.remove("value").unwrap_or(Value::Object(object)))
                }
                Some(value) => Ok(value),
                None if text.trim().is_empty() => Ok(Value::Null),
                None => Err(VimError::Protocol(format!(
                    "`{}` at {}: the answer is not JSON",
                    url.path(),
                    self.server()
                ))),
            };
        }
        Err(read
            .and_then(|told| told_fault(&told))
            .unwrap_or_else(|| VimError::Http {
                what: format!("`{}` at {}", url.path(), self.server()),
                status: status.as_u16(),
            }))
    }

    /// Ends the session, if there is one.
    pub(super) async fn rest_logout(&self) {
        let ended = Some("the session has been ended".to_owned());
        let before = {
            let mut state = self.inner.rest.lock();
            state.closed = ended;
            state.session.take()
        };
        let Some((session, path)) = before else {
            return;
        };
        let mut url = self.inner.wire.base.clone();
        url.set_path(path);
        let request = (self.inner.wire.http)
            .request(Method::DELETE, url)
            .header(SESSION, session)
            .timeout(GOODBYE);
        // the server ends idle sessions by itself
        let _ = request.send().await;
    }
}

/// A fault as the other API would tell it.
pub(super) fn fault(kind: &str, message: String) -> VimError {
    Fault {
        kind: kind.to_owned(),
        message,
        detail: Element::default(),
    }
    .into()
}

/// The error in an answer: `{"type": "com.vmware.vapi.std.errors.not_found", "value": {"messages": […]}}`, or
/// `{"error_type": "NOT_FOUND", "messages": […]}` on `/api`.
fn told_fault(told: &Value) -> Option<VimError> {
    let kind = told
        .get("type")
        .or_else(|| told.get("error_type"))?
        .as_str()?;
    let kind = kind.rsplit('.').next().unwrap_or(kind).to_lowercase();
    let messages = told.get("value").unwrap_or(told).get("messages");
    let words: Vec<&str> = messages
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|message| message.get("default_message")?.as_str())
        .map(|text| text.trim().trim_end_matches('.'))
        .filter(|text| !text.is_empty())
        .collect();
    let message = if words.is_empty() {
        kind.replace('_', " ")
    } else {
        words.join("; ")
    };
    // as the other API calls them
    let kind = match kind.as_str() {
        "unauthorized" => "NoPermission".to_owned(),
        other => other
            .split('_')
            .map(|word| {
                let (first, rest) = word.split_at(word.len().min(1));
                first.to_uppercase() + rest
            })
            .collect(),
    };
    Some(fault(&kind, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_of_both_kinds_are_faults_with_words() {
        let old = json!({"type": "com.vmware.vapi.std.errors.already_exists",
            "value": {"messages": [{"default_message": "There is one."}, {"default_message": ""}]}});
        let new = json!({"error_type": "UNAUTHORIZED", "messages": []});
        for (told, kind, message) in [
            (old, "AlreadyExists", "There is one"),
            (new, "NoPermission", "unauthorized"),
        ] {
            let Some(VimError::Fault(fault)) = told_fault(&told) else {
                panic!("{told} is no fault");
            };
            assert_eq!(
                (fault.kind.as_str(), fault.message.as_str()),
                (kind, message)
            );
        }
        assert!(told_fault(&json!({"value": 1})).is_none());
    }
}
