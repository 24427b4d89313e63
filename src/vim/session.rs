//! Being logged in: the cookie, the login that renews itself, and the call that keeps it alive.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use reqwest::header::{HeaderMap, SET_COOKIE};

use super::client::{Client, Inner};
use super::{Element, Ref, VimError, Xml};

/// The cookie's name.
const COOKIE: &str = "vmware_soap_session";
/// How often a session is used at least. Servers end those that are idle for half an hour.
const ALIVE: Duration = Duration::from_secs(600);
/// How long the end of a session may take.
const GOODBYE: Duration = Duration::from_secs(10);

/// The present session.
#[derive(Default)]
pub(super) struct Session {
    state: Mutex<State>,
    /// Held during a login, so that there is one at a time.
    login: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
pub(super) struct State {
    /// `name=value`, as the server gave it.
    pub(super) cookie: Option<String>,
    /// The session's key in the API.
    pub(super) key: String,
    /// How many logins there have been.
    pub(super) generation: u64,
    /// Why there will be no other login: it has been ended here, or the server has refused one. An account that asks again
    /// and again with a wrong password is locked.
    closed: Option<String>,
}

impl Session {
    pub(super) fn state(&self) -> State {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Logs in, unless someone else has since `generation`.
    pub(super) async fn renew(&self, generation: u64) -> Result<(), VimError> {
        let session = &self.wire.session;
        let _one_at_a_time = session.login.lock().await;
        let state = session.state();
        if state.generation != generation {
            return Ok(());
        }
        if let Some(why) = state.closed {
            return Err(VimError::Login(why));
        }
        let mut xml = Xml::new();
        xml.reference("_this", &self.content.session_manager)
            .element("userName", &self.endpoint.username)
            .element("password", self.endpoint.password.reveal())
            .element("locale", "en_US");
        let answer = self
            .wire
            .exchange("Login", xml.as_str())
            .await
            .map_err(refused);
        let mut state = session.lock();
        match answer {
            Ok((response, headers)) => {
                let key = response.returned().and_then(|user| user.text_of("key"));
                key.unwrap_or_default().clone_into(&mut state.key);
                state.cookie = cookie(&headers).or(state.cookie.take());
                state.generation += 1;
                Ok(())
            }
            Err(error) => {
                if let VimError::Login(why) = &error {
                    state.closed = Some(why.clone());
                }
                Err(error)
            }
        }
    }
}

/// What the failure of a login means.
fn refused(error: VimError) -> VimError {
    const REFUSALS: &[&str] = &[
        "InvalidLogin",
        "NoPermission",
        "PasswordExpired",
        "AccountLocked",
        "NoClientCertificate",
    ];
    match error {
        VimError::Fault(fault) if REFUSALS.contains(&fault.kind.as_str()) => {
            VimError::Login(fault.message.clone())
        }
        error => error,
    }
}

/// The session's cookie in an answer.
fn cookie(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok()?.split(';').next())
        .map(str::trim)
        .find(|pair| pair.split('=').next() == Some(COOKIE))
        .map(str::to_owned)
}

/// Uses the session now and then, until the last [`Client`] is gone.
pub(super) fn keep_alive(client: &Client) {
    let weak: Weak<Inner> = Arc::downgrade(&client.inner);
    let task = tokio::spawn(async move {
        loop {
            tokio::time::sleep(ALIVE).await;
            let Some(inner) = weak.upgrade() else { return };
            let client = Client { inner };
            // What is wrong shows in the next call of someone who wants to know.
            let _: Result<Element, _> = client
                .call(&service_instance(), "CurrentTime", |_| {})
                .await;
        }
    });
    // There is none yet.
    let _ = client.inner.keeper.set(task.abort_handle());
}

/// The object that is there before any login.
pub(super) fn service_instance() -> Ref {
    Ref::new("ServiceInstance", "ServiceInstance")
}

impl Client {
    /// Ends the session on the server; later calls of any copy fail. That the server cannot be reached is no failure: it
    /// ends idle sessions by itself.
    pub async fn logout(&self) {
        if let Some(keeper) = self.inner.keeper.get() {
            keeper.abort();
        }
        let ended = Some("the session has been ended".to_owned());
        let before = std::mem::replace(&mut self.inner.wire.session.lock().closed, ended);
        if before.is_some() {
            return;
        }
        self.rest_logout().await;
        let mut xml = Xml::new();
        xml.reference("_this", &self.inner.content.session_manager);
        let _ =
            tokio::time::timeout(GOODBYE, self.inner.wire.exchange("Logout", xml.as_str())).await;
    }
}
