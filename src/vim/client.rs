//! A session with a server.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tokio::task::AbortHandle;
use url::Url;

use super::content::{About, Content};
use super::http::Http;
use super::rest::RestSession;
use super::session::{keep_alive, service_instance};
use super::wire::Wire;
use super::{Element, Endpoint, Ref, VimError, WhileAway, Xml};

/// A session with a server. Copies are cheap and share it; with the last one it ends on this side, and on the server's
/// with [`Client::logout`].
#[derive(Clone)]
pub struct Client {
    pub(super) inner: Arc<Inner>,
}

/// What the copies of a client share.
pub(super) struct Inner {
    pub(super) wire: Wire,
    pub(super) endpoint: Endpoint,
    pub(super) content: Content,
    pub(super) keeper: OnceLock<AbortHandle>,
    pub(super) rest: RestSession,
    about: About,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.abort();
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.inner.wire.server)
    }
}

impl Client {
    /// Logs in.
    pub async fn connect(endpoint: &Endpoint, around: &WhileAway) -> Result<Self, VimError> {
        let base = endpoint.base()?;
        let client = Self::open(endpoint, base, around.clone());
        let client = around.cancel.run(client).await;
        client.unwrap_or(Err(VimError::Cancelled))
    }

    /// Logs in to the server at an address.
    pub(super) async fn open(
        endpoint: &Endpoint,
        base: Url,
        around: WhileAway,
    ) -> Result<Self, VimError> {
        let wire = Wire::open(Http::new(endpoint)?, base, around).await?;
        let mut this = Xml::new();
        this.reference("_this", &service_instance());
        let (response, _) = wire
            .exchange("RetrieveServiceContent", this.as_str())
            .await?;
        let content = response.returned().cloned().unwrap_or_default();
        let inner = Inner {
            wire,
            endpoint: endpoint.clone(),
            content: Content::read(&content)?,
            keeper: OnceLock::new(),
            rest: RestSession::default(),
            about: About::read(content.child("about").unwrap_or(&Element::default())),
        };
        inner.renew(0).await?;
        let client = Self {
            inner: Arc::new(inner),
        };
        keep_alive(&client);
        Ok(client)
    }

    /// What the server says of itself.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.inner.about
    }

    /// The objects that every server has.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.inner.content
    }

    /// The server as `host`, or `host:port` where the port is not 443.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.inner.wire.server
    }

    /// Calls a method of an object; gives the response, its result in [`Element::returned`]. A session that has ended is
    /// renewed once, silently; what can be asked twice is asked again when the connection breaks.
    pub async fn call(
        &self,
        this: &Ref,
        method: &str,
        body: impl FnOnce(&mut Xml),
    ) -> Result<Element, VimError> {
        let mut xml = Xml::new();
        xml.reference("_this", this);
        body(&mut xml);
        let inside = xml.into_string();
        let wire = &self.inner.wire;
        let generation = wire.session.state().generation;
        let mut result = wire.exchange(method, &inside).await;
        if matches!(&result, Err(error) if error.is("NotAuthenticated")) {
            self.inner.renew(generation).await?;
            result = wire.exchange(method, &inside).await;
        }
        result.map(|(response, _)| response)
    }
}
