//! Changing the files of a library's item: `com.vmware.content.library.item.UpdateSession` in the Automation API.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, interval_at, sleep};
use url::Url;

use super::fetch::Sending;
use super::library::{text, with_id};
use super::rest::{Ask, SESSION};
use super::{Client, VimError};
use crate::model::{Digest, Size};
use crate::sys::Cancel;

const UPDATE: &str = "/com/vmware/content/library/item/update-session";
const FILE: &str = "/com/vmware/content/library/item/updatesession/file";
/// How often the server is told that an upload goes on.
const ALIVE: Duration = Duration::from_secs(60);
/// How often it is asked whether it is done.
const LOOK: Duration = Duration::from_secs(1);
/// The pauses before a broken upload is begun anew.
const PAUSES: &[Duration] = &[Duration::from_secs(2), Duration::from_secs(5)];

/// A file on its way into an item.
#[derive(Clone, Copy, Debug)]
pub struct LibraryPush<'a> {
    /// What it is called there.
    pub name: &'a str,
    /// Where it lies here.
    pub path: &'a Path,
    /// Its size.
    pub size: Size,
    /// Its content.
    pub digest: Digest,
}

/// An item's files while they are changed: the new ones replace the old ones when it is [finished](Self::finish).
pub struct LibraryUpdate {
    client: Client,
    id: String,
}

impl Client {
    /// Begins to change an item's files.
    pub async fn update_library_item(&self, item: &str) -> Result<LibraryUpdate, VimError> {
        let spec = json!({"create_spec": {"library_item_id": item}});
        match self.rest(Ask::post(UPDATE, &[], &spec)).await? {
            Value::String(id) => Ok(LibraryUpdate {
                client: self.clone(),
                id,
            }),
            _ => Err(VimError::Protocol(
                "the server does not tell the update session".into(),
            )),
        }
    }
}

impl LibraryUpdate {
    /// Uploads a file; it replaces one of the same name. `progress` is told the bytes done and all of them; it begins anew
    /// when the connection breaks.
    pub async fn push(
        &self,
        file: &LibraryPush<'_>,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
        cancel: &Cancel,
    ) -> Result<(), VimError> {
        let mut pauses = PAUSES.iter();
        loop {
            let asked = cancel.run(self.add(file)).await;
            let url = asked.unwrap_or(Err(VimError::Cancelled))?;
            match self.send(&url, file, progress, cancel).await {
                Err(error) if error.is_transient() => match pauses.next() {
                    Some(pause) => cancel.run(sleep(*pause)).await.ok_or(VimError::Cancelled)?,
                    None => return Err(error),
                },
                sent => return sent,
            }
        }
    }

    /// Tells the server of a file; gives where it is to be sent.
    async fn add(&self, file: &LibraryPush<'_>) -> Result<Url, VimError> {
        let mut spec = json!({"name": file.name, "source_type": "PUSH", "size": file.size.bytes()});
        // 6.x knows MD5 and SHA-1 alone; the appliance's own manifest is checked there, too
        if !self.client.about().version.starts_with("6.") {
            spec["checksum_info"] = json!({"algorithm": "SHA256", "checksum": file.digest.hex()});
        }
        let spec = json!({"file_spec": spec});
        let path = with_id(FILE, &self.id);
        let told = Ask::post(&path, &[("~action", "add")], &spec);
        let told = self.client.rest(told).await?;
        let uri = told.pointer("/upload_endpoint/uri").and_then(Value::as_str);
        let there = uri.and_then(|uri| Url::parse(uri).ok()).ok_or_else(|| {
            VimError::Protocol(format!(
                "the server does not tell where `{}` is to be sent",
                file.name
            ))
        })?;
        // the server knows itself under a name that may not be known here
        let mut url = self.client.inner.wire.base.clone();
        url.set_path(there.path());
        url.set_query(there.query());
        Ok(url)
    }

    async fn send(
        &self,
        url: &Url,
        file: &LibraryPush<'_>,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
        cancel: &Cancel,
    ) -> Result<(), VimError> {
        let (session, generation) = self.client.rest_session(0).await?;
        match self.send_as(&session, url, file, progress, cancel).await {
            Err(VimError::Http { status: 401, .. }) => {
                let (session, _) = self.client.rest_session(generation).await?;
                self.send_as(&session, url, file, progress, cancel).await
            }
            sent => sent,
        }
    }

    async fn send_as(
        &self,
        session: &str,
        url: &Url,
        file: &LibraryPush<'_>,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
        cancel: &Cancel,
    ) -> Result<(), VimError> {
        let sending = Sending {
            method: Method::PUT,
            url: url.clone(),
            content_type: "application/octet-stream",
            headers: &[(SESSION, session)],
            from: file.path,
            progress,
            cancel,
        };
        let sent = self.client.send(&self.client.inner.wire.http, &sending);
        tokio::pin!(sent);
        let mut tick = interval_at(Instant::now() + ALIVE, ALIVE);
        loop {
            tokio::select! {
                sent = &mut sent => return sent,
                _ = tick.tick() => {}
            }
            tokio::select! {
                sent = &mut sent => return sent,
                // what is wrong shows in the upload
                _ = self.keep_alive() => {}
            }
        }
    }

    async fn keep_alive(&self) -> Result<(), VimError> {
        let nothing = json!({});
        let path = with_id(UPDATE, &self.id);
        let ask = Ask::post(&path, &[("~action", "keep-alive")], &nothing);
        self.client.rest(ask).await.map(drop)
    }

    /// Takes a file out of the item.
    pub async fn remove(&self, name: &str) -> Result<(), VimError> {
        let spec = json!({"file_name": name});
        let path = with_id(FILE, &self.id);
        let ask = Ask::post(&path, &[("~action", "remove")], &spec);
        self.client.rest(ask).await.map(drop)
    }

    /// Puts the changes in force, and waits until the server is done with them.
    pub async fn finish(&self, cancel: &Cancel) -> Result<(), VimError> {
        let done = cancel.run(self.complete()).await;
        done.unwrap_or(Err(VimError::Cancelled))
    }

    async fn complete(&self) -> Result<(), VimError> {
        let nothing = json!({});
        let path = with_id(UPDATE, &self.id);
        let ask = Ask::post(&path, &[("~action", "complete")], &nothing);
        self.client.rest(ask).await?;
        loop {
            let told = self.client.one(UPDATE, &self.id).await?;
            match text(&told, "state").as_str() {
                "DONE" => return Ok(()),
                "ERROR" | "CANCELED" => return Err(refused(&told)),
                // the API has no event for it
                _ => sleep(LOOK).await,
            }
        }
    }

    /// Lets the changes go: the item stays as it was. Also what is left to do after [`LibraryUpdate::finish`].
    pub async fn end(&self) -> Result<(), VimError> {
        self.client.rest_delete(&with_id(UPDATE, &self.id)).await
    }
}

/// What is wrong with an update.
fn refused(told: &Value) -> VimError {
    let words = told
        .pointer("/error_message/default_message")
        .and_then(Value::as_str)
        .map_or("it was cancelled there", |words| {
            words.trim().trim_end_matches('.')
        });
    VimError::Protocol(format!("the library does not take the files: {words}"))
}
