//! Files of datastores.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder};
use url::Url;

use super::fetch::{Sending, receive};
use super::inventory::has;
use super::{Client, Ref, VimError, Waiting, Xml};
use crate::model::Size;
use crate::sys::Cancel;

/// What files are to the server.
const BYTES: &str = "application/octet-stream";
/// How long a small file may take.
const SMALL: Duration = Duration::from_secs(120);

/// A file or folder of a datastore, written `[datastore] path`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatastorePath {
    /// The datastore's name.
    pub datastore: String,
    /// The path in it, without a slash at either end; empty: its root.
    pub path: String,
}

impl DatastorePath {
    /// A path in a datastore. Slashes at its ends and double ones are left out.
    #[must_use]
    pub fn new(datastore: impl Into<String>, path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        Self {
            datastore: datastore.into(),
            path: parts.join("/"),
        }
    }

    /// Reads `[datastore] path`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (datastore, path) = text.trim().strip_prefix('[')?.split_once(']')?;
        Some(Self::new(datastore, path.trim()))
    }

    /// The folder it lies in, and its name; none for the root.
    #[must_use]
    pub fn split(&self) -> Option<(Self, &str)> {
        if self.path.is_empty() {
            return None;
        }
        let (folder, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        Some((Self::new(&self.datastore, folder), name))
    }

    /// Something in this folder.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        Self::new(&self.datastore, &format!("{}/{name}", self.path))
    }
}

impl fmt::Display for DatastorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return write!(f, "[{}]", self.datastore);
        }
        write!(f, "[{}] {}", self.datastore, self.path)
    }
}

impl Client {
    /// How large a file is; none if there is no such file. `HostDatastoreBrowser.SearchDatastore_Task`, for the browser
    /// that is the `browser` property of a datastore.
    pub async fn file_size(
        &self,
        browser: &Ref,
        file: &DatastorePath,
        cancel: &Cancel,
    ) -> Result<Option<Size>, VimError> {
        let Some((folder, name)) = file.split() else {
            return Ok(None);
        };
        let body = |xml: &mut Xml| {
            xml.element("datastorePath", &folder)
                .within("searchSpec", |xml| {
                    xml.within("details", |xml| {
                        xml.element("fileType", true)
                            .element("fileSize", true)
                            .element("modification", false)
                            .element("fileOwner", false);
                    })
                    .element("matchPattern", name);
                });
        };
        let found = self
            .task(
                browser,
                "SearchDatastore_Task",
                body,
                &Waiting::quiet(cancel),
            )
            .await;
        let found = match found {
            Err(error) if error.is("FileNotFound") => return Ok(None),
            found => found?,
        };
        // The pattern may match others: a name can hold what patterns use.
        let file = (found.children_named("file")).find(|f| {
            f.text_of("path") == Some(name) && f.kind.as_deref() != Some("FolderFileInfo")
        });
        Ok(file.map(|f| Size::from_bytes(f.u64_of("fileSize").unwrap_or_default())))
    }

    /// Makes a folder and those above it; one that is there is fine. `FileManager.MakeDirectory`.
    pub async fn make_directory(
        &self,
        datacenter: &Ref,
        folder: &DatastorePath,
    ) -> Result<(), VimError> {
        let body = |xml: &mut Xml| {
            xml.element("name", folder)
                .reference("datacenter", datacenter)
                .element("createParentDirectories", true);
        };
        match self.call(self.file_manager()?, "MakeDirectory", body).await {
            Err(error) if error.is("FileAlreadyExists") => Ok(()),
            made => made.map(drop),
        }
    }

    /// Uploads a file; `datacenter_path` is the datacenter's place in the inventory. `progress` is told the bytes done and
    /// all of them.
    pub async fn upload(
        &self,
        datacenter_path: &str,
        to: &DatastorePath,
        from: &Path,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
        cancel: &Cancel,
    ) -> Result<(), VimError> {
        let sending = Sending {
            method: Method::PUT,
            url: self.address(datacenter_path, to),
            content_type: BYTES,
            headers: &[],
            from,
            progress,
            cancel,
        };
        self.ensure_session().await?;
        self.send(&self.inner.wire.http, &sending).await
    }

    /// Uploads a small file from memory.
    pub async fn upload_bytes(
        &self,
        datacenter_path: &str,
        to: &DatastorePath,
        bytes: &[u8],
        cancel: &Cancel,
    ) -> Result<(), VimError> {
        let url = self.address(datacenter_path, to);
        let fill = |request: RequestBuilder| {
            request
                .header(CONTENT_TYPE, BYTES)
                .timeout(SMALL)
                .body(bytes.to_vec())
        };
        let sent = cancel.run(self.fetch(Method::PUT, url, fill)).await;
        sent.unwrap_or(Err(VimError::Cancelled)).map(drop)
    }

    /// Downloads a file; gives its size. What there was of it stays behind when it fails.
    pub async fn download(
        &self,
        datacenter_path: &str,
        from: &DatastorePath,
        to: &Path,
        cancel: &Cancel,
    ) -> Result<u64, VimError> {
        let io = |source| VimError::Io {
            path: to.to_owned(),
            source,
        };
        let url = self.address(datacenter_path, from);
        let asked = cancel
            .run(self.fetch(Method::GET, url.clone(), |request| request))
            .await;
        let answer = asked.unwrap_or(Err(VimError::Cancelled))?;
        let mut file = std::fs::File::create(to).map_err(io)?;
        let mut write = |bytes: &[u8]| file.write_all(bytes).map_err(io);
        receive(&self.inner.wire.http, &url, answer, &mut write, cancel).await
    }

    /// Downloads a small file into memory.
    pub async fn download_bytes(
        &self,
        datacenter_path: &str,
        from: &DatastorePath,
    ) -> Result<Vec<u8>, VimError> {
        let url = self.address(datacenter_path, from);
        let answer = self
            .fetch(Method::GET, url.clone(), |request| request.timeout(SMALL))
            .await?;
        match answer.bytes().await {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(error) => Err(self.inner.wire.http.failure(&url, error).await),
        }
    }

    /// Moves a file over what may be there; `FileManager.MoveDatastoreFile_Task`.
    pub async fn move_file(
        &self,
        datacenter: &Ref,
        from: &DatastorePath,
        to: &DatastorePath,
        waiting: &Waiting<'_>,
    ) -> Result<(), VimError> {
        let manager = self.file_manager()?;
        let method = "MoveDatastoreFile_Task";
        self.between(
            manager,
            method,
            datacenter,
            (from, to, "destination"),
            waiting,
        )
        .await
    }

    /// Copies a file over what may be there; `FileManager.CopyDatastoreFile_Task`.
    pub async fn copy_file(
        &self,
        datacenter: &Ref,
        from: &DatastorePath,
        to: &DatastorePath,
        waiting: &Waiting<'_>,
    ) -> Result<(), VimError> {
        let manager = self.file_manager()?;
        let method = "CopyDatastoreFile_Task";
        self.between(
            manager,
            method,
            datacenter,
            (from, to, "destination"),
            waiting,
        )
        .await
    }

    /// Copies a virtual disk, with all that it is based on, over what may be there;
    /// `VirtualDiskManager.CopyVirtualDisk_Task`.
    pub async fn copy_disk(
        &self,
        datacenter: &Ref,
        from: &DatastorePath,
        to: &DatastorePath,
        waiting: &Waiting<'_>,
    ) -> Result<(), VimError> {
        let manager = self.content().virtual_disk_manager.as_ref();
        let manager = has(manager, "virtual disk manager")?;
        let method = "CopyVirtualDisk_Task";
        self.between(manager, method, datacenter, (from, to, "dest"), waiting)
            .await
    }

    /// Moves or copies from one file of a datacenter's to another, over what may be there; the API has two words for where
    /// it goes.
    async fn between(
        &self,
        manager: &Ref,
        method: &str,
        datacenter: &Ref,
        (from, to, word): (&DatastorePath, &DatastorePath, &str),
        waiting: &Waiting<'_>,
    ) -> Result<(), VimError> {
        let body = |xml: &mut Xml| {
            xml.element("sourceName", from)
                .reference("sourceDatacenter", datacenter)
                .element(&format!("{word}Name"), to)
                .reference(&format!("{word}Datacenter"), datacenter)
                .element("force", true);
        };
        self.task(manager, method, body, waiting).await.map(drop)
    }

    /// Deletes a file, or a folder with all in it; one that is not there is fine. `FileManager.DeleteDatastoreFile_Task`.
    pub async fn delete_file(
        &self,
        datacenter: &Ref,
        file: &DatastorePath,
        waiting: &Waiting<'_>,
    ) -> Result<(), VimError> {
        let body = |xml: &mut Xml| {
            xml.element("name", file)
                .reference("datacenter", datacenter);
        };
        match self
            .task(
                self.file_manager()?,
                "DeleteDatastoreFile_Task",
                body,
                waiting,
            )
            .await
        {
            Err(error) if error.is("FileNotFound") => Ok(()),
            deleted => deleted.map(drop),
        }
    }

    fn file_manager(&self) -> Result<&Ref, VimError> {
        has(self.content().file_manager.as_ref(), "file manager")
    }

    /// Where a file is over HTTP.
    fn address(&self, datacenter_path: &str, file: &DatastorePath) -> Url {
        let mut url = self.inner.wire.base.clone();
        // The address has a host, so it has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().push("folder").extend(file.path.split('/'));
        }
        url.query_pairs_mut()
            .append_pair("dcPath", datacenter_path.trim_matches('/'))
            .append_pair("dsName", &file.datastore);
        url
    }
}
