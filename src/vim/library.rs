//! Content libraries of vCenter: `com.vmware.content.library` in the Automation API.

use reqwest::Method;
use serde_json::{Value, json};

use super::rest::Ask;
use super::{Client, DatastorePath, Ref, VimError};
use crate::model::Size;

const LIBRARY: &str = "/com/vmware/content/library";
const ITEM: &str = "/com/vmware/content/library/item";
/// How many names are looked at for a near one.
const MANY: usize = 200;

/// A content library; `LibraryModel` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether its items can be changed here, and are not those of another library.
    pub local: bool,
}

/// An item of a library; `ItemModel` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryItem {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its type, such as `ovf` or `iso`.
    pub kind: String,
    /// What people are told of it.
    pub description: String,
    /// Counts the changes of its files.
    pub version: String,
    /// Whether all its content is there: items of a subscribed library may come when they are needed.
    pub cached: bool,
}

/// A file of an item, and where it lies; `Storage.Info` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryFile {
    /// Its name.
    pub name: String,
    /// Its size.
    pub size: Size,
    /// Whether its content is there.
    pub cached: bool,
    /// Where it lies: `ds:///vmfs/volumes/UUID/contentlib-…`.
    pub uris: Vec<String>,
    /// The datastore, if the library lies on one.
    pub datastore: Option<Ref>,
}

/// A text in an object of the API.
pub(super) fn text(value: &Value, key: &str) -> String {
    let text = value.get(key).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// Whether content is there, which is said where it is not.
fn there(value: &Value) -> bool {
    value.get("cached") != Some(&Value::Bool(false))
}

/// The texts in a list.
pub(super) fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    list.filter_map(|text| Some(text.as_str()?.to_owned()))
        .collect()
}

/// `/path/id:ID`.
pub(super) fn with_id(path: &str, id: &str) -> String {
    format!("{path}/id:{id}")
}

impl Library {
    fn read(value: &Value) -> Self {
        Self {
            id: text(value, "id"),
            name: text(value, "name"),
            local: text(value, "type") == "LOCAL",
        }
    }
}

impl LibraryItem {
    fn read(value: &Value) -> Self {
        Self {
            id: text(value, "id"),
            name: text(value, "name"),
            kind: text(value, "type"),
            description: text(value, "description"),
            version: text(value, "content_version"),
            cached: there(value),
        }
    }
}

impl LibraryFile {
    fn read(value: &Value) -> Self {
        let backing = value.get("storage_backing").unwrap_or(&Value::Null);
        let datastore = Some(text(backing, "datastore_id")).filter(|id| !id.is_empty());
        Self {
            name: text(value, "name"),
            size: Size::from_bytes(value.get("size").and_then(Value::as_u64).unwrap_or(0)),
            cached: there(value),
            uris: texts(value.get("storage_uris").unwrap_or(&Value::Null)),
            datastore: datastore.map(|id| Ref::new("Datastore", id)),
        }
    }
}

impl Client {
    /// The library `name`.
    pub async fn library(&self, name: &str) -> Result<Option<Library>, VimError> {
        let found = self
            .find_named(LIBRARY, &json!({"name": name}), name)
            .await?;
        Ok(found.map(|found| Library::read(&found)))
    }

    /// The names of all libraries, as far as they are not too many.
    pub async fn library_names(&self) -> Result<Vec<String>, VimError> {
        let all = self.rest(Ask::get(LIBRARY, &[])).await?;
        self.names(LIBRARY, &all).await
    }

    /// The item `name` of a library.
    pub async fn library_item(
        &self,
        library: &Library,
        name: &str,
    ) -> Result<Option<LibraryItem>, VimError> {
        let spec = json!({"library_id": library.id, "name": name});
        let found = self.find_named(ITEM, &spec, name).await?;
        Ok(found.map(|found| LibraryItem::read(&found)))
    }

    /// The names of a library's items, as far as they are not too many.
    pub async fn library_item_names(&self, library: &Library) -> Result<Vec<String>, VimError> {
        let query = [("library_id", library.id.as_str())];
        let all = self.rest(Ask::get(ITEM, &query)).await?;
        self.names(ITEM, &all).await
    }

    /// An item's files.
    pub async fn library_files(&self, item: &LibraryItem) -> Result<Vec<LibraryFile>, VimError> {
        let path = format!("{ITEM}/storage");
        let query = [("library_item_id", item.id.as_str())];
        let all = self.rest(Ask::get(&path, &query)).await?;
        let files = all.as_array().into_iter().flatten();
        Ok(files.map(LibraryFile::read).collect())
    }

    /// Makes an item without files; gives its identifier.
    pub async fn create_library_item(
        &self,
        library: &Library,
        (name, kind): (&str, &str),
        description: &str,
    ) -> Result<String, VimError> {
        let spec = json!({"create_spec": {
            "library_id": library.id, "name": name, "type": kind, "description": description,
        }});
        match self.rest(Ask::post(ITEM, &[], &spec)).await? {
            Value::String(id) => Ok(id),
            _ => Err(VimError::Protocol(format!(
                "the server does not tell the new item `{name}`"
            ))),
        }
    }

    /// The item with this identifier.
    pub async fn library_item_by_id(&self, id: &str) -> Result<LibraryItem, VimError> {
        Ok(LibraryItem::read(&self.one(ITEM, id).await?))
    }

    /// Changes what people are told of an item.
    pub async fn describe_library_item(&self, id: &str, words: &str) -> Result<(), VimError> {
        let spec = json!({"update_spec": {"description": words}});
        let path = with_id(ITEM, id);
        let ask = Ask {
            method: &Method::PATCH,
            ..Ask::post(&path, &[], &spec)
        };
        self.rest(ask).await.map(drop)
    }

    /// Removes an item with its files; one that is not there is fine.
    pub async fn delete_library_item(&self, id: &str) -> Result<(), VimError> {
        self.rest_delete(&with_id(ITEM, id)).await
    }

    /// Removes something; what is not there is fine.
    pub(super) async fn rest_delete(&self, path: &str) -> Result<(), VimError> {
        let ask = Ask {
            method: &Method::DELETE,
            ..Ask::get(path, &[])
        };
        match self.rest(ask).await {
            Err(VimError::Http { status: 404, .. }) => Ok(()),
            Err(error) if error.is("NotFound") => Ok(()),
            deleted => deleted.map(drop),
        }
    }

    /// What the API says of one thing.
    pub(super) async fn one(&self, path: &str, id: &str) -> Result<Value, VimError> {
        self.rest(Ask::get(&with_id(path, id), &[])).await
    }

    /// The one that a search finds and that has just this name.
    async fn find_named(
        &self,
        path: &str,
        spec: &Value,
        name: &str,
    ) -> Result<Option<Value>, VimError> {
        let spec = json!({"spec": spec});
        let found = Ask::post(path, &[("~action", "find")], &spec);
        for id in texts(&self.rest(found).await?) {
            let one = self.one(path, &id).await?;
            // the search takes capitals and small letters for the same
            if text(&one, "name") == name {
                return Ok(Some(one));
            }
        }
        Ok(None)
    }

    /// The names behind a list of identifiers.
    async fn names(&self, path: &str, ids: &Value) -> Result<Vec<String>, VimError> {
        let mut names = Vec::new();
        for id in texts(ids).iter().take(MANY) {
            names.push(text(&self.one(path, id).await?, "name"));
        }
        names.sort();
        Ok(names)
    }

    /// Where a library's file lies, in the words of the other API; none: on no datastore.
    pub async fn library_path(
        &self,
        file: &LibraryFile,
    ) -> Result<Option<DatastorePath>, VimError> {
        let Some(datastore) = &file.datastore else {
            return Ok(None);
        };
        let read = self.read(datastore, &["name", "summary.url"]).await?;
        let (name, root) = (read.text("name"), read.text("summary.url"));
        let root = root.unwrap_or_default();
        let inside = file.uris.iter().find_map(|uri| inside(root, uri));
        Ok(name
            .zip(inside)
            .map(|(name, path)| DatastorePath::new(name, &path)))
    }
}

/// The path in a datastore whose root is `root` that a storage URI names.
fn inside(root: &str, uri: &str) -> Option<String> {
    let uri = uri.split('?').next().unwrap_or(uri);
    let bare = |text: &str| {
        let path = text.split_once("://").map_or(text, |(_, path)| path);
        path.trim_end_matches('/').to_owned()
    };
    let (root, uri) = (bare(root), bare(uri));
    if let Some(rest) = uri.strip_prefix(&root)
        && !root.is_empty()
        && rest.starts_with('/')
    {
        return Some(rest.trim_matches('/').to_owned());
    }
    // a datastore can be known under several names; libraries lie in its first folder
    let at = uri.find("/contentlib-")?;
    Some(uri.get(at + 1..)?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_uri_names_a_path_in_a_datastore() {
        let root = "ds:///vmfs/volumes/5f1e-aa/";
        let file = "contentlib-1/2/debian_9.iso";
        for uri in [
            "ds:///vmfs/volumes/5f1e-aa/contentlib-1/2/debian_9.iso",
            "ds:///vmfs/volumes/5f1e-aa/contentlib-1/2/debian_9.iso?serverId=77",
            "ds:///vmfs/volumes/other/contentlib-1/2/debian_9.iso",
        ] {
            assert_eq!(inside(root, uri).as_deref(), Some(file), "{uri}");
        }
        assert_eq!(
            inside("/tmp/ds", "/tmp/ds/a/b.iso").as_deref(),
            Some("a/b.iso")
        );
        assert_eq!(inside(root, "nfs://server/export/b.iso"), None);
    }

    #[test]
    fn a_file_is_there_unless_it_is_said_not_to_be() {
        let file = |value: Value| LibraryFile::read(&value);
        assert!(file(json!({"name": "a"})).cached);
        let told = file(
            json!({"name": "a.iso", "size": 7, "cached": false, "storage_uris": ["u"],
            "storage_backing": {"type": "DATASTORE", "datastore_id": "datastore-1"}}),
        );
        assert_eq!((told.cached, told.size.bytes()), (false, 7));
        assert_eq!(told.datastore, Some(Ref::new("Datastore", "datastore-1")));
    }
}
