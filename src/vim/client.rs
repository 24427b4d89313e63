//! A session with a server.

use std::sync::Arc;

use super::{Element, Endpoint, Ref, VimError, Xml};
use crate::sys::Cancel;

/// What kind of server it is; `AboutInfo.apiType` in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiType {
    /// vCenter.
    VirtualCenter,
    /// A single ESXi host.
    HostAgent,
}

/// What a server says of itself; `AboutInfo` in the API.
#[derive(Clone, Debug)]
pub struct About {
    /// What kind of server it is.
    pub api: ApiType,
    /// Its version, such as `7.0.3`.
    pub version: String,
    /// Its build.
    pub build: String,
    /// Its name with version and build.
    pub full_name: String,
    /// The server's own identifier; a host has none.
    pub instance_uuid: Option<String>,
}

/// The objects that every server has; `ServiceContent` in the API. Those that a single host lacks are optional.
#[derive(Clone, Debug)]
pub struct Content {
    /// The folder above all.
    pub root_folder: Ref,
    /// Reads and watches properties.
    pub property_collector: Ref,
    /// Logs in and out.
    pub session_manager: Ref,
    /// Makes views of the inventory.
    pub view_manager: Option<Ref>,
    /// Finds things by path and uuid.
    pub search_index: Option<Ref>,
    /// Moves and deletes files of datastores.
    pub file_manager: Option<Ref>,
    /// Copies and deletes virtual disks.
    pub virtual_disk_manager: Option<Ref>,
    /// Makes and reads OVF descriptors.
    pub ovf_manager: Option<Ref>,
    /// Knows privileges.
    pub authorization_manager: Option<Ref>,
    /// Knows what has happened.
    pub event_manager: Option<Ref>,
    /// Chooses datastores of a cluster of them.
    pub storage_resource_manager: Option<Ref>,
    /// Knows what is licensed.
    pub license_manager: Option<Ref>,
}

/// A session with a server. Copies are cheap and share it; with the last one it ends on this side, and on the server's
/// with [`Client::logout`].
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    about: About,
    content: Content,
    server: String,
}

impl Client {
    /// Logs in.
    pub async fn connect(_endpoint: &Endpoint, _cancel: &Cancel) -> Result<Self, VimError> {
        Err(VimError::Protocol("not yet".into()))
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
        &self.inner.server
    }

    /// Ends the session on the server. That it cannot be reached is no failure: it ends idle sessions by itself.
    pub async fn logout(&self) {}

    /// Calls a method of an object; gives the response, its result in [`Element::returned`]. A session that has ended is
    /// renewed once, silently; what can be asked twice is asked again when the connection breaks.
    pub async fn call(
        &self,
        _this: &Ref,
        _method: &str,
        _body: impl FnOnce(&mut Xml),
    ) -> Result<Element, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }
}
