//! Tags: `com.vmware.cis.tagging` in the Automation API.

use serde_json::json;

use super::library::{text, texts, with_id};
use super::rest::Ask;
use super::{Client, Ref, VimError};

const CATEGORY: &str = "/com/vmware/cis/tagging/category";
const TAG: &str = "/com/vmware/cis/tagging/tag";
const ASSOCIATION: &str = "/com/vmware/cis/tagging/tag-association";

/// Something that has an identifier and a name: a category of tags, a tag, a storage policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl Client {
    /// The categories of tags; `Category.list` in the API.
    pub async fn tag_categories(&self) -> Result<Vec<Named>, VimError> {
        let ids = self.rest(Ask::get(CATEGORY, &[])).await?;
        self.tagging(CATEGORY, texts(&ids)).await
    }

    /// The tags of a category; `Tag.listTagsForCategory` in the API.
    pub async fn tags(&self, category: &Named) -> Result<Vec<Named>, VimError> {
        let nothing = json!({});
        let path = with_id(TAG, &category.id);
        let ask = Ask::post(&path, &[("~action", "list-tags-for-category")], &nothing);
        let ids = self.rest(ask).await?;
        self.tagging(TAG, texts(&ids)).await
    }

    /// Gives an object a tag; one that it has already is fine. `TagAssociation.attach` in the API.
    pub async fn attach_tag(&self, tag: &str, to: &Ref) -> Result<(), VimError> {
        let spec = json!({"object_id": {"type": to.kind, "id": to.id}});
        let path = with_id(ASSOCIATION, tag);
        let ask = Ask::post(&path, &[("~action", "attach")], &spec);
        self.rest(ask).await.map(drop)
    }

    async fn tagging(&self, path: &str, ids: Vec<String>) -> Result<Vec<Named>, VimError> {
        let mut all = Vec::new();
        for id in ids {
            let name = text(&self.one(path, &id).await?, "name");
            all.push(Named { id, name });
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }
}
